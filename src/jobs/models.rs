//! Opened backbones, and the lane that runs images through them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::lane::{JobReporter, Work};
use super::protocol::{EmbedRequest, JobData, JobError, JobOutput, JobRequest, ModelChoice, SkippedImage};
use super::table::Table;
use crate::backbone::{Backbone, library};
use crate::dataset::SkipReason;
use crate::embedding::EmbeddingSpace;
use crate::progress::Reporter;
use crate::project::ImageId;
use crate::store::dirs;
use crate::workflow::embed::{EmbedBatch, EmbedConfig, embed_each};
use crate::workflow::models::{at_layer, open_cache, open_path_with};
use crate::workflow::{SharedCache, WorkflowError};

/// The backbone that was opened last, since several lanes want the same one.
#[derive(Default)]
pub(super) struct OpenModels {
    last: Mutex<Option<(ModelChoice, Arc<Backbone>)>>,
}

impl OpenModels {
    /// The backbone of a choice.
    pub(super) fn open(&self, choice: &ModelChoice, cache: &SharedCache) -> Result<Arc<Backbone>, JobError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, backbone)) = &*last
            && known == choice
        {
            return Ok(Arc::clone(backbone));
        }
        let path = library::find(choice.model.as_deref(), &dirs::model_dirs()).map_err(WorkflowError::from)?;
        let backbone = open_path_with(&path, choice.layer.as_deref(), choice.preprocess.clone(), cache)?;
        let backbone = Arc::new(backbone);
        *last = Some((choice.clone(), Arc::clone(&backbone)));
        Ok(backbone)
    }

    /// The backbone of a choice with the image's vector in the space of texts behind its features, where it is a tower of a
    /// dual encoder: one run gives both.
    pub(super) fn open_joined(&self, choice: &ModelChoice, cache: &SharedCache) -> Result<Arc<Backbone>, JobError> {
        let backbone = self.open(choice, cache)?;
        let Some(joint) = joint_tower(&backbone, cache)? else { return Ok(backbone) };
        Ok(if joint.space == backbone.space { backbone } else { Arc::new(backbone.beside(&joint)) })
    }

    /// The backbone of a choice whose features are in `space`: its own, those in the space of texts, or both.
    pub(super) fn open_in(
        &self,
        choice: &ModelChoice,
        space: &EmbeddingSpace,
        cache: &SharedCache,
    ) -> Result<Arc<Backbone>, JobError> {
        let backbone = self.open(choice, cache)?;
        if backbone.space == *space {
            return Ok(backbone);
        }
        let Some(joint) = joint_tower(&backbone, cache)? else { return Ok(backbone) };
        if joint.space == *space {
            return Ok(Arc::new(joint));
        }
        Ok(Arc::new(backbone.beside(&joint)))
    }

    /// Forgets what is open: the files may have changed.
    pub(super) fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The image tower of a dual encoder, whose features are its vectors in the space of texts.
fn joint_tower(backbone: &Backbone, cache: &SharedCache) -> Result<Option<Backbone>, JobError> {
    let manifest = &backbone.manifest;
    let Some(joint) = manifest.joint.as_ref().filter(|_| manifest.text.is_some()) else { return Ok(None) };
    Ok(Some(at_layer(backbone, &joint.value.label(), cache)?))
}

/// The lane that embeds.
pub(super) fn embed_worker(models: Arc<OpenModels>, table: Arc<Table>) -> Work {
    Box::new(move |request, reporter| match request {
        JobRequest::Embed(request) => embed(&models, &table, &request, reporter),
        _ => Ok(JobOutput::Done),
    })
}

fn embed(
    models: &OpenModels,
    table: &Table,
    request: &EmbedRequest,
    reporter: &JobReporter,
) -> Result<JobOutput, JobError> {
    let started = Instant::now();
    let cache = open_cache(reporter);
    let backbone = models.open_joined(&request.model, &cache)?;
    let epoch = request.epoch;
    table.begin(epoch, &backbone.space, backbone.parts());
    let name = backbone.manifest.name.clone();
    let reads_text = backbone.manifest.text.is_some();
    reporter.data(JobData::Space { epoch, name, reads_text, provider: request.provider });
    let (ids, paths): (Vec<ImageId>, Vec<_>) = request.images.iter().cloned().unzip();
    let config = EmbedConfig { provider: request.provider, ..EmbedConfig::default() };
    let mut is_stale = false;
    let counts = embed_each(&backbone, &paths, &cache, &config, reporter, |batch: EmbedBatch| {
        let rows = batch.rows.iter().map(|row| (&row.hash, &*row.values));
        let Some(numbers) = table.add(epoch, rows) else {
            is_stale = true;
            return reporter.cancel_token().cancel();
        };
        let rows = batch.rows.iter().zip(numbers).map(|(row, number)| (ids[row.path_idx], row.hash, number)).collect();
        let skipped = batch.skipped.into_iter().map(|(idx, reason)| SkippedImage {
            id: ids[idx],
            is_lasting: !matches!(reason, SkipReason::Unreadable { .. }),
            reason: reason.to_string(),
        });
        let skipped = skipped.collect();
        reporter.data(JobData::Embedded { epoch, rows, skipped });
    })?;
    if is_stale {
        return Err(JobError::Cancelled);
    }
    let secs = started.elapsed().as_secs_f64();
    let ran_on = counts.ran_on;
    Ok(JobOutput::Embedded { n_embedded: counts.n_embedded, n_cached: counts.n_cached, ran_on, secs })
}
