//! The user's own preprocessing in place of what was read or guessed.

use super::manifest::{Origin, Pooling};
use super::open::preprocess_key;
use super::{Backbone, BackboneError, resolve};
use crate::embedding::EmbeddingSpace;
use crate::image::spec::PreprocessSpec;
use crate::onnx;

impl Backbone {
    /// The same backbone with preprocessing that the user has set. Fields that differ from the model's get
    /// [`Origin::User`]; the space is another one.
    ///
    /// # Errors
    /// When the specification contradicts itself, or gives a size or layout that the graph does not take.
    pub fn with_preprocess(self, spec: PreprocessSpec) -> Result<Self, BackboneError> {
        self.with_preprocess_and_dim(spec, |_| None)
    }

    /// As [`Self::with_preprocess`]; `known_dim` may tell the width of a space (whose `dim` is still 0) from an earlier
    /// run, where another size of the image calls for a run.
    ///
    /// # Errors
    /// As there.
    pub fn with_preprocess_and_dim(
        mut self,
        spec: PreprocessSpec,
        known_dim: impl Fn(&EmbeddingSpace) -> Option<usize>,
    ) -> Result<Self, BackboneError> {
        let own = &self.manifest.preprocess.spec;
        if spec == *own {
            return Ok(self);
        }
        let size = spec.output_size()?;
        self.check_input(&spec)?;
        let takes_other_input = size != own.output_size()? || spec.layout != own.layout;
        let changed = changed_fields(own, &spec);
        for (field, origin) in &mut self.manifest.preprocess.origins {
            if changed.contains(field) {
                *origin = Origin::User;
            }
        }
        if spec.layout != own.layout
            && let Pooling::GlobalAverage { layout } | Pooling::GeneralisedMean { layout } = &mut self.feature.pooling
        {
            let layouts = onnx::layouts(&self.model, &self.manifest.input.name, spec.layout).ok();
            let known = layouts.as_ref().and_then(|layouts| layouts.get(self.feature.tensor.as_str())).copied();
            *layout = known.unwrap_or(if *layout == own.layout { spec.layout } else { *layout });
        }
        self.beside.clear();
        self.space.layer = self.feature.label();
        self.space.preprocess = preprocess_key(&spec, &self.model);
        self.manifest.preprocess.spec = spec;
        if takes_other_input {
            self.space.dim = 0;
            // Run also where the width is stated: not every graph takes every size that it does not forbid.
            self.space.dim = match known_dim(&self.space) {
                Some(dim) => dim,
                None => self.measured_dim()?,
            };
        }
        Ok(self)
    }

    /// That the graph takes what the preprocessing gives.
    fn check_input(&self, spec: &PreprocessSpec) -> Result<(), BackboneError> {
        let input = &self.manifest.input;
        let takes = resolve::input_layout(input);
        if takes.origin == Origin::Graph && takes.value != spec.layout {
            return Err(BackboneError::InputLayout { takes: takes.value });
        }
        let (height_px, width_px) = spec.output_size()?;
        let (takes_height_px, takes_width_px) = resolve::input_size(input, spec.layout);
        if takes_height_px.is_some_and(|px| px != height_px) || takes_width_px.is_some_and(|px| px != width_px) {
            return Err(BackboneError::InputSize { height_px, width_px, takes_height_px, takes_width_px });
        }
        Ok(())
    }
}

/// Names of the fields that differ, as in `ResolvedPreprocess::origins`.
fn changed_fields(a: &PreprocessSpec, b: &PreprocessSpec) -> Vec<&'static str> {
    let fields = [
        ("resize", a.resize != b.resize),
        ("filter", a.filter != b.filter),
        ("crop", a.crop != b.crop),
        ("pad_rgb", a.pad_rgb != b.pad_rgb),
        ("rescale", a.rescale != b.rescale),
        ("mean", a.mean != b.mean),
        ("std", a.std != b.std),
        ("channels", a.channels != b.channels),
        ("layout", a.layout != b.layout),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::image::spec::{ChannelOrder, Crop, CropOffset, Resize, SpecError, TensorLayout};
    use crate::onnx;
    use crate::onnx::proto::{tensor_shape_proto, type_proto};

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx/tiny_cnn")
    }

    fn open(path: &Path) -> Backbone {
        Backbone::open(path, None, |_| None).unwrap()
    }

    fn origin<'a>(backbone: &'a Backbone, field: &str) -> &'a Origin {
        &backbone.manifest.preprocess.origins.iter().find(|(name, _)| *name == field).unwrap().1
    }

    #[test]
    fn what_differs_is_the_users_and_makes_another_space() {
        let model = open(&fixture());
        let before = (model.space.clone(), model.manifest.preprocess.clone());
        let own = model.preprocess().clone();
        let same = model.with_preprocess(own.clone()).unwrap();
        assert_eq!((same.space.clone(), same.manifest.preprocess.clone()), before);

        let spec = PreprocessSpec { mean: [0.1, 0.2, 0.3], channels: ChannelOrder::Bgr, ..own.clone() };
        let changed = same.with_preprocess(spec.clone()).unwrap();
        assert_eq!(*changed.preprocess(), spec);
        for (field, origin) in &changed.manifest.preprocess.origins {
            assert_eq!(*origin == Origin::User, ["mean", "channels"].contains(field), "{field}: {origin}");
        }
        assert_eq!(changed.space, EmbeddingSpace { preprocess: spec.digest(), ..before.0.clone() });
        assert_ne!(changed.space.key(), before.0.key());
    }

    #[test]
    fn what_cannot_be_fed_to_the_graph_is_refused() {
        let own = open(&fixture()).preprocess().clone();
        let error = |spec: PreprocessSpec| open(&fixture()).with_preprocess(spec).unwrap_err();
        let no_size = PreprocessSpec { crop: None, ..own.clone() };
        assert!(matches!(error(no_size), BackboneError::Spec(SpecError::NoOutputSize)));
        let zero = PreprocessSpec { std: [0.0; 3], ..own.clone() };
        assert!(matches!(error(zero), BackboneError::Spec(SpecError::Number { .. })));
        let crop = Some(Crop { height_px: 40, width_px: 32, offset: CropOffset::Floor });
        let too_high = error(PreprocessSpec { crop, ..own.clone() });
        assert!(matches!(too_high, BackboneError::InputSize { height_px: 40, takes_height_px: Some(32), .. }));
        assert!(too_high.to_string().contains("32 x 32 px"), "{too_high}");
        let layout = error(PreprocessSpec { layout: TensorLayout::Nhwc, ..own });
        assert!(matches!(layout, BackboneError::InputLayout { takes: TensorLayout::Nchw }), "{layout}");
    }

    /// The fixture with its height and width left open.
    fn any_size(dir: &Path) -> Backbone {
        let mut model = onnx::parse(std::fs::read(fixture().join("model.onnx")).unwrap()).unwrap();
        for info in &mut model.graph.as_mut().unwrap().input {
            if let Some(type_proto::Value::TensorType(tensor)) = &mut info.r#type.as_mut().unwrap().value {
                for dim in tensor.shape.as_mut().unwrap().dim.iter_mut().skip(2) {
                    dim.value = Some(tensor_shape_proto::Value::DimParam("side".into()));
                }
            }
        }
        std::fs::write(dir.join("any.onnx"), onnx::encode(&model).unwrap()).unwrap();
        open(&dir.join("any.onnx"))
    }

    #[test]
    fn another_size_is_run_to_learn_the_width() {
        let dir = tempfile::tempdir().unwrap();
        let own = any_size(dir.path()).preprocess().clone();
        assert_eq!(own.output_size().unwrap(), (224, 224));
        let resize = Resize::Squash { height_px: 64, width_px: 48 };
        let spec = PreprocessSpec { resize, crop: None, ..own };
        let changed = any_size(dir.path()).with_preprocess(spec.clone()).unwrap();
        assert_eq!((changed.space.dim, changed.input_dims(1)), (16, vec![1, 3, 64, 48]));
        assert_eq!((origin(&changed, "resize"), origin(&changed, "crop")), (&Origin::User, &Origin::User));
        // What an earlier run found is not run again.
        let known = any_size(dir.path()).with_preprocess_and_dim(spec, |space| (space.dim == 0).then_some(16)).unwrap();
        assert_eq!(known.space, changed.space);
    }
}
