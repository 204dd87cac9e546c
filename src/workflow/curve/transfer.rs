//! Whether pretrained features are worth their while: compared with features that have learned nothing.

use serde::Serialize;

use super::measure::{Judged, SizeRuns};
use super::points::{CurvePoint, accuracy, right_by_row};
use super::{CurveHead, HeadCurve, Source};
use crate::classes::ClassIdx;
use crate::metrics::{Estimate, Interval};

/// What the comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The pretrained features are better, beyond the interval.
    Helps,
    /// They are no better as far as can be told.
    NoBetter,
    /// They are worse, beyond the interval: negative transfer (Wang et al. 2019).
    Worse,
}

/// The best head on pretrained features against the best from scratch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Transfer {
    /// The head on pretrained features that is best at the largest size, of those that read no texts.
    pub pretrained: CurveHead,
    /// The features from scratch that are best there.
    pub baseline: Source,
    /// With this head.
    pub baseline_head: CurveHead,
    /// How much more accurate the pretrained features are, on the same images.
    pub difference: Estimate,
    /// What that says.
    pub verdict: Verdict,
    /// How many images they save.
    pub efficiency: Option<Efficiency>,
    /// How fast a linear head is fitted on either.
    pub convergence: Option<Convergence>,
}

/// Data efficiency: how many times fewer images pretrained features need for what the baseline reaches with all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Efficiency {
    /// The baseline's accuracy with all images.
    pub accuracy: f64,
    /// Its images a class.
    pub n_baseline: f64,
    /// Images a class that the pretrained features need for that.
    pub n_pretrained: f64,
    /// The first as a multiple of the second.
    pub times: f64,
    /// The same at the ends of the interval of the baseline's accuracy.
    pub interval: Interval,
    /// They are better with the fewest images already, so that it is this or more.
    pub is_at_least: bool,
}

/// Iterations (L-BFGS) of the linear heads with all images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Convergence {
    /// Until the fit on pretrained features ends.
    pub pretrained: usize,
    /// Until that on the baseline's does.
    pub baseline: usize,
    /// Until the training objective on pretrained features is as low as the baseline's ends; `None` where it never is.
    pub to_baseline: Option<usize>,
}

/// Compares; `None` without a baseline.
pub(super) fn transfer(curves: &[(HeadCurve, Vec<SizeRuns>)], y: &[ClassIdx]) -> Option<Transfer> {
    let last = |curve: &HeadCurve| curve.points.last().map_or(f64::NEG_INFINITY, |point| point.accuracy.value);
    let best_of = |is_baseline: bool| {
        let open = curves
            .iter()
            .filter(|(curve, _)| (curve.source != Source::Pretrained) == is_baseline && curve.head != CurveHead::Text);
        open.reduce(|best, next| if last(&next.0) > last(&best.0) { next } else { best })
    };
    let ((pretrained, runs), (baseline, baseline_runs)) = (best_of(false)?, best_of(true)?);
    let difference = difference(runs.last()?, baseline_runs.last()?, y);
    let verdict = match difference.interval {
        Interval { low, .. } if low > 0.0 => Verdict::Helps,
        Interval { high, .. } if high < 0.0 => Verdict::Worse,
        _ => Verdict::NoBetter,
    };
    Some(Transfer {
        pretrained: pretrained.head,
        baseline: baseline.source,
        baseline_head: baseline.head,
        difference,
        verdict,
        efficiency: efficiency(&pretrained.points, &baseline.points),
        convergence: convergence(curves, baseline.source),
    })
}

/// Difference of two heads' accuracies on the same draws and images, with the interval of a paired comparison: the variance is
/// that of the images' differences over their number and that of the draws' over theirs.
fn difference(one: &SizeRuns, other: &SizeRuns, y: &[ClassIdx]) -> Estimate {
    let (a, b) = (right_by_row(one, y), right_by_row(other, y));
    let by_image: Vec<f64> = a.iter().filter_map(|(row, right)| Some(right - b.get(row)?)).collect();
    let of = |draw: &Judged| accuracy(draw, y);
    let by_draw: Vec<f64> = one.draws.iter().zip(&other.draws).map(|(a, b)| of(a) - of(b)).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let of_mean = |values: &[f64]| match values.len() {
        0 | 1 => 0.0,
        n => {
            let mean = mean(values);
            values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / ((n - 1) * n) as f64
        }
    };
    let value = mean(&by_draw);
    let half = 1.959_964 * (of_mean(&by_image) + of_mean(&by_draw)).sqrt();
    Estimate { value, interval: Interval { low: value - half, high: value + half } }
}

fn efficiency(pretrained: &[CurvePoint], baseline: &[CurvePoint]) -> Option<Efficiency> {
    let target = baseline.last()?;
    let needed = |accuracy: f64| images_for(pretrained, accuracy);
    let (n_pretrained, is_at_least) = needed(target.accuracy.value)?;
    let times = |n: f64| target.n_per_class / n;
    let interval = target.accuracy.interval;
    let most = needed(interval.low).map_or(times(n_pretrained), |(n, _)| times(n));
    let least = needed(interval.high).map_or(times(pretrained.last()?.n_per_class), |(n, _)| times(n));
    Some(Efficiency {
        accuracy: target.accuracy.value,
        n_baseline: target.n_per_class,
        n_pretrained,
        times: times(n_pretrained),
        interval: Interval { low: least.min(times(n_pretrained)), high: most.max(times(n_pretrained)) },
        is_at_least,
    })
}

/// Images a class at which a curve reaches an accuracy, between its points along `ln n`, and whether it begins there; `None`
/// where it never does.
fn images_for(points: &[CurvePoint], accuracy: f64) -> Option<(f64, bool)> {
    let first = points.first()?;
    if first.accuracy.value >= accuracy {
        return Some((first.n_per_class, true));
    }
    let pair = points.windows(2).find(|pair| pair[1].accuracy.value >= accuracy)?;
    let (from, to) = (pair[0].accuracy.value, pair[1].accuracy.value);
    let part = if to > from { ((accuracy - from) / (to - from)).clamp(0.0, 1.0) } else { 1.0 };
    let (low, high) = (pair[0].n_per_class.ln(), pair[1].n_per_class.ln());
    Some(((low + part * (high - low)).exp(), false))
}

fn convergence(curves: &[(HeadCurve, Vec<SizeRuns>)], baseline: Source) -> Option<Convergence> {
    let loss = |source: Source| {
        let linear = curves.iter().find(|(curve, _)| curve.source == source && curve.head == CurveHead::Linear)?;
        Some(&linear.0.loss_curve).filter(|losses| losses.len() > 1)
    };
    let (one, other) = (loss(Source::Pretrained)?, loss(baseline)?);
    let end = *other.last()?;
    let to_baseline = one.iter().position(|loss| *loss <= end);
    Some(Convergence { pretrained: one.len() - 1, baseline: other.len() - 1, to_baseline })
}
