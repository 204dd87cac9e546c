//! The format, from the first bytes.

use super::{DecodeError, ImageFormat};

/// Finds the format of `bytes`.
pub(super) fn format(bytes: &[u8]) -> Result<ImageFormat, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let riff = |kind: &[u8]| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(kind);
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Ok(ImageFormat::Jpeg);
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(ImageFormat::Png);
    }
    if riff(b"WEBP") {
        return Ok(ImageFormat::WebP);
    }
    if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        return Ok(ImageFormat::Gif);
    }
    if [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| bytes.starts_with(*magic)) {
        return Ok(ImageFormat::Tiff);
    }
    // Two letters alone would take any text that begins so: a bitmap's header also names its own size.
    let header_len = bytes.get(14..18).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    if bytes.starts_with(b"BM") && matches!(header_len, Some(12 | 40 | 52 | 56 | 64 | 108 | 124)) {
        return Ok(ImageFormat::Bmp);
    }
    match other_format(bytes) {
        Some(format) => Err(DecodeError::unsupported(format, "its compression")),
        None => Err(DecodeError::NotAnImage),
    }
}

/// Names image formats that are recognised only to say so.
fn other_format(bytes: &[u8]) -> Option<&'static str> {
    if bytes.get(4..8) == Some(b"ftyp") {
        return match bytes.get(8..12) {
            Some(b"avif" | b"avis") => Some("AVIF"),
            Some(b"heic" | b"heix" | b"hevc" | b"hevx" | b"mif1" | b"msf1") => Some("HEIC"),
            _ => None,
        };
    }
    const MAGICS: [(&[u8], &str); 7] = [
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51", "JPEG 2000"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\xff\x0a", "JPEG XL"),
        (b"8BPS", "Photoshop"),
        (b"\0\0\x01\0", "ICO"),
        (b"\x76\x2f\x31\x01", "OpenEXR"),
    ];
    MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|&(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_found_in_the_content() {
        assert_eq!(format(b""), Err(DecodeError::Empty));
        assert_eq!(format(b"\xff\xd8\xff\xe0"), Ok(ImageFormat::Jpeg));
        assert_eq!(format(b"GIF89a"), Ok(ImageFormat::Gif));
        assert_eq!(format(b"MM\0*\0\0\0\x08"), Ok(ImageFormat::Tiff));
        assert_eq!(format(b"RIFF\x10\0\0\0WEBPVP8 "), Ok(ImageFormat::WebP));
        assert_eq!(format(b"RIFF\x10\0\0\0WAVEfmt "), Err(DecodeError::NotAnImage));
        assert_eq!(format(b"BMW is a maker of cars"), Err(DecodeError::NotAnImage));
        assert_eq!(format(b"hello"), Err(DecodeError::NotAnImage));
        assert!(matches!(format(b"\0\0\0\x1cftypheic"), Err(DecodeError::Unsupported { .. })));
    }
}
