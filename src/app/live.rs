//! What is computed from a project and follows its changes: embeddings, heads, answers.

use std::sync::Arc;

use super::threshold::ThresholdCurve;
use crate::backbone::provider::Provider;
use crate::dataset::Split;
use crate::head::{HeadKind, KnownImage, TrainRecord, TrainedHead, UnknownError, UnknownRule, UnknownWish};
use crate::jobs::{
    Duplicate, FitImage, FitOutput, FitRequest, FitTexts, FittedHead, HeadsBefore, ModelChoice, Prediction,
};
use crate::metrics::Report;
use crate::project::{ClassId, ImageId, Project};
use crate::store::project::StoredHead;

use super::state::EmbedPause;

/// No row yet.
const NO_ROW: u32 = u32::MAX;

/// Heads are fitted again while images are still being embedded when there are so many times as many as before: often
/// enough to watch it learn, seldom enough not to take the cores from embedding.
const REFIT_GROWTH: f64 = 1.6;

/// Figures of a head, fresh or from the project file.
#[derive(Clone, Copy, Debug)]
pub struct HeadFigures<'a> {
    /// Its kind.
    pub kind: HeadKind,
    /// How it was fitted.
    pub record: &'a TrainRecord,
    /// On the validation images.
    pub val: Option<&'a Report>,
    /// On the test images.
    pub test: Option<&'a Report>,
}

impl<'a> HeadFigures<'a> {
    fn of(head: &'a FittedHead) -> Self {
        Self {
            kind: head.kind(),
            record: &head.judged.trained.record,
            val: head.judged.val.as_ref(),
            test: head.judged.test.as_ref(),
        }
    }
}

/// Heads and what they say.
#[derive(Clone, Debug)]
pub struct Fit {
    /// What the fit gave.
    pub output: FitOutput,
    /// The head that answers: index into the output's heads.
    pub shown: usize,
    /// By image.
    split_of: Vec<Option<Split>>,
    /// What the head that answers says of the validation images.
    pub known: Arc<[KnownImage]>,
    /// What a threshold on the top probability does with it.
    pub threshold: ThresholdCurve,
}

impl Fit {
    /// The head that answers.
    pub fn head(&self) -> Option<&FittedHead> {
        self.output.heads.get(self.shown)
    }

    /// The classes of the heads, in their order.
    pub fn class_ids(&self) -> &[ClassId] {
        &self.output.class_ids
    }
}

/// A fit that was asked for.
#[derive(Clone, Debug)]
struct Asked {
    revision: u64,
    n_rows: usize,
    /// The texts that a text head started from, and what tells them from others.
    texts: Option<(FitTexts, String)>,
    /// Settings are chosen on these very data.
    chooses: bool,
}

/// Labelled images, and their classes in order.
#[derive(Clone, Debug)]
pub(super) struct Labelled {
    pub classes: Vec<(ClassId, String)>,
    pub images: Vec<FitImage>,
}

/// What is computed from a project.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// Which choice of model the rows belong to.
    pub epoch: u64,
    /// Row of each image in the table.
    rows: Vec<u32>,
    /// Images that have a row.
    pub n_embedded: usize,
    /// Whether there may be images to embed.
    pub(super) wants_embedding: bool,
    /// Images whose files could not be reached.
    pub(super) unreachable: Vec<ImageId>,
    /// Why images wait.
    pub pause: Option<EmbedPause>,
    /// Whether the model reads texts, once it is open.
    pub reads_text: Option<bool>,
    /// Name of the model for people, once it is open.
    pub model_name: Option<String>,
    /// What the model last ran on.
    pub ran_on: Option<Provider>,
    /// The latest heads.
    pub fit: Option<Arc<Fit>>,
    /// The rule for "unknown".
    rule: UnknownRule,
    /// Why there is none that does what is wished.
    unknown_error: Option<UnknownError>,
    /// Heads of the last time, until there are fresh ones.
    pub stored: Vec<StoredHead>,
    /// The last fit that was asked for.
    asked: Option<Asked>,
    /// Why the last fit failed.
    pub fit_error: Option<String>,
}

impl Live {
    /// For a choice of model: nothing is embedded.
    pub(super) fn begin(&mut self, epoch: u64) {
        *self = Self { epoch, wants_embedding: true, ..Self::default() };
    }

    /// The row of an image.
    pub fn row(&self, id: ImageId) -> Option<u32> {
        self.rows.get(id.as_usize()).copied().filter(|row| *row != NO_ROW)
    }

    pub(super) fn set_row(&mut self, id: ImageId, row: u32) {
        let idx = id.as_usize();
        if self.rows.len() <= idx {
            self.rows.resize(idx + 1, NO_ROW);
        }
        if self.rows[idx] == NO_ROW {
            self.n_embedded += 1;
        }
        self.rows[idx] = row;
    }

    /// What the head that answers says of an image: class and calibrated probability.
    pub fn prediction(&self, id: ImageId) -> Option<(ClassId, f32)> {
        let fit = self.fit.as_ref()?;
        let answer = self.answer(id)?;
        Some((*fit.output.class_ids.get(answer.class as usize)?, answer.confidence))
    }

    /// What the head that answers says of an image, as it came.
    pub fn answer(&self, id: ImageId) -> Option<Prediction> {
        self.fit.as_ref()?.head()?.predictions.get(self.row(id)? as usize).copied()
    }

    /// Whether the answer on an image is "unknown"; `None` where there is no answer at all.
    pub fn is_unknown(&self, id: ImageId) -> Option<bool> {
        let answer = self.answer(id)?;
        Some(self.rule().is_unknown(answer.confidence, answer.distance()))
    }

    /// The rule for "unknown" that follows from what is wished; without one every image gets an answer.
    pub fn rule(&self) -> UnknownRule {
        self.rule
    }

    /// Why there is no rule that does what is wished.
    pub fn unknown_error(&self) -> Option<UnknownError> {
        self.unknown_error
    }

    /// What the head that answers says of the validation images.
    pub fn known(&self) -> &[KnownImage] {
        self.fit.as_ref().map_or(&[], |fit| &fit.known)
    }

    /// Settles the rule on the head that answers.
    pub(super) fn settle(&mut self, wish: UnknownWish) {
        let settled = wish.settle(self.known());
        self.rule = settled.unwrap_or_default();
        // Without a head, one is on its way that it can be settled on.
        self.unknown_error = settled.err().filter(|_| self.fit.is_some());
    }

    /// The split that an image is in, as the last fit had it.
    pub fn split_of(&self, id: ImageId) -> Option<Split> {
        self.fit.as_ref()?.split_of.get(id.as_usize()).copied().flatten()
    }

    /// Images that repeat others.
    pub fn duplicates(&self) -> &[Duplicate] {
        self.fit.as_ref().map_or(&[], |fit| &fit.output.duplicates)
    }

    /// Figures of the heads, linear first: fresh ones, else those of the last time.
    pub fn figures(&self) -> Vec<HeadFigures<'_>> {
        if let Some(fit) = &self.fit {
            return fit.output.heads.iter().map(HeadFigures::of).collect();
        }
        self.stored
            .iter()
            .map(|head| HeadFigures {
                kind: head.kind(),
                record: &head.record,
                val: head.val.as_ref(),
                test: head.test.as_ref(),
            })
            .collect()
    }

    /// The figures of the head that answers.
    pub fn shown_figures(&self, chosen: Option<HeadKind>) -> Option<HeadFigures<'_>> {
        let figures = self.figures();
        let idx = shown(&figures, chosen)?;
        figures.into_iter().nth(idx)
    }

    /// Takes the heads of a fit.
    pub(super) fn set_fit(&mut self, output: FitOutput, project: &Project, chosen: Option<HeadKind>) {
        let mut split_of = vec![None; project.images.len()];
        for (id, split) in &output.splits {
            if let Some(slot) = split_of.get_mut(id.as_usize()) {
                *slot = Some(*split);
            }
        }
        let mut fit = Fit { output, shown: 0, split_of, known: [].into(), threshold: ThresholdCurve::default() };
        self.choose(&mut fit, project, chosen);
        self.fit = Some(Arc::new(fit));
        self.fit_error = None;
    }

    /// Lets another head answer.
    pub(super) fn choose_head(&mut self, project: &Project, chosen: Option<HeadKind>) {
        if let Some(fit) = self.fit.take() {
            let mut fit = Arc::unwrap_or_clone(fit);
            self.choose(&mut fit, project, chosen);
            self.fit = Some(Arc::new(fit));
        }
    }

    fn choose(&self, fit: &mut Fit, project: &Project, chosen: Option<HeadKind>) {
        let figures: Vec<_> = fit.output.heads.iter().map(HeadFigures::of).collect();
        fit.shown = shown(&figures, chosen).unwrap_or(0);
        let known: Vec<KnownImage> = match fit.head() {
            Some(head) => fit
                .output
                .splits
                .iter()
                .filter(|(_, split)| *split == Split::Val)
                .filter_map(|(id, _)| {
                    let answer = head.predictions.get(self.row(*id)? as usize)?;
                    let predicted = fit.output.class_ids.get(answer.class as usize).copied();
                    Some(KnownImage {
                        confidence: answer.confidence,
                        distance: answer.distance(),
                        is_right: predicted == project.image(*id)?.class,
                    })
                })
                .collect(),
            None => Vec::new(),
        };
        fit.threshold = ThresholdCurve::new(known.iter().map(|k| (k.confidence, k.is_right)));
        fit.known = known.into();
    }

    /// The fit that is due, if one is: labels or rows have changed since the last, and there are two classes to tell
    /// apart. `is_embedding` puts it off until there are enough new rows to be worth it.
    ///
    /// After a change heads go on from those before, which gives an answer at once; then settings are chosen anew.
    pub(super) fn due_fit(
        &mut self,
        project: &Project,
        revision: u64,
        is_embedding: bool,
        texts: Option<(FitTexts, String)>,
    ) -> Option<FitRequest> {
        let texts_key = texts.as_ref().map(|(_, key)| key);
        let mut goes_on = true;
        if let Some(asked) = &self.asked {
            let n_rows = asked.n_rows as f64;
            let has_grown = if is_embedding {
                self.n_embedded as f64 >= (REFIT_GROWTH * n_rows).max(n_rows + 24.0)
            } else {
                self.n_embedded != asked.n_rows
            };
            if asked.revision == revision && !has_grown && asked.texts.as_ref().map(|(_, key)| key) == texts_key {
                let is_answered =
                    self.fit.as_ref().is_some_and(|f| f.output.revision == revision && !f.output.is_chosen_anew);
                if asked.chooses || is_embedding || !is_answered {
                    return None;
                }
                goes_on = false;
            }
        }
        let before = if goes_on { self.before() } else { None };
        self.asked = Some(Asked { revision, n_rows: self.n_embedded, texts: texts.clone(), chooses: before.is_none() });
        let texts = texts.map(|(texts, _)| texts);
        let Some(Labelled { classes, images }) = self.labelled(project) else {
            self.fit = None;
            if !is_embedding && !project.present().any(|(_, i)| i.class.is_some()) {
                self.stored.clear();
            }
            return None;
        };
        let (val_fraction, seed) = (project.settings.val_fraction, project.settings.seed);
        Some(FitRequest { revision, epoch: self.epoch, classes, images, val_fraction, seed, before, texts })
    }

    /// The texts that the last fit started from.
    pub(super) fn asked_texts(&self) -> Option<(FitTexts, String)> {
        self.asked.as_ref()?.texts.clone()
    }

    /// Labelled images that have a row; `None` where there are not two classes of them.
    pub(super) fn labelled(&self, project: &Project) -> Option<Labelled> {
        let classes: Vec<_> = project.sorted_classes().into_iter().map(|(id, c)| (id, c.name.clone())).collect();
        let mut idx_of_class = vec![None; project.classes.len()];
        for (idx, (id, _)) in classes.iter().enumerate() {
            idx_of_class[id.as_usize()] = u32::try_from(idx).ok();
        }
        let mut seen = vec![false; classes.len()];
        let images: Vec<FitImage> = project
            .present()
            .filter(|(_, image)| image.skipped.is_none())
            .filter_map(|(id, image)| {
                let class = idx_of_class.get(image.class?.as_usize()).copied().flatten()?;
                let row = self.row(id)?;
                seen[class as usize] = true;
                Some(FitImage { id, row, class, split: image.split, is_guessed: image.is_guessed })
            })
            .collect();
        (seen.iter().filter(|s| **s).count() >= 2).then_some(Labelled { classes, images })
    }

    /// Heads to go on from: those at hand, else those of the last time.
    fn before(&self) -> Option<HeadsBefore> {
        if let Some(fit) = &self.fit {
            let heads = fit.output.heads.iter().map(|head| head.judged.trained.clone()).collect();
            return Some(HeadsBefore { class_ids: fit.output.class_ids.clone(), heads });
        }
        let class_ids = self.stored.first()?.class_ids.clone();
        let alike = self.stored.iter().filter(|head| head.class_ids == class_ids);
        let trained = |head: &StoredHead| TrainedHead { head: head.head.clone(), record: head.record.clone() };
        Some(HeadsBefore { class_ids: class_ids.clone(), heads: alike.map(trained).collect() })
    }
}

/// The head that answers: the chosen kind, else the one with the highest validated accuracy, ties by log loss.
fn shown(figures: &[HeadFigures<'_>], chosen: Option<HeadKind>) -> Option<usize> {
    if let Some(idx) = chosen.and_then(|kind| figures.iter().position(|f| f.kind == kind)) {
        return Some(idx);
    }
    let score = |f: &HeadFigures<'_>| f.val.map_or((0.0, 0.0), |r| (r.accuracy.value, -r.log_loss.value));
    (0..figures.len()).reduce(|best, idx| {
        let (a, b) = (score(&figures[best]), score(&figures[idx]));
        if b.0 > a.0 || (b.0 == a.0 && b.1 > a.1) { idx } else { best }
    })
}

/// The choice of model of a project.
pub(super) fn model_choice(project: &Project) -> ModelChoice {
    let settings = &project.settings;
    ModelChoice {
        model: settings.model.clone(),
        layer: settings.layer.clone(),
        preprocess: settings.preprocess.clone(),
    }
}
