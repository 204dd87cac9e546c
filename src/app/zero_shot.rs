//! Labels that were typed, what they say of the images, and the way from them to classes.

use std::sync::Arc;

use super::command::Effect;
use super::live::model_choice;
use super::notices::{Remedy, Tone};
use super::project::OpenProject;
use super::state::{AppState, Place, Purpose, RuntimeState};
use super::words::n_images;
use super::{Action, live};
use crate::export::bundle::Contents;
use crate::head::TrainedHead;
use crate::jobs::{
    CurveRequest, ExportRequest, FitRequest, FitTexts, HeadExport, JobRequest, LaneKind, ModelChoice, TextAnswers,
    TextRequest, ZeroShotRequest,
};
use crate::metrics::Report;
use crate::project::{ClassId, Edit, ImageId, Project, ZeroShotSettings};
use crate::text::encoder::TextOverrides;
use crate::text::labels::{self, Label, LabelError};
use crate::text::prompts::Templates;
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
    /// How many of them the bridge would give the class: the surest that have no class yet.
    pub taken: Vec<ImageId>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    epoch: u64,
    labels: Vec<Label>,
    templates: Templates,
    overrides: TextOverrides,
    n_rows: usize,
    revision: u64,
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
    /// Figures, where classes of images are known.
    pub report: Option<Box<Report>>,
    /// What each description is worth, where that is known.
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
    asked: Option<Asked>,
    last_number: u64,
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
            asked: None,
            last_number: 0,
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
        match (&self.answers, &self.labels) {
            (Some(answers), Ok(labels)) => {
                let typed = labels.iter().chain(answers.texts.labels.iter().skip(labels.len()));
                answers.number == self.last_number && answers.texts.labels.iter().eq(typed)
            }
            _ => false,
        }
    }

    pub(super) fn set_text(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.labels = labels::parse(text);
        if self.labels == Err(LabelError::None) {
            self.forget();
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

fn overrides(settings: &ZeroShotSettings) -> TextOverrides {
    TextOverrides { graph: settings.text_graph.clone(), logit_scale: settings.logit_scale, ..TextOverrides::default() }
}

impl OpenProject {
    /// The class that a label is called by, if there is one.
    pub fn class_of_label(&self, label: &Label) -> Option<ClassId> {
        let exact = self.data.class_by_name(&label.name);
        exact.or_else(|| {
            let all = self.data.sorted_classes();
            all.into_iter().find(|(_, class)| label.is_folder(&class.name)).map(|(id, _)| id)
        })
    }

    /// Labels of all classes that have images, for a learning curve and text heads; `None` where one has none.
    fn labels_of_classes(&self) -> Option<Vec<(ClassId, Label)>> {
        let labels = self.zero_shot.labels.as_ref().ok()?;
        let used = self.data.sorted_classes().into_iter().filter(|(id, _)| self.counts.of(*id) > 0);
        used.map(|(id, class)| Some((id, labels.iter().find(|l| l.is_folder(&class.name))?.clone()))).collect()
    }

    /// Texts that a text head starts from, and what tells them from others.
    pub(super) fn fit_texts(&self) -> Option<(FitTexts, String)> {
        let answers = self.zero_shot.answers.as_ref().filter(|a| a.epoch == self.live.epoch)?;
        let classes = self.data.sorted_classes();
        let label_of = |name: &str| answers.texts.labels.iter().position(|label| label.is_folder(name));
        let label_of_class: Vec<Option<usize>> = classes.iter().map(|(_, class)| label_of(&class.name)).collect();
        let used = || classes.iter().zip(&label_of_class).filter(|((id, _), _)| self.counts.of(*id) > 0);
        if used().count() == 0 || used().any(|(_, label)| label.is_none()) {
            return None;
        }
        let texts = &answers.texts;
        let of_labels = used().filter_map(|(_, label)| Some(&texts.labels.get((*label)?)?.descriptions));
        let key = format!("{:?} {:?} {}", texts.templates, of_labels.collect::<Vec<_>>(), texts.logits.scale);
        Some((FitTexts { texts: Arc::clone(texts), label_of_class }, key))
    }

    /// Groups the images by their labels, or sorts them by one. Cheap when nothing has changed.
    pub(super) fn refresh_zero_shot(&mut self) {
        if !self.zero_shot.is_stale {
            return;
        }
        self.zero_shot.is_stale = false;
        let Some(answers) = self.zero_shot.answers.clone() else { return };
        let n_labels = answers.texts.labels.len();
        self.zero_shot.sort_by = self.zero_shot.sort_by.filter(|label| *label < n_labels);
        let usable = || self.data.present().filter(|(_, image)| image.skipped.is_none());
        let mut groups = vec![LabelGroup::default(); n_labels];
        for (id, _) in usable() {
            let Some(answer) = self.live.row(id).and_then(|row| answers.predictions.get(row as usize)) else {
                continue;
            };
            if let Some(group) = groups.get_mut(answer.class as usize) {
                group.images.push((id, answer.confidence));
            }
        }
        for (group, label) in groups.iter_mut().zip(&answers.texts.labels) {
            group.images.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            if label.is_contrast {
                continue;
            }
            let n = (group.images.len() as f32 * self.zero_shot.share).ceil() as usize;
            let surest = group.images.iter().take(n).map(|(id, _)| *id);
            let is_open = |id: &ImageId| self.data.image(*id).is_some_and(|image| image.class.is_none());
            group.taken = surest.filter(is_open).collect();
        }
        let mut sorted = Vec::new();
        if let Some(column) = self.zero_shot.sort_by.and_then(|label| answers.columns.get(label)) {
            let cosine = |id: ImageId| column.get(self.live.row(id)? as usize).copied();
            sorted.extend(usable().filter_map(|(id, _)| Some((id, cosine(id)?))));
            sorted.sort_by(|a: &(ImageId, f32), b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        }
        self.zero_shot.groups = groups;
        self.zero_shot.sorted = sorted;
    }

    /// Rows whose label is known, because a class is called by it.
    fn truth(&self, labels: &[Label]) -> Vec<(u32, u32)> {
        let mut label_of_class = vec![None; self.data.classes.len()];
        for (id, class) in self.data.sorted_classes() {
            label_of_class[id.as_usize()] = labels.iter().position(|label| label.is_folder(&class.name));
        }
        let known = self.data.present().filter(|(_, image)| image.skipped.is_none());
        known
            .filter_map(|(id, image)| {
                let label = (*label_of_class.get(image.class?.as_usize())?)?;
                Some((self.live.row(id)?, u32::try_from(label).ok()?))
            })
            .collect()
    }

    /// The request that is due, if one is.
    fn due_zero_shot(&mut self, is_embedding: bool) -> Option<ZeroShotRequest> {
        let labels = with_contrast(self.zero_shot.labels.as_ref().ok()?, &self.data.settings.zero_shot);
        let n_rows = self.live.n_embedded;
        if n_rows == 0 {
            return None;
        }
        let settings = &self.data.settings.zero_shot;
        let asked = Asked {
            epoch: self.live.epoch,
            labels,
            templates: templates(settings),
            overrides: overrides(settings),
            n_rows,
            revision: self.revision,
        };
        if let Some(before) = &self.zero_shot.asked {
            let is_same = Asked { n_rows: before.n_rows, ..asked.clone() } == *before;
            let has_grown = match is_embedding {
                true => n_rows as f64 >= GROWTH * before.n_rows as f64,
                false => n_rows != before.n_rows,
            };
            if is_same && !has_grown {
                return None;
            }
        }
        self.zero_shot.last_number += 1;
        let request = ZeroShotRequest {
            epoch: asked.epoch,
            number: self.zero_shot.last_number,
            model: model_choice(&self.data),
            overrides: asked.overrides.clone(),
            labels: asked.labels.clone(),
            templates: asked.templates.clone(),
            truth: self.truth(&asked.labels),
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
        // A curve takes a while and would be ended by new answers: those wait, unless labels change.
        let draws = self.is_busy_with(|p| matches!(p, Purpose::Curve { .. }));
        let Some(project) = self.project.as_mut().filter(|_| is_ready) else { return };
        if draws && project.zero_shot.is_current() {
            return;
        }
        if let Some(request) = project.due_zero_shot(is_embedding) {
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
        let Some(project) = self.project.as_ref().filter(|p| p.is_writable()) else { return };
        let text = project.zero_shot.text.clone();
        if text != project.data.settings.zero_shot.labels {
            self.change_settings("edit the labels", |s| s.zero_shot.labels = text, effects);
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
            project.zero_shot.is_stale = true;
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
            if label.is_contrast {
                continue;
            }
            let class = project.class_of_label(label).unwrap_or_else(|| {
                let (id, change) = after.add_class_change(&label.name);
                after.apply(&Edit { title: String::new(), changes: vec![change.clone()] });
                changes.push(change);
                id
            });
            n_labelled += group.taken.len();
            changes.extend(project.data.label_changes(group.taken.iter().copied(), Some(class)));
        }
        let title = format!("use labels as classes of {}", n_images(n_labelled));
        self.commit(Edit { title, changes }, effects);
        if let Some(project) = &mut self.project {
            project.zero_shot.is_stale = true;
        }
        let text = format!("{} got the classes of the labels.", n_images(n_labelled));
        self.notices.push(Tone::Success, text, None, Some(Remedy::Act(Action::Undo)));
    }

    /// Has a learning curve drawn.
    pub(super) fn draw_curve(&mut self, effects: &mut Vec<Effect>) {
        self.keep_labels(effects);
        let Some(project) = &mut self.project else { return };
        let Some(labels) = project.labels_of_classes() else { return };
        let Some(images) = project.live.labelled(&project.data) else { return };
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
        let mut n_val = vec![0; n_labels];
        if val.is_some() {
            project.truth(&answers.texts.labels).iter().for_each(|(_, label)| n_val[*label as usize] += 1);
        }
        let usable: Vec<ImageId> = project
            .data
            .present()
            .filter(|(id, image)| image.skipped.is_none() && project.live.row(*id).is_some())
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
            dir: project.export_dir(),
            contents,
            epoch,
            model: model_choice(&project.data),
            head: Arc::new(JudgedHead { trained, val, test: None }),
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
        if number == project.zero_shot.last_number {
            project.zero_shot.report = report;
            project.zero_shot.effects = effects;
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
    match &project.zero_shot.answers {
        None => Err("Type labels first: one class a line"),
        Some(_) if project.zero_shot.labels.is_err() => Err("Something is wrong with the labels"),
        Some(_) => Ok(()),
    }
}

/// Why no learning curve can be drawn, if none can.
///
/// # Errors
/// The reason, for a tooltip.
pub(super) fn can_draw_curve(state: &AppState, project: &OpenProject) -> Result<(), &'static str> {
    has_answers(project)?;
    let n_used = project.data.sorted_classes().iter().filter(|(id, _)| project.counts.of(*id) > 1).count();
    if n_used < 2 {
        return Err("It needs two classes with two images or more each");
    }
    if project.labels_of_classes().is_none() {
        return Err("Each class needs a label of its name");
    }
    if state.draws_curve() {
        return Err("It is being drawn");
    }
    Ok(())
}

/// Whether the lane of texts is at something that the user waits for.
pub fn is_reading(state: &AppState) -> bool {
    state.activity(LaneKind::Text).is_some()
}

/// The model of a project, for whoever asks about it.
pub fn model_of(project: &OpenProject) -> ModelChoice {
    model_choice(&project.data)
}
