//! What to label next: the images that are asked, one after the other, and how accuracy grows with the labels.

use std::collections::{BTreeSet, VecDeque};

use super::command::{Effect, Target};
use super::project::OpenProject;
use super::state::{AppState, Place, Purpose};
use super::views::ImagesView;
use super::words::n_images;
use crate::dataset::Split;
use crate::head::HeadKind;
use crate::jobs::{AskedImage, FitImage, HeadOf, JobRequest, LaneKind, NextOutput, NextRequest};
use crate::project::{Change, ClassId, Edit, ImageId};

/// Images that are in view: the one that is asked, and those after it, which stay as they are while others are ordered anew.
pub const N_SHOWN: usize = 5;
/// Images that are chosen one by one; after so many labels there is a new order long since.
const N_ASKED: usize = 24;
/// While images are being embedded they are ordered again when there are so many times as many.
const GROWTH: f64 = 1.6;
/// A head whose two likeliest classes are nearer to each other than this is torn between them.
const TORN: f32 = 0.4;

/// Classes that have a key.
const N_KEYS: usize = 9;

/// What the user wants of the images that are asked.
#[derive(Clone, Debug, PartialEq)]
pub enum NextCommand {
    /// Gives the image that is asked a class and goes on.
    Label(ClassId),
    /// The class of a position in the list, counted from 1.
    Digit(u8),
    /// The class of a name; there is a new one where no class has it.
    Name(String),
    /// Asks it again after all others.
    Later,
    /// Takes back what was done with the last one, which is asked again.
    Back,
    /// Asks another one of those in view first.
    Pick(ImageId),
    /// Whether the head's answer is shown.
    ShowGuess(bool),
    /// Orders them again, after that was cancelled or has failed.
    Again,
}

/// How good the head was with so many labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccuracyAt {
    /// Labels that heads learn from.
    pub n_labels: usize,
    /// Part of images that it is right on.
    pub accuracy: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

/// What was done with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Labelled(ImageId),
    PutOff(ImageId),
}

/// What an order follows from.
#[derive(Clone, Debug, PartialEq)]
struct Basis {
    epoch: u64,
    revision: u64,
    n_embedded: usize,
    /// Kind of the head, and whether its settings were chosen on these data.
    head: Option<(HeadKind, bool)>,
}

/// What to label next.
#[derive(Clone, Debug, Default)]
pub struct Next {
    queue: VecDeque<AskedImage>,
    /// After the queue, in order.
    rest: VecDeque<ImageId>,
    put_off: Vec<ImageId>,
    done: Vec<Done>,
    /// What the last order that was asked for follows from.
    asked: Option<Basis>,
    /// Whether there has been an order.
    pub is_ordered: bool,
    /// Why there is none.
    pub error: Option<String>,
    /// Whether the head's answer is shown before the image has a label. Not by itself: what is suggested is agreed with.
    pub shows_guess: bool,
    /// Accuracy by number of labels, as they came.
    pub curve: Vec<AccuracyAt>,
    /// Images that were given a label here.
    pub n_labelled: usize,
}

impl Next {
    /// The images in view, the one that is asked first.
    pub fn shown(&self) -> impl Iterator<Item = &AskedImage> {
        self.queue.iter().take(N_SHOWN)
    }

    /// The image that is asked.
    pub fn current(&self) -> Option<&AskedImage> {
        self.queue.front()
    }

    /// Images that are asked after all others.
    pub fn n_put_off(&self) -> usize {
        self.put_off.len()
    }

    /// Whether there is something to go back to.
    pub fn can_go_back(&self) -> bool {
        !self.done.is_empty()
    }

    /// Brings it up to date with the labels: what has one is asked no more, what has lost one again is asked first.
    fn refresh(&mut self, project: &crate::project::Project) {
        let is_open =
            |id: ImageId| project.image(id).is_some_and(|i| i.is_present && i.class.is_none() && i.skipped.is_none());
        self.queue.retain(|asked| is_open(asked.id));
        self.put_off.retain(|id| is_open(*id));
        for at in (0..self.done.len()).rev() {
            if let Done::Labelled(id) = self.done[at]
                && is_open(id)
            {
                self.done.remove(at);
                self.n_labelled = self.n_labelled.saturating_sub(1);
                self.ask_first(id);
            }
        }
        while self.queue.len() < N_SHOWN
            && let Some(id) = self.rest.pop_front()
        {
            self.ask_last(id, &is_open);
        }
        if self.queue.is_empty() {
            for id in std::mem::take(&mut self.put_off) {
                self.done.retain(|done| *done != Done::PutOff(id));
                self.ask_last(id, &is_open);
            }
        }
    }

    /// What a model that is used no more has said.
    pub(super) fn forget_model(&mut self) {
        self.queue.iter_mut().for_each(|asked| asked.likely.clear());
        self.curve.clear();
        self.error = None;
    }

    fn ask_first(&mut self, id: ImageId) {
        let at = self.queue.iter().position(|asked| asked.id == id);
        let asked = at.and_then(|at| self.queue.remove(at));
        self.rest.retain(|other| *other != id);
        self.queue.push_front(asked.unwrap_or(AskedImage { id, likely: Vec::new(), stands_for: 0 }));
    }

    fn ask_last(&mut self, id: ImageId, is_open: &impl Fn(ImageId) -> bool) {
        if is_open(id) && !self.queue.iter().any(|asked| asked.id == id) && !self.put_off.contains(&id) {
            self.queue.push_back(AskedImage { id, likely: Vec::new(), stands_for: 0 });
        }
    }

    /// Takes a new order: what is in view stays, with what is known of it now.
    fn set_order(&mut self, output: NextOutput) {
        self.queue.truncate(N_SHOWN);
        for (id, likely) in output.shown {
            if let Some(asked) = self.queue.iter_mut().find(|asked| asked.id == id) {
                asked.likely = likely;
            }
        }
        let in_view: BTreeSet<ImageId> = self.queue.iter().map(|asked| asked.id).collect();
        let put_off: BTreeSet<ImageId> = self.put_off.iter().copied().collect();
        let is_new = |id: &ImageId| !in_view.contains(id) && !put_off.contains(id);
        self.queue.extend(output.asked.into_iter().filter(|asked| is_new(&asked.id)));
        self.rest = output.rest.into_iter().filter(is_new).collect();
        self.is_ordered = true;
        self.error = None;
    }

    /// Notes how good the head is with so many labels. With fewer labels than before, what was known of more is void.
    fn note(&mut self, at: AccuracyAt) {
        self.curve.retain(|point| point.n_labels < at.n_labels);
        self.curve.push(at);
    }
}

/// The head whose doubt orders images: the one that the user chose, else the linear one. Which answers best is not known with so
/// few validation images, and an order that follows one head and then another helps neither.
fn doubting(fit: &super::Fit, chosen: Option<HeadKind>) -> Option<&crate::jobs::FittedHead> {
    let of = |kind: HeadKind| fit.output.heads.iter().find(|head| head.kind() == kind);
    chosen.and_then(of).or_else(|| of(HeadKind::Linear)).or_else(|| fit.head())
}

/// Why an image is asked, in sentences.
pub fn reasons(project: &OpenProject, asked: &AskedImage) -> Vec<String> {
    let mut reasons = Vec::new();
    let name = |id: ClassId| project.data.class(id).map(|class| class.name.clone());
    if let [(first, p), (second, q)] = asked.likely[..]
        && p - q < TORN
        && let (Some(first), Some(second)) = (name(first), name(second))
    {
        let percent = |p: f32| format!("{:.0} %", 100.0 * p);
        // Which ones is its guess, which is hidden until it is asked for.
        reasons.push(match project.next.shows_guess {
            true => format!("The head is torn between “{first}” ({}) and “{second}” ({}).", percent(p), percent(q)),
            false => "The head is torn between two classes.".to_owned(),
        });
    }
    if asked.stands_for > 1 {
        let n = n_images(asked.stands_for);
        reasons.push(match project.counts.n_unlabelled == project.counts.n_images {
            true if asked.stands_for >= project.live.n_embedded => "It is the most typical of all images.".to_owned(),
            true => format!("It is typical: about {n} are more like it than like those before it."),
            false => format!("It is new: about {n} are more like it than like anything labelled."),
        });
    }
    if reasons.is_empty() && project.next.is_ordered {
        reasons.push("It differs a little from everything labelled so far.".to_owned());
    }
    reasons
}

impl OpenProject {
    /// Images without a class that can be asked: those that have features.
    fn unlabelled(&self) -> impl Iterator<Item = (ImageId, u32)> + '_ {
        let open = self.data.present().filter(|(_, image)| image.class.is_none() && image.skipped.is_none());
        open.filter_map(|(id, _)| Some((id, self.live.row(id)?)))
    }

    /// Labels that heads learn from, and whether there are given validation images.
    fn learned(&self) -> (Vec<FitImage>, bool) {
        let mut idx_of_class = vec![None; self.data.classes.len()];
        for (idx, (id, _)) in self.data.sorted_classes().into_iter().enumerate() {
            idx_of_class[id.as_usize()] = u32::try_from(idx).ok();
        }
        let (mut learned, mut val_is_given) = (Vec::new(), false);
        for (id, image) in self.data.present().filter(|(_, image)| image.skipped.is_none()) {
            let class = image.class.and_then(|class| idx_of_class.get(class.as_usize()).copied().flatten());
            let (Some(class), Some(row)) = (class, self.live.row(id)) else { continue };
            match image.split {
                Some(Split::Val) if !image.is_guessed => val_is_given = true,
                Some(Split::Test) => {}
                split => learned.push(FitImage { id, row, class, split, is_guessed: image.is_guessed }),
            }
        }
        (learned, val_is_given)
    }

    /// Accuracy on validation images that were given.
    fn validated(&self, n_labels: usize) -> Option<AccuracyAt> {
        let fit = self.live.fit.as_ref().filter(|fit| fit.output.val_is_given)?;
        let accuracy = fit.head()?.judged.val.as_ref()?.accuracy;
        let interval = accuracy.interval;
        Some(AccuracyAt { n_labels, accuracy: accuracy.value, low: interval.low, high: interval.high })
    }
}

impl AppState {
    /// Whether keys label the image that is asked.
    pub fn keys_label_next(&self) -> bool {
        self.place == Place::Images
            && self.images_view == ImagesView::Next
            && self.project.as_ref().is_some_and(|p| p.gallery.large.is_none())
    }

    pub(super) fn next_command(&mut self, command: NextCommand, effects: &mut Vec<Effect>) {
        let Some(project) = &mut self.project else { return };
        match command {
            NextCommand::Label(class) => self.answer(class, effects),
            NextCommand::Digit(digit) => match project.data.sorted_classes().get(usize::from(digit.max(1)) - 1) {
                Some((class, _)) => {
                    let class = *class;
                    self.answer(class, effects);
                }
                None => self.notices.info(format!("There is no class number {digit}.")),
            },
            NextCommand::Name(name) => self.answer_by_name(&name, effects),
            NextCommand::Later => {
                if let Some(asked) = project.next.queue.pop_front() {
                    project.next.put_off.push(asked.id);
                    project.next.done.push(Done::PutOff(asked.id));
                }
            }
            NextCommand::Back => self.go_back(effects),
            NextCommand::Pick(id) => {
                if project.next.queue.iter().any(|asked| asked.id == id) {
                    project.next.ask_first(id);
                }
            }
            NextCommand::ShowGuess(on) => project.next.shows_guess = on,
            NextCommand::Again => (project.next.error, project.next.asked) = (None, None),
        }
    }

    fn answer(&mut self, class: ClassId, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let Some(id) = project.next.current().map(|asked| asked.id) else { return };
        self.label(&Target::Images(vec![id]), Some(class), effects);
        self.answered(id);
    }

    /// Notes that an image was given a label, if it was.
    fn answered(&mut self, id: ImageId) {
        let Some(project) = &mut self.project else { return };
        if project.data.image(id).is_some_and(|image| image.class.is_some()) {
            project.next.queue.retain(|asked| asked.id != id);
            project.next.done.push(Done::Labelled(id));
            project.next.n_labelled += 1;
        }
    }

    fn answer_by_name(&mut self, name: &str, effects: &mut Vec<Effect>) {
        let name = name.trim();
        let Some(project) = &self.project else { return };
        if name.is_empty() {
            return;
        }
        if let Some(class) = project.data.class_by_name(name) {
            return self.answer(class, effects);
        }
        let Some(id) = project.next.current().map(|asked| asked.id) else {
            self.add_class(name, effects);
            return;
        };
        // One edit, so that one undo takes back both.
        let (class, change) = project.data.add_class_change(name);
        let mut changes = vec![change];
        changes.extend(project.data.label_changes([id], Some(class)));
        let title = format!("label {} “{name}”", n_images(1));
        // Keys follow the names: a hand that knows them is warned.
        let classes = project.data.sorted_classes();
        let position = classes.iter().filter(|(_, other)| other.name.as_str() < name).count();
        let moves = position < classes.len().min(N_KEYS);
        self.commit(Edit { title, changes }, effects);
        let is_there = self.project.as_ref().is_some_and(|p| p.data.class_by_name(name).is_some());
        if moves && is_there {
            self.notices
                .info(format!("“{name}” has the key {}: those of the classes after it are one on.", position + 1));
        }
        self.answered(id);
    }

    fn go_back(&mut self, effects: &mut Vec<Effect>) {
        let Some(project) = &mut self.project else { return };
        // Images that have left the project, or lost their label elsewhere, are nothing to go back to.
        let is_there = |id: ImageId| {
            project.data.image(id).is_some_and(|i| i.is_present && i.skipped.is_none() && i.class.is_some())
        };
        while matches!(project.next.done.last(), Some(Done::Labelled(id)) if !is_there(*id)) {
            project.next.done.pop();
        }
        match project.next.done.pop() {
            Some(Done::PutOff(id)) => {
                project.next.put_off.retain(|other| *other != id);
                project.next.ask_first(id);
            }
            Some(Done::Labelled(id)) => {
                // It stays on the list until it has lost its label, which brings it back.
                project.next.done.push(Done::Labelled(id));
                let is_of_it = |change: &Change| match change {
                    Change::Label(moved) => moved.images.iter().eq([id]),
                    Change::Guess(_) | Change::Class { .. } => true,
                    _ => false,
                };
                let labels_it =
                    |change: &Change| matches!(change, Change::Label(moved) if moved.images.iter().eq([id]));
                let is_its = project
                    .history
                    .undoable()
                    .is_some_and(|edit| edit.changes.iter().all(is_of_it) && edit.changes.iter().any(labels_it));
                match is_its {
                    true => self.take_back(effects),
                    false => self.label(&Target::Images(vec![id]), None, effects),
                }
            }
            None => {}
        }
    }

    /// Orders images that have no label, where they are looked at and the order is not that of the labels as they are.
    pub(super) fn next_if_due(&mut self, effects: &mut Vec<Effect>) {
        let is_shown = self.place == Place::Images && self.images_view == ImagesView::Next;
        let is_fitting = self.is_busy_with(|p| matches!(p, Purpose::Fit { .. }));
        let is_embedding = self.is_busy_with(|p| matches!(p, Purpose::Embed { .. }));
        let Some(project) = &mut self.project else { return };
        project.next.refresh(&project.data);
        if !is_shown || is_fitting || project.live.n_embedded == 0 {
            return;
        }
        // Of other labels than these a head says nothing: the fit of these is on its way, or there cannot be one.
        let fit = project.live.fit.as_ref().filter(|fit| fit.output.revision == project.revision);
        let fitted = fit.and_then(|fit| doubting(fit, project.data.settings.head));
        let head = fitted.zip(fit).map(|(head, fit)| (head.kind(), fit.output.is_chosen_anew));
        let n_embedded = project.live.n_embedded;
        let basis = Basis { epoch: project.live.epoch, revision: project.revision, n_embedded, head };
        if let Some(asked) = &project.next.asked {
            let is_same = Basis { n_embedded, ..asked.clone() } == basis;
            let has_grown = match is_embedding {
                true => n_embedded as f64 >= GROWTH * asked.n_embedded as f64,
                false => n_embedded != asked.n_embedded,
            };
            if is_same && !has_grown {
                return;
            }
        }
        let shown: Vec<(ImageId, u32)> =
            project.next.shown().filter_map(|asked| Some((asked.id, project.live.row(asked.id)?))).collect();
        let kept: BTreeSet<ImageId> =
            shown.iter().map(|(id, _)| *id).chain(project.next.put_off.iter().copied()).collect();
        let images = project.unlabelled().filter(|(id, _)| !kept.contains(id)).collect();
        let (labelled, val_is_given) = project.learned();
        let head = fitted.zip(fit).map(|(head, fit)| {
            let judged = std::sync::Arc::clone(&head.judged);
            HeadOf { judged, class_ids: fit.output.class_ids.clone() }
        });
        let c = fit.and_then(|fit| {
            let linear = fit.output.heads.iter().find(|head| head.kind() == HeadKind::Linear)?;
            linear.judged.trained.record.c
        });
        let request = NextRequest {
            revision: project.revision,
            epoch: project.live.epoch,
            images,
            shown,
            labelled,
            n_classes: project.data.sorted_classes().len(),
            head,
            c,
            estimates: !val_is_given,
            n: N_ASKED,
            seed: project.data.settings.seed,
        };
        let (epoch, revision) = (basis.epoch, basis.revision);
        project.next.asked = Some(basis);
        self.job(JobRequest::Next(Box::new(request)), Purpose::Next { epoch, revision }, effects);
    }

    pub(super) fn on_next(&mut self, output: NextOutput) {
        let Some(project) = self.project.as_mut().filter(|p| p.live.epoch == output.epoch) else { return };
        // An order of before the last label is better than none: the next is on its way.
        let (n_labels, estimate) = (output.n_labelled, output.estimate);
        let is_latest = output.revision == project.revision;
        project.next.set_order(output);
        project.next.refresh(&project.data);
        let estimated = estimate.map(|e| {
            let interval = e.interval;
            AccuracyAt { n_labels, accuracy: e.value, low: interval.low, high: interval.high }
        });
        if let Some(at) = estimated.or_else(|| project.validated(n_labels)).filter(|_| is_latest) {
            project.next.note(at);
        } else if is_latest {
            // With so few labels nothing is known any more.
            project.next.curve.retain(|point| point.n_labels < n_labels);
        }
    }

    pub(super) fn next_failed(&mut self, epoch: u64, why: String) {
        if let Some(project) = self.project.as_mut().filter(|p| p.live.epoch == epoch) {
            project.next.error = Some(why);
        }
    }

    /// It was ended: what is due is asked for again, unless it was the user who ended it.
    pub(super) fn next_cancelled(&mut self, epoch: u64, revision: u64) {
        if self.was_ended(LaneKind::Next) {
            return self.next_failed(epoch, "Ordering them was cancelled.".to_owned());
        }
        let Some(project) = self.project.as_mut().filter(|p| p.live.epoch == epoch) else { return };
        if project.next.asked.as_ref().is_some_and(|asked| asked.revision == revision) {
            project.next.asked = None;
        }
    }
}
