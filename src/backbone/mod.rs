//! Backbones: what a model is, how its input is prepared, which tensor serves as features, and running it.

pub mod architecture;
pub mod layers;
pub mod library;
pub mod locate;
pub mod manifest;
pub mod provider;
pub mod resolve;
pub mod roles;
pub mod runtime;
pub mod session;
pub mod towers;

mod choose;
mod describe;
mod open;
mod own_preprocess;
mod untrained;
pub mod usual;

pub(crate) use describe::port;
pub use open::Backbone;

use std::path::PathBuf;

use crate::image::spec::{SpecError, TensorLayout};
use crate::onnx::OnnxError;

/// Key of an ONNX file's metadata under which Graft's exports carry their preprocessing.
pub const METADATA_PREPROCESS: &str = "graft.preprocess";

/// Why a backbone cannot be opened or run.
#[derive(Debug, thiserror::Error)]
pub enum BackboneError {
    /// The file or folder cannot be read.
    #[error("the model {} cannot be read: {source}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No installed model has this name, and there is no such file.
    #[error("there is no model called {name:?}: installed are {}; or give the path of an .onnx file or a model folder", .installed.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names of the installed models.
        installed: Vec<String>,
    },
    /// What the library has in place of a model that lies elsewhere does not say where.
    #[error("{} does not say where its model lies ({why}): import the model again under this name", .path.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The folder holds no ONNX file where one is expected.
    #[error("the folder {} holds no ONNX model (looked for model.onnx, onnx/vision_model.onnx and any single .onnx file)", .path.display())]
    NoModelInFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds text towers only.
    #[error("the folder {} holds a text tower and no image tower: put the image tower's .onnx file beside it", .path.display())]
    NoImageTower {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds several ONNX files and none has a usual name.
    #[error("the folder {} holds {n} ONNX models: give the path of one of them, such as {}", .path.display(), .example.display())]
    SeveralModels {
        /// The folder.
        path: PathBuf,
        /// How many.
        n: usize,
        /// One of them.
        example: PathBuf,
    },
    /// The file is no usable ONNX.
    #[error("the model {} cannot be used: {source}", .path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: OnnxError,
    },
    /// The graph cannot be cut at a layer.
    #[error("the model's graph cannot be used: {source}")]
    Graph {
        /// What is wrong with it.
        source: OnnxError,
    },
    /// The graph has no input that an image could go into.
    #[error(
        "the model has no image input: Graft needs a 4-dimensional floating-point or byte input with 3 channels, it has {inputs}"
    )]
    NoImageInput {
        /// The inputs, as text.
        inputs: String,
    },
    /// Another input of the graph has no default.
    #[error("the model wants more than an image: its input {input:?} has no default value")]
    OtherInput {
        /// Name of the input.
        input: String,
    },
    /// The graph finds objects.
    #[error(
        "the model finds objects in images ({why}) and does not describe them as a whole: export its backbone alone, or \
         name one of its layers"
    )]
    Detector {
        /// What shows it.
        why: String,
    },
    /// The graph needs operators that ONNX Runtime does not have.
    #[error(
        "the model needs the custom operators {}, which ONNX Runtime does not have: without importing it, a layer before them \
         can be named, of those that `graft inspect --layers` lists", .operators.join(", ")
    )]
    CustomOperators {
        /// Their names.
        operators: Vec<String>,
    },
    /// The file is larger than any ONNX file can be.
    #[error("{} has {:.1} GB: an ONNX file ends at 2.1 GB, with larger weights in files beside it", .path.display(), *.bytes as f64 / 1e9)]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The features are no numbers.
    #[error("the model's features are no numbers: its weights are damaged, or do not fit its number format{settled}")]
    NotNumbers {
        /// Inputs beside the image and what they were set to, in brackets; empty where there are none.
        settled: String,
    },
    /// The features of some images are no numbers.
    #[error("the model's features are no numbers for {n_images} of {n} images")]
    NotNumbersFor {
        /// Of how many.
        n_images: usize,
        /// How many there are.
        n: usize,
    },
    /// The features are the same for every picture.
    #[error("the model's features are the same for every picture, so that nothing can be learned from them{settled}")]
    Blind {
        /// As there.
        settled: String,
    },
    /// A run would need more memory than there is.
    #[error("the model takes more at once than memory holds: its input is {input}")]
    InputTooLarge {
        /// The input.
        input: String,
    },
    /// The graph has no output or layer that can serve as features.
    #[error("the model has no output that can serve as features (a floating-point tensor with one row an image)")]
    NoFeatures,
    /// The layer asked for does not exist or cannot serve as features.
    #[error("the layer {layer:?} cannot serve as features: {why}; `graft inspect` lists those that can")]
    Layer {
        /// What was asked for.
        layer: String,
        /// Why not.
        why: String,
    },
    /// The preprocessing contradicts itself.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The preprocessing gives another size than the graph takes.
    #[error(
        "the preprocessing gives {width_px} x {height_px} px and the model takes {} x {} px alone: set the crop or the \
         size of the resize to that", side(*.takes_width_px), side(*.takes_height_px)
    )]
    InputSize {
        /// Height that the preprocessing gives.
        height_px: u32,
        /// Width that the preprocessing gives.
        width_px: u32,
        /// Height that the graph fixes, if it does.
        takes_height_px: Option<u32>,
        /// Width that the graph fixes, if it does.
        takes_width_px: Option<u32>,
    },
    /// The preprocessing puts the channels elsewhere than the graph says.
    #[error("the preprocessing's layout is not the model's, which is {}", layout(*.takes))]
    InputLayout {
        /// The graph's layout.
        takes: TensorLayout,
    },
    /// Random weights for it would take as long and as much memory as the model itself.
    #[error("the model has {mb} MB, and random weights are only put into models of {max_mb} MB or less")]
    TooLargeToUntrain {
        /// Its size.
        mb: u64,
        /// Largest size.
        max_mb: u64,
    },
    /// ONNX Runtime is missing.
    #[error(transparent)]
    Runtime(#[from] runtime::RuntimeError),
    /// ONNX Runtime refuses the graph.
    #[error("ONNX Runtime cannot load the model: {message}")]
    Load {
        /// What it said.
        message: String,
    },
    /// The execution provider that was asked for does not work on this machine.
    #[error("{} cannot be used here ({reason}): choose another provider, such as Auto", .provider.label())]
    Provider {
        /// What was asked for.
        provider: provider::Provider,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// A run failed.
    #[error("ONNX Runtime failed while running the model: {message}")]
    Run {
        /// What it said.
        message: String,
    },
}

fn side(px: Option<u32>) -> String {
    px.map_or_else(|| "any".to_owned(), |px| px.to_string())
}

fn layout(layout: TensorLayout) -> &'static str {
    match layout {
        TensorLayout::Nchw => "channels first (NCHW)",
        TensorLayout::Nhwc => "channels last (NHWC)",
    }
}
