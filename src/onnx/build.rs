//! Adding nodes to a graph under names that cannot clash.

use std::collections::BTreeMap;

use super::graph;
use super::proto::tensor_shape_proto::{Dimension, Value as Extent};
use super::proto::{
    AttributeProto, AttributeType, DataType, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};

/// Collects nodes and constants named `graft/STAGE/…`, then adds them to a graph.
pub(super) struct Builder {
    prefix: String,
    used: BTreeMap<String, usize>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Builder {
    /// A builder whose names clash with none of `graph`, not even when Graft made that graph.
    pub(super) fn new(graph: &GraphProto, stage: &str) -> Self {
        let taken = |prefix: &str| {
            let lead = format!("{prefix}/");
            let values = graph.node.iter().flat_map(|n| n.output.iter().map(String::as_str).chain([n.name()]));
            values
                .chain(graph::constants(graph))
                .chain(graph.input.iter().map(|i| i.name()))
                .any(|n| n.starts_with(&lead))
        };
        let mut prefix = format!("graft/{stage}");
        let mut n = 1;
        while taken(&prefix) {
            n += 1;
            prefix = format!("graft/{stage}{n}");
        }
        Self { prefix, used: BTreeMap::new(), nodes: Vec::new(), constants: Vec::new() }
    }

    /// An unused name under this builder's prefix.
    pub(super) fn name(&mut self, label: &str) -> String {
        let n = self.used.entry(label.to_owned()).or_default();
        *n += 1;
        if *n == 1 { format!("{}/{label}", self.prefix) } else { format!("{}/{label}_{n}", self.prefix) }
    }

    /// Adds a node with one output; returns the output's name.
    pub(super) fn op(&mut self, op_type: &str, label: &str, inputs: &[&str]) -> String {
        self.op_with(op_type, label, inputs, Vec::new())
    }

    /// As [`op`](Self::op), with attributes.
    pub(super) fn op_with(
        &mut self,
        op_type: &str,
        label: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = self.name(label);
        self.op_to(op_type, &output, inputs, attributes);
        output
    }

    /// As [`op_with`](Self::op_with), with the output's name given.
    pub(super) fn op_to(&mut self, op_type: &str, output: &str, inputs: &[&str], attributes: Vec<AttributeProto>) {
        let name = self.name(&format!("node/{op_type}"));
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&s| s.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: Some(name),
            op_type: Some(op_type.to_owned()),
            attribute: attributes,
            ..Default::default()
        });
    }

    /// A subgraph without inputs as the attribute `name`: what `f` adds, giving out the one float tensor it returns.
    /// Constants go to the graph itself, from where the subgraph takes them.
    pub(super) fn branch(&mut self, name: &str, f: impl FnOnce(&mut Self) -> String) -> AttributeProto {
        let outside = std::mem::take(&mut self.nodes);
        let output = f(self);
        let node = std::mem::replace(&mut self.nodes, outside);
        let output = vec![value(&output, DataType::Float as i32, None)];
        let graph = GraphProto { name: Some(self.name(name)), node, output, ..Default::default() };
        AttributeProto {
            name: Some(name.to_owned()),
            g: Some(graph),
            r#type: Some(AttributeType::Graph as i32),
            ..Default::default()
        }
    }

    /// Converts elements.
    pub(super) fn cast(&mut self, label: &str, input: &str, to: DataType) -> String {
        self.op_with("Cast", label, &[input], vec![attr_int("to", to as i64)])
    }

    /// A constant of 32-bit floats.
    pub(super) fn f32s<'v>(
        &mut self,
        label: &str,
        dims: &[usize],
        values: impl IntoIterator<Item = &'v f32>,
    ) -> String {
        let raw: Vec<u8> = values.into_iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(label, dims, DataType::Float, raw)
    }

    /// A constant of 64-bit floats.
    pub(super) fn f64s(&mut self, label: &str, dims: &[usize], values: &[f64]) -> String {
        self.constant(label, dims, DataType::Double, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A scalar 64-bit float.
    pub(super) fn f64(&mut self, value: f64) -> String {
        self.f64s("f64", &[], &[value])
    }

    /// A constant of 64-bit integers.
    pub(super) fn i64s(&mut self, dims: &[usize], values: &[i64]) -> String {
        self.constant("i64", dims, DataType::Int64, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A scalar 64-bit integer.
    pub(super) fn i64(&mut self, value: i64) -> String {
        self.i64s(&[], &[value])
    }

    fn constant(&mut self, label: &str, dims: &[usize], data_type: DataType, raw: Vec<u8>) -> String {
        let dims: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
        let same = |t: &&TensorProto| {
            t.data_type() == data_type as i32 && t.dims == dims && t.raw_data.as_deref() == Some(&raw[..])
        };
        if let Some(known) = self.constants.iter().find(same) {
            return known.name().to_owned();
        }
        let name = self.name(label);
        self.constants.push(TensorProto {
            dims,
            data_type: Some(data_type as i32),
            name: Some(name.clone()),
            raw_data: Some(raw.into()),
            ..Default::default()
        });
        name
    }

    /// Adds everything to the model's graph, before or after the nodes that are there.
    pub(super) fn finish(self, ir_version: i64, graph: &mut GraphProto, before: bool) {
        // Up to IR version 3 every constant has to be listed as an input as well.
        if ir_version < 4 {
            graph.input.extend(self.constants.iter().map(|t| {
                let dims = t.dims.iter().map(|&d| Some(Extent::DimValue(d)));
                value(t.name(), t.data_type(), Some(dims.collect()))
            }));
        }
        graph.initializer.extend(self.constants);
        let at = if before { 0 } else { graph.node.len() };
        graph.node.splice(at..at, self.nodes);
    }
}

/// An integer attribute.
pub(super) fn attr_int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        i: Some(value),
        r#type: Some(AttributeType::Int as i32),
        ..Default::default()
    }
}

/// An attribute that is a list of integers.
pub(super) fn attr_ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        ints: values.to_vec(),
        r#type: Some(AttributeType::Ints as i32),
        ..Default::default()
    }
}

/// A value info; `None` stands for an unknown rank or extent.
pub(super) fn value(name: &str, elem_type: i32, dims: Option<Vec<Option<Extent>>>) -> ValueInfoProto {
    let shape = dims.map(|dims| TensorShapeProto {
        dim: dims.into_iter().map(|value| Dimension { value, denotation: None }).collect(),
    });
    let tensor = type_proto::Tensor { elem_type: Some(elem_type), shape };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), denotation: None };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(r#type), ..Default::default() }
}

/// Names Graft as the maker of a model.
pub(super) fn sign(model: &mut ModelProto, doc_string: &str) {
    model.producer_name = Some("graft".to_owned());
    model.producer_version = Some(env!("CARGO_PKG_VERSION").to_owned());
    model.doc_string = Some(doc_string.to_owned());
}
