//! An image as 64 x 64 grey pixels, with what else says whether it is an odd one: what is compared where the same picture
//! may have been resized, recompressed, cropped or mirrored.

use super::Rgb8Image;

/// Pixels of a side.
pub const SIDE_PX: usize = 64;

/// A side with fewer pixels than this is not decoded smaller than it is: some pixels are averaged into each.
pub const LEAST_DECODED_PX: u32 = 2 * SIDE_PX as u32;

/// Values of a [`Miniature`] as [`Miniature::to_values`] gives them.
pub const N_VALUES: usize = (SIDE_PX * SIDE_PX).div_ceil(BYTES_A_VALUE) + 3;

/// Whole numbers of 24 bits are exact in an f32.
const BYTES_A_VALUE: usize = 3;

/// A small grey copy of an image, and facts about the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Miniature {
    /// Luma (ITU-R 601) of `SIDE_PX * SIDE_PX` pixels, row by row; each is the mean of the area that it stands for, whatever
    /// the image's shape.
    pub luma: Box<[u8]>,
    /// Width of the whole image, upright, in pixels.
    pub width_px: u32,
    /// Height of the whole image, upright, in pixels.
    pub height_px: u32,
    /// Standard deviation of the colour channel that varies most among the averaged pixels, in levels of 0 to 255.
    pub spread: f32,
}

impl Miniature {
    /// Of a picture that may have been decoded smaller than the whole image, which has `width_px` x `height_px` pixels.
    pub fn new(image: &Rgb8Image, width_px: u32, height_px: u32) -> Self {
        let (columns, rows) = (Areas::new(image.width_px() as usize), Areas::new(image.height_px() as usize));
        let row_len = image.width_px() as usize * 3;
        let mut small = vec![0.0_f32; SIDE_PX * SIDE_PX * 3];
        let mut row = vec![0.0_f32; row_len];
        for (y, out) in small.chunks_exact_mut(SIDE_PX * 3).enumerate() {
            row.fill(0.0);
            for (source, weight) in rows.of(y) {
                let pixels = &image.pixels()[source * row_len..(source + 1) * row_len];
                row.iter_mut().zip(pixels).for_each(|(sum, &v)| *sum += weight * f32::from(v));
            }
            for (x, out) in out.chunks_exact_mut(3).enumerate() {
                for (source, weight) in columns.of(x) {
                    let pixel = &row[source * 3..source * 3 + 3];
                    out.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += weight * v);
                }
            }
        }
        let luma = |p: &[f32]| (0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]).round() as u8;
        let spread = (0..3).map(|channel| deviation(&small, channel)).fold(0.0, f32::max);
        Self { luma: small.chunks_exact(3).map(luma).collect(), width_px, height_px, spread }
    }

    /// As [`N_VALUES`] numbers, for a cache of numbers.
    pub fn to_values(&self) -> Box<[f32]> {
        let packed = self.luma.chunks(BYTES_A_VALUE).map(|bytes| {
            let number = bytes.iter().fold(0_u32, |number, &byte| number << 8 | u32::from(byte));
            number as f32
        });
        // Sides beyond 24 bits are beyond what is decoded.
        packed.chain([self.width_px as f32, self.height_px as f32, self.spread]).collect()
    }

    /// The inverse of [`Self::to_values`]; `None` where the values are no miniature.
    pub fn from_values(values: &[f32]) -> Option<Self> {
        let (packed, &[width_px, height_px, spread]) = values.split_last_chunk::<3>()?;
        let n_px = SIDE_PX * SIDE_PX;
        if values.len() != N_VALUES || !(width_px >= 1.0 && height_px >= 1.0 && spread >= 0.0) {
            return None;
        }
        let mut luma = Vec::with_capacity(n_px);
        for value in packed {
            let n_bytes = (n_px - luma.len()).min(BYTES_A_VALUE);
            let bytes = (*value as u32).to_be_bytes();
            luma.extend_from_slice(&bytes[bytes.len() - n_bytes..]);
        }
        Some(Self { luma: luma.into(), width_px: width_px as u32, height_px: height_px as u32, spread })
    }
}

/// Standard deviation of one channel.
fn deviation(pixels: &[f32], channel: usize) -> f32 {
    let values = || pixels.iter().skip(channel).step_by(3).map(|&v| f64::from(v));
    let n = (pixels.len() / 3) as f64;
    let mean = values().sum::<f64>() / n;
    (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt() as f32
}

/// Which source pixels each of the [`SIDE_PX`] pixels covers, and how much of it each fills.
struct Areas {
    n_in: usize,
}

impl Areas {
    fn new(n_in: usize) -> Self {
        Self { n_in }
    }

    /// Indices with weights that sum to 1.
    fn of(&self, idx: usize) -> impl Iterator<Item = (usize, f32)> {
        let step = self.n_in as f64 / SIDE_PX as f64;
        let (low, high) = (idx as f64 * step, (idx + 1) as f64 * step);
        let last = (high.ceil() as usize).min(self.n_in);
        (low as usize..last).filter_map(move |source| {
            let covered = high.min((source + 1) as f64) - low.max(source as f64);
            (covered > 0.0).then_some((source, (covered / step) as f32))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn image(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Rgb8Image {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y));
        Rgb8Image::new(width, height, pixels.collect()).unwrap()
    }

    #[test]
    fn every_pixel_is_the_mean_of_its_area() {
        // Two columns of two levels become one of their mean, whatever the other side is.
        let striped = image(128, 5, |x, _| if x % 2 == 0 { [10; 3] } else { [30; 3] });
        let small = Miniature::new(&striped, 128, 5);
        assert!(small.luma.iter().all(|&v| v == 20) && small.spread < 0.01, "{small:?}");
        // A third of a pixel counts a third: 96 columns, the first 33 white.
        let edge = Miniature::new(&image(96, 64, |x, _| if x < 34 { [255; 3] } else { [0; 3] }), 96, 64);
        assert_eq!(edge.luma[21..24], [255, 170, 0], "1.5 columns each: from 33 to 34.5");
        // One pixel is everything.
        let one = Miniature::new(&image(1, 1, |_, _| [200, 100, 50]), 1, 1);
        assert!(one.luma.iter().all(|&v| v == 124), "{}", one.luma[0]);
    }

    #[test]
    fn colours_of_the_same_lightness_are_not_one_colour() {
        // Luma of both is about 100.
        let two = image(64, 64, |x, _| if x < 32 { [255, 40, 0] } else { [0, 150, 105] });
        let small = Miniature::new(&two, 64, 64);
        assert!(small.spread > 100.0, "{}", small.spread);
    }

    #[test]
    fn numbers_hold_it() {
        let noisy = image(70, 90, |x, y| [(x * 37 % 251) as u8, (y * 91 % 241) as u8, (x * y % 239) as u8]);
        let small = Miniature::new(&noisy, 4000, 3000);
        let values = small.to_values();
        assert_eq!(values.len(), N_VALUES);
        assert_eq!(Miniature::from_values(&values), Some(small));
        assert_eq!(Miniature::from_values(&values[1..]), None);
        assert_eq!(Miniature::from_values(&vec![f32::NAN; N_VALUES]), None);
        assert_eq!(Miniature::from_values(&vec![0.0; N_VALUES]), None, "no picture has no pixels");
    }
}
