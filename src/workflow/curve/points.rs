//! From draws to points with intervals, and resamples of them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::measure::{Judged, SizeRuns};
use crate::classes::ClassIdx;
use crate::metrics::{Estimate, Interval};
use crate::rng::SplitMix64;

/// A draw of more than this share of the images there are says little of how draws of that size differ: they are nearly the
/// same. Smaller ones say it for them.
const MAX_TELLING_SHARE: f64 = 0.75;
/// Sizes on either side of one that have a say in how its draws differ: five draws alone would say it badly.
const SMOOTHED: usize = 2;
/// Least variance of a mean accuracy, so that a size whose draws agree by chance does not decide alone.
const LEAST_VARIANCE: f64 = 1e-6;

/// How heads of one kind did at one size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Images a class that were trained on, in the mean over classes and draws.
    pub n_per_class: f64,
    /// Images that were trained on, in the mean over the draws.
    pub n_images: f64,
    /// Draws.
    pub n_draws: usize,
    /// Mean accuracy over the draws, with an interval for both the draws and the judged images.
    pub accuracy: Estimate,
    /// Variance of the mean accuracy, of draws and judged images together.
    #[serde(skip)]
    pub variance: f64,
    /// The part of it that draws out of the same images cannot show.
    #[serde(skip)]
    pub variance_of_set: f64,
    /// Mean log loss.
    pub log_loss: f64,
    /// Mean recall of each class, in class order; `None` for a class that is not judged on.
    pub recall: Vec<Option<f64>>,
    /// Mean F1 of each class, likewise.
    pub f1: Vec<Option<f64>>,
}

/// Points of all sizes.
///
/// The variance of a mean accuracy `p` over `D` draws, judged on `M` images, is
///
/// ```text
/// V = s_i^2 / M  +  s_n^2 (f + (1 - f) / D)        s_n^2 = s_d^2 / (1 - f)
/// ```
///
/// `s_i^2` is the variance over the images of the share of draws that had them right: another set of images to judge on.
/// `s_d^2` is the variance of the accuracy over the draws (without what their differing images to judge on add to it, where
/// those are folds). As draws without replacement of a share `f` of what there is, they vary by `1 - f` times the variance
/// `s_n^2` between sets of that size, and the mean of any number of them keeps `f` of it (the first-order term of a
/// U-statistic: Hoeffding 1948). In units of `p (1 - p) / n` it is the mean over five neighbouring sizes, weighted by their
/// degrees of freedom, since a few draws say it badly, and those of nearly all images (`f > 0.75`) not at all. The interval is Wilson's at the `p (1 - p) / V` independent images that such a variance would come from.
pub(super) fn points(sizes: &[SizeRuns], y: &[ClassIdx], n_classes: usize, is_given: bool) -> Vec<CurvePoint> {
    let of_sets = variance_of_sets(sizes, y, is_given);
    let mut points = Vec::with_capacity(sizes.len());
    for (size, of_sets) in sizes.iter().zip(of_sets) {
        let n_draws = size.draws.len().max(1) as f64;
        let p = mean_accuracy(size, y);
        let (of_images, n_judged) = variance_of_images(size, y);
        let share = size.share.clamp(0.0, 1.0);
        let variance = of_images / n_judged.max(1.0) + of_sets * (share + (1.0 - share) / n_draws);
        let n_effective = if p > 0.0 && p < 1.0 && variance > 0.0 { p * (1.0 - p) / variance } else { n_judged };
        let interval = Interval::of_share(p, n_effective.min(n_judged.max(1.0)));
        let mean = |of: &dyn Fn(&Judged) -> f64| size.draws.iter().map(of).sum::<f64>() / n_draws;
        let (recall, f1) = per_class(size, y, n_classes);
        points.push(CurvePoint {
            n_per_class: size.n_images / n_classes.max(1) as f64,
            n_images: size.n_images,
            n_draws: size.draws.len(),
            accuracy: Estimate { value: p, interval },
            variance: variance.max(LEAST_VARIANCE),
            variance_of_set: of_sets * share,
            log_loss: mean(&|draw| draw.log_loss),
            recall,
            f1,
        });
    }
    points
}

fn mean_accuracy(size: &SizeRuns, y: &[ClassIdx]) -> f64 {
    size.draws.iter().map(|draw| accuracy(draw, y)).sum::<f64>() / size.draws.len().max(1) as f64
}

/// `s_n^2` of each size.
fn variance_of_sets(sizes: &[SizeRuns], y: &[ClassIdx], is_given: bool) -> Vec<f64> {
    // Of each size: `s_n^2 n / p (1 - p)`, and how many degrees of freedom say so.
    let scale = |size: &SizeRuns| {
        let p = mean_accuracy(size, y);
        p * (1.0 - p) / size.n_images.max(1.0)
    };
    let told: Vec<(f64, f64)> = sizes
        .iter()
        .map(|size| {
            let accuracies: Vec<f64> = size.draws.iter().map(|draw| accuracy(draw, y)).collect();
            let n_draws = accuracies.len() as f64;
            let mut of_draws = sample_variance(&accuracies);
            if !is_given {
                let of_fold = |(draw, p): (&Judged, &f64)| p * (1.0 - p) / draw.rows.len().max(1) as f64;
                of_draws -= size.draws.iter().zip(&accuracies).map(of_fold).sum::<f64>() / n_draws.max(1.0);
            }
            let freedom = if size.share > MAX_TELLING_SHARE { 0.0 } else { (n_draws - 1.0).max(0.0) };
            let of_sets = of_draws / (1.0 - size.share).max(1.0 - MAX_TELLING_SHARE);
            (if scale(size) > 0.0 { of_sets / scale(size) } else { 0.0 }, freedom)
        })
        .collect();
    let smoothed = |at: usize| {
        // The nearest sizes that say anything; of the whole, the largest below it.
        let near = |width: usize| &told[at.saturating_sub(width)..told.len().min(at + width + 1)];
        let near =
            (SMOOTHED..=told.len().max(SMOOTHED)).map(near).find(|near| near.iter().any(|(_, freedom)| *freedom > 0.0));
        let (sum, freedom) =
            near.unwrap_or(&[]).iter().fold((0.0, 0.0), |(sum, all), (v, freedom)| (sum + v * freedom, all + freedom));
        if freedom > 0.0 { (sum / freedom).max(0.0) } else { 0.0 }
    };
    (0..sizes.len()).map(|at| smoothed(at) * scale(&sizes[at])).collect()
}

fn sample_variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

/// Share of the rows that were right.
pub(super) fn accuracy(draw: &Judged, y: &[ClassIdx]) -> f64 {
    weighted(draw, y, |_| 1.0).unwrap_or(0.0)
}

/// Share of the rows that were right, of rows that count so much; `None` where none counts.
fn weighted(draw: &Judged, y: &[ClassIdx], weight: impl Fn(usize) -> f64) -> Option<f64> {
    let (mut right, mut all) = (0.0, 0.0);
    for (&row, found) in draw.rows.iter().zip(&draw.found) {
        let weight = weight(row);
        all += weight;
        right += if y[row] == *found { weight } else { 0.0 };
    }
    (all > 0.0).then(|| right / all)
}

/// How often each judged row was right, 0..1, by row.
pub(super) fn right_by_row(size: &SizeRuns, y: &[ClassIdx]) -> BTreeMap<usize, f64> {
    let mut tally: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for draw in &size.draws {
        for (&row, found) in draw.rows.iter().zip(&draw.found) {
            let (right, all) = tally.entry(row).or_default();
            *right += f64::from(u8::from(y[row] == *found));
            *all += 1.0;
        }
    }
    tally.into_iter().map(|(row, (right, all))| (row, right / all)).collect()
}

fn variance_of_images(size: &SizeRuns, y: &[ClassIdx]) -> (f64, f64) {
    let right: Vec<f64> = right_by_row(size, y).into_values().collect();
    (sample_variance(&right), right.len() as f64)
}

/// Recall and F1 of each class over all draws together.
fn per_class(size: &SizeRuns, y: &[ClassIdx], n_classes: usize) -> (Vec<Option<f64>>, Vec<Option<f64>>) {
    let (mut hits, mut truth, mut named) = (vec![0.0; n_classes], vec![0.0; n_classes], vec![0.0; n_classes]);
    for draw in &size.draws {
        for (&row, found) in draw.rows.iter().zip(&draw.found) {
            let class = y[row].as_usize();
            truth[class] += 1.0;
            named[found.as_usize()] += 1.0;
            hits[class] += if y[row] == *found { 1.0 } else { 0.0 };
        }
    }
    let there = |class: usize| (truth[class] > 0.0).then_some(class);
    let recall = (0..n_classes).map(|class| there(class).map(|c| hits[c] / truth[c])).collect();
    let f1 = (0..n_classes).map(|class| there(class).map(|c| 2.0 * hits[c] / (truth[c] + named[c]))).collect();
    (recall, f1)
}

/// One way that draws and judged images could have come out as well: the judged images and the draws of each size drawn
/// again with replacement (Efron 1979). The same images for every head and size, so that differences are paired.
pub(super) struct Resample {
    /// How often each row of the pool counts.
    pub weights: Vec<u32>,
    /// Draws of each size, by index.
    pub draws: Vec<Vec<usize>>,
    /// For what else is drawn.
    pub rng: SplitMix64,
}

impl Resample {
    pub fn new(judged: &[usize], n_rows: usize, sizes: &[SizeRuns], seed: u64, number: u64) -> Self {
        let mut rng = SplitMix64::new(SplitMix64::at(seed ^ 0xb007, number));
        let mut weights = vec![0; n_rows];
        for _ in judged {
            weights[judged[rng.below(judged.len())]] += 1;
        }
        let draws = sizes.iter().map(|size| (0..size.draws.len()).map(|_| rng.below(size.draws.len())).collect());
        Self { draws: draws.collect(), weights, rng }
    }

    /// Mean accuracy of a size.
    pub fn accuracy(&self, size_idx: usize, size: &SizeRuns, y: &[ClassIdx]) -> f64 {
        let picked = &self.draws[size_idx];
        // A fold of a few images may have none of those that were picked: it says nothing then.
        let of = |&draw: &usize| weighted(&size.draws[draw], y, |row| f64::from(self.weights[row]));
        let (sum, n) = picked.iter().filter_map(of).fold((0.0, 0.0), |(sum, n), accuracy| (sum + accuracy, n + 1.0));
        if n > 0.0 { sum / n } else { mean_accuracy(size, y) }
    }

    /// Recall of each class at a size.
    pub fn recall(&self, size_idx: usize, size: &SizeRuns, y: &[ClassIdx], n_classes: usize) -> Vec<Option<f64>> {
        let (mut right, mut all) = (vec![0.0; n_classes], vec![0.0; n_classes]);
        for &draw in &self.draws[size_idx] {
            let draw = &size.draws[draw];
            for (&row, found) in draw.rows.iter().zip(&draw.found) {
                let (class, weight) = (y[row].as_usize(), f64::from(self.weights[row]));
                all[class] += weight;
                right[class] += if y[row] == *found { weight } else { 0.0 };
            }
        }
        right.into_iter().zip(all).map(|(right, all)| (all > 0.0).then(|| right / all)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(rows: &[usize], right: &[bool]) -> Judged {
        let found = right.iter().map(|&r| ClassIdx(u32::from(!r))).collect();
        Judged { rows: rows.to_vec(), found, log_loss: 0.5 }
    }

    fn size(n_images: f64, share: f64, draws: Vec<Judged>) -> SizeRuns {
        SizeRuns { n_images, share, draws, record: None }
    }

    #[test]
    fn an_interval_has_the_judged_images_and_the_draws_in_it() {
        let y = vec![ClassIdx(0); 100];
        let rows: Vec<usize> = (0..100).collect();
        let with = |n_right: &[usize]| {
            let draws = n_right.iter().map(|&n| draw(&rows, &(0..100).map(|i| i < n).collect::<Vec<_>>())).collect();
            points(&[size(10.0, 0.1, draws)], &y, 2, true).remove(0)
        };
        // Draws that agree: only the images are uncertain, as for any accuracy on 100 of them.
        let agreed = with(&[80, 80, 80, 80]);
        let wilson = Interval::of_share(0.8, 100.0);
        assert!((agreed.accuracy.interval.low - wilson.low).abs() < 2e-3, "{:?} {wilson:?}", agreed.accuracy);
        // Draws that do not widen it.
        let apart = with(&[60, 70, 90, 100]);
        assert!((apart.accuracy.value - 0.8).abs() < 1e-12);
        let width = |p: &CurvePoint| p.accuracy.interval.high - p.accuracy.interval.low;
        assert!(width(&apart) > 1.2 * width(&agreed), "{:?}", apart.accuracy);
        assert!(apart.accuracy.interval.high <= 1.0);
        // All right: Wilson's interval for all of 100.
        let all = with(&[100, 100]);
        assert_eq!(all.accuracy.interval, Interval::of_share(1.0, 100.0));
        assert_eq!((all.recall[0], all.f1[0]), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn the_whole_takes_its_draws_variance_from_a_smaller_size() {
        let y = vec![ClassIdx(0); 50];
        let rows: Vec<usize> = (0..50).collect();
        let of = |n: usize| draw(&rows, &(0..50).map(|i| i < n).collect::<Vec<_>>());
        let half = size(20.0, 0.5, vec![of(30), of(40), of(35), of(45)]);
        let whole = size(40.0, 1.0, vec![of(45)]);
        let both = points(&[half, whole.clone()], &y, 2, true);
        let alone = points(&[whole], &y, 2, true);
        assert!(both[1].variance > alone[0].variance * 1.5, "{} {}", both[1].variance, alone[0].variance);
    }

    #[test]
    fn resamples_are_seeded_and_count_every_row() {
        let y = vec![ClassIdx(0); 6];
        let runs =
            [size(2.0, 0.5, vec![draw(&[1, 2, 5], &[true, true, false]), draw(&[1, 2, 5], &[true, false, false])])];
        let one = Resample::new(&[1, 2, 5], 6, &runs, 4, 0);
        assert_eq!(one.weights.iter().sum::<u32>(), 3);
        assert_eq!(one.weights[0] + one.weights[3] + one.weights[4], 0);
        let means: Vec<f64> =
            (0..400).map(|i| Resample::new(&[1, 2, 5], 6, &runs, 4, i).accuracy(0, &runs[0], &y)).collect();
        let mean = means.iter().sum::<f64>() / 400.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
        assert_eq!(one.weights, Resample::new(&[1, 2, 5], 6, &runs, 4, 0).weights);
        assert_eq!(one.recall(0, &runs[0], &y, 2).len(), 2);
    }
}
