//! ONNX models as data: read, pruned, extended and written as protobuf messages, without ONNX Runtime.
//!
//! - [`parse`] and [`encode`]: bytes to [`ModelProto`] and back, losing nothing;
//! - [`external`]: weights in files beside the model, brought into it;
//! - [`mod@prune`]: only what chosen outputs need;
//! - [`layers`]: which tensors of a backbone may serve as features;
//! - [`cost`]: parameters and multiplications; [`inputs`]: what a graph wants beside an image;
//! - [`fuse`]: a backbone cut at a layer, a head, and both in one model;
//! - [`untrain`]: the same architecture with random weights;
//! - [`pixels`]: the preprocessing as part of the model, equal to Pillow's.
//!
//! Everything that Graft adds to a foreign graph is named `graft/…` and uses only operators whose form did not change
//! between opsets 11 and 22, so that a backbone keeps its own opset and needs no converter.

mod axes;
mod build;
pub mod cost;
mod count;
mod distance;
pub mod external;
pub mod fuse;
mod graph;
pub mod inputs;
pub mod layers;
pub mod pixels;
pub mod proto;
pub mod prune;
mod tables;
mod untrained;

use std::path::PathBuf;

use prost::Message;
use prost::bytes::Bytes;

use crate::image::spec::SpecError;
use proto::{GraphProto, ModelProto, StringStringEntryProto};

pub use axes::layouts;
pub use distance::DISTANCE;
pub use external::{external_locations, inline_external_data};
pub use fuse::{Pooling, classifier_model, feature_model, fix_batch, head_model, image_classifier_model};
pub use graph::{exists, producer};
pub use layers::{LayerCandidate, candidates, expose_shapes, for_inference};
pub use prune::prune;
pub use tables::{gathered_rows, scalar};
pub use untrained::{pixel_model, untrain};

/// Largest protobuf message in bytes (2 GiB - 1); larger files do not load anywhere.
pub const MAX_MODEL_BYTES: u64 = i32::MAX as u64;

/// Why a model cannot be read, changed or written.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The bytes are no ONNX model.
    #[error("this is not an ONNX model: {reason}")]
    NotOnnx {
        /// What is missing or wrong, as the end of a sentence.
        reason: String,
    },
    /// The model does not import ONNX's own operators.
    #[error("the model names no version of the standard ONNX operators")]
    NoDefaultOpset,
    /// The model's opset is older than what is added needs.
    #[error("{what} needs ONNX opset {needed}, the model has {found}; convert it to a newer opset first")]
    OpsetTooOld {
        /// What was to be added.
        what: &'static str,
        /// Version of the default domain in the model.
        found: i64,
        /// Lowest version that works.
        needed: i64,
    },
    /// The message is larger than protobuf allows.
    #[error("the model would have {bytes} bytes in one file; ONNX files end at 2 GiB")]
    TooLarge {
        /// Size of the encoded message.
        bytes: u64,
    },
    /// A tensor that does not exist in the graph.
    #[error("the model has no tensor named `{name}`")]
    UnknownTensor {
        /// Its name.
        name: String,
    },
    /// A node depends on its own output.
    #[error("the model's graph has a cycle at `{name}`")]
    Cycle {
        /// A tensor in the cycle.
        name: String,
    },
    /// A tensor's location leads out of the model's folder.
    #[error("the tensor `{tensor}` is stored in `{location}`, which is outside the model's folder")]
    ExternalOutside {
        /// Name of the tensor.
        tensor: String,
        /// Location as the model names it.
        location: String,
    },
    /// A tensor's external data has no usable description.
    #[error("the tensor `{tensor}` is stored outside the file, but its `{field}` is not usable")]
    ExternalField {
        /// Name of the tensor.
        tensor: String,
        /// Key of the entry.
        field: &'static str,
    },
    /// A file of weights cannot be read.
    #[error("the tensor `{tensor}` is stored in {}, which cannot be read", path.display())]
    ExternalRead {
        /// Name of the tensor.
        tensor: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file of weights ends before the tensor does.
    #[error("the tensor `{tensor}` needs {needed} bytes from byte {offset} of {}, which has {found}", path.display())]
    ExternalShort {
        /// Name of the tensor.
        tensor: String,
        /// The file.
        path: PathBuf,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        needed: u64,
        /// Length of the file.
        found: u64,
    },
    /// The stated length of external data does not fit the tensor's shape and type.
    #[error("the tensor `{tensor}` has {needed} bytes by its shape, but {found} are stored")]
    ExternalSize {
        /// Name of the tensor.
        tensor: String,
        /// Bytes by shape and element type.
        needed: u64,
        /// Bytes stored.
        found: u64,
    },
    /// Features and head have different dimensions.
    #[error("the backbone gives {features} features, the head takes {head}")]
    Dim {
        /// Features of the backbone.
        features: i64,
        /// Columns of the head's weight.
        head: i64,
    },
    /// The head has no class, no feature, or a bias of another length.
    #[error("the head's weight is {n_classes} x {dim} and its bias has {n_biases} values")]
    HeadShape {
        /// Rows of the weight.
        n_classes: usize,
        /// Columns of the weight.
        dim: usize,
        /// Length of the bias.
        n_biases: usize,
    },
    /// Weights are whole numbers, which random ones cannot be put in the place of.
    #[error("the model's weights are quantised, and random ones cannot be put in their place")]
    QuantisedWeights,
    /// No convolution or product of the graph has stored weights.
    #[error("the model's graph has no weights that could be random ones")]
    NoWeights,
    /// A name that Graft gives to an input or output belongs to an input of the model.
    #[error("the model has an input named `{name}`, which Graft needs for an output")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The features need more than one input.
    #[error("the features need {n} inputs ({names}); an image classifier has one", n = names.len(), names = names.join(", "))]
    Inputs {
        /// Names of the inputs.
        names: Vec<String>,
    },
    /// The input is no batch of three-channel images of the size that the preprocessing gives.
    #[error("the model's input `{name}` has the shape {found}; the preprocessing gives {expected}")]
    InputShape {
        /// Name of the input.
        name: String,
        /// Its shape as text.
        found: String,
        /// Shape of the preprocessed image as text.
        expected: String,
    },
    /// The input's elements are of a type that pixels are not converted to.
    #[error("the model's input `{name}` has the element type {elem_type}; images become float, half, double or uint8")]
    InputType {
        /// Name of the input.
        name: String,
        /// Number of the [`proto::DataType`].
        elem_type: i32,
    },
    /// The preprocessing contradicts itself.
    #[error(transparent)]
    Preprocess(#[from] SpecError),
}

/// Reads a model. Weights in the bytes are shared with the message, not copied.
///
/// # Errors
/// [`OnnxError::NotOnnx`] when the bytes are no protobuf, or hold no graph, no node or no opset.
pub fn parse(bytes: impl Into<Bytes>) -> Result<ModelProto, OnnxError> {
    let bytes = bytes.into();
    let not = |reason: &str| OnnxError::NotOnnx { reason: reason.to_owned() };
    if bytes.is_empty() {
        return Err(not("the file is empty"));
    }
    // What is left behind by a `git clone` without LFS, a frequent accident with models from hubs.
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(not("it is a Git LFS pointer that stands for the real file"));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(not("it is a ZIP archive: unpack it and give the model in it"));
    }
    if count::structure_bytes(&bytes) > count::MAX_STRUCTURE_BYTES {
        return Err(not("it describes more parts than any model has"));
    }
    let model = ModelProto::decode(bytes).map_err(|e| not(&format!("its structure is damaged ({e})")))?;
    let Some(graph) = &model.graph else { return Err(not("it holds no graph")) };
    if graph.node.is_empty() {
        return Err(not("its graph has no nodes"));
    }
    if graph.output.is_empty() {
        return Err(not("its graph has no outputs"));
    }
    if model.opset_import.is_empty() {
        return Err(not("it names no operator set"));
    }
    Ok(model)
}

/// The bytes of a model.
///
/// # Errors
/// [`OnnxError::TooLarge`] when protobuf cannot hold them.
pub fn encode(model: &ModelProto) -> Result<Vec<u8>, OnnxError> {
    check_size(model)?;
    Ok(model.encode_to_vec())
}

fn check_size(model: &ModelProto) -> Result<(), OnnxError> {
    let bytes = model.encoded_len() as u64;
    if bytes > MAX_MODEL_BYTES { Err(OnnxError::TooLarge { bytes }) } else { Ok(()) }
}

/// Version of an operator set; the default domain is `""`, also written `ai.onnx`.
pub fn opset(model: &ModelProto, domain: &str) -> Option<i64> {
    let plain = |d: &str| if d == "ai.onnx" { String::new() } else { d.to_owned() };
    let wanted = plain(domain);
    model.opset_import.iter().find(|o| plain(o.domain()) == wanted).map(proto::OperatorSetIdProto::version)
}

/// Value of a key of the model's `metadata_props`.
pub fn metadata<'m>(model: &'m ModelProto, key: &str) -> Option<&'m str> {
    model.metadata_props.iter().find(|e| e.key() == key).map(StringStringEntryProto::value)
}

/// Sets keys of the model's `metadata_props`; other keys stay.
pub fn set_metadata(model: &mut ModelProto, entries: &[(&str, &str)]) {
    for &(key, value) in entries {
        model.metadata_props.retain(|e| e.key() != key);
        model.metadata_props.push(StringStringEntryProto { key: Some(key.to_owned()), value: Some(value.to_owned()) });
    }
}

/// The graph, which [`parse`] has found; its absence in a hand-made message is an error, not a panic.
///
/// # Errors
/// When there is none.
pub fn graph(model: &ModelProto) -> Result<&GraphProto, OnnxError> {
    model.graph.as_ref().ok_or_else(|| OnnxError::NotOnnx { reason: "it holds no graph".to_owned() })
}

fn graph_mut(model: &mut ModelProto) -> Result<&mut GraphProto, OnnxError> {
    model.graph.as_mut().ok_or_else(|| OnnxError::NotOnnx { reason: "it holds no graph".to_owned() })
}

fn require_opset(model: &ModelProto, what: &'static str, needed: i64) -> Result<(), OnnxError> {
    match opset(model, "") {
        None => Err(OnnxError::NoDefaultOpset),
        Some(found) if found < needed => Err(OnnxError::OpsetTooOld { what, found, needed }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::proto::{NodeProto, OperatorSetIdProto, ValueInfoProto};
    use super::*;

    fn tiny() -> ModelProto {
        ModelProto {
            ir_version: Some(8),
            graph: Some(GraphProto {
                node: vec![NodeProto { op_type: Some("Relu".into()), ..Default::default() }],
                output: vec![ValueInfoProto { name: Some("y".into()), ..Default::default() }],
                ..Default::default()
            }),
            opset_import: vec![OperatorSetIdProto { domain: Some("ai.onnx".into()), version: Some(17) }],
            ..Default::default()
        }
    }

    fn reason(bytes: Vec<u8>) -> String {
        match parse(bytes) {
            Err(OnnxError::NotOnnx { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_model_is_named() {
        assert_eq!(reason(Vec::new()), "the file is empty");
        assert!(reason(b"\x89PNG\r\n\x1a\n0000".to_vec()).contains("damaged"));
        assert!(reason(b"version https://git-lfs.github.com/spec/v1\noid".to_vec()).contains("Git LFS"));
        assert_eq!(reason(ModelProto { graph: None, ..tiny() }.encode_to_vec()), "it holds no graph");
        let no_nodes = ModelProto { graph: Some(GraphProto::default()), ..tiny() };
        assert_eq!(reason(no_nodes.encode_to_vec()), "its graph has no nodes");
        let no_opset = ModelProto { opset_import: vec![], ..tiny() };
        assert_eq!(reason(no_opset.encode_to_vec()), "it names no operator set");
        let mut no_outputs = tiny();
        no_outputs.graph.as_mut().unwrap().output.clear();
        assert_eq!(reason(no_outputs.encode_to_vec()), "its graph has no outputs");
    }

    #[test]
    fn fixtures_survive_a_round_trip() {
        for bytes in [
            &include_bytes!("../../tests/fixtures/onnx/tiny_cnn/model.onnx")[..],
            &include_bytes!("../../tests/fixtures/onnx/tiny_vit.onnx")[..],
            &include_bytes!("../../tests/fixtures/onnx/tiny_qdq.onnx")[..],
        ] {
            let model = parse(bytes).unwrap();
            // Python's protobuf writes the fields in the order of their numbers, and so does prost: same bytes.
            assert_eq!(encode(&model).unwrap(), bytes);
        }
    }

    #[test]
    fn opsets_and_metadata() {
        let mut model = tiny();
        assert_eq!(opset(&model, ""), Some(17));
        assert_eq!(opset(&model, "com.microsoft"), None);
        assert_eq!(metadata(&model, "a"), None);
        set_metadata(&mut model, &[("a", "1"), ("b", "2")]);
        set_metadata(&mut model, &[("a", "3")]);
        assert_eq!((metadata(&model, "a"), metadata(&model, "b")), (Some("3"), Some("2")));
        assert_eq!(model.metadata_props.len(), 2);
    }
}
