//! Checks of what comes into a fit.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::error::HeadError;
use super::linear::LinearConfig;
use crate::classes::{ClassIdx, ClassSet};
use crate::embedding::EmbeddingSpace;

/// Settings in their ranges.
pub(super) fn settings(config: &LinearConfig) -> Result<(), HeadError> {
    for (name, value) in [("the regularisation strength C", config.c), ("the tolerance", config.tol)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(HeadError::Setting { name, value });
        }
    }
    Ok(())
}

/// As many labels as rows, labels of known classes, finite values.
pub(super) fn rows(x: ArrayView2<'_, f32>, y: &[ClassIdx], n_classes: usize) -> Result<(), HeadError> {
    if n_classes < 2 {
        return Err(HeadError::TooFewClasses { found: n_classes });
    }
    if x.nrows() != y.len() {
        return Err(HeadError::LabelCount { n_rows: x.nrows(), n_labels: y.len() });
    }
    if let Some((row, class)) = y.iter().enumerate().find(|(_, class)| class.as_usize() >= n_classes) {
        return Err(HeadError::UnknownClass { row, class_idx: class.0, n_classes });
    }
    finite(x)
}

/// The first row with a value that is not finite is an error.
pub(super) fn finite(x: ArrayView2<'_, f32>) -> Result<(), HeadError> {
    // A sum is finite only where every term is; a sum that overflows is looked at value by value.
    let suspicious = |row: ndarray::ArrayView1<'_, f32>| {
        !row.iter().map(|v| v * 0.0).sum::<f32>().is_finite() && !row.iter().all(|v| v.is_finite())
    };
    let first = x
        .axis_chunks_iter(Axis(0), 512)
        .into_par_iter()
        .enumerate()
        .filter_map(|(chunk, rows)| rows.outer_iter().position(suspicious).map(|row| chunk * 512 + row))
        .min();
    first.map_or(Ok(()), |row| Err(HeadError::NonFinite { row }))
}

/// Embeddings of the head's own space.
pub(super) fn same_space(head: &EmbeddingSpace, embeddings: &EmbeddingSpace) -> Result<(), HeadError> {
    if head == embeddings {
        return Ok(());
    }
    Err(HeadError::SpaceMismatch { head: Box::new(head.clone()), embeddings: Box::new(embeddings.clone()) })
}

/// A matrix with a row for each class and a column for each value of an embedding.
pub(super) fn shape(matrix: &Array2<f32>, classes: &ClassSet, space: &EmbeddingSpace) -> Result<(), HeadError> {
    let (rows, cols) = matrix.dim();
    if (rows, cols) == (classes.len(), space.dim) {
        return Ok(());
    }
    Err(HeadError::Shape { rows, cols, n_classes: classes.len(), dim: space.dim })
}
