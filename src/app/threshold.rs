//! What a threshold for "unknown" costs and saves, on the validation images.

use std::sync::Arc;

/// Confidence of each validation image and whether the head is right, least sure first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ThresholdCurve {
    rows: Arc<[(f32, bool)]>,
    /// Mistakes among the first `i` rows.
    n_wrong_before: Arc<[u32]>,
}

/// What happens at one threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AtThreshold {
    /// Validation images.
    pub n: usize,
    /// Images that get an answer.
    pub n_answered: usize,
    /// Mistakes that become "unknown": what it saves.
    pub n_wrong_refused: usize,
    /// Right answers that become "unknown": what it costs.
    pub n_right_refused: usize,
    /// Mistakes that remain.
    pub n_wrong_answered: usize,
}

impl AtThreshold {
    /// Share of images that get an answer.
    pub fn coverage(&self) -> f64 {
        self.n_answered as f64 / self.n.max(1) as f64
    }

    /// Share of answers that are right; `None` when there is no answer.
    pub fn accuracy(&self) -> Option<f64> {
        (self.n_answered > 0).then(|| 1.0 - self.n_wrong_answered as f64 / self.n_answered as f64)
    }
}

impl ThresholdCurve {
    /// From confidences and whether the answers are right.
    pub fn new(rows: impl IntoIterator<Item = (f32, bool)>) -> Self {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut n_wrong = 0;
        let mut n_wrong_before = vec![0];
        for (_, is_right) in &rows {
            n_wrong += u32::from(!is_right);
            n_wrong_before.push(n_wrong);
        }
        Self { rows: rows.into(), n_wrong_before: n_wrong_before.into() }
    }

    /// Number of validation images.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no validation images.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What happens when answers under `threshold` become "unknown".
    pub fn at(&self, threshold: f32) -> AtThreshold {
        let n = self.rows.len();
        let n_refused = self.rows.partition_point(|row| row.0 < threshold);
        let n_wrong = self.n_wrong_before.get(n).copied().unwrap_or(0) as usize;
        let n_wrong_refused = self.n_wrong_before.get(n_refused).copied().unwrap_or(0) as usize;
        AtThreshold {
            n,
            n_answered: n - n_refused,
            n_wrong_refused,
            n_right_refused: n_refused - n_wrong_refused,
            n_wrong_answered: n_wrong - n_wrong_refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_refused() {
        let curve = ThresholdCurve::new([(0.9, true), (0.5, false), (0.6, true), (0.8, false)]);
        let at = curve.at(0.7);
        assert_eq!((at.n_answered, at.n_wrong_refused, at.n_right_refused, at.n_wrong_answered), (2, 1, 1, 1));
        assert_eq!(at.accuracy(), Some(0.5));
        assert_eq!((curve.at(0.0).coverage(), curve.at(0.5).n_answered), (1.0, 4));
        assert_eq!(curve.at(1.0).accuracy(), None);
        assert_eq!(ThresholdCurve::default().at(0.5), AtThreshold::default());
    }
}
