//! Models that are unlike what exporters usually write, and can be used all the same: in whole, or at some of their layers.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{World, assert_fails};
use graft::onnx::proto::{
    AttributeProto, DataType, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, tensor_shape_proto, type_proto,
};
use graft::onnx::{encode, parse};
use serde_json::Value;

/// A small ResNet of torchvision: `input` `[N, 3, 64, 64]`, features `/Flatten_output_0` `[N, 24]`, scores `output`.
fn resnet() -> ModelProto {
    parse(fs::read(fixture("resnet_torchvision.onnx")).unwrap()).unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/matrix").join(name)
}

fn write(world: &World, name: &str, model: &ModelProto) -> String {
    world.write(name, &encode(model).unwrap()).to_string_lossy().into_owned()
}

fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: Some(op.into()),
        input: inputs.iter().map(|&i| i.to_owned()).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    }
}

fn constant(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(DataType::Float as i32),
        raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>().into()),
        ..TensorProto::default()
    }
}

/// Gives the graph's last output another name, and forgets its shape.
fn give_out(model: &mut ModelProto, name: &str) {
    let output = model.graph.as_mut().unwrap().output.last_mut().unwrap();
    output.name = Some(name.into());
    output.r#type = None;
}

fn layers(world: &World, path: &str) -> Vec<(String, String, u64)> {
    let json = world.json(&["inspect", path, "--json"]);
    let layer = |l: &Value| {
        let text = |key: &str| l[key].as_str().unwrap().to_owned();
        (text("tensor"), text("pooling"), l["dim"].as_u64().unwrap())
    };
    json["layers"].as_array().unwrap().iter().map(layer).collect()
}

/// Rows of `graft embed`, as the bytes of the file's array.
fn embedded(world: &World, images: &str, args: &[&str]) -> Vec<u8> {
    let out = world.path("out.npz").to_string_lossy().into_owned();
    let mut all = vec!["embed", "--images", images, "--out", &out];
    all.extend(args);
    let ran = world.graft(&all);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    fs::read(out).unwrap()
}

#[test]
fn a_detectors_layers_are_listed_and_can_be_used() {
    let world = World::new();
    let images = world.colours("set", &common::RED_GREEN, 10);
    let mut detector = resnet();
    detector.graph.as_mut().unwrap().node.push(node("NonMaxSuppression", &["a", "b"], "selected"));
    let path = write(&world, "detector.onnx", &detector);
    assert_fails(&world.graft(&["train", "--images", &images, "--model", &path]), "finds objects");
    let said = world.graft(&["inspect", &path]).stdout;
    assert!(said.contains("no features of its own: choose a layer"), "{said}");
    assert!(layers(&world, &path).iter().any(|(tensor, _, dim)| tensor == "/Flatten_output_0" && *dim == 24));
    let probed = world.json(&["probe", "--images", &images, "--model", &path, "--json"]);
    assert!(probed["layers"].as_array().unwrap().len() > 2);
    embedded(&world, &images, &["--model", &path, "--layer", "/Flatten_output_0"]);
}

#[test]
fn layers_before_an_operator_that_is_missing_can_be_used() {
    let world = World::new();
    let images = world.colours("set", &common::RED_GREEN, 4);
    let mut custom = resnet();
    let graph = custom.graph.as_mut().unwrap();
    graph.node.push(NodeProto { domain: Some("acme".into()), ..node("Top", &["output"], "best") });
    custom.opset_import.push(OperatorSetIdProto { domain: Some("acme".into()), version: Some(1) });
    give_out(&mut custom, "best");
    let path = write(&world, "custom.onnx", &custom);
    assert!(layers(&world, &path).iter().any(|(tensor, ..)| tensor == "/Flatten_output_0"));
    let own = fixture("resnet_torchvision.onnx").to_string_lossy().into_owned();
    let layer = ["--layer", "/Flatten_output_0"];
    let wanted = embedded(&world, &images, &[&["--model", own.as_str()][..], &layer].concat());
    assert_eq!(embedded(&world, &images, &[&["--model", path.as_str()][..], &layer].concat()), wanted);
}

#[test]
fn a_graph_with_one_image_written_into_it_takes_one_at_a_time() {
    let world = World::new();
    let images = world.colours("set", &common::RED_GREEN, 4);
    let mut single = resnet();
    let graph = single.graph.as_mut().unwrap();
    let flatten = graph.node.iter_mut().find(|n| n.op_type() == "Flatten").unwrap();
    *flatten = node("Reshape", &[flatten.input[0].as_str(), "shape"], "/Flatten_output_0");
    graph.initializer.push(TensorProto {
        data_type: Some(DataType::Int64 as i32),
        raw_data: Some([1_i64, -1].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>().into()),
        ..constant("shape", &[2], &[])
    });
    let path = write(&world, "single.onnx", &single);
    let said = world.graft(&["inspect", &path]).stdout;
    assert!(said.contains("one image at a time"), "{said}");
    // Also where the graph states the features for any number of images.
    let mut stated = single.clone();
    let graph = stated.graph.as_mut().unwrap();
    graph.node.retain(|n| n.op_type() != "Gemm");
    let output = &mut graph.output[0];
    output.name = Some("/Flatten_output_0".into());
    let Some(type_proto::Value::TensorType(tensor)) = output.r#type.as_mut().unwrap().value.as_mut() else { panic!() };
    tensor.shape.as_mut().unwrap().dim[1].value = Some(tensor_shape_proto::Value::DimValue(24));
    let stated = write(&world, "stated.onnx", &stated);
    embedded(&world, &images, &["--model", &stated]);
    let own = fixture("resnet_torchvision.onnx").to_string_lossy().into_owned();
    assert_eq!(embedded(&world, &images, &["--model", &path]), embedded(&world, &images, &["--model", &own]));
}

#[test]
fn channels_are_found_by_the_operators_and_not_by_the_sides() {
    let world = World::new();
    let mut wide = resnet();
    let input = &mut wide.graph.as_mut().unwrap().input[0];
    let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_mut().unwrap().value.as_mut() else { panic!() };
    for (dim, side) in tensor.shape.as_mut().unwrap().dim[2..].iter_mut().zip([32, 64]) {
        dim.value = Some(tensor_shape_proto::Value::DimValue(side));
    }
    wide.graph.as_mut().unwrap().value_info.clear();
    let path = write(&world, "wide.onnx", &wide);
    let json = world.json(&["inspect", &path, "--json"]);
    // 8 channels of 8 x 16 places look like 16 channels of 8 x 8.
    let misleading: Vec<&Value> =
        json["layers"].as_array().unwrap().iter().filter(|l| l["dims"] == serde_json::json!([8, 8, 16])).collect();
    assert!(!misleading.is_empty(), "{json}");
    assert!(misleading.iter().all(|l| l["pooling"] == "gap" && l["dim"] == 8), "{misleading:?}");
}

#[test]
fn a_model_that_is_blind_is_refused_and_says_what_was_set() {
    let world = World::new();
    let mut blind = resnet();
    let graph = blind.graph.as_mut().unwrap();
    let last = graph.node.iter_mut().find(|n| n.op_type() == "Gemm").unwrap();
    last.input[0] = "dimmed".into();
    graph.node.push(node("Mul", &["/Flatten_output_0", "gain"], "dimmed"));
    let mut gain = graph.input[0].clone();
    gain.name = Some("gain".into());
    let Some(type_proto::Value::TensorType(tensor)) = gain.r#type.as_mut().unwrap().value.as_mut() else { panic!() };
    tensor.shape.as_mut().unwrap().dim.clear();
    graph.input.push(gain);
    let path = write(&world, "blind.onnx", &blind);
    let ran = world.graft(&["import", &path]);
    assert_fails(&ran, "the same for every picture");
    assert!(ran.stderr.contains("The input gain is set to 0"), "{}", ran.stderr);
}

#[test]
fn what_depends_on_the_rest_of_a_run_goes_one_by_one() {
    let world = World::new();
    // Normalised as in training: by the mean of the images at hand.
    let mut model = resnet();
    let graph = model.graph.as_mut().unwrap();
    let pool = graph.node.iter_mut().find(|n| n.op_type() == "GlobalAveragePool").unwrap();
    let before = std::mem::replace(&mut pool.input[0], "normed".into());
    let ones = [1.0; 24];
    let names = ["scale", "bias", "mean", "var"];
    graph.initializer.extend(names.iter().map(|name| constant(name, &[24], &ones)));
    let inputs: Vec<&str> = std::iter::once(before.as_str()).chain(names).collect();
    let mut norm = node("BatchNormalization", &inputs, "normed");
    norm.output.extend(["m".into(), "v".into()]);
    norm.attribute.push(AttributeProto {
        name: Some("training_mode".into()),
        r#type: Some(2),
        i: Some(1),
        ..AttributeProto::default()
    });
    let at = graph.node.iter().position(|n| n.op_type() == "GlobalAveragePool").unwrap();
    graph.node.insert(at, norm);
    let path = write(&world, "training.onnx", &model);
    let open = |path: &str| graft::backbone::Backbone::open(Path::new(path), None, |_| None).unwrap();
    assert!(open(&path).is_batch_dependent());
    assert!(!open(&fixture("resnet_torchvision.onnx").to_string_lossy()).is_batch_dependent());
    assert_ne!(
        open(&path).space.preprocess,
        open(&fixture("resnet_torchvision.onnx").to_string_lossy()).space.preprocess
    );
}

#[test]
fn one_bad_model_or_layer_does_not_end_the_others() {
    let world = World::new();
    let images = world.colours("set", &common::RED_GREEN, 10);
    let good = fixture("resnet_torchvision.onnx").to_string_lossy().into_owned();
    // An overflow in one layer that a maximum takes away again behind it.
    let mut model = resnet();
    let graph = model.graph.as_mut().unwrap();
    let relu = graph.node.iter().position(|n| n.output[0] == "/layer2/layer2.0/relu_1/Relu_output_0").unwrap();
    let before = std::mem::replace(&mut graph.node[relu].output[0], "sound".into());
    let mut more = vec![
        node("Mul", &["sound", "huge"], "large"),
        node("Mul", &["large", "huge"], "endless"),
        node("Min", &["endless", "one"], "capped"),
        node("Mul", &["capped", "zero"], "nothing"),
        node("Add", &["sound", "nothing"], before.as_str()),
    ];
    more.reverse();
    for node in more {
        graph.node.insert(relu + 1, node);
    }
    for (name, value) in [("huge", 1e30), ("one", 1.0), ("zero", 0.0)] {
        graph.initializer.push(constant(name, &[], &[value]));
    }
    graph.value_info.clear();
    let path = write(&world, "overflow.onnx", &model);
    let wanted = format!("endless|gap,{}|gap,/Flatten_output_0", before);
    let probed = world.json(&["probe", "--images", &images, "--model", &path, "--layers", &wanted, "--json"]);
    let names: Vec<&str> = probed["layers"].as_array().unwrap().iter().map(|l| l["layer"].as_str().unwrap()).collect();
    assert_eq!(names, [format!("{before}|gap").as_str(), "/Flatten_output_0"]);
    assert!(probed["notes"].to_string().contains("endless|gap is left out"), "{}", probed["notes"]);

    let mut nan = resnet();
    let weight = nan.graph.as_mut().unwrap().initializer.iter_mut().find(|t| t.dims.len() == 4).unwrap();
    let n = weight.raw_data.as_ref().unwrap().len() / 4;
    weight.raw_data = Some(f32::NAN.to_le_bytes().repeat(n).into());
    let bad = write(&world, "nan.onnx", &nan);
    let json = world.json(&["compare", "--images", &images, "--models", &format!("{bad},{good}"), "--json"]);
    assert_eq!(
        (json["models"].as_array().unwrap().len(), json["failed"][0]["model"].as_str()),
        (1, Some(bad.as_str()))
    );
    assert_fails(&world.graft(&["providers", "--model", &bad]), "no numbers");
    assert_eq!(world.graft(&["compare", "--images", &images, "--models", ","]).status, 2);
}
