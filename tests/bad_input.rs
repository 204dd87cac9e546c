//! Bad input: one clear sentence or a line in the list of skipped files, the right exit status, no panic, and no
//! half-written file.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;

use common::{IMAGES, ONNX, RED_GREEN, SAMPLE, TINY, World, assert_fails, files_below};

fn train(world: &World, images: &str) -> common::Ran {
    world.graft(&["train", "--images", images, "--model", TINY, "--json"])
}

#[test]
fn an_empty_folder() {
    let world = World::new();
    fs::create_dir(world.path("empty")).unwrap();
    assert_fails(&train(&world, "empty"), "no images were found in empty");
    assert_fails(&train(&world, "not-there"), "not-there");
    world.write("text/notes.txt", b"hello");
    assert_fails(&train(&world, "text"), "no images were found");
    world.write("loose/1.bmp", &common::bmp([1, 2, 3], 1));
    assert_fails(&train(&world, "loose"), "have no classes");
}

#[test]
fn one_class() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN[..1], 5);
    assert_fails(&train(&world, &images), "only \"green\"");
}

#[test]
fn a_class_with_one_image() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 6);
    world.write("set/single/1.bmp", &common::bmp([20, 20, 220], 9));
    let ran = train(&world, &images);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("\"single\" has a single image"), "{}", ran.stderr);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["classes"].as_array().unwrap().len(), 3);
    // Two classes with one image each: trained, and honest about what is not known.
    world.write("two/a/1.bmp", &common::bmp([20, 20, 220], 9));
    world.write("two/b/1.bmp", &common::bmp([220, 20, 20], 9));
    let ran = train(&world, "two");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(json["heads"][0]["val"].is_null());
}

#[test]
fn damaged_files_among_good_ones() {
    let world = World::new();
    let mut n_good = 0;
    for path in files_below(Path::new(SAMPLE)) {
        let rel = path.strip_prefix(SAMPLE).unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        if n_good < 3 {
            world.write(&format!("set/{rel}.cut.jpg"), &bytes[..bytes.len() / 2]);
        }
        world.write(&format!("set/{rel}"), &bytes);
        n_good += 1;
    }
    world.write("set/fish/text.jpg", b"this is a text file called .jpg");
    world.write("set/fish/zero.jpg", b"");
    let huge = files_below(Path::new(IMAGES)).into_iter().find(|p| p.to_string_lossy().contains("huge")).unwrap();
    world.write("set/fish/huge.png", &fs::read(huge).unwrap());
    let ran = train(&world, "set");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(n_good > 97);
    assert_eq!(json["n_images"].as_u64(), Some(n_good));
    let reason = |end: &str| {
        let skipped = json["skipped"].as_array().unwrap();
        let found: Vec<_> = skipped.iter().filter(|s| s["path"].as_str().unwrap().ends_with(end)).collect();
        (found.len(), found[0]["reason"].as_str().unwrap().to_owned())
    };
    assert_eq!(json["skipped"].as_array().unwrap().len(), 6);
    let (n, text) = reason(".cut.jpg");
    assert!(n == 3 && text.starts_with("truncated"), "{text}");
    assert_eq!(reason("text.jpg").1, "not an image");
    assert_eq!(reason("zero.jpg").1, "the file is empty");
    let (_, text) = reason("huge.png");
    assert!(text.contains("too large: 30000 x 30000 px"), "{text}");
}

#[test]
fn nothing_but_damage() {
    let world = World::new();
    for class in ["a", "b"] {
        world.write(&format!("set/{class}/1.jpg"), b"nonsense");
    }
    assert_fails(&train(&world, "set"), "none of the 2 images could be used");
}

#[test]
fn models_that_are_none() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 4);
    let with = |model: &str| world.graft(&["train", "--images", &images, "--model", model]);
    let text = world.write("text.onnx", b"not a model");
    assert_fails(&with(text.to_str().unwrap()), "not an ONNX model");
    let empty = world.write("empty.onnx", b"");
    assert_fails(&with(empty.to_str().unwrap()), "the file is empty");
    let whole = fs::read(format!("{TINY}/model.onnx")).unwrap();
    let cut = world.write("cut.onnx", &whole[..whole.len() / 2]);
    assert_fails(&with(cut.to_str().unwrap()), "not an ONNX model");
    assert_fails(&with(&format!("{ONNX}/not_image.onnx")), "no image input");
    assert_fails(&with("no-such-model"), "installed are graft-starter");
    assert_fails(&with("no/such/model.onnx"), "cannot be read");
    fs::create_dir(world.path("folder")).unwrap();
    assert_fails(&with(world.path("folder").to_str().unwrap()), "holds no ONNX model");
}

#[test]
fn exports_that_are_none() {
    let world = World::new();
    let image = world.write("1.bmp", &common::bmp([1, 2, 3], 1));
    let predict = |with: &str| world.graft(&["predict", "--with", with, image.to_str().unwrap()]);
    assert_fails(&predict("nowhere"), "is not an export of Graft");
    world.write("odd/graft.json", b"{}");
    assert_fails(&predict("odd"), "is not an export of Graft");
    let images = world.colours("set", &RED_GREEN, 6);
    world.json(&["train", "--images", &images, "--model", TINY, "--export", "out", "--json"]);
    assert_eq!(predict("out").status, 0);
    let text = world.write("text.jpg", b"nonsense");
    assert_fails(&world.graft(&["predict", "--with", "out", text.to_str().unwrap()]), "not an image");
    let both = world.graft(&["predict", "--with", "out", text.to_str().unwrap(), image.to_str().unwrap()]);
    assert_eq!(both.status, 0, "one of the two can be used");
    assert!(both.stderr.contains("text.jpg: not an image"));
    fs::remove_file(world.path("out/classifier.onnx")).unwrap();
    assert_fails(&predict("out"), "classifier.onnx is missing");
}

#[cfg(unix)]
#[test]
fn a_folder_without_permission() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 6);
    world.colours("set", &[("secret", [9, 9, 9])], 3);
    let open = |rel: &str, mode| fs::set_permissions(world.path(rel), fs::Permissions::from_mode(mode)).unwrap();
    open("set/secret", 0o000);
    for dir in ["", "cache", "data"] {
        fs::create_dir_all(world.path(dir)).unwrap();
        open(dir, 0o777);
    }
    let run = |args: &[&str]| {
        let mut command = world.command();
        // The superuser may read everything: the program runs as nobody then.
        if fs::read_dir(world.path("set/secret")).is_ok() {
            command.uid(65534).gid(65534);
        }
        command.args(args).output().map(common::ran)
    };
    let Ok(version) = run(&["--version"]) else {
        eprintln!("SKIPPED: the program cannot be run as another user here");
        open("set/secret", 0o755);
        return;
    };
    assert_eq!(version.status, 0);
    let part = run(&["train", "--images", &images, "--model", TINY, "--json"]).unwrap();
    let whole = run(&["train", "--images", &format!("{images}/secret"), "--model", TINY]).unwrap();
    open("set/secret", 0o755);
    if part.stderr.contains("cannot be read") {
        eprintln!("SKIPPED: another user cannot read this checkout: {}", part.stderr);
        return;
    }
    assert_eq!(part.status, 0, "{}", part.stderr);
    let json: serde_json::Value = serde_json::from_str(&part.stdout).unwrap();
    assert_eq!(json["skipped"].as_array().unwrap().len(), 1);
    assert!(json["skipped"][0]["reason"].as_str().unwrap().starts_with("unreadable"), "{json}");
    assert_fails(&whole, "Permission denied");
}

/// A file size limit stands in for a full disk: writing more fails in the middle, with an error, as there.
#[cfg(unix)]
#[test]
fn a_disk_without_room_for_the_export() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 6);
    let limited = |kb: u32, out: &str| {
        let mut command = std::process::Command::new("bash");
        let script = format!("trap '' XFSZ; ulimit -f {kb}; exec \"$0\" \"$@\"");
        let graft = world.command();
        command.arg("-c").arg(script).arg(graft.get_program());
        command.args(["train", "--images", &images, "--model", TINY, "--export", out]);
        for (key, value) in graft.get_envs() {
            if let Some(value) = value {
                command.env(key, value);
            }
        }
        common::ran(command.current_dir(world.path("")).output().unwrap())
    };
    // A first run fills the cache, so that only the export needs room.
    assert_eq!(train(&world, &images).status, 0);
    for kb in [1, 10, 20] {
        let ran = limited(kb, "out");
        assert_fails(&ran, "the export to out failed and nothing was left there");
        assert!(!world.path("out").exists());
        let left: Vec<_> = fs::read_dir(world.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|n| ["cache", "set"].contains(&n.to_str().unwrap())), "{left:?}");
    }
    // An older export survives a failed one.
    assert_eq!(limited(100_000, "out").status, 0);
    let before = fs::read(world.path("out/graft.json")).unwrap();
    assert_fails(&limited(10, "out"), "failed");
    assert_eq!(fs::read(world.path("out/graft.json")).unwrap(), before);
    assert_eq!(files_below(&world.path("out")).len(), 8);
}

#[test]
fn a_missing_runtime_is_one_sentence() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 4);
    let mut command = world.command();
    command.env("ORT_DYLIB_PATH", world.path("nowhere.so"));
    let ran = common::ran(command.args(["train", "--images", &images, "--model", TINY]).output().unwrap());
    assert_fails(&ran, "ORT_DYLIB_PATH");
    assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{}", ran.stderr);
}

#[test]
fn a_cache_that_cannot_be_used_costs_only_time() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 4);
    let file = world.write("file", b"");
    let mut command = world.command();
    command.env("GRAFT_CACHE_DIR", file.join("below"));
    let ran = common::ran(command.args(["train", "--images", &images, "--model", TINY]).output().unwrap());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("not being cached"), "{}", ran.stderr);
}
