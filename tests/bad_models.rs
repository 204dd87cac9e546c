//! Models that cannot be used: one sentence each that says what is wrong, no crash, and nothing left in the library.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{World, assert_fails, files_below};
use graft::onnx::proto::{
    AttributeProto, FunctionProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, type_proto,
};
use graft::onnx::{encode, parse};

fn matrix(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/matrix").join(name)
}

fn model(name: &str) -> ModelProto {
    parse(fs::read(matrix(name)).unwrap()).unwrap()
}

/// Imports, and expects a refusal that says all of `words`.
#[track_caller]
fn refused(world: &World, path: &str, words: &[&str]) {
    let ran = world.graft(&["import", path]);
    for word in words {
        assert_fails(&ran, word);
    }
    assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    let library = world.path("data/models");
    let left = if library.exists() { files_below(&library) } else { Vec::new() };
    assert!(left.is_empty(), "{left:?}");
}

fn write(world: &World, name: &str, model: &ModelProto) -> String {
    world.write(name, &encode(model).unwrap()).to_string_lossy().into_owned()
}

#[test]
fn a_language_model() {
    let world = World::new();
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx/not_image.onnx");
    refused(&world, &text.to_string_lossy(), &["no image input"]);
}

#[test]
fn a_detector() {
    let world = World::new();
    let mut detector = model("resnet_torchvision.onnx");
    let graph = detector.graph.as_mut().unwrap();
    graph.node.push(NodeProto {
        op_type: Some("NonMaxSuppression".into()),
        input: vec!["a".into(), "b".into()],
        output: vec!["selected".into()],
        ..NodeProto::default()
    });
    let path = write(&world, "detector.onnx", &detector);
    refused(&world, &path, &["finds objects", "NonMaxSuppression"]);
}

#[test]
fn a_custom_operator() {
    let world = World::new();
    let mut custom = model("resnet_torchvision.onnx");
    let node = custom.graph.as_mut().unwrap().node.iter_mut().find(|n| n.op_type() == "Relu").unwrap();
    node.domain = Some("acme".into());
    node.op_type = Some("FastRelu".into());
    custom.opset_import.push(OperatorSetIdProto { domain: Some("acme".into()), version: Some(1) });
    let path = write(&world, "custom.onnx", &custom);
    refused(&world, &path, &["acme.FastRelu"]);
}

#[test]
fn half_a_file_and_no_model_at_all() {
    let world = World::new();
    let whole = fs::read(matrix("resnet_torchvision.onnx")).unwrap();
    for (name, bytes, says) in [
        ("half.onnx", &whole[..whole.len() * 6 / 10], "damaged"),
        ("empty.onnx", &[][..], "empty"),
        ("zip.onnx", &b"PK\x03\x04\x14\x00\x00\x00\x08\x00bomb"[..], "ZIP archive"),
        ("text.onnx", &b"this is a text"[..], "damaged"),
        ("pointer.onnx", &b"version https://git-lfs.github.com/spec/v1\noid sha256:0"[..], "Git LFS"),
    ] {
        let path = world.write(name, bytes);
        refused(&world, &path.to_string_lossy(), &[says, name]);
    }
    refused(&world, "gone.onnx", &["gone.onnx"]);
    fs::create_dir(world.path("folder")).unwrap();
    refused(&world, "folder", &["holds no ONNX model"]);
}

#[test]
fn more_parts_than_a_model_has() {
    let world = World::new();
    // 44 MB of empty nodes would be 5 GB in memory.
    let nodes: Vec<u8> = [0x0a, 0].repeat(22_000_000);
    let mut bomb = vec![0x3a];
    let mut length = nodes.len();
    while length > 0x7f {
        bomb.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bomb.push(length as u8);
    bomb.extend(nodes);
    let path = world.write("bomb.onnx", &bomb);
    refused(&world, &path.to_string_lossy(), &["more parts than any model has"]);
}

#[test]
fn a_file_of_three_gigabytes() {
    let world = World::new();
    let path = world.write("huge.onnx", b"");
    // Only its length is so large: nothing is written.
    fs::File::options().write(true).open(&path).unwrap().set_len(3 << 30).unwrap();
    refused(&world, &path.to_string_lossy(), &["3.2 GB", "2.1 GB"]);
}

#[test]
fn weights_beside_the_file() {
    let world = World::new();
    let external = fs::read(matrix("resnet_external.onnx")).unwrap();
    let data = fs::read(matrix("resnet_external.onnx.data")).unwrap();
    let path = world.write("missing/m.onnx", &external);
    refused(&world, &path.to_string_lossy(), &["resnet_external.onnx.data", "cannot be read"]);
    let path = world.write("short/m.onnx", &external);
    world.write("short/resnet_external.onnx.data", &data[..data.len() / 2]);
    refused(&world, &path.to_string_lossy(), &["needs", "bytes"]);
    for (place, location) in [("above", "../../etc/passwd"), ("absolute", "/etc/passwd"), ("above2", "../outside")] {
        let mut outside = parse(external.clone()).unwrap();
        for tensor in &mut outside.graph.as_mut().unwrap().initializer {
            for entry in tensor.external_data.iter_mut().filter(|e| e.key() == "location") {
                entry.value = Some(location.to_owned());
            }
        }
        world.write("outside", &data);
        let path = write(&world, &format!("{place}/m.onnx"), &outside);
        refused(&world, &path, &["outside the model's folder"]);
    }
}

#[test]
fn weights_that_are_no_numbers() {
    let world = World::new();
    let mut broken = model("resnet_torchvision.onnx");
    let graph = broken.graph.as_mut().unwrap();
    let weight = graph.initializer.iter_mut().find(|t| t.dims.len() == 4).unwrap();
    let n = weight.raw_data.as_ref().unwrap().len() / 4;
    weight.raw_data = Some(f32::NAN.to_le_bytes().repeat(n).into());
    let path = write(&world, "nan.onnx", &broken);
    refused(&world, &path, &["no numbers"]);
}

#[test]
fn names_and_places() {
    let world = World::new();
    let good = matrix("resnet_torchvision.onnx").to_string_lossy().into_owned();
    assert_fails(&world.graft(&["import", &good, "--name", "a/b"]), "cannot be called");
    let json = world.json(&["import", &good, "--name", "small", "--in-place", "--json"]);
    assert_eq!((json["name"].as_str(), json["in_place"].as_bool()), (Some("small"), Some(true)));
    assert_eq!((json["dim"].as_u64(), json["architecture"]["value"].as_str()), (Some(24), Some("resnet")));
    let again = world.json(&["import", &good, "--in-place", "--json"]);
    assert_eq!((again["name"].as_str(), again["was_there"].as_bool()), (Some("small"), Some(true)));
    let listed = world.json(&["models", "--json"]);
    let own = listed.as_array().unwrap().iter().find(|m| m["name"] == "small").unwrap();
    assert_eq!(own["in_place"], true);
    // One that was used in place and is gone is told of, and the others are still listed.
    let copy = world.path("copy.onnx");
    fs::copy(matrix("squeezenet_torchvision.onnx"), &copy).unwrap();
    world.json(&["import", &copy.to_string_lossy(), "--in-place", "--json"]);
    fs::remove_file(&copy).unwrap();
    let ran = world.graft(&["models"]);
    assert_eq!(ran.status, 0);
    assert!(ran.stderr.contains("copy") && ran.stdout.contains("graft-starter"), "{}", ran.stderr);
}

#[test]
fn layers_and_models_that_are_not_there() {
    let world = World::new();
    let images = world.colours("set", &common::RED_GREEN, 10);
    let small = matrix("resnet_torchvision.onnx").to_string_lossy().into_owned();
    assert_fails(&world.graft(&["probe", "--images", &images, "--model", &small, "--layers", "nonsense"]), "nonsense");
    assert_fails(&world.graft(&["probe", "--images", "nowhere", "--model", &small]), "nowhere");
    let json = world.json(&["compare", "--images", &images, "--models", &format!("{small},none"), "--json"]);
    assert_eq!((json["models"].as_array().unwrap().len(), json["failed"][0]["model"].as_str()), (1, Some("none")));
    assert_fails(&world.graft(&["compare", "--images", &images, "--models", "none"]), "there is no model called");
    assert_eq!(world.graft(&["train", "--images", &images, "--provider", "abacus"]).status, 2);
}

/// A field of protobuf with `content`.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let tag = usize::from(number) << 3 | 2;
    let varint = |mut n: usize| {
        let mut bytes = Vec::new();
        while n > 0x7f {
            bytes.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        bytes.push(n as u8);
        bytes
    };
    [varint(tag), varint(content.len()), content.to_vec()].concat()
}

#[test]
fn bombs_beside_the_graph_and_in_its_branches() {
    let world = World::new();
    let good = fs::read(matrix("resnet_torchvision.onnx")).unwrap();
    let nodes = |number: u8| field(number, &[]).repeat(12_000_000);
    let attribute = field(5, &field(6, &nodes(1)));
    for (name, bomb) in [
        ("function.onnx", field(25, &nodes(7))),
        ("branch.onnx", field(7, &field(1, &attribute))),
        ("opsets.onnx", field(8, &[]).repeat(12_000_000)),
    ] {
        let path = world.write(name, &[&good[..], &bomb].concat());
        refused(&world, &path.to_string_lossy(), &["more parts than any model has"]);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn weights_of_more_elements_than_there_are_numbers() {
    let world = World::new();
    let mut huge = model("resnet_torchvision.onnx");
    let graph = huge.graph.as_mut().unwrap();
    graph.initializer.push(TensorProto {
        name: Some("huge".into()),
        data_type: Some(1),
        dims: vec![1 << 40, 1 << 40],
        ..TensorProto::default()
    });
    let output = graph.output[0].name.clone().unwrap();
    graph.node.push(NodeProto {
        op_type: Some("Add".into()),
        input: vec![output, "huge".into()],
        output: vec!["sum".into()],
        ..NodeProto::default()
    });
    graph.output[0].name = Some("sum".into());
    let path = write(&world, "huge.onnx", &huge);
    let ran = world.graft(&["inspect", &path]);
    assert!(ran.status != 0 && !ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn operators_that_multiply_by_an_equation_or_unseen() {
    let world = World::new();
    let cost = |name: &str, model: &ModelProto| world.json(&["inspect", &write(&world, name, model), "--json"]);
    let plain = model("resnet_torchvision.onnx");
    let plain_macs = cost("plain.onnx", &plain)["macs"].as_u64().unwrap();
    let graph = plain.graph.as_ref().unwrap();
    let output = graph.output[0].name.clone().unwrap();
    let n_classes = graph.initializer.iter().rev().find(|t| t.dims.len() == 2).unwrap().dims[0];
    let behind = |node: NodeProto| {
        let mut model = plain.clone();
        let graph = model.graph.as_mut().unwrap();
        graph.initializer.push(TensorProto {
            name: Some("wide".into()),
            data_type: Some(1),
            dims: vec![n_classes, 3000],
            raw_data: Some(0.5f32.to_le_bytes().repeat(n_classes as usize * 3000).into()),
            ..TensorProto::default()
        });
        graph.node.push(NodeProto { input: vec![output.clone(), "wide".into()], output: vec!["z".into()], ..node });
        graph.output[0].name = Some("z".into());
        graph.output[0].r#type.as_mut().unwrap().value =
            Some(type_proto::Value::TensorType(type_proto::Tensor { elem_type: Some(1), shape: None }));
        model
    };
    let attribute = |name: &str| AttributeProto { name: Some(name.into()), ..AttributeProto::default() };
    let equation = AttributeProto { s: Some("nd,dk->nk".into()), r#type: Some(3), ..attribute("equation") };
    let einsum = NodeProto { op_type: Some("Einsum".into()), attribute: vec![equation], ..NodeProto::default() };
    let counted = cost("einsum.onnx", &behind(einsum));
    assert_eq!(counted["macs"].as_u64(), Some(plain_macs + n_classes as u64 * 3000));

    // The same product in a function of the model's own.
    let mut hidden =
        behind(NodeProto { op_type: Some("Linear".into()), domain: Some("own".into()), ..NodeProto::default() });
    let mut version = hidden.opset_import[0].clone();
    hidden.functions.push(FunctionProto {
        name: Some("Linear".into()),
        domain: Some("own".into()),
        input: vec!["a".into(), "b".into()],
        output: vec!["c".into()],
        node: vec![NodeProto {
            op_type: Some("MatMul".into()),
            input: vec!["a".into(), "b".into()],
            output: vec!["c".into()],
            ..NodeProto::default()
        }],
        opset_import: vec![version.clone()],
        ..FunctionProto::default()
    });
    (version.domain, version.version) = (Some("own".into()), Some(1));
    hidden.opset_import.push(version);
    hidden.ir_version = Some(8);
    let unknown = cost("function.onnx", &hidden);
    assert!(unknown["macs"].is_null(), "{}", unknown["macs"]);
    let first = &unknown["layers"][0];
    assert!(first["macs"].as_u64().is_some_and(|n| n > 0), "what comes before is known: {first}");
}

#[test]
fn links_that_are_broken_or_lead_nowhere() {
    let world = World::new();
    let good = matrix("resnet_torchvision.onnx").to_string_lossy().into_owned();
    world.write("data/models/half/graft-link.json", b"{\"path\": \"/som");
    world.write("data/models/gone/graft-link.json", b"{\"path\": \"/nowhere/model.onnx\"}");
    let listed = world.graft(&["models"]);
    for says in ["half", "does not say where its model lies", "gone", "/nowhere/model.onnx"] {
        assert!(listed.stderr.contains(says), "{says}: {}", listed.stderr);
    }
    assert_fails(&world.graft(&["inspect", "half"]), "import the model again under this name");
    for name in ["half", "gone"] {
        let json = world.json(&["import", &good, "--name", name, "--in-place", "--json"]);
        assert_eq!((json["name"].as_str(), json["was_there"].as_bool()), (Some(name), Some(false)));
    }
    assert!(world.graft(&["models"]).stderr.is_empty());
}
