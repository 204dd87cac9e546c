//! Which files belong to a model: a single `.onnx`, or a folder in one of the layouts of the field.

use std::fs;
use std::path::{Path, PathBuf};

use super::{BackboneError, library};

/// Files of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFiles {
    /// The vision graph.
    pub onnx: PathBuf,
    /// Folders in which side files (`preprocessor_config.json`, …) are looked for, nearest first.
    pub side_dirs: Vec<PathBuf>,
    /// Name of the folder, or of the file when it stands alone.
    pub name: String,
}

/// Places of the vision graph below a model folder, best first: a vision tower before a joint graph.
const CANDIDATES: [&str; 8] = [
    "onnx/vision_model.onnx",
    "vision_model.onnx",
    "visual/model.onnx",
    "onnx/model.onnx",
    "model.onnx",
    "onnx/vision_model_fp16.onnx",
    "onnx/vision_model_quantized.onnx",
    "onnx/model_quantized.onnx",
];

/// Finds the files of the model at `path`.
///
/// # Errors
/// When there is nothing at `path`, or a folder holds no ONNX file, or several and none has a usual name.
pub fn locate(path: &Path) -> Result<ModelFiles, BackboneError> {
    let metadata = fs::metadata(path).map_err(|source| BackboneError::Read { path: path.to_owned(), source })?;
    if metadata.is_dir() {
        return locate_in_folder(&model_folder(path));
    }
    // What a folder of the library has in place of a model that lies elsewhere.
    if path.file_name().is_some_and(|name| name == library::LINK) {
        library::link_target(path)?;
    }
    Ok(single_file(path))
}

/// Files above a folder `onnx` that tell that it is part of the model's folder.
const ABOVE: [&str; 5] =
    ["preprocessor_config.json", "preprocess_cfg.json", "open_clip_config.json", "config.json", "tokenizer.json"];

/// The model's folder where `path` is its subfolder `onnx` alone, without what lies above that; else `path`.
pub fn model_folder(path: &Path) -> PathBuf {
    let above = || {
        let whole = std::path::absolute(path).ok().filter(|whole| file_name(whole) == "onnx" && whole.is_dir())?;
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).or(whole.parent())?;
        let is_models = ABOVE.iter().any(|name| above.join(name).is_file());
        let same = |files: ModelFiles| files.onnx.starts_with(above.join("onnx"));
        (is_models && locate_in_folder(above).is_ok_and(same)).then(|| above.to_owned())
    };
    above().unwrap_or_else(|| path.to_owned())
}

fn locate_in_folder(dir: &Path) -> Result<ModelFiles, BackboneError> {
    let name = file_name(dir);
    if let Some(onnx) = CANDIDATES.iter().map(|c| dir.join(c)).find(|p| p.is_file()) {
        return Ok(ModelFiles { side_dirs: side_dirs(&onnx, Some(dir)), onnx, name });
    }
    let mut found: Vec<PathBuf> = [dir.to_owned(), dir.join("onnx")]
        .iter()
        .filter_map(|d| fs::read_dir(d).ok())
        .flat_map(|entries| entries.filter_map(|e| Some(e.ok()?.path())))
        .filter(|p| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")))
        .collect();
    found.sort();
    // Two loose towers: the one whose name speaks of text is not the image's.
    let is_text =
        |p: &PathBuf| p.file_stem().is_some_and(|s| s.to_string_lossy().to_ascii_lowercase().contains("text"));
    if found.iter().filter(|p| !is_text(p)).count() == 1 {
        found.retain(|p| !is_text(p));
    }
    match found.as_slice() {
        [onnx] if !is_text(onnx) => Ok(ModelFiles { side_dirs: side_dirs(onnx, Some(dir)), onnx: onnx.clone(), name }),
        [] => Err(BackboneError::NoModelInFolder { path: dir.to_owned() }),
        found if found.iter().all(is_text) => Err(BackboneError::NoImageTower { path: dir.to_owned() }),
        [first, ..] => {
            Err(BackboneError::SeveralModels { path: dir.to_owned(), n: found.len(), example: first.to_owned() })
        }
    }
}

fn single_file(onnx: &Path) -> ModelFiles {
    let side_dirs = side_dirs(onnx, None);
    let stem = onnx.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    // `NAME/onnx/vision_model_int8.onnx` is told apart by both.
    let usual = stem.starts_with("model") || stem.starts_with("vision_model");
    let name = match side_dirs.last() {
        Some(dir) if usual && !file_name(dir).is_empty() => format!("{}/{stem}", file_name(dir)),
        _ => stem,
    };
    ModelFiles { onnx: onnx.to_owned(), side_dirs, name }
}

/// The file's folder, and the model's folder above it where that has another name.
fn side_dirs(onnx: &Path, model_dir: Option<&Path>) -> Vec<PathBuf> {
    let own = onnx.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let above = model_dir.map(Path::to_owned).or_else(|| {
        matches!(file_name(&own).as_str(), "onnx" | "visual").then(|| own.parent().map(Path::to_owned)).flatten()
    });
    let mut dirs = vec![own];
    dirs.extend(above.filter(|above| *above != dirs[0]));
    dirs
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Precision variants beside a vision graph (`vision_model_int8.onnx`, …), sorted.
pub fn variants(onnx: &Path) -> Vec<PathBuf> {
    let Some(dir) = onnx.parent() else { return Vec::new() };
    let is_vision = onnx.file_stem().is_some_and(|s| s.to_string_lossy().starts_with("vision_model"));
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| {
            let stem = p.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            p.extension().is_some_and(|e| e == "onnx")
                && p != onnx
                && stem.starts_with(if is_vision { "vision_model" } else { "model" })
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn layouts_of_the_field() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("clip");
        fs::create_dir_all(root.join("onnx")).unwrap();
        assert!(matches!(locate(&root), Err(BackboneError::NoModelInFolder { .. })));
        fs::write(root.join("onnx/vision_model.onnx"), b"").unwrap();
        fs::write(root.join("onnx/vision_model_int8.onnx"), b"").unwrap();
        fs::write(root.join("onnx/text_model.onnx"), b"").unwrap();
        let files = locate(&root).unwrap();
        assert_eq!(files.onnx, root.join("onnx/vision_model.onnx"));
        assert_eq!(files.side_dirs, [root.join("onnx"), root.clone()]);
        assert_eq!(files.name, "clip");
        assert_eq!(variants(&files.onnx), [root.join("onnx/vision_model_int8.onnx")]);

        let single = locate(&root.join("onnx/vision_model_int8.onnx")).unwrap();
        assert_eq!(single.side_dirs, [root.join("onnx"), root.clone()]);
        assert_eq!(single.name, "clip/vision_model_int8");

        // The subfolder alone is the whole model's, where that is one.
        assert_eq!(locate(&root.join("onnx")).unwrap().name, "onnx");
        fs::write(root.join("tokenizer.json"), b"").unwrap();
        assert_eq!(locate(&root.join("onnx")).unwrap(), files);
        assert_eq!(model_folder(&root.join("onnx")), root);
        assert_eq!(model_folder(&root), root);
        fs::write(root.join("vision_model.onnx"), b"").unwrap();
        fs::rename(root.join("onnx/vision_model.onnx"), root.join("onnx/model.onnx")).unwrap();
        assert_eq!(locate(&root.join("onnx")).unwrap().onnx, root.join("onnx/model.onnx"), "never another graph");

        let two = dir.path().join("two");
        fs::create_dir(&two).unwrap();
        fs::write(two.join("a.onnx"), b"").unwrap();
        assert_eq!(locate(&two).unwrap().name, "two");
        fs::write(two.join("text_encoder.onnx"), b"").unwrap();
        assert_eq!(locate(&two).unwrap().onnx, two.join("a.onnx"), "the other one reads text");
        fs::write(two.join("b.onnx"), b"").unwrap();
        assert!(matches!(locate(&two), Err(BackboneError::SeveralModels { n: 3, .. })));
    }
}
