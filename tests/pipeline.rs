//! Embedding as a whole: the same result however it is run, and an end within half a second when cancelled.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use graft::backbone::Backbone;
use graft::progress::{CancelToken, Reporter, Silent, Stage};
use graft::store::cache::EmbeddingCache;
use graft::workflow::WorkflowError;
use graft::workflow::embed::{EmbedConfig, Embedded, embed};
use graft::workflow::models::open_model;

fn sample(n: usize) -> Vec<PathBuf> {
    common::files_below(Path::new(common::SAMPLE)).into_iter().take(n).collect()
}

fn starter() -> Backbone {
    open_model(None, None, &None).unwrap()
}

fn config(batch_size: usize, n_threads: usize) -> EmbedConfig {
    EmbedConfig { batch_size, n_threads, ..EmbedConfig::default() }
}

#[test]
fn the_same_result_whatever_the_batch_size_and_thread_count() {
    let backbone = starter();
    let mut paths = sample(20);
    // A file that is skipped shifts the rows behind it.
    paths.insert(7, PathBuf::from(common::IMAGES).join("truncated.jpg"));
    let run = |batch_size, n_threads| -> Embedded {
        embed(&backbone, &paths, &None, &config(batch_size, n_threads), &Silent::default()).unwrap()
    };
    let reference = run(1, 1);
    assert_eq!(reference.path_idx, (0..21).filter(|i| *i != 7).collect::<Vec<_>>());
    assert_eq!(reference.skipped.len(), 1);
    for (batch_size, n_threads) in [(1, 2), (3, 2), (8, 2), (16, 4), (20, 1)] {
        let other = run(batch_size, n_threads);
        assert_eq!(other.path_idx, reference.path_idx);
        assert_eq!(other.hashes, reference.hashes);
        assert_eq!(other.embeddings, reference.embeddings, "batches of {batch_size} on {n_threads} threads");
    }
    // As a large backbone is run: decoders feed a single lane.
    let config = EmbedConfig { one_lane_above_bytes: 0, ..config(4, 2) };
    let lane = embed(&backbone, &paths, &None, &config, &Silent::default()).unwrap();
    assert_eq!((lane.path_idx, lane.skipped), (reference.path_idx, reference.skipped));
    let pairs = lane.embeddings.view().into_iter().zip(reference.embeddings.view()).map(|(a, b)| (a - b).abs());
    assert!(pairs.fold(0.0_f32, f32::max) <= 1e-4);
}

#[test]
fn a_fixed_batch_and_other_input_forms_run() {
    for file in ["tiny_nhwc.onnx", "tiny_fp16.onnx", "tiny_vit.onnx", "tiny_qdq.onnx", "tiny_external.onnx"] {
        let path = Path::new(common::ONNX).join(file);
        let backbone = Backbone::open(&path, None, |_| None).unwrap();
        let embedded = embed(&backbone, &sample(5), &None, &config(2, 2), &Silent::default()).unwrap();
        assert_eq!(embedded.embeddings.view().dim(), (5, backbone.space.dim), "{file}");
        let first = embedded.embeddings.view().row(0).to_owned();
        assert!(embedded.embeddings.view().rows().into_iter().skip(1).any(|row| row != first), "{file}");
    }
}

/// Cancels itself after some images, and notes when.
struct CancelAfter {
    token: CancelToken,
    n: usize,
    at: Mutex<Option<Instant>>,
    n_seen: AtomicUsize,
}

impl Reporter for CancelAfter {
    fn progress(&self, _: Stage, n_done: usize, _: usize) {
        self.n_seen.store(n_done, Ordering::SeqCst);
        if n_done >= self.n && !self.token.is_cancelled() {
            *self.at.lock().unwrap() = Some(Instant::now());
            self.token.cancel();
        }
    }
    fn warn(&self, message: &str) {
        panic!("{message}");
    }
    fn cancel_token(&self) -> &CancelToken {
        &self.token
    }
}

#[test]
fn cancelling_ends_it_soon_and_keeps_what_was_done() {
    for one_lane_above_bytes in [u64::MAX, 0] {
        cancel(&EmbedConfig { one_lane_above_bytes, ..EmbedConfig::default() });
    }
}

fn cancel(config: &EmbedConfig) {
    let dir = tempfile::tempdir().unwrap();
    let cache = Some(Mutex::new(EmbeddingCache::open(dir.path()).unwrap()));
    let backbone = starter();
    let paths = sample(103);
    let reporter = CancelAfter { token: CancelToken::new(), n: 8, at: Mutex::new(None), n_seen: AtomicUsize::new(0) };
    let result = embed(&backbone, &paths, &cache, config, &reporter);
    let took = reporter.at.lock().unwrap().unwrap().elapsed();
    assert!(matches!(result, Err(WorkflowError::Cancelled)), "{result:?}");
    // The promise is half a second; a busy machine that runs tests side by side gets some more.
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(reporter.n_seen.load(Ordering::SeqCst) < 103);
    let again = embed(&backbone, &paths, &cache, &EmbedConfig::default(), &Silent::default()).unwrap();
    assert!(again.n_cached >= 8, "{} of the first run are in the cache", again.n_cached);
    assert_eq!(again.n_cached + again.n_embedded, 103);
}
