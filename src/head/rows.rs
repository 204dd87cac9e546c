//! The rows of a fit, centred: a copy of them, or rows that stay where they are.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::logistic::{BLOCK_ROWS, MAX_GROUPS};

/// Matrices above this size are not copied: a block of rows at a time is centred whenever it is needed, which takes about
/// a quarter more of time.
const LARGEST_COPY_BYTES: usize = 128 << 20;

/// Centred rows, `[n_rows, width]`.
pub(super) struct Rows<'a> {
    x: Source<'a>,
    /// What is subtracted from every row, `[width]`.
    mean: Array1<f32>,
}

enum Source<'a> {
    /// Centred already.
    Copied(Array2<f32>),
    /// As they came: all rows, or those of `rows`.
    Lent { x: ArrayView2<'a, f32>, rows: Option<Vec<usize>> },
}

impl<'a> Rows<'a> {
    /// The rows of `x` (those at `rows`, where given), centred.
    pub(super) fn new(x: ArrayView2<'a, f32>, rows: Option<&[usize]>) -> Self {
        let n_rows = rows.map_or(x.nrows(), <[usize]>::len);
        if n_rows * x.ncols() * size_of::<f32>() > LARGEST_COPY_BYTES {
            Self::lent(x, rows)
        } else {
            Self::copied(rows.map_or_else(|| x.to_owned(), |rows| x.select(Axis(0), rows)))
        }
    }

    /// The rows of `x` as they are.
    pub(super) fn uncentred(x: ArrayView2<'a, f32>) -> Self {
        Self { mean: Array1::zeros(x.ncols()), x: Source::Copied(x.to_owned()) }
    }

    fn copied(mut x: Array2<f32>) -> Self {
        let mean = means(x.view(), None).mapv(|v| v as f32);
        x.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS).into_par_iter().for_each(|mut block| block -= &mean);
        Self { x: Source::Copied(x), mean }
    }

    fn lent(x: ArrayView2<'a, f32>, rows: Option<&[usize]>) -> Self {
        let mean = means(x, rows).mapv(|v| v as f32);
        Self { x: Source::Lent { x, rows: rows.map(<[usize]>::to_vec) }, mean }
    }

    pub(super) fn n_rows(&self) -> usize {
        match &self.x {
            Source::Copied(x) => x.nrows(),
            Source::Lent { x, rows } => rows.as_ref().map_or(x.nrows(), Vec::len),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.mean.len()
    }

    /// What was subtracted from every row, `[width]`.
    pub(super) fn mean(&self) -> &Array1<f32> {
        &self.mean
    }

    /// Calls `f` with centred rows, a block after the other, and where in `range` each block is. The same blocks of the same
    /// values whether the rows were copied or not, so that the results are the same to the last bit.
    pub(super) fn for_blocks(&self, range: Range<usize>, mut f: impl FnMut(Range<usize>, ArrayView2<'_, f32>)) {
        let blocks = range.clone().step_by(BLOCK_ROWS).map(|start| start..(start + BLOCK_ROWS).min(range.end));
        let within = |block: &Range<usize>| block.start - range.start..block.end - range.start;
        match &self.x {
            Source::Copied(x) => {
                for block in blocks {
                    f(within(&block), x.slice(s![block, ..]));
                }
            }
            Source::Lent { x, rows } => {
                let mean = self.mean.as_slice().unwrap_or_default();
                let mut centred = Vec::with_capacity(BLOCK_ROWS.min(range.len()) * mean.len());
                for block in blocks {
                    centred.clear();
                    for row in block.clone() {
                        let row = x.row(rows.as_ref().map_or(row, |rows| rows[row]));
                        match row.to_slice() {
                            Some(row) => centred.extend(row.iter().zip(mean).map(|(v, mean)| v - mean)),
                            None => centred.extend(row.iter().zip(mean).map(|(v, mean)| v - mean)),
                        }
                    }
                    if let Ok(centred) = ArrayView2::from_shape((block.len(), mean.len()), &centred) {
                        f(within(&block), centred);
                    }
                }
            }
        }
    }
}

/// Mean of each column in f64, over fixed groups of rows (those at `rows`, where given).
pub(super) fn means(x: ArrayView2<'_, f32>, rows: Option<&[usize]>) -> Array1<f64> {
    let n_rows = rows.map_or(x.nrows(), <[usize]>::len);
    let group_rows = n_rows.div_ceil(MAX_GROUPS).max(64);
    let parts: Vec<Array1<f64>> = (0..n_rows.div_ceil(group_rows))
        .into_par_iter()
        .map(|group| {
            let mut sums = Array1::<f64>::zeros(x.ncols());
            for row in group * group_rows..((group + 1) * group_rows).min(n_rows) {
                let row = x.row(rows.map_or(row, |rows| rows[row]));
                sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
            }
            sums
        })
        .collect();
    let mut sums = Array1::<f64>::zeros(x.ncols());
    for part in parts {
        sums += &part;
    }
    sums / n_rows.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_rows_are_the_copied_ones_bit_for_bit() {
        let x = Array2::from_shape_fn((700, 9), |(i, j)| ((i * 7919 + j * 104_729) % 997) as f32 / 31.0);
        let few: Vec<usize> = (0..700).filter(|i| i % 3 != 1).rev().collect();
        for rows in [None, Some(&few[..])] {
            let copied = Rows::copied(rows.map_or_else(|| x.clone(), |rows| x.select(Axis(0), rows)));
            let lent = Rows::lent(x.view(), rows);
            assert_eq!((copied.mean(), copied.n_rows()), (lent.mean(), lent.n_rows()));
            for range in [0..copied.n_rows(), 0..1, 130..444, 5..5] {
                let blocks = |source: &Rows<'_>| {
                    let mut blocks = Vec::new();
                    source.for_blocks(range.clone(), |at, block| blocks.push((at, block.to_owned())));
                    blocks
                };
                assert_eq!(blocks(&copied), blocks(&lent));
                assert_eq!(blocks(&copied).iter().map(|(at, _)| at.len()).sum::<usize>(), range.len());
            }
        }
    }
}
