//! The rows of a fit in the coordinates that are cheapest to fit in.
//!
//! With fewer rows than columns, every row lies in the span of the rows, and so does every row of the optimal weights.
//! In an orthonormal basis of that span the penalty `|W|^2` and all logits stay what they are, so the fit in it has the
//! same optimum with fewer columns. The basis comes from a Cholesky factor: `X X^T = L L^T`, `X = L Q`, with `Q = L^-1
//! X` orthonormal.

use ndarray::{Array1, Array2, ArrayView2, Axis, CowArray, Ix2, s};
use rayon::prelude::*;

use super::logistic::affine_rows;
use super::matmul::{Update, product};
use super::rows::means;

/// Columns or rows that are worked on at once in the factorisation.
const BLOCK: usize = 64;
/// Share of the mean diagonal that is added to it, so that repeated rows do not end the factorisation.
const JITTER: f64 = 1e-10;

/// Rows in the coordinates of a fit.
pub(super) struct Design<'a> {
    coords: CowArray<'a, f32, Ix2>,
    /// Orthonormal rows `[n_coords, dim]` and the point `[dim]` that coordinates are measured from.
    basis: Option<(Array2<f32>, Array1<f32>)>,
    dim: usize,
}

impl<'a> Design<'a> {
    /// Chooses the coordinates of `x`, `[n_rows, dim]`: its own, or those of the rows' span where that is much smaller.
    pub(super) fn new(x: ArrayView2<'a, f32>) -> Self {
        let (n_rows, dim) = x.dim();
        if 3 * n_rows > 2 * dim {
            return Self { coords: CowArray::from(x), basis: None, dim };
        }
        let origin = means(x, None).mapv(|v| v as f32);
        let mut centred = x.mapv(f64::from);
        centred -= &origin.mapv(f64::from);
        let mut factor = gram(centred.view());
        let trace: f64 = factor.diag().sum();
        let jitter = (JITTER * trace / n_rows as f64).max(f64::MIN_POSITIVE.sqrt());
        factor.diag_mut().mapv_inplace(|v| v + jitter);
        cholesky(&mut factor);
        solve_lower(factor.view(), &mut centred);
        let coords = factor.mapv(|v| v as f32);
        Self { coords: CowArray::from(coords), basis: Some((centred.mapv(|v| v as f32), origin)), dim }
    }

    /// Coordinates of the rows at `rows`.
    pub(super) fn select(&self, rows: &[usize]) -> Array2<f32> {
        self.coords.select(Axis(0), rows)
    }

    /// Coordinates of all rows.
    pub(super) fn coords(&self) -> ArrayView2<'_, f32> {
        self.coords.view()
    }

    /// Coordinates of other rows, `[n_rows, dim]`; what lies outside the span has no influence on logits.
    pub(super) fn project(&self, x: ArrayView2<'_, f32>) -> Array2<f32> {
        let Some((basis, origin)) = &self.basis else { return x.to_owned() };
        let mut centred = x.to_owned();
        centred -= origin;
        let mut coords = Array2::zeros((x.nrows(), basis.nrows()));
        let zeros = vec![0.0; basis.nrows()];
        coords
            .axis_chunks_iter_mut(Axis(0), BLOCK)
            .into_par_iter()
            .zip(centred.axis_chunks_iter(Axis(0), BLOCK))
            .for_each(|(coords, centred)| affine_rows(coords, centred, basis.view(), &zeros));
        coords
    }

    /// Weights `[n_outputs, dim]` of features from weights `[n_outputs, n_coords]` of coordinates.
    pub(super) fn weight_of_features(&self, weight: ArrayView2<'_, f64>) -> Array2<f64> {
        let Some((basis, _)) = &self.basis else { return weight.to_owned() };
        let weight_f32 = weight.mapv(|v| v as f32);
        let mut features = Array2::<f32>::zeros((weight.nrows(), self.dim));
        product(features.view_mut(), Update::Overwrite, weight_f32.view(), basis.view());
        features.mapv(f64::from)
    }

    /// Weights `[n_outputs, n_coords]` of coordinates from weights `[n_outputs, dim]` of features; what of them has no
    /// influence on the rows is lost.
    pub(super) fn weight_of_coords(&self, weight: ArrayView2<'_, f64>) -> Array2<f64> {
        let Some((basis, _)) = &self.basis else { return weight.to_owned() };
        let weight_f32 = weight.mapv(|v| v as f32);
        let mut coords = Array2::<f32>::zeros((weight.nrows(), basis.nrows()));
        product(coords.view_mut(), Update::Overwrite, weight_f32.view(), basis.t());
        coords.mapv(f64::from)
    }

    /// The point that coordinates are measured from, `[dim]`, where it is not zero.
    pub(super) fn origin(&self) -> Option<&Array1<f32>> {
        self.basis.as_ref().map(|(_, origin)| origin)
    }

    /// Width of the features.
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// Whether coordinates are not the features themselves.
    pub(super) fn is_rotated(&self) -> bool {
        self.basis.is_some()
    }
}

/// `x x^T`.
fn gram(x: ArrayView2<'_, f64>) -> Array2<f64> {
    let n = x.nrows();
    let mut gram = Array2::zeros((n, n));
    gram.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().enumerate().for_each(|(block, mut rows)| {
        // The lower triangle is enough for the factorisation.
        let end = (block * BLOCK + rows.nrows()).min(n);
        let first = x.slice(s![block * BLOCK..end, ..]);
        product(rows.slice_mut(s![.., ..end]), Update::Overwrite, first, x.slice(s![..end, ..]).t());
    });
    gram
}

/// Replaces a symmetric positive definite matrix (its lower triangle) by its Cholesky factor, zero above the diagonal.
fn cholesky(a: &mut Array2<f64>) {
    let n = a.nrows();
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        for j in start..end {
            let row = a.slice(s![j, start..j]).to_owned();
            let pivot = (a[[j, j]] - row.dot(&row)).max(f64::MIN_POSITIVE).sqrt();
            a[[j, j]] = pivot;
            for i in j + 1..end {
                let dot = a.slice(s![i, start..j]).dot(&row);
                a[[i, j]] = (a[[i, j]] - dot) / pivot;
            }
        }
        let diagonal = a.slice(s![start..end, start..end]).to_owned();
        let (_, mut below) = a.view_mut().split_at(Axis(0), end);
        below.slice_mut(s![.., start..end]).axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().for_each(
            |mut panel| {
                for mut row in panel.outer_iter_mut() {
                    for j in 0..row.len() {
                        let dot: f64 = (0..j).map(|k| row[k] * diagonal[[j, k]]).sum();
                        row[j] = (row[j] - dot) / diagonal[[j, j]];
                    }
                }
            },
        );
        let panel = below.slice(s![.., start..end]).to_owned();
        below.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().enumerate().for_each(|(block, mut rows)| {
            let first = block * BLOCK;
            let last = first + rows.nrows();
            let target = rows.slice_mut(s![.., end..end + last]);
            product(target, Update::Subtract, panel.slice(s![first..last, ..]), panel.slice(s![..last, ..]).t());
        });
    }
    for (row, mut values) in a.outer_iter_mut().enumerate() {
        values.slice_mut(s![row + 1..]).fill(0.0);
    }
}

/// Replaces `b` by `l^-1 b` for a lower triangular `l`.
fn solve_lower(l: ArrayView2<'_, f64>, b: &mut Array2<f64>) {
    b.axis_chunks_iter_mut(Axis(1), 2 * BLOCK).into_par_iter().for_each(|mut columns| {
        for start in (0..l.nrows()).step_by(BLOCK) {
            let end = (start + BLOCK).min(l.nrows());
            let (done, mut rest) = columns.view_mut().split_at(Axis(0), start);
            let mut block = rest.slice_mut(s![..end - start, ..]);
            product(block.view_mut(), Update::Subtract, l.slice(s![start..end, ..start]), done.view());
            for i in 0..end - start {
                let (before, mut row) = block.view_mut().split_at(Axis(0), i);
                let mut row = row.row_mut(0);
                for (k, solved) in before.outer_iter().enumerate() {
                    row.scaled_add(-l[[start + i, start + k]], &solved);
                }
                row /= l[[start + i, start + i]];
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_keep_all_inner_products() {
        // 70 rows (more than one block) of which two repeat, in 150 dimensions.
        let mut x =
            Array2::from_shape_fn((70, 150), |(i, j)| ((i * 37 + j * 101) % 89) as f32 / 89.0 - 0.3 * (i % 3) as f32);
        let first = x.row(0).to_owned();
        x.row_mut(69).assign(&first);
        let design = Design::new(x.view());
        assert!(design.is_rotated());
        let centred = &x - design.origin().map_or(&Array1::zeros(150), |v| v);
        let expected = centred.dot(&centred.t());
        let found = design.coords().dot(&design.coords().t());
        assert!((&expected - &found).iter().all(|d| d.abs() < 1e-3), "inner products");
        let again = design.project(x.view());
        assert!((&again - &design.coords()).iter().all(|d| d.abs() < 1e-2), "projection of the same rows");
    }
}
