//! Embedding: from paths to rows, by way of the cache.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use ndarray::Array2;

pub use super::pipeline::EmbedConfig;
use super::pipeline::{Done, Pipeline};
use super::{SharedCache, WorkflowError};
use crate::backbone::Backbone;
use crate::dataset::{SkipReason, Skipped};
use crate::embedding::Embeddings;
use crate::image::preprocess::Preprocessor;
use crate::progress::{Reporter, Stage};
use crate::store::cache::{CacheError, ContentHash, FileStamp, SpaceId};

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
    let preprocessor = Preprocessor::new(backbone.preprocess()).map_err(crate::backbone::BackboneError::from)?;
    let space = cache.as_ref().and_then(|cache| {
        let cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        warn_once(cache.space_id(&backbone.space), reporter)
    });
    let mut collector = Collector::new(backbone.space.dim, paths, cache, space, reporter);
    let pipeline = Pipeline { backbone, preprocessor, paths, cache, space, config, reporter };
    let run = pipeline.run(|done| {
        collector.add(done);
        Ok(())
    });
    // Also after a cancel or a failure: what was computed is worth keeping.
    collector.flush();
    run?;
    collector.finish(backbone)
}

struct Row {
    /// Position in the unordered matrix.
    at: usize,
    hash: ContentHash,
}

struct Collector<'a> {
    dim: usize,
    /// Rows in the order of their arrival.
    values: Vec<f32>,
    /// By path index.
    rows: Vec<Option<Row>>,
    skipped: Vec<(usize, SkipReason)>,
    n_embedded: usize,
    n_cached: usize,
    cache: &'a SharedCache,
    space: Option<SpaceId>,
    /// Rows (positions) and files not yet in the cache.
    unsaved_rows: Vec<(ContentHash, usize)>,
    unsaved_files: Vec<(usize, FileStamp, ContentHash)>,
    last_flush: Instant,
    paths: &'a [PathBuf],
    reporter: &'a dyn Reporter,
    last_report: Instant,
}

/// Rows between two transactions, so that a kill loses little.
const FLUSH_ROWS: usize = 64;

impl<'a> Collector<'a> {
    fn new(
        dim: usize,
        paths: &'a [PathBuf],
        cache: &'a SharedCache,
        space: Option<SpaceId>,
        reporter: &'a dyn Reporter,
    ) -> Self {
        Self {
            dim,
            values: Vec::with_capacity(dim * paths.len()),
            rows: (0..paths.len()).map(|_| None).collect(),
            skipped: Vec::new(),
            n_embedded: 0,
            n_cached: 0,
            cache,
            space,
            unsaved_rows: Vec::new(),
            unsaved_files: Vec::new(),
            last_flush: Instant::now(),
            paths,
            reporter,
            last_report: Instant::now(),
        }
    }

    fn add(&mut self, done: Done) {
        match (done.result, done.hash) {
            (Ok(vector), Some(hash)) => {
                let at = self.values.len() / self.dim;
                self.values.extend_from_slice(&vector.values);
                self.rows[done.idx] = Some(Row { at, hash });
                if vector.cached {
                    self.n_cached += 1;
                } else {
                    self.n_embedded += 1;
                    self.unsaved_rows.push((hash, at));
                }
                if let Some(stamp) = done.stamp {
                    self.unsaved_files.push((done.idx, stamp, hash));
                }
            }
            (Ok(_), None) => {}
            (Err(reason), _) => self.skipped.push((done.idx, reason)),
        }
        if self.unsaved_rows.len() >= FLUSH_ROWS
            || (!self.unsaved_rows.is_empty() && self.last_flush.elapsed() > Duration::from_secs(2))
        {
            self.flush();
        }
        let n_done = self.n_embedded + self.n_cached + self.skipped.len();
        if n_done == self.rows.len() || self.last_report.elapsed() > Duration::from_millis(66) {
            self.reporter.progress(Stage::Embed, n_done, self.rows.len());
            self.last_report = Instant::now();
        }
    }

    fn flush(&mut self) {
        self.last_flush = Instant::now();
        let (Some(cache), Some(space)) = (self.cache, self.space) else { return };
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        let dim = self.dim;
        let values = &self.values;
        let rows = self.unsaved_rows.iter().map(|(hash, at)| (hash, &values[at * dim..(at + 1) * dim]));
        let saved = cache.put(space, rows).and_then(|()| {
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

    /// Puts the rows into the order of the paths.
    fn finish(mut self, backbone: &Backbone) -> Result<Embedded, WorkflowError> {
        let mut path_idx = Vec::with_capacity(self.n_embedded + self.n_cached);
        let mut hashes = Vec::with_capacity(path_idx.capacity());
        let mut order = Vec::with_capacity(path_idx.capacity());
        for (idx, row) in self.rows.iter().enumerate() {
            if let Some(row) = row {
                path_idx.push(idx);
                hashes.push(row.hash);
                order.push(row.at);
            }
        }
        permute_rows(&mut self.values, self.dim, order);
        self.skipped.sort_by_key(|(idx, _)| *idx);
        let skipped =
            self.skipped.into_iter().map(|(idx, reason)| Skipped { path: self.paths[idx].clone(), reason }).collect();
        // The shape holds by construction: a row was appended for each path index that is kept.
        let values = Array2::from_shape_vec((path_idx.len(), self.dim), self.values)
            .map_err(|_| crate::embedding::WidthMismatch { expected: backbone.space.dim, found: self.dim })?;
        Ok(Embedded {
            embeddings: Embeddings::new(values, backbone.space.clone())?,
            path_idx,
            hashes,
            skipped,
            n_embedded: self.n_embedded,
            n_cached: self.n_cached,
        })
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
