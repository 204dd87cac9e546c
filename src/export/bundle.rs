//! Writing an export: everything into a hidden folder, verified there, then moved into place at once.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};

use super::describe::{FORMAT, Meta, one_line, readme};
use super::verify::{self, Reference};
use super::{ExportError, files};
use crate::backbone::{Backbone, METADATA_PREPROCESS};
use crate::head::{Affine, NearestClass};
use crate::onnx::{self, OnnxError};
use crate::progress::{Reporter, Stage};
use crate::store::file::StagedDir;

/// Which of the files that can be left out are written. `classifier.onnx`, `labels.txt`, `graft.json` and `README.md`
/// always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contents {
    /// `image_classifier.onnx`, which takes pictures.
    pub image_classifier: bool,
    /// `head.onnx`, which takes features.
    pub head_onnx: bool,
    /// `head.safetensors`, the head's weights.
    pub safetensors: bool,
    /// `predict.py`, which classifies pictures.
    pub script: bool,
}

impl Default for Contents {
    fn default() -> Self {
        Self { image_classifier: true, head_onnx: true, safetensors: true, script: true }
    }
}

impl Contents {
    /// Names of the files that are written, licences and notices aside.
    pub fn files(self) -> Vec<&'static str> {
        let is_written = |file: &&str| match *file {
            files::IMAGE_CLASSIFIER => self.image_classifier,
            files::HEAD => self.head_onnx,
            files::SAFETENSORS => self.safetensors,
            files::PREDICT => self.script,
            _ => true,
        };
        files::ALL.into_iter().filter(is_written).collect()
    }
}

/// What goes into an export.
pub struct Bundle<'a> {
    /// The backbone, cut at the head's layer.
    pub backbone: &'a Backbone,
    /// The head.
    pub affine: &'a Affine,
    /// What measures the distance to the nearest class, where there is one.
    pub nearest: Option<&'a NearestClass>,
    /// Which files are written.
    pub contents: Contents,
    /// Everything said about it; the verification is filled in by [`write()`].
    pub meta: Meta,
    /// Validated accuracy, for the README.
    pub accuracy: Option<f64>,
    /// The app's answers on images, to compare with.
    pub reference: Reference<'a>,
}

/// Writes the export to `dir`, which is replaced if it is an older export. Returns what was written as its metadata.
///
/// # Errors
/// When `dir` holds something else, a file cannot be written, or an exported file disagrees with the app. Nothing is
/// left behind then, and an older export stays.
pub fn write(dir: &Path, bundle: Bundle<'_>, reporter: &dyn Reporter) -> Result<Meta, ExportError> {
    check_target(dir)?;
    let failed = |source| ExportError::Write { dir: dir.to_owned(), source };
    let older = read_meta(dir);
    let staged = StagedDir::new(dir).map_err(failed)?;
    let Bundle { backbone, affine, nearest, contents: mut written, mut meta, accuracy, reference } = bundle;
    // All but the two that tell of the proof.
    let n_files = written.files().len() - 2;
    let mut n_written = 0;
    let mut write = |name: &str, bytes: &[u8]| {
        staged.write(name, bytes).map_err(failed)?;
        n_written += 1;
        reporter.progress(Stage::Export, n_written.min(n_files), n_files);
        if reporter.cancelled() { Err(ExportError::Cancelled) } else { Ok(()) }
    };
    reporter.progress(Stage::Export, 0, n_files);

    let graphs = Graphs::build(backbone, (affine, nearest), &meta, written)?;
    write(files::CLASSIFIER, &graphs.classifier)?;
    if let Some(head) = &graphs.head {
        write(files::HEAD, head)?;
    }
    match graphs.image_classifier {
        Some(Ok(bytes)) => write(files::IMAGE_CLASSIFIER, &bytes)?,
        Some(Err(missing)) => {
            reporter.warn(&format!("{} is not written: {missing}.", files::IMAGE_CLASSIFIER));
            meta.verification.image_classifier_missing = Some(missing);
            written.image_classifier = false;
        }
        None => {}
    }
    drop(graphs.classifier);
    if written.safetensors {
        write(files::SAFETENSORS, &weights(affine, nearest, &meta)?)?;
    }
    write(files::LABELS, lines(meta.classes.names()).as_bytes())?;
    if written.script {
        write(files::PREDICT, include_bytes!("templates/predict.py"))?;
    }
    for (name, bytes) in notices(backbone) {
        staged.write(&name, &bytes).map_err(failed)?;
        meta.notices.push(name);
    }

    // The files are read back from the disk: the proof is about what is there, not about what was in memory.
    let why_missing = meta.verification.image_classifier_missing.take();
    meta.verification = verify::verify(staged.path(), backbone, &reference, written, reporter)?;
    meta.verification.image_classifier_missing = why_missing;

    let json = serde_json::to_vec_pretty(&meta).map_err(|e| failed(e.into()))?;
    staged.write(files::META, &json).map_err(failed)?;
    let batch = backbone.fixed_batch().map_or_else(|| "N".to_owned(), |n| n.to_string());
    let input = format!("`{}` [{batch}, …], normalised tensor", backbone.manifest.input.name);
    let readme = readme(&meta, written, &input, affine, accuracy);
    staged.write(files::README, readme.as_bytes()).map_err(failed)?;
    if reporter.cancelled() {
        return Err(ExportError::Cancelled);
    }
    staged.commit().map_err(failed)?;
    remove_left_out(dir, older.as_ref(), &meta, written);
    Ok(meta)
}

/// Removes what an older export had and this one has not, where the folder itself could not be replaced.
fn remove_left_out(dir: &Path, older: Option<&Meta>, meta: &Meta, written: Contents) {
    let Some(older) = older else { return };
    let had = files::ALL.into_iter().chain(older.notices.iter().map(String::as_str));
    let has = |name: &str| written.files().contains(&name) || meta.notices.iter().any(|n| n == name);
    for name in had.filter(|name| !has(name)) {
        let path = dir.join(name);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %path.display(), "a file of the older export could not be removed");
        }
    }
}

fn read_meta(dir: &Path) -> Option<Meta> {
    fs::read(dir.join(files::META)).ok().and_then(|b| serde_json::from_slice::<Meta>(&b).ok())
}

/// That an export may go to `dir`: there is nothing, an empty folder, or an older export and nothing else.
///
/// # Errors
/// [`ExportError::Occupied`] otherwise: that would be somebody's work.
pub fn check_target(dir: &Path) -> Result<(), ExportError> {
    let occupied = || ExportError::Occupied { dir: dir.to_owned() };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(_) => return Err(occupied()),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(|_| occupied())?.file_name().to_string_lossy().into_owned());
    }
    if names.is_empty() {
        return Ok(());
    }
    let meta = read_meta(dir);
    let is_ours = |meta: &Meta, name: &String| files::ALL.contains(&name.as_str()) || meta.notices.contains(name);
    match meta {
        Some(meta) if meta.format == FORMAT && names.iter().all(|name| is_ours(&meta, name)) => Ok(()),
        _ => Err(occupied()),
    }
}

/// Whether a file beside a model is its licence or notice, which go along with its weights.
fn is_notice(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    upper.starts_with("LICENSE") || upper.starts_with("LICENCE") || upper.starts_with("NOTICE")
}

/// Licences and notices of the backbone: beside its files, or in the folder of all installed models.
fn notices(backbone: &Backbone) -> Vec<(String, Vec<u8>)> {
    let is_named = |dir: &&Path, names: &[&str]| dir.file_name().is_some_and(|n| names.iter().any(|name| n == *name));
    let mut dirs: Vec<&Path> = backbone.manifest.path.parent().into_iter().collect();
    // `NAME/onnx/model.onnx`: the model's folder is the one above.
    dirs.extend(dirs.last().copied().filter(|d| is_named(d, &["onnx", "visual"])).and_then(Path::parent));
    dirs.extend(dirs.last().copied().and_then(Path::parent).filter(|d| is_named(d, &["models"])));
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    for dir in dirs {
        let mut names: Vec<String> = fs::read_dir(dir)
            .into_iter()
            .flatten()
            .filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned()))
            .filter(|n| is_notice(n))
            .collect();
        names.sort();
        for name in names {
            if let (false, Ok(bytes)) = (found.iter().any(|(n, _)| *n == name), fs::read(dir.join(&name))) {
                found.push((name, bytes));
            }
        }
    }
    found
}

struct Graphs {
    classifier: Vec<u8>,
    /// Where it is wanted the bytes, or why there are none.
    image_classifier: Option<Result<Vec<u8>, String>>,
    head: Option<Vec<u8>>,
}

impl Graphs {
    fn build(
        backbone: &Backbone,
        (affine, nearest): (&Affine, Option<&NearestClass>),
        meta: &Meta,
        wanted: Contents,
    ) -> Result<Self, ExportError> {
        let classes = json(&meta.classes);
        let preprocess = json(&meta.preprocess);
        let space = json(&meta.embedding_space);
        let labels = lines(meta.classes.names());
        let licence = meta.backbone.licence.clone().unwrap_or_default();
        let unknown = json(&meta.unknown);
        let entries = [
            ("graft.version", meta.graft.as_str()),
            ("graft.classes", classes.as_str()),
            (METADATA_PREPROCESS, preprocess.as_str()),
            ("graft.embedding_space", space.as_str()),
            ("graft.unknown", unknown.as_str()),
            ("graft.backbone", meta.backbone.name.as_str()),
            ("graft.backbone_licence", licence.as_str()),
            // The key that other tools look for.
            ("labels", labels.as_str()),
        ];
        let features =
            backbone.feature_graph().map_err(|source| ExportError::Run { file: files::CLASSIFIER, source })?;
        let mut classifier = onnx::classifier_model(&features, affine, nearest)?;
        drop(features);
        onnx::set_metadata(&mut classifier, &entries);
        let whole = || match onnx::image_classifier_model(&classifier, &meta.preprocess) {
            Ok(mut model) => {
                onnx::set_metadata(&mut model, &entries);
                Ok(Ok(onnx::encode(&model)?))
            }
            Err(error @ (OnnxError::OpsetTooOld { .. } | OnnxError::InputShape { .. })) => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        };
        let image_classifier = if wanted.image_classifier { Some(whole()?) } else { None };
        let head = if wanted.head_onnx {
            let mut head = onnx::head_model(affine, nearest)?;
            onnx::set_metadata(&mut head, &entries);
            Some(onnx::encode(&head)?)
        } else {
            None
        };
        Ok(Self { classifier: onnx::encode(&classifier)?, image_classifier, head })
    }
}

/// Plain data with string keys always serialises.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn lines(names: &[String]) -> String {
    names.iter().map(|n| one_line(n) + "\n").collect()
}

/// `weight` [K, D] and `bias` [K], f32; `directions` [K, D] of the classes where distances are measured.
fn weights(affine: &Affine, nearest: Option<&NearestClass>, meta: &Meta) -> Result<Vec<u8>, ExportError> {
    let bytes = |values: &mut dyn Iterator<Item = f32>| values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
    let (n_classes, dim) = affine.weight.dim();
    let weight = bytes(&mut affine.weight.iter().copied());
    let bias = bytes(&mut affine.bias.iter().copied());
    let failed = |e: safetensors::SafeTensorError| ExportError::Safetensors { message: e.to_string() };
    let tensors = [
        ("weight", TensorView::new(Dtype::F32, vec![n_classes, dim], &weight).map_err(failed)?),
        ("bias", TensorView::new(Dtype::F32, vec![n_classes], &bias).map_err(failed)?),
    ];
    let kernel = affine.kernel.as_ref().map(|kernel| {
        let (n, keys) = (kernel.keys.nrows(), bytes(&mut kernel.keys.iter().copied()));
        (n, keys, bytes(&mut kernel.values.iter().copied()))
    });
    let mut tensors = tensors.to_vec();
    if let Some((n, keys, values)) = &kernel {
        tensors.push(("keys", TensorView::new(Dtype::F32, vec![*n, dim], keys).map_err(failed)?));
        tensors.push(("values", TensorView::new(Dtype::F32, vec![*n, n_classes], values).map_err(failed)?));
    }
    let directions = nearest.map(|nearest| bytes(&mut nearest.directions().iter().copied()));
    if let Some(directions) = &directions {
        tensors.push(("directions", TensorView::new(Dtype::F32, vec![n_classes, dim], directions).map_err(failed)?));
    }
    // One key, so that the order of a hash map cannot show.
    let about = serde_json::json!({
        "classes": meta.classes,
        "l2_blocks": affine.l2_blocks,
        "activation": affine.activation,
        "beta": affine.kernel.as_ref().map(|k| k.beta),
        "embedding_space": meta.embedding_space,
    });
    let metadata = HashMap::from([("graft".to_owned(), about.to_string())]);
    safetensors::serialize(tensors, Some(metadata)).map_err(failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn contents_name_their_files() {
        assert_eq!(Contents::default().files(), files::ALL);
        let none = Contents { image_classifier: false, head_onnx: false, safetensors: false, script: false };
        assert_eq!(none.files(), [files::CLASSIFIER, files::LABELS, files::META, files::README]);
        assert_eq!(serde_json::from_str::<Contents>(r#"{"script": false}"#).unwrap().files().len(), 7);
    }
}
