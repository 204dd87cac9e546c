//! Rows placed into a map that is there.

use ndarray::ArrayView2;

use super::neighbours::{Near, nearest};
use super::{Point, ProjectionError};
use crate::progress::CancelToken;

/// Neighbours that a row is placed among.
const N_NEAR: usize = 10;

/// What rows are near to: made once, placed as often as the map moves.
#[derive(Clone, Debug)]
pub(super) struct Placing {
    near: Vec<Vec<Near>>,
}

impl Placing {
    /// Of rows `[m, k]` among those that are laid out, `[n, k]`.
    ///
    /// # Errors
    /// Cancelled.
    pub(super) fn new(
        rows: ArrayView2<'_, f32>,
        laid_out: ArrayView2<'_, f32>,
        token: &CancelToken,
    ) -> Result<Self, ProjectionError> {
        Ok(Self { near: nearest(rows, laid_out, N_NEAR, false, token)? })
    }

    /// Where the rows are, given the places of those that are laid out, in t-SNE's own units.
    pub(super) fn places(&self, laid_out: &[Point]) -> Vec<Point> {
        self.near.iter().map(|near| place(near, laid_out)).collect()
    }
}

/// A row that is there already has its place. Any other lies where most of its neighbours do: the mean of them all would lie
/// between groups, where nothing is alike. The neighbours support each other by their nearness to the row and by t-SNE's
/// kernel on the map; around the one with the most support the mean is taken with the same weights.
fn place(near: &[Near], laid_out: &[Point]) -> Point {
    let Some(first) = near.first() else { return [0.0, 0.0] };
    let at = |near: &Near| laid_out.get(near.row as usize).copied().unwrap_or_default();
    if first.squared == 0.0 {
        return at(first);
    }
    let weight = |near: &Near| first.squared / near.squared;
    let kernel = |a: Point, b: Point| 1.0 / (1.0 + (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2));
    let support = |candidate: &Near| {
        let of_others: f32 = near.iter().map(|n| weight(n) * kernel(at(candidate), at(n))).sum();
        weight(candidate) * of_others
    };
    let (mut centre, mut most) = (at(first), f32::NEG_INFINITY);
    for candidate in near {
        let support = support(candidate);
        if support > most {
            (centre, most) = (at(candidate), support);
        }
    }
    let (mut sum, mut weights) = ([0.0, 0.0], 0.0);
    for n in near {
        let (w, p) = (weight(n) * kernel(centre, at(n)), at(n));
        sum = [sum[0] + w * p[0], sum[1] + w * p[1]];
        weights += w;
    }
    [sum[0] / weights, sum[1] / weights]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_row_lies_among_most_of_its_neighbours() {
        // Three of a kind at one end of the map, one that is as near at the other.
        let laid_out = array![[0.0_f32, 1.0], [0.0, 1.1], [0.0, 0.9], [0.0, 1.0], [9.0, 9.0]];
        let map = [[-10.0, 0.0], [-10.5, 0.0], [-10.0, 0.5], [10.0, 0.0], [0.0, 9.0]];
        let placing = Placing::new(array![[0.05_f32, 1.0]].view(), laid_out.view(), &CancelToken::new()).unwrap();
        let [x, y] = placing.places(&map)[0];
        assert!((-10.6..-9.5).contains(&x) && (-0.1..0.6).contains(&y), "{x} {y}");
    }

    #[test]
    fn what_is_there_already_lies_on_itself() {
        let laid_out = array![[1.0_f32, 2.0], [3.0, 4.0]];
        let map = [[5.0, 6.0], [7.0, 8.0]];
        let placing = Placing::new(laid_out.view(), laid_out.view(), &CancelToken::new()).unwrap();
        assert_eq!(placing.places(&map), map);
        let none = Placing::new(laid_out.view(), laid_out.slice(ndarray::s![..0, ..]), &CancelToken::new()).unwrap();
        assert_eq!(none.places(&[]), [[0.0, 0.0]; 2], "into an empty map");
    }
}
