//! How the error falls with the number of examples: `err(n) = a + b n^-c`, the power law of learning curves (Cortes et al.
//! 1993; Hestness et al. 2017; Viering and Loog 2021).

use serde::{Deserialize, Serialize};

/// Smallest and largest exponent. Below, the law is as good as a straight line over `ln n`, and its limit says nothing.
const EXPONENTS: (f64, f64) = (0.05, 2.0);
/// Exponents that are tried before the best of them is refined.
const N_TRIED: usize = 60;
/// Steps of the golden section: each leaves 0.618 of the interval.
const N_REFINED: usize = 48;

/// `err(n) = a + b n^-c`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerLaw {
    /// The error that no number of examples takes away, 0 or more.
    pub a: f64,
    /// How much more there is at one example, 0 or more.
    pub b: f64,
    /// How fast that falls, 0.05 to 2.
    pub c: f64,
}

impl PowerLaw {
    /// Fits errors at numbers of examples `n`, which are above 0, by least squares weighted with the inverse of the
    /// variances. `None` with fewer than three different numbers, or where something is not finite.
    ///
    /// For each exponent the other two follow from linear least squares with both 0 or more, so that only the exponent is
    /// searched (variable projection: Golub and Pereyra 1973); there is no start that the result could depend on.
    pub fn fit(n: &[f64], error: &[f64], variance: &[f64]) -> Option<Self> {
        let mut sizes = n.to_vec();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        let is_sound = n.iter().all(|n| n.is_finite() && *n > 0.0)
            && error.iter().all(|e| e.is_finite())
            && variance.iter().all(|v| v.is_finite() && *v > 0.0);
        if sizes.len() < 3 || n.len() != error.len() || n.len() != variance.len() || !is_sound {
            return None;
        }
        let loss = |ln_c: f64| at_exponent(n, error, variance, ln_c.exp());
        let (first, last) = (EXPONENTS.0.ln(), EXPONENTS.1.ln());
        let step = (last - first) / (N_TRIED - 1) as f64;
        let tried = (0..N_TRIED).map(|i| first + step * i as f64);
        let best = tried.reduce(|best, ln_c| if loss(ln_c).0 < loss(best).0 { ln_c } else { best })?;
        let (mut low, mut high) = ((best - step).max(first), (best + step).min(last));
        let golden = 0.5 * (5.0_f64.sqrt() - 1.0);
        for _ in 0..N_REFINED {
            let (left, right) = (high - golden * (high - low), low + golden * (high - low));
            if loss(left).0 <= loss(right).0 { high = right } else { low = left }
        }
        let ends = [low, 0.5 * (low + high), high, best];
        let ln_c = ends.into_iter().reduce(|a, b| if loss(b).0 < loss(a).0 { b } else { a })?;
        let (_, a, b) = loss(ln_c);
        Some(Self { a, b, c: ln_c.exp() })
    }

    /// The error at `n` examples.
    pub fn error_at(&self, n: f64) -> f64 {
        self.a + self.b * n.powf(-self.c)
    }
}

/// The weighted sum of squares at an exponent, with the `a` and `b` that make it least.
fn at_exponent(n: &[f64], error: &[f64], variance: &[f64], c: f64) -> (f64, f64, f64) {
    let (mut w, mut wx, mut wxx, mut wy, mut wxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for ((n, y), v) in n.iter().zip(error).zip(variance) {
        let (weight, x) = (1.0 / v, n.powf(-c));
        w += weight;
        wx += weight * x;
        wxx += weight * x * x;
        wy += weight * y;
        wxy += weight * x * y;
    }
    let determinant = w * wxx - wx * wx;
    let (mut a, mut b) = ((wy * wxx - wxy * wx) / determinant, (w * wxy - wx * wy) / determinant);
    if !(a >= 0.0 && b >= 0.0) {
        // On the edge that leaves less, as everywhere with two unknowns that are 0 or more.
        (a, b) = if b < 0.0 { ((wy / w).max(0.0), 0.0) } else { (0.0, (wxy / wxx).max(0.0)) };
    }
    let residual = |((n, y), v): ((&f64, &f64), &f64)| (y - a - b * n.powf(-c)).powi(2) / v;
    (n.iter().zip(error).zip(variance).map(residual).sum(), a, b)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_law_is_found_again() {
        let n: Vec<f64> = (0..8).map(|i| f64::from(1 << i)).collect();
        for law in [PowerLaw { a: 0.05, b: 0.6, c: 0.5 }, PowerLaw { a: 0.0, b: 0.9, c: 1.3 }] {
            let error: Vec<f64> = n.iter().map(|&n| law.error_at(n)).collect();
            let found = PowerLaw::fit(&n, &error, &[1e-4; 8]).unwrap();
            assert!((found.a - law.a).abs() < 1e-6 && (found.c - law.c).abs() < 1e-5, "{found:?}");
        }
    }

    #[test]
    fn what_rises_or_stays_is_flat() {
        let n = [1.0, 2.0, 4.0, 8.0];
        let rising = PowerLaw::fit(&n, &[0.1, 0.2, 0.3, 0.4], &[1e-4; 4]).unwrap();
        assert!(rising.b == 0.0 && (rising.a - 0.25).abs() < 1e-12, "{rising:?}");
        let flat = PowerLaw::fit(&n, &[0.3; 4], &[1e-4; 4]).unwrap();
        assert!((flat.error_at(100.0) - 0.3).abs() < 1e-9, "{flat:?}");
        let none = PowerLaw::fit(&n, &[0.0; 4], &[1e-4; 4]).unwrap();
        assert_eq!(none.error_at(1.0), 0.0);
    }

    #[test]
    fn too_little_and_what_is_no_number_give_nothing() {
        assert_eq!(PowerLaw::fit(&[1.0, 2.0, 2.0], &[0.3, 0.2, 0.2], &[1e-4; 3]), None);
        assert_eq!(PowerLaw::fit(&[1.0, 2.0, 4.0], &[0.3, f64::NAN, 0.1], &[1e-4; 3]), None);
        assert_eq!(PowerLaw::fit(&[0.0, 2.0, 4.0], &[0.3, 0.2, 0.1], &[1e-4; 3]), None);
        assert_eq!(PowerLaw::fit(&[1.0, 2.0, 4.0], &[0.3, 0.2, 0.1], &[0.0; 3]), None);
    }

    /// Written by `tests/reference/power_law.py`: SciPy's `curve_fit` from several starts.
    #[test]
    fn as_scipy_fits_it() {
        #[derive(serde::Deserialize)]
        struct Case {
            name: String,
            n: Vec<f64>,
            error: Vec<f64>,
            variance: Vec<f64>,
            loss: f64,
            ahead: f64,
            at_ahead: f64,
        }
        let text = include_str!("../../tests/fixtures/power_law.json");
        let cases: Vec<Case> = serde_json::from_str(text).unwrap();
        assert!(cases.len() >= 8);
        for case in cases {
            let law = PowerLaw::fit(&case.n, &case.error, &case.variance).unwrap();
            let terms = case.n.iter().zip(&case.error).zip(&case.variance);
            let loss: f64 = terms.map(|((n, e), v)| (e - law.error_at(*n)).powi(2) / v).sum();
            assert!(loss <= case.loss * (1.0 + 1e-6) + 1e-9, "{}: {loss} against {}", case.name, case.loss);
            let ahead = law.error_at(case.ahead);
            assert!((ahead - case.at_ahead).abs() < 2e-4, "{}: {ahead} against {}", case.name, case.at_ahead);
        }
    }
}
