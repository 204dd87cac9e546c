//! Where the channels of inner maps are: before their sides, as convolutions have them, or behind.

use std::collections::HashMap;

use super::graph as walk;
use super::proto::{GraphProto, ModelProto, NodeProto};
use super::{OnnxError, graph};
use crate::image::spec::TensorLayout;

/// Operators whose maps have their channels first, by the ONNX specification.
const CHANNELS_FIRST: [&str; 22] = [
    "Conv",
    "ConvTranspose",
    "ConvInteger",
    "DeformConv",
    "QLinearConv",
    "FusedConv",
    "MaxPool",
    "AveragePool",
    "LpPool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GlobalLpPool",
    "MaxUnpool",
    "BatchNormalization",
    "InstanceNormalization",
    "GroupNormalization",
    "LRN",
    "DepthToSpace",
    "SpaceToDepth",
    "QLinearAveragePool",
    "QLinearGlobalAveragePool",
    "FusedBatchNormalization",
];
/// Operators that change what tensors have for dimensions, so that nothing follows from their inputs.
const UNKNOWN: [&str; 12] = [
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "MatMul",
    "Gemm",
    "Einsum",
    "Gather",
    "GatherND",
    "Expand",
    "Shape",
    "If",
];

/// The layout of every tensor of which the operators around it tell it, whatever its rank: only for maps it means anything.
///
/// # Errors
/// When the model has no graph, or its graph has a cycle.
pub fn layouts<'m>(
    model: &'m ModelProto,
    input: &'m str,
    of_input: TensorLayout,
) -> Result<HashMap<&'m str, TensorLayout>, OnnxError> {
    let g = graph(model)?;
    let order = walk::topological_order(g)?;
    let weights = weights(g, &order);
    let mut known = HashMap::from([(input, of_input)]);
    // What is known of the inputs goes down, what is known of the outputs goes up; twice, since each may help the other.
    for _ in 0..2 {
        for &idx in &order {
            down(&g.node[idx], &weights, &mut known);
        }
        for &idx in order.iter().rev() {
            up(&g.node[idx], &weights, &mut known);
        }
    }
    Ok(known)
}

/// Ranks of stored tensors, also of those behind what only converts or turns them.
fn weights<'g>(g: &'g GraphProto, order: &[usize]) -> HashMap<&'g str, usize> {
    let mut ranks: HashMap<&str, usize> = g.initializer.iter().map(|t| (t.name(), t.dims.len())).collect();
    for node in order.iter().map(|&idx| &g.node[idx]) {
        let rank = match node.op_type() {
            "Constant" => node.attribute.iter().find_map(|a| a.t.as_ref()).map(|t| t.dims.len()),
            "DequantizeLinear" | "Cast" | "Transpose" | "Identity" => {
                node.input.first().and_then(|i| ranks.get(i.as_str())).copied()
            }
            _ => None,
        };
        if let (Some(rank), Some(output)) = (rank, walk::writes(node).next()) {
            ranks.insert(output, rank);
        }
    }
    ranks
}

fn down<'g>(node: &'g NodeProto, weights: &HashMap<&str, usize>, known: &mut HashMap<&'g str, TensorLayout>) {
    let found = match of_operator(node, weights) {
        Some(layout) => Some(layout),
        None if node.op_type() == "Transpose" => {
            let before = node.input.first().and_then(|i| known.get(i.as_str())).copied();
            before.and_then(|before| turned(node, before))
        }
        None if UNKNOWN.contains(&node.op_type()) => None,
        // What works value by value, slices, joins or fills up keeps what its inputs have.
        None => node.input.iter().find_map(|i| known.get(i.as_str()).copied()),
    };
    let Some(layout) = found else { return };
    for output in walk::writes(node) {
        known.entry(output).or_insert(layout);
    }
}

fn up<'g>(node: &'g NodeProto, weights: &HashMap<&str, usize>, known: &mut HashMap<&'g str, TensorLayout>) {
    let inputs = node.input.iter().map(String::as_str).filter(|i| !i.is_empty() && !weights.contains_key(i));
    let of_output = walk::writes(node).next().and_then(|output| known.get(output)).copied();
    let found = match (of_operator(node, weights), of_output) {
        (Some(layout), _) => Some(layout),
        (None, Some(after)) if node.op_type() == "Transpose" => {
            [TensorLayout::Nchw, TensorLayout::Nhwc].into_iter().find(|before| turned(node, *before) == Some(after))
        }
        (None, after) => after.filter(|_| !UNKNOWN.contains(&node.op_type())),
    };
    let Some(layout) = found else { return };
    for input in inputs {
        known.entry(input).or_insert(layout);
    }
}

/// What an operator says by itself, of what it reads and of what it makes.
fn of_operator(node: &NodeProto, weights: &HashMap<&str, usize>) -> Option<TensorLayout> {
    let op = node.op_type();
    if node.domain().contains("nhwc") || op.starts_with("Nhwc") {
        return Some(TensorLayout::Nhwc);
    }
    match op {
        _ if CHANNELS_FIRST.contains(&op) => Some(TensorLayout::Nchw),
        // A projection works on the last dimension, and so does what normalises it.
        "MatMul" if node.input.get(1).is_some_and(|w| weights.get(w.as_str()) == Some(&2)) => Some(TensorLayout::Nhwc),
        "LayerNormalization" | "SkipLayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => {
            let axis = node.attribute.iter().find(|a| a.name() == "axis").map_or(-1, |a| a.i());
            matches!(axis, -1 | 3).then_some(TensorLayout::Nhwc)
        }
        _ => None,
    }
}

/// The layout behind a transposition of a map.
fn turned(node: &NodeProto, before: TensorLayout) -> Option<TensorLayout> {
    let perm = &node.attribute.iter().find(|a| a.name() == "perm")?.ints;
    match (perm.as_slice(), before) {
        ([0, 2, 3, 1], TensorLayout::Nchw) => Some(TensorLayout::Nhwc),
        ([0, 3, 1, 2], TensorLayout::Nhwc) => Some(TensorLayout::Nchw),
        ([0, 1, 2, 3] | [0, 1, 3, 2], TensorLayout::Nchw) => Some(TensorLayout::Nchw),
        ([0, 1, 2, 3] | [0, 2, 1, 3], TensorLayout::Nhwc) => Some(TensorLayout::Nhwc),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::build::attr_ints;
    use super::super::graph::test_node as node;
    use super::super::proto::TensorProto;
    use super::*;

    #[test]
    fn channels_are_where_operators_have_them() {
        let transpose = |from: &str, to: &str, perm: &[i64]| NodeProto {
            attribute: vec![attr_ints("perm", perm)],
            ..node("Transpose", &[from], &[to])
        };
        let graph = GraphProto {
            node: vec![
                transpose("x", "t", &[0, 3, 1, 2]),
                node("Conv", &["t", "w"], &["c"]),
                node("Relu", &["c"], &["r"]),
                transpose("r", "n", &[0, 2, 3, 1]),
                node("Reshape", &["n", "s"], &["q"]),
                node("Concat", &["q", "q"], &["rolled"]),
                node("MatMul", &["rolled", "v"], &["p"]),
                node("Add", &["p", "rolled"], &["y"]),
            ],
            initializer: vec![TensorProto { name: Some("v".into()), dims: vec![8, 8], ..TensorProto::default() }],
            ..GraphProto::default()
        };
        let model = ModelProto { graph: Some(graph), ..ModelProto::default() };
        let found = layouts(&model, "x", TensorLayout::Nhwc).unwrap();
        for (name, layout) in [
            ("t", TensorLayout::Nchw),
            ("r", TensorLayout::Nchw),
            ("n", TensorLayout::Nhwc),
            ("q", TensorLayout::Nhwc),
            ("rolled", TensorLayout::Nhwc),
            ("y", TensorLayout::Nhwc),
        ] {
            assert_eq!(found.get(name), Some(&layout), "{name}");
        }
    }
}
