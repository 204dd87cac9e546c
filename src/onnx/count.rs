//! How much memory a model's bytes describe, found before anything is made of them: two bytes can stand for a node or an
//! attribute that takes hundreds or thousands in memory.

use std::mem::size_of;

use super::proto as p;

/// Bytes in memory, beside those that stand in the file, which no model needs: one of a hundred thousand nodes takes half
/// of it. While lists grow, twice as many may be in use.
pub(super) const MAX_STRUCTURE_BYTES: u64 = 1 << 30;

/// Messages within messages: deeper ones are refused by `prost` as well.
const MAX_DEPTH: usize = 100;

/// Bytes in memory that a model takes beside those of its file, until there are more than [`MAX_STRUCTURE_BYTES`]; what is
/// damaged ends the count.
pub(super) fn structure_bytes(model: &[u8]) -> u64 {
    let mut count = Count { n_bytes: 0 };
    // Where it ends early, what matters is how far it came.
    count.message(Kind::ModelProto, model, MAX_DEPTH).unwrap_or_default();
    count.n_bytes
}

/// Messages of the schema that hold something of which there may be many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AttributeProto,
    ValueInfoProto,
    NodeProto,
    IntIntListEntryProto,
    NodeDeviceConfigurationProto,
    ShardingSpecProto,
    ShardedDimProto,
    TrainingInfoProto,
    ModelProto,
    DeviceConfigurationProto,
    TensorAnnotation,
    GraphProto,
    TensorProto,
    SparseTensorProto,
    TensorShapeProto,
    TypeProto,
    /// A dense or sparse tensor's type.
    TensorType,
    /// A type of sequences or of what may be absent: one that wraps another.
    WrappedType,
    MapType,
    FunctionProto,
    /// A message of a few single values.
    Leaf,
}

/// What a field holds, as far as memory goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// What takes no more than in the file: one value, which its message has room for, bytes, numbers of fixed length.
    Plain,
    /// A list of what takes so many bytes each, besides its content.
    List(usize),
    /// A list of integers of so many bytes, packed or not: one takes a single byte of a file.
    Integers(usize),
    /// A message; of a list or behind a pointer it takes so many bytes.
    Message(Kind, usize),
}

/// The field of a message by its number.
fn field(kind: Kind, number: u64) -> Field {
    use Field::{Integers, Message, Plain};
    use Kind as K;
    const STRINGS: Field = Field::List(size_of::<String>());
    const BYTES: Field = Field::List(size_of::<prost::bytes::Bytes>());
    const ENTRIES: Field = Message(K::Leaf, size_of::<p::StringStringEntryProto>());
    // Much more than each takes: a model has a handful, and they are copied and searched more than anything else.
    const OPSETS: Field = Message(K::Leaf, 1 << 12);
    const ATTRIBUTES: Field = Message(K::AttributeProto, size_of::<p::AttributeProto>());
    const NODES: Field = Message(K::NodeProto, size_of::<p::NodeProto>());
    const VALUES: Field = Message(K::ValueInfoProto, size_of::<p::ValueInfoProto>());
    const TENSORS: Field = Message(K::TensorProto, size_of::<p::TensorProto>());
    const SPARSE: Field = Message(K::SparseTensorProto, size_of::<p::SparseTensorProto>());
    match (kind, number) {
        (K::ModelProto, 7) => Message(K::GraphProto, 0),
        (K::ModelProto, 8) => OPSETS,
        (K::ModelProto, 14) => ENTRIES,
        (K::ModelProto, 20) => Message(K::TrainingInfoProto, size_of::<p::TrainingInfoProto>()),
        (K::ModelProto, 25) => Message(K::FunctionProto, size_of::<p::FunctionProto>()),
        (K::ModelProto, 26) => Message(K::DeviceConfigurationProto, size_of::<p::DeviceConfigurationProto>()),
        (K::DeviceConfigurationProto, 3) => STRINGS,
        (K::TrainingInfoProto, 1 | 2) => Message(K::GraphProto, 0),
        (K::TrainingInfoProto, 3 | 4) => ENTRIES,

        (K::FunctionProto, 4..=6) => STRINGS,
        (K::FunctionProto, 7) => NODES,
        (K::FunctionProto, 9) => OPSETS,
        (K::FunctionProto, 11) => ATTRIBUTES,
        (K::FunctionProto, 12) => VALUES,
        (K::FunctionProto, 14) => ENTRIES,

        (K::GraphProto, 1) => NODES,
        (K::GraphProto, 5) => TENSORS,
        (K::GraphProto, 11..=13) => VALUES,
        (K::GraphProto, 14) => Message(K::TensorAnnotation, size_of::<p::TensorAnnotation>()),
        (K::GraphProto, 15) => SPARSE,
        (K::GraphProto, 16) => ENTRIES,
        (K::TensorAnnotation, 2) => ENTRIES,

        (K::NodeProto, 1 | 2) => STRINGS,
        (K::NodeProto, 5) => ATTRIBUTES,
        (K::NodeProto, 9) => ENTRIES,
        (K::NodeProto, 10) => Message(K::NodeDeviceConfigurationProto, size_of::<p::NodeDeviceConfigurationProto>()),
        (K::NodeDeviceConfigurationProto, 2) => Message(K::ShardingSpecProto, size_of::<p::ShardingSpecProto>()),
        (K::ShardingSpecProto, 2) => Integers(8),
        (K::ShardingSpecProto, 3) => Message(K::IntIntListEntryProto, size_of::<p::IntIntListEntryProto>()),
        (K::ShardingSpecProto, 4) => Message(K::ShardedDimProto, size_of::<p::ShardedDimProto>()),
        (K::ShardedDimProto, 2) => Message(K::Leaf, size_of::<p::SimpleShardedDimProto>()),
        (K::IntIntListEntryProto, 2) => Integers(8),

        (K::AttributeProto, 5) => Message(K::TensorProto, 0),
        (K::AttributeProto, 6) => Message(K::GraphProto, 0),
        (K::AttributeProto, 8) => Integers(8),
        (K::AttributeProto, 9) => BYTES,
        (K::AttributeProto, 10) => TENSORS,
        (K::AttributeProto, 11) => Message(K::GraphProto, size_of::<p::GraphProto>()),
        (K::AttributeProto, 14) => Message(K::TypeProto, 0),
        (K::AttributeProto, 15) => Message(K::TypeProto, size_of::<p::TypeProto>()),
        (K::AttributeProto, 22) => Message(K::SparseTensorProto, 0),
        (K::AttributeProto, 23) => SPARSE,

        (K::TensorProto, 1 | 7 | 11) => Integers(8),
        (K::TensorProto, 5) => Integers(4),
        (K::TensorProto, 6) => BYTES,
        (K::TensorProto, 13 | 16) => ENTRIES,
        (K::SparseTensorProto, 1 | 2) => Message(K::TensorProto, 0),
        (K::SparseTensorProto, 3) => Integers(8),

        (K::ValueInfoProto, 2) => Message(K::TypeProto, 0),
        (K::ValueInfoProto, 4) => ENTRIES,
        (K::TypeProto, 1 | 8) => Message(K::TensorType, 0),
        (K::TypeProto, 4 | 9) => Message(K::WrappedType, 0),
        (K::TypeProto, 5) => Message(K::MapType, 0),
        (K::WrappedType, 1) | (K::MapType, 2) => Message(K::TypeProto, size_of::<p::TypeProto>()),
        (K::TensorType, 2) => Message(K::TensorShapeProto, 0),
        (K::TensorShapeProto, 1) => Message(K::Leaf, size_of::<p::tensor_shape_proto::Dimension>()),
        _ => Plain,
    }
}

struct Count {
    n_bytes: u64,
}

impl Count {
    /// Counts what a message holds; `None` once that is too much, or the bytes are none of protobuf.
    fn message(&mut self, kind: Kind, mut bytes: &[u8], depth: usize) -> Option<()> {
        // Nothing in it is a list: what it holds takes no more than in the file.
        if kind == Kind::Leaf {
            return Some(());
        }
        while !bytes.is_empty() {
            let tag = varint(&mut bytes)?;
            let field = field(kind, tag >> 3);
            if tag & 7 != LENGTH {
                skip(tag, &mut bytes, depth)?;
                if let Field::Integers(size) = field {
                    self.add(size)?;
                }
                continue;
            }
            let inner = delimited(&mut bytes)?;
            match field {
                Field::Plain => {}
                Field::List(size) => self.add(size)?,
                Field::Integers(size) => {
                    // Of an integer in several bytes only the last is without this bit.
                    let n = inner.iter().filter(|byte| **byte & 0x80 == 0).count();
                    self.add((n * size).saturating_sub(inner.len()))?;
                }
                Field::Message(kind, size) => {
                    self.add(size)?;
                    self.message(kind, inner, depth.checked_sub(1)?)?;
                }
            }
        }
        Some(())
    }

    fn add(&mut self, n_bytes: usize) -> Option<()> {
        self.n_bytes = self.n_bytes.saturating_add(n_bytes as u64);
        (self.n_bytes <= MAX_STRUCTURE_BYTES).then_some(())
    }
}

/// Wire types of protobuf: what follows a field's number.
const LENGTH: u64 = 2;
const GROUP: u64 = 3;
const END_OF_GROUP: u64 = 4;

/// Passes over a field. Groups are no part of ONNX, but `prost` passes over those that it does not know and goes on.
fn skip(tag: u64, bytes: &mut &[u8], depth: usize) -> Option<()> {
    match tag & 7 {
        0 => varint(bytes).map(drop),
        1 => take(bytes, 8).map(drop),
        5 => take(bytes, 4).map(drop),
        LENGTH => delimited(bytes).map(drop),
        GROUP => loop {
            let inner = varint(bytes)?;
            if inner & 7 == END_OF_GROUP {
                return (inner >> 3 == tag >> 3).then_some(());
            }
            skip(inner, bytes, depth.checked_sub(1)?)?;
        },
        _ => None,
    }
}

fn delimited<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = varint(bytes)?;
    take(bytes, usize::try_from(length).ok()?)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in 0..10 {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << (7 * shift);
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'b>(bytes: &mut &'b [u8], n: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(n)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;

    use super::*;

    /// A field of protobuf with `content`.
    fn delimited(number: u64, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(number << 3 | LENGTH, &mut bytes);
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        bytes.extend(content);
        bytes
    }

    #[test]
    fn a_model_takes_little_beside_its_file() {
        let model = include_bytes!("../../tests/fixtures/onnx/tiny_vit.onnx");
        let n = structure_bytes(model);
        assert!((10_000..10_000_000).contains(&n), "{n}");
        assert_eq!(structure_bytes(b"PK\x03\x04 and so on"), 0);
    }

    #[test]
    fn the_largest_models_are_borne() {
        // A hundred thousand nodes with everything that exporters write.
        let node = p::NodeProto {
            input: vec!["a".into(); 4],
            output: vec!["b".into()],
            attribute: vec![p::AttributeProto { ints: vec![1; 4], ..Default::default() }; 2],
            metadata_props: vec![p::StringStringEntryProto::default(); 5],
            ..Default::default()
        };
        let nodes = delimited(1, &node.encode_to_vec()).repeat(100_000);
        let n = structure_bytes(&delimited(7, &nodes));
        assert!((1 << 28..MAX_STRUCTURE_BYTES).contains(&n), "{n}");
        // Weights: raw, as floats, and a hundred million bytes as integers.
        for (weights, most) in [(delimited(9, &[0; 300 << 20]), 0), (delimited(4, &[0; 300 << 20]), 0)] {
            let n = structure_bytes(&delimited(7, &delimited(5, &weights)));
            assert!(n <= most + size_of::<p::TensorProto>() as u64, "{n}");
        }
        let n = structure_bytes(&delimited(7, &delimited(5, &delimited(5, &[0xff, 1].repeat(100_000_000)))));
        assert!((200_000_000..MAX_STRUCTURE_BYTES).contains(&n), "{n}");
    }

    #[test]
    fn bombs_are_found_wherever_they_are() {
        let nothing = |number: u64| delimited(number, &[]).repeat(8_000_000);
        let in_graph = |content: &[u8]| delimited(7, content);
        let in_attribute = |content: &[u8]| in_graph(&delimited(1, &delimited(5, content)));
        for (place, bomb) in [
            ("nodes", in_graph(&nothing(1))),
            ("initializers", in_graph(&nothing(5))),
            ("attributes", in_graph(&delimited(1, &nothing(5)))),
            ("nodes of a function", delimited(25, &nothing(7))),
            ("functions", nothing(25)),
            ("operator sets", delimited(8, &[]).repeat(1_000_000)),
            ("a branch", in_attribute(&delimited(6, &nothing(1)))),
            ("branches of a branch", in_attribute(&delimited(6, &delimited(1, &delimited(5, &nothing(11)))))),
            ("an attribute's tensors", in_attribute(&nothing(10))),
            ("strings", in_attribute(&delimited(9, &[]).repeat(40_000_000))),
            ("training", delimited(20, &delimited(1, &nothing(1)))),
            ("metadata of a tensor", in_graph(&delimited(5, &delimited(16, &[]).repeat(24_000_000)))),
            (
                "a shape",
                in_graph(&delimited(
                    11,
                    &delimited(2, &delimited(1, &delimited(2, &delimited(1, &[]).repeat(24_000_000)))),
                )),
            ),
            ("packed integers", in_graph(&delimited(5, &delimited(7, &[0; 160_000_000])))),
            ("loose integers", in_attribute(&[0x40, 0].repeat(140_000_000))),
            // `prost` passes over a group and decodes what comes after it.
            ("after a group", [&[0xfb, 1, 0x08, 0, 0xfc, 1][..], &in_graph(&nothing(1))].concat()),
        ] {
            assert!(structure_bytes(&bomb) > MAX_STRUCTURE_BYTES, "{place}");
        }
    }

    /// Every list and message of the schema is known here, so that none that is added there is forgotten.
    #[test]
    fn the_whole_schema_is_known() {
        let kinds = [
            Kind::AttributeProto,
            Kind::ValueInfoProto,
            Kind::NodeProto,
            Kind::IntIntListEntryProto,
            Kind::NodeDeviceConfigurationProto,
            Kind::ShardingSpecProto,
            Kind::ShardedDimProto,
            Kind::TrainingInfoProto,
            Kind::ModelProto,
            Kind::DeviceConfigurationProto,
            Kind::TensorAnnotation,
            Kind::GraphProto,
            Kind::TensorProto,
            Kind::SparseTensorProto,
            Kind::TensorShapeProto,
            Kind::FunctionProto,
        ];
        let kind_of = |name: &str| kinds.into_iter().find(|k| format!("{k:?}") == name);
        let (mut message, mut attribute) = (String::new(), String::new());
        let mut seen = BTreeSet::new();
        for line in include_str!("proto.rs").lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("pub struct ") {
                message = name.trim_end_matches(" {").to_owned();
            } else if line.starts_with("#[prost(") {
                attribute = line.to_owned();
            } else if line.starts_with("pub ") && line.ends_with(',') && attribute.contains(" tag = ") {
                let number: u64 = attribute.split('"').nth_back(1).unwrap().parse().unwrap();
                let known = kind_of(&message).map_or(Field::Plain, |kind| field(kind, number));
                let is = |what: &str| attribute.contains(what);
                let expected = match known {
                    Field::Message(..) => is("prost(message"),
                    Field::List(_) => is("repeated") && (is("string") || is("bytes")),
                    Field::Integers(size) => {
                        is("repeated") && is(if size == 4 { "(int32" } else { "int64" }) && !is("message")
                    }
                    // What messages of single values hold is plain as well, and so is the segment of a tensor.
                    Field::Plain => {
                        let is_wrapped = ["Sequence", "Map", "Optional", "Tensor", "SparseTensor"].contains(&&*message);
                        !is("repeated") && !is("message")
                            || is("float, repeated")
                            || is("double")
                            || is_wrapped
                            || line.contains("Segment")
                    }
                };
                assert!(expected, "{message}, {attribute} {line}: {known:?}");
                seen.insert(message.clone());
            }
        }
        assert!(kinds.iter().all(|k| seen.contains(&format!("{k:?}"))), "{seen:?}");
    }
}
