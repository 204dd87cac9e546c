//! How many parts a model's bytes describe, found before anything is made of them: two bytes can stand for a node that
//! takes hundreds in memory.

/// More nodes, tensors and their fields than this is no model: the largest have some hundred thousand.
pub(super) const MAX_PARTS: usize = 20_000_000;

/// Parts of a model's graphs, counted until there are more than [`MAX_PARTS`]; what is damaged ends the count.
pub(super) fn n_parts(model: &[u8]) -> usize {
    const GRAPH: u64 = 7;
    let mut n = 0;
    fields(model, &mut |field, graph| {
        if field == GRAPH {
            fields(graph, &mut |_, part| {
                n += 1;
                // The fields of a node, a tensor or a value; what they hold is skipped by its length.
                fields(part, &mut |_, inner| {
                    n += 1;
                    // Attributes of nodes have fields again.
                    if inner.len() < 1 << 16 {
                        fields(inner, &mut |_, _| {
                            n += 1;
                            n <= MAX_PARTS
                        });
                    }
                    n <= MAX_PARTS
                });
                n <= MAX_PARTS
            });
        }
        n <= MAX_PARTS
    });
    n
}

/// Calls `f` with each length-delimited field until it says no, or the bytes are none of protobuf.
fn fields(mut bytes: &[u8], f: &mut dyn FnMut(u64, &[u8]) -> bool) {
    while !bytes.is_empty() {
        let Some(tag) = varint(&mut bytes) else { return };
        let skipped = match tag & 7 {
            0 => varint(&mut bytes).map(drop),
            1 => take(&mut bytes, 8).map(drop),
            5 => take(&mut bytes, 4).map(drop),
            2 => varint(&mut bytes)
                .and_then(|length| take(&mut bytes, usize::try_from(length).ok()?))
                .and_then(|inner| f(tag >> 3, inner).then_some(())),
            _ => None,
        };
        if skipped.is_none() {
            return;
        }
    }
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
mod tests {
    use super::*;

    #[test]
    fn a_model_has_few_parts_and_a_bomb_many() {
        let model = include_bytes!("../../tests/fixtures/onnx/tiny_vit.onnx");
        let n = n_parts(model);
        assert!((50..100_000).contains(&n), "{n}");
        assert_eq!(n_parts(b"PK\x03\x04 and so on"), 0);
        // Empty nodes, two bytes each.
        let nodes: Vec<u8> = [0x0a, 0].repeat(MAX_PARTS + 10);
        let mut length = nodes.len();
        let mut bomb = vec![0x3a];
        while length > 0x7f {
            bomb.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bomb.push(length as u8);
        bomb.extend(nodes);
        assert!(n_parts(&bomb) > MAX_PARTS);
    }
}
