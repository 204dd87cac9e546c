//! Using an export: its classifier is a graph with preprocessing in its metadata, so it is opened like any backbone,
//! with its logits as features. Judging and predicting therefore share the pipeline and the cache with embedding.

use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2};

use super::embed::{EmbedConfig, embed};
use super::models::open_path;
use super::scan::scan;
use super::{SharedCache, WorkflowError};
use crate::backbone::Backbone;
use crate::classes::ClassIdx;
use crate::dataset::{SkipReason, Skipped, Split};
use crate::export::describe::{FORMAT, Meta};
use crate::export::files;
use crate::head::softmax;
use crate::head::text::TextRecord;
use crate::metrics::Report;
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
        let backbone = open_path(&graph, Some("logits|none"), cache)?;
        if backbone.space.dim != meta.classes.len() {
            return Err(not(format!(
                "{} has {} outputs, {} names {} classes",
                files::CLASSIFIER,
                backbone.space.dim,
                files::META,
                meta.classes.len()
            )));
        }
        if *backbone.preprocess() != meta.preprocess {
            return Err(not(format!("the preprocessing in {} and {} differ", files::CLASSIFIER, files::META)));
        }
        Ok(Self { meta, backbone })
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
    let probabilities = classifier.meta.activation.probabilities(&embedded.embeddings.view().to_owned());
    Ok(Answers { paths, probabilities, skipped: embedded.skipped })
}

/// Figures of an export on a labelled data set.
#[derive(Debug)]
pub struct Evaluation {
    /// The figures.
    pub report: Report,
    /// Files left out.
    pub skipped: Vec<Skipped>,
    /// What the user should know about the whole.
    pub notes: Vec<String>,
}

/// Judges an export on the class folders in `images` (their test split, else their validation split, where there are
/// splits). Classes are matched by name.
///
/// # Errors
/// When there are no labelled images of the export's classes, it cannot run, or the user cancels.
pub fn evaluate(
    classifier: &Classifier,
    images: &Path,
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
    let embedded = embed(&classifier.backbone, &paths, cache, config, reporter)?;
    if embedded.path_idx.is_empty() {
        return Err(WorkflowError::nothing_usable(paths.len(), &embedded.skipped));
    }
    let y_true: Vec<ClassIdx> = embedded.path_idx.iter().map(|&i| classes[i]).collect();
    // Each image has one true class, so classes are judged against each other, whatever the activation.
    let probabilities = softmax(&embedded.embeddings.view().to_owned());
    let report = Report::new(probabilities.view(), &y_true, &classifier.meta.classes, 0)?;
    skipped.extend(embedded.skipped);
    Ok(Evaluation { report, skipped, notes })
}
