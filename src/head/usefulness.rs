//! Which unlabelled images are the most useful to label next: those that stand for most of what the head is in doubt about.
//!
//! Images are chosen one after the other, each so that the sum over reference images
//!
//! ```text
//! f(S) = sum_i u_i max_{j in S} s_ij        S: labelled and chosen images
//! ```
//!
//! grows most: facility location weighted by doubt (K. Wei, R. Iyer, J. Bilmes: Submodularity in data subset selection and
//! active learning, ICML 2015). `s_ij` is the cosine of centred embeddings, `u_i` the head's doubt: the root of one less its
//! margin `p_1 - p_2` (T. Scheffer, C. Decomain, S. Wrobel, 2001), the root since a head of few labels is surer than it
//! should be. With nothing labelled all doubt is 1, which makes the first images the
//! most typical ones, far from each other; with many labels the doubtful regions remain. One rule thus covers the cold start,
//! where margins alone do worse than chance, and everything after it (`benches/active.rs` measures it).
//!
//! `f` is submodular, so that the greedy choice is near the best one, and gains only fall: they are computed again only for
//! images that come to the top (M. Minoux, 1978).

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use super::affine::norm;
use super::check;
use super::error::HeadError;
use super::matmul::{Update, product};
use super::rows::means;
use crate::progress::CancelToken;
use crate::rng::SplitMix64;

/// Images that stand for all, at most.
const MAX_REFERENCES: usize = 1024;
/// Rows of a product.
const BLOCK_ROWS: usize = 128;
/// A row this much shorter than the mean row once the mean is taken away is the mean but for rounding: it has no direction.
const NO_DIRECTION: f32 = 1e-5;
/// Sums that run side by side.
const LANES: usize = 16;

/// How near images are to each other: computed once for a set of images, for every order of them after that.
#[derive(Clone, Debug, PartialEq)]
pub struct Coverage {
    /// Cosines of centred rows, `[n_rows, n_references]`.
    similar: Array2<f32>,
    /// The rows that stand for all, ascending.
    references: Vec<usize>,
    /// How many images each of them stands for.
    n_images: Vec<f64>,
}

/// An image that is to be labelled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// Its row.
    pub row: usize,
    /// By how much it covers doubt that nothing before it covers, in references.
    pub gain: f32,
    /// Images that are nearer to it than to anything that is labelled or comes before it.
    pub stands_for: f64,
}

/// Images in the order of their usefulness.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Order {
    /// The first, each chosen in view of those before it.
    pub asked: Vec<Asked>,
    /// All others, by what they would have added at most.
    pub rest: Vec<usize>,
}

impl Coverage {
    /// Of embeddings `x`, `[n_rows, dim]`. References are drawn by `seed` where there are more rows than are needed of them.
    ///
    /// # Errors
    /// A value that is not finite, cancellation.
    pub fn new(x: ArrayView2<'_, f32>, seed: u64, cancel: &CancelToken) -> Result<Self, HeadError> {
        check::finite(x)?;
        let references = references(x.nrows(), seed);
        if x.nrows() == 0 {
            return Ok(Self { similar: Array2::zeros((0, 0)), references, n_images: Vec::new() });
        }
        let mean = means(x, None).mapv(|v| v as f32);
        let scale = norm(mean.view()).max(x.outer_iter().map(norm).sum::<f32>() / x.nrows() as f32);
        let direction = |row: ArrayView1<'_, f32>| {
            let centred = &row - &mean;
            let length = norm(centred.view());
            if length > NO_DIRECTION * scale { centred / length } else { centred * 0.0 }
        };
        let mut of_references = Array2::zeros((references.len(), x.ncols()));
        for (mut to, &row) in of_references.outer_iter_mut().zip(&references) {
            to.assign(&direction(x.row(row)));
        }
        let mut similar = Array2::zeros((x.nrows(), references.len()));
        similar
            .axis_chunks_iter_mut(Axis(0), BLOCK_ROWS)
            .into_par_iter()
            .zip(x.axis_chunks_iter(Axis(0), BLOCK_ROWS))
            .for_each(|(similar, rows)| {
                if cancel.is_cancelled() {
                    return;
                }
                let mut unit = Array2::zeros(rows.raw_dim());
                for (mut to, row) in unit.outer_iter_mut().zip(rows.outer_iter()) {
                    to.assign(&direction(row));
                }
                product(similar, Update::Overwrite, unit.view(), of_references.t());
            });
        if cancel.is_cancelled() {
            return Err(HeadError::Cancelled);
        }
        let coverage = Self { similar, references, n_images: Vec::new() };
        let each = vec![1.0; x.nrows()];
        Ok(coverage.counting(&each))
    }

    /// Where rows are a sample in which not all images were as likely to be: each row counts for so many images, the inverse
    /// of how likely it was (D. G. Horvitz, D. J. Thompson, 1952). One each without this.
    pub fn counting(mut self, n_images: &[f64]) -> Self {
        let of = |row: usize| n_images.get(row).copied().unwrap_or(1.0);
        let drawn: f64 = self.references.iter().map(|&row| of(row)).sum();
        let scale = if drawn > 0.0 { (0..self.n_rows()).map(of).sum::<f64>() / drawn } else { 0.0 };
        self.n_images = self.references.iter().map(|&row| of(row) * scale).collect();
        self
    }

    /// Number of images that the rows stand for together.
    pub fn n_images(&self) -> f64 {
        self.n_images.iter().sum()
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.similar.nrows()
    }

    /// `candidates` (rows, each once) in the order of their usefulness, the first `n` of them each in view of those before it.
    ///
    /// `labelled` are the rows that have a label; `doubt` says for every row how much the head doubts, 0..1 (see [`doubt()`]):
    /// 1 where there is no head, 0 for rows that do not matter. Equal ones are ordered by doubt, then by row.
    ///
    /// # Errors
    /// Another number of doubts than of rows, a doubt that is not a number, cancellation.
    pub fn order(
        &self,
        labelled: &[usize],
        candidates: &[usize],
        doubt: &[f32],
        n: usize,
        cancel: &CancelToken,
    ) -> Result<Order, HeadError> {
        if doubt.len() != self.n_rows() {
            return Err(HeadError::LabelCount { n_rows: self.n_rows(), n_labels: doubt.len() });
        }
        if let Some(row) = doubt.iter().position(|d| !d.is_finite()) {
            return Err(HeadError::NonFinite { row });
        }
        let weights: Vec<f32> = self.references.iter().map(|&row| doubt[row]).collect();
        let mut covered = vec![-1.0_f32; self.references.len()];
        for &row in labelled {
            self.cover(row, &mut covered);
        }
        let first: Vec<Entry> = candidates
            .par_iter()
            .map(|&row| {
                let gain = if cancel.is_cancelled() { 0.0 } else { self.gain(row, &covered, &weights) };
                Entry { gain, doubt: doubt[row], row: Reverse(row), at: 0 }
            })
            .collect();
        let mut heap = BinaryHeap::from(first);
        let mut asked: Vec<Asked> = Vec::with_capacity(n.min(candidates.len()));
        while asked.len() < n {
            if cancel.is_cancelled() {
                return Err(HeadError::Cancelled);
            }
            let Some(top) = heap.pop() else { break };
            let row = top.row.0;
            if top.at < asked.len() {
                heap.push(Entry { gain: self.gain(row, &covered, &weights), at: asked.len(), ..top });
                continue;
            }
            let nearer = self.similar.row(row).into_iter().zip(&covered).zip(&self.n_images);
            let stands_for = nearer.filter(|((s, c), _)| s > c).map(|(_, n)| n).sum();
            asked.push(Asked { row, gain: top.gain, stands_for });
            self.cover(row, &mut covered);
        }
        if cancel.is_cancelled() {
            return Err(HeadError::Cancelled);
        }
        let mut rest = heap.into_vec();
        rest.par_sort_unstable_by(|a, b| b.cmp(a));
        Ok(Order { asked, rest: rest.into_iter().map(|entry| entry.row.0).collect() })
    }

    /// For each of `labelled`, how many images it stands for: those that are nearer to it than to any other of them. They
    /// are [`Self::n_images`] together, where there is a labelled one.
    ///
    /// Images that were labelled because they are hard are no fair sample. Counted like this they are weighed as the
    /// images around them are frequent, so that accuracy on them says more of accuracy on all.
    pub fn stands_for(&self, labelled: &[usize]) -> Vec<f64> {
        let mut counts = vec![0.0; labelled.len()];
        if labelled.is_empty() || self.references.is_empty() {
            return counts;
        }
        let mut nearest = vec![(f32::NEG_INFINITY, 0); self.references.len()];
        for (i, &row) in labelled.iter().enumerate() {
            for (near, &s) in nearest.iter_mut().zip(self.similar.row(row)) {
                if s > near.0 {
                    *near = (s, i);
                }
            }
        }
        for ((_, i), n) in nearest.into_iter().zip(&self.n_images) {
            counts[i] += n;
        }
        counts
    }

    fn cover(&self, row: usize, covered: &mut [f32]) {
        for (covered, &s) in covered.iter_mut().zip(self.similar.row(row)) {
            *covered = covered.max(s);
        }
    }

    fn gain(&self, row: usize, covered: &[f32], weights: &[f32]) -> f32 {
        let row = self.similar.row(row);
        let row = row.as_slice().unwrap_or_default();
        let mut lanes = [0.0_f32; LANES];
        let whole = row.len() - row.len() % LANES;
        for at in (0..whole).step_by(LANES) {
            let (s, c, w) = (&row[at..at + LANES], &covered[at..at + LANES], &weights[at..at + LANES]);
            for lane in 0..LANES {
                lanes[lane] += w[lane] * (s[lane] - c[lane]).max(0.0);
            }
        }
        let tail: f32 = (whole..row.len()).map(|i| weights[i] * (row[i] - covered[i]).max(0.0)).sum();
        lanes.iter().sum::<f32>() + tail
    }
}

/// The rows that stand for all, ascending.
fn references(n_rows: usize, seed: u64) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..n_rows).collect();
    if n_rows > MAX_REFERENCES {
        SplitMix64::new(seed).shuffle(&mut rows);
        rows.truncate(MAX_REFERENCES);
        rows.sort_unstable();
    }
    rows
}

/// How much a head doubts, of probabilities `[n_rows, n_classes]`: `sqrt(1 - (p_1 - p_2))`, 1 where the likeliest two classes are
/// equally likely, 0 where one is certain.
pub fn doubt(probabilities: ArrayView2<'_, f32>) -> Vec<f32> {
    probabilities
        .outer_iter()
        .map(|row| {
            let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
            for &p in row {
                if p > first {
                    (first, second) = (p, first);
                } else if p > second {
                    second = p;
                }
            }
            if second.is_finite() { (1.0 - (first - second)).clamp(0.0, 1.0).sqrt() } else { 1.0 }
        })
        .collect()
}

/// A candidate with what it would have added when `at` others had been chosen.
#[derive(Clone, Copy, Debug)]
struct Entry {
    gain: f32,
    doubt: f32,
    row: Reverse<usize>,
    at: usize,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain.total_cmp(&other.gain).then(self.doubt.total_cmp(&other.doubt)).then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use ndarray::array;

    /// `n` points around each of `centres`, the first of each at its very middle.
    fn clusters(centres: &[[f32; 3]], n: usize) -> Array2<f32> {
        let mut rng = SplitMix64::new(5);
        Array2::from_shape_fn((centres.len() * n, 3), |(row, column)| {
            let noise = if row % n == 0 { 0.0 } else { rng.below(200) as f32 / 1000.0 - 0.1 };
            centres[row / n][column] + noise
        })
    }

    fn all(n: usize) -> Vec<usize> {
        (0..n).collect()
    }

    #[test]
    fn without_labels_the_first_are_of_different_clusters() {
        let x = clusters(&[[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0], [4.0, 4.0, 4.0]], 10);
        let token = CancelToken::new();
        let coverage = Coverage::new(x.view(), 0, &token).unwrap();
        let order = coverage.order(&[], &all(40), &[1.0; 40], 4, &token).unwrap();
        let mut of: Vec<usize> = order.asked.iter().map(|a| a.row / 10).collect();
        of.sort_unstable();
        assert_eq!(of, [0, 1, 2, 3]);
        assert_eq!(order.rest.len(), 36);
        assert!(order.asked[0].stands_for == 40.0, "nothing else is there yet");
        assert!(order.asked.windows(2).all(|w| w[0].gain >= w[1].gain));
        // What is labelled is covered: the other clusters come first.
        let order = coverage.order(&[0, 10], &all(40)[20..], &[1.0; 40], 2, &token).unwrap();
        let mut of: Vec<usize> = order.asked.iter().map(|a| a.row / 10).collect();
        of.sort_unstable();
        assert_eq!(of, [2, 3]);
    }

    #[test]
    fn doubt_decides_between_regions_that_are_covered_alike() {
        let x = clusters(&[[4.0, 0.0, 0.0], [0.0, 4.0, 0.0]], 20);
        let token = CancelToken::new();
        let coverage = Coverage::new(x.view(), 0, &token).unwrap();
        for doubtful in [0, 1] {
            let doubt: Vec<f32> = (0..40).map(|row| if row / 20 == doubtful { 0.9 } else { 0.1 }).collect();
            let candidates: Vec<usize> = (0..40).filter(|row| row % 20 != 0).collect();
            let order = coverage.order(&[0, 20], &candidates, &doubt, 5, &token).unwrap();
            assert!(order.asked.iter().all(|a| a.row / 20 == doubtful), "{order:?}");
        }
    }

    #[test]
    fn the_lazy_choice_is_the_plain_one() {
        let mut rng = SplitMix64::new(9);
        let n = 60;
        let x = Array2::from_shape_fn((n, 7), |_| rng.below(1000) as f32 / 1000.0);
        let u: Vec<f32> = (0..n).map(|_| rng.below(100) as f32 / 100.0).collect();
        let token = CancelToken::new();
        let coverage = Coverage::new(x.view(), 0, &token).unwrap();
        let order = coverage.order(&[3, 8], &all(n), &u, n, &token).unwrap();
        // The definition, word for word.
        let mut chosen = vec![3_usize, 8];
        let f = |set: &[usize]| -> f64 {
            (0..n)
                .map(|i| {
                    let near = set.iter().map(|&j| coverage.similar[[j, i]]).fold(-1.0, f32::max);
                    f64::from(u[i]) * f64::from(near)
                })
                .sum()
        };
        for asked in &order.asked[..20] {
            let now = f(&chosen);
            let with = |row: usize| f(&chosen.iter().copied().chain([row]).collect::<Vec<_>>()) - now;
            let best = (0..n).map(with).fold(f64::MIN, f64::max);
            assert!((with(asked.row) - best).abs() < 1e-4 && (f64::from(asked.gain) - best).abs() < 1e-4);
            chosen.push(asked.row);
        }
        let mut rows: Vec<usize> = order.asked.iter().map(|a| a.row).collect();
        rows.sort_unstable();
        assert_eq!(rows, all(n), "each once");
    }

    #[test]
    fn images_that_are_all_alike_are_ordered_too() {
        let token = CancelToken::new();
        for value in [0.0, 7.3, 1e20] {
            let x = Array2::from_elem((6, 4), value);
            let coverage = Coverage::new(x.view(), 0, &token).unwrap();
            let doubt = [0.1, 0.2, 0.2, 0.9, 0.0, 0.3];
            let order = coverage.order(&[0], &[1, 2, 3, 4, 5], &doubt, 2, &token).unwrap();
            assert_eq!(order.asked.iter().map(|a| a.row).collect::<Vec<_>>(), [3, 5], "by doubt");
            assert_eq!(order.rest, [1, 2, 4], "then by row");
        }
    }

    #[test]
    fn nothing_is_no_reason_to_fail_and_what_is_wrong_is_said() {
        let token = CancelToken::new();
        let empty = Coverage::new(Array2::zeros((0, 4)).view(), 0, &token).unwrap();
        assert_eq!(empty.order(&[], &[], &[], 10, &token).unwrap(), Order::default());
        assert!(empty.stands_for(&[]).is_empty());
        let one = Coverage::new(array![[1.0_f32, 2.0]].view(), 0, &token).unwrap();
        assert_eq!(one.order(&[], &[0], &[1.0], 9, &token).unwrap().asked.len(), 1);
        assert_eq!(one.order(&[0], &[], &[1.0], 9, &token).unwrap(), Order::default());
        let wrong = one.order(&[], &[0], &[], 9, &token);
        assert_eq!(wrong, Err(HeadError::LabelCount { n_rows: 1, n_labels: 0 }));
        assert_eq!(one.order(&[], &[0], &[f32::NAN], 9, &token), Err(HeadError::NonFinite { row: 0 }));
        for bad in [f32::NAN, f32::INFINITY] {
            let x = array![[1.0_f32, 2.0], [bad, 0.0]];
            assert_eq!(Coverage::new(x.view(), 0, &token), Err(HeadError::NonFinite { row: 1 }));
        }
        token.cancel();
        assert_eq!(Coverage::new(array![[1.0_f32, 2.0]].view(), 0, &token), Err(HeadError::Cancelled));
        assert_eq!(one.order(&[], &[0], &[1.0], 9, &token), Err(HeadError::Cancelled));
    }

    #[test]
    fn doubt_is_the_root_of_one_less_the_margin() {
        let p = array![[0.5_f32, 0.5, 0.0], [0.7, 0.1, 0.2], [0.0, 0.0, 1.0]];
        let expected = [1.0, 0.5_f32.sqrt(), 0.0];
        assert!(doubt(p.view()).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));
        assert_eq!(doubt(array![[1.0_f32]].view()), [1.0], "one class says nothing");
        assert_eq!(doubt(Array2::zeros((2, 0)).view()), [1.0, 1.0]);
    }

    #[test]
    fn labelled_images_stand_for_what_is_nearest_to_them() {
        let x = clusters(&[[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]], 10);
        let coverage = Coverage::new(x.view(), 0, &CancelToken::new()).unwrap();
        assert_eq!(coverage.stands_for(&[0, 10, 20]), [10.0, 10.0, 10.0]);
        let two = coverage.stands_for(&[0, 10, 11]);
        assert_eq!(two.iter().sum::<f64>(), 30.0);
        assert!(two[1] + two[2] >= 10.0);
    }

    #[test]
    fn rows_of_a_sample_count_for_those_that_were_not_drawn() {
        // The first cluster is one row in a hundred of what there is, the others are all there is of them.
        let x = clusters(&[[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]], 10);
        let n_images: Vec<f64> = (0..30).map(|row| if row < 10 { 100.0 } else { 1.0 }).collect();
        let token = CancelToken::new();
        let coverage = Coverage::new(x.view(), 0, &token).unwrap().counting(&n_images);
        assert_eq!(coverage.n_images(), 1020.0);
        assert_eq!(coverage.stands_for(&[0, 10, 20]), [1000.0, 10.0, 10.0]);
        let order = coverage.order(&[10], &all(10), &[1.0; 30], 1, &token).unwrap();
        assert!(order.asked[0].stands_for >= 1000.0, "{:?}", order.asked);
        // Where references are drawn, all together still stand for all.
        let many = clusters(&[[4.0, 0.0, 0.0], [0.0, 4.0, 0.0]], 1000);
        let n_images: Vec<f64> = (0..2000).map(|row| if row < 1000 { 9.0 } else { 1.0 }).collect();
        let coverage = Coverage::new(many.view(), 0, &token).unwrap().counting(&n_images);
        assert!((coverage.n_images() - 10_000.0).abs() < 1e-6);
        let counts = coverage.stands_for(&[0, 1000]);
        assert!((counts[0] / 9000.0 - 1.0).abs() < 0.02, "{counts:?}");
    }

    #[test]
    fn many_rows_have_a_sample_of_references() {
        let n = MAX_REFERENCES + 500;
        let rows = references(n, 1);
        assert_eq!(rows.len(), MAX_REFERENCES);
        assert!(rows.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(rows, references(n, 1), "seeded");
        assert_ne!(rows, references(n, 2));
    }
}
