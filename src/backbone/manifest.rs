//! What a model says about itself, and what was guessed where it is silent.

use std::path::PathBuf;

use serde::Serialize;

use super::architecture::Architecture;
use super::roles::Role;
use super::towers::TextFiles;
use crate::image::spec::{PreprocessSpec, TensorLayout};
use crate::onnx::inputs::SettledInput;

/// Where a value comes from. What was read, what was guessed and what the user set are three different things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    /// Read from a file of the model.
    File {
        /// The file's name.
        name: String,
    },
    /// Read from the graph: the input's shape or element type, or its metadata.
    Graph,
    /// Guessed.
    Guess {
        /// Why this value.
        why: String,
    },
    /// Set by the user.
    User,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { name } => write!(f, "read from {name}"),
            Self::Graph => f.write_str("read from the graph"),
            Self::Guess { why } => write!(f, "guessed: {why}"),
            Self::User => f.write_str("set by you"),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

impl<T> Sourced<T> {
    /// A guess, with its reason.
    pub fn guess(value: T, why: &str) -> Self {
        Self { value, origin: Origin::Guess { why: why.to_owned() } }
    }
}

/// Preprocessing with the origin of each of its values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResolvedPreprocess {
    /// The whole, as data.
    pub spec: PreprocessSpec,
    /// Field of the specification and where its value comes from, in the order of the fields.
    pub origins: Vec<(&'static str, Origin)>,
}

/// Element type of a tensor, as far as Graft cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Element {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point.
    F16,
    /// Unsigned bytes.
    U8,
    /// 64-bit integers.
    I64,
    /// 32-bit integers.
    I32,
    /// Anything else; the number is ONNX's `TensorProto.DataType`.
    Other(i32),
}

impl Element {
    /// Whether it is a floating-point type that features can have.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16)
    }

    /// A short name.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::U8 => "u8",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::Other(_) => "another type",
        }
    }
}

/// An input or output of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Element type.
    pub element: Element,
    /// Dimensions; `None` where they are dynamic. Empty when the graph does not say.
    pub dims: Vec<Option<usize>>,
}

/// How a feature tensor becomes one vector an image.
pub use crate::onnx::Pooling;

/// The tensor that serves as features.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeatureChoice {
    /// Name of the tensor.
    pub tensor: String,
    /// How it is pooled.
    #[serde(serialize_with = "pooling_text")]
    pub pooling: Pooling,
}

impl FeatureChoice {
    /// `tensor` or `tensor|pooling`: the form of `--layer` and of `EmbeddingSpace::layer`.
    pub fn label(&self) -> String {
        match self.pooling {
            Pooling::None => self.tensor.clone(),
            pooling => format!("{}|{}", self.tensor, pooling_name(pooling)),
        }
    }
}

/// The word for a pooling in `--layer` and in files.
pub fn pooling_name(pooling: Pooling) -> &'static str {
    POOLINGS.iter().find(|(p, _)| *p == pooling).map_or("none", |(_, name)| name)
}

/// The pooling that a word means.
pub fn pooling_from_name(name: &str) -> Option<Pooling> {
    POOLINGS.iter().find(|(_, n)| *n == name).map(|(p, _)| *p)
}

/// The tensor and the pooling of a label in the form of [`FeatureChoice::label`]. The whole label is the tensor where
/// `is_tensor` says so, and where what stands behind its last `|` is no pooling.
pub fn split_label(label: &str, is_tensor: impl Fn(&str) -> bool) -> (&str, Option<Pooling>) {
    let parts = label.rsplit_once('|').filter(|_| !is_tensor(label));
    match parts.and_then(|(tensor, name)| Some((tensor, pooling_from_name(name)?))) {
        Some((tensor, pooling)) => (tensor, Some(pooling)),
        None => (label, None),
    }
}

/// Every pooling's word.
pub fn pooling_names() -> impl Iterator<Item = &'static str> {
    POOLINGS.iter().map(|(_, name)| *name)
}

const POOLINGS: [(Pooling, &str); 8] = [
    (Pooling::None, "none"),
    (Pooling::GlobalAverage { layout: TensorLayout::Nchw }, "gap"),
    (Pooling::GlobalAverage { layout: TensorLayout::Nhwc }, "gap_nhwc"),
    (Pooling::GeneralisedMean { layout: TensorLayout::Nchw }, "gem"),
    (Pooling::GeneralisedMean { layout: TensorLayout::Nhwc }, "gem_nhwc"),
    (Pooling::ClsToken, "cls"),
    (Pooling::MeanToken, "mean"),
    (Pooling::Flatten, "flatten"),
];

fn pooling_text<S: serde::Serializer>(pooling: &Pooling, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(pooling_name(*pooling))
}

/// Everything known about an installed or imported backbone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    /// Name for people: the model's own, else its folder's or file's.
    pub name: String,
    /// Content hash (BLAKE3, hex) of the ONNX file and its external data.
    pub id: String,
    /// The ONNX file.
    pub path: PathBuf,
    /// Size of the ONNX file, in bytes.
    pub size_bytes: u64,
    /// The image input.
    pub input: Port,
    /// Every output of the graph.
    pub outputs: Vec<Port>,
    /// What serves as features unless the user says otherwise.
    pub feature: Sourced<FeatureChoice>,
    /// What lies in the space of the text tower, where there is one and an output can be it.
    pub joint: Option<Sourced<FeatureChoice>>,
    /// The text tower, where one was found.
    pub text: Option<TextFiles>,
    /// Preprocessing.
    pub preprocess: ResolvedPreprocess,
    /// Licence, where a file says it.
    pub licence: Option<String>,
    /// Where the weights come from, where a file says it.
    pub source: Option<String>,
    /// Version of the default operator set.
    pub opset: i64,
    /// Inputs beside the image, and what they are set to.
    pub settled: Vec<SettledInput>,
    /// The family of architectures that it is of.
    pub architecture: Sourced<Architecture>,
    /// What each output holds, in the order of the outputs.
    pub roles: Vec<Sourced<Role>>,
    /// Parameters of the image's part of the graph.
    pub n_params: u64,
    /// What the user should know about its files.
    pub notes: Vec<String>,
}

impl std::fmt::Display for Port {
    /// `name: f32 [?, 3, 224, 224]`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dims: Vec<String> = self.dims.iter().map(|d| d.map_or_else(|| "?".to_owned(), |d| d.to_string())).collect();
        write!(f, "{}: {} [{}]", self.name, self.element.name(), dims.join(", "))
    }
}
