//! Cuts of a miniature as vectors, and the best correlation over them.

use std::array;

use crate::image::miniature::{Miniature, SIDE_PX};

/// Pixels of a side at which pictures are told apart.
const FINE: usize = 32;
/// Pixels of a side at which most pairs are ruled out.
const COARSE: usize = 16;
/// Pixels that are cut off a side, of 64.
const STEPS: [usize; 3] = [0, 2, 4];
/// Cuts of a side that there are: those steps, and a pixel beyond them.
const N_CUTS: usize = 6;
/// Standard deviation, in levels of grey, below which contrast counts as noise.
const LEAST_SPREAD: f32 = 2.0;

/// What is cut off: top, bottom, left, right, in pixels of 64.
type Cut = [usize; 4];

/// Length of a vector of `side` x `side` pixels.
const fn len(side: usize) -> usize {
    side * side
}

/// Weights that reduce 64 pixels less a cut at both ends to `n` by areas.
#[derive(Clone, Debug)]
struct Reduction {
    /// First pixel and weights of each.
    of: Vec<(usize, Vec<f32>)>,
}

impl Reduction {
    fn new(n: usize, low: usize, high: usize) -> Self {
        let step = (SIDE_PX - low - high) as f64 / n as f64;
        let area = |idx: usize| {
            let (from, to) = (low as f64 + idx as f64 * step, low as f64 + (idx + 1) as f64 * step);
            let (first, last) = (from as usize, (to.ceil() as usize).min(SIDE_PX));
            let covered = |px: usize| (to.min((px + 1) as f64) - from.max(px as f64)).max(0.0) / step;
            (first, (first..last).map(|px| covered(px) as f32).collect())
        };
        Self { of: (0..n).map(area).collect() }
    }

    /// Reduces rows of `width` values.
    fn rows(&self, rows: &[f32], width: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.of.len() * width];
        for ((first, weights), out) in self.of.iter().zip(out.chunks_exact_mut(width)) {
            for (row, weight) in rows[first * width..].chunks_exact(width).zip(weights) {
                out.iter_mut().zip(row).for_each(|(sum, v)| *sum += weight * v);
            }
        }
        out
    }
}

fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    let height = values.len() / width;
    let mut out = vec![0.0; values.len()];
    for (y, row) in values.chunks_exact(width).enumerate() {
        row.iter().enumerate().for_each(|(x, v)| out[x * height + y] = *v);
    }
    out
}

/// Subtracts the mean and scales to length 1; what has hardly any contrast stays shorter.
fn normalise(values: &mut [f32], side: usize) {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    values.iter_mut().for_each(|v| *v -= mean);
    let norm = dot(values, values).sqrt().max(side as f32 * LEAST_SPREAD);
    values.iter_mut().for_each(|v| *v /= norm);
}

/// With lanes of its own each, so that it is computed several at a time; their order is fixed.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (a, b) = (a.as_chunks::<LANES>().0, b.as_chunks::<LANES>().0);
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.iter().zip(b) {
        sums = array::from_fn(|lane| sums[lane] + a[lane] * b[lane]);
    }
    sums.iter().sum()
}

/// As [`dot`], of one picture and another one mirrored. Vectors go column by column, so that mirroring turns the order of
/// whole columns round.
fn dot_mirrored(a: &[f32], b: &[f32], side: usize) -> f32 {
    a.chunks_exact(side).zip(b.rchunks_exact(side)).map(|(a, b)| dot(a, b)).sum()
}

/// The larger of both.
fn best_dot(a: &[f32], b: &[f32], side: usize) -> f32 {
    dot(a, b).max(dot_mirrored(a, b, side))
}

/// What most pairs are ruled out by: one miniature with every cut, at 16 x 16 pixels.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// One vector a cut; the first is that of no cut.
    coarse: Vec<f32>,
}

impl Prepared {
    fn whole(&self) -> &[f32] {
        &self.coarse[..len(COARSE)]
    }
}

/// The weights of all cuts.
#[derive(Clone, Debug)]
pub struct Comparer {
    fine: Vec<Reduction>,
    coarse: Vec<Reduction>,
}

impl Default for Comparer {
    fn default() -> Self {
        let all = |side: usize| {
            let cuts = (0..N_CUTS * N_CUTS).map(|i| (i / N_CUTS, i % N_CUTS));
            cuts.map(|(low, high)| Reduction::new(side, low, high)).collect()
        };
        Self { fine: all(FINE), coarse: all(COARSE) }
    }
}

/// One direction of a cut.
fn at(low: usize, high: usize) -> usize {
    low * N_CUTS + high
}

impl Comparer {
    /// Uniform cuts of 0, 3 and 6 % at 16 x 16 pixels, one vector after the other, the whole picture first.
    pub(super) fn glance(&self, miniature: &Miniature) -> Vec<f32> {
        let values = floats(miniature);
        let vector = |cut: usize| {
            let rows = self.coarse[at(cut, cut)].rows(&values, SIDE_PX);
            let mut vector = self.coarse[at(cut, cut)].rows(&transposed(&rows, SIDE_PX), COARSE);
            normalise(&mut vector, COARSE);
            vector
        };
        STEPS.into_iter().flat_map(vector).collect()
    }

    /// Correlation of two [glances](Self::glance): of uniform cuts, both ways round, mirrored or not.
    pub(super) fn glanced(a: &[f32], b: &[f32]) -> f32 {
        let n = len(COARSE);
        let (whole_a, whole_b) = (&a[..n], &b[..n]);
        let one_way = |whole: &[f32], cuts: &[f32]| {
            cuts.chunks_exact(n).map(|cut| best_dot(whole, cut, COARSE)).fold(f32::MIN, f32::max)
        };
        one_way(whole_a, b).max(one_way(whole_b, &a[n..]))
    }

    /// Every cut of a miniature, for [`Self::rough`].
    pub fn prepare(&self, miniature: &Miniature) -> Prepared {
        let mut coarse = Vec::with_capacity(STEPS.len().pow(4) * len(COARSE));
        self.each_cut(miniature, &self.coarse, COARSE, |_, vector| coarse.extend_from_slice(vector));
        Prepared { coarse }
    }

    /// The best correlation over all cuts at 16 x 16 pixels.
    pub fn rough(a: &Prepared, b: &Prepared) -> f32 {
        let n = len(COARSE);
        let one_way = |whole: &[f32], cuts: &[f32]| {
            cuts.chunks_exact(n).map(|cut| best_dot(whole, cut, COARSE)).fold(f32::MIN, f32::max)
        };
        one_way(a.whole(), &b.coarse).max(one_way(b.whole(), &a.coarse[n..]))
    }

    /// How much two images show the same picture, at most 1.
    pub fn similarity(&self, a: &Miniature, b: &Miniature) -> f32 {
        let (mut best, mut found) = (f32::MIN, None);
        for (whole, other) in [(a, b), (b, a)] {
            let whole = self.whole(whole);
            self.each_cut(other, &self.fine, FINE, |cut, vector| {
                let value = best_dot(&whole, vector, FINE);
                if value > best {
                    (best, found) = (value, Some((std::ptr::eq(other, a), cut)));
                }
            });
        }
        let Some((cuts_a, cut)) = found else { return best };
        let (whole, other) = if cuts_a { (self.whole(b), a) } else { (self.whole(a), b) };
        let values = floats(other);
        let near = |cut: usize| cut.saturating_sub(1)..=(cut + 1).min(N_CUTS - 1);
        for top in near(cut[0]) {
            for bottom in near(cut[1]) {
                let rows = transposed(&self.fine[at(top, bottom)].rows(&values, SIDE_PX), SIDE_PX);
                for left in near(cut[2]) {
                    for right in near(cut[3]) {
                        let mut vector = self.fine[at(left, right)].rows(&rows, FINE);
                        normalise(&mut vector, FINE);
                        best = best.max(best_dot(&whole, &vector, FINE));
                    }
                }
            }
        }
        best
    }

    fn whole(&self, miniature: &Miniature) -> Vec<f32> {
        let rows = self.fine[at(0, 0)].rows(&floats(miniature), SIDE_PX);
        let mut vector = self.fine[at(0, 0)].rows(&transposed(&rows, SIDE_PX), FINE);
        normalise(&mut vector, FINE);
        vector
    }

    /// Calls `f` with the vector of every cut in steps, that of no cut first.
    fn each_cut(&self, miniature: &Miniature, reductions: &[Reduction], side: usize, mut f: impl FnMut(Cut, &[f32])) {
        let values = floats(miniature);
        for top in STEPS {
            for bottom in STEPS {
                let rows = transposed(&reductions[at(top, bottom)].rows(&values, SIDE_PX), SIDE_PX);
                for left in STEPS {
                    for right in STEPS {
                        let mut vector = reductions[at(left, right)].rows(&rows, side);
                        normalise(&mut vector, side);
                        f([top, bottom, left, right], &vector);
                    }
                }
            }
        }
    }
}

fn floats(miniature: &Miniature) -> Vec<f32> {
    miniature.luma.iter().map(|&v| f32::from(v)).collect()
}
