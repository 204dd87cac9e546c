//! Stored samples to RGB, with Pillow's arithmetic.

use super::{DecodeError, ImageFormat};
use crate::image::Rgb8Image;

/// Wraps the pixels; a wrong number of them means a damaged file.
pub(super) fn image(
    format: ImageFormat,
    width_px: u32,
    height_px: u32,
    pixels: Vec<u8>,
) -> Result<Rgb8Image, DecodeError> {
    Rgb8Image::new(width_px, height_px, pixels)
        .ok_or_else(|| DecodeError::corrupt(format, "the number of pixels does not fit its size"))
}

/// Gray to RGB.
pub(super) fn gray(samples: impl IntoIterator<Item = u8>) -> Vec<u8> {
    samples.into_iter().flat_map(|v| [v; 3]).collect()
}

/// The first three of every `n` samples.
pub(super) fn first_three(samples: Vec<u8>, n: usize) -> Vec<u8> {
    if n == 3 {
        return samples;
    }
    samples.chunks_exact(n).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

/// Indices into a palette of RGB triples; beyond its end everything is black.
pub(super) fn palette(indices: impl IntoIterator<Item = u8>, palette: &[u8]) -> Vec<u8> {
    let mut colors = [[0u8; 3]; 256];
    for (color, entry) in colors.iter_mut().zip(palette.chunks_exact(3)) {
        color.copy_from_slice(entry);
    }
    indices.into_iter().flat_map(|i| colors[usize::from(i)]).collect()
}

/// CMYK (0 is no ink) to RGB: `(255 - ink) * (255 - k) / 255`, rounded as Pillow's `MULDIV255` rounds it.
pub(super) fn cmyk(samples: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(samples.len() / 4 * 3);
    for pixel in samples.chunks_exact(4) {
        let rest = 255 - u32::from(pixel[3]);
        out.extend(pixel[..3].iter().map(|&ink| {
            let product = u32::from(ink) * rest + 128;
            rest.saturating_sub(((product >> 8) + product) >> 8) as u8
        }));
    }
    out
}

/// Samples of `bits` (1, 2 or 4) bits, the first in the highest ones, rows padded to whole bytes.
pub(super) fn unpack(packed: &[u8], bits: u32, width: usize, height: usize) -> Vec<u8> {
    let per_byte = 8 / bits as usize;
    let row_len = width.div_ceil(per_byte);
    let mask = ((1u16 << bits) - 1) as u8;
    let mut out = Vec::with_capacity(width * height);
    for row in packed.chunks_exact(row_len.max(1)).take(height) {
        out.extend((0..width).map(|x| {
            let shift = 8 - bits as usize * (x % per_byte + 1);
            (row[x / per_byte] >> shift) & mask
        }));
    }
    out
}

/// Factor that brings the largest sample of `bits` bits to 255.
pub(super) fn gray_factor(bits: u32) -> u8 {
    (255 / ((1u32 << bits.clamp(1, 8)) - 1)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_unpacked_from_the_top() {
        assert_eq!(unpack(&[0b1010_0000, 0xff], 1, 3, 1), [1, 0, 1]);
        assert_eq!(unpack(&[0x1b, 0x40], 2, 5, 1), [0, 1, 2, 3, 1]);
        assert_eq!(unpack(&[0x12, 0x30, 0x45, 0x60], 4, 3, 2), [1, 2, 3, 4, 5, 6]);
        assert_eq!([1, 2, 4, 8].map(gray_factor), [255, 85, 17, 1]);
    }

    #[test]
    fn inks_take_light_away() {
        assert_eq!(cmyk(&[0, 0, 0, 0, 255, 0, 0, 0, 0, 128, 255, 128]), [255, 255, 255, 0, 255, 255, 127, 63, 0]);
    }
}
