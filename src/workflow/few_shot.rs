//! Few-shot heads that start from texts, and how accuracy grows with examples.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use ndarray::{Array2, Axis};
use rayon::prelude::*;
use serde::Serialize;

use super::train::{FitData, JudgedHead, LabelledEmbeddings, TrainConfig, TrainOutcome, judged, prepare};
use super::zero_shot::{ClassTexts, DualEncoder};
use super::{SharedCache, WorkflowError};
use crate::backbone::Backbone;
use crate::classes::{ClassIdx, ClassSet};
use crate::embedding::{EmbeddingSpace, Embeddings};
use crate::head::few_shot::{FewShotConfig, FewShotMethod, TextPrior, train_text};
use crate::head::{self, HeadError, TrainedHead};
use crate::progress::{CancelToken, Reporter, Stage};
use crate::rng::SplitMix64;
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

fn fit(
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

/// Accuracy by number of examples a class, from 0: examples are drawn from `data`'s training images and judged on its
/// validation images where those were given, else on all labelled images that were not drawn.
///
/// Numbers of which not every class has one to spare are left out. `parts` are the spaces of the features' columns.
///
/// # Errors
/// When a head cannot be fitted, or the user cancels.
pub fn learning_curve(
    data: &FitData,
    parts: &[EmbeddingSpace],
    texts: &ClassTexts,
    config: &CurveConfig,
    reporter: &dyn Reporter,
) -> Result<Vec<CurvePoint>, WorkflowError> {
    let pool = Pool::new(data)?;
    let n_classes = data.classes.len();
    let fewest = pool.train.class_counts(n_classes).into_iter().min().unwrap_or(0);
    let n_spare = usize::from(!pool.is_given);
    let shots: Vec<usize> = config.shots.iter().copied().filter(|n| n + n_spare <= fewest).collect();
    let tasks: Vec<(usize, usize)> =
        shots.iter().flat_map(|&n| (0..config.n_draws).map(move |draw| (n, draw))).collect();
    let n_done = AtomicUsize::new(0);
    let cancel = reporter.cancel_token();
    let run = |&(n_shots, draw): &(usize, usize)| -> Result<Scores, WorkflowError> {
        if cancel.is_cancelled() {
            return Err(WorkflowError::Cancelled);
        }
        let scores = pool.scores(data, parts, texts, config, n_shots, config.seed + draw as u64, cancel)?;
        reporter.progress(Stage::Fit, 1 + n_done.fetch_add(1, Ordering::Relaxed), tasks.len());
        Ok(scores)
    };
    let scores: Vec<Scores> = tasks.par_iter().map(run).collect::<Result<_, _>>()?;
    let all = pool.zero_shot(texts, &(0..pool.test.len()).collect::<Vec<_>>())?;
    let mut points = vec![CurvePoint { shots: 0, text: vec![all; config.methods.len()], linear: None, zero_shot: all }];
    for (n_shots, draws) in shots.iter().zip(scores.chunks(config.n_draws.max(1))) {
        let mean = |of: &dyn Fn(&Scores) -> f64| draws.iter().map(of).sum::<f64>() / draws.len() as f64;
        points.push(CurvePoint {
            shots: *n_shots,
            text: (0..config.methods.len()).map(|i| mean(&|s| s.text[i])).collect(),
            linear: Some(mean(&|s| s.linear)),
            zero_shot: mean(&|s| s.zero_shot),
        });
    }
    Ok(points)
}

/// Accuracies of one draw.
struct Scores {
    text: Vec<f64>,
    linear: f64,
    zero_shot: f64,
}

/// Images to draw from and images to judge on.
struct Pool {
    train: LabelledEmbeddings,
    test: LabelledEmbeddings,
    /// The images to judge on are others.
    is_given: bool,
}

impl Pool {
    fn new(data: &FitData) -> Result<Self, WorkflowError> {
        if data.val_is_given && !data.val.is_empty() {
            return Ok(Self { train: data.train.clone(), test: data.val.clone(), is_given: true });
        }
        let both = [data.train.embeddings.view(), data.val.embeddings.view()];
        let values = ndarray::concatenate(Axis(0), &both).unwrap_or_else(|_| data.train.embeddings.view().to_owned());
        let all = LabelledEmbeddings {
            embeddings: Embeddings::new(values, data.train.embeddings.space().clone())?,
            classes: data.train.classes.iter().chain(&data.val.classes).copied().collect(),
            paths: Vec::new(),
        };
        Ok(Self { train: all.clone(), test: all, is_given: false })
    }

    /// Rows of `n_shots` examples a class. A draw of more examples has those of a draw of fewer.
    fn draw(&self, n_shots: usize, seed: u64, n_classes: usize) -> Vec<usize> {
        let mut rows_of = vec![Vec::new(); n_classes];
        for (row, class) in self.train.classes.iter().enumerate() {
            rows_of[class.as_usize()].push(row);
        }
        let mut drawn = Vec::with_capacity(n_shots * n_classes);
        for (class, rows) in rows_of.iter_mut().enumerate() {
            SplitMix64::new(SplitMix64::at(seed, class as u64)).shuffle(rows);
            drawn.extend(rows.iter().take(n_shots));
        }
        drawn
    }

    #[allow(clippy::too_many_arguments, reason = "one draw of one curve")]
    fn scores(
        &self,
        data: &FitData,
        parts: &[EmbeddingSpace],
        texts: &ClassTexts,
        config: &CurveConfig,
        n_shots: usize,
        seed: u64,
        cancel: &CancelToken,
    ) -> Result<Scores, WorkflowError> {
        let drawn = self.draw(n_shots, seed, data.classes.len());
        let mut is_drawn = vec![false; self.train.len()];
        drawn.iter().for_each(|&row| is_drawn[row] = true);
        let judged: Vec<usize> = (0..self.test.len()).filter(|&row| self.is_given || !is_drawn[row]).collect();
        let y: Vec<ClassIdx> = drawn.iter().map(|&row| self.train.classes[row]).collect();
        let y_true: Vec<ClassIdx> = judged.iter().map(|&row| self.test.classes[row]).collect();
        let (train, test) = (self.train.embeddings.select(&drawn), self.test.embeddings.select(&judged));
        let accuracy = |head: &TrainedHead, x: &Embeddings| -> Result<f64, WorkflowError> {
            Ok(share_right(&head.head.scores(x)?.top1(), &y_true))
        };
        let mut text = Vec::with_capacity(config.methods.len());
        for &method in &config.methods {
            let head = fit(&train, &y, None, &data.classes, texts, &FewShotConfig { method, fixed: None }, cancel)?;
            text.push(accuracy(&head, &test)?);
        }
        // What one would have without texts, as it is trained everywhere else.
        let (train, test) = (train.part(parts, 0)?, test.part(parts, 0)?);
        let plain = head::TrainConfig::default();
        let plain = head::train(&train, &y, None, &data.classes, &plain, cancel).map_err(|error| match error {
            HeadError::Cancelled => WorkflowError::Cancelled,
            error => error.into(),
        })?;
        Ok(Scores { text, linear: accuracy(&plain, &test)?, zero_shot: self.zero_shot(texts, &judged)? })
    }

    /// Accuracy of the texts alone on some of the images to judge on.
    fn zero_shot(&self, texts: &ClassTexts, rows: &[usize]) -> Result<f64, WorkflowError> {
        let all = self.test.embeddings.select(rows);
        let dim_e = texts.embeddings.ncols();
        let joint = all.view().slice_move(ndarray::s![.., all.view().ncols().saturating_sub(dim_e)..]).to_owned();
        let lengths = joint.map_axis(Axis(1), |row| row.dot(&row).sqrt().max(1e-12));
        let cosines: Array2<f32> = (&joint / &lengths.insert_axis(Axis(1))).dot(&texts.embeddings.t());
        let top: Vec<ClassIdx> = super::evaluate::top(cosines.view()).into_iter().map(|(class, _)| class).collect();
        let y: Vec<ClassIdx> = rows.iter().map(|&row| self.test.classes[row]).collect();
        Ok(share_right(&top, &y))
    }
}

fn share_right(found: &[ClassIdx], truth: &[ClassIdx]) -> f64 {
    let n_right = found.iter().zip(truth).filter(|(a, b)| a == b).count();
    n_right as f64 / truth.len().max(1) as f64
}
