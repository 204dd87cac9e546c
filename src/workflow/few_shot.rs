//! Few-shot heads that start from texts, and how accuracy grows with examples.

use std::time::Instant;

use serde::Serialize;

use super::curve::measure::{Fitted, Judged, Rows, Size, SizeRuns, first_part, measure};
use super::curve::pool::{Amount, Pool};
use super::train::{FitData, JudgedHead, TrainConfig, TrainOutcome, judged, prepare};
use super::zero_shot::{ClassTexts, DualEncoder};
use super::{SharedCache, WorkflowError};
use crate::backbone::Backbone;
use crate::classes::{ClassIdx, ClassSet};
use crate::embedding::{EmbeddingSpace, Embeddings};
use crate::head::few_shot::{FewShotConfig, FewShotMethod, TextPrior, train_text};
use crate::head::{HeadError, HeadKind, TrainedHead};
use crate::progress::{CancelToken, Reporter, Stage};
use crate::text::TextError;
use crate::text::labels::{Label, LabelError, LabelIndex};
use crate::text::prompts::Templates;

/// The label of each class, in the order of the classes, and those labels that no class is called by.
///
/// # Errors
/// When a class has no label.
pub fn labels_of_classes(classes: &ClassSet, labels: &[Label]) -> Result<(Vec<Label>, Vec<String>), WorkflowError> {
    let index = LabelIndex::new(labels);
    let mut of_class = Vec::with_capacity(classes.len());
    let mut class_of: Vec<Option<&String>> = vec![None; labels.len()];
    for name in classes.names() {
        let position = index.find(name).ok_or_else(|| WorkflowError::ClassWithoutLabel { class: name.clone() })?;
        if let Some(other) = class_of[position].replace(name) {
            return Err(WorkflowError::SharedLabel {
                label: labels[position].name.clone(),
                class: other.clone(),
                other: name.clone(),
            });
        }
        of_class.push(labels[position].clone());
    }
    let unused =
        labels.iter().zip(class_of).filter(|(_, c)| c.is_none()).map(|(label, _)| label.name.clone()).collect();
    Ok((of_class, unused))
}

/// Labels that are just the names of classes.
///
/// # Errors
/// When a name cannot be a label.
pub fn labels_of_names(classes: &ClassSet) -> Result<Vec<Label>, LabelError> {
    let label = |(idx, name): (usize, &String)| {
        let text = name.replace(['_', '|', '='], " ");
        let mut parsed = crate::text::labels::parse(&text).map_err(|error| match error {
            LabelError::None => LabelError::Empty { line: idx + 1 },
            error => error,
        })?;
        let mut label = parsed.swap_remove(0);
        label.name.clone_from(name);
        Ok(label)
    };
    classes.names().iter().enumerate().map(label).collect()
}

/// What a text head starts from.
#[derive(Clone, Debug)]
pub struct TextHeadConfig {
    /// Texts of the classes; their names without.
    pub labels: Option<Vec<Label>>,
    /// What descriptions are put into.
    pub templates: Templates,
    /// How images correct texts.
    pub method: FewShotMethod,
}

/// As [`train`](super::train::train), of a text head: `backbone` is [`DualEncoder::joined`].
///
/// # Errors
/// When there is nothing to train on, a class has no label, a tower cannot run, or the user cancels.
pub fn train_with_texts(
    dual: &mut DualEncoder,
    backbone: &Backbone,
    config: &TrainConfig,
    texts: &TextHeadConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
) -> Result<TrainOutcome, WorkflowError> {
    let mut prepared = prepare(backbone, config, cache, reporter)?;
    let labels = match &texts.labels {
        Some(labels) => {
            let (labels, unused) = labels_of_classes(&prepared.data.classes, labels)?;
            if !unused.is_empty() {
                prepared.notes.push(format!("No class is called by the labels {}.", unused.join(", ")));
            }
            labels
        }
        None => labels_of_names(&prepared.data.classes).map_err(TextError::from)?,
    };
    let encoded = dual.classes(&labels, &texts.templates, cache, reporter)?;
    let started = Instant::now();
    reporter.progress(Stage::Fit, 0, 1);
    let few_shot = FewShotConfig { method: texts.method, fixed: None };
    let head = fit_text_head(&prepared.data, &encoded, &few_shot, config.split.seed, reporter.cancel_token())?;
    reporter.progress(Stage::Fit, 1, 1);
    Ok(TrainOutcome { prepared, heads: vec![head], fit_secs: started.elapsed().as_secs_f64() })
}

/// Fits a text head on labelled features that end in the columns of the texts' space, and judges it.
///
/// # Errors
/// When there is a class without an example or a text, or `cancel` is cancelled.
pub fn fit_text_head(
    data: &FitData,
    texts: &ClassTexts,
    config: &FewShotConfig,
    seed: u64,
    cancel: &CancelToken,
) -> Result<JudgedHead, WorkflowError> {
    let validation = data.can_choose().then_some((&data.val.embeddings, data.val.classes.as_slice()));
    let FitData { train, classes, .. } = data;
    let trained = fit(&train.embeddings, &train.classes, validation, classes, texts, config, cancel)?;
    judged(data, trained, seed, cancel)
}

pub(super) fn fit(
    train: &Embeddings,
    y: &[ClassIdx],
    validation: Option<(&Embeddings, &[ClassIdx])>,
    classes: &ClassSet,
    texts: &ClassTexts,
    config: &FewShotConfig,
    cancel: &CancelToken,
) -> Result<TrainedHead, WorkflowError> {
    let prior = TextPrior { texts: texts.embeddings.view(), scale: texts.logits.scale, record: texts.record() };
    train_text(train, y, validation, classes, &prior, config, cancel).map_err(|error| match error {
        HeadError::Cancelled => WorkflowError::Cancelled,
        error => error.into(),
    })
}

/// Numbers of examples a class that a learning curve is made of.
pub const SHOTS: [usize; 5] = [1, 2, 4, 8, 16];

/// How a learning curve is made.
#[derive(Clone, Debug)]
pub struct CurveConfig {
    /// Numbers of examples a class.
    pub shots: Vec<usize>,
    /// Draws of examples, which are averaged.
    pub n_draws: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Methods of text heads.
    pub methods: Vec<FewShotMethod>,
}

impl Default for CurveConfig {
    fn default() -> Self {
        Self { shots: SHOTS.to_vec(), n_draws: 3, seed: 0, methods: vec![FewShotMethod::Linear] }
    }
}

/// Accuracies at one number of examples a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Examples a class; 0 is the zero-shot.
    pub shots: usize,
    /// Text heads, in the order of the methods: mean accuracy over the draws.
    pub text: Vec<f64>,
    /// The plain linear head on the backbone's features; `None` without examples.
    pub linear: Option<f64>,
    /// The zero-shot on the same images.
    pub zero_shot: f64,
}

/// Accuracy by number of examples a class, from 0, on draws of `data`'s images: those that the user gave to validate on are
/// judged on, else all that were not drawn (see [`crate::workflow::curve`]).
///
/// Numbers of which not every class has one to spare are left out. `parts` are the spaces of the features' columns.
///
/// # Errors
/// When no class has two images, a head cannot be fitted, or the user cancels.
pub fn learning_curve(
    data: &FitData,
    parts: &[EmbeddingSpace],
    texts: &ClassTexts,
    config: &CurveConfig,
    reporter: &dyn Reporter,
) -> Result<Vec<CurvePoint>, WorkflowError> {
    let pool = Pool::new(data)?.judged_on_rest();
    let joined = Pool::rows(data)?;
    let features = first_part(&joined, parts)?;
    let rows = Rows { features: &features, texts: Some((&joined, texts)) };
    let fewest = pool.available().into_iter().fold(f64::INFINITY, f64::min);
    let shots: Vec<usize> = config.shots.iter().copied().filter(|n| *n as f64 <= fewest).collect();
    let size = |n: usize| Size { amount: Amount::Each(n), share: 0.0, n_draws: config.n_draws.max(1) };
    let sizes: Vec<Size> = shots.iter().map(|&n| size(n)).collect();
    // What one would have without texts, as it is trained everywhere else, and texts alone, on the same images.
    let mut heads: Vec<(Fitted, Rows<'_>)> = config.methods.iter().map(|&m| (Fitted::Text(m), rows)).collect();
    heads.extend([(Fitted::Examples(HeadKind::Linear), rows), (Fitted::ZeroShot, rows)]);
    let measured = measure(&pool, &data.classes, &heads, &sizes, config.seed, reporter)?;
    let whole = [Size { n_draws: 1, ..size(0) }];
    let alone = measure(&pool, &data.classes, &[(Fitted::ZeroShot, rows)], &whole, config.seed, reporter)?;
    let mean = |runs: &SizeRuns| {
        let of = |draw: &Judged| {
            let n_right = draw.rows.iter().zip(&draw.found).filter(|(row, found)| pool.y[**row] == **found).count();
            n_right as f64 / draw.rows.len().max(1) as f64
        };
        runs.draws.iter().map(of).sum::<f64>() / runs.draws.len().max(1) as f64
    };
    let all = alone.first().and_then(|sizes| sizes.first()).map_or(0.0, mean);
    let mut points = vec![CurvePoint { shots: 0, text: vec![all; config.methods.len()], linear: None, zero_shot: all }];
    for (idx, n) in shots.into_iter().enumerate() {
        let mut accuracies: Vec<f64> = measured.iter().map(|sizes| mean(&sizes[idx])).collect();
        let (zero_shot, linear) = (accuracies.pop().unwrap_or(all), accuracies.pop());
        points.push(CurvePoint { shots: n, text: accuracies, linear, zero_shot });
    }
    Ok(points)
}
