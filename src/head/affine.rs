//! The one form that every head takes when it is applied or exported.

use ndarray::{Array1, Array2};

/// `logits = W f(x) + b`, where `f` is the identity or division by the Euclidean norm; `softmax(logits)` are the
/// calibrated probabilities (the temperature is already inside `W` and `b`).
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// Whether a feature vector is divided by its Euclidean norm (at least 1e-12) first.
    pub l2_normalise: bool,
    /// Array of shape `[n_classes, dim]`.
    pub weight: Array2<f32>,
    /// Array of shape `[n_classes]`.
    pub bias: Array1<f32>,
}
