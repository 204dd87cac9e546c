//! What a graph costs: parameters, and multiplications with an addition (MACs). Files may state any dimensions: sums and
//! products that no number holds stay at the largest.

mod rules;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::graph as walk;
use super::proto::{DataType, GraphProto, ModelProto, TensorProto};
use super::{OnnxError, graph};
use rules::{Functions, Rule, Weights};

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
                total = total.saturating_add(n_elements(tensor));
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
    product(tensor.dims.iter().map(|&d| u64::try_from(d).unwrap_or(0)))
}

fn product(dims: impl IntoIterator<Item = u64>) -> u64 {
    // A dimension of zero makes nothing of the largest number as well.
    dims.into_iter().fold(1, u64::saturating_mul)
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
    rule: Rule,
}

impl Multiplications {
    /// Those of a model.
    ///
    /// # Errors
    /// When there is no graph.
    pub fn new(model: &ModelProto) -> Result<Self, OnnxError> {
        let g = graph(model)?;
        let (weights, functions) = (Weights::new(g), Functions::new(&model.functions));
        let nodes = g.node.iter().enumerate().filter_map(|(node_idx, node)| {
            Some(Multiplying { node_idx, rule: rules::of_node(node, &weights, &functions)? })
        });
        Ok(Self { nodes: nodes.collect() })
    }

    /// Tensors whose dimensions are needed.
    pub fn tensors(&self) -> BTreeSet<&str> {
        self.nodes.iter().flat_map(|n| n.rule.tensors()).collect()
    }

    /// MACs of everything that `outputs` need (of all without), in a run with these dimensions. `None` where something
    /// among it multiplies and is not counted: an operator that reads weights in a way of its own, a function, a branch
    /// or a loop that multiplies, or one whose dimensions are not known.
    ///
    /// # Errors
    /// When there is no graph or no such output.
    pub fn macs(
        &self,
        model: &ModelProto,
        outputs: &[&str],
        dims: &BTreeMap<String, Vec<usize>>,
    ) -> Result<Option<u64>, OnnxError> {
        let kept: BTreeSet<usize> = needed(graph(model)?, outputs)?.into_iter().collect();
        let mut total = Some(0u64);
        for node in self.nodes.iter().filter(|n| kept.contains(&n.node_idx)) {
            total = total.zip(node.rule.macs(dims)).map(|(total, macs)| total.saturating_add(macs));
        }
        Ok(total)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::parse;
    use super::super::proto::NodeProto;
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
        assert_eq!(counted.macs(&model, &["z"], &dims).unwrap(), Some(2 * (16 * 64 * 27 + 160)));
        assert_eq!(counted.macs(&model, &["y"], &dims).unwrap(), Some(2 * 16 * 64 * 27));
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

    fn node(op: &str, domain: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(op.into()),
            domain: Some(domain.into()),
            input: inputs.iter().map(|&s| s.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Default::default()
        }
    }

    fn weight(name: &str, dims: &[i64]) -> TensorProto {
        TensorProto {
            name: Some(name.into()),
            dims: dims.to_vec(),
            data_type: Some(DataType::Float as i32),
            ..Default::default()
        }
    }

    fn model(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
        let names: BTreeSet<&str> = node.iter().flat_map(walk::reads).collect();
        let input =
            names.into_iter().map(|name| super::super::build::value(name, DataType::Float as i32, None)).collect();
        let graph = GraphProto { input, node, initializer, ..Default::default() };
        ModelProto { graph: Some(graph), ..Default::default() }
    }

    fn macs(model: &ModelProto, output: &str, dims: &[(&str, &[usize])]) -> Option<u64> {
        let counted = Multiplications::new(model).unwrap();
        let dims: BTreeMap<_, _> = dims.iter().map(|(name, dims)| ((*name).to_owned(), dims.to_vec())).collect();
        assert!(counted.tensors().iter().all(|name| dims.contains_key(*name)), "{:?}", counted.tensors());
        counted.macs(model, &[output], &dims).unwrap()
    }

    #[test]
    fn dimensions_that_no_number_holds() {
        let mut conv = node("Conv", "", &["x", "w"], "y");
        let huge = [1 << 40, 1 << 40, 1 << 40];
        let model = model(vec![conv.clone()], vec![weight("w", &huge), weight("v", &huge)]);
        assert_eq!(n_params(&model, &[]).unwrap(), u64::MAX);
        assert_eq!(macs(&model, "y", &[("y", &[1 << 40, 1 << 40, 0x10])]), Some(u64::MAX));
        conv.input[1] = "v".into();
        let mut two = model;
        two.graph.as_mut().unwrap().node.push(NodeProto { output: vec!["z".into()], ..conv });
        assert_eq!(n_params(&two, &[]).unwrap(), u64::MAX);
        let counted = Multiplications::new(&two).unwrap();
        let dims = ["y", "z"].map(|name| (name.to_owned(), vec![usize::MAX, 2])).into();
        assert_eq!(counted.macs(&two, &[], &dims).unwrap(), Some(u64::MAX));
    }

    #[test]
    fn equations_are_counted_by_their_indices() {
        let einsum = |equation: &str| {
            let mut node = node("Einsum", "", &["x", "w"], "y");
            let s = Some(equation.to_owned().into_bytes().into());
            node.attribute.push(super::super::proto::AttributeProto {
                name: Some("equation".into()),
                s,
                ..Default::default()
            });
            model(vec![node], vec![weight("w", &[16, 40_000])])
        };
        assert_eq!(macs(&einsum("nd,dk->nk"), "y", &[("x", &[2, 16])]), Some(2 * 16 * 40_000));
        assert_eq!(macs(&einsum(" ...d , d k"), "y", &[("x", &[2, 7, 16])]), Some(2 * 7 * 16 * 40_000));
        assert_eq!(macs(&einsum("n...,...k->nk"), "y", &[("x", &[2, 16])]), Some(2 * 16 * 40_000));
        assert_eq!(macs(&einsum("nd,dk->nk"), "y", &[("x", &[2, 7, 16])]), None, "one index too few");
    }

    #[test]
    fn attention_is_counted_in_all_its_forms() {
        use super::super::build::{attr_int, attr_ints};
        let ms = "com.microsoft";
        let projected = |attribute, columns| {
            let attention = NodeProto { attribute, ..node("Attention", ms, &["x", "w", "b"], "y") };
            model(vec![attention], vec![weight("w", &[8, columns])])
        };
        let dims: [(&str, &[usize]); 1] = [("x", &[2, 5, 8])];
        let plain = projected(vec![attr_int("num_heads", 2)], 24);
        assert_eq!(macs(&plain, "y", &dims), Some(2 * (5 * 8 * 24 + 5 * 5 * 16)));
        let narrow = projected(vec![attr_ints("qkv_hidden_sizes", &[4, 4, 10])], 18);
        assert_eq!(macs(&narrow, "y", &dims), Some(2 * (5 * 8 * 18 + 5 * 5 * 14)));

        let of = |domain: &str, op: &str, inputs: &[&str], attribute: Vec<_>| {
            model(vec![NodeProto { attribute, ..node(op, domain, inputs, "y") }], Vec::new())
        };
        let qkv = ["q", "k", "v"];
        for (model, dims) in [
            (of(ms, "MultiHeadAttention", &qkv, vec![]), [&[2, 5, 8][..], &[2, 7, 8], &[2, 7, 8]]),
            (of(ms, "MultiHeadAttention", &qkv, vec![]), [&[2, 5, 8], &[2, 4, 7, 2], &[2, 4, 7, 2]]),
            (of("", "Attention", &qkv, vec![]), [&[2, 4, 5, 2], &[2, 2, 7, 2], &[2, 2, 7, 2]]),
            (
                of("", "Attention", &qkv, vec![attr_int("q_num_heads", 4), attr_int("kv_num_heads", 2)]),
                [&[2, 5, 8], &[2, 7, 4], &[2, 7, 4]],
            ),
        ] {
            let dims: Vec<(&str, &[usize])> = qkv.into_iter().zip(dims).collect();
            assert_eq!(macs(&model, "y", &dims), Some(2 * 5 * 7 * 16), "{dims:?}");
        }
        let packed = of(ms, "MultiHeadAttention", &["q"], vec![]);
        assert_eq!(macs(&packed, "y", &[("q", &[2, 5, 4, 3, 2])]), Some(2 * 5 * 5 * 16));
        let with_past = of("", "Attention", &["q", "k", "v", "", "pk", "pv"], vec![]);
        assert_eq!(macs(&with_past, "y", &[]), None);
    }

    #[test]
    fn what_multiplies_uncounted_makes_the_cost_unknown_from_there_on() {
        use super::super::proto::{AttributeProto, FunctionProto};
        let linear = || node("MatMul", "", &["a", "w"], "l");
        let dims: [(&str, &[usize]); 2] = [("a", &[2, 4]), ("l", &[2, 8])];
        let after = |behind: NodeProto| {
            let weights = vec![weight("w", &[4, 8]), weight("m", &[8, 8]), weight("e", &[1, 8])];
            model(vec![linear(), behind], weights)
        };
        let body = |op: &str| GraphProto { node: vec![node(op, "", &["l", "m"], "t")], ..Default::default() };
        let branch = |op: &str| NodeProto {
            attribute: vec![AttributeProto {
                name: Some("then_branch".into()),
                g: Some(body(op)),
                ..Default::default()
            }],
            ..node("If", "", &["c"], "y")
        };
        for (what, behind, is_known) in [
            ("a new operator", node("Lookup", "com.microsoft", &["l", "m"], "y"), false),
            ("one that reads no weights", node("Lookup", "com.microsoft", &["l"], "y"), true),
            ("a recurrent one", node("LSTM", "", &["l", "a"], "y"), false),
            ("an addition", node("Add", "", &["l", "e"], "y"), true),
            ("a look-up", node("Gather", "", &["m", "l"], "y"), true),
            ("a branch that multiplies", branch("MatMul"), false),
            ("a branch that adds", branch("Add"), true),
        ] {
            let model = after(behind);
            assert_eq!(macs(&model, "l", &dims), Some(2 * 4 * 8), "{what}");
            assert_eq!(macs(&model, "y", &dims), is_known.then_some(2 * 4 * 8), "{what}");
        }
        // A function that calls one that multiplies.
        let function = |name: &str, calls: NodeProto| FunctionProto {
            name: Some(name.into()),
            domain: Some("own".into()),
            node: vec![calls],
            ..Default::default()
        };
        for (op, is_known) in [("MatMul", false), ("Add", true)] {
            let mut model = after(node("Outer", "own", &["l", "e"], "y"));
            model.functions = vec![
                function("Outer", node("Inner", "own", &["a", "b"], "c")),
                function("Inner", node(op, "", &["a", "b"], "c")),
            ];
            assert_eq!(macs(&model, "y", &dims), is_known.then_some(2 * 4 * 8), "{op}");
        }
    }
}
