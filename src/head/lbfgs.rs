//! L-BFGS for linear models (Liu and Nocedal 1989; Nocedal and Wright, Numerical Optimization, algorithm 7.4).
//!
//! Two things differ from a general solver. Logits are linear in the parameters, so the logits along a search direction
//! cost one product and every step length after that costs only exponentials: the line search is nearly exact. And the
//! first Hessian of each iteration is the diagonal of the true one at `W = 0`, scaled, instead of a multiple of the
//! identity.

use std::collections::VecDeque;

use ndarray::{Array2, Zip};
use rayon::prelude::*;

use super::logistic::{LinePoint, Problem};
use crate::progress::CancelToken;

/// Pairs of steps and gradient changes that are kept; SciPy keeps 10, more costs little next to the products.
const MEMORY: usize = 20;
/// Relative decrease at which SciPy's `ftol` of scikit-learn stops.
const F_TOL: f64 = 64.0 * f64::EPSILON;
/// The line search ends where the slope has fallen to this share of the first one.
const SLOPE_SHARE: f64 = 0.1;
const MAX_LINE_POINTS: usize = 30;
/// Vectors are summed in pieces of this length, whatever the thread count.
const PIECE: usize = 1 << 14;

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stop {
    /// Largest absolute component of the gradient of the mean-scaled objective.
    pub tol: f64,
    /// Largest estimated distance to the minimum, as a share of the objective. A gradient at `tol` leaves more or less
    /// to gain depending on the way to it; this makes sure that a short way does not end at a worse place than a long
    /// one.
    pub gap: f64,
    /// Largest number of iterations.
    pub max_iter: usize,
}

/// Where a minimisation ended.
#[derive(Clone, Debug)]
pub(super) struct Minimum {
    /// Weights `[n_outputs, width]`, then intercepts `[n_outputs]`, of centred rows.
    pub params: Vec<f64>,
    /// Mean-scaled objective at the start and after every iteration.
    pub curve: Vec<f64>,
    /// Weighted mean loss, without the penalty.
    pub data_loss: f64,
    /// Whether a stop rule was met before `max_iter`.
    pub converged: bool,
    /// Whether the token was cancelled.
    pub cancelled: bool,
}

/// Minimises mean loss + `ridge / 2 * |W|^2` from `start`.
///
/// `max_gradient` measures a gradient: its largest absolute component in the space that the stop rule is about.
pub(super) fn minimise(
    problem: &Problem<'_>,
    ridge: f64,
    start: Vec<f64>,
    stop: Stop,
    max_gradient: &dyn Fn(&[f64], f64) -> f64,
    cancel: &CancelToken,
) -> Minimum {
    let n_weights = problem.n_outputs() * problem.width();
    let shape = (problem.n_rows(), problem.n_outputs());
    let mut params = start;
    let mut logits = Array2::<f32>::zeros(shape);
    let mut change = Array2::<f32>::zeros(shape);
    let mut residuals = Array2::<f32>::zeros(shape);
    problem.forward(&params, &mut logits);
    problem.add_offset(&mut logits);
    let mut point = problem.along(&logits, None, &mut residuals);
    let mut gradient = vec![0.0; params.len()];
    let mut penalty = 0.5 * ridge * dot(&params[..n_weights], &params[..n_weights]);
    let mut curve = vec![point.value + penalty];
    let full_gradient = |residuals: &Array2<f32>, params: &[f64], gradient: &mut Vec<f64>| {
        problem.backward(residuals, gradient);
        add_scaled(&mut gradient[..n_weights], ridge, &params[..n_weights]);
    };
    full_gradient(&residuals, &params, &mut gradient);
    let mut history = History::new(inverse_diagonal(problem, ridge));
    let (mut converged, mut cancelled) = (false, false);

    while curve.len() <= stop.max_iter {
        if cancel.is_cancelled() {
            cancelled = true;
            break;
        }
        let direction = history.direction(&gradient);
        let slope_at_zero = dot(&gradient, &direction);
        // A Newton step from here would gain half the slope.
        let small_gap = -0.5 * slope_at_zero <= stop.gap * (point.value + penalty);
        if small_gap && max_gradient(&gradient, stop.tol) <= stop.tol {
            converged = true;
            break;
        }
        problem.forward(&direction, &mut change);
        let line = Line {
            problem,
            logits: &logits,
            change: &change,
            slope_at_zero,
            value_at_zero: point.value + penalty,
            penalty,
            penalty_slope: ridge * dot(&params[..n_weights], &direction[..n_weights]),
            penalty_curvature: ridge * dot(&direction[..n_weights], &direction[..n_weights]),
        };
        let Some((t, found)) = line.search(history.is_empty(), &mut residuals) else {
            if history.is_empty() {
                // No decrease along the preconditioned gradient: the end of f32's digits.
                converged = true;
                break;
            }
            // A memory that no longer describes the surface is dropped; the next direction is a plain descent.
            history.clear();
            problem.along(&logits, None, &mut residuals);
            continue;
        };
        point = found;
        Zip::from(&mut logits).and(&change).for_each(|z, &dz| *z += t as f32 * dz);
        add_scaled(&mut params, t, &direction);
        penalty = 0.5 * ridge * dot(&params[..n_weights], &params[..n_weights]);
        let before = std::mem::replace(&mut gradient, vec![0.0; params.len()]);
        full_gradient(&residuals, &params, &mut gradient);
        history.push(direction, t, &before, &gradient);
        let (old, new) = (curve.last().copied().unwrap_or(f64::INFINITY), point.value + penalty);
        curve.push(new);
        if old - new <= F_TOL * old.abs().max(new.abs()).max(1.0) {
            converged = true;
            break;
        }
    }
    Minimum { params, curve, data_loss: point.value, converged, cancelled }
}

/// Inverse of the Hessian's diagonal where every row has the classes' shares as probabilities.
fn inverse_diagonal(problem: &Problem<'_>, ridge: f64) -> Vec<f64> {
    let shares = problem.class_shares();
    let variances = problem.column_variances();
    let spread: Vec<f64> = match problem.n_outputs() {
        1 => vec![shares[0] * shares[1]],
        _ => shares.iter().map(|p| p * (1.0 - p)).collect(),
    };
    let floor = 1e-12 + ridge;
    let weights = spread.iter().flat_map(|s| variances.iter().map(move |v| 1.0 / (s * v + floor)));
    let intercepts = spread.iter().map(|s| 1.0 / s.max(1e-6));
    weights.chain(intercepts).collect()
}

/// The objective along a direction.
struct Line<'a, 'x> {
    problem: &'a Problem<'x>,
    logits: &'a Array2<f32>,
    change: &'a Array2<f32>,
    slope_at_zero: f64,
    value_at_zero: f64,
    penalty: f64,
    penalty_slope: f64,
    penalty_curvature: f64,
}

impl Line<'_, '_> {
    /// Slope and curvature with the penalty, and the data's point alone.
    fn at(&self, t: f64, residuals: &mut Array2<f32>) -> (LinePoint, LinePoint) {
        let data = self.problem.along(self.logits, Some((self.change, t)), residuals);
        let penalty = LinePoint {
            value: self.penalty + t * self.penalty_slope + 0.5 * t * t * self.penalty_curvature,
            slope: self.penalty_slope + t * self.penalty_curvature,
            curvature: self.penalty_curvature,
        };
        (data + penalty, data)
    }

    /// Newton's method for the zero of the slope, kept inside a bracket (the objective is convex).
    ///
    /// Gives the step and the data's point there, whose residuals are left in `residuals`; `None` without a decrease.
    fn search(&self, first: bool, residuals: &mut Array2<f32>) -> Option<(f64, LinePoint)> {
        if self.slope_at_zero >= 0.0 {
            return None;
        }
        let mut t = 1.0;
        if first {
            let (total, _) = self.at(0.0, residuals);
            t = -self.slope_at_zero / total.curvature.max(f64::MIN_POSITIVE);
        }
        let (mut low, mut high) = (0.0, f64::INFINITY);
        // Changes of the value below this are noise of f32 logits.
        let noise = 1e-7 * self.value_at_zero.abs();
        for _ in 0..MAX_LINE_POINTS {
            let (total, data) = self.at(t, residuals);
            if total.slope.abs() <= -SLOPE_SHARE * self.slope_at_zero && total.value <= self.value_at_zero + noise {
                return Some((t, data));
            }
            if total.slope < 0.0 {
                low = t;
            } else {
                high = t;
            }
            let newton = t - total.slope / total.curvature;
            let middle = if high.is_finite() { low + 0.3 * (high - low) } else { 4.0 * t };
            let margin = if high.is_finite() { 0.01 * (high - low) } else { 0.0 };
            let usable = newton > low + margin && newton < high - margin && newton < 10.0 * t.max(low);
            t = if usable { newton } else { middle };
            if !(t.is_finite() && t > 1e-20) {
                return None;
            }
        }
        None
    }
}

struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    inverse_curvature: f64,
}

/// The last steps and gradient changes, as an approximation of the inverse Hessian.
struct History {
    pairs: VecDeque<Pair>,
    inverse_diagonal: Vec<f64>,
    scale: f64,
}

impl History {
    fn new(inverse_diagonal: Vec<f64>) -> Self {
        Self { pairs: VecDeque::with_capacity(MEMORY), inverse_diagonal, scale: 1.0 }
    }

    fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    fn clear(&mut self) {
        self.pairs.clear();
        self.scale = 1.0;
    }

    fn push(&mut self, direction: Vec<f64>, t: f64, before: &[f64], after: &[f64]) {
        let mut step = direction;
        step.iter_mut().for_each(|s| *s *= t);
        let change: Vec<f64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
        let curvature = dot(&step, &change);
        let weighted: f64 = piecewise(change.len(), |range| {
            change[range.clone()].iter().zip(&self.inverse_diagonal[range]).map(|(y, h)| y * y * h).sum()
        });
        // Also where one of them is not a number.
        let is_curved = curvature > f64::EPSILON * weighted && weighted > 0.0;
        if !is_curved {
            return;
        }
        if self.pairs.len() == MEMORY {
            self.pairs.pop_front();
        }
        self.scale = curvature / weighted;
        self.pairs.push_back(Pair { step, change, inverse_curvature: 1.0 / curvature });
    }

    /// Minus the approximate inverse Hessian times the gradient.
    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut factors = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let factor = pair.inverse_curvature * dot(&pair.step, &q);
            add_scaled(&mut q, -factor, &pair.change);
            factors.push(factor);
        }
        q.iter_mut().zip(&self.inverse_diagonal).for_each(|(q, h)| *q *= self.scale * h);
        for (pair, factor) in self.pairs.iter().zip(factors.into_iter().rev()) {
            let correction = factor - pair.inverse_curvature * dot(&pair.change, &q);
            add_scaled(&mut q, correction, &pair.step);
        }
        q
    }
}

/// Sum over fixed pieces of `0..len`, in order.
fn piecewise(len: usize, f: impl Fn(std::ops::Range<usize>) -> f64 + Sync) -> f64 {
    let n_pieces = len.div_ceil(PIECE);
    let piece = |i: usize| f(i * PIECE..((i + 1) * PIECE).min(len));
    if n_pieces < 4 {
        (0..n_pieces).map(piece).sum()
    } else {
        (0..n_pieces).into_par_iter().map(piece).collect::<Vec<f64>>().into_iter().sum()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    piecewise(a.len(), |range| {
        let (a, b) = (&a[range.clone()], &b[range]);
        // Eight running sums let the compiler use vector registers.
        let mut sums = [0.0; 8];
        let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
        let rest: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
        for (x, y) in a_chunks.zip(b_chunks) {
            for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
                *sum += x * y;
            }
        }
        rest + sums.iter().sum::<f64>()
    })
}

fn add_scaled(a: &mut [f64], factor: f64, b: &[f64]) {
    let add = |a: &mut [f64], b: &[f64]| a.iter_mut().zip(b).for_each(|(x, y)| *x += factor * y);
    if a.len() < 4 * PIECE {
        add(a, b);
    } else {
        a.par_chunks_mut(PIECE).zip(b.par_chunks(PIECE)).for_each(|(a, b)| add(a, b));
    }
}
