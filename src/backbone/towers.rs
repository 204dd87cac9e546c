//! Dual encoders: which text tower belongs to an image graph, and which of the image graph's tensors lives in the space
//! that both share.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::locate::ModelFiles;
use super::manifest::{Element, FeatureChoice, Pooling, Port, Sourced};

/// Files of the text tower that belongs to an image graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TextFiles {
    /// The graph with the text tower.
    pub onnx: PathBuf,
    /// Whether the image tower is in the same graph.
    pub is_joint: bool,
    /// Folders in which tokenizer and settings are looked for, nearest first.
    pub side_dirs: Vec<PathBuf>,
}

/// Finds the text tower of the image graph of `files`, which has `inputs`.
///
/// In this order: the same graph where it takes tokens too; `text_model` of the same precision beside `vision_model`, of
/// full precision, of any; `textual/model.onnx` beside `visual/`; a file beside it whose name goes with its own.
pub fn find_text(files: &ModelFiles, inputs: &[Port]) -> Option<TextFiles> {
    if inputs.iter().any(is_tokens) {
        return Some(TextFiles { onnx: files.onnx.clone(), is_joint: true, side_dirs: files.side_dirs.clone() });
    }
    let onnx = text_graphs(&files.onnx).into_iter().next()?;
    Some(of_graph(onnx, &files.side_dirs))
}

/// The files of a text tower whose graph is known; `side_dirs` are those of the image graph.
pub fn of_graph(onnx: PathBuf, side_dirs: &[PathBuf]) -> TextFiles {
    let own = onnx.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let mut dirs = vec![own];
    for dir in side_dirs {
        if !dirs.contains(dir) {
            dirs.push(dir.clone());
        }
    }
    TextFiles { onnx, is_joint: false, side_dirs: dirs }
}

/// Text graphs beside an image graph, the one to use first.
pub fn text_graphs(vision: &Path) -> Vec<PathBuf> {
    let name = vision.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let dir = vision.parent().map(Path::to_owned).unwrap_or_default();
    let mut found: Vec<PathBuf> = Vec::new();
    if let Some(rest) = name.strip_prefix("vision_model") {
        found.push(dir.join(format!("text_model{rest}")));
        found.push(dir.join("text_model.onnx"));
    }
    if dir.file_name().is_some_and(|n| n == "visual")
        && let Some(above) = dir.parent()
    {
        found.push(above.join("textual").join("model.onnx"));
    }
    found.extend(named_like(vision, &dir));
    let mut unique: Vec<PathBuf> = Vec::new();
    for path in found {
        if path.is_file() && !unique.contains(&path) {
            unique.push(path);
        }
    }
    unique
}

/// Graphs beside `vision` whose names speak of text: those that are called as it is otherwise (`s0_image`, `s0_text`), else
/// the only one beside the only other. Towers of several models in one folder are not mixed.
fn named_like(vision: &Path, dir: &Path) -> Vec<PathBuf> {
    let stem = |p: &Path| p.file_stem().map(|s| s.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let mut graphs: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| {
            p.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")) && p.file_name() != vision.file_name()
        })
        .collect();
    graphs.sort();
    let (texts, others): (Vec<PathBuf>, Vec<PathBuf>) = graphs.into_iter().partition(|p| stem(p).contains("text"));
    // What is left of a name without the words that tell towers apart.
    let bare = |path: &Path| {
        let mut name = stem(path);
        for word in ["textual", "text", "visual", "vision", "image", "img", "encoder", "tower", "model"] {
            name = name.replace(word, "");
        }
        name.chars().filter(|c| c.is_alphanumeric()).collect::<String>()
    };
    let own = bare(vision);
    let alike: Vec<PathBuf> = texts.iter().filter(|p| bare(p) == own).cloned().collect();
    match (alike.is_empty(), texts.len(), others.len()) {
        (false, ..) => alike,
        (true, 1, 0) => texts,
        _ => Vec::new(),
    }
}

/// Whether an input takes tokens: integers of two dimensions.
pub fn is_tokens(port: &Port) -> bool {
    matches!(port.element, Element::I32 | Element::I64) && port.dims.len() == 2
}

/// Names of an image graph's output in the joint space, by the field's habits, best first.
const JOINT_NAMES: [&str; 6] =
    ["image_embeds", "image_features", "image_embeddings", "embedding", "embeddings", "output"];
/// Pooled output of a tower without a projection. In SigLIP there is none, in CLIP it is missing then.
const POOLED: &str = "pooler_output";

/// The image tensor whose vectors lie in the space of the text tower; `None` where no output can be it, as when a CLIP
/// vision tower was exported without its projection.
pub fn joint_feature(outputs: &[Port], model_type: Option<&str>) -> Option<Sourced<FeatureChoice>> {
    let is_vector = |o: &&Port| o.element.is_float() && (o.dims.len() == 2 || o.dims.is_empty());
    let vectors: Vec<&Port> = outputs.iter().filter(is_vector).collect();
    let choice = |port: &Port| FeatureChoice { tensor: port.name.clone(), pooling: Pooling::None };
    if let Some(port) = JOINT_NAMES.iter().find_map(|name| vectors.iter().find(|o| o.name == *name)) {
        return Some(Sourced::guess(choice(port), "the output's name says that it is the image's embedding"));
    }
    let pooled = vectors.iter().find(|o| o.name == POOLED);
    match (pooled, model_type) {
        (Some(port), Some(kind)) if kind.contains("siglip") => {
            Some(Sourced::guess(choice(port), "SigLIP's pooled output is its embedding"))
        }
        (Some(port), None) => {
            Some(Sourced::guess(choice(port), "the pooled output; no file says which family this is"))
        }
        (Some(_), Some(_)) => None,
        (None, _) => match vectors.as_slice() {
            [port] => Some(Sourced::guess(choice(port), "the graph's only vector an image")),
            _ => None,
        },
    }
}

/// `model_type` of the first `config.json` that has one.
pub fn model_type(dirs: &[PathBuf]) -> Option<String> {
    dirs.iter().find_map(|dir| {
        let text = fs::read_to_string(dir.join("config.json")).ok()?;
        let json: Value = serde_json::from_str(&text).ok()?;
        Some(json.get("model_type")?.as_str()?.to_owned())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn vector(name: &str) -> Port {
        Port { name: name.into(), element: Element::F32, dims: vec![None, Some(512)] }
    }

    #[test]
    fn the_joint_output_is_told_by_name_and_family() {
        let tensor = |outputs: &[Port], kind| joint_feature(outputs, kind).map(|f| f.value.tensor);
        let starter = [vector("features"), vector("logits"), vector("image_embeds")];
        assert_eq!(tensor(&starter, None).as_deref(), Some("image_embeds"));
        let tokens =
            Port { name: "last_hidden_state".into(), element: Element::F32, dims: vec![None, Some(50), Some(768)] };
        let bare = [tokens, vector("pooler_output")];
        assert_eq!(tensor(&bare, Some("siglip")).as_deref(), Some("pooler_output"));
        assert_eq!(tensor(&bare, Some("clip")), None, "its projection is missing");
        assert_eq!(tensor(&[vector("out:0")], Some("clip")).as_deref(), Some("out:0"));
        assert_eq!(tensor(&[vector("a"), vector("b")], None), None);
    }

    #[test]
    fn the_text_tower_of_the_same_precision_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let onnx = dir.path().join("onnx");
        fs::create_dir(&onnx).unwrap();
        for name in ["vision_model.onnx", "vision_model_fp16.onnx", "text_model.onnx", "text_model_fp16.onnx"] {
            fs::write(onnx.join(name), b"").unwrap();
        }
        let first = |vision: &str| text_graphs(&onnx.join(vision))[0].file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(first("vision_model.onnx"), "text_model.onnx");
        assert_eq!(first("vision_model_fp16.onnx"), "text_model_fp16.onnx");
        assert_eq!(first("vision_model_q4.onnx"), "text_model.onnx");
        let immich = dir.path().join("immich");
        for tower in ["visual", "textual"] {
            fs::create_dir_all(immich.join(tower)).unwrap();
            fs::write(immich.join(tower).join("model.onnx"), b"").unwrap();
        }
        assert_eq!(text_graphs(&immich.join("visual/model.onnx")), [immich.join("textual/model.onnx")]);
        assert!(text_graphs(&dir.path().join("lone.onnx")).is_empty());
        // Towers of two models in one folder.
        let flat = dir.path().join("flat");
        fs::create_dir(&flat).unwrap();
        for name in ["s0_image.onnx", "s0_text.onnx", "s2_image.onnx", "a_text.onnx"] {
            fs::write(flat.join(name), b"").unwrap();
        }
        assert_eq!(text_graphs(&flat.join("s0_image.onnx")), [flat.join("s0_text.onnx")]);
        assert!(text_graphs(&flat.join("s2_image.onnx")).is_empty(), "another model's is worse than none");
    }
}
