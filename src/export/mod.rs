//! Exports: a folder that gives the same answers elsewhere, and the proof that it does.

pub mod bundle;
pub mod describe;
pub mod report;
pub mod verify;

use std::path::PathBuf;

use crate::backbone::BackboneError;
use crate::onnx::OnnxError;

/// File names inside an export.
pub mod files {
    /// Normalised tensor to `logits` and `probabilities`.
    pub const CLASSIFIER: &str = "classifier.onnx";
    /// A u8 RGB image of any size to `logits` and `probabilities`.
    pub const IMAGE_CLASSIFIER: &str = "image_classifier.onnx";
    /// Features to `logits` and `probabilities`.
    pub const HEAD: &str = "head.onnx";
    /// Weight and bias.
    pub const SAFETENSORS: &str = "head.safetensors";
    /// Class names, one a line, in class order.
    pub const LABELS: &str = "labels.txt";
    /// Everything as JSON.
    pub const META: &str = "graft.json";
    /// A script that classifies images with nothing but onnxruntime and Pillow.
    pub const PREDICT: &str = "predict.py";
    /// What all this is.
    pub const README: &str = "README.md";
    /// Every file that an export has, beside licences and notices of its backbone.
    pub const ALL: [&str; 8] = [CLASSIFIER, IMAGE_CLASSIFIER, HEAD, SAFETENSORS, LABELS, META, PREDICT, README];
}

/// Largest difference of a probability between the app and `classifier.onnx` that still passes.
pub const MAX_ABS_DIFFERENCE: f64 = 1e-4;
/// Smallest share of images on which `image_classifier.onnx` must have the app's top class.
pub const MIN_TOP1_AGREEMENT: f64 = 0.99;

/// Why an export was not made. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file cannot be written.
    #[error("the export to {} failed and nothing was left there: {source}", .dir.display())]
    Write {
        /// The export's folder.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The target is there and is no export, so that it is not replaced.
    #[error("{} exists and is not an export of Graft alone: give another folder, or remove that one first", .dir.display())]
    Occupied {
        /// The folder.
        dir: PathBuf,
    },
    /// The backbone and the head cannot become one graph.
    #[error("the classifier cannot be written as ONNX: {0}")]
    Onnx(#[from] OnnxError),
    /// Weights cannot be written.
    #[error("the weights cannot be written: {message}")]
    Safetensors {
        /// What the library said.
        message: String,
    },
    /// The exported file gives other answers than the app.
    #[error(
        "the exported {file} does not give the app's answers (largest difference of a probability {max_abs_difference:.2e}, same top class on {:.1} % of {n} images), so nothing was written", .top1_agreement * 100.0
    )]
    Disagrees {
        /// The file.
        file: &'static str,
        /// Largest absolute difference of a probability.
        max_abs_difference: f64,
        /// Share of images with the same top class.
        top1_agreement: f64,
        /// Number of images compared.
        n: usize,
    },
    /// The exported file measures other distances than the app.
    #[error(
        "the exported {file} does not measure the app's distances to the nearest class (largest difference {max_distance_difference:.2e} on {n} images), so nothing was written"
    )]
    DistanceDisagrees {
        /// The file.
        file: &'static str,
        /// Largest absolute difference of a distance.
        max_distance_difference: f64,
        /// Number of images compared.
        n: usize,
    },
    /// The exported file says "unknown" of other images than the app.
    #[error(
        "the exported {file} does not say \"unknown\" where the app does (alike on {:.1} % of {n} images), so nothing was written", .unknown_agreement * 100.0
    )]
    DecidesOtherwise {
        /// The file.
        file: &'static str,
        /// Share of images on which both decide alike.
        unknown_agreement: f64,
        /// Number of images compared.
        n: usize,
    },
    /// A graph of the export does not load or run.
    #[error("the exported {file} does not run, so nothing was written: {source}")]
    Run {
        /// The file.
        file: &'static str,
        /// What went wrong.
        source: BackboneError,
    },
    /// The user ended it.
    #[error("cancelled")]
    Cancelled,
}
