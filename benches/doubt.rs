//! How honest the doubt is: calibration before and after temperature scaling, and strangers told from known images. The
//! README's tables.
//!
//!     cargo bench --bench doubt -- --data ../shared/data
//!
//! Calibration: five-fold cross-validation of the whole procedure, five draws of the folds. Of the four fifths a fifth of
//! each class is split off for validation; the head, its strength and its temperature come from these two as `graft train`
//! has them, and the last fifth is judged, which has chosen nothing. Answers of one draw's five heads are judged together, so
//! that each draw judges every image of a set once; figures are means over the draws. "All draws" judges the answers of all
//! draws together, so that each image counts five times, by five heads: less is left to chance. "Before" is the same head at
//! temperature 1; "validation" is its error at the temperature that the validation images alone would choose.
//!
//! Strangers: the same folds of one draw. For each ordered pair of sets, heads of the first judge their held-out fifth (known)
//! and every image of the second (strangers); AUROC and false accepts are means over the five folds. Nothing sees the
//! strangers before they are judged. The rule keeps 95 % of the validation images.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement for a terminal"
)]

use std::path::PathBuf;
use std::time::Instant;

use ndarray::{Array2, Axis, concatenate};

use graft::classes::ClassIdx;
use graft::dataset::split::SplitConfig;
use graft::embedding::Embeddings;
use graft::head::{self, HeadKind, KnownImage, UnknownRule, UnknownWish, softmax};
use graft::metrics::Reliability;
use graft::metrics::strangers::separation;
use graft::progress::{CancelToken, Silent};
use graft::rng::SplitMix64;
use graft::workflow::certainty::known_images;
use graft::workflow::embed::EmbedConfig;
use graft::workflow::models::{open_cache, open_model};
use graft::workflow::train::{FitData, JudgedHead, LabelledEmbeddings, TrainConfig, fit_head, prepare};

const SETS: [&str; 5] = ["hymenoptera/train", "flowers", "pacs/photo", "pacs/sketch", "sign_digits"];
const N_FOLDS: usize = 5;
const N_DRAWS: usize = 5;
/// Columns of the table of calibration.
const N_FIGURES: usize = 13;
const KINDS: [HeadKind; 2] = [HeadKind::Linear, HeadKind::Prototype];

struct Set {
    name: &'static str,
    data: FitData,
    /// Every image.
    all: LabelledEmbeddings,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |flag: &str| args.iter().position(|a| a == flag).and_then(|i| args.get(i + 1)).cloned();
    let Some(data) = value("--data").map(PathBuf::from) else {
        println!("give --data DIR (with hymenoptera, flowers, pacs, sign_digits) to measure doubt");
        return;
    };
    let reporter = Silent::default();
    let cache = open_cache(&reporter);
    let backbone = open_model(value("--model").as_deref(), None, &cache).expect("the model");
    let sets: Vec<Set> = SETS
        .into_iter()
        .map(|name| {
            let config = TrainConfig {
                images: data.join(name),
                val: None,
                heads: Vec::new(),
                split: SplitConfig::default(),
                head: head::TrainConfig::default(),
                embed: EmbedConfig::default(),
            };
            let data = prepare(&backbone, &config, &cache, &reporter).expect("images").data;
            Set { name, all: join(&data.train, &data.val), data }
        })
        .collect();
    calibration(&sets);
    strangers(&sets);
    siblings(&sets);
}

fn join(a: &LabelledEmbeddings, b: &LabelledEmbeddings) -> LabelledEmbeddings {
    let values = concatenate(Axis(0), &[a.embeddings.view(), b.embeddings.view()]).unwrap();
    LabelledEmbeddings {
        embeddings: Embeddings::new(values, a.embeddings.space().clone()).unwrap(),
        classes: a.classes.iter().chain(&b.classes).copied().collect(),
        paths: a.paths.iter().chain(&b.paths).cloned().collect(),
    }
}

fn rows(of: &LabelledEmbeddings, rows: &[usize]) -> LabelledEmbeddings {
    LabelledEmbeddings {
        embeddings: of.embeddings.select(rows),
        classes: rows.iter().map(|&row| of.classes[row]).collect(),
        paths: rows.iter().map(|&row| of.paths[row].clone()).collect(),
    }
}

/// A fold of each row: every class is dealt out in a drawn order.
fn deal(classes: &[ClassIdx], n_classes: usize, seed: u64, n_folds: usize) -> Vec<usize> {
    let mut fold_of = vec![0; classes.len()];
    let mut next = 0;
    for class in 0..n_classes {
        let mut of_class: Vec<usize> = (0..classes.len()).filter(|&row| classes[row].as_usize() == class).collect();
        SplitMix64::new(SplitMix64::new(seed ^ ((class as u64) << 32)).next_u64()).shuffle(&mut of_class);
        for row in of_class {
            fold_of[row] = next % n_folds;
            next += 1;
        }
    }
    fold_of
}

/// A head of four fifths, and the last fifth.
fn fold(set: &Set, kind: HeadKind, draw: u64, fold: usize) -> (JudgedHead, LabelledEmbeddings, LabelledEmbeddings) {
    let n_classes = set.data.classes.len();
    let fold_of = deal(&set.all.classes, n_classes, draw, N_FOLDS);
    let split = |is_held_out: bool| -> Vec<usize> {
        (0..fold_of.len()).filter(|&row| (fold_of[row] == fold) == is_held_out).collect()
    };
    let rest = rows(&set.all, &split(false));
    let part_of = deal(&rest.classes, n_classes, draw ^ 77, N_FOLDS);
    let part =
        |is_val: bool| -> Vec<usize> { (0..part_of.len()).filter(|&row| (part_of[row] == 0) == is_val).collect() };
    let data = FitData {
        classes: set.data.classes.clone(),
        train: rows(&rest, &part(false)),
        val: rows(&rest, &part(true)),
        test: rows(&rest, &[]),
        val_is_given: false,
    };
    let config = head::TrainConfig { kind, ..head::TrainConfig::default() };
    let judged = fit_head(&data, kind, &config, draw, &CancelToken::new()).expect("a head");
    (judged, rows(&set.all, &split(true)), data.val)
}

fn calibration(sets: &[Set]) {
    println!("Calibration: mean over {N_DRAWS} draws of {N_FOLDS} folds\n");
    println!(
        "| set | head | accuracy | ECE before | after | by chance | debiased before | after | log loss before | after | Brier before | after | validation | all draws before | after |"
    );
    println!("|{}", " --- |".repeat(2 + N_FIGURES));
    for kind in KINDS {
        let mut means = [0.0; N_FIGURES];
        for set in sets {
            let started = Instant::now();
            let figures = of_set(set, kind);
            line(set.name, kind, &figures);
            means.iter_mut().zip(figures).for_each(|(mean, figure)| *mean += figure / sets.len() as f64);
            eprintln!("{} {}: {:.0} s", set.name, kind.label(), started.elapsed().as_secs_f64());
        }
        line("**mean**", kind, &means);
        println!(
            "\n{}: x {:.2}, debiased x {:.2}, all draws x {:.2}\n",
            kind.label(),
            means[2] / means[1],
            means[5] / means[4],
            means[12] / means[11]
        );
    }
    println!();
}

fn line(name: &str, kind: HeadKind, f: &[f64; N_FIGURES]) {
    let cells: Vec<String> = f.iter().map(|v| format!("{v:.4}")).collect();
    println!("| {name} | {} | {} |", kind.label(), cells.join(" | "));
}

fn of_set(set: &Set, kind: HeadKind) -> [f64; N_FIGURES] {
    let n_classes = set.data.classes.len();
    let mut means = [0.0; N_FIGURES];
    let (mut all_before, mut all_after, mut all_y) = (Vec::new(), Vec::new(), Vec::new());
    for draw in 0..N_DRAWS as u64 {
        let (mut before, mut after, mut y): (Vec<Array2<f32>>, Vec<Array2<f32>>, Vec<ClassIdx>) = Default::default();
        let mut on_val: Vec<Array2<f32>> = Vec::new();
        for i in 0..N_FOLDS {
            let (judged, held_out, val) = fold(set, kind, draw, i);
            let logits = judged.trained.head.scores(&held_out.embeddings).unwrap().values;
            let temperature = judged.trained.record.temperature;
            let of_val = judged.trained.head.scores(&val.embeddings).unwrap().values;
            let again = head::fit_temperature(of_val.view(), &val.classes);
            on_val.push(softmax(&logits.mapv(|v| (f64::from(v) / again) as f32)));
            before.push(softmax(&logits.mapv(|v| (f64::from(v) * temperature) as f32)));
            after.push(softmax(&logits));
            y.extend(held_out.classes);
        }
        let (before, after) = (stack(&before), stack(&after));
        let on_val = Reliability::new(stack(&on_val).view(), &y, n_classes, draw).unwrap();
        let known = known_images(&after, None, &y);
        let accuracy = known.iter().filter(|k| k.is_right).count() as f64 / y.len() as f64;
        let [b, a] = [&before, &after].map(|p| Reliability::new(p.view(), &y, n_classes, draw).unwrap());
        let figures = [
            accuracy,
            b.error,
            a.error,
            a.error_by_chance,
            b.debiased_error,
            a.debiased_error,
            b.log_loss,
            a.log_loss,
            b.brier,
            a.brier,
            on_val.error,
        ];
        means.iter_mut().zip(figures).for_each(|(mean, figure)| *mean += figure / N_DRAWS as f64);
        all_before.push(before);
        all_after.push(after);
        all_y.extend(y);
    }
    for (mean, parts) in means[11..].iter_mut().zip([&all_before, &all_after]) {
        *mean = Reliability::new(stack(parts).view(), &all_y, n_classes, 0).unwrap().error;
    }
    means
}

fn stack(parts: &[Array2<f32>]) -> Array2<f32> {
    concatenate(Axis(0), &parts.iter().map(|p| p.view()).collect::<Vec<_>>()).unwrap()
}

/// AUROC and false accepts at 95 % of the known by each score, and under the rule by distance.
#[derive(Clone, Copy, Default)]
struct Told {
    probability: [f64; 2],
    distance: [f64; 2],
    rule: [f64; 2],
}

fn told(judged: &JudgedHead, held_out: &Embeddings, strangers: &Embeddings) -> Told {
    let answer = |of: &Embeddings| -> Vec<(f32, f32)> {
        let top = graft::workflow::evaluate::top(judged.trained.head.probabilities(of).unwrap().view())
            .into_iter()
            .map(|(_, p)| p)
            .collect::<Vec<_>>();
        let distances = judged.certainty.nearest.as_ref().unwrap().distances(of).unwrap();
        top.into_iter().zip(distances).collect()
    };
    let (known, other) = (answer(held_out), answer(strangers));
    let by = |score: &dyn Fn(&(f32, f32)) -> f32| {
        let all = |rows: &[(f32, f32)]| rows.iter().map(score).collect::<Vec<f32>>();
        let found = separation(&all(&known), &all(&other)).unwrap();
        [found.auroc, found.false_accept_at_95]
    };
    let wish = UnknownWish::Distance { keep: 0.95 };
    let rule: UnknownRule = wish.settle(&judged.certainty.known as &[KnownImage]).expect("a rule");
    let share = |rows: &[(f32, f32)]| {
        rows.iter().filter(|(p, d)| !rule.is_unknown(*p, Some(*d))).count() as f64 / rows.len() as f64
    };
    Told { probability: by(&|r| r.0), distance: by(&|r| -r.1), rule: [share(&known), share(&other)] }
}

fn mean(all: &[Told]) -> Told {
    let of = |f: &dyn Fn(&Told) -> [f64; 2]| {
        [0, 1].map(|i| all.iter().map(|t| f(t)[i]).sum::<f64>() / all.len().max(1) as f64)
    };
    Told { probability: of(&|t| t.probability), distance: of(&|t| t.distance), rule: of(&|t| t.rule) }
}

fn told_line(name: &str, t: &Told) {
    println!(
        "| {name} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} |",
        t.distance[0], t.probability[0], t.distance[1], t.probability[1], t.rule[0], t.rule[1]
    );
}

const HEADER: &str = "AUROC by distance | by probability | let in with 95 % of the known: by distance | by probability | known answered under the rule | strangers answered |\n| --- | --- | --- | --- | --- | --- | --- |";

fn strangers(sets: &[Set]) {
    println!("Strangers from another set, linear head\n\n| trained on > strangers | {HEADER}");
    let mut pairs = Vec::new();
    for set in sets {
        let folds: Vec<_> = (0..N_FOLDS).map(|i| fold(set, HeadKind::Linear, 0, i)).collect();
        for other in sets.iter().filter(|o| o.name != set.name) {
            let of = |(judged, held_out, _): &(JudgedHead, LabelledEmbeddings, LabelledEmbeddings)| {
                told(judged, &held_out.embeddings, &other.all.embeddings)
            };
            let pair = mean(&folds.iter().map(of).collect::<Vec<_>>());
            told_line(&format!("{} > {}", set.name, other.name), &pair);
            pairs.push(pair);
        }
    }
    told_line("**mean**", &mean(&pairs));
    let least = |f: &dyn Fn(&Told) -> f64| pairs.iter().map(f).fold(f64::INFINITY, f64::min);
    println!("| worst AUROC | {:.3} | {:.3} | | | | |\n", least(&|t| t.distance[0]), least(&|t| t.probability[0]));
}

/// The harder question: a class of the same set that was left out.
fn siblings(sets: &[Set]) {
    println!(
        "A class of the same set that was left out of training, linear head (one fold a class)\n\n| set | {HEADER}"
    );
    let mut means = Vec::new();
    for set in sets.iter().filter(|set| set.data.classes.len() > 2) {
        let mut all = Vec::new();
        for left_out in set.data.classes.indices() {
            let is_left_out = |row: &usize| set.all.classes[*row] == left_out;
            let (out, kept): (Vec<usize>, Vec<usize>) = (0..set.all.len()).partition(is_left_out);
            let mut known = rows(&set.all, &kept);
            for class in &mut known.classes {
                class.0 -= u32::from(class.0 > left_out.0);
            }
            let names = set.data.classes.indices().zip(set.data.classes.names()).filter(|(i, _)| *i != left_out);
            let classes = graft::classes::ClassSet::from_ordered(names.map(|(_, name)| name.clone()));
            let part = FitData { classes, ..set.data.clone() };
            let (judged, held_out, _) = fold(&Set { name: set.name, data: part, all: known }, HeadKind::Linear, 0, 0);
            all.push(told(&judged, &held_out.embeddings, &set.all.embeddings.select(&out)));
        }
        let of_set = mean(&all);
        told_line(set.name, &of_set);
        means.push(of_set);
    }
    told_line("**mean**", &mean(&means));
}
