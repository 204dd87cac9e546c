//! Walking a graph: who makes a tensor, which names a node reads, types of values, renaming.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::OnnxError;
use super::proto::tensor_shape_proto::{Dimension, Value as Extent};
use super::proto::type_proto::Value as Kind;
use super::proto::{AttributeProto, GraphProto, NodeProto, SparseTensorProto, TensorProto, ValueInfoProto, type_proto};

/// Names that a node reads: its inputs, and what its subgraphs (If, Loop, Scan) capture from outside.
pub(super) fn reads(node: &NodeProto) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = node.input.iter().map(String::as_str).filter(|n| !n.is_empty()).collect();
    for graph in subgraphs(node) {
        free_names(graph, &mut names);
    }
    names
}

/// Names that a node makes.
pub(super) fn writes(node: &NodeProto) -> impl Iterator<Item = &str> {
    node.output.iter().map(String::as_str).filter(|n| !n.is_empty())
}

/// Graphs in a node's attributes: branches, bodies of loops.
pub(super) fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs))
}

fn free_names<'g>(graph: &'g GraphProto, out: &mut BTreeSet<&'g str>) {
    let mut own: HashSet<&str> = graph.input.iter().map(ValueInfoProto::name).collect();
    own.extend(constants(graph));
    own.extend(graph.node.iter().flat_map(writes));
    let inner = graph.node.iter().flat_map(reads).chain(graph.output.iter().map(ValueInfoProto::name));
    out.extend(inner.filter(|n| !n.is_empty() && !own.contains(n)));
}

/// Names of a graph's constants.
pub(super) fn constants(graph: &GraphProto) -> impl Iterator<Item = &str> {
    let dense = graph.initializer.iter().map(TensorProto::name);
    dense.chain(graph.sparse_initializer.iter().map(sparse_name))
}

/// The name of a sparse constant.
pub(super) fn sparse_name(tensor: &SparseTensorProto) -> &str {
    tensor.values.as_ref().map_or("", TensorProto::name)
}

/// Inputs that a caller has to feed: up to IR version 3, constants are listed as inputs too.
pub(super) fn fed_inputs(graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let constants: HashSet<&str> = constants(graph).collect();
    graph.input.iter().filter(|i| !constants.contains(i.name())).collect()
}

/// The node that makes a tensor.
pub fn producer<'g>(graph: &'g GraphProto, name: &str) -> Option<&'g NodeProto> {
    graph.node.iter().find(|node| writes(node).any(|output| output == name))
}

/// Index of the node that makes each tensor.
pub(super) fn producers(graph: &GraphProto) -> HashMap<&str, usize> {
    graph.node.iter().enumerate().flat_map(|(idx, node)| writes(node).map(move |name| (name, idx))).collect()
}

/// Indices of the nodes, each after those whose outputs it reads; the given order wherever that is one.
pub(super) fn topological_order(graph: &GraphProto) -> Result<Vec<usize>, OnnxError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        Open,
        Done,
    }
    let producers = producers(graph);
    let parents = |idx: usize| -> Vec<usize> {
        reads(&graph.node[idx]).iter().filter_map(|name| producers.get(name).copied()).collect()
    };
    let mut seen = vec![Seen::No; graph.node.len()];
    let mut order = Vec::with_capacity(graph.node.len());
    for start in 0..graph.node.len() {
        // Own stack instead of recursion: graphs are thousands of nodes deep.
        let mut stack = vec![start];
        while let Some(&idx) = stack.last() {
            if seen[idx] == Seen::Done {
                stack.pop();
                continue;
            }
            let reopened = seen[idx] == Seen::Open;
            seen[idx] = Seen::Open;
            let waiting: Vec<usize> = parents(idx).into_iter().filter(|&p| seen[p] != Seen::Done).collect();
            if waiting.is_empty() {
                seen[idx] = Seen::Done;
                order.push(idx);
                stack.pop();
            } else if reopened || waiting.iter().any(|&p| seen[p] == Seen::Open) {
                let name = writes(&graph.node[idx]).next().unwrap_or_default().to_owned();
                return Err(OnnxError::Cycle { name });
            } else {
                stack.extend(waiting.into_iter().rev());
            }
        }
    }
    Ok(order)
}

/// What the model says about a tensor: an output, an input or an inner value.
pub(super) fn value_info<'g>(graph: &'g GraphProto, name: &str) -> Option<&'g ValueInfoProto> {
    graph.output.iter().chain(&graph.input).chain(&graph.value_info).find(|v| v.name() == name)
}

/// The tensor type of a value, when it is known and a tensor's.
pub(super) fn tensor_type(value: &ValueInfoProto) -> Option<&type_proto::Tensor> {
    match value.r#type.as_ref()?.value.as_ref()? {
        Kind::TensorType(tensor) => Some(tensor),
        _ => None,
    }
}

/// The dimensions of a value, when its rank is known.
pub(super) fn dims(value: &ValueInfoProto) -> Option<&[Dimension]> {
    Some(&tensor_type(value)?.shape.as_ref()?.dim)
}

/// A dimension's extent, when it is fixed.
pub(super) fn fixed(dim: &Dimension) -> Option<i64> {
    match dim.value {
        // Some exporters write a dynamic dimension as 0 or -1.
        Some(Extent::DimValue(n)) if n > 0 => Some(n),
        _ => None,
    }
}

/// Whether a tensor of this name is made, fed or stored anywhere in the graph.
pub fn exists(graph: &GraphProto, name: &str) -> bool {
    graph.input.iter().any(|i| i.name() == name)
        || constants(graph).any(|n| n == name)
        || graph.node.iter().any(|n| writes(n).any(|o| o == name))
}

/// Gives a tensor another name wherever the graph or its subgraphs mention it.
pub(super) fn rename(graph: &mut GraphProto, old: &str, new: &str) {
    let change = |name: &mut String| {
        if name == old {
            new.clone_into(name);
        }
    };
    for node in &mut graph.node {
        node.input.iter_mut().chain(&mut node.output).for_each(change);
        for AttributeProto { g, graphs, .. } in &mut node.attribute {
            g.iter_mut().chain(graphs).for_each(|sub| rename(sub, old, new));
        }
    }
    for value in graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info) {
        value.name.iter_mut().for_each(change);
    }
    let sparse = graph.sparse_initializer.iter_mut().filter_map(|s| s.values.as_mut());
    for tensor in graph.initializer.iter_mut().chain(sparse) {
        tensor.name.iter_mut().for_each(change);
    }
    for annotation in &mut graph.quantization_annotation {
        annotation.tensor_name.iter_mut().for_each(change);
        for entry in &mut annotation.quant_parameter_tensor_names {
            entry.value.iter_mut().for_each(change);
        }
    }
}

/// Calls `f` on every tensor of the graph, those in attributes and subgraphs included.
pub(super) fn for_each_tensor<E>(
    graph: &mut GraphProto,
    f: &mut dyn FnMut(&mut TensorProto) -> Result<(), E>,
) -> Result<(), E> {
    let sparse = graph.sparse_initializer.iter_mut().flat_map(|s| s.values.iter_mut().chain(&mut s.indices));
    graph.initializer.iter_mut().chain(sparse).try_for_each(&mut *f)?;
    graph.node.iter_mut().try_for_each(|node| for_each_node_tensor(node, f))
}

/// Calls `f` on every tensor in a node's attributes.
pub(super) fn for_each_node_tensor<E>(
    node: &mut NodeProto,
    f: &mut dyn FnMut(&mut TensorProto) -> Result<(), E>,
) -> Result<(), E> {
    for a in &mut node.attribute {
        let sparse = a.sparse_tensor.iter_mut().chain(&mut a.sparse_tensors);
        let sparse = sparse.flat_map(|s| s.values.iter_mut().chain(&mut s.indices));
        a.t.iter_mut().chain(&mut a.tensors).chain(sparse).try_for_each(&mut *f)?;
        a.g.iter_mut().chain(&mut a.graphs).try_for_each(|g| for_each_tensor(g, f))?;
    }
    Ok(())
}

/// A node of a test's graph.
#[cfg(test)]
pub(super) fn test_node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: Some(op.into()),
        input: inputs.iter().map(|&s| s.to_owned()).collect(),
        output: outputs.iter().map(|&s| s.to_owned()).collect(),
        ..Default::default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    use super::test_node as node;

    #[test]
    fn order_is_kept_where_it_is_one_and_mended_where_not() {
        let sorted = GraphProto {
            node: vec![node("A", &["x"], &["a"]), node("B", &["x"], &["b"]), node("C", &["a", "b"], &["c"])],
            ..Default::default()
        };
        assert_eq!(topological_order(&sorted).unwrap(), [0, 1, 2]);
        let shuffled = GraphProto {
            node: vec![node("C", &["a", "b"], &["c"]), node("A", &["x"], &["a"]), node("B", &["a"], &["b"])],
            ..Default::default()
        };
        assert_eq!(topological_order(&shuffled).unwrap(), [1, 2, 0]);
        let cycle =
            GraphProto { node: vec![node("A", &["b"], &["a"]), node("B", &["a"], &["b"])], ..Default::default() };
        assert!(matches!(topological_order(&cycle), Err(OnnxError::Cycle { .. })));
    }

    #[test]
    fn subgraphs_read_what_they_do_not_make() {
        let sub = GraphProto {
            node: vec![node("Add", &["outer", "local"], &["sum"]), node("Relu", &["sum"], &["y"])],
            initializer: vec![TensorProto { name: Some("local".into()), ..Default::default() }],
            output: vec![ValueInfoProto { name: Some("y".into()), ..Default::default() }],
            ..Default::default()
        };
        let mut outer = node("If", &["cond"], &["z"]);
        outer.attribute.push(AttributeProto { g: Some(sub), ..Default::default() });
        assert_eq!(reads(&outer).into_iter().collect::<Vec<_>>(), ["cond", "outer"]);

        let mut graph = GraphProto { node: vec![outer], ..Default::default() };
        rename(&mut graph, "outer", "graft/outer");
        assert!(reads(&graph.node[0]).contains("graft/outer"));
    }
}
