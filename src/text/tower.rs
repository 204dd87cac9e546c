//! The text tower's graph: which inputs take what, which output is the embedding.

use std::fs;
use std::path::{Path, PathBuf};

use crate::backbone::manifest::{Element, Port};
use crate::backbone::towers::TextFiles;
use crate::backbone::{port, towers};
use crate::onnx::proto::ModelProto;
use crate::onnx::{self, OnnxError};

use super::TextError;

/// A text tower, cut out of its graph.
#[derive(Debug)]
pub struct TextTower {
    /// Its file.
    pub path: PathBuf,
    /// Content hash (BLAKE3, hex) of its file and its external data.
    pub id: String,
    /// The input that takes tokens.
    pub ids: Port,
    /// Other inputs, with what goes into them.
    pub others: Vec<(Port, Role)>,
    /// The output that is the text's embedding.
    pub output: Port,
    /// How many tokens the model knows, where its graph tells.
    pub n_tokens: Option<usize>,
    /// The graph, with that output only.
    pub(super) model: ModelProto,
}

/// What goes into an input beside the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// 1 for tokens of the text, 0 for what fills up.
    Mask,
    /// Which of two texts a token is of: always the first.
    Segment,
    /// Positions from 0.
    Position,
}

/// Names of a text graph's embedding, by the field's habits, best first.
const OUTPUT_NAMES: [&str; 9] = [
    "text_embeds",
    "text_features",
    "text_embeddings",
    "sentence_embedding",
    "embedding",
    "embeddings",
    "pooler_output",
    "output",
    "features",
];

impl TextTower {
    /// Opens the text tower of `files`; `output` names its output in place of what is found.
    ///
    /// # Errors
    /// When the graph cannot be read, takes no tokens, or has no output that can be a text's embedding.
    pub fn open(files: &TextFiles, output: Option<&str>) -> Result<Self, TextError> {
        let path = files.onnx.clone();
        let (whole, id) = read_graph(&path)?;
        let unusable = |source: OnnxError| TextError::Onnx { path: path.clone(), source: source.into() };
        let graph = onnx::graph(&whole).map_err(unusable)?;
        let outputs: Vec<Port> = graph.output.iter().map(port).collect();
        let listed = |ports: &[Port]| ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let no_output = || TextError::NoTextOutput { path: path.clone(), outputs: listed(&outputs) };
        let output = match output {
            Some(name) => {
                let unknown = || TextError::UnknownOutput {
                    path: path.clone(),
                    name: name.to_owned(),
                    outputs: listed(&outputs),
                };
                Some(outputs.iter().find(|o| o.name == name).ok_or_else(unknown)?)
            }
            None => embedding(&outputs, files, &inputs_of(graph)),
        };
        let output = output.cloned().ok_or_else(no_output)?;
        let model = onnx::prune(&whole, &[&output.name]).map_err(unusable)?;
        drop(whole);
        let graph = onnx::graph(&model).map_err(unusable)?;
        let inputs = inputs_of(graph);
        let no_tokens = || TextError::NoTokenInput { path: path.clone(), inputs: listed(&inputs) };
        let (mut ids, mut others): (Option<Port>, Vec<(Port, Role)>) = (None, Vec::new());
        for input in &inputs {
            match role(input) {
                Some(role) => others.push((input.clone(), role)),
                // Of several, one that is named as the field does.
                None if towers::is_tokens(input) || is_open_tokens(input) => {
                    let is_better = ["input_ids", "text", "tokens"].contains(&input.name.as_str());
                    match &ids {
                        Some(_) if !is_better => return Err(no_tokens()),
                        _ => ids = Some(input.clone()),
                    }
                }
                None => return Err(no_tokens()),
            }
        }
        let ids = ids.ok_or_else(no_tokens)?;
        let n_tokens = onnx::gathered_rows(graph, &ids.name);
        Ok(Self { path, id, ids, others, output, n_tokens, model })
    }

    /// The number of texts that a run takes, where the graph fixes it.
    pub fn fixed_batch(&self) -> Option<usize> {
        self.ids.dims.first().copied().flatten()
    }

    /// Whether tokens may follow a text's end in its rows.
    pub(super) fn knows_its_filling(&self) -> bool {
        self.fixed_len() != Some(1)
    }

    /// Whether a text's embedding depends on the others of a run: the graph quantises by what it sees.
    pub fn is_batch_dependent(&self) -> bool {
        let graph = onnx::graph(&self.model);
        graph.is_ok_and(|graph| graph.node.iter().any(|n| n.op_type() == "DynamicQuantizeLinear"))
    }

    /// The number of tokens of a text, where the graph fixes it.
    pub fn fixed_len(&self) -> Option<usize> {
        self.ids.dims.get(1).copied().flatten()
    }
}

/// A graph with its external data, and the hash of both.
pub(super) fn read_graph(path: &Path) -> Result<(ModelProto, String), TextError> {
    let bytes = fs::read(path).map_err(|source| TextError::Read { path: path.to_owned(), source })?;
    let mut id = blake3::hash(&bytes).to_hex().to_string();
    let unusable = |source: OnnxError| TextError::Onnx { path: path.to_owned(), source: source.into() };
    let mut model = onnx::parse(bytes).map_err(unusable)?;
    if onnx::inline_external_data(&mut model, path).map_err(unusable)? {
        id = blake3::hash(&onnx::encode(&model).map_err(unusable)?).to_hex().to_string();
    }
    Ok((model, id))
}

pub(super) fn inputs_of(graph: &crate::onnx::proto::GraphProto) -> Vec<Port> {
    let is_constant = |name: &str| graph.initializer.iter().any(|t| t.name() == name);
    graph.input.iter().filter(|i| !is_constant(i.name())).map(port).collect()
}

/// Tokens whose shape the graph leaves open.
fn is_open_tokens(port: &Port) -> bool {
    matches!(port.element, Element::I32 | Element::I64) && port.dims.is_empty()
}

fn role(input: &Port) -> Option<Role> {
    let name = input.name.to_ascii_lowercase();
    if name.contains("mask") {
        Some(Role::Mask)
    } else if name.contains("type_id") || name.contains("segment") {
        Some(Role::Segment)
    } else if name.contains("position") {
        Some(Role::Position)
    } else {
        None
    }
}

/// The output that is a text's embedding: by its name, else the only vector a text.
fn embedding<'p>(outputs: &'p [Port], files: &TextFiles, inputs: &[Port]) -> Option<&'p Port> {
    let is_vector = |o: &&Port| o.element.is_float() && (o.dims.len() == 2 || o.dims.is_empty());
    let vectors: Vec<&Port> = outputs.iter().filter(is_vector).collect();
    let is_joint = inputs.iter().any(|i| i.dims.len() == 4);
    let named = OUTPUT_NAMES.iter().find_map(|name| vectors.iter().find(|o| o.name == *name));
    // CLIP's pooled output is not projected yet, unlike SigLIP's.
    let is_bare = |port: &&&Port| {
        let kind = towers::model_type(&files.side_dirs);
        port.name == "pooler_output" && kind.is_some_and(|kind| kind.contains("clip") && !kind.contains("siglip"))
    };
    match (named, vectors.as_slice()) {
        (Some(port), _) if is_bare(&port) => None,
        (Some(port), _) => Some(port),
        (None, [port]) if !is_joint => Some(port),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_told_by_their_names() {
        let input = |name: &str| Port { name: name.into(), element: Element::I64, dims: vec![None, None] };
        assert_eq!(role(&input("attention_mask")), Some(Role::Mask));
        assert_eq!(role(&input("token_type_ids")), Some(Role::Segment));
        assert_eq!(role(&input("position_ids")), Some(Role::Position));
        assert_eq!(role(&input("input_ids")), None);
    }
}
