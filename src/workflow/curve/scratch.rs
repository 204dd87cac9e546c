//! Features that have learned nothing, of the same images: what pretraining is measured by.

use std::path::PathBuf;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::Source;
use crate::backbone::provider::Provider;
use crate::backbone::{Backbone, BackboneError};
use crate::embedding::Embeddings;
use crate::progress::Reporter;
use crate::workflow::embed::{EmbedConfig, embed};
use crate::workflow::{SharedCache, WorkflowError};

/// Side of the pictures whose pixels are features.
pub const SIDE_PX: u32 = 32;
/// Seed of the random weights: the same for every project, so that the cache knows their features.
const WEIGHTS_SEED: u64 = 0;

/// Features of each source, and what could not be made.
type Baselines = (Vec<(Source, Embeddings)>, Vec<String>);

/// Features of the images at `paths` from scratch, standardised, and what could not be made, in words.
///
/// # Errors
/// When the user cancels, or the machine fails in a way that has nothing to do with the model.
pub(super) fn baselines(
    backbone: &Backbone,
    paths: &[PathBuf],
    config: &EmbedConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
) -> Result<Baselines, WorkflowError> {
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    // Flattening pixels is nothing that a graphics card would do faster.
    let on_cpu = EmbedConfig { provider: Provider::Cpu, ..config.clone() };
    let made = [
        (Source::RawPixels, Backbone::raw_pixels(SIDE_PX), &on_cpu),
        (Source::RandomWeights, backbone.untrained(WEIGHTS_SEED), config),
    ];
    for (source, made, config) in made {
        let features = made.map_err(WorkflowError::from).and_then(|b| embed(&b, paths, cache, config, reporter));
        let why = match features {
            Ok(embedded) if embedded.path_idx.len() == paths.len() => {
                found.push((source, standardised(&embedded.embeddings)?));
                continue;
            }
            Ok(embedded) => match embedded.skipped.first() {
                Some(first) => format!("{} ({})", first.path.display(), first.reason),
                None => "some images could not be used".to_owned(),
            },
            Err(WorkflowError::Cancelled) => return Err(WorkflowError::Cancelled),
            Err(WorkflowError::Backbone(error)) => match error {
                // Without the runtime there would be no pretrained features either.
                BackboneError::Runtime(_) => return Err(error.into()),
                error => error.to_string(),
            },
            Err(error) => return Err(error),
        };
        notes.push(format!("There is no curve for {}: {why}.", source.label().to_lowercase()));
    }
    Ok((found, notes))
}

/// Columns of mean 0 and variance 1, over all rows; no label has a part in it. Pixels and random features come in any scale,
/// which the penalty of a linear head would read as importance.
fn standardised(rows: &Embeddings) -> Result<Embeddings, WorkflowError> {
    let x: ArrayView2<'_, f32> = rows.view();
    let n = x.nrows().max(1) as f64;
    let sums = |of: &(dyn Fn(usize, f32) -> f64 + Sync)| -> Vec<f64> {
        (0..x.ncols()).into_par_iter().map(|j| x.column(j).iter().map(|&v| of(j, v)).sum::<f64>() / n).collect()
    };
    let mean = sums(&|_, v| f64::from(v));
    let variance = sums(&|j, v| (f64::from(v) - mean[j]).powi(2));
    // What never changes says nothing; scaled up it would say rounding errors.
    let scale: Vec<f64> = variance
        .iter()
        .zip(&mean)
        .map(|(v, m)| if *v > 1e-12 * (1.0 + m * m) { 1.0 / v.sqrt() } else { 0.0 })
        .collect();
    let mut values: Array2<f32> = x.to_owned();
    values.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut row| {
        row.iter_mut().enumerate().for_each(|(j, v)| *v = ((f64::from(*v) - mean[j]) * scale[j]) as f32);
    });
    Ok(Embeddings::new(values, rows.space().clone())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::embedding::EmbeddingSpace;

    #[test]
    fn columns_are_standardised_and_constant_ones_are_nothing() {
        let values = Array2::from_shape_fn((50, 3), |(i, j)| match j {
            0 => 1000.0 + i as f32,
            1 => 7.25,
            _ => -1e-4 * i as f32,
        });
        let space = EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim: 3 };
        let found = standardised(&Embeddings::new(values, space).unwrap()).unwrap();
        for column in [0, 2] {
            let column = found.view().column(column).to_owned();
            let mean = column.sum() / 50.0;
            let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 50.0;
            assert!(mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
        }
        assert!(found.view().column(1).iter().all(|v| *v == 0.0));
    }
}
