//! Small dense linear algebra on inner products of examples.
//!
//! With few examples everything happens in their span: features of other images enter only by their inner products with
//! the examples, and weights are sums of examples.

use ndarray::{Array2, ArrayView2, Axis};

/// Share of the mean diagonal that keeps repeated rows from ending a factorisation.
const JITTER: f64 = 1e-10;

/// Examples, whitened by the shrunk scatter within their classes.
///
/// For rows `U` and the scatter `D'D` of their differences from the class means, inner products are taken in the metric
/// `(D'D + t I)^-1` with `t = tr(D'D) / (n - 1)`: directions in which a class varies by itself count less. By Woodbury's
/// identity `(D'D + t I)^-1 U' = U' Q` with `Q = (I - H (t I + H K H)^-1 H K) / t`, `K = U U'` and the centring `H`.
#[derive(Debug)]
pub(super) struct Whitened {
    /// `[n, n]`: weights of examples, by which inner products with them become inner products in the metric.
    pub q: Array2<f64>,
    /// Inner products of the examples in the metric, `[n, n]`.
    pub gram: Array2<f64>,
}

/// Inner products of rows, `[n_a, n_b]`.
pub(super) fn products(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Array2<f64> {
    a.mapv(f64::from).dot(&b.mapv(f64::from).t())
}

impl Whitened {
    /// From inner products `k` `[n, n]` of examples of the classes `y`. Where no class has two, the metric is the plain
    /// one.
    pub(super) fn new(k: &Array2<f64>, y: &[usize], n_classes: usize) -> Self {
        let n = k.nrows();
        let mut counts = vec![0usize; n_classes];
        y.iter().for_each(|&class| counts[class] += 1);
        if counts.iter().all(|c| *c < 2) {
            return Self { q: Array2::eye(n), gram: k.clone() };
        }
        let hk = centred(k, y, &counts);
        let hkh = centred(&hk.t().to_owned(), y, &counts);
        let t = (hkh.diag().sum() / (n as f64 - 1.0)).max(f64::MIN_POSITIVE.sqrt());
        let mut s = hkh;
        s.diag_mut().mapv_inplace(|v| v + t);
        let lower = cholesky(s);
        let mut solved = hk;
        solve_lower(&lower, &mut solved);
        solve_upper(&lower, &mut solved);
        let mut q = -centred(&solved, y, &counts);
        q.diag_mut().mapv_inplace(|v| v + 1.0);
        q /= t;
        let gram = k.dot(&q);
        Self { q, gram: symmetric(gram) }
    }
}

/// Coordinates of examples and of other rows in which the metric's inner products are plain ones, with rows of examples of
/// mean square length 1.
pub(super) struct Coordinates {
    /// Examples, `[n, n]`.
    pub rows: Array2<f64>,
    /// `[n, n]`: from inner products with the examples to coordinates.
    pub map: Array2<f64>,
}

impl Coordinates {
    pub(super) fn new(whitened: &Whitened) -> Self {
        let n = whitened.gram.nrows();
        let mut gram = whitened.gram.clone();
        let mean: f64 = gram.diag().sum() / n.max(1) as f64;
        gram.diag_mut().mapv_inplace(|v| v + JITTER * mean);
        let rows = cholesky(gram);
        // `map = Q R^-T`, as the transpose of `R^-1 Q^T`.
        let mut map = whitened.q.t().to_owned();
        solve_lower(&rows, &mut map);
        let scale = 1.0 / mean.max(f64::MIN_POSITIVE).sqrt();
        Self { rows: rows * scale, map: map.reversed_axes() * scale }
    }
}

/// Rows minus the means of their classes: `H k`.
fn centred(k: &Array2<f64>, y: &[usize], counts: &[usize]) -> Array2<f64> {
    let mut means = Array2::<f64>::zeros((counts.len(), k.ncols()));
    for (row, &class) in k.outer_iter().zip(y) {
        means.row_mut(class).scaled_add(1.0 / counts[class] as f64, &row);
    }
    let mut centred = k.clone();
    for (mut row, &class) in centred.outer_iter_mut().zip(y) {
        row -= &means.row(class);
    }
    centred
}

fn symmetric(a: Array2<f64>) -> Array2<f64> {
    (&a + &a.t()) * 0.5
}

/// The lower Cholesky factor of a symmetric matrix; what should be above 0 and is not counts as nearly 0.
fn cholesky(mut a: Array2<f64>) -> Array2<f64> {
    let n = a.nrows();
    for j in 0..n {
        let (_, mut rest) = a.view_mut().split_at(Axis(0), j);
        let row: Vec<f64> = rest.row(0).iter().take(j).copied().collect();
        let pivot = (rest[[0, j]] - row.iter().map(|v| v * v).sum::<f64>()).max(f64::MIN_POSITIVE.sqrt()).sqrt();
        rest[[0, j]] = pivot;
        for mut below in rest.outer_iter_mut().skip(1) {
            let dot: f64 = below.iter().zip(&row).map(|(a, b)| a * b).sum();
            below[j] = (below[j] - dot) / pivot;
        }
    }
    for (i, mut row) in a.outer_iter_mut().enumerate() {
        row.iter_mut().skip(i + 1).for_each(|v| *v = 0.0);
    }
    a
}

/// Replaces `b` by `l^-1 b`.
fn solve_lower(l: &Array2<f64>, b: &mut Array2<f64>) {
    for i in 0..l.nrows() {
        let (done, mut rest) = b.view_mut().split_at(Axis(0), i);
        let mut row = rest.row_mut(0);
        for (k, solved) in done.outer_iter().enumerate() {
            row.scaled_add(-l[[i, k]], &solved);
        }
        row /= l[[i, i]];
    }
}

/// Replaces `b` by `l^-T b`.
fn solve_upper(l: &Array2<f64>, b: &mut Array2<f64>) {
    for i in (0..l.nrows()).rev() {
        let (mut before, after) = b.view_mut().split_at(Axis(0), i + 1);
        let mut row = before.row_mut(i);
        for (k, solved) in after.outer_iter().enumerate() {
            row.scaled_add(-l[[i + 1 + k, i]], &solved);
        }
        row /= l[[i, i]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn whitening_is_the_inverse_of_the_shrunk_scatter() {
        // Four rows of two classes in three dimensions, against the formula in the features themselves.
        let u = array![[1.0f32, 0.2, 0.0], [0.8, -0.1, 0.3], [0.0, 1.0, 0.5], [0.3, 0.7, 0.1]];
        let y = [0, 0, 1, 1];
        let whitened = Whitened::new(&products(u.view(), u.view()), &y, 2);
        let x = u.mapv(f64::from);
        let mut d = x.clone();
        for pair in [0, 2] {
            let mean = (&x.row(pair) + &x.row(pair + 1)) / 2.0;
            for row in pair..pair + 2 {
                let mut of_row = d.row_mut(row);
                of_row -= &mean;
            }
        }
        let mut scatter = d.t().dot(&d);
        let t = scatter.diag().sum() / 3.0;
        scatter.diag_mut().mapv_inplace(|v| v + t);
        // (D'D + tI) U' Q = U'
        let found = scatter.dot(&x.t()).dot(&whitened.q);
        assert!((&found - &x.t()).iter().all(|d| d.abs() < 1e-9), "{found}");
        let coordinates = Coordinates::new(&whitened);
        let scale = whitened.gram.diag().sum() / 4.0;
        let again = coordinates.rows.dot(&coordinates.rows.t()) * scale;
        assert!((&again - &whitened.gram).iter().all(|d| d.abs() < 1e-7), "{again}");
        let mapped = products(u.view(), u.view()).dot(&coordinates.map);
        // Four rows lie in three dimensions: the last coordinate is what rounding leaves.
        assert!((&mapped - &coordinates.rows).iter().all(|d| d.abs() < 1e-4), "{mapped}");
    }
}
