//! Whether one classifier is better than another on the same rows.
//!
//! McNemar's exact test (1947) looks at the rows on which only one of the two is right: were they equally good, each of
//! those rows would fall to either with probability 1/2. The difference of the accuracies has Newcombe's interval for paired
//! proportions ("Improved confidence intervals for the difference between binomial proportions based on paired data", 1998,
//! method 10), which is made of the two Wilson intervals and the correlation of the pairs, and holds with few rows and at
//! accuracies of 1, where a bootstrap shows no spread.

use serde::{Deserialize, Serialize};

use super::MetricsError;
use super::bootstrap::Interval;
use super::report::Estimate;

/// Differences less likely than this by chance are called clear.
pub const CLEAR: f64 = 0.05;

/// Two classifiers, A and B, on the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Rows on which both are right.
    pub n_both: usize,
    /// Rows on which only A is right.
    pub n_only_a: usize,
    /// Rows on which only B is right.
    pub n_only_b: usize,
    /// Rows on which both are wrong.
    pub n_neither: usize,
    /// Two-sided p-value of McNemar's exact test.
    pub p_value: f64,
    /// Accuracy of B less that of A, with its 95 % interval.
    pub difference: Estimate,
}

impl Paired {
    /// From whether A and B are right, a row each.
    ///
    /// # Errors
    /// Without rows.
    pub fn new(rows: impl IntoIterator<Item = (bool, bool)>) -> Result<Self, MetricsError> {
        let mut counts = [0_usize; 4];
        for (a, b) in rows {
            counts[2 * usize::from(!a) + usize::from(!b)] += 1;
        }
        let [n_both, n_only_a, n_only_b, n_neither] = counts;
        let n = n_both + n_only_a + n_only_b + n_neither;
        if n == 0 {
            return Err(MetricsError::Empty);
        }
        let value = (n_only_b as f64 - n_only_a as f64) / n as f64;
        let interval = newcombe(counts.map(|count| count as f64));
        let difference = Estimate { value, interval };
        Ok(Self { n_both, n_only_a, n_only_b, n_neither, p_value: mcnemar_exact(n_only_a, n_only_b), difference })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_both + self.n_only_a + self.n_only_b + self.n_neither
    }

    /// Accuracy of A on them.
    pub fn accuracy_a(&self) -> f64 {
        (self.n_both + self.n_only_a) as f64 / self.n_rows().max(1) as f64
    }

    /// Accuracy of B on them.
    pub fn accuracy_b(&self) -> f64 {
        (self.n_both + self.n_only_b) as f64 / self.n_rows().max(1) as f64
    }

    /// Whether chance alone would seldom give such a difference.
    pub fn is_clear(&self) -> bool {
        self.p_value < CLEAR
    }
}

/// Two-sided p-value of the exact binomial test of `only_a` successes in `only_a + only_b` at 1/2; 1 without any.
pub fn mcnemar_exact(only_a: usize, only_b: usize) -> f64 {
    let n = only_a + only_b;
    let fewer = only_a.min(only_b);
    if n == 0 || only_a == only_b {
        return 1.0;
    }
    // The largest term of the tail is the last; the others are fractions of it, so that nothing overflows.
    let ln_last: f64 = (0..fewer).map(|i| (((n - i) as f64) / ((fewer - i) as f64)).ln()).sum::<f64>()
        - n as f64 * std::f64::consts::LN_2;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in (0..fewer).rev() {
        term *= (k + 1) as f64 / (n - k) as f64;
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    (2.0 * (ln_last + f64::ln(sum)).exp()).min(1.0)
}

/// Newcombe's interval of `(only_b - only_a) / n`, from the counts of both, only A, only B, neither.
fn newcombe([both, only_a, only_b, neither]: [f64; 4]) -> Interval {
    let n = both + only_a + only_b + neither;
    let (b, a) = ((both + only_b) / n, (both + only_a) / n);
    let (of_b, of_a) = (Interval::wilson(b, n as usize), Interval::wilson(a, n as usize));
    // Correlation of the pairs, with the correction for continuity of the paper.
    let margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither);
    let phi = if margins > 0.0 {
        let cross = both * neither - only_a * only_b;
        let corrected = if cross > 0.0 { (cross - n / 2.0).max(0.0) } else { cross };
        corrected / margins.sqrt()
    } else {
        0.0
    };
    let reach = |x: f64, y: f64| (x * x - 2.0 * phi * x * y + y * y).max(0.0).sqrt();
    let value = b - a;
    Interval {
        low: (value - reach(b - of_b.low, of_a.high - a)).max(-1.0),
        high: (value + reach(of_b.high - b, a - of_a.low)).min(1.0),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn paired(both: usize, only_a: usize, only_b: usize, neither: usize) -> Paired {
        let rows = |n, row| std::iter::repeat_n(row, n);
        let all = rows(both, (true, true))
            .chain(rows(only_a, (true, false)))
            .chain(rows(only_b, (false, true)))
            .chain(rows(neither, (false, false)));
        Paired::new(all).unwrap()
    }

    #[test]
    fn counts_and_accuracies() {
        let p = paired(40, 2, 7, 1);
        assert_eq!((p.n_both, p.n_only_a, p.n_only_b, p.n_neither, p.n_rows()), (40, 2, 7, 1, 50));
        assert!((p.accuracy_a() - 0.84).abs() < 1e-12 && (p.accuracy_b() - 0.94).abs() < 1e-12);
        assert!((p.difference.value - 0.1).abs() < 1e-12);
        assert!((p.p_value - 0.179_687_5).abs() < 1e-12 && !p.is_clear());
        let turned = paired(40, 7, 2, 1);
        assert!((turned.p_value - p.p_value).abs() < 1e-15);
        assert!((turned.difference.interval.low + p.difference.interval.high).abs() < 1e-12, "A and B change places");
    }

    #[test]
    fn what_agrees_everywhere_is_no_difference() {
        for p in [paired(10, 0, 0, 0), paired(0, 0, 0, 10), paired(5, 0, 0, 5), paired(3, 4, 4, 3)] {
            assert!(p.p_value == 1.0 && p.difference.value == 0.0, "{p:?}");
            let Interval { low, high } = p.difference.interval;
            assert!(low <= 0.0 && high >= 0.0 && low.is_finite() && high.is_finite(), "{p:?}");
        }
        // Without a mistake there is still room for a difference.
        assert!(paired(10, 0, 0, 0).difference.interval.high > 0.1);
        assert_eq!(Paired::new([]), Err(MetricsError::Empty));
    }

    #[test]
    fn large_counts_do_not_overflow() {
        let p = mcnemar_exact(9_800, 10_200);
        assert!((0.004..0.006).contains(&p), "{p}");
        assert!(mcnemar_exact(0, 5_000) < 1e-300);
        assert!(mcnemar_exact(1, 0) == 1.0 && mcnemar_exact(0, 2) == 0.5);
    }
}
