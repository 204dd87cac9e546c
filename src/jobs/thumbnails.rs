//! Small pictures for the gallery and one large one, made on threads of their own.
//!
//! The screen says again and again what it wants now, most wanted first; that list takes the place of the one before, so
//! that what was scrolled past is never worked on. The large picture has a lane of its own and does not wait for small
//! ones; there the latest request wins.
//!
//! ```text
//!  request  -> wanted (replaced) -> [thumbs-i]*n  -> results (bounded) -> next_result
//!  large    -> wanted (one)      -> [large-view]  -> result (one)      -> large_result
//! ```
//!
//! Results wait, at most [`MAX_RESULTS`] of them, until the screen takes them; then workers go on.

mod load;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::dataset::SkipReason;
use crate::image::Rgb8Image;
use crate::image::decode::DecodeLimits;
use crate::store::thumbnails::DEFAULT_LIMIT_BYTES;
use crate::workflow::permits::Permits;
use crate::workflow::source::{DECODE_BUDGET_MB, MAX_FILE_BYTES};
use load::Loader;

/// Longest side of a thumbnail in pixels. Pictures that are no longer stay as they are.
pub const THUMB_PX: u32 = 256;
/// Results that wait for the screen before the workers do.
pub const MAX_RESULTS: usize = 64;
/// How long the end waits for pictures being decoded; after that the threads end by themselves.
const FAREWELL: Duration = Duration::from_millis(250);

/// Tells the screen that there is something to take.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How thumbnails are made.
#[derive(Clone, Debug)]
pub struct ThumbnailsConfig {
    /// Threads for small pictures.
    pub n_workers: usize,
    /// Folder of the thumbnail cache; `None` works without one.
    pub cache_dir: Option<PathBuf>,
    /// Bytes that the cache may take.
    pub cache_limit_bytes: u64,
    /// What is refused before decoding; as embedding does.
    pub limits: DecodeLimits,
    /// Longer files are refused.
    pub max_file_bytes: u64,
}

impl Default for ThumbnailsConfig {
    fn default() -> Self {
        let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            // Half of the cores at most: embedding has the others.
            n_workers: (n_cores / 2).clamp(1, 2),
            cache_dir: crate::store::dirs::cache_dir(),
            cache_limit_bytes: DEFAULT_LIMIT_BYTES,
            limits: DecodeLimits::default(),
            max_file_bytes: MAX_FILE_BYTES,
        }
    }
}

/// An image whose thumbnail is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThumbRequest {
    /// What the screen knows the image by.
    pub key: u64,
    /// Its file.
    pub path: Arc<Path>,
    /// Length of the longest side in pixels that is enough; the result may be up to twice as long, and never longer than
    /// [`THUMB_PX`].
    pub side_px: u32,
}

/// A picture made smaller, upright.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumb {
    /// The pixels, no longer than what was asked for.
    pub image: Rgb8Image,
    /// Width of the whole picture in pixels, upright.
    pub full_width_px: u32,
    /// Height of the whole picture in pixels, upright.
    pub full_height_px: u32,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThumbResult {
    /// The key of the request.
    pub key: u64,
    /// The side of the request, in pixels.
    pub side_px: u32,
    /// The picture, or why there is none.
    pub outcome: Result<Thumb, SkipReason>,
}

/// A large picture that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LargeRequest {
    key: u64,
    path: Arc<Path>,
    max_side_px: u32,
}

/// The threads that make thumbnails. Dropping it ends them, after the pictures they are working on.
pub struct Thumbnails {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Disconnected when the last thread has ended.
    alive: Receiver<()>,
}

impl Thumbnails {
    /// Starts the threads. `wake` is called, on any thread, when results can be taken after there were none; it must be
    /// quick. Whoever leaves results for later need not wait for another call.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(config: ThumbnailsConfig, wake: Wake) -> std::io::Result<Self> {
        Self::start_with(config, wake, |_| {})
    }

    /// `before_load` is called by a worker before it works on a file.
    fn start_with(
        config: ThumbnailsConfig,
        wake: Wake,
        before_load: impl Fn(&Path) + Send + Sync + Clone + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), work: Condvar::new(), large: Condvar::new(), wake });
        let (alive_tx, alive) = bounded(0);
        // Made before the threads, so that those that did start are ended when another does not.
        let mut this = Self { shared: Arc::clone(&shared), threads: Vec::new(), alive };
        let memory = Arc::new(Permits::new(DECODE_BUDGET_MB));
        for i in 0..config.n_workers.max(1) {
            let (shared, memory, config) = (Arc::clone(&shared), Arc::clone(&memory), config.clone());
            let before_load = before_load.clone();
            this.spawn(format!("thumbs-{i}"), &alive_tx, move || {
                shared.work_on_thumbs(|| Loader::new(&config, Arc::clone(&memory)), &before_load);
            })?;
        }
        this.spawn("large-view".to_owned(), &alive_tx, move || {
            // The one large picture does not wait for the memory that small ones use.
            let memory = Arc::new(Permits::new(DECODE_BUDGET_MB));
            let config = ThumbnailsConfig { cache_dir: None, ..config };
            shared.work_on_large(|| Loader::new(&config, Arc::clone(&memory)), &before_load);
        })?;
        Ok(this)
    }

    fn spawn(&mut self, name: String, alive: &Sender<()>, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let alive = alive.clone();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            work();
            drop(alive);
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Says what is wanted now, most wanted first, in place of what was wanted before. What is being worked on, or waits
    /// to be taken, is not made again.
    pub fn request(&self, wanted: &[ThumbRequest]) {
        let mut state = self.shared.lock();
        let State { wanted: queue, in_work, results, .. } = &mut *state;
        queue.clear();
        let is_new = |r: &&ThumbRequest| {
            !in_work.iter().any(|work| work.key == r.key) && !results.iter().any(|done| done.key == r.key)
        };
        queue.extend(wanted.iter().filter(is_new).cloned());
        if !queue.is_empty() {
            self.shared.work.notify_all();
        }
    }

    /// A finished thumbnail, in the order in which they were finished.
    pub fn next_result(&self) -> Option<ThumbResult> {
        let mut state = self.shared.lock();
        if state.results.len() >= MAX_RESULTS {
            self.shared.work.notify_all();
        }
        state.results.pop_front()
    }

    /// Drops what is known of an image, and what a worker is finding out.
    pub fn forget(&self, key: u64) {
        let mut state = self.shared.lock();
        state.wanted.retain(|request| request.key != key);
        state.in_work.retain(|work| work.key != key);
        state.results.retain(|result| result.key != key);
        self.shared.work.notify_all();
    }

    /// As [`Self::forget`], for all images, and for the large picture.
    pub fn forget_all(&self) {
        let mut state = self.shared.lock();
        state.wanted.clear();
        state.in_work.clear();
        state.results.clear();
        state.set_large(None);
        self.shared.work.notify_all();
    }

    /// Thumbnails that wait for [`Self::next_result`].
    pub fn n_results(&self) -> usize {
        self.shared.lock().results.len()
    }

    /// Asks for a picture of at most `max_side_px` pixels a side, in place of the one asked for before, whose result will
    /// not come any more.
    pub fn request_large(&self, key: u64, path: Arc<Path>, max_side_px: u32) {
        self.shared.lock().set_large(Some(LargeRequest { key, path, max_side_px: max_side_px.max(1) }));
        self.shared.large.notify_all();
    }

    /// Takes the wish for a large picture back.
    pub fn cancel_large(&self) {
        self.shared.lock().set_large(None);
    }

    /// The large picture asked for last, once.
    pub fn large_result(&self) -> Option<ThumbResult> {
        self.shared.lock().large_result.take()
    }
}

impl Drop for Thumbnails {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.work.notify_all();
        self.shared.large.notify_all();
        // Nothing is ever sent: this waits until the last thread lets go.
        let all_ended = self.alive.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Disconnected);
        for thread in self.threads.drain(..) {
            // One that decodes a huge picture keeps nobody waiting; it ends by itself.
            if (all_ended || thread.is_finished()) && thread.join().is_err() {
                tracing::error!("a thumbnail thread ended in a panic");
            }
        }
    }
}

struct Shared {
    state: Mutex<State>,
    /// Something to do for the workers, or the end.
    work: Condvar,
    /// The same for the large picture.
    large: Condvar,
    wake: Wake,
}

#[derive(Default)]
struct State {
    stop: bool,
    wanted: VecDeque<ThumbRequest>,
    in_work: Vec<Work>,
    n_taken: u64,
    results: VecDeque<ThumbResult>,
    large_wanted: Option<LargeRequest>,
    /// Counts wishes, so that the result of an earlier one is known as such.
    large_revision: u64,
    large_result: Option<ThumbResult>,
}

/// What a worker is at. Once it is no longer listed, nobody wants what comes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Work {
    key: u64,
    /// Tells it from earlier work on the same image.
    number: u64,
}

impl State {
    fn set_large(&mut self, request: Option<LargeRequest>) {
        self.large_revision += 1;
        self.large_result = None;
        self.large_wanted = request;
    }

    /// Nothing to do, or no room for what would come of it.
    fn is_idle(&self) -> bool {
        self.wanted.is_empty() || self.results.len() >= MAX_RESULTS
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next worker is to do; waits after `on_idle`. `None` at the end.
    fn next_wanted(&self, on_idle: impl FnOnce()) -> Option<(ThumbRequest, Work)> {
        let mut state = self.lock();
        if state.is_idle() && !state.stop {
            drop(state);
            on_idle();
            state = self.lock();
        }
        while state.is_idle() && !state.stop {
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stop {
            return None;
        }
        let request = state.wanted.pop_front()?;
        state.n_taken += 1;
        let work = Work { key: request.key, number: state.n_taken };
        state.in_work.push(work);
        Some((request, work))
    }

    fn work_on_thumbs(&self, new_loader: impl Fn() -> Loader, before_load: &impl Fn(&Path)) {
        let mut loader = new_loader();
        while let Some((ThumbRequest { key, path, side_px }, work)) = self.next_wanted(|| loader.flush()) {
            let outcome = survive(&mut loader, &new_loader, |loader| {
                before_load(&path);
                loader.thumb(&path, side_px)
            });
            let mut state = self.lock();
            let Some(at) = state.in_work.iter().position(|w| *w == work) else { continue };
            state.in_work.swap_remove(at);
            state.results.push_back(ThumbResult { key, side_px, outcome });
            let is_first = state.results.len() == 1;
            drop(state);
            if is_first {
                (self.wake)();
            }
        }
    }

    fn work_on_large(&self, new_loader: impl Fn() -> Loader, before_load: &impl Fn(&Path)) {
        let mut loader = new_loader();
        loop {
            let mut state = self.lock();
            let LargeRequest { key, path, max_side_px } = loop {
                if state.stop {
                    return;
                }
                match state.large_wanted.take() {
                    Some(request) => break request,
                    None => state = self.large.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            let revision = state.large_revision;
            drop(state);
            let outcome = survive(&mut loader, &new_loader, |loader| {
                before_load(&path);
                loader.large(&path, max_side_px)
            });
            let mut state = self.lock();
            if state.large_revision == revision {
                state.large_result = Some(ThumbResult { key, side_px: max_side_px, outcome });
                drop(state);
                (self.wake)();
            }
        }
    }
}

/// Does `work`; should it panic, that is its outcome, and the loader, whose state nobody knows then, is made anew.
fn survive(
    loader: &mut Loader,
    new_loader: &impl Fn() -> Loader,
    work: impl FnOnce(&mut Loader) -> Result<Thumb, SkipReason>,
) -> Result<Thumb, SkipReason> {
    catch_unwind(AssertUnwindSafe(|| work(loader))).unwrap_or_else(|_| {
        *loader = new_loader();
        Err(SkipReason::Corrupt { message: "the decoder gave up".to_owned() })
    })
}

#[cfg(test)]
mod tests;
