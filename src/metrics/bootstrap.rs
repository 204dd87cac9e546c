//! Percentile bootstrap: how far a metric would move with another draw of the same images (Efron 1979).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

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
    /// Percentiles with linear interpolation, as NumPy's default.
    fn of(mut values: Vec<f64>) -> Self {
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
}

/// SplitMix64 (Steele, Lea and Flood 2014): small, seeded, the same everywhere.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, by multiplication (Lemire 2019); its bias is below `bound / 2^64`.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
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
            let mut rng = SplitMix64(SplitMix64(seed ^ ((resample as u64) << 32)).next());
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
