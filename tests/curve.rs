//! Learning curves on the command line, and the baselines from scratch that they are drawn beside.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;

use common::{ONNX, RED_GREEN, SAMPLE, TINY, World, assert_fails};
use graft::backbone::{Backbone, METADATA_PREPROCESS};
use graft::onnx;
use graft::onnx::proto::tensor_shape_proto::Value as Extent;
use graft::onnx::proto::type_proto::Value as Kind;
use graft::onnx::proto::{AttributeProto, NodeProto};
use serde_json::Value;

fn curves<'a>(json: &'a Value, source: &str) -> Vec<&'a Value> {
    json["curves"].as_array().unwrap().iter().filter(|curve| curve["source"] == source).collect()
}

#[test]
fn a_curve_is_printed_as_a_table_with_sentences_and_as_an_object() {
    let world = World::new();
    let json = world.json(&["curve", "--images", SAMPLE, "--json", "--heads", "linear,prototype"]);
    let own = curves(&json, "pretrained");
    assert_eq!(own.iter().map(|c| c["head"].as_str().unwrap()).collect::<Vec<_>>(), ["linear", "prototype"]);
    for source in ["raw_pixels", "random_weights"] {
        assert_eq!(curves(&json, source).len(), 2, "{source}: {}", json["notes"]);
    }
    let points = own[0]["points"].as_array().unwrap();
    assert!(points.len() >= 4 && points[0]["n_per_class"].as_f64() == Some(1.0), "{points:?}");
    for point in points {
        let accuracy = &point["accuracy"];
        let value = |key: &str| accuracy["interval"][key].as_f64().unwrap();
        let mean = accuracy["value"].as_f64().unwrap();
        assert!(value("low") <= mean && mean <= value("high") && point["log_loss"].as_f64().unwrap() > 0.0);
        assert_eq!(point["recall"].as_array().unwrap().len(), json["classes"].as_array().unwrap().len());
    }
    let last =
        |curve: &Value| curve["points"].as_array().unwrap().last().unwrap()["accuracy"]["value"].as_f64().unwrap();
    for baseline in curves(&json, "raw_pixels").iter().chain(&curves(&json, "random_weights")) {
        assert!(last(baseline) < last(own[0]), "photographs are not told apart by pixels");
    }
    assert_eq!((json["transfer"]["verdict"].as_str(), json["is_given"].as_bool()), (Some("helps"), Some(false)));
    assert!(json["transfer"]["efficiency"]["times"].as_f64().unwrap() > 2.0);
    assert!(json["needs"]["classes"].as_array().unwrap().len() == json["classes"].as_array().unwrap().len());
    let again = world.json(&["curve", "--images", SAMPLE, "--json", "--heads", "linear,prototype"]);
    assert_eq!(again["curves"], json["curves"], "the same input gives the same result");

    let said = world.graft(&["curve", "--images", SAMPLE, "--heads", "linear", "--no-baseline"]).stdout;
    assert!(said.contains("over images a class") && said.contains("mean recall"), "{said}");
    assert!(!said.contains("Raw pixels") && !said.contains("Prototype"), "{said}");
    for sentence in json["said"].as_array().unwrap() {
        assert!(sentence.as_str().unwrap().ends_with('.'), "{sentence}");
    }
}

#[test]
fn text_heads_have_a_curve_where_the_model_reads_texts() {
    let world = World::new();
    let json = world.json(&["curve", "--images", SAMPLE, "--json", "--heads", "text", "--no-baseline"]);
    let own = curves(&json, "pretrained");
    assert_eq!(own.len(), 1, "{}", json["notes"]);
    let first = own[0]["points"][0]["accuracy"]["value"].as_f64().unwrap();
    assert!(first > 0.6, "names of classes alone say much: {first}");
    let images = world.colours("set", &RED_GREEN, 4);
    let alone = world.graft(&["curve", "--images", &images, "--model", TINY, "--heads", "text"]);
    assert_fails(&alone, "text");
}

/// A backbone that sees no colour: the mean of the channels of each pixel.
fn colour_blind(dir: &Path) -> String {
    let mut model = onnx::pixel_model(32);
    let graph = model.graph.as_mut().unwrap();
    let ints = |name: &str, ints: &[i64]| AttributeProto {
        name: Some(name.to_owned()),
        ints: ints.to_vec(),
        r#type: Some(7),
        ..Default::default()
    };
    graph.node[0].input[0] = "grey".to_owned();
    graph.node.insert(
        0,
        NodeProto {
            op_type: Some("ReduceMean".to_owned()),
            input: vec!["pixel_values".to_owned()],
            output: vec!["grey".to_owned()],
            attribute: vec![ints("axes", &[1])],
            ..Default::default()
        },
    );
    let Some(Kind::TensorType(tensor)) = graph.output[0].r#type.as_mut().and_then(|t| t.value.as_mut()) else {
        panic!("a tensor");
    };
    tensor.shape.as_mut().unwrap().dim[1].value = Some(Extent::DimValue(32 * 32));
    let spec = serde_json::to_string(Backbone::raw_pixels(32).unwrap().preprocess()).unwrap();
    onnx::set_metadata(&mut model, &[(METADATA_PREPROCESS, spec.as_str())]);
    let path = dir.join("blind.onnx");
    fs::write(&path, onnx::encode(&model).unwrap()).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn a_backbone_that_is_blind_to_what_matters_is_warned_of() {
    let world = World::new();
    // As light as each other, and of different colour.
    let images = world.colours("set", &RED_GREEN, 20);
    let blind = colour_blind(&world.path(""));
    let args = ["curve", "--images", &images, "--model", &blind];
    let json = world.json(&[&args[..], &["--json"]].concat());
    assert_eq!(json["transfer"]["verdict"].as_str(), Some("worse"), "{}", json["said"]);
    assert_eq!(json["transfer"]["baseline"].as_str(), Some("raw_pixels"));
    assert!(json["transfer"]["difference"]["interval"]["high"].as_f64().unwrap() < -0.1);
    // It has no weights that could be random, which is said, and pixels go on alone.
    assert!(curves(&json, "random_weights").is_empty());
    assert!(json["notes"].to_string().contains("no curve for random weights"), "{}", json["notes"]);
    let said = world.graft(&args).stdout;
    assert!(said.contains("Negative transfer: the pretrained features are worse than raw pixels"), "{said}");
}

#[test]
fn random_weights_go_into_every_kind_of_graph_but_quantised_ones() {
    for name in ["tiny_fp16.onnx", "tiny_nhwc.onnx", "tiny_vit.onnx", "tiny_external.onnx"] {
        let trained = Backbone::open(&Path::new(ONNX).join(name), None, |_| None).unwrap();
        let random = trained.untrained(0).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_ne!(random.space.key(), trained.space.key(), "{name}");
        assert_eq!(random.space.dim, trained.space.dim, "{name}");
    }
    let quantised = Backbone::open(&Path::new(ONNX).join("tiny_qdq.onnx"), None, |_| None).unwrap();
    assert!(quantised.untrained(0).unwrap_err().to_string().contains("quantised"));
}

#[test]
fn bad_input_is_said_plainly() {
    let world = World::new();
    let curve = |images: &str| world.graft(&["curve", "--images", images, "--model", TINY]);
    assert_fails(&curve(&world.colours("one", &RED_GREEN[..1], 5)), "two classes");
    assert_fails(&curve("not-there"), "not-there");
    world.write("lone/a/1.bmp", &common::bmp([20, 20, 220], 9));
    world.write("lone/b/1.bmp", &common::bmp([220, 20, 20], 9));
    assert_fails(&curve("lone"), "no image to judge on");
    // A class with two images, and one with a single one.
    let uneven = world.colours("uneven", &RED_GREEN, 12);
    for (rel, seed) in [("two/1", 1), ("two/2", 2), ("single/1", 3)] {
        world.write(&format!("uneven/{rel}.bmp"), &common::bmp([20, 20, 220], seed));
    }
    let ran = curve(&uneven);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    // Every picture the same, in files that differ.
    for class in ["a", "b"] {
        for i in 0..12_u8 {
            let mut bytes = common::bmp([90, 90, 90], 4);
            bytes.push(i + if class == "a" { 0 } else { 100 });
            world.write(&format!("same/{class}/{i}.bmp"), &bytes);
        }
    }
    let ran = curve("same");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("have not helped so far") && ran.stdout.contains("no better than"), "{}", ran.stdout);
}
