//! `graft clean`: every kind of fault is found in real photographs and said, in words and as JSON.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/bitmap.rs"]
mod bitmap;
mod common;

use std::fs;
use std::path::PathBuf;

use bitmap::bitmap;
use common::{RED_GREEN, SAMPLE, World, assert_fails, bmp};
use serde_json::Value;

/// The photographs of a class of the sample.
fn photographs(class: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(PathBuf::from(SAMPLE).join(class)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn copy(world: &World, from: &std::path::Path, to: &str) {
    world.write(to, &fs::read(from).unwrap());
}

/// Names of the files below a key of every item of a list.
fn names(json: &Value, list: &str) -> Vec<String> {
    let items = json[list].as_array().unwrap().iter();
    items.map(|item| item["path"].as_str().unwrap().rsplit(['/', '\\']).next().unwrap().to_owned()).collect()
}

/// A picture of one colour.
fn blank() -> Vec<u8> {
    let mut bytes = bmp([200, 190, 180], 0);
    bytes[54..].chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&[180, 190, 200]));
    bytes
}

/// A picture at half its size, as another file.
fn half(bytes: &[u8]) -> Vec<u8> {
    let whole = graft::image::decode::decode(bytes, &graft::image::decode::DecodeLimits::default()).unwrap();
    let (width, height) = (whole.width_px() / 2, whole.height_px() / 2);
    let filter = graft::image::spec::Filter::Bicubic;
    bitmap(&graft::image::resize::resize(&whole, width, height, filter, &mut Default::default()).unwrap())
}

#[test]
fn every_kind_of_fault_is_found_in_photographs() {
    let world = World::new();
    for class in ["fish", "windmill"] {
        for (i, file) in photographs(class).iter().take(13).enumerate() {
            copy(&world, file, &format!("set/{class}/{i:02}.jpg"));
        }
    }
    // A windmill called a fish, a copy by the byte, one made smaller, and a picture of nothing.
    copy(&world, &photographs("windmill")[13], "set/fish/wrong.jpg");
    copy(&world, &photographs("fish")[3], "set/fish/again.jpg");
    let bytes = fs::read(&photographs("windmill")[4]).unwrap();
    world.write("set/fish/smaller.bmp", &half(&bytes));
    world.write("set/windmill/blank.bmp", &blank());
    world.write("set/windmill/broken.jpg", &bytes[..bytes.len() / 2]);
    let images = world.path("set").to_string_lossy().into_owned();
    let npz = world.path("held-out.npz").to_string_lossy().into_owned();
    let json = world.json(&["clean", "--images", &images, "--json", "--probabilities", &npz]);
    assert_eq!(names(&json, "label_errors"), ["wrong.jpg"], "{json}");
    assert_eq!(
        (json["label_errors"][0]["given"].as_str(), json["label_errors"][0]["suggested"].as_str()),
        (Some("fish"), Some("windmill"))
    );
    assert_eq!(json["n_images"].as_u64(), Some(30));
    let copies = json["copies"].as_array().unwrap();
    assert_eq!(copies.len(), 2, "{json}");
    let facts = |copies: &Value| {
        let paths = copies["paths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned());
        let ends: Vec<String> = paths.map(|path| path.rsplit(['/', '\\']).next().unwrap().to_owned()).collect();
        (ends, copies["is_exact"] == true, copies["disagree"] == true, copies["is_leak"] == true)
    };
    let of = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    // What the copy looks like is what counts.
    assert_eq!(facts(&copies[0]), (of(["04.jpg", "smaller.bmp"]), false, true, false));
    assert!(copies[0]["similarity"].as_f64().unwrap() >= 0.95);
    assert_eq!(facts(&copies[1]), (of(["03.jpg", "again.jpg"]), true, false, false));
    assert!(names(&json, "odd").contains(&"blank.bmp".to_owned()), "{json}");
    assert!(
        json["odd"]
            .as_array()
            .unwrap()
            .iter()
            .any(|odd| odd["kind"] == "one_colour" && odd["spread"].as_f64().unwrap() < 0.01)
    );
    assert_eq!(json["skipped"].as_array().unwrap().len(), 1);
    assert!(fs::metadata(&npz).unwrap().len() > 1000);
    // The same again, from the cache, in words.
    let said = world.graft(&["clean", "--images", &images]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    for words in [
        "1 label is probably wrong",
        "2 pictures are there more than once",
        "the same bytes",
        "in different classes",
        "nearly one colour",
    ] {
        assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
    }
    assert!(said.stderr.contains("broken.jpg"), "{}", said.stderr);
    let again = world.json(&["clean", "--images", &images, "--json"]);
    assert_eq!(again, json, "the same input gives the same result");
}

#[test]
fn strangers_are_told_from_the_set() {
    let world = World::new();
    for (i, file) in photographs("fish").iter().chain(&photographs("windmill")).enumerate() {
        copy(&world, file, &format!("set/{}/{i:03}.jpg", if i % 2 == 0 { "a" } else { "b" }));
    }
    // Classes that mean nothing: labels cannot be told wrong, and what is no photograph stands out still.
    world.write("set/a/noise.bmp", &bmp([90, 90, 90], 7));
    let images = world.path("set").to_string_lossy().into_owned();
    let json = world.json(&["clean", "--images", &images, "--json"]);
    let outliers = json["outliers"].as_array().unwrap();
    let noise = outliers.iter().find(|o| o["path"].as_str().unwrap().ends_with("noise.bmp"));
    let noise = noise.unwrap_or_else(|| panic!("{json}"));
    assert!(noise["similarity"].as_f64().unwrap() < noise["usual"].as_f64().unwrap() / 2.0);
    assert!(noise["reason"].as_str().unwrap().contains("is usual"), "{noise}");
    assert!(outliers.len() <= 3, "{json}");
}

#[test]
fn a_copy_on_both_sides_of_a_split_is_a_leak() {
    let world = World::new();
    world.colours("set/train", &RED_GREEN, 6);
    for i in 0..3 {
        world.write(&format!("set/val/green/{i}.bmp"), &bmp([50, 190, 50], 5000 + i));
        world.write(&format!("set/val/red/{i}.bmp"), &bmp([190, 50, 50], 6000 + i));
    }
    let file = fs::read(world.path("set/train/red/002.bmp")).unwrap();
    world.write("set/val/red/leak.bmp", &file);
    let images = world.path("set").to_string_lossy().into_owned();
    let json = world.json(&["clean", "--images", &images, "--json"]);
    let copies = json["copies"].as_array().unwrap();
    assert_eq!(copies.len(), 1, "noise on one colour is like nothing: {json}");
    assert_eq!((copies[0]["is_leak"].as_bool(), copies[0]["is_exact"].as_bool()), (Some(true), Some(true)));
    assert!(copies[0]["paths"][0].as_str().unwrap().ends_with("leak.bmp"), "the one that is judged on counts");
    assert!(world.graft(&["clean", "--images", &images]).stdout.contains("on both sides of the split"));
}

#[test]
fn near_copies_on_both_sides_of_the_split_that_training_draws_are_leaks() {
    let world = World::new();
    for class in ["fish", "windmill"] {
        for (i, file) in photographs(class).iter().take(10).enumerate() {
            copy(&world, file, &format!("set/{class}/{i:02}.jpg"));
            world.write(&format!("set/{class}/{i:02}-half.bmp"), &half(&fs::read(file).unwrap()));
        }
    }
    let images = world.path("set").to_string_lossy().into_owned();
    let leaks = |seed: &str| -> Vec<bool> {
        let json = world.json(&["clean", "--images", &images, "--json", "--seed", seed]);
        let copies = json["copies"].as_array().unwrap().clone();
        assert_eq!(copies.len(), 20, "{json}");
        copies
            .iter()
            .map(|group| {
                let first = group["paths"][0].as_str().unwrap();
                // Whichever side they were drawn for, the split is drawn anew once one of them is gone.
                assert!(first.ends_with("-half.bmp"), "the first by name counts: {group}");
                group["is_leak"] == true
            })
            .collect()
    };
    let (first, other) = (leaks("0"), leaks("1"));
    let n = first.iter().filter(|is_leak| **is_leak).count();
    assert!((1..=8).contains(&n), "a fifth of the images is judged on: {n}");
    assert_ne!(first, other, "another seed draws another split");
}

#[test]
fn what_tells_nothing_is_said_plainly() {
    let world = World::new();
    let one = world.colours("one", &RED_GREEN[..1], 4);
    assert_fails(&world.graft(&["clean", "--images", &one]), "two classes");
    let none = world.path("none");
    fs::create_dir_all(&none).unwrap();
    assert_fails(&world.graft(&["clean", "--images", none.to_str().unwrap()]), "no images");
    // Two images a class.
    let few = world.colours("few", &RED_GREEN, 2);
    let ran = world.graft(&["clean", "--images", &few]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("classes of 10 images"), "{}", ran.stderr);
    // One image a class.
    let single = world.colours("single", &RED_GREEN, 1);
    let npz = world.path("none.npz").to_string_lossy().into_owned();
    let ran = world.graft(&["clean", "--images", &single, "--probabilities", &npz]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("No class has two images") && ran.stderr.contains("is not written"), "{}", ran.stderr);
    // The same picture throughout.
    for i in 0..12 {
        world.write(&format!("same/{}/{i}.bmp", ["a", "b"][i % 2]), &bmp([90, 120, 40], 1));
    }
    let same = world.path("same").to_string_lossy().into_owned();
    let json = world.json(&["clean", "--images", &same, "--json"]);
    assert_eq!(json["copies"][0]["paths"].as_array().unwrap().len(), 12);
    assert_eq!(json["copies"][0]["disagree"].as_bool(), Some(true));
    assert_eq!(json["label_errors"].as_array().unwrap().len(), 0);
}
