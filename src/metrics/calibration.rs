//! Whether a confidence of 80 % is right 80 % of the time (Guo et al. 2017).

use serde::{Deserialize, Serialize};

/// Number of bins of equal width in the reliability diagram and the calibration error.
pub const N_CALIBRATION_BINS: usize = 15;

/// Rows whose largest probability lies in `(low, high]` (the first bin holds 0 too).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Lower edge.
    pub low: f64,
    /// Upper edge.
    pub high: f64,
    /// Number of rows.
    pub n_rows: u32,
    /// Mean of their largest probabilities; 0 without rows.
    pub mean_confidence: f64,
    /// Share of them that were right; 0 without rows.
    pub accuracy: f64,
}

/// The bin of a confidence.
pub(super) fn bin_of(confidence: f32) -> usize {
    // The upper edge belongs to the bin.
    let position = (f64::from(confidence) * N_CALIBRATION_BINS as f64).ceil() as usize;
    position.clamp(1, N_CALIBRATION_BINS) - 1
}

/// Sums over the rows of each bin.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BinSums([(u32, f64, u32); N_CALIBRATION_BINS]);

impl BinSums {
    pub(super) fn add(&mut self, bin: usize, confidence: f32, is_right: bool) {
        let (n_rows, confidences, n_right) = &mut self.0[bin];
        *n_rows += 1;
        *confidences += f64::from(confidence);
        *n_right += u32::from(is_right);
    }

    /// Sum over bins of `|right - confidence|`, as a share of all rows.
    pub(super) fn error(&self) -> f64 {
        let n_rows: u32 = self.0.iter().map(|bin| bin.0).sum();
        let sum: f64 = self.0.iter().map(|&(_, confidences, n_right)| (f64::from(n_right) - confidences).abs()).sum();
        sum / f64::from(n_rows.max(1))
    }
}

/// The bins of a reliability diagram, from the largest probability of every row and whether it was right.
pub fn calibration_bins(rows: impl IntoIterator<Item = (f32, bool)>) -> Vec<CalibrationBin> {
    let sums = sum_up(rows);
    let bin = |(i, &(n_rows, confidences, n_right)): (usize, &(u32, f64, u32))| {
        let n = f64::from(n_rows.max(1));
        CalibrationBin {
            low: i as f64 / N_CALIBRATION_BINS as f64,
            high: (i + 1) as f64 / N_CALIBRATION_BINS as f64,
            n_rows,
            mean_confidence: confidences / n,
            accuracy: f64::from(n_right) / n,
        }
    };
    sums.0.iter().enumerate().map(bin).collect()
}

/// Mean distance of confidence and accuracy over bins of equal width, weighted by their rows.
pub fn expected_calibration_error(rows: impl IntoIterator<Item = (f32, bool)>) -> f64 {
    sum_up(rows).error()
}

fn sum_up(rows: impl IntoIterator<Item = (f32, bool)>) -> BinSums {
    let mut sums = BinSums::default();
    for (confidence, is_right) in rows {
        sums.add(bin_of(confidence), confidence, is_right);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_and_error() {
        let rows = [(0.9f32, true), (0.9, false), (0.5, true), (1.0, true), (0.0, false)];
        let bins = calibration_bins(rows);
        assert_eq!(bins.len(), N_CALIBRATION_BINS);
        assert_eq!(bins.iter().map(|bin| bin.n_rows).sum::<u32>(), 5);
        assert_eq!((bins[13].n_rows, bins[13].accuracy), (2, 0.5));
        assert_eq!((bins[0].n_rows, bins[14].n_rows), (1, 1));
        let expected = (2.0 * 0.4 + 0.5 + 0.0 + 0.0) / 5.0;
        assert!((expected_calibration_error(rows) - expected).abs() < 1e-6);
    }
}
