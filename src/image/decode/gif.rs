//! GIF, the first frame.

use super::orientation::Orientation;
use super::{DecodeError, DecodeLimits, Decoded, ImageFormat, pixels};
use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, MemoryLimit};
use std::io::Cursor;

const FORMAT: ImageFormat = ImageFormat::Gif;

pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32), DecodeError> {
    let decoder = open(bytes)?;
    Ok((u32::from(decoder.width()), u32::from(decoder.height())))
}

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let mut decoder = open(bytes)?;
    let frame = decoder.next_frame_info().map_err(error)?;
    let frame = frame.ok_or_else(|| DecodeError::corrupt(FORMAT, "it has no frame"))?;
    let (left, top) = (u32::from(frame.left), u32::from(frame.top));
    let (frame_width, frame_height) = (u32::from(frame.width), u32::from(frame.height));
    // What no pixel of the frame covers shows the transparent colour, or else the first one.
    let ground = frame.transparent.unwrap_or(0);
    let local_palette = frame.palette.clone();
    // Like Pillow, a frame that leaves the screen makes it larger.
    let width_px = u32::from(decoder.width()).max(left + frame_width);
    let height_px = u32::from(decoder.height()).max(top + frame_height);
    limits.check(width_px, height_px)?;

    let mut picture = vec![0u8; decoder.buffer_size()];
    decoder.read_into_buffer(&mut picture).map_err(error)?;
    let mut indices = vec![ground; width_px as usize * height_px as usize];
    let screen = indices.chunks_exact_mut(width_px as usize).skip(top as usize);
    for (row, source) in screen.zip(picture.chunks_exact((frame_width as usize).max(1))) {
        row[left as usize..][..frame_width as usize].copy_from_slice(source);
    }
    let palette = local_palette.as_deref().or(decoder.global_palette()).unwrap_or_default();
    let rgb = pixels::palette(indices, palette);
    Ok(Decoded { image: pixels::image(FORMAT, width_px, height_px, rgb)?, orientation: Orientation::Upright })
}

fn open(bytes: &[u8]) -> Result<Decoder<Cursor<&[u8]>>, DecodeError> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    // The limits on pixels are checked before a frame is read; one index a pixel is all it takes.
    options.set_memory_limit(MemoryLimit::Unlimited);
    options.read_info(Cursor::new(bytes)).map_err(error)
}

fn error(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::Io(io) => DecodeError::from_io(FORMAT, &io),
        DecodingError::UnexpectedEof => DecodeError::Truncated,
        other => DecodeError::corrupt(FORMAT, other),
    }
}
