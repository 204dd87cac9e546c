//! t-SNE of few enough rows.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bhtsne::{Neighbor, tSNE};
use ndarray::ArrayView2;

use super::neighbours::nearest;
use super::{Point, ProjectionError};
use crate::progress::CancelToken;

/// Neighbours that count for a point, about: scikit-learn's and openTSNE's value.
const PERPLEXITY: usize = 30;
/// Steps; the first third of them with attraction exaggerated, as openTSNE does.
pub(super) const N_STEPS: usize = 750;
/// Cells of the plane this much smaller than they are far count as one point: the value of Barnes and Hut's t-SNE.
const THETA: f32 = 0.5;
/// Fewer rows have too few neighbours for a layout: their components are the map.
pub(super) const LEAST_ROWS: usize = 10;

/// Ends the layout from within its callback, which has no other way to.
struct Ended;

/// Places of rows `[n, k]`, n at least [`LEAST_ROWS`], all different; in t-SNE's own units. `on_step` is told the number of
/// steps done and the places.
///
/// Kullback-Leibler divergence by gradient descent (van der Maaten, "Accelerating t-SNE using tree-based algorithms", 2014)
/// from the first two components (Kobak and Berens, "The art of using t-SNE for single-cell transcriptomics", 2019).
///
/// # Errors
/// Cancelled; no thread.
pub(super) fn tsne(
    rows: ArrayView2<'_, f32>,
    on_step: &mut (dyn FnMut(usize, &[f32]) + Send),
    token: &CancelToken,
) -> Result<Vec<Point>, ProjectionError> {
    let n = rows.nrows();
    let perplexity = PERPLEXITY.min((n - 1) / 3);
    let near = nearest(rows, rows, 3 * perplexity, true, token)?;
    let near: Vec<Vec<Neighbor<f32>>> = near
        .into_iter()
        .map(|near| near.iter().map(|n| Neighbor { index: n.row as usize, distance: n.squared.sqrt() }).collect())
        .collect();
    let spread = (rows.column(0).iter().map(|v| v * v).sum::<f32>() / n as f32).sqrt().max(f32::MIN_POSITIVE);
    let begin: Vec<f32> = rows.outer_iter().flat_map(|row| [row[0], row[1]]).map(|v| v / spread * 1e-4).collect();
    // One thread: sums that several threads share come out in another order each time, and a map with them. Another core is
    // left to the window and to embedding.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "t-SNE".to_owned()).build();
    let pool = pool.map_err(ProjectionError::NoThread)?;
    let run = || {
        let data = vec![(); n];
        let mut fit = tSNE::<f32, (), 2>::new(&data);
        fit.perplexity(perplexity as f32)
            .epochs(N_STEPS)
            // Four times n / 12, since this implementation's gradient lacks the factor 4 and its gains are capped at 2.
            .learning_rate((n as f32 / 3.0).max(50.0))
            .initial_embedding(begin)
            .epoch_callback(|step, places| {
                if token.is_cancelled() {
                    resume_unwind(Box::new(Ended));
                }
                on_step(step + 1, places);
            })
            .barnes_hut_with_neighbors(THETA, &near);
        points(&fit.embedding())
    };
    match catch_unwind(AssertUnwindSafe(|| pool.install(run))) {
        Ok(points) => Ok(points),
        Err(payload) if payload.is::<Ended>() => Err(ProjectionError::Cancelled),
        Err(payload) => resume_unwind(payload),
    }
}

/// Pairs of coordinates.
pub(super) fn points(places: &[f32]) -> Vec<Point> {
    places.as_chunks::<2>().0.to_vec()
}
