//! Embedding: from paths to rows, by way of the cache.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use ndarray::Array2;

pub use super::pipeline::EmbedConfig;
use super::pipeline::{Done, Event, Pipeline};
use super::{SharedCache, WorkflowError};
use crate::backbone::Backbone;
use crate::backbone::provider::Provider;
use crate::dataset::{SkipReason, Skipped};
use crate::embedding::Embeddings;
use crate::image::preprocess::Preprocessor;
use crate::progress::{Reporter, Stage};
use crate::store::cache::{CacheError, ContentHash, FileStamp, PartSpaces};

/// Embeddings of many files.
#[derive(Debug)]
pub struct Embedded {
    /// Rows of the usable images, in the order of the paths.
    pub embeddings: Embeddings,
    /// For each row, the index of its path.
    pub path_idx: Vec<usize>,
    /// For each row, the hash of the file's bytes.
    pub hashes: Vec<ContentHash>,
    /// Files that could not be used, in the order of the paths.
    pub skipped: Vec<Skipped>,
    /// Images that went through the backbone.
    pub n_embedded: usize,
    /// Images that the cache knew.
    pub n_cached: usize,
}

/// One embedded image.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedRow {
    /// Index of its path.
    pub path_idx: usize,
    /// Hash of the file's bytes.
    pub hash: ContentHash,
    /// Its features, `dim` values.
    pub values: Box<[f32]>,
}

/// What became of some of the paths, in no particular order. Each path is in one batch, once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbedBatch {
    /// Embedded images.
    pub rows: Vec<EmbeddedRow>,
    /// Indices of paths that could not be used, and why.
    pub skipped: Vec<(usize, SkipReason)>,
}

/// How many paths went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmbedCounts {
    /// Images that went through the backbone.
    pub n_embedded: usize,
    /// Images that the cache knew.
    pub n_cached: usize,
    /// Files that could not be used.
    pub n_skipped: usize,
    /// What the backbone ran on; `None` where the cache knew every image.
    pub ran_on: Option<Provider>,
}

/// Embeds the images at `paths`. A file that cannot be used is skipped with its reason.
///
/// # Errors
/// When the backbone cannot run, or the user cancels (what was embedded until then is in the cache).
pub fn embed(
    backbone: &Backbone,
    paths: &[PathBuf],
    cache: &SharedCache,
    config: &EmbedConfig,
    reporter: &dyn Reporter,
) -> Result<Embedded, WorkflowError> {
    let mut collector = Collector::new(backbone.space.dim, paths.len());
    let counts = embed_each(backbone, paths, cache, config, reporter, |batch| collector.add(batch))?;
    collector.finish(backbone, paths, counts)
}

/// Embeds the images at `paths` and hands out what is ready while it runs: `on_batch` is called on the caller's thread
/// about ten times a second or every 256 rows, and for the last time at the end; also when the work fails or is
/// cancelled. No more than a batch is held, so that memory does not grow with the number of paths.
///
/// # Errors
/// When the backbone cannot run, or the user cancels (what was embedded until then is in the cache and was handed out).
pub fn embed_each(
    backbone: &Backbone,
    paths: &[PathBuf],
    cache: &SharedCache,
    config: &EmbedConfig,
    reporter: &dyn Reporter,
    on_batch: impl FnMut(EmbedBatch),
) -> Result<EmbedCounts, WorkflowError> {
    let preprocessor = Preprocessor::new(backbone.preprocess()).map_err(crate::backbone::BackboneError::from)?;
    let space = cache.as_ref().and_then(|cache| {
        let cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        warn_once(cache.part_spaces(&backbone.parts()), reporter)
    });
    let mut stream = Stream::new(paths, cache, space.clone(), reporter, on_batch);
    let pipeline = Pipeline { backbone, preprocessor, paths, cache, space, config, reporter };
    let run = pipeline.run(|event| stream.on_event(event));
    // Also after a cancel or a failure: what was computed is worth keeping.
    stream.save();
    stream.deliver();
    run.map(|ran_on| EmbedCounts { ran_on, ..stream.counts })
}

/// Rows between two transactions, so that a kill loses little.
const SAVE_ROWS: usize = 64;
/// Hashes of files whose features are known already are less of a loss.
const SAVE_FILES: usize = 1024;
/// Time between two transactions.
const SAVE_EVERY: Duration = Duration::from_secs(2);
/// Rows handed out at once, at most.
const BATCH_ROWS: usize = 256;
/// Time between two batches that are handed out.
pub(super) const BATCH_EVERY: Duration = Duration::from_millis(100);
/// Time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(66);

/// Hands results on to the cache and to the caller.
struct Stream<'a, F> {
    paths: &'a [PathBuf],
    cache: &'a SharedCache,
    /// `None` without a cache, and once it has failed.
    space: Option<PartSpaces>,
    reporter: &'a dyn Reporter,
    on_batch: F,
    batch: EmbedBatch,
    counts: EmbedCounts,
    /// Rows and files not yet in the cache.
    unsaved_rows: Vec<(ContentHash, Box<[f32]>)>,
    unsaved_files: Vec<(usize, FileStamp, ContentHash)>,
    last_save: Instant,
    last_batch: Instant,
    last_report: Instant,
}

impl<'a, F: FnMut(EmbedBatch)> Stream<'a, F> {
    fn new(
        paths: &'a [PathBuf],
        cache: &'a SharedCache,
        space: Option<PartSpaces>,
        reporter: &'a dyn Reporter,
        on_batch: F,
    ) -> Self {
        let now = Instant::now();
        Self {
            paths,
            cache,
            space,
            reporter,
            on_batch,
            batch: EmbedBatch::default(),
            counts: EmbedCounts::default(),
            unsaved_rows: Vec::new(),
            unsaved_files: Vec::new(),
            last_save: now,
            last_batch: now,
            last_report: now,
        }
    }

    fn on_event(&mut self, event: Event) {
        if let Event::Done(done) = event {
            self.add(done);
        }
        let is_late = self.last_save.elapsed() > SAVE_EVERY && !self.unsaved_rows.is_empty();
        if is_late || self.unsaved_rows.len() >= SAVE_ROWS || self.unsaved_files.len() >= SAVE_FILES {
            self.save();
        }
        let n_waiting = self.batch.rows.len() + self.batch.skipped.len();
        if n_waiting >= BATCH_ROWS || self.last_batch.elapsed() >= BATCH_EVERY {
            self.deliver();
        }
    }

    fn add(&mut self, done: Done) {
        match (done.result, done.hash) {
            (Ok(vector), Some(hash)) => {
                if vector.cached {
                    self.counts.n_cached += 1;
                } else {
                    self.counts.n_embedded += 1;
                    if self.space.is_some() {
                        self.unsaved_rows.push((hash, vector.values.clone()));
                    }
                }
                if let (Some(stamp), Some(_)) = (done.stamp, &self.space) {
                    self.unsaved_files.push((done.idx, stamp, hash));
                }
                self.batch.rows.push(EmbeddedRow { path_idx: done.idx, hash, values: vector.values });
            }
            (Ok(_), None) => {}
            (Err(reason), _) => {
                self.counts.n_skipped += 1;
                self.batch.skipped.push((done.idx, reason));
            }
        }
        let EmbedCounts { n_embedded, n_cached, n_skipped, .. } = self.counts;
        let n_done = n_embedded + n_cached + n_skipped;
        if n_done == self.paths.len() || self.last_report.elapsed() > REPORT_EVERY {
            self.reporter.progress(Stage::Embed, n_done, self.paths.len());
            self.last_report = Instant::now();
        }
    }

    fn save(&mut self) {
        self.last_save = Instant::now();
        let (Some(cache), Some(space)) = (self.cache, &self.space) else { return };
        if self.unsaved_rows.is_empty() && self.unsaved_files.is_empty() {
            return;
        }
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = cache.put_parts(space, &self.unsaved_rows).and_then(|()| {
            let files = self
                .unsaved_files
                .iter()
                .filter_map(|(idx, stamp, hash)| Some((self.paths.get(*idx)?.as_path(), stamp, hash)));
            cache.put_file_hashes(files)
        });
        if warn_once(saved, self.reporter).is_none() {
            // The work goes on; the next run computes them again.
            self.space = None;
        }
        self.unsaved_rows.clear();
        self.unsaved_files.clear();
    }

    fn deliver(&mut self) {
        self.last_batch = Instant::now();
        if !self.batch.rows.is_empty() || !self.batch.skipped.is_empty() {
            (self.on_batch)(std::mem::take(&mut self.batch));
        }
    }
}

/// Puts batches together into one matrix.
struct Collector {
    dim: usize,
    /// Rows in the order of their arrival.
    values: Vec<f32>,
    /// By path index: the position in `values` and the hash.
    rows: Vec<Option<(usize, ContentHash)>>,
    skipped: Vec<(usize, SkipReason)>,
}

impl Collector {
    fn new(dim: usize, n_paths: usize) -> Self {
        Self {
            dim,
            values: Vec::with_capacity(dim * n_paths),
            rows: (0..n_paths).map(|_| None).collect(),
            skipped: Vec::new(),
        }
    }

    fn add(&mut self, batch: EmbedBatch) {
        for row in batch.rows {
            self.rows[row.path_idx] = Some((self.values.len() / self.dim, row.hash));
            self.values.extend_from_slice(&row.values);
        }
        self.skipped.extend(batch.skipped);
    }

    /// Puts the rows into the order of the paths.
    fn finish(
        mut self,
        backbone: &Backbone,
        paths: &[PathBuf],
        counts: EmbedCounts,
    ) -> Result<Embedded, WorkflowError> {
        let EmbedCounts { n_embedded, n_cached, .. } = counts;
        let mut path_idx = Vec::with_capacity(n_embedded + n_cached);
        let mut hashes = Vec::with_capacity(path_idx.capacity());
        let mut order = Vec::with_capacity(path_idx.capacity());
        for (idx, row) in self.rows.iter().enumerate() {
            if let Some((at, hash)) = row {
                path_idx.push(idx);
                hashes.push(*hash);
                order.push(*at);
            }
        }
        permute_rows(&mut self.values, self.dim, order);
        self.skipped.sort_by_key(|(idx, _)| *idx);
        let skipped = self.skipped.into_iter().map(|(idx, reason)| Skipped { path: paths[idx].clone(), reason });
        let skipped = skipped.collect();
        // The shape holds by construction: a row was appended for each path index that is kept.
        let values = Array2::from_shape_vec((path_idx.len(), self.dim), self.values)
            .map_err(|_| crate::embedding::WidthMismatch { expected: backbone.space.dim, found: self.dim })?;
        let embeddings = Embeddings::new(values, backbone.space.clone())?;
        Ok(Embedded { embeddings, path_idx, hashes, skipped, n_embedded, n_cached })
    }
}

/// Makes row `i` the former row `order[i]`, in place: the matrix can be most of the memory in use.
fn permute_rows(values: &mut [f32], dim: usize, mut order: Vec<usize>) {
    let mut held = vec![0.0; dim];
    for start in 0..order.len() {
        if order[start] == start {
            continue;
        }
        held.copy_from_slice(&values[start * dim..(start + 1) * dim]);
        let mut at = start;
        loop {
            let from = std::mem::replace(&mut order[at], at);
            if from == start {
                values[at * dim..(at + 1) * dim].copy_from_slice(&held);
                break;
            }
            values.copy_within(from * dim..(from + 1) * dim, at * dim);
            at = from;
        }
    }
}

/// A cache that fails is worth a word, not the end of the work.
fn warn_once<T>(result: Result<T, CacheError>, reporter: &dyn Reporter) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            reporter.warn(&format!("Embeddings are not being cached: {error}."));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SplitMix64;

    #[test]
    fn rows_are_permuted_in_place() {
        for n in [0, 1, 2, 7, 50] {
            let mut order: Vec<usize> = (0..n).collect();
            SplitMix64::new(n as u64).shuffle(&mut order);
            let mut values: Vec<f32> = (0..n * 3).map(|v| v as f32).collect();
            let expected: Vec<f32> = order.iter().flat_map(|&i| (0..3).map(move |k| (i * 3 + k) as f32)).collect();
            permute_rows(&mut values, 3, order);
            assert_eq!(values, expected);
        }
    }
}
