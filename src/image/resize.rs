//! Pillow's antialiased resampling, bit for bit: 22-bit fixed-point weights, two passes, 8 bits between them.
//!
//! Formulas: `precompute_coeffs`, `normalize_coeffs_8bpc` and `ImagingResampleInner` of Pillow 13's `Resample.c`. Sums of
//! integers do not depend on their order, so every kernel gives the same bytes. Up to version 12 Pillow
//! never began with the vertical pass; for images whose height shrinks much more than their width the two versions
//! differ by one level here and there.

mod kernel;

use super::Rgb8Image;
use super::spec::Filter;
use kernel::Kernel;

/// Fractional bits of a weight: 32, less 8 of the sample and 2 for sums that exceed 1.
const PRECISION_BITS: u32 = 22;

/// A rectangle of the resized image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First column.
    pub left_px: u32,
    /// First row.
    pub top_px: u32,
    /// Number of columns, at least 1.
    pub width_px: u32,
    /// Number of rows, at least 1.
    pub height_px: u32,
}

/// Memory that is used again from image to image: weights of the latest sizes and the rows between the two passes.
#[derive(Debug, Default)]
pub struct Scratch {
    columns: Option<Weights>,
    rows: Option<Weights>,
    between: Vec<u8>,
    padded: Vec<u8>,
}

/// Resizes to `width_px` x `height_px` as `PIL.Image.resize((width_px, height_px), filter)` does.
///
/// `None` when a side is zero or the result does not fit into memory's address range.
pub fn resize(
    image: &Rgb8Image,
    width_px: u32,
    height_px: u32,
    filter: Filter,
    scratch: &mut Scratch,
) -> Option<Rgb8Image> {
    let region = Region { left_px: 0, top_px: 0, width_px, height_px };
    resize_region(image, width_px, height_px, filter, region, scratch)
}

/// The `region` of the image resized to `width_px` x `height_px`; no more than the region is computed.
///
/// `None` when a side is zero, the region leaves the resized image or does not fit into memory's address range.
pub fn resize_region(
    image: &Rgb8Image,
    width_px: u32,
    height_px: u32,
    filter: Filter,
    region: Region,
    scratch: &mut Scratch,
) -> Option<Rgb8Image> {
    let inside = |first: u32, n: u32, side: u32| n > 0 && first.checked_add(n).is_some_and(|end| end <= side);
    if !inside(region.left_px, region.width_px, width_px) || !inside(region.top_px, region.height_px, height_px) {
        return None;
    }
    let row_len = (region.width_px as usize).checked_mul(3)?;
    let mut out = vec![0u8; row_len.checked_mul(region.height_px as usize)?];

    let rows = Axis { n_in: image.height_px, n_out: height_px, first: region.top_px, n: region.height_px };
    let columns = Axis { n_in: image.width_px, n_out: width_px, first: region.left_px, n: region.width_px };
    let rows = cached(&mut scratch.rows, Key { axis: rows, filter });
    let columns = cached(&mut scratch.columns, Key { axis: columns, filter });

    // Pillow leaves a pass out where the side stays as it is; its weights would be exactly 1 and 0 anyway.
    let kernel = Kernel::detect();
    let image_row_len = image.width_px as usize * 3;
    let Scratch { between, padded, .. } = scratch;
    if vertical_first((image.width_px, image.height_px), (width_px, height_px)) {
        let n_rows = region.height_px as usize;
        between.resize(image_row_len * n_rows, 0);
        kernel::vertical(kernel, &image.pixels, image_row_len, 0, rows, between);
        kernel::horizontal(kernel, between, image_row_len, 0..n_rows, columns, &mut out, padded);
    } else {
        let source_rows = rows.source_range();
        between.resize(row_len * source_rows.len(), 0);
        kernel::horizontal(kernel, &image.pixels, image_row_len, source_rows.clone(), columns, between, padded);
        kernel::vertical(kernel, between, row_len, source_rows.start, rows, &mut out);
    }
    Rgb8Image::new(region.width_px, region.height_px, out)
}

/// Pillow 13's order of the passes: vertical first where the height loses more than twice what the width loses.
fn vertical_first((width_px, height_px): (u32, u32), (new_width_px, new_height_px): (u32, u32)) -> bool {
    let lost = |from: u32, to: u32| i64::from(from) - i64::from(to);
    let lost_height = lost(height_px, new_height_px);
    lost_height > 0 && lost_height > lost(width_px, new_width_px) * 2
}

/// One direction of a resize: `n_in` samples become `n_out`, of which `n` from `first` on are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    n_in: u32,
    n_out: u32,
    first: u32,
    n: u32,
}

/// What a set of weights depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    axis: Axis,
    filter: Filter,
}

/// Weights of one direction.
#[derive(Debug)]
struct Weights {
    key: Key,
    /// For each output sample: first source sample and number of source samples.
    windows: Vec<(usize, usize)>,
    /// Weights in fixed point, `stride` an output sample; zeros after the last source sample.
    values: Vec<i32>,
    /// Weights an output sample, a multiple of [`kernel::TAPS`].
    stride: usize,
    /// `values` split into high and low halves for multiply-add of 16-bit pairs, see [`kernel`].
    split: kernel::SplitWeights,
}

impl Weights {
    fn new(key: Key) -> Self {
        let Axis { n_in, n_out, first, n } = key.axis;
        let (filter_fn, filter_support): (fn(f64) -> f64, f64) = match key.filter {
            Filter::Bilinear => (triangle, 1.0),
            Filter::Bicubic => (cubic, 2.0),
            Filter::Lanczos => (lanczos, 3.0),
        };
        let scale = f64::from(n_in) / f64::from(n_out);
        let filter_scale = scale.max(1.0);
        let support = filter_support * filter_scale;
        let inverse_scale = 1.0 / filter_scale;
        // No window is longer than the source, however elongated the image.
        let longest = (support.ceil() as usize * 2 + 1).min(n_in as usize);
        let stride = longest.next_multiple_of(kernel::TAPS);

        let mut windows = Vec::with_capacity(n as usize);
        let mut values = vec![0i32; stride * n as usize];
        let mut window = Vec::with_capacity(longest);
        for (i, out_idx) in (first..first + n).enumerate() {
            let center = (f64::from(out_idx) + 0.5) * scale;
            // `as` truncates towards zero like C's cast; negative starts become 0 like Pillow's.
            let start = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(n_in as usize);
            window.clear();
            window.extend((start..end).map(|j| filter_fn((j as f64 - center + 0.5) * inverse_scale)));
            let sum: f64 = window.iter().sum();
            for (value, weight) in values[i * stride..].iter_mut().zip(&window) {
                let weight = if sum != 0.0 { weight / sum } else { *weight } * f64::from(1u32 << PRECISION_BITS);
                *value = (weight + if weight < 0.0 { -0.5 } else { 0.5 }) as i32;
            }
            windows.push((start, end.saturating_sub(start)));
        }
        let split = kernel::SplitWeights::new(&values);
        Self { key, windows, values, stride, split }
    }

    /// Source samples that any output sample needs.
    fn source_range(&self) -> std::ops::Range<usize> {
        let start = self.windows.first().map_or(0, |w| w.0);
        start..self.windows.last().map_or(start, |w| w.0 + w.1)
    }
}

/// The weights for `key`, from last time where they fit.
fn cached(slot: &mut Option<Weights>, key: Key) -> &Weights {
    match slot {
        Some(weights) if weights.key == key => {}
        _ => *slot = None,
    }
    slot.get_or_insert_with(|| Weights::new(key))
}

fn triangle(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 { 1.0 - x } else { 0.0 }
}

/// Keys' cubic convolution with a = -0.5, in Pillow's order of operations.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Lanczos' sinc, windowed to three lobes.
fn lanczos(x: f64) -> f64 {
    fn sinc(x: f64) -> f64 {
        if x == 0.0 {
            return 1.0;
        }
        let x = x * std::f64::consts::PI;
        x.sin() / x
    }
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// Noise without a generator of random numbers.
    fn noise(width_px: u32, height_px: u32) -> Rgb8Image {
        let n = (width_px * height_px * 3) as usize;
        let pixels = (0..n as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 41) as u8).collect();
        Rgb8Image::new(width_px, height_px, pixels).unwrap()
    }

    #[test]
    fn same_size_is_the_same_image() {
        let image = noise(19, 7);
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            assert_eq!(resize(&image, 19, 7, filter, &mut Scratch::default()).unwrap(), image);
        }
    }

    #[test]
    fn a_region_is_a_part_of_the_whole() {
        let image = noise(61, 47);
        let mut scratch = Scratch::default();
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            for (w, h) in [(30, 23), (90, 100), (61, 12), (5, 47)] {
                let whole = resize(&image, w, h, filter, &mut scratch).unwrap();
                let region = Region { left_px: 2, top_px: 5, width_px: 3, height_px: 6 };
                let part = resize_region(&image, w, h, filter, region, &mut scratch).unwrap();
                for y in 0..6usize {
                    let from = ((y + 5) * w as usize + 2) * 3;
                    assert_eq!(part.pixels()[y * 9..y * 9 + 9], whole.pixels()[from..from + 9], "{filter:?} {w} {h}");
                }
            }
        }
    }

    #[test]
    fn kernels_agree() {
        for (w_in, h_in, w, h) in [(1, 1, 5, 4), (33, 29, 8, 8), (200, 3, 7, 90), (97, 101, 96, 100), (2, 900, 17, 1)] {
            let image = noise(w_in, h_in);
            for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
                let rows = Weights::new(Key { axis: Axis { n_in: h_in, n_out: h, first: 0, n: h }, filter });
                let columns = Weights::new(Key { axis: Axis { n_in: w_in, n_out: w, first: 0, n: w }, filter });
                let run = |kernel| {
                    let range = rows.source_range();
                    let row_len = w as usize * 3;
                    let mut between = vec![0; row_len * range.len()];
                    let mut out = vec![0; row_len * h as usize];
                    kernel::horizontal(
                        kernel,
                        &image.pixels,
                        w_in as usize * 3,
                        range.clone(),
                        &columns,
                        &mut between,
                        &mut Vec::new(),
                    );
                    kernel::vertical(kernel, &between, row_len, range.start, &rows, &mut out);
                    out
                };
                assert_eq!(run(Kernel::Portable), run(Kernel::detect()), "{filter:?} {w_in}x{h_in} to {w}x{h}");
            }
        }
    }

    #[test]
    fn elongated_images_cost_what_their_region_costs() {
        let image = noise(1, 10_000);
        let region = Region { left_px: 0, top_px: 1_279_872, width_px: 256, height_px: 256 };
        let out = resize_region(&image, 256, 2_560_000, Filter::Bicubic, region, &mut Scratch::default()).unwrap();
        assert_eq!((out.width_px(), out.height_px()), (256, 256));
    }

    #[test]
    fn impossible_regions_are_refused() {
        let image = noise(4, 4);
        let mut scratch = Scratch::default();
        assert_eq!(resize(&image, 0, 4, Filter::Bilinear, &mut scratch), None);
        let region = Region { left_px: 3, top_px: 0, width_px: 2, height_px: 1 };
        assert_eq!(resize_region(&image, 4, 4, Filter::Bilinear, region, &mut scratch), None);
    }
}
