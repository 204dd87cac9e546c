//! Percentile bootstrap: how far a metric would move with another draw of the same images (Efron 1979).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::rng::SplitMix64;

/// Resamples of a report.
pub(super) const N_RESAMPLES: usize = 1000;
/// Share of resamples inside an interval.
const LEVEL: f64 = 0.95;

/// A 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// 2.5th percentile of the resamples.
    pub low: f64,
    /// 97.5th percentile of the resamples.
    pub high: f64,
}

impl Interval {
    /// Of a metric's values in resamples: percentiles with linear interpolation, as NumPy's default.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let position = share * (values.len().saturating_sub(1)) as f64;
            let below = position.floor() as usize;
            let (low, high) = match (values.get(below), values.get(below + 1)) {
                (Some(&low), Some(&high)) => (low, high),
                (Some(&low), None) => (low, low),
                _ => (0.0, 0.0),
            };
            low + (high - low) * (position - below as f64)
        };
        Self { low: at(0.5 * (1.0 - LEVEL)), high: at(0.5 * (1.0 + LEVEL)) }
    }

    /// The basic bootstrap interval: the percentiles mirrored at the value. Right for a metric whose resamples are larger
    /// than itself on average, as the calibration error's are: a resample's bins are emptier. Never below 0.
    pub(super) fn mirrored(self, value: f64) -> Self {
        Self { low: (2.0 * value - self.high).max(0.0), high: (2.0 * value - self.low).max(value) }
    }

    /// Wilson's score interval (1927) of a share of `n_rows`, for shares of 0 and 1, where resamples show no spread.
    pub fn wilson(share: f64, n_rows: usize) -> Self {
        Self::of_share(share, n_rows as f64)
    }

    /// Wilson's score interval of a share that is as certain as one of `n` independent rows, which need not be whole.
    pub fn of_share(share: f64, n: f64) -> Self {
        const Z: f64 = 1.959_963_984_540_054;
        let n = n.max(1.0);
        let centre = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        Self { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
    }
}

/// Intervals of `N` metrics over resamples of `n_rows` rows.
///
/// `start` makes the sums of one resample, `add` adds a row to them, `finish` turns them into the metrics. Each
/// resample has a stream of its own, so the result does not depend on the number of threads.
pub(super) fn intervals<S: Send, const N: usize>(
    n_rows: usize,
    seed: u64,
    start: impl Fn() -> S + Sync + Send,
    add: impl Fn(&mut S, usize) + Sync,
    finish: impl Fn(&mut S) -> [f64; N] + Sync,
) -> [Interval; N] {
    let resamples: Vec<[f64; N]> = (0..N_RESAMPLES)
        .into_par_iter()
        .map_init(start, |sums, resample| {
            // Hashed, because neighbouring seeds of SplitMix64 give shifted streams.
            let mut rng = SplitMix64::new(SplitMix64::new(seed ^ ((resample as u64) << 32)).next_u64());
            for _ in 0..n_rows {
                add(sums, rng.below(n_rows));
            }
            finish(sums)
        })
        .collect();
    std::array::from_fn(|metric| Interval::of(resamples.iter().map(|values| values[metric]).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_of_a_mean_is_about_two_standard_errors_wide() {
        // 400 rows, half of them 1: the standard error of the mean is 0.025.
        let [mean] = intervals(
            400,
            7,
            || (0.0, 0.0),
            |(sum, n), row| {
                *sum += (row % 2) as f64;
                *n += 1.0;
            },
            |(sum, n)| {
                let mean = *sum / *n;
                (*sum, *n) = (0.0, 0.0);
                [mean]
            },
        );
        assert!((mean.low - 0.451).abs() < 0.006 && (mean.high - 0.549).abs() < 0.006, "{mean:?}");
    }

    #[test]
    fn percentiles_interpolate() {
        let interval = Interval::of((0..=1000).rev().map(f64::from).collect());
        assert!((interval.low - 25.0).abs() < 1e-9 && (interval.high - 975.0).abs() < 1e-9);
        assert_eq!(Interval::of(vec![3.0]), Interval { low: 3.0, high: 3.0 });
    }
}
