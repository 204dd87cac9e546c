//! Logistic regression with given offsets and no intercept.

use ndarray::{Array2, ArrayView2};

use crate::head::error::HeadError;
use crate::head::lbfgs::{Stop, minimise};
use crate::head::logistic::Problem;
use crate::progress::CancelToken;

/// Fits are small: they may end late.
const STOP: Stop = Stop { tol: 1e-6, gap: 1e-6, max_iter: 300 };

/// `W` `[n_columns, n_classes]` that minimises `C sum_i CE(y_i, offset_i + x_i W) + |W|^2 / 2`.
///
/// Without an intercept: the features' common direction already is one, with a penalty. A free one would learn from a few
/// examples that the texts' classes are rarer or more frequent than they are.
pub(super) fn fit(
    x: ArrayView2<'_, f32>,
    y: &[usize],
    offset: &Array2<f64>,
    c: f64,
    start: Option<&Array2<f64>>,
    cancel: &CancelToken,
) -> Result<Array2<f64>, HeadError> {
    let n_classes = offset.ncols();
    let width = x.ncols();
    let targets: Vec<u32> = y.iter().map(|&class| class as u32).collect();
    // Two classes share one output, the difference of the two: half of its penalty is that of both together.
    let is_binary = n_classes == 2;
    let offset = match is_binary {
        true => Array2::from_shape_fn((y.len(), 1), |(row, _)| (offset[[row, 1]] - offset[[row, 0]]) as f32),
        false => offset.mapv(|v| v as f32),
    };
    let c = if is_binary { 2.0 * c } else { c };
    let problem = Problem::with_offset(x, targets, n_classes, offset);
    let start = match start {
        Some(w) if is_binary => (0..width).map(|j| w[[j, 1]] - w[[j, 0]]).chain([0.0]).collect(),
        Some(w) => w.t().iter().copied().chain(std::iter::repeat_n(0.0, n_classes)).collect(),
        None => vec![0.0; problem.n_params()],
    };
    let ridge = 1.0 / (c * problem.weight_sum());
    let largest = |gradient: &[f64], _: f64| gradient.iter().fold(0.0f64, |max, g| max.max(g.abs()));
    let minimum = minimise(&problem, ridge, start, STOP, &largest, cancel);
    if minimum.cancelled {
        return Err(HeadError::Cancelled);
    }
    let params = &minimum.params;
    Ok(match is_binary {
        true => {
            Array2::from_shape_fn((width, 2), |(j, class)| if class == 1 { params[j] / 2.0 } else { -params[j] / 2.0 })
        }
        false => Array2::from_shape_fn((width, n_classes), |(j, class)| params[class * width + j]),
    })
}
