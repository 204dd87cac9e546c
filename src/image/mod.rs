//! From bytes to the tensor that a backbone takes. No files, no threads: bytes in, values out.
//!
//! Order of the stages, which their types enforce: [`decode`] (bytes -> [`Rgb8Image`]), [`preprocess`]
//! ([`Rgb8Image`] -> [`PixelBatch`](preprocess::PixelBatch)). Every step equals Pillow's, since Pillow is what the
//! field trains and deploys with.

pub mod decode;
pub mod miniature;
pub mod oddity;
pub mod preprocess;
pub mod resize;
pub mod similarity;
pub mod spec;

/// An image as 8-bit sRGB, H x W x 3, EXIF orientation applied, alpha dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb8Image {
    width_px: u32,
    height_px: u32,
    pixels: Vec<u8>,
}

impl Rgb8Image {
    /// Wraps `height_px * width_px * 3` bytes, row by row; `None` when their number is another or a side is zero.
    pub fn new(width_px: u32, height_px: u32, pixels: Vec<u8>) -> Option<Self> {
        let n = (width_px as usize).checked_mul(height_px as usize)?.checked_mul(3)?;
        (n > 0 && n == pixels.len()).then_some(Self { width_px, height_px, pixels })
    }

    /// Width in pixels, at least 1.
    pub fn width_px(&self) -> u32 {
        self.width_px
    }

    /// Height in pixels, at least 1.
    pub fn height_px(&self) -> u32 {
        self.height_px
    }

    /// The bytes, as [`Self::pixels`].
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// Bytes of shape `[height_px, width_px, 3]`, row-major, RGB.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// A rectangle of the image; `None` when it is empty or leaves the image.
    pub fn region(&self, left_px: u32, top_px: u32, width_px: u32, height_px: u32) -> Option<Self> {
        let (right_px, bottom_px) = (left_px.checked_add(width_px)?, top_px.checked_add(height_px)?);
        if right_px > self.width_px || bottom_px > self.height_px {
            return None;
        }
        let row_len = self.width_px as usize * 3;
        let rows = self.pixels.chunks_exact(row_len).skip(top_px as usize).take(height_px as usize);
        let pixels = rows.flat_map(|row| &row[left_px as usize * 3..right_px as usize * 3]).copied().collect();
        Self::new(width_px, height_px, pixels)
    }
}
