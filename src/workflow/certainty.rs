//! How sure a head may be: its calibration before and after temperature scaling, and what rules for "unknown" are found
//! on.

use std::sync::Arc;

use ndarray::Array2;

use super::WorkflowError;
use super::train::FitData;
use crate::classes::ClassIdx;
use crate::embedding::Embeddings;
use crate::head::{ChosenBy, Head, KnownImage, NearestClass, TrainedHead, cross_fitted, softmax};
use crate::metrics::{Calibration, Reliability};
use crate::progress::CancelToken;

/// How sure a head may be.
#[derive(Clone, Debug, Default)]
pub struct Certainty {
    /// Before and after temperature scaling on the validation images; `None` without any, and of a head that nothing was
    /// fitted for.
    pub calibration: Option<Calibration>,
    /// What measures the distance to the nearest class; `None` of a head made of texts alone.
    pub nearest: Option<Arc<NearestClass>>,
    /// What it says of the validation images, in their order.
    pub known: Vec<KnownImage>,
}

impl Certainty {
    /// Of a head that was fitted on `data`; `seed` is that of the folds.
    pub(super) fn of(
        data: &FitData,
        trained: &TrainedHead,
        seed: u64,
        cancel: &CancelToken,
    ) -> Result<Self, WorkflowError> {
        if cancel.is_cancelled() {
            return Err(WorkflowError::Cancelled);
        }
        let FitData { classes, train, val, .. } = data;
        let nearest = NearestClass::fit(&train.embeddings, &train.classes, classes.len())?;
        if val.is_empty() {
            return Ok(Self { nearest: Some(Arc::new(nearest)), ..Self::default() });
        }
        let logits = trained.head.scores(&val.embeddings)?.values;
        let distances = nearest.distances(&val.embeddings)?;
        let known = known_images(&trained.head.activation().probabilities(&logits), Some(&distances), &val.classes);
        let record = &trained.record;
        // A text head's temperature alone is the validation images' choice.
        let has_chosen = matches!(record.temperature_by.unwrap_or(record.chosen_by), ChosenBy::Validation { .. })
            || (matches!(trained.head, Head::Text(_)) && data.can_choose());
        let calibration = calibration(&logits, &val.classes, record.temperature, has_chosen, seed)?;
        Ok(Self { calibration: Some(calibration), nearest: Some(Arc::new(nearest)), known })
    }
}

/// Calibration at temperature 1 and at `temperature`, which the `logits`, `[n_rows, n_classes]`, are already divided by.
/// Where these rows have chosen it, each is judged at one that was fitted without it.
///
/// # Errors
/// Without rows, or where logits are no numbers.
pub fn calibration(
    logits: &Array2<f32>,
    y: &[ClassIdx],
    temperature: f64,
    has_chosen: bool,
    seed: u64,
) -> Result<Calibration, WorkflowError> {
    let n_classes = logits.ncols();
    let plain = logits.mapv(|v| (f64::from(v) * temperature) as f32);
    // Each image has one true class, so classes are judged against each other, whatever the head's activation.
    let after = if has_chosen { cross_fitted(plain.view(), y, n_classes, seed) } else { softmax(logits) };
    Ok(Calibration {
        n_rows: y.len(),
        temperature,
        is_cross_fitted: has_chosen,
        before: Reliability::new(softmax(&plain).view(), y, n_classes, seed)?,
        after: Reliability::new(after.view(), y, n_classes, seed)?,
    })
}

/// What a head says of images whose classes are known: `probabilities` of shape `[n, n_classes]`, and distances where there
/// are any.
pub fn known_images(probabilities: &Array2<f32>, distances: Option<&[f32]>, y: &[ClassIdx]) -> Vec<KnownImage> {
    let top = super::evaluate::top(probabilities.view());
    let image = |(row, ((class, confidence), truth)): (usize, ((ClassIdx, f32), &ClassIdx))| KnownImage {
        confidence,
        distance: distances.and_then(|all| all.get(row).copied()),
        is_right: class == *truth,
    };
    top.into_iter().zip(y).enumerate().map(image).collect()
}

/// Distances of embeddings, where there is something to measure them.
pub(crate) fn distances(nearest: Option<&NearestClass>, of: &Embeddings) -> Result<Option<Vec<f32>>, WorkflowError> {
    Ok(nearest.map(|nearest| nearest.distances(of)).transpose()?)
}
