//! Bytes of an image file to [`Rgb8Image`], with the pixels that Pillow gives:
//! `ImageOps.exif_transpose(Image.open(file)).convert("RGB")`.
//!
//! The format is found in the content, never in a name. Sizes are checked from the header, before any memory for pixels
//! is taken, and a decoder that panics becomes an error: these bytes come from anywhere.

mod bmp;
mod error;
mod gif;
mod jpeg;
mod orientation;
mod pixels;
mod png;
mod sniff;
mod tiff;
mod webp;

pub use error::{DecodeError, ImageFormat};

use super::Rgb8Image;
use orientation::Orientation;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is still decoded; larger images are refused by their header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most pixels, width times height.
    pub max_pixels: u64,
    /// Longest side, in pixels.
    pub max_side_px: u32,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_pixels: 100_000_000, max_side_px: 65_535 }
    }
}

impl DecodeLimits {
    /// No limit but the formats' own; for reading headers.
    const NONE: Self = Self { max_pixels: u64::MAX, max_side_px: u32::MAX };

    fn check(&self, width_px: u32, height_px: u32) -> Result<(), DecodeError> {
        if width_px == 0 || height_px == 0 {
            return Err(DecodeError::Empty);
        }
        let too_many = u64::from(width_px) * u64::from(height_px) > self.max_pixels;
        if too_many || width_px.max(height_px) > self.max_side_px {
            return Err(DecodeError::TooLarge { width_px, height_px, max_pixels: self.max_pixels });
        }
        Ok(())
    }
}

/// What a format's decoder returns: the stored pixels, and how the camera was held.
struct Decoded {
    image: Rgb8Image,
    orientation: Orientation,
}

/// Decodes the first picture of a JPEG, PNG, WebP, GIF, TIFF or BMP file.
///
/// # Errors
/// When the bytes are no image, of a format or variant that is not supported, cut off, larger than `limits`, or damaged.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Rgb8Image, DecodeError> {
    let format = sniff::format(bytes)?;
    let decoded = guarded(format, || match format {
        ImageFormat::Jpeg => jpeg::decode(bytes, limits),
        ImageFormat::Png => png::decode(bytes, limits),
        ImageFormat::WebP => webp::decode(bytes, limits),
        ImageFormat::Gif => gif::decode(bytes, limits),
        ImageFormat::Tiff => tiff::decode(bytes, limits),
        ImageFormat::Bmp => bmp::decode(bytes, limits),
    })?;
    Ok(decoded.orientation.apply(decoded.image))
}

/// A picture that may be smaller than the whole image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduced {
    /// The picture, upright.
    pub image: Rgb8Image,
    /// Width of the whole image, upright, in pixels.
    pub full_width_px: u32,
    /// Height of the whole image, upright, in pixels.
    pub full_height_px: u32,
}

/// As [`decode`] where what is wanted is a picture of about `least_px` pixels a side: a JPEG is decoded at a half, a quarter
/// or an eighth of its size while both sides stay at `least_px` or more. Other formats come as they are.
///
/// # Errors
/// As [`decode`].
pub fn decode_reduced(bytes: &[u8], limits: &DecodeLimits, least_px: u32) -> Result<Reduced, DecodeError> {
    if sniff::format(bytes)? != ImageFormat::Jpeg {
        let image = decode(bytes, limits)?;
        let (full_width_px, full_height_px) = (image.width_px(), image.height_px());
        return Ok(Reduced { image, full_width_px, full_height_px });
    }
    let (decoded, whole) = guarded(ImageFormat::Jpeg, || jpeg::decode_reduced(bytes, limits, least_px))?;
    let (full_width_px, full_height_px) = decoded.orientation.upright_size(whole.0, whole.1);
    Ok(Reduced { image: decoded.orientation.apply(decoded.image), full_width_px, full_height_px })
}

/// Whether the first bytes of a file (32 are enough) are those of an image, readable here or not.
pub fn is_image(first_bytes: &[u8]) -> bool {
    !matches!(sniff::format(first_bytes), Err(DecodeError::NotAnImage | DecodeError::Empty))
}

/// Width and height in pixels as the header states them, before any orientation is applied.
///
/// # Errors
/// When the bytes are no image, of a format that is not supported, or their header is cut off or damaged.
pub fn probe_size(bytes: &[u8]) -> Result<(u32, u32), DecodeError> {
    let format = sniff::format(bytes)?;
    let (width_px, height_px) = guarded(format, || match format {
        ImageFormat::Jpeg => jpeg::size(bytes),
        ImageFormat::Png => png::size(bytes),
        ImageFormat::WebP => webp::size(bytes),
        ImageFormat::Gif => gif::size(bytes),
        ImageFormat::Tiff => tiff::size(bytes),
        ImageFormat::Bmp => bmp::size(bytes),
    })?;
    DecodeLimits::NONE.check(width_px, height_px)?;
    Ok((width_px, height_px))
}

thread_local! {
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside a decoder whose panics become errors: a program's panic hook has nothing to say then.
pub fn is_decoding() -> bool {
    IS_DECODING.get()
}

/// Runs a third party's decoder; a panic inside becomes [`DecodeError::Corrupt`].
fn guarded<T>(format: ImageFormat, decoder: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    IS_DECODING.set(true);
    // Nothing outlives the call but its result, so no broken state can be seen after a panic.
    let result = catch_unwind(AssertUnwindSafe(decoder));
    IS_DECODING.set(false);
    result.unwrap_or_else(|_| Err(DecodeError::Corrupt { format, message: "the decoder gave up".to_owned() }))
}
