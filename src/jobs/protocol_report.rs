//! What a report is asked for with.

use std::path::PathBuf;
use std::sync::Arc;

use super::ModelChoice;
use crate::dataset::Split;
use crate::export::report::LearningCurve;
use crate::head::UnknownRule;
use crate::project::runs::{Run, RunMarks};
use crate::workflow::report::{ComparedRuns, ReportedCopies};
use crate::workflow::train::JudgedHead;

/// An image that heads were fitted or judged on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowOfReport {
    /// The file.
    pub path: PathBuf,
    /// Its row in the table.
    pub row: u32,
    /// Its class: index into the heads'.
    pub class: u32,
    /// Its split.
    pub split: Split,
}

/// A report of heads.
#[derive(Clone, Debug)]
pub struct ReportRequest {
    /// The file.
    pub path: PathBuf,
    /// What it is about.
    pub title: String,
    /// The command that gives such a report.
    pub command: String,
    /// In what that would be another one, in sentences.
    pub differs: Vec<String>,
    /// Folders of the images.
    pub folders: Vec<PathBuf>,
    /// The choice of model that the rows belong to.
    pub epoch: u64,
    /// The model.
    pub model: ModelChoice,
    /// The heads.
    pub heads: Vec<Arc<JudgedHead>>,
    /// The head that answers.
    pub shown: usize,
    /// Everything that took part.
    pub rows: Vec<RowOfReport>,
    /// Images that repeat others.
    pub copies: Vec<ReportedCopies>,
    /// Files that were left out, with the reason.
    pub skipped: Vec<(PathBuf, String)>,
    /// What else is to be known.
    pub notes: Vec<String>,
    /// Whether the validation images were given.
    pub val_is_given: bool,
    /// Seed of the split.
    pub seed: u64,
    /// When the answer is "unknown".
    pub unknown: UnknownRule,
    /// The learning curve, where it was drawn on the data as they are.
    pub curve: Option<LearningCurve>,
    /// Runs, latest first.
    pub runs: Vec<(Run, RunMarks)>,
    /// Two of them against each other.
    pub compared: Option<ComparedRuns>,
}
