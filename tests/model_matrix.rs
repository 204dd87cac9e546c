//! Models as people have them, of public architectures with random weights: each is understood, and gives the features that
//! its own framework gives. `tests/reference/model_matrix.py` makes them and the reference values.
//!
//! The small ones lie in `tests/fixtures/matrix`. The large ones are made into a folder of yours and run with
//! `GRAFT_MATRIX=FOLDER cargo test --release --test model_matrix -- --ignored`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use graft::backbone::Backbone;
use graft::backbone::manifest::{Element, Origin};
use graft::backbone::provider::Provider;
use graft::backbone::session::GraphSession;
use graft::image::spec::TensorLayout;
use graft::progress::Silent;
use graft::workflow::import::{ImportConfig, import_into};
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
struct Matrix {
    models: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    path: String,
    family: String,
    family_known_from: Option<String>,
    n_params: Option<u64>,
    n_params_min: Option<u64>,
    n_params_max: Option<u64>,
    input: Input,
    outputs: serde_json::Map<String, Value>,
    preprocess: Value,
    feature: Feature,
    features: String,
    intermediate: Option<Intermediate>,
    opset: i64,
}

#[derive(Debug, Deserialize)]
struct Input {
    name: String,
    layout: String,
    element: String,
    batch: Option<usize>,
    height: u32,
    width: u32,
}

#[derive(Debug, Deserialize)]
struct Feature {
    dim: usize,
    tolerance: f32,
}

#[derive(Debug, Deserialize)]
struct Intermediate {
    tensor: String,
    pooling: String,
    dim: usize,
    file: String,
}

fn small() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/matrix")
}

fn entries(dir: &Path) -> Vec<Entry> {
    let text = fs::read_to_string(dir.join("matrix.json")).unwrap();
    serde_json::from_str::<Matrix>(&text).unwrap().models
}

fn floats(path: &Path) -> Vec<f32> {
    fs::read(path).unwrap().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// The standard input of the reference: bytes of a multiplicative hash of the position.
fn standard_input(n: usize, element: Element) -> Vec<f32> {
    let byte = |i: usize| ((i as u64).wrapping_mul(2_654_435_761) as u32 >> 24) as f32;
    let value = |i: usize| match element {
        Element::U8 => byte(i),
        _ => (byte(i) / 255.0 - 0.5) / 0.25,
    };
    (0..n).map(value).collect()
}

/// Features on the standard input, image by image where they depend on the others of a run.
fn features(backbone: &Backbone) -> Vec<f32> {
    let mut session = GraphSession::load(&backbone.feature_model().unwrap(), 2, Provider::Cpu).unwrap();
    let n = backbone.fixed_batch().unwrap_or(2);
    let dims = backbone.input_dims(n);
    let values = standard_input(dims.iter().product(), backbone.manifest.input.element);
    if !backbone.is_batch_dependent() {
        return backbone.run_features(&mut session, &dims, values, n).unwrap();
    }
    let one = backbone.input_dims(1);
    let each = values.chunks(values.len() / n);
    each.flat_map(|values| backbone.run_features(&mut session, &one, values.to_vec(), 1).unwrap()).collect()
}

fn worst(found: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(found.len(), wanted.len());
    let size = wanted.iter().fold(1.0_f32, |max, v| max.max(v.abs()));
    found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size
}

/// What is wrong with an entry, as lines.
fn check(dir: &Path, entry: &Entry) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            wrong.push(format!("{}: {what}", entry.name));
        }
    };
    let models = tempfile::tempdir().unwrap();
    let path = dir.join(&entry.path);
    let config = ImportConfig::default();
    let all = [models.path().to_owned()];
    let imported = match import_into(&path, &config, models.path(), &all, &Silent::default()) {
        Ok(imported) => imported,
        Err(error) => return vec![format!("{}: it is not imported: {error}", entry.name)],
    };
    let backbone = Backbone::open(&imported.installed.path, None, |_| None).unwrap();
    let manifest = &backbone.manifest;

    // What it is.
    let family = serde_json::to_value(manifest.architecture.value).unwrap();
    match entry.family_known_from.as_deref() {
        None => expect(manifest.architecture.value.label() != "Unknown", format!("family {family}")),
        Some(from) => {
            expect(family == entry.family.as_str(), format!("family {family} and not {}", entry.family));
            let is_right = match &manifest.architecture.origin {
                Origin::File { .. } => from == "config",
                _ => from == "graph",
            };
            expect(is_right, format!("family {}", manifest.architecture.origin));
        }
    }
    expect(manifest.opset == entry.opset, format!("opset {}", manifest.opset));
    let survey = backbone.survey(&graft::progress::CancelToken::new()).unwrap();
    let (least, most) = match entry.n_params {
        Some(n) => (n, n),
        None => (entry.n_params_min.unwrap_or(0), entry.n_params_max.unwrap_or(u64::MAX)),
    };
    // Exporters fold batch normalisations, write out constants, and store positions for the size of the export alone: a
    // thirtieth either way.
    let slack = most / 30 + 16;
    expect(
        (least.saturating_sub(slack)..=most + slack).contains(&survey.n_params),
        format!("{} parameters and not {least} to {most}", survey.n_params),
    );
    expect(survey.macs.is_some_and(|macs| macs > 0), "multiplications are not counted".to_owned());
    expect(survey.layers.len() >= 2, format!("{} layers", survey.layers.len()));

    // Input and outputs.
    let input = &manifest.input;
    expect(input.name == entry.input.name, format!("input {}", input.name));
    let element = match entry.input.element.as_str() {
        "u8" => Element::U8,
        "f16" => Element::F16,
        _ => Element::F32,
    };
    expect(input.element == element, format!("element {}", input.element.name()));
    expect(backbone.fixed_batch() == entry.input.batch, format!("batch {:?}", backbone.fixed_batch()));
    let layout = if entry.input.layout == "nhwc" { TensorLayout::Nhwc } else { TensorLayout::Nchw };
    let spec = backbone.preprocess();
    expect(spec.layout == layout, "layout".to_owned());
    let size = spec.output_size().unwrap();
    expect(size == (entry.input.height, entry.input.width), format!("input size {size:?}"));
    for (output, role) in manifest.outputs.iter().zip(&manifest.roles) {
        let found = serde_json::to_value(role.value).unwrap();
        match entry.outputs.get(&output.name) {
            Some(wanted) => expect(found == *wanted, format!("role of {output}: {found}, {}", role.origin)),
            None => expect(false, format!("output {output}")),
        }
    }

    // Preprocessing.
    let found = serde_json::to_value(spec).unwrap();
    for field in ["resize", "crop", "filter", "mean", "std", "rescale"] {
        let Some(wanted) = entry.preprocess.get(field) else { continue };
        expect(alike(&found[field], wanted), format!("{field}: {} and not {wanted}", found[field]));
    }
    let is_from_file = manifest.preprocess.origins.iter().any(|(_, origin)| matches!(origin, Origin::File { .. }));
    expect(is_from_file == (entry.preprocess["from_file"] == true), "where the preprocessing is from".to_owned());

    // Features.
    expect(
        backbone.space.dim == entry.feature.dim,
        format!("{} features at {} and not {}", backbone.space.dim, backbone.space.layer, entry.feature.dim),
    );
    if backbone.space.dim == entry.feature.dim {
        let difference = worst(&features(&backbone), &floats(&dir.join(&entry.features)));
        expect(
            difference <= entry.feature.tolerance,
            format!("features at {} differ by {difference}", backbone.space.layer),
        );
    }
    if let Some(middle) = &entry.intermediate {
        let label = match middle.pooling.as_str() {
            "none" => middle.tensor.clone(),
            pooling => format!("{}|{pooling}", middle.tensor),
        };
        match Backbone::open(&path, Some(&label), |_| None) {
            Ok(cut) => {
                expect(cut.space.dim == middle.dim, format!("{} features at {label}", cut.space.dim));
                let difference = worst(&features(&cut), &floats(&dir.join(&middle.file)));
                // Rounding to eight bits happens on either side of a step.
                let tolerance = entry.feature.tolerance.max(1e-4);
                expect(difference <= tolerance, format!("features at {label} differ by {difference}"));
                // Nothing behind it is left.
                let size = |b: &Backbone| b.feature_model().unwrap().len();
                expect(size(&cut) < size(&backbone), format!("{} bytes at {label}", size(&cut)));
            }
            Err(error) => expect(false, format!("{label} is not taken: {error}")),
        }
    }
    wrong
}

/// Numbers within rounding, everything else exactly; keys that the reference does not name are not compared.
fn alike(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(a), Value::Number(b)) => {
            (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() <= 1e-6 * b.as_f64().unwrap().abs().max(1e-3)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Object(a), Value::Object(b)) => b.iter().all(|(key, b)| a.get(key).is_some_and(|a| alike(a, b))),
        _ => found == wanted,
    }
}

fn run(dir: &Path) {
    let entries = entries(dir);
    assert!(!entries.is_empty());
    let wrong: Vec<String> = entries.iter().flat_map(|entry| check(dir, entry)).collect();
    assert!(wrong.is_empty(), "{} of {} models:\n{}", wrong.len(), entries.len(), wrong.join("\n"));
}

#[test]
fn small_models_are_understood_and_give_the_features_of_their_framework() {
    run(&small());
}

#[test]
#[ignore = "needs the large models: GRAFT_MATRIX=FOLDER"]
fn large_models_are_understood_and_give_the_features_of_their_framework() {
    let dir = std::env::var_os("GRAFT_MATRIX").expect("GRAFT_MATRIX names the folder of the large models");
    run(Path::new(&dir));
}

#[test]
fn an_early_layer_costs_less() {
    let backbone = Backbone::open(&small().join("resnet_torchvision.onnx"), None, |_| None).unwrap();
    let survey = backbone.survey(&graft::progress::CancelToken::new()).unwrap();
    let macs: Vec<u64> = survey.layers.iter().map(|layer| layer.macs.unwrap()).collect();
    assert!(macs.windows(2).all(|w| w[0] <= w[1]), "{macs:?}");
    assert!(macs[0] < survey.macs.unwrap(), "{macs:?} of {:?}", survey.macs);
    assert!(survey.layers.windows(2).all(|w| w[0].n_params <= w[1].n_params));
}
