#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use eframe::egui::{Context, RawInput, TextureId, ViewportId};
use libjpeg_turbo_rs::{PixelFormat, Subsampling};
use tempfile::TempDir;

use super::*;
use crate::jobs::thumbnails::{MAX_RESULTS, ThumbnailsConfig};

/// More than any machine needs; only a failure waits this long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a texture of the pictures here.
const ONE: usize = 256 * 256 * 4;

/// A screen without a window, and a folder with a file for each key.
struct Stage {
    ctx: Context,
    dir: TempDir,
    textures: ThumbnailTextures,
    woken: Receiver<()>,
    tile_px: f32,
}

/// What a frame did with textures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Frame {
    uploaded_bytes: usize,
    n_freed: usize,
    repaint: bool,
}

impl Stage {
    fn new(memory_bytes: usize, upload_bytes_per_frame: usize) -> Self {
        let (wake, woken) = unbounded();
        let wake = Arc::new(move || wake.send(()).unwrap_or_default());
        let config = ThumbnailsConfig { n_workers: 1, cache_dir: None, ..ThumbnailsConfig::default() };
        let budget = TextureBudget { memory_bytes, upload_bytes_per_frame };
        let textures = ThumbnailTextures::new(Thumbnails::start(config, wake).unwrap(), budget);
        let mut stage =
            Self { ctx: Context::default(), dir: tempfile::tempdir().unwrap(), textures, woken, tile_px: 256.0 };
        // The first frames bring the font, and egui wants some more after them.
        while stage.frame(|_, _| {}).repaint {}
        stage
    }

    fn roomy() -> Self {
        Self::new(100 * ONE, 100 * ONE)
    }

    fn write(&self, key: u64, side_px: usize) {
        let pixels = vec![90; side_px * side_px * 3];
        let jpeg = libjpeg_turbo_rs::compress(&pixels, side_px, side_px, PixelFormat::Rgb, 80, Subsampling::S420);
        fs::write(self.path(key), jpeg.unwrap()).unwrap();
    }

    fn path(&self, key: u64) -> PathBuf {
        self.dir.path().join(key.to_string())
    }

    fn frame(&mut self, draw: impl FnOnce(&mut ThumbnailTextures, &Path)) -> Frame {
        let mut draw = Some(draw);
        let output = self.ctx.run_pass(RawInput::default(), |ctx| {
            self.textures.begin_frame(ctx, self.tile_px);
            (draw.take().unwrap())(&mut self.textures, self.dir.path());
            self.textures.end_frame();
        });
        let font = TextureId::default();
        let delta = &output.textures_delta;
        let mut frame = Frame { n_freed: delta.free.len(), ..Frame::default() };
        #[allow(clippy::iter_over_hash_type, reason = "sums do not depend on the order")]
        for (_, deltas) in delta.set.iter().filter(|(id, _)| **id != font) {
            frame.uploaded_bytes += deltas.iter().map(|d| d.image.width() * d.image.height() * 4).sum::<usize>();
        }
        frame.repaint = output.viewport_output[&ViewportId::ROOT].repaint_delay.is_zero();
        output.drop_without_applying_deltas();
        frame
    }

    /// A frame with these images in view, by state: `l`oading, `r`eady, `f`ailed.
    fn view(&mut self, keys: &[u64]) -> (String, Frame) {
        let mut states = String::new();
        let frame = self.frame(|textures, dir| {
            for &key in keys {
                states.push(match textures.get(key, &dir.join(key.to_string())) {
                    ThumbState::Loading => 'l',
                    ThumbState::Ready(_) => 'r',
                    ThumbState::Failed(_) => 'f',
                });
            }
        });
        (states, frame)
    }

    /// Frames with these images in view until none is loading.
    fn settle(&mut self, keys: &[u64]) -> String {
        self.until(|stage| Some(stage.view(keys).0).filter(|states| !states.contains('l')))
    }

    /// Frames until one gives something.
    fn until<T>(&mut self, mut frame: impl FnMut(&mut Self) -> Option<T>) -> T {
        loop {
            if let Some(value) = frame(self) {
                return value;
            }
            if self.textures.loader.n_results() == 0 {
                self.woken.recv_timeout(PATIENCE).unwrap();
            }
        }
    }

    fn wait_for_results(&self, n: usize) {
        let start = Instant::now();
        while self.textures.loader.n_results() < n {
            assert!(start.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
    }

    fn n_textures(&self) -> usize {
        // All but the font's.
        self.ctx.tex_manager().read().num_allocated() - 1
    }

    /// Side of the texture of an image.
    fn side(&mut self, key: u64) -> usize {
        let mut side = 0;
        self.frame(|textures, dir| {
            if let ThumbState::Ready(thumb) = textures.get(key, &dir.join(key.to_string())) {
                side = thumb.texture.size()[0];
            }
        });
        side
    }
}

#[test]
fn what_is_in_view_comes_with_its_size_or_a_reason() {
    let mut stage = Stage::roomy();
    stage.write(1, 300);
    fs::write(stage.path(2), b"this is not an image, whatever its name says").unwrap();
    assert_eq!(stage.view(&[1, 2]).0, "ll");
    assert_eq!(stage.settle(&[1, 2]), "rf");
    stage.frame(|textures, dir| {
        let ThumbState::Ready(thumb) = textures.get(1, &dir.join("1")) else { panic!("it was ready") };
        assert_eq!(thumb.texture.size(), [256, 256]);
        assert_eq!(thumb.full_size_px(), Vec2::new(300.0, 300.0));
        assert!(matches!(textures.get(2, &dir.join("2")), ThumbState::Failed(SkipReason::NotAnImage)));
    });
    assert_eq!(stage.textures.memory_bytes(), ONE);
    let quiet = stage.view(&[1, 2]).1;
    assert_eq!(quiet, Frame::default(), "nothing is uploaded, freed or painted again");
}

#[test]
fn textures_stay_within_their_budget() {
    let mut stage = Stage::new(8 * ONE, 100 * ONE);
    for key in 0..30 {
        stage.write(key, 300);
    }
    for first in 0..28 {
        assert_eq!(stage.settle(&[first, first + 1, first + 2]), "rrr");
        assert!(stage.textures.memory_bytes() <= 8 * ONE);
        assert_eq!(stage.n_textures() * ONE, stage.textures.memory_bytes());
    }
    assert_eq!(stage.view(&[26, 25, 24]).0, "rrr", "what was seen last is there");
    assert_eq!(stage.view(&[0]).0, "l", "what was seen first is not");
}

#[test]
fn what_is_in_view_stays_whatever_it_takes() {
    let mut stage = Stage::new(2 * ONE, 100 * ONE);
    let keys: Vec<u64> = (0..6).collect();
    keys.iter().for_each(|&key| stage.write(key, 300));
    assert_eq!(stage.settle(&keys), "rrrrrr");
    assert_eq!(stage.view(&keys), ("rrrrrr".to_owned(), Frame::default()));
    stage.view(&[]);
    assert!(stage.textures.memory_bytes() <= 2 * ONE);
}

#[test]
fn a_frame_uploads_no_more_than_it_may() {
    let mut stage = Stage::new(100 * ONE, 3 * ONE);
    let keys: Vec<u64> = (0..10).collect();
    keys.iter().for_each(|&key| stage.write(key, 300));
    stage.view(&keys);
    stage.wait_for_results(keys.len());
    let frames: Vec<_> = (0..4).map(|_| stage.view(&keys)).map(|(_, frame)| frame).collect();
    let uploads: Vec<_> = frames.iter().map(|frame| frame.uploaded_bytes / ONE).collect();
    assert_eq!(uploads, [3, 3, 3, 1]);
    let repaints: Vec<_> = frames.iter().map(|frame| frame.repaint).collect();
    assert_eq!(repaints[..3], [true; 3], "another frame is asked for while some wait");
    assert_eq!(stage.settle(&keys), "r".repeat(10));

    let mut stage = Stage::new(100 * ONE, 1);
    stage.write(0, 300);
    assert_eq!(stage.settle(&[0]), "r", "one goes through in any case");
}

#[test]
fn what_was_scrolled_past_is_let_go() {
    let mut stage = Stage::roomy();
    (0..3).for_each(|key| stage.write(key, 300));
    for first in [0, 100, 200] {
        stage.view(&(first..first + 100).collect::<Vec<u64>>());
    }
    let mut loading = stage.textures.entries.iter().filter(|e| matches!(e.state, State::Loading));
    assert!(loading.all(|e| e.key >= 200), "nobody waits for what was scrolled past");
    // Between two frames no more than MAX_RESULTS can have come to something.
    assert!(stage.textures.entries.len() <= 100 + 2 * MAX_RESULTS);
    assert_eq!(stage.settle(&[0, 1, 2]), "rrr", "and it comes when it is wanted again");
}

#[test]
fn what_came_into_view_last_is_made_first() {
    let mut stage = Stage::roomy();
    stage.view(&[1, 2, 3]);
    let near = |textures: &mut ThumbnailTextures, dir: &Path| {
        for key in 2..6u64 {
            textures.get(key, &dir.join(key.to_string()));
        }
        textures.get(4, &dir.join("4"));
        for key in 5..8u64 {
            textures.prefetch(key, &dir.join(key.to_string()));
        }
    };
    stage.frame(near);
    // Whatever has been made by now of files that are not there has failed; the others are still in this order.
    let order = [4, 5, 2, 3, 6, 7];
    let sent = &stage.textures.sent.1;
    assert_eq!(*sent, order.into_iter().filter(|key| sent.contains(key)).collect::<Vec<_>>());
    assert!([4, 5, 6, 7].iter().all(|key| sent.contains(key)), "those that were first wanted now: {sent:?}");
}

#[test]
fn what_is_near_the_view_is_made_while_there_is_room() {
    let mut stage = Stage::new(8 * ONE, 100 * ONE);
    (0..20).for_each(|key| stage.write(key, 300));
    let near = |stage: &mut Stage| {
        stage.frame(|textures, dir| {
            textures.get(0, &dir.join("0"));
            for key in 1..20u64 {
                textures.prefetch(key, &dir.join(key.to_string()));
            }
        })
    };
    stage.until(|stage| {
        near(stage);
        let is_loading = stage.textures.entries.iter().any(|e| matches!(e.state, State::Loading));
        (!is_loading).then_some(())
    });
    assert_eq!(stage.n_textures(), 6, "three quarters of the budget");
    assert_eq!(near(&mut stage), Frame::default(), "and it stays so");
    assert_eq!(stage.view(&[0, 1, 2, 3, 4, 5]).0, "rrrrrr", "the nearest");
}

#[test]
fn a_forgotten_image_is_loaded_anew() {
    let mut stage = Stage::roomy();
    assert_eq!(stage.settle(&[1]), "f", "there is no file");
    stage.write(1, 300);
    assert_eq!(stage.view(&[1]).0, "f", "which is remembered");
    stage.textures.forget(1);
    assert_eq!(stage.settle(&[1]), "r");
    fs::write(stage.path(1), b"").unwrap();
    stage.textures.forget(1);
    assert_eq!(stage.settle(&[1]), "f");
    stage.write(1, 300);
    stage.textures.clear();
    assert_eq!((stage.textures.memory_bytes(), stage.view(&[]).0.as_str()), (0, ""));
    assert_eq!(stage.settle(&[1]), "r");
}

#[test]
fn reasons_that_are_remembered_are_bounded() {
    let mut stage = Stage::roomy();
    let n = MAX_FAILED as u64 + 100;
    // As many in view as the workers give at once.
    for first in (0..n).step_by(60) {
        let keys: Vec<_> = (first..first + 60).collect();
        assert_eq!(stage.settle(&keys), "f".repeat(60));
        assert!(stage.textures.n_failed <= MAX_FAILED && stage.textures.entries.len() <= MAX_FAILED + 60);
    }
    assert!(stage.textures.n_failed > MAX_FAILED / 4);
}

#[test]
fn small_tiles_take_small_textures_and_grow_without_a_gap() {
    let mut stage = Stage::roomy();
    stage.write(1, 300);
    stage.write(2, 50);
    stage.tile_px = 60.0;
    assert_eq!(stage.settle(&[1, 2]), "rr");
    assert_eq!((stage.side(1), stage.side(2)), (64, 50));
    stage.tile_px = 200.0;
    stage.until(|stage| {
        assert_eq!(stage.view(&[1, 2]).0, "rr", "the small one stays until the other is there");
        (stage.side(1) == 256).then_some(())
    });
    assert_eq!(stage.n_textures(), 2, "in its place");
    stage.tile_px = 60.0;
    assert_eq!((stage.side(1), stage.side(2)), (256, 50), "what is sharper than needed stays");
    assert_eq!(stage.view(&[1, 2]).1, Frame::default(), "and a picture without more pixels is not asked for again");
}

#[test]
fn one_large_picture_is_there_while_it_is_looked_at() {
    let mut stage = Stage::roomy();
    stage.write(1, 1000);
    stage.write(2, 700);
    // Side of the picture: 0 while loading.
    let large = |stage: &mut Stage, key: u64, max_side_px: u32| {
        let mut side = 0;
        stage.frame(|textures, dir| match textures.large(key, &dir.join(key.to_string()), max_side_px) {
            ThumbState::Ready(picture) => side = picture.texture.size()[0],
            ThumbState::Loading => {}
            ThumbState::Failed(reason) => panic!("{reason}"),
        });
        side
    };
    assert_eq!(large(&mut stage, 1, 500), 0);
    assert_eq!(stage.until(|stage| Some(large(stage, 1, 500)).filter(|side| *side > 0)), 500);
    assert_eq!(large(&mut stage, 1, 400), 500, "sharp enough");
    let sharper = stage.until(|stage| {
        let side = large(stage, 1, 2000);
        assert!(side >= 500, "no gap");
        Some(side).filter(|side| *side > 500)
    });
    assert_eq!((sharper, stage.n_textures()), (1000, 1));
    assert_eq!(large(&mut stage, 2, 600), 0);
    assert_eq!(stage.until(|stage| Some(large(stage, 2, 600)).filter(|side| *side > 0)), 600);
    assert_eq!(stage.n_textures(), 1);
    stage.view(&[]);
    assert_eq!(stage.n_textures(), 0, "nobody looks any more");
    let mut failed = false;
    stage.until(|stage| {
        stage.frame(|textures, dir| {
            failed =
                matches!(textures.large(3, &dir.join("3"), 600), ThumbState::Failed(SkipReason::Unreadable { .. }));
        });
        failed.then_some(())
    });
}
