//! What more images would give: the power law through a curve's points, and how far it can be trusted.

use rayon::prelude::*;
use serde::Serialize;

use super::measure::SizeRuns;
use super::points::{CurvePoint, Resample};
use crate::classes::ClassIdx;
use crate::metrics::{Estimate, Interval, PowerLaw};

/// Fewer sizes than this have no shape.
const LEAST_SIZES: usize = 4;
/// Laws are fitted to so many resamples.
pub(super) const N_RESAMPLES: u64 = 300;
/// The smallest sizes, which a law need not hold for yet, are left out of resamples: up to so many of them.
const MAX_LEFT_OUT: usize = 3;
/// From here on there is nothing left to gain.
const CEILING: f64 = 0.995;
/// Beyond so many times the data there is nobody can tell.
pub const MAX_AHEAD: f64 = 4.0;

/// What is to be expected of more images.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outlook {
    /// There are too few different sizes to see a trend in.
    TooFewSizes,
    /// Nearly everything is right already.
    AtCeiling,
    /// No trend that goes beyond chance.
    Flat,
    /// The curve rises.
    Rising {
        /// The law, in images a class.
        law: PowerLaw,
        /// What so many more images give.
        gains: Vec<Gain>,
    },
}

/// What more images of all classes would give.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gain {
    /// More images to train on than now, over all classes, which keep their shares.
    pub n_more: usize,
    /// Accuracy that is expected then.
    pub accuracy: Estimate,
    /// How much more that is than now, 0..1.
    pub gain: Estimate,
}

/// Laws of resamples, from which predictions at any size are made.
pub(super) struct Laws {
    main: PowerLaw,
    resampled: Vec<PowerLaw>,
    /// The largest size, in images a class.
    n_now: f64,
}

impl Laws {
    /// Of all sizes; `None` with fewer than four.
    pub fn new(
        sizes: &[SizeRuns],
        points: &[CurvePoint],
        (y, judged): (&[ClassIdx], &[usize]),
        seed: u64,
    ) -> Option<Self> {
        let n: Vec<f64> = points.iter().map(|p| p.n_per_class).collect();
        let variance: Vec<f64> = points.iter().map(|p| p.variance).collect();
        let error: Vec<f64> = points.iter().map(|p| 1.0 - p.accuracy.value).collect();
        let n_now = n.iter().copied().fold(0.0, f64::max);
        if points.len() < LEAST_SIZES {
            return None;
        }
        let main = PowerLaw::fit(&n, &error, &variance)?;
        let max_left_out = MAX_LEFT_OUT.min(points.len() - LEAST_SIZES);
        let of_resample = |number: u64| {
            let resample = Resample::new(judged, y.len(), sizes, seed, number);
            let mut rng = resample.rng.clone();
            let first = rng.below(max_left_out + 1);
            // What draws out of the same images cannot show: how another such set of images would do.
            let error = (first..sizes.len()).map(|i| {
                let of_set = points[i].variance_of_set.sqrt() * rng.normal();
                (1.0 - resample.accuracy(i, &sizes[i], y) + of_set).clamp(0.0, 1.0)
            });
            let error: Vec<f64> = error.collect();
            PowerLaw::fit(&n[first..], &error, &variance[first..])
        };
        let resampled: Vec<Option<PowerLaw>> = (0..N_RESAMPLES).into_par_iter().map(of_resample).collect();
        let resampled: Vec<PowerLaw> = resampled.into_iter().flatten().collect();
        if resampled.is_empty() { None } else { Some(Self { main, resampled, n_now }) }
    }

    /// The accuracy at `n` images a class: the median of the laws.
    pub fn accuracy_at(&self, n: f64) -> Estimate {
        self.estimate(|law| (1.0 - law.error_at(n)).clamp(0.0, 1.0))
    }

    fn gain_at(&self, n: f64) -> Estimate {
        self.estimate(|law| (law.error_at(self.n_now) - law.error_at(n)).max(0.0))
    }

    /// The law of all sizes leans on the smallest of them, which it need not hold for yet: of the resamples, which leave some of
    /// them out, the middle one is believed.
    fn estimate(&self, of: impl Fn(&PowerLaw) -> f64) -> Estimate {
        let mut values: Vec<f64> = self.resampled.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        match values.get(values.len() / 2) {
            Some(&value) => Estimate { value, interval: Interval::of(values) },
            None => Estimate::default(),
        }
    }
}

/// What more images would give, from the laws of all sizes.
pub(super) fn outlook(laws: Option<&Laws>, points: &[CurvePoint], n_classes: usize) -> Outlook {
    let (Some(laws), Some(first), Some(last)) = (laws, points.first(), points.last()) else {
        return Outlook::TooFewSizes;
    };
    if last.accuracy.value >= CEILING {
        return Outlook::AtCeiling;
    }
    // What the law says that the largest size gained on the smallest must go beyond the chance in both.
    let risen = laws.main.error_at(first.n_per_class) - laws.main.error_at(last.n_per_class);
    if risen <= 1.96 * (first.variance + last.variance).sqrt() {
        return Outlook::Flat;
    }
    let gains = steps(last.n_images).into_iter().map(|n_more| {
        let n = last.n_per_class + n_more as f64 / n_classes.max(1) as f64;
        Gain { n_more, accuracy: laws.accuracy_at(n), gain: laws.gain_at(n) }
    });
    Outlook::Rising { law: laws.main, gains: gains.collect() }
}

/// Round numbers of images more: about half as many as there are, as many, and nearly up to the limit.
fn steps(n_now: f64) -> Vec<usize> {
    let round = |n: f64, is_nearest: bool| {
        let decade = 10_f64.powf(n.max(1.0).log10().floor());
        let leads = [1.0, 2.0, 5.0, 10.0].into_iter().map(|lead| lead * decade);
        let off = |round: &f64| if is_nearest { (round / n).ln().abs() } else { (n * 1.0001 - round).max(0.0) };
        let open = leads.filter(|round| is_nearest || *round <= n * 1.0001);
        open.min_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(1.0) as usize
    };
    let ahead = (MAX_AHEAD - 1.0) * n_now;
    let mut steps = vec![round(0.5 * n_now, true), round(n_now, true), round(ahead, false)];
    steps.dedup();
    steps
}

/// The gain that is said first: of about as many images more as there are.
pub(super) fn said_first<'a>(gains: &'a [Gain], points: &[CurvePoint]) -> Option<&'a Gain> {
    let n_now = points.last()?.n_images;
    let off = |gain: &Gain| (gain.n_more as f64 / n_now.max(1.0)).ln().abs();
    gains.iter().min_by(|a, b| off(a).total_cmp(&off(b)))
}

#[cfg(test)]
mod tests {
    use super::steps;

    #[test]
    fn numbers_of_images_are_round_and_within_reach() {
        assert_eq!(steps(244.0), [100, 200, 500]);
        assert_eq!(steps(400.0), [200, 500, 1000]);
        assert_eq!(steps(1650.0), [1000, 2000]);
        assert_eq!(steps(12.0), [5, 10, 20]);
        for n in 8..3000 {
            let steps = steps(f64::from(n));
            assert!(steps.windows(2).all(|pair| pair[0] < pair[1]), "{n}: {steps:?}");
            assert!(steps.last().is_some_and(|last| *last as f64 <= 3.001 * f64::from(n)), "{n}: {steps:?}");
        }
    }
}
