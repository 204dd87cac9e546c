//! What a model is: its manifest, from its graph and the files beside it.

use std::fs;

use serde_json::Value;

use super::choose::{Asked, Known};
use super::locate::ModelFiles;
use super::manifest::{Element, Manifest, Origin, Port, ResolvedPreprocess};
use super::{BackboneError, METADATA_PREPROCESS};
use super::{architecture, resolve, roles, towers, usual};
use crate::image::spec::PreprocessSpec;
use crate::onnx;
use crate::onnx::proto::{DataType, GraphProto, ModelProto, ValueInfoProto, tensor_shape_proto, type_proto};

/// Describes a model. Inputs beside the image become constants of it, and its batch is fixed where it only takes one image.
pub(super) fn manifest(
    files: &ModelFiles,
    model: &mut ModelProto,
    id: String,
    size_bytes: u64,
    asked: Asked,
) -> Result<Manifest, BackboneError> {
    let mut input = image_input(model.graph.as_ref().ok_or(BackboneError::NoFeatures)?)?;
    let settled = onnx::inputs::settle_inputs(model, &input.name);
    let mut notes: Vec<String> = settled.iter().map(ToString::to_string).collect();
    let graph = model.graph.as_ref().ok_or(BackboneError::NoFeatures)?;
    let outputs: Vec<Port> = graph.output.iter().map(port).collect();
    let detector = roles::detector(graph, &outputs).filter(|_| asked != Asked::Layer);
    if let (Some(why), Asked::Features) = (&detector, asked) {
        return Err(BackboneError::Detector { why: why.clone() });
    }
    let names = architecture::names(graph);
    let architecture = architecture::find(&files.side_dirs, graph, &names, &files.name);
    let roles = roles::of_outputs(graph, &outputs, n_classes(files));
    let preprocess = match preprocess_in_metadata(model) {
        Some(resolved) => resolved,
        None => {
            let usual = usual::of(architecture.value, graph, &names, model.producer_name(), &input);
            resolve::resolve(resolve::from_side_files(&files.side_dirs, &mut notes), usual, &input)
        }
    };
    check_batch(&preprocess.spec, &input)?;
    let known = Known { model, input: &input, outputs: &outputs, spec: &preprocess.spec, family: architecture.value };
    let (feature, rows) = known.propose(asked, detector.as_deref(), &roles, &mut notes)?;
    let about = About::read(files, model);
    let inputs: Vec<Port> = graph.input.iter().map(port).collect();
    let text = towers::find_text(files, &inputs);
    let joint = text.as_ref().and_then(|text| {
        let dirs = if text.is_joint { &files.side_dirs } else { &text.side_dirs };
        towers::joint_feature(&outputs, towers::model_type(dirs).as_deref())
    });
    let n_params = onnx::cost::n_params(model, &[&feature.value.tensor]).unwrap_or(0);
    let opset = onnx::opset(model, "").unwrap_or(0);
    if rows.is_some_and(|rows| rows.is_single)
        && let Some(first) = input.dims.first_mut()
    {
        *first = Some(1);
        onnx::fix_batch(model, &input.name, 1);
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
        settled,
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
