//! Which class most needs more images.

use serde::Serialize;

use super::measure::SizeRuns;
use super::outlook::N_RESAMPLES;
use super::points::{CurvePoint, Resample};
use crate::classes::{ClassIdx, ClassSet};
use crate::metrics::{Estimate, Interval};

/// The slope is that of sizes from this part of the largest on: where a curve goes from here is not told by how it began.
const RECENT: f64 = 1.0 / 9.0;
/// A slope takes so many sizes.
const LEAST_SIZES: usize = 3;
/// Images more that gains are told for.
pub const N_MORE: usize = 10;
/// How often a class may stand out by chance, whatever the number of classes.
const CHANCE: f64 = 0.05;

/// What a class is like, and what more images of it would give.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassNeed {
    /// Its name.
    pub class: String,
    /// Its images to train on, at the largest size.
    pub n_images: usize,
    /// Recall at the largest size; `None` where it is not judged on.
    pub recall: Option<f64>,
    /// F1 there.
    pub f1: Option<f64>,
    /// How much recall a doubling of the images gives, by the last three octaves of the curve.
    pub per_doubling: Option<Estimate>,
    /// How much mean recall over the classes (macro accuracy) 10 more images of this class would give.
    pub gain: Option<Estimate>,
}

/// Classes, the neediest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Needs {
    /// Every class.
    pub classes: Vec<ClassNeed>,
    /// The first of them, where it stands out beyond chance.
    pub stands_out: Option<String>,
}

/// Ranks classes by what an image more of each would add to the mean recall over the classes.
///
/// The recall `r` of a class rises by `s` for each unit of `ln n`, so that `m` more images to `n` add `s ln(1 + m / n)`, of which
/// the mean over `K` classes gets a `K`-th, as far as a recall between 0 and 1 allows. `s` is the least-squares slope over the last three octaves of the curve. A class
/// with few images thus comes first only where its recall still rises with them, and one with many may come before it. It
/// stands out where its gain is above the mean of the others' by more than resamples of images and draws explain, at a level of
/// 5 % over all classes (Bonferroni).
pub(super) fn needs(
    sizes: &[SizeRuns],
    points: &[CurvePoint],
    (y, judged): (&[ClassIdx], &[usize]),
    classes: &ClassSet,
    n_images: &[usize],
    seed: u64,
) -> Needs {
    let n_classes = classes.len();
    let n_now = points.last().map_or(0.0, |p| p.n_per_class);
    let recent: Vec<usize> = (0..points.len()).filter(|&i| points[i].n_per_class >= RECENT * n_now).collect();
    let ln_n: Vec<f64> = recent.iter().map(|&i| points[i].n_per_class.ln()).collect();
    let slope = |recalls: &[Option<f64>]| -> Option<f64> {
        let known: Option<Vec<f64>> = recalls.iter().copied().collect();
        slope(&ln_n, &known?)
    };
    let of_class = |all: &[Vec<Option<f64>>], class: usize| all.iter().map(|size| size[class]).collect::<Vec<_>>();
    let now: Vec<Vec<Option<f64>>> = recent.iter().map(|&i| points[i].recall.clone()).collect();
    let slopes: Vec<Option<f64>> = (0..n_classes).map(|class| slope(&of_class(&now, class))).collect();
    let resampled: Vec<Vec<Option<f64>>> = (0..N_RESAMPLES)
        .map(|number| {
            let resample = Resample::new(judged, y.len(), sizes, seed, number);
            let sizes: Vec<Vec<Option<f64>>> =
                recent.iter().map(|&i| resample.recall(i, &sizes[i], y, n_classes)).collect();
            (0..n_classes).map(|class| slope(&of_class(&sizes, class))).collect()
        })
        .collect();
    let last = points.last();
    // Recall stays between 0 and 1 whatever the slope says.
    let within = |class: usize, more: f64| {
        let recall = last.and_then(|p| p.recall[class])?;
        Some(more.clamp(-recall, 1.0 - recall))
    };
    // `times` turns the slope into recall, of which `part` counts.
    let estimate = |class: usize, times: f64, part: f64| {
        let value = part * within(class, slopes[class]? * times)?;
        let drawn: Vec<f64> =
            resampled.iter().filter_map(|slopes| Some(part * within(class, slopes[class]? * times)?)).collect();
        let interval = if drawn.is_empty() { Interval { low: value, high: value } } else { Interval::of(drawn) };
        Some(Estimate { value, interval: Interval { low: interval.low.min(value), high: interval.high.max(value) } })
    };
    let all = 1.0 / n_classes.max(1) as f64;
    let more = |class: usize| (1.0 + N_MORE as f64 / n_images[class].max(1) as f64).ln();
    let mut order: Vec<(usize, ClassNeed)> = (0..n_classes)
        .map(|class| {
            let need = ClassNeed {
                class: classes.name(ClassIdx::from(class)).unwrap_or_default().to_owned(),
                n_images: n_images[class],
                recall: last.and_then(|p| p.recall[class]),
                f1: last.and_then(|p| p.f1[class]),
                per_doubling: estimate(class, std::f64::consts::LN_2, 1.0),
                gain: estimate(class, more(class), all),
            };
            (class, need)
        })
        .collect();
    let gain = |need: &ClassNeed| need.gain.map_or(f64::NEG_INFINITY, |gain| gain.value);
    order.sort_by(|(a, x), (b, y)| gain(y).total_cmp(&gain(x)).then(a.cmp(b)));
    // The first one's gain less the mean of the others', in the resamples.
    let lead = |slopes: &[Option<f64>]| {
        let gains: Vec<(usize, f64)> = slopes
            .iter()
            .enumerate()
            .filter_map(|(class, slope)| Some((class, all * within(class, (*slope)? * more(class))?)))
            .collect();
        let first = gains.iter().find(|(class, _)| *class == order[0].0)?.1;
        let others = gains.len().checked_sub(1).filter(|n| *n > 0)?;
        Some(first - (gains.iter().map(|(_, gain)| gain).sum::<f64>() - first) / others as f64)
    };
    let is_out = order.first().is_some_and(|_| {
        let leads: Vec<f64> = resampled.iter().filter_map(|slopes| lead(slopes)).collect();
        let mean = leads.iter().sum::<f64>() / leads.len().max(1) as f64;
        let variance = leads.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / leads.len().max(1) as f64;
        let beyond = upper_normal(CHANCE / n_classes.max(1) as f64) * variance.sqrt();
        lead(&slopes).is_some_and(|lead| lead > beyond && lead > 1e-9)
    });
    let stands_out = order.first().filter(|_| is_out).map(|(_, need)| need.class.clone());
    Needs { classes: order.into_iter().map(|(_, need)| need).collect(), stands_out }
}

/// Least-squares slope; `None` with too few points.
fn slope(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() < LEAST_SIZES {
        return None;
    }
    let n = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let xx: f64 = x.iter().map(|x| (x - mean_x).powi(2)).sum();
    let xy: f64 = x.iter().zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (xx > 0.0).then(|| xy / xx)
}

/// The standard normal value that is exceeded with probability `p`, at most 0.5 (Abramowitz and Stegun 1964, 26.2.23; within
/// 0.0005).
fn upper_normal(p: f64) -> f64 {
    let t = (-2.0 * p.clamp(1e-12, 0.5).ln()).sqrt();
    let (above, below) =
        (2.515_517 + t * (0.802_853 + t * 0.010_328), 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    t - above / below
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::measure::Judged;
    use super::super::points::points;
    use super::*;
    use crate::rng::SplitMix64;

    #[test]
    fn normal_quantiles_are_the_tabled_ones() {
        for (p, z) in [(0.025, 1.959_96), (0.005, 2.575_83), (0.5, 0.0), (0.001, 3.090_23)] {
            assert!((upper_normal(p) - z).abs() < 5e-4, "{p}");
        }
    }

    /// Sizes 10 to 80 a class, judged on 200 images a class, with these recalls at each size.
    fn measured(recalls: &[[f64; 3]; 4]) -> Needs {
        let y: Vec<ClassIdx> = (0..600).map(|i| ClassIdx(i % 3)).collect();
        let rows: Vec<usize> = (0..600).collect();
        let mut rng = SplitMix64::new(8);
        let sizes: Vec<SizeRuns> = (0..4)
            .map(|i| {
                let draw = |rng: &mut SplitMix64| {
                    let found = y.iter().map(|class| {
                        let is_right = rng.uniform() < recalls[i][class.as_usize()];
                        if is_right { *class } else { ClassIdx((class.0 + 1) % 3) }
                    });
                    Judged { rows: rows.clone(), found: found.collect(), log_loss: 0.0 }
                };
                let draws = (0..5).map(|_| draw(&mut rng)).collect();
                SizeRuns { n_images: 30.0 * f64::from(1 << i), share: 0.1 * f64::from(1 << i), draws, record: None }
            })
            .collect();
        let points = points(&sizes, &y, 3, true);
        let classes = ClassSet::from_ordered(["rare", "rising", "done"]);
        needs(&sizes, &points, (&y, &rows), &classes, &[20, 110, 110], 0)
    }

    #[test]
    fn the_class_that_still_rises_comes_first_whatever_its_count() {
        let found = measured(&[[0.9, 0.3, 0.9], [0.9, 0.45, 0.91], [0.9, 0.6, 0.9], [0.9, 0.75, 0.9]]);
        assert_eq!(found.classes[0].class, "rising", "{found:#?}");
        assert_eq!(found.stands_out.as_deref(), Some("rising"));
        let need = &found.classes[0];
        let doubling = need.per_doubling.unwrap();
        assert!((doubling.value - 0.15).abs() < 0.03 && doubling.interval.low > 0.1, "{doubling:?}");
        // 0.15 / ln 2 * ln(120 / 110) / 3 classes.
        assert!((need.gain.unwrap().value - 0.0063).abs() < 0.0015, "{need:?}");
    }

    #[test]
    fn none_stands_out_where_none_does() {
        let found = measured(&[[0.6, 0.6, 0.6], [0.6, 0.6, 0.6], [0.6, 0.6, 0.6], [0.6, 0.6, 0.6]]);
        assert_eq!(found.stands_out, None, "{found:#?}");
    }
}
