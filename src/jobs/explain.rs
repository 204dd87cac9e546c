//! The lane that says why an answer is what it is.

use std::sync::Arc;

use ndarray::Array1;

use super::lane::{JobReporter, Work};
use super::models::OpenModels;
use super::protocol::{ExplainRequest, Explained, JobError, JobOutput, JobRequest, Near, NearRequest, OccludeRequest};
use super::table::Table;
use crate::classes::ClassIdx;
use crate::dataset::SkipReason;
use crate::head::{Neighbour, nearest};
use crate::progress::Reporter;
use crate::project::ImageId;
use crate::workflow::WorkflowError;
use crate::workflow::embed::{EmbedConfig, embed};
use crate::workflow::explain::{OcclusionConfig, occlusion};
use crate::workflow::models::open_cache;

/// Rows that are compared at a time.
const ROWS: usize = 4096;

pub(super) fn worker(models: Arc<OpenModels>, table: Arc<Table>) -> Work {
    Box::new(move |request, reporter| match request {
        JobRequest::Explain(request) => match *request {
            ExplainRequest::Near(request) => {
                near(&models, &table, &request, reporter).map(|near| JobOutput::Explained(Explained::Near(near)))
            }
            ExplainRequest::Occlude(request) => occlude(&models, &request, reporter).map(JobOutput::Explained),
        },
        _ => Ok(JobOutput::Done),
    })
}

fn near(models: &OpenModels, table: &Table, request: &NearRequest, reporter: &JobReporter) -> Result<Near, JobError> {
    let query = match request.row {
        Some(row) => {
            let x = table.select(request.epoch, &[row]).ok_or(JobError::Cancelled)?;
            x.view().row(0).to_owned()
        }
        None => of_file(models, table, request, reporter)?,
    };
    let mut best: Vec<(ImageId, Neighbour)> = Vec::new();
    for images in request.images.chunks(ROWS) {
        if reporter.cancelled() {
            return Err(JobError::Cancelled);
        }
        let rows: Vec<u32> = images.iter().map(|(_, row)| *row).collect();
        let x = table.select(request.epoch, &rows).ok_or(JobError::Cancelled)?;
        let found = nearest(x.view(), query.view(), request.n).map_err(WorkflowError::from)?;
        best.extend(found.into_iter().map(|neighbour| (images[neighbour.row].0, neighbour)));
        // The sort is stable: of equal ones the earlier stays first.
        best.sort_by(|a, b| b.1.similarity.total_cmp(&a.1.similarity));
        best.truncate(request.n);
    }
    Ok(Near { images: best.into_iter().map(|(id, neighbour)| (id, neighbour.similarity)).collect() })
}

/// The features of a file that is not part of the project; the cache knows them where it was answered on.
fn of_file(
    models: &OpenModels,
    table: &Table,
    request: &NearRequest,
    reporter: &JobReporter,
) -> Result<Array1<f32>, JobError> {
    let cache = open_cache(reporter);
    let parts = table.parts(request.epoch).ok_or(JobError::Cancelled)?;
    let backbone = models.open(&request.model, &cache)?;
    if parts.first() != Some(&backbone.space) {
        return Err(JobError::Cancelled);
    }
    let config = EmbedConfig { provider: request.provider, ..EmbedConfig::default() };
    let paths = [request.path.clone()];
    let embedded = embed(&backbone, &paths, &cache, &config, reporter)?;
    if embedded.path_idx.is_empty() {
        let reason = embedded.skipped.into_iter().next().map_or(SkipReason::NotAnImage, |skipped| skipped.reason);
        return Err(WorkflowError::Picture { path: request.path.clone(), reason }.into());
    }
    Ok(embedded.embeddings.view().row(0).to_owned())
}

fn occlude(models: &OpenModels, request: &OccludeRequest, reporter: &JobReporter) -> Result<Explained, JobError> {
    let cache = open_cache(reporter);
    let head = &request.head.judged.trained.head;
    let backbone = models.open_in(&request.model, head.space(), &cache)?;
    let config = EmbedConfig { provider: request.provider, ..EmbedConfig::default() };
    let of = |id| request.head.class_ids.iter().position(|class| *class == id).map(ClassIdx::from);
    let class = request.class.and_then(of);
    let map = occlusion(&backbone, head, class, &request.path, (OcclusionConfig::default(), &config), reporter)?;
    // The model was replaced meanwhile.
    let class = request.head.class_ids.get(map.class.as_usize()).copied().ok_or(JobError::Cancelled)?;
    Ok(Explained::Occluded { class, map: Arc::new(map) })
}
