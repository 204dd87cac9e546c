//! What a linear head says of rows that it has not been trained on: cross-validated probabilities.

use ndarray::{Array2, ArrayView2};

use super::affine::Activation;
use super::check;
use super::design::Design;
use super::error::HeadError;
use super::linear::LinearConfig;
use super::plan::{Fold, stratified_folds};
use super::select::{self, Part};
use crate::classes::ClassIdx;
use crate::progress::CancelToken;

/// Up to this many rows all folds choose the strength; more rows need only one of them.
const FEW_ROWS: usize = 2000;

/// Probabilities of rows by heads that were trained without them.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfSample {
    /// Array of shape `[n_rows, n_classes]`; rows sum to 1. A row that could not be held out, since it is the only one of its
    /// class, has the probability 1 of its own class.
    pub probabilities: Array2<f64>,
    /// The fold in which each row was held out; `None` for one that could not be.
    pub folds: Vec<Option<usize>>,
    /// Inverse strength of the penalty, scikit-learn's `C`.
    pub c: f64,
}

/// Probabilities of every row of `x`, `[n_rows, dim]`, by five-fold stratified cross-validation of a linear head.
///
/// Rows that are not `trusted` are judged as well, and nothing is trained on them; all are trusted without. `c` is chosen where
/// it is not given.
///
/// # Errors
/// Fewer than two classes, no class with two rows, labels that do not fit, values that are not finite, cancellation.
pub fn out_of_sample(
    x: ArrayView2<'_, f32>,
    y: &[ClassIdx],
    n_classes: usize,
    (trusted, c): (Option<&[bool]>, Option<f64>),
    seed: u64,
    cancel: &CancelToken,
) -> Result<OutOfSample, HeadError> {
    check::rows(x, y, n_classes)?;
    let targets: Vec<u32> = y.iter().map(|class| class.0).collect();
    let mut folds = stratified_folds(&targets, n_classes, seed);
    if folds.is_empty() {
        return Err(HeadError::NoValidation);
    }
    if let Some(trusted) = trusted {
        for fold in &mut folds {
            keep_trusted(fold, trusted, y, n_classes);
        }
    }
    let design = Design::new(x);
    let config = LinearConfig::default();
    let parts: Vec<Part<'_>> = folds.iter().map(|fold| Part::fold(&design, y, fold, &config, n_classes)).collect();
    let choice = match c {
        Some(c) => select::at_strength(&parts, &design, &LinearConfig { c, ..config }, cancel)?,
        None if y.len() <= FEW_ROWS => select::choose(&parts, &design, &config, cancel)?,
        None => {
            let c = select::choose(&parts[..1], &design, &config, cancel)?.c;
            select::at_strength(&parts, &design, &LinearConfig { c, ..config }, cancel)?
        }
    };
    let held_out = Activation::Softmax.probabilities(&choice.held_out.0);
    let mut probabilities =
        Array2::from_shape_fn((y.len(), n_classes), |(row, class)| f64::from(u8::from(y[row].as_usize() == class)));
    for (from, row) in folds.iter().flat_map(|fold| &fold.held_out).enumerate() {
        probabilities.row_mut(*row).assign(&held_out.row(from).mapv(f64::from));
    }
    let mut fold_of = vec![None; y.len()];
    for (idx, fold) in folds.iter().enumerate() {
        fold.held_out.iter().for_each(|&row| fold_of[row] = Some(idx));
    }
    Ok(OutOfSample { probabilities, folds: fold_of, c: choice.c })
}

/// Leaves out of the training rows what is not trusted, but for a class of which nothing would be left.
fn keep_trusted(fold: &mut Fold, trusted: &[bool], y: &[ClassIdx], n_classes: usize) {
    let mut left = vec![0_usize; n_classes];
    for &row in fold.train.iter().filter(|&&row| trusted[row]) {
        left[y[row].as_usize()] += 1;
    }
    fold.train.retain(|&row| trusted[row] || left[y[row].as_usize()] == 0);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::rng::SplitMix64;

    /// Three clusters, and one row of a fourth class.
    fn rows() -> (Array2<f32>, Vec<ClassIdx>) {
        let mut rng = SplitMix64::new(3);
        let y: Vec<usize> = (0..61).map(|i| if i == 60 { 3 } else { i % 3 }).collect();
        let x = Array2::from_shape_fn((61, 8), |(row, column)| {
            let noise = rng.below(1000) as f32 / 1000.0;
            noise + if column == y[row] { 2.0 } else { 0.0 }
        });
        (x, y.into_iter().map(ClassIdx::from).collect())
    }

    #[test]
    fn rows_are_judged_by_heads_that_have_not_seen_them() {
        let (x, mut y) = rows();
        // A row under another class's name would be learned by heart otherwise.
        y[0] = ClassIdx(1);
        let token = CancelToken::new();
        let found = out_of_sample(x.view(), &y, 4, (None, None), 0, &token).unwrap();
        assert!(found.probabilities[[0, 0]] > 0.5, "{}", found.probabilities.row(0));
        assert_eq!(found.probabilities[[60, 3]], 1.0, "the only one of its class");
        assert_eq!(found.folds[60], None);
        assert!((0..5).all(|fold| found.folds.iter().filter(|f| **f == Some(fold)).count() == 12));
        for row in found.probabilities.rows() {
            assert!((row.sum() - 1.0).abs() < 1e-5);
        }
        let n_right = (1..60).filter(|&row| found.probabilities[[row, y[row].as_usize()]] > 0.5).count();
        assert!(n_right >= 57, "{n_right}");
        // Without the row that is not trusted the others are surer.
        let trusted: Vec<bool> = (0..61).map(|row| row != 0).collect();
        let again = out_of_sample(x.view(), &y, 4, (Some(&trusted), Some(found.c)), 0, &token).unwrap();
        assert!(again.probabilities[[0, 0]] >= found.probabilities[[0, 0]]);
        assert_eq!(again.c, found.c);
        assert_eq!(out_of_sample(x.view(), &y, 4, (None, None), 0, &token).unwrap(), found, "seeded");
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        let (x, _) = rows();
        let token = CancelToken::new();
        let one = vec![ClassIdx(0); 61];
        assert!(out_of_sample(x.view(), &one, 1, (None, None), 0, &token).is_err());
        let y: Vec<ClassIdx> = (0..61).map(ClassIdx::from).collect();
        assert!(matches!(out_of_sample(x.view(), &y, 61, (None, None), 0, &token), Err(HeadError::NoValidation)));
        token.cancel();
        let (x, y) = rows();
        assert!(out_of_sample(x.view(), &y, 4, (None, None), 0, &token).is_err());
    }
}
