//! Opening a backbone: its files read, its graph understood, its features chosen.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::architecture::Architecture;
use super::layers::{self, Axes, Layer, Survey};
use super::locate::{self, ModelFiles};
use super::manifest::{
    Element, FeatureChoice, Manifest, Origin, Pooling, Port, ResolvedPreprocess, Sourced, pooling_from_name,
    pooling_names,
};
use super::provider::Provider;
use super::session::{GraphSession, Values};
use super::towers;
use super::{BackboneError, METADATA_PREPROCESS};
use super::{architecture, resolve, roles, usual};
use crate::embedding::EmbeddingSpace;
use crate::image::spec::{PreprocessSpec, TensorLayout};
use crate::onnx::proto::{
    DataType, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, tensor_shape_proto, type_proto,
};
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
            Some(layer) => feature_of_label(&manifest, &model, layer)?,
            None => manifest.feature.value.clone(),
        };
        refuse_custom(&model, &feature.tensor)?;
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
        let feature = feature_of_label(&self.manifest, &self.model, layer)?;
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

    fn with_feature(
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
        let settled: Vec<&str> = self.manifest.notes.iter().map(String::as_str).filter(|n| is_settled(n)).collect();
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
        let dims = self.input_dims(self.fixed_batch().unwrap_or(PROBE_BATCH));
        let axes = axes(&self.model, &self.manifest.input, self.preprocess(), self.manifest.architecture.value);
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
        let per_image: Vec<usize> = output.dims.iter().skip(1).map(|d| d.unwrap_or(0)).collect();
        Some(layers::pooled_dim(&per_image, self.feature.pooling)).filter(|dim| *dim > 0)
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

/// Images of a probing run: two show which dimension is the batch.
const PROBE_BATCH: usize = 2;

fn input_dims(spec: &PreprocessSpec, n: usize) -> Vec<usize> {
    let (height, width) = spec.output_size().unwrap_or((1, 1));
    match spec.layout {
        TensorLayout::Nchw => vec![n, 3, height as usize, width as usize],
        TensorLayout::Nhwc => vec![n, height as usize, width as usize, 3],
    }
}

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

/// Whether a note tells of an input that was settled.
fn is_settled(note: &str) -> bool {
    note.starts_with("The input ")
}

/// That ONNX Runtime has the operators that a tensor needs; the others are cut away.
fn refuse_custom(model: &ModelProto, tensor: &str) -> Result<(), BackboneError> {
    if onnx::inputs::custom_operators(model).is_empty() || layers::can_run(model, tensor) {
        return Ok(());
    }
    let needed = onnx::prune(model, &[tensor]);
    let operators = onnx::inputs::custom_operators(needed.as_ref().unwrap_or(model));
    Err(BackboneError::CustomOperators { operators })
}

/// What a model is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The features that it proposes.
    Features,
    /// A layer that the user has named.
    Layer,
    /// To see what it is.
    Look,
}

fn manifest(
    files: &ModelFiles,
    model: &mut ModelProto,
    id: String,
    size_bytes: u64,
    asked: Asked,
) -> Result<Manifest, BackboneError> {
    let graph = model.graph.as_ref().ok_or(BackboneError::NoFeatures)?;
    let mut input = image_input(graph)?;
    let mut notes = Vec::new();
    for settled in onnx::inputs::settle_inputs(model, &input.name) {
        notes.push(format!("The input {} is set to {}.", settled.name, settled.value));
    }
    let whole = model;
    let model = &*whole;
    let graph = model.graph.as_ref().ok_or(BackboneError::NoFeatures)?;
    let outputs: Vec<Port> = graph.output.iter().map(port).collect();
    let detector = roles::detector(graph, &outputs).filter(|_| asked != Asked::Layer);
    if let (Some(why), Asked::Features) = (&detector, asked) {
        return Err(BackboneError::Detector { why: why.clone() });
    }
    let architecture = architecture::find(&files.side_dirs, graph, &files.name);
    let roles = roles::of_outputs(graph, &outputs, n_classes(files));
    let preprocess = match preprocess_in_metadata(model) {
        Some(resolved) => resolved,
        None => {
            let usual = usual::of(architecture.value, graph, model.producer_name(), &input);
            resolve::resolve(resolve::from_side_files(&files.side_dirs, &mut notes), usual, &input)
        }
    };
    check_batch(&preprocess.spec, &input)?;
    let none = CancelToken::new();
    let axes = axes(model, &input, &preprocess.spec, architecture.value);
    let mut proposed = None;
    if let Some(why) = detector {
        notes.push(format!("It finds objects in images ({why}) and has no features of its own: choose a layer."));
    } else {
        proposed = layers::propose(model, graph, &outputs, &roles);
        if proposed.is_none() && asked == Asked::Features {
            refuse_custom(model, outputs.first().map_or("", |output| &output.name))?;
            return Err(BackboneError::NoFeatures);
        }
    }
    if asked == Asked::Look
        && let Some(Err(error)) = proposed.as_ref().map(|feature| refuse_custom(model, &feature.value.tensor))
    {
        proposed = None;
        let BackboneError::CustomOperators { operators } = error else { return Err(error) };
        let operators = operators.join(", ");
        notes.push(format!(
            "It ends in operators that ONNX Runtime does not have ({operators}): choose a layer before them."
        ));
    }
    let mut feature = match proposed {
        Some(proposed) => proposed,
        None => {
            let n = input.dims.first().copied().flatten().unwrap_or(PROBE_BATCH);
            let dims = input_dims(&preprocess.spec, n);
            let survey = layers::survey(model, &input.name, &dims, axes, &none)?;
            let is_inner = |layer: &&Layer| !outputs.iter().any(|output| output.name == layer.tensor);
            let deepest = survey.layers.iter().rev().find(is_inner).ok_or(BackboneError::NoFeatures)?;
            let choice = FeatureChoice { tensor: deepest.tensor.clone(), pooling: deepest.pooling };
            Sourced::guess(choice, "its deepest layer")
        }
    };
    if asked != Asked::Layer {
        refuse_custom(model, &feature.value.tensor)?;
    }
    // The right pooling follows from the dimensions: where the graph leaves them open, a run tells.
    let stated = outputs.iter().find(|o| o.name == feature.value.tensor && o.dims.len() > 1);
    let is_open = input.dims.first() == Some(&None) && has_written_batch(graph)
        || stated.is_none_or(|o| o.dims.len() > 2 && o.dims.iter().skip(1).any(Option::is_none));
    let mut per_image: Vec<usize> =
        stated.map(|o| o.dims.iter().skip(1).map(|d| d.unwrap_or(0)).collect()).unwrap_or_default();
    let mut is_single = false;
    if is_open && layers::can_run(model, &feature.value.tensor) {
        let fixed = input.dims.first().copied().flatten();
        let run = |n: usize| {
            layers::dims_of(model, &[&feature.value.tensor], &input_dims(&preprocess.spec, n), &none)
                .map(|dims| (n, dims.into_iter().next().unwrap_or_default()))
        };
        let has_rows = |(n, dims): &(usize, Vec<usize>)| dims.first() == Some(n);
        let found = run(fixed.unwrap_or(PROBE_BATCH));
        // A graph that has one image written into a reshape takes no more, whatever its input says.
        let is_odd = fixed.is_none() && !found.as_ref().is_ok_and(has_rows);
        let (n, dims) = match is_odd.then(|| run(1).ok().filter(has_rows)).flatten() {
            Some(one) => one,
            None => found?,
        };
        is_single = fixed.is_none() && n == 1;
        per_image = dims.get(1..).unwrap_or_default().to_vec();
    }
    if !per_image.is_empty() && (feature.value.pooling != Pooling::None || is_open) {
        let known = layout_of(model, &input, preprocess.spec.layout, &feature.value.tensor);
        feature.value.pooling = layers::default_pooling(&per_image, known, axes);
    }
    let about = About::read(files, model);
    let inputs: Vec<Port> = graph.input.iter().map(port).collect();
    let text = towers::find_text(files, &inputs);
    let joint = text.as_ref().and_then(|text| {
        let dirs = if text.is_joint { &files.side_dirs } else { &text.side_dirs };
        towers::joint_feature(&outputs, towers::model_type(dirs).as_deref())
    });
    let n_params = onnx::cost::n_params(model, &[&feature.value.tensor]).unwrap_or(0);
    let opset = onnx::opset(model, "").unwrap_or(0);
    if is_single && let Some(first) = input.dims.first_mut() {
        *first = Some(1);
        onnx::fix_batch(whole, &input.name, 1);
        notes.push("It takes one image at a time, whatever its input says.".to_owned());
    }
    Ok(Manifest {
        architecture,
        roles,
        n_params,
        name: about.name.unwrap_or_else(|| files.name.clone()),
        id,
        path: files.onnx.clone(),
        size_bytes,
        input,
        outputs,
        feature,
        joint,
        text,
        preprocess,
        licence: about.licence,
        source: about.source,
        opset,
        notes,
    })
}

/// That a run of it fits into memory, where the graph fixes how many images it takes.
fn check_batch(spec: &PreprocessSpec, input: &Port) -> Result<(), BackboneError> {
    const MOST: usize = 1 << 27;
    let (height, width) = spec.output_size()?;
    let n = input.dims.first().copied().flatten().unwrap_or(1);
    let n_values = n.checked_mul(3 * height as usize).and_then(|n| n.checked_mul(width as usize));
    match n_values {
        Some(n_values) if n_values <= MOST => Ok(()),
        _ => Err(BackboneError::InputTooLarge { input: input.to_string() }),
    }
}

/// Whether a graph brings something to just one row by a stored shape, which may be the images of a run.
fn has_written_batch(graph: &GraphProto) -> bool {
    let begins_with_one = |tensor: &TensorProto| {
        let raw = tensor.raw_data.as_deref().and_then(|raw| raw.get(..8)).and_then(|raw| raw.try_into().ok());
        let first = raw.map(i64::from_le_bytes).or_else(|| tensor.int64_data.first().copied());
        tensor.data_type() == DataType::Int64 as i32 && tensor.dims.first().is_some_and(|n| *n > 1) && first == Some(1)
    };
    let stored = graph.initializer.iter().filter(|t| begins_with_one(t)).map(|t| t.name());
    let is_constant = |n: &&NodeProto| {
        n.op_type() == "Constant" && n.attribute.iter().filter_map(|a| a.t.as_ref()).any(begins_with_one)
    };
    let made = graph.node.iter().filter(is_constant).flat_map(|n| n.output.first()).map(String::as_str);
    let shapes: std::collections::BTreeSet<&str> = stored.chain(made).collect();
    let is_reshape =
        |n: &NodeProto| n.op_type() == "Reshape" && n.input.get(1).is_some_and(|s| shapes.contains(s.as_str()));
    graph.node.iter().any(is_reshape)
}

/// What is known of all tensors of a graph.
fn axes(model: &ModelProto, input: &Port, spec: &PreprocessSpec, family: Architecture) -> Axes {
    let (height, width) = spec.output_size().unwrap_or((1, 1));
    let graph = model.graph.as_ref();
    let n_patches = graph.and_then(|g| layers::n_patches(g, &input.name, (height as usize, width as usize)));
    Axes { layout: spec.layout, n_patches, has_class_token: family.has_class_token() }
}

/// Where the operators around a tensor have its channels.
fn layout_of(model: &ModelProto, input: &Port, layout: TensorLayout, tensor: &str) -> Option<TensorLayout> {
    onnx::layouts(model, &input.name, layout).ok()?.get(tensor).copied()
}

/// How many classes a file says that the model has.
fn n_classes(files: &ModelFiles) -> Option<usize> {
    files.side_dirs.iter().find_map(|dir| {
        let text = fs::read_to_string(dir.join("config.json")).ok()?;
        let json: Value = serde_json::from_str(&text).ok()?;
        let number = ["num_classes", "num_labels"].iter().find_map(|key| json.get(*key)?.as_u64());
        let names = ["id2label", "label_names"].iter().find_map(|key| match json.get(*key)? {
            Value::Array(list) => Some(list.len() as u64),
            Value::Object(map) => Some(map.len() as u64),
            _ => None,
        });
        usize::try_from(number.or(names)?).ok().filter(|n| *n > 0)
    })
}

/// The graph's image input: 4-dimensional, floating-point or bytes, with 3 channels (or unknown) where they belong.
fn image_input(graph: &GraphProto) -> Result<Port, BackboneError> {
    let is_constant = |name: &str| graph.initializer.iter().any(|t| t.name() == name);
    let inputs: Vec<Port> = graph.input.iter().filter(|i| !is_constant(i.name())).map(port).collect();
    let is_image = |p: &&Port| {
        // One channel is a grey picture, and a few others are none that photographs have.
        let is_other = matches!(p.dims.get(1), Some(Some(1 | 2 | 4..8)));
        let channel = |i: usize| p.dims.get(i).is_some_and(|d| matches!(d, Some(3)) || d.is_none() && !is_other);
        (p.element.is_float() || p.element == Element::U8) && p.dims.len() == 4 && (channel(1) || channel(3))
    };
    let images: Vec<&Port> = inputs.iter().filter(is_image).collect();
    match images.as_slice() {
        [input] => Ok((*input).clone()),
        _ => Err(BackboneError::NoImageInput {
            inputs: inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }),
    }
}

pub(crate) fn port(info: &ValueInfoProto) -> Port {
    let tensor = info.r#type.as_ref().and_then(|t| match &t.value {
        Some(type_proto::Value::TensorType(tensor)) => Some(tensor),
        _ => None,
    });
    let element = tensor.map_or(Element::Other(0), |t| match DataType::try_from(t.elem_type()) {
        Ok(DataType::Float) => Element::F32,
        Ok(DataType::Float16) => Element::F16,
        Ok(DataType::Uint8) => Element::U8,
        Ok(DataType::Int64) => Element::I64,
        Ok(DataType::Int32) => Element::I32,
        _ => Element::Other(t.elem_type()),
    });
    let dims = tensor.and_then(|t| t.shape.as_ref()).map_or_else(Vec::new, |shape| {
        shape
            .dim
            .iter()
            .map(|d| match &d.value {
                Some(tensor_shape_proto::Value::DimValue(v)) if *v > 0 => usize::try_from(*v).ok(),
                _ => None,
            })
            .collect()
    });
    Port { name: info.name().to_owned(), element, dims }
}

/// An export of Graft's carries its preprocessing.
fn preprocess_in_metadata(model: &ModelProto) -> Option<ResolvedPreprocess> {
    let text = onnx::metadata(model, METADATA_PREPROCESS)?;
    let spec: PreprocessSpec = serde_json::from_str(text).ok()?;
    let fields = ["resize", "filter", "crop", "pad_rgb", "rescale", "mean", "std", "channels", "layout"];
    Some(ResolvedPreprocess { spec, origins: fields.map(|f| (f, Origin::Graph)).to_vec() })
}

/// `TENSOR` or `TENSOR|POOLING` as a choice that fits the graph.
fn feature_of_label(manifest: &Manifest, model: &ModelProto, label: &str) -> Result<FeatureChoice, BackboneError> {
    let fail = |why: String| BackboneError::Layer { layer: label.to_owned(), why };
    let is_whole = model.graph.as_ref().is_some_and(|graph| onnx::exists(graph, label));
    let (tensor, pooling) = match label.rsplit_once('|').filter(|_| !is_whole) {
        Some((tensor, pooling)) => {
            let pooling = pooling_from_name(pooling).ok_or_else(|| {
                fail(format!("the pooling is one of {}", pooling_names().collect::<Vec<_>>().join(", ")))
            })?;
            (tensor, Some(pooling))
        }
        None => (label, None),
    };
    let n = manifest.input.dims.first().copied().flatten().unwrap_or(PROBE_BATCH);
    let is_stated = |o: &&Port| {
        o.name == tensor && (o.dims.len() == 2 || o.dims.len() > 2 && o.dims.iter().skip(1).all(Option::is_some))
    };
    let dims = match manifest.outputs.iter().find(is_stated) {
        // What the graph states costs no run.
        Some(output) => output.dims.iter().map(|d| d.unwrap_or(0)).collect(),
        None => {
            let dims =
                layers::dims_of(model, &[tensor], &input_dims(&manifest.preprocess.spec, n), &CancelToken::new());
            let dims = dims.map_err(|e| fail(e.to_string()))?.pop().unwrap_or_default();
            if dims.first() != Some(&n) {
                return Err(fail(format!("its dimensions are {dims:?}, not one entry an image")));
            }
            dims
        }
    };
    let per_image = dims.get(1..).unwrap_or_default();
    let layout = manifest.preprocess.spec.layout;
    let pooling = pooling.unwrap_or_else(|| {
        let known = layout_of(model, &manifest.input, layout, tensor);
        layers::default_pooling(
            per_image,
            known,
            axes(model, &manifest.input, &manifest.preprocess.spec, manifest.architecture.value),
        )
    });
    if !layers::pooling_fits(per_image.len(), pooling) {
        return Err(fail(format!("that pooling does not fit its dimensions {dims:?}")));
    }
    Ok(FeatureChoice { tensor: tensor.to_owned(), pooling })
}

/// What files say about name, licence and source.
#[derive(Default)]
struct About {
    name: Option<String>,
    licence: Option<String>,
    source: Option<String>,
}

/// What a value says: a text as it is, an object as one line an entry.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(entries) => {
            let lines = entries.iter().filter_map(|(key, value)| Some(format!("{key}: {}", value.as_str()?)));
            Some(lines.collect::<Vec<_>>().join("\n"))
        }
        _ => None,
    }
}

impl About {
    fn read(files: &ModelFiles, model: &ModelProto) -> Self {
        let config = files.side_dirs.iter().find_map(|dir| {
            let text = fs::read_to_string(dir.join("config.json")).ok()?;
            serde_json::from_str::<Value>(&text).ok()
        });
        let field = |keys: &[&str]| {
            keys.iter().find_map(|key| {
                let in_config = config.as_ref().and_then(|c| c.get(*key)).and_then(words);
                let in_graph = || {
                    onnx::metadata(model, key).map(|text| {
                        // An object in JSON, where there is more than one thing to say.
                        serde_json::from_str::<Value>(text)
                            .ok()
                            .and_then(|v| words(&v))
                            .unwrap_or_else(|| text.to_owned())
                    })
                };
                in_config.or_else(in_graph).filter(|s| !s.is_empty())
            })
        };
        let name = field(&["name", "_name_or_path", "architecture"]);
        Self {
            // A variant beside the main graph says which it is, so that the two can be told apart.
            name: match files.name.split_once('/') {
                Some((_, stem)) => {
                    let suffix = ["vision_model_", "model_"].iter().find_map(|usual| stem.strip_prefix(usual));
                    name.zip(suffix).map(|(name, suffix)| format!("{name}, {suffix}"))
                }
                None => name,
            },
            licence: field(&["licence", "license"]),
            source: field(&["source", "sources"]),
        }
    }
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
