//! Eigenvalues of a symmetric matrix, with what vectors are in its eigenvectors' directions.

use ndarray::{Array2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

/// From this size on a matrix is worked on by several threads.
const PARALLEL: usize = 256;
/// Steps of the iteration for one eigenvalue, at most; 30 are known to do.
const MAX_STEPS: usize = 60;

/// Eigenvalues of the symmetric `a` `[n, n]`, and `u_iᵀ y` for each eigenvector `u_i` and each column of `y` `[n, k]`, as
/// `[n, k]`; in no particular order. The eigenvectors themselves are never made, so that it costs `4/3 n³` and not several
/// times as much.
///
/// Householder's reduction to a tridiagonal matrix and the implicit QL iteration (Golub and Van Loan, Matrix Computations,
/// 8.3), with every rotation applied to `y` alone.
pub fn spectrum(mut a: Array2<f64>, mut y: Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let (mut diagonal, mut beside) = tridiagonal(&mut a, y.view_mut());
    iterate(&mut diagonal, &mut beside, y.view_mut());
    (diagonal, y)
}

/// Eigenvalues of the symmetric `a` `[n, n]`, largest first, and its eigenvectors as the columns of `[n, n]`.
pub fn eigenvectors(a: Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let n = a.nrows();
    // What the basis vectors are along each eigenvector is that eigenvector.
    let (values, rows) = spectrum(a, Array2::eye(n));
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| values[j].total_cmp(&values[i]).then(i.cmp(&j)));
    let sorted = order.iter().map(|&i| values[i]).collect();
    (sorted, rows.select(Axis(0), &order).reversed_axes())
}

/// The diagonal, and what stands beside it, of a tridiagonal matrix with the same eigenvalues; `y` turned into its basis.
fn tridiagonal(a: &mut Array2<f64>, mut y: ArrayViewMut2<'_, f64>) -> (Vec<f64>, Vec<f64>) {
    let n = a.nrows();
    let (mut diagonal, mut beside) = (vec![0.0; n], vec![0.0; n]);
    for k in 0..n {
        diagonal[k] = a[[k, k]];
        if k + 1 >= n {
            break;
        }
        let mut v = a.slice(s![k + 1.., k]).to_vec();
        let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if k + 2 >= n || length == 0.0 {
            beside[k] = v[0];
            continue;
        }
        let alpha = if v[0] > 0.0 { -length } else { length };
        beside[k] = alpha;
        v[0] -= alpha;
        let squared = v.iter().map(|x| x * x).sum::<f64>();
        if squared == 0.0 {
            continue;
        }
        let beta = 2.0 / squared;
        let mut rest = a.slice_mut(s![k + 1.., k + 1..]);
        let dot = |row: ndarray::ArrayView1<'_, f64>| row.iter().zip(&v).map(|(a, b)| a * b).sum::<f64>() * beta;
        let is_large = v.len() >= PARALLEL;
        let p: Vec<f64> = match is_large {
            true => rest.axis_iter(Axis(0)).into_par_iter().with_min_len(32).map(dot).collect(),
            false => rest.axis_iter(Axis(0)).map(dot).collect(),
        };
        let half = beta / 2.0 * p.iter().zip(&v).map(|(a, b)| a * b).sum::<f64>();
        let w: Vec<f64> = p.iter().zip(&v).map(|(p, v)| p - half * v).collect();
        let update = |(i, mut row): (usize, ndarray::ArrayViewMut1<'_, f64>)| {
            let (vi, wi) = (v[i], w[i]);
            row.iter_mut().zip(v.iter().zip(&w)).for_each(|(a, (v, w))| *a -= vi * w + wi * v);
        };
        match is_large {
            true => rest.axis_iter_mut(Axis(0)).into_par_iter().with_min_len(32).enumerate().for_each(update),
            false => rest.axis_iter_mut(Axis(0)).enumerate().for_each(update),
        }
        let mut below = y.slice_mut(s![k + 1.., ..]);
        for mut column in below.axis_iter_mut(Axis(1)) {
            let along = beta * column.iter().zip(&v).map(|(a, b)| a * b).sum::<f64>();
            column.iter_mut().zip(&v).for_each(|(a, v)| *a -= along * v);
        }
    }
    (diagonal, beside)
}

/// Makes the tridiagonal matrix diagonal.
fn iterate(d: &mut [f64], e: &mut [f64], mut y: ArrayViewMut2<'_, f64>) {
    let n = d.len();
    for l in 0..n {
        for _ in 0..MAX_STEPS {
            let is_small = |m: usize| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs());
            let m = (l..n.saturating_sub(1)).find(|&m| is_small(m)).unwrap_or(n - 1);
            if m == l {
                break;
            }
            let mut g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let mut r = g.hypot(1.0);
            g = d[m] - d[l] + e[l] / (g + r.copysign(g));
            let (mut sine, mut cosine, mut p) = (1.0, 1.0, 0.0);
            let mut has_split = false;
            for i in (l..m).rev() {
                let (f, b) = (sine * e[i], cosine * e[i]);
                r = f.hypot(g);
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    has_split = true;
                    break;
                }
                (sine, cosine) = (f / r, g / r);
                g = d[i + 1] - p;
                r = (d[i] - g) * sine + 2.0 * cosine * b;
                p = sine * r;
                d[i + 1] = g + p;
                g = cosine * r - b;
                for column in 0..y.ncols() {
                    let f = y[[i + 1, column]];
                    let own = y[[i, column]];
                    y[[i + 1, column]] = sine * own + cosine * f;
                    y[[i, column]] = cosine * own - sine * f;
                }
            }
            if !has_split {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Numbers between -1 and 1 that are the same every time.
    fn numbers(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
        }
    }

    #[test]
    fn the_matrix_acts_as_its_eigenvalues_do() {
        for n in [1, 2, 3, 17, 300] {
            let mut number = numbers(n as u64);
            let half = Array2::from_shape_simple_fn((n, n), &mut number);
            let a = half.dot(&half.t());
            let y = Array2::from_shape_simple_fn((n, 3), &mut number);
            let (values, along) = spectrum(a.clone(), y.clone());
            // yᵀ Aᵖ y by the matrix itself and by its spectrum.
            let mut applied = y.clone();
            for power in 0..3 {
                for column in 0..3 {
                    let direct = y.column(column).dot(&applied.column(column));
                    let sum = |(i, l): (usize, &f64)| l.powi(power) * along[[i, column]].powi(2);
                    let by_spectrum: f64 = values.iter().enumerate().map(sum).sum();
                    assert!((direct - by_spectrum).abs() <= 1e-10 * direct.abs().max(1.0), "{n} {power}");
                }
                applied = a.dot(&applied);
            }
        }
    }

    #[test]
    fn vectors_are_orthonormal_and_make_the_matrix_again() {
        for n in [1, 2, 3, 20, 60] {
            let mut number = numbers(n as u64);
            let half = Array2::from_shape_simple_fn((n, n), &mut number);
            let a = half.dot(&half.t());
            let (values, v) = eigenvectors(a.clone());
            assert!(values.windows(2).all(|w| w[0] >= w[1]));
            let again = v.dot(&Array2::from_diag(&ndarray::Array1::from(values))).dot(&v.t());
            let worst = |x: &Array2<f64>, y: &Array2<f64>| (x - y).iter().fold(0.0_f64, |m, e| m.max(e.abs()));
            assert!(worst(&again, &a) < 1e-10, "{n}");
            assert!(worst(&v.t().dot(&v), &Array2::eye(n)) < 1e-12, "{n}");
        }
        let (values, v) = eigenvectors(Array2::zeros((3, 3)));
        assert_eq!((values, v), (vec![0.0; 3], Array2::eye(3)));
        assert!(eigenvectors(Array2::zeros((0, 0))).0.is_empty());
    }
}
