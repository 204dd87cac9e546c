//! What the outputs of a graph are, and whether a graph is made for something else than describing an image.

use serde::Serialize;

use super::manifest::{Origin, Port, Sourced};
use crate::onnx::producer;
use crate::onnx::proto::{GraphProto, NodeProto};

/// What an output holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// One vector an image, `[N, D]`.
    Features,
    /// A vector for each place or patch of an image, `[N, T, D]`.
    Tokens,
    /// A map of features, `[N, D, H, W]` or `[N, H, W, D]`.
    Map,
    /// Scores of classes, `[N, K]`.
    Logits,
    /// Something else.
    Other,
}

impl Role {
    /// Its name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Features => "features",
            Self::Tokens => "tokens",
            Self::Map => "feature map",
            Self::Logits => "class scores",
            Self::Other => "other",
        }
    }
}

/// Names of outputs that are scores of classes.
const SCORES: [&str; 8] = ["logits", "prob", "softmax", "score", "class", "predictions", "dense", "pred"];
/// Names of outputs that are vectors.
const VECTORS: [&str; 6] = ["feature", "embed", "pooler", "pooled", "representation", "descriptor"];
/// Names of outputs of detectors.
const BOXES: [&str; 6] = ["boxes", "bbox", "detection", "num_dets", "pred_box", "det_scores"];

/// The role of each output, in their order. `n_classes` is how many classes a file says that the model has.
pub fn of_outputs(graph: &GraphProto, outputs: &[Port], n_classes: Option<usize>) -> Vec<Sourced<Role>> {
    outputs.iter().map(|output| of_output(graph, output, n_classes)).collect()
}

fn of_output(graph: &GraphProto, output: &Port, n_classes: Option<usize>) -> Sourced<Role> {
    let graph_says = |value| Sourced { value, origin: Origin::Graph };
    if !output.element.is_float() {
        return graph_says(Role::Other);
    }
    match output.dims.len() {
        4 => return graph_says(Role::Map),
        3 => return graph_says(Role::Tokens),
        0 | 2 => {}
        _ => return graph_says(Role::Other),
    }
    let name = output.name.to_lowercase();
    let last = last_computing(graph, &output.name);
    let width = output.dims.get(1).copied().flatten();
    if VECTORS.iter().any(|word| name.contains(word)) {
        return Sourced::guess(Role::Features, "the output's name");
    }
    if SCORES.iter().any(|word| name.contains(word)) {
        return Sourced::guess(Role::Logits, "the output's name");
    }
    if width.is_some() && width == n_classes {
        return Sourced::guess(Role::Logits, "as wide as the files name classes");
    }
    if graph.node.iter().any(|n| n.op_type() == "Softmax" && n.output.contains(&output.name)) {
        return graph_says(Role::Logits);
    }
    match last.map(NodeProto::op_type) {
        Some("Gemm" | "MatMul" | "MatMulInteger" | "QLinearMatMul" | "QGemm") => match width {
            // Of a lone projection only its width tells what it is for.
            Some(width) if width % 64 == 0 => {
                Sourced::guess(Role::Features, "a projection to a width that embeddings have")
            }
            _ => Sourced::guess(Role::Logits, "a linear layer at the end"),
        },
        Some("LpNormalization" | "Div") => Sourced::guess(Role::Features, "normalised at the end, as embeddings are"),
        _ if ends_in_pooled_convolution(graph, &output.name) => Sourced::guess(
            Role::Logits,
            "a convolution and its mean at the end, as scores are made without a linear layer",
        ),
        _ => Sourced::guess(Role::Features, "no linear layer at the end"),
    }
}

/// The node that makes a tensor, through what only reshapes or adds a bias.
fn last_computing<'g>(graph: &'g GraphProto, output: &str) -> Option<&'g NodeProto> {
    let mut name = output;
    for _ in 0..12 {
        let node = producer(graph, name)?;
        match node.op_type() {
            "Div" if !is_stored(graph, node.input.get(1)) => return Some(node),
            "Identity" | "Cast" | "DequantizeLinear" | "QuantizeLinear" | "Add" | "Mul" | "Div" | "Reshape"
            | "Squeeze" => {
                let computed =
                    node.input.iter().find(|i| producer(graph, i).is_some_and(|p| p.op_type() != "Constant"));
                name = computed.or(node.input.first())?;
            }
            _ => return Some(node),
        }
    }
    None
}

fn is_stored(graph: &GraphProto, name: Option<&String>) -> bool {
    let Some(name) = name else { return false };
    graph.initializer.iter().any(|t| t.name() == name)
        || producer(graph, name).is_some_and(|node| node.op_type() == "Constant")
}

/// Scores that are the mean of a convolution's map, as in SqueezeNet.
pub(super) fn ends_in_pooled_convolution(graph: &GraphProto, output: &str) -> bool {
    convolution_head(graph, output).is_some()
}

/// The data of the 1 x 1 convolution that makes scores behind `output`, looked for through pooling and reshaping.
pub(super) fn convolution_head<'g>(graph: &'g GraphProto, output: &str) -> Option<&'g str> {
    let mut name = output;
    for _ in 0..12 {
        let node = producer(graph, name)?;
        match node.op_type() {
            "Softmax" | "LogSoftmax" | "Sigmoid" | "Identity" | "Cast" | "Flatten" | "Reshape" | "Squeeze" | "Relu"
            | "GlobalAveragePool" | "ReduceMean" | "AveragePool" | "Dropout" | "DequantizeLinear"
            | "QuantizeLinear" => {
                name = node.input.first()?;
            }
            "Conv" | "QLinearConv" => {
                let weight = node.input.get(if node.op_type() == "Conv" { 1 } else { 3 })?;
                let dims = graph.initializer.iter().find(|t| t.name() == weight).map(|t| &t.dims);
                let is_pointwise = match dims {
                    Some(dims) => dims.get(2..).is_some_and(|k| k.iter().all(|&n| n == 1)),
                    // A quantised weight lies behind its scale.
                    None => node.attribute.iter().any(|a| a.name() == "kernel_shape" && a.ints.iter().all(|&n| n == 1)),
                };
                return node.input.first().map(String::as_str).filter(|_| is_pointwise);
            }
            _ => return None,
        }
    }
    None
}

/// Why a graph is a detector, if it is one.
pub fn detector(graph: &GraphProto, outputs: &[Port]) -> Option<String> {
    if let Some(node) = graph.node.iter().find(|n| matches!(n.op_type(), "NonMaxSuppression" | "RoiAlign")) {
        return Some(format!("its graph has the operator {}", node.op_type()));
    }
    let named = |o: &&Port| {
        let name = o.name.to_lowercase();
        // A row a box, or a box's few numbers: scores of a class called so are neither.
        let is_boxes = o.dims.len() != 2 || matches!(o.dims.last(), Some(Some(4..=6) | None));
        is_boxes && BOXES.iter().any(|word| name.contains(word))
    };
    if let Some(output) = outputs.iter().find(named) {
        return Some(format!("its output {:?} is one of boxes", output.name));
    }
    // A grid of candidates: very many rows of a few numbers, put together from several scales.
    let is_grid = |o: &&Port| {
        let [_, Some(a), Some(b)] = o.dims[..] else { return false };
        let (few, many) = (a.min(b), a.max(b));
        let mut name = o.name.as_str();
        if let Some(turned) = producer(graph, name).filter(|n| n.op_type() == "Transpose") {
            name = turned.input.first().map_or(name, String::as_str);
        }
        // Tokens with a class token are joined too, but only one of the parts comes from the image.
        let is_joined = producer(graph, name).is_some_and(|n| {
            n.op_type() == "Concat" && n.input.iter().filter(|part| comes_from_convolution(graph, part)).count() > 1
        });
        // Widths that transformers have, and hardly any number of classes and coordinates.
        let is_width = few >= 128 && few % 64 == 0;
        is_joined && !is_width && (5..=300).contains(&few) && many >= 300 && many > few * 4
    };
    outputs.iter().find(is_grid).map(|o| format!("its output {o} is a grid of boxes"))
}

/// Whether a convolution is found by going up from a tensor, along what is not stored.
fn comes_from_convolution(graph: &GraphProto, tensor: &str) -> bool {
    let mut name = tensor;
    for _ in 0..48 {
        let Some(node) = producer(graph, name) else { return false };
        if node.op_type().contains("Conv") {
            return true;
        }
        let is_computed = |i: &&String| producer(graph, i).is_some_and(|p| p.op_type() != "Constant");
        let Some(next) = node.input.iter().find(is_computed) else { return false };
        name = next;
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::manifest::Element;
    use super::*;

    fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(op.into()),
            input: inputs.iter().map(|&s| s.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        }
    }

    fn port(name: &str, dims: &[usize]) -> Port {
        let dims = std::iter::once(None).chain(dims.iter().map(|&d| Some(d))).collect();
        Port { name: name.into(), element: Element::F32, dims }
    }

    #[test]
    fn outputs_have_roles() {
        let graph = GraphProto {
            node: vec![
                node("GlobalAveragePool", &["x"], "p"),
                node("Flatten", &["p"], "f"),
                node("Gemm", &["f", "w"], "y"),
                node("Gemm", &["f", "v"], "z"),
            ],
            ..GraphProto::default()
        };
        for (output, role) in [
            (port("y", &[1000]), Role::Logits),
            (port("z", &[512]), Role::Features),
            (port("f", &[48]), Role::Features),
            (port("image_embeds", &[500]), Role::Features),
            (port("logits", &[512]), Role::Logits),
            (port("last_hidden_state", &[50, 768]), Role::Tokens),
            (port("map", &[64, 7, 7]), Role::Map),
        ] {
            assert_eq!(of_outputs(&graph, std::slice::from_ref(&output), None)[0].value, role, "{output}");
        }
        assert_eq!(of_outputs(&graph, &[port("z", &[512])], Some(512))[0].value, Role::Logits);
    }

    #[test]
    fn detectors_are_known_by_their_boxes() {
        let yolo = GraphProto {
            node: vec![
                node("Conv", &["x", "w"], "a"),
                node("Conv", &["x", "v"], "c"),
                node("Sigmoid", &["c"], "b"),
                node("Concat", &["a", "b"], "output0"),
            ],
            ..GraphProto::default()
        };
        assert!(detector(&yolo, &[port("output0", &[84, 8400])]).is_some());
        assert!(detector(&yolo, &[port("output0", &[197, 768])]).is_none());
        assert!(detector(&GraphProto::default(), &[port("boxes", &[4])]).is_some());
        assert!(detector(&GraphProto::default(), &[port("face_detection", &[10])]).is_none());
        // Patches with their class token, of a picture of 448 px.
        let tokens = GraphProto {
            node: vec![
                node("Conv", &["x", "w"], "patches"),
                node("Expand", &["token", "shape"], "cls"),
                node("Concat", &["cls", "patches"], "tokens"),
            ],
            ..GraphProto::default()
        };
        assert!(detector(&tokens, &[port("tokens", &[1025, 192])]).is_none());
        let nms = GraphProto { node: vec![node("NonMaxSuppression", &["a"], "b")], ..GraphProto::default() };
        assert!(detector(&nms, &[]).unwrap().contains("NonMaxSuppression"));
    }
}
