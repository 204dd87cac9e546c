//! The embeddings of the open project, shared by the lanes: one row a picture, found by its content hash.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use ndarray::{Array2, ArrayView1};

use crate::embedding::{EmbeddingSpace, Embeddings};

/// Rows of one allocation: the table never moves what it holds.
const CHUNK_ROWS: usize = 1024;

/// Rows of one embedding space at a time.
#[derive(Debug, Default)]
pub struct Table {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Which choice of model the rows belong to (see [`Table::begin`]).
    epoch: u64,
    space: Option<EmbeddingSpace>,
    /// The spaces of the columns, in their order.
    parts: Vec<EmbeddingSpace>,
    chunks: Vec<Vec<f32>>,
    hashes: Vec<[u8; 32]>,
    row_of_hash: HashMap<[u8; 32], u32>,
}

impl Table {
    /// Makes ready for rows of `space`, whose columns are those of `parts` side by side. Rows of another epoch or space are
    /// forgotten.
    pub fn begin(&self, epoch: u64, space: &EmbeddingSpace, parts: Vec<EmbeddingSpace>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.epoch != epoch || inner.space.as_ref() != Some(space) {
            *inner = Inner { epoch, space: Some(space.clone()), parts, ..Inner::default() };
        }
    }

    /// Adds rows and returns their numbers; a picture that is there keeps its row. `None` when the table has gone on to
    /// another epoch.
    pub fn add<'a>(&self, epoch: u64, rows: impl IntoIterator<Item = (&'a [u8; 32], &'a [f32])>) -> Option<Vec<u32>> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.epoch != epoch {
            return None;
        }
        let dim = inner.space.as_ref()?.dim;
        let numbers = rows.into_iter().map(|(hash, values)| inner.add(dim, hash, values));
        Some(numbers.collect())
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.inner.write().unwrap_or_else(PoisonError::into_inner) = Inner::default();
    }

    /// Number of rows of an epoch.
    pub fn n_rows(&self, epoch: u64) -> usize {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        if inner.epoch == epoch { inner.hashes.len() } else { 0 }
    }

    /// The content hashes of all rows, in their order, and the space; `None` for another epoch.
    pub fn hashes(&self, epoch: u64) -> Option<(Vec<[u8; 32]>, EmbeddingSpace)> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        if inner.epoch != epoch {
            return None;
        }
        Some((inner.hashes.clone(), inner.space.clone()?))
    }

    /// The spaces of the columns, in their order: the features first. `None` for another epoch.
    pub fn parts(&self, epoch: u64) -> Option<Vec<EmbeddingSpace>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        (inner.epoch == epoch && inner.space.is_some()).then(|| inner.parts.clone())
    }

    /// A copy of the features of the rows at `rows`, in that order: array of shape `[rows.len(), dim]`. `None` for another
    /// epoch.
    pub fn select(&self, epoch: u64, rows: &[u32]) -> Option<Embeddings> {
        let features = self.parts(epoch)?.into_iter().next()?;
        self.select_in(epoch, rows, &features)
    }

    /// As [`Self::select`], of all columns.
    pub fn select_all(&self, epoch: u64, rows: &[u32]) -> Option<Embeddings> {
        let space = {
            let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
            inner.space.clone().filter(|_| inner.epoch == epoch)?
        };
        self.select_in(epoch, rows, &space)
    }

    /// As [`Self::select`], of the columns of a space: that of a part, or of all. `None` also where the table has no such
    /// columns.
    pub fn select_in(&self, epoch: u64, rows: &[u32], space: &EmbeddingSpace) -> Option<Embeddings> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let whole = inner.space.as_ref().filter(|_| inner.epoch == epoch)?;
        let columns = if whole == space {
            0..whole.dim
        } else {
            let idx = inner.parts.iter().position(|part| part == space)?;
            let start: usize = inner.parts[..idx].iter().map(|part| part.dim).sum();
            start..start + space.dim
        };
        let mut values = Vec::with_capacity(rows.len() * columns.len());
        for &row in rows {
            values.extend_from_slice(inner.row(whole.dim, row)?.get(columns.clone())?);
        }
        Embeddings::new(Array2::from_shape_vec((rows.len(), space.dim), values).ok()?, space.clone()).ok()
    }

    /// Calls `f` with a row of an epoch.
    pub fn with_row<R>(&self, epoch: u64, row: u32, f: impl FnOnce(ArrayView1<'_, f32>) -> R) -> Option<R> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let dim = inner.space.as_ref().filter(|_| inner.epoch == epoch)?.dim;
        inner.row(dim, row).map(|values| f(ArrayView1::from(values)))
    }
}

impl Inner {
    fn add(&mut self, dim: usize, hash: &[u8; 32], values: &[f32]) -> u32 {
        if let Some(&row) = self.row_of_hash.get(hash) {
            return row;
        }
        let row = u32::try_from(self.hashes.len()).unwrap_or(u32::MAX);
        if self.hashes.len().is_multiple_of(CHUNK_ROWS) {
            self.chunks.push(Vec::with_capacity(CHUNK_ROWS * dim));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.extend_from_slice(values);
        }
        self.hashes.push(*hash);
        self.row_of_hash.insert(*hash, row);
        row
    }

    fn row(&self, dim: usize, row: u32) -> Option<&[f32]> {
        let (chunk, at) = (row as usize / CHUNK_ROWS, row as usize % CHUNK_ROWS);
        self.chunks.get(chunk)?.get(at * dim..(at + 1) * dim)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn space(layer: &str) -> EmbeddingSpace {
        EmbeddingSpace { backbone: "b".into(), layer: layer.into(), preprocess: "p".into(), dim: 2 }
    }

    #[test]
    fn columns_are_selected_by_their_space() {
        let table = Table::default();
        let (a, b) = (space("a"), EmbeddingSpace { dim: 1, ..space("b") });
        let whole = EmbeddingSpace { dim: 3, ..space("a&b") };
        table.begin(1, &whole, vec![a.clone(), b.clone()]);
        for i in 0..2u8 {
            let values = [f32::from(i), 10.0, 20.0 + f32::from(i)];
            table.add(1, [(&[i; 32], &values[..])]).unwrap();
        }
        assert_eq!(table.select(1, &[1]).unwrap().view().row(0).to_vec(), [1.0, 10.0]);
        assert_eq!(table.select_in(1, &[1, 0], &b).unwrap().view().column(0).to_vec(), [21.0, 20.0]);
        assert_eq!(table.select_all(1, &[0]).unwrap().view().row(0).to_vec(), [0.0, 10.0, 20.0]);
        assert_eq!(table.parts(1), Some(vec![a, b]));
        assert!(table.select_in(1, &[0], &space("c")).is_none() && table.parts(2).is_none());
    }

    #[test]
    fn rows_are_found_by_content_and_belong_to_their_epoch() {
        let table = Table::default();
        table.begin(1, &space("a"), vec![space("a")]);
        let hash = |i: usize| *blake3::hash(&i.to_le_bytes()).as_bytes();
        let n = CHUNK_ROWS * 2 + 3;
        for i in 0..n {
            let values = [i as f32, -(i as f32)];
            assert_eq!(table.add(1, [(&hash(i), &values[..])]).unwrap(), [i as u32]);
        }
        assert_eq!(table.add(1, [(&hash(5), &[9.0, 9.0][..])]).unwrap(), [5], "the same picture");
        assert_eq!(table.n_rows(1), n);
        let rows = table.select(1, &[2050, 0, 1024]).unwrap();
        assert_eq!(rows.view().column(0).to_vec(), [2050.0, 0.0, 1024.0]);
        assert_eq!(table.with_row(1, 7, |r| r[1]), Some(-7.0));
        assert!(table.select(1, &[n as u32]).is_none() && table.select(2, &[0]).is_none());
        table.begin(1, &space("a"), vec![space("a")]);
        assert_eq!(table.n_rows(1), n, "the same again keeps them");
        table.begin(2, &space("b"), vec![space("b")]);
        assert_eq!((table.n_rows(1), table.n_rows(2)), (0, 0));
        assert!(table.add(1, [(&hash(0), &[0.0, 0.0][..])]).is_none());
    }
}
