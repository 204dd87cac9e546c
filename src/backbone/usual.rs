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

/// The usual preprocessing of a family's models. `producer` is the name of what wrote the graph.
pub fn of(family: Architecture, graph: &GraphProto, producer: &str, input: &Port) -> Usual {
    use Architecture as A;
    // Channels that come last are Keras's habit, and with them its others; a graph of PyTorch only takes them so.
    let is_nhwc = input_layout(input).value == TensorLayout::Nhwc && !producer.to_lowercase().contains("torch");
    let imagenet = PreprocessSpec::IMAGENET_MEAN_STD;
    let (bilinear, bicubic) = (Filter::Bilinear, Filter::Bicubic);
    let (crop_pct, resize_why, filter, (mean, std), why) = match family {
        A::Clip => (Some(1.0), "as CLIP is trained", bicubic, OPENAI, "OpenAI's, which CLIP models are trained with"),
        A::Siglip => (None, "as SigLIP is trained", bicubic, HALF, "SigLIP's"),
        A::Dino => {
            (Some(0.875), "256 for 224, as DINO is trained", bicubic, imagenet, "ImageNet's, as DINO is trained")
        }
        A::Vit | A::Beit if !is_nhwc => {
            (Some(0.9), "input size / 0.9, as in timm", bicubic, HALF, "the range -1..1, usual for vision transformers")
        }
        A::Deit | A::Swin => (Some(0.9), "input size / 0.9, as in timm", bicubic, imagenet, "ImageNet's, as in timm"),
        A::EfficientnetLite => {
            (Some(0.875), "input size / 0.875, as in the model zoo", bicubic, LITE, "(x - 127) / 128, of the model zoo")
        }
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
        None if is_nhwc && matches!(family, A::Resnet | A::Vgg) => Usual {
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
}

/// Whether a graph brings pixels to its own range first: it says which they come in.
fn scaling(graph: &GraphProto, input: &Port) -> Option<Scaling> {
    let mut name = input.name.as_str();
    for _ in 0..6 {
        let mut readers = graph.node.iter().filter(|n| n.input.iter().any(|i| i == name));
        let node = readers.next()?;
        let number = || {
            let other = node.input.iter().find(|i| i.as_str() != name)?;
            number(graph, other)
        };
        match node.op_type() {
            "Transpose" | "Cast" | "Identity" => name = node.output.first()?,
            "Mul" => {
                let factor = number()?.abs();
                return (factor < 0.009).then_some(Scaling::Bytes);
            }
            "Div" => return (number()? > 50.0).then_some(Scaling::Bytes),
            "Sub" | "Add" => {
                let offset = number()?.abs();
                return match offset {
                    o if o > 50.0 => Some(Scaling::Bytes),
                    o if (0.3..0.6).contains(&o) => Some(Scaling::Unit),
                    _ => None,
                };
            }
            _ => return None,
        }
    }
    None
}

/// A stored number, or the first of three that are stored together.
fn number(graph: &GraphProto, name: &str) -> Option<f64> {
    let constant = |node: &NodeProto| node.attribute.iter().find_map(|a| a.t.clone());
    let stored = graph.initializer.iter().find(|t| t.name() == name).cloned();
    let made = || graph.node.iter().find(|n| n.op_type() == "Constant" && n.output.iter().any(|o| o == name));
    let tensor = stored.or_else(|| made().and_then(constant))?;
    let n: i64 = tensor.dims.iter().product();
    match n {
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

    fn port(dims: [Option<usize>; 4]) -> Port {
        Port { name: "x".into(), element: Element::F32, dims: dims.to_vec() }
    }

    #[test]
    fn what_a_graph_does_by_itself_is_seen() {
        let nhwc = port([None, Some(224), Some(224), Some(3)]);
        let of = |op: &str, values: &[f32]| super::of(Architecture::Efficientnet, &graph(op, values), "tf2onnx", &nhwc);
        assert_eq!((of("Mul", &[1.0 / 255.0]).rescale, of("Mul", &[1.0 / 255.0]).is_in_graph), (1.0, true));
        assert_eq!(of("Sub", &[123.7, 116.8, 103.9]).mean, [0.0; 3]);
        let unit = of("Sub", &[0.485, 0.456, 0.406]);
        assert!(unit.rescale < 0.01 && unit.mean == [0.0; 3]);
        assert!(!of("Mul", &[1.0]).is_in_graph);
    }

    #[test]
    fn families_have_habits() {
        let nchw = port([None, Some(3), Some(224), Some(224)]);
        let none = GraphProto::default();
        let of = |family| super::of(family, &none, "pytorch", &nchw);
        assert_eq!(of(Architecture::Clip).mean, OPENAI.0);
        assert_eq!((of(Architecture::Siglip).crop_pct, of(Architecture::Vit).std), (None, [0.5; 3]));
        assert_eq!(of(Architecture::Resnet).filter, Filter::Bilinear);
        let nhwc = port([None, None, None, Some(3)]);
        assert_eq!(super::of(Architecture::Resnet, &none, "tf2onnx", &nhwc).channels, ChannelOrder::Bgr);
        assert_eq!(super::of(Architecture::Resnet, &none, "pytorch", &nhwc).crop_pct, Some(0.875));
    }
}
