//! Tensors of several images, side by side.

use super::{Preprocessor, Scratch};
use crate::image::Rgb8Image;
use crate::image::spec::TensorLayout;

/// Preprocessed images: values of shape `[n, 3, height, width]` or `[n, height, width, 3]`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelBatch {
    n: usize,
    height_px: u32,
    width_px: u32,
    layout: TensorLayout,
    values: Vec<f32>,
}

/// A tensor of another size than the batch's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BatchError {
    /// Another number of values than one image has.
    #[error("a tensor of {found} values where one image has {expected}")]
    TensorLen {
        /// Values of one image.
        expected: usize,
        /// Values that came.
        found: usize,
    },
}

impl PixelBatch {
    /// An empty batch for what `preprocessor` makes, with room for `capacity` images.
    pub fn with_capacity(preprocessor: &Preprocessor, capacity: usize) -> Self {
        let (height_px, width_px) = preprocessor.output_size();
        let values = Vec::with_capacity(capacity.saturating_mul(preprocessor.tensor_len()));
        Self { n: 0, height_px, width_px, layout: preprocessor.spec().layout, values }
    }

    /// Preprocesses one image and appends it.
    ///
    /// # Errors
    /// When `preprocessor` makes tensors of another size than the batch holds.
    pub fn push(
        &mut self,
        preprocessor: &Preprocessor,
        image: &Rgb8Image,
        scratch: &mut Scratch,
    ) -> Result<(), BatchError> {
        self.check(preprocessor.tensor_len())?;
        let start = self.values.len();
        self.values.resize(start + self.tensor_len(), 0.0);
        if let Err(error) = preprocessor.apply(image, scratch, &mut self.values[start..]) {
            self.values.truncate(start);
            return Err(error);
        }
        self.n += 1;
        Ok(())
    }

    /// Appends a tensor that [`Preprocessor::apply`] wrote, perhaps on another thread.
    ///
    /// # Errors
    /// When its number of values is not that of one image.
    pub fn push_tensor(&mut self, tensor: &[f32]) -> Result<(), BatchError> {
        self.check(tensor.len())?;
        self.values.extend_from_slice(tensor);
        self.n += 1;
        Ok(())
    }

    /// Number of images.
    pub fn n_images(&self) -> usize {
        self.n
    }

    /// Whether there is no image yet.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Dimensions in the order of the layout.
    pub fn shape(&self) -> [usize; 4] {
        let (height, width) = (self.height_px as usize, self.width_px as usize);
        match self.layout {
            TensorLayout::Nchw => [self.n, 3, height, width],
            TensorLayout::Nhwc => [self.n, height, width, 3],
        }
    }

    /// Order of the dimensions.
    pub fn layout(&self) -> TensorLayout {
        self.layout
    }

    /// All values, image after image.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, image after image, without a copy.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// Forgets the images and keeps the memory.
    pub fn clear(&mut self) {
        self.n = 0;
        self.values.clear();
    }

    fn tensor_len(&self) -> usize {
        3 * self.height_px as usize * self.width_px as usize
    }

    fn check(&self, found: usize) -> Result<(), BatchError> {
        let expected = self.tensor_len();
        if found == expected { Ok(()) } else { Err(BatchError::TensorLen { expected, found }) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::image::spec::{ChannelOrder, Filter, PreprocessSpec, Resize};

    #[test]
    fn images_lie_one_after_the_other() {
        let spec = PreprocessSpec {
            resize: Resize::Squash { height_px: 2, width_px: 3 },
            filter: Filter::Bilinear,
            crop: None,
            pad_rgb: [0; 3],
            rescale: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
            channels: ChannelOrder::Rgb,
            layout: TensorLayout::Nhwc,
        };
        let preprocessor = Preprocessor::new(&spec).unwrap();
        let mut batch = PixelBatch::with_capacity(&preprocessor, 2);
        assert!(batch.is_empty());
        let image = Rgb8Image::new(1, 1, vec![1, 2, 3]).unwrap();
        batch.push(&preprocessor, &image, &mut Scratch::default()).unwrap();
        batch.push_tensor(&[5.0; 18]).unwrap();
        assert_eq!(batch.shape(), [2, 2, 3, 3]);
        assert_eq!(batch.values()[..6], [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        assert_eq!(batch.values()[18..], [5.0; 18]);
        assert_eq!(batch.push_tensor(&[0.0; 17]), Err(BatchError::TensorLen { expected: 18, found: 17 }));
        batch.clear();
        assert_eq!(batch.shape(), [0, 2, 3, 3]);
    }
}
