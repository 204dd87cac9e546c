//! Which tensors of a graph can serve as features, and how each becomes one vector an image.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::BackboneError;
use super::manifest::{FeatureChoice, Pooling, Port, Sourced, pooling_name};
use super::provider::Provider;
use super::roles::{self, Role};
use super::session::{GraphSession, Values};
use crate::image::spec::TensorLayout;
use crate::onnx::cost::{self, Multiplications};
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto};
use crate::onnx::{self, LayerCandidate, producer};
use crate::progress::CancelToken;

/// A tensor that can serve as features.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// Name of the tensor.
    pub tensor: String,
    /// The operator that makes it.
    pub op_type: String,
    /// The block that it ends, as far as the exporter named it.
    pub block: Option<String>,
    /// Its depth in the graph, 0 (image) to 1 (output).
    pub depth: f32,
    /// Dimensions for one image, the batch left out.
    pub dims: Vec<usize>,
    /// How it is pooled unless the user says otherwise.
    #[serde(serialize_with = "pooling_text")]
    pub pooling: Pooling,
    /// Width of the features.
    pub dim: usize,
    /// Multiplications (with an addition each) from an image to here, where they could be counted.
    pub macs: Option<u64>,
    /// Parameters of the graph up to here.
    pub n_params: u64,
}

/// `4.1 million`: a count that nobody reads digit by digit.
pub fn rounded(n: u64) -> String {
    match n as f64 {
        n if n >= 1e9 => format!("{:.1} billion", n / 1e9),
        n if n >= 1e6 => format!("{:.1} million", n / 1e6),
        n if n >= 1e4 => format!("{:.0} thousand", n / 1e3),
        n => format!("{n:.0}"),
    }
}

/// Layers of about the same depth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerGroup {
    /// What they have in common, for people.
    pub title: String,
    /// Their positions in the list of layers.
    pub layers: std::ops::Range<usize>,
}

/// Layers in groups: maps by their size, tokens by thirds of the depth, vectors by themselves.
pub fn groups(layers: &[Layer]) -> Vec<LayerGroup> {
    let mut groups: Vec<LayerGroup> = Vec::new();
    for (idx, layer) in layers.iter().enumerate() {
        let title = match layer.dims.as_slice() {
            [_] => "Vectors".to_owned(),
            [n_tokens, _] => {
                let third = ["early", "middle", "late"][((layer.depth * 3.0) as usize).min(2)];
                format!("{n_tokens} tokens, {third}")
            }
            [a, b, c] => {
                let is_nhwc = matches!(
                    layer.pooling,
                    Pooling::GlobalAverage { layout: TensorLayout::Nhwc }
                        | Pooling::GeneralisedMean { layout: TensorLayout::Nhwc }
                );
                let (height, width) = if is_nhwc { (a, b) } else { (b, c) };
                format!("{height} × {width} maps")
            }
            _ => "Others".to_owned(),
        };
        match groups.last_mut().filter(|group| group.title == title) {
            Some(group) => group.layers.end = idx + 1,
            None => groups.push(LayerGroup { title, layers: idx..idx + 1 }),
        }
    }
    groups
}

fn pooling_text<S: serde::Serializer>(pooling: &Pooling, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(pooling_name(*pooling))
}

/// Names of outputs that are features by the field's habits, best first.
const FEATURE_NAMES: [&str; 8] = [
    "features",
    "pooler_output",
    "image_features",
    "image_embeds",
    "embedding",
    "embeddings",
    "feature",
    "last_hidden_state",
];

/// Maps of fewer channels are masks or heat maps, and no features.
const FEWEST_CHANNELS: usize = 8;

/// What serves as features unless the user says otherwise, with the reason.
///
/// `roles` are those of the outputs.
pub fn propose(
    model: &ModelProto,
    graph: &GraphProto,
    outputs: &[Port],
    roles: &[Sourced<Role>],
) -> Option<Sourced<FeatureChoice>> {
    let floats: Vec<&Port> = outputs.iter().filter(|o| o.element.is_float()).collect();
    let named = FEATURE_NAMES.iter().find_map(|name| floats.iter().find(|o| o.name == *name));
    if let Some(output) = named {
        return Some(choice(output, "the output's name says that it holds features"));
    }
    // A map of a few channels is a mask or a heat map.
    let is_map = |o: &&&Port| match o.dims[..] {
        [_, _, _] => true,
        [_, c, h, w] if h == w => c.is_none_or(|c| c >= FEWEST_CHANNELS),
        [_, h, w, c] if h == w => c.is_none_or(|c| c >= FEWEST_CHANNELS),
        [_, _, _, _] => true,
        _ => false,
    };
    let is_vector = |o: &Port, role: &Sourced<Role>| o.element.is_float() && role.value == Role::Features;
    if let Some((output, role)) = outputs.iter().zip(roles).find(|(o, role)| is_vector(o, role)) {
        return Some(choice(output, &format!("the output holds features ({})", role.origin)));
    }
    if let Some(output) = floats.iter().find(is_map) {
        return Some(choice(output, "the output is a feature map or a token sequence"));
    }
    let output = floats.first()?;
    let choice_of = |tensor: String| FeatureChoice { tensor, pooling: Pooling::None };
    if let Some(tensor) = penultimate(graph, &output.name) {
        let why = "what goes into the last linear layer: pooled features rather than class scores";
        return Some(Sourced::guess(choice_of(tensor), why));
    }
    if let Some(tensor) = roles::convolution_head(graph, &output.name) {
        let why = "what goes into the last convolution, which makes class scores";
        return Some(Sourced::guess(choice_of(before_quantisation(graph, tensor).to_owned()), why));
    }
    // A head that is not understood: the deepest pooled tensor, if there is one.
    let pools = ["Flatten", "GlobalAveragePool", "ReduceMean", "Squeeze", "Reshape"];
    let pooled = |c: &&LayerCandidate| !c.is_graph_output && pools.contains(&c.op_type.as_str());
    if let Some(layer) = onnx::candidates(model).ok()?.iter().rev().find(pooled) {
        let why = "the deepest pooled layer, rather than class scores";
        return Some(Sourced::guess(choice_of(layer.tensor.clone()), why));
    }
    Some(choice(output, "the graph's only kind of output"))
}

fn choice(output: &Port, why: &str) -> Sourced<FeatureChoice> {
    let per_image: Vec<usize> = output.dims.iter().skip(1).map(|d| d.unwrap_or(0)).collect();
    let pooling = default_pooling(&per_image, None, Axes::of_layout(TensorLayout::Nchw));
    Sourced::guess(FeatureChoice { tensor: output.name.clone(), pooling }, why)
}

/// The pooling that fits dimensions of one image (0 where dynamic): none for a vector; for tokens the class token where
/// one more than a square stands there (two more with a token of distillation, five more with four registers), else the
/// mean; the global average for a map, whose channels are where the operators around it have them (`known`, see
/// [`onnx::layouts`]), else where its equal sides are not, else where `layout` has them. A map that is pooled but still has its sides (`[C, 1, 1]`) is flattened.
pub fn default_pooling(per_image: &[usize], known: Option<TensorLayout>, axes: Axes) -> Pooling {
    let layout = axes.layout;
    match *per_image {
        [n_tokens, _] => match has_class_token(n_tokens, axes) {
            true => Pooling::ClsToken,
            false => Pooling::MeanToken,
        },
        [_, 1, 1] | [1, 1, _] => Pooling::Flatten,
        [_, _, _] if known.is_some() => Pooling::GlobalAverage { layout: known.unwrap_or(layout) },
        [a, b, c] if a == b && b != c => Pooling::GlobalAverage { layout: TensorLayout::Nhwc },
        [a, b, c] if b == c && a != b => Pooling::GlobalAverage { layout: TensorLayout::Nchw },
        [_, _, _] => Pooling::GlobalAverage { layout },
        _ => Pooling::None,
    }
}

/// Whether a sequence of so many tokens (0 where that is open) begins with one that stands for the whole image: where more
/// are there than the picture has patches. Where the patches are not known, the family says it, or what is left over of a
/// square.
fn has_class_token(n_tokens: usize, axes: Axes) -> bool {
    match axes.n_patches {
        Some(n) if n_tokens == n => return false,
        // With one of distillation, or registers.
        Some(n) if n_tokens > n && n_tokens <= n + MOST_SPECIAL => return axes.has_class_token != Some(false),
        _ => {}
    }
    let is_square = |n: usize| n > 0 && n.isqrt() * n.isqrt() == n;
    let has_special = |n: usize| n_tokens > n && is_square(n_tokens - n);
    if n_tokens > 1 && is_square(n_tokens) {
        return false;
    }
    axes.has_class_token.unwrap_or_else(|| {
        n_tokens == 0 || has_special(1) || !is_square(n_tokens) && (has_special(2) || has_special(5))
    })
}

/// Tokens beside those of patches, at most: of the class, of distillation, registers.
const MOST_SPECIAL: usize = 17;

/// What is known of all tensors of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axes {
    /// Where the image's channels are.
    pub layout: TensorLayout,
    /// Patches that the picture is cut into, where a convolution does it.
    pub n_patches: Option<usize>,
    /// Whether models of this family have a class token.
    pub has_class_token: Option<bool>,
}

impl Axes {
    /// Where nothing else is known.
    pub fn of_layout(layout: TensorLayout) -> Self {
        Self { layout, n_patches: None, has_class_token: None }
    }
}

/// Patches of a picture of `height` x `width`, where the graph begins with a convolution whose steps are as wide as its
/// kernel.
pub fn n_patches(graph: &GraphProto, input: &str, (height, width): (usize, usize)) -> Option<usize> {
    let mut name = input;
    for _ in 0..10 {
        let node = graph.node.iter().find(|n| n.input.iter().any(|i| i == name))?;
        if node.op_type() != "Conv" {
            name = node.output.first()?;
            continue;
        }
        let ints = |name: &str| node.attribute.iter().find(|a| a.name() == name).map(|a| a.ints.as_slice());
        let (kernel, strides) = (ints("kernel_shape"), ints("strides")?);
        let [down, across] = strides.iter().map(|&n| usize::try_from(n).ok()).collect::<Option<Vec<_>>>()?[..] else {
            return None;
        };
        let is_patch = kernel.is_none_or(|kernel| kernel == strides) && down > 1 && across > 1;
        return is_patch.then(|| (height / down) * (width / across));
    }
    None
}

/// Width of the features after pooling; 0 where it is not known.
pub fn pooled_dim(per_image: &[usize], pooling: Pooling) -> usize {
    match (pooling, per_image) {
        (
            Pooling::GlobalAverage { layout: TensorLayout::Nchw }
            | Pooling::GeneralisedMean { layout: TensorLayout::Nchw },
            [c, _, _],
        ) => *c,
        (
            Pooling::GlobalAverage { .. } | Pooling::GeneralisedMean { .. } | Pooling::ClsToken | Pooling::MeanToken,
            [.., last],
        ) => *last,
        (Pooling::None, [dim]) => *dim,
        (Pooling::Flatten, dims) => dims.iter().product(),
        _ => 0,
    }
}

/// Whether a pooling can be applied to a tensor of so many dimensions an image.
pub fn pooling_fits(n_dims_per_image: usize, pooling: Pooling) -> bool {
    match pooling {
        Pooling::None => n_dims_per_image == 1,
        Pooling::GlobalAverage { .. } | Pooling::GeneralisedMean { .. } => n_dims_per_image == 3,
        Pooling::ClsToken | Pooling::MeanToken => n_dims_per_image == 2,
        Pooling::Flatten => n_dims_per_image >= 1,
    }
}

/// The tensor that goes into the linear layer behind `output`, looked for through what only reshapes or rescales scores.
fn penultimate(graph: &GraphProto, output: &str) -> Option<String> {
    let mut name = output;
    for _ in 0..16 {
        let node = producer(graph, name)?;
        match node.op_type() {
            "Gemm" | "MatMul" => return Some(before_quantisation(graph, computed(graph, node)?).to_owned()),
            "MatMulInteger" | "QLinearMatMul" | "QGemm" => {
                // Only the float tensor before the quantisation can be features.
                let tensor = before_quantisation(graph, node.input.first()?);
                return (tensor != node.input.first()?).then(|| tensor.to_owned());
            }
            "Softmax" | "LogSoftmax" | "Sigmoid" | "Identity" | "Cast" | "DequantizeLinear" | "QuantizeLinear" => {
                name = node.input.first()?;
            }
            // The bias behind a MatMul, the scale behind a MatMulInteger.
            "Add" | "Mul" | "Div" | "Sub" => name = computed(graph, node)?,
            _ => return None,
        }
    }
    None
}

/// The tensor that was quantised on the way to `name`; `name` itself where none was.
fn before_quantisation<'g>(graph: &'g GraphProto, mut name: &'g str) -> &'g str {
    let quantisers = ["DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear"];
    for _ in 0..4 {
        match producer(graph, name).filter(|n| quantisers.contains(&n.op_type())) {
            Some(node) => name = node.input.first().map_or(name, String::as_str),
            None => break,
        }
    }
    name
}

/// The operand of a node that comes from the image, and not only from stored numbers.
fn computed<'g>(graph: &'g GraphProto, node: &'g NodeProto) -> Option<&'g str> {
    node.input.iter().map(String::as_str).find(|i| is_computed(graph, i, 8))
}

/// Whether a tensor depends on more than constants, looked at `depth` nodes deep: scales are small products of stored
/// numbers and of a quantiser's own.
fn is_computed(graph: &GraphProto, name: &str, depth: usize) -> bool {
    let Some(node) = producer(graph, name) else {
        let is_stored = graph.initializer.iter().any(|t| t.name() == name);
        return !is_stored && graph.input.iter().any(|i| i.name() == name);
    };
    if node.op_type() == "Constant" {
        return false;
    }
    // A dynamic quantiser's scale and zero point are made of the data, but are no data.
    if node.op_type() == "DynamicQuantizeLinear" && node.output.first().is_none_or(|first| first != name) {
        return false;
    }
    depth == 0 || node.input.iter().any(|i| is_computed(graph, i, depth - 1))
}

/// What a graph holds and costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// Every layer that can serve as features, the earliest first.
    pub layers: Vec<Layer>,
    /// Multiplications (with an addition each) of the whole graph for one image, where they could be counted.
    pub macs: Option<u64>,
    /// Parameters of the whole graph.
    pub n_params: u64,
}

/// Every layer that can serve as features, with its dimensions as found by running the graph once on a blank image of
/// dimensions `input_dims` (batch first), and what it and the whole graph cost.
///
/// # Errors
/// When the graph cannot be run.
pub fn survey(
    model: &ModelProto,
    input: &str,
    input_dims: &[usize],
    axes: Axes,
    cancel: &CancelToken,
) -> Result<Survey, BackboneError> {
    let mut candidates = onnx::candidates(model).map_err(onnx_error)?;
    // What comes after an operator that ONNX Runtime lacks cannot be computed; what comes before it can.
    if !onnx::inputs::custom_operators(model).is_empty() {
        candidates.retain(|candidate| can_run(model, &candidate.tensor));
    }
    let layouts = onnx::layouts(model, input, axes.layout).map_err(onnx_error)?;
    let counted = Multiplications::new(model).map_err(onnx_error)?;
    let layer_names: BTreeSet<&str> = candidates.iter().map(|c| c.tensor.as_str()).collect();
    let names: Vec<&str> = layer_names.union(&counted.tensors()).copied().collect();
    // What is inside of quantised blocks and fused operators cannot always be made an output.
    let (names, dims) = match dims_of(model, &names, input_dims, cancel) {
        Ok(dims) => (names, dims),
        Err(error) if cancel.is_cancelled() => return Err(error),
        Err(error) => {
            tracing::debug!(%error, "the cost is not known");
            let names: Vec<&str> = layer_names.into_iter().collect();
            let dims = dims_of(model, &names, input_dims, cancel)?;
            (names, dims)
        }
    };
    let dims: BTreeMap<String, Vec<usize>> = names.into_iter().map(str::to_owned).zip(dims).collect();
    let n_images = input_dims.first().copied().unwrap_or(1).max(1);
    let is_counted = counted.tensors().iter().all(|name| dims.contains_key(*name));
    let cost = |outputs: &[&str]| -> (Option<u64>, u64) {
        let macs = counted.macs(model, outputs, &dims).ok().flatten().map(|macs| macs / n_images as u64);
        (macs.filter(|macs| is_counted && *macs > 0), cost::n_params(model, outputs).unwrap_or(0))
    };
    let layers = candidates.into_iter().filter_map(|candidate| {
        let (macs, n_params) = cost(&[&candidate.tensor]);
        let dims = dims.get(&candidate.tensor)?;
        let known = layouts.get(candidate.tensor.as_str()).copied();
        layer(candidate, dims, n_images, (known, axes)).map(|layer| Layer { macs, n_params, ..layer })
    });
    let layers = layers.collect();
    let (macs, n_params) = cost(&[]);
    Ok(Survey { layers, macs, n_params })
}

/// Whether ONNX Runtime has every operator on the way to a tensor.
pub fn can_run(model: &ModelProto, tensor: &str) -> bool {
    onnx::prune(model, &[tensor]).is_ok_and(|needed| onnx::inputs::custom_operators(&needed).is_empty())
}

fn layer(
    candidate: LayerCandidate,
    dims: &[usize],
    n_images: usize,
    (known, axes): (Option<TensorLayout>, Axes),
) -> Option<Layer> {
    let (&first, per_image) = dims.split_first()?;
    if first != n_images || per_image.is_empty() {
        return None;
    }
    let pooling = default_pooling(per_image, known, axes);
    let dim = pooled_dim(per_image, pooling);
    (dim > 0).then(|| Layer {
        tensor: candidate.tensor,
        op_type: candidate.op_type,
        block: candidate.block,
        depth: candidate.depth_fraction,
        dims: per_image.to_vec(),
        pooling,
        dim,
        macs: None,
        n_params: 0,
    })
}

/// Dimensions of tensors anywhere in the graph, as ONNX Runtime infers them, or as a run on a blank image shows where it does
/// not: a run of a transformer on large pictures takes many times the memory, since nothing of what is looked at can be fused.
///
/// # Errors
/// When the graph cannot be run, a tensor does not exist, or the run is cancelled.
pub fn dims_of(
    model: &ModelProto,
    tensors: &[&str],
    input_dims: &[usize],
    cancel: &CancelToken,
) -> Result<Vec<Vec<usize>>, BackboneError> {
    let mut dims = inferred(model, tensors, input_dims);
    let open: Vec<&str> = tensors.iter().zip(&dims).filter(|(_, dims)| dims.is_none()).map(|(name, _)| *name).collect();
    if !open.is_empty() {
        let mut run = run_for_dims(model, &open, input_dims, cancel)?.into_iter();
        dims.iter_mut().filter(|dims| dims.is_none()).for_each(|dims| *dims = run.next());
    }
    Ok(dims.into_iter().flatten().collect())
}

/// What ONNX Runtime knows of the dimensions of tensors without a run.
fn inferred(model: &ModelProto, tensors: &[&str], input_dims: &[usize]) -> Vec<Option<Vec<usize>>> {
    let loaded = onnx::for_inference(model, tensors, input_dims).and_then(|m| onnx::encode(&m)).map_err(onnx_error);
    let session = match loaded.and_then(|bytes| GraphSession::load(&bytes, 1, Provider::Cpu)) {
        Ok(session) => session,
        Err(error) => {
            tracing::debug!(%error, "no dimensions are inferred");
            return vec![None; tensors.len()];
        }
    };
    let dims_of = |name: &&str| {
        let port = session.outputs().iter().find(|port| port.name == *name)?;
        // A scalar and what nothing is known of look alike.
        let dims: Option<Vec<usize>> = port.dims.iter().copied().collect();
        dims.filter(|dims| !dims.is_empty())
    };
    tensors.iter().map(dims_of).collect()
}

fn run_for_dims(
    model: &ModelProto,
    tensors: &[&str],
    input_dims: &[usize],
    cancel: &CancelToken,
) -> Result<Vec<Vec<usize>>, BackboneError> {
    let (shapes, names) = onnx::expose_shapes(model, tensors).map_err(onnx_error)?;
    let mut session = GraphSession::load(&onnx::encode(&shapes).map_err(onnx_error)?, 1, Provider::Cpu)?;
    let _end = session.end_on_cancel(cancel);
    let values = Values::F32(vec![0.0; input_dims.iter().product()]);
    session.run_shapes(input_dims, values, &names)
}

fn onnx_error(source: onnx::OnnxError) -> BackboneError {
    BackboneError::Graph { source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poolings_follow_from_dimensions() {
        let nchw = Pooling::GlobalAverage { layout: TensorLayout::Nchw };
        let nhwc = Pooling::GlobalAverage { layout: TensorLayout::Nhwc };
        for (dims, pooling, dim) in [
            (&[1280][..], Pooling::None, 1280),
            (&[197, 768], Pooling::ClsToken, 768),
            (&[49, 768], Pooling::MeanToken, 768),
            (&[320, 7, 7], nchw, 320),
            (&[7, 7, 320], nhwc, 320),
            (&[8, 12, 6], nhwc, 6),
            (&[2048, 1, 1], Pooling::Flatten, 2048),
        ] {
            let found = default_pooling(dims, None, Axes::of_layout(TensorLayout::Nhwc));
            assert_eq!((found, pooled_dim(dims, found)), (pooling, dim), "{dims:?}");
            assert!(pooling_fits(dims.len(), pooling));
        }
        // With the patches that the picture is cut into, or the family's word, or squares alone.
        for (n_tokens, n_patches, family, is_special) in [
            (197, None, None, true),
            (196, None, Some(true), false),
            (113, None, Some(true), true),
            (197, None, Some(false), false),
            (129, Some(128), None, true),
            // 14 x 16 patches and a class token look like a square.
            (225, Some(224), Some(true), true),
            (256, Some(256), Some(true), false),
            (261, Some(256), Some(true), true),
            // Patches have been joined on the way.
            (49, Some(3136), Some(false), false),
            (50, Some(200), Some(false), false),
        ] {
            let axes = Axes { layout: TensorLayout::Nchw, n_patches, has_class_token: family };
            let found = default_pooling(&[n_tokens, 8], None, axes) == Pooling::ClsToken;
            assert_eq!(found, is_special, "{n_tokens} {n_patches:?} {family:?}");
        }
        // What the operators say comes before what the sides look like.
        assert_eq!(default_pooling(&[64, 64, 32], Some(TensorLayout::Nchw), Axes::of_layout(TensorLayout::Nhwc)), nchw);
        assert_eq!(default_pooling(&[8, 8, 8], Some(TensorLayout::Nhwc), Axes::of_layout(TensorLayout::Nchw)), nhwc);
    }
}
