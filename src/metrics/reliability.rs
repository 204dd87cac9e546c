//! How well probabilities are calibrated, before and after temperature scaling.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::MetricsError;
use super::calibration::{CalibrationBin, bin_of, calibration_bins};
use super::log_loss::row_log_loss;
use super::report::check;
use crate::classes::ClassIdx;
use crate::rng::SplitMix64;

/// Draws from which the error of a perfect head is averaged.
const N_DRAWS: usize = 200;

/// How well probabilities are calibrated on a set of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Expected calibration error, 15 bins of equal width over the largest probability (Guo et al. 2017).
    pub error: f64,
    /// The same over 15 bins of equally many rows.
    pub adaptive_error: f64,
    /// Root of the mean squared calibration error over those bins, less what chance alone adds to it (Kumar et al. 2019,
    /// "Verified Uncertainty Calibration"); 0 where chance explains all of it.
    pub debiased_error: f64,
    /// The error that a perfectly calibrated head with the same probabilities shows on average on so many rows: what is left is
    /// chance (Bröcker & Smith 2007, consistency resampling; 200 draws).
    pub error_by_chance: f64,
    /// Mean of `-ln` of the true class's probability.
    pub log_loss: f64,
    /// Mean squared distance of the probabilities from the truth, summed over the classes (Brier 1950).
    pub brier: f64,
    /// The reliability diagram.
    pub bins: Vec<CalibrationBin>,
}

/// What temperature scaling has changed, on rows that did not choose the temperature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Number of rows.
    pub n_rows: usize,
    /// The head's temperature.
    pub temperature: f64,
    /// Whether the rows chose the head's temperature: then each was judged at one that was fitted without it.
    pub is_cross_fitted: bool,
    /// At temperature 1: the head as it was fitted.
    pub before: Reliability,
    /// After temperature scaling.
    pub after: Reliability,
}

impl Reliability {
    /// Judges probabilities of shape `[n_rows, n_classes]` against true classes of length `n_rows`. `seed` draws what
    /// [`Reliability::error_by_chance`] is made from.
    ///
    /// # Errors
    /// As [`super::Report::new`].
    pub fn new(
        probabilities: ArrayView2<'_, f32>,
        y_true: &[ClassIdx],
        n_classes: usize,
        seed: u64,
    ) -> Result<Self, MetricsError> {
        check(probabilities, y_true, n_classes)?;
        let n = y_true.len() as f64;
        let (mut log_loss, mut brier) = (0.0, 0.0);
        let mut rows: Vec<(f32, bool)> = Vec::with_capacity(y_true.len());
        for (row, truth) in probabilities.outer_iter().zip(y_true) {
            let best =
                row.iter().enumerate().fold((0, f32::MIN), |best, (i, &p)| if p > best.1 { (i, p) } else { best });
            rows.push((best.1, best.0 == truth.as_usize()));
            log_loss += row_log_loss(row, *truth);
            let square = |(class, p): (usize, &f32)| {
                let distance = f64::from(*p) - f64::from(u8::from(class == truth.as_usize()));
                distance * distance
            };
            brier += row.iter().enumerate().map(square).sum::<f64>();
        }
        let bins = calibration_bins(rows.iter().copied());
        let error = bins.iter().map(|b| f64::from(b.n_rows) * (b.accuracy - b.mean_confidence).abs()).sum::<f64>() / n;
        let error_by_chance = by_chance(&rows, seed);
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (adaptive_error, debiased_error) = of_equal_counts(&rows);
        Ok(Self {
            error,
            adaptive_error,
            debiased_error,
            error_by_chance,
            log_loss: log_loss / n,
            brier: brier / n,
            bins,
        })
    }
}

/// The plain and the debiased error of rows in the order of their confidence, over bins of equally many.
fn of_equal_counts(rows: &[(f32, bool)]) -> (f64, f64) {
    let n_bins = super::N_CALIBRATION_BINS.min(rows.len());
    let (mut plain, mut square) = (0.0, 0.0);
    for bin in 0..n_bins {
        let part = &rows[bin * rows.len() / n_bins..(bin + 1) * rows.len() / n_bins];
        let n = part.len() as f64;
        let share = n / rows.len() as f64;
        let confidence = part.iter().map(|row| f64::from(row.0)).sum::<f64>() / n;
        let accuracy = part.iter().filter(|row| row.1).count() as f64 / n;
        plain += share * (accuracy - confidence).abs();
        // A bin of one row has no spread to be told from chance.
        let chance = if part.len() > 1 { accuracy * (1.0 - accuracy) / (n - 1.0) } else { 0.0 };
        square += share * ((accuracy - confidence).powi(2) - chance);
    }
    (plain, square.max(0.0).sqrt())
}

fn by_chance(rows: &[(f32, bool)], seed: u64) -> f64 {
    let bin_of_row: Vec<usize> = rows.iter().map(|row| bin_of(row.0)).collect();
    let mut sum = 0.0;
    let mut rng = SplitMix64::new(SplitMix64::new(seed).next_u64());
    for _ in 0..N_DRAWS {
        let mut excess = [0.0_f64; super::N_CALIBRATION_BINS];
        for (row, &bin) in rows.iter().zip(&bin_of_row) {
            let drawn = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            let confidence = f64::from(row.0);
            excess[bin] += f64::from(u8::from(drawn < confidence)) - confidence;
        }
        sum += excess.iter().map(|e| e.abs()).sum::<f64>();
    }
    sum / (N_DRAWS * rows.len()) as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::metrics::{expected_calibration_error, log_loss};
    use ndarray::{Array2, array};

    #[test]
    fn figures_agree_with_their_formulas() {
        let p = array![[0.9f32, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]];
        let y = [ClassIdx(0), ClassIdx(1), ClassIdx(1), ClassIdx(0)];
        let found = Reliability::new(p.view(), &y, 2, 0).unwrap();
        assert!((found.log_loss - log_loss(p.view(), &y)).abs() < 1e-12);
        let brier = (2.0 * 0.01 + 2.0 * 0.64 + 2.0 * 0.09 + 2.0 * 0.16) / 4.0;
        assert!((found.brier - brier).abs() < 1e-6, "{}", found.brier);
        let rows = [(0.9f32, true), (0.8, false), (0.7, true), (0.6, true)];
        assert!((found.error - expected_calibration_error(rows)).abs() < 1e-9);
        // Four bins of one row each.
        assert!((found.adaptive_error - (0.1 + 0.8 + 0.3 + 0.4) / 4.0).abs() < 1e-6);
    }

    #[test]
    fn chance_explains_the_error_of_a_perfect_head() {
        // Half of the rows that are 75 % sure, in the right proportion.
        let n = 300;
        let p = Array2::from_shape_fn((n, 2), |(_, k)| if k == 0 { 0.75f32 } else { 0.25 });
        let y: Vec<ClassIdx> = (0..n).map(|i| ClassIdx::from(usize::from(i % 4 == 3))).collect();
        let found = Reliability::new(p.view(), &y, 2, 1).unwrap();
        assert!(found.error < 1e-6);
        // Mean of |binomial - mean|: sqrt(2 / pi) standard deviations.
        let expected = (2.0 / std::f64::consts::PI).sqrt() * (0.75_f64 * 0.25 / n as f64).sqrt();
        assert!((found.error_by_chance - expected).abs() < 0.15 * expected, "{} {expected}", found.error_by_chance);
        assert!(found.debiased_error < 0.01 && found.adaptive_error < 0.06, "{found:?}");
        // The same rows said to be 95 % sure: no chance explains that.
        let sure = Array2::from_shape_fn((n, 2), |(_, k)| if k == 0 { 0.95f32 } else { 0.05 });
        let off = Reliability::new(sure.view(), &y, 2, 1).unwrap();
        // Every bin has exactly its share, so that what is taken off for chance is too much.
        assert!((0.15..0.2).contains(&off.debiased_error) && off.error_by_chance < 0.02, "{off:?}");
    }

    #[test]
    fn what_cannot_be_judged_is_an_error() {
        assert_eq!(Reliability::new(Array2::zeros((0, 2)).view(), &[], 2, 0).unwrap_err(), MetricsError::Empty);
        let nan = array![[f32::NAN, 0.5]];
        let error = Reliability::new(nan.view(), &[ClassIdx(0)], 2, 0).unwrap_err();
        assert_eq!(error, MetricsError::NotProbabilities { row: 0 });
    }
}
