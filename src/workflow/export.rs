//! Exporting a trained head, with the proof on the validation images.

use std::path::{Path, PathBuf};

use crate::head::softmax;

use super::WorkflowError;
use super::train::{JudgedHead, LabelledEmbeddings, Prepared};
use crate::backbone::Backbone;
use crate::export::bundle::{self, Bundle};
use crate::export::describe::{BackboneMeta, DataMeta, FORMAT, Meta, Verification};
use crate::export::verify::Reference;
use crate::progress::Reporter;

/// Version of the layout of `graft.json`.
const META_VERSION: u32 = 1;

/// Images that an export is compared on, at most: spread evenly over the set.
const MAX_VERIFIED: usize = 256;

/// Exports a head to `dir`.
///
/// # Errors
/// When the folder cannot be written or an exported file disagrees with the app; nothing is left behind then.
pub fn export(
    dir: &Path,
    backbone: &Backbone,
    prepared: &Prepared,
    judged: &JudgedHead,
    seed: u64,
    reporter: &dyn Reporter,
) -> Result<Meta, WorkflowError> {
    let head = &judged.trained.head;
    // Without validation images the training images serve: the proof is about agreement, not about accuracy.
    let shown = if prepared.val.is_empty() { &prepared.train } else { &prepared.val };
    let (paths, rows) = spread(shown);
    let features = shown.embeddings.select(&rows);
    let probabilities = softmax(&head.scores(&features)?.values);
    let affine = head.affine();
    let n_classes = prepared.classes.len();
    let manifest = &backbone.manifest;
    let meta = Meta {
        format: FORMAT.to_owned(),
        version: META_VERSION,
        graft: env!("CARGO_PKG_VERSION").to_owned(),
        classes: prepared.classes.clone(),
        preprocess: backbone.preprocess().clone(),
        embedding_space: backbone.space.clone(),
        backbone: BackboneMeta {
            name: manifest.name.clone(),
            id: manifest.id.clone(),
            layer: backbone.feature.label(),
            licence: manifest.licence.clone(),
            source: manifest.source.clone(),
        },
        head: serde_json::to_value(&judged.trained.record).unwrap_or_default(),
        data: DataMeta {
            n_images: prepared.n_images,
            n_train: prepared.train.len(),
            n_val: prepared.val.len(),
            n_train_per_class: prepared.train.class_counts(n_classes),
            n_val_per_class: prepared.val.class_counts(n_classes),
            seed,
        },
        metrics: serde_json::to_value(&judged.val).unwrap_or_default(),
        notices: Vec::new(),
        verification: Verification::default(),
    };
    let bundle = Bundle {
        backbone,
        affine: &affine,
        meta,
        accuracy: judged.val.as_ref().map(|r| r.accuracy.value),
        reference: Reference { paths: &paths, features: features.view(), probabilities: probabilities.view() },
    };
    Ok(bundle::write(dir, bundle, reporter)?)
}

/// That an export may go to `dir`, to be asked before the work.
///
/// # Errors
/// When something else than an older export is there.
pub fn check_target(dir: &Path) -> Result<(), WorkflowError> {
    Ok(bundle::check_target(dir)?)
}

/// At most [`MAX_VERIFIED`] rows, evenly spread, so that every class has its share.
fn spread(set: &LabelledEmbeddings) -> (Vec<PathBuf>, Vec<usize>) {
    let n = set.len();
    let taken = n.min(MAX_VERIFIED);
    let rows: Vec<usize> = (0..taken).map(|i| i * n / taken).collect();
    (rows.iter().map(|&i| set.paths[i].clone()).collect(), rows)
}
