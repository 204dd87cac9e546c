//! Labels that are probably wrong, of rows of features.

use ndarray::{Array2, ArrayView2};

use crate::classes::ClassIdx;
use crate::head::{Block, HeadError, OutOfSample, out_of_sample, unit_blocks};
use crate::metrics::label_errors::{label_errors, label_quality};
use crate::progress::CancelToken;

/// Cross-validations that are averaged: each deals the rows to folds anew.
const N_REPEATS: u64 = 3;

/// A row whose label is probably wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suspected {
    /// The row.
    pub row: usize,
    /// What it looks like.
    pub suggested: ClassIdx,
    /// How sure a head that has not seen it is of the given class against the suggested one, 0 to 1.
    pub quality: f64,
}

/// Rows of `x`, `[n_rows, dim]`, whose labels are probably wrong, the likeliest first, and the first cross-validation.
///
/// How many there are says confident learning on the mean probabilities of several cross-validations; which they are says
/// that mean together with a cross-validation that was trained without the first finds, since wrong labels that are trained on
/// vouch for each other.
///
/// # Errors
/// As [`out_of_sample`].
pub fn suspected(
    x: ArrayView2<'_, f32>,
    y: &[ClassIdx],
    n_classes: usize,
    seed: u64,
    cancel: &CancelToken,
) -> Result<(Vec<Suspected>, OutOfSample), HeadError> {
    let x = unit_blocks(x, &[Block::plain(x.ncols())]);
    let judged = |trusted: Option<&[bool]>, c: Option<f64>, seed: u64| {
        out_of_sample(x.view(), y, n_classes, (trusted, c), seed, cancel)
    };
    let first = judged(None, None, seed)?;
    let c = Some(first.c);
    let no_rows = |_| HeadError::NoValidation;
    let mut mean = first.probabilities.clone();
    for repeat in 1..N_REPEATS {
        mean += &judged(None, c, seed.wrapping_add(repeat))?.probabilities;
    }
    mean /= N_REPEATS as f64;
    let found = label_errors(mean.view(), y).map_err(no_rows)?;
    let n_found = found.iter().filter(|found| **found).count();
    if n_found == 0 {
        return Ok((Vec::new(), first));
    }
    let trusted: Vec<bool> = found.iter().map(|found| !found).collect();
    let all: Array2<f64> = (mean + judged(Some(&trusted), c, seed)?.probabilities) / 2.0;
    let quality = label_quality(all.view(), y).map_err(no_rows)?;
    let mut order: Vec<usize> = (0..y.len()).collect();
    order.sort_by(|&a, &b| quality[a].total_cmp(&quality[b]).then(a.cmp(&b)));
    let suggested = |row: usize| {
        let others = (0..n_classes).filter(|&class| class != y[row].as_usize());
        others.reduce(|best, class| if all[[row, class]] > all[[row, best]] { class } else { best })
    };
    let suspected = order
        .into_iter()
        .take(n_found)
        .filter_map(|row| Some(Suspected { row, suggested: ClassIdx::from(suggested(row)?), quality: quality[row] }));
    // What the head would rather leave as it is, is no find.
    Ok((suspected.filter(|found| found.quality < 0.5).collect(), first))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::rng::SplitMix64;

    #[test]
    fn flipped_labels_are_found_and_hardly_any_other() {
        let mut rng = SplitMix64::new(5);
        let truth: Vec<usize> = (0..150).map(|i| i % 3).collect();
        // Distances between the classes of about two standard deviations.
        let x = Array2::from_shape_fn((150, 16), |(row, column)| {
            let noise: f32 = (0..4).map(|_| rng.below(1000) as f32 / 1000.0 - 0.5).sum();
            noise + if column % 3 == truth[row] { 0.9 } else { 0.0 }
        });
        let flipped: Vec<usize> = (0..150).step_by(10).collect();
        let mut y = truth.clone();
        flipped.iter().for_each(|&row| y[row] = (truth[row] + 1 + row / 10 % 2) % 3);
        let y: Vec<ClassIdx> = y.into_iter().map(ClassIdx::from).collect();
        let found = suspected(x.view(), &y, 3, 0, &CancelToken::new()).unwrap().0;
        let n_right = found.iter().filter(|found| flipped.contains(&found.row)).count();
        assert!(
            n_right >= 11 && n_right * 10 >= found.len() * 9,
            "{n_right} of {} found, {} flipped",
            found.len(),
            flipped.len()
        );
        let n_named = found.iter().filter(|found| found.suggested.as_usize() == truth[found.row]).count();
        assert!(n_named >= n_right, "what they look like is what they are");
        assert!(found.windows(2).all(|pair| pair[0].quality <= pair[1].quality));
        // Right labels stay.
        let y: Vec<ClassIdx> = truth.into_iter().map(ClassIdx::from).collect();
        assert!(suspected(x.view(), &y, 3, 0, &CancelToken::new()).unwrap().0.len() <= 2);
    }
}
