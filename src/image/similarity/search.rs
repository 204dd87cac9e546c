//! All pairs of many images that show the same picture.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array1, ArrayView2, s};
use rayon::prelude::*;

use super::cuts::{Comparer, Prepared};
use crate::image::miniature::Miniature;
use crate::progress::{CancelToken, Reporter, Stage};

/// Least cosine of the embeddings of copies: what a backbone takes for different things is not looked at.
pub const MIN_COSINE: f32 = 0.5;
/// Least similarity of copies (see [`Comparer::similarity`]).
pub const MIN_SIMILARITY: f32 = 0.95;
/// Least correlation of uniform cuts at 16 x 16 pixels of what is looked at more closely.
const MIN_GLANCE: f32 = 0.4;
/// Least correlation over all cuts at 16 x 16 pixels: what is alike at 32 x 32 is so at 16 x 16.
const MIN_ROUGH: f32 = 0.9;
/// Rows of a block: their cuts at 16 x 16 pixels are held together, 83 KB each.
const BLOCK_ROWS: usize = 128;

/// Two images that show the same picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimilarPair {
    /// The earlier row.
    pub a: usize,
    /// The later row.
    pub b: usize,
    /// How much, [`MIN_SIMILARITY`] to 1.
    pub similarity: f32,
}

/// Why images were not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimilarityError {
    /// As many miniatures as rows are wanted.
    #[error("there are {n_rows} embeddings and {n_miniatures} pictures: give one picture a row")]
    Count {
        /// Rows of embeddings.
        n_rows: usize,
        /// Miniatures.
        n_miniatures: usize,
    },
    /// It was ended.
    #[error("cancelled")]
    Cancelled,
}

/// All pairs of rows that show the same picture, by row.
///
/// `x` has the shape `[n_rows, dim]`; a row that is not finite or is zero is like nothing. Time grows with the square of the
/// number of rows: 10,000 take some seconds.
///
/// # Errors
/// When there are not as many miniatures as rows, or when cancelled.
pub fn similar_pairs(
    x: ArrayView2<'_, f32>,
    miniatures: &[&Miniature],
    reporter: &dyn Reporter,
) -> Result<Vec<SimilarPair>, SimilarityError> {
    let n_rows = x.nrows();
    if n_rows != miniatures.len() {
        return Err(SimilarityError::Count { n_rows, n_miniatures: miniatures.len() });
    }
    let comparer = Comparer::default();
    let norms: Array1<f32> = x.outer_iter().map(|row| row.dot(&row).sqrt()).collect();
    let glances: Vec<Vec<f32>> = miniatures.par_iter().map(|miniature| comparer.glance(miniature)).collect();
    let search = Search { x, norms, miniatures, glances, comparer, cancel: reporter.cancel_token() };
    let starts: Vec<usize> = (0..n_rows).step_by(BLOCK_ROWS).collect();
    let blocks: Vec<(usize, usize)> =
        starts.iter().enumerate().flat_map(|(i, &a)| starts[i..].iter().map(move |&b| (a, b))).collect();
    let (n_done, every) = (AtomicUsize::new(0), blocks.len().div_ceil(100).max(1));
    let found: Vec<Vec<SimilarPair>> = blocks
        .par_iter()
        .map(|&(a, b)| {
            let pairs = search.block(a, b)?;
            let n_done = n_done.fetch_add(1, Ordering::Relaxed) + 1;
            if n_done.is_multiple_of(every) || n_done == blocks.len() {
                reporter.progress(Stage::Check, n_done, blocks.len());
            }
            Ok(pairs)
        })
        .collect::<Result<_, _>>()?;
    let mut pairs: Vec<SimilarPair> = found.into_iter().flatten().collect();
    pairs.sort_by_key(|pair| (pair.a, pair.b));
    Ok(pairs)
}

struct Search<'a> {
    x: ArrayView2<'a, f32>,
    /// Lengths of the rows.
    norms: Array1<f32>,
    miniatures: &'a [&'a Miniature],
    glances: Vec<Vec<f32>>,
    comparer: Comparer,
    cancel: &'a CancelToken,
}

impl Search<'_> {
    /// Pairs of a row from `first` on and one from `second` on.
    fn block(&self, first: usize, second: usize) -> Result<Vec<SimilarPair>, SimilarityError> {
        let end = |start: usize| (start + BLOCK_ROWS).min(self.x.nrows());
        let (a, b) = (first..end(first), second..end(second));
        let cosines = self.x.slice(s![a.clone(), ..]).dot(&self.x.slice(s![b.clone(), ..]).t());
        let mut prepared: BTreeMap<usize, Prepared> = BTreeMap::new();
        let mut pairs = Vec::new();
        // Frames of one camera are all alike: what is one group already needs no other comparison.
        let mut joined = Joined::new(a.len() + b.len());
        let place = |row: usize| if a.contains(&row) { row - first } else { a.len() + row - second };
        for i in a.clone() {
            if self.cancel.is_cancelled() {
                return Err(SimilarityError::Cancelled);
            }
            for j in b.clone().filter(|&j| j > i) {
                let length = self.norms[i] * self.norms[j];
                // A comparison with what is no number is false.
                let is_near =
                    length > 0.0 && length.is_finite() && cosines[[i - first, j - second]] >= MIN_COSINE * length;
                if !is_near
                    || joined.are(place(i), place(j))
                    || Comparer::glanced(&self.glances[i], &self.glances[j]) < MIN_GLANCE
                {
                    continue;
                }
                for row in [i, j] {
                    prepared.entry(row).or_insert_with(|| self.comparer.prepare(self.miniatures[row]));
                }
                let (Some(rough_i), Some(rough_j)) = (prepared.get(&i), prepared.get(&j)) else { continue };
                if Comparer::rough(rough_i, rough_j) < MIN_ROUGH {
                    continue;
                }
                let similarity = self.comparer.similarity(self.miniatures[i], self.miniatures[j]);
                if similarity >= MIN_SIMILARITY {
                    joined.join(place(i), place(j));
                    pairs.push(SimilarPair { a: i, b: j, similarity: similarity.min(1.0) });
                }
            }
        }
        Ok(pairs)
    }
}

/// Which of some items are connected; the first stands for its group.
struct Joined {
    parent: Vec<usize>,
}

impl Joined {
    fn new(n: usize) -> Self {
        Self { parent: (0..n).collect() }
    }

    fn root(&mut self, mut item: usize) -> usize {
        while self.parent[item] != item {
            self.parent[item] = self.parent[self.parent[item]];
            item = self.parent[item];
        }
        item
    }

    fn are(&mut self, a: usize, b: usize) -> bool {
        self.root(a) == self.root(b)
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b)] = a.min(b);
    }
}

/// Groups of `n_rows` rows that pairs connect, each ascending, by their first row; rows that stand alone are left out.
pub fn groups(n_rows: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Vec<Vec<usize>> {
    let mut joined = Joined::new(n_rows);
    pairs.into_iter().for_each(|(a, b)| joined.join(a, b));
    let mut of_root: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for row in 0..n_rows {
        of_root.entry(joined.root(row)).or_default().push(row);
    }
    of_root.into_values().filter(|rows| rows.len() > 1).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::image::Rgb8Image;
    use crate::progress::Silent;
    use crate::rng::SplitMix64;

    /// A picture of smooth blobs, as photographs are at a distance, cut by `cut` of its sides and mirrored or not.
    fn picture(seed: u64, side: u32, cut: f64, is_mirrored: bool, gain: f64) -> Miniature {
        let mut rng = SplitMix64::new(seed);
        let mut number = |range: u32| f64::from(rng.below(range as usize) as u32);
        let blobs: Vec<[f64; 4]> = (0..12)
            .map(|_| [number(100) / 100.0, number(100) / 100.0, 0.05 + number(20) / 100.0, number(220) - 110.0])
            .collect();
        let level = |x: f64, y: f64| {
            let x = if is_mirrored { 1.0 - x } else { x };
            let sum: f64 =
                blobs.iter().map(|[cx, cy, r, v]| v * (-((x - cx).powi(2) + (y - cy).powi(2)) / (r * r)).exp()).sum();
            (128.0 + gain * sum).clamp(0.0, 255.0) as u8
        };
        let at = |i: u32| cut + (1.0 - 2.0 * cut) * (f64::from(i) + 0.5) / f64::from(side);
        let pixels = (0..side).flat_map(|y| (0..side).map(move |x| (x, y))).flat_map(|(x, y)| [level(at(x), at(y)); 3]);
        Miniature::new(&Rgb8Image::new(side, side, pixels.collect()).unwrap(), side, side)
    }

    fn alike(n: usize) -> Array2<f32> {
        Array2::from_elem((n, 4), 1.0)
    }

    fn found(x: &Array2<f32>, miniatures: &[Miniature]) -> Vec<(usize, usize)> {
        let miniatures: Vec<&Miniature> = miniatures.iter().collect();
        let pairs = similar_pairs(x.view(), &miniatures, &Silent::default()).unwrap();
        assert!(pairs.iter().all(|pair| (MIN_SIMILARITY..=1.0).contains(&pair.similarity)));
        pairs.into_iter().map(|pair| (pair.a, pair.b)).collect()
    }

    #[test]
    fn copies_are_found_and_other_pictures_are_none() {
        let mut all: Vec<Miniature> = (0..40).map(|seed| picture(seed, 96, 0.0, false, 1.0)).collect();
        // Resized, cropped, mirrored, darker, all of it.
        all.push(picture(3, 61, 0.0, false, 1.0));
        all.push(picture(5, 96, 0.045, false, 1.0));
        all.push(picture(7, 96, 0.0, true, 1.0));
        all.push(picture(9, 96, 0.0, false, 0.7));
        all.push(picture(11, 70, 0.03, true, 0.8));
        assert_eq!(found(&alike(45), &all), [(3, 40), (5, 41), (7, 42), (9, 43), (11, 44)]);
        // Whichever comes first.
        all.reverse();
        assert_eq!(found(&alike(45), &all), [(0, 33), (1, 35), (2, 37), (3, 39), (4, 41)]);
    }

    #[test]
    fn what_has_no_contrast_or_another_embedding_is_like_nothing() {
        let blank = |level: u8| Miniature::new(&Rgb8Image::new(80, 80, vec![level; 80 * 80 * 3]).unwrap(), 80, 80);
        let mut faint: Vec<Miniature> = (0..4).map(|_| picture(3, 96, 0.0, false, 0.004)).collect();
        faint.extend([blank(0), blank(0), blank(255)]);
        assert_eq!(found(&alike(7), &faint), []);
        let twice = [picture(3, 96, 0.0, false, 1.0), picture(3, 90, 0.0, false, 1.0)];
        assert_eq!(found(&alike(2), &twice), [(0, 1)]);
        let apart = ndarray::array![[1.0_f32, 0.0], [0.4, 1.0]];
        assert_eq!(found(&apart, &twice), [], "a cosine of 0.37");
        for odd in [f32::NAN, f32::INFINITY, 0.0] {
            assert_eq!(found(&Array2::from_elem((2, 4), odd), &twice), [], "{odd}");
        }
        assert_eq!(found(&alike(0), &[]), []);
    }

    #[test]
    fn it_can_be_ended_and_counts_are_checked() {
        let pictures: Vec<Miniature> = (0..3).map(|seed| picture(seed, 96, 0.0, false, 1.0)).collect();
        let pictures: Vec<&Miniature> = pictures.iter().collect();
        let reporter = Silent::default();
        let x = alike(2);
        let error = similar_pairs(x.view(), &pictures, &reporter).unwrap_err();
        assert_eq!(error, SimilarityError::Count { n_rows: 2, n_miniatures: 3 });
        reporter.cancel_token().cancel();
        assert_eq!(similar_pairs(x.view(), &pictures[..2], &reporter), Err(SimilarityError::Cancelled));
    }

    #[test]
    fn pairs_become_groups() {
        assert_eq!(groups(8, [(1, 4), (4, 6), (2, 3), (6, 1)]), [vec![1, 4, 6], vec![2, 3]]);
        assert!(groups(3, []).is_empty() && groups(0, []).is_empty());
    }
}
