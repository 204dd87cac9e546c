//! How the camera was held: the orientation of EXIF, or of XMP where EXIF has none, as Pillow's `getexif` reads it.

use crate::image::Rgb8Image;

/// The EXIF orientation, 1 to 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Orientation {
    /// 1, and everything that is no orientation.
    #[default]
    Upright,
    /// 2
    FlipLeftRight,
    /// 3
    Rotate180,
    /// 4
    FlipTopBottom,
    /// 5: mirrored along the main diagonal.
    Transpose,
    /// 6: the picture is turned clockwise.
    Rotate90Clockwise,
    /// 7: mirrored along the other diagonal.
    Transverse,
    /// 8: the picture is turned counter-clockwise.
    Rotate90CounterClockwise,
}

impl Orientation {
    /// From the tag's value.
    pub(super) fn from_tag(value: u64) -> Self {
        match value {
            2 => Self::FlipLeftRight,
            3 => Self::Rotate180,
            4 => Self::FlipTopBottom,
            5 => Self::Transpose,
            6 => Self::Rotate90Clockwise,
            7 => Self::Transverse,
            8 => Self::Rotate90CounterClockwise,
            _ => Self::Upright,
        }
    }

    /// From EXIF (with or without its `Exif\0\0`) and, where that has no orientation, XMP.
    pub(super) fn from_metadata(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Self {
        exif.and_then(exif_tag).or_else(|| xmp.and_then(xmp_tag)).map_or(Self::Upright, Self::from_tag)
    }

    /// Width and height of the upright picture.
    pub(super) fn upright_size(self, width_px: u32, height_px: u32) -> (u32, u32) {
        match self {
            Self::Transpose | Self::Rotate90Clockwise | Self::Transverse | Self::Rotate90CounterClockwise => {
                (height_px, width_px)
            }
            Self::Upright | Self::FlipLeftRight | Self::Rotate180 | Self::FlipTopBottom => (width_px, height_px),
        }
    }

    /// Turns the picture upright.
    pub(super) fn apply(self, image: Rgb8Image) -> Rgb8Image {
        let (width, height) = (image.width_px as usize, image.height_px as usize);
        // Source pixel of the upright picture's pixel at (x, y).
        let source: fn(usize, usize, usize, usize) -> (usize, usize) = match self {
            Self::Upright => return image,
            Self::FlipLeftRight => |x, y, w, _| (w - 1 - x, y),
            Self::Rotate180 => |x, y, w, h| (w - 1 - x, h - 1 - y),
            Self::FlipTopBottom => |x, y, _, h| (x, h - 1 - y),
            Self::Transpose => |x, y, _, _| (y, x),
            Self::Rotate90Clockwise => |x, y, _, h| (y, h - 1 - x),
            Self::Transverse => |x, y, w, h| (w - 1 - y, h - 1 - x),
            Self::Rotate90CounterClockwise => |x, y, w, _| (w - 1 - y, x),
        };
        let (width_px, height_px) = self.upright_size(image.width_px, image.height_px);
        let mut pixels = vec![0u8; image.pixels.len()];
        for (y, row) in pixels.chunks_exact_mut(width_px as usize * 3).enumerate() {
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                let (from_x, from_y) = source(x, y, width, height);
                let from = (from_y * width + from_x) * 3;
                pixel.copy_from_slice(&image.pixels[from..from + 3]);
            }
        }
        Rgb8Image { width_px, height_px, pixels }
    }
}

/// The orientation tag of the first directory of EXIF's TIFF structure; a damaged one has none.
fn exif_tag(exif: &[u8]) -> Option<u64> {
    const ORIENTATION: u16 = 0x0112;
    let mut tiff = exif;
    while let Some(rest) = tiff.strip_prefix(b"Exif\0\0") {
        tiff = rest;
    }
    let little = match tiff.get(..2)? {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let bytes = [*tiff.get(at)?, *tiff.get(at.checked_add(1)?)?];
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let u32_at = |at: usize| {
        let (first, second) = (u32::from(u16_at(at)?), u32::from(u16_at(at.checked_add(2)?)?));
        Some(if little { second << 16 | first } else { first << 16 | second })
    };
    let directory = usize::try_from(u32_at(4)?).ok()?;
    for entry in 0..usize::from(u16_at(directory)?) {
        let at = directory.checked_add(2 + entry * 12)?;
        if u16_at(at)? != ORIENTATION {
            continue;
        }
        return match u16_at(at + 2)? {
            1 => tiff.get(at + 8).map(|&v| u64::from(v)),
            3 => u16_at(at + 8).map(u64::from),
            4 => u32_at(at + 8).map(u64::from),
            _ => None,
        };
    }
    None
}

/// Pillow's `tiff:Orientation(="|>)([0-9])`.
fn xmp_tag(xmp: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"tiff:Orientation";
    xmp.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME).find_map(|(at, _)| {
        let rest = &xmp[at + NAME.len()..];
        let value = rest.strip_prefix(b"=\"").or_else(|| rest.strip_prefix(b">"))?;
        value.first().filter(|digit| digit.is_ascii_digit()).map(|digit| u64::from(digit - b'0'))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn every_orientation_turns_the_picture_upright() {
        // 2 x 3 pixels: 0 1 / 2 3 / 4 5. Expected from Pillow's exif_transpose.
        let image = Rgb8Image::new(2, 3, (0..6).flat_map(|v| [v; 3]).collect()).unwrap();
        let expected: [(u64, u32, [u8; 6]); 8] = [
            (1, 2, [0, 1, 2, 3, 4, 5]),
            (2, 2, [1, 0, 3, 2, 5, 4]),
            (3, 2, [5, 4, 3, 2, 1, 0]),
            (4, 2, [4, 5, 2, 3, 0, 1]),
            (5, 3, [0, 2, 4, 1, 3, 5]),
            (6, 3, [4, 2, 0, 5, 3, 1]),
            (7, 3, [5, 3, 1, 4, 2, 0]),
            (8, 3, [1, 3, 5, 0, 2, 4]),
        ];
        for (tag, width_px, values) in expected {
            let upright = Orientation::from_tag(tag).apply(image.clone());
            let found: Vec<u8> = upright.pixels().iter().step_by(3).copied().collect();
            assert_eq!((upright.width_px(), found.as_slice()), (width_px, values.as_slice()), "orientation {tag}");
        }
    }

    #[test]
    fn exif_is_read_in_both_byte_orders() {
        let little = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0";
        assert_eq!(exif_tag(little), Some(6));
        assert_eq!(exif_tag(big), Some(8));
        for n in 0..little.len() - 2 {
            assert!(matches!(exif_tag(&little[..n]), None | Some(6)));
        }
    }

    #[test]
    fn xmp_speaks_where_exif_is_silent() {
        let xmp = b"<rdf tiff:Orientation=\"3\"/>".as_slice();
        assert_eq!(Orientation::from_metadata(None, Some(xmp)), Orientation::Rotate180);
        let element = b"<tiff:Orientation>8</tiff:Orientation>".as_slice();
        assert_eq!(Orientation::from_metadata(None, Some(element)), Orientation::Rotate90CounterClockwise);
        assert_eq!(Orientation::from_metadata(None, Some(b"tiff:Orientation")), Orientation::Upright);
    }
}
