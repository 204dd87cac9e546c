//! The distance to the nearest class, as an output beside the logits.

use super::build::{Builder, attr_int};
use super::fuse::FEATURES;
use crate::head::NearestClass;

/// Name of the output, `[N, 1]`.
pub const DISTANCE: &str = "distance";

/// Shortest length that features are divided by, as in the app.
const LEAST_NORM: f32 = 1e-12;

/// Adds [`NearestClass::distances`] of the features: 1 less the largest cosine with a class.
///
/// The largest is taken by pooling over a row of cosines, since `ReduceMax` changed its form at opset 18.
pub(super) fn add(b: &mut Builder, nearest: &NearestClass) {
    let directions = nearest.directions();
    let (n_classes, dim) = directions.dim();
    let turned = directions.t();
    let directions = b.f32s("directions", &[dim, n_classes], turned);
    let ones = b.f32s("ones_of_features", &[dim, 1], &vec![1.0; dim]);
    let (least, one) = (b.f32s("least_length", &[], &[LEAST_NORM]), b.f32s("one", &[], &[1.0]));
    let squares = b.op("Mul", "squares_of_features", &[FEATURES, FEATURES]);
    let sum = b.op("MatMul", "squared_length", &[&squares, &ones]);
    let length = b.op("Sqrt", "length", &[&sum]);
    let length = b.op("Max", "length_kept", &[&length, &least]);
    let products = b.op("MatMul", "products", &[FEATURES, &directions]);
    let cosines = b.op("Div", "cosines_of_classes", &[&products, &length]);
    let row = b.i64s(&[3], &[-1, 1, n_classes as i64]);
    let rows = b.op("Reshape", "rows_of_cosines", &[&cosines, &row]);
    let nearest = b.op("GlobalMaxPool", "largest", &[&rows]);
    let nearest = b.op_with("Flatten", "largest_cosine", &[&nearest], vec![attr_int("axis", 1)]);
    b.op_to("Sub", DISTANCE, &[&one, &nearest], Vec::new());
}
