//! A backbone cut at a layer, a head, and both in one model, with or without the preprocessing.

use serde::{Deserialize, Serialize};

use super::build::{Builder, attr_int, attr_ints, sign, value};
use super::distance::{self, DISTANCE};
use super::graph as walk;
use super::proto::tensor_shape_proto::Value as Extent;
use super::proto::{DataType, GraphProto, ModelProto, OperatorSetIdProto, ValueInfoProto};
use super::prune::prune;
use super::{OnnxError, check_size, graph_mut, pixels, require_opset};
use crate::head::{Activation, Affine, Block, NearestClass};
use crate::image::spec::{PreprocessSpec, TensorLayout};

/// Name of the input of an image classifier.
pub const IMAGE: &str = "image";
/// Name of the feature output.
pub const FEATURES: &str = "features";
/// Name of the output before the softmax.
pub const LOGITS: &str = "logits";
/// Name of the output after the softmax.
pub const PROBABILITIES: &str = "probabilities";

/// Lowest opset in which the head is valid: `Max` with broadcasting.
const HEAD_MIN_OPSET: i64 = 8;
const BATCH: &str = "batch";

/// What the generalised mean takes smaller values for.
pub const GEM_LEAST: f32 = 1e-6;

/// How a layer's tensor becomes one vector an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Pooling {
    /// Already `[N, D]`.
    None,
    /// Mean over height and width of `[N, D, H, W]` or `[N, H, W, D]`.
    GlobalAverage {
        /// Where the channels are.
        layout: TensorLayout,
    },
    /// Generalised mean over height and width: the cube root of the mean of cubes, of values of [`GEM_LEAST`] at least
    /// (Radenović et al. 2018, with their p = 3). Strong places count more than in the mean.
    GeneralisedMean {
        /// Where the channels are.
        layout: TensorLayout,
    },
    /// The first token of `[N, T, D]`.
    ClsToken,
    /// Mean over all tokens of `[N, T, D]`, the class token included.
    MeanToken,
    /// All values of an image, in order.
    Flatten,
}

/// The backbone cut at one tensor or several, each pooled to `[N, D_i]` and put side by side: its own inputs, and the one
/// output `features`, f32 `[N, dim]`. What the features do not need is gone; 16-bit results are converted.
///
/// # Errors
/// When a tensor does not exist, an input is named `features`, or the opset is below 8.
pub fn feature_model(
    model: &ModelProto,
    parts: &[(&str, Pooling)],
    dim: Option<usize>,
) -> Result<ModelProto, OnnxError> {
    require_opset(model, "a feature output", HEAD_MIN_OPSET)?;
    let tensors: Vec<&str> = parts.iter().map(|(tensor, _)| *tensor).collect();
    let mut out = prune(model, &tensors)?;
    let ir_version = out.ir_version();
    let g = graph_mut(&mut out)?;
    name_batch(g);
    let is_f32 = |g: &GraphProto, tensor: &str| {
        let known = walk::value_info(g, tensor).and_then(walk::tensor_type).map(|t| t.elem_type());
        known == Some(DataType::Float as i32)
    };
    let is_there = matches!(parts, [(tensor, Pooling::None)] if *tensor == FEATURES && is_f32(g, tensor));
    if !is_there {
        let parts: Vec<(String, Pooling, bool)> =
            parts.iter().map(|(tensor, pooling)| ((*tensor).to_owned(), *pooling, is_f32(g, tensor))).collect();
        // A tensor's own name may be the one that is needed.
        let renamed = release_name(g, FEATURES)?;
        let mut b = Builder::new(g, FEATURES);
        let mut pooled = Vec::with_capacity(parts.len());
        let is_alone = parts.len() == 1;
        for (tensor, pooling, is_f32) in parts {
            let tensor = renamed.clone().filter(|_| tensor == FEATURES).unwrap_or(tensor);
            let tensor = if is_f32 { tensor } else { b.cast("f32", &tensor, DataType::Float) };
            let to = if is_alone { FEATURES.to_owned() } else { b.name("part") };
            pool(&mut b, &tensor, pooling, &to);
            pooled.push(to);
        }
        if !is_alone {
            let pooled: Vec<&str> = pooled.iter().map(String::as_str).collect();
            b.op_to("Concat", FEATURES, &pooled, vec![attr_int("axis", 1)]);
        }
        b.finish(ir_version, g, false);
    }
    let batch = batch_extent(g);
    let dim = dim.map(|d| Extent::DimValue(d as i64));
    g.output = vec![value(FEATURES, DataType::Float as i32, Some(vec![batch, dim]))];
    sign(&mut out, "Feature extractor, made by Graft");
    check_size(&out)?;
    Ok(out)
}

fn pool(b: &mut Builder, tensor: &str, pooling: Pooling, to: &str) {
    let flatten = || vec![attr_int("axis", 1)];
    let averaged = |b: &mut Builder, channels_first: &str| {
        let mean = b.op("GlobalAveragePool", "mean", &[channels_first]);
        b.op_to("Flatten", to, &[&mean], flatten());
    };
    match pooling {
        Pooling::None => b.op_to("Identity", to, &[tensor], Vec::new()),
        Pooling::GlobalAverage { layout: TensorLayout::Nchw } => averaged(b, tensor),
        Pooling::GlobalAverage { layout: TensorLayout::Nhwc } => {
            let turned = b.op_with("Transpose", "nchw", &[tensor], vec![attr_ints("perm", &[0, 3, 1, 2])]);
            averaged(b, &turned);
        }
        Pooling::GeneralisedMean { layout } => {
            let mut map = tensor.to_owned();
            if layout == TensorLayout::Nhwc {
                map = b.op_with("Transpose", "nchw", &[&map], vec![attr_ints("perm", &[0, 3, 1, 2])]);
            }
            let (least, third) = (b.f32s("least", &[], &[GEM_LEAST]), b.f32s("third", &[], &[1.0 / 3.0]));
            let kept = b.op("Max", "kept", &[&map, &least]);
            let square = b.op("Mul", "square", &[&kept, &kept]);
            let cube = b.op("Mul", "cube", &[&square, &kept]);
            let mean = b.op("GlobalAveragePool", "mean", &[&cube]);
            let root = b.op("Pow", "root", &[&mean, &third]);
            b.op_to("Flatten", to, &[&root], flatten());
        }
        Pooling::ClsToken => {
            let first = b.i64(0);
            b.op_to("Gather", to, &[tensor, &first], vec![attr_int("axis", 1)]);
        }
        // ReduceMean would say the same, but its axes became an input in opset 18.
        Pooling::MeanToken => {
            let turned = b.op_with("Transpose", "ndt", &[tensor], vec![attr_ints("perm", &[0, 2, 1])]);
            averaged(b, &turned);
        }
        Pooling::Flatten => b.op_to("Flatten", to, &[tensor], flatten()),
    }
}

/// A head alone: `features` f32 `[N, D]` to `logits` and `probabilities` f32 `[N, K]`, and to `distance` f32 `[N, 1]` where
/// `nearest` is given.
///
/// # Errors
/// When the head has no class or feature, its bias or `nearest` another length than its weight.
pub fn head_model(head: &Affine, nearest: Option<&NearestClass>) -> Result<ModelProto, OnnxError> {
    let dim = check_head(head, nearest)?;
    // Opset 13 with IR version 7 is what every runtime of the last years loads.
    let mut model = ModelProto {
        ir_version: Some(7),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(13) }],
        graph: Some(GraphProto { name: Some("graft_head".to_owned()), ..Default::default() }),
        ..Default::default()
    };
    let batch = Some(Extent::DimParam(BATCH.to_owned()));
    let input = value(FEATURES, DataType::Float as i32, Some(vec![batch, Some(Extent::DimValue(dim as i64))]));
    let g = graph_mut(&mut model)?;
    g.input = vec![input];
    add_head(g, 7, head, nearest)?;
    sign(&mut model, "Classifier head, made by Graft");
    check_size(&model)?;
    Ok(model)
}

/// Backbone and head in one: the backbone's inputs to `logits` and `probabilities`, f32 `[N, K]`, and to `distance` f32
/// `[N, 1]` where `nearest` is given. `feature_model` is what [`feature_model`] has made.
///
/// # Errors
/// When the dimensions differ, the head is malformed, or an input has the name of an output.
pub fn classifier_model(
    feature_model: &ModelProto,
    head: &Affine,
    nearest: Option<&NearestClass>,
) -> Result<ModelProto, OnnxError> {
    let dim = check_head(head, nearest)? as i64;
    let mut out = prune(feature_model, &[FEATURES])?;
    let ir_version = out.ir_version();
    let g = graph_mut(&mut out)?;
    let stated = g.output.first().and_then(walk::dims).and_then(|d| walk::fixed(d.get(1)?));
    if let Some(features) = stated.filter(|&d| d != dim) {
        return Err(OnnxError::Dim { features, head: dim });
    }
    g.value_info.append(&mut g.output);
    release_name(g, LOGITS)?;
    release_name(g, PROBABILITIES)?;
    release_name(g, DISTANCE)?;
    add_head(g, ir_version, head, nearest)?;
    sign(&mut out, "Image classifier, made by Graft");
    check_size(&out)?;
    Ok(out)
}

fn check_head(head: &Affine, nearest: Option<&NearestClass>) -> Result<usize, OnnxError> {
    let ((n_classes, dim), n_biases) = (head.weight.dim(), head.bias.len());
    let n_blocked: usize = head.l2_blocks.iter().map(|b| b.width).sum();
    let is_blocked = head.l2_blocks.is_empty() || n_blocked == dim;
    let is_alike = nearest.is_none_or(|nearest| nearest.directions().dim() == (n_classes, dim));
    if n_classes == 0 || dim == 0 || n_biases != n_classes || !is_blocked || !is_alike {
        return Err(OnnxError::HeadShape { n_classes, dim, n_biases });
    }
    Ok(dim)
}

fn add_head(
    g: &mut GraphProto,
    ir_version: i64,
    head: &Affine,
    nearest: Option<&NearestClass>,
) -> Result<(), OnnxError> {
    let (n_classes, dim) = head.weight.dim();
    let mut b = Builder::new(g, "head");
    let mut features = FEATURES.to_owned();
    if !head.l2_blocks.is_empty() {
        features = unit_blocks(&mut b, &head.l2_blocks, dim);
    }
    let weight = b.f32s("weight", &[n_classes, dim], &head.weight);
    let bias = b.f32s("bias", &[n_classes], &head.bias);
    let gemm = || vec![attr_int("transB", 1)];
    match &head.kernel {
        None => b.op_to("Gemm", LOGITS, &[&features, &weight, &bias], gemm()),
        Some(kernel) => {
            let of_weights = b.op_with("Gemm", "of_weights", &[&features, &weight, &bias], gemm());
            let n_examples = kernel.keys.nrows();
            let keys = b.f32s("keys", &[dim, n_examples], kernel.keys.t());
            let values = b.f32s("values", &[n_examples, n_classes], &kernel.values);
            let (beta, one) = (b.f32s("beta", &[], &[kernel.beta]), b.f32s("one", &[], &[1.0]));
            let cosines = b.op("MatMul", "cosines", &[&features, &keys]);
            let distances = b.op("Sub", "distances", &[&cosines, &one]);
            let scaled = b.op("Mul", "scaled", &[&distances, &beta]);
            let affinities = b.op("Exp", "affinities", &[&scaled]);
            let of_examples = b.op("MatMul", "of_examples", &[&affinities, &values]);
            b.op_to("Add", LOGITS, &[&of_weights, &of_examples], Vec::new());
        }
    }
    match head.activation {
        Activation::Softmax => b.op_to("Softmax", PROBABILITIES, &[LOGITS], vec![attr_int("axis", 1)]),
        Activation::Sigmoid => b.op_to("Sigmoid", PROBABILITIES, &[LOGITS], Vec::new()),
    }
    if let Some(nearest) = nearest {
        distance::add(&mut b, nearest);
    }
    let batch = batch_extent(g);
    b.finish(ir_version, g, false);
    g.output = outputs(batch, n_classes, nearest.is_some());
    Ok(())
}

/// Features whose blocks of columns are divided by their norms.
fn unit_blocks(b: &mut Builder, blocks: &[Block], dim: usize) -> String {
    let n_blocks = blocks.len();
    let block_of: Vec<usize> =
        blocks.iter().enumerate().flat_map(|(i, block)| std::iter::repeat_n(i, block.width)).collect();
    let least = b.f32s("least_norm", &[], &[1e-12]);
    let mut features = FEATURES.to_owned();
    if blocks.iter().any(|block| block.square_root) {
        // x / sqrt|x| is the root with its sign; where no root is wanted, x is divided by 1.
        let tiny = b.f32s("tiny", &[], &[1e-30]);
        let is_rooted: Vec<f32> = block_of.iter().map(|&i| if blocks[i].square_root { 1.0 } else { 0.0 }).collect();
        let is_plain: Vec<f32> = is_rooted.iter().map(|v| 1.0 - v).collect();
        let is_rooted = b.f32s("is_rooted", &[dim], &is_rooted);
        let is_plain = b.f32s("is_plain", &[dim], &is_plain);
        let size = b.op("Abs", "size", &[FEATURES]);
        let size = b.op("Max", "size_kept", &[&size, &tiny]);
        let root = b.op("Sqrt", "root", &[&size]);
        // A sum of two products, one of which is 0: a difference from 1 would lose the small roots' digits.
        let wanted = b.op("Mul", "root_where_wanted", &[&root, &is_rooted]);
        let divisor = b.op("Add", "divisor", &[&wanted, &is_plain]);
        features = b.op("Div", "rooted", &[FEATURES, &divisor]);
    }
    // A product with ones sums a block's columns; ReduceSum and ReduceL2 changed their form at opsets 13 and 18.
    let is_in = |column: usize, block: usize| if block_of[column] == block { 1.0f32 } else { 0.0 };
    let ones: Vec<f32> = (0..dim).flat_map(|c| (0..n_blocks).map(move |k| (c, k))).map(|(c, k)| is_in(c, k)).collect();
    let ones = b.f32s("ones", &[dim, n_blocks], &ones);
    let squares = b.op("Mul", "squares", &[&features, &features]);
    let sum = b.op("MatMul", "squared_norm", &[&squares, &ones]);
    let norm = b.op("Sqrt", "norm", &[&sum]);
    let mut norm = b.op("Max", "norm_kept", &[&norm, &least]);
    if n_blocks > 1 {
        // Each column gets its block's norm: exact, since all other products are zeros.
        let spread: Vec<f32> =
            (0..n_blocks).flat_map(|k| (0..dim).map(move |c| (c, k))).map(|(c, k)| is_in(c, k)).collect();
        let spread = b.f32s("blocks", &[n_blocks, dim], &spread);
        norm = b.op("MatMul", "norm_of_column", &[&norm, &spread]);
    }
    b.op("Div", "normalised", &[&features, &norm])
}

fn outputs(batch: Option<Extent>, n_classes: usize, has_distance: bool) -> Vec<ValueInfoProto> {
    [(LOGITS, n_classes), (PROBABILITIES, n_classes), (DISTANCE, 1)]
        .into_iter()
        .take(if has_distance { 3 } else { 2 })
        .map(|(name, width)| {
            let dims = vec![batch.clone(), Some(Extent::DimValue(width as i64))];
            value(name, DataType::Float as i32, Some(dims))
        })
        .collect()
}

/// Preprocessing, backbone and head in one: `image` (u8 `[H, W, 3]`, RGB, any size) to `logits` and `probabilities`,
/// f32 `[1, K]`. `classifier` is what [`classifier_model`] has made; see [`pixels`] for how the pixels become Pillow's.
///
/// # Errors
/// When the opset is below 11, the classifier has more than one input, or its input is no batch (of one or any number)
/// of images of the size and layout that `spec` gives.
pub fn image_classifier_model(classifier: &ModelProto, spec: &PreprocessSpec) -> Result<ModelProto, OnnxError> {
    require_opset(classifier, "preprocessing inside the model", pixels::MIN_OPSET)?;
    let mut out = classifier.clone();
    let ir_version = out.ir_version();
    let g = graph_mut(&mut out)?;
    let inputs = walk::fed_inputs(g);
    let [input] = inputs[..] else {
        return Err(OnnxError::Inputs { names: inputs.iter().map(|i| i.name().to_owned()).collect() });
    };
    let elem_type = check_input(input, spec)?;
    let old = input.name().to_owned();
    let symbol = walk::dims(input).and_then(|d| match &d.first()?.value {
        Some(Extent::DimParam(symbol)) => Some(symbol.clone()),
        _ => None,
    });

    g.input.retain(|i| i.name() != old);
    let mut b = Builder::new(g, "pixels");
    let tensor = b.name("tensor");
    walk::rename(g, &old, &tensor);
    release_name(g, IMAGE)?;
    let values = pixels::add(&mut b, IMAGE, spec)?;
    b.op_to("Cast", &tensor, &[&values], vec![attr_int("to", elem_type.into())]);
    b.finish(ir_version, g, true);

    let sides = ["height", "width"].map(|s| Some(Extent::DimParam(format!("image_{s}"))));
    let [height, width] = sides;
    g.input.insert(0, value(IMAGE, DataType::Uint8 as i32, Some(vec![height, width, Some(Extent::DimValue(3))])));
    if let Some(symbol) = symbol {
        fix_symbol(g, &symbol);
    }
    for output in &mut g.output {
        set_first_extent(output, Extent::DimValue(1));
    }
    sign(&mut out, "Image classifier with its preprocessing, made by Graft");
    check_size(&out)?;
    Ok(out)
}

/// The element type of an input that takes what `spec` gives.
fn check_input(input: &ValueInfoProto, spec: &PreprocessSpec) -> Result<i32, OnnxError> {
    let (h, w) = spec.output_size()?;
    let expected: [i64; 4] = match spec.layout {
        TensorLayout::Nchw => [1, 3, h.into(), w.into()],
        TensorLayout::Nhwc => [1, h.into(), w.into(), 3],
    };
    if let Some(dims) = walk::dims(input) {
        let fits = dims.len() == 4 && dims.iter().zip(expected).all(|(d, e)| walk::fixed(d).is_none_or(|n| n == e));
        if !fits {
            let text = |v: Vec<String>| format!("[{}]", v.join(", "));
            let found = dims.iter().map(|d| walk::fixed(d).map_or("?".to_owned(), |n| n.to_string())).collect();
            return Err(OnnxError::InputShape {
                name: input.name().to_owned(),
                found: text(found),
                expected: text(expected.iter().map(i64::to_string).collect()),
            });
        }
    }
    let elem_type = walk::tensor_type(input).map_or(DataType::Float as i32, |t| t.elem_type());
    match DataType::try_from(elem_type) {
        Ok(DataType::Float | DataType::Float16 | DataType::Double | DataType::Uint8) => Ok(elem_type),
        _ => Err(OnnxError::InputType { name: input.name().to_owned(), elem_type }),
    }
}

/// Frees a name for an output by renaming the inner tensor that has it; returns the tensor's new name if there is one.
fn release_name(g: &mut GraphProto, name: &str) -> Result<Option<String>, OnnxError> {
    if !walk::exists(g, name) {
        return Ok(None);
    }
    if walk::fed_inputs(g).iter().any(|i| i.name() == name) {
        return Err(OnnxError::NameTaken { name: name.to_owned() });
    }
    let new = Builder::new(g, "inner").name(name);
    walk::rename(g, name, &new);
    Ok(Some(new))
}

/// Gives the batch dimension of every fed input a symbol, where it is dynamic and has none.
fn name_batch(g: &mut GraphProto) {
    let fed: Vec<String> = walk::fed_inputs(g).iter().map(|i| i.name().to_owned()).collect();
    for input in g.input.iter_mut().filter(|i| fed.iter().any(|f| f == i.name())) {
        let first = walk::dims(input).and_then(|d| d.first());
        let dynamic = first.is_some_and(|d| walk::fixed(d).is_none());
        let named = first.is_some_and(|d| matches!(&d.value, Some(Extent::DimParam(s)) if !s.is_empty()));
        if dynamic && !named {
            set_first_extent(input, Extent::DimParam(BATCH.to_owned()));
        }
    }
}

/// Makes the open batch of an input, and of all that is known to have the same, `n`.
pub fn fix_batch(model: &mut ModelProto, input: &str, n: usize) {
    let Some(g) = model.graph.as_mut() else { return };
    let Some(info) = g.input.iter_mut().find(|i| i.name() == input) else { return };
    let symbol = walk::dims(info).and_then(|d| match &d.first()?.value {
        Some(Extent::DimParam(symbol)) if !symbol.is_empty() => Some(symbol.clone()),
        _ => None,
    });
    set_first_extent(info, Extent::DimValue(n as i64));
    let Some(symbol) = symbol else { return };
    for dim in g.value_info.iter_mut().chain(&mut g.output).filter_map(dims_mut).flatten() {
        if matches!(&dim.value, Some(Extent::DimParam(s)) if *s == symbol) {
            dim.value = Some(Extent::DimValue(n as i64));
        }
    }
}

/// The batch dimension of the first fed input.
fn batch_extent(g: &GraphProto) -> Option<Extent> {
    walk::fed_inputs(g).iter().find_map(|i| walk::dims(i)?.first()?.value.clone())
}

fn set_first_extent(info: &mut ValueInfoProto, extent: Extent) {
    if let Some(first) = dims_mut(info).and_then(|dims| dims.first_mut()) {
        first.value = Some(extent);
    }
}

fn dims_mut(info: &mut ValueInfoProto) -> Option<&mut Vec<super::proto::tensor_shape_proto::Dimension>> {
    match info.r#type.as_mut()?.value.as_mut()? {
        super::proto::type_proto::Value::TensorType(tensor) => Some(&mut tensor.shape.as_mut()?.dim),
        _ => None,
    }
}

/// Replaces a symbolic extent by 1 in all that is known about inner tensors.
fn fix_symbol(g: &mut GraphProto, symbol: &str) {
    for dim in g.value_info.iter_mut().chain(&mut g.output).filter_map(dims_mut).flatten() {
        if matches!(&dim.value, Some(Extent::DimParam(s)) if s == symbol) {
            dim.value = Some(Extent::DimValue(1));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use ndarray::{Array1, Array2};

    use super::*;
    use crate::classes::ClassIdx;
    use crate::embedding::{EmbeddingSpace, Embeddings};
    use crate::image::spec::{ChannelOrder, Crop, CropOffset, Filter, Resize};
    use crate::onnx::{graph, opset, parse};

    fn fixture(name: &str) -> ModelProto {
        let bytes: &'static [u8] = match name {
            "cnn" => include_bytes!("../../tests/fixtures/onnx/tiny_cnn/model.onnx"),
            "vit" => include_bytes!("../../tests/fixtures/onnx/tiny_vit.onnx"),
            "nhwc" => include_bytes!("../../tests/fixtures/onnx/tiny_nhwc.onnx"),
            "fp16" => include_bytes!("../../tests/fixtures/onnx/tiny_fp16.onnx"),
            _ => include_bytes!("../../tests/fixtures/onnx/not_image.onnx"),
        };
        parse(bytes).unwrap()
    }

    fn head(n_classes: usize, dim: usize) -> Affine {
        Affine {
            l2_blocks: vec![Block::plain(dim)],
            activation: Activation::Softmax,
            kernel: None,
            weight: Array2::ones((n_classes, dim)),
            bias: Array1::zeros(n_classes),
        }
    }

    fn nearest(n_classes: usize, dim: usize) -> NearestClass {
        let space = EmbeddingSpace { backbone: "b".into(), layer: "f".into(), preprocess: "p".into(), dim };
        let rows = Array2::from_shape_fn((n_classes, dim), |(i, j)| if i == j { 1.0f32 } else { 0.1 });
        let y: Vec<ClassIdx> = (0..n_classes).map(ClassIdx::from).collect();
        NearestClass::fit(&Embeddings::new(rows, space).unwrap(), &y, n_classes).unwrap()
    }

    fn spec(layout: TensorLayout) -> PreprocessSpec {
        PreprocessSpec {
            resize: Resize::ShortestSide { size_px: 36 },
            filter: Filter::Bicubic,
            crop: Some(Crop { height_px: 32, width_px: 32, offset: CropOffset::Floor }),
            pad_rgb: [0; 3],
            rescale: 1.0 / 255.0,
            mean: [0.5; 3],
            std: [0.5; 3],
            channels: ChannelOrder::Rgb,
            layout,
        }
    }

    fn shape(info: &ValueInfoProto) -> Vec<String> {
        let text = |d: &crate::onnx::proto::tensor_shape_proto::Dimension| match &d.value {
            Some(Extent::DimValue(n)) => n.to_string(),
            Some(Extent::DimParam(s)) => s.clone(),
            None => "?".to_owned(),
        };
        walk::dims(info).unwrap().iter().map(text).collect()
    }

    /// Every name is made once, before it is read.
    fn assert_sound(model: &ModelProto) {
        let g = graph(model).unwrap();
        let mut made: Vec<&str> = g.input.iter().map(|i| i.name()).chain(walk::constants(g)).collect();
        for node in &g.node {
            for name in walk::reads(node) {
                assert!(made.contains(&name), "{name} is read before it is made");
            }
            for name in walk::writes(node) {
                assert!(!made.contains(&name), "{name} is made twice");
                made.push(name);
            }
        }
        assert!(g.output.iter().all(|o| made.contains(&o.name())));
    }

    #[test]
    fn an_output_that_is_the_features_already_gets_no_node() {
        let model = fixture("cnn");
        let features = feature_model(&model, &[("features", Pooling::None)], Some(16)).unwrap();
        let g = graph(&features).unwrap();
        assert_eq!(g.node.len(), graph(&model).unwrap().node.len() - 1);
        assert_eq!(shape(&g.output[0]), ["batch", "16"]);
        assert_eq!(features.ir_version, model.ir_version);
    }

    #[test]
    fn all_stages_are_sound() {
        let average = |layout| Pooling::GlobalAverage { layout };
        for (name, tensor, pooling, dim, layout) in [
            ("cnn", "features", Pooling::None, 16, TensorLayout::Nchw),
            ("cnn", "logits", Pooling::None, 10, TensorLayout::Nchw),
            ("cnn", "block0_out", average(TensorLayout::Nchw), 16, TensorLayout::Nchw),
            ("vit", "last_hidden_state", Pooling::ClsToken, 24, TensorLayout::Nchw),
            ("vit", "layer0_out", Pooling::MeanToken, 24, TensorLayout::Nchw),
            ("nhwc", "map:0", average(TensorLayout::Nhwc), 8, TensorLayout::Nhwc),
            ("fp16", "embedding", Pooling::None, 8, TensorLayout::Nchw),
            ("cnn", "down", Pooling::Flatten, 1024, TensorLayout::Nchw),
        ] {
            let model = fixture(name);
            let features = feature_model(&model, &[(tensor, pooling)], Some(dim)).unwrap();
            assert_sound(&features);
            let classifier = classifier_model(&features, &head(3, dim), None).unwrap();
            assert_sound(&classifier);
            let image = image_classifier_model(&classifier, &spec(layout)).unwrap();
            assert_sound(&image);
            let g = graph(&image).unwrap();
            assert_eq!(g.input.iter().map(|i| i.name()).collect::<Vec<_>>(), [IMAGE]);
            assert_eq!(g.output.iter().map(|o| o.name()).collect::<Vec<_>>(), [LOGITS, PROBABILITIES]);
            assert_eq!(shape(&g.output[0]), ["1", "3"]);
            assert_eq!(opset(&image, ""), opset(&model, ""));
            assert_eq!((image.producer_name(), image.ir_version), ("graft", model.ir_version));
        }
    }

    #[test]
    fn a_distance_is_the_last_output() {
        let features = feature_model(&fixture("cnn"), &[("features", Pooling::None)], Some(16)).unwrap();
        let (nearest, other) = (nearest(3, 16), nearest(2, 16));
        let classifier = classifier_model(&features, &head(3, 16), Some(&nearest)).unwrap();
        let image = image_classifier_model(&classifier, &spec(TensorLayout::Nchw)).unwrap();
        let alone = head_model(&head(3, 16), Some(&nearest)).unwrap();
        for model in [&classifier, &image, &alone] {
            assert_sound(model);
            let g = graph(model).unwrap();
            let names: Vec<_> = g.output.iter().map(|o| o.name()).collect();
            assert_eq!(names, [LOGITS, PROBABILITIES, DISTANCE], "logits stay the first");
            assert_eq!(shape(&g.output[2])[1], "1");
        }
        let again = feature_model(&classifier, &[("distance", Pooling::None)], Some(1)).unwrap();
        assert_sound(&again);
        assert!(matches!(classifier_model(&features, &head(3, 16), Some(&other)), Err(OnnxError::HeadShape { .. })));
    }

    #[test]
    fn what_graft_made_can_be_grafted_again() {
        let features = feature_model(&fixture("cnn"), &[("features", Pooling::None)], Some(16)).unwrap();
        let first = classifier_model(&features, &head(10, 16), None).unwrap();
        let again = feature_model(&first, &[("logits", Pooling::None)], Some(10)).unwrap();
        let second = classifier_model(&again, &head(2, 10), None).unwrap();
        assert_sound(&second);
        assert_sound(&image_classifier_model(&second, &spec(TensorLayout::Nchw)).unwrap());
    }

    #[test]
    fn a_head_alone() {
        let model = head_model(&head(3, 5), None).unwrap();
        assert_sound(&model);
        let g = graph(&model).unwrap();
        assert_eq!(
            (shape(&g.input[0]), shape(&g.output[1])),
            (vec!["batch".to_owned(), "5".to_owned()], vec!["batch".to_owned(), "3".to_owned()])
        );
        let short = Affine { bias: Array1::zeros(2), ..head(3, 5) };
        assert!(matches!(head_model(&short, None), Err(OnnxError::HeadShape { n_classes: 3, dim: 5, n_biases: 2 })));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let features = feature_model(&fixture("cnn"), &[("features", Pooling::None)], Some(16)).unwrap();
        let err = classifier_model(&features, &head(3, 8), None).unwrap_err();
        assert!(matches!(err, OnnxError::Dim { features: 16, head: 8 }));

        let classifier = classifier_model(&features, &head(3, 16), None).unwrap();
        let err = image_classifier_model(&classifier, &spec(TensorLayout::Nhwc)).unwrap_err();
        assert!(matches!(err, OnnxError::InputShape { .. }));

        let mut old = classifier;
        old.opset_import[0].version = Some(9);
        let err = image_classifier_model(&old, &spec(TensorLayout::Nchw)).unwrap_err();
        assert!(matches!(err, OnnxError::OpsetTooOld { found: 9, needed: 11, .. }));
        assert!(err.to_string().contains("opset 11"));

        let text = feature_model(&fixture("text"), &[("sentence_embedding", Pooling::None)], Some(8)).unwrap();
        let text = classifier_model(&text, &head(3, 8), None).unwrap();
        let err = image_classifier_model(&text, &spec(TensorLayout::Nchw)).unwrap_err();
        assert!(matches!(err, OnnxError::InputShape { .. }));
    }
}
