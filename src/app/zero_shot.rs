//! Labels that were typed, what they say of the images, and the way from them to classes.

use std::sync::Arc;

use super::command::Effect;
use super::live;
use super::live::model_choice;
use super::notices::{Remedy, Tone};
use super::project::OpenProject;
use super::state::{AppState, Place, Purpose, RuntimeState};
use super::words::n_images;
use crate::export::bundle::Contents;
use crate::head::{TrainedHead, UnknownRule};
use crate::jobs::{
    CurveRequest, ExportRequest, FitRequest, FitTexts, HeadExport, JobRequest, TextAnswers, TextRequest,
    ZeroShotRequest,
};
use crate::metrics::Report;
use crate::project::{ClassId, Edit, ImageId, Project, ZeroShotSettings};
use crate::text::encoder::TextOverrides;
use crate::text::labels::{self, Label, LabelError, LabelIndex};
use crate::text::prompts::Templates;
use crate::workflow::certainty::Certainty;
use crate::workflow::few_shot::{CurvePoint, labels_of_names};
use crate::workflow::train::JudgedHead;
use crate::workflow::zero_shot::DescriptionEffect;

/// Images that an export is compared on, at most.
const MAX_PROOF: usize = 256;
/// Share of each label's images that the bridge takes at first.
const DEFAULT_SHARE: f32 = 0.2;
/// Images are scored again while others are being embedded when there are so many times as many as before.
const GROWTH: f64 = 1.5;

/// Images of one label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelGroup {
    /// Its images, the surest first, with their probabilities.
    pub images: Vec<(ImageId, f32)>,
    /// How many of them are among the surest.
    pub n_surest: usize,
    /// Those of the surest that have no class yet: the bridge gives them the label's.
    pub taken: Vec<ImageId>,
    /// The classes that the label means, in the order of their names: several where folders of its own are given.
    pub classes: Vec<ClassId>,
    /// The one that the bridge gives, where it is clear which.
    pub class: Option<ClassId>,
}

impl LabelGroup {
    /// Whether the label means several classes, of which none is called like it: which one an image gets would be chance.
    pub fn is_ambiguous(&self) -> bool {
        self.class.is_none() && self.classes.len() > 1
    }
}

/// What the edit of typed labels is called.
pub(super) const EDIT_LABELS: &str = "edit the labels";

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    epoch: u64,
    text: String,
    /// How it is read: settings without what is typed.
    settings: ZeroShotSettings,
    n_rows: usize,
    revision: u64,
    truth: Vec<(u32, u32)>,
}

/// A learning curve and what it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct LearningCurve {
    /// Its points.
    pub points: Vec<CurvePoint>,
    /// The project's revision.
    pub revision: u64,
}

/// Labels and what they say.
#[derive(Clone, Debug)]
pub struct ZeroShot {
    /// What is typed, one class a line.
    pub text: String,
    /// What it means, or what is wrong with it.
    pub labels: Result<Vec<Label>, LabelError>,
    /// What it says of the images, by the last labels that were right.
    pub answers: Option<Arc<TextAnswers>>,
    /// Figures, where classes of images are known; of the answers before while [`ZeroShot::is_judging`].
    pub report: Option<Box<Report>>,
    /// What each description is worth, where that is known; as the figures.
    pub effects: Vec<DescriptionEffect>,
    /// Why labels cannot be read.
    pub error: Option<String>,
    /// The label by which all images are sorted; without one they stand in groups.
    pub sort_by: Option<usize>,
    /// Share of each label's images that the bridge takes, 0..1.
    pub share: f32,
    /// One a label, in their order.
    pub groups: Vec<LabelGroup>,
    /// All images by the label that they are sorted by, with their cosines.
    pub sorted: Vec<(ImageId, f32)>,
    /// Accuracy by number of examples.
    pub curve: Option<LearningCurve>,
    /// Why there is none.
    pub curve_error: Option<String>,
    pub(super) is_stale: bool,
    /// Only what the bridge takes is to be found again.
    is_share_stale: bool,
    asked: Option<Asked>,
    last_number: u64,
    /// The answers that the figures are of.
    judged: u64,
}

impl Default for ZeroShot {
    fn default() -> Self {
        Self {
            text: String::new(),
            labels: Err(LabelError::None),
            answers: None,
            report: None,
            effects: Vec::new(),
            error: None,
            sort_by: None,
            share: DEFAULT_SHARE,
            groups: Vec::new(),
            sorted: Vec::new(),
            curve: None,
            curve_error: None,
            is_stale: false,
            is_share_stale: false,
            asked: None,
            last_number: 0,
            judged: 0,
        }
    }
}

impl ZeroShot {
    /// With the labels that a project has.
    pub(super) fn of(settings: &ZeroShotSettings) -> Self {
        let mut zero_shot = Self::default();
        zero_shot.set_text(&settings.labels);
        zero_shot
    }

    /// Whether answers are those of what is typed, rather than of what was typed before.
    pub fn is_current(&self) -> bool {
        let asked = self.asked.as_ref();
        self.answers.as_ref().is_some_and(|answers| answers.number == self.last_number)
            && asked.is_some_and(|asked| asked.text == self.text)
            && self.labels.is_ok()
    }

    /// Whether figures of the answers are still being made; those of the answers before are there.
    pub fn is_judging(&self) -> bool {
        self.answers.as_ref().is_some_and(|answers| answers.number != self.judged)
    }

    /// Whether one label alone is compared with all images, which is a search and no classifier.
    pub fn is_search(&self) -> bool {
        self.answers.as_ref().is_some_and(|answers| answers.texts.labels.len() == 1)
    }

    pub(super) fn failed(&mut self, number: u64, why: String) {
        if self.answers.as_ref().is_some_and(|answers| answers.number == number) {
            // The answers are there: only figures are not.
            tracing::debug!(why, "labels are not judged");
            (self.report, self.effects, self.judged) = (None, Vec::new(), number);
        } else if number == self.last_number {
            self.error = Some(why);
        }
        // What fails of an older request says nothing of what is typed now.
    }

    pub(super) fn read_again(&mut self) {
        (self.asked, self.error) = (None, None);
    }

    pub(super) fn set_text(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.labels = labels::parse(text);
        if self.labels == Err(LabelError::None) {
            // What is still being read is for nothing; a curve took long and is kept.
            self.last_number += 1;
            let (curve, curve_error) = (self.curve.take(), self.curve_error.take());
            self.forget();
            (self.curve, self.curve_error) = (curve, curve_error);
        }
    }

    /// Another model: what the old one said is void.
    pub(super) fn forget(&mut self) {
        let (text, share) = (std::mem::take(&mut self.text), self.share);
        let labels = std::mem::replace(&mut self.labels, Err(LabelError::None));
        *self = Self { text, labels, share, last_number: self.last_number, ..Self::default() };
    }

    /// What is said of an image: label and probability.
    pub fn prediction(&self, live: &live::Live, id: ImageId) -> Option<(usize, f32)> {
        let answer = self.answers.as_ref()?.predictions.get(live.row(id)? as usize)?;
        Some((answer.class as usize, answer.confidence))
    }
}

/// The labels of a project's settings, with the contrast class where it is wanted.
fn with_contrast(labels: &[Label], settings: &ZeroShotSettings) -> Vec<Label> {
    let mut labels = labels.to_vec();
    if settings.none_of_these && !labels.iter().any(|label| label.is_contrast) {
        labels.push(Label::none_of_these());
    }
    labels
}

/// Templates of a project's settings.
pub fn templates(settings: &ZeroShotSettings) -> Templates {
    settings.templates.clone().map_or(Templates::Auto, Templates::Own)
}

pub(super) fn overrides(settings: &ZeroShotSettings) -> TextOverrides {
    TextOverrides { graph: settings.text_graph.clone(), logit_scale: settings.logit_scale, ..TextOverrides::default() }
}

impl OpenProject {
    /// Whether labels are typed that are not yet part of the project.
    pub fn has_unkept_labels(&self) -> bool {
        self.is_writable() && self.zero_shot.text != self.data.settings.zero_shot.labels
    }

    /// Labels of all classes that have images, for a learning curve; `None` where one has none.
    pub(super) fn labels_of_classes(&self) -> Option<Vec<(ClassId, Label)>> {
        let texts = &self.zero_shot.answers.as_ref()?.texts;
        let used = self.data.sorted_classes().into_iter().filter(|(id, _)| self.counts.of(*id) > 0);
        used.map(|(id, class)| Some((id, texts.labels.get(texts.index.find(&class.name)?)?.clone()))).collect()
    }

    /// Texts that a text head starts from, and what tells them from others. Only labels that are meant, not those that are
    /// being typed.
    pub(super) fn fit_texts(&self) -> Option<(FitTexts, String)> {
        let zero_shot = &self.zero_shot;
        let is_meant = zero_shot.text == self.data.settings.zero_shot.labels && zero_shot.is_current();
        let answers = zero_shot.answers.as_ref().filter(|a| is_meant && a.epoch == self.live.epoch);
        // What the last fit started from stays so while one types.
        let texts = &match answers {
            Some(answers) => Arc::clone(&answers.texts),
            // What cannot be read is no text to start from.
            None if zero_shot.labels.is_err() || zero_shot.error.is_some() => return None,
            None => self.live.asked_texts()?.0.texts,
        };
        let classes = self.data.sorted_classes();
        let label_of_class: Vec<Option<usize>> =
            classes.iter().map(|(_, class)| texts.index.find(&class.name)).collect();
        let used = || classes.iter().zip(&label_of_class).filter(|((id, _), _)| self.counts.of(*id) > 0);
        if used().count() == 0 || used().any(|(_, label)| label.is_none()) {
            return None;
        }
        let of_labels = used().filter_map(|(_, label)| Some(&texts.labels.get((*label)?)?.descriptions));
        let graph = &self.data.settings.zero_shot.text_graph;
        let key = format!("{:?} {:?} {} {graph:?}", texts.templates, of_labels.collect::<Vec<_>>(), texts.logits.scale);
        Some((FitTexts { texts: Arc::clone(texts), label_of_class }, key))
    }

    /// Groups the images by their labels, or sorts them by one. Cheap when nothing has changed.
    pub(super) fn refresh_zero_shot(&mut self) {
        if self.zero_shot.is_stale {
            self.zero_shot.is_stale = false;
            self.zero_shot.is_share_stale = true;
            self.group();
        }
        if self.zero_shot.is_share_stale {
            self.zero_shot.is_share_stale = false;
            self.take_surest();
        }
    }

    fn group(&mut self) {
        let Some(answers) = self.zero_shot.answers.clone() else { return };
        let labels = &answers.texts.labels;
        self.zero_shot.sort_by = self.zero_shot.sort_by.filter(|label| *label < labels.len());
        let usable = || self.data.present().filter(|(_, image)| image.skipped.is_none());
        let mut groups = vec![LabelGroup::default(); labels.len()];
        let mut sureness: Vec<f32> = vec![0.0; self.data.images.len()];
        for (id, _) in usable() {
            let Some(row) = self.live.row(id) else { continue };
            let Some(answer) = answers.predictions.get(row as usize) else { continue };
            sureness[id.as_usize()] = answers.sureness.get(row as usize).copied().unwrap_or(0.0);
            if let Some(group) = groups.get_mut(answer.class as usize) {
                group.images.push((id, answer.confidence));
            }
        }
        for (id, class) in self.data.sorted_classes() {
            if let Some(label) = answers.texts.index.find(&class.name)
                && let Some(group) = groups.get_mut(label)
            {
                group.classes.push(id);
                if labels[label].name == class.name {
                    group.class = Some(id);
                }
            }
        }
        for group in &mut groups {
            if let (None, [only]) = (group.class, group.classes.as_slice()) {
                group.class = Some(*only);
            }
        }
        for group in &mut groups {
            // Where probabilities have rounded to the same, the lead over the second label tells.
            let lead = |id: ImageId| sureness[id.as_usize()];
            group
                .images
                .sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| lead(b.0).total_cmp(&lead(a.0))).then(a.0.cmp(&b.0)));
        }
        let mut sorted = Vec::new();
        // One label alone is a search: its images are shown by how well they fit.
        let by = self.zero_shot.sort_by.or_else(|| (labels.len() == 1).then_some(0));
        if let Some(column) = by.and_then(|label| answers.columns.get(label)) {
            let cosine = |id: ImageId| column.get(self.live.row(id)? as usize).copied();
            sorted.extend(usable().filter_map(|(id, _)| Some((id, cosine(id)?))));
            sorted.sort_by(|a: &(ImageId, f32), b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        }
        self.zero_shot.groups = groups;
        self.zero_shot.sorted = sorted;
    }

    /// What the bridge takes of each group.
    fn take_surest(&mut self) {
        let Some(answers) = &self.zero_shot.answers else { return };
        let is_contrast: Vec<bool> = answers.texts.labels.iter().map(|label| label.is_contrast).collect();
        let (share, is_search) = (self.zero_shot.share, self.zero_shot.is_search());
        for (group, is_contrast) in self.zero_shot.groups.iter_mut().zip(is_contrast) {
            let n = (group.images.len() as f32 * share).ceil() as usize;
            group.n_surest = if is_contrast || is_search || group.is_ambiguous() { 0 } else { n };
            let surest = group.images.iter().take(group.n_surest).map(|(id, _)| *id);
            let is_open = |id: &ImageId| self.data.image(*id).is_some_and(|image| image.class.is_none());
            group.taken = surest.filter(is_open).collect();
        }
    }

    /// Rows whose label is known, because a class is called by it. What is only a guess of the labels is not known.
    fn truth(&self, index: &LabelIndex) -> Vec<(u32, u32)> {
        let mut label_of_class = vec![None; self.data.classes.len()];
        for (id, class) in self.data.sorted_classes() {
            label_of_class[id.as_usize()] = index.find(&class.name);
        }
        let known = self.data.present().filter(|(_, image)| image.skipped.is_none() && !image.is_guessed);
        known
            .filter_map(|(id, image)| {
                let label = (*label_of_class.get(image.class?.as_usize())?)?;
                Some((self.live.row(id)?, u32::try_from(label).ok()?))
            })
            .collect()
    }

    /// The request that is due, if one is: labels or what they are read with have changed; or, while they are looked at
    /// (`is_shown`), there are more images, or other classes are known.
    fn due_zero_shot(&mut self, is_embedding: bool, is_shown: bool) -> Option<ZeroShotRequest> {
        let n_rows = self.live.n_embedded;
        if n_rows == 0 || self.zero_shot.labels.is_err() {
            return None;
        }
        let settings = &self.data.settings.zero_shot;
        let how = |s: &ZeroShotSettings| ZeroShotSettings { labels: String::new(), ..s.clone() };
        let (epoch, now) = (self.live.epoch, how(settings));
        let same = self
            .zero_shot
            .asked
            .as_ref()
            .filter(|asked| asked.epoch == epoch && asked.text == self.zero_shot.text && asked.settings == now);
        let mut has_grown = true;
        if let Some(before) = same {
            has_grown = match is_embedding {
                true => n_rows as f64 >= GROWTH * before.n_rows as f64,
                false => n_rows != before.n_rows,
            };
            if !is_shown || (before.revision == self.revision && !has_grown) {
                return None;
            }
        }
        let labels = with_contrast(self.zero_shot.labels.as_ref().ok()?, settings);
        let truth = self.truth(&LabelIndex::new(&labels));
        if !has_grown && let Some(asked) = self.zero_shot.asked.as_mut().filter(|asked| asked.truth == truth) {
            // What has changed is not what labels are judged on.
            asked.revision = self.revision;
            return None;
        }
        self.zero_shot.last_number += 1;
        let asked =
            Asked { epoch, text: self.zero_shot.text.clone(), settings: now, n_rows, revision: self.revision, truth };
        let request = ZeroShotRequest {
            epoch: asked.epoch,
            number: self.zero_shot.last_number,
            model: model_choice(&self.data),
            overrides: overrides(settings),
            labels,
            templates: templates(settings),
            truth: asked.truth.clone(),
        };
        self.zero_shot.asked = Some(asked);
        Some(request)
    }
}

impl AppState {
    /// Has images scored by the labels that are typed, where that is due.
    pub(super) fn zero_shot_if_due(&mut self, effects: &mut Vec<Effect>) {
        let is_embedding = self.is_busy_with(|p| matches!(p, Purpose::Embed { .. }));
        let is_ready = matches!(self.runtime, RuntimeState::Ready { .. });
        let is_shown = self.place == Place::ZeroShot;
        // A curve takes a while and would be ended by new answers: those wait, unless labels change.
        let draws = self.is_busy_with(|p| matches!(p, Purpose::Curve { .. }));
        let Some(project) = self.project.as_mut().filter(|_| is_ready) else { return };
        let waits = draws && project.zero_shot.is_current();
        if !waits && let Some(request) = project.due_zero_shot(is_embedding, is_shown) {
            let purpose = Purpose::ZeroShot { epoch: request.epoch, number: request.number };
            self.job(JobRequest::Text(TextRequest::ZeroShot(Box::new(request))), purpose, effects);
        }
        if let Some(project) = &mut self.project {
            project.refresh_zero_shot();
        }
    }

    /// What is typed has changed. It is kept in the project once it is meant (see [`Self::keep_labels`]).
    pub(super) fn type_labels(&mut self, text: &str) {
        if let Some(project) = &mut self.project {
            project.zero_shot.set_text(text);
            project.zero_shot.error = None;
        }
    }

    /// Makes what is typed part of the project.
    pub(super) fn keep_labels(&mut self, effects: &mut Vec<Effect>) {
        if let Some(project) = self.project.as_ref().filter(|p| p.has_unkept_labels()) {
            let text = project.zero_shot.text.clone();
            self.change_settings(EDIT_LABELS, |s| s.zero_shot.labels = text, effects);
        }
    }

    /// The names of the classes as labels.
    pub(super) fn label_by_class_names(&mut self, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let names = project.data.sorted_classes().into_iter().map(|(_, class)| class.name.clone());
        let classes = crate::classes::ClassSet::from_ordered(names);
        let Ok(labels) = labels_of_names(&classes) else { return };
        let text: String = labels.iter().map(|label| format!("{}\n", label.descriptions[0])).collect();
        self.type_labels(text.trim_end());
        self.keep_labels(effects);
    }

    pub(super) fn set_share(&mut self, share: f32) {
        if let Some(project) = &mut self.project {
            project.zero_shot.share = share.clamp(0.0, 1.0);
            project.zero_shot.is_share_stale = true;
        }
    }

    pub(super) fn sort_by_label(&mut self, label: Option<usize>) {
        if let Some(project) = &mut self.project {
            project.zero_shot.sort_by = label;
            project.zero_shot.is_stale = true;
        }
    }

    /// Gives the images that labels are surest of the classes of those names, as one edit.
    pub(super) fn use_as_classes(&mut self, effects: &mut Vec<Effect>) {
        self.keep_labels(effects);
        let Some(project) = &self.project else { return };
        let Some(answers) = project.zero_shot.answers.clone() else { return };
        let mut changes = Vec::new();
        // Classes are added to a copy, so that each gets an identifier and a colour of its own.
        let mut after: Project = Project {
            classes: project.data.classes.clone(),
            settings: project.data.settings.clone(),
            ..Project::default()
        };
        let mut n_labelled = 0;
        for (label, group) in answers.texts.labels.iter().zip(&project.zero_shot.groups) {
            // What has got a class since it was shown keeps it.
            let is_open =
                |id: &&ImageId| project.data.image(**id).is_some_and(|image| image.is_present && image.class.is_none());
            let taken: Vec<ImageId> = group.taken.iter().filter(is_open).copied().collect();
            if label.is_contrast || taken.is_empty() {
                continue;
            }
            let class = group.class.unwrap_or_else(|| {
                let (id, change) = after.add_class_change(&label.name);
                after.apply(&Edit { title: String::new(), changes: vec![change.clone()] });
                changes.push(change);
                id
            });
            changes.extend(project.data.guessed_label_changes(&taken, class));
            n_labelled += taken.len();
        }
        if n_labelled == 0 {
            return;
        }
        let title = format!("use labels as classes of {}", n_images(n_labelled));
        self.commit(Edit { title, changes }, effects);
        let text = format!("{} got the classes of the labels.", n_images(n_labelled));
        let details = "They are trained on. Confirm some (Y) or correct them: only those are judged on.".to_owned();
        self.notices.push(Tone::Success, text, Some(details), Some(Remedy::TakeBack));
    }

    /// Has a learning curve drawn.
    pub(super) fn draw_curve(&mut self, effects: &mut Vec<Effect>) {
        self.keep_labels(effects);
        let Some(project) = &mut self.project else { return };
        let Some(labels) = project.labels_of_classes() else { return };
        let Some(mut images) = project.live.labelled(&project.data) else { return };
        // Judged on what labels themselves have said, they would look perfect.
        images.images.retain(|image| !image.is_guessed);
        let settings = &project.data.settings;
        let fit = FitRequest {
            revision: project.revision,
            epoch: project.live.epoch,
            classes: images.classes,
            images: images.images,
            val_fraction: settings.val_fraction,
            seed: settings.seed,
            before: None,
            texts: None,
        };
        let request = CurveRequest {
            model: model_choice(&project.data),
            overrides: overrides(&settings.zero_shot),
            templates: templates(&settings.zero_shot),
            labels,
            fit,
        };
        project.zero_shot.curve_error = None;
        let purpose = Purpose::Curve { epoch: project.live.epoch };
        self.job(JobRequest::Text(TextRequest::Curve(Box::new(request))), purpose, effects);
    }

    /// Exports the labels as a classifier.
    pub(super) fn export_zero_shot(&mut self, effects: &mut Vec<Effect>) {
        self.keep_labels(effects);
        let Some(project) = &mut self.project else { return };
        let Some(answers) = project.zero_shot.answers.clone() else { return };
        let trained: TrainedHead = match answers.texts.head(&answers.space) {
            Ok(trained) => trained,
            Err(error) => return self.notices.error("The labels cannot be exported.", Some(error.to_string())),
        };
        let n_labels = answers.texts.labels.len();
        let val = project.zero_shot.report.as_deref().cloned();
        let n_val = val.as_ref().map_or_else(
            || vec![0; n_labels],
            |report| report.per_class.iter().map(|class| class.support as usize).collect(),
        );
        let usable: Vec<ImageId> = project
            .data
            .present()
            .filter(|(id, image)| {
                let is_answered = |row: u32| (row as usize) < answers.predictions.len();
                image.skipped.is_none() && project.live.row(*id).is_some_and(is_answered)
            })
            .map(|(id, _)| id)
            .collect();
        let taken = usable.len().min(MAX_PROOF);
        let (mut shown, mut shown_classes) = (Vec::with_capacity(taken), Vec::with_capacity(taken));
        for i in 0..taken {
            let id = usable[i * usable.len() / taken];
            if let (Some(path), Some(row)) = (project.data.path(id), project.live.row(id)) {
                shown_classes.push(answers.predictions.get(row as usize).map_or(0, |p| p.class));
                shown.push((path, row));
            }
        }
        let (epoch, revision) = (project.live.epoch, project.revision);
        project.export.error = None;
        let contents: Contents = project.export.contents;
        let request = HeadExport {
            dir: project.zero_shot_export_dir(),
            contents,
            epoch,
            model: model_choice(&project.data),
            head: Arc::new(JudgedHead { trained, val, test: None, certainty: Certainty::default() }),
            rule: UnknownRule::Off,
            shown,
            shown_classes,
            n_train_per_class: vec![0; n_labels],
            n_val_per_class: n_val,
            seed: project.data.settings.seed,
        };
        self.place = Place::Export;
        let request = JobRequest::Export(ExportRequest::Head(Box::new(request)));
        self.job(request, Purpose::Export { epoch, revision }, effects);
    }

    pub(super) fn on_text_answers(&mut self, answers: TextAnswers) {
        let Some(project) = self.project.as_mut().filter(|p| p.live.epoch == answers.epoch) else { return };
        // Late answers of an older request say nothing of what is typed now.
        if answers.number != project.zero_shot.last_number || project.zero_shot.labels == Err(LabelError::None) {
            return;
        }
        project.zero_shot.answers = Some(Arc::new(answers));
        project.zero_shot.error = None;
        project.zero_shot.is_stale = true;
    }

    pub(super) fn on_text_judged(
        &mut self,
        (epoch, number): (u64, u64),
        report: Option<Box<Report>>,
        effects: Vec<DescriptionEffect>,
    ) {
        let Some(project) = self.project.as_mut().filter(|p| p.live.epoch == epoch) else { return };
        if project.zero_shot.answers.as_ref().is_some_and(|answers| answers.number == number) {
            project.zero_shot.report = report;
            project.zero_shot.effects = effects;
            project.zero_shot.judged = number;
        }
    }

    /// What follows from other zero-shot settings.
    pub(super) fn after_zero_shot_settings(&mut self, before: &ZeroShotSettings) {
        let Some(project) = &mut self.project else { return };
        let after = project.data.settings.zero_shot.clone();
        if before.labels != after.labels && project.zero_shot.text != after.labels {
            project.zero_shot.set_text(&after.labels);
        }
        if (before.text_graph.as_ref(), before.logit_scale) != (after.text_graph.as_ref(), after.logit_scale) {
            project.zero_shot.forget();
        }
    }

    /// Whether a learning curve is being drawn.
    pub fn draws_curve(&self) -> bool {
        self.is_busy_with(|p| matches!(p, Purpose::Curve { .. }))
    }
}

/// Why labels cannot be used as classes or exported, if they cannot.
///
/// # Errors
/// The reason, for a tooltip.
pub(super) fn has_answers(project: &OpenProject) -> Result<(), &'static str> {
    let zero_shot = &project.zero_shot;
    match &zero_shot.labels {
        Err(LabelError::None) => Err("Type labels first: one class a line"),
        Err(_) => Err("Something is wrong with the labels"),
        Ok(_) if zero_shot.error.is_some() => Err("The labels could not be read"),
        Ok(_) if !zero_shot.is_current() => Err("The labels are still being read"),
        Ok(_) => Ok(()),
    }
}

/// Why labels cannot be exported, if they cannot: figures go with them.
///
/// # Errors
/// The reason, for a tooltip.
pub(super) fn can_export(project: &OpenProject) -> Result<(), &'static str> {
    has_answers(project)?;
    if project.zero_shot.is_judging() { Err("The figures are still being made") } else { Ok(()) }
}

/// Why no learning curve can be drawn, if none can.
///
/// # Errors
/// The reason, for a tooltip.
pub(super) fn can_draw_curve(state: &AppState, project: &OpenProject) -> Result<(), &'static str> {
    has_answers(project)?;
    let n_used = project.data.sorted_classes().iter().filter(|(id, _)| project.counts.known_of(*id) > 1).count();
    if n_used < 2 {
        return Err("It needs two classes with two images or more each, that you have labelled or confirmed");
    }
    if project.labels_of_classes().is_none() {
        return Err("Each class needs a label of its name");
    }
    if state.draws_curve() {
        return Err("It is being drawn");
    }
    Ok(())
}
