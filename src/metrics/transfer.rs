//! How well features suit classes, estimated without training a head: to rank backbones before the work.
//!
//! - **LogME** (You, Liu, Wang and Long 2021): the logarithm of the evidence of a linear model of each class's indicator,
//!   its two precisions chosen to maximise it, for one example; the mean over the classes. The determinant is the true one
//!   also where there are fewer examples than features, and no constant is added to denominators, so that the score does not
//!   depend on the features' scale.
//! - **H-score** (Bao et al. 2019): `tr(cov(F)⁺ cov(E[F | y]))`, and with the covariance shrunk as Ledoit and Wolf do
//!   (Ibrahim, Ponomareva and Mazumder 2022), which also tells something where there are few examples.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::Serialize;

use super::MetricsError;
use crate::classes::ClassIdx;
use crate::eigen::spectrum;

/// Directions whose eigenvalue is a smaller share of the largest are none.
const LEAST_EIGENVALUE: f64 = 1e-10;
/// Steps of LogME's fixed point, at most: each costs next to nothing.
const MAX_STEPS: usize = 10_000;
/// The fixed point is found when the ratio of the precisions changes by a smaller share.
const STILL: f64 = 1e-10;
/// A class that the features give without any error would have endless evidence: so much error, as a share of the
/// indicator, is taken to be there.
const LEAST_ERROR: f64 = 1e-12;

/// Estimates of how well features suit classes; larger is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Transferability {
    /// LogME.
    pub log_me: f64,
    /// H-score, 0 to the number of classes less one. With fewer examples than features it says nothing.
    pub h_score: f64,
    /// H-score with a shrunk covariance.
    pub h_score_shrunk: f64,
    /// How much it is shrunk, 0..1.
    pub shrinkage: f64,
}

/// Estimates from features `[n, dim]` and their classes. Classes without an example are left out.
///
/// # Errors
/// When there is no row, fewer than two classes, another number of classes than rows, a class outside the set, or a feature
/// that is no number.
pub fn transferability(
    features: ArrayView2<'_, f32>,
    y: &[ClassIdx],
    n_classes: usize,
) -> Result<Transferability, MetricsError> {
    let (n, d) = features.dim();
    if n == 0 || d == 0 {
        return Err(MetricsError::Empty);
    }
    if n != y.len() {
        return Err(MetricsError::LabelCount { n_rows: n, n_labels: y.len() });
    }
    if let Some(row) = y.iter().position(|class| class.as_usize() >= n_classes) {
        return Err(MetricsError::UnknownClass { row, class_idx: y[row].0, n_classes });
    }
    if let Some(row) = features.outer_iter().position(|row| row.iter().any(|v| !v.is_finite())) {
        return Err(MetricsError::NotNumbers { row });
    }
    let mut counts = vec![0usize; n_classes];
    y.iter().for_each(|class| counts[class.as_usize()] += 1);
    let used: Vec<usize> = (0..n_classes).filter(|&class| counts[class] > 0).collect();
    if used.len() < 2 {
        return Err(MetricsError::TooFewClasses);
    }
    let f = features.mapv(f64::from);
    let indicators = Array2::from_shape_fn(
        (n, used.len()),
        |(row, column)| {
            if y[row].as_usize() == used[column] { 1.0 } else { 0.0 }
        },
    );
    let log_me = log_me(&f, &indicators);
    let (h_score, h_score_shrunk, shrinkage) = h_scores(f, &indicators);
    Ok(Transferability { log_me, h_score, h_score_shrunk, shrinkage })
}

/// Eigenvalues of `F Fᵀ` above rounding, and the squares of the indicators' components along the eigenvectors.
struct Directions {
    values: Vec<f64>,
    /// `[n_values, n_classes]`
    squares: Array2<f64>,
}

impl Directions {
    fn new(f: &Array2<f64>, indicators: &Array2<f64>) -> Self {
        let (n, d) = f.dim();
        // The smaller of the two products has the same eigenvalues.
        let is_wide = n <= d;
        let (values, along) = match is_wide {
            true => spectrum(f.dot(&f.t()), indicators.clone()),
            false => spectrum(f.t().dot(f), f.t().dot(indicators)),
        };
        let largest = values.iter().copied().fold(0.0, f64::max);
        let kept: Vec<usize> =
            (0..values.len()).filter(|&i| values[i] > LEAST_EIGENVALUE * largest && values[i] > 0.0).collect();
        let squares = Array2::from_shape_fn((kept.len(), indicators.ncols()), |(i, class)| {
            let square = along[[kept[i], class]].powi(2);
            if is_wide { square } else { square / values[kept[i]] }
        });
        Self { values: kept.iter().map(|&i| values[i]).collect(), squares }
    }
}

fn log_me(f: &Array2<f64>, indicators: &Array2<f64>) -> f64 {
    let n = f.nrows();
    let directions = Directions::new(f, indicators);
    let evidences = indicators.axis_iter(Axis(1)).enumerate().map(|(class, indicator)| {
        evidence(&directions.values, &directions.squares.column(class).to_owned(), indicator.sum(), n)
    });
    evidences.sum::<f64>() / indicators.ncols() as f64
}

/// The largest logarithm of the evidence of one indicator of squared length `length`, divided by `n`.
fn evidence(values: &[f64], squares: &Array1<f64>, length: f64, n: usize) -> f64 {
    let (r, n_rows) = (values.len(), n as f64);
    // Without any use of the features: noise alone, of the indicator's size.
    let without = 0.5 * (n_rows / length).ln() - 0.5 - 0.5 * (2.0 * std::f64::consts::PI).ln();
    if r == 0 || squares.sum() <= 0.0 {
        return without;
    }
    // What no direction explains; nothing where there are as many directions as examples.
    let unexplained = if r == n { 0.0 } else { (length - squares.sum()).max(LEAST_ERROR * length) };
    let both = || values.iter().zip(squares);
    let weights = |t: f64| both().map(|(s, x)| s * x / (s + t).powi(2)).sum::<f64>();
    let error = |t: f64| unexplained + both().map(|(s, x)| x * (t / (s + t)).powi(2)).sum::<f64>();
    let used = |t: f64| values.iter().map(|s| s / (s + t)).sum::<f64>();
    // Not `n - used`, which loses its digits.
    let unused = |t: f64| (n - r) as f64 + values.iter().map(|s| t / (s + t)).sum::<f64>();
    let (least, most) = values.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), &s| (a.min(s), b.max(s)));
    let mut t = 1.0;
    for _ in 0..MAX_STEPS {
        let next = used(t) / weights(t) / (unused(t) / error(t));
        if !next.is_finite() || next > 1e12 * most {
            return without;
        }
        let is_still = (next - t).abs() < STILL * t;
        t = next;
        if is_still || t < 1e-12 * least {
            break;
        }
    }
    let (alpha, beta) = (used(t) / weights(t), unused(t) / error(t));
    let determinant: f64 = values.iter().map(|s| (alpha + beta * s).ln()).sum();
    let found = r as f64 * alpha.ln() + n_rows * (beta / (2.0 * std::f64::consts::PI)).ln()
        - determinant
        - beta * error(t)
        - alpha * weights(t);
    let found = found / (2.0 * n_rows);
    if found.is_finite() { found } else { without }
}

/// The H-score, the one of a shrunk covariance, and the shrinkage.
fn h_scores(mut f: Array2<f64>, indicators: &Array2<f64>) -> (f64, f64, f64) {
    let (n, d) = f.dim();
    let (n_rows, dim) = (n as f64, d as f64);
    if let Some(mean) = f.mean_axis(Axis(0)) {
        f -= &mean;
    }
    let fourth: f64 = f.outer_iter().map(|row| row.dot(&row).powi(2)).sum();
    let Directions { values, squares } = Directions::new(&f, indicators);
    let values: Vec<f64> = values.iter().map(|v| v / n_rows).collect();
    let counts = indicators.sum_axis(Axis(0));
    let of_classes: Vec<f64> =
        squares.outer_iter().map(|row| row.iter().zip(&counts).map(|(x, n)| x / n).sum()).collect();
    // Ledoit and Wolf's shrinkage towards a sphere, from the eigenvalues.
    let (trace, squared) = (values.iter().sum::<f64>(), values.iter().map(|v| v * v).sum::<f64>());
    let away = squared - trace * trace / dim;
    let noise = (fourth / n_rows - squared) / n_rows;
    let shrinkage = if away > 0.0 && d > 1 { (noise.min(away) / away).clamp(0.0, 1.0) } else { 0.0 };
    let sphere = shrinkage * trace / dim;
    let shrunk = |(w, v): (&f64, &f64)| {
        let kept = (1.0 - shrinkage) * v;
        if kept > 0.0 { w * kept / (kept + sphere) } else { 0.0 }
    };
    (of_classes.iter().sum(), of_classes.iter().zip(&values).map(shrunk).sum(), shrinkage)
}

/// How well one ranking agrees with another: Kendall's tau-b, -1 to 1; `None` where one of them has only equal values.
pub fn kendall_tau(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len().min(b.len());
    let (mut agree, mut n_a, mut n_b) = (0i64, 0i64, 0i64);
    for i in 0..n {
        for j in 0..i {
            let sign = |v: &[f64]| match v[i].partial_cmp(&v[j]) {
                Some(std::cmp::Ordering::Less) => -1,
                Some(std::cmp::Ordering::Greater) => 1,
                _ => 0,
            };
            let (x, y) = (sign(a), sign(b));
            agree += x * y;
            n_a += x.abs();
            n_b += y.abs();
        }
    }
    let pairs = ((n_a * n_b) as f64).sqrt();
    (pairs > 0.0).then(|| agree as f64 / pairs)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        name: String,
        features: Vec<Vec<f32>>,
        y: Vec<u32>,
        k: usize,
        logme: f64,
        h_score: f64,
        h_score_shrunk: f64,
        shrinkage: f64,
    }

    #[test]
    fn they_agree_with_numpy() {
        let text = include_str!("../../tests/fixtures/transferability.json");
        let cases: Vec<Case> = serde_json::from_str(text).unwrap();
        assert!(cases.len() >= 8);
        for case in cases {
            let d = case.features[0].len();
            let values: Vec<f32> = case.features.iter().flatten().copied().collect();
            let features = Array2::from_shape_vec((case.features.len(), d), values).unwrap();
            let y: Vec<ClassIdx> = case.y.iter().map(|&c| ClassIdx(c)).collect();
            let found = transferability(features.view(), &y, case.k).unwrap();
            for (what, found, wanted) in [
                ("LogME", found.log_me, case.logme),
                ("H", found.h_score, case.h_score),
                ("shrunk H", found.h_score_shrunk, case.h_score_shrunk),
                ("shrinkage", found.shrinkage, case.shrinkage),
            ] {
                assert!(
                    (found - wanted).abs() <= 1e-6 * wanted.abs().max(1.0),
                    "{} {what} {found} {wanted}",
                    case.name
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_estimated_is_said_and_the_rest_is_finite() {
        let y = [ClassIdx(0), ClassIdx(0), ClassIdx(1), ClassIdx(1)];
        let of = |f: Array2<f32>, y: &[ClassIdx]| transferability(f.view(), y, 3);
        assert_eq!(of(Array2::zeros((0, 2)), &[]), Err(MetricsError::Empty));
        assert_eq!(of(Array2::zeros((4, 2)), &[ClassIdx(0); 4]), Err(MetricsError::TooFewClasses));
        assert_eq!(of(Array2::from_elem((4, 2), f32::NAN), &y), Err(MetricsError::NotNumbers { row: 0 }));
        assert!(matches!(of(Array2::zeros((4, 2)), &[ClassIdx(7); 4]), Err(MetricsError::UnknownClass { .. })));
        for f in [
            Array2::zeros((4, 2)),
            Array2::ones((4, 3)),
            // Given without any error.
            Array2::from_shape_fn((4, 2), |(i, j)| if (i < 2) == (j == 0) { 1.0 } else { 0.0 }),
            Array2::from_shape_fn((4, 1), |(i, _)| i as f32 * 1e30),
        ] {
            let found = of(f.clone(), &y).unwrap();
            let all = [found.log_me, found.h_score, found.h_score_shrunk, found.shrinkage];
            assert!(all.iter().all(|v| v.is_finite()), "{f:?} {found:?}");
        }
    }

    #[test]
    fn rankings_agree_or_not() {
        assert_eq!(kendall_tau(&[1.0, 2.0, 3.0], &[10.0, 20.0, 30.0]), Some(1.0));
        assert_eq!(kendall_tau(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
        assert_eq!(kendall_tau(&[1.0, 1.0], &[3.0, 2.0]), None);
    }
}
