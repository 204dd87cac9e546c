//! The lane that writes things for elsewhere.

use std::path::PathBuf;
use std::sync::Arc;

use super::lane::{JobReporter, Work};
use super::models::OpenModels;
use super::protocol::{ExportRequest, HeadExport, JobError, JobOutput, JobRequest};
use super::report::report;
use super::table::Table;
use crate::classes::ClassIdx;
use crate::export::describe::DataMeta;
use crate::workflow::export::{ExportInput, export};
use crate::workflow::models::open_cache;
use crate::workflow::providers::self_test;
use crate::workflow::sort::sort_into;
use crate::workflow::train::LabelledEmbeddings;

pub(super) fn worker(models: Arc<OpenModels>, table: Arc<Table>) -> Work {
    Box::new(move |request, reporter| match request {
        JobRequest::Export(ExportRequest::Head(request)) => head(&models, &table, &request, reporter),
        JobRequest::Export(ExportRequest::Report(request)) => report(&models, &table, *request, reporter),
        JobRequest::Export(ExportRequest::Csv { path, predictions }) => {
            predictions.write_csv(&path)?;
            Ok(JobOutput::Wrote(path))
        }
        JobRequest::Export(ExportRequest::Sort { dir, predictions }) => {
            let outcome = sort_into(&dir, &predictions, reporter)?;
            Ok(JobOutput::Sorted { dir, outcome })
        }
        JobRequest::Export(ExportRequest::SelfTest { model, provider }) => {
            let cache = open_cache(reporter);
            let backbone = models.open(&model, &cache)?;
            Ok(JobOutput::SelfTested(Box::new(self_test(&backbone, provider, reporter)?)))
        }
        _ => Ok(JobOutput::Done),
    })
}

fn head(
    models: &OpenModels,
    table: &Table,
    request: &HeadExport,
    reporter: &JobReporter,
) -> Result<JobOutput, JobError> {
    let cache = open_cache(reporter);
    let space = request.head.trained.head.space();
    let backbone = models.open_in(&request.model, space, &cache)?;
    let (paths, rows): (Vec<PathBuf>, Vec<u32>) = request.shown.iter().cloned().unzip();
    let embeddings = table.select_in(request.epoch, &rows, space).ok_or(JobError::Cancelled)?;
    let classes = request.shown_classes.iter().map(|&c| ClassIdx(c)).collect();
    let shown = LabelledEmbeddings { embeddings, classes, paths };
    let (n_train, n_val) = (request.n_train_per_class.iter().sum(), request.n_val_per_class.iter().sum());
    let input = ExportInput {
        classes: request.head.trained.head.classes(),
        shown: &shown,
        data: DataMeta {
            n_images: n_train + n_val,
            n_train,
            n_val,
            n_train_per_class: request.n_train_per_class.clone(),
            n_val_per_class: request.n_val_per_class.clone(),
            seed: request.seed,
        },
        trained: &request.head.trained,
        nearest: request.head.certainty.nearest.as_deref(),
        unknown: request.rule,
        val: request.head.val.as_ref(),
        contents: request.contents,
    };
    let meta = export(&request.dir, &backbone, input, reporter)?;
    Ok(JobOutput::Exported { dir: request.dir.clone(), meta: Box::new(meta) })
}
