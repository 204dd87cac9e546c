//! The work itself, synchronous: each takes a configuration and a [`Reporter`](crate::progress::Reporter), and
//! returns a value. The command line and (later) the window's worker threads are thin callers.

pub mod certainty;
pub mod clean;
pub mod compare;
pub mod curve;
pub mod embed;
pub mod evaluate;
pub mod explain;
pub mod export;
pub mod few_shot;
pub mod import;
pub mod label_next;
pub mod models;
pub mod predict;
pub mod probe;
pub mod providers;
pub mod report;
pub mod scan;
pub mod sort;
pub mod strangers;
pub mod study;
pub mod train;
pub mod zero_shot;

pub(crate) mod permits;
mod pipeline;
pub(crate) mod source;

use std::path::PathBuf;
use std::sync::Mutex;

use crate::backbone::BackboneError;
use crate::dataset::manifest::ManifestError;
use crate::dataset::{SkipReason, Skipped};
use crate::embedding::WidthMismatch;
use crate::export::ExportError;
use crate::export::report::ReportError;
use crate::head::{HeadError, UnknownError};
use crate::image::similarity::SimilarityError;
use crate::metrics::MetricsError;
use crate::store::cache::EmbeddingCache;
use crate::text::TextError;

/// The embedding cache as workflows share it between threads; `None` works without one.
pub type SharedCache = Option<Mutex<EmbeddingCache>>;

/// Why a piece of work ended without a result. Each message is one sentence for people.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// A model cannot have this name.
    #[error("the model cannot be called {name:?}: {why}")]
    ModelName {
        /// The name.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// A path that cannot be written down cannot be kept.
    #[error("the model {} cannot be used in place: its path is not Unicode text; rename it, or import a copy", .path.display())]
    PathNotText {
        /// The path.
        path: PathBuf,
    },
    /// There is nothing at the path.
    #[error("{} cannot be read: {source}", .path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A table of images is no such thing.
    #[error("{} cannot be used: {source}", .path.display())]
    Table {
        /// The table.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// No file below the path is an image.
    #[error("no images were found in {}: drop a folder with one folder of images a class", .path.display())]
    NoImages {
        /// The folder.
        path: PathBuf,
    },
    /// An image that something is to be said about.
    #[error("{} cannot be looked at: {reason}", .path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: SkipReason,
    },
    /// Images were found and none could be used.
    #[error("none of the {n} images could be used; the first: {} ({reason})", .path.display())]
    NothingUsable {
        /// How many were tried.
        n: usize,
        /// The first of them.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Images without class folders cannot train a head.
    #[error("the images in {} have no classes: put them in one folder a class", .path.display())]
    NoClasses {
        /// The folder.
        path: PathBuf,
    },
    /// Fewer than two classes with usable images.
    #[error("a classifier needs two classes or more with usable images, {} has {found}", .path.display())]
    TooFewClasses {
        /// The folder.
        path: PathBuf,
        /// What was found, as text.
        found: String,
    },
    /// Every training image is also a validation or test image, and those are never trained on.
    #[error(
        "every training image in {} is also a validation or test image: give other images to validate or test on",
        .path.display()
    )]
    OnlyDuplicates {
        /// The training folder.
        path: PathBuf,
    },
    /// The validation folder shares no class with the training folder.
    #[error("no image of {} is in a folder that is called like a class", .path.display())]
    NoValidation {
        /// The validation folder.
        path: PathBuf,
    },
    /// Every class has a single image, which is needed to train on.
    #[error(
        "there is no image to judge on: a learning curve needs validation images, or a class with two images or more"
    )]
    NothingToJudgeOn,
    /// A class has no text to start from.
    #[error("the class {class:?} has no label: add one that is called so, or a line {class}=LABEL")]
    ClassWithoutLabel {
        /// The class.
        class: String,
    },
    /// Two classes would start from the same text.
    #[error(
        "the classes {class:?} and {other:?} have the same label {label:?}: give each a line FOLDER=LABEL of its own"
    )]
    SharedLabel {
        /// The label.
        label: String,
        /// One class.
        class: String,
        /// The other class.
        other: String,
    },
    /// No class folder has a label's name.
    #[error(
        "no class folder in {} has a label's name: name the folders as the labels, or write FOLDER=LABEL in a labels file", .path.display()
    )]
    NoTruth {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is no export of Graft's.
    #[error("{} is not an export of Graft: {why}", .path.display())]
    NotAnExport {
        /// The folder.
        path: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// None of the images that an export is compared on is there.
    #[error("the export cannot be checked: its images are not there any more, such as {}", .path.display())]
    NothingToVerify {
        /// The first of them.
        path: PathBuf,
    },
    /// The sample images are not where they are looked for.
    #[error("the sample images are missing: they are looked for in assets/sample beside the models folder")]
    NoSample,
    /// There is no folder for the user's own models.
    #[error("there is no folder for models: set GRAFT_DATA_DIR to a folder of yours")]
    NoModelsDir,
    /// A model is another one after it was copied.
    #[error("the model {} changed while it was copied: import it again", .path.display())]
    ImportChanged {
        /// The model.
        path: PathBuf,
    },
    /// The system gives no thread.
    #[error("a worker thread could not be started: {source}")]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
    /// The user ended it.
    #[error("cancelled")]
    Cancelled,
    /// A backbone cannot be opened or run.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// A head cannot be fitted or applied.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// There is no rule for "unknown" that does what is wished.
    #[error(transparent)]
    Unknown(#[from] UnknownError),
    /// Judging failed.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Texts cannot be used.
    #[error(transparent)]
    Text(TextError),
    /// Pictures cannot be compared.
    #[error(transparent)]
    Similarity(SimilarityError),
    /// Exporting failed.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A report cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Features of another width than the graph stated.
    #[error(transparent)]
    Width(#[from] WidthMismatch),
    /// A result cannot be written.
    #[error("{} cannot be written: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<SimilarityError> for WorkflowError {
    fn from(error: SimilarityError) -> Self {
        match error {
            SimilarityError::Cancelled => Self::Cancelled,
            error => Self::Similarity(error),
        }
    }
}

impl From<TextError> for WorkflowError {
    fn from(error: TextError) -> Self {
        match error {
            TextError::Cancelled => Self::Cancelled,
            error => Self::Text(error),
        }
    }
}

impl WorkflowError {
    /// The error for `n` images of which none could be used; the first of `skipped` stands for all.
    pub fn nothing_usable(n: usize, skipped: &[Skipped]) -> Self {
        let first = skipped.first();
        Self::NothingUsable {
            n,
            path: first.map(|s| s.path.clone()).unwrap_or_default(),
            reason: first.map(|s| s.reason.to_string()).unwrap_or_default(),
        }
    }
}
