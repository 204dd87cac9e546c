//! What a head says about embeddings.

use ndarray::{Array2, ArrayView1};

use crate::classes::ClassIdx;

/// What the values of [`Scores`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreKind {
    /// Numbers whose softmax are the probabilities.
    Logits,
    /// Probabilities: rows sum to 1.
    Probabilities,
    /// Cosines between image and class, before any logit scale.
    Cosine,
}

/// Scores of `n_rows` images for `n_classes` classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Array of shape `[n_rows, n_classes]`.
    pub values: Array2<f32>,
    /// What the values are.
    pub kind: ScoreKind,
}

impl Scores {
    /// Probabilities of shape `[n_rows, n_classes]`: the softmax of logits, probabilities as they are.
    ///
    /// `None` for cosines, which say nothing about probability without their logit scale.
    pub fn probabilities(&self) -> Option<Array2<f32>> {
        match self.kind {
            ScoreKind::Logits => Some(softmax(&self.values)),
            ScoreKind::Probabilities => Some(self.values.clone()),
            ScoreKind::Cosine => None,
        }
    }

    /// The class with the largest score of every row; the first of equal ones.
    pub fn top1(&self) -> Vec<ClassIdx> {
        self.values.outer_iter().map(|row| ClassIdx::from(super::judge::argmax(row.iter().copied()))).collect()
    }

    /// The `k` classes with the largest scores of every row, best first (fewer where there are fewer classes); of equal
    /// ones the first comes first.
    pub fn top_k(&self, k: usize) -> Vec<Vec<ClassIdx>> {
        let of_row = |row: ArrayView1<'_, f32>| {
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
            order.into_iter().take(k).map(ClassIdx::from).collect()
        };
        self.values.outer_iter().map(of_row).collect()
    }
}

/// Softmax of every row of `[n_rows, n_classes]`, computed relative to the largest value so that it cannot overflow.
pub fn softmax(logits: &Array2<f32>) -> Array2<f32> {
    let mut probabilities = logits.clone();
    for mut row in probabilities.outer_iter_mut() {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.mapv_inplace(|v| (v - max).exp());
        let sum: f32 = row.sum();
        row /= sum;
    }
    probabilities
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn softmax_survives_large_logits_and_ranks_hold() {
        let scores = Scores { values: array![[1000.0, 998.0, -1e30], [0.0, 0.0, 0.0]], kind: ScoreKind::Logits };
        let p = scores.probabilities().unwrap();
        assert!((p[[0, 0]] - 0.880_797).abs() < 1e-5 && p[[0, 2]] == 0.0);
        assert!((p.row(1).sum() - 1.0).abs() < 1e-6);
        assert_eq!(scores.top1(), [ClassIdx(0), ClassIdx(0)]);
        assert_eq!(scores.top_k(2)[0], [ClassIdx(0), ClassIdx(1)]);
        assert_eq!(scores.top_k(9)[1].len(), 3);
        assert_eq!(Scores { kind: ScoreKind::Cosine, ..scores }.probabilities(), None);
    }
}
