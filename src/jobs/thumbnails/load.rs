//! One picture: from the cache, or read, decoded and made smaller.

use std::path::Path;
use std::sync::Arc;

use libjpeg_turbo_rs::{PixelFormat, Subsampling};

use super::{THUMB_PX, Thumb, ThumbnailsConfig};
use crate::dataset::SkipReason;
use crate::image::Rgb8Image;
use crate::image::decode::{self, DecodeLimits};
use crate::image::resize::{self, Scratch};
use crate::image::spec::Filter;
use crate::store::cache::FileStamp;
use crate::store::thumbnails::{Thumbnail, ThumbnailCache, ThumbnailKey};
use crate::workflow::permits::Permits;
use crate::workflow::source;

/// Thumbnails that are written together.
const BATCH: usize = 32;
const JPEG_QUALITY: u8 = 85;

/// What a thread keeps from picture to picture.
pub(super) struct Loader {
    cache: Option<ThumbnailCache>,
    /// Not yet in the cache.
    unsaved: Vec<(ThumbnailKey, Thumbnail)>,
    limits: DecodeLimits,
    max_file_bytes: u64,
    /// Megabytes for decoding, shared by all workers.
    memory: Arc<Permits>,
    scratch: Scratch,
}

impl Loader {
    pub(super) fn new(config: &ThumbnailsConfig, memory: Arc<Permits>) -> Self {
        let cache = config.cache_dir.as_ref().and_then(|dir| {
            ThumbnailCache::open(dir, config.cache_limit_bytes)
                .inspect_err(|error| tracing::warn!(%error, "thumbnails are not kept"))
                .ok()
        });
        Self {
            cache,
            unsaved: Vec::new(),
            limits: config.limits,
            max_file_bytes: config.max_file_bytes,
            memory,
            scratch: Scratch::default(),
        }
    }

    /// The picture of a file with sides of at most [`THUMB_PX`], halved while its longest side is twice `side_px` or more.
    pub(super) fn thumb(&mut self, path: &Path, side_px: u32) -> Result<Thumb, SkipReason> {
        let mut thumb = self.full_thumb(path)?;
        while thumb.image.width_px().max(thumb.image.height_px()) / 2 >= side_px.max(1) {
            thumb.image = halve(&thumb.image).ok_or(SkipReason::Empty)?;
        }
        Ok(thumb)
    }

    fn full_thumb(&mut self, path: &Path) -> Result<Thumb, SkipReason> {
        let metadata = source::file_metadata(path)?;
        // A file that changes while it is read has another stamp afterwards.
        let stamp = self.cache.as_ref().and_then(|_| FileStamp::of(&metadata));
        let key = stamp.and_then(|stamp| ThumbnailKey::new(path, &stamp));
        if let Some(thumb) = key.as_ref().and_then(|key| self.cached(key)) {
            return Ok(thumb);
        }
        let thumb = self.picture(path, THUMB_PX)?;
        // A picture that was not made smaller is as quickly decoded from its own file, and without loss.
        let is_smaller =
            thumb.image.width_px() != thumb.full_width_px || thumb.image.height_px() != thumb.full_height_px;
        if let Some(key) = key.filter(|_| is_smaller) {
            self.save(key, &thumb);
        }
        Ok(thumb)
    }

    /// The picture of a file with sides of at most `max_side_px`, past the cache.
    pub(super) fn picture(&mut self, path: &Path, max_side_px: u32) -> Result<Thumb, SkipReason> {
        let metadata = source::file_metadata(path)?;
        let bytes = source::read(path, &metadata, self.max_file_bytes)?;
        let _memory = self.memory.take(source::decoded_mb(&bytes));
        let image = decode::decode(&bytes, &self.limits).map_err(source::skip_reason)?;
        drop(bytes);
        let (full_width_px, full_height_px) = (image.width_px(), image.height_px());
        let image = match fit(full_width_px, full_height_px, max_side_px) {
            None => image,
            Some((width_px, height_px)) => {
                resize::resize(&image, width_px, height_px, Filter::Bicubic, &mut self.scratch)
                    .ok_or(SkipReason::Empty)?
            }
        };
        Ok(Thumb { image, full_width_px, full_height_px })
    }

    /// As [`Self::picture`], for once: what the resizing of a large picture needs is not kept.
    pub(super) fn large(&mut self, path: &Path, max_side_px: u32) -> Result<Thumb, SkipReason> {
        let picture = self.picture(path, max_side_px);
        self.scratch = Scratch::default();
        picture
    }

    /// Writes what was made since the last time.
    pub(super) fn flush(&mut self) {
        let Some(cache) = &mut self.cache else { return };
        if let Err(error) = cache.put_many(self.unsaved.iter().map(|(key, thumbnail)| (key, thumbnail))) {
            tracing::warn!(%error, "thumbnails were not kept");
        }
        self.unsaved.clear();
    }

    fn cached(&mut self, key: &ThumbnailKey) -> Option<Thumb> {
        let found = self.cache.as_mut()?.get(key).unwrap_or_else(|error| {
            tracing::warn!(%error, "the thumbnail cache could not be read");
            None
        })?;
        let image = decode::decode(&found.jpeg, &self.limits).ok()?;
        Some(Thumb { image, full_width_px: found.full_width_px, full_height_px: found.full_height_px })
    }

    fn save(&mut self, key: ThumbnailKey, thumb: &Thumb) {
        let Thumb { image, full_width_px, full_height_px } = thumb;
        let (width, height) = (image.width_px() as usize, image.height_px() as usize);
        let encoded = libjpeg_turbo_rs::compress(
            image.pixels(),
            width,
            height,
            PixelFormat::Rgb,
            JPEG_QUALITY,
            Subsampling::S420,
        );
        match encoded {
            Ok(jpeg) => {
                let (full_width_px, full_height_px) = (*full_width_px, *full_height_px);
                self.unsaved.push((key, Thumbnail { jpeg, full_width_px, full_height_px }));
            }
            Err(error) => tracing::warn!(%error, "a thumbnail could not be encoded"),
        }
        if self.unsaved.len() >= BATCH {
            self.flush();
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Half the size, sides rounded down but at least 1; each pixel the mean of four.
fn halve(image: &Rgb8Image) -> Option<Rgb8Image> {
    let (width, height) = (image.width_px() as usize, image.height_px() as usize);
    let (half_width, half_height) = ((width / 2).max(1), (height / 2).max(1));
    let pixels = image.pixels();
    let mut out = Vec::with_capacity(half_width * half_height * 3);
    // Along a side of one pixel its only row or column counts twice.
    let (right, below) = (3 * (width - 1).min(1), 3 * width * (height - 1).min(1));
    for y in 0..half_height {
        for x in 0..half_width {
            for channel in 0..3 {
                let at = (2 * y * width + 2 * x) * 3 + channel;
                let sum = [at, at + right, at + below, at + below + right].map(|i| u32::from(pixels[i]));
                out.push(((sum.iter().sum::<u32>() + 2) / 4) as u8);
            }
        }
    }
    Rgb8Image::new(half_width as u32, half_height as u32, out)
}

/// The largest size within `max_side_px` of the same shape, at least 1 x 1; `None` when it fits as it is.
fn fit(width_px: u32, height_px: u32, max_side_px: u32) -> Option<(u32, u32)> {
    let longest = u64::from(width_px.max(height_px));
    let max_side = u64::from(max_side_px.max(1));
    if longest <= max_side {
        return None;
    }
    // To the nearest; no more than `max_side_px`, so it fits.
    let scaled = |side: u32| ((u64::from(side) * max_side + longest / 2) / longest).max(1) as u32;
    Some((scaled(width_px), scaled(height_px)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{fit, halve};
    use crate::image::Rgb8Image;

    #[test]
    fn half_a_picture_is_made_of_means() {
        let gray = |width, height, values: &[u8]| {
            Rgb8Image::new(width, height, values.iter().flat_map(|v| [*v, v / 2, 255 - v]).collect()).unwrap()
        };
        let image = gray(4, 3, &[0, 2, 100, 100, 4, 6, 200, 200, 9, 9, 9, 9]);
        assert_eq!(halve(&image).unwrap().pixels()[..3], [3, 2, 252]);
        assert_eq!(halve(&image).unwrap().pixels()[3..], [150, 75, 105]);
        assert_eq!(halve(&gray(1, 5, &[10, 20, 30, 50, 90])).unwrap(), {
            let mut expected = gray(1, 2, &[15, 40]).into_pixels();
            // Means of halves and of what is left of 255 round up.
            (expected[1], expected[4]) = (8, 20);
            (expected[2], expected[5]) = (240, 215);
            Rgb8Image::new(1, 2, expected).unwrap()
        });
        assert_eq!(halve(&gray(2, 1, &[10, 20])).unwrap().pixels()[0], 15);
        assert_eq!(halve(&gray(1, 1, &[7])).unwrap(), gray(1, 1, &[7]));
    }

    #[test]
    fn a_picture_keeps_its_shape() {
        assert_eq!(fit(256, 100, 256), None);
        assert_eq!(fit(1, 1, 256), None);
        assert_eq!(fit(512, 256, 256), Some((256, 128)));
        assert_eq!(fit(3000, 4000, 256), Some((192, 256)));
        assert_eq!(fit(257, 257, 256), Some((256, 256)));
        assert_eq!(fit(1, 10_000, 256), Some((1, 256)));
        assert_eq!(fit(u32::MAX, 3, u32::MAX - 1), Some((u32::MAX - 1, 3)));
    }
}
