//! The logistic loss of a linear model: products with the data, losses, residuals and gradients.
//!
//! The objective is scikit-learn's, divided by `C * sum(weights)` as its solver does:
//!
//! ```text
//! F(W, b) = sum_i w_i loss(y_i, W x_i + b) / sum_i w_i  +  |W|^2 / (2 C sum_i w_i)
//! ```
//!
//! Two classes have one output (binomial form: the logit of class 1), `K > 2` classes have `K` outputs (multinomial
//! form). The intercept `b` is not penalised.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use super::matmul::{Update, product};
use super::rows::Rows;

/// Rows are split into at most this many groups, whatever the number of threads, and sums over groups are taken in
/// order: so the result does not depend on the thread count.
pub(super) const MAX_GROUPS: usize = 16;
/// Rows that are multiplied at once: a block of 128 x 1280 f32 stays in the second-level cache.
pub(super) const BLOCK_ROWS: usize = 128;
/// Below this many multiplications a product is not worth a second thread.
const MIN_PARALLEL_WORK: usize = 1 << 19;

/// Rows, targets and weights of one fit.
pub(super) struct Problem<'a> {
    /// Centred rows, `[n_rows, width]`.
    x: Rows<'a>,
    /// What was subtracted from every row, `[width]`.
    mean: Array1<f64>,
    targets: Vec<u32>,
    weights: Vec<f32>,
    weight_sum: f64,
    n_outputs: usize,
    /// What the logits are before anything is fitted, `[n_rows, n_outputs]`; there is no intercept then.
    offset: Option<Array2<f32>>,
}

/// Value and slopes of the data loss along a line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinePoint {
    /// Weighted mean of the losses.
    pub value: f64,
    /// Its first derivative.
    pub slope: f64,
    /// Its second derivative.
    pub curvature: f64,
}

impl std::ops::Add for LinePoint {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            value: self.value + other.value,
            slope: self.slope + other.slope,
            curvature: self.curvature + other.curvature,
        }
    }
}

impl<'a> Problem<'a> {
    /// Centres the rows (an exact change of variables, because the intercept is not penalised): those at `rows` where that
    /// is given, else all of `x`.
    ///
    /// `class_weights` has one weight a class; every row weighs as its class does.
    pub(super) fn new(
        x: ArrayView2<'a, f32>,
        rows: Option<&[usize]>,
        targets: Vec<u32>,
        class_weights: &[f64],
    ) -> Self {
        let x = Rows::new(x, rows);
        // What was really subtracted, so that the two forms of the model agree to the last bit.
        let mean = x.mean().mapv(f64::from);
        let weights: Vec<f32> = targets.iter().map(|&t| class_weights[t as usize] as f32).collect();
        let weight_sum = weights.iter().map(|&w| f64::from(w)).sum();
        let n_outputs = if class_weights.len() == 2 { 1 } else { class_weights.len() };
        Self { x, mean, targets, weights, weight_sum, n_outputs, offset: None }
    }

    /// Rows as they are, with logits `offset` `[n_rows, n_outputs]` to start from and no intercept.
    pub(super) fn with_offset(
        x: ArrayView2<'a, f32>,
        targets: Vec<u32>,
        n_classes: usize,
        offset: Array2<f32>,
    ) -> Self {
        let x = Rows::uncentred(x);
        let mean = Array1::zeros(x.width());
        let (weights, weight_sum) = (vec![1.0; targets.len()], targets.len() as f64);
        let n_outputs = if n_classes == 2 { 1 } else { n_classes };
        Self { x, mean, targets, weights, weight_sum, n_outputs, offset: Some(offset) }
    }

    /// Adds to logits what they are before anything is fitted.
    pub(super) fn add_offset(&self, z: &mut Array2<f32>) {
        if let Some(offset) = &self.offset {
            *z += offset;
        }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.x.n_rows()
    }

    pub(super) fn width(&self) -> usize {
        self.x.width()
    }

    pub(super) fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    pub(super) fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    pub(super) fn weight_sum(&self) -> f64 {
        self.weight_sum
    }

    /// Number of parameters: weights `[n_outputs, width]`, then intercepts `[n_outputs]`.
    pub(super) fn n_params(&self) -> usize {
        self.n_outputs * (self.width() + 1)
    }

    /// Weighted share of each class, `[n_classes]`.
    pub(super) fn class_shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.n_outputs.max(2)];
        for (&target, &weight) in self.targets.iter().zip(&self.weights) {
            shares[target as usize] += f64::from(weight) / self.weight_sum;
        }
        shares
    }

    /// Weighted mean square of each centred column, `[width]`.
    pub(super) fn column_variances(&self) -> Vec<f64> {
        let partial = self.map_groups(self.width(), |rows| {
            let mut sums = vec![0.0f32; self.width()];
            let first = rows.start;
            self.x.for_blocks(rows, |at, x| {
                for (&weight, row) in self.weights[first..][at].iter().zip(x.outer_iter()) {
                    for (sum, &v) in sums.iter_mut().zip(row) {
                        *sum += weight * v * v;
                    }
                }
            });
            sums
        });
        let mut variances = vec![0.0; self.width()];
        for sums in partial {
            for (variance, sum) in variances.iter_mut().zip(sums) {
                *variance += f64::from(sum) / self.weight_sum;
            }
        }
        variances
    }

    /// Logits `W x + b` of every row into `z`, `[n_rows, n_outputs]`; also the change of logits along a direction.
    /// Fastest where `z` is stored output by output: rows, of which there are many, then fill the vector registers.
    pub(super) fn forward(&self, params: &[f64], z: &mut Array2<f32>) {
        let (weight, bias) = self.split(params);
        let group_rows = self.group_rows();
        let min_len = self.min_groups_a_job(self.width());
        z.axis_chunks_iter_mut(Axis(0), group_rows).into_par_iter().with_min_len(min_len).enumerate().for_each(
            |(group, mut z)| {
                let first = group * group_rows;
                self.x.for_blocks(first..first + z.nrows(), |at, x| {
                    affine_rows(z.slice_mut(s![at, ..]), x, weight.view(), &bias);
                });
            },
        );
    }

    /// Losses along `z + t * dz`; writes the residuals `dloss/dlogit` (weighted mean form) there into `residuals`.
    pub(super) fn along(
        &self,
        z: &Array2<f32>,
        dz: Option<(&Array2<f32>, f64)>,
        residuals: &mut Array2<f32>,
    ) -> LinePoint {
        let group_rows = self.group_rows();
        // An exponential costs about as much as 16 multiplications of a product.
        let min_len = self.min_groups_a_job(16);
        let parts: Vec<LinePoint> = residuals
            .axis_chunks_iter_mut(Axis(0), group_rows)
            .into_par_iter()
            .with_min_len(min_len)
            .enumerate()
            .map(|(group, residuals)| self.along_group(group * group_rows, z, dz, residuals))
            .collect();
        parts.into_iter().fold(LinePoint::default(), |a, b| a + b)
    }

    fn along_group(
        &self,
        first_row: usize,
        z: &Array2<f32>,
        dz: Option<(&Array2<f32>, f64)>,
        mut residuals: ArrayViewMut2<'_, f32>,
    ) -> LinePoint {
        let mut total = LinePoint::default();
        let still = vec![0.0f32; self.n_outputs];
        let mut logits = vec![0.0f32; self.n_outputs];
        let mut of_row = vec![0.0f32; self.n_outputs];
        for (offset, mut residual_row) in residuals.outer_iter_mut().enumerate() {
            let row = first_row + offset;
            let z_row = z.row(row);
            logits.iter_mut().zip(z_row).for_each(|(logit, &z)| *logit = z);
            let dz_row = match dz {
                Some((dz, t)) => {
                    let dz_row = dz.row(row);
                    let t = t as f32;
                    logits.iter_mut().zip(dz_row).for_each(|(logit, &dz)| *logit += t * dz);
                    dz_row
                }
                None => ndarray::aview1(&still),
            };
            let weight = f64::from(self.weights[row]) / self.weight_sum;
            let target = self.targets[row] as usize;
            if let ([logit], [residual]) = (&logits[..], &mut of_row[..]) {
                total = total + binomial(f64::from(*logit), target, f64::from(dz_row[0]), weight, residual);
            } else {
                let loss = multinomial(&logits, target, &mut of_row);
                let (mut slope, mut mean_dz, mut mean_dz2) = (0.0f64, 0.0f64, 0.0f64);
                for (k, (residual, &dz)) in of_row.iter_mut().zip(dz_row).enumerate() {
                    let dz = f64::from(dz);
                    let r = f64::from(*residual);
                    let p = if k == target { r + 1.0 } else { r };
                    slope += r * dz;
                    mean_dz += p * dz;
                    mean_dz2 += p * dz * dz;
                    *residual = (r * weight) as f32;
                }
                total.value += weight * loss;
                total.slope += weight * slope;
                total.curvature += weight * (mean_dz2 - mean_dz * mean_dz);
            }
            residual_row.iter_mut().zip(&of_row).for_each(|(to, &from)| *to = from);
        }
        total
    }

    /// Gradient of the data loss, `residuals^T x` and the sums of the residuals, into `gradient` (laid out as
    /// parameters).
    pub(super) fn backward(&self, residuals: &Array2<f32>, gradient: &mut [f64]) {
        let (k, width) = (self.n_outputs, self.width());
        let group_rows = self.group_rows();
        let min_len = self.min_groups_a_job(width);
        let parts: Vec<Array2<f32>> = residuals
            .axis_chunks_iter(Axis(0), group_rows)
            .into_par_iter()
            .with_min_len(min_len)
            .enumerate()
            .map(|(group, residuals)| {
                let mut sum = Array2::<f32>::zeros((k, width));
                let first = group * group_rows;
                self.x.for_blocks(first..first + residuals.nrows(), |at, x| {
                    product(sum.view_mut(), Update::Add, residuals.slice(s![at, ..]).t(), x);
                });
                sum
            })
            .collect();
        let (weight, bias) = gradient.split_at_mut(k * width);
        weight.par_chunks_mut(width).enumerate().with_min_len(if k * width < 1 << 15 { k } else { 1 }).for_each(
            |(output, weight)| {
                weight.fill(0.0);
                for part in &parts {
                    weight.iter_mut().zip(part.row(output)).for_each(|(sum, &v)| *sum += f64::from(v));
                }
            },
        );
        if self.offset.is_some() {
            return bias.fill(0.0);
        }
        for (output, sum) in bias.iter_mut().enumerate() {
            *sum = residuals.column(output).iter().map(|&r| f64::from(r)).sum();
        }
    }

    /// Parameters as f32 arrays: weight `[n_outputs, width]`, intercept `[n_outputs]`.
    fn split(&self, params: &[f64]) -> (Array2<f32>, Vec<f32>) {
        let (k, width) = (self.n_outputs, self.width());
        let weight = Array2::from_shape_fn((k, width), |(output, column)| params[output * width + column] as f32);
        (weight, params[k * width..].iter().map(|&b| b as f32).collect())
    }

    fn group_rows(&self) -> usize {
        self.n_rows().div_ceil(MAX_GROUPS).max(64)
    }

    /// Groups that one job should take so that it is worth a thread, where a row and output costs `row_work`.
    fn min_groups_a_job(&self, row_work: usize) -> usize {
        let work_a_group = (self.group_rows() * self.n_outputs * row_work).max(1);
        MIN_PARALLEL_WORK.div_ceil(work_a_group)
    }

    fn map_groups<T: Send>(&self, row_work: usize, f: impl Fn(std::ops::Range<usize>) -> T + Sync) -> Vec<T> {
        let group_rows = self.group_rows();
        (0..self.n_rows().div_ceil(group_rows))
            .into_par_iter()
            .with_min_len(self.min_groups_a_job(row_work))
            .map(|group| f(group * group_rows..((group + 1) * group_rows).min(self.n_rows())))
            .collect()
    }
}

/// `z = x weight^T + bias`, a block of rows at a time.
pub(super) fn affine_rows(
    mut z: ArrayViewMut2<'_, f32>,
    x: ArrayView2<'_, f32>,
    weight: ArrayView2<'_, f32>,
    bias: &[f32],
) {
    for (mut z, x) in z.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS).zip(x.axis_chunks_iter(Axis(0), BLOCK_ROWS)) {
        product(z.view_mut(), Update::Overwrite, x, weight.t());
        for mut row in z.outer_iter_mut() {
            row.iter_mut().zip(bias).for_each(|(z, b)| *z += b);
        }
    }
}

/// Loss, slope and curvature of one row of the binomial form; the weighted residual goes into `residual`.
fn binomial(logit: f64, target: usize, dz: f64, weight: f64, residual: &mut f32) -> LinePoint {
    // Probability of the wrong class, computed where it does not cancel.
    let wrong_logit = if target == 1 { -logit } else { logit };
    let e = (-wrong_logit.abs()).exp();
    let value = wrong_logit.max(0.0) + e.ln_1p();
    let p_wrong = if wrong_logit >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) };
    let r = if target == 1 { -p_wrong } else { p_wrong };
    *residual = (weight * r) as f32;
    LinePoint { value: weight * value, slope: weight * r * dz, curvature: weight * p_wrong * (1.0 - p_wrong) * dz * dz }
}

/// Loss of one row of the multinomial form; `residual` becomes `softmax(logits) - onehot(target)`.
fn multinomial(logits: &[f32], target: usize, residual: &mut [f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum_of_others = 0.0f32;
    for (k, (residual, &logit)) in residual.iter_mut().zip(logits).enumerate() {
        let e = (logit - max).exp();
        *residual = e;
        if k != target {
            sum_of_others += e;
        }
    }
    // The target is kept apart so that a loss near zero keeps its digits.
    let of_target = residual[target];
    let sum = sum_of_others + of_target;
    let scale = 1.0 / sum;
    residual.iter_mut().for_each(|r| *r *= scale);
    residual[target] = -sum_of_others * scale;
    if sum_of_others < of_target {
        (f64::from(sum_of_others) / f64::from(of_target)).ln_1p()
    } else {
        f64::from(sum).ln() - f64::from(logits[target] - max)
    }
}
