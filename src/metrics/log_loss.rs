//! Log loss: minus the mean logarithm of the probability that the true class was given.

use ndarray::{ArrayView1, ArrayView2};

use crate::classes::ClassIdx;

/// Loss of one row. Probabilities are scaled to sum to 1 and kept at least the spacing of f32 at 1 (1.2e-7), as
/// scikit-learn does with f32 probabilities. A class that the row does not have counts as that least probability.
pub fn row_log_loss(probabilities: ArrayView1<'_, f32>, truth: ClassIdx) -> f64 {
    let least = f64::from(f32::EPSILON);
    let clipped = |p: f64| p.clamp(least, 1.0 - least);
    let sum: f64 = probabilities.iter().map(|&p| f64::from(p)).sum();
    match probabilities.get(truth.as_usize()) {
        Some(&p) if sum > 0.0 => -clipped(f64::from(p) / sum).ln(),
        _ => -least.ln(),
    }
}

/// Mean loss of rows of shape `[n_rows, n_classes]`; 0 without rows.
pub fn log_loss(probabilities: ArrayView2<'_, f32>, y_true: &[ClassIdx]) -> f64 {
    let sum: f64 = probabilities.outer_iter().zip(y_true).map(|(row, &truth)| row_log_loss(row, truth)).sum();
    sum / y_true.len().max(1) as f64
}
