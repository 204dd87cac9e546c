//! Opening a backbone: its files read, its graph understood, its features chosen.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::BackboneError;
use super::choose::{Asked, Known, input_dims, per_image};
use super::describe::manifest;
use super::layers::{self, Layer, Survey};
use super::locate;
use super::manifest::{FeatureChoice, Manifest, Pooling};
use super::provider::Provider;
use super::session::{GraphSession, Values};
use crate::embedding::EmbeddingSpace;
use crate::image::spec::PreprocessSpec;
use crate::onnx::proto::{ModelProto, ValueInfoProto};
use crate::onnx::{self, OnnxError};
use crate::progress::CancelToken;
use crate::rng::SplitMix64;

/// An opened backbone: the graph in memory, ready to be cut at its feature layer. No session runs yet.
#[derive(Clone, Debug)]
pub struct Backbone {
    /// What is known about it.
    pub manifest: Manifest,
    /// The tensor that serves as features in this use; the first of them where several stand side by side.
    pub feature: FeatureChoice,
    /// The space of its embeddings.
    pub space: EmbeddingSpace,
    /// What stands behind the feature's columns, with the space of each (see [`Self::beside`]).
    pub(super) beside: Vec<(FeatureChoice, EmbeddingSpace)>,
    /// Shared by what is made of this one.
    pub(super) model: Arc<ModelProto>,
}

impl Backbone {
    /// Opens the model at `path` (a file or a folder). `layer` is `TENSOR` or `TENSOR|POOLING`; without it the proposed
    /// features are used. `known_dim` may tell the width of a space (whose `dim` is still 0) from an earlier run.
    ///
    /// # Errors
    /// When the files cannot be read, the graph takes no image or gives no features, or the layer does not fit.
    pub fn open(
        path: &Path,
        layer: Option<&str>,
        known_dim: impl Fn(&EmbeddingSpace) -> Option<usize>,
    ) -> Result<Self, BackboneError> {
        Self::open_as(path, layer, known_dim, false)
    }

    /// Opens the model at `path` to see what it is and which layers it has. A detector, which has no features of its own, is
    /// opened at its deepest layer, with a note that says so.
    ///
    /// # Errors
    /// As [`Self::open`], but for detectors.
    pub fn look_into(path: &Path, known_dim: impl Fn(&EmbeddingSpace) -> Option<usize>) -> Result<Self, BackboneError> {
        Self::open_as(path, None, known_dim, true)
    }

    fn open_as(
        path: &Path,
        layer: Option<&str>,
        known_dim: impl Fn(&EmbeddingSpace) -> Option<usize>,
        is_looked_into: bool,
    ) -> Result<Self, BackboneError> {
        let files = locate::locate(path)?;
        let bytes = read_graph(&files.onnx)?;
        let mut size_bytes = bytes.len() as u64;
        let mut id = blake3::hash(&bytes).to_hex().to_string();
        let onnx_error = |source: OnnxError| BackboneError::Onnx { path: files.onnx.clone(), source };
        let mut model = onnx::parse(bytes).map_err(onnx_error)?;
        if onnx::inline_external_data(&mut model, &files.onnx).map_err(onnx_error)? {
            let whole = onnx::encode(&model).map_err(onnx_error)?;
            id = blake3::hash(&whole).to_hex().to_string();
            size_bytes = whole.len() as u64;
        }
        let asked = match (layer, is_looked_into) {
            (Some(_), _) => Asked::Layer,
            (None, true) => Asked::Look,
            (None, false) => Asked::Features,
        };
        let manifest = manifest(&files, &mut model, id, size_bytes, asked)?;
        let feature = match layer {
            Some(layer) => Known::of(&manifest, &model).of_label(layer)?,
            None => manifest.feature.value.clone(),
        };
        Self::with_feature(manifest, feature, Arc::new(model), known_dim)
    }

    /// The same model with another layer as features, in the form of [`Self::open`]; nothing is read again.
    ///
    /// # Errors
    /// When the layer does not fit.
    pub fn at_layer(
        &self,
        layer: &str,
        known_dim: impl Fn(&EmbeddingSpace) -> Option<usize>,
    ) -> Result<Self, BackboneError> {
        let feature = Known::of(&self.manifest, &self.model).of_label(layer)?;
        Self::with_feature(self.manifest.clone(), feature, Arc::clone(&self.model), known_dim)
    }

    /// The same model at a layer that [`Self::survey`] has listed: nothing is run for it.
    ///
    /// # Errors
    /// When the graph cannot be cut there.
    pub fn at_listed(&self, layer: &Layer, pooling: Pooling) -> Result<Self, BackboneError> {
        let feature = FeatureChoice { tensor: layer.tensor.clone(), pooling };
        let dim = layers::pooled_dim(&layer.dims, pooling);
        let known = move |_: &EmbeddingSpace| Some(dim).filter(|dim| *dim > 0);
        Self::with_feature(self.manifest.clone(), feature, Arc::clone(&self.model), known)
    }

    /// Features of two layers side by side: the columns of this one, then those of `other`, which is the same model at
    /// another layer. One run of the graph gives both.
    pub fn beside(&self, other: &Self) -> Self {
        let mut beside = self.beside.clone();
        beside.push((other.feature.clone(), other.space.clone()));
        let space = EmbeddingSpace {
            layer: format!("{}&{}", self.space.layer, other.space.layer),
            dim: self.space.dim + other.space.dim,
            ..self.space.clone()
        };
        Self { space, beside, ..self.clone() }
    }

    /// The space of each part of the features, in the order of the columns; one where nothing stands beside.
    pub fn parts(&self) -> Vec<EmbeddingSpace> {
        let others = self.beside.iter().map(|(_, space)| space.clone());
        let dim = self.space.dim - self.beside.iter().map(|(_, space)| space.dim).sum::<usize>();
        let first = EmbeddingSpace { layer: self.feature.label(), dim, ..self.space.clone() };
        std::iter::once(first).chain(others).collect()
    }

    pub(super) fn with_feature(
        manifest: Manifest,
        feature: FeatureChoice,
        model: Arc<ModelProto>,
        known_dim: impl Fn(&EmbeddingSpace) -> Option<usize>,
    ) -> Result<Self, BackboneError> {
        let preprocess = preprocess_key(&manifest.preprocess.spec, &model);
        let space = EmbeddingSpace { backbone: manifest.id.clone(), layer: feature.label(), preprocess, dim: 0 };
        let mut backbone = Self { manifest, feature, space, beside: Vec::new(), model };
        backbone.check_inputs()?;
        backbone.space.dim = match backbone.stated_dim().or_else(|| known_dim(&backbone.space)) {
            Some(dim) => dim,
            None => backbone.measured_dim()?,
        };
        Ok(backbone)
    }

    /// The preprocessing of its input.
    pub fn preprocess(&self) -> &PreprocessSpec {
        &self.manifest.preprocess.spec
    }

    /// Dimensions of an input of `n` images.
    pub fn input_dims(&self, n: usize) -> Vec<usize> {
        input_dims(&self.manifest.preprocess.spec, n)
    }

    /// The batch size that the graph fixes, if it does.
    pub fn fixed_batch(&self) -> Option<usize> {
        self.manifest.input.dims.first().copied().flatten()
    }

    /// The same backbone for runs of just `n` images: its graph has no open batch any more, and blank images fill up what
    /// is missing. The features are the same.
    pub fn fixed_to(&self, n: usize) -> Self {
        let mut model = (*self.model).clone();
        onnx::fix_batch(&mut model, &self.manifest.input.name, n);
        let mut fixed = self.clone();
        if let Some(first) = fixed.manifest.input.dims.first_mut() {
            *first = Some(n);
        }
        fixed.model = Arc::new(model);
        fixed
    }

    /// Whether an image's features depend on the others of a run: the graph quantises by what it sees, as dynamically
    /// quantised exports do. Such images are run one by one.
    pub fn is_batch_dependent(&self) -> bool {
        quantises_by_run(&self.model)
    }

    /// The graph cut at the feature layer: image input to `features`, f32 `[N, D]`.
    ///
    /// # Errors
    /// When the layer does not exist.
    pub fn feature_graph(&self) -> Result<ModelProto, BackboneError> {
        let dim = (self.space.dim > 0).then_some(self.space.dim);
        let others = self.beside.iter().map(|(feature, _)| feature);
        let parts: Vec<_> =
            std::iter::once(&self.feature).chain(others).map(|f| (f.tensor.as_str(), f.pooling)).collect();
        onnx::feature_model(&self.model, &parts, dim).map_err(|e| self.onnx_error(e))
    }

    /// The bytes of [`Self::feature_graph`].
    ///
    /// # Errors
    /// When the layer does not exist or the graph would be over 2 GB.
    pub fn feature_model(&self) -> Result<Vec<u8>, BackboneError> {
        onnx::encode(&self.feature_graph()?).map_err(|e| self.onnx_error(e))
    }

    /// Runs the feature graph on `n` images; returns `n * D` values, row after row. Where the graph fixes another batch
    /// size, blank images fill it up.
    ///
    /// # Errors
    /// When the run fails or its result has an unexpected size.
    pub fn run_features(
        &self,
        session: &mut GraphSession,
        dims: &[usize],
        mut values: Vec<f32>,
        n: usize,
    ) -> Result<Vec<f32>, BackboneError> {
        let mut dims = dims.to_vec();
        if let (Some(fixed), Some(first)) = (self.fixed_batch(), dims.first_mut())
            && fixed != *first
        {
            values.resize(values.len() / (*first).max(1) * fixed, 0.0);
            *first = fixed;
        }
        let output = session.run(&dims, Values::F32(values), &[FEATURES])?.pop();
        let mut values = output.map(|o| o.values).unwrap_or_default();
        let expected = dims.first().copied().unwrap_or(n) * self.space.dim;
        if values.len() != expected || expected == 0 {
            return Err(BackboneError::Run {
                message: format!("{} values came out where {expected} were expected", values.len()),
            });
        }
        values.truncate(n * self.space.dim);
        Ok(values)
    }

    /// That its features are numbers and depend on the image: runs it on a picture of noise and on one that grows lighter.
    ///
    /// # Errors
    /// When they are none or do not, or the graph cannot be run.
    pub fn check_features(&self) -> Result<(), BackboneError> {
        let mut session = GraphSession::load(&self.feature_model()?, 1, Provider::Cpu)?;
        let n = self.fixed_batch().unwrap_or(1);
        let dims = self.input_dims(n);
        let n_values = dims.iter().product::<usize>();
        let spec = self.preprocess();
        let scaled = |byte: f32| (byte * spec.rescale - spec.mean[0]) / spec.std[0];
        let mut rng = SplitMix64::new(1);
        let noise: Vec<f32> = (0..n_values).map(|_| scaled(rng.below(256) as f32)).collect();
        let one = self.run_features(&mut session, &dims, noise, n)?;
        let slope: Vec<f32> = (0..n_values).map(|i| scaled(i as f32 * 255.0 / n_values as f32)).collect();
        let other = self.run_features(&mut session, &dims, slope, n)?;
        let settled: Vec<String> = self.manifest.settled.iter().map(ToString::to_string).collect();
        let settled = if settled.is_empty() { String::new() } else { format!(" ({})", settled.join(" ")) };
        if one.iter().chain(&other).any(|v| !v.is_finite()) {
            return Err(BackboneError::NotNumbers { settled });
        }
        let largest = one.iter().fold(0.0_f32, |max, v| max.max(v.abs()));
        let farthest = one.iter().zip(&other).fold(0.0_f32, |max, (a, b)| max.max((a - b).abs()));
        if farthest > 1e-6 * largest { Ok(()) } else { Err(BackboneError::Blind { settled }) }
    }

    /// Every layer that can serve as features.
    ///
    /// # Errors
    /// When the graph cannot be run.
    pub fn layers(&self) -> Result<Vec<Layer>, BackboneError> {
        Ok(self.survey(&CancelToken::new())?.layers)
    }

    /// Every layer that can serve as features, and what the graph costs.
    ///
    /// # Errors
    /// When the graph cannot be run, or the run is cancelled.
    pub fn survey(&self, cancel: &CancelToken) -> Result<Survey, BackboneError> {
        let known = Known::of(&self.manifest, &self.model);
        let (dims, axes) = (known.probe_dims(), known.axes());
        let is_joint = self.manifest.text.as_ref().is_some_and(|text| text.is_joint);
        if !is_joint {
            return layers::survey(&self.model, &self.manifest.input.name, &dims, axes, cancel);
        }
        // What the text has a part in cannot be computed from a picture.
        let joint = self.manifest.joint.as_ref().map_or(&self.feature, |joint| &joint.value);
        let image = onnx::prune(&self.model, &[&joint.tensor]).map_err(|e| self.onnx_error(e))?;
        layers::survey(&image, &self.manifest.input.name, &dims, axes, cancel)
    }

    /// That the features need the image and nothing else.
    fn check_inputs(&self) -> Result<(), BackboneError> {
        let features = self.feature_graph()?;
        let graph = features.graph.as_ref().ok_or(BackboneError::NoFeatures)?;
        let is_constant = |name: &str| graph.initializer.iter().any(|t| t.name() == name);
        let mut inputs = graph.input.iter().map(ValueInfoProto::name);
        match inputs.find(|n| *n != self.manifest.input.name && !is_constant(n)) {
            Some(input) => Err(BackboneError::OtherInput { input: input.to_owned() }),
            None => Ok(()),
        }
    }

    /// The width that the graph states for the feature layer.
    fn stated_dim(&self) -> Option<usize> {
        let output = self.manifest.outputs.iter().find(|o| o.name == self.feature.tensor)?;
        Some(layers::pooled_dim(&per_image(&output.dims), self.feature.pooling)).filter(|dim| *dim > 0)
    }

    /// The width found by running the graph on a blank image.
    pub(super) fn measured_dim(&self) -> Result<usize, BackboneError> {
        let mut session = GraphSession::load(&self.feature_model()?, 1, Provider::Cpu)?;
        let dims = self.input_dims(self.fixed_batch().unwrap_or(1));
        let outputs = session.run(&dims, Values::F32(vec![0.0; dims.iter().product()]), &[FEATURES])?;
        match outputs.first().map(|o| o.dims.as_slice()) {
            Some([n, dim]) if *n == dims[0] && *dim > 0 => Ok(*dim),
            other => Err(BackboneError::Layer {
                layer: self.feature.label(),
                why: format!("it gives {other:?} where one vector an image is needed"),
            }),
        }
    }

    fn onnx_error(&self, source: OnnxError) -> BackboneError {
        BackboneError::Onnx { path: self.manifest.path.clone(), source }
    }
}

/// The feature graph's output.
const FEATURES: &str = "features";

/// The bytes of a graph, unless there are more than any has.
fn read_graph(path: &Path) -> Result<Vec<u8>, BackboneError> {
    let failed = |source| BackboneError::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        // A pipe or a device might never end.
        return Err(failed(std::io::Error::other("it is no file")));
    }
    let bytes = metadata.len();
    if bytes > onnx::MAX_MODEL_BYTES {
        return Err(BackboneError::TooLarge { path: path.to_owned(), bytes });
    }
    fs::read(path).map_err(failed)
}

/// What of the preprocessing makes a space of its own.
pub(super) fn preprocess_key(spec: &PreprocessSpec, model: &ModelProto) -> String {
    let mut key = spec.digest();
    if quantises_by_run(model) {
        // Such images are run one by one: what was made in runs of several is other.
        key.push_str("-single");
    }
    key
}

/// Whether a graph computes with what it sees of the whole run: it quantises by the values at hand, or normalises by their
/// mean as in training.
fn quantises_by_run(model: &ModelProto) -> bool {
    onnx::inputs::any_node(model, |node| match node.op_type() {
        "DynamicQuantizeLinear" | "DynamicQuantizeMatMul" | "DynamicQuantizeLSTM" => true,
        "BatchNormalization" => node.attribute.iter().any(|a| a.name() == "training_mode" && a.i() == 1),
        _ => false,
    })
}
