//! Predicting: classes and probabilities for files and folders.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::certainty::distances;
use super::embed::{EmbedConfig, embed};
use super::evaluate::{Answers, Classifier, classify};
use super::scan::scan;
use super::train::JudgedHead;
use super::{SharedCache, WorkflowError};
use crate::backbone::Backbone;
use crate::classes::ClassSet;
use crate::dataset::{SkipReason, Skipped};
use crate::export::describe::one_line;
use crate::head::{UnknownError, UnknownRule};
use crate::progress::Reporter;
use crate::store::file::write_atomic;

/// What is said of an image that the rule gives no answer.
pub const UNKNOWN: &str = "unknown";

/// Predictions, with the rule for "unknown".
#[derive(Clone, Debug)]
pub struct Predictions {
    /// Class names, in the order of the probabilities.
    pub classes: ClassSet,
    /// The classifier's answers.
    pub answers: Answers,
    /// When the answer is [`UNKNOWN`].
    pub rule: UnknownRule,
}

impl Predictions {
    /// Label and confidence of each row.
    pub fn labels(&self) -> Vec<(&str, f32)> {
        let label = |(row, (class, p)): (usize, (_, f32))| match self.rule.is_unknown(p, self.distance(row)) {
            true => (UNKNOWN, p),
            false => (self.classes.name(class).unwrap_or(UNKNOWN), p),
        };
        self.answers.top().into_iter().enumerate().map(label).collect()
    }

    /// Distance of a row to its nearest class, where it is measured.
    pub fn distance(&self, row: usize) -> Option<f32> {
        self.answers.distances.as_ref()?.get(row).copied()
    }

    /// Writes a CSV: `File,Label,Confidence`, then a column a class.
    ///
    /// # Errors
    /// When the file cannot be written; an older one is untouched then.
    pub fn write_csv(&self, path: &Path) -> Result<(), WorkflowError> {
        let failed = |source| WorkflowError::Write { path: path.to_owned(), source };
        let bytes = self.csv().map_err(failed)?;
        write_atomic(path, &bytes).map_err(failed)
    }

    fn csv(&self) -> std::io::Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = ["File", "Label", "Confidence"].into_iter().chain(self.classes.names().iter().map(String::as_str));
        writer.write_record(header)?;
        let rows = self.answers.paths.iter().zip(self.labels()).zip(self.answers.probabilities.rows());
        for ((path, (label, confidence)), row) in rows {
            let mut record = vec![path.to_string_lossy().into_owned(), label.to_owned(), format!("{confidence:.6}")];
            record.extend(row.iter().map(|p| format!("{p:.6}")));
            writer.write_record(record)?;
        }
        writer.flush()?;
        writer.into_inner().map_err(|e| std::io::Error::other(e.to_string()))
    }

    /// Writes the rows to a terminal: file, label, confidence.
    ///
    /// # Errors
    /// When the terminal does not take them.
    pub fn write_text(&self, mut out: impl Write) -> std::io::Result<()> {
        for (path, (label, confidence)) in self.answers.paths.iter().zip(self.labels()) {
            writeln!(out, "{}\t{}\t{:.1} %", path.display(), one_line(label), confidence * 100.0)?;
        }
        Ok(())
    }
}

/// Classifies files and the images in folders. `rule` for "unknown" replaces the export's own.
///
/// # Errors
/// When none can be used, the export cannot run, or the user cancels.
pub fn predict(
    classifier: &Classifier,
    inputs: &[PathBuf],
    rule: Option<UnknownRule>,
    cache: &SharedCache,
    config: &EmbedConfig,
    reporter: &dyn Reporter,
) -> Result<Predictions, WorkflowError> {
    let (paths, mut skipped) = list_inputs(inputs, reporter)?;
    let n_tried = paths.len() + skipped.len();
    let mut answers = classify(classifier, &paths, cache, config, reporter)?;
    skipped.append(&mut answers.skipped);
    answers.skipped = skipped;
    if answers.paths.is_empty() {
        return Err(nothing(inputs, n_tried, &answers.skipped));
    }
    let rule = rule.unwrap_or(classifier.meta.unknown);
    if rule.needs_distance() && answers.distances.is_none() {
        return Err(UnknownError::NoDistance.into());
    }
    Ok(Predictions { classes: classifier.meta.classes.clone(), answers, rule })
}

/// Answers on files and folders of a head that has just been fitted, on its own `backbone`; every image gets an answer.
///
/// # Errors
/// As [`predict`].
pub fn predict_with(
    backbone: &Backbone,
    judged: &JudgedHead,
    inputs: &[PathBuf],
    cache: &SharedCache,
    config: &EmbedConfig,
    reporter: &dyn Reporter,
) -> Result<Predictions, WorkflowError> {
    let (paths, mut skipped) = list_inputs(inputs, reporter)?;
    let n_tried = paths.len() + skipped.len();
    let mut embedded = embed(backbone, &paths, cache, config, reporter)?;
    skipped.append(&mut embedded.skipped);
    if embedded.path_idx.is_empty() {
        return Err(nothing(inputs, n_tried, &skipped));
    }
    let head = &judged.trained.head;
    let probabilities = head.probabilities(&embedded.embeddings)?;
    let distances = distances(judged.certainty.nearest.as_deref(), &embedded.embeddings)?;
    let paths = embedded.path_idx.iter().map(|&i| paths[i].clone()).collect();
    let answers = Answers { paths, probabilities, distances, skipped };
    Ok(Predictions { classes: head.classes().clone(), answers, rule: UnknownRule::Off })
}

/// The error where none of what was given can be used.
pub(super) fn nothing(inputs: &[PathBuf], n_tried: usize, skipped: &[Skipped]) -> WorkflowError {
    match skipped {
        [] => WorkflowError::NoImages { path: inputs.first().cloned().unwrap_or_default() },
        skipped => WorkflowError::nothing_usable(n_tried, skipped),
    }
}

/// Image files, of files and folders that were given, and what cannot be one of them.
///
/// # Errors
/// When a folder cannot be read, or the user cancels.
pub(super) fn list_inputs(
    inputs: &[PathBuf],
    reporter: &dyn Reporter,
) -> Result<(Vec<PathBuf>, Vec<Skipped>), WorkflowError> {
    let (mut paths, mut skipped) = (Vec::new(), Vec::new());
    for input in inputs {
        if input.is_dir() {
            let found = scan(input, reporter)?;
            paths.extend(found.samples.into_iter().map(|s| s.path));
            for Skipped { path, reason } in found.skipped {
                // Splits mean nothing here: every image below the folder is wanted.
                match reason {
                    SkipReason::OutsideSplits => paths.push(path),
                    reason => skipped.push(Skipped { path, reason }),
                }
            }
        } else if input.exists() {
            // What is not a regular file is refused by the pipeline, before it is opened.
            paths.push(input.clone());
        } else {
            let reason = SkipReason::Unreadable { message: "there is no such file".to_owned() };
            skipped.push(Skipped { path: input.clone(), reason });
        }
    }
    Ok((paths, skipped))
}
