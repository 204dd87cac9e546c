//! Accuracy on rows that are no fair sample.

use super::MetricsError;
use super::bootstrap::Interval;
use super::report::Estimate;

/// Accuracy where each row counts for as many as it stands for (post-stratification), with Wilson's interval at the effective
/// number of rows, `(sum w)^2 / sum w^2` (L. Kish: Survey sampling, 1965). `weights` are of at least 0.
///
/// # Errors
/// Other numbers of weights and rows, no weight above 0.
pub fn weighted_accuracy(is_right: &[bool], weights: &[f64]) -> Result<Estimate, MetricsError> {
    if is_right.len() != weights.len() {
        return Err(MetricsError::LabelCount { n_rows: is_right.len(), n_labels: weights.len() });
    }
    let total: f64 = weights.iter().sum();
    if !(total.is_finite() && total > 0.0) {
        return Err(MetricsError::Empty);
    }
    let right: f64 = is_right.iter().zip(weights).filter(|(is_right, _)| **is_right).map(|(_, w)| w).sum();
    let value = (right / total).clamp(0.0, 1.0);
    let n_effective = total * total / weights.iter().map(|w| w * w).sum::<f64>();
    Ok(Estimate { value, interval: Interval::wilson(value, n_effective.round() as usize) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_give_the_share_with_its_interval() {
        let is_right: Vec<bool> = (0..20).map(|i| i < 15).collect();
        let equal = weighted_accuracy(&is_right, &[3.0; 20]).unwrap();
        assert_eq!(equal.value, 0.75);
        // scipy.stats.binomtest(15, 20).proportion_ci(method="wilson")
        assert!((equal.interval.low - 0.531_299).abs() < 1e-5, "{}", equal.interval.low);
        assert!((equal.interval.high - 0.888_138).abs() < 1e-5, "{}", equal.interval.high);
    }

    #[test]
    fn what_stands_for_more_counts_for_more_and_widens_the_interval() {
        let estimate = weighted_accuracy(&[true, false, true, false], &[9.0, 1.0, 1.0, 1.0]).unwrap();
        assert!((estimate.value - 10.0 / 12.0).abs() < 1e-12);
        let even = weighted_accuracy(&[true, true, true, false], &[1.0; 4]).unwrap();
        let wide = |e: Estimate| e.interval.high - e.interval.low;
        assert!(wide(estimate) > wide(even));
    }

    #[test]
    fn nothing_to_count_is_an_error() {
        assert_eq!(weighted_accuracy(&[], &[]), Err(MetricsError::Empty));
        assert_eq!(weighted_accuracy(&[true], &[0.0]), Err(MetricsError::Empty));
        assert_eq!(weighted_accuracy(&[true], &[f64::NAN]), Err(MetricsError::Empty));
        assert_eq!(weighted_accuracy(&[true], &[]), Err(MetricsError::LabelCount { n_rows: 1, n_labels: 0 }));
    }
}
