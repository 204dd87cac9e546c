//! Using an export: its classifier is a graph with preprocessing in its metadata, so it is opened like any backbone,
//! with its logits as features. Judging and predicting therefore share the pipeline and the cache with embedding.

use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2, s};
use serde::Serialize;

use super::certainty::{calibration, known_images};
use super::embed::{EmbedConfig, Embedded, embed};
use super::models::{at_layer, open_path};
use super::scan::scan;
use super::{SharedCache, WorkflowError};
use crate::backbone::Backbone;
use crate::classes::ClassIdx;
use crate::dataset::{SkipReason, Skipped, Split};
use crate::export::describe::{FORMAT, Meta};
use crate::export::files;
use crate::head::text::TextRecord;
use crate::head::{KnownImage, UnknownError, UnknownRule, softmax};
use crate::metrics::{Calibration, Estimate, Interval, Report};
use crate::progress::Reporter;
use crate::text::labels::{Label, LabelIndex, NONE_OF_THESE};

/// An export, opened.
#[derive(Debug)]
pub struct Classifier {
    /// What it says about itself.
    pub meta: Meta,
    backbone: Backbone,
}

impl Classifier {
    /// Opens the export in `dir`.
    ///
    /// # Errors
    /// When it is no export of Graft's, or its files do not fit together.
    pub fn open(dir: &Path, cache: &SharedCache) -> Result<Self, WorkflowError> {
        let not = |why: String| WorkflowError::NotAnExport { path: dir.to_owned(), why };
        let path = dir.join(files::META);
        let text = std::fs::read_to_string(&path).map_err(|e| not(format!("{} cannot be read ({e})", files::META)))?;
        let meta: Meta = serde_json::from_str(&text).map_err(|e| not(format!("{}: {e}", files::META)))?;
        if meta.format != FORMAT {
            return Err(not(format!("{} is of another kind, {:?}", files::META, meta.format)));
        }
        let graph = dir.join(files::CLASSIFIER);
        if !graph.is_file() {
            return Err(not(format!("{} is missing", files::CLASSIFIER)));
        }
        let mut backbone = open_path(&graph, Some("logits|none"), cache)?;
        if backbone.space.dim != meta.classes.len() {
            return Err(not(format!(
                "{} has {} outputs, {} names {} classes",
                files::CLASSIFIER,
                backbone.space.dim,
                files::META,
                meta.classes.len()
            )));
        }
        if meta.has_distance {
            let distance = at_layer(&backbone, "distance|none", cache)?;
            backbone = backbone.beside(&distance);
        }
        if meta.unknown.needs_distance() && !meta.has_distance {
            return Err(not(format!("{} has a rule by distance, and its graph measures none", files::META)));
        }
        if *backbone.preprocess() != meta.preprocess {
            return Err(not(format!("the preprocessing in {} and {} differ", files::CLASSIFIER, files::META)));
        }
        Ok(Self { meta, backbone })
    }

    /// Logits `[n, n_classes]` and distances of what went through the graph.
    fn outputs(&self, embedded: &Embedded) -> (Array2<f32>, Option<Vec<f32>>) {
        let (values, k) = (embedded.embeddings.view(), self.meta.classes.len());
        let distances = self.meta.has_distance.then(|| values.column(k).to_vec());
        (values.slice(s![.., ..k]).to_owned(), distances)
    }

    /// The labels of a classifier that was made from texts, by the names of folders that mean them.
    fn label_index(&self) -> Option<LabelIndex> {
        let text: TextRecord = serde_json::from_value(self.meta.head.get("text")?.clone()).ok()?;
        let labels: Vec<Label> = self
            .meta
            .classes
            .names()
            .iter()
            .enumerate()
            .map(|(i, name)| Label {
                name: name.clone(),
                descriptions: text.descriptions.get(i).cloned().unwrap_or_default(),
                folders: text.folders.get(i).cloned().unwrap_or_default(),
                is_contrast: name == NONE_OF_THESE,
            })
            .collect();
        Some(LabelIndex::new(&labels))
    }
}

/// Answers on images.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Files, in the order of the rows.
    pub paths: Vec<PathBuf>,
    /// Array of shape `[n, n_classes]`.
    pub probabilities: Array2<f32>,
    /// Distance of each row to its nearest class, where it is measured.
    pub distances: Option<Vec<f32>>,
    /// Files left out.
    pub skipped: Vec<Skipped>,
}

impl Answers {
    /// The top class of each row and its probability.
    pub fn top(&self) -> Vec<(ClassIdx, f32)> {
        top(self.probabilities.view())
    }
}

/// The top class of each row and its probability; the first of equals.
pub fn top(probabilities: ArrayView2<'_, f32>) -> Vec<(ClassIdx, f32)> {
    let best = |row: ndarray::ArrayView1<'_, f32>| {
        row.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (i, &p)| if p > best.1 { (i, p) } else { best })
    };
    probabilities.rows().into_iter().map(best).map(|(i, p)| (ClassIdx::from(i), p)).collect()
}

/// Classifies files.
///
/// # Errors
/// When the export cannot run or the user cancels. Files that cannot be used are in the answers' skipped list.
pub fn classify(
    classifier: &Classifier,
    paths: &[PathBuf],
    cache: &SharedCache,
    config: &EmbedConfig,
    reporter: &dyn Reporter,
) -> Result<Answers, WorkflowError> {
    let embedded = embed(&classifier.backbone, paths, cache, config, reporter)?;
    let paths = embedded.path_idx.iter().map(|&i| paths[i].clone()).collect();
    let (logits, distances) = classifier.outputs(&embedded);
    let probabilities = classifier.meta.activation.probabilities(&logits);
    Ok(Answers { paths, probabilities, distances, skipped: embedded.skipped })
}

/// What a rule for "unknown" does to images whose class is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RuleFigures {
    /// The rule.
    pub rule: UnknownRule,
    /// Images.
    pub n: usize,
    /// Images that get an answer.
    pub n_answered: usize,
    /// Answers that are right.
    pub n_right: usize,
    /// Mistakes that become "unknown": what it saves.
    pub n_wrong_refused: usize,
    /// Right answers that become "unknown": what it costs.
    pub n_right_refused: usize,
}

impl RuleFigures {
    /// Of what a head says of `known` images.
    pub fn new(known: &[KnownImage], rule: UnknownRule) -> Self {
        let count = |is_answered: bool, is_right: bool| {
            let is_so =
                |k: &&KnownImage| rule.is_unknown(k.confidence, k.distance) != is_answered && k.is_right == is_right;
            known.iter().filter(is_so).count()
        };
        let n_right = count(true, true);
        Self {
            rule,
            n: known.len(),
            n_answered: n_right + count(true, false),
            n_right,
            n_wrong_refused: count(false, false),
            n_right_refused: count(false, true),
        }
    }

    /// Share of images that get an answer; 0 without images.
    pub fn coverage(&self) -> f64 {
        self.n_answered as f64 / self.n.max(1) as f64
    }

    /// Share of answers that are right, with its 95 % interval (Wilson's); `None` without an answer.
    pub fn precision(&self) -> Option<Estimate> {
        let value = self.n_right as f64 / self.n_answered as f64;
        (self.n_answered > 0).then(|| Estimate { value, interval: Interval::wilson(value, self.n_answered) })
    }
}

/// Figures of an export on a labelled data set.
#[derive(Debug)]
pub struct Evaluation {
    /// The figures.
    pub report: Report,
    /// Before and after temperature scaling, on these images.
    pub calibration: Calibration,
    /// What is said of each image.
    pub known: Vec<KnownImage>,
    /// What the rule for "unknown" does to them.
    pub rule: RuleFigures,
    /// Files left out.
    pub skipped: Vec<Skipped>,
    /// What the user should know about the whole.
    pub notes: Vec<String>,
}

/// Judges an export on the class folders in `images` (their test split, else their validation split, where there are
/// splits). Classes are matched by name. `rule` for "unknown" replaces the export's own.
///
/// # Errors
/// When there are no labelled images of the export's classes, it cannot run, or the user cancels.
pub fn evaluate(
    classifier: &Classifier,
    images: &Path,
    rule: Option<UnknownRule>,
    cache: &SharedCache,
    config: &EmbedConfig,
    reporter: &dyn Reporter,
) -> Result<Evaluation, WorkflowError> {
    let found = scan(images, reporter)?;
    let mut skipped = found.skipped;
    let mut notes = found.notes;
    let judged = [Split::Test, Split::Val].into_iter().find(|s| found.samples.iter().any(|x| x.split == Some(*s)));
    let n_found = found.samples.len();
    let mut labelled: Vec<(PathBuf, ClassIdx)> = Vec::new();
    let mut n_unlabelled = 0;
    let index = classifier.label_index();
    let class_of = |name: &str| {
        let known = classifier.meta.classes.idx(name);
        known.or_else(|| index.as_ref()?.find(name).map(ClassIdx::from))
    };
    for sample in found.samples {
        if judged.is_some() && sample.split != judged {
            continue;
        }
        let Some(name) = sample.class.and_then(|c| found.classes.name(c)) else {
            n_unlabelled += 1;
            continue;
        };
        match class_of(name) {
            Some(class) => labelled.push((sample.path, class)),
            None => {
                let reason = SkipReason::UnknownClass { class: name.to_owned() };
                skipped.push(Skipped { path: sample.path, reason });
            }
        }
    }
    match judged {
        Some(Split::Test) => notes.push("Judged on the test folder alone.".to_owned()),
        Some(_) => notes.push("Judged on the validation folder alone.".to_owned()),
        None => {}
    }
    if labelled.is_empty() {
        let path = images.to_owned();
        return Err(match n_found {
            0 => WorkflowError::NoImages { path },
            _ if n_unlabelled > 0 => WorkflowError::NoClasses { path },
            _ => WorkflowError::NoValidation { path },
        });
    }
    let (paths, classes): (Vec<PathBuf>, Vec<ClassIdx>) = labelled.into_iter().unzip();
    if rule.is_some_and(UnknownRule::needs_distance) && !classifier.meta.has_distance {
        return Err(UnknownError::NoDistance.into());
    }
    let embedded = embed(&classifier.backbone, &paths, cache, config, reporter)?;
    if embedded.path_idx.is_empty() {
        return Err(WorkflowError::nothing_usable(paths.len(), &embedded.skipped));
    }
    let y_true: Vec<ClassIdx> = embedded.path_idx.iter().map(|&i| classes[i]).collect();
    let (logits, distances) = classifier.outputs(&embedded);
    // Each image has one true class, so classes are judged against each other, whatever the activation.
    let report = Report::new(softmax(&logits).view(), &y_true, &classifier.meta.classes, 0)?;
    let temperature = classifier.meta.head.get("temperature").and_then(serde_json::Value::as_f64).unwrap_or(1.0);
    let calibration = calibration(&logits, &y_true, temperature, false, 0)?;
    let known = known_images(&classifier.meta.activation.probabilities(&logits), distances.as_deref(), &y_true);
    let rule = RuleFigures::new(&known, rule.unwrap_or(classifier.meta.unknown));
    skipped.extend(embedded.skipped);
    Ok(Evaluation { report, calibration, known, rule, skipped, notes })
}
