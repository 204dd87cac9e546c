//! Which tensors of a backbone may serve as features, read off the graph alone.
//!
//! Shapes are in general not known from the graph: the caller has ONNX Runtime infer them ([`for_inference`]) or runs the model
//! for them ([`expose_shapes`]), and keeps those that turn out to be vectors, maps or token sequences.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::build::{self, Builder};
use super::graph as walk;
use super::proto::tensor_shape_proto::Value as Extent;
use super::proto::{AttributeProto, DataType, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::{OnnxError, graph, graph_mut};

/// At most this many candidates are returned, graph outputs excepted.
pub const MAX_CANDIDATES: usize = 40;
/// With fewer block ends than this, activations and poolings count as well.
const FEW: usize = 4;

/// A tensor that may serve as features.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerCandidate {
    /// Its name in the graph.
    pub tensor: String,
    /// The operator that makes it.
    pub op_type: String,
    /// Longest path from the image to it, as a fraction (0 to 1) of the graph's longest.
    pub depth_fraction: f32,
    /// Whether the model gives it out already.
    pub is_graph_output: bool,
    /// The block that it ends, as far as the exporter named it (`layer1.0`, `encoder.layer.3`).
    pub block: Option<String>,
}

/// How good a place an operator's output is; lower goes first when there are too many.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Output,
    Pooled,
    BlockEnd,
    Norm,
    Activation,
}

/// Candidates for feature layers, from the image to the outputs. Only floating-point results that depend on an image's
/// values count, not what is computed from its shape.
///
/// # Errors
/// When the model has no graph, or its graph has a cycle.
pub fn candidates(model: &ModelProto) -> Result<Vec<LayerCandidate>, OnnxError> {
    let g = graph(model)?;
    let flow = Flow::new(g)?;
    let mut found: BTreeMap<&str, Rank> = BTreeMap::new();
    let mut add = |name, rank: Rank| {
        let best = found.entry(name).or_insert(rank);
        *best = rank.min(*best);
    };
    for output in &g.output {
        if flow.depth.contains_key(output.name()) && is_float(output) {
            add(output.name(), Rank::Output);
        }
    }
    for node in &g.node {
        let Some(name) = walk::writes(node).next().filter(|n| flow.depth.contains_key(n)) else { continue };
        if let Some(rank) = flow.rank(node) {
            add(flow.settled(name), rank);
        }
    }
    let outputs: HashSet<&str> = g.output.iter().map(ValueInfoProto::name).collect();
    // Integers (ArgMax, the inside of a quantised block) are no features.
    found.retain(|name, _| walk::value_info(g, name).is_none_or(is_float));

    let n_ends = found.values().filter(|&&r| matches!(r, Rank::BlockEnd | Rank::Norm)).count();
    if n_ends >= FEW {
        found.retain(|_, rank| *rank != Rank::Activation);
    }
    let mut chosen: Vec<(&str, Rank)> = found.into_iter().collect();
    let depth = |name: &str| flow.depth.get(name).copied().unwrap_or_default();
    chosen.sort_by_key(|&(name, _)| (depth(name), name));
    let chosen = thinned(chosen);

    let deepest = flow.depth.values().copied().max().unwrap_or(1).max(1);
    let producers = walk::producers(g);
    let candidate = |(name, _): (&str, Rank)| {
        let node = producers.get(name).map(|&idx| &g.node[idx]);
        LayerCandidate {
            tensor: name.to_owned(),
            op_type: node.map(|n| n.op_type().to_owned()).unwrap_or_default(),
            depth_fraction: depth(name) as f32 / deepest as f32,
            is_graph_output: outputs.contains(name),
            block: node.and_then(block),
        }
    };
    Ok(chosen.into_iter().map(candidate).collect())
}

/// A model with these outputs alone, for an input of these extents, of whose other tensors nothing is stated: what ONNX
/// Runtime says of its outputs once it is loaded is what it has inferred.
///
/// # Errors
/// [`OnnxError::UnknownTensor`] when a tensor does not exist.
pub fn for_inference(model: &ModelProto, tensors: &[&str], input_dims: &[usize]) -> Result<ModelProto, OnnxError> {
    let mut out = super::prune(model, tensors)?;
    let g = graph_mut(&mut out)?;
    let stored: HashSet<String> = walk::constants(g).map(str::to_owned).collect();
    if let Some(input) = g.input.iter_mut().find(|input| !stored.contains(input.name())) {
        let elem_type = walk::tensor_type(input).map_or(DataType::Float as i32, |t| t.elem_type());
        let dims = input_dims.iter().map(|&n| Some(Extent::DimValue(n as i64))).collect();
        *input = build::value(input.name(), elem_type, Some(dims));
    }
    g.value_info.clear();
    for output in &mut g.output {
        output.r#type = None;
    }
    Ok(out)
}

/// A model that gives out the shapes of tensors instead of what they hold, with the names of its outputs, in the order
/// of `tensors`: a run of it can let each tensor go as soon as it has been read.
///
/// # Errors
/// [`OnnxError::UnknownTensor`] when a tensor does not exist.
pub fn expose_shapes(model: &ModelProto, tensors: &[&str]) -> Result<(ModelProto, Vec<String>), OnnxError> {
    let needed = super::prune(model, tensors)?;
    let mut out = needed;
    let g = graph_mut(&mut out)?;
    let mut builder = Builder::new(g, "shapes");
    // In the order in which tensors are made: ONNX Runtime asks for their shapes in the order of these nodes, and one that
    // is asked for late is held till then.
    let place: HashMap<&str, usize> = walk::topological_order(g)?
        .into_iter()
        .enumerate()
        .flat_map(|(place, idx)| walk::writes(&g.node[idx]).map(move |name| (name, place)))
        .collect();
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&i| place.get(tensors[i]));
    let mut names = vec![String::new(); tensors.len()];
    for i in order {
        names[i] = builder.op("Shape", "shape", &[tensors[i]]);
    }
    let info = |name: &String| build::value(name, DataType::Int64 as i32, Some(vec![None]));
    // What was given out keeps what is known of its type.
    let former = std::mem::take(&mut g.output);
    g.value_info.extend(former.into_iter().filter(|info| info.r#type.is_some()));
    g.output = names.iter().map(info).collect();
    let ir_version = out.ir_version();
    builder.finish(ir_version, graph_mut(&mut out)?, false);
    Ok((out, names))
}

/// Tensors that depend on an image's values, and who reads them.
struct Flow<'g> {
    graph: &'g GraphProto,
    /// Longest path in nodes from an image input; only tensors that depend on one.
    depth: HashMap<&'g str, usize>,
    readers: HashMap<&'g str, Vec<&'g NodeProto>>,
    producers: HashMap<&'g str, usize>,
    stored: HashSet<&'g str>,
}

impl<'g> Flow<'g> {
    fn new(graph: &'g GraphProto) -> Result<Self, OnnxError> {
        let mut depth: HashMap<&str, usize> = image_inputs(graph).into_iter().map(|name| (name, 0)).collect();
        let mut readers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
        for idx in walk::topological_order(graph)? {
            let node = &graph.node[idx];
            let reads = walk::reads(node);
            let deepest = reads.iter().filter_map(|name| depth.get(name)).max().copied();
            for name in reads {
                readers.entry(name).or_default().push(node);
            }
            // A shape is no image, though it comes from one.
            if let Some(deepest) = deepest.filter(|_| !matches!(node.op_type(), "Shape" | "Size")) {
                depth.extend(walk::writes(node).map(|name| (name, deepest + 1)));
            }
        }
        let constant_nodes = graph.node.iter().filter(|n| n.op_type() == "Constant").flat_map(walk::writes);
        let stored = walk::constants(graph).chain(constant_nodes).collect();
        Ok(Self { graph, depth, readers, producers: walk::producers(graph), stored })
    }

    fn readers(&self, name: &str) -> &[&'g NodeProto] {
        self.readers.get(name).map_or(&[], Vec::as_slice)
    }

    /// How many inputs of a node depend on the image; a tensor used twice counts once.
    fn n_image_inputs(&self, node: &NodeProto) -> usize {
        node.input.iter().filter(|name| self.depth.contains_key(name.as_str())).collect::<BTreeSet<_>>().len()
    }

    fn rank(&self, node: &NodeProto) -> Option<Rank> {
        let output = walk::writes(node).next()?;
        match node.op_type() {
            "Add" | "Sum" | "Concat" if self.n_image_inputs(node) >= 2 => Some(Rank::BlockEnd),
            "GlobalAveragePool" | "GlobalMaxPool" => Some(Rank::Pooled).filter(|_| !self.gates(output)),
            "ReduceMean" => Some(Rank::Pooled).filter(|_| !self.is_moment(node, output) && !self.gates(output)),
            // One that joins images with tokens is no pooling.
            "Flatten" => node.attribute.iter().all(|a| a.name() != "axis" || a.i() == 1).then_some(Rank::Pooled),
            "Gather" if attr(node, "axis") == 1 && self.is_stored(node.input.get(1)) => Some(Rank::Pooled),
            "LayerNormalization" | "SkipLayerNormalization" | "SimplifiedLayerNormalization" => Some(Rank::Norm),
            "Relu" | "Clip" | "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "HardSwish" | "Gelu" | "Mish" | "Swish"
            | "MaxPool" | "AveragePool" => Some(Rank::Activation),
            // SiLU and hard swish in parts: x * sigmoid(x).
            "Mul" if self.n_image_inputs(node) == 2 && self.is_gate(node) => Some(Rank::Activation),
            _ => None,
        }
    }

    fn is_stored(&self, name: Option<&String>) -> bool {
        name.is_some_and(|n| self.stored.contains(n.as_str()))
    }

    fn producer(&self, name: &str) -> Option<&'g NodeProto> {
        self.producers.get(name).map(|&idx| &self.graph.node[idx])
    }

    fn is_gate(&self, node: &NodeProto) -> bool {
        let sigmoid = |n: &String| {
            self.producer(n).is_some_and(|p| {
                matches!(p.op_type(), "Sigmoid" | "HardSigmoid") && p.input.iter().any(|i| node.input.contains(i))
            })
        };
        node.input.iter().any(sigmoid)
    }

    /// A mean or variance inside a layer normalisation that the exporter wrote out.
    fn is_moment(&self, node: &NodeProto, output: &str) -> bool {
        let squared = node
            .input
            .first()
            .and_then(|n| self.producer(n))
            .is_some_and(|p| p.op_type() == "Pow" || (p.op_type() == "Mul" && p.input.first() == p.input.get(1)));
        squared || self.readers(output).iter().any(|r| r.op_type() == "Sub")
    }

    /// Whether a pooled tensor only steers channels (squeeze and excitation): it comes back in a product.
    fn gates(&self, output: &str) -> bool {
        let mut name = output;
        for _ in 0..16 {
            // (A swish inside the gate reads its tensor twice, which ends the walk: such a gate stays a candidate.)
            let &[next] = self.readers(name) else { return false };
            if matches!(next.op_type(), "Sigmoid" | "HardSigmoid") {
                return true;
            }
            let passes = matches!(
                next.op_type(),
                "Conv"
                    | "Gemm"
                    | "MatMul"
                    | "Relu"
                    | "Add"
                    | "Mul"
                    | "Clip"
                    | "Div"
                    | "Reshape"
                    | "Squeeze"
                    | "Unsqueeze"
                    | "Flatten"
                    | "QuantizeLinear"
                    | "DequantizeLinear"
                    | "Cast"
                    | "Transpose"
            );
            // A product of two image-dependent tensors: the gate meets the map that was pooled.
            if next.op_type() == "Mul" && self.n_image_inputs(next) == 2 {
                return true;
            }
            match walk::writes(next).next().filter(|_| passes) {
                Some(output) => name = output,
                None => return false,
            }
        }
        false
    }

    /// Where the value that a block ends with is finished: behind the activation, the flattening or the quantisation
    /// that alone reads it. (An output in front of its quantisation would cost the quantised kernel.)
    fn settled(&self, name: &'g str) -> &'g str {
        let mut name = name;
        loop {
            let &[next] = self.readers(name) else { return name };
            let follows = matches!(
                next.op_type(),
                "Relu" | "Clip" | "LeakyRelu" | "PRelu" | "Flatten" | "Squeeze" | "QuantizeLinear" | "DequantizeLinear"
            ) || (next.op_type() == "Reshape"
                && self.made_by(name, &["GlobalAveragePool", "ReduceMean"]));
            let is_output = self.graph.output.iter().any(|o| o.name() == name);
            match walk::writes(next).next().filter(|_| follows && !is_output) {
                Some(output) => name = output,
                None => return name,
            }
        }
    }

    fn made_by(&self, name: &str, ops: &[&str]) -> bool {
        self.producer(name).is_some_and(|p| ops.contains(&p.op_type()))
    }
}

/// Inputs that may be images: of rank 4, else whatever is floating point, else all.
fn image_inputs(graph: &GraphProto) -> Vec<&str> {
    let fed = walk::fed_inputs(graph);
    let pick = |test: &dyn Fn(&ValueInfoProto) -> bool| -> Vec<&str> {
        fed.iter().copied().filter(|i| test(i)).map(|i| i.name()).collect()
    };
    let images = pick(&|i| walk::dims(i).is_some_and(|d| d.len() == 4));
    if !images.is_empty() {
        return images;
    }
    let floats = pick(&is_float);
    if floats.is_empty() { pick(&|_| true) } else { floats }
}

/// Whether a value is floating point, or of unknown type.
fn is_float(value: &ValueInfoProto) -> bool {
    let Some(tensor) = walk::tensor_type(value) else { return value.r#type.is_none() };
    matches!(
        DataType::try_from(tensor.elem_type()),
        Ok(DataType::Float | DataType::Float16 | DataType::Double | DataType::Bfloat16 | DataType::Undefined)
    )
}

fn attr(node: &NodeProto, name: &str) -> i64 {
    node.attribute.iter().find(|a| a.name() == name).map(AttributeProto::i).unwrap_or_default()
}

/// At most [`MAX_CANDIDATES`]: the best ranks whole, the rank that does not fit evenly spaced, always with its last.
fn thinned(chosen: Vec<(&str, Rank)>) -> Vec<(&str, Rank)> {
    let mut left = MAX_CANDIDATES;
    let mut kept: HashSet<&str> = HashSet::new();
    for rank in [Rank::Output, Rank::Pooled, Rank::BlockEnd, Rank::Norm, Rank::Activation] {
        let of_rank: Vec<&str> = chosen.iter().filter(|(_, r)| *r == rank).map(|&(name, _)| name).collect();
        let n = of_rank.len();
        if n <= left || rank == Rank::Output {
            left = left.saturating_sub(n);
            kept.extend(of_rank);
        } else {
            kept.extend((1..=left).map(|i| of_rank[i * n / left - 1]));
            left = 0;
        }
    }
    chosen.into_iter().filter(|(name, _)| kept.contains(name)).collect()
}

/// The block in a node's name: `/layer1/layer1.0/relu/Relu` is in `layer1.0`, `/vit/encoder/layer.3/Add` in
/// `vit.encoder.layer.3`.
fn block(node: &NodeProto) -> Option<String> {
    let mut parts: Vec<&str> = node.name().split('/').filter(|p| !p.is_empty()).collect();
    parts.pop();
    // A numbered part names a block; what follows it (`attention`, `conv2`) is inside.
    let end = parts.iter().rposition(|p| p.contains(|c: char| c.is_ascii_digit()))?;
    let mut path: Vec<&str> = Vec::new();
    for part in &parts[..=end] {
        // PyTorch repeats the module: `layer1`, `layer1.0`.
        if path.last().is_some_and(|last| part.strip_prefix(last).is_some_and(|rest| rest.starts_with('.'))) {
            path.pop();
        }
        path.push(part);
    }
    Some(path.join("."))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::onnx::parse;

    fn found(bytes: &'static [u8]) -> Vec<LayerCandidate> {
        let model = parse(bytes).unwrap();
        let found = candidates(&model).unwrap();
        let names: Vec<&str> = found.iter().map(|c| c.tensor.as_str()).collect();
        let exposed = crate::onnx::prune(&model, &names).unwrap();
        assert!(names.iter().all(|n| exposed.graph.as_ref().unwrap().output.iter().any(|o| o.name() == *n)));
        assert!(found.windows(2).all(|w| w[0].depth_fraction <= w[1].depth_fraction));
        assert!(found.iter().all(|c| (0.0..=1.0).contains(&c.depth_fraction)));
        found
    }

    fn ends(found: &[LayerCandidate]) -> Vec<(&str, &str)> {
        found.iter().map(|c| (c.tensor.as_str(), c.block.as_deref().unwrap_or("-"))).collect()
    }

    #[test]
    fn blocks_of_a_convolutional_network() {
        let found = found(include_bytes!("../../tests/fixtures/onnx/tiny_cnn/model.onnx"));
        let wanted = [("block0_out", "blocks.0"), ("block1_out", "blocks.1"), ("features", "-"), ("logits", "-")];
        let ends = ends(&found);
        for end in wanted {
            assert!(ends.contains(&end), "{end:?} in {ends:?}");
        }
        assert!(found.last().unwrap().is_graph_output);
    }

    #[test]
    fn blocks_of_a_transformer_without_its_shape_arithmetic() {
        let found = found(include_bytes!("../../tests/fixtures/onnx/tiny_vit.onnx"));
        let ends = ends(&found);
        for end in [("layer0_out", "encoder.layer.0"), ("layer1_out", "encoder.layer.1"), ("last_hidden_state", "-")] {
            assert!(ends.contains(&end), "{end:?} in {ends:?}");
        }
        assert!(!ends.iter().any(|(name, _)| name.contains("shape")), "{ends:?}");
    }

    #[test]
    fn quantised_blocks_end_behind_their_quantisation() {
        let found = found(include_bytes!("../../tests/fixtures/onnx/tiny_qdq.onnx"));
        assert!(found.iter().any(|c| c.op_type == "DequantizeLinear"), "{found:?}");
        assert!(!found.iter().any(|c| c.op_type == "QuantizeLinear"), "{found:?}");
    }

    #[test]
    fn no_more_than_the_limit() {
        let names: Vec<String> = (0..100).map(|i| format!("t{i:03}")).collect();
        let chosen: Vec<(&str, Rank)> = names.iter().map(|n| (n.as_str(), Rank::BlockEnd)).collect();
        let kept = thinned(chosen);
        assert_eq!(kept.len(), MAX_CANDIDATES);
        assert_eq!(kept.last().unwrap().0, "t099");
    }

    #[test]
    fn block_names() {
        let named = |name: &str| block(&NodeProto { name: Some(name.into()), ..Default::default() });
        assert_eq!(named("/layer1/layer1.0/relu_2/Relu").as_deref(), Some("layer1.0.relu_2"));
        assert_eq!(named("/vit/encoder/layer.3/output/Add").as_deref(), Some("vit.encoder.layer.3"));
        assert_eq!(named("Add_12"), None);
        assert_eq!(named("/avgpool/GlobalAveragePool"), None);
    }
}
