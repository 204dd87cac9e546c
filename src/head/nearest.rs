//! How far an image is from the nearest class: what tells images of the classes from strangers.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::affine::norm;
use super::check;
use super::error::HeadError;
use super::prototype::{Distance, prototypes};
use crate::classes::ClassIdx;
use crate::embedding::{EmbeddingSpace, Embeddings};

/// Rows that are measured at a time.
const BLOCK_ROWS: usize = 256;

/// The directions of the classes in the space of a head's features: for each class the mean of its training rows of unit
/// length, again of unit length. An image's distance is 1 less its largest cosine with one of them, 0..2.
///
/// Of max softmax, energy, cosine to class means, mean cosine to the 5 or 10 nearest training images (Sun et al. 2022),
/// Mahalanobis (Lee et al. 2018) and ViM (Wang et al. 2022), this told strangers from another set best on average and in
/// the worst case, with a row a class to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct NearestClass {
    space: EmbeddingSpace,
    directions: Array2<f32>,
}

impl NearestClass {
    /// From training rows and their classes, of `n_classes`. A class without a row is far from everything.
    ///
    /// # Errors
    /// Labels that do not fit, values that are not finite.
    pub fn fit(train: &Embeddings, y: &[ClassIdx], n_classes: usize) -> Result<Self, HeadError> {
        check::rows(train.view(), y, n_classes)?;
        let directions = prototypes(train.view(), y, n_classes, Distance::Cosine);
        Ok(Self { space: train.space().clone(), directions })
    }

    /// Array of shape `[n_classes, dim]`, rows of unit length.
    pub fn directions(&self) -> ArrayView2<'_, f32> {
        self.directions.view()
    }

    /// Distance of every row to its nearest class.
    ///
    /// # Errors
    /// Embeddings of another space, or with a value that is not finite.
    pub fn distances(&self, embeddings: &Embeddings) -> Result<Vec<f32>, HeadError> {
        check::same_space(&self.space, embeddings.space())?;
        check::finite(embeddings.view())?;
        let x = embeddings.view();
        let blocks: Vec<Vec<f32>> = x
            .axis_chunks_iter(Axis(0), BLOCK_ROWS)
            .into_par_iter()
            .map(|block| {
                let products = block.dot(&self.directions.t());
                let distance = |(row, products): (ndarray::ArrayView1<'_, f32>, ndarray::ArrayView1<'_, f32>)| {
                    1.0 - products.iter().copied().fold(f32::NEG_INFINITY, f32::max) / norm(row)
                };
                block.outer_iter().zip(products.outer_iter()).map(distance).collect()
            })
            .collect();
        Ok(blocks.concat())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use ndarray::array;

    fn embeddings(values: Array2<f32>, backbone: &str) -> Embeddings {
        let dim = values.ncols();
        let space = EmbeddingSpace { backbone: backbone.into(), layer: "f".into(), preprocess: "p".into(), dim };
        Embeddings::new(values, space).unwrap()
    }

    #[test]
    fn the_nearest_class_counts_whatever_the_length() {
        let train = embeddings(array![[2.0f32, 0.0, 0.0], [8.0, 0.0, 0.0], [0.0, 3.0, 3.0]], "b");
        let nearest = NearestClass::fit(&train, &[ClassIdx(0), ClassIdx(0), ClassIdx(1)], 2).unwrap();
        let found = nearest
            .distances(&embeddings(array![[0.1f32, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0; 3]], "b"))
            .unwrap();
        let expected = [0.0, 1.0 - 0.5_f32.sqrt(), 1.0, 1.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let train = embeddings(array![[1.0f32, 0.0], [0.0, 1.0]], "b");
        let y = [ClassIdx(0), ClassIdx(1)];
        let nearest = NearestClass::fit(&train, &y, 2).unwrap();
        let other = embeddings(array![[1.0f32, 0.0]], "c");
        assert!(matches!(nearest.distances(&other), Err(HeadError::SpaceMismatch { .. })));
        let nan = embeddings(array![[f32::NAN, 0.0]], "b");
        assert_eq!(nearest.distances(&nan), Err(HeadError::NonFinite { row: 0 }));
        assert!(NearestClass::fit(&train, &y[..1], 2).is_err());
        assert!(NearestClass::fit(&train, &y, 1).is_err());
        // Images that are all the same: each is at its own class.
        let same = embeddings(array![[1.0f32, 1.0], [1.0, 1.0]], "b");
        let nearest = NearestClass::fit(&same, &y, 2).unwrap();
        assert!(nearest.distances(&same).unwrap().iter().all(|d| d.abs() < 1e-6));
    }
}
