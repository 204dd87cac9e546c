//! Which family of architectures a model is of, by what its files say or by the names in its graph; and what models of a
//! family are trained on, where no file says it.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::manifest::{Origin, Sourced};
use crate::onnx::proto::{GraphProto, NodeProto};

/// A family of architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// DINO, DINOv2 and DINOv3.
    #[serde(rename = "dinov2")]
    Dino,
    /// SigLIP and SigLIP 2.
    Siglip,
    /// CLIP, of OpenAI and others.
    Clip,
    /// ConvNeXt.
    Convnext,
    /// Swin transformer.
    Swin,
    /// Data-efficient transformer, with or without distillation.
    Deit,
    /// BEiT.
    Beit,
    /// Masked autoencoder.
    Mae,
    /// EfficientNet-Lite of the ONNX model zoo.
    EfficientnetLite,
    /// EfficientNet.
    Efficientnet,
    /// MobileViT.
    Mobilevit,
    /// MobileNet.
    Mobilenet,
    /// RegNet.
    Regnet,
    /// DenseNet.
    Densenet,
    /// SqueezeNet.
    Squeezenet,
    /// Inception and GoogLeNet.
    Inception,
    /// VGG.
    Vgg,
    /// LeViT.
    Levit,
    /// PoolFormer.
    Poolformer,
    /// ResNet, ResNeXt and their kin.
    Resnet,
    /// Vision transformer.
    Vit,
    /// Attention, of another family.
    Transformer,
    /// Convolutions, of no family that is known.
    Convolutional,
    /// Neither is known.
    Unknown,
}

use Architecture as A;

impl Architecture {
    /// Its name for people.
    pub fn label(self) -> &'static str {
        match self {
            A::Dino => "DINO",
            A::Siglip => "SigLIP",
            A::Clip => "CLIP",
            A::Convnext => "ConvNeXt",
            A::Swin => "Swin transformer",
            A::Deit => "DeiT",
            A::Beit => "BEiT",
            A::Mae => "MAE",
            A::EfficientnetLite => "EfficientNet-Lite",
            A::Efficientnet => "EfficientNet",
            A::Mobilevit => "MobileViT",
            A::Mobilenet => "MobileNet",
            A::Regnet => "RegNet",
            A::Densenet => "DenseNet",
            A::Squeezenet => "SqueezeNet",
            A::Inception => "Inception",
            A::Vgg => "VGG",
            A::Levit => "LeViT",
            A::Poolformer => "PoolFormer",
            A::Resnet => "ResNet",
            A::Vit => "Vision transformer",
            A::Transformer => "Transformer",
            A::Convolutional => "Convolutional network",
            A::Unknown => "Unknown",
        }
    }

    /// Whether this is a variant of `other` by its training: the names in their graphs are the same.
    fn is_a(self, other: Self) -> bool {
        let variants: &[Self] = match other {
            A::Vit => &[A::Dino, A::Siglip, A::Clip, A::Deit, A::Beit, A::Mae, A::Transformer],
            A::Dino => &[A::Deit, A::Beit, A::Vit, A::Transformer],
            A::Efficientnet => &[A::EfficientnetLite],
            _ => &[],
        };
        variants.contains(&self)
    }

    /// Whether tokens begin with one for the whole image; `None` where the family does not tell.
    pub fn has_class_token(self) -> Option<bool> {
        match self {
            A::Dino | A::Clip | A::Deit | A::Beit | A::Mae | A::Vit => Some(true),
            A::Siglip | A::Swin | A::Poolformer | A::Convnext | A::Mobilevit => Some(false),
            _ => None,
        }
    }
}

/// Words in a model's own name for its kind, the more special first.
const WORDS: [(&str, Architecture); 50] = [
    ("dinov2", A::Dino),
    ("dinov3", A::Dino),
    ("dino", A::Dino),
    ("siglip", A::Siglip),
    ("metaclip", A::Clip),
    ("openclip", A::Clip),
    ("tinyclip", A::Clip),
    ("clip", A::Clip),
    ("convnext", A::Convnext),
    ("swin", A::Swin),
    ("deit", A::Deit),
    ("beit", A::Beit),
    ("vitmae", A::Mae),
    ("vit_mae", A::Mae),
    ("mae", A::Mae),
    ("efficientnet-lite", A::EfficientnetLite),
    ("efficientnet_lite", A::EfficientnetLite),
    ("efficientnet", A::Efficientnet),
    ("mobilevit", A::Mobilevit),
    ("mobilenet", A::Mobilenet),
    ("mnasnet", A::Mobilenet),
    ("regnetx", A::Regnet),
    ("regnety", A::Regnet),
    ("regnet", A::Regnet),
    ("densenetblur", A::Densenet),
    ("densenet", A::Densenet),
    ("squeezenet", A::Squeezenet),
    ("googlenet", A::Inception),
    ("inceptionresnet", A::Inception),
    ("inception", A::Inception),
    ("vgg", A::Vgg),
    ("levit", A::Levit),
    ("poolformer", A::Poolformer),
    ("seresnet", A::Resnet),
    ("seresnext", A::Resnet),
    ("ecaresnet", A::Resnet),
    ("skresnet", A::Resnet),
    ("resnest", A::Resnet),
    ("resnetrs", A::Resnet),
    ("resnetaa", A::Resnet),
    ("resnext", A::Resnet),
    ("resnet", A::Resnet),
    ("tinyvit", A::Transformer),
    ("tiny_vit", A::Transformer),
    ("efficientvit", A::Transformer),
    ("ijepa", A::Transformer),
    ("data2vec", A::Beit),
    ("vit", A::Vit),
    ("vision_transformer", A::Vit),
    ("eva", A::Vit),
];

/// Names of weights and nodes, all of which must occur, as the field's libraries give them; the more special first.
const MARKS: [(&[&str], Architecture); 45] = [
    (&["register_tokens"], A::Dino),
    (&["layer_scale1.lambda1", "mask_token"], A::Dino),
    (&["layer_scale1", "patch_embeddings"], A::Dino),
    (&["blocks.0.ls1", "patch_embed"], A::Dino),
    (&["blocks.0/ls1", "patch_embed"], A::Dino),
    (&["head.probe", "encoder"], A::Siglip),
    (&["vision_model", "head/attention"], A::Siglip),
    (&["attn_pool", "vision_model"], A::Siglip),
    (&["visual_projection"], A::Clip),
    (&["resblocks", "ln_pre"], A::Clip),
    (&["resblocks", "attn"], A::Clip),
    (&["class_embedding", "pre_layrnorm"], A::Clip),
    (&["pre_layrnorm"], A::Clip),
    (&["distillation_token"], A::Deit),
    (&["dist_token"], A::Deit),
    (&["relative_position_bias_table", "lambda_1"], A::Beit),
    (&["swin"], A::Swin),
    (&["layers.0/blocks/blocks.0", "attn"], A::Swin),
    (&["layers.0.blocks.0", "attn"], A::Swin),
    (&["layers.0/blocks.0", "attention"], A::Swin),
    (&["layers.0/blocks.0", "window"], A::Swin),
    (&["layers.0.blocks.0", "relative_position"], A::Swin),
    (&["convnext"], A::Convnext),
    (&["stages.0", "conv_dw", "norm", "mlp"], A::Convnext),
    (&["stages.0", "dwconv"], A::Convnext),
    (&["patch_embed", "blocks.0", "attn"], A::Vit),
    (&["encoder_layer_0"], A::Vit),
    (&["encoder/layer.0/attention", "embeddings"], A::Vit),
    (&["embeddings.cls_token"], A::Vit),
    (&["cls_token"], A::Vit),
    (&["denseblock1"], A::Densenet),
    (&["dense_block"], A::Densenet),
    (&["squeeze1x1"], A::Squeezenet),
    (&["expand3x3"], A::Squeezenet),
    (&["trunk_output"], A::Regnet),
    (&["s1.b1.conv1"], A::Regnet),
    (&["s1/b1/conv1"], A::Regnet),
    (&["mixed_5b"], A::Inception),
    (&["inception4a"], A::Inception),
    (&["conv2_block1_1_conv"], A::Resnet),
    (&["layer1.0", "layer2.0", "conv1"], A::Resnet),
    (&["stages.0/layers.0/layer", "convolution"], A::Resnet),
    (&["stages.0.layers.0.layer", "convolution"], A::Resnet),
    (&["resnetv1"], A::Resnet),
    (&["stage1_unit1"], A::Resnet),
];

/// The family of a model: by its configuration, else by the names in its graph (see [`names`]), else by the name of its file,
/// else by its operators.
pub fn find(side_dirs: &[PathBuf], graph: &GraphProto, names: &str, name: &str) -> Sourced<Architecture> {
    if let Some(found) = in_config(side_dirs) {
        return found;
    }
    let graph_says = |value| Sourced { value, origin: Origin::Graph };
    // Variants by their training share the names of the architecture: the file's own name may tell them apart.
    let by_name = word(&name.to_lowercase());
    if let Some((family, is_sure)) = in_names(graph, names) {
        return match by_name {
            Some(special) if special.is_a(family) => Sourced::guess(special, "the name of the file says so"),
            _ if is_sure => graph_says(family),
            _ => Sourced::guess(family, "a name in its graph says so"),
        };
    }
    if let Some(family) = by_name {
        return Sourced::guess(family, "the name of the file says so");
    }
    let has = |ops: &[&str]| graph.node.iter().any(|n| ops.contains(&n.op_type()));
    let n_convolutions = graph.node.iter().filter(|n| n.op_type().contains("Conv")).count();
    let has_attention = has(&["Attention", "MultiHeadAttention", "Einsum"]) || has_softmax_inside(graph);
    match (has_attention, n_convolutions) {
        (true, 0..=4) => Sourced::guess(A::Transformer, "it is made of attention"),
        (_, 1..) => Sourced::guess(A::Convolutional, "it is made of convolutions"),
        _ => Sourced::guess(A::Unknown, "neither its files nor its graph say it"),
    }
}

fn in_config(side_dirs: &[PathBuf]) -> Option<Sourced<Architecture>> {
    for dir in side_dirs {
        for file in ["config.json", "open_clip_config.json"] {
            let Ok(text) = fs::read_to_string(dir.join(file)) else { continue };
            let Ok(json) = serde_json::from_str::<Value>(&text) else { continue };
            if file == "open_clip_config.json" && json.get("model_cfg").is_some() {
                return Some(Sourced { value: A::Clip, origin: Origin::File { name: file.to_owned() } });
            }
            let first = |key: &str| match json.get(key) {
                Some(Value::String(text)) => Some(text.to_lowercase()),
                Some(Value::Array(list)) => list.first().and_then(Value::as_str).map(str::to_lowercase),
                _ => None,
            };
            let stated = ["model_type", "architecture", "architectures"].iter().find_map(|key| word(&first(key)?));
            if let Some(value) = stated {
                return Some(Sourced { value, origin: Origin::File { name: file.to_owned() } });
            }
            // A name is what somebody called it, and of a path only the last part is one.
            let name = |key: &str| Some(first(key)?.rsplit(['/', '\\']).next()?.to_owned());
            if let Some(value) = ["name", "_name_or_path"].iter().find_map(|key| word(&name(key)?)) {
                return Some(Sourced::guess(value, &format!("the name in {file} says so")));
            }
        }
    }
    None
}

/// Sizes that follow a family's name without a space.
const SIZES: [&str; 10] = ["atto", "femto", "pico", "nano", "tiny", "small", "base", "large", "xlarge", "huge"];

/// The family that a text in lower case names: as a word of its own, or at the beginning, where names of classes run on
/// (`vitforimageclassification`).
fn word(text: &str) -> Option<Architecture> {
    let runs_on = |word: &str| {
        let rest = text.strip_prefix(word);
        rest.is_some_and(|rest| ["for", "model", "vision", "with", "backbone"].iter().any(|w| rest.starts_with(w)))
    };
    WORDS.iter().find(|(word, _)| has_word(text, word) || runs_on(word)).map(|(_, family)| *family)
}

/// Whether a word stands in a text by itself: no letter touches it, as one of "retrieval" touches "eva".
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), &text[at + word.len()..]);
        let is_open = |c: Option<char>| c.is_none_or(|c| !c.is_alphabetic());
        // A version or a size may touch it: "resnetv2", "efficientnetb0", "vitb16", "convnexttiny".
        let variant = after.chars().take_while(|c| c.is_alphabetic()).collect::<String>();
        let then_digit = after.chars().nth(1).is_some_and(|c| c.is_ascii_digit());
        let is_variant = match variant.as_str() {
            "" => true,
            // In short words it would be chance: "eval1".
            "v" => then_digit,
            one if one.len() == 1 => then_digit && (word.len() > 3 || word == "vit"),
            word => SIZES.contains(&word),
        };
        is_open(before) && is_variant
    })
}

/// Names of weights and nodes in lower case, one a line.
pub fn names(graph: &GraphProto) -> String {
    const MOST: usize = 4 << 20;
    let mut text = String::new();
    let all = graph
        .initializer
        .iter()
        .map(|t| t.name())
        .chain(graph.node.iter().map(NodeProto::name))
        .chain(graph.node.iter().filter_map(|n| n.output.first()).map(String::as_str))
        .chain([graph.name()]);
    for name in all {
        if text.len() > MOST {
            break;
        }
        text.push_str(&name.to_lowercase());
        text.push('\n');
    }
    text
}

/// The family by names in the graph, and whether more than one name says it.
fn in_names(graph: &GraphProto, text: &str) -> Option<(Architecture, bool)> {
    // Hierarchical transformers name their stages as ConvNeXt does.
    let is_possible = |family: &Architecture| *family != A::Convnext || !has_softmax_inside(graph);
    let marked =
        MARKS.iter().find(|(marks, family)| marks.iter().all(|mark| text.contains(mark)) && is_possible(family));
    let marked = marked.map(|(marks, family)| {
        // Layer scale is DINO's and a few others', and stages are what many hierarchical models have.
        let is_shared = match family {
            A::Dino => !marks.iter().any(|mark| mark.ends_with("_token") || mark.ends_with("_tokens")),
            A::Convnext => marks.len() > 1,
            _ => false,
        };
        (*family, marks.len() > 1 && !is_shared)
    });
    let sure = |family| Some((family, true));
    marked.or_else(|| {
        // Families of depthwise convolutions share their names in the libraries and differ in the activation.
        let is_torchvision = text.contains("features.1") || text.contains("features/features.1");
        let has_block = |mark: &str| text.contains(mark);
        let is_hard = graph.node.iter().any(|n| matches!(n.op_type(), "HardSwish" | "HardSigmoid" | "Clip"));
        let is_inverted = has_block("conv_dw") || has_block("conv_pw") || is_torchvision && has_block("block");
        let is_keras_efficient = has_block("block2a_") && has_block("stem_conv");
        let is_keras_mobile = has_block("expanded_conv") || has_block("block_1_expand") || has_block("conv_dw_1");
        let is_mobile_v2 = is_torchvision && has_block("conv/conv.0") || has_block("features.1.conv.0.0");
        let has_depthwise = graph.node.iter().any(is_grouped);
        match () {
            () if is_keras_efficient => sure(A::Efficientnet),
            () if is_keras_mobile || is_mobile_v2 => sure(A::Mobilenet),
            () if is_inverted && has_depthwise && is_hard => sure(A::Mobilenet),
            () if is_inverted && has_depthwise => sure(A::Efficientnet),
            // The graph's own name, as exporters of whole networks write it.
            () => {
                let found = WORDS.iter().find(|(word, _)| word.len() > 4 && has_word(text, word));
                found.map(|(_, family)| (*family, false))
            }
        }
    })
}

fn is_grouped(node: &NodeProto) -> bool {
    node.op_type().contains("Conv") && node.attribute.iter().any(|a| a.name() == "group" && a.i() > 1)
}

/// A softmax whose result is multiplied on, which scores at the end are not.
fn has_softmax_inside(graph: &GraphProto) -> bool {
    let softmaxes = graph.node.iter().filter(|n| n.op_type() == "Softmax").filter_map(|n| n.output.first());
    let read: std::collections::BTreeSet<&str> = graph
        .node
        .iter()
        .filter(|n| {
            matches!(
                n.op_type(),
                "MatMul" | "Cast" | "Dropout" | "Identity" | "QuantizeLinear" | "DynamicQuantizeLinear"
            )
        })
        .flat_map(|n| n.input.iter().map(String::as_str))
        .collect();
    softmaxes.into_iter().any(|output| read.contains(output.as_str()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn find_in(side_dirs: &[PathBuf], graph: &GraphProto, name: &str) -> Sourced<Architecture> {
        find(side_dirs, graph, &names(graph), name)
    }

    fn graph(names: &[(&str, &str)]) -> GraphProto {
        let node = |(op, name): &(&str, &str)| NodeProto {
            op_type: Some((*op).into()),
            name: Some((*name).into()),
            ..NodeProto::default()
        };
        GraphProto { node: names.iter().map(node).collect(), ..GraphProto::default() }
    }

    #[test]
    fn names_in_graphs_tell_the_family() {
        for (names, family) in [
            (&[("Conv", "/layer1/layer1.0/conv1/Conv"), ("Conv", "/layer2/layer2.0/conv1/Conv")][..], A::Resnet),
            (
                &[("Conv", "/features/features.3/squeeze/Conv"), ("Conv", "/features/features.3/expand3x3/Conv")],
                A::Squeezenet,
            ),
            (&[("MatMul", "/blocks/blocks.0/attn/qkv/MatMul"), ("Conv", "/patch_embed/proj/Conv")], A::Vit),
            (&[("Conv", "/stages/stages.0/blocks/blocks.0/conv_dw/Conv"), ("Gemm", "/stages.0/norm/mlp")], A::Convnext),
            (&[("Conv", "plain")], A::Convolutional),
            (&[("Relu", "plain")], A::Unknown),
        ] {
            assert_eq!(find_in(&[], &graph(names), "x").value, family, "{names:?}");
        }
        assert_eq!(find_in(&[], &graph(&[("Conv", "c")]), "my_resnet50").value, A::Resnet);
    }

    #[test]
    fn words_are_whole_words_and_variants_are_told_by_the_files_name() {
        for (name, family) in [
            ("image_retrieval_best", A::Convolutional),
            ("medieval-activity", A::Convolutional),
            ("eclipse", A::Convolutional),
            ("fastvit_t8", A::Convolutional),
            ("eva02_tiny", A::Vit),
            ("mobilenetv3-large", A::Mobilenet),
            ("dinov2_vits14", A::Dino),
            ("eval1", A::Convolutional),
            ("EfficientNetB0", A::Efficientnet),
            ("ConvNeXtTiny", A::Convnext),
            ("InceptionResNetV2", A::Inception),
            ("vitb16", A::Vit),
            ("openclip_vitb32", A::Clip),
            ("TinyCLIP-ViT-8M-16", A::Clip),
            ("legacy_seresnext26", A::Resnet),
        ] {
            assert_eq!(find_in(&[], &graph(&[("Conv", "c")]), name).value, family, "{name}");
        }
        // A network of one's own that calls its blocks as CLIP does, and hierarchical ones.
        assert_eq!(find_in(&[], &graph(&[("Conv", "/resblocks/resblocks.0/Conv")]), "mynet").value, A::Convolutional);
        assert_eq!(find_in(&[], &graph(&[("Conv", "/hierarchical/Conv")]), "x").value, A::Convolutional);
        let vit = [("MatMul", "/blocks/blocks.0/attn/qkv/MatMul"), ("Conv", "/patch_embed/proj/Conv")];
        let found = find_in(&[], &graph(&vit), "deit_tiny_patch16_224");
        assert_eq!((found.value, found.origin.to_string().contains("guess")), (A::Deit, true));
        assert_eq!(find_in(&[], &graph(&vit), "resnet-like").value, A::Vit);

        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), r#"{"_name_or_path": "/home/vitor/runs/best"}"#).unwrap();
        assert_eq!(find_in(&[dir.path().to_owned()], &graph(&[("Conv", "c")]), "x").value, A::Convolutional);
        fs::write(dir.path().join("config.json"), r#"{"architectures": ["ViTForImageClassification"]}"#).unwrap();
        assert_eq!(find_in(&[dir.path().to_owned()], &graph(&[]), "x").value, A::Vit);
    }

    #[test]
    fn the_configuration_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), r#"{"model_type": "dinov2", "architectures": ["ViTModel"]}"#)
            .unwrap();
        let found = find_in(&[dir.path().to_owned()], &graph(&[("Conv", "/layer1/layer1.0/conv1")]), "x");
        assert_eq!(found.value, A::Dino);
        assert_eq!(found.origin.to_string(), "read from config.json");
        fs::write(dir.path().join("config.json"), r#"{"architecture": "vit_tiny_patch16_224"}"#).unwrap();
        assert_eq!(find_in(&[dir.path().to_owned()], &graph(&[]), "x").value, A::Vit);
    }
}
