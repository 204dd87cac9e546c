//! The one form that every head takes when it is applied or exported.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::logistic::affine_rows;
use super::softmax;

/// Shortest length that a vector is divided by.
pub(super) const MIN_NORM: f32 = 1e-12;

/// What makes probabilities of logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// One class is right: the probabilities of a row are 1 together.
    #[default]
    Softmax,
    /// Each class is right or wrong by itself: none, one or several.
    Sigmoid,
}

impl Activation {
    /// Probabilities of shape `[n_rows, n_classes]` of logits of that shape.
    pub fn probabilities(self, logits: &Array2<f32>) -> Array2<f32> {
        match self {
            Self::Softmax => softmax(logits),
            Self::Sigmoid => logits.mapv(sigmoid),
        }
    }
}

fn sigmoid(z: f32) -> f32 {
    // Of the two forms, the one whose exponential cannot overflow.
    if z >= 0.0 { 1.0 / (1.0 + (-z).exp()) } else { z.exp() / (1.0 + z.exp()) }
}

/// `logits = W f(x) + b`, where `f` is the identity or divides blocks of columns by their Euclidean norm;
/// `activation(logits)` are the calibrated probabilities (the temperature is already inside `W` and `b`).
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// Widths of consecutive blocks of columns that are each divided by their Euclidean norm (at least 1e-12) first: one
    /// block of the whole width for heads that see directions, one a part for features that were put side by side. Empty
    /// where nothing is divided; else their sum is `dim`.
    pub l2_blocks: Vec<usize>,
    /// What makes probabilities of the logits.
    pub activation: Activation,
    /// Array of shape `[n_classes, dim]`.
    pub weight: Array2<f32>,
    /// Array of shape `[n_classes]`.
    pub bias: Array1<f32>,
}

impl Affine {
    /// Logits `[n_rows, n_classes]` of rows `[n_rows, dim]`.
    pub fn apply(&self, x: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut z = Array2::zeros((x.nrows(), self.weight.nrows()));
        let bias = self.bias.to_vec();
        z.axis_chunks_iter_mut(Axis(0), 256).into_par_iter().zip(x.axis_chunks_iter(Axis(0), 256)).for_each(
            |(z, x)| {
                if self.l2_blocks.is_empty() {
                    affine_rows(z, x, self.weight.view(), &bias);
                } else {
                    affine_rows(z, unit_blocks(x, &self.l2_blocks).view(), self.weight.view(), &bias);
                }
            },
        );
        z
    }
}

/// Rows `[n_rows, dim]` whose blocks of columns are divided by their Euclidean norms.
pub fn unit_blocks(x: ArrayView2<'_, f32>, l2_blocks: &[usize]) -> Array2<f32> {
    let mut unit = x.to_owned();
    for mut row in unit.outer_iter_mut() {
        let mut start = 0;
        for width in l2_blocks {
            let end = (start + width).min(row.len());
            let mut block = row.slice_mut(s![start..end]);
            let length = norm(block.view());
            block /= length;
            start = end;
        }
    }
    unit
}

/// Euclidean length, at least 1e-12.
pub(super) fn norm(row: ArrayView1<'_, f32>) -> f32 {
    let square: f64 = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    (square.sqrt() as f32).max(MIN_NORM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn blocks_are_divided_by_their_own_lengths() {
        let x = array![[3.0f32, 4.0, 0.0, 2.0], [0.0, 0.0, 1.0, 0.0]];
        assert_eq!(unit_blocks(x.view(), &[2, 2]), array![[0.6f32, 0.8, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]]);
        let head = Affine {
            l2_blocks: vec![2, 2],
            activation: Activation::Sigmoid,
            weight: array![[1.0f32, 0.0, 0.0, 1.0], [0.0, -1.0, 5.0, 0.0]],
            bias: array![0.0f32, 0.5],
        };
        let logits = head.apply(x.view());
        assert!((&logits - &array![[1.6f32, -0.3], [0.0, 5.5]]).iter().all(|d| d.abs() < 1e-6), "{logits}");
        let p = head.activation.probabilities(&array![[0.0f32, -200.0, 200.0]]);
        assert_eq!(p, array![[0.5f32, 0.0, 1.0]]);
    }
}
