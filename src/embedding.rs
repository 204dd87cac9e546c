//! Embeddings and the space that they live in.

use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// What makes two embeddings comparable: the same backbone, layer and preprocessing.
///
/// A head is applied only to embeddings of its own space (invariant 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EmbeddingSpace {
    /// Content hash (BLAKE3, hex) of the backbone's ONNX file.
    pub backbone: String,
    /// The tensor that serves as features and how it is pooled, e.g. `features` or `block5|gap`.
    pub layer: String,
    /// Digest of the preprocessing (see `PreprocessSpec::digest`).
    pub preprocess: String,
    /// Width `D` of an embedding.
    pub dim: usize,
}

impl EmbeddingSpace {
    /// A short stable key for caches and messages: the first 32 hex digits of a hash over all fields.
    pub fn key(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in [&self.backbone, &self.layer, &self.preprocess, &self.dim.to_string()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }
}

/// Embeddings of `n_rows` images: array of shape `[n_rows, dim]`, f32, tagged with their space.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    values: Array2<f32>,
    space: EmbeddingSpace,
}

/// Rows whose width is not the space's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("embeddings are {found} wide where their space says {expected}")]
pub struct WidthMismatch {
    /// Width that the space states.
    pub expected: usize,
    /// Width of the array.
    pub found: usize,
}

impl Embeddings {
    /// Tags an array of shape `[n_rows, dim]` with its space.
    ///
    /// # Errors
    /// When the array's width is not `space.dim`.
    pub fn new(values: Array2<f32>, space: EmbeddingSpace) -> Result<Self, WidthMismatch> {
        if values.ncols() != space.dim {
            return Err(WidthMismatch { expected: space.dim, found: values.ncols() });
        }
        Ok(Self { values, space })
    }

    /// Array of shape `[n_rows, dim]`.
    pub fn view(&self) -> ArrayView2<'_, f32> {
        self.values.view()
    }

    /// The space of every row.
    pub fn space(&self) -> &EmbeddingSpace {
        &self.space
    }

    /// The columns of one part of features that stand side by side; `parts` are the spaces of all of them, in their order.
    ///
    /// # Errors
    /// When the parts are not as wide as the rows together.
    pub fn part(&self, parts: &[EmbeddingSpace], idx: usize) -> Result<Self, WidthMismatch> {
        let start: usize = parts.iter().take(idx).map(|space| space.dim).sum();
        let found = parts.iter().map(|space| space.dim).sum();
        match parts.get(idx) {
            Some(space) if found == self.values.ncols() => {
                let columns = self.values.slice(ndarray::s![.., start..start + space.dim]);
                Ok(Self { values: columns.to_owned(), space: space.clone() })
            }
            _ => Err(WidthMismatch { expected: self.values.ncols(), found }),
        }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.values.nrows()
    }

    /// The rows at `rows`, in that order (rows may come again).
    pub fn select(&self, rows: &[usize]) -> Self {
        Self { values: self.values.select(Axis(0), rows), space: self.space.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(dim: usize) -> EmbeddingSpace {
        EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim }
    }

    #[test]
    fn width_must_match_the_space() {
        assert!(Embeddings::new(Array2::zeros((2, 3)), space(3)).is_ok());
        assert_eq!(Embeddings::new(Array2::zeros((2, 4)), space(3)), Err(WidthMismatch { expected: 3, found: 4 }));
    }

    #[test]
    fn parts_are_columns_with_spaces_of_their_own() {
        let values = Array2::from_shape_fn((2, 5), |(i, j)| (10 * i + j) as f32);
        let joined = Embeddings::new(values, space(5)).unwrap();
        let parts = [space(3), EmbeddingSpace { layer: "e".into(), ..space(2) }];
        let second = joined.part(&parts, 1).unwrap();
        assert_eq!((second.view().row(1).to_vec(), second.space()), (vec![13.0, 14.0], &parts[1]));
        assert_eq!(joined.part(&parts, 0).unwrap().view().ncols(), 3);
        assert!(joined.part(&parts[..1], 0).is_err() && joined.part(&parts, 2).is_err());
    }

    #[test]
    fn keys_differ_when_fields_run_together() {
        let mut a = space(1);
        let mut b = space(1);
        a.backbone = "xy".into();
        a.layer = "z".into();
        b.backbone = "x".into();
        b.layer = "yz".into();
        assert_ne!(a.key(), b.key());
    }
}
