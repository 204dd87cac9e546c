//! Embedding as a whole: the same result however it is run, and an end within half a second when cancelled.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use graft::backbone::provider::Provider;
use graft::backbone::{Backbone, BackboneError};
use graft::progress::{CancelToken, Reporter, Silent, Stage};
use graft::store::cache::EmbeddingCache;
use graft::workflow::WorkflowError;
use graft::workflow::embed::{EmbedBatch, EmbedConfig, EmbedCounts, Embedded, embed, embed_each};
use graft::workflow::models::{open_model, open_path};

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

#[test]
fn batches_hold_each_path_once_and_no_more_than_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Some(Mutex::new(EmbeddingCache::open(dir.path()).unwrap()));
    let backbone = open_path(Path::new(common::TINY), None, &None).unwrap();
    let broken = PathBuf::from(common::IMAGES).join("truncated.jpg");
    // Many paths of few pictures, so that most come from the cache, and quickly.
    let paths: Vec<PathBuf> = sample(5).into_iter().chain([broken]).cycle().take(1200).collect();
    let reference = embed(&backbone, &paths, &None, &config(2, 2), &Silent::default()).unwrap();
    for _ in 0..2 {
        let mut batches: Vec<EmbedBatch> = Vec::new();
        let counts =
            embed_each(&backbone, &paths, &cache, &config(2, 2), &Silent::default(), |b| batches.push(b)).unwrap();
        assert_eq!(counts.n_embedded + counts.n_cached, 1000);
        assert_eq!(counts.n_skipped, 200);
        assert!(
            batches.len() >= 5 && batches.iter().all(|b| b.rows.len() + b.skipped.len() <= 256),
            "{}",
            batches.len()
        );
        let mut rows: Vec<_> = batches.iter().flat_map(|b| b.rows.clone()).collect();
        rows.sort_by_key(|row| row.path_idx);
        assert_eq!(rows.iter().map(|r| r.path_idx).collect::<Vec<_>>(), reference.path_idx);
        assert_eq!(rows.iter().map(|r| r.hash).collect::<Vec<_>>(), reference.hashes);
        for (row, expected) in rows.iter().zip(reference.embeddings.view().rows()) {
            assert_eq!(&row.values[..], expected.as_slice().unwrap());
        }
        let mut skipped: Vec<usize> = batches.iter().flat_map(|b| b.skipped.iter().map(|s| s.0)).collect();
        skipped.sort_unstable();
        assert_eq!(skipped, (0..1200).filter(|i| i % 6 == 5).collect::<Vec<_>>());
    }
    let counts = embed_each(&backbone, &paths, &cache, &config(2, 2), &Silent::default(), |_| ()).unwrap();
    assert_eq!(counts, EmbedCounts { n_embedded: 0, n_cached: 1000, n_skipped: 200, ran_on: None });
}

#[test]
fn a_provider_that_is_not_there_ends_the_work_when_it_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Some(Mutex::new(EmbeddingCache::open(dir.path()).unwrap()));
    let backbone = open_path(Path::new(common::TINY), None, &None).unwrap();
    let missing = if cfg!(windows) { Provider::CoreMl } else { Provider::DirectMl };
    let run =
        |provider| embed(&backbone, &sample(40), &cache, &EmbedConfig { provider, ..config(2, 2) }, &Silent::default());
    let error = run(missing).unwrap_err();
    assert!(
        matches!(&error, WorkflowError::Backbone(BackboneError::Provider { provider, .. }) if *provider == missing),
        "{error}"
    );
    assert!(error.to_string().contains("choose another provider"), "{error}");
    assert_eq!(run(Provider::Cpu).unwrap().n_embedded, 40);
    assert_eq!(run(missing).unwrap().n_cached, 40, "what the cache knows needs no provider");
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
    let mut n_handed_out = 0;
    let result = embed_each(&backbone, &paths, &cache, config, &reporter, |batch| n_handed_out += batch.rows.len());
    let took = reporter.at.lock().unwrap().unwrap().elapsed();
    assert!(matches!(result, Err(WorkflowError::Cancelled)), "{result:?}");
    // The promise is half a second; a busy machine that runs tests side by side gets some more.
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(reporter.n_seen.load(Ordering::SeqCst) < 103);
    let again = embed(&backbone, &paths, &cache, &EmbedConfig::default(), &Silent::default()).unwrap();
    assert!(again.n_cached >= 8, "{} of the first run are in the cache", again.n_cached);
    assert_eq!(again.n_cached + again.n_embedded, 103);
    assert_eq!(again.n_cached, n_handed_out, "what was computed is in the cache and was handed out");
}
