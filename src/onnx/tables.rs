//! Stored numbers and tables that a graph looks things up in.

use half::f16;

use super::graph as walk;
use super::proto::{DataType, GraphProto, NodeProto, TensorProto};

/// Nodes that pass whole numbers or a table on as they are.
const PASSING: [&str; 8] =
    ["Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "DequantizeLinear", "Transpose"];
/// So many of them in a row are looked through.
const DEPTH: usize = 8;

/// Rows of the table that the values of an input pick from, as a text tower's tokens do; `None` where the graph does not
/// show it.
pub fn gathered_rows(graph: &GraphProto, input: &str) -> Option<usize> {
    let mut names = vec![input.to_owned()];
    for _ in 0..DEPTH {
        let readers: Vec<&NodeProto> =
            graph.node.iter().filter(|node| names.iter().any(|n| node.input.contains(n))).collect();
        let gathers = readers.iter().filter(|n| n.op_type().starts_with("Gather"));
        let picks = gathers.filter(|n| n.input.get(1).is_some_and(|i| names.contains(i)));
        if let Some(rows) = picks.filter_map(|n| table_rows(graph, n.input.first()?, DEPTH)).max() {
            return Some(rows);
        }
        let passing = readers.iter().filter(|n| PASSING.contains(&n.op_type()));
        names = passing.flat_map(|n| walk::writes(n)).map(str::to_owned).collect();
        if names.is_empty() {
            return None;
        }
    }
    None
}

fn table_rows(graph: &GraphProto, name: &str, depth: usize) -> Option<usize> {
    if let Some(tensor) = graph.initializer.iter().find(|t| t.name() == name) {
        return usize::try_from(*tensor.dims.first()?).ok();
    }
    let node = walk::producer(graph, name)?;
    if depth == 0 || !["Cast", "Identity", "DequantizeLinear"].contains(&node.op_type()) {
        return None;
    }
    table_rows(graph, node.input.first()?, depth - 1)
}

/// The one number of a stored tensor.
pub fn scalar(tensor: &TensorProto) -> Option<f64> {
    if tensor.dims.iter().any(|&n| n != 1) {
        return None;
    }
    let raw = tensor.raw_data.as_deref().filter(|raw| !raw.is_empty());
    match DataType::try_from(tensor.data_type()).ok()? {
        DataType::Float => match raw {
            Some(raw) => Some(f64::from(f32::from_le_bytes(raw.try_into().ok()?))),
            None => tensor.float_data.first().map(|&v| f64::from(v)),
        },
        DataType::Double => match raw {
            Some(raw) => Some(f64::from_le_bytes(raw.try_into().ok()?)),
            None => tensor.double_data.first().copied(),
        },
        DataType::Float16 => match raw {
            Some(raw) => Some(f16::from_le_bytes(raw.try_into().ok()?).to_f64()),
            None => tensor.int32_data.first().map(|&v| f16::from_bits(v as u16).to_f64()),
        },
        DataType::Int8 => match raw {
            Some(raw) => raw.first().map(|&v| f64::from(v as i8)),
            None => tensor.int32_data.first().map(|&v| f64::from(v)),
        },
        DataType::Uint8 => match raw {
            Some(raw) => raw.first().map(|&v| f64::from(v)),
            None => tensor.int32_data.first().map(|&v| f64::from(v)),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(op: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(op.to_owned()),
            input: input.iter().map(|&s| s.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Default::default()
        }
    }

    #[test]
    fn a_table_is_found_behind_casts() {
        let table = |name: &str, rows: i64| TensorProto {
            name: Some(name.to_owned()),
            dims: vec![rows, 4],
            ..Default::default()
        };
        let graph = GraphProto {
            node: vec![
                node("Cast", &["ids"], "a"),
                node("DequantizeLinear", &["q", "scale"], "words"),
                node("Gather", &["words", "a"], "x"),
                // The end of a text is looked for among its tokens, which is no table.
                node("Gather", &["a", "positions"], "y"),
            ],
            initializer: vec![table("q", 514), table("positions", 77)],
            ..Default::default()
        };
        assert_eq!(gathered_rows(&graph, "ids"), Some(514));
        assert_eq!(gathered_rows(&graph, "mask"), None);
    }

    #[test]
    fn stored_numbers_of_every_width() {
        let tensor = |data_type: DataType, raw: Vec<u8>| TensorProto {
            data_type: Some(data_type as i32),
            raw_data: Some(raw.into()),
            ..Default::default()
        };
        assert_eq!(scalar(&tensor(DataType::Float, 4.5f32.to_le_bytes().to_vec())), Some(4.5));
        assert_eq!(scalar(&tensor(DataType::Double, (-2.5f64).to_le_bytes().to_vec())), Some(-2.5));
        assert_eq!(scalar(&tensor(DataType::Float16, f16::from_f32(3.0).to_le_bytes().to_vec())), Some(3.0));
        assert_eq!(scalar(&tensor(DataType::Int64, vec![0; 8])), None);
        assert_eq!(scalar(&TensorProto { dims: vec![2], ..tensor(DataType::Float, vec![0; 8]) }), None);
    }
}
