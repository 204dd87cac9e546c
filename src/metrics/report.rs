//! All metrics of one evaluation.

use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use super::MetricsError;
use super::bootstrap::{Interval, intervals};
use super::calibration::{BinSums, CalibrationBin, bin_of, calibration_bins, expected_calibration_error};
use super::classification::{ClassMetrics, Tally, per_class};
use super::confusion::ConfusionMatrix;
use super::log_loss::row_log_loss;
use crate::classes::{ClassIdx, ClassSet};

/// How many guesses the top-5 accuracy allows.
pub const TOP_K: usize = 5;
/// How far the sum of a row may be from 1.
const SUM_TOLERANCE: f32 = 1e-3;

/// A metric with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// On the rows as they are.
    pub value: f64,
    /// By the percentile bootstrap, 1000 resamples (the basic bootstrap for the calibration error; Wilson's interval for an
    /// accuracy of 0 or 1).
    pub interval: Interval,
}

/// How a classifier did on a set of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Number of rows.
    pub n_rows: usize,
    /// The classes, in the order of `per_class` and `confusion`.
    pub classes: ClassSet,
    /// Share of rows that were right.
    pub accuracy: Estimate,
    /// Mean recall over the classes that occur among the true ones.
    pub balanced_accuracy: Estimate,
    /// Mean F1 over the classes that occur among the true or the predicted ones.
    pub macro_f1: Estimate,
    /// Share of rows whose true class is among the five most probable; `None` with five classes or fewer, where it says
    /// nothing.
    pub top5_accuracy: Option<Estimate>,
    /// Mean of `-ln` of the true class's probability.
    pub log_loss: Estimate,
    /// Expected calibration error, 15 bins of equal width over the largest probability.
    pub calibration_error: Estimate,
    /// Every class, in class order.
    pub per_class: Vec<ClassMetrics>,
    /// True against predicted classes.
    pub confusion: ConfusionMatrix,
    /// The reliability diagram.
    pub calibration: Vec<CalibrationBin>,
}

/// What the bootstrap needs of a row.
struct Row {
    truth: usize,
    predicted: usize,
    confidence: f32,
    bin: usize,
    is_in_top: bool,
    log_loss: f64,
}

/// Sums of one resample.
struct Sums {
    tally: Tally,
    bins: BinSums,
    n_in_top: usize,
    log_loss: f64,
}

impl Report {
    /// Judges probabilities of shape `[n_rows, n_classes]` against true classes of length `n_rows`.
    ///
    /// The prediction is the class with the largest probability, the first of equal ones. `seed` draws the resamples.
    ///
    /// # Errors
    /// No rows, shapes or labels that do not fit, rows that are no distributions.
    pub fn new(
        probabilities: ArrayView2<'_, f32>,
        y_true: &[ClassIdx],
        classes: &ClassSet,
        seed: u64,
    ) -> Result<Self, MetricsError> {
        check(probabilities, y_true, classes.len())?;
        let rows: Vec<Row> = probabilities.outer_iter().zip(y_true).map(|(row, &truth)| Row::new(row, truth)).collect();
        let confusion = ConfusionMatrix::new(
            classes.len(),
            rows.iter().map(|row| (ClassIdx::from(row.truth), ClassIdx::from(row.predicted))),
        );
        let confidences = || rows.iter().map(|row| (row.confidence, row.truth == row.predicted));
        let n_rows = rows.len();
        let intervals = intervals(
            n_rows,
            seed,
            || Sums::new(classes.len()),
            |sums, row| sums.add(&rows[row]),
            |sums| sums.take_metrics(n_rows),
        );
        let mut all = Sums::new(classes.len());
        rows.iter().for_each(|row| all.add(row));
        let values = all.take_metrics(n_rows);
        let [mut accuracy, balanced_accuracy, macro_f1, top5, log_loss, mut calibration_error] =
            std::array::from_fn(|metric| Estimate { value: values[metric], interval: intervals[metric] });
        calibration_error.value = expected_calibration_error(confidences());
        calibration_error.interval = calibration_error.interval.mirrored(calibration_error.value);
        if accuracy.value == 0.0 || accuracy.value == 1.0 {
            accuracy.interval = Interval::wilson(accuracy.value, n_rows);
        }
        Ok(Self {
            n_rows,
            classes: classes.clone(),
            accuracy,
            balanced_accuracy,
            macro_f1,
            top5_accuracy: (classes.len() > TOP_K).then_some(top5),
            log_loss,
            calibration_error,
            per_class: per_class(&confusion),
            calibration: calibration_bins(confidences()),
            confusion,
        })
    }
}

/// Share of rows whose true class is among the `k` most probable; of equal probabilities the first classes win. 0
/// without rows.
pub fn top_k_accuracy(probabilities: ArrayView2<'_, f32>, y_true: &[ClassIdx], k: usize) -> f64 {
    let n_right =
        probabilities.outer_iter().zip(y_true).filter(|(row, truth)| is_in_top(*row, truth.as_usize(), k)).count();
    n_right as f64 / y_true.len().max(1) as f64
}

fn is_in_top(row: ArrayView1<'_, f32>, truth: usize, k: usize) -> bool {
    let of_truth = row[truth];
    row.iter().enumerate().filter(|&(class, &p)| p > of_truth || (p == of_truth && class < truth)).count() < k
}

impl Row {
    fn new(probabilities: ArrayView1<'_, f32>, truth: ClassIdx) -> Self {
        let mut best = (0, f32::NEG_INFINITY);
        for (class, &p) in probabilities.iter().enumerate() {
            if p > best.1 {
                best = (class, p);
            }
        }
        let (predicted, confidence) = best;
        Self {
            truth: truth.as_usize(),
            predicted,
            confidence,
            bin: bin_of(confidence),
            is_in_top: is_in_top(probabilities, truth.as_usize(), TOP_K),
            log_loss: row_log_loss(probabilities, truth),
        }
    }
}

impl Sums {
    fn new(n_classes: usize) -> Self {
        Self { tally: Tally::new(n_classes), bins: BinSums::default(), n_in_top: 0, log_loss: 0.0 }
    }

    fn add(&mut self, row: &Row) {
        self.tally.add(row.truth, row.predicted);
        self.bins.add(row.bin, row.confidence, row.truth == row.predicted);
        self.n_in_top += usize::from(row.is_in_top);
        self.log_loss += row.log_loss;
    }

    /// Accuracy, balanced accuracy, macro F1, top-5 accuracy, log loss and calibration error; starts anew.
    fn take_metrics(&mut self, n_rows: usize) -> [f64; 6] {
        let n = n_rows.max(1) as f64;
        let metrics = [
            self.tally.accuracy(),
            self.tally.balanced_accuracy(),
            self.tally.macro_f1(),
            self.n_in_top as f64 / n,
            self.log_loss / n,
            self.bins.error(),
        ];
        self.tally.clear();
        (self.bins, self.n_in_top, self.log_loss) = (BinSums::default(), 0, 0.0);
        metrics
    }
}

pub(super) fn check(
    probabilities: ArrayView2<'_, f32>,
    y_true: &[ClassIdx],
    n_classes: usize,
) -> Result<(), MetricsError> {
    let (n_rows, found) = probabilities.dim();
    if n_rows != y_true.len() {
        return Err(MetricsError::LabelCount { n_rows, n_labels: y_true.len() });
    }
    if n_rows == 0 {
        return Err(MetricsError::Empty);
    }
    if found != n_classes {
        return Err(MetricsError::ClassCount { expected: n_classes, found });
    }
    if let Some((row, class)) = y_true.iter().enumerate().find(|(_, class)| class.as_usize() >= n_classes) {
        return Err(MetricsError::UnknownClass { row, class_idx: class.0, n_classes });
    }
    let is_distribution = |row: ArrayView1<'_, f32>| {
        row.iter().all(|&p| p.is_finite() && p >= 0.0) && (row.sum() - 1.0).abs() <= SUM_TOLERANCE
    };
    match probabilities.outer_iter().position(|row| !is_distribution(row)) {
        Some(row) => Err(MetricsError::NotProbabilities { row }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    fn classes(n: usize) -> ClassSet {
        ClassSet::from_ordered((0..n).map(|i| format!("c{i}")))
    }

    #[test]
    fn report_is_seeded_and_brackets_its_values() {
        let p = Array2::from_shape_fn((200, 2), |(row, class)| {
            let first = 0.05 + 0.9 * ((row * 37) % 100) as f32 / 100.0;
            if class == 0 { first } else { 1.0 - first }
        });
        let y: Vec<ClassIdx> = (0..200).map(|row| ClassIdx(u32::from((row * 37) % 100 < 40 + row % 20))).collect();
        let report = Report::new(p.view(), &y, &classes(2), 3).unwrap();
        assert_eq!(report, Report::new(p.view(), &y, &classes(2), 3).unwrap());
        assert_ne!(report.log_loss.interval, Report::new(p.view(), &y, &classes(2), 4).unwrap().log_loss.interval);
        for estimate in [report.accuracy, report.balanced_accuracy, report.macro_f1, report.log_loss] {
            assert!(estimate.interval.low < estimate.value && estimate.value < estimate.interval.high, "{estimate:?}");
        }
        let ece = report.calibration_error;
        assert!(ece.interval.low <= ece.value && ece.value <= ece.interval.high, "{ece:?}");
        assert_eq!(report.top5_accuracy, None);
        // Reading JSON may change the last bit of a number.
        let again: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!((again.confusion, again.classes), (report.confusion, report.classes));
        assert!((again.log_loss.interval.low - report.log_loss.interval.low).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_judged_is_an_error() {
        let p = array![[0.5f32, 0.5], [0.9, 0.3]];
        let y = [ClassIdx(0), ClassIdx(2)];
        let report = |p: &Array2<f32>, y: &[ClassIdx], n| Report::new(p.view(), y, &classes(n), 0).unwrap_err();
        assert_eq!(report(&p, &y[..1], 2), MetricsError::LabelCount { n_rows: 2, n_labels: 1 });
        assert_eq!(report(&p, &y, 3), MetricsError::ClassCount { expected: 3, found: 2 });
        assert_eq!(report(&p, &y, 2), MetricsError::UnknownClass { row: 1, class_idx: 2, n_classes: 2 });
        assert_eq!(report(&p, &[y[0]; 2], 2), MetricsError::NotProbabilities { row: 1 });
        assert_eq!(report(&Array2::zeros((0, 2)), &[], 2), MetricsError::Empty);
    }
}
