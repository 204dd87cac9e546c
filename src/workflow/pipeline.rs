//! Decoders feed inference lanes through a bounded channel; the caller's thread collects.
//!
//! ```text
//!  paths -> [decoder]*n --- Pixels (bounded) ---> [lane]*m --- Done (bounded) ---> collector
//!              \----------- Done: cached, skipped ----------------------------------/
//! ```
//!
//! A lane owns a session. On the CPU there are as many lanes as cores, each with one ONNX Runtime thread: a session of
//! one thread loses nothing to synchronisation, and the core permits of [`super::permits`] let a lane and the decoders
//! share the cores without ever having more running threads than cores. A large backbone gets a single lane with all
//! cores, so that its weights are in memory once.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::permits::Permits;
use super::{SharedCache, WorkflowError};
use crate::backbone::session::GraphSession;
use crate::backbone::{Backbone, BackboneError};
use crate::dataset::SkipReason;
use crate::image::decode::{self, DecodeError, DecodeLimits};
use crate::image::preprocess::{Preprocessor, Scratch};
use crate::progress::Reporter;
use crate::store::cache::{ContentHash, FileStamp, SpaceId};

/// How to embed. The result does not depend on any of it.
#[derive(Clone, Debug)]
pub struct EmbedConfig {
    /// Images a run of the backbone.
    pub batch_size: usize,
    /// Cores to use.
    pub n_threads: usize,
    /// What is refused before decoding.
    pub limits: DecodeLimits,
    /// Longer files are skipped.
    pub max_file_bytes: u64,
}

impl Default for EmbedConfig {
    fn default() -> Self {
        let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { batch_size: 8, n_threads, limits: DecodeLimits::default(), max_file_bytes: 512 << 20 }
    }
}

/// What became of one path.
pub(super) struct Done {
    /// Index of the path.
    pub idx: usize,
    /// Hash of its bytes, once read.
    pub hash: Option<ContentHash>,
    /// The file's stamp, when its hash is worth remembering.
    pub stamp: Option<FileStamp>,
    /// Its features.
    pub result: Result<Vector, SkipReason>,
}

/// Features of one image.
pub(super) struct Vector {
    /// `dim` values.
    pub values: Vec<f32>,
    /// Whether they came from the cache.
    pub cached: bool,
}

struct Pixels {
    idx: usize,
    hash: ContentHash,
    stamp: Option<FileStamp>,
    tensor: Vec<f32>,
}

/// Everything that the threads share.
pub(super) struct Pipeline<'a> {
    pub backbone: &'a Backbone,
    pub preprocessor: Preprocessor,
    pub paths: &'a [PathBuf],
    pub cache: &'a SharedCache,
    pub space: Option<SpaceId>,
    pub config: &'a EmbedConfig,
    pub reporter: &'a dyn Reporter,
}

/// How the cores are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    n_decoders: usize,
    n_lanes: usize,
    n_threads_per_lane: usize,
    batch_size: usize,
}

/// Memory for pictures being decoded, together. One that needs more waits until it is alone.
const DECODE_BUDGET_MB: usize = 256;

/// What a decoder waits for.
#[derive(Clone, Copy)]
struct Room<'a> {
    cores: &'a Permits,
    memory: &'a Permits,
}

/// Megabytes that decoding a file takes, about: its pixels and a copy. At least 1, at most the whole budget.
fn decoded_mb(bytes: &[u8]) -> usize {
    let (width, height) = decode::probe_size(bytes).unwrap_or((1, 1));
    let mb = (2 * 3 * u64::from(width) * u64::from(height)) >> 20;
    usize::try_from(mb).unwrap_or(usize::MAX).clamp(1, DECODE_BUDGET_MB)
}

/// Backbones above this size get one lane with all cores instead of a session a core.
const ONE_LANE_ABOVE_BYTES: u64 = 200 << 20;

impl Pipeline<'_> {
    /// Runs everything; `collect` sees each path once, in no particular order, on the caller's thread.
    pub(super) fn run(&self, mut collect: impl FnMut(Done) -> Result<(), WorkflowError>) -> Result<(), WorkflowError> {
        let n_cores = self.config.n_threads.max(1);
        let plan = self.plan(n_cores);
        let permits = Permits::new(n_cores);
        let memory = Permits::new(DECODE_BUDGET_MB);
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let model: Mutex<Option<Arc<Vec<u8>>>> = Mutex::new(None);
        let failure: Mutex<Option<BackboneError>> = Mutex::new(None);
        // Two batches a lane: one being computed, one being filled.
        let (pixels_tx, pixels_rx) = bounded::<Pixels>(2 * plan.batch_size * plan.n_lanes);
        let (done_tx, done_rx) = bounded::<Done>(256);

        let stopped = || stop.load(Ordering::Relaxed) || self.reporter.cancelled();
        let collected = std::thread::scope(|scope| {
            // A thread that cannot be started ends the work: the others see the stop, and the channels close below.
            let mut result = Ok(());
            let mut started = |thread: std::io::Result<()>| {
                if let (Err(source), true) = (thread, result.is_ok()) {
                    stop.store(true, Ordering::Relaxed);
                    result = Err(WorkflowError::Thread { source });
                }
            };
            for i in 0..plan.n_decoders {
                let (pixels_tx, done_tx) = (pixels_tx.clone(), done_tx.clone());
                let (room, next, stopped) = (Room { cores: &permits, memory: &memory }, &next, &stopped);
                let work = move || self.decoder(next, room, stopped, &pixels_tx, &done_tx);
                started(spawn(scope, format!("decode-{i}"), work));
            }
            for i in 0..plan.n_lanes {
                let (pixels_rx, done_tx) = (pixels_rx.clone(), done_tx.clone());
                let (permits, model, failure, stop) = (&permits, &model, &failure, &stop);
                let work = move || {
                    if let Err(error) = self.lane(plan, permits, model, &pixels_rx, &done_tx) {
                        stop.store(true, Ordering::Relaxed);
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        // Decoders may be waiting for room in the channel: make room until they have seen the stop.
                        while pixels_rx.recv().is_ok() {}
                    }
                };
                started(spawn(scope, format!("engine-{i}"), work));
            }
            drop((pixels_tx, pixels_rx, done_tx));
            for done in done_rx {
                // After a failure the rest is drained, so that no thread waits for room.
                if result.is_ok() {
                    result = collect(done);
                    if result.is_err() {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            }
            result
        });
        if self.reporter.cancelled() {
            return Err(WorkflowError::Cancelled);
        }
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error.into());
        }
        collected
    }

    fn plan(&self, n_cores: usize) -> Plan {
        let one_lane = self.backbone.manifest.size_bytes > ONE_LANE_ABOVE_BYTES;
        let (n_lanes, n_threads_per_lane) = if one_lane { (1, n_cores) } else { (n_cores, 1) };
        let batch_size = self.backbone.fixed_batch().unwrap_or(self.config.batch_size).max(1);
        Plan { n_decoders: n_cores, n_lanes, n_threads_per_lane, batch_size }
    }

    fn decoder(
        &self,
        next: &AtomicUsize,
        room: Room<'_>,
        stopped: &dyn Fn() -> bool,
        pixels: &Sender<Pixels>,
        done: &Sender<Done>,
    ) {
        let mut scratch = Scratch::default();
        let mut cached = vec![0.0; self.backbone.space.dim];
        while !stopped() {
            let idx = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = self.paths.get(idx) else { return };
            let sent = match self.one_image(path, room, stopped, &mut scratch, &mut cached) {
                Step::Cached { hash, stamp } => {
                    let result = Ok(Vector { values: cached.clone(), cached: true });
                    done.send(Done { idx, hash: Some(hash), stamp, result }).is_ok()
                }
                Step::Pixels { hash, stamp, tensor } => pixels.send(Pixels { idx, hash, stamp, tensor }).is_ok(),
                Step::Skip { hash, reason } => done.send(Done { idx, hash, stamp: None, result: Err(reason) }).is_ok(),
                Step::Stopped => false,
            };
            if !sent {
                return;
            }
        }
    }

    /// From a path to pixels, unless the cache already has its features.
    fn one_image(
        &self,
        path: &Path,
        room: Room<'_>,
        stopped: &dyn Fn() -> bool,
        scratch: &mut Scratch,
        cached: &mut [f32],
    ) -> Step {
        let skip = |reason| Step::Skip { hash: None, reason };
        let unreadable = |e: std::io::Error| skip(SkipReason::Unreadable { message: e.to_string() });
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => return unreadable(error),
        };
        // Opening a named pipe would wait for a writer.
        if !metadata.is_file() {
            return skip(SkipReason::NotAFile);
        }
        let stamp = FileStamp::of(&metadata);
        if let Some(stamp) = &stamp
            && let Some(hash) = self.remembered_hash(path, stamp)
            && self.load_cached(&hash, cached)
        {
            return Step::Cached { hash, stamp: None };
        }
        let limit = self.config.max_file_bytes;
        if metadata.len() > limit {
            return skip(SkipReason::FileTooLarge { size_mb: metadata.len() >> 20, limit_mb: limit >> 20 });
        }
        let bytes = match read_at_most(path, limit) {
            Ok(bytes) => bytes,
            Err(error) => return unreadable(error),
        };
        let hash = *blake3::hash(&bytes).as_bytes();
        if self.load_cached(&hash, cached) {
            return Step::Cached { hash, stamp };
        }
        // Memory before a core: who holds a core never waits for memory.
        let _memory = room.memory.take(decoded_mb(&bytes));
        let _core = room.cores.take(1);
        let image = match decode::decode(&bytes, &self.config.limits) {
            Ok(image) => image,
            Err(error) => return Step::Skip { hash: Some(hash), reason: skip_reason(error) },
        };
        drop(bytes);
        if stopped() {
            return Step::Stopped;
        }
        let mut tensor = vec![0.0; self.preprocessor.tensor_len()];
        match self.preprocessor.apply(&image, scratch, &mut tensor) {
            Ok(()) => Step::Pixels { hash, stamp, tensor },
            Err(error) => {
                Step::Skip { hash: Some(hash), reason: SkipReason::Unsupported { message: error.to_string() } }
            }
        }
    }

    fn remembered_hash(&self, path: &Path, stamp: &FileStamp) -> Option<ContentHash> {
        let cache = self.cache.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        cache.file_hash(path, stamp).unwrap_or_else(|error| {
            tracing::warn!(%error, "the cache could not be read");
            None
        })
    }

    fn load_cached(&self, hash: &ContentHash, out: &mut [f32]) -> bool {
        let (Some(cache), Some(space)) = (self.cache, self.space) else { return false };
        let found = cache.lock().unwrap_or_else(PoisonError::into_inner).get(space, hash, out);
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "the cache could not be read");
            false
        })
    }

    fn lane(
        &self,
        plan: Plan,
        permits: &Permits,
        model: &Mutex<Option<Arc<Vec<u8>>>>,
        pixels: &Receiver<Pixels>,
        done: &Sender<Done>,
    ) -> Result<(), BackboneError> {
        // The session is only made when an image misses the cache.
        let Ok(first) = pixels.recv() else { return Ok(()) };
        let mut session = {
            let bytes = {
                let mut model = model.lock().unwrap_or_else(PoisonError::into_inner);
                match &*model {
                    Some(bytes) => Arc::clone(bytes),
                    None => Arc::clone(model.insert(Arc::new(self.backbone.feature_model()?))),
                }
            };
            GraphSession::load(&bytes, plan.n_threads_per_lane)?
        };
        let _end = session.end_on_cancel(self.reporter.cancel_token());
        let mut batch = vec![first];
        loop {
            while batch.len() < plan.batch_size {
                match pixels.recv() {
                    Ok(next) => batch.push(next),
                    Err(_) => break,
                }
            }
            if batch.is_empty() || self.reporter.cancelled() {
                return Ok(());
            }
            let features = {
                let _cores = permits.take(plan.n_threads_per_lane);
                self.infer(&mut session, &batch)
            };
            let features = match features {
                Ok(features) => features,
                // A run that was ended on purpose is no failure.
                Err(_) if self.reporter.cancelled() => return Ok(()),
                Err(error) => return Err(error),
            };
            for (pixels, values) in batch.drain(..).zip(features.chunks_exact(self.backbone.space.dim)) {
                let result = if values.iter().all(|v| v.is_finite()) {
                    Ok(Vector { values: values.to_vec(), cached: false })
                } else {
                    Err(SkipReason::NotFinite)
                };
                let Pixels { idx, hash, stamp, .. } = pixels;
                if done.send(Done { idx, hash: Some(hash), stamp, result }).is_err() {
                    return Ok(());
                }
            }
        }
    }

    /// Features of a batch, row after row.
    fn infer(&self, session: &mut GraphSession, batch: &[Pixels]) -> Result<Vec<f32>, BackboneError> {
        let dims = self.backbone.input_dims(batch.len());
        let mut values = Vec::with_capacity(batch.len() * self.preprocessor.tensor_len());
        for pixels in batch {
            values.extend_from_slice(&pixels.tensor);
        }
        self.backbone.run_features(session, &dims, values, batch.len())
    }
}

enum Step {
    Cached { hash: ContentHash, stamp: Option<FileStamp> },
    Pixels { hash: ContentHash, stamp: Option<FileStamp>, tensor: Vec<f32> },
    Skip { hash: Option<ContentHash>, reason: SkipReason },
    Stopped,
}

fn spawn<'scope, 'env>(
    scope: &'scope std::thread::Scope<'scope, 'env>,
    name: String,
    work: impl FnOnce() + Send + 'scope,
) -> std::io::Result<()> {
    std::thread::Builder::new().name(name).spawn_scoped(scope, work).map(|_| ())
}

/// Reads a file that may still be growing, or be a device: never more than `limit` bytes.
fn read_at_most(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn skip_reason(error: DecodeError) -> SkipReason {
    match error {
        DecodeError::NotAnImage => SkipReason::NotAnImage,
        DecodeError::Empty => SkipReason::Empty,
        DecodeError::Truncated => SkipReason::Truncated,
        DecodeError::TooLarge { width_px, height_px, max_pixels } => {
            SkipReason::TooLarge { width_px, height_px, limit_mpx: max_pixels / 1_000_000 }
        }
        DecodeError::Unsupported { .. } => SkipReason::Unsupported { message: error.to_string() },
        DecodeError::Corrupt { .. } => SkipReason::Corrupt { message: error.to_string() },
    }
}
