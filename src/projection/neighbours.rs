//! The nearest rows, exactly.

use ndarray::{Array1, ArrayView1, ArrayView2, Axis, s};

use super::ProjectionError;
use crate::progress::CancelToken;

/// Rows that are compared with all others at a time.
const BLOCK_ROWS: usize = 256;

/// A near row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Near {
    /// Which.
    pub row: u32,
    /// Squared Euclidean distance.
    pub squared: f32,
}

/// For each row of `queries` `[m, k]` the `n_near` nearest of `rows` `[n, k]`, nearest first, equally near ones by number.
/// With `are_the_rows` the queries are the rows themselves, and none is its own neighbour.
///
/// # Errors
/// Cancelled.
pub(super) fn nearest(
    queries: ArrayView2<'_, f32>,
    rows: ArrayView2<'_, f32>,
    n_near: usize,
    are_the_rows: bool,
    token: &CancelToken,
) -> Result<Vec<Vec<Near>>, ProjectionError> {
    let squares: Array1<f32> = rows.axis_iter(Axis(0)).map(|row| row.dot(&row)).collect();
    let n_near = n_near.min(rows.nrows().saturating_sub(usize::from(are_the_rows)));
    let mut found = Vec::with_capacity(queries.nrows());
    let mut order: Vec<(f32, u32)> = Vec::with_capacity(rows.nrows());
    for start in (0..queries.nrows()).step_by(BLOCK_ROWS) {
        if token.is_cancelled() {
            return Err(ProjectionError::Cancelled);
        }
        let end = (start + BLOCK_ROWS).min(queries.nrows());
        let products = queries.slice(s![start..end, ..]).dot(&rows.t());
        for (query, products) in (start..end).zip(products.axis_iter(Axis(0))) {
            // Without the query's own square, which changes no order.
            order.clear();
            let keys = squares.iter().zip(products).map(|(square, product)| square - 2.0 * product);
            order.extend(keys.zip(0_u32..).filter(|(_, row)| !(are_the_rows && *row as usize == query)));
            let by_key = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
            if n_near > 0 && n_near < order.len() {
                order.select_nth_unstable_by(n_near - 1, by_key);
            }
            // Differences of squares lose what tells near rows apart: the few that are left are measured again.
            let of = |row: u32| Near { row, squared: squared(queries.row(query), rows.row(row as usize)) };
            let mut near: Vec<Near> = order.iter().take(n_near).map(|(_, row)| of(*row)).collect();
            near.sort_by(|a, b| a.squared.total_cmp(&b.squared).then(a.row.cmp(&b.row)));
            found.push(near);
        }
    }
    Ok(found)
}

fn squared(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::rng::SplitMix64;
    use ndarray::Array2;

    #[test]
    fn the_nearest_are_found_and_equals_stand_by_number() {
        let mut rng = SplitMix64::new(3);
        // Few different values, so that many are equally far.
        let rows = Array2::from_shape_simple_fn((600, 3), || rng.below(5) as f32);
        let found = nearest(rows.view(), rows.view(), 7, true, &CancelToken::new()).unwrap();
        for (query, near) in found.iter().enumerate() {
            let mut all: Vec<(f32, usize)> = (0..600)
                .filter(|row| *row != query)
                .map(|row| (squared(rows.row(query), rows.row(row)), row))
                .collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let expected: Vec<Near> =
                all[..7].iter().map(|(squared, row)| Near { row: *row as u32, squared: *squared }).collect();
            assert_eq!(near, &expected, "{query}");
        }
    }

    #[test]
    fn there_are_never_more_than_there_are() {
        let rows = Array2::from_shape_fn((3, 2), |(i, _)| i as f32);
        let token = CancelToken::new();
        let of = |own| nearest(rows.view(), rows.view(), 90, own, &token).unwrap();
        assert!(of(true).iter().all(|near| near.len() == 2));
        assert_eq!(of(false)[1][0], Near { row: 1, squared: 0.0 });
        let none = Array2::<f32>::zeros((0, 2));
        assert_eq!(nearest(rows.view(), none.view(), 5, false, &token).unwrap(), vec![Vec::new(); 3]);
        token.cancel();
        assert!(matches!(nearest(rows.view(), rows.view(), 1, true, &token), Err(ProjectionError::Cancelled)));
    }
}
