//! Accuracy and log loss of held-out logits, as far as the choice of settings needs them.

use ndarray::{Array2, ArrayView2};

use crate::classes::ClassIdx;

/// How well logits name the classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdict {
    pub n_right: usize,
    pub log_loss: f64,
}

impl Verdict {
    /// Of `softmax(logits / temperature)`.
    pub(super) fn new(logits: ArrayView2<'_, f32>, y: &[ClassIdx], temperature: f64) -> Self {
        let (mut n_right, mut loss) = (0, 0.0);
        for (row, class) in logits.outer_iter().zip(y) {
            let best = argmax(row.iter().copied());
            n_right += usize::from(best == class.as_usize());
            let max = f64::from(row[best]);
            let sum: f64 = row.iter().map(|&v| ((f64::from(v) - max) / temperature).exp()).sum();
            loss += sum.ln() - (f64::from(row[class.as_usize()]) - max) / temperature;
        }
        Self { n_right, log_loss: loss / y.len().max(1) as f64 }
    }

    /// More rows right, or as many with less log loss.
    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        self.n_right > other.n_right || (self.n_right == other.n_right && self.log_loss < other.log_loss)
    }

    pub(super) fn accuracy(&self, n_rows: usize) -> f64 {
        self.n_right as f64 / n_rows.max(1) as f64
    }
}

/// Position of the largest value; the first of equal ones, 0 without any.
pub(super) fn argmax(values: impl Iterator<Item = f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (i, value) in values.enumerate() {
        if value > best.1 {
            best = (i, value);
        }
    }
    best.0
}

/// Rows of several arrays with the same number of columns, one after another.
pub(super) fn stack(parts: &[Array2<f32>], n_columns: usize) -> Array2<f32> {
    let n_rows = parts.iter().map(Array2::nrows).sum();
    let mut all = Array2::zeros((n_rows, n_columns));
    for (mut row, from) in all.outer_iter_mut().zip(parts.iter().flat_map(|part| part.outer_iter())) {
        row.assign(&from);
    }
    all
}
