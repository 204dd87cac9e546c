//! Writing a report, on the lane of exports.

use super::lane::JobReporter;
use super::models::OpenModels;
use super::protocol::{JobError, JobOutput, ReportRequest};
use super::table::Table;
use crate::classes::ClassIdx;
use crate::progress::Reporter;
use crate::workflow::WorkflowError;
use crate::workflow::models::open_cache;
use crate::workflow::report::{MAX_CHECKED, ReportInput, ReportedImage, document, judged_split, write};
use crate::workflow::train::JudgedHead;

pub(super) fn report(
    models: &OpenModels,
    table: &Table,
    request: ReportRequest,
    reporter: &JobReporter,
) -> Result<JobOutput, JobError> {
    let cache = open_cache(reporter);
    let backbone = models.open(&request.model, &cache)?;
    let heads: Vec<&JudgedHead> = request.heads.iter().map(|head| &**head).collect();
    let shown = heads.get(request.shown).ok_or(JobError::Cancelled)?;
    let image = |row: &super::protocol::RowOfReport| ReportedImage {
        path: row.path.clone(),
        class: ClassIdx(row.class),
        split: row.split,
    };
    let images: Vec<ReportedImage> = request.rows.iter().map(image).collect();
    let split = judged_split(&images);
    let of = |judged_only: bool| -> Vec<u32> {
        request.rows.iter().filter(|row| !judged_only || row.split == split).map(|row| row.row).collect()
    };
    let judged = table.select_in(request.epoch, &of(true), shown.trained.head.space()).ok_or(JobError::Cancelled)?;
    let features = if images.len() <= MAX_CHECKED {
        Some(table.select(request.epoch, &of(false)).ok_or(JobError::Cancelled)?)
    } else {
        None
    };
    let input = ReportInput {
        title: request.title,
        folders: request.folders,
        shows_paths: false,
        backbone: &backbone,
        classes: shown.trained.head.classes(),
        heads: &heads,
        shown: request.shown,
        images,
        judged,
        features,
        copies: request.copies,
        skipped: request.skipped,
        notes: request.notes,
        val_is_given: request.val_is_given,
        seed: request.seed,
        unknown: request.unknown,
        curve: request.curve,
        runs: request.runs,
        compared: request.compared,
        command: request.command,
        differs: request.differs,
    };
    let document = document(input, reporter)?;
    if reporter.cancelled() {
        return Err(JobError::Cancelled);
    }
    write(&request.path, &document, false).map_err(WorkflowError::from)?;
    Ok(JobOutput::Reported(request.path))
}
