//! Temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks"): one number that divides all
//! logits.

use ndarray::{Array2, ArrayView2, Axis};

use super::plan::stratified_folds;
use super::scores::softmax;
use crate::classes::ClassIdx;

/// The temperature stays between the logits' scale divided and multiplied by this.
const REACH: f64 = 100.0;
const MAX_STEPS: usize = 200;

/// The temperature that makes the mean log loss of `softmax(logits / temperature)` against smoothed targets least.
///
/// `logits`: array of shape `[n_rows, n_classes]` of examples that the head was not trained on; `y`: their classes.
/// The log loss is convex in the inverse temperature, which is found by Newton's method in a bracket.
///
/// Where every row is right, the least plain loss lies at temperature 0, which says "never wrong" on the strength of a few
/// examples. So the targets are smoothed by the weight of one example in `n_rows + 2` (Laplace's rule of succession, Platt's
/// targets): with few examples that is humble, with many it vanishes, and another mistake never makes the answer surer.
/// The result is at most a factor 100 away from the scale of the logits.
/// Without rows, or where all logits agree, it is 1.
pub fn fit_temperature(logits: ArrayView2<'_, f32>, y: &[ClassIdx]) -> f64 {
    let scale = logit_scale(logits);
    if !(scale.is_finite() && scale > 0.0) || y.is_empty() {
        return 1.0;
    }
    let smoothing = 1.0 / (y.len() as f64 + 2.0);
    let (mut low, mut high) = (1.0 / (scale * REACH), REACH / scale);
    let mut inverse = 1.0 / scale;
    for _ in 0..MAX_STEPS {
        let (slope, curvature) = slope_and_curvature(logits, y, inverse, smoothing);
        if slope > 0.0 {
            high = inverse;
        } else {
            low = inverse;
        }
        let newton = inverse - slope / curvature;
        let next = if newton > low && newton < high { newton } else { (low * high).sqrt() };
        let moved = (next - inverse).abs();
        inverse = next;
        if moved <= 1e-10 * inverse || high / low < 1.0 + 1e-10 {
            break;
        }
    }
    1.0 / inverse
}

/// Probabilities of every row of `logits`, `[n_rows, n_classes]`, at a temperature that was fitted without it: five-fold
/// stratified cross-fitting. What temperature scaling is worth can be judged with these on the rows that choose the
/// temperature; with the temperature of all rows it would be flattered.
///
/// Rows that are the only ones of their class are dealt to the folds in turn, and no temperature is fitted on them.
/// Without two rows of a class there is nothing to fit on, and the temperature is 1.
pub fn cross_fitted(logits: ArrayView2<'_, f32>, y: &[ClassIdx], n_classes: usize, seed: u64) -> Array2<f32> {
    let targets: Vec<u32> = y.iter().map(|class| class.0).collect();
    let mut divided = logits.to_owned();
    let folds = stratified_folds(&targets, n_classes, seed);
    let mut is_single = vec![!folds.is_empty(); y.len()];
    let mut divide = |train: &[usize], held_out: &[usize]| {
        let classes: Vec<ClassIdx> = train.iter().map(|&row| y[row]).collect();
        let temperature = fit_temperature(logits.select(Axis(0), train).view(), &classes);
        for &row in held_out {
            divided.row_mut(row).mapv_inplace(|v| (f64::from(v) / temperature) as f32);
        }
    };
    folds.iter().flat_map(|fold| &fold.held_out).for_each(|&row| is_single[row] = false);
    let singles: Vec<usize> = (0..y.len()).filter(|&row| is_single[row]).collect();
    for (i, fold) in folds.iter().enumerate() {
        let train: Vec<usize> = fold.train.iter().copied().filter(|&row| !is_single[row]).collect();
        let dealt = singles.iter().skip(i).step_by(folds.len());
        let held_out: Vec<usize> = fold.held_out.iter().chain(dealt).copied().collect();
        divide(&train, &held_out);
    }
    softmax(&divided)
}

/// Mean distance of the largest logit from its row's mean.
fn logit_scale(logits: ArrayView2<'_, f32>) -> f64 {
    let distance = |row: ndarray::ArrayView1<'_, f32>| {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len() as f64;
        f64::from(max) - mean
    };
    logits.outer_iter().map(distance).sum::<f64>() / logits.nrows().max(1) as f64
}

/// Derivatives of the mean log loss by the inverse temperature.
fn slope_and_curvature(logits: ArrayView2<'_, f32>, y: &[ClassIdx], inverse: f64, smoothing: f64) -> (f64, f64) {
    let (mut slope, mut curvature) = (0.0, 0.0);
    for (row, class) in logits.outer_iter().zip(y) {
        let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let (mut sum, mut first, mut second, mut plain) = (0.0, 0.0, 0.0, 0.0);
        for &v in row {
            // Relative to the largest, so that the moments do not cancel.
            let v = f64::from(v) - max;
            let e = (inverse * v).exp();
            sum += e;
            first += e * v;
            second += e * v * v;
            plain += v;
        }
        let mean = first / sum;
        let of_class = f64::from(row[class.as_usize()]) - max;
        slope += mean - (1.0 - smoothing) * of_class - smoothing * plain / row.len() as f64;
        curvature += second / sum - mean * mean;
    }
    let n = y.len() as f64;
    (slope / n, (curvature / n).max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn undoes_a_known_scale() {
        // Three of four rows with the same logits are right, and the targets are smoothed by 1/6: the best probability of
        // the first class is 5/6 * 3/4 + 1/6 * 1/2.
        let logits = Array2::from_shape_fn((4, 2), |(_, k)| if k == 0 { 5.0f32 } else { 0.0 });
        let y = [ClassIdx(0), ClassIdx(0), ClassIdx(1), ClassIdx(0)];
        let p: f64 = 5.0 / 6.0 * 0.75 + 1.0 / 12.0;
        let expected = 5.0 / (p / (1.0 - p)).ln();
        assert!((fit_temperature(logits.view(), &y) - expected).abs() < 1e-6);
    }

    #[test]
    fn rows_that_are_all_right_do_not_give_certainty() {
        let logits = array![[9.0f32, 0.0], [0.0, 9.0], [8.0, 0.0]];
        let t = fit_temperature(logits.view(), &[ClassIdx(0), ClassIdx(1), ClassIdx(0)]);
        let p = 1.0 / (1.0 + (-9.0 / t).exp());
        assert!(p > 0.8 && p < 0.95, "{p}");
    }

    #[test]
    fn a_mistake_never_makes_it_surer() {
        for n in [20, 100] {
            let right = Array2::from_shape_fn((n, 2), |(row, k)| if k == row % 2 { 4.0f32 } else { 0.0 });
            let y: Vec<ClassIdx> = (0..n).map(|row| ClassIdx::from(row % 2)).collect();
            let mut one_wrong = right.clone();
            one_wrong[[0, 0]] = 0.0;
            one_wrong[[0, 1]] = 0.4;
            assert!(fit_temperature(one_wrong.view(), &y) > fit_temperature(right.view(), &y));
        }
    }

    #[test]
    fn no_row_chooses_its_own_temperature() {
        let logits = Array2::from_shape_fn((41, 3), |(row, k)| if k == row % 2 { 6.0f32 } else { 0.0 });
        let mut y: Vec<ClassIdx> = (0..41).map(|row| ClassIdx::from(row % 2)).collect();
        let before = cross_fitted(logits.view(), &y, 3, 0);
        assert_eq!(before, cross_fitted(logits.view(), &y, 3, 0), "seeded");
        // Whatever a row's own class is, its probabilities stay: only those of the other folds move.
        y[40] = ClassIdx(2);
        let alone = cross_fitted(logits.view(), &y, 3, 0);
        // One that is alone in its class is in the first fold.
        let targets: Vec<u32> = y.iter().map(|class| class.0).collect();
        let folds = stratified_folds(&targets, 3, 0);
        let train: Vec<usize> = folds[0].train.iter().copied().filter(|&row| row != 40).collect();
        assert!(train.len() < 40);
        let others: Vec<ClassIdx> = train.iter().map(|&row| y[row]).collect();
        let t = fit_temperature(logits.select(Axis(0), &train).view(), &others);
        assert!((alone[[40, 0]] - (1.0 / (1.0 + 2.0 * (-6.0 / t).exp())) as f32).abs() < 1e-6);
        assert!(before.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-6));
        let single = cross_fitted(array![[1.0f32, 0.0]].view(), &[ClassIdx(0)], 2, 0);
        assert!((single[[0, 0]] - 0.731_058_6).abs() < 1e-6, "nothing to fit on: as they are");
        assert_eq!(cross_fitted(Array2::zeros((0, 2)).view(), &[], 2, 0).dim(), (0, 2));
    }

    #[test]
    fn hopeless_and_empty_logits_stay_in_bounds() {
        let wrong = array![[9.0f32, 0.0], [0.0, 9.0]];
        let t = fit_temperature(wrong.view(), &[ClassIdx(1), ClassIdx(0)]);
        assert!(t.is_finite() && t <= 4.5 * REACH * 1.001);
        assert_eq!(fit_temperature(Array2::zeros((0, 3)).view(), &[]), 1.0);
        assert_eq!(fit_temperature(Array2::zeros((2, 3)).view(), &[ClassIdx(0), ClassIdx(1)]), 1.0);
    }
}
