//! PNG of every bit depth and colour type.

use super::orientation::Orientation;
use super::{DecodeError, DecodeLimits, Decoded, ImageFormat, pixels};
use png::{BitDepth, ColorType, Decoder, DecodingError, Info, Limits, Transformations};
use std::io::Cursor;

const FORMAT: ImageFormat = ImageFormat::Png;
/// Memory for what is not pixels: text, profiles, the inflater's window.
const METADATA_BYTES: usize = 64 << 20;

pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32), DecodeError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    let info = decoder.read_header_info().map_err(error)?;
    Ok((info.width, info.height))
}

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let (width_px, height_px) = size(bytes)?;
    limits.check(width_px, height_px)?;

    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: METADATA_BYTES });
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(error)?;
    let len = reader.output_buffer_size().ok_or_else(|| DecodeError::corrupt(FORMAT, "its size overflows"))?;
    let mut samples = vec![0u8; len];
    let frame = reader.next_frame(&mut samples).map_err(error)?;
    samples.truncate(frame.buffer_size());
    if (frame.width, frame.height) != (width_px, height_px) {
        return Err(DecodeError::corrupt(FORMAT, "its first frame has another size"));
    }
    // Metadata may follow the pixels; damage behind them is none of ours.
    let orientation = if reader.finish().is_ok() { orientation(reader.info()) } else { Orientation::Upright };

    let (width, height) = (width_px as usize, height_px as usize);
    let rgb = match (frame.color_type, frame.bit_depth) {
        (ColorType::Grayscale, BitDepth::Sixteen) => {
            // Pillow's "I;16" to "RGB" clips what does not fit 8 bits.
            pixels::gray(samples.chunks_exact(2).map(|sample| if sample[0] == 0 { sample[1] } else { 255 }))
        }
        (ColorType::Grayscale, BitDepth::Eight) => pixels::gray(samples),
        (ColorType::Grayscale, depth) => {
            let bits = depth as u32;
            let factor = pixels::gray_factor(bits);
            pixels::gray(pixels::unpack(&samples, bits, width, height).into_iter().map(|v| v * factor))
        }
        (ColorType::Indexed, depth) => {
            let palette = reader.info().palette.as_deref().unwrap_or_default();
            match depth {
                BitDepth::Eight => pixels::palette(samples, palette),
                depth => pixels::palette(pixels::unpack(&samples, depth as u32, width, height), palette),
            }
        }
        (ColorType::GrayscaleAlpha, BitDepth::Sixteen) => pixels::gray(samples.chunks_exact(4).map(|pixel| pixel[0])),
        (ColorType::GrayscaleAlpha, _) => pixels::gray(samples.chunks_exact(2).map(|pixel| pixel[0])),
        (ColorType::Rgb, BitDepth::Sixteen) => high_bytes(&samples).collect(),
        (ColorType::Rgba, BitDepth::Sixteen) => pixels::first_three(high_bytes(&samples).collect(), 4),
        (ColorType::Rgb, _) => samples,
        (ColorType::Rgba, _) => pixels::first_three(samples, 4),
    };
    Ok(Decoded { image: pixels::image(FORMAT, width_px, height_px, rgb)?, orientation })
}

/// The first of every two bytes.
fn high_bytes(samples: &[u8]) -> impl Iterator<Item = u8> + '_ {
    samples.chunks_exact(2).map(|sample| sample[0])
}

/// From the eXIf chunk, or the text chunk that ImageMagick writes, or XMP.
fn orientation(info: &Info<'_>) -> Orientation {
    let profile = info.exif_metadata.is_none().then(|| raw_profile(info)).flatten();
    let xmp = info.utf8_text.iter().find(|chunk| chunk.keyword == "XML:com.adobe.xmp");
    let xmp = xmp.and_then(|chunk| chunk.get_text().ok());
    Orientation::from_metadata(info.exif_metadata.as_deref().or(profile.as_deref()), xmp.as_deref().map(str::as_bytes))
}

/// "Raw profile type exif": an empty line, a name, a length, then hexadecimal digits.
fn raw_profile(info: &Info<'_>) -> Option<Vec<u8>> {
    const KEYWORD: &str = "Raw profile type exif";
    let plain = info.uncompressed_latin1_text.iter().find(|chunk| chunk.keyword == KEYWORD).map(|c| c.text.clone());
    let text = plain.or_else(|| {
        let chunk = info.compressed_latin1_text.iter().find(|chunk| chunk.keyword == KEYWORD)?;
        chunk.get_text().ok()
    })?;
    let digits: Vec<u8> = text.split('\n').skip(3).flat_map(str::bytes).filter(u8::is_ascii_hexdigit).collect();
    let value = |digit: u8| (digit as char).to_digit(16).map(|v| v as u8);
    digits.chunks_exact(2).map(|pair| Some(value(pair[0])? << 4 | value(pair[1])?)).collect()
}

fn error(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::IoError(io) => DecodeError::from_io(FORMAT, &io),
        other => DecodeError::corrupt(FORMAT, other),
    }
}
