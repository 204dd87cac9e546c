//! Inputs beside the image, settled to what they are when a trained model answers.

use super::graph as walk;
use super::proto::tensor_shape_proto::Dimension;
use super::proto::{DataType, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

/// An input that has become a constant.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SettledInput {
    /// Its name.
    pub name: String,
    /// What it is now, for people: `false`, `0`, `1`.
    pub value: &'static str,
}

impl std::fmt::Display for SettledInput {
    /// `The input dropout is set to 0.`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "The input {} is set to {}.", self.name, self.value)
    }
}

/// Makes constants of the inputs beside `image`: flags of training are false, rates of dropout 0, probabilities of keeping 1,
/// masks 1, everything else 0. Whole numbers of two dimensions or more are left, since they may be texts.
///
/// An extent that the model leaves open becomes 1, which operators spread over a batch.
pub fn settle_inputs(model: &mut ModelProto, image: &str) -> Vec<SettledInput> {
    let Some(g) = model.graph.as_mut() else { return Vec::new() };
    let found: Vec<(SettledInput, TensorProto)> = walk::fed_inputs(g)
        .into_iter()
        .filter(|input| input.name() != image)
        .filter_map(|input| {
            let (value, tensor) = neutral(input)?;
            Some((SettledInput { name: input.name().to_owned(), value }, tensor))
        })
        .collect();
    g.input.retain(|input| !found.iter().any(|(settled, _)| settled.name == input.name()));
    found
        .into_iter()
        .map(|(settled, tensor)| {
            g.initializer.push(tensor);
            settled
        })
        .collect()
}

fn neutral(input: &ValueInfoProto) -> Option<(&'static str, TensorProto)> {
    let data_type = DataType::try_from(walk::tensor_type(input)?.elem_type()).ok()?;
    // Without a shape it is the scalar that such inputs are.
    let dims: Vec<i64> =
        walk::dims(input).unwrap_or_default().iter().map(|d: &Dimension| walk::fixed(d).unwrap_or(1)).collect();
    let name = input.name().to_lowercase();
    // A mask says what counts; one of places that are masked says what does not.
    let is_mask = name.contains("mask") && !name.contains("masked");
    let is_one = is_mask || name.contains("keep") || name.contains("scale") || name.contains("temperature");
    let number = if is_one { 1.0 } else { 0.0 };
    let bytes: Vec<u8> = match data_type {
        DataType::Bool => vec![u8::from(is_mask)],
        DataType::Float => (number as f32).to_le_bytes().to_vec(),
        DataType::Float16 => half::f16::from_f64(number).to_le_bytes().to_vec(),
        DataType::Double => number.to_le_bytes().to_vec(),
        DataType::Int32 if dims.len() < 2 => i32::from(is_one).to_le_bytes().to_vec(),
        DataType::Int64 if dims.len() < 2 => i64::from(is_one).to_le_bytes().to_vec(),
        _ => return None,
    };
    let n_elements = dims.iter().try_fold(1_i64, |n, &dim| n.checked_mul(dim));
    let n_elements = usize::try_from(n_elements?).ok().filter(|n| *n <= 1 << 24)?;
    let value = match data_type {
        DataType::Bool if is_mask => "true",
        DataType::Bool => "false",
        _ if is_one => "1",
        _ => "0",
    };
    let tensor = TensorProto {
        name: Some(input.name().to_owned()),
        dims,
        data_type: Some(data_type as i32),
        raw_data: Some(bytes.repeat(n_elements).into()),
        ..Default::default()
    };
    Some((value, tensor))
}

/// Operators of domains that ONNX Runtime does not bring along, as `domain.Operator`, sorted, each once. Functions that the
/// model defines itself are no such.
pub fn custom_operators(model: &ModelProto) -> Vec<String> {
    const KNOWN: [&str; 9] = [
        "",
        "ai.onnx",
        "ai.onnx.ml",
        "ai.onnx.training",
        "ai.onnx.preview.training",
        "com.microsoft",
        "com.microsoft.nchwc",
        "com.microsoft.experimental",
        "com.ms.internal.nhwc",
    ];
    let mut found = std::collections::BTreeSet::new();
    let mut visit = |graph: &GraphProto| {
        for node in &graph.node {
            let is_own = model.functions.iter().any(|f| f.name() == node.op_type() && f.domain() == node.domain());
            if !KNOWN.contains(&node.domain()) && !is_own {
                found.insert(format!("{}.{}", node.domain(), node.op_type()));
            }
        }
    };
    if let Some(graph) = &model.graph {
        each_graph(graph, &mut visit);
    }
    found.into_iter().collect()
}

/// Whether any node is so, anywhere: in the graph, in branches and bodies, in functions.
pub fn any_node(model: &ModelProto, is_it: impl Fn(&NodeProto) -> bool) -> bool {
    let mut found = false;
    let mut visit = |graph: &GraphProto| found |= graph.node.iter().any(&is_it);
    if let Some(graph) = &model.graph {
        each_graph(graph, &mut visit);
    }
    let nodes = || model.functions.iter().flat_map(|function| &function.node);
    for sub in nodes().flat_map(|node| &node.attribute).flat_map(|a| a.g.iter().chain(&a.graphs)) {
        each_graph(sub, &mut visit);
    }
    found || nodes().any(&is_it)
}

fn each_graph(graph: &GraphProto, visit: &mut dyn FnMut(&GraphProto)) {
    visit(graph);
    for node in &graph.node {
        for attribute in &node.attribute {
            attribute.g.iter().chain(&attribute.graphs).for_each(|sub| each_graph(sub, visit));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::build::value;
    use super::super::proto::tensor_shape_proto::Value as Extent;
    use super::*;

    #[test]
    fn inputs_of_training_are_settled_and_texts_are_not() {
        let input = |name: &str, kind: DataType, dims: &[i64]| {
            let dims = dims.iter().map(|&d| (d > 0).then_some(Extent::DimValue(d))).collect();
            value(name, kind as i32, Some(dims))
        };
        let graph = GraphProto {
            input: vec![
                input("image", DataType::Float, &[0, 3, 8, 8]),
                input("is_training", DataType::Bool, &[]),
                input("keep_prob", DataType::Float, &[1]),
                input("bool_masked_pos", DataType::Bool, &[0, 4]),
                input("pixel_mask", DataType::Float, &[0, 8, 8]),
                input("dropout", DataType::Float16, &[]),
                input("endless", DataType::Float, &[1 << 40, 1 << 40]),
                input("input_ids", DataType::Int64, &[0, 0]),
            ],
            ..GraphProto::default()
        };
        let mut model = ModelProto { graph: Some(graph), ..ModelProto::default() };
        let settled = settle_inputs(&mut model, "image");
        let found: Vec<(&str, &str)> = settled.iter().map(|s| (s.name.as_str(), s.value)).collect();
        let wanted = [
            ("is_training", "false"),
            ("keep_prob", "1"),
            ("bool_masked_pos", "false"),
            ("pixel_mask", "1"),
            ("dropout", "0"),
        ];
        assert_eq!(found, wanted);
        let graph = model.graph.unwrap();
        let left: Vec<&str> = graph.input.iter().map(ValueInfoProto::name).collect();
        assert_eq!(left, ["image", "endless", "input_ids"]);
        assert_eq!(graph.initializer[1].raw_data.as_deref(), Some(&1.0_f32.to_le_bytes()[..]));
        assert_eq!((graph.initializer[2].dims.as_slice(), graph.initializer[4].dims.len()), (&[1, 4][..], 0));
    }

    #[test]
    fn operators_of_others_are_named() {
        let node = |domain: &str, op: &str| NodeProto {
            domain: Some(domain.into()),
            op_type: Some(op.into()),
            ..NodeProto::default()
        };
        let node =
            vec![node("", "Relu"), node("com.microsoft", "FusedConv"), node("acme", "Fast"), node("acme", "Fast")];
        let mut model = ModelProto { graph: Some(GraphProto { node, ..GraphProto::default() }), ..Default::default() };
        assert_eq!(custom_operators(&model), ["acme.Fast"]);
        model.functions.push(super::super::proto::FunctionProto {
            name: Some("Fast".into()),
            domain: Some("acme".into()),
            ..Default::default()
        });
        assert!(custom_operators(&model).is_empty());
    }
}
