//! Embeddings at unit length in the directions in which they differ most.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, Axis, s};

use super::ProjectionError;
use crate::eigen::eigenvectors;
use crate::progress::CancelToken;
use crate::rng::SplitMix64;

/// Components that are kept, at most: what t-SNE is given.
const N_COMPONENTS: usize = 50;
/// Directions that are searched beyond those, which makes the last ones accurate.
const N_BEYOND: usize = 10;
/// Times that the search goes through the data and back.
const N_ITERATIONS: usize = 6;
/// Rows that are reduced at a time. Always so many (the last with zeros), so that what becomes of a row depends on nothing
/// but the row.
const BLOCK_ROWS: usize = 256;
/// A component with less than this share of the first one's standard deviation is rounding.
const LEAST: f64 = 1e-5;

/// Principal components of rows at unit length.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduction {
    /// Mean of the rows `[D]`.
    mean: Array1<f32>,
    /// Unit vectors in the directions of the largest variance `[k, D]`; each has its largest value positive.
    components: Array2<f32>,
}

impl Reduction {
    /// Of rows `[n, D]`: at most 50 components, at least 2 columns (zeros where there are no such differences).
    ///
    /// A randomised singular value decomposition with power iterations (Halko, Martinsson and Tropp, "Finding structure with
    /// randomness", 2011, algorithms 4.4 and 5.1), seeded, of the rows at unit length less their mean.
    ///
    /// # Errors
    /// A row that is not finite; cancelled.
    pub fn fit(rows: ArrayView2<'_, f32>, seed: u64, token: &CancelToken) -> Result<Self, ProjectionError> {
        let mut x = rows.to_owned();
        for (row, values) in x.axis_iter_mut(Axis(0)).enumerate() {
            to_unit_length(values).map_err(|()| ProjectionError::NonFinite { row })?;
        }
        let (n, d) = x.dim();
        let mean = x.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(d));
        x -= &mean;
        let n_directions = (N_COMPONENTS + N_BEYOND).min(n).min(d);
        let go_on = || if token.is_cancelled() { Err(ProjectionError::Cancelled) } else { Ok(()) };
        // Directions are kept as rows, which lie together in memory.
        let mut rng = SplitMix64::new(seed);
        let mut signs = || if rng.next_u64() >> 63 == 0 { 1.0 } else { -1.0 };
        let mut across = Array2::<f32>::from_shape_simple_fn((n_directions, d), &mut signs);
        let mut along = across.dot(&x.t());
        for _ in 0..N_ITERATIONS {
            go_on()?;
            orthonormalise(&mut along);
            across = along.dot(&x);
            go_on()?;
            orthonormalise(&mut across);
            along = across.dot(&x.t());
        }
        orthonormalise(&mut along);
        go_on()?;
        let small = along.dot(&x).mapv(f64::from);
        let (values, vectors) = eigenvectors(small.dot(&small.t()));
        let largest = values.first().copied().unwrap_or(0.0).max(0.0).sqrt();
        let is_real = |value: &&f64| value.max(0.0).sqrt() > LEAST * largest && **value > 0.0;
        let n_found = values.iter().take(N_COMPONENTS).take_while(is_real).count();
        // Something in whose directions identical rows do not differ is not worth a direction.
        let n_found = if largest > 1e-6 * (n as f64).sqrt() { n_found } else { 0 };
        let mut components = Array2::<f32>::zeros((n_found.max(2), d));
        for (idx, mut component) in components.axis_iter_mut(Axis(0)).take(n_found).enumerate() {
            let direction = vectors.column(idx).dot(&small) / values[idx].sqrt();
            let extreme = direction.iter().fold(0.0_f64, |most, v| if v.abs() > most.abs() { *v } else { most });
            component.assign(&direction.mapv(|v| (v * extreme.signum()) as f32));
        }
        Ok(Self { mean, components })
    }

    /// Width of the rows that it reduces.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Number of columns that it reduces to.
    pub fn n_components(&self) -> usize {
        self.components.nrows()
    }

    /// The components of rows `[n, D]`: `[n, k]`, those of the largest variance first.
    ///
    /// # Errors
    /// Another width; a row that is not finite.
    pub fn reduce(&self, rows: ArrayView2<'_, f32>) -> Result<Array2<f32>, ProjectionError> {
        if rows.ncols() != self.dim() {
            return Err(ProjectionError::Width { expected: self.dim(), found: rows.ncols() });
        }
        let mut out = Array2::zeros((rows.nrows(), self.n_components()));
        let mut block = Array2::<f32>::zeros((BLOCK_ROWS, self.dim()));
        for start in (0..rows.nrows()).step_by(BLOCK_ROWS) {
            let end = (start + BLOCK_ROWS).min(rows.nrows());
            block.fill(0.0);
            for (row, mut values) in (start..end).zip(block.axis_iter_mut(Axis(0))) {
                values.assign(&rows.row(row));
                to_unit_length(values.view_mut()).map_err(|()| ProjectionError::NonFinite { row })?;
                values -= &self.mean;
            }
            let reduced = block.dot(&self.components.t());
            out.slice_mut(s![start..end, ..]).assign(&reduced.slice(s![..end - start, ..]));
        }
        Ok(out)
    }
}

/// A row of zeros has no direction and stays.
fn to_unit_length(mut row: ArrayViewMut1<'_, f32>) -> Result<(), ()> {
    if !row.iter().all(|v| v.is_finite()) {
        return Err(());
    }
    let length = row.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
    if length > 0.0 {
        row.mapv_inplace(|v| (f64::from(v) / length) as f32);
    }
    Ok(())
}

/// Makes the rows unit vectors at right angles (Gram and Schmidt, each row twice); one that the others explain becomes zero.
fn orthonormalise(rows: &mut Array2<f32>) {
    for i in 0..rows.nrows() {
        let (before, mut rest) = rows.view_mut().split_at(Axis(0), i);
        let mut row = rest.row_mut(0);
        let length = row.dot(&row).sqrt();
        for _ in 0..2 {
            for other in before.axis_iter(Axis(0)) {
                let along = row.dot(&other);
                row.scaled_add(-along, &other);
            }
        }
        let left = row.dot(&row).sqrt();
        let scale = if left > 1e-5 * length { 1.0 / left } else { 0.0 };
        row.mapv_inplace(|v| v * scale);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn random(n: usize, d: usize, seed: u64) -> Array2<f32> {
        let mut rng = SplitMix64::new(seed);
        // Columns of falling size, so that there are directions to find.
        Array2::from_shape_fn((n, d), |(_, j)| (rng.below(2001) as f32 / 1000.0 - 1.0) / (1.0 + j as f32) + 0.1)
    }

    fn fit(x: &Array2<f32>) -> Reduction {
        Reduction::fit(x.view(), 7, &CancelToken::new()).unwrap()
    }

    #[test]
    fn components_are_those_of_the_covariance() {
        for (n, d) in [(400, 30), (40, 120)] {
            let x = random(n, d, 1);
            let reduction = fit(&x);
            let mut unit = x.mapv(f64::from);
            for mut row in unit.axis_iter_mut(Axis(0)) {
                let length = row.dot(&row).sqrt();
                row.mapv_inplace(|v| v / length);
            }
            let unit = &unit - &unit.mean_axis(Axis(0)).unwrap();
            let (values, vectors) = eigenvectors(unit.t().dot(&unit));
            let reduced = reduction.reduce(x.view()).unwrap();
            for (idx, value) in values.iter().enumerate().take(10) {
                let found: f64 = reduced.column(idx).iter().map(|v| f64::from(*v).powi(2)).sum();
                assert!((found / value - 1.0).abs() < 1e-3, "{n} x {d}: {idx} has {found}, not {value}");
                let same = vectors.column(idx).dot(&reduction.components.row(idx).mapv(f64::from)).abs();
                assert!(same > 0.999, "{n} x {d}: direction {idx} is off, {same}");
                let row = reduction.components.row(idx);
                let extreme = row.iter().fold(0.0_f32, |m, v| if v.abs() > m.abs() { *v } else { m });
                assert!(extreme > 0.0, "the sign is fixed");
            }
        }
    }

    #[test]
    fn the_same_rows_give_the_same_wherever_they_stand() {
        let mut x = random(600, 33, 2);
        let first = x.row(0).to_owned();
        for row in [1, 255, 256, 599] {
            x.row_mut(row).assign(&(&first * if row == 256 { 4.0 } else { 1.0 }));
        }
        let reduction = fit(&x);
        assert_eq!(reduction, fit(&x));
        let all = reduction.reduce(x.view()).unwrap();
        for row in [1, 255, 256, 599] {
            assert_eq!(all.row(row), all.row(0), "{row}: the length makes no difference");
        }
        let one = reduction.reduce(x.slice(s![599.., ..])).unwrap();
        assert_eq!(one.row(0), all.row(0));
    }

    #[test]
    fn few_equal_and_empty_rows_have_components_too() {
        for n in 0..4 {
            let reduced = fit(&random(n, 5, 3)).reduce(random(n, 5, 3).view()).unwrap();
            assert_eq!(reduced.nrows(), n);
            assert!(reduced.ncols() >= 2 && reduced.iter().all(|v| v.is_finite()));
        }
        let mut same = Array2::from_elem((50, 8), 0.3);
        same.row_mut(7).fill(0.6);
        assert!(fit(&same).reduce(same.view()).unwrap().iter().all(|v| v.abs() < 1e-5), "one direction, one point");
        let zeros = Array2::zeros((4, 8));
        assert!(fit(&zeros).reduce(zeros.view()).unwrap().iter().all(|v| *v == 0.0));
    }

    #[test]
    fn what_is_no_number_is_named() {
        let mut x = random(300, 6, 4);
        let reduction = fit(&x);
        for bad in [f32::NAN, f32::INFINITY] {
            x[[270, 3]] = bad;
            let token = CancelToken::new();
            assert!(matches!(Reduction::fit(x.view(), 1, &token), Err(ProjectionError::NonFinite { row: 270 })));
            assert!(matches!(reduction.reduce(x.view()), Err(ProjectionError::NonFinite { row: 270 })));
        }
        let narrow = Array2::zeros((2, 5));
        assert!(matches!(reduction.reduce(narrow.view()), Err(ProjectionError::Width { expected: 6, found: 5 })));
        let token = CancelToken::new();
        token.cancel();
        let x = random(30, 6, 4);
        assert!(matches!(Reduction::fit(x.view(), 1, &token), Err(ProjectionError::Cancelled)));
    }
}
