//! What a graph costs: parameters, and multiplications with an addition (MACs).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::graph as walk;
use super::proto::{DataType, GraphProto, ModelProto, NodeProto, TensorProto};
use super::{OnnxError, graph};

/// Nodes that pass a weight on as it is, or in another number format.
const PASSING: [&str; 6] = ["DequantizeLinear", "Cast", "Identity", "Transpose", "Reshape", "QuantizeLinear"];

/// Parameters that the nodes behind `outputs` read (all nodes without): elements of stored weights. Scales and zero points
/// of quantisation, indices, shapes and single numbers are none.
///
/// # Errors
/// When there is no graph or no such output.
pub fn n_params(model: &ModelProto, outputs: &[&str]) -> Result<u64, OnnxError> {
    let g = graph(model)?;
    let kept = needed(g, outputs)?;
    let constant_nodes = g.node.iter().filter(|n| n.op_type() == "Constant").filter_map(|node| {
        let tensor = node.attribute.iter().find_map(|a| a.t.as_ref().filter(|_| a.name() == "value"))?;
        Some((walk::writes(node).next()?, tensor))
    });
    let stored: HashMap<&str, &TensorProto> =
        g.initializer.iter().map(|t| (t.name(), t)).chain(constant_nodes).collect();
    let mut counted: BTreeSet<&str> = BTreeSet::new();
    let mut total = 0u64;
    for node in kept.iter().map(|&idx| &g.node[idx]) {
        for (position, name) in node.input.iter().enumerate() {
            // Of a quantised operator, data and weights alternate with their scales and zero points.
            let is_weight = match node.op_type() {
                "DequantizeLinear" | "QuantizeLinear" | "DynamicQuantizeLinear" => position == 0,
                "QLinearConv" | "QLinearMatMul" => matches!(position, 0 | 3 | 8),
                "QGemm" => matches!(position, 0 | 3 | 6),
                "ConvInteger" | "MatMulInteger" => position < 2,
                // Slices, pads and the like take numbers that nobody learned.
                "Slice" | "Pad" | "Reshape" | "Expand" | "Resize" | "Clip" | "Unsqueeze" | "Squeeze" | "Tile" => false,
                _ => true,
            };
            let Some(tensor) = stored.get(name.as_str()).filter(|_| is_weight) else { continue };
            if is_learned(tensor) && counted.insert(name.as_str()) {
                total += n_elements(tensor);
            }
        }
    }
    Ok(total)
}

fn is_learned(tensor: &TensorProto) -> bool {
    use DataType as T;
    let is_number = matches!(
        DataType::try_from(tensor.data_type()),
        Ok(T::Float | T::Float16 | T::Bfloat16 | T::Double | T::Int8 | T::Uint8 | T::Int4 | T::Uint4 | T::Int32)
    );
    is_number && n_elements(tensor) > 1
}

fn n_elements(tensor: &TensorProto) -> u64 {
    tensor.dims.iter().map(|&d| u64::try_from(d).unwrap_or(0)).product()
}

/// Indices of the nodes that `outputs` need; of all nodes without.
fn needed(g: &GraphProto, outputs: &[&str]) -> Result<Vec<usize>, OnnxError> {
    if outputs.is_empty() {
        return Ok((0..g.node.len()).collect());
    }
    let producers = walk::producers(g);
    let mut keep = BTreeSet::new();
    let mut stack: Vec<&str> = outputs.to_vec();
    while let Some(name) = stack.pop() {
        match producers.get(name) {
            Some(&idx) => {
                if keep.insert(idx) {
                    stack.extend(walk::reads(&g.node[idx]));
                }
            }
            None if walk::exists(g, name) => {}
            None => return Err(OnnxError::UnknownTensor { name: name.to_owned() }),
        }
    }
    Ok(keep.into_iter().collect())
}

/// The nodes of a graph that multiply, and the tensors whose dimensions say how often.
#[derive(Clone, Debug, Default)]
pub struct Multiplications {
    nodes: Vec<Multiplying>,
}

#[derive(Clone, Debug)]
struct Multiplying {
    node_idx: usize,
    output: String,
    rule: Rule,
}

/// How often a node multiplies.
#[derive(Clone, Debug)]
enum Rule {
    /// So often for each element of its output.
    PerOutput(u64),
    /// So often for each element of the tensor, which it reads.
    PerInput(String, u64),
    /// As often for each element of its output as the tensor's last dimension is long (the one before where turned).
    Inner(String, bool),
}

impl Multiplications {
    /// Those of a model.
    ///
    /// # Errors
    /// When there is no graph.
    pub fn new(model: &ModelProto) -> Result<Self, OnnxError> {
        let g = graph(model)?;
        let weights = Weights::new(g);
        let nodes = g.node.iter().enumerate().filter_map(|(node_idx, node)| {
            let output = walk::writes(node).next()?.to_owned();
            Some(Multiplying { node_idx, output, rule: rule(node, &weights)? })
        });
        Ok(Self { nodes: nodes.collect() })
    }

    /// Tensors whose dimensions are needed.
    pub fn tensors(&self) -> BTreeSet<&str> {
        let inputs = self.nodes.iter().filter_map(|n| match &n.rule {
            Rule::PerOutput(_) => None,
            Rule::PerInput(name, _) | Rule::Inner(name, _) => Some(name.as_str()),
        });
        self.nodes.iter().map(|n| n.output.as_str()).chain(inputs).collect()
    }

    /// MACs of everything that `outputs` need (of all without), in a run with these dimensions. What ran without a known
    /// dimension counts as nothing.
    ///
    /// # Errors
    /// When there is no graph or no such output.
    pub fn macs(
        &self,
        model: &ModelProto,
        outputs: &[&str],
        dims: &BTreeMap<String, Vec<usize>>,
    ) -> Result<u64, OnnxError> {
        let kept: BTreeSet<usize> = needed(graph(model)?, outputs)?.into_iter().collect();
        let size = |name: &str| dims.get(name).map_or(0, |d| d.iter().map(|&n| n as u64).product::<u64>());
        let of = |node: &Multiplying| match &node.rule {
            Rule::PerOutput(n) => size(&node.output) * n,
            Rule::PerInput(name, n) => size(name) * n,
            Rule::Inner(name, is_turned) => {
                let back = if *is_turned { 2 } else { 1 };
                let inner = dims.get(name).and_then(|d| d.len().checked_sub(back).and_then(|i| d.get(i)));
                size(&node.output) * inner.map_or(0, |&n| n as u64)
            }
        };
        Ok(self.nodes.iter().filter(|n| kept.contains(&n.node_idx)).map(of).sum())
    }
}

fn rule(node: &NodeProto, weights: &Weights<'_>) -> Option<Rule> {
    let input = |i: usize| node.input.get(i).filter(|name| !name.is_empty());
    match node.op_type() {
        "Conv" | "ConvInteger" | "FusedConv" => {
            let w = weights.dims(input(1)?)?;
            Some(Rule::PerOutput(product(w.get(1..)?)))
        }
        "QLinearConv" => {
            let w = weights.dims(input(3)?)?;
            Some(Rule::PerOutput(product(w.get(1..)?)))
        }
        "ConvTranspose" => {
            let w = weights.dims(input(1)?)?;
            Some(Rule::PerInput(input(0)?.clone(), product(w.get(1..)?)))
        }
        "Gemm" | "QGemm" => {
            let is_turned = node.attribute.iter().any(|a| a.name() == "transA" && a.i() == 1);
            Some(Rule::Inner(input(0)?.clone(), is_turned))
        }
        "MatMul"
        | "MatMulInteger"
        | "QLinearMatMul"
        | "FusedMatMul"
        | "MatMulNBits"
        | "DynamicQuantizeMatMul"
        | "MatMulIntegerToFloat"
        | "FusedGemm" => Some(Rule::Inner(input(0)?.clone(), false)),
        _ => None,
    }
}

fn product(dims: &[u64]) -> u64 {
    dims.iter().product()
}

/// Dimensions of stored weights, also through what only turns their numbers into others.
struct Weights<'g> {
    graph: &'g GraphProto,
    stored: HashMap<&'g str, &'g TensorProto>,
    producers: HashMap<&'g str, usize>,
}

impl<'g> Weights<'g> {
    fn new(graph: &'g GraphProto) -> Self {
        let stored = graph.initializer.iter().map(|t| (t.name(), t)).collect();
        Self { graph, stored, producers: walk::producers(graph) }
    }

    fn dims(&self, name: &str) -> Option<Vec<u64>> {
        let mut name = name;
        for _ in 0..8 {
            if let Some(tensor) = self.stored.get(name) {
                return tensor.dims.iter().map(|&d| u64::try_from(d).ok()).collect();
            }
            let node = &self.graph.node[*self.producers.get(name)?];
            if node.op_type() == "Constant" {
                let tensor = node.attribute.iter().find_map(|a| a.t.as_ref())?;
                return tensor.dims.iter().map(|&d| u64::try_from(d).ok()).collect();
            }
            let is_passing = PASSING.contains(&node.op_type());
            name = node.input.first().filter(|_| is_passing)?;
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn a_convolution_and_a_layer_are_counted_by_hand() {
        use super::super::build::{attr_int, value};
        let tensor = |name: &str, dims: &[i64]| TensorProto {
            name: Some(name.into()),
            dims: dims.to_vec(),
            data_type: Some(DataType::Float as i32),
            ..Default::default()
        };
        let node = |op: &str, inputs: &[&str], output: &str| NodeProto {
            op_type: Some(op.into()),
            input: inputs.iter().map(|&s| s.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: if op == "Gemm" { vec![attr_int("transB", 1)] } else { Vec::new() },
            ..Default::default()
        };
        let g = GraphProto {
            input: vec![value("x", DataType::Float as i32, None)],
            node: vec![
                node("Conv", &["x", "w", "b"], "y"),
                node("GlobalAveragePool", &["y"], "p"),
                node("Flatten", &["p"], "f"),
                node("Gemm", &["f", "v"], "z"),
            ],
            initializer: vec![tensor("w", &[16, 3, 3, 3]), tensor("b", &[16]), tensor("v", &[10, 16])],
            ..Default::default()
        };
        let model = ModelProto { graph: Some(g), ..Default::default() };
        assert_eq!(n_params(&model, &[]).unwrap(), 16 * 27 + 16 + 160);
        assert_eq!(n_params(&model, &["y"]).unwrap(), 16 * 27 + 16);
        let counted = Multiplications::new(&model).unwrap();
        let dims: BTreeMap<String, Vec<usize>> =
            [("y", vec![2, 16, 8, 8]), ("f", vec![2, 16]), ("z", vec![2, 10])].map(|(n, d)| (n.to_owned(), d)).into();
        assert!(dims.keys().all(|name| counted.tensors().contains(name.as_str())));
        assert_eq!(counted.macs(&model, &["z"], &dims).unwrap(), 2 * (16 * 64 * 27 + 160));
        assert_eq!(counted.macs(&model, &["y"], &dims).unwrap(), 2 * 16 * 64 * 27);
        assert!(matches!(counted.macs(&model, &["none"], &dims), Err(OnnxError::UnknownTensor { .. })));
    }

    #[test]
    fn quantised_weights_count_and_their_scales_do_not() {
        let plain = parse(&include_bytes!("../../tests/fixtures/onnx/tiny_cnn/model.onnx")[..]).unwrap();
        let quantised = parse(&include_bytes!("../../tests/fixtures/onnx/tiny_qdq.onnx")[..]).unwrap();
        assert!(n_params(&plain, &[]).unwrap() > 100);
        let n = n_params(&quantised, &[]).unwrap();
        assert!(n > 50, "{n}");
    }
}
