//! Preprocessing that models of a family are usually trained with, for models whose files do not say it.

use super::architecture::Architecture;
use super::manifest::{Element, Port};
use super::resolve::input_layout;
use crate::image::spec::{ChannelOrder, Filter, PreprocessSpec, TensorLayout};
use crate::onnx;
use crate::onnx::proto::{GraphProto, NodeProto, TensorProto};

/// What is usual.
#[derive(Clone, Debug, PartialEq)]
pub struct Usual {
    /// Part of the resized picture that the crop keeps; `None` where the picture is squashed to the input's size.
    pub crop_pct: Option<f64>,
    /// Why this resize.
    pub resize_why: &'static str,
    /// Filter.
    pub filter: Filter,
    /// What pixels of 0..255 are multiplied with.
    pub rescale: f32,
    /// Mean, after the rescaling.
    pub mean: [f32; 3],
    /// Standard deviation, after the rescaling.
    pub std: [f32; 3],
    /// Order of the channels.
    pub channels: ChannelOrder,
    /// Why these numbers.
    pub why: &'static str,
    /// Whether the graph shows them, so that they are no guess.
    pub is_in_graph: bool,
}

const OPENAI: ([f32; 3], [f32; 3]) =
    ([0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_6, 0.275_777_1]);
const HALF: ([f32; 3], [f32; 3]) = ([0.5; 3], [0.5; 3]);
/// 127 and 128 of 255, of the ONNX model zoo's EfficientNet-Lite.
const LITE: ([f32; 3], [f32; 3]) = ([127.0 / 255.0; 3], [128.0 / 255.0; 3]);
/// Blue, green, red, of the Caffe weights that Keras took over.
const CAFFE_MEAN: [f32; 3] = [103.939, 116.779, 123.68];

/// The usual preprocessing of a family's models. `names` are those in the graph ([`super::architecture::names`]), `producer` is the name of what wrote the graph.
pub fn of(family: Architecture, graph: &GraphProto, names: &str, producer: &str, input: &Port) -> Usual {
    use Architecture as A;
    // Channels that come last are Keras's habit, and with them its others; a graph of PyTorch only takes them so.
    let is_nhwc = input_layout(input).value == TensorLayout::Nhwc && !producer.to_lowercase().contains("torch");
    let imagenet = PreprocessSpec::IMAGENET_MEAN_STD;
    let (bilinear, bicubic) = (Filter::Bilinear, Filter::Bicubic);
    // The same architecture is trained otherwise by each library, and their names for its parts tell which it was.
    let is_torchvision_vit = names.contains("encoder_layer_0");
    let is_keras_v2 = names.contains("preact");
    let (crop_pct, resize_why, filter, (mean, std), why) = match family {
        A::Clip => (Some(1.0), "as CLIP is trained", bicubic, OPENAI, "OpenAI's, which CLIP models are trained with"),
        A::Siglip => (None, "as SigLIP is trained", bicubic, HALF, "SigLIP's"),
        A::Dino => {
            (Some(0.875), "256 for 224, as DINO is trained", bicubic, imagenet, "ImageNet's, as DINO is trained")
        }
        A::Vit if is_torchvision_vit => {
            (Some(0.875), "256 for 224, as in torchvision", bilinear, imagenet, "ImageNet's, as in torchvision")
        }
        A::Mae => (Some(0.875), "256 for 224, as MAE is trained", bicubic, imagenet, "ImageNet's, as MAE is trained"),
        A::Vit | A::Beit if !is_nhwc => {
            (Some(0.9), "input size / 0.9, as in timm", bicubic, HALF, "the range -1..1, usual for vision transformers")
        }
        A::Deit | A::Swin => (Some(0.9), "input size / 0.9, as in timm", bicubic, imagenet, "ImageNet's, as in timm"),
        A::EfficientnetLite => {
            (Some(0.875), "input size / 0.875, as in the model zoo", bicubic, LITE, "(x - 127) / 128, of the model zoo")
        }
        A::Inception if turns_imagenet_to_half(graph, input) => (
            Some(0.875),
            "input size / 0.875, as in torchvision",
            bilinear,
            imagenet,
            "ImageNet's: the graph turns them into the range that Inception is trained with",
        ),
        A::Inception if !is_nhwc => {
            (Some(0.875), "input size / 0.875, as in timm", bicubic, HALF, "the range -1..1, as Inception is trained")
        }
        A::Resnet | A::Mobilenet | A::Squeezenet | A::Densenet | A::Regnet | A::Vgg if !is_nhwc => {
            (Some(0.875), "256 for 224, as in torchvision", bilinear, imagenet, "ImageNet's, as in torchvision")
        }
        A::Densenet => (None, "as Keras loads images", bilinear, imagenet, "ImageNet's, as Keras has it for DenseNet"),
        _ if is_nhwc => {
            (None, "as Keras loads images", bilinear, HALF, "the range -1..1, usual for channels-last models")
        }
        _ => (
            Some(0.875),
            "input size / 0.875, as timm and torchvision do",
            bicubic,
            imagenet,
            "ImageNet's, which most backbones are trained with",
        ),
    };
    let usual = Usual {
        crop_pct,
        resize_why,
        filter,
        rescale: 1.0 / 255.0,
        mean,
        std,
        channels: ChannelOrder::Rgb,
        why,
        is_in_graph: false,
    };
    match scaling(graph, input) {
        _ if input.element == Element::U8 => usual,
        Some(Scaling::Bytes) => Usual {
            rescale: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
            why: "the graph scales pixels of 0..255 by itself",
            is_in_graph: true,
            ..usual
        },
        Some(Scaling::Unit) => Usual {
            mean: [0.0; 3],
            std: [1.0; 3],
            why: "the graph normalises pixels of 0..1 by itself",
            is_in_graph: true,
            ..usual
        },
        Some(Scaling::Signed) => Usual {
            mean: HALF.0,
            std: HALF.1,
            why: "the graph brings pixels of -1..1 to its own range",
            is_in_graph: true,
            ..usual
        },
        None if is_nhwc && (family == A::Resnet && !is_keras_v2 || family == A::Vgg) => Usual {
            rescale: 1.0,
            mean: CAFFE_MEAN,
            std: [1.0; 3],
            channels: ChannelOrder::Bgr,
            why: "Caffe's means of blue, green and red, as Keras has it for these weights",
            ..usual
        },
        None => usual,
    }
}

/// What a graph begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scaling {
    /// It takes pixels of 0..255.
    Bytes,
    /// It takes pixels of 0..1.
    Unit,
    /// It takes pixels of -1..1.
    Signed,
}

/// Whether a graph brings pixels to its own range first: it says which they come in. All that it multiplies with and adds at
/// its beginning is taken together, and what it makes of pixels tells.
fn scaling(graph: &GraphProto, input: &Port) -> Option<Scaling> {
    // What a value x has become: factor * x + offset.
    let (mut factor, mut offset) = (1.0_f64, 0.0_f64);
    let mut name = input.name.as_str();
    for _ in 0..10 {
        let mut readers = graph.node.iter().filter(|n| n.input.iter().any(|i| i == name));
        let (Some(node), None) = (readers.next(), readers.next()) else { break };
        let is_first = node.input.first().is_some_and(|i| i == name);
        let other = || node.input.iter().find(|i| i.as_str() != name).and_then(|other| number(graph, other));
        match (node.op_type(), is_first) {
            ("Transpose" | "Cast" | "Identity", _) | ("QuantizeLinear" | "DequantizeLinear", true) => {}
            ("Mul", _) => {
                let Some(number) = other() else { break };
                (factor, offset) = (factor * number, offset * number);
            }
            ("Div", true) => {
                let Some(number) = other().filter(|n| *n != 0.0) else { break };
                (factor, offset) = (factor / number, offset / number);
            }
            ("Add", _) => {
                let Some(number) = other() else { break };
                offset += number;
            }
            ("Sub", true) => {
                let Some(number) = other() else { break };
                offset -= number;
            }
            _ => break,
        }
        let Some(output) = node.output.first() else { break };
        name = output;
    }
    let of_byte = factor * 255.0;
    match (factor, offset) {
        (1.0, 0.0) => None,
        // Means of bytes are taken away, or bytes become numbers around 1.
        (f, o) if o < -50.0 && (0.9..1.1).contains(&f) => Some(Scaling::Bytes),
        (_, o) if (0.5..10.0).contains(&of_byte) && o.abs() < 5.0 => Some(Scaling::Bytes),
        (f, o) if (100.0..150.0).contains(&f) && (100.0..150.0).contains(&o) => Some(Scaling::Signed),
        (f, _) if (200.0..300.0).contains(&f) => Some(Scaling::Unit),
        // A mean and a standard deviation that pictures have; what else is near 1 is a folded normalisation.
        (f, o) if (0.3..0.6).contains(&(-o / f)) && (f == 1.0 || (0.15..0.6).contains(&(1.0 / f))) => {
            Some(Scaling::Unit)
        }
        // Standard deviations alone.
        (f, 0.0) if (3.0..8.0).contains(&f) => Some(Scaling::Unit),
        _ => None,
    }
}

/// Whether a graph begins by turning what ImageNet's mean and standard deviation made, channel by channel, into -1..1, as
/// torchvision's Inception and GoogLeNet do with weights that come from there.
fn turns_imagenet_to_half(graph: &GraphProto, input: &Port) -> bool {
    let is_channel = |n: &&NodeProto| {
        matches!(n.op_type(), "Gather" | "Slice" | "Split") && n.input.first().is_some_and(|i| *i == input.name)
    };
    let mut name = graph.node.iter().find(is_channel).and_then(|n| n.output.first());
    for _ in 0..4 {
        let reader = name.and_then(|name| graph.node.iter().find(|n| n.input.iter().any(|i| i == name)));
        let Some(node) = reader else { return false };
        if node.op_type() == "Mul" {
            let factor = node.input.iter().find_map(|i| number(graph, i));
            // 0.229 / 0.5
            return factor.is_some_and(|f| (0.44..0.47).contains(&f));
        }
        name = node.output.first();
    }
    false
}

/// A stored number, or the first of three that are stored together.
fn number(graph: &GraphProto, name: &str) -> Option<f64> {
    // A quantised constant is what its scale makes of it.
    if let Some(node) = onnx::producer(graph, name).filter(|n| n.op_type() == "DequantizeLinear") {
        let part = |i: usize| node.input.get(i).and_then(|input| stored_number(graph, input));
        return Some((part(0)? - part(2).unwrap_or(0.0)) * part(1)?);
    }
    stored_number(graph, name)
}

fn stored_number(graph: &GraphProto, name: &str) -> Option<f64> {
    let constant = |node: &NodeProto| node.attribute.iter().find_map(|a| a.t.clone());
    let stored = graph.initializer.iter().find(|t| t.name() == name).cloned();
    let made = || onnx::producer(graph, name).filter(|n| n.op_type() == "Constant");
    let tensor = stored.or_else(|| made().and_then(constant))?;
    match tensor.dims.iter().try_fold(1_i64, |n, &dim| n.checked_mul(dim))? {
        1 => onnx::scalar(&tensor),
        3 => onnx::scalar(&first_of(&tensor)?),
        _ => None,
    }
}

fn first_of(tensor: &TensorProto) -> Option<TensorProto> {
    let mut first = tensor.clone();
    first.dims = vec![1];
    match &tensor.raw_data {
        Some(raw) if !raw.is_empty() => first.raw_data = Some(raw.slice(..raw.len() / 3)),
        _ => first.float_data.truncate(1),
    }
    Some(first)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::backbone::architecture;
    use crate::onnx::proto::DataType;

    fn graph(op: &str, values: &[f32]) -> GraphProto {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        GraphProto {
            node: vec![NodeProto {
                op_type: Some(op.into()),
                input: vec!["x".into(), "c".into()],
                output: vec!["y".into()],
                ..NodeProto::default()
            }],
            initializer: vec![TensorProto {
                name: Some("c".into()),
                dims: vec![values.len() as i64],
                data_type: Some(DataType::Float as i32),
                raw_data: Some(raw.into()),
                ..TensorProto::default()
            }],
            ..GraphProto::default()
        }
    }

    fn usual_of(family: Architecture, graph: &GraphProto, producer: &str, input: &Port) -> Usual {
        of(family, graph, &architecture::names(graph), producer, input)
    }

    fn port(dims: [Option<usize>; 4]) -> Port {
        Port { name: "x".into(), element: Element::F32, dims: dims.to_vec() }
    }

    #[test]
    fn what_a_graph_does_by_itself_is_seen() {
        let nhwc = port([None, Some(224), Some(224), Some(3)]);
        let of = |op: &str, values: &[f32]| usual_of(Architecture::Efficientnet, &graph(op, values), "tf2onnx", &nhwc);
        assert_eq!((of("Mul", &[1.0 / 255.0]).rescale, of("Mul", &[1.0 / 255.0]).is_in_graph), (1.0, true));
        assert_eq!(of("Sub", &[123.7, 116.8, 103.9]).mean, [0.0; 3]);
        let unit = of("Sub", &[0.485, 0.456, 0.406]);
        assert!(unit.rescale < 0.01 && unit.mean == [0.0; 3]);
        assert!(!of("Mul", &[1.0]).is_in_graph);
        let steps = |steps: &[(&str, f32)]| {
            let mut all = GraphProto::default();
            for (i, (op, value)) in steps.iter().enumerate() {
                let mut one = graph(op, &[*value]);
                one.node[0].input = vec![if i == 0 { "x".into() } else { format!("y{i}") }, format!("c{i}")];
                one.node[0].output = vec![format!("y{}", i + 1)];
                one.initializer[0].name = Some(format!("c{i}"));
                all.node.append(&mut one.node);
                all.initializer.append(&mut one.initializer);
            }
            usual_of(Architecture::Efficientnet, &all, "tf2onnx", &nhwc)
        };
        let unit = steps(&[("Mul", 2.0), ("Sub", 1.0)]);
        assert!(unit.is_in_graph && unit.rescale < 0.01 && unit.mean == [0.0; 3], "{unit:?}");
        let bytes = steps(&[("Div", 127.5), ("Sub", 1.0)]);
        assert!(bytes.is_in_graph && bytes.rescale == 1.0, "{bytes:?}");
        let signed = steps(&[("Add", 1.0), ("Mul", 127.5)]);
        assert!(signed.is_in_graph && signed.mean == HALF.0 && signed.rescale < 0.01, "{signed:?}");
        assert!(!steps(&[("Mul", 0.458), ("Add", -0.03)]).is_in_graph);
        assert!(!steps(&[("Mul", 1.03), ("Add", -0.35)]).is_in_graph, "a normalisation that was folded");
        assert!(steps(&[("Div", 0.229)]).is_in_graph);
    }

    #[test]
    fn families_have_habits() {
        let nchw = port([None, Some(3), Some(224), Some(224)]);
        let none = GraphProto::default();
        let of = |family| usual_of(family, &none, "pytorch", &nchw);
        assert_eq!(of(Architecture::Clip).mean, OPENAI.0);
        assert_eq!((of(Architecture::Siglip).crop_pct, of(Architecture::Vit).std), (None, [0.5; 3]));
        assert_eq!(of(Architecture::Resnet).filter, Filter::Bilinear);
        let nhwc = port([None, None, None, Some(3)]);
        assert_eq!(usual_of(Architecture::Resnet, &none, "tf2onnx", &nhwc).channels, ChannelOrder::Bgr);
        assert_eq!(usual_of(Architecture::Resnet, &none, "pytorch", &nhwc).crop_pct, Some(0.875));
        // The same architecture from another library is trained otherwise.
        let named = |name: &str| GraphProto {
            node: vec![NodeProto { name: Some(name.into()), ..NodeProto::default() }],
            ..GraphProto::default()
        };
        let v2 = usual_of(Architecture::Resnet, &named("conv2_block1_preact_bn"), "tf2onnx", &nhwc);
        assert_eq!((v2.channels, v2.mean), (ChannelOrder::Rgb, HALF.0));
        let vit = usual_of(Architecture::Vit, &named("encoder/layers/encoder_layer_0/ln_1"), "pytorch", &nchw);
        assert_eq!((vit.filter, vit.mean), (Filter::Bilinear, PreprocessSpec::IMAGENET_MEAN_STD.0));
    }
}
