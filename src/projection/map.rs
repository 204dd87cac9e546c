//! The map: made at once, laid out, and grown.

use ndarray::{Array2, ArrayView2, Axis};

use super::place::Placing;
use super::reduce::Reduction;
use super::tsne::{LEAST_ROWS, N_STEPS, points, tsne};
use super::{Point, ProjectionError};
use crate::progress::CancelToken;
use crate::rng::SplitMix64;

/// How a map is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapConfig {
    /// Rows that are laid out, at most; the rest is placed among them.
    pub n_laid_out: usize,
    /// Seed of the sample and of the search for components.
    pub seed: u64,
}

impl Default for MapConfig {
    fn default() -> Self {
        Self { n_laid_out: 10_000, seed: 0 }
    }
}

/// Rows of a class that come into a sample before all others.
const N_OF_EACH_CLASS: usize = 16;

/// A seeded sample of rows, ascending: as many of each class as its share, though some of every class; `None` is a class of
/// its own. All rows where there are no more than `n_max`.
pub fn sample(classes: &[Option<u32>], n_max: usize, seed: u64) -> Vec<usize> {
    let n = classes.len();
    let mut order: Vec<usize> = (0..n).collect();
    if n <= n_max {
        return order;
    }
    SplitMix64::new(seed).shuffle(&mut order);
    let mut of_class = std::collections::BTreeMap::<Option<u32>, Vec<usize>>::new();
    for row in order {
        of_class.entry(classes[row]).or_default().push(row);
    }
    let mut keyed: Vec<(f64, usize)> = Vec::with_capacity(n);
    for rows in of_class.values() {
        let size = rows.len() as f64;
        keyed.extend(rows.iter().enumerate().map(|(rank, row)| match rank {
            rank if rank < N_OF_EACH_CLASS => (rank as f64 - N_OF_EACH_CLASS as f64, *row),
            rank => ((rank as f64 + 0.5) / size, *row),
        }));
    }
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<usize> = keyed.into_iter().take(n_max).map(|(_, row)| row).collect();
    chosen.sort_unstable();
    chosen
}

/// From a layout's units to -1..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    centre: Point,
    /// Half of the longer side.
    half: f32,
}

impl Window {
    fn around(points: &[Point]) -> Self {
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for p in points {
            low = [low[0].min(p[0]), low[1].min(p[1])];
            high = [high[0].max(p[0]), high[1].max(p[1])];
        }
        let half = ((high[0] - low[0]).max(high[1] - low[1]) / 2.0).max(0.0);
        if points.is_empty() || half == 0.0 {
            // One place: the middle.
            return Self { centre: points.first().copied().unwrap_or_default(), half: 1.0 };
        }
        Self { centre: [(low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0], half }
    }

    fn seen(&self, p: Point) -> Point {
        // What is placed later may lie beyond what is there.
        [0, 1].map(|axis| ((p[axis] - self.centre[axis]) / self.half).clamp(-1.0, 1.0))
    }

    fn all(&self, points: &[Point]) -> Vec<Point> {
        points.iter().map(|p| self.seen(*p)).collect()
    }
}

/// A map that rows can be placed into.
#[derive(Clone, Debug)]
pub struct EmbeddingMap {
    reduction: Reduction,
    window: Window,
    /// Rows that are laid out `[n, k]`, and where, in t-SNE's units; without them the first two components are the map.
    laid_out: Option<(Array2<f32>, Vec<Point>)>,
}

impl EmbeddingMap {
    /// The first two components of rows `[n, k]` that `reduction` has reduced: a map at once.
    pub fn of_components(reduction: Reduction, reduced: ArrayView2<'_, f32>) -> Self {
        Self { reduction, window: Window::around(&first_two(reduced)), laid_out: None }
    }

    /// What brings embeddings into the form that [`Self::place`] takes.
    pub fn reduction(&self) -> &Reduction {
        &self.reduction
    }

    /// Whether it is laid out by t-SNE, rather than by components alone.
    pub fn is_laid_out(&self) -> bool {
        self.laid_out.is_some()
    }

    /// Where rows `[n, k]` are that its reduction has reduced: those that it was made of where they were, others among their
    /// nearest neighbours.
    ///
    /// # Errors
    /// Another width; cancelled.
    pub fn place(&self, reduced: ArrayView2<'_, f32>, token: &CancelToken) -> Result<Vec<Point>, ProjectionError> {
        if reduced.ncols() != self.reduction.n_components() {
            return Err(ProjectionError::Width { expected: self.reduction.n_components(), found: reduced.ncols() });
        }
        let Some((rows, places)) = &self.laid_out else { return Ok(self.window.all(&first_two(reduced))) };
        let placing = Placing::new(reduced, rows.view(), token)?;
        Ok(self.window.all(&placing.places(places)))
    }
}

fn first_two(reduced: ArrayView2<'_, f32>) -> Vec<Point> {
    reduced.outer_iter().map(|row| [row[0], row[1]]).collect()
}

/// A layout under way.
pub struct Frame<'a> {
    /// Steps done.
    pub n_done: usize,
    /// Of how many.
    pub n_total: usize,
    places: &'a [f32],
    rows: &'a Rows,
}

impl Frame<'_> {
    /// Where all rows are now, in the order that was given.
    pub fn points(&self) -> Vec<Point> {
        let places = points(self.places);
        Window::around(&places).all(&self.rows.points(&places))
    }
}

/// Which place each row has.
struct Rows {
    /// Index of the place, for rows that are laid out.
    place_of: Vec<Option<usize>>,
    /// The others in their order.
    others: Placing,
}

impl Rows {
    fn points(&self, places: &[Point]) -> Vec<Point> {
        let mut others = self.others.places(places).into_iter();
        let of = |place: &Option<usize>| place.map_or_else(|| others.next().unwrap_or_default(), |i| places[i]);
        self.place_of.iter().map(of).collect()
    }
}

/// Lays out rows `[n, k]` that `reduction` has reduced: those of `sample` (ascending) by t-SNE, the others among them. Equal
/// rows are one point. Fewer than 10 different rows stay where their components have them.
///
/// `on_frame` is called after every step and should be quick, or seldom look at the points.
///
/// Time grows with `sample.len()` times its logarithm (0.7 ms a row or so), memory with 300 bytes a row of it.
///
/// # Errors
/// A row that is not there; another width; cancelled; no thread.
pub fn lay_out(
    reduction: Reduction,
    reduced: ArrayView2<'_, f32>,
    sample: &[usize],
    on_frame: &mut (dyn FnMut(Frame<'_>) + Send),
    token: &CancelToken,
) -> Result<(EmbeddingMap, Vec<Point>), ProjectionError> {
    let n_rows = reduced.nrows();
    if let Some(&row) = sample.iter().find(|row| **row >= n_rows) {
        return Err(ProjectionError::NoSuchRow { row, n_rows });
    }
    if reduced.ncols() != reduction.n_components() {
        return Err(ProjectionError::Width { expected: reduction.n_components(), found: reduced.ncols() });
    }
    let (distinct, place_of_sample) = distinct(reduced, sample);
    if distinct.len() < LEAST_ROWS {
        let map = EmbeddingMap::of_components(reduction, reduced);
        let points = map.place(reduced, token)?;
        return Ok((map, points));
    }
    let laid_out = reduced.select(Axis(0), &distinct);
    let mut place_of = vec![None; n_rows];
    for (row, place) in sample.iter().zip(place_of_sample) {
        place_of[*row] = Some(place);
    }
    let others: Vec<usize> = (0..n_rows).filter(|row| place_of[*row].is_none()).collect();
    let others = Placing::new(reduced.select(Axis(0), &others).view(), laid_out.view(), token)?;
    let rows = Rows { place_of, others };
    let mut on_step = |n_done, places: &[f32]| on_frame(Frame { n_done, n_total: N_STEPS, places, rows: &rows });
    let places = tsne(laid_out.view(), &mut on_step, token)?;
    let window = Window::around(&places);
    let points = window.all(&rows.points(&places));
    Ok((EmbeddingMap { reduction, window, laid_out: Some((laid_out, places)) }, points))
}

/// The rows of a sample that differ, each the first of its kind, and for every row of the sample which of them it is.
fn distinct(reduced: ArrayView2<'_, f32>, sample: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let compare = |a: usize, b: usize| {
        let pairs = reduced.row(a).into_iter().zip(reduced.row(b));
        pairs.map(|(x, y)| x.total_cmp(y)).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    };
    let mut order: Vec<usize> = (0..sample.len()).collect();
    order.sort_by(|&a, &b| compare(sample[a], sample[b]).then(a.cmp(&b)));
    // The first of its kind stands for each.
    let mut first_of = vec![0; sample.len()];
    for (i, &at) in order.iter().enumerate() {
        first_of[at] = match i.checked_sub(1).map(|before| order[before]) {
            Some(before) if compare(sample[before], sample[at]).is_eq() => first_of[before],
            _ => at,
        };
    }
    let mut place_of = vec![0; sample.len()];
    let mut distinct = Vec::new();
    for at in 0..sample.len() {
        if first_of[at] == at {
            place_of[at] = distinct.len();
            distinct.push(sample[at]);
        } else {
            place_of[at] = place_of[first_of[at]];
        }
    }
    (distinct, place_of)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
