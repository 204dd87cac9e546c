//! Labels that are probably wrong, by confident learning (Northcutt, Jiang, Chuang: "Confident Learning: Estimating Uncertainty
//! in Dataset Labels", Journal of Artificial Intelligence Research 70, 2021).
//!
//! Everything starts from out-of-sample probabilities: what a head says of a row that it has not been trained on. An example
//! counts as one of a class where the head is at least as sure of it as it is of that class's own examples on average. How
//! many examples with each label count as one of another class estimates how many labels are wrong, and which confusions they
//! are; those that look most like it are taken.

use ndarray::{Array2, ArrayView2, Axis};

use super::MetricsError;
use crate::classes::ClassIdx;

/// Values that differ by no more are equal: probabilities have come through 32 bits.
const CLOSE: f64 = 1e-6;

/// Counts of examples by given label (row) and by the class that they count as (column), both `[n_classes, n_classes]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfidentJoint {
    /// From which probability on an example counts as one of each class; infinite for a class without examples.
    pub thresholds: Vec<f64>,
    /// Examples that count as one of a class.
    pub counts: Array2<u64>,
    /// The same, scaled so that each row sums to the number of examples with that label.
    pub calibrated: Array2<u64>,
}

/// Counts which labels are taken for which classes.
///
/// `probabilities` has the shape `[n_rows, n_classes]` and is out of sample.
///
/// # Errors
/// When there are no rows, as many labels are not given, a label does not fit, or a value is not finite.
pub fn confident_joint(probabilities: ArrayView2<'_, f64>, y: &[ClassIdx]) -> Result<ConfidentJoint, MetricsError> {
    check(probabilities, y)?;
    let k = probabilities.ncols();
    let mut n_of = vec![0_u64; k];
    let mut sums = vec![0.0; k];
    for (row, class) in y.iter().enumerate() {
        n_of[class.as_usize()] += 1;
        sums[class.as_usize()] += probabilities[[row, class.as_usize()]];
    }
    let mean = |class: usize| match n_of[class] {
        0 => f64::INFINITY,
        // A class that no example is ever taken for would else draw everything.
        n => (sums[class] / n as f64).max(2.0 * CLOSE),
    };
    let thresholds: Vec<f64> = (0..k).map(mean).collect();
    let mut counts = Array2::<u64>::zeros((k, k));
    for (row, given) in y.iter().enumerate() {
        let p = probabilities.row(row);
        let counted: Vec<usize> = (0..k).filter(|&class| p[class] >= thresholds[class] - CLOSE).collect();
        // Of several the likeliest class of all, as the authors' implementation has it; their paper looks among those that it
        // counts as, which comes to the same but for odd rows.
        let class = match counted[..] {
            [] => continue,
            [class] => class,
            _ => likeliest(probabilities, row),
        };
        counts[[given.as_usize(), class]] += 1;
    }
    for class in 0..k {
        counts[[class, class]] = counts[[class, class]].max(1);
    }
    let calibrated = calibrate(&counts, &n_of);
    Ok(ConfidentJoint { thresholds, counts, calibrated })
}

/// Scales rows to the numbers of examples, keeping whole numbers and the total.
fn calibrate(counts: &Array2<u64>, n_of: &[u64]) -> Array2<u64> {
    let k = n_of.len();
    let scaled = Array2::from_shape_fn((k, k), |(given, class)| {
        let total = counts.row(given).sum();
        counts[[given, class]] as f64 / total.max(1) as f64 * n_of[given] as f64
    });
    rounded_rows(&scaled)
}

/// Whole numbers whose rows have the rounded sums of the rows: the largest remainders are rounded up.
fn rounded_rows(values: &Array2<f64>) -> Array2<u64> {
    let mut whole = values.mapv(|v| v.max(0.0).floor());
    for (mut row, values) in whole.axis_iter_mut(Axis(0)).zip(values.rows()) {
        let wanted = values.sum().round();
        let mut order: Vec<usize> = (0..values.len()).collect();
        let rest = |i: usize| values[i] - values[i].floor();
        order.sort_by(|&a, &b| rest(b).total_cmp(&rest(a)).then(a.cmp(&b)));
        for i in order {
            if row.sum() >= wanted {
                break;
            }
            row[i] += 1.0;
        }
    }
    whole.mapv(|v| v as u64)
}

/// Which labels are probably wrong: of every kind of confusion as many examples as the confident joint counts, those with the
/// largest lead of the other class ("prune by noise rate"). A label that the head agrees with is never one of them, nor the
/// last example of a class.
///
/// # Errors
/// As [`confident_joint`].
pub fn label_errors(probabilities: ArrayView2<'_, f64>, y: &[ClassIdx]) -> Result<Vec<bool>, MetricsError> {
    let joint = confident_joint(probabilities, y)?;
    let k = probabilities.ncols();
    let n_to_take = leave_one_a_class(&joint.calibrated);
    let mut found = vec![false; y.len()];
    for given in 0..k {
        let rows: Vec<usize> = (0..y.len()).filter(|&row| y[row].as_usize() == given).collect();
        if rows.len() <= 1 {
            continue;
        }
        for class in (0..k).filter(|&class| class != given) {
            let n = n_to_take[[given, class]] as usize;
            if n == 0 {
                continue;
            }
            let lead = |row: usize| probabilities[[row, class]] - probabilities[[row, given]];
            let mut leads: Vec<f64> = rows.iter().map(|&row| lead(row)).collect();
            leads.sort_by(|a, b| b.total_cmp(a));
            let cut = leads[(n - 1).min(leads.len() - 1)];
            rows.iter().filter(|&&row| lead(row) >= cut).for_each(|&row| found[row] = true);
        }
    }
    for (row, found) in found.iter_mut().enumerate() {
        let p = probabilities.row(row);
        let largest = p.iter().fold(0.0_f64, |max, &p| max.max(p));
        *found &= p[y[row].as_usize()] + CLOSE < largest;
    }
    Ok(found)
}

/// The joint, by given label, with at least one example a class that keeps its label: what it takes is taken from the
/// confusions that there are, in equal parts.
fn leave_one_a_class(joint: &Array2<u64>) -> Array2<u64> {
    let k = joint.nrows();
    let mut left = joint.mapv(|n| n as f64);
    for given in 0..k {
        let own = left[[given, given]];
        let lacking = (1.0 - own).max(0.0);
        let n_kinds = joint.row(given).iter().filter(|&&n| n > 0).count().saturating_sub(1).max(1);
        for class in 0..k {
            left[[given, class]] = match class == given {
                true => own.max(1.0),
                false => (left[[given, class]] - lacking / n_kinds as f64).max(0.0),
            };
        }
    }
    left.mapv(|n| n as u64)
}

/// How sure the head is of the given label against the likeliest other class: `p / (p + p_other)`, 0 to 1. The lowest are the
/// likeliest errors.
///
/// # Errors
/// As [`confident_joint`].
pub fn label_quality(probabilities: ArrayView2<'_, f64>, y: &[ClassIdx]) -> Result<Vec<f64>, MetricsError> {
    check(probabilities, y)?;
    let quality = |(row, given): (usize, &ClassIdx)| {
        let p = probabilities.row(row);
        let other = p.iter().enumerate().filter(|(class, _)| *class != given.as_usize());
        let other = other.fold(0.0_f64, |max, (_, &p)| max.max(p));
        let own = p[given.as_usize()];
        own / (own + other).max(f64::MIN_POSITIVE)
    };
    Ok(y.iter().enumerate().map(quality).collect())
}

fn likeliest(probabilities: ArrayView2<'_, f64>, row: usize) -> usize {
    let p = probabilities.row(row);
    (0..p.len()).fold(0, |best, class| if p[class] > p[best] { class } else { best })
}

fn check(probabilities: ArrayView2<'_, f64>, y: &[ClassIdx]) -> Result<(), MetricsError> {
    let (n, k) = probabilities.dim();
    if n == 0 || k == 0 {
        return Err(MetricsError::Empty);
    }
    if n != y.len() {
        return Err(MetricsError::LabelCount { n_rows: n, n_labels: y.len() });
    }
    if let Some(row) = y.iter().position(|class| class.as_usize() >= k) {
        return Err(MetricsError::UnknownClass { row, class_idx: y[row].0, n_classes: k });
    }
    match probabilities.rows().into_iter().position(|row| row.iter().any(|p| !p.is_finite())) {
        Some(row) => Err(MetricsError::NotProbabilities { row }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What cleanlab says of synthetic cases; see `tests/reference/label_errors.py`.
    fn cases() -> Vec<Value> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/label_errors.json");
        let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        file["cases"].as_array().unwrap().clone()
    }

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    fn matrix(value: &Value) -> Array2<f64> {
        let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
        let width = rows[0].len();
        Array2::from_shape_vec((rows.len(), width), rows.into_iter().flatten().collect()).unwrap()
    }

    fn read(case: &Value) -> (Array2<f64>, Vec<ClassIdx>) {
        let y = numbers(&case["labels"]).into_iter().map(|v| ClassIdx::from(v as usize)).collect();
        (matrix(&case["probs"]), y)
    }

    #[test]
    fn joint_and_errors_are_cleanlabs() {
        let cases = cases();
        assert_eq!(cases.len(), 3);
        for case in &cases {
            let (p, y) = read(case);
            let joint = confident_joint(p.view(), &y).unwrap();
            for (found, wanted) in joint.thresholds.iter().zip(numbers(&case["thresholds"])) {
                assert!((found - wanted).abs() < 1e-9, "{}: {found} {wanted}", case["name"]);
            }
            let whole = |m: &Array2<u64>| m.mapv(|n| n as f64);
            assert_eq!(whole(&joint.counts), matrix(&case["confident_joint_raw"]), "{}", case["name"]);
            assert_eq!(whole(&joint.calibrated), matrix(&case["confident_joint"]), "{}", case["name"]);
            let found = label_errors(p.view(), &y).unwrap();
            let found: Vec<f64> = (0..y.len()).filter(|&row| found[row]).map(|row| row as f64).collect();
            assert_eq!(found, numbers(&case["issues"]["prune_by_noise_rate"]), "{}", case["name"]);
            for (found, wanted) in label_quality(p.view(), &y).unwrap().iter().zip(numbers(&case["ratio"])) {
                assert!((found - wanted).abs() < 1e-9, "{found} {wanted}");
            }
        }
    }

    #[test]
    fn what_tells_nothing_finds_nothing() {
        let y: Vec<ClassIdx> = [0_usize, 0, 1, 1].map(ClassIdx::from).to_vec();
        let even = Array2::from_elem((4, 2), 0.5);
        assert_eq!(label_errors(even.view(), &y).unwrap(), [false; 4]);
        let one = Array2::from_elem((4, 1), 1.0);
        assert_eq!(label_errors(one.view(), &[ClassIdx(0); 4]).unwrap(), [false; 4]);
        assert!(matches!(label_errors(even.view(), &y[..3]), Err(MetricsError::LabelCount { .. })));
        assert!(matches!(label_errors(even.view(), &[ClassIdx(5); 4]), Err(MetricsError::UnknownClass { row: 0, .. })));
        let nan = Array2::from_elem((4, 2), f64::NAN);
        assert!(matches!(label_errors(nan.view(), &y), Err(MetricsError::NotProbabilities { row: 0 })));
        let none = Array2::zeros((0, 2));
        assert_eq!(label_errors(none.view(), &[]), Err(MetricsError::Empty));
    }
}
