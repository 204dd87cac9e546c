//! The lane that makes the map of the images, on its own thread and one more for the layout.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ndarray::{Array2, s};

use super::lane::{JobReporter, Work};
use super::protocol::{JobData, JobError, JobOutput, JobRequest, MapRequest, MapRow, MapTask, Mapped};
use super::table::Table;
use crate::progress::{Reporter, Stage};
use crate::projection::{EmbeddingMap, Frame, MapConfig, Point, ProjectionError, Reduction, lay_out, sample};

/// Rows that are copied out of the table at a time.
const CHUNK_ROWS: usize = 1024;
/// A layout under way is shown so often, at most.
const FRAME_INTERVAL: Duration = Duration::from_millis(100);
/// Showing it takes this share of the time, at most.
const FRAME_SHARE: u32 = 10;

pub(super) fn worker(table: Arc<Table>) -> Work {
    Box::new(move |request, reporter| match request {
        JobRequest::Map(request) => map(&table, *request, reporter).map(|m| JobOutput::Mapped(Box::new(m))),
        _ => Ok(JobOutput::Done),
    })
}

fn map(table: &Table, request: MapRequest, reporter: &JobReporter) -> Result<Mapped, JobError> {
    let MapRequest { epoch, number, task, rows } = request;
    let token = reporter.cancel_token();
    let config = MapConfig::default();
    let (rows, left_out) = finite(table, epoch, rows, reporter)?;
    let (reduction, taken) = match &task {
        MapTask::Place(map) => (map.reduction().clone(), Vec::new()),
        MapTask::Components | MapTask::LayOut => {
            let classes: Vec<Option<u32>> = rows.iter().map(|row| row.class).collect();
            let taken = sample(&classes, config.n_laid_out, config.seed);
            let of_sample: Vec<u32> = taken.iter().map(|&i| rows[i].row).collect();
            let embeddings = table.select(epoch, &of_sample).ok_or(JobError::Cancelled)?;
            (Reduction::fit(embeddings.view(), config.seed, token)?, taken)
        }
    };
    let numbers: Arc<[u32]> = rows.iter().map(|row| row.row).collect();
    let reduced = reduce(table, epoch, &numbers, &reduction, reporter)?;
    let mapped = |map: Option<Arc<EmbeddingMap>>, points: Vec<Point>| Mapped {
        epoch,
        number,
        map,
        rows: Arc::clone(&numbers),
        points,
        left_out: left_out.clone(),
    };
    let of_components = || -> Result<Mapped, JobError> {
        let map = EmbeddingMap::of_components(reduction.clone(), reduced.view());
        let points = map.place(reduced.view(), token)?;
        Ok(mapped(Some(Arc::new(map)), points))
    };
    match task {
        MapTask::Place(map) => {
            let points = map.place(reduced.view(), token)?;
            Ok(mapped(Some(map), points))
        }
        MapTask::Components => of_components(),
        MapTask::LayOut => {
            reporter.data(JobData::Mapped(Box::new(of_components()?)));
            let mut due = Instant::now() + FRAME_INTERVAL;
            let mut on_frame = |frame: Frame<'_>| {
                reporter.progress(Stage::Map, frame.n_done, frame.n_total);
                let now = Instant::now();
                if now >= due {
                    reporter.data(JobData::Mapped(Box::new(mapped(None, frame.points()))));
                    due = Instant::now() + FRAME_INTERVAL.max(now.elapsed() * FRAME_SHARE);
                }
            };
            let (map, points) = lay_out(reduction.clone(), reduced.view(), &taken, &mut on_frame, token)?;
            Ok(mapped(Some(Arc::new(map)), points))
        }
    }
}

/// The rows whose embeddings are numbers, and those that have others.
fn finite(
    table: &Table,
    epoch: u64,
    rows: Vec<MapRow>,
    reporter: &JobReporter,
) -> Result<(Vec<MapRow>, Vec<u32>), JobError> {
    let (mut kept, mut left_out) = (Vec::with_capacity(rows.len()), Vec::new());
    for (i, row) in rows.into_iter().enumerate() {
        if i % CHUNK_ROWS == 0 && reporter.cancelled() {
            return Err(JobError::Cancelled);
        }
        let is_finite = |values: ndarray::ArrayView1<'_, f32>| values.iter().all(|v| v.is_finite());
        match table.with_row(epoch, row.row, is_finite).ok_or(JobError::Cancelled)? {
            true => kept.push(row),
            false => left_out.push(row.row),
        }
    }
    Ok((kept, left_out))
}

/// The components of rows, without a copy of all of them.
fn reduce(
    table: &Table,
    epoch: u64,
    rows: &[u32],
    reduction: &Reduction,
    reporter: &JobReporter,
) -> Result<Array2<f32>, JobError> {
    let mut reduced = Array2::zeros((rows.len(), reduction.n_components()));
    for (start, chunk) in (0..).step_by(CHUNK_ROWS).zip(rows.chunks(CHUNK_ROWS)) {
        if reporter.cancelled() {
            return Err(JobError::Cancelled);
        }
        let embeddings = table.select(epoch, chunk).ok_or(JobError::Cancelled)?;
        reduced.slice_mut(s![start..start + chunk.len(), ..]).assign(&reduction.reduce(embeddings.view())?);
    }
    Ok(reduced)
}

impl From<ProjectionError> for JobError {
    fn from(error: ProjectionError) -> Self {
        match error {
            ProjectionError::Cancelled => Self::Cancelled,
            other => Self::failed(other),
        }
    }
}
