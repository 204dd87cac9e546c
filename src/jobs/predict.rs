//! The lanes that answer on images which are not part of the project: those that are wanted, and strangers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lane::{JobReporter, Work};
use super::models::OpenModels;
use super::protocol::{JobError, JobOutput, JobRequest, PredictRequest};
use crate::dataset::{SkipReason, Skipped};
use crate::workflow::WorkflowError;
use crate::workflow::certainty::distances;
use crate::workflow::embed::{EmbedConfig, embed};
use crate::workflow::evaluate::Answers;
use crate::workflow::models::open_cache;
use crate::workflow::predict::Predictions;
use crate::workflow::scan::scan;

pub(super) fn worker(models: Arc<OpenModels>) -> Work {
    Box::new(move |request, reporter| match request {
        JobRequest::Predict(request) | JobRequest::Strangers(request) => predict(&models, request, reporter),
        _ => Ok(JobOutput::Done),
    })
}

fn predict(models: &OpenModels, request: PredictRequest, reporter: &JobReporter) -> Result<JobOutput, JobError> {
    let (mut paths, mut skipped) = (Vec::new(), Vec::new());
    for input in &request.paths {
        gather(input, &mut paths, &mut skipped, reporter)?;
    }
    if paths.is_empty() && skipped.is_empty() {
        let path = request.paths.first().cloned().unwrap_or_default();
        return Err(WorkflowError::NoImages { path }.into());
    }
    let cache = open_cache(reporter);
    let space = request.head.trained.head.space();
    let backbone = models.open_in(&request.model, space, &cache)?;
    let config = EmbedConfig { provider: request.provider, ..EmbedConfig::default() };
    let mut embedded = embed(&backbone, &paths, &cache, &config, reporter)?;
    let head = &request.head.trained.head;
    let probabilities = head.probabilities(&embedded.embeddings).map_err(WorkflowError::from)?;
    let distances = distances(request.head.certainty.nearest.as_deref(), &embedded.embeddings)?;
    skipped.append(&mut embedded.skipped);
    let paths = embedded.path_idx.iter().map(|&i| paths[i].clone()).collect();
    Ok(JobOutput::Predicted(Arc::new(Predictions {
        classes: head.classes().clone(),
        answers: Answers { paths, probabilities, distances, skipped },
        rule: request.rule,
    })))
}

/// Every image of a file or folder; splits and classes mean nothing here.
fn gather(
    input: &Path,
    paths: &mut Vec<PathBuf>,
    skipped: &mut Vec<Skipped>,
    reporter: &JobReporter,
) -> Result<(), JobError> {
    let found = match scan(input, reporter) {
        Ok(found) => found,
        Err(WorkflowError::Cancelled) => return Err(JobError::Cancelled),
        // One of many that is gone is no reason to answer on none.
        Err(error) => {
            let reason = SkipReason::Unreadable { message: error.to_string() };
            skipped.push(Skipped { path: input.to_owned(), reason });
            return Ok(());
        }
    };
    paths.extend(found.samples.into_iter().map(|s| s.path));
    for Skipped { path, reason } in found.skipped {
        match reason {
            SkipReason::OutsideSplits => paths.push(path),
            reason => skipped.push(Skipped { path, reason }),
        }
    }
    Ok(())
}
