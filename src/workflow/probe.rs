//! Where in a backbone the knowledge sits: heads trained on the features of several depths.

use serde::Serialize;

use super::study::{StudyConfig, Worth, worth};
use super::train::Prepared;
use super::{SharedCache, WorkflowError, providers};
use crate::backbone::layers::{self, Layer};
use crate::backbone::manifest::{FeatureChoice, Pooling, split_label};
use crate::backbone::{Backbone, BackboneError};
use crate::classes::ClassSet;
use crate::dataset::{SkipReason, Skipped};
use crate::progress::{Reporter, Stage};

/// Depths that are probed unless the user names layers.
pub const N_LAYERS: usize = 7;
/// Wider features take long to fit, and flattened maps are no fair features.
const MAX_DIM: usize = 4096;

/// A layer with what it is worth and costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbedLayer {
    /// In the form of `--layer`.
    pub layer: String,
    /// The block that it ends, as far as the exporter named it.
    pub block: Option<String>,
    /// Depth in the graph, 0..1.
    pub depth: f32,
    /// Dimensions for one image, before pooling.
    pub dims: Vec<usize>,
    /// Width of the features.
    pub dim: usize,
    /// Multiplications (with an addition each) for one image.
    pub macs: Option<u64>,
    /// Parameters up to here.
    pub n_params: u64,
    /// Images a second of the graph up to here, alone.
    pub images_per_sec: f64,
    /// Whether it is what the model proposes.
    pub is_proposed: bool,
    /// What its features are worth.
    #[serde(flatten)]
    pub worth: Worth,
}

impl ProbedLayer {
    /// Validated accuracy of the linear head.
    pub fn accuracy(&self) -> Option<f64> {
        self.worth.linear.map(|estimate| estimate.value)
    }
}

/// What probing gives.
#[derive(Clone, Debug)]
pub struct ProbeOutcome {
    /// Layers, the earliest first.
    pub layers: Vec<ProbedLayer>,
    /// The classes.
    pub classes: ClassSet,
    /// Images that heads were fitted on.
    pub n_train: usize,
    /// Images that heads were judged on.
    pub n_val: usize,
    /// Files left out.
    pub skipped: Vec<Skipped>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl ProbeOutcome {
    /// The layer with the highest accuracy; of equal ones the earliest, which costs least.
    pub fn best(&self) -> Option<usize> {
        let score = |i: usize| self.layers[i].accuracy().unwrap_or(f64::NEG_INFINITY);
        (0..self.layers.len()).reduce(|best, i| if score(i) > score(best) { i } else { best })
    }
}

/// Trains heads on several depths of a backbone and judges them. The images go through the graph once, for all depths.
///
/// `wanted` are layers in the form of `--layer`; without, some spread over the depth are taken, and the proposed one.
///
/// # Errors
/// When there is nothing to train on, a layer does not fit, the graph cannot run, or the user cancels.
pub fn probe(
    backbone: &Backbone,
    wanted: Option<&[String]>,
    config: &StudyConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
) -> Result<ProbeOutcome, WorkflowError> {
    let survey = backbone.survey(reporter.cancel_token())?;
    let proposed = backbone.manifest.feature.value.label();
    let picked = match wanted {
        Some(wanted) => wanted.iter().map(|label| named(backbone, &survey.layers, label)).collect::<Result<_, _>>()?,
        None => {
            let mut picked = spread(&survey.layers, &proposed, N_LAYERS);
            // Also where it is none that a survey lists, as behind a quantiser: it is what the others are measured by.
            if !picked.iter().any(|layer| is_label_of(&proposed, layer)) {
                picked.extend(named(backbone, &survey.layers, &proposed).ok());
            }
            picked
        }
    };
    let mut at: Vec<(Layer, Backbone)> = Vec::with_capacity(picked.len());
    for layer in picked {
        let cut = backbone.at_listed(&layer, layer.pooling)?;
        // Two ways to the same columns would be counted twice.
        if !at.iter().any(|(_, known)| known.space == cut.space) {
            at.push((layer, cut));
        }
    }
    // The earliest first, in whatever order they were named.
    at.sort_by(|a, b| a.0.depth.total_cmp(&b.0.depth));
    let mut joined = side_by_side(&at)?;
    let mut prepared = config.prepare(&joined, cache, reporter);
    let mut left_out = Vec::new();
    if gives_no_numbers(&prepared) {
        // One layer's overflow must not take the images from all the others.
        at.retain(|(_, cut)| {
            let is_sound = !gives_no_numbers(&config.prepare(cut, cache, reporter));
            if !is_sound {
                left_out.push(format!("The layer {} is left out: it gives no numbers.", cut.space.layer));
            }
            is_sound
        });
        if !at.is_empty() && !left_out.is_empty() {
            joined = side_by_side(&at)?;
            prepared = config.prepare(&joined, cache, reporter);
        }
    }
    let mut prepared = prepared?;
    prepared.notes.extend(left_out);
    let parts = joined.parts();
    let provider = providers::settle(&joined, config.embed.provider, reporter)?;
    let mut layers = Vec::with_capacity(at.len());
    for (idx, (layer, cut)) in at.iter().enumerate() {
        reporter.progress(Stage::Fit, idx, at.len());
        let worth = worth(&prepared.data.part(&parts, idx)?, config.split.seed, reporter)?;
        let images_per_sec = providers::images_per_sec(cut, provider, reporter)?;
        layers.push(ProbedLayer {
            layer: cut.space.layer.clone(),
            block: layer.block.clone(),
            depth: layer.depth,
            dims: layer.dims.clone(),
            dim: cut.space.dim,
            macs: layer.macs,
            n_params: layer.n_params,
            images_per_sec,
            is_proposed: cut.space.layer == proposed,
            worth,
        });
    }
    reporter.progress(Stage::Fit, at.len(), at.len());
    let Prepared { data, skipped, notes, .. } = prepared;
    Ok(ProbeOutcome { layers, n_train: data.train.len(), n_val: data.val.len(), classes: data.classes, skipped, notes })
}

/// All layers in one graph.
fn side_by_side(at: &[(Layer, Backbone)]) -> Result<Backbone, WorkflowError> {
    let Some((_, first)) = at.first() else { return Err(BackboneError::NoFeatures.into()) };
    Ok(at.iter().skip(1).fold(first.clone(), |joined, (_, next)| joined.beside(next)))
}

/// Whether images are left out because their features are no numbers.
fn gives_no_numbers(prepared: &Result<Prepared, WorkflowError>) -> bool {
    match prepared {
        Ok(prepared) => prepared.skipped.iter().any(|s| s.reason == SkipReason::NotFinite),
        Err(WorkflowError::NothingUsable { reason, .. }) => *reason == SkipReason::NotFinite.to_string(),
        Err(_) => false,
    }
}

/// Whether a choice in the form of `--layer` is of this layer.
fn is_label_of(label: &str, layer: &Layer) -> bool {
    let choice = FeatureChoice { tensor: layer.tensor.clone(), pooling: layer.pooling };
    choice.label() == label || layer.tensor == label || layer.tensor == split_label(label, |_| false).0
}

/// A layer as the user names it.
fn named(backbone: &Backbone, layers: &[Layer], label: &str) -> Result<Layer, WorkflowError> {
    let (tensor, pooling) = split_label(label, |name| layers.iter().any(|layer| layer.tensor == name));
    if let Some(layer) = layers.iter().find(|layer| layer.tensor == tensor) {
        let pooling = pooling.unwrap_or(layer.pooling);
        if layers::pooling_fits(layer.dims.len(), pooling) {
            return Ok(Layer { pooling, dim: layers::pooled_dim(&layer.dims, pooling), ..layer.clone() });
        }
    }
    // One that is not listed, or a pooling that is wrong: opening it says what is the matter.
    let cut = backbone.at_layer(label, |_| None)?;
    let FeatureChoice { tensor, pooling } = cut.feature.clone();
    Ok(Layer {
        tensor,
        op_type: String::new(),
        block: None,
        depth: 1.0,
        dims: vec![cut.space.dim],
        pooling,
        dim: cut.space.dim,
        macs: None,
        n_params: 0,
    })
}

/// About `n` layers spread over the depth, with the proposed one (in the form of `--layer`). Tokens on the way count by
/// their mean: a class token knows the image only at the end.
pub fn spread(layers: &[Layer], proposed: &str, n: usize) -> Vec<Layer> {
    let is_proposed = |layer: &Layer| is_label_of(proposed, layer);
    let usable: Vec<usize> = (0..layers.len()).filter(|&i| (1..=MAX_DIM).contains(&layers[i].dim)).collect();
    let last = usable.iter().copied().find(|&i| is_proposed(&layers[i]));
    let deepest = last.map_or(1.0, |i| layers[i].depth);
    let mut picked: Vec<usize> = Vec::new();
    for step in 1..n {
        let target = deepest * step as f32 / n as f32;
        // Maps and tokens: what is pooled already stands at the end.
        let open = usable.iter().copied().filter(|&i| layers[i].dims.len() > 1 && layers[i].depth < deepest);
        let nearest =
            open.min_by(|&a, &b| (layers[a].depth - target).abs().total_cmp(&(layers[b].depth - target).abs()));
        picked.extend(nearest);
    }
    picked.extend(last);
    picked.sort_unstable();
    picked.dedup();
    let pooled = |i: usize| {
        let layer = layers[i].clone();
        match (layer.pooling, is_proposed(&layer)) {
            (_, true) => {
                let pooling = split_label(proposed, |_| false)
                    .1
                    .filter(|p| layers::pooling_fits(layer.dims.len(), *p))
                    .unwrap_or(layer.pooling);
                Layer { pooling, dim: layers::pooled_dim(&layer.dims, pooling), ..layer }
            }
            (Pooling::ClsToken, false) => Layer { pooling: Pooling::MeanToken, ..layer },
            _ => layer,
        }
    };
    picked.into_iter().map(pooled).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::image::spec::TensorLayout;

    fn layer(tensor: &str, depth: f32, dims: &[usize]) -> Layer {
        let pooling = layers::default_pooling(dims, None, layers::Axes::of_layout(TensorLayout::Nchw));
        Layer {
            tensor: tensor.into(),
            op_type: "Add".into(),
            block: None,
            depth,
            dims: dims.to_vec(),
            pooling,
            dim: layers::pooled_dim(dims, pooling),
            macs: None,
            n_params: 0,
        }
    }

    #[test]
    fn layers_are_spread_and_end_with_the_proposed_one() {
        let mut all: Vec<Layer> = (1..=20).map(|i| layer(&format!("t{i}"), i as f32 / 22.0, &[8 * i, 7, 7])).collect();
        all.push(layer("flat", 21.0 / 22.0, &[160]));
        all.push(layer("logits", 1.0, &[1000]));
        let picked = spread(&all, "flat", 5);
        let names: Vec<&str> = picked.iter().map(|l| l.tensor.as_str()).collect();
        assert_eq!(names.last(), Some(&"flat"));
        assert_eq!(names.len(), 5);
        assert!(picked.windows(2).all(|w| w[0].depth < w[1].depth));
        assert!(!names.contains(&"logits"));

        let tokens: Vec<Layer> = (1..=6).map(|i| layer(&format!("b{i}"), i as f32 / 6.0, &[50, 32])).collect();
        let picked = spread(&tokens, "b6|cls", 3);
        let poolings: Vec<Pooling> = picked.iter().map(|l| l.pooling).collect();
        assert_eq!(poolings, [Pooling::MeanToken, Pooling::MeanToken, Pooling::ClsToken]);
        assert!(spread(&[], "x", 3).is_empty());
    }
}
