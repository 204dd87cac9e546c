//! JPEG, with the pixels of libjpeg-turbo, which Pillow decodes with: accurate integer DCT, smooth upsampling of colour.

use super::orientation::Orientation;
use super::{DecodeError, DecodeLimits, Decoded, ImageFormat, pixels};
use libjpeg_turbo_rs::{ColorSpace, Decoder, JpegError, PixelFormat, ScalingFactor};

const FORMAT: ImageFormat = ImageFormat::Jpeg;
/// Scans of a progressive file; real ones have about ten, and each costs a pass over the whole picture.
const MAX_SCANS: usize = 500;

pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32), DecodeError> {
    let frame = frame(bytes)?;
    Ok((frame.width_px, frame.height_px))
}

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    decode_at(bytes, limits, |_, _| 1)
}

/// As [`decode`], with both sides divided by 2, 4 or 8 (rounded up) while they stay at `least_px` or more: each block of
/// coefficients becomes a smaller block of pixels, which saves most of the work behind the entropy decoding. Also the size of
/// the whole picture as it is stored.
pub(super) fn decode_reduced(
    bytes: &[u8],
    limits: &DecodeLimits,
    least_px: u32,
) -> Result<(Decoded, (u32, u32)), DecodeError> {
    let mut whole = (0, 0);
    let decoded = decode_at(bytes, limits, |width_px, height_px| {
        whole = (width_px, height_px);
        let fits = |divisor: &u32| width_px.min(height_px) / divisor >= least_px;
        [8, 4, 2].into_iter().find(fits).unwrap_or(1)
    })?;
    Ok((decoded, whole))
}

fn decode_at(
    bytes: &[u8],
    limits: &DecodeLimits,
    divisor: impl FnOnce(u32, u32) -> u32,
) -> Result<Decoded, DecodeError> {
    let Frame { width_px, height_px, orientation, scan_start } = frame(bytes)?;
    limits.check(width_px, height_px)?;
    // Compressed data escapes its 0xff, so these two bytes are the end and nothing else.
    if !bytes[scan_start..].windows(2).rev().any(|pair| pair == b"\xff\xd9") {
        return Err(DecodeError::Truncated);
    }

    let decoder_limits = libjpeg_turbo_rs::DecodeLimits { max_scans: MAX_SCANS, ..Default::default() };
    let mut decoder = Decoder::new_with_limits(bytes, decoder_limits).map_err(error)?;
    let header = decoder.header();
    if header.precision != 8 {
        return Err(DecodeError::unsupported(FORMAT, format_args!("{} bits a sample", header.precision)));
    }
    if header.dimensions() != (width_px as usize, height_px as usize) {
        return Err(DecodeError::corrupt(FORMAT, "it states two sizes"));
    }
    let colors = match decoder.jpeg_color_space() {
        ColorSpace::Cmyk | ColorSpace::Ycck => PixelFormat::Cmyk,
        ColorSpace::Grayscale => PixelFormat::Grayscale,
        _ => PixelFormat::Rgb,
    };
    decoder.set_output_format(colors);
    let divisor = divisor(width_px, height_px);
    if divisor > 1 {
        decoder.set_scale(ScalingFactor::new(1, divisor));
    }
    let mut samples = decoder.decode_image().map_err(error)?.data;
    let rgb = match colors {
        PixelFormat::Cmyk => {
            // Pillow takes four colours as inverted, as Adobe writes them, whether a marker says so or not.
            samples.iter_mut().for_each(|sample| *sample = !*sample);
            pixels::cmyk(&samples)
        }
        PixelFormat::Grayscale => pixels::gray(samples),
        _ => samples,
    };
    let (width_px, height_px) = (width_px.div_ceil(divisor), height_px.div_ceil(divisor));
    Ok(Decoded { image: pixels::image(FORMAT, width_px, height_px, rgb)?, orientation })
}

fn error(error: JpegError) -> DecodeError {
    match error {
        JpegError::UnexpectedEof => DecodeError::Truncated,
        JpegError::Unsupported(what) => DecodeError::unsupported(FORMAT, what),
        other => DecodeError::corrupt(FORMAT, other),
    }
}

/// What the markers before the first scan say.
struct Frame {
    width_px: u32,
    height_px: u32,
    orientation: Orientation,
    /// Where the first scan's compressed data begin.
    scan_start: usize,
}

/// Walks the markers up to the first scan.
fn frame(bytes: &[u8]) -> Result<Frame, DecodeError> {
    let (mut size, mut exif, mut xmp) = (None, None, None);
    let mut at = 2;
    loop {
        // Any number of fill bytes may come before a marker; Pillow skips other rubbish too.
        while *bytes.get(at).ok_or(DecodeError::Truncated)? != 0xff {
            at += 1;
        }
        while *bytes.get(at).ok_or(DecodeError::Truncated)? == 0xff {
            at += 1;
        }
        let marker = bytes[at];
        at += 1;
        match marker {
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            0xd9 => return Err(DecodeError::corrupt(FORMAT, "it ends before its picture")),
            _ => {}
        }
        let len = match bytes.get(at..at + 2) {
            Some(len) => usize::from(u16::from_be_bytes([len[0], len[1]])),
            None => return Err(DecodeError::Truncated),
        };
        if len < 2 {
            return Err(DecodeError::corrupt(FORMAT, "a segment is shorter than its header"));
        }
        let segment = bytes.get(at + 2..at + len).ok_or(DecodeError::Truncated)?;
        at += len;
        match marker {
            // Every start of frame; c4, c8 and cc mean something else.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => match *segment {
                [_, h1, h0, w1, w0, ..] => {
                    size = Some((u32::from(u16::from_be_bytes([w1, w0])), u32::from(u16::from_be_bytes([h1, h0]))));
                }
                _ => return Err(DecodeError::corrupt(FORMAT, "its frame header is too short")),
            },
            0xe1 => {
                if let Some(data) = segment.strip_prefix(b"Exif\0\0") {
                    exif.get_or_insert(data);
                } else if let Some(data) = segment.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
                    xmp = Some(data);
                }
            }
            0xda => break,
            _ => {}
        }
    }
    let (width_px, height_px) = size.ok_or_else(|| DecodeError::corrupt(FORMAT, "it has no frame header"))?;
    Ok(Frame { width_px, height_px, orientation: Orientation::from_metadata(exif, xmp), scan_start: at })
}
