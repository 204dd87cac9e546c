//! A backbone cut at a layer, a head, and both in one model, with or without the preprocessing.

use serde::{Deserialize, Serialize};

use super::build::{Builder, attr_int, attr_ints, sign, value};
use super::graph as walk;
use super::proto::tensor_shape_proto::Value as Extent;
use super::proto::{DataType, GraphProto, ModelProto, OperatorSetIdProto, ValueInfoProto};
use super::prune::prune;
use super::{OnnxError, check_size, graph_mut, pixels, require_opset};
use crate::head::Affine;
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
    /// The first token of `[N, T, D]`.
    ClsToken,
    /// Mean over all tokens of `[N, T, D]`, the class token included.
    MeanToken,
    /// All values of an image, in order.
    Flatten,
}

/// The backbone cut at `tensor`: its own inputs, and the one output `features`, f32 `[N, dim]`. What the features do
/// not need is gone; 16-bit results are converted.
///
/// # Errors
/// When the tensor does not exist, an input is named `features`, or the opset is below 8.
pub fn feature_model(
    model: &ModelProto,
    tensor: &str,
    pooling: Pooling,
    dim: Option<usize>,
) -> Result<ModelProto, OnnxError> {
    require_opset(model, "a feature output", HEAD_MIN_OPSET)?;
    let mut out = prune(model, &[tensor])?;
    let ir_version = out.ir_version();
    let g = graph_mut(&mut out)?;
    name_batch(g);
    let known = walk::value_info(g, tensor).and_then(walk::tensor_type).map(|t| t.elem_type());
    let is_f32 = known == Some(DataType::Float as i32);
    if !(is_f32 && pooling == Pooling::None && tensor == FEATURES) {
        // The tensor's own name may be the one that is needed.
        let tensor = release_name(g, FEATURES)?.filter(|_| tensor == FEATURES).unwrap_or_else(|| tensor.to_owned());
        let mut b = Builder::new(g, FEATURES);
        let tensor = if is_f32 { tensor } else { b.cast("f32", &tensor, DataType::Float) };
        pool(&mut b, &tensor, pooling);
        b.finish(ir_version, g, false);
    }
    let batch = batch_extent(g);
    let dim = dim.map(|d| Extent::DimValue(d as i64));
    g.output = vec![value(FEATURES, DataType::Float as i32, Some(vec![batch, dim]))];
    sign(&mut out, "Feature extractor, made by Graft");
    check_size(&out)?;
    Ok(out)
}

fn pool(b: &mut Builder, tensor: &str, pooling: Pooling) {
    let flatten = || vec![attr_int("axis", 1)];
    let averaged = |b: &mut Builder, channels_first: &str| {
        let mean = b.op("GlobalAveragePool", "mean", &[channels_first]);
        b.op_to("Flatten", FEATURES, &[&mean], flatten());
    };
    match pooling {
        Pooling::None => b.op_to("Identity", FEATURES, &[tensor], Vec::new()),
        Pooling::GlobalAverage { layout: TensorLayout::Nchw } => averaged(b, tensor),
        Pooling::GlobalAverage { layout: TensorLayout::Nhwc } => {
            let turned = b.op_with("Transpose", "nchw", &[tensor], vec![attr_ints("perm", &[0, 3, 1, 2])]);
            averaged(b, &turned);
        }
        Pooling::ClsToken => {
            let first = b.i64(0);
            b.op_to("Gather", FEATURES, &[tensor, &first], vec![attr_int("axis", 1)]);
        }
        // ReduceMean would say the same, but its axes became an input in opset 18.
        Pooling::MeanToken => {
            let turned = b.op_with("Transpose", "ndt", &[tensor], vec![attr_ints("perm", &[0, 2, 1])]);
            averaged(b, &turned);
        }
        Pooling::Flatten => b.op_to("Flatten", FEATURES, &[tensor], flatten()),
    }
}

/// A head alone: `features` f32 `[N, D]` to `logits` and `probabilities` f32 `[N, K]`.
///
/// # Errors
/// When the head has no class or feature, or its bias another length than its weight.
pub fn head_model(head: &Affine) -> Result<ModelProto, OnnxError> {
    let dim = check_head(head)?;
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
    add_head(g, 7, head)?;
    sign(&mut model, "Classifier head, made by Graft");
    check_size(&model)?;
    Ok(model)
}

/// Backbone and head in one: the backbone's inputs to `logits` and `probabilities`, f32 `[N, K]`. `feature_model` is
/// what [`feature_model`] has made.
///
/// # Errors
/// When the dimensions differ, the head is malformed, or an input has the name of an output.
pub fn classifier_model(feature_model: &ModelProto, head: &Affine) -> Result<ModelProto, OnnxError> {
    let dim = check_head(head)? as i64;
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
    add_head(g, ir_version, head)?;
    sign(&mut out, "Image classifier, made by Graft");
    check_size(&out)?;
    Ok(out)
}

fn check_head(head: &Affine) -> Result<usize, OnnxError> {
    let ((n_classes, dim), n_biases) = (head.weight.dim(), head.bias.len());
    if n_classes == 0 || dim == 0 || n_biases != n_classes {
        return Err(OnnxError::HeadShape { n_classes, dim, n_biases });
    }
    Ok(dim)
}

fn add_head(g: &mut GraphProto, ir_version: i64, head: &Affine) -> Result<(), OnnxError> {
    let (n_classes, dim) = head.weight.dim();
    let mut b = Builder::new(g, "head");
    let mut features = FEATURES.to_owned();
    if head.l2_normalise {
        // A product with ones sums a row; ReduceSum and ReduceL2 changed their form at opsets 13 and 18.
        let ones = b.f32s("ones", &[dim, 1], &vec![1.0; dim]);
        let least = b.f32s("least_norm", &[], &[1e-12]);
        let squares = b.op("Mul", "squares", &[FEATURES, FEATURES]);
        let sum = b.op("MatMul", "squared_norm", &[&squares, &ones]);
        let norm = b.op("Sqrt", "norm", &[&sum]);
        let norm = b.op("Max", "norm_kept", &[&norm, &least]);
        features = b.op("Div", "normalised", &[FEATURES, &norm]);
    }
    let weight = b.f32s("weight", &[n_classes, dim], &head.weight);
    let bias = b.f32s("bias", &[n_classes], &head.bias);
    b.op_to("Gemm", LOGITS, &[&features, &weight, &bias], vec![attr_int("transB", 1)]);
    b.op_to("Softmax", PROBABILITIES, &[LOGITS], vec![attr_int("axis", 1)]);
    let batch = batch_extent(g);
    b.finish(ir_version, g, false);
    g.output = outputs(batch, n_classes);
    Ok(())
}

fn outputs(batch: Option<Extent>, n_classes: usize) -> Vec<ValueInfoProto> {
    [LOGITS, PROBABILITIES]
        .map(|name| {
            let dims = vec![batch.clone(), Some(Extent::DimValue(n_classes as i64))];
            value(name, DataType::Float as i32, Some(dims))
        })
        .into()
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
        let fits = dims.len() == 4
            && dims.iter().zip(expected).all(|(d, e)| walk::fixed(d).is_none_or(|n| n == e));
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
