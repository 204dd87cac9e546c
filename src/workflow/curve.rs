//! Learning curves: accuracy over the number of images to train on, what more of them would give, which class most needs
//! them, and whether pretrained features are worth their while.
//!
//! Heads are fitted on nested stratified draws of growing size and judged on the same images throughout (`pool`); their
//! accuracies have intervals for both (`points`); a power law through them says what more images would give (`outlook`), a
//! slope for each class which of them most needs more (`needs`); raw pixels and the same backbone with random weights
//! (`scratch`) say what pretraining is worth (`transfer`).

pub(super) mod measure;
mod needs;
mod outlook;
mod points;
pub(super) mod pool;
mod scratch;
mod transfer;
pub mod words;

use std::path::PathBuf;

use serde::Serialize;

pub use needs::{ClassNeed, N_MORE, Needs};
pub use outlook::{Gain, MAX_AHEAD, Outlook};
pub use points::CurvePoint;
pub use scratch::SIDE_PX;
pub use transfer::{Convergence, Efficiency, Transfer, Verdict};

use self::measure::{Fitted, Rows, Size, SizeRuns, first_part, measure};
use self::outlook::{Laws, outlook};
use self::points::points;
use self::pool::{Amount, Pool};
use super::few_shot::{labels_of_classes, labels_of_names};
use super::study::StudyConfig;
use super::train::{FitData, Prepared};
use super::zero_shot::{ClassTexts, DualEncoder};
use super::{SharedCache, WorkflowError};
use crate::backbone::Backbone;
use crate::classes::ClassSet;
use crate::dataset::Skipped;
use crate::embedding::Embeddings;
use crate::head::HeadKind;
use crate::head::few_shot::FewShotMethod;
use crate::metrics::Estimate;
use crate::progress::{Reporter, Stage};
use crate::text::TextError;
use crate::text::encoder::TextOverrides;
use crate::text::labels::Label;
use crate::text::prompts::Templates;

/// Images that are trained on, at most: from there on every point takes long, and the curve is flat or never will be.
const MAX_TRAINED: f64 = 20_000.0;
/// Draws of sizes up to [`SMALL`] images a class, of larger ones, and of those of more than [`LARGE`] images.
const N_DRAWS: [usize; 3] = [10, 5, 2];
const SMALL: f64 = 16.0;
const LARGE: f64 = 4000.0;
/// Places along the axis that fitted curves are given at: up to the largest size, which is one of them, and beyond.
const N_FITTED: (usize, usize) = (24, 16);

/// What features are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The backbone as it is.
    Pretrained,
    /// Pixels of the image at 32 x 32.
    RawPixels,
    /// The backbone with random weights.
    RandomWeights,
}

impl Source {
    /// Name for people, at the start of a sentence.
    pub fn label(self) -> &'static str {
        match self {
            Self::Pretrained => "Pretrained features",
            Self::RawPixels => "Raw pixels",
            Self::RandomWeights => "Random weights",
        }
    }
}

/// A head that a curve is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveHead {
    /// Logistic regression.
    Linear,
    /// Class means.
    Prototype,
    /// Starts from the texts of the classes.
    Text,
}

impl CurveHead {
    /// Every head.
    pub const ALL: [Self; 3] = [Self::Linear, Self::Prototype, Self::Text];

    /// Name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Linear => HeadKind::Linear.label(),
            Self::Prototype => HeadKind::Prototype.label(),
            Self::Text => HeadKind::Text.label(),
        }
    }

    fn fitted(self) -> Fitted {
        match self {
            Self::Linear => Fitted::Examples(HeadKind::Linear),
            Self::Prototype => Fitted::Examples(HeadKind::Prototype),
            Self::Text => Fitted::Text(FewShotMethod::Linear),
        }
    }
}

/// What text heads start from.
#[derive(Clone, Debug, Default)]
pub struct CurveTexts {
    /// A label for each class; the classes' names without.
    pub labels: Option<Vec<Label>>,
    /// What descriptions are put into.
    pub templates: Templates,
    /// What of the text tower the user has set.
    pub overrides: TextOverrides,
}

/// How curves are drawn.
#[derive(Clone, Debug)]
pub struct CurveConfig {
    /// On which images.
    pub study: StudyConfig,
    /// Heads; text heads only where the backbone reads texts.
    pub heads: Vec<CurveHead>,
    /// What text heads start from.
    pub texts: CurveTexts,
    /// Whether the same heads are fitted on features from scratch.
    pub has_baselines: bool,
}

impl CurveConfig {
    /// Every head that the backbone allows, with baselines.
    pub fn new(study: StudyConfig) -> Self {
        Self { study, heads: CurveHead::ALL.to_vec(), texts: CurveTexts::default(), has_baselines: true }
    }
}

/// The curve of one head on one kind of features.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeadCurve {
    /// What made the features.
    pub source: Source,
    /// The head.
    pub head: CurveHead,
    /// Its points, the smallest size first.
    pub points: Vec<CurvePoint>,
    /// What more images would give; only of pretrained features.
    pub outlook: Option<Outlook>,
    /// The fitted law from the smallest size to four times the largest; empty where there is none.
    pub fitted: Vec<FittedPoint>,
    /// Training objective of the linear head with all images, at the start and after each iteration.
    pub loss_curve: Vec<f64>,
}

impl HeadCurve {
    /// Its last point's accuracy.
    pub fn accuracy(&self) -> Option<Estimate> {
        self.points.last().map(|point| point.accuracy)
    }
}

/// A place of a fitted law.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FittedPoint {
    /// Images a class.
    pub n_per_class: f64,
    /// Accuracy there.
    pub accuracy: Estimate,
}

/// Learning curves.
#[derive(Clone, Debug)]
pub struct CurveOutcome {
    /// The classes.
    pub classes: ClassSet,
    /// Images that the largest size is trained on, in the mean over its draws.
    pub n_train: f64,
    /// Images that heads are judged on.
    pub n_judged: usize,
    /// Whether those are given, rather than each fifth of all images in turn.
    pub is_given: bool,
    /// Curves: those of pretrained features first.
    pub curves: Vec<HeadCurve>,
    /// Which class most needs more images, by the best head on pretrained features.
    pub needs: Option<Needs>,
    /// Whether pretrained features are worth their while.
    pub transfer: Option<Transfer>,
    /// Files left out.
    pub skipped: Vec<Skipped>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl CurveOutcome {
    /// The curve on pretrained features that ends highest; of equal ones the first.
    pub fn best(&self) -> Option<&HeadCurve> {
        self.best_idx().map(|idx| &self.curves[idx])
    }

    fn best_idx(&self) -> Option<usize> {
        let value = |idx: usize| self.curves[idx].accuracy().map_or(f64::NEG_INFINITY, |accuracy| accuracy.value);
        let own = (0..self.curves.len()).filter(|&idx| self.curves[idx].source == Source::Pretrained);
        own.reduce(|best, next| if value(next) > value(best) { next } else { best })
    }
}

/// Draws learning curves.
///
/// # Errors
/// When there is nothing to train on or to judge on, a head cannot be fitted, the backbone cannot run, or the user cancels.
pub fn curve(
    backbone: &Backbone,
    config: &CurveConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
) -> Result<CurveOutcome, WorkflowError> {
    let mut notes = Vec::new();
    let mut dual = None;
    if config.heads.contains(&CurveHead::Text) && backbone.manifest.text.is_some() {
        match DualEncoder::open(backbone, &config.texts.overrides, cache) {
            Ok(opened) => dual = Some(opened),
            Err(error) => notes.push(format!("There is no curve for text heads: {error}.")),
        }
    }
    let joined = dual.as_ref().map_or_else(|| backbone.clone(), |dual| dual.joined(backbone));
    let Prepared { data, skipped, notes: more, .. } = config.study.prepare(&joined, cache, reporter)?;
    notes.splice(0..0, more);
    let data = pool::without_unused(data);
    let n_all = data.n_images();
    let data = pool::limited(data, MAX_TRAINED as usize, config.study.split.seed);
    if data.n_images() < n_all {
        let n = data.n_images();
        notes.push(format!("Curves are drawn on {n} of the {n_all} images: more would hardly change them."));
    }
    let pool = Pool::new(&data)?;
    let all = Pool::rows(&data)?;
    let texts = match &mut dual {
        Some(dual) => texts_of(dual, &data, &config.texts, cache, reporter, &mut notes)?,
        None => None,
    };
    // Where the features are just the vectors in the space of texts, there is one part.
    let features = first_part(&all, &joined.parts())?;
    let baselines = match config.has_baselines {
        true => {
            let parts = [&data.train, &data.val, &data.test];
            let paths: Vec<PathBuf> = parts.into_iter().flat_map(|part| part.paths.iter().cloned()).collect();
            let (found, more) = scratch::baselines(backbone, &paths, &config.study.embed, cache, reporter)?;
            notes.extend(more);
            found
        }
        false => Vec::new(),
    };
    let measured = Measured { pool: &pool, data: &data, features: &features, joined: &all, texts: texts.as_ref() };
    let outcome = measured.curves(config, &baselines, reporter)?;
    Ok(CurveOutcome { skipped, notes, ..outcome })
}

/// Texts of the classes; `None` with a note where a class has none.
fn texts_of(
    dual: &mut DualEncoder,
    data: &FitData,
    texts: &CurveTexts,
    cache: &SharedCache,
    reporter: &dyn Reporter,
    notes: &mut Vec<String>,
) -> Result<Option<ClassTexts>, WorkflowError> {
    let labels = match &texts.labels {
        Some(labels) => labels_of_classes(&data.classes, labels).map(|(labels, _)| labels),
        None => labels_of_names(&data.classes).map_err(|error| TextError::from(error).into()),
    };
    match labels.and_then(|labels| dual.classes(&labels, &texts.templates, cache, reporter)) {
        Ok(texts) => Ok(Some(texts)),
        Err(WorkflowError::Cancelled) => Err(WorkflowError::Cancelled),
        Err(error) => {
            notes.push(format!("There is no curve for text heads: {error}."));
            Ok(None)
        }
    }
}

/// Everything that curves are drawn from.
pub(super) struct Measured<'a> {
    pub pool: &'a Pool,
    pub data: &'a FitData,
    pub features: &'a Embeddings,
    pub joined: &'a Embeddings,
    pub texts: Option<&'a ClassTexts>,
}

impl Measured<'_> {
    fn curves(
        &self,
        config: &CurveConfig,
        baselines: &[(Source, Embeddings)],
        reporter: &dyn Reporter,
    ) -> Result<CurveOutcome, WorkflowError> {
        let Self { pool, data, .. } = *self;
        let seed = config.study.split.seed;
        let own = Rows { features: self.features, texts: self.texts.map(|texts| (self.joined, texts)) };
        let mut drawn: Vec<(Source, CurveHead, Rows<'_>)> = Vec::new();
        for head in CurveHead::ALL.into_iter().filter(|head| config.heads.contains(head)) {
            if head != CurveHead::Text || self.texts.is_some() {
                drawn.push((Source::Pretrained, head, own));
            }
        }
        for (source, features) in baselines {
            let heads =
                [CurveHead::Linear, CurveHead::Prototype].into_iter().filter(|head| config.heads.contains(head));
            drawn.extend(heads.map(|head| (*source, head, Rows { features, texts: None })));
        }
        let heads: Vec<(Fitted, Rows<'_>)> = drawn.iter().map(|(_, head, rows)| (head.fitted(), *rows)).collect();
        let sizes = sizes(pool);
        let runs = measure(pool, &data.classes, &heads, &sizes, seed, reporter)?;
        let judged = pool.judged();
        reporter.progress(Stage::Fit, 0, 0);
        let mut curves: Vec<(HeadCurve, Vec<SizeRuns>)> = Vec::with_capacity(drawn.len());
        for ((source, head, _), runs) in drawn.into_iter().zip(runs) {
            if reporter.cancelled() {
                return Err(WorkflowError::Cancelled);
            }
            curves.push((self.head_curve(source, head, &runs, &judged, seed), runs));
        }
        let transfer = transfer::transfer(&curves, &pool.y);
        let mut outcome = CurveOutcome {
            classes: data.classes.clone(),
            n_train: curves.first().and_then(|(curve, _)| curve.points.last()).map_or(0.0, |point| point.n_images),
            n_judged: judged.len(),
            is_given: pool.is_given(),
            curves: Vec::new(),
            needs: None,
            transfer,
            skipped: Vec::new(),
            notes: Vec::new(),
        };
        let (of_heads, mut of_runs): (Vec<HeadCurve>, Vec<Vec<SizeRuns>>) = curves.into_iter().unzip();
        outcome.curves = of_heads;
        if let Some(best) = outcome.best_idx() {
            let share = sizes.last().map_or(1.0, |size| size.share);
            let n_images: Vec<usize> = pool.available().iter().map(|n| (share * n).round() as usize).collect();
            let (points, runs) = (&outcome.curves[best].points, of_runs.swap_remove(best));
            outcome.needs = Some(needs::needs(&runs, points, (&pool.y, &judged), &data.classes, &n_images, seed));
        }
        Ok(outcome)
    }

    fn head_curve(&self, source: Source, head: CurveHead, runs: &[SizeRuns], judged: &[usize], seed: u64) -> HeadCurve {
        let n_classes = self.data.classes.len();
        let points = points(runs, &self.pool.y, n_classes, self.pool.is_given());
        let laws = Laws::new(runs, &points, (&self.pool.y, judged), seed);
        let is_own = source == Source::Pretrained;
        let outlook = is_own.then(|| outlook(laws.as_ref(), &points, n_classes));
        let ends = points.first().zip(points.last()).map(|(a, b)| (a.n_per_class, b.n_per_class));
        let fitted = match (laws, ends) {
            (Some(laws), Some((first, last))) => {
                let (n_within, n_beyond) = N_FITTED;
                let part = |i: usize, n: usize| i as f64 / n as f64;
                let within = (0..=n_within).map(|i| first * (last / first).powf(part(i, n_within)));
                let beyond = (1..=n_beyond).map(|i| last * MAX_AHEAD.powf(part(i, n_beyond)));
                within.chain(beyond).map(|n| FittedPoint { n_per_class: n, accuracy: laws.accuracy_at(n) }).collect()
            }
            _ => Vec::new(),
        };
        let record = runs.last().and_then(|runs| runs.record.as_ref());
        let loss_curve = record.map(|record| record.loss_curve.clone()).unwrap_or_default();
        HeadCurve { source, head, points, outlook, fitted, loss_curve }
    }
}

/// Sizes from one image a class to all of them, in steps of about two.
fn sizes(pool: &Pool) -> Vec<Size> {
    let available = pool.available();
    let (total, n_classes) = (available.iter().sum::<f64>(), available.len().max(1) as f64);
    let largest = (MAX_TRAINED / total).min(1.0);
    let mean = total / n_classes;
    let n_steps = (mean * largest).log2().round().max(0.0);
    let mut sizes: Vec<Size> = Vec::new();
    for step in 0..=n_steps as usize {
        let part = if n_steps > 0.0 { step as f64 / n_steps } else { 1.0 };
        let n = (mean * largest).powf(part);
        let (n, share) = if part < 1.0 { (n.round(), n.round() / mean) } else { (n, largest) };
        if sizes.last().is_some_and(|last| share <= last.share) {
            continue;
        }
        let n_draws = match n * n_classes {
            // All images can be drawn in one way only.
            _ if share >= 1.0 && pool.is_given() => 1,
            images if images > LARGE => N_DRAWS[2],
            _ if n <= SMALL => N_DRAWS[0],
            _ => N_DRAWS[1],
        };
        // Every fold as often as any other.
        let n_draws = n_draws.next_multiple_of(pool.n_folds().max(1));
        sizes.push(Size { amount: Amount::Share(share), share, n_draws });
    }
    sizes
}

#[cfg(test)]
#[path = "curve/tests.rs"]
mod tests;
