//! From paths to features on all cores; the caller's thread collects.
//!
//! On the CPU every core gets a worker with a session of one ONNX Runtime thread: it decodes a small batch and runs it
//! itself. Nothing waits for anything, the pixels are still in the core's cache, and there are never more running
//! threads than cores. (Measured against decoders that feed sessions through a channel, which is what one would write:
//! 8 to 13 % more images a second, since no thread is woken, moved or kept waiting between the two.)
//!
//! A session a core would hold a large backbone's weights once a core. Such a backbone gets a single lane with all cores,
//! which decoders feed through a bounded channel; the core permits of [`super::permits`] make them take turns. So does
//! one that runs on a graphics card, in larger batches, and leaves the cores but one to the decoders:
//!
//! ```text
//!  small:       paths -> [worker: decode, infer]*n --------------------------- Done (bounded) ---> collector
//!  large, GPU:  paths -> [decoder]*n --- Pixels (bounded) ---> [lane] -------- Done (bounded) ---> collector
//! ```

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Scope;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::embed::BATCH_EVERY;
use super::permits::Permits;
use super::providers;
use super::source::{self, DECODE_BUDGET_MB, decoded_mb, skip_reason};
use super::{SharedCache, WorkflowError};
use crate::backbone::provider::Provider;
use crate::backbone::session::GraphSession;
use crate::backbone::{Backbone, BackboneError};
use crate::dataset::SkipReason;
use crate::image::decode::{self, DecodeLimits};
use crate::image::preprocess::{Preprocessor, Scratch};
use crate::progress::{CancelGuard, Reporter};
use crate::store::cache::{ContentHash, FileStamp, PartSpaces};

/// How to embed. The result does not depend on any of it, but for the last digits that another provider rounds
/// differently.
#[derive(Clone, Debug)]
pub struct EmbedConfig {
    /// What the backbone runs on.
    pub provider: Provider,
    /// Images a run of the backbone on the CPU.
    pub batch_size: usize,
    /// Images a run of the backbone on any other provider.
    pub gpu_batch_size: usize,
    /// Cores to use.
    pub n_threads: usize,
    /// What is refused before decoding.
    pub limits: DecodeLimits,
    /// Longer files are skipped.
    pub max_file_bytes: u64,
    /// Backbones above this size get one lane with all cores instead of a session a core.
    pub one_lane_above_bytes: u64,
}

impl Default for EmbedConfig {
    fn default() -> Self {
        let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
        // On the CPU small batches stay in the caches: a lane runs the starter model 13 % faster with 2 images than with 8.
        Self {
            provider: Provider::Auto,
            batch_size: 2,
            gpu_batch_size: 32,
            n_threads,
            limits: DecodeLimits::default(),
            max_file_bytes: source::MAX_FILE_BYTES,
            one_lane_above_bytes: 200 << 20,
        }
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
    pub values: Box<[f32]>,
    /// Whether they came from the cache.
    pub cached: bool,
}

/// What the collector sees.
pub(super) enum Event {
    /// A path is done.
    Done(Done),
    /// Nothing was done for a while.
    Tick,
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
    pub space: Option<PartSpaces>,
    pub config: &'a EmbedConfig,
    pub reporter: &'a dyn Reporter,
}

/// State that the threads of one run share.
struct Shared {
    /// What the backbone runs on (never [`Provider::Auto`]), found when the first image misses the cache: ONNX Runtime
    /// takes its time to load.
    provider: OnceLock<Provider>,
    /// The backbone as that provider runs it best.
    running: OnceLock<Backbone>,
    next: AtomicUsize,
    stop: AtomicBool,
    cores: Permits,
    memory: Permits,
    /// The feature graph's bytes, made when the first image misses the cache.
    model: Mutex<Option<Arc<Vec<u8>>>>,
    failure: Mutex<Option<BackboneError>>,
    /// Held while the provider is found out.
    settling: Mutex<()>,
}

impl Shared {
    fn fail(&self, error: BackboneError) {
        self.stop.store(true, Ordering::Relaxed);
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

impl Pipeline<'_> {
    /// Runs everything; `collect` sees each path once, in no particular order, on the caller's thread, and a tick where
    /// nothing happens. Returns what the backbone ran on, where it ran at all.
    pub(super) fn run(&self, mut collect: impl FnMut(Event)) -> Result<Option<Provider>, WorkflowError> {
        let n_cores = self.config.n_threads.max(1);
        let shared = Shared {
            provider: OnceLock::new(),
            running: OnceLock::new(),
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            cores: Permits::new(n_cores),
            memory: Permits::new(DECODE_BUDGET_MB),
            model: Mutex::new(None),
            failure: Mutex::new(None),
            settling: Mutex::new(()),
        };
        let (done_tx, done_rx) = bounded::<Done>(256);
        let spawned = std::thread::scope(|scope| {
            let spawned = self.spawn_all(scope, &shared, n_cores, &done_tx);
            // A thread that cannot be started ends the work: the others see the stop.
            if spawned.is_err() {
                shared.stop.store(true, Ordering::Relaxed);
            }
            drop(done_tx);
            loop {
                match done_rx.recv_timeout(BATCH_EVERY) {
                    Ok(done) => collect(Event::Done(done)),
                    Err(RecvTimeoutError::Timeout) => collect(Event::Tick),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            spawned
        });
        if self.reporter.cancelled() {
            return Err(WorkflowError::Cancelled);
        }
        if let Some(error) = shared.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error.into());
        }
        let ran_on = shared.provider.get().copied();
        spawned.map(|()| ran_on).map_err(|source| WorkflowError::Thread { source })
    }

    /// A thread a core that decodes, and one for the lane, which may turn out to have nothing to do.
    fn spawn_all<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        shared: &'env Shared,
        n_cores: usize,
        done: &Sender<Done>,
    ) -> std::io::Result<()> {
        let largest_batch = self.batch_size(Provider::Cpu).max(self.batch_size(Provider::Auto));
        // Two batches: one being computed, one being filled.
        let (pixels_tx, pixels_rx) = bounded::<Pixels>(2 * largest_batch);
        let lane_done = done.clone();
        spawn(scope, "engine".to_owned(), move || {
            if let Err(error) = self.lane(shared, n_cores, &pixels_rx, &lane_done) {
                shared.fail(error);
            }
            // Decoders may be waiting for room in the channel: make room until they have seen the stop.
            while pixels_rx.recv().is_ok() {}
        })?;
        for i in 0..n_cores {
            let (pixels_tx, done) = (pixels_tx.clone(), done.clone());
            spawn(scope, format!("decode-{i}"), move || {
                if let Err(error) = self.decoder(shared, pixels_tx, &done) {
                    shared.fail(error);
                }
            })?;
        }
        Ok(())
    }

    /// What the backbone runs on: what was asked for, once it has shown that it gives the CPU's features.
    fn provider(&self, shared: &Shared) -> Result<Provider, BackboneError> {
        // One thread finds out; the others wait for it.
        let _settling = shared.settling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(provider) = shared.provider.get() {
            return Ok(*provider);
        }
        let provider = providers::settle(self.backbone, self.config.provider, self.reporter)?;
        Ok(*shared.provider.get_or_init(|| provider))
    }

    /// The backbone as `provider` runs it best.
    fn running<'s>(&'s self, shared: &'s Shared, provider: Provider) -> &'s Backbone {
        if !provider.likes_fixed_shapes() || self.backbone.fixed_batch().is_some() {
            return self.backbone;
        }
        shared.running.get_or_init(|| self.backbone.fixed_to(self.batch_size(provider)))
    }

    fn has_lane(&self, provider: Provider) -> bool {
        provider != Provider::Cpu || self.backbone.manifest.size_bytes > self.config.one_lane_above_bytes
    }

    fn batch_size(&self, provider: Provider) -> usize {
        let wanted = if provider == Provider::Cpu { self.config.batch_size } else { self.config.gpu_batch_size };
        let wanted = if self.backbone.is_batch_dependent() { 1 } else { wanted };
        self.backbone.fixed_batch().unwrap_or(wanted).max(1)
    }

    fn stopped(&self, shared: &Shared) -> bool {
        shared.stop.load(Ordering::Relaxed) || self.reporter.cancelled()
    }

    /// Decodes: for the lane if there is one, else to run it itself.
    fn decoder(&self, shared: &Shared, pixels: Sender<Pixels>, done: &Sender<Done>) -> Result<(), BackboneError> {
        let mut desk = Desk::new(self.backbone.space.dim);
        let Some(first) = self.next_pixels(shared, Some(&shared.cores), &mut desk, done) else { return Ok(()) };
        if !self.has_lane(self.provider(shared)?) {
            drop(pixels);
            return self.worker(shared, first, &mut desk, done);
        }
        let mut next = Some(first);
        while let Some(image) = next {
            if pixels.send(image).is_err() {
                break;
            }
            next = self.next_pixels(shared, Some(&shared.cores), &mut desk, done);
        }
        Ok(())
    }

    /// Decodes batches and runs them, on one core.
    fn worker(
        &self,
        shared: &Shared,
        first: Pixels,
        desk: &mut Desk,
        done: &Sender<Done>,
    ) -> Result<(), BackboneError> {
        let (mut session, _end) = self.session(shared, 1)?;
        let mut batch = vec![first];
        loop {
            while batch.len() < self.batch_size(Provider::Cpu) {
                match self.next_pixels(shared, None, desk, done) {
                    Some(pixels) => batch.push(pixels),
                    None => break,
                }
            }
            if batch.is_empty() || self.stopped(shared) {
                return Ok(());
            }
            let features = self.infer(shared, &mut session, &batch);
            if !self.answer(features, &mut batch, done)? {
                return Ok(());
            }
        }
    }

    /// Runs what decoders send, on all cores.
    fn lane(
        &self,
        shared: &Shared,
        n_cores: usize,
        pixels: &Receiver<Pixels>,
        done: &Sender<Done>,
    ) -> Result<(), BackboneError> {
        // The session is only made when an image misses the cache.
        let Ok(first) = pixels.recv() else { return Ok(()) };
        let (mut session, _end) = self.session(shared, n_cores)?;
        // A graphics card needs one core to be fed; where it failed, the CPU runs the lane.
        let n_permits = if session.provider() == Provider::Cpu { n_cores } else { 1 };
        let batch_size = self.batch_size(session.provider());
        let mut batch = vec![first];
        loop {
            while batch.len() < batch_size {
                match pixels.recv() {
                    Ok(next) => batch.push(next),
                    Err(_) => break,
                }
            }
            if batch.is_empty() || self.stopped(shared) {
                return Ok(());
            }
            let features = {
                let _cores = shared.cores.take(n_permits);
                self.infer(shared, &mut session, &batch)
            };
            if !self.answer(features, &mut batch, done)? {
                return Ok(());
            }
        }
    }

    fn session(&self, shared: &Shared, n_threads: usize) -> Result<(GraphSession, CancelGuard), BackboneError> {
        let provider = self.provider(shared)?;
        let bytes = {
            let mut model = shared.model.lock().unwrap_or_else(PoisonError::into_inner);
            match &*model {
                Some(bytes) => Arc::clone(bytes),
                None => Arc::clone(model.insert(Arc::new(self.running(shared, provider).feature_model()?))),
            }
        };
        let session = GraphSession::load(&bytes, n_threads, provider)?;
        let end = session.end_on_cancel(self.reporter.cancel_token());
        Ok((session, end))
    }

    /// The pixels of the next image that the cache does not know; what is known or unusable goes to the collector.
    /// `None` when there is none left, or the work is to stop.
    fn next_pixels(
        &self,
        shared: &Shared,
        cores: Option<&Permits>,
        desk: &mut Desk,
        done: &Sender<Done>,
    ) -> Option<Pixels> {
        while !self.stopped(shared) {
            let idx = shared.next.fetch_add(1, Ordering::Relaxed);
            let path = self.paths.get(idx)?;
            let finished = match self.one_image(path, shared, cores, desk) {
                Step::Pixels { hash, stamp, tensor } => return Some(Pixels { idx, hash, stamp, tensor }),
                Step::Cached { hash, stamp } => {
                    let result = Ok(Vector { values: desk.cached.as_slice().into(), cached: true });
                    Done { idx, hash: Some(hash), stamp, result }
                }
                Step::Skip { hash, reason } => Done { idx, hash, stamp: None, result: Err(reason) },
                Step::Stopped => return None,
            };
            done.send(finished).ok()?;
        }
        None
    }

    /// Sends a batch's features; `false` when the work is over.
    fn answer(
        &self,
        features: Result<Vec<f32>, BackboneError>,
        batch: &mut Vec<Pixels>,
        done: &Sender<Done>,
    ) -> Result<bool, BackboneError> {
        let features = match features {
            Ok(features) => features,
            // A run that was ended on purpose is no failure.
            Err(_) if self.reporter.cancelled() => return Ok(false),
            Err(error) => return Err(error),
        };
        for (pixels, values) in batch.drain(..).zip(features.chunks_exact(self.backbone.space.dim)) {
            let result = if values.iter().all(|v| v.is_finite()) {
                Ok(Vector { values: values.into(), cached: false })
            } else {
                Err(SkipReason::NotFinite)
            };
            let Pixels { idx, hash, stamp, .. } = pixels;
            if done.send(Done { idx, hash: Some(hash), stamp, result }).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// From a path to pixels, unless the cache already has its features, which are on the desk then.
    fn one_image(&self, path: &Path, shared: &Shared, cores: Option<&Permits>, desk: &mut Desk) -> Step {
        let skip = |reason| Step::Skip { hash: None, reason };
        let metadata = match source::file_metadata(path) {
            Ok(metadata) => metadata,
            Err(reason) => return skip(reason),
        };
        let stamp = FileStamp::of(&metadata);
        if let Some(stamp) = &stamp
            && let Some(hash) = self.remembered_hash(path, stamp)
            && self.load_cached(&hash, &mut desk.cached)
        {
            return Step::Cached { hash, stamp: None };
        }
        let bytes = match source::read(path, &metadata, self.config.max_file_bytes) {
            Ok(bytes) => bytes,
            Err(reason) => return skip(reason),
        };
        let hash = *blake3::hash(&bytes).as_bytes();
        if self.load_cached(&hash, &mut desk.cached) {
            return Step::Cached { hash, stamp };
        }
        // Memory before a core: who holds a core never waits for memory.
        let _memory = shared.memory.take(decoded_mb(&bytes));
        let _core = cores.map(|cores| cores.take(1));
        let image = match decode::decode(&bytes, &self.config.limits) {
            Ok(image) => image,
            Err(error) => return Step::Skip { hash: Some(hash), reason: skip_reason(error) },
        };
        drop(bytes);
        if self.stopped(shared) {
            return Step::Stopped;
        }
        let mut tensor = vec![0.0; self.preprocessor.tensor_len()];
        match self.preprocessor.apply(&image, &mut desk.scratch, &mut tensor) {
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
        let (Some(cache), Some(space)) = (self.cache, &self.space) else { return false };
        let found = cache.lock().unwrap_or_else(PoisonError::into_inner).get_parts(space, hash, out);
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "the cache could not be read");
            false
        })
    }

    /// Features of a batch, row after row.
    fn infer(&self, shared: &Shared, session: &mut GraphSession, batch: &[Pixels]) -> Result<Vec<f32>, BackboneError> {
        let dims = self.backbone.input_dims(batch.len());
        let mut values = Vec::with_capacity(batch.len() * self.preprocessor.tensor_len());
        for pixels in batch {
            values.extend_from_slice(&pixels.tensor);
        }
        self.running(shared, session.provider()).run_features(session, &dims, values, batch.len())
    }
}

/// What a thread reuses from image to image.
struct Desk {
    scratch: Scratch,
    /// Features that came from the cache.
    cached: Vec<f32>,
}

impl Desk {
    fn new(dim: usize) -> Self {
        Self { scratch: Scratch::default(), cached: vec![0.0; dim] }
    }
}

enum Step {
    Cached { hash: ContentHash, stamp: Option<FileStamp> },
    Pixels { hash: ContentHash, stamp: Option<FileStamp>, tensor: Vec<f32> },
    Skip { hash: Option<ContentHash>, reason: SkipReason },
    Stopped,
}

fn spawn<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    name: String,
    work: impl FnOnce() + Send + 'scope,
) -> std::io::Result<()> {
    std::thread::Builder::new().name(name).spawn_scoped(scope, work).map(|_| ())
}
