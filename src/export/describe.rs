//! `graft.json`: what an export is, for programs; and its README, for people.

use serde::{Deserialize, Serialize};

use super::bundle::Contents;
use super::files;
use crate::classes::ClassSet;
use crate::embedding::EmbeddingSpace;
use crate::head::{Activation, Affine, Block, UnknownRule};
use crate::image::spec::PreprocessSpec;

/// Value of [`Meta::format`].
pub const FORMAT: &str = "graft-export";

/// Contents of `graft.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Meta {
    /// [`FORMAT`].
    pub format: String,
    /// Counts changes of this layout.
    pub version: u32,
    /// Version of Graft that wrote it.
    pub graft: String,
    /// Class names; the order of every logit and probability.
    pub classes: ClassSet,
    /// Preprocessing of an image.
    pub preprocess: PreprocessSpec,
    /// Space of the head's features.
    pub embedding_space: EmbeddingSpace,
    /// The backbone.
    pub backbone: BackboneMeta,
    /// Kind and hyperparameters of the head.
    pub head: serde_json::Value,
    /// What makes probabilities of logits.
    #[serde(default)]
    pub activation: Activation,
    /// Whether the graphs have the output `distance`, `[N, 1]`: the distance to the nearest class.
    #[serde(default)]
    pub has_distance: bool,
    /// When the answer is "unknown".
    #[serde(default)]
    pub unknown: UnknownRule,
    /// What it was trained on.
    pub data: DataMeta,
    /// Its figures on the validation images.
    pub metrics: serde_json::Value,
    /// Licences and notices of the backbone that were written along.
    #[serde(default)]
    pub notices: Vec<String>,
    /// The proof: exported files against the app.
    pub verification: Verification,
}

/// The backbone of an export.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackboneMeta {
    /// Name.
    pub name: String,
    /// Content hash (BLAKE3, hex) of its ONNX file.
    pub id: String,
    /// The tensor that serves as features, with its pooling.
    pub layer: String,
    /// Licence of the weights, if known.
    pub licence: Option<String>,
    /// Source of the weights, if known.
    pub source: Option<String>,
}

/// Counts of the training data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataMeta {
    /// Usable labelled images.
    pub n_images: usize,
    /// Images that the head was fitted on.
    pub n_train: usize,
    /// Images that it was judged on.
    pub n_val: usize,
    /// Training images of each class, in class order.
    pub n_train_per_class: Vec<usize>,
    /// Validation images of each class, in class order.
    pub n_val_per_class: Vec<usize>,
    /// Seed of the split.
    pub seed: u64,
}

/// Comparison of exported files with the app.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Verification {
    /// Images compared.
    pub n: usize,
    /// `classifier.onnx`.
    pub classifier: Agreement,
    /// Images that `image_classifier.onnx` was compared on.
    #[serde(default)]
    pub n_image_classifier: usize,
    /// `image_classifier.onnx`, when it was written.
    pub image_classifier: Option<Agreement>,
    /// `head.onnx`, when it was written.
    pub head: Option<Agreement>,
    /// Why `image_classifier.onnx` was not written although it was wanted.
    pub image_classifier_missing: Option<String>,
}

/// How well an exported file agrees with the app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Largest absolute difference of a probability.
    pub max_abs_difference: f64,
    /// Share of images with the same top class.
    pub top1_agreement: f64,
    /// Largest absolute difference of a distance to the nearest class, where there is one.
    #[serde(default)]
    pub max_distance_difference: Option<f64>,
    /// Share of images on which the rule for "unknown" decides alike.
    #[serde(default)]
    pub unknown_agreement: Option<f64>,
}

/// The rule for "unknown" in a sentence.
pub fn rule_text(rule: UnknownRule) -> String {
    match rule {
        UnknownRule::Off => "Every image gets an answer: there is no rule for \"unknown\".".to_owned(),
        UnknownRule::Probability { below } => {
            format!("The answer is \"unknown\" where the largest probability is below {below:.4}.")
        }
        UnknownRule::Distance { above } => {
            format!("The answer is \"unknown\" where the distance to the nearest class is above {above:.4}.")
        }
    }
}

/// The README of an export; `written` says which of its files there are.
pub fn readme(meta: &Meta, written: Contents, input: &str, head: &Affine, accuracy: Option<f64>) -> String {
    let (k, dim) = (meta.classes.len(), meta.embedding_space.dim);
    let mut formula = match head.l2_blocks.as_slice() {
        [] => "logits = weight x + bias".to_owned(),
        [block] if !block.square_root => {
            "logits = weight (x / |x|) + bias, features divided by their length first".to_owned()
        }
        blocks => {
            let text =
                |b: &Block| format!("{} {}columns", b.width, if b.square_root { "square roots of " } else { "" });
            let blocks = blocks.iter().map(text).collect::<Vec<_>>().join(", then ");
            format!("logits = weight x + bias, after {blocks} were each divided by their length")
        }
    };
    if let Some(kernel) = &head.kernel {
        formula.push_str(&format!(", plus exp({} (keys x - 1)) values", kernel.beta));
    }
    let meta_file = files::META;
    let distance = |n: &str| if meta.has_distance { format!(", `distance` [{n}, 1]") } else { String::new() };
    let of_batch = distance("N");
    let rows = [
        (
            true,
            files::CLASSIFIER,
            format!(
                "{input} -> `logits`, `probabilities` [N, {k}]{of_batch}; the preprocessing is in `{meta_file}` and in the file's metadata"
            ),
        ),
        (
            written.image_classifier,
            files::IMAGE_CLASSIFIER,
            format!("picture -> `logits`, `probabilities` [1, {k}]{}", distance("1")),
        ),
        (
            written.head_onnx,
            files::HEAD,
            format!(
                "`features` [N, {dim}] -> `logits`, `probabilities`{}",
                if meta.has_distance { ", `distance`" } else { "" }
            ),
        ),
        (
            written.safetensors,
            files::SAFETENSORS,
            format!("`weight` [{k}, {dim}] and `bias` [{k}] of the head: {formula}"),
        ),
        (true, files::LABELS, "class names, one a line, in the order of the outputs".to_owned()),
        (
            true,
            files::META,
            "classes, preprocessing, hyperparameters, the rule for \"unknown\", data counts, figures, licences"
                .to_owned(),
        ),
        (written.script, files::PREDICT, "classifies pictures with nothing but onnxruntime and Pillow".to_owned()),
    ];
    let table: String = rows
        .into_iter()
        .filter(|(there, ..)| *there)
        .map(|(_, file, what)| format!("| `{file}` | {what} |\n"))
        .collect();
    let usage = match written.script {
        true => format!("```\npip install numpy onnxruntime pillow\npython {} IMAGE...\n```\n\n", files::PREDICT),
        false => String::new(),
    };
    let image_classifier = match &meta.verification.image_classifier_missing {
        Some(why) => format!("`{}` was not written: {why}.\n\n", files::IMAGE_CLASSIFIER),
        None if written.image_classifier => format!(
            "`{}` takes the picture itself (`image`, u8 [H, W, 3], RGB, any size) and does everything inside the \
             graph.\n\n",
            files::IMAGE_CLASSIFIER
        ),
        None => String::new(),
    };
    let notices = match meta.notices.as_slice() {
        [] => String::new(),
        files => {
            format!(" Its terms are in {}.", files.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(", "))
        }
    };
    let classes = meta.classes.names().iter().map(|n| format!("- {}", one_line(n))).collect::<Vec<_>>().join("\n");
    let licence = meta.backbone.licence.as_deref().unwrap_or("not stated by its files: ask where it came from");
    let accuracy = accuracy.map_or_else(String::new, |a| format!(", validated accuracy {:.1} %", a * 100.0));
    let made_from = match meta.data.n_train {
        0 => "the names of its classes alone".to_owned(),
        n => format!("{n} images"),
    };
    format!(
        "# Image classifier\n\n\
         Made by Graft {graft} from {made_from}{accuracy}.\n\n\
         {usage}| file | what it is |\n| --- | --- |\n{table}\n\
         {image_classifier}The files were loaded again after writing and compared with the app on {n_verified} images: \
         the largest difference of a probability was {diff:.1e}.\n\n\
         ## Classes\n\n{classes}\n\n{unknown}\
         ## Licence\n\nThe backbone, {backbone}, is part of these files. Its licence: {licence}.{notices}\n",
        graft = meta.graft,
        unknown = unknown_text(meta),
        n_verified = meta.verification.n,
        diff = meta.verification.classifier.max_abs_difference,
        backbone = meta.backbone.name,
    )
}

/// The README's section on "unknown".
fn unknown_text(meta: &Meta) -> String {
    let rule = rule_text(meta.unknown);
    let distance = match meta.has_distance {
        true => {
            " `distance` is 1 less the largest cosine of the features with the mean direction of a class: small for images \
             like those that it was trained on, large for strangers."
        }
        false => "",
    };
    let note = match meta.unknown {
        UnknownRule::Off => String::new(),
        _ => format!(" The rule is `unknown` in `{}`.", files::META),
    };
    format!("## Unknown\n\n{rule}{note}{distance}\n\n")
}

/// A name on one line: control characters would break lists and tables.
pub fn one_line(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
