//! Exporting a trained head, with the proof on the validation images.

use std::path::{Path, PathBuf};

use super::WorkflowError;
use super::train::LabelledEmbeddings;
use crate::backbone::Backbone;
use crate::classes::ClassSet;
use crate::embedding::EmbeddingSpace;
use crate::export::ExportError;
use crate::export::bundle::{self, Bundle};
use crate::export::describe::{BackboneMeta, FORMAT, Meta, Verification};
use crate::export::verify::Reference;
use crate::head::{HeadError, NearestClass, TrainedHead, UnknownError, UnknownRule};
use crate::metrics::Report;
use crate::progress::Reporter;

pub use crate::export::bundle::Contents;
pub use crate::export::describe::DataMeta;

/// Version of the layout of `graft.json`.
const META_VERSION: u32 = 2;

/// Images that an export is compared on, at most: spread evenly over the set.
const MAX_VERIFIED: usize = 256;

/// What is exported, and what it is shown to agree on.
#[derive(Clone, Debug)]
pub struct ExportInput<'a> {
    /// Classes of the head, in its order.
    pub classes: &'a ClassSet,
    /// Images that the files are compared on: the validation images or, without any, the training images, since the
    /// proof is about agreement and not about accuracy.
    pub shown: &'a LabelledEmbeddings,
    /// What the head was trained on.
    pub data: DataMeta,
    /// The head.
    pub trained: &'a TrainedHead,
    /// What measures the distance to the nearest class, where there is one.
    pub nearest: Option<&'a NearestClass>,
    /// When the answer is "unknown".
    pub unknown: UnknownRule,
    /// Its figures on the validation images, if there are any.
    pub val: Option<&'a Report>,
    /// Which files are written.
    pub contents: Contents,
}

/// Exports a head to `dir`.
///
/// # Errors
/// When the folder cannot be written or an exported file disagrees with the app; nothing is left behind then.
pub fn export(
    dir: &Path,
    backbone: &Backbone,
    input: ExportInput<'_>,
    reporter: &dyn Reporter,
) -> Result<Meta, WorkflowError> {
    let ExportInput { classes, shown, data, trained, nearest, unknown, val, contents } = input;
    check_space(trained.head.space(), &backbone.space)?;
    if unknown.needs_distance() && nearest.is_none() {
        return Err(UnknownError::NoDistance.into());
    }
    let (paths, rows) = shown_rows(shown, reporter)?;
    let features = shown.embeddings.select(&rows);
    let probabilities = trained.head.probabilities(&features)?;
    let distances = nearest.map(|nearest| nearest.distances(&features)).transpose()?;
    let affine = trained.head.affine();
    let manifest = &backbone.manifest;
    let meta = Meta {
        format: FORMAT.to_owned(),
        version: META_VERSION,
        graft: env!("CARGO_PKG_VERSION").to_owned(),
        classes: classes.clone(),
        preprocess: backbone.preprocess().clone(),
        embedding_space: backbone.space.clone(),
        backbone: BackboneMeta {
            name: manifest.name.clone(),
            id: manifest.id.clone(),
            layer: backbone.space.layer.clone(),
            licence: manifest.licence.clone(),
            source: manifest.source.clone(),
        },
        head: serde_json::to_value(&trained.record).unwrap_or_default(),
        activation: affine.activation,
        has_distance: nearest.is_some(),
        unknown,
        data,
        metrics: serde_json::to_value(val).unwrap_or_default(),
        notices: Vec::new(),
        verification: Verification::default(),
    };
    let bundle = Bundle {
        backbone,
        affine: &affine,
        nearest,
        contents,
        meta,
        accuracy: val.map(|r| r.accuracy.value),
        reference: Reference {
            paths: &paths,
            features: features.view(),
            probabilities: probabilities.view(),
            distances: distances.as_deref(),
            unknown,
        },
    };
    bundle::write(dir, bundle, reporter).map_err(|error| match error {
        ExportError::Cancelled => WorkflowError::Cancelled,
        error => error.into(),
    })
}

/// That an export may go to `dir`, to be asked before the work.
///
/// # Errors
/// When something else than an older export is there.
pub fn check_target(dir: &Path) -> Result<(), WorkflowError> {
    Ok(bundle::check_target(dir)?)
}

/// A head is exported with its own backbone, layer and preprocessing only.
fn check_space(head: &EmbeddingSpace, backbone: &EmbeddingSpace) -> Result<(), HeadError> {
    if head == backbone {
        return Ok(());
    }
    Err(HeadError::SpaceMismatch { head: Box::new(head.clone()), embeddings: Box::new(backbone.clone()) })
}

/// At most [`MAX_VERIFIED`] rows whose files are there, evenly spread, so that every class has its share.
fn shown_rows(set: &LabelledEmbeddings, reporter: &dyn Reporter) -> Result<(Vec<PathBuf>, Vec<usize>), WorkflowError> {
    let n = set.len();
    let taken = n.min(MAX_VERIFIED);
    let mut rows: Vec<usize> = (0..taken).map(|i| i * n / taken).collect();
    rows.retain(|&row| set.paths[row].is_file());
    if rows.is_empty() {
        return Err(WorkflowError::NothingToVerify { path: set.paths.first().cloned().unwrap_or_default() });
    }
    let n_missing = taken - rows.len();
    if n_missing > 0 {
        reporter.warn(&format!(
            "{n_missing} of {taken} images to compare the export on are not there any more and are left out."
        ));
    }
    Ok((rows.iter().map(|&row| set.paths[row].clone()).collect(), rows))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::sync::Mutex;

    use super::*;
    use crate::dataset::split::SplitConfig;
    use crate::head::{self, HeadKind};
    use crate::image::spec::{ChannelOrder, PreprocessSpec};
    use crate::progress::{CancelToken, Silent, Stage};
    use crate::workflow::embed::EmbedConfig;
    use crate::workflow::evaluate::{Classifier, classify};
    use crate::workflow::models::open_path_with;
    use crate::workflow::train::{TrainConfig, TrainOutcome, train};

    const ROOT: &str = env!("CARGO_MANIFEST_DIR");

    /// The fixture with preprocessing that is not its own, and a head trained on the sample with it.
    fn trained() -> (PreprocessSpec, Backbone, TrainOutcome) {
        let path = Path::new(ROOT).join("tests/fixtures/onnx/tiny_cnn");
        let own = open_path_with(&path, None, None, &None).unwrap().preprocess().clone();
        let spec = PreprocessSpec { channels: ChannelOrder::Bgr, mean: [0.25; 3], ..own };
        let backbone = open_path_with(&path, None, Some(spec.clone()), &None).unwrap();
        let config = TrainConfig {
            images: Path::new(ROOT).join("assets/sample"),
            val: None,
            heads: vec![HeadKind::Linear],
            split: SplitConfig::default(),
            head: head::TrainConfig::default(),
            embed: EmbedConfig::default(),
        };
        let outcome = train(&backbone, &config, &None, &Silent::default()).unwrap();
        (spec, backbone, outcome)
    }

    fn input(outcome: &TrainOutcome, contents: Contents) -> ExportInput<'_> {
        let data = &outcome.prepared.data;
        ExportInput {
            classes: &data.classes,
            shown: data.shown(),
            data: data.counts(outcome.prepared.n_images, 0),
            trained: &outcome.heads[0].trained,
            nearest: outcome.heads[0].certainty.nearest.as_deref(),
            unknown: UnknownRule::Off,
            val: outcome.heads[0].val.as_ref(),
            contents,
        }
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Notes the last report of each stage, in order.
    #[derive(Default)]
    struct Stages {
        token: CancelToken,
        seen: Mutex<Vec<(Stage, usize, usize)>>,
    }

    impl Reporter for Stages {
        fn progress(&self, stage: Stage, n_done: usize, n_total: usize) {
            let mut seen = self.seen.lock().unwrap();
            seen.pop_if(|last| last.0 == stage);
            seen.push((stage, n_done, n_total));
        }
        fn warn(&self, message: &str) {
            panic!("{message}");
        }
        fn cancel_token(&self) -> &CancelToken {
            &self.token
        }
    }

    #[test]
    fn an_export_has_the_users_preprocessing_and_what_was_wanted() {
        let (spec, backbone, outcome) = trained();
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let reporter = Stages::default();
        let meta = export(&out, &backbone, input(&outcome, Contents::default()), &reporter).unwrap();
        assert_eq!((&meta.preprocess, names(&out).len()), (&spec, 8));
        let n_shown = outcome.prepared.data.val.len();
        assert_eq!(*reporter.seen.lock().unwrap(), [(Stage::Export, 6, 6), (Stage::Verify, n_shown, n_shown)]);

        let classifier = Classifier::open(&out, &None).unwrap();
        assert_eq!(classifier.meta.preprocess, spec);
        let val = &outcome.prepared.data.val;
        let answers = classify(&classifier, &val.paths, &None, &EmbedConfig::default(), &Silent::default()).unwrap();
        let app = outcome.heads[0].trained.head.probabilities(&val.embeddings).unwrap();
        assert!(answers.probabilities.iter().zip(&app).all(|(a, b)| (a - b).abs() < 1e-4));

        let few = Contents { image_classifier: false, head_onnx: false, safetensors: false, script: false };
        let meta = export(&out, &backbone, input(&outcome, few), &Silent::default()).unwrap();
        assert_eq!(names(&out), ["README.md", "classifier.onnx", "graft.json", "labels.txt"]);
        assert_eq!((meta.verification.head, meta.verification.image_classifier), (None, None));
        assert!(meta.verification.n > 0 && meta.verification.image_classifier_missing.is_none());
        let readme = fs::read_to_string(out.join("README.md")).unwrap();
        for left_out in ["image_classifier.onnx", "head.onnx", "safetensors", "predict.py", "pip install"] {
            assert!(!readme.contains(left_out), "{left_out}: {readme}");
        }
        assert!(readme.contains("| `classifier.onnx` |") && readme.contains("| `labels.txt` |"));
        check_target(&out).unwrap();
        Classifier::open(&out, &None).unwrap();
    }

    #[test]
    fn a_head_of_another_space_is_not_exported_nor_one_without_images() {
        let (_, backbone, mut outcome) = trained();
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let other = open_path_with(&backbone.manifest.path, None, None, &None).unwrap();
        let error = export(&out, &other, input(&outcome, Contents::default()), &Silent::default()).unwrap_err();
        assert!(matches!(error, WorkflowError::Head(HeadError::SpaceMismatch { .. })), "{error}");

        let n_shown = outcome.prepared.data.val.len();
        outcome.prepared.data.val.paths[0] = dir.path().join("gone.jpg");
        let meta = export(&out, &backbone, input(&outcome, Contents::default()), &Silent::default()).unwrap();
        assert_eq!(meta.verification.n, n_shown - 1);
        outcome.prepared.data.val.paths.fill(dir.path().join("gone.jpg"));
        let again = dir.path().join("again");
        let error = export(&again, &backbone, input(&outcome, Contents::default()), &Silent::default()).unwrap_err();
        assert!(matches!(error, WorkflowError::NothingToVerify { .. }), "{error}");
        assert!(!again.exists());
    }
}
