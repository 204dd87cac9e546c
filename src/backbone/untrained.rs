//! Backbones that have learned nothing, to measure by what pretraining is worth.

use std::path::PathBuf;
use std::sync::Arc;

use super::choose::Asked;
use super::describe::manifest;
use super::locate::ModelFiles;
use super::{Backbone, BackboneError, METADATA_PREPROCESS};
use crate::image::spec::{ChannelOrder, Filter, PreprocessSpec, Resize, TensorLayout};
use crate::onnx::{self, OnnxError};

/// Larger models would take as long again as their own embedding, and as much memory.
const MAX_UNTRAINED_BYTES: u64 = 600 << 20;

impl Backbone {
    /// The raw pixels of images of `side_px` as features, `[3 * side_px * side_px]`: red, green, blue, each row after row.
    ///
    /// # Errors
    /// When the graph cannot be described, which would be a fault of Graft's.
    pub fn raw_pixels(side_px: u32) -> Result<Self, BackboneError> {
        let spec = PreprocessSpec {
            resize: Resize::Squash { height_px: side_px, width_px: side_px },
            filter: Filter::Bilinear,
            crop: None,
            pad_rgb: [0, 0, 0],
            rescale: 1.0 / 255.0,
            mean: [0.5; 3],
            std: [0.5; 3],
            channels: ChannelOrder::Rgb,
            layout: TensorLayout::Nchw,
        };
        let graph = |source: OnnxError| BackboneError::Graph { source };
        let mut model = onnx::pixel_model(side_px);
        let text = serde_json::to_string(&spec).unwrap_or_default();
        onnx::set_metadata(&mut model, &[(METADATA_PREPROCESS, text.as_str())]);
        let bytes = onnx::encode(&model).map_err(graph)?;
        let id = blake3::hash(&bytes).to_hex().to_string();
        let files = ModelFiles { onnx: PathBuf::new(), side_dirs: Vec::new(), name: "Raw pixels".to_owned() };
        let manifest = manifest(&files, &mut model, id, bytes.len() as u64, Asked::Features)?;
        let feature = manifest.feature.value.clone();
        Self::with_feature(manifest, feature, Arc::new(model), |_| None)
    }

    /// The same graph, layer and preprocessing with random weights in the place of the learned ones (see
    /// [`onnx::untrain`]). Its features are of a space of their own, so that no cache takes them for those of this one.
    ///
    /// # Errors
    /// When weights are quantised or missing, the model is larger than 600 MB, or random weights give no usable features.
    pub fn untrained(&self, seed: u64) -> Result<Self, BackboneError> {
        let (bytes, max) = (self.manifest.size_bytes, MAX_UNTRAINED_BYTES);
        if bytes > max {
            return Err(BackboneError::TooLargeToUntrain { mb: bytes >> 20, max_mb: max >> 20 });
        }
        let mut model = onnx::prune(&self.model, &[&self.feature.tensor])
            .map_err(|source| BackboneError::Onnx { path: self.manifest.path.clone(), source })?;
        onnx::untrain(&mut model, seed).map_err(|source| BackboneError::Graph { source })?;
        let mut random = self.clone();
        let id = format!("untrained 1 {seed} {}", self.manifest.id);
        random.manifest.id = blake3::hash(id.as_bytes()).to_hex().to_string();
        random.manifest.name = format!("{} with random weights", self.manifest.name);
        random.space.backbone.clone_from(&random.manifest.id);
        random.space.layer = random.feature.label();
        random.space.dim -= random.beside.iter().map(|(_, space)| space.dim).sum::<usize>();
        random.beside.clear();
        random.model = Arc::new(model);
        random.check_features()?;
        Ok(random)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::backbone::provider::Provider;
    use crate::backbone::session::GraphSession;

    fn features(backbone: &Backbone, value: f32) -> Vec<f32> {
        let mut session = GraphSession::load(&backbone.feature_model().unwrap(), 1, Provider::Cpu).unwrap();
        let n: usize = backbone.input_dims(1).iter().product();
        let values = (0..n).map(|i| value + (i % 7) as f32 / 7.0).collect();
        backbone.run_features(&mut session, &backbone.input_dims(1), values, 1).unwrap()
    }

    #[test]
    fn pixels_come_out_as_they_go_in() {
        let pixels = Backbone::raw_pixels(8).unwrap();
        assert_eq!(pixels.space.dim, 192);
        let found = features(&pixels, 0.5);
        assert!((found[3] - (0.5 + 3.0 / 7.0)).abs() < 1e-6 && found.len() == 192);
        assert_eq!(Backbone::raw_pixels(8).unwrap().space, pixels.space);
        assert_ne!(Backbone::raw_pixels(16).unwrap().space.key(), pixels.space.key());
    }

    #[test]
    fn random_weights_make_a_space_of_their_own() {
        let starter = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/graft-starter");
        let trained = Backbone::open(&starter, None, |_| None).unwrap();
        let random = trained.untrained(0).unwrap();
        assert_eq!(random.space.dim, trained.space.dim);
        assert_ne!(random.space.key(), trained.space.key());
        assert_ne!(random.space.key(), trained.untrained(1).unwrap().space.key());
        let (one, other) = (features(&random, 0.0), features(&random, -1.0));
        assert_ne!(one, features(&trained, 0.0));
        assert_eq!(one, features(&trained.untrained(0).unwrap(), 0.0), "seeded");
        // Neither faded nor grown beyond what activations of a trained network are.
        let largest = one.iter().chain(&other).fold(0.0_f32, |max, v| max.max(v.abs()));
        assert!((1e-3..1e3).contains(&largest), "{largest}");
    }

    #[test]
    fn quantised_weights_are_left_as_they_are() {
        let int8 = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/graft-starter/onnx/vision_model_int8.onnx");
        let error = Backbone::open(&int8, None, |_| None).unwrap().untrained(0).unwrap_err();
        assert!(error.to_string().contains("quantised"), "{error}");
    }
}
