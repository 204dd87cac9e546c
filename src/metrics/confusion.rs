//! Which class was taken for which.

use serde::{Deserialize, Serialize};

use crate::classes::ClassIdx;

/// Counts of shape `[n_classes, n_classes]`: row = true class, column = predicted class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    counts: Vec<Vec<u32>>,
}

impl ConfusionMatrix {
    /// Counts pairs of true and predicted classes; a pair outside `n_classes` is not counted.
    pub fn new(n_classes: usize, pairs: impl IntoIterator<Item = (ClassIdx, ClassIdx)>) -> Self {
        let mut counts = vec![vec![0; n_classes]; n_classes];
        for (truth, predicted) in pairs {
            if let Some(count) = counts.get_mut(truth.as_usize()).and_then(|row| row.get_mut(predicted.as_usize())) {
                *count += 1;
            }
        }
        Self { counts }
    }

    /// Rows of the matrix, one a true class.
    pub fn rows(&self) -> &[Vec<u32>] {
        &self.counts
    }

    /// How many of class `truth` were taken for `predicted`; 0 outside the matrix.
    pub fn count(&self, truth: ClassIdx, predicted: ClassIdx) -> u32 {
        self.counts.get(truth.as_usize()).and_then(|row| row.get(predicted.as_usize())).copied().unwrap_or(0)
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.counts.len()
    }
}
