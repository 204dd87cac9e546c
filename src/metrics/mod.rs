//! How good a classifier is: one report from probabilities and true classes.
//!
//! Formulas and edge cases follow scikit-learn's `metrics`: balanced accuracy averages over the classes that occur
//! among the true ones, macro F1 over the classes that occur among the true or the predicted ones, and a ratio without
//! a denominator is 0.

mod bootstrap;
mod calibration;
mod classification;
mod confusion;
pub mod label_errors;
mod log_loss;
pub mod outliers;
pub mod paired;
mod power_law;
mod reliability;
mod report;
pub mod strangers;
pub mod transfer;
mod weighted;

pub use bootstrap::Interval;
pub use calibration::{CalibrationBin, N_CALIBRATION_BINS, calibration_bins, expected_calibration_error};
pub use classification::{ClassMetrics, accuracy, balanced_accuracy, macro_f1, per_class};
pub use confusion::ConfusionMatrix;
pub use log_loss::{log_loss, row_log_loss};
pub use power_law::PowerLaw;
pub use reliability::{Calibration, Reliability};
pub use report::{Estimate, Report, TOP_K, top_k_accuracy};
pub use weighted::weighted_accuracy;

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MetricsError {
    /// There is nothing to judge.
    #[error("there are no predictions to judge")]
    Empty,
    /// As many true classes as rows are needed.
    #[error("{n_labels} true classes were given for {n_rows} rows of probabilities")]
    LabelCount {
        /// Rows of probabilities.
        n_rows: usize,
        /// True classes.
        n_labels: usize,
    },
    /// A row has a probability for each class.
    #[error("rows have {found} probabilities, but there are {expected} classes")]
    ClassCount {
        /// Number of classes.
        expected: usize,
        /// Probabilities of a row.
        found: usize,
    },
    /// A true class that is not in the class set.
    #[error("row {row} has class {class_idx}, but there are only {n_classes} classes")]
    UnknownClass {
        /// Row of the probabilities.
        row: usize,
        /// Its true class.
        class_idx: u32,
        /// Number of classes.
        n_classes: usize,
    },
    /// A feature is no number.
    #[error("the features of row {row} are not all numbers")]
    NotNumbers {
        /// The row.
        row: usize,
    },
    /// There is nothing to tell apart.
    #[error("two classes with examples are needed")]
    TooFewClasses,
    /// A row that is no distribution: a value is negative or not finite, or the sum is not 1 within 0.001.
    #[error("the probabilities of row {row} are negative, not finite, or do not add up to 1")]
    NotProbabilities {
        /// Row of the probabilities.
        row: usize,
    },
}
