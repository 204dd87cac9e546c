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

/// Consecutive columns that are divided by their Euclidean norm (at least 1e-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Number of columns.
    pub width: usize,
    /// Whether each value is first replaced by its square root, its sign kept (Hellinger's kernel): a few large features
    /// then do not outweigh many small ones.
    #[serde(default)]
    pub square_root: bool,
}

impl Block {
    /// Columns as they are.
    pub fn plain(width: usize) -> Self {
        Self { width, square_root: false }
    }
}

/// Examples whose classes are added by their similarity: `exp(beta (keys f(x) - 1)) values`.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// How fast the influence of an example falls with distance.
    pub beta: f32,
    /// Examples, array of shape `[n_examples, dim]`.
    pub keys: Array2<f32>,
    /// What each adds to the logits, array of shape `[n_examples, n_classes]`.
    pub values: Array2<f32>,
}

/// `logits = W f(x) + b`, where `f` is the identity or divides blocks of columns by their Euclidean norm, plus the
/// similarities to examples where there is a kernel; `activation(logits)` are the calibrated probabilities (the temperature
/// is already inside `W`, `b` and the kernel's values).
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// Blocks of columns that are divided by their norms first: one of the whole width for heads that see directions, one
    /// a part for features that were put side by side. Empty where nothing is divided; else their widths are `dim`
    /// together.
    pub l2_blocks: Vec<Block>,
    /// What makes probabilities of the logits.
    pub activation: Activation,
    /// Array of shape `[n_classes, dim]`.
    pub weight: Array2<f32>,
    /// Array of shape `[n_classes]`.
    pub bias: Array1<f32>,
    /// Similarities to examples that are added, in heads that keep examples.
    pub kernel: Option<Kernel>,
}

impl Affine {
    /// Logits `[n_rows, n_classes]` of rows `[n_rows, dim]`.
    pub fn apply(&self, x: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut z = Array2::zeros((x.nrows(), self.weight.nrows()));
        let bias = self.bias.to_vec();
        z.axis_chunks_iter_mut(Axis(0), 256).into_par_iter().zip(x.axis_chunks_iter(Axis(0), 256)).for_each(
            |(mut z, x)| {
                if self.l2_blocks.is_empty() && self.kernel.is_none() {
                    return affine_rows(z, x, self.weight.view(), &bias);
                }
                let unit = unit_blocks(x, &self.l2_blocks);
                affine_rows(z.view_mut(), unit.view(), self.weight.view(), &bias);
                if let Some(kernel) = &self.kernel {
                    let mut similar = unit.dot(&kernel.keys.t());
                    similar.mapv_inplace(|cosine| (kernel.beta * (cosine - 1.0)).exp());
                    z += &similar.dot(&kernel.values);
                }
            },
        );
        z
    }

    /// Divides all logits by a temperature.
    pub fn divide(&mut self, temperature: f64) {
        let divide = |v: f32| (f64::from(v) / temperature) as f32;
        self.weight.mapv_inplace(divide);
        self.bias.mapv_inplace(divide);
        if let Some(kernel) = &mut self.kernel {
            kernel.values.mapv_inplace(divide);
        }
    }
}

/// Rows `[n_rows, dim]` whose blocks of columns are divided by their Euclidean norms.
pub fn unit_blocks(x: ArrayView2<'_, f32>, l2_blocks: &[Block]) -> Array2<f32> {
    let mut unit = x.to_owned();
    for mut row in unit.outer_iter_mut() {
        let mut start = 0;
        for block in l2_blocks {
            let end = (start + block.width).min(row.len());
            let mut values = row.slice_mut(s![start..end]);
            if block.square_root {
                values.mapv_inplace(|v| v.abs().sqrt().copysign(v));
            }
            let length = norm(values.view());
            values /= length;
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
        assert_eq!(
            unit_blocks(x.view(), &[Block::plain(2), Block::plain(2)]),
            array![[0.6f32, 0.8, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]]
        );
        let head = Affine {
            l2_blocks: vec![Block::plain(2), Block::plain(2)],
            activation: Activation::Sigmoid,
            weight: array![[1.0f32, 0.0, 0.0, 1.0], [0.0, -1.0, 5.0, 0.0]],
            bias: array![0.0f32, 0.5],
            kernel: None,
        };
        let logits = head.apply(x.view());
        assert!((&logits - &array![[1.6f32, -0.3], [0.0, 5.5]]).iter().all(|d| d.abs() < 1e-6), "{logits}");
        let kernel = Kernel { beta: 2.0, keys: array![[1.0f32, 0.0, 0.0, 0.0]], values: array![[3.0f32, 0.0]] };
        let with_examples = Affine { kernel: Some(kernel), ..head.clone() }.apply(x.view());
        let added = [3.0 * (-0.8f32).exp(), 3.0 * (-2.0f32).exp()];
        assert!((0..2).all(|row| (with_examples[[row, 0]] - logits[[row, 0]] - added[row]).abs() < 1e-6));
        let rooted =
            unit_blocks(array![[16.0f32, -9.0, 4.0]].view(), &[Block { width: 2, square_root: true }, Block::plain(1)]);
        assert!((&rooted - &array![[0.8f32, -0.6, 1.0]]).iter().all(|d| d.abs() < 1e-6), "{rooted}");
        let p = head.activation.probabilities(&array![[0.0f32, -200.0, 200.0]]);
        assert_eq!(p, array![[0.5f32, 0.0, 1.0]]);
    }
}
