//! Metrics of true against predicted classes, all from counts per class.

use serde::{Deserialize, Serialize};

use super::confusion::ConfusionMatrix;

/// How one class fared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Share of what was called this class that is of it; 0 where nothing was.
    pub precision: f64,
    /// Share of this class that was called so; 0 where there is none.
    pub recall: f64,
    /// Harmonic mean of the two; 0 where both are 0.
    pub f1: f64,
    /// Rows that are truly of this class.
    pub support: u32,
}

/// Right, true and predicted rows of every class.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    right: Vec<u32>,
    truly: Vec<u32>,
    predicted: Vec<u32>,
}

impl Tally {
    pub(super) fn new(n_classes: usize) -> Self {
        Self { right: vec![0; n_classes], truly: vec![0; n_classes], predicted: vec![0; n_classes] }
    }

    pub(super) fn clear(&mut self) {
        for counts in [&mut self.right, &mut self.truly, &mut self.predicted] {
            counts.fill(0);
        }
    }

    /// Both classes are below the number of classes.
    pub(super) fn add(&mut self, truth: usize, predicted: usize) {
        self.right[truth] += u32::from(truth == predicted);
        self.truly[truth] += 1;
        self.predicted[predicted] += 1;
    }

    pub(super) fn accuracy(&self) -> f64 {
        ratio(self.right.iter().sum(), self.truly.iter().sum())
    }

    pub(super) fn balanced_accuracy(&self) -> f64 {
        mean(self.right.iter().zip(&self.truly).filter(|&(_, &truly)| truly > 0).map(|(&right, &n)| ratio(right, n)))
    }

    pub(super) fn macro_f1(&self) -> f64 {
        let counts = self.right.iter().zip(&self.truly).zip(&self.predicted);
        mean(counts.map(|((&right, &truly), &predicted)| (right, truly + predicted)).filter(|c| c.1 > 0).map(f1))
    }

    fn class(&self, class: usize) -> ClassMetrics {
        let (right, truly, predicted) = (self.right[class], self.truly[class], self.predicted[class]);
        ClassMetrics {
            precision: ratio(right, predicted),
            recall: ratio(right, truly),
            f1: f1((right, truly + predicted)),
            support: truly,
        }
    }
}

impl From<&ConfusionMatrix> for Tally {
    fn from(matrix: &ConfusionMatrix) -> Self {
        let mut tally = Self::new(matrix.n_classes());
        for (truth, row) in matrix.rows().iter().enumerate() {
            for (predicted, &count) in row.iter().enumerate() {
                tally.truly[truth] += count;
                tally.predicted[predicted] += count;
                if truth == predicted {
                    tally.right[truth] += count;
                }
            }
        }
        tally
    }
}

/// `2 right / (true + predicted)`, which equals the harmonic mean of precision and recall.
fn f1((right, truly_and_predicted): (u32, u32)) -> f64 {
    2.0 * ratio(right, truly_and_predicted)
}

fn ratio(part: u32, whole: u32) -> f64 {
    if whole == 0 { 0.0 } else { f64::from(part) / f64::from(whole) }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0u32), |(sum, n), value| (sum + value, n + 1));
    if n == 0 { 0.0 } else { sum / f64::from(n) }
}

/// Share of rows that were right.
pub fn accuracy(confusion: &ConfusionMatrix) -> f64 {
    Tally::from(confusion).accuracy()
}

/// Mean recall of the classes that have rows.
pub fn balanced_accuracy(confusion: &ConfusionMatrix) -> f64 {
    Tally::from(confusion).balanced_accuracy()
}

/// Mean F1 of the classes that have rows or were predicted.
pub fn macro_f1(confusion: &ConfusionMatrix) -> f64 {
    Tally::from(confusion).macro_f1()
}

/// Metrics of every class, in class order.
pub fn per_class(confusion: &ConfusionMatrix) -> Vec<ClassMetrics> {
    let tally = Tally::from(confusion);
    (0..confusion.n_classes()).map(|class| tally.class(class)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classes::ClassIdx;

    #[test]
    fn classes_that_do_not_occur_follow_scikit_learn() {
        // Class 2 is predicted but never true, class 3 is neither.
        let pairs = [(0, 0), (0, 2), (1, 1), (1, 0)].map(|(t, p)| (ClassIdx(t), ClassIdx(p)));
        let matrix = ConfusionMatrix::new(4, pairs);
        assert_eq!(accuracy(&matrix), 0.5);
        assert_eq!(balanced_accuracy(&matrix), 0.5, "over classes 0 and 1");
        assert!((macro_f1(&matrix) - (0.5 + 2.0 / 3.0 + 0.0) / 3.0).abs() < 1e-12, "over classes 0, 1 and 2");
        let classes = per_class(&matrix);
        assert_eq!(classes[1], ClassMetrics { precision: 1.0, recall: 0.5, f1: 2.0 / 3.0, support: 2 });
        assert_eq!(classes[3], ClassMetrics { precision: 0.0, recall: 0.0, f1: 0.0, support: 0 });
    }
}
