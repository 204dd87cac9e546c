//! TIFF, the first picture.

use super::orientation::Orientation;
use super::{DecodeError, DecodeLimits, Decoded, ImageFormat, pixels};
use std::borrow::Cow;
use std::io::Cursor;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

const FORMAT: ImageFormat = ImageFormat::Tiff;
/// Most bytes a sample that is decoded has.
const SAMPLE_BYTES: usize = 4;
/// Most samples of a pixel.
const MAX_CHANNELS: usize = 6;

pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32), DecodeError> {
    Decoder::new(Cursor::new(bytes)).and_then(|mut decoder| decoder.dimensions()).map_err(error)
}

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    const INDEXED: u16 = 3;
    let mut decoder = Decoder::new(Cursor::new(Cow::Borrowed(bytes))).map_err(error)?;
    let (width_px, height_px) = decoder.dimensions().map_err(error)?;
    limits.check(width_px, height_px)?;
    let color_map = match decoder.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation).map_err(error)? {
        Some(INDEXED) => {
            let color_map = decoder.get_tag_u16_vec(Tag::ColorMap).map_err(error)?;
            // The decoder reads indices only where it takes them for grays.
            let grays = as_grays(bytes).ok_or_else(|| DecodeError::unsupported(FORMAT, "this kind of palette"))?;
            decoder = Decoder::new(Cursor::new(Cow::Owned(grays))).map_err(error)?;
            Some(color_map)
        }
        _ => None,
    };
    let n_pixels = width_px as usize * height_px as usize;
    let mut memory = Limits::default();
    memory.decoding_buffer_size = n_pixels.saturating_mul(SAMPLE_BYTES * MAX_CHANNELS);
    memory.intermediate_buffer_size = memory.decoding_buffer_size.max(1 << 20);
    let mut decoder = decoder.with_limits(memory);

    let colors = decoder.colortype().map_err(error)?;
    let orientation = decoder.find_tag_unsigned::<u64>(Tag::Orientation).map_err(error)?;
    let xmp = match orientation {
        Some(_) => None,
        None => decoder.get_tag_u8_vec(Tag::Unknown(700)).ok(),
    };
    let orientation =
        orientation.map_or_else(|| Orientation::from_metadata(None, xmp.as_deref()), Orientation::from_tag);
    let premultiplied = decoder
        .find_tag_unsigned_vec::<u16>(Tag::ExtraSamples)
        .map_err(error)?
        .is_some_and(|samples| samples.first() == Some(&1));
    if decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(error)? == Some(2) && colors.num_samples() > 1
    {
        return Err(DecodeError::unsupported(FORMAT, "separate colour planes"));
    }
    let samples = decoder.read_image().map_err(error)?;

    let (width, height) = (width_px as usize, height_px as usize);
    let unsupported = || DecodeError::unsupported(FORMAT, format_args!("{colors:?} pixels"));
    let rgb = match (colors, samples) {
        (ColorType::Gray(bits @ (1 | 2 | 4 | 8)), DecodingResult::U8(v)) if let Some(color_map) = &color_map => {
            let entries = color_map.len() / 3;
            // All reds, all greens, all blues, of 16 bits each.
            let palette: Vec<u8> =
                (0..entries).flat_map(|i| [0, 1, 2].map(|c| high_byte(color_map[c * entries + i]))).collect();
            match bits {
                8 => pixels::palette(v, &palette),
                bits => pixels::palette(pixels::unpack(&v, u32::from(bits), width, height), &palette),
            }
        }
        _ if color_map.is_some() => return Err(unsupported()),
        (ColorType::Gray(8), DecodingResult::U8(v)) => pixels::gray(v),
        (ColorType::Gray(bits @ (1 | 2 | 4)), DecodingResult::U8(v)) => {
            let factor = pixels::gray_factor(u32::from(bits));
            pixels::gray(pixels::unpack(&v, u32::from(bits), width, height).into_iter().map(|v| v * factor))
        }
        // Pillow clips what does not fit 8 bits.
        (ColorType::Gray(_), DecodingResult::U16(v)) => pixels::gray(v.into_iter().map(|v| v.min(255) as u8)),
        (ColorType::Gray(_), DecodingResult::I16(v)) => pixels::gray(v.into_iter().map(|v| v.clamp(0, 255) as u8)),
        (ColorType::Gray(_), DecodingResult::U32(v)) => {
            // Read as signed numbers.
            pixels::gray(v.into_iter().map(|v| v.cast_signed().clamp(0, 255) as u8))
        }
        (ColorType::Gray(_), DecodingResult::I32(v)) => pixels::gray(v.into_iter().map(|v| v.clamp(0, 255) as u8)),
        // `as` clips and takes the fraction off.
        (ColorType::Gray(_), DecodingResult::F32(v)) => pixels::gray(v.into_iter().map(|v| v as u8)),
        (ColorType::GrayA(8) | ColorType::Multiband { bit_depth: 8, num_samples: 2 }, DecodingResult::U8(v)) => {
            pixels::gray(v.chunks_exact(2).map(|p| if premultiplied { divided(p[0], p[1]) } else { p[0] }))
        }
        (ColorType::RGB(8), DecodingResult::U8(v)) => v,
        (ColorType::RGB(16), DecodingResult::U16(v)) => v.into_iter().map(high_byte).collect(),
        (ColorType::RGBA(8), DecodingResult::U8(v)) => rgba(v, premultiplied),
        (ColorType::RGBA(16), DecodingResult::U16(v)) => rgba(v.into_iter().map(high_byte).collect(), premultiplied),
        (ColorType::CMYK(8), DecodingResult::U8(v)) => pixels::cmyk(&v),
        (ColorType::CMYK(16), DecodingResult::U16(v)) => {
            pixels::cmyk(&v.into_iter().map(high_byte).collect::<Vec<u8>>())
        }
        _ => return Err(unsupported()),
    };
    Ok(Decoded { image: pixels::image(FORMAT, width_px, height_px, rgb)?, orientation })
}

/// A copy of the file whose first picture states grays instead of indices; `None` where it is no classic TIFF.
fn as_grays(bytes: &[u8]) -> Option<Vec<u8>> {
    const PHOTOMETRIC_INTERPRETATION: u16 = 262;
    const BLACK_IS_ZERO: u8 = 1;
    let little = bytes.starts_with(b"II*\0");
    if !little && !bytes.starts_with(b"MM\0*") {
        return None;
    }
    let u16_at = |at: usize| {
        let pair = [*bytes.get(at)?, *bytes.get(at.checked_add(1)?)?];
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let (first, second) = (usize::from(u16_at(4)?), usize::from(u16_at(6)?));
    let directory = if little { second << 16 | first } else { first << 16 | second };
    let entries = (0..usize::from(u16_at(directory)?)).map(|i| directory + 2 + i * 12);
    let entry = entries.into_iter().find(|&at| u16_at(at) == Some(PHOTOMETRIC_INTERPRETATION))?;
    let mut copy = bytes.to_vec();
    *copy.get_mut(entry + if little { 8 } else { 9 })? = BLACK_IS_ZERO;
    Some(copy)
}

fn high_byte(sample: u16) -> u8 {
    (sample >> 8) as u8
}

/// Drops alpha; where the colours were multiplied with it they are divided again, as Pillow's "RGBa" is.
fn rgba(mut samples: Vec<u8>, premultiplied: bool) -> Vec<u8> {
    if premultiplied {
        for pixel in samples.chunks_exact_mut(4) {
            let alpha = pixel[3];
            pixel[..3].iter_mut().for_each(|sample| *sample = divided(*sample, alpha));
        }
    }
    pixels::first_three(samples, 4)
}

fn divided(sample: u8, alpha: u8) -> u8 {
    match alpha {
        0 | 255 => sample,
        alpha => (255 * u32::from(sample) / u32::from(alpha)).min(255) as u8,
    }
}

fn error(error: TiffError) -> DecodeError {
    match error {
        TiffError::IoError(io) => DecodeError::from_io(FORMAT, &io),
        TiffError::UnsupportedError(what) => DecodeError::unsupported(FORMAT, what),
        other => DecodeError::corrupt(FORMAT, other),
    }
}
