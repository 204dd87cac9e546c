//! Advice that follows from the data: what would make the classifier better, and what makes its figures doubtful.

use super::gallery::{ClassFilter, Filter};
use super::project::OpenProject;
use super::words::{n_images, thousands};
use crate::head::{ChosenBy, HeadKind};
use crate::project::{Class, ClassId};
use crate::workflow::curve::{Verdict, words};

/// How much advice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The figures cannot be relied on.
    Serious,
    /// It would help.
    Helpful,
    /// Good to know.
    Note,
}

/// A piece of advice.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// How much it matters.
    pub weight: Weight,
    /// One sentence.
    pub text: String,
    /// The images that it is about.
    pub images: Option<Filter>,
}

/// Fewer training images a class make a head unreliable.
const FEW: usize = 10;
/// With fewer validation images a figure says little.
const FEW_VALIDATION: usize = 50;
/// The largest class has so many times the images of the smallest: unbalanced.
const UNBALANCED: usize = 5;
/// Classes that are named in one piece of advice, at most.
const MAX_NAMED: usize = 3;
/// Accuracy between the heads that is worth a word.
const CLEARLY: f64 = 0.03;

/// Advice on the open project, the most important first.
pub fn advice(project: &OpenProject) -> Vec<Advice> {
    let mut all = Vec::new();
    let mut say = |weight, text: String, images| all.push(Advice { weight, text, images });
    let classes = project.data.sorted_classes();
    let counts: Vec<(ClassId, &str, usize)> =
        classes.iter().map(|(id, c)| (*id, c.name.as_str(), project.counts.of(*id))).collect();
    let of_class = |id| Some(Filter { class: ClassFilter::Is(id), ..Filter::default() });

    let used: Vec<_> = counts.iter().filter(|c| c.2 > 0).collect();
    if used.len() < 2 {
        let text = match used.first() {
            None => "Label images of at least two classes: heads are trained as soon as there are two.".to_owned(),
            Some((_, name, _)) => {
                format!("All labelled images are “{name}”: add images of another class, or of what is not “{name}”.")
            }
        };
        say(Weight::Serious, text, None);
        return all;
    }
    let empty: Vec<&str> = counts.iter().filter(|c| c.2 == 0).map(|c| c.1).collect();
    match empty.as_slice() {
        [] => {}
        [one] => say(Weight::Helpful, format!("The class “{one}” has no images."), None),
        many => say(Weight::Helpful, format!("{} classes have no images: {}.", many.len(), some_names(many)), None),
    }
    let small: Vec<_> = counts.iter().filter(|c| (1..FEW).contains(&c.2)).collect();
    if small.len() <= MAX_NAMED {
        for (id, name, n) in &small {
            let n = n_images(*n);
            let text = format!("“{name}” has only {n}: with {FEW} or more its figures begin to mean something.");
            say(Weight::Serious, text, of_class(*id));
        }
    } else {
        let names: Vec<&str> = small.iter().map(|c| c.1).collect();
        let text = format!(
            "{} classes have fewer than {FEW} images: {}. From there on their figures begin to mean something.",
            small.len(),
            some_names(&names)
        );
        say(Weight::Serious, text, None);
    }
    let largest = used.iter().max_by_key(|c| c.2);
    let smallest = used.iter().min_by_key(|c| c.2);
    if let (Some((_, big, n_big)), Some((id, small, n_small))) = (largest, smallest)
        && *n_big >= UNBALANCED * n_small
        && *n_small >= FEW
    {
        let text = format!(
            "“{big}” has {} times as many images as “{small}”: balanced accuracy tells more than accuracy, and the learning \
             curve whether more of “{small}” would help.",
            n_big / n_small
        );
        say(Weight::Helpful, text, of_class(*id));
    }
    duplicates(project, &mut say);
    if project.counts.n_unlabelled > 0 {
        let text =
            format!("{} without a label: they are predicted, not learned from.", n_images(project.counts.n_unlabelled));
        say(Weight::Note, text, Some(Filter { class: ClassFilter::Unlabelled, ..Filter::default() }));
    }
    figures(project, &mut say);
    curve(project, &classes, &mut say);
    all.sort_by_key(|a| a.weight);
    all
}

/// What the learning curve says of the labels as they are: whether more images would help, and of which class.
fn curve(project: &OpenProject, classes: &[(ClassId, &Class)], say: &mut impl FnMut(Weight, String, Option<Filter>)) {
    let Some(drawn) = project.drawn_curve().filter(|drawn| drawn.revision == project.revision) else { return };
    if let Some(text) = drawn.outcome.best().and_then(words::outlook) {
        say(Weight::Note, text, None);
    }
    if let Some(needs) = &drawn.outcome.needs
        && let Some(name) = &needs.stands_out
        && let Some(text) = words::needs(needs)
    {
        let id = classes.iter().find(|(_, class)| class.name == *name).map(|(id, _)| *id);
        let filter = id.map(|id| Filter { class: ClassFilter::Is(id), ..Filter::default() });
        say(Weight::Helpful, text, filter);
    }
    if let Some(transfer) = &drawn.outcome.transfer
        && transfer.verdict != Verdict::Helps
    {
        say(Weight::Serious, words::transfer(transfer), None);
    }
}

/// The first of many names.
fn some_names(names: &[&str]) -> String {
    let mut text: Vec<String> = names.iter().take(MAX_NAMED).map(|name| format!("“{name}”")).collect();
    if names.len() > MAX_NAMED {
        text.push("…".to_owned());
    }
    text.join(", ")
}

/// For sentences about images: `1 image was`, `3 images were`.
fn n_were(n: usize) -> String {
    format!("{} {}", n_images(n), if n == 1 { "was" } else { "were" })
}

fn duplicates(project: &OpenProject, say: &mut impl FnMut(Weight, String, Option<Filter>)) {
    let duplicates = project.live.duplicates();
    let n_leaks = duplicates.iter().filter(|d| d.is_leak).count();
    let n_conflicts = duplicates.iter().filter(|d| d.is_conflict).count();
    if n_leaks > 0 {
        let text = format!(
            "{} both among the training and among the validation or test images: the copies are left out of training, so \
             that the figures stay honest.",
            n_were(n_leaks)
        );
        say(Weight::Helpful, text, None);
    }
    if n_conflicts > 0 {
        let text = format!("{} added twice with different labels: decide which is right.", n_were(n_conflicts));
        say(Weight::Serious, text, None);
    }
    let n_other = duplicates.len() - duplicates.iter().filter(|d| d.is_leak || d.is_conflict).count();
    if n_other > 0 {
        let text = match n_other {
            1 => "1 image repeats another exactly: the two count once.".to_owned(),
            n => format!("{} repeat others exactly and count once.", n_images(n)),
        };
        say(Weight::Note, text, None);
    }
}

fn figures(project: &OpenProject, say: &mut impl FnMut(Weight, String, Option<Filter>)) {
    let figures = project.live.figures();
    let Some(shown) = project.live.shown_figures(project.data.settings.head) else { return };
    match shown.val {
        None => say(
            Weight::Serious,
            "There are no validation images: nothing is known about how good it is.".to_owned(),
            None,
        ),
        Some(report) => {
            if report.n_rows < FEW_VALIDATION {
                let wide = 100.0 * (report.accuracy.interval.high - report.accuracy.interval.low);
                let text = format!(
                    "The accuracy rests on {}: its 95 % interval is {wide:.0} points wide.",
                    n_images(report.n_rows)
                );
                say(Weight::Helpful, text, None);
            }
            if report.accuracy.value >= 0.9 && report.calibration_error.interval.low > 0.1 {
                let text = "Its probabilities are less sure than it is right, or the other way round: look at the \
                            reliability diagram before relying on a threshold."
                    .to_owned();
                say(Weight::Note, text, None);
            }
        }
    }
    let accuracy =
        |kind: HeadKind| figures.iter().find(|f| f.kind == kind).and_then(|f| f.val).map(|r| r.accuracy.value);
    if let (Some(linear), Some(prototype)) = (accuracy(HeadKind::Linear), accuracy(HeadKind::Prototype))
        && prototype > linear + CLEARLY
    {
        let text = "Class means do better than the linear head: there are few images for what the classes vary; more \
                    images would let the linear head catch up."
            .to_owned();
        say(Weight::Note, text, None);
    }
    if let ChosenBy::Validation { .. } = shown.record.chosen_by {
        let what = match shown.record.temperature_by {
            Some(_) => "The strength was",
            None => "Strength and temperature were",
        };
        let text = format!(
            "{what} chosen on the validation images, which flatters their figures a little; a test folder would settle it."
        );
        if shown.test.is_none() {
            say(Weight::Note, text, None);
        }
    }
    if let Some(fit) = &project.live.fit {
        if fit.output.n_beyond > 0 {
            let n_used = fit.output.splits.iter().filter(|(_, s)| *s == crate::dataset::Split::Train).count();
            let text = format!(
                "Heads are fitted on {} training images, drawn evenly over the classes; {} more would change next to \
                 nothing and take longer.",
                thousands(n_used),
                thousands(fit.output.n_beyond)
            );
            say(Weight::Note, text, None);
        }
        for class in &fit.output.classes_without {
            if project.counts.of(*class) > 0
                && let Some(class) = project.data.class(*class)
            {
                let text = format!("“{}” has images to judge on and none to train on: it is left out.", class.name);
                say(Weight::Serious, text, None);
            }
        }
    }
}
