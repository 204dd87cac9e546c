//! Thumbnails on the graphics card: those in view and those seen last, within a budget of memory.
//!
//! A frame goes: [`begin_frame`](ThumbnailTextures::begin_frame) takes results, as many as a frame has time for; places
//! ask for what they draw with [`get`](ThumbnailTextures::get), and for what may come into view with
//! [`prefetch`](ThumbnailTextures::prefetch); [`end_frame`](ThumbnailTextures::end_frame) drops what is too much and tells
//! the workers what is missing. A frame in which nothing changes costs a look-up
//! an image.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use eframe::egui::{self, ColorImage, TextureHandle, TextureOptions, Vec2};

use crate::dataset::SkipReason;
use crate::jobs::thumbnails::{THUMB_PX, Thumb, ThumbRequest, ThumbResult, Thumbnails};

/// Bounds of what textures may take.
#[derive(Clone, Copy, Debug)]
pub struct TextureBudget {
    /// Bytes of all small textures together. What is in view stays even where it is more.
    pub memory_bytes: usize,
    /// Bytes handed to the graphics card in one frame; one picture goes through in any case.
    pub upload_bytes_per_frame: usize,
}

impl Default for TextureBudget {
    fn default() -> Self {
        Self { memory_bytes: 192 << 20, upload_bytes_per_frame: 2 << 20 }
    }
}

/// What a place can draw for an image.
#[derive(Clone, Copy)]
pub enum ThumbState<'a> {
    /// Nothing yet; the screen is woken when there is.
    Loading,
    /// The picture.
    Ready(&'a ThumbTexture),
    /// There is none, and why. Stays so until [`ThumbnailTextures::forget`].
    Failed(&'a SkipReason),
}

/// A picture on the graphics card.
pub struct ThumbTexture {
    /// The texture, RGB, upright.
    pub texture: TextureHandle,
    /// Width of the whole picture in pixels.
    pub full_width_px: u32,
    /// Height of the whole picture in pixels.
    pub full_height_px: u32,
    /// The side that was asked for.
    made_for_px: u32,
}

impl ThumbTexture {
    /// Width and height of the whole picture in pixels, for its shape.
    pub fn full_size_px(&self) -> Vec2 {
        Vec2::new(self.full_width_px as f32, self.full_height_px as f32)
    }

    fn new(ctx: &egui::Context, name: &str, thumb: &Thumb, made_for_px: u32) -> Self {
        let image = &thumb.image;
        let size = [image.width_px() as usize, image.height_px() as usize];
        let pixels = ColorImage::from_rgb(size, image.pixels());
        let texture = ctx.load_texture(name, pixels, TextureOptions::LINEAR);
        Self { texture, full_width_px: thumb.full_width_px, full_height_px: thumb.full_height_px, made_for_px }
    }

    /// Whether it has all pixels that there are.
    fn is_whole(&self) -> bool {
        self.texture.size() == [self.full_width_px as usize, self.full_height_px as usize]
    }
}

/// Bytes that a picture takes as a texture, four a pixel; a tiny one takes more than its pixels.
fn texture_bytes(width_px: usize, height_px: usize) -> usize {
    (width_px * height_px * 4).max(4096)
}

/// Reasons that are remembered for images out of view.
const MAX_FAILED: usize = 4096;

/// Thumbnails by the key that the application gives its images.
pub struct ThumbnailTextures {
    loader: Thumbnails,
    budget: TextureBudget,
    /// Counts frames; an entry was seen in the frame that it bears.
    frame: u64,
    /// Longest side that the tiles of this frame need.
    side_px: u32,
    entries: Vec<Entry>,
    /// Where in `entries` a key is.
    index: HashMap<u64, usize>,
    /// Bytes of all ready entries, and of those seen in this frame (with an estimate for those to come).
    bytes: usize,
    bytes_in_view: usize,
    n_failed: usize,
    /// Keys of entries that were loading when they were last looked at.
    loading: Vec<u64>,
    /// Keys asked for in this frame that need work, those in view before those near it.
    wanted: Vec<u64>,
    /// Of those in view: the frame since which they are, and the key.
    wanted_in_view: Vec<(u64, u64)>,
    /// What the workers were last told, to tell them only what is new.
    sent: (u32, Vec<u64>),
    is_sent_stale: bool,
    /// Memory that is used again.
    requests: Vec<ThumbRequest>,
    by_age: Vec<(u64, u64)>,
    large: Option<Large>,
    /// Longest side that the graphics card takes.
    max_texture_side_px: u32,
}

struct Entry {
    key: u64,
    path: Arc<Path>,
    /// The last frame in which it was asked for.
    seen: u64,
    /// The last frame in which it was in view, and since when it was then.
    viewed: u64,
    in_view_since: u64,
    state: State,
}

enum State {
    Loading,
    Ready(ThumbTexture),
    Failed(SkipReason),
}

impl State {
    fn new(ctx: &egui::Context, name: &str, ThumbResult { side_px, outcome, .. }: ThumbResult) -> Self {
        match outcome {
            Ok(thumb) => Self::Ready(ThumbTexture::new(ctx, name, &thumb, side_px)),
            Err(reason) => Self::Failed(reason),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Ready(thumb) => {
                let [width, height] = thumb.texture.size();
                texture_bytes(width, height)
            }
            Self::Loading | Self::Failed(_) => 0,
        }
    }

    fn view(&self) -> ThumbState<'_> {
        match self {
            Self::Loading => ThumbState::Loading,
            Self::Ready(thumb) => ThumbState::Ready(thumb),
            Self::Failed(reason) => ThumbState::Failed(reason),
        }
    }

    /// Whether a worker can make it better for a side of this length.
    fn needs_work(&self, side_px: u32) -> bool {
        match self {
            Self::Loading => true,
            Self::Ready(thumb) => side_px > thumb.made_for_px && !thumb.is_whole(),
            Self::Failed(_) => false,
        }
    }
}

/// The one picture of the large view.
struct Large {
    key: u64,
    /// As asked for last.
    max_side_px: u32,
    seen: u64,
    state: State,
}

impl ThumbnailTextures {
    /// Textures of what `loader` makes. Its waking must ask `egui` for a repaint.
    pub fn new(loader: Thumbnails, budget: TextureBudget) -> Self {
        Self {
            loader,
            budget,
            frame: 1,
            side_px: THUMB_PX,
            entries: Vec::new(),
            index: HashMap::new(),
            bytes: 0,
            bytes_in_view: 0,
            n_failed: 0,
            loading: Vec::new(),
            wanted: Vec::new(),
            wanted_in_view: Vec::new(),
            sent: (0, Vec::new()),
            is_sent_stale: false,
            requests: Vec::new(),
            by_age: Vec::new(),
            large: None,
            max_texture_side_px: 2048,
        }
    }

    /// Begins a frame whose tiles have sides of at most `tile_px` pixels of the screen (points times pixels per point).
    /// Smaller tiles make do with smaller textures, so that more of them fit.
    pub fn begin_frame(&mut self, ctx: &egui::Context, tile_px: f32) {
        let max_side_px = ctx.input(|input| input.max_texture_side).max(1);
        self.max_texture_side_px = max_side_px.try_into().unwrap_or(u32::MAX);
        // Steps of two keep textures through small changes of the tiles.
        self.side_px = (tile_px.clamp(1.0, THUMB_PX as f32).ceil() as u32).next_power_of_two().clamp(64, THUMB_PX);
        let mut uploaded_bytes = self.take_large(ctx);
        while uploaded_bytes < self.budget.upload_bytes_per_frame
            && let Some(result) = self.loader.next_result()
        {
            uploaded_bytes += self.accept(ctx, result);
        }
        if self.loader.n_results() > 0 {
            ctx.request_repaint();
        }
        self.frame += 1;
        self.wanted.clear();
        self.wanted_in_view.clear();
        self.bytes_in_view = 0;
    }

    /// The thumbnail of an image in view. What is missing is made: what came into view last first, and among what came
    /// together in the order of these calls.
    pub fn get(&mut self, key: u64, path: &Path) -> ThumbState<'_> {
        let idx = match self.index.get(&key) {
            Some(&idx) => idx,
            None => self.insert(key, path),
        };
        let entry = &mut self.entries[idx];
        // Once a frame, however often it is drawn.
        if entry.viewed != self.frame {
            if entry.viewed + 1 != self.frame {
                entry.in_view_since = self.frame;
            }
            entry.viewed = self.frame;
            if entry.state.needs_work(self.side_px) {
                self.wanted_in_view.push((entry.in_view_since, key));
            }
        }
        self.see(idx);
        self.entries[idx].state.view()
    }

    /// Has a thumbnail made that may soon be in view, as long as there is room for it. To be called after the calls for
    /// what is in view, nearest first.
    pub fn prefetch(&mut self, key: u64, path: &Path) {
        // Without this bound what is near the view would drive itself out again and again.
        if self.bytes_in_view >= self.budget.memory_bytes / 4 * 3 {
            return;
        }
        let idx = match self.index.get(&key) {
            Some(&idx) => idx,
            None => self.insert(key, path),
        };
        let entry = &self.entries[idx];
        if entry.seen != self.frame && entry.state.needs_work(self.side_px) {
            self.wanted.push(key);
        }
        self.see(idx);
    }

    /// The picture of the large view, with sides of at most `max_side_px`. While a sharper one of the same image is
    /// made the one before stays. It is dropped after the first frame in which nobody asks for it.
    pub fn large(&mut self, key: u64, path: &Path, max_side_px: u32) -> ThumbState<'_> {
        let max_side_px = max_side_px.clamp(1, self.max_texture_side_px);
        let frame = self.frame;
        let before = self.large.take().filter(|large| large.key == key);
        let (asked_px, state) = before.map_or((0, State::Loading), |large| (large.max_side_px, large.state));
        if max_side_px > asked_px && state.needs_work(max_side_px) {
            self.loader.request_large(key, path.into(), max_side_px);
        }
        let max_side_px = asked_px.max(max_side_px);
        self.large.insert(Large { key, max_side_px, seen: frame, state }).state.view()
    }

    /// Forgets what is known of an image: its file has changed, or may be readable now.
    pub fn forget(&mut self, key: u64) {
        if let Some(&idx) = self.index.get(&key) {
            self.remove(idx);
        }
        self.loader.forget(key);
        self.is_sent_stale = true;
        if self.large.take_if(|large| large.key == key).is_some() {
            self.loader.cancel_large();
        }
    }

    /// Forgets everything: the keys mean other images from now on.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.index.clear();
        self.loading.clear();
        self.wanted.clear();
        self.wanted_in_view.clear();
        (self.bytes, self.bytes_in_view, self.n_failed) = (0, 0, 0);
        self.large = None;
        self.loader.forget_all();
        self.is_sent_stale = true;
    }

    /// Bytes of all small textures.
    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// Ends the frame: drops what is too much, and tells the workers what is wanted.
    pub fn end_frame(&mut self) {
        self.drop_scrolled_past();
        if self.large.take_if(|large| large.seen != self.frame).is_some() {
            self.loader.cancel_large();
        }
        if self.bytes > self.budget.memory_bytes {
            // A little more than needed, so that this is not done for every picture.
            let target_bytes = self.budget.memory_bytes / 8 * 7;
            self.evict(|state| matches!(state, State::Ready(_)), |this| this.bytes <= target_bytes);
        }
        if self.n_failed > MAX_FAILED {
            self.evict(|state| matches!(state, State::Failed(_)), |this| this.n_failed <= MAX_FAILED / 2);
        }
        self.send();
    }

    fn insert(&mut self, key: u64, path: &Path) -> usize {
        let idx = self.entries.len();
        self.entries.push(Entry {
            key,
            path: path.into(),
            seen: 0,
            viewed: 0,
            in_view_since: 0,
            state: State::Loading,
        });
        self.index.insert(key, idx);
        self.loading.push(key);
        idx
    }

    fn remove(&mut self, idx: usize) {
        let Entry { key, state, .. } = self.entries.swap_remove(idx);
        self.index.remove(&key);
        if let Some(moved) = self.entries.get(idx) {
            self.index.insert(moved.key, idx);
        }
        self.bytes -= state.bytes();
        self.n_failed -= usize::from(matches!(state, State::Failed(_)));
    }

    fn set(&mut self, idx: usize, state: State) {
        let old = std::mem::replace(&mut self.entries[idx].state, state);
        self.bytes = self.bytes + self.entries[idx].state.bytes() - old.bytes();
        self.n_failed -= usize::from(matches!(old, State::Failed(_)));
        self.n_failed += usize::from(matches!(self.entries[idx].state, State::Failed(_)));
    }

    /// Notes that an entry was asked for in this frame.
    fn see(&mut self, idx: usize) {
        let entry = &mut self.entries[idx];
        if entry.seen == self.frame {
            return;
        }
        entry.seen = self.frame;
        let side = self.side_px as usize;
        self.bytes_in_view += match &entry.state {
            State::Loading => texture_bytes(side, side),
            state => state.bytes(),
        };
    }

    /// Entries that never came to anything and that nobody wants any more.
    fn drop_scrolled_past(&mut self) {
        let mut loading = std::mem::take(&mut self.loading);
        loading.retain(|key| {
            let Some(&idx) = self.index.get(key) else { return false };
            let entry = &self.entries[idx];
            let is_loading = matches!(entry.state, State::Loading);
            let is_wanted = entry.seen == self.frame;
            if is_loading && !is_wanted {
                self.remove(idx);
            }
            is_loading && is_wanted
        });
        self.loading = loading;
    }

    /// Takes a result; gives the bytes that go to the graphics card.
    fn accept(&mut self, ctx: &egui::Context, result: ThumbResult) -> usize {
        // Scrolled past in the meantime; it is in the cache on disk.
        let Some(&idx) = self.index.get(&result.key) else { return 0 };
        let state = State::new(ctx, "thumbnail", result);
        // Tiles may have grown since it was asked for.
        self.is_sent_stale |= state.needs_work(self.side_px);
        let bytes = state.bytes();
        self.set(idx, state);
        bytes
    }

    /// Takes the large picture; gives the bytes that go to the graphics card.
    fn take_large(&mut self, ctx: &egui::Context) -> usize {
        let Some(large) = &mut self.large else { return 0 };
        let Some(result) = self.loader.large_result().filter(|result| result.key == large.key) else { return 0 };
        large.state = State::new(ctx, "large picture", result);
        large.state.bytes()
    }

    /// Drops entries that `is_kind` holds for and that were not seen in this frame, longest unseen first, until
    /// `is_enough`.
    fn evict(&mut self, is_kind: impl Fn(&State) -> bool, is_enough: impl Fn(&Self) -> bool) {
        let mut by_age = std::mem::take(&mut self.by_age);
        let out_of_view = self.entries.iter().filter(|e| e.seen != self.frame && is_kind(&e.state));
        by_age.extend(out_of_view.map(|e| (e.seen, e.key)));
        by_age.sort_unstable();
        for (_, key) in by_age.drain(..) {
            if is_enough(self) {
                break;
            }
            if let Some(&idx) = self.index.get(&key) {
                self.remove(idx);
            }
        }
        self.by_age = by_age;
    }

    /// Tells the workers what is wanted, where that is something new.
    fn send(&mut self) {
        let side_px = self.side_px;
        let (index, entries) = (&self.index, &self.entries);
        let entry = |key: &u64| index.get(key).map(|&idx| &entries[idx]);
        // What came into view last stays longest while it scrolls; without this, workers run after what is just leaving.
        // The sort is stable: what came together is made in the order in which it was asked for.
        self.wanted_in_view.sort_by_key(|(since, _)| std::cmp::Reverse(*since));
        self.wanted.splice(0..0, self.wanted_in_view.drain(..).map(|(_, key)| key));
        self.wanted.retain(|key| entry(key).is_some_and(|entry| entry.state.needs_work(side_px)));
        if !self.is_sent_stale && self.sent.0 == side_px && self.sent.1 == self.wanted {
            return;
        }
        let request = |entry: &Entry| ThumbRequest { key: entry.key, path: Arc::clone(&entry.path), side_px };
        self.requests.extend(self.wanted.iter().filter_map(entry).map(request));
        self.loader.request(&self.requests);
        self.requests.clear();
        self.sent.0 = side_px;
        self.sent.1.clone_from(&self.wanted);
        self.is_sent_stale = false;
    }
}

#[cfg(test)]
mod tests;
