//! Images unlike all others: the distance to the k-th nearest neighbour (Ramaswamy, Rastogi, Shim: "Efficient Algorithms for
//! Mining Outliers from Large Data Sets", SIGMOD 2000), within the class.
//!
//! k is a fifth of the class, so that strangers that are like each other do not vouch for each other while they are fewer than
//! that. Where the cut lies was measured on five sets with a twentieth of another set's images among them (see
//! `tests/reference/faults.py`).

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::classes::ClassIdx;
use crate::progress::CancelToken;

/// Part of a class that vouches for an image.
const NEIGHBOURS: f64 = 0.2;
/// That many at least.
const LEAST_NEIGHBOURS: usize = 5;
/// Classes with fewer images are not judged.
const LEAST_IN_CLASS: usize = 10;
/// Images of a class that others are compared with, at most.
const MAX_COMPARED: usize = 2000;
/// Part of the usual similarity below which an image is an outlier.
const PART_OF_USUAL: f32 = 0.5;
/// Least usual cosine with which anything can be said.
const LEAST_USUAL: f32 = 0.1;
/// Rows that are compared at a time.
const BLOCK_ROWS: usize = 256;

/// An image unlike all others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlier {
    /// Its row.
    pub row: usize,
    /// Its cosine to its k-th nearest neighbour among its class.
    pub similarity: f32,
    /// Half of the images have this or more.
    pub usual: f32,
}

/// Why no outliers were looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutlierError {
    /// As many classes as rows are wanted.
    #[error("there are {n_rows} embeddings and {n_labels} labels: give one label a row")]
    LabelCount {
        /// Rows of embeddings.
        n_rows: usize,
        /// Labels.
        n_labels: usize,
    },
    /// No class is large enough.
    #[error("no class has 10 images to compare with each other")]
    TooFew,
    /// It was ended.
    #[error("cancelled")]
    Cancelled,
}

/// Rows of `x`, `[n_rows, dim]`, that are unlike the others of their class, the strangest first. Rows without a class are
/// compared with those of the class that they are most like; without any class all rows are of one.
///
/// A row is an outlier where its cosine to its k-th nearest neighbour is less than half of what is usual in the set. A backbone
/// whose features of unrelated pictures are closer than that has none. Rows that are not finite or are zero are left out.
///
/// # Errors
/// When there are not as many labels as rows, no class has ten rows, or when cancelled.
pub fn outliers(
    x: ArrayView2<'_, f32>,
    y: &[Option<ClassIdx>],
    cancel: &CancelToken,
) -> Result<Vec<Outlier>, OutlierError> {
    if x.nrows() != y.len() {
        return Err(OutlierError::LabelCount { n_rows: x.nrows(), n_labels: y.len() });
    }
    let (rows, unit) = unit_rows(x);
    let labels: Vec<Option<ClassIdx>> = rows.iter().map(|&row| y[row]).collect();
    let classes = compared(&labels);
    if classes.is_empty() {
        return Err(OutlierError::TooFew);
    }
    let nearness = neighbour_similarity(unit.view(), &labels, &classes, cancel)?;
    let mut known: Vec<f32> = nearness.iter().flatten().copied().collect();
    known.sort_by(f32::total_cmp);
    let Some(&usual) = known.get(known.len() / 2) else { return Err(OutlierError::TooFew) };
    // Where neighbours are hardly alike at all, half of that is chance.
    if usual < LEAST_USUAL {
        return Ok(Vec::new());
    }
    let found = (0..rows.len()).filter_map(|i| {
        let similarity = nearness[i]?;
        (similarity < PART_OF_USUAL * usual).then_some(Outlier { row: rows[i], similarity, usual })
    });
    let mut found: Vec<Outlier> = found.collect();
    found.sort_by(|a, b| a.similarity.total_cmp(&b.similarity).then(a.row.cmp(&b.row)));
    Ok(found)
}

/// The rows that have a direction, at unit length.
fn unit_rows(x: ArrayView2<'_, f32>) -> (Vec<usize>, Array2<f32>) {
    let norms: Vec<f32> = x.outer_iter().map(|row| row.dot(&row).sqrt()).collect();
    let rows: Vec<usize> = (0..x.nrows()).filter(|&row| norms[row].is_finite() && norms[row] > 1e-6).collect();
    let mut unit = x.select(Axis(0), &rows);
    unit.outer_iter_mut().zip(&rows).for_each(|(mut values, &row)| values /= norms[row]);
    (rows, unit)
}

/// A class whose rows are compared with.
struct Compared {
    class: Option<ClassIdx>,
    rows: Vec<usize>,
}

/// The classes that are large enough, each with some of its rows; all rows as one where there is no class at all.
fn compared(labels: &[Option<ClassIdx>]) -> Vec<Compared> {
    let mut classes: Vec<Option<ClassIdx>> = labels.iter().copied().filter(Option::is_some).collect();
    classes.sort_unstable();
    classes.dedup();
    if classes.is_empty() {
        classes.push(None);
    }
    let of = |class: Option<ClassIdx>| {
        let rows: Vec<usize> = (0..labels.len()).filter(|&row| labels[row] == class).collect();
        let every = rows.len().div_ceil(MAX_COMPARED).max(1);
        let is_enough = rows.len() >= LEAST_IN_CLASS;
        is_enough.then(|| Compared { class, rows: rows.into_iter().step_by(every).collect() })
    };
    classes.into_iter().filter_map(of).collect()
}

/// For every row the cosine to its k-th nearest neighbour in its class; for one without a class the largest over the classes;
/// `None` for a row of a class that is too small.
fn neighbour_similarity(
    unit: ArrayView2<'_, f32>,
    labels: &[Option<ClassIdx>],
    classes: &[Compared],
    cancel: &CancelToken,
) -> Result<Vec<Option<f32>>, OutlierError> {
    let mut similarity = vec![None; labels.len()];
    for Compared { class, rows: others } in classes {
        let judged: Vec<usize> =
            (0..labels.len()).filter(|&row| labels[row].is_none() || labels[row] == *class).collect();
        let others_x = unit.select(Axis(0), others);
        let blocks: Vec<&[usize]> = judged.chunks(BLOCK_ROWS).collect();
        let found: Vec<Vec<f32>> = blocks
            .par_iter()
            .map(|block| {
                if cancel.is_cancelled() {
                    return Err(OutlierError::Cancelled);
                }
                let cosines = unit.select(Axis(0), block).dot(&others_x.t());
                let kth = |(i, &row): (usize, &usize)| kth_largest(cosines.slice(s![i, ..]).to_vec(), others, row);
                Ok(block.iter().enumerate().map(kth).collect())
            })
            .collect::<Result<_, _>>()?;
        for (row, value) in judged.into_iter().zip(found.into_iter().flatten()) {
            let slot: &mut Option<f32> = &mut similarity[row];
            *slot = Some(slot.map_or(value, |before| before.max(value)));
        }
    }
    Ok(similarity)
}

/// The k-th largest cosine to `others`, without the row itself.
fn kth_largest(mut cosines: Vec<f32>, others: &[usize], row: usize) -> f32 {
    if let Ok(own) = others.binary_search(&row) {
        cosines.swap_remove(own);
    }
    let k = ((NEIGHBOURS * cosines.len() as f64).ceil() as usize).max(LEAST_NEIGHBOURS).min(cosines.len());
    let (_, kth, _) = cosines.select_nth_unstable_by(k.saturating_sub(1), |a, b| b.total_cmp(a));
    *kth
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::rng::SplitMix64;

    /// Classes of 40 around directions of their own, and `n_strange` rows around another one.
    fn rows(n_classes: usize, n_strange: usize) -> (Array2<f32>, Vec<Option<ClassIdx>>) {
        let mut rng = SplitMix64::new(9);
        let n = 40 * n_classes + n_strange;
        let x = Array2::from_shape_fn((n, 24), |(row, column)| {
            let direction = if row < 40 * n_classes { row % n_classes } else { 20 };
            rng.below(1000) as f32 / 1000.0 - 0.5 + if column == direction { 2.0 } else { 0.0 }
        });
        let y = (0..n).map(|row| Some(ClassIdx::from(row % n_classes))).collect();
        (x, y)
    }

    #[test]
    fn strangers_are_found_though_they_are_like_each_other() {
        let (x, y) = rows(3, 6);
        let found = outliers(x.view(), &y, &CancelToken::new()).unwrap();
        let mut which: Vec<usize> = found.iter().map(|o| o.row).collect();
        assert!(found.windows(2).all(|pair| pair[0].similarity <= pair[1].similarity));
        assert!(found.iter().all(|o| o.similarity < o.usual));
        which.sort_unstable();
        assert_eq!(which, (120..126).collect::<Vec<_>>());
        // The same to the last bit.
        assert_eq!(outliers(x.view(), &y, &CancelToken::new()).unwrap(), found);
        let (x, y) = rows(3, 0);
        assert_eq!(outliers(x.view(), &y, &CancelToken::new()).unwrap(), []);
    }

    #[test]
    fn images_without_a_class_are_judged_by_the_nearest() {
        let (x, mut y) = rows(3, 2);
        for row in [0, 1, 2, 120, 121] {
            y[row] = None;
        }
        let which: Vec<usize> = outliers(x.view(), &y, &CancelToken::new()).unwrap().iter().map(|o| o.row).collect();
        assert!(which.len() == 2 && which.contains(&120) && which.contains(&121), "{which:?}");
        // Without any class all are one.
        let (x, _) = rows(1, 2);
        let found = outliers(x.view(), &[None; 42], &CancelToken::new()).unwrap();
        assert_eq!(found.iter().map(|o| o.row).filter(|&row| row >= 40).count(), found.len());
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn what_tells_nothing_finds_nothing() {
        let token = CancelToken::new();
        let same = Array2::from_elem((30, 4), 1.0);
        assert_eq!(outliers(same.view(), &[Some(ClassIdx(0)); 30], &token).unwrap(), []);
        let (x, y) = rows(3, 6);
        assert_eq!(outliers(x.view(), &y[1..], &token), Err(OutlierError::LabelCount { n_rows: 126, n_labels: 125 }));
        let few = Array2::from_elem((9, 4), 1.0);
        assert_eq!(outliers(few.view(), &[Some(ClassIdx(0)); 9], &token), Err(OutlierError::TooFew));
        assert_eq!(outliers(Array2::zeros((0, 4)).view(), &[], &token), Err(OutlierError::TooFew));
        let mut broken = x.clone();
        broken.row_mut(5).fill(f32::NAN);
        broken.row_mut(6).fill(0.0);
        broken.row_mut(7)[0] = f32::INFINITY;
        let found = outliers(broken.view(), &y, &token).unwrap();
        assert!(found.iter().all(|o| o.row >= 120 && o.similarity.is_finite()), "{found:?}");
        token.cancel();
        assert_eq!(outliers(x.view(), &y, &token), Err(OutlierError::Cancelled));
    }
}
