//! The strength of the penalty, chosen along a path of fits.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::design::Design;
use super::error::HeadError;
use super::judge::{Verdict, stack};
use super::lbfgs::{Minimum, Stop};
use super::linear::{LinearConfig, fit_problem};
use super::logistic::{Problem, affine_rows};
use super::plan::Fold;
use crate::classes::ClassIdx;
use crate::progress::CancelToken;

/// Strengths are `10^(step / 8)`, so that a step of the finest grid is an eighth of a decade.
const STEPS_PER_DECADE: i32 = 8;
/// The coarse grid: half decades from 1e-3 to 1e3.
const COARSE: std::ops::RangeInclusive<i32> = -24..=24;
const COARSE_STEP: i32 = 4;
/// A best value at an edge moves the edge, up to 1e-6 and 1e6.
const FARTHEST: i32 = 48;
/// The path ends this many coarse steps after the last improvement, where the log loss has only grown since.
const PATIENCE: i32 = 5;
/// The fits of the coarse grid only rank strengths, so they may end early.
const ROUGH: Stop = Stop { tol: 1e-3, gap: 1e-3, max_iter: 200 };
/// The fits among which the choice falls are nearly those that are kept.
const CLOSE: Stop = Stop { tol: 1e-4, gap: 1e-4, max_iter: 500 };
/// So many of the most accurate of the coarse grid are fitted closely, besides the one with the least log loss.
const N_CLOSE: usize = 2;

/// One strength on the regularisation path.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathPoint {
    /// Inverse strength of the penalty, scikit-learn's `C`.
    pub c: f64,
    /// Share of held-out rows that were right.
    pub accuracy: f64,
    /// Mean log loss of held-out rows, before temperature scaling.
    pub log_loss: f64,
    /// Mean (weighted) log loss of training rows.
    pub train_loss: f64,
    /// Iterations, over all folds.
    pub n_iter: usize,
}

/// The chosen strength.
#[derive(Debug)]
pub(super) struct Choice {
    pub c: f64,
    /// Every strength that was tried, ascending.
    pub path: Vec<PathPoint>,
    /// Logits of all held-out rows at the chosen strength, `[n_held_out, n_classes]`, and their classes.
    pub held_out: (Array2<f32>, Vec<ClassIdx>),
    /// How they did, before temperature scaling.
    pub verdict: Verdict,
    /// Parameters of the first part at the chosen strength.
    pub params: Vec<f64>,
}

/// Rows to train on and rows to judge on, in the same centred coordinates.
pub(super) struct Part<'a> {
    problem: Problem<'a>,
    held_out: Array2<f32>,
    held_out_y: Vec<ClassIdx>,
}

impl<'a> Part<'a> {
    /// Trains on all rows of `design` and judges on other rows, `[n_rows, n_coords]`, of the same coordinates.
    pub(super) fn validation(problem: Problem<'a>, mut held_out: Array2<f32>, y: &[ClassIdx]) -> Self {
        centre(&mut held_out, &problem);
        Self { problem, held_out, held_out_y: y.to_vec() }
    }

    /// Trains on the rows of a fold and judges on its other rows.
    pub(super) fn fold(
        design: &'a Design<'_>,
        y: &[ClassIdx],
        fold: &Fold,
        config: &LinearConfig,
        n_classes: usize,
    ) -> Self {
        let targets: Vec<u32> = fold.train.iter().map(|&row| y[row].0).collect();
        let class_weights = config.class_weight.weights(&targets, n_classes);
        let problem = Problem::new(design.coords(), Some(&fold.train), targets, &class_weights);
        let held_out_y: Vec<ClassIdx> = fold.held_out.iter().map(|&row| y[row]).collect();
        Self::validation(problem, design.select(&fold.held_out), &held_out_y)
    }

    /// The training rows.
    pub(super) fn problem(&self) -> &Problem<'a> {
        &self.problem
    }

    /// Logits of the held-out rows, `[n_rows, n_classes]`.
    pub(super) fn held_out_logits(&self, params: &[f64]) -> Array2<f32> {
        let (k, width) = (self.problem.n_outputs(), self.problem.width());
        let weight = Array2::from_shape_fn((k, width), |(output, column)| params[output * width + column] as f32);
        let bias: Vec<f32> = params[k * width..].iter().map(|&b| b as f32).collect();
        let mut z = Array2::<f32>::zeros((self.held_out.nrows(), k));
        affine_rows(z.view_mut(), self.held_out.view(), weight.view(), &bias);
        if k > 1 {
            return z;
        }
        Array2::from_shape_fn(
            (z.nrows(), 2),
            |(row, class)| if class == 0 { -0.5 * z[[row, 0]] } else { 0.5 * z[[row, 0]] },
        )
    }
}

fn centre(x: &mut Array2<f32>, problem: &Problem<'_>) {
    let mean = problem.mean().mapv(|v| v as f32);
    x.axis_chunks_iter_mut(Axis(0), 128).into_par_iter().for_each(|mut rows| rows -= &mean);
}

/// What is kept of one strength.
struct Tried {
    is_close: bool,
    point: PathPoint,
    verdict: Verdict,
    params: Vec<Vec<f64>>,
}

struct Path<'a, 'd, 'p> {
    parts: &'a [Part<'p>],
    design: &'a Design<'d>,
    config: &'a LinearConfig,
    cancel: &'a CancelToken,
    y: Vec<ClassIdx>,
    tried: BTreeMap<i32, Tried>,
    best: i32,
}

/// Chooses the strength that gets most held-out rows right, and among equals the one with the least log loss.
///
/// Half decades from strong to weak penalties first, every fit starting from the one before and ending early; then the
/// best of them again to a closer tolerance, then quarters and eighths of decades around the best.
pub(super) fn choose(
    parts: &[Part<'_>],
    design: &Design<'_>,
    config: &LinearConfig,
    cancel: &CancelToken,
) -> Result<Choice, HeadError> {
    let mut path = Path::new(parts, design, config, cancel);
    for step in COARSE.step_by(COARSE_STEP as usize) {
        path.try_step(step)?;
        if path.is_hopeless(step) {
            break;
        }
    }
    while path.is_at(path.tried.first_key_value()) && path.best > -FARTHEST {
        path.try_step(path.best - COARSE_STEP)?;
    }
    while path.is_at(path.tried.last_key_value()) && path.best < FARTHEST {
        path.try_step(path.best + COARSE_STEP)?;
    }
    path.fit_best_closely()?;
    for width in [COARSE_STEP / 2, COARSE_STEP / 4] {
        let centre = path.best;
        for step in [centre - width, centre + width] {
            path.try_strength(step, strength(step), CLOSE)?;
        }
    }
    let c = strength(path.best);
    path.into_choice(c)
}

/// Held-out logits at one given strength.
pub(super) fn at_strength(
    parts: &[Part<'_>],
    design: &Design<'_>,
    config: &LinearConfig,
    cancel: &CancelToken,
) -> Result<Choice, HeadError> {
    let mut path = Path::new(parts, design, config, cancel);
    path.try_strength(0, config.c, CLOSE)?;
    path.into_choice(config.c)
}

fn strength(step: i32) -> f64 {
    10f64.powf(f64::from(step) / f64::from(STEPS_PER_DECADE))
}

impl<'a, 'd, 'p> Path<'a, 'd, 'p> {
    fn new(parts: &'a [Part<'p>], design: &'a Design<'d>, config: &'a LinearConfig, cancel: &'a CancelToken) -> Self {
        let y = parts.iter().flat_map(|part| part.held_out_y.iter().copied()).collect();
        Self { parts, design, config, cancel, y, tried: BTreeMap::new(), best: 0 }
    }

    fn try_step(&mut self, step: i32) -> Result<(), HeadError> {
        if self.tried.contains_key(&step) { Ok(()) } else { self.try_strength(step, strength(step), ROUGH) }
    }

    /// Fits the best of the coarse grid again, closely, and takes the best of them.
    fn fit_best_closely(&mut self) -> Result<(), HeadError> {
        // A fit that did not move from its start repeats the one before and tells nothing of its own.
        let moved = self.tried.iter().filter(|(_, tried)| tried.point.n_iter > 0);
        let mut ranking: Vec<(Verdict, i32)> = moved.map(|(&step, tried)| (tried.verdict, step)).collect();
        ranking.sort_by(|a, b| a.0.log_loss.total_cmp(&b.0.log_loss).then(a.1.cmp(&b.1)));
        let least_loss = ranking.first().map(|&(_, step)| step);
        // Stable, so that among equally accurate ones the least log loss comes first.
        ranking.sort_by_key(|(verdict, _)| std::cmp::Reverse(verdict.n_right));
        let accurate = ranking.into_iter().map(|(_, step)| step).take(N_CLOSE);
        let steps: BTreeSet<i32> = accurate.chain(least_loss).collect();
        for step in steps {
            self.try_strength(step, strength(step), CLOSE)?;
        }
        Ok(())
    }

    /// Fits at strength `c`, from the fit at the same or the next stronger penalty.
    fn try_strength(&mut self, step: i32, c: f64, stop: Stop) -> Result<(), HeadError> {
        let stop =
            Stop { tol: stop.tol.max(self.config.tol), max_iter: stop.max_iter.min(self.config.max_iter), ..stop };
        let stronger = self.tried.range(..=step).next_back().map(|(_, tried)| &tried.params);
        let fits: Vec<Minimum> = self
            .parts
            .par_iter()
            .enumerate()
            .map(|(i, part)| {
                let start = stronger.map(|params| &params[i][..]);
                fit_problem(&part.problem, self.design, c, start, stop, self.cancel)
            })
            .collect::<Result<_, _>>()?;
        let params: Vec<Vec<f64>> = fits.iter().map(|fit| fit.params.clone()).collect();
        let verdict = Verdict::new(self.held_out_logits(&params).view(), &self.y, 1.0);
        let point = PathPoint {
            c,
            accuracy: verdict.accuracy(self.y.len()),
            log_loss: verdict.log_loss,
            train_loss: fits.iter().map(|fit| fit.data_loss).sum::<f64>() / fits.len().max(1) as f64,
            n_iter: fits.iter().map(|fit| fit.curve.len() - 1).sum(),
        };
        let is_close = stop.gap <= CLOSE.gap;
        // A close fit is worth more than any rough one, of which the best are luckiest.
        let replaces = |best: &Tried| (is_close && !best.is_close) || verdict.is_better_than(&best.verdict);
        if self.tried.get(&self.best).is_none_or(replaces) {
            self.best = step;
        }
        self.tried.insert(step, Tried { is_close, point, verdict, params });
        Ok(())
    }

    fn held_out_logits(&self, params: &[Vec<f64>]) -> Array2<f32> {
        let logits: Vec<Array2<f32>> =
            self.parts.iter().zip(params).map(|(part, params)| part.held_out_logits(params)).collect();
        let n_classes = logits.first().map_or(0, Array2::ncols);
        stack(&logits, n_classes)
    }

    fn is_at(&self, end: Option<(&i32, &Tried)>) -> bool {
        end.is_some_and(|(&step, _)| step == self.best)
    }

    /// Whether nothing has improved for long and the log loss has only grown.
    fn is_hopeless(&self, step: i32) -> bool {
        if step - self.best < PATIENCE * COARSE_STEP {
            return false;
        }
        let losses: Vec<f64> = self.tried.range(self.best..).map(|(_, tried)| tried.verdict.log_loss).collect();
        losses.windows(2).all(|pair| pair[0] <= pair[1])
    }

    fn into_choice(mut self, c: f64) -> Result<Choice, HeadError> {
        let params = self.tried.get_mut(&self.best).map(|tried| std::mem::take(&mut tried.params)).unwrap_or_default();
        let logits = self.held_out_logits(&params);
        let verdict = Verdict::new(logits.view(), &self.y, 1.0);
        let path = self.tried.into_values().map(|tried| tried.point).collect();
        let params = params.into_iter().next().unwrap_or_default();
        Ok(Choice { c, path, held_out: (logits, self.y), verdict, params })
    }
}
