//! Which tensor of a graph serves as features, and how it becomes one vector an image.

use std::collections::BTreeSet;

use super::BackboneError;
use super::architecture::Architecture;
use super::layers::{self, Axes, Layer};
use super::manifest::{FeatureChoice, Manifest, Pooling, Port, Sourced, pooling_names, split_label};
use super::roles::Role;
use crate::image::spec::{PreprocessSpec, TensorLayout};
use crate::onnx;
use crate::onnx::proto::{DataType, GraphProto, ModelProto, NodeProto, TensorProto};
use crate::progress::CancelToken;

/// Images of a probing run: two show which dimension is the batch.
const PROBE_BATCH: usize = 2;

/// What a model is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The features that it proposes.
    Features,
    /// A layer that the user has named.
    Layer,
    /// To see what it is.
    Look,
}

/// A graph, and what is known of it when its features are chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'m> {
    pub model: &'m ModelProto,
    pub input: &'m Port,
    pub outputs: &'m [Port],
    pub spec: &'m PreprocessSpec,
    pub family: Architecture,
}

/// What a tensor has for one image.
pub(super) struct Rows {
    /// Extents for one image.
    pub per_image: Vec<usize>,
    /// Whether a run of one image gives them and one of several does not, whatever the input says.
    pub is_single: bool,
}

impl<'m> Known<'m> {
    /// Of a model that is described.
    pub fn of(manifest: &'m Manifest, model: &'m ModelProto) -> Self {
        Self {
            model,
            input: &manifest.input,
            outputs: &manifest.outputs,
            spec: &manifest.preprocess.spec,
            family: manifest.architecture.value,
        }
    }

    /// What is known of all tensors.
    pub fn axes(&self) -> Axes {
        let (height, width) = self.spec.output_size().unwrap_or((1, 1));
        let side = (height as usize, width as usize);
        Axes {
            layout: self.spec.layout,
            n_patches: self.model.graph.as_ref().and_then(|g| layers::n_patches(g, &self.input.name, side)),
            has_class_token: self.family.has_class_token(),
        }
    }

    /// Dimensions of a probing run: of as many images as the graph fixes, else of two.
    pub fn probe_dims(&self) -> Vec<usize> {
        input_dims(self.spec, self.fixed_batch().unwrap_or(PROBE_BATCH))
    }

    fn fixed_batch(&self) -> Option<usize> {
        self.input.dims.first().copied().flatten()
    }

    /// The pooling that fits a tensor with these extents for one image.
    fn pooling(&self, tensor: &str, per_image: &[usize]) -> Pooling {
        let layouts = onnx::layouts(self.model, &self.input.name, self.spec.layout).ok();
        let known = layouts.as_ref().and_then(|layouts| layouts.get(tensor)).copied();
        layers::default_pooling(per_image, known, self.axes())
    }

    /// What serves as features unless the user says otherwise, with the extents that it has for one image where they had to
    /// be found. What the user should know of it goes into `notes`.
    ///
    /// `detector` says why the model finds objects, if it does.
    pub fn propose(
        &self,
        asked: Asked,
        detector: Option<&str>,
        roles: &[Sourced<Role>],
        notes: &mut Vec<String>,
    ) -> Result<(Sourced<FeatureChoice>, Option<Rows>), BackboneError> {
        let graph = self.model.graph.as_ref().ok_or(BackboneError::NoFeatures)?;
        let proposed = match detector {
            Some(why) => {
                notes.push(format!(
                    "It finds objects in images ({why}) and has no features of its own: choose a layer."
                ));
                None
            }
            None => layers::propose(self.model, graph, self.outputs, roles),
        };
        let lacking = match &proposed {
            Some(feature) => self.lacking(&feature.value.tensor),
            None => Vec::new(),
        };
        let mut feature = match proposed {
            Some(feature) if lacking.is_empty() => feature,
            // Another layer is named, or is to be.
            Some(feature) if asked == Asked::Layer => feature,
            None if asked == Asked::Features => {
                let operators = self.outputs.first().map(|output| self.lacking(&output.name)).unwrap_or_default();
                return Err(match operators.is_empty() {
                    true => BackboneError::NoFeatures,
                    false => BackboneError::CustomOperators { operators },
                });
            }
            Some(_) if asked == Asked::Features => {
                return Err(BackboneError::CustomOperators { operators: lacking });
            }
            _ => {
                if !lacking.is_empty() {
                    let operators = lacking.join(", ");
                    notes.push(format!(
                        "It ends in operators that ONNX Runtime does not have ({operators}): choose a layer before them."
                    ));
                }
                self.deepest()?
            }
        };
        let rows = self.rows(graph, &feature.value.tensor)?;
        let stated = || self.stated(&feature.value.tensor).map(|o| per_image(&o.dims)).unwrap_or_default();
        let extents = rows.as_ref().map_or_else(stated, |rows| rows.per_image.clone());
        if !extents.is_empty() && (feature.value.pooling != Pooling::None || rows.is_some()) {
            feature.value.pooling = self.pooling(&feature.value.tensor, &extents);
        }
        Ok((feature, rows))
    }

    /// The deepest layer that can be computed and is no output.
    fn deepest(&self) -> Result<Sourced<FeatureChoice>, BackboneError> {
        let dims = self.probe_dims();
        let survey = layers::survey(self.model, &self.input.name, &dims, self.axes(), &CancelToken::new())?;
        let is_inner = |layer: &&Layer| !self.outputs.iter().any(|output| output.name == layer.tensor);
        let deepest = survey.layers.iter().rev().find(is_inner).ok_or(BackboneError::NoFeatures)?;
        let choice = FeatureChoice { tensor: deepest.tensor.clone(), pooling: deepest.pooling };
        Ok(Sourced::guess(choice, "its deepest layer"))
    }

    /// The output of this name, where the graph states its rank.
    fn stated(&self, tensor: &str) -> Option<&Port> {
        self.outputs.iter().find(|o| o.name == tensor && o.dims.len() > 1)
    }

    /// What a tensor has for one image, where the graph leaves it open or may not mean what it states.
    fn rows(&self, graph: &GraphProto, tensor: &str) -> Result<Option<Rows>, BackboneError> {
        let fixed = self.fixed_batch();
        let is_open = fixed.is_none() && has_written_batch(graph)
            || self.stated(tensor).is_none_or(|o| o.dims.len() > 2 && o.dims.iter().skip(1).any(Option::is_none));
        if !is_open || !layers::can_run(self.model, tensor) {
            return Ok(None);
        }
        let run = |n: usize| {
            let dims = layers::dims_of(self.model, &[tensor], &input_dims(self.spec, n), &CancelToken::new())?;
            Ok::<_, BackboneError>((n, dims.into_iter().next().unwrap_or_default()))
        };
        let has_rows = |(n, dims): &(usize, Vec<usize>)| dims.first() == Some(n);
        let found = run(fixed.unwrap_or(PROBE_BATCH));
        // A graph that has one image written into a reshape takes no more, whatever its input says.
        let is_odd = fixed.is_none() && !found.as_ref().is_ok_and(has_rows);
        let (n, dims) = match is_odd.then(|| run(1).ok().filter(has_rows)).flatten() {
            Some(one) => one,
            None => found?,
        };
        let per_image = dims.get(1..).unwrap_or_default().to_vec();
        Ok(Some(Rows { per_image, is_single: fixed.is_none() && n == 1 }))
    }

    /// Operators on the way to a tensor that ONNX Runtime does not have; what is not on its way is cut away.
    fn lacking(&self, tensor: &str) -> Vec<String> {
        if onnx::inputs::custom_operators(self.model).is_empty() {
            return Vec::new();
        }
        let needed = onnx::prune(self.model, &[tensor]);
        onnx::inputs::custom_operators(needed.as_ref().unwrap_or(self.model))
    }

    /// `TENSOR` or `TENSOR|POOLING` as a choice that fits the graph.
    ///
    /// # Errors
    /// When there is no such tensor, it has no row an image, the pooling does not fit it, or ONNX Runtime lacks an operator on
    /// its way.
    pub fn of_label(&self, label: &str) -> Result<FeatureChoice, BackboneError> {
        let fail = |why: String| BackboneError::Layer { layer: label.to_owned(), why };
        let exists = |name: &str| self.model.graph.as_ref().is_some_and(|graph| onnx::exists(graph, name));
        let (tensor, pooling) = split_label(label, exists);
        if pooling.is_none() && label.contains('|') && !exists(tensor) {
            return Err(fail(format!("the pooling is one of {}", pooling_names().collect::<Vec<_>>().join(", "))));
        }
        let operators = self.lacking(tensor);
        if !operators.is_empty() {
            return Err(BackboneError::CustomOperators { operators });
        }
        let is_stated = |o: &&Port| o.dims.len() == 2 || o.dims.iter().skip(1).all(Option::is_some);
        let dims = match self.stated(tensor).filter(is_stated) {
            // What the graph states costs no run.
            Some(output) => output.dims.iter().map(|d| d.unwrap_or(0)).collect(),
            None => {
                let probe = self.probe_dims();
                let dims = layers::dims_of(self.model, &[tensor], &probe, &CancelToken::new());
                let dims = dims.map_err(|e| fail(e.to_string()))?.pop().unwrap_or_default();
                if dims.first() != probe.first() {
                    return Err(fail(format!("its dimensions are {dims:?}, not one entry an image")));
                }
                dims
            }
        };
        let per_image = dims.get(1..).unwrap_or_default();
        let pooling = pooling.unwrap_or_else(|| self.pooling(tensor, per_image));
        if !layers::pooling_fits(per_image.len(), pooling) {
            return Err(fail(format!("that pooling does not fit its dimensions {dims:?}")));
        }
        Ok(FeatureChoice { tensor: tensor.to_owned(), pooling })
    }
}

/// Extents for one image; 0 where they are open.
pub(super) fn per_image(dims: &[Option<usize>]) -> Vec<usize> {
    dims.iter().skip(1).map(|d| d.unwrap_or(0)).collect()
}

/// Dimensions of an input of `n` images.
pub(super) fn input_dims(spec: &PreprocessSpec, n: usize) -> Vec<usize> {
    let (height, width) = spec.output_size().unwrap_or((1, 1));
    match spec.layout {
        TensorLayout::Nchw => vec![n, 3, height as usize, width as usize],
        TensorLayout::Nhwc => vec![n, height as usize, width as usize, 3],
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
    let shapes: BTreeSet<&str> = stored.chain(made).collect();
    let is_reshape =
        |n: &NodeProto| n.op_type() == "Reshape" && n.input.get(1).is_some_and(|s| shapes.contains(s.as_str()));
    graph.node.iter().any(is_reshape)
}
