#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crossbeam_channel::unbounded;
use libjpeg_turbo_rs::{PixelFormat, Subsampling};
use tempfile::TempDir;

use super::*;
use crate::store::cache::FileStamp;
use crate::store::thumbnails::{Thumbnail, ThumbnailCache, ThumbnailKey};

/// More than any machine needs; only a failure waits this long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Files that have been there for more than the seconds that a stamp needs.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/sample/building/arc_de_triomphe.jpg");
const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images/files/png_rgb_8.png");

fn jpeg(width_px: usize, height_px: usize) -> Vec<u8> {
    let pixels = vec![90; width_px * height_px * 3];
    libjpeg_turbo_rs::compress(&pixels, width_px, height_px, PixelFormat::Rgb, 90, Subsampling::S444).unwrap()
}

/// A folder with images, and threads that say when they have results.
struct World {
    dir: TempDir,
    thumbnails: Thumbnails,
    woken: Receiver<()>,
}

impl World {
    fn new(before_load: impl Fn(&Path) + Send + Sync + Clone + 'static) -> Self {
        Self::with_cache(None, before_load)
    }

    fn with_cache(cache_dir: Option<&Path>, before_load: impl Fn(&Path) + Send + Sync + Clone + 'static) -> Self {
        let config =
            ThumbnailsConfig { n_workers: 1, cache_dir: cache_dir.map(Path::to_owned), ..ThumbnailsConfig::default() };
        let (wake, woken) = unbounded();
        let wake = Arc::new(move || wake.send(()).unwrap_or_default());
        let thumbnails = Thumbnails::start_with(config, wake, before_load).unwrap();
        Self { dir: tempfile::tempdir().unwrap(), thumbnails, woken }
    }

    fn write(&self, key: u64, bytes: &[u8]) -> ThumbRequest {
        let path = self.dir.path().join(key.to_string());
        fs::write(&path, bytes).unwrap();
        ThumbRequest { key, path: path.into(), side_px: THUMB_PX }
    }

    /// Waits until `take` gives something.
    fn wait<T>(&self, take: impl Fn(&Thumbnails) -> Option<T>) -> T {
        loop {
            if let Some(value) = take(&self.thumbnails) {
                return value;
            }
            self.woken.recv_timeout(PATIENCE).unwrap();
        }
    }

    fn result(&self) -> ThumbResult {
        self.wait(Thumbnails::next_result)
    }
}

/// Stops workers at each file until it is told to let one go, and says which file they are at.
#[derive(Clone)]
struct Gate {
    at: (Sender<String>, Receiver<String>),
    go: (Sender<()>, Receiver<()>),
}

impl Gate {
    fn new() -> Self {
        Self { at: unbounded(), go: unbounded() }
    }

    fn hook(&self) -> impl Fn(&Path) + Send + Sync + Clone + 'static {
        let gate = self.clone();
        move |path: &Path| {
            gate.at.0.send(path.file_name().unwrap().to_string_lossy().into_owned()).unwrap();
            gate.go.1.recv_timeout(PATIENCE).unwrap();
        }
    }

    /// The file that a worker is at.
    fn at(&self) -> String {
        self.at.1.recv_timeout(PATIENCE).unwrap()
    }

    fn let_go(&self, n: usize) {
        for _ in 0..n {
            self.go.0.send(()).unwrap();
        }
    }
}

#[test]
fn thumbnails_are_small_and_say_how_large_the_picture_is() {
    let world = World::new(|_| {});
    let requests = [world.write(1, &jpeg(640, 480)), world.write(2, &jpeg(20, 300)), world.write(3, &jpeg(31, 17))];
    world.thumbnails.request(&requests);
    let sizes: Vec<_> = (0..3)
        .map(|_| {
            let ThumbResult { key, outcome, .. } = world.result();
            let thumb = outcome.unwrap();
            let size = (thumb.image.width_px(), thumb.image.height_px());
            (key, size, (thumb.full_width_px, thumb.full_height_px))
        })
        .collect();
    let expected = [(1, (256, 192), (640, 480)), (2, (17, 256), (20, 300)), (3, (31, 17), (31, 17))];
    assert_eq!(sizes, expected, "in the order of the request");
    assert_eq!(world.thumbnails.next_result(), None);
    assert_eq!(world.thumbnails.n_results(), 0);
}

#[test]
fn thumbnails_are_no_larger_than_they_need_be() {
    let world = World::new(|_| {});
    let request = world.write(1, &jpeg(640, 480));
    for (side_px, expected) in [(0, 1), (1, 1), (60, 64), (64, 64), (65, 128), (129, 256), (1000, 256)] {
        world.thumbnails.request(&[ThumbRequest { side_px, ..request.clone() }]);
        assert_eq!(world.result().outcome.unwrap().image.width_px(), expected, "{side_px}");
    }
}

#[test]
fn what_is_no_longer_wanted_is_never_worked_on() {
    let gate = Gate::new();
    let world = World::new(gate.hook());
    let [a, b, c, d] = [1, 2, 3, 4].map(|key| world.write(key, &jpeg(8, 8)));
    world.thumbnails.request(&[a.clone(), b.clone(), c]);
    assert_eq!(gate.at(), "1");
    // The first is being worked on and not made twice, the others are replaced.
    world.thumbnails.request(&[d, a.clone(), b]);
    gate.let_go(2);
    assert_eq!((world.result().key, world.result().key), (1, 4));
    assert_eq!((gate.at(), gate.at()), ("4".to_owned(), "2".to_owned()));
    world.thumbnails.request(&[a]);
    gate.let_go(2);
    assert_eq!((world.result().key, world.result().key), (2, 1), "what was taken may be asked for again");
}

#[test]
fn what_is_forgotten_in_the_middle_of_work_comes_from_the_new_file() {
    for forget in [|t: &Thumbnails| t.forget(1), Thumbnails::forget_all] {
        let gate = Gate::new();
        let world = World::new(gate.hook());
        let old = world.write(1, &jpeg(8, 8));
        let new = ThumbRequest { key: 1, ..world.write(2, &jpeg(9, 9)) };
        world.thumbnails.request(std::slice::from_ref(&old));
        assert_eq!(gate.at(), "1");
        forget(&world.thumbnails);
        world.thumbnails.request(std::slice::from_ref(&new));
        gate.let_go(2);
        assert_eq!(world.result().outcome.unwrap().full_width_px, 9);
        forget(&world.thumbnails);
        assert_eq!(world.thumbnails.next_result(), None);
    }
}

#[test]
fn files_that_cannot_be_shown_say_why() {
    let world = World::new(|_| {});
    let mut cut = jpeg(64, 64);
    cut.truncate(cut.len() / 2);
    let folder = world.dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    world.thumbnails.request(&[
        world.write(1, b"no image at all, though long enough to be one"),
        world.write(2, b""),
        world.write(3, &cut),
        ThumbRequest { key: 4, path: folder.into(), side_px: THUMB_PX },
        ThumbRequest { key: 5, path: world.dir.path().join("missing").into(), side_px: THUMB_PX },
    ]);
    let reason = || world.result().outcome.unwrap_err();
    assert_eq!(reason(), SkipReason::NotAnImage);
    assert_eq!(reason(), SkipReason::Empty);
    assert_eq!(reason(), SkipReason::Truncated);
    assert_eq!(reason(), SkipReason::NotAFile);
    assert!(matches!(reason(), SkipReason::Unreadable { .. }));
}

#[test]
fn limits_are_those_of_embedding() {
    let (wake, woken) = unbounded();
    let wake: Wake = Arc::new(move || wake.send(()).unwrap_or_default());
    let limits = DecodeLimits { max_pixels: 1000, ..DecodeLimits::default() };
    let config = ThumbnailsConfig { limits, max_file_bytes: 4096, cache_dir: None, ..ThumbnailsConfig::default() };
    let thumbnails = Thumbnails::start(ThumbnailsConfig { n_workers: 1, ..config }, wake).unwrap();
    let world = World { dir: tempfile::tempdir().unwrap(), thumbnails, woken };
    let mut long = jpeg(8, 8);
    long.resize(5000, 0);
    world.thumbnails.request(&[world.write(1, &jpeg(40, 40)), world.write(2, &long)]);
    let too_large = SkipReason::TooLarge { width_px: 40, height_px: 40, limit_mpx: 0 };
    assert_eq!(world.result().outcome, Err(too_large.clone()));
    assert_eq!(world.result().outcome, Err(SkipReason::FileTooLarge { size_mb: 0, limit_mb: 0 }));
    let ThumbRequest { path, .. } = world.write(1, &jpeg(40, 40));
    world.thumbnails.request_large(7, path, 4096);
    assert_eq!(world.wait(Thumbnails::large_result), ThumbResult { key: 7, side_px: 4096, outcome: Err(too_large) });
}

#[test]
fn a_panic_is_a_reason_and_the_worker_goes_on() {
    let world = World::new(|path| assert!(!path.ends_with("1"), "on purpose"));
    let requests = [1, 2].map(|key| world.write(key, &jpeg(8, 8)));
    world.thumbnails.request(&requests);
    let ThumbResult { key, outcome, .. } = world.result();
    assert!(key == 1 && matches!(outcome, Err(SkipReason::Corrupt { .. })), "{outcome:?}");
    let ThumbResult { key, outcome, .. } = world.result();
    assert!(key == 2 && outcome.is_ok());
    for (request, is_ok) in requests.iter().zip([false, true]) {
        world.thumbnails.request_large(request.key, Arc::clone(&request.path), 100);
        assert_eq!(world.wait(Thumbnails::large_result).outcome.is_ok(), is_ok);
    }
}

#[test]
fn results_wait_for_the_screen_and_workers_for_room() {
    let world = World::new(|_| {});
    let bytes = jpeg(8, 8);
    let n = MAX_RESULTS + 20;
    let requests: Vec<_> = (0..n as u64).map(|key| world.write(key, &bytes)).collect();
    world.thumbnails.request(&requests);
    let start = Instant::now();
    loop {
        let state = world.thumbnails.shared.lock();
        if state.in_work.is_empty() && state.is_idle() {
            assert_eq!((state.results.len(), state.wanted.len()), (MAX_RESULTS, 20));
            break;
        }
        assert!(start.elapsed() < PATIENCE);
        drop(state);
        std::thread::yield_now();
    }
    world.thumbnails.request(&requests);
    assert_eq!(world.thumbnails.shared.lock().wanted.len(), 20, "those that wait are not made again");
    let mut keys: Vec<_> = (0..n).map(|_| world.result().key).collect();
    keys.sort_unstable();
    assert_eq!(keys, (0..n as u64).collect::<Vec<_>>());
}

#[test]
fn the_latest_large_picture_wins_and_waits_for_no_thumbnail() {
    let gate = Gate::new();
    let world = World::new(gate.hook());
    let [small, a, b, c] = [1, 2, 3, 4].map(|key| world.write(key, &jpeg(400, 200)));
    world.thumbnails.request(&[small]);
    assert_eq!(gate.at(), "1");
    world.thumbnails.request_large(a.key, a.path, 100);
    assert_eq!(gate.at(), "2");
    world.thumbnails.request_large(b.key, b.path, 100);
    world.thumbnails.request_large(c.key, Arc::clone(&c.path), 100);
    // Whichever of the two that wait gets it: one of them is the large one's lane, twice.
    gate.let_go(3);
    let large = world.wait(Thumbnails::large_result);
    assert_eq!(large.key, c.key, "neither of those before");
    let thumb = large.outcome.unwrap();
    assert_eq!((thumb.image.width_px(), thumb.image.height_px()), (100, 50));
    assert_eq!((thumb.full_width_px, thumb.full_height_px), (400, 200));
    assert_eq!(gate.at(), "4", "the second was dropped while the first was decoded");
    world.thumbnails.request_large(c.key, c.path, 4096);
    gate.let_go(1);
    let thumb = world.wait(Thumbnails::large_result).outcome.unwrap();
    assert_eq!((thumb.image.width_px(), thumb.image.height_px()), (400, 200), "never made larger");
    world.thumbnails.cancel_large();
    assert_eq!(world.thumbnails.large_result(), None);
}

#[test]
fn the_end_does_not_wait_for_a_picture_that_takes_long() {
    let gate = Gate::new();
    let world = World::new(gate.hook());
    world.thumbnails.request(&[1, 2].map(|key| world.write(key, &jpeg(8, 8))));
    assert_eq!(gate.at(), "1");
    let start = Instant::now();
    drop(world);
    assert!(start.elapsed() < PATIENCE / 2);
    gate.let_go(2);
    assert_eq!(gate.at.1.try_recv().ok(), None, "the second is not begun");
}

#[test]
fn threads_have_ended_when_it_is_dropped() {
    let n_woken = Arc::new(AtomicUsize::new(0));
    let wake: Wake = {
        let n_woken = Arc::clone(&n_woken);
        Arc::new(move || {
            n_woken.fetch_add(1, Ordering::SeqCst);
        })
    };
    let thumbnails =
        Thumbnails::start(ThumbnailsConfig { cache_dir: None, ..ThumbnailsConfig::default() }, wake).unwrap();
    drop(thumbnails);
    assert_eq!(Arc::strong_count(&n_woken), 1, "nobody is left who could wake the screen");
}

#[test]
fn a_second_time_the_thumbnail_comes_from_the_cache() {
    let cache_dir = tempfile::tempdir().unwrap();
    let request = ThumbRequest { key: 1, path: Path::new(SAMPLE).into(), side_px: THUMB_PX };
    let world = World::with_cache(Some(cache_dir.path()), |_| {});
    world.thumbnails.request(std::slice::from_ref(&request));
    let made = world.result().outcome.unwrap();
    drop(world);

    let stamp = FileStamp::of(&fs::metadata(SAMPLE).unwrap()).unwrap();
    let key = ThumbnailKey::new(Path::new(SAMPLE), &stamp).unwrap();
    let mut cache = ThumbnailCache::open(cache_dir.path(), 1 << 20).unwrap();
    let kept = cache.get(&key).unwrap().unwrap();
    assert_eq!((kept.full_width_px, kept.full_height_px), (made.full_width_px, made.full_height_px));
    let difference = {
        let kept = crate::image::decode::decode(&kept.jpeg, &DecodeLimits::default()).unwrap();
        assert_eq!((kept.width_px(), kept.height_px()), (made.image.width_px(), made.image.height_px()));
        let sum: u64 = kept.pixels().iter().zip(made.image.pixels()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / kept.pixels().len() as f64
    };
    assert!(difference < 6.0, "{difference} levels");

    // Another picture in its place shows where the thumbnail comes from.
    let other = Thumbnail { jpeg: jpeg(9, 5), full_width_px: 90, full_height_px: 50 };
    cache.put_many([(&key, &other)]).unwrap();
    let world = World::with_cache(Some(cache_dir.path()), |_| {});
    world.thumbnails.request(std::slice::from_ref(&request));
    let thumb = world.result().outcome.unwrap();
    assert_eq!((thumb.image.width_px(), thumb.full_width_px, thumb.full_height_px), (9, 90, 50));
    drop(world);

    // One that cannot be decoded is made anew, and mended.
    cache.put_many([(&key, &Thumbnail { jpeg: b"no picture".to_vec(), ..other })]).unwrap();
    let world = World::with_cache(Some(cache_dir.path()), |_| {});
    world.thumbnails.request(std::slice::from_ref(&request));
    assert_eq!(world.result().outcome.unwrap(), made);
    drop(world);
    assert_eq!(cache.get(&key).unwrap().unwrap(), kept);
}

#[test]
fn pictures_that_are_small_already_are_not_kept() {
    let cache_dir = tempfile::tempdir().unwrap();
    let world = World::with_cache(Some(cache_dir.path()), |_| {});
    world.thumbnails.request(&[ThumbRequest { key: 1, path: Path::new(SMALL).into(), side_px: THUMB_PX }]);
    let thumb = world.result().outcome.unwrap();
    assert_eq!((thumb.image.width_px(), thumb.image.height_px()), (thumb.full_width_px, thumb.full_height_px));
    drop(world);
    let stamp = FileStamp::of(&fs::metadata(SMALL).unwrap()).unwrap();
    let key = ThumbnailKey::new(Path::new(SMALL), &stamp).unwrap();
    let mut cache = ThumbnailCache::open(cache_dir.path(), 1 << 20).unwrap();
    assert_eq!(cache.get(&key).unwrap(), None);
}
