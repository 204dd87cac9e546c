//! Class means and the distances to them (Snell et al. 2017; Wang et al. 2019, "SimpleShot").

use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::affine::{Activation, Affine, Block, MIN_NORM, norm};
use super::judge::{Verdict, stack};
use super::plan::Plan;
use super::temperature::fit_temperature;
use crate::classes::ClassIdx;

/// Cosine's temperature where no row is left to fit it on.
const DEFAULT_COSINE_TEMPERATURE: f64 = 0.1;

/// How far an embedding is from a prototype.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// Squared Euclidean distance to the mean of the class.
    SquaredEuclidean,
    /// Cosine with the mean of the class's vectors of unit length.
    Cosine,
}

impl Distance {
    /// Name for people, in the middle of a sentence.
    pub fn label(self) -> &'static str {
        match self {
            Self::SquaredEuclidean => "squared Euclidean",
            Self::Cosine => "cosine",
        }
    }
}

/// Means of the classes of `x` `[n_rows, dim]`: array of shape `[n_classes, dim]`. For cosine, the mean of the rows
/// divided by their lengths, divided by its length. A class without a row has zeros.
pub fn prototypes(x: ArrayView2<'_, f32>, y: &[ClassIdx], n_classes: usize, distance: Distance) -> Array2<f32> {
    prototypes_of(x, y, 0..x.nrows().min(y.len()), n_classes, distance)
}

/// As [`prototypes`], of the rows at `rows`.
fn prototypes_of(
    x: ArrayView2<'_, f32>,
    y: &[ClassIdx],
    rows: impl Iterator<Item = usize>,
    n_classes: usize,
    distance: Distance,
) -> Array2<f32> {
    let mut sums = Array2::<f64>::zeros((n_classes, x.ncols()));
    let mut counts = vec![0usize; n_classes];
    for (row, class) in rows.map(|row| (x.row(row), y[row])) {
        let scale = match distance {
            Distance::SquaredEuclidean => 1.0,
            Distance::Cosine => 1.0 / f64::from(norm(row)),
        };
        let mut sum = sums.row_mut(class.as_usize());
        sum.iter_mut().zip(row).for_each(|(sum, &v)| *sum += scale * f64::from(v));
        counts[class.as_usize()] += 1;
    }
    for (mut sum, &count) in sums.outer_iter_mut().zip(&counts) {
        let length = match distance {
            Distance::SquaredEuclidean => count.max(1) as f64,
            Distance::Cosine => sum.dot(&sum).sqrt().max(f64::from(MIN_NORM)),
        };
        sum /= length;
    }
    sums.mapv(|v| v as f32)
}

/// The affine form of prototypes `[n_classes, dim]`.
///
/// Squared Euclidean: `-|x - p|^2 / T` is, up to terms that all classes share, `(2 x (p - m) - |p|^2 + |m|^2) / T` with
/// the mean `m` of the prototypes, which keeps the logits small. Cosine: `x / |x| . p / T`.
pub fn affine(prototypes: ArrayView2<'_, f32>, distance: Distance, temperature: f64) -> Affine {
    match distance {
        Distance::Cosine => Affine {
            l2_blocks: vec![Block::plain(prototypes.ncols())],
            activation: Activation::Softmax,
            kernel: None,
            weight: prototypes.mapv(|v| (f64::from(v) / temperature) as f32),
            bias: Array1::zeros(prototypes.nrows()),
        },
        Distance::SquaredEuclidean => {
            let exact = prototypes.mapv(f64::from);
            let middle = exact.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(prototypes.ncols()));
            let of_middle = middle.dot(&middle);
            Affine {
                l2_blocks: Vec::new(),
                activation: Activation::Softmax,
                kernel: None,
                bias: exact.outer_iter().map(|p| ((of_middle - p.dot(&p)) / temperature) as f32).collect(),
                weight: (&exact - &middle).mapv(|v| (2.0 * v / temperature) as f32),
            }
        }
    }
}

/// A chosen distance with its temperature, and how it did on the held-out rows.
pub(super) struct Choice {
    pub distance: Distance,
    pub temperature: f64,
    pub verdict: Option<(Verdict, usize)>,
}

/// Chooses the distance (unless `fixed`) that gets most held-out rows right, then by log loss, each at its best
/// temperature.
pub(super) fn choose(
    x: ArrayView2<'_, f32>,
    y: &[ClassIdx],
    validation: Option<(ArrayView2<'_, f32>, &[ClassIdx])>,
    n_classes: usize,
    plan: &Plan,
    fixed: Option<Distance>,
) -> Choice {
    let candidates = fixed.map_or_else(|| vec![Distance::Cosine, Distance::SquaredEuclidean], |d| vec![d]);
    let mut best: Option<Choice> = None;
    for distance in candidates {
        let held_out = match (plan, validation) {
            (Plan::Validation { .. }, Some((held_out, held_out_y))) => {
                let model = affine(prototypes(x, y, n_classes, distance).view(), distance, 1.0);
                (model.apply(held_out), held_out_y.to_vec())
            }
            _ => out_of_fold(x, y, n_classes, plan, distance),
        };
        let (logits, held_out_y) = held_out;
        if held_out_y.is_empty() {
            continue;
        }
        let temperature = fit_temperature(logits.view(), &held_out_y);
        let verdict = Verdict::new(logits.view(), &held_out_y, temperature);
        if best.as_ref().and_then(|b| b.verdict).is_none_or(|(b, _)| verdict.is_better_than(&b)) {
            best = Some(Choice { distance, temperature, verdict: Some((verdict, held_out_y.len())) });
        }
    }
    best.unwrap_or_else(|| {
        let distance = fixed.unwrap_or(Distance::Cosine);
        let temperature = match distance {
            Distance::Cosine => DEFAULT_COSINE_TEMPERATURE,
            Distance::SquaredEuclidean => mean_square_distance(prototypes(x, y, n_classes, distance).view()) / 10.0,
        };
        Choice { distance, temperature, verdict: None }
    })
}

/// Logits of the held-out rows of every fold, and their classes.
pub(super) fn out_of_fold(
    x: ArrayView2<'_, f32>,
    y: &[ClassIdx],
    n_classes: usize,
    plan: &Plan,
    distance: Distance,
) -> (Array2<f32>, Vec<ClassIdx>) {
    let parts: Vec<Array2<f32>> = plan
        .folds()
        .iter()
        .map(|fold| {
            let means = prototypes_of(x, y, fold.train.iter().copied(), n_classes, distance);
            affine(means.view(), distance, 1.0).apply(x.select(Axis(0), &fold.held_out).view())
        })
        .collect();
    let classes = plan.folds().iter().flat_map(|fold| fold.held_out.iter().map(|&row| y[row])).collect();
    (stack(&parts, n_classes), classes)
}

/// Mean squared distance of the prototypes from their mean; 1 where they are all the same.
fn mean_square_distance(prototypes: ArrayView2<'_, f32>) -> f64 {
    let exact = prototypes.mapv(f64::from);
    let middle = exact.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(prototypes.ncols()));
    let sum: f64 = (&exact - &middle).mapv(|v| v * v).sum();
    let mean = sum / prototypes.nrows().max(1) as f64;
    if mean > 0.0 { mean } else { 1.0 }
}
