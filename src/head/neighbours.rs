//! The images that an image is most like.

use ndarray::{ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use super::affine::norm;
use super::check;
use super::error::HeadError;

/// An image and how like it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its row.
    pub row: usize,
    /// Cosine of the two embeddings, -1..1.
    pub similarity: f32,
}

/// The `n` rows of `x`, `[n_rows, dim]`, with the largest cosine to `query`, `[dim]`, the most like first; the earlier of
/// equal ones. A row of length 0 is like nothing: its cosine is 0.
///
/// # Errors
/// A value that is not finite (of the query: row 0), another width.
pub fn nearest(x: ArrayView2<'_, f32>, query: ArrayView1<'_, f32>, n: usize) -> Result<Vec<Neighbour>, HeadError> {
    check::finite(query.insert_axis(Axis(0)))?;
    check::finite(x)?;
    if x.ncols() != query.len() {
        return Err(HeadError::Shape { rows: x.nrows(), cols: x.ncols(), n_classes: x.nrows(), dim: query.len() });
    }
    let length = norm(query);
    let unit = query.mapv(|v| f64::from(v) / f64::from(length));
    let mut all: Vec<Neighbour> = (0..x.nrows())
        .into_par_iter()
        .map(|row| {
            let values = x.row(row);
            let product: f64 = values.iter().zip(&unit).map(|(&a, b)| f64::from(a) * b).sum();
            Neighbour { row, similarity: (product / f64::from(norm(values))).clamp(-1.0, 1.0) as f32 }
        })
        .collect();
    let by_similarity = |a: &Neighbour, b: &Neighbour| b.similarity.total_cmp(&a.similarity).then(a.row.cmp(&b.row));
    if n < all.len() {
        all.select_nth_unstable_by(n, by_similarity);
        all.truncate(n);
    }
    all.sort_unstable_by(by_similarity);
    Ok(all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn the_most_like_come_first_whatever_their_length() {
        let x = array![[1.0_f32, 0.0], [10.0, 10.0], [0.0, 2.0], [-3.0, 0.0], [0.0, 0.0], [7.0, 7.0]];
        let found = nearest(x.view(), array![2.0_f32, 2.0].view(), 4).unwrap();
        assert_eq!(found.iter().map(|f| f.row).collect::<Vec<_>>(), [1, 5, 0, 2]);
        assert!((found[0].similarity - 1.0).abs() < 1e-6 && (found[2].similarity - 0.5_f32.sqrt()).abs() < 1e-6);
        let all = nearest(x.view(), array![2.0_f32, 2.0].view(), 99).unwrap();
        assert_eq!((all.len(), all[4].row, all[5].row), (6, 4, 3));
        assert!(nearest(x.view(), array![0.0_f32, 0.0].view(), 2).unwrap().iter().all(|f| f.similarity == 0.0));
    }

    #[test]
    fn bad_values_are_said_and_nothing_is_no_error() {
        assert!(nearest(Array2::zeros((0, 2)).view(), array![1.0_f32, 0.0].view(), 3).unwrap().is_empty());
        let x = array![[1.0_f32, 0.0], [f32::NAN, 0.0]];
        assert_eq!(nearest(x.view(), array![1.0_f32, 0.0].view(), 3), Err(HeadError::NonFinite { row: 1 }));
        let query = array![f32::INFINITY, 0.0];
        assert_eq!(nearest(x.view(), query.view(), 3), Err(HeadError::NonFinite { row: 0 }));
        assert!(matches!(nearest(x.view(), array![1.0_f32].view(), 3), Err(HeadError::NonFinite { .. })));
        assert!(matches!(nearest(array![[1.0_f32]].view(), query.view(), 0), Err(HeadError::NonFinite { .. })));
        let wide = nearest(array![[1.0_f32, 2.0]].view(), array![1.0_f32].view(), 1);
        assert!(matches!(wide, Err(HeadError::Shape { .. })));
    }
}
