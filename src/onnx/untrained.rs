//! The same architecture before it was trained: random weights in the place of learned ones.

use std::collections::{BTreeMap, HashMap};

use half::f16;
use prost::bytes::Bytes;

use super::build::{attr_int, sign, value};
use super::fuse::FEATURES;
use super::graph as walk;
use super::proto::tensor_shape_proto::Value as Extent;
use super::proto::{DataType, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto};
use super::{OnnxError, graph_mut};
use crate::rng::SplitMix64;

/// Standard deviation of tables of positions and tokens, as vision transformers are initialised with.
const TABLE_STD: f32 = 0.02;
/// So many nodes that only pass a tensor on are looked through.
const DEPTH: usize = 12;
/// Nodes that leave a tensor's numbers as they are, or pick from them.
const PASSING: [&str; 13] = [
    "Identity",
    "Cast",
    "Reshape",
    "Transpose",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "ReduceMean",
    "Pad",
    "Dropout",
];
/// Nodes behind which about half of a signal's energy is left.
const ACTIVATIONS: [&str; 12] = [
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Clip",
    "HardSwish",
    "Elu",
    "Celu",
    "Selu",
    "Gelu",
    "Softplus",
    "Mish",
    // x times its sigmoid, or its erf.
    "Mul",
];

/// A model that gives its image back, row after row: f32 `[N, 3, side, side]` to `features`, `[N, 3 * side * side]`.
pub fn pixel_model(side_px: u32) -> ModelProto {
    const PIXELS: &str = "pixel_values";
    let side = i64::from(side_px);
    let dims = |rest: &[i64]| {
        let batch = Some(Extent::DimParam("batch".to_owned()));
        Some(std::iter::once(batch).chain(rest.iter().map(|&n| Some(Extent::DimValue(n)))).collect())
    };
    let f32s = |name: &str, rest: &[i64]| value(name, DataType::Float as i32, dims(rest));
    let flatten = NodeProto {
        op_type: Some("Flatten".to_owned()),
        input: vec![PIXELS.to_owned()],
        output: vec![FEATURES.to_owned()],
        attribute: vec![attr_int("axis", 1)],
        ..Default::default()
    };
    let graph = GraphProto {
        name: Some("graft_pixels".to_owned()),
        node: vec![flatten],
        input: vec![f32s(PIXELS, &[3, side, side])],
        output: vec![f32s(FEATURES, &[3 * side * side])],
        ..Default::default()
    };
    let mut model = ModelProto {
        ir_version: Some(7),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(13) }],
        graph: Some(graph),
        ..Default::default()
    };
    sign(&mut model, "Raw pixels, made by Graft");
    model
}

/// Puts random weights in the place of the learned ones and returns how many tensors are new.
///
/// Convolutions and products get normal weights of variance `gain / fan_in` with a gain of 2 behind an activation and of 1
/// elsewhere (He et al. 2015), so that signals neither grow nor fade with the depth also where batch normalisation was
/// folded into convolutions; their biases become 0. Batch normalisation that was not folded becomes the identity, since the
/// statistics of a trained network say nothing of this one. Tables (positions, class tokens) get normal values. Layer
/// normalisation computes its statistics itself and stays, and so do shapes and single numbers.
///
/// # Errors
/// [`OnnxError::QuantisedWeights`] where weights are whole numbers, [`OnnxError::NoWeights`] where none is found.
pub fn untrain(model: &mut ModelProto, seed: u64) -> Result<usize, OnnxError> {
    let g = graph_mut(model)?;
    let planned = plan(g)?;
    if !planned.values().any(|new| matches!(new, New::Normal { .. })) {
        return Err(OnnxError::NoWeights);
    }
    let mut n_new = 0;
    for (idx, new) in &planned {
        // A stream for each tensor, so that one more does not change the others.
        let mut rng = SplitMix64::new(SplitMix64::at(seed, *idx as u64));
        match idx.checked_sub(g.initializer.len()) {
            None => n_new += usize::from(fill(&mut g.initializer[*idx], *new, &mut rng)),
            Some(node) => {
                let value = g.node[node].attribute.iter_mut().find(|a| a.name() == "value").and_then(|a| a.t.as_mut());
                n_new += usize::from(value.is_some_and(|tensor| fill(tensor, *new, &mut rng)));
            }
        }
    }
    Ok(n_new)
}

/// What a tensor becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum New {
    Normal { std: f32 },
    All(f32),
}

/// What becomes of each tensor: by its index among the initialisers, those of `Constant` nodes behind them.
fn plan(g: &GraphProto) -> Result<BTreeMap<usize, New>, OnnxError> {
    let n_stored = g.initializer.len();
    let mut stored: HashMap<&str, (usize, &TensorProto)> =
        g.initializer.iter().enumerate().map(|(idx, t)| (t.name(), (idx, t))).collect();
    for (idx, node) in g.node.iter().enumerate().filter(|(_, node)| node.op_type() == "Constant") {
        let value = node.attribute.iter().find_map(|a| a.t.as_ref().filter(|_| a.name() == "value"));
        if let (Some(name), Some(tensor)) = (walk::writes(node).next(), value) {
            stored.insert(name, (n_stored + idx, tensor));
        }
    }
    let look = Look { g, producers: walk::producers(g), stored };
    let mut planned = BTreeMap::new();
    for node in &g.node {
        let input = |position: usize| node.input.get(position).map(String::as_str).filter(|name| !name.is_empty());
        let mut put = |name: Option<&str>, new: New| {
            if let Some((idx, _, _)) = name.and_then(|name| look.weight(name)) {
                planned.entry(idx).or_insert(new);
            }
        };
        match node.op_type() {
            "QLinearConv" | "ConvInteger" | "QLinearMatMul" | "MatMulInteger" | "QGemm" | "MatMulNBits" => {
                return Err(OnnxError::QuantisedWeights);
            }
            "Conv" | "ConvTranspose" | "Gemm" | "MatMul" => {
                let weights = [1, 0].into_iter().filter_map(|position| Some((position, input(position)?)));
                let weights: Vec<_> = weights.collect();
                if weights.iter().any(|(_, name)| look.is_quantised(name)) {
                    return Err(OnnxError::QuantisedWeights);
                }
                let found = weights.iter().find_map(|&(position, name)| Some((position, look.weight(name)?)));
                let Some((position, (_, tensor, is_turned))) = found else { continue };
                let gain =
                    if input(1 - position).is_some_and(|data| look.is_behind_activation(data)) { 2.0 } else { 1.0 };
                let fan_in = fan_in(node, tensor, position, is_turned).max(1.0);
                put(input(position), New::Normal { std: (gain / fan_in).sqrt() as f32 });
                put(input(2), New::All(0.0));
            }
            "BatchNormalization" => {
                for (position, value) in [(1, 1.0), (2, 0.0), (3, 0.0), (4, 1.0)] {
                    put(input(position), New::All(value));
                }
            }
            "Add" | "Concat" | "Gather" => {
                for name in node.input.iter().map(String::as_str) {
                    let Some((_, tensor, _)) = look.weight(name) else { continue };
                    let n_wide = tensor.dims.iter().filter(|n| **n > 1).count();
                    let is_bias = n_wide == 1
                        && node.op_type() == "Add"
                        && node.input.iter().any(|other| look.op(other) == Some("MatMul"));
                    let is_token = n_wide == 1 && tensor.dims.len() > 1 && node.op_type() == "Concat";
                    if is_bias {
                        put(Some(name), New::All(0.0));
                    } else if n_wide > 1 || is_token {
                        put(Some(name), New::Normal { std: TABLE_STD });
                    }
                }
            }
            _ => {}
        }
    }
    Ok(planned)
}

struct Look<'g> {
    g: &'g GraphProto,
    producers: HashMap<&'g str, usize>,
    stored: HashMap<&'g str, (usize, &'g TensorProto)>,
}

impl<'g> Look<'g> {
    fn node(&self, name: &str) -> Option<&'g NodeProto> {
        self.producers.get(name).map(|&idx| &self.g.node[idx])
    }

    fn op(&self, name: &str) -> Option<&'g str> {
        self.node(name).map(NodeProto::op_type)
    }

    /// The learned numbers behind a name, and whether they are transposed on the way.
    fn weight(&self, name: &str) -> Option<(usize, &'g TensorProto, bool)> {
        let (mut name, mut is_turned) = (name, false);
        for _ in 0..DEPTH {
            if let Some(&(idx, tensor)) = self.stored.get(name) {
                return (is_float(tensor) && n_elements(tensor) > 1).then_some((idx, tensor, is_turned));
            }
            let node = self.node(name)?;
            is_turned ^= node.op_type() == "Transpose";
            name = match node.op_type() {
                "Identity" | "Cast" | "Transpose" | "Reshape" | "Squeeze" | "Unsqueeze" => node.input.first()?,
                _ => return None,
            };
        }
        None
    }

    fn is_quantised(&self, name: &str) -> bool {
        let mut name = name;
        for _ in 0..DEPTH {
            let Some(node) = self.node(name) else { return false };
            match node.op_type() {
                // Behind one that is fed by a stored tensor stands a weight.
                "DequantizeLinear" => return node.input.first().is_some_and(|n| self.stored.contains_key(n.as_str())),
                "Identity" | "Cast" | "Transpose" | "Reshape" => {}
                _ => return false,
            }
            let Some(first) = node.input.first() else { return false };
            name = first;
        }
        false
    }

    fn is_behind_activation(&self, name: &str) -> bool {
        let mut name = name;
        for _ in 0..DEPTH {
            let Some(node) = self.node(name) else { return false };
            if ACTIVATIONS.contains(&node.op_type()) {
                return true;
            }
            match node.input.first().filter(|_| PASSING.contains(&node.op_type())) {
                Some(first) => name = first,
                None => return false,
            }
        }
        false
    }
}

/// Numbers that go into one number of the output.
fn fan_in(node: &NodeProto, weight: &TensorProto, position: usize, is_turned: bool) -> f64 {
    let int = |name: &str, or: i64| node.attribute.iter().find(|a| a.name() == name).map_or(or, |a| a.i());
    let dims: Vec<f64> = weight.dims.iter().map(|&n| n.max(1) as f64).collect();
    let product = |dims: &[f64]| dims.iter().product::<f64>();
    match (node.op_type(), dims.as_slice()) {
        ("Conv", [_, rest @ ..]) => product(rest),
        ("ConvTranspose", [inputs, _, kernel @ ..]) => inputs * product(kernel) / int("group", 1).max(1) as f64,
        (op, [.., rows, columns]) => {
            // As B it is [inputs, outputs] unless turned, as A the other way round.
            let is_b = position == 1;
            let by_attribute = op == "Gemm" && int(if is_b { "transB" } else { "transA" }, 0) != 0;
            if is_b ^ by_attribute ^ is_turned { *rows } else { *columns }
        }
        (_, dims) => product(dims),
    }
}

fn is_float(tensor: &TensorProto) -> bool {
    matches!(DataType::try_from(tensor.data_type()), Ok(DataType::Float | DataType::Float16 | DataType::Double))
}

fn n_elements(tensor: &TensorProto) -> usize {
    tensor.dims.iter().fold(1, |n, &d| n.saturating_mul(usize::try_from(d).unwrap_or(0)))
}

fn fill(tensor: &mut TensorProto, new: New, rng: &mut SplitMix64) -> bool {
    let n = n_elements(tensor);
    let mut next = || match new {
        New::All(value) => value,
        New::Normal { std } => std * rng.normal() as f32,
    };
    let raw: Vec<u8> = match DataType::try_from(tensor.data_type()) {
        Ok(DataType::Float) => (0..n).flat_map(|_| next().to_le_bytes()).collect(),
        Ok(DataType::Float16) => (0..n).flat_map(|_| f16::from_f32(next()).to_le_bytes()).collect(),
        Ok(DataType::Double) => (0..n).flat_map(|_| f64::from(next()).to_le_bytes()).collect(),
        _ => return false,
    };
    tensor.raw_data = Some(Bytes::from(raw));
    tensor.float_data.clear();
    tensor.int32_data.clear();
    tensor.double_data.clear();
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::graph::test_node as node;
    use super::*;

    fn stored(name: &str, dims: &[i64], data_type: DataType) -> TensorProto {
        let n: i64 = dims.iter().product();
        TensorProto {
            name: Some(name.to_owned()),
            dims: dims.to_vec(),
            data_type: Some(data_type as i32),
            raw_data: match data_type {
                DataType::Float => {
                    Some((0..n).flat_map(|i| (7.0 + i as f32).to_le_bytes()).collect::<Vec<u8>>().into())
                }
                _ => Some(vec![1; n as usize].into()),
            },
            ..Default::default()
        }
    }

    fn values(model: &ModelProto, name: &str) -> Vec<f32> {
        let g = model.graph.as_ref().unwrap();
        let raw = g.initializer.iter().find(|t| t.name() == name).unwrap().raw_data.clone().unwrap();
        raw.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    fn model(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
        ModelProto { graph: Some(GraphProto { node, initializer, ..Default::default() }), ..Default::default() }
    }

    fn variance(values: &[f32]) -> f32 {
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32
    }

    #[test]
    fn weights_are_drawn_by_what_goes_into_them_and_what_is_before_them() {
        let f = DataType::Float;
        let make = || {
            model(
                vec![
                    node("Conv", &["x", "w1", "b1"], &["a"]),
                    node("Clip", &["a", "low", "high"], &["r"]),
                    node("Conv", &["r", "w2"], &["s"]),
                    node("Flatten", &["s"], &["flat"]),
                    node("MatMul", &["flat", "m"], &["y"]),
                    node("Add", &["y", "bias"], &["z"]),
                    node("Add", &["z", "table"], &["q"]),
                    node("BatchNormalization", &["q", "scale", "shift", "mean", "var"], &["o"]),
                    node("Mul", &["o", "gamma"], &["p"]),
                ],
                vec![
                    stored("w1", &[64, 8, 3, 3], f),
                    stored("b1", &[64], f),
                    stored("low", &[], f),
                    stored("high", &[], f),
                    stored("w2", &[64, 64, 1, 1], f),
                    stored("m", &[64, 100], f),
                    stored("bias", &[100], f),
                    stored("table", &[50, 100], f),
                    stored("scale", &[100], f),
                    stored("shift", &[100], f),
                    stored("mean", &[100], f),
                    stored("var", &[100], f),
                    stored("gamma", &[100], f),
                ],
            )
        };
        let mut random = make();
        assert_eq!(untrain(&mut random, 3).unwrap(), 10);
        for (name, expected) in [("w1", 1.0 / 72.0), ("w2", 2.0 / 64.0), ("m", 1.0 / 64.0), ("table", 0.0004)] {
            let found = variance(&values(&random, name));
            assert!((found / expected - 1.0).abs() < 0.12, "{name}: {found} instead of {expected}");
        }
        for (name, value) in [("b1", 0.0), ("bias", 0.0), ("scale", 1.0), ("shift", 0.0), ("mean", 0.0), ("var", 1.0)] {
            assert!(values(&random, name).iter().all(|v| *v == value), "{name}");
        }
        let old = make();
        for kept in ["low", "high", "gamma"] {
            assert_eq!(values(&random, kept), values(&old, kept));
        }
        let (mut again, mut other) = (make(), make());
        untrain(&mut again, 3).unwrap();
        untrain(&mut other, 4).unwrap();
        assert_eq!(again, random);
        assert_ne!(values(&other, "w1"), values(&random, "w1"));
    }

    #[test]
    fn transposed_weights_and_gemm_have_the_same_fan_in() {
        let f = DataType::Float;
        let mut gemm = node("Gemm", &["x", "g"], &["y"]);
        gemm.attribute.push(super::super::build::attr_int("transB", 1));
        let nodes = vec![gemm, node("Transpose", &["t"], &["tt"]), node("MatMul", &["y", "tt"], &["z"])];
        let mut random = model(nodes, vec![stored("g", &[40, 200], f), stored("t", &[30, 40], f)]);
        untrain(&mut random, 0).unwrap();
        assert!((variance(&values(&random, "g")) * 200.0 - 1.0).abs() < 0.1);
        assert!((variance(&values(&random, "t")) * 40.0 - 1.0).abs() < 0.15);
    }

    #[test]
    fn what_has_no_floating_point_weights_is_refused() {
        let quantised = vec![node("DequantizeLinear", &["w", "s"], &["d"]), node("Conv", &["x", "d"], &["y"])];
        let i = DataType::Int8;
        let mut model_a = model(quantised, vec![stored("w", &[4, 3, 3, 3], i), stored("s", &[], DataType::Float)]);
        assert!(matches!(untrain(&mut model_a, 0), Err(OnnxError::QuantisedWeights)));
        let mut model_b = model(vec![node("QLinearConv", &["x"], &["y"])], Vec::new());
        assert!(matches!(untrain(&mut model_b, 0), Err(OnnxError::QuantisedWeights)));
        let mut model_c = model(vec![node("Relu", &["x"], &["y"])], Vec::new());
        assert!(matches!(untrain(&mut model_c, 0), Err(OnnxError::NoWeights)));
    }
}
