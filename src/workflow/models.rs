//! Finding and opening backbones, with the cache's memory of their widths.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::{SharedCache, WorkflowError};
use crate::backbone::{Backbone, BackboneError, library};
use crate::embedding::EmbeddingSpace;
use crate::image::spec::PreprocessSpec;
use crate::progress::Reporter;
use crate::store::cache::EmbeddingCache;
use crate::store::dirs;

/// Opens the cache; without one the work goes on, with a word.
pub fn open_cache(reporter: &dyn Reporter) -> SharedCache {
    let dir = dirs::cache_dir()?;
    match EmbeddingCache::open(&dir) {
        Ok(cache) => Some(Mutex::new(cache)),
        Err(error) => {
            reporter.warn(&format!("Embeddings are not being cached: {error}."));
            None
        }
    }
}

/// Opens an installed model by name, or the model at a path; the starter model without either.
///
/// # Errors
/// When there is no such model or it cannot serve as a backbone.
pub fn open_model(name: Option<&str>, layer: Option<&str>, cache: &SharedCache) -> Result<Backbone, WorkflowError> {
    let path = library::find(name, &dirs::model_dirs())?;
    open_path(&path, layer, cache)
}

/// Opens a model (the name of an installed one, or a path) to see what it is; also one that has no features of its own, such
/// as a detector, at its deepest layer.
///
/// # Errors
/// When it takes no image or has no layer.
pub fn look_into(name: Option<&str>, cache: &SharedCache) -> Result<Backbone, WorkflowError> {
    let path = library::find(name, &dirs::model_dirs())?;
    match open_path(&path, None, cache) {
        Err(WorkflowError::Backbone(
            BackboneError::Detector { .. } | BackboneError::CustomOperators { .. } | BackboneError::NoFeatures,
        )) => Ok(Backbone::look_into(&path, |_| None)?),
        opened => opened,
    }
}

/// Opens the model at a path.
///
/// # Errors
/// When it cannot serve as a backbone.
pub fn open_path(path: &Path, layer: Option<&str>, cache: &SharedCache) -> Result<Backbone, WorkflowError> {
    open_path_with(path, layer, None, cache)
}

/// The same model with another layer as features.
///
/// # Errors
/// When the layer does not fit.
pub fn at_layer(backbone: &Backbone, layer: &str, cache: &SharedCache) -> Result<Backbone, WorkflowError> {
    let known = |space: &EmbeddingSpace| {
        let cache = cache.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        cache.layer_dim(&space.backbone, &space.layer, &space.preprocess).ok().flatten()
    };
    Ok(backbone.at_layer(layer, known)?)
}

/// Opens the model at a path, with preprocessing that the user has set.
///
/// # Errors
/// When it cannot serve as a backbone, or not with that preprocessing.
pub fn open_path_with(
    path: &Path,
    layer: Option<&str>,
    preprocess: Option<PreprocessSpec>,
    cache: &SharedCache,
) -> Result<Backbone, WorkflowError> {
    let known = |space: &EmbeddingSpace| {
        let cache = cache.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        cache.layer_dim(&space.backbone, &space.layer, &space.preprocess).ok().flatten()
    };
    let mut backbone = Backbone::open(path, layer, known)?;
    if let Some(spec) = preprocess {
        backbone = backbone.with_preprocess_and_dim(spec, known)?;
    }
    if let Some(cache) = cache {
        let cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        let space = &backbone.space;
        if let Err(error) = cache.put_layer_dim(&space.backbone, &space.layer, &space.preprocess, space.dim) {
            tracing::warn!(%error, "the cache could not be written");
        }
    }
    Ok(backbone)
}
