//! From an image to the values that a backbone takes, as a [`PreprocessSpec`] says.

mod batch;
mod geometry;

pub use super::resize::Scratch;
pub use super::spec::SpecError;
pub use batch::{BatchError, PixelBatch};

use super::Rgb8Image;
use super::resize::{Region, resize_region};
use super::spec::{ChannelOrder, Filter, PreprocessSpec, TensorLayout};
use geometry::{Placement, Span};

/// A checked [`PreprocessSpec`], ready to run; it is shared between threads, each with a [`Scratch`] of its own.
#[derive(Clone, Debug)]
pub struct Preprocessor {
    spec: PreprocessSpec,
    height_px: u32,
    width_px: u32,
    /// Tensor value of each sample, per channel R, G, B.
    values: Box<[[f32; 256]; 3]>,
}

impl Preprocessor {
    /// Checks the specification and prepares its table of values.
    ///
    /// # Errors
    /// When a size is out of range, a number is not usable, or nothing fixes the size.
    pub fn new(spec: &PreprocessSpec) -> Result<Self, SpecError> {
        let (height_px, width_px) = spec.output_size()?;
        let mut values = Box::new([[0f32; 256]; 3]);
        for (c, table) in values.iter_mut().enumerate() {
            for (sample, value) in (0u8..=255).zip(table.iter_mut()) {
                *value = (rescaled(sample, spec.rescale) - spec.mean[c]) / spec.std[c];
            }
        }
        Ok(Self { spec: spec.clone(), height_px, width_px, values })
    }

    /// The specification this was made from.
    pub fn spec(&self) -> &PreprocessSpec {
        &self.spec
    }

    /// Height and width of the tensor, in pixels.
    pub fn output_size(&self) -> (u32, u32) {
        (self.height_px, self.width_px)
    }

    /// Values of one image's tensor: 3 * height * width.
    pub fn tensor_len(&self) -> usize {
        3 * self.height_px as usize * self.width_px as usize
    }

    /// Where [`to_rgb8`](Self::to_rgb8)'s result lies in an image of this size: its left, top, right and bottom edge in parts of
    /// the image's width and height. Under 0 or over 1 where it is padded.
    pub fn seen(&self, width_px: u32, height_px: u32) -> [f32; 4] {
        let at = geometry::place(&self.spec, width_px, height_px, self.width_px, self.height_px);
        let edges = |span: Span, out_px: u32, resized_px: u32| {
            let first = f64::from(span.first_px) - f64::from(span.pad_before_px);
            [first, first + f64::from(out_px)].map(|px| (px / f64::from(resized_px.max(1))) as f32)
        };
        let [left, right] = edges(at.columns, self.width_px, at.resized_width_px);
        let [top, bottom] = edges(at.rows, self.height_px, at.resized_height_px);
        [left, top, right, bottom]
    }

    /// One image's tensor from what [`to_rgb8`](Self::to_rgb8) gave, perhaps changed.
    ///
    /// # Errors
    /// When `rgb8` is of another size, or `out` does not have [`tensor_len`](Self::tensor_len) values.
    pub fn apply_rgb8(&self, rgb8: &Rgb8Image, out: &mut [f32]) -> Result<(), BatchError> {
        let found = 3 * rgb8.width_px() as usize * rgb8.height_px() as usize;
        let is_its_size = (rgb8.width_px(), rgb8.height_px()) == (self.width_px, self.height_px);
        match [out.len(), found].into_iter().find(|len| *len != self.tensor_len() || !is_its_size) {
            Some(found) => Err(BatchError::TensorLen { expected: self.tensor_len(), found }),
            None => {
                self.normalise(rgb8, out);
                Ok(())
            }
        }
    }

    /// The image resized, cropped and padded, still in 8 bits: what the backbone "sees".
    pub fn to_rgb8(&self, image: &Rgb8Image, scratch: &mut Scratch) -> Rgb8Image {
        let Placement { resized_width_px, resized_height_px, columns, rows } =
            geometry::place(&self.spec, image.width_px(), image.height_px(), self.width_px, self.height_px);
        let visible = visible(image, resized_width_px, resized_height_px, self.spec.filter, columns, rows, scratch);
        match visible {
            Some(visible) if (visible.width_px(), visible.height_px()) == (self.width_px, self.height_px) => visible,
            visible => self.padded(visible.as_ref(), columns, rows),
        }
    }

    /// Writes one image's tensor, `[3, height, width]` or `[height, width, 3]` as the specification's layout says:
    /// `(sample * rescale - mean) / std` in 32-bit floats.
    ///
    /// # Errors
    /// When `out` does not have [`tensor_len`](Self::tensor_len) values.
    pub fn apply(&self, image: &Rgb8Image, scratch: &mut Scratch, out: &mut [f32]) -> Result<(), BatchError> {
        if out.len() != self.tensor_len() {
            return Err(BatchError::TensorLen { expected: self.tensor_len(), found: out.len() });
        }
        let rgb8 = self.to_rgb8(image, scratch);
        self.normalise(&rgb8, out);
        Ok(())
    }

    /// `(sample * rescale - mean) / std`, in the layout of the specification.
    fn normalise(&self, rgb8: &Rgb8Image, out: &mut [f32]) {
        let order: [usize; 3] = match self.spec.channels {
            ChannelOrder::Rgb => [0, 1, 2],
            ChannelOrder::Bgr => [2, 1, 0],
        };
        match self.spec.layout {
            TensorLayout::Nchw => {
                for (plane, c) in out.chunks_exact_mut(self.tensor_len() / 3).zip(order) {
                    let table = &self.values[c];
                    for (value, pixel) in plane.iter_mut().zip(rgb8.pixels().chunks_exact(3)) {
                        *value = table[usize::from(pixel[c])];
                    }
                }
            }
            TensorLayout::Nhwc => {
                for (values, pixel) in out.chunks_exact_mut(3).zip(rgb8.pixels().chunks_exact(3)) {
                    for (value, c) in values.iter_mut().zip(order) {
                        *value = self.values[c][usize::from(pixel[c])];
                    }
                }
            }
        }
    }

    /// An image of the output's size with `visible` at its place, the rest in the padding's colour.
    fn padded(&self, visible: Option<&Rgb8Image>, columns: Span, rows: Span) -> Rgb8Image {
        let (width_px, height_px) = (self.width_px, self.height_px);
        let mut pixels = self.spec.pad_rgb.repeat(width_px as usize * height_px as usize);
        if let Some(visible) = visible {
            let row_len = visible.width_px() as usize * 3;
            let left = columns.pad_before_px as usize * 3;
            let padded = pixels.chunks_exact_mut(width_px as usize * 3).skip(rows.pad_before_px as usize);
            for (row, source) in padded.zip(visible.pixels().chunks_exact(row_len)) {
                row[left..left + row_len].copy_from_slice(source);
            }
        }
        Rgb8Image { width_px, height_px, pixels }
    }
}

/// The part of the resized image that the output shows.
fn visible(
    image: &Rgb8Image,
    resized_width_px: u32,
    resized_height_px: u32,
    filter: Filter,
    columns: Span,
    rows: Span,
    scratch: &mut Scratch,
) -> Option<Rgb8Image> {
    let region =
        Region { left_px: columns.first_px, top_px: rows.first_px, width_px: columns.n_px, height_px: rows.n_px };
    if (resized_width_px, resized_height_px) == (image.width_px(), image.height_px()) {
        return image.region(region.left_px, region.top_px, region.width_px, region.height_px);
    }
    resize_region(image, resized_width_px, resized_height_px, filter, region, scratch)
}

/// `sample * rescale`, rounded once.
///
/// torchvision divides by 255, and Hugging Face multiplies by 1/255 in 64-bit floats before it rounds; an `f32` factor
/// would be off in its last bit. So a factor that is the `f32` nearest to `1 / n`, with `n` a multiple of one half,
/// divides by `n`.
fn rescaled(sample: u8, rescale: f32) -> f32 {
    let sample = f64::from(sample);
    let divisor = (2.0 / f64::from(rescale)).round() / 2.0;
    if divisor.is_finite() && (1.0 / divisor) as f32 == rescale {
        (sample / divisor) as f32
    } else {
        (sample * f64::from(rescale)) as f32
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::image::spec::{Crop, CropOffset, Resize};

    fn spec() -> PreprocessSpec {
        let (mean, std) = PreprocessSpec::IMAGENET_MEAN_STD;
        PreprocessSpec {
            resize: Resize::ShortestSide { size_px: 8 },
            filter: Filter::Bicubic,
            crop: Some(Crop { height_px: 6, width_px: 4, offset: CropOffset::Floor }),
            pad_rgb: [9, 8, 7],
            rescale: 1.0 / 255.0,
            mean,
            std,
            channels: ChannelOrder::Rgb,
            layout: TensorLayout::Nchw,
        }
    }

    fn image(width_px: u32, height_px: u32) -> Rgb8Image {
        let n = width_px * height_px * 3;
        Rgb8Image::new(width_px, height_px, (0..n).map(|i| (i * 7 % 251) as u8).collect()).unwrap()
    }

    #[test]
    fn layouts_and_channel_orders_hold_the_same_values() {
        let image = image(30, 20);
        let run = |channels, layout| {
            let p = Preprocessor::new(&PreprocessSpec { channels, layout, ..spec() }).unwrap();
            let mut out = vec![0.0; p.tensor_len()];
            p.apply(&image, &mut Scratch::default(), &mut out).unwrap();
            out
        };
        let nchw = run(ChannelOrder::Rgb, TensorLayout::Nchw);
        let nhwc = run(ChannelOrder::Rgb, TensorLayout::Nhwc);
        let bgr = run(ChannelOrder::Bgr, TensorLayout::Nchw);
        for i in 0..24 {
            for c in 0..3 {
                assert_eq!(nchw[c * 24 + i], nhwc[i * 3 + c]);
                assert_eq!(nchw[c * 24 + i], bgr[(2 - c) * 24 + i]);
            }
        }
    }

    #[test]
    fn what_is_seen_is_a_part_of_the_image_or_more_than_it() {
        // 40 x 20 px: the short side becomes 8, the long one 16; 6 x 4 px of that are left.
        let p = Preprocessor::new(&spec()).unwrap();
        assert_eq!(p.seen(40, 20), [6.0 / 16.0, 1.0 / 8.0, 10.0 / 16.0, 7.0 / 8.0]);
        let squash = Resize::Squash { height_px: 10, width_px: 10 };
        let p = Preprocessor::new(&PreprocessSpec { resize: squash, crop: None, ..spec() }).unwrap();
        assert_eq!(p.seen(400, 30), [0.0, 0.0, 1.0, 1.0]);
        let border = Resize::Border { height_px: 10, width_px: 10 };
        let p = Preprocessor::new(&PreprocessSpec { resize: border, crop: None, ..spec() }).unwrap();
        assert_eq!(p.seen(100, 50), [0.0, -2.0 / 5.0, 1.0, 8.0 / 5.0]);
    }

    #[test]
    fn a_changed_input_is_normalised_as_the_image_itself() {
        let p = Preprocessor::new(&spec()).unwrap();
        let image = image(30, 20);
        let (mut whole, mut again) = (vec![0.0; p.tensor_len()], vec![0.0; p.tensor_len()]);
        p.apply(&image, &mut Scratch::default(), &mut whole).unwrap();
        let rgb8 = p.to_rgb8(&image, &mut Scratch::default());
        p.apply_rgb8(&rgb8, &mut again).unwrap();
        assert_eq!(whole, again);
        assert!(p.apply_rgb8(&image, &mut again).is_err() && p.apply_rgb8(&rgb8, &mut again[1..]).is_err());
    }

    #[test]
    fn values_are_normalised_per_channel() {
        let spec = PreprocessSpec { mean: [0.5, 0.25, 0.0], std: [0.5, 0.25, 2.0], ..spec() };
        let p = Preprocessor::new(&spec).unwrap();
        let white = Rgb8Image::new(3, 3, vec![255; 27]).unwrap();
        let mut out = vec![0.0; p.tensor_len()];
        p.apply(&white, &mut Scratch::default(), &mut out).unwrap();
        assert_eq!((out[0], out[24], out[48]), (1.0, 3.0, 0.5));
    }

    #[test]
    fn a_wrong_buffer_is_an_error() {
        let p = Preprocessor::new(&spec()).unwrap();
        let error = p.apply(&image(9, 9), &mut Scratch::default(), &mut [0.0; 3]).unwrap_err();
        assert_eq!(error, BatchError::TensorLen { expected: 72, found: 3 });
    }

    #[test]
    fn small_images_are_padded() {
        let p = Preprocessor::new(&PreprocessSpec { resize: Resize::None, ..spec() }).unwrap();
        let out = p.to_rgb8(&image(2, 1), &mut Scratch::default());
        let row = |y: usize| &out.pixels()[y * 12..y * 12 + 12];
        assert_eq!(row(0), [9, 8, 7, 9, 8, 7, 9, 8, 7, 9, 8, 7]);
        assert_eq!(row(3), [9, 8, 7, 0, 7, 14, 21, 28, 35, 9, 8, 7]);
    }

    #[test]
    fn elongated_images_work() {
        let squash = Resize::Squash { height_px: 16, width_px: 16 };
        let border = Resize::Border { height_px: 16, width_px: 16 };
        for resize in [Resize::None, Resize::ShortestSide { size_px: 256 }, squash, border] {
            let p = Preprocessor::new(&PreprocessSpec { resize, ..spec() }).unwrap();
            for (w, h) in [(1, 10_000), (10_000, 1), (1, 1), (65_535, 2)] {
                let out = p.to_rgb8(&image(w, h), &mut Scratch::default());
                assert_eq!((out.width_px(), out.height_px()), (4, 6));
            }
        }
    }

    #[test]
    fn rescaling_divides_by_whole_numbers() {
        assert_eq!(rescaled(255, 1.0 / 255.0), 1.0);
        assert_eq!(rescaled(51, 1.0 / 255.0), 0.2);
        assert_eq!(rescaled(255, 1.0 / 127.5), 2.0);
        assert_eq!(rescaled(200, 1.0), 200.0);
        assert_eq!(rescaled(3, 0.7), 3.0 * 0.7);
    }
}
