//! Models that cannot be used: one sentence each that says what is wrong, no crash, and nothing left in the library.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{World, assert_fails, files_below};
use graft::onnx::proto::{ModelProto, NodeProto, OperatorSetIdProto};
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
    let again = world.json(&["import", &good, "--json"]);
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
