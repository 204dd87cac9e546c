//! What to label next: unlabelled images by their usefulness, and how good the head is on all of them.

use ndarray::{Array2, ArrayView2};

use super::WorkflowError;
use crate::classes::ClassIdx;
use crate::embedding::Embeddings;
use crate::head::usefulness::{Asked, Coverage, doubt};
use crate::head::{HeadError, out_of_sample};
use crate::metrics::{Estimate, weighted_accuracy};
use crate::progress::CancelToken;

/// Images that are ordered, at most, and as many labelled ones: what to ask next is found in a sample as well.
pub const MAX_ROWS: usize = 10_000;
/// Fewer labelled images than this tell nothing about accuracy.
pub const LEAST_JUDGED: usize = 5;

/// An image that is worth a label, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Its row.
    pub row: usize,
    /// The likeliest two classes with their probabilities, where there is a head.
    pub likely: Vec<(ClassIdx, f32)>,
    /// Images that are more like it than like anything that is labelled or asked before it.
    pub stands_for: usize,
}

/// Images in the order in which labels are worth most.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Questions {
    /// The first.
    pub first: Vec<Question>,
    /// The rows of all others.
    pub rest: Vec<usize>,
}

/// Orders `candidates` (rows of `coverage`) by what their labels would teach.
///
/// `labelled` are the rows that have a label. `shown` are candidates that stay before all others, so that nothing moves
/// under the user's fingers: what follows is chosen as if they had labels. `probabilities` are the head's, of shape
/// `[n_rows, n_classes]`, where there is a head. `n` of them are chosen one by one.
///
/// # Errors
/// Other numbers of rows, cancellation.
pub fn label_next(
    coverage: &Coverage,
    labelled: &[usize],
    shown: &[usize],
    candidates: &[usize],
    probabilities: Option<ArrayView2<'_, f32>>,
    n: usize,
    cancel: &CancelToken,
) -> Result<Questions, WorkflowError> {
    let doubts = match probabilities {
        Some(p) => doubt(p),
        None => vec![1.0; coverage.n_rows()],
    };
    // Only what is still to be labelled counts.
    let mut weights = vec![0.0; doubts.len()];
    for &row in candidates.iter().chain(shown) {
        if let (Some(weight), Some(doubt)) = (weights.get_mut(row), doubts.get(row)) {
            *weight = *doubt;
        }
    }
    let known: Vec<usize> = labelled.iter().chain(shown).copied().collect();
    let order = coverage.order(&known, candidates, &weights, n, cancel).map_err(cancelled)?;
    let question = |Asked { row, stands_for, .. }: Asked| Question {
        row,
        likely: probabilities.map_or_else(Vec::new, |p| likely(p, row)),
        stands_for: stands_for.round() as usize,
    };
    Ok(Questions { first: order.asked.into_iter().map(question).collect(), rest: order.rest })
}

/// The two likeliest classes of a row of `probabilities` `[n_rows, n_classes]`, likelier first.
pub fn likely(probabilities: ArrayView2<'_, f32>, row: usize) -> Vec<(ClassIdx, f32)> {
    let mut all: Vec<(ClassIdx, f32)> =
        probabilities.row(row).iter().enumerate().map(|(class, &p)| (ClassIdx::from(class), p)).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(2);
    all
}

/// How often a linear head that is trained on the labels would be right on all images, by cross-validation on the labels.
///
/// Labels that were asked for because they are hard would make it look worse than it is, so each image counts for those that
/// it stands for ([`Coverage::stands_for`]); one that is the only one of its class counts as not known. `x` are the
/// labelled images, guesses not among them, `y` their classes, `rows` their rows in `coverage`; `c` is the strength of the
/// penalty, chosen where it is not given. `None` where there are too few labels to say anything.
///
/// # Errors
/// Other numbers of rows and labels, values that are not finite, cancellation.
pub fn estimate_accuracy(
    coverage: &Coverage,
    rows: &[usize],
    (x, y): (&Embeddings, &[ClassIdx]),
    n_classes: usize,
    c: Option<f64>,
    seed: u64,
    cancel: &CancelToken,
) -> Result<Option<Estimate>, WorkflowError> {
    let mut counts = vec![0_usize; n_classes];
    for class in y {
        if let Some(n) = counts.get_mut(class.as_usize()) {
            *n += 1;
        }
    }
    let n_known = counts.iter().filter(|n| **n > 0).count();
    if y.len() < LEAST_JUDGED || n_known < 2 || counts.iter().all(|n| *n < 2) {
        return Ok(None);
    }
    // Classes without a label yet do not take part.
    let mut compact = vec![0; n_classes];
    for (idx, class) in (0..n_classes).filter(|&class| counts[class] > 0).enumerate() {
        compact[class] = idx;
    }
    let known: Vec<ClassIdx> = y
        .iter()
        .map(|class| ClassIdx::from(compact.get(class.as_usize()).copied().unwrap_or(usize::from(u16::MAX))))
        .collect();
    let judged = out_of_sample(x.view(), &known, n_known, (None, c), seed, cancel).map_err(cancelled)?;
    let is_right: Vec<bool> = y
        .iter()
        .enumerate()
        .map(|(i, class)| counts[class.as_usize()] > 1 && best(&judged.probabilities, i) == known[i].as_usize())
        .collect();
    Ok(Some(weighted_accuracy(&is_right, &coverage.stands_for(rows))?))
}

fn best(probabilities: &Array2<f64>, row: usize) -> usize {
    let row = probabilities.row(row);
    (0..row.len()).reduce(|best, class| if row[class] > row[best] { class } else { best }).unwrap_or(0)
}

fn cancelled(error: HeadError) -> WorkflowError {
    match error {
        HeadError::Cancelled => WorkflowError::Cancelled,
        error => error.into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::embedding::EmbeddingSpace;
    use crate::rng::SplitMix64;
    use ndarray::array;

    /// Rows around four centres, 25 each.
    fn rows() -> Embeddings {
        let mut rng = SplitMix64::new(2);
        let values = Array2::from_shape_fn((100, 6), |(row, column)| {
            let noise = rng.below(1000) as f32 / 1000.0;
            noise + if column == row / 25 { 4.0 } else { 0.0 }
        });
        let space = EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim: 6 };
        Embeddings::new(values, space).unwrap()
    }

    fn estimated(
        coverage: &Coverage,
        x: &Embeddings,
        labelled: &[(usize, ClassIdx)],
        n_classes: usize,
        token: &CancelToken,
    ) -> Result<Option<Estimate>, WorkflowError> {
        let (rows, y): (Vec<usize>, Vec<ClassIdx>) = labelled.iter().copied().unzip();
        estimate_accuracy(coverage, &rows, (&x.select(&rows), &y), n_classes, None, 0, token)
    }

    #[test]
    fn what_is_shown_stays_and_others_follow_in_view_of_it() {
        let (x, token) = (rows(), CancelToken::new());
        let coverage = Coverage::new(x.view(), 0, &token).unwrap();
        let all: Vec<usize> = (0..100).collect();
        let alone = label_next(&coverage, &[], &[], &all, None, 4, &token).unwrap();
        let mut groups: Vec<usize> = alone.first.iter().map(|q| q.row / 25).collect();
        groups.sort_unstable();
        assert_eq!(groups, [0, 1, 2, 3]);
        assert!(alone.first.iter().all(|q| q.likely.is_empty() && q.stands_for > 0));
        // Two that stay stand for their groups.
        let others: Vec<usize> = (0..100).filter(|row| *row != 3 && *row != 30).collect();
        let then = label_next(&coverage, &[], &[3, 30], &others, None, 2, &token).unwrap();
        let mut groups: Vec<usize> = then.first.iter().map(|q| q.row / 25).collect();
        groups.sort_unstable();
        assert_eq!(groups, [2, 3]);
        assert_eq!(then.rest.len(), 96);
    }

    #[test]
    fn a_question_says_what_the_head_is_torn_between() {
        let (x, token) = (rows(), CancelToken::new());
        let coverage = Coverage::new(x.view(), 0, &token).unwrap();
        let mut p = Array2::from_shape_fn((100, 3), |(_, class)| if class == 2 { 0.9998 } else { 0.0001 });
        for row in 50..75 {
            p.row_mut(row).assign(&array![0.49_f32, 0.02, 0.49]);
        }
        let candidates: Vec<usize> = (0..100).filter(|row| row % 25 != 0).collect();
        let found = label_next(&coverage, &[0, 25, 50, 75], &[], &candidates, Some(p.view()), 3, &token).unwrap();
        for question in &found.first {
            assert_eq!(question.row / 25, 2, "the doubtful group");
            assert_eq!(question.likely, [(ClassIdx(0), 0.49), (ClassIdx(2), 0.49)]);
        }
    }

    #[test]
    fn accuracy_is_that_of_all_images_and_not_of_the_hard_ones() {
        // Two clear groups, and a few images between them that were labelled because they are hard.
        let mut rng = SplitMix64::new(4);
        let n = 220;
        let values = Array2::from_shape_fn((n, 4), |(row, column)| {
            let noise = rng.below(1000) as f32 / 500.0 - 1.0;
            let hard = row >= 200;
            noise
                + match (hard, row % 2 == column % 2) {
                    (false, true) => 8.0,
                    (false, false) => 0.0,
                    (true, _) => 4.0,
                }
        });
        let space = EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim: 4 };
        let x = Embeddings::new(values, space).unwrap();
        let token = CancelToken::new();
        let coverage = Coverage::new(x.view(), 0, &token).unwrap();
        let labelled: Vec<(usize, ClassIdx)> =
            (0..10).chain(200..220).map(|row| (row, ClassIdx::from(row % 2))).collect();
        let estimate = estimated(&coverage, &x, &labelled, 2, &token).unwrap().unwrap();
        assert!(estimate.value > 0.9, "200 of 220 are easy: {}", estimate.value);
        assert!(estimate.interval.low < estimate.value && estimate.interval.high > estimate.value);
    }

    #[test]
    fn too_few_labels_say_nothing() {
        let (x, token) = (rows(), CancelToken::new());
        let coverage = Coverage::new(x.view(), 0, &token).unwrap();
        let of = |labels: &[(usize, u32)]| {
            let labels: Vec<_> = labels.iter().map(|(row, class)| (*row, ClassIdx(*class))).collect();
            estimated(&coverage, &x, &labels, 8, &token).unwrap()
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(0, 0), (1, 0), (25, 1), (26, 1)]), None, "four");
        assert_eq!(of(&[(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]), None, "one class");
        assert_eq!(of(&[(0, 0), (25, 1), (50, 2), (75, 3), (1, 4)]), None, "each of another class");
        // One that is alone in its class counts as not known; classes without labels do not matter.
        let some = of(&[(0, 2), (1, 2), (25, 7), (26, 7), (50, 4)]).unwrap();
        assert!(some.value < 1.0, "{}", some.value);
        token.cancel();
        let labels: Vec<_> = (0..50).map(|row| (row, ClassIdx::from(row / 25))).collect();
        assert!(matches!(estimated(&coverage, &x, &labels, 2, &token), Err(WorkflowError::Cancelled)));
    }
}
