//! Eigenvectors of a small symmetric matrix.

use ndarray::Array2;

/// Sweeps over all pairs, at most; ten do for the sizes used here.
const MAX_SWEEPS: usize = 60;

/// Eigenvalues of the symmetric `a` `[n, n]`, largest first, and its eigenvectors as the columns of `[n, n]`.
///
/// Cyclic Jacobi rotations (Golub and Van Loan, Matrix Computations, 8.5): slow for large matrices, accurate, and the same
/// everywhere.
pub(super) fn symmetric_eigen(mut a: Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let n = a.nrows();
    let mut v = Array2::<f64>::eye(n);
    let scale: f64 = a.iter().map(|x| x * x).sum();
    for _ in 0..MAX_SWEEPS {
        let beside: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|at| a[at] * a[at]).sum();
        if beside <= 1e-26 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut v, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[[j, j]].total_cmp(&a[[i, i]]).then(i.cmp(&j)));
    let values = order.iter().map(|&i| a[[i, i]]).collect();
    (values, v.select(ndarray::Axis(1), &order))
}

/// Makes `a[p, q]` zero.
fn rotate(a: &mut Array2<f64>, v: &mut Array2<f64>, p: usize, q: usize) {
    if a[[p, q]] == 0.0 {
        return;
    }
    let theta = (a[[q, q]] - a[[p, p]]) / (2.0 * a[[p, q]]);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for i in 0..a.nrows() {
        let (x, y) = (a[[i, p]], a[[i, q]]);
        (a[[i, p]], a[[i, q]]) = (c * x - s * y, s * x + c * y);
    }
    for i in 0..a.nrows() {
        let (x, y) = (a[[p, i]], a[[q, i]]);
        (a[[p, i]], a[[q, i]]) = (c * x - s * y, s * x + c * y);
    }
    for i in 0..v.nrows() {
        let (x, y) = (v[[i, p]], v[[i, q]]);
        (v[[i, p]], v[[i, q]]) = (c * x - s * y, s * x + c * y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SplitMix64;

    #[test]
    fn vectors_are_orthonormal_and_make_the_matrix_again() {
        for n in [1, 2, 3, 20, 60] {
            let mut rng = SplitMix64::new(n as u64);
            let half = Array2::from_shape_simple_fn((n, n), || f64::from(rng.below(2001) as i32 - 1000) / 1000.0);
            let a = half.dot(&half.t());
            let (values, v) = symmetric_eigen(a.clone());
            assert!(values.windows(2).all(|w| w[0] >= w[1]));
            let again = v.dot(&Array2::from_diag(&ndarray::Array1::from(values))).dot(&v.t());
            let worst = |x: &Array2<f64>, y: &Array2<f64>| (x - y).iter().fold(0.0_f64, |m, e| m.max(e.abs()));
            assert!(worst(&again, &a) < 1e-10, "{n}");
            assert!(worst(&v.t().dot(&v), &Array2::eye(n)) < 1e-12, "{n}");
        }
        let (values, v) = symmetric_eigen(Array2::zeros((3, 3)));
        assert_eq!((values, v), (vec![0.0; 3], Array2::eye(3)));
        assert!(symmetric_eigen(Array2::zeros((0, 0))).0.is_empty());
    }
}
