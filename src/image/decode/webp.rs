//! WebP, lossy and lossless; of an animation the first frame.

use super::orientation::Orientation;
use super::{DecodeError, DecodeLimits, Decoded, ImageFormat, pixels};
use image_webp::{DecodingError, WebPDecoder};
use std::io::Cursor;

const FORMAT: ImageFormat = ImageFormat::WebP;

pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32), DecodeError> {
    Ok(WebPDecoder::new(Cursor::new(bytes)).map_err(error)?.dimensions())
}

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    // Reads headers only.
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(error)?;
    let (width_px, height_px) = decoder.dimensions();
    limits.check(width_px, height_px)?;
    // The file's own length must be there: Pillow refuses what is cut off even behind the pixels.
    let riff_len = bytes.get(4..8).map(|b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    if riff_len.is_none_or(|len| bytes.len() as u64 <= len.saturating_add(6)) {
        return Err(DecodeError::Truncated);
    }

    let len = decoder.output_buffer_size().ok_or_else(|| DecodeError::corrupt(FORMAT, "its size overflows"))?;
    let mut samples = vec![0u8; len];
    if decoder.is_animated() {
        decoder.read_frame(&mut samples).map_err(error)?;
    } else {
        decoder.read_image(&mut samples).map_err(error)?;
    }
    let rgb = pixels::first_three(samples, if decoder.has_alpha() { 4 } else { 3 });
    let image = pixels::image(FORMAT, width_px, height_px, rgb)?;
    let exif = decoder.exif_metadata().unwrap_or_default();
    let xmp = decoder.xmp_metadata().unwrap_or_default();
    Ok(Decoded { image, orientation: Orientation::from_metadata(exif.as_deref(), xmp.as_deref()) })
}

fn error(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::IoError(io) => DecodeError::from_io(FORMAT, &io),
        other => DecodeError::corrupt(FORMAT, other),
    }
}
