//! Multinomial logistic regression with an L2 penalty.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use serde::{Deserialize, Serialize};

use super::design::Design;
use super::error::HeadError;
use super::lbfgs::{Minimum, Stop, minimise};
use super::logistic::Problem;
use crate::classes::ClassIdx;
use crate::progress::CancelToken;

/// A fit whose coefficients are kept ends at most about this share of the objective above the minimum.
pub(super) const FINAL_GAP: f64 = 4e-5;

/// How much each class counts in the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeight {
    /// Every example counts the same.
    #[default]
    Uniform,
    /// Every class counts the same: `n_rows / (n_classes * n_rows_of_class)`, as scikit-learn's `balanced`.
    Balanced,
}

impl ClassWeight {
    /// One weight a class for `n_classes` classes. A class without a row weighs 0 and is not counted.
    pub(super) fn weights(self, targets: &[u32], n_classes: usize) -> Vec<f64> {
        let mut counts = vec![0usize; n_classes];
        for &target in targets {
            counts[target as usize] += 1;
        }
        let n_present = counts.iter().filter(|&&c| c > 0).count();
        let weight = |count: usize| match (self, count) {
            (_, 0) => 0.0,
            (Self::Uniform, _) => 1.0,
            (Self::Balanced, _) => targets.len() as f64 / (n_present as f64 * count as f64),
        };
        counts.into_iter().map(weight).collect()
    }
}

/// Settings of one fit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinearConfig {
    /// Inverse strength of the penalty, scikit-learn's `C`.
    pub c: f64,
    /// How much each class counts.
    pub class_weight: ClassWeight,
    /// The fit ends when no component of the gradient of `objective / (C * sum of weights)` exceeds this.
    pub tol: f64,
    /// Largest number of iterations.
    pub max_iter: usize,
}

impl Default for LinearConfig {
    fn default() -> Self {
        Self { c: 1.0, class_weight: ClassWeight::Uniform, tol: 1e-4, max_iter: 1000 }
    }
}

/// Result of one fit.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearFit {
    /// Array of shape `[n_outputs, dim]`: one output (the logit of class 1) for two classes, else one a class.
    pub weight: Array2<f32>,
    /// Array of shape `[n_outputs]`.
    pub bias: Array1<f32>,
    /// `C * sum of weighted losses + |weight|^2 / 2`, scikit-learn's objective.
    pub objective: f64,
    /// The objective divided by `C * sum of weights`, at the start and after every iteration.
    pub loss_curve: Vec<f64>,
    /// Number of iterations.
    pub n_iter: usize,
    /// Whether the tolerance was met within the allowed iterations.
    pub converged: bool,
}

impl LinearFit {
    /// Weights `[n_classes, dim]` and intercepts `[n_classes]` whose softmax gives the probabilities.
    ///
    /// Two classes share the one output in halves: `softmax([-z/2, z/2])` is `sigmoid(z)`.
    pub fn per_class(&self) -> (Array2<f32>, Array1<f32>) {
        if self.weight.nrows() > 1 {
            return (self.weight.clone(), self.bias.clone());
        }
        let half = &self.weight * 0.5;
        let weight = ndarray::concatenate![Axis(0), -&half, half];
        let bias = Array1::from_vec(vec![-0.5 * self.bias[0], 0.5 * self.bias[0]]);
        (weight, bias)
    }
}

/// Fits `x` of shape `[n_rows, dim]` to `y` of length `n_rows`, with labels below `n_classes`.
///
/// # Errors
/// Fewer than two classes, labels that do not fit, values that are not finite, settings out of range, cancellation.
pub fn fit(
    x: ArrayView2<'_, f32>,
    y: &[ClassIdx],
    n_classes: usize,
    config: &LinearConfig,
    cancel: &CancelToken,
) -> Result<LinearFit, HeadError> {
    super::check::settings(config)?;
    super::check::rows(x, y, n_classes)?;
    let design = Design::new(x);
    let targets: Vec<u32> = y.iter().map(|class| class.0).collect();
    let class_weights = config.class_weight.weights(&targets, n_classes);
    let problem = Problem::new(design.coords(), None, targets, &class_weights);
    let stop = Stop { tol: config.tol, gap: FINAL_GAP, max_iter: config.max_iter };
    let minimum = fit_problem(&problem, &design, config.c, None, stop, cancel)?;
    Ok(linear_fit(&problem, &design, config.c, minimum))
}

/// Minimises the objective at strength `c`, from an earlier minimum or from the classes' shares.
pub(super) fn fit_problem(
    problem: &Problem<'_>,
    design: &Design<'_>,
    c: f64,
    start: Option<&[f64]>,
    stop: Stop,
    cancel: &CancelToken,
) -> Result<Minimum, HeadError> {
    let start = start.map_or_else(|| at_shares(problem), <[f64]>::to_vec);
    let ridge = 1.0 / (c * problem.weight_sum());
    let measure = |gradient: &[f64], tol: f64| max_feature_gradient(problem, design, gradient, tol);
    let minimum = minimise(problem, ridge, start, stop, &measure, cancel);
    if minimum.cancelled { Err(HeadError::Cancelled) } else { Ok(minimum) }
}

/// The minimum where no weight is allowed: intercepts that give each class its share.
fn at_shares(problem: &Problem<'_>) -> Vec<f64> {
    let mut params = vec![0.0; problem.n_params()];
    let logs: Vec<f64> = problem.class_shares().iter().map(|share| share.max(1e-9).ln()).collect();
    let first = problem.n_outputs() * problem.width();
    if problem.n_outputs() == 1 {
        params[first] = logs[1] - logs[0];
    } else {
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        params[first..].iter_mut().zip(&logs).for_each(|(b, log)| *b = log - mean);
    }
    params
}

/// Largest absolute component of the gradient with respect to the weights of the features and the intercepts, as
/// scikit-learn's stop rule sees it; far from the end, only a lower bound of it that is above `tol`.
fn max_feature_gradient(problem: &Problem<'_>, design: &Design<'_>, gradient: &[f64], tol: f64) -> f64 {
    let n_weights = problem.n_outputs() * problem.width();
    let (weight, bias) = gradient.split_at(n_weights);
    let max_bias = bias.iter().fold(0.0f64, |max, g| max.max(g.abs()));
    // Undo the centring: the gradient by W of `W (x - mean) + b'` misses `gradient_b * mean`.
    let uncentred = Array2::from_shape_fn((problem.n_outputs(), problem.width()), |(output, column)| {
        weight[output * problem.width() + column] + bias[output] * problem.mean()[column]
    });
    let max_abs = |a: &Array2<f64>| a.iter().fold(0.0f64, |max, g| max.max(g.abs()));
    if !design.is_rotated() {
        return max_bias.max(max_abs(&uncentred));
    }
    // A rotation keeps lengths, and the largest component is at least length / sqrt(dim).
    let longest = uncentred.outer_iter().map(|row| row.dot(&row).sqrt()).fold(0.0, f64::max);
    let at_least = longest / (design.dim() as f64).sqrt();
    if at_least > 2.0 * tol {
        return at_least;
    }
    let mut features = design.weight_of_features(uncentred.view());
    if let Some(origin) = design.origin() {
        for (mut row, &g) in features.outer_iter_mut().zip(bias) {
            row.iter_mut().zip(origin).for_each(|(v, &o)| *v += g * f64::from(o));
        }
    }
    max_bias.max(max_abs(&features))
}

/// Weights and intercepts of the features from a minimum in centred coordinates.
pub(super) fn feature_params(problem: &Problem<'_>, design: &Design<'_>, params: &[f64]) -> (Array2<f32>, Array1<f32>) {
    let (k, width) = (problem.n_outputs(), problem.width());
    let coords = Array2::from_shape_fn((k, width), |(output, column)| params[output * width + column]);
    let weight = design.weight_of_features(coords.view());
    let bias = Array1::from_shape_fn(k, |output| {
        let shift = design
            .origin()
            .map_or(0.0, |origin| weight.row(output).iter().zip(origin).map(|(w, &o)| w * f64::from(o)).sum());
        (params[k * width + output] - coords.row(output).dot(problem.mean()) - shift) as f32
    });
    (weight.mapv(|v| v as f32), bias)
}

/// Parameters in centred coordinates from weights `[n_classes, dim]` and intercepts `[n_classes]`: a start for a fit of
/// nearly the same rows.
pub(super) fn start_from(
    problem: &Problem<'_>,
    design: &Design<'_>,
    weight: ArrayView2<'_, f32>,
    bias: ArrayView1<'_, f32>,
    temperature: f64,
) -> Vec<f64> {
    // The temperature is inside the head's weights.
    let exact = |v: f32| f64::from(v) * temperature;
    let (features, intercepts) = if problem.n_outputs() == 1 {
        let difference = &weight.slice(s![1..2, ..]).mapv(exact) - &weight.slice(s![0..1, ..]).mapv(exact);
        (difference, vec![exact(bias[1]) - exact(bias[0])])
    } else {
        (weight.mapv(exact), bias.iter().map(|&b| exact(b)).collect())
    };
    let coords = design.weight_of_coords(features.view());
    let mut params: Vec<f64> = coords.iter().copied().collect();
    for (output, intercept) in intercepts.into_iter().enumerate() {
        let origin = design
            .origin()
            .map_or(0.0, |origin| features.row(output).iter().zip(origin).map(|(w, &o)| w * f64::from(o)).sum());
        params.push(intercept + coords.row(output).dot(problem.mean()) + origin);
    }
    params
}

pub(super) fn linear_fit(problem: &Problem<'_>, design: &Design<'_>, c: f64, minimum: Minimum) -> LinearFit {
    let (weight, bias) = feature_params(problem, design, &minimum.params);
    LinearFit {
        weight,
        bias,
        objective: minimum.curve.last().copied().unwrap_or(f64::NAN) * c * problem.weight_sum(),
        n_iter: minimum.curve.len() - 1,
        loss_curve: minimum.curve,
        converged: minimum.converged,
    }
}
