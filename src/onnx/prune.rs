//! Only what chosen outputs need.

use std::collections::{HashMap, HashSet};

use super::graph as walk;
use super::proto::{ModelProto, TensorProto, ValueInfoProto};
use super::{OnnxError, graph};

/// The model with the given tensors as its only outputs, in the given order, and only the nodes, constants, inputs and
/// value infos that they need. The order of the nodes is kept. Information for training is dropped, since it refers to
/// the whole graph.
///
/// An output that the model knows no type of gets a value info with only a name, which ONNX Runtime fills in.
///
/// # Errors
/// [`OnnxError::UnknownTensor`] when an output does not exist, or the graph reads a tensor that nothing makes.
pub fn prune(model: &ModelProto, outputs: &[&str]) -> Result<ModelProto, OnnxError> {
    let source = graph(model)?;
    let producers = walk::producers(source);
    let stored: HashSet<&str> = walk::constants(source).collect();
    let fed: HashSet<&str> = source.input.iter().map(ValueInfoProto::name).collect();

    let mut needed: HashSet<&str> = HashSet::new();
    let mut keep = vec![false; source.node.len()];
    let mut stack: Vec<&str> = outputs.to_vec();
    while let Some(name) = stack.pop() {
        if needed.contains(name) {
            continue;
        }
        match producers.get_key_value(name) {
            Some((&own, &idx)) => {
                needed.insert(own);
                if !std::mem::replace(&mut keep[idx], true) {
                    stack.extend(walk::reads(&source.node[idx]));
                }
            }
            None => match stored.get(name).or_else(|| fed.get(name)) {
                Some(&own) => {
                    needed.insert(own);
                }
                None => return Err(OnnxError::UnknownTensor { name: name.to_owned() }),
            },
        }
    }
    // The other outputs of a node that is kept exist too, and what is known about them stays true.
    let made = source.node.iter().zip(&keep).filter(|&(_, &k)| k).flat_map(|(node, _)| walk::writes(node));
    needed.extend(made);

    let infos: HashMap<&str, &ValueInfoProto> =
        source.value_info.iter().chain(&source.input).chain(&source.output).map(|v| (v.name(), v)).collect();
    let new_outputs = outputs.iter().map(|&name| match infos.get(name) {
        Some(&info) => info.clone(),
        None => ValueInfoProto { name: Some(name.to_owned()), ..Default::default() },
    });
    let new_outputs: Vec<_> = new_outputs.collect();

    // Former outputs that are inner tensors now keep their types as value infos.
    let demoted: Vec<ValueInfoProto> = source
        .output
        .iter()
        .filter(|o| needed.contains(o.name()) && !fed.contains(o.name()) && !stored.contains(o.name()))
        .filter(|o| !outputs.contains(&o.name()) && !source.value_info.iter().any(|v| v.name() == o.name()))
        .cloned()
        .collect();

    // Built field by field, so that weights that are dropped are not copied first.
    let graph = super::proto::GraphProto {
        node: source.node.iter().zip(&keep).filter(|&(_, &k)| k).map(|(node, _)| node.clone()).collect(),
        name: source.name.clone(),
        initializer: source.initializer.iter().filter(|t| needed.contains(TensorProto::name(t))).cloned().collect(),
        doc_string: source.doc_string.clone(),
        input: source.input.iter().filter(|i| needed.contains(i.name())).cloned().collect(),
        value_info: source
            .value_info
            .iter()
            .filter(|v| needed.contains(v.name()) && !outputs.contains(&v.name()))
            .cloned()
            .chain(demoted)
            .collect(),
        output: new_outputs,
        quantization_annotation: source
            .quantization_annotation
            .iter()
            .filter(|q| needed.contains(q.tensor_name()))
            .filter(|q| q.quant_parameter_tensor_names.iter().all(|e| needed.contains(e.value())))
            .cloned()
            .collect(),
        sparse_initializer: source
            .sparse_initializer
            .iter()
            .filter(|s| needed.contains(walk::sparse_name(s)))
            .cloned()
            .collect(),
        metadata_props: source.metadata_props.clone(),
    };
    let mut pruned = ModelProto { graph: None, training_info: Vec::new(), ..shell(model) };
    pruned.graph = Some(graph);
    Ok(pruned)
}

/// The model without its graph.
fn shell(model: &ModelProto) -> ModelProto {
    ModelProto {
        ir_version: model.ir_version,
        producer_name: model.producer_name.clone(),
        producer_version: model.producer_version.clone(),
        domain: model.domain.clone(),
        model_version: model.model_version,
        doc_string: model.doc_string.clone(),
        graph: None,
        opset_import: model.opset_import.clone(),
        metadata_props: model.metadata_props.clone(),
        training_info: Vec::new(),
        functions: model.functions.clone(),
        configuration: model.configuration.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::onnx::proto::{AttributeProto, GraphProto, NodeProto};
    use crate::onnx::{encode, parse};

    fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
        let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
        NodeProto { op_type: Some(op.into()), input: owned(inputs), output: owned(outputs), ..Default::default() }
    }

    fn named(name: &str) -> ValueInfoProto {
        ValueInfoProto { name: Some(name.into()), ..Default::default() }
    }

    fn constant(name: &str) -> TensorProto {
        TensorProto { name: Some(name.into()), ..Default::default() }
    }

    #[test]
    fn only_what_is_needed_stays() {
        let model = parse(&include_bytes!("../../tests/fixtures/onnx/tiny_cnn/model.onnx")[..]).unwrap();
        let pruned = prune(&model, &["block0_out"]).unwrap();
        let graph = pruned.graph.as_ref().unwrap();
        assert_eq!(graph.output.len(), 1);
        assert_eq!(graph.node.last().unwrap().output, ["block0_out"]);
        assert_eq!(graph.node.len(), 8);
        assert!(graph.initializer.iter().all(|t| !t.name().starts_with("block1") && !t.name().starts_with("fc")));
        assert!(encode(&pruned).unwrap().len() < encode(&model).unwrap().len());
        assert_eq!(pruned.opset_import, model.opset_import);
    }

    #[test]
    fn subgraphs_keep_what_they_capture() {
        let sub = GraphProto {
            node: vec![node("Add", &["captured", "w"], &["s"])],
            output: vec![named("s")],
            ..Default::default()
        };
        let mut branch = node("If", &["cond"], &["y"]);
        branch.attribute.push(AttributeProto { g: Some(sub), ..Default::default() });
        let graph = GraphProto {
            node: vec![
                node("Relu", &["x"], &["captured"]),
                node("Relu", &["x"], &["unused"]),
                branch,
                node("Neg", &["y"], &["z"]),
            ],
            initializer: vec![constant("w"), constant("v")],
            input: vec![named("x"), named("cond"), named("other")],
            output: vec![named("z")],
            ..Default::default()
        };
        let model = ModelProto { graph: Some(graph), ..Default::default() };
        let pruned = prune(&model, &["y"]).unwrap().graph.unwrap();
        assert_eq!(pruned.node.iter().map(NodeProto::op_type).collect::<Vec<_>>(), ["Relu", "If"]);
        assert_eq!(pruned.initializer.iter().map(TensorProto::name).collect::<Vec<_>>(), ["w"]);
        assert_eq!(pruned.input.iter().map(ValueInfoProto::name).collect::<Vec<_>>(), ["x", "cond"]);
    }

    #[test]
    fn unknown_tensors_are_named() {
        let model = parse(&include_bytes!("../../tests/fixtures/onnx/tiny_vit.onnx")[..]).unwrap();
        assert!(matches!(prune(&model, &["nothing"]), Err(OnnxError::UnknownTensor { name }) if name == "nothing"));
    }
}
