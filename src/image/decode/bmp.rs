//! Windows bitmaps.

use super::orientation::Orientation;
use super::{DecodeError, DecodeLimits, Decoded, ImageFormat, pixels};
use image::codecs::bmp::BmpDecoder;
use image::{ColorType, ImageDecoder, ImageError};
use std::io::Cursor;

const FORMAT: ImageFormat = ImageFormat::Bmp;

pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32), DecodeError> {
    Ok(BmpDecoder::new(Cursor::new(bytes)).map_err(error)?.dimensions())
}

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(error)?;
    let (width_px, height_px) = decoder.dimensions();
    limits.check(width_px, height_px)?;
    let n_channels = match decoder.color_type() {
        ColorType::Rgb8 => 3,
        ColorType::Rgba8 => 4,
        other => return Err(DecodeError::unsupported(FORMAT, format_args!("{other:?} pixels"))),
    };
    let mut samples = vec![0u8; width_px as usize * height_px as usize * n_channels];
    decoder.read_image(&mut samples).map_err(error)?;
    let rgb = pixels::first_three(samples, n_channels);
    Ok(Decoded { image: pixels::image(FORMAT, width_px, height_px, rgb)?, orientation: Orientation::Upright })
}

fn error(error: ImageError) -> DecodeError {
    match error {
        ImageError::IoError(io) => DecodeError::from_io(FORMAT, &io),
        ImageError::Unsupported(what) => DecodeError::unsupported(FORMAT, what),
        other => DecodeError::corrupt(FORMAT, other),
    }
}
