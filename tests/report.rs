//! `graft report`: what is written, what is left alone, and what is said of bad input.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;

use common::{RED_GREEN, TINY, World, assert_fails, files_below};
use graft::store::project::ProjectFile;

fn text(world: &World, rel: &str) -> String {
    fs::read_to_string(world.path(rel)).unwrap()
}

#[test]
fn a_folder_becomes_a_report_with_the_figures_of_train() {
    let world = World::new();
    let images = world.colours("my pets", &RED_GREEN, 10);
    world.write("my pets/red/broken.png", b"\x89PNG\r\n\x1a\n");
    fs::copy(world.path("my pets/red/000.bmp"), world.path("my pets/red/copy.bmp")).unwrap();
    let out = world.path("report.html").to_string_lossy().into_owned();
    let trained = world.json(&["train", "--images", &images, "--model", TINY, "--json"]);
    let written = world.json(&["report", "--images", &images, "--model", TINY, "--out", &out, "--json"]);
    let best = trained["heads"].as_array().unwrap().iter().find(|head| head["kind"] == written["head"]).unwrap();
    assert_eq!(best["val"], written["figures"], "as `graft train` judges");
    let html = text(&world, "report.html");
    assert!(html.contains("<h1>my pets</h1>") && html.contains("--images &#39;my pets&#39;"));
    assert!(html.contains("red/copy.bmp") && html.contains("red/broken.png"));
    let here = world.path("").to_string_lossy().trim_end_matches('/').to_owned();
    assert!(!html.contains(&here), "the machine's folders stay out of it");

    // The same input gives the same report, but for the time.
    let say = world.graft(&["report", "--images", &images, "--model", TINY, "--out", &out]);
    assert!(say.stdout.starts_with("Wrote ") && say.stdout.contains("accuracy 100.0 %"), "{}", say.stdout);
    let without_time =
        |html: &str| html.lines().filter(|line| !line.contains("Written on")).collect::<Vec<_>>().join("\n");
    assert_eq!(without_time(&html), without_time(&text(&world, "report.html")));
    let full = world.graft(&["report", "--images", &images, "--model", TINY, "--out", &out, "--full-paths"]);
    assert_eq!(full.status, 0, "{}", full.stderr);
    assert!(text(&world, "report.html").contains(&here));
}

#[test]
fn something_else_is_replaced_only_when_told() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 6);
    let thesis = world.write("thesis.html", b"<p>years of work").to_string_lossy().into_owned();
    let args = ["report", "--images", &images, "--model", TINY, "--out", &thesis];
    assert_fails(&world.graft(&args), "is no report of Graft: choose another name, or say --force");
    assert_eq!(text(&world, "thesis.html"), "<p>years of work");
    let forced = world.graft(&[&args[..], &["--force"]].concat());
    assert_eq!(forced.status, 0, "{}", forced.stderr);
    assert!(text(&world, "thesis.html").starts_with("<!DOCTYPE html>"));
    let folder = world.path("set").to_string_lossy().into_owned();
    assert_fails(&world.graft(&["report", "--images", &images, "--model", TINY, "--out", &folder]), "is a folder");
}

#[test]
fn bad_input_is_one_sentence_and_no_file() {
    let world = World::new();
    let one = world.colours("one", &RED_GREEN[..1], 5);
    let empty = world.path("empty");
    fs::create_dir_all(&empty).unwrap();
    let empty = empty.to_string_lossy().into_owned();
    let out = world.path("r.html").to_string_lossy().into_owned();
    let report = |args: &[&str]| world.graft(&[&["report", "--model", TINY, "--out", &out][..], args].concat());
    assert_fails(&report(&["--images", &one]), "two classes");
    assert_fails(&report(&["--images", &empty]), "no images were found");
    assert_fails(&report(&["--images", "/no/such"]), "/no/such");
    assert_fails(&report(&["--project", "/no/such.graft"]), "there is no project");
    let not = world.write("not.graft", b"hello").to_string_lossy().into_owned();
    assert_fails(&report(&["--project", &not]), "is not a Graft project");
    let fresh = world.path("fresh.graft");
    drop(ProjectFile::create(&fresh, "fresh").unwrap());
    let fresh = fresh.to_string_lossy().into_owned();
    assert_fails(&report(&["--project", &fresh]), "no images were found in the project");
    assert_fails(&report(&["--project", &fresh, "--runs", "1", "2"]), "there is no run \"1\"");
    assert_fails(&report(&["--images", &one, "--runs", "1", "2"]), "--runs compares runs of a project");
    assert_eq!(report(&[]).status, 2, "either images or a project");
    assert_eq!(report(&["--images", &one, "--project", &fresh]).status, 2);
    assert!(!world.path("r.html").exists());

    // One image a class: trained, and nothing known about how good it is.
    let single = world.colours("single", &RED_GREEN, 1);
    let ran = report(&["--images", &single]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(text(&world, "r.html").contains("Nothing is known about how good it is"));
    // All pictures alike but for their names: copies of one.
    for class in ["a", "b"] {
        for i in 0..3 {
            world.write(&format!("alike/{class}/{i}.bmp"), &common::bmp([9, 9, 9], 1));
        }
    }
    let alike = world.path("alike").to_string_lossy().into_owned();
    assert_fails(&report(&["--images", &alike]), "two classes");
    let left: Vec<_> =
        files_below(&world.path("")).into_iter().filter(|p| p.extension().is_some_and(|e| e == "tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn hostile_names_are_only_names() {
    let world = World::new();
    let classes = [("<script>alert(1)<", [40, 200, 40]), ("\" onload=\"x", [200, 40, 40])];
    let images = world.colours("a <b> & 'c'", &classes, 6);
    let out = world.path("r.html").to_string_lossy().into_owned();
    let ran = world.graft(&["report", "--images", &images, "--model", TINY, "--out", &out]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let html = text(&world, "r.html");
    assert!(
        !html.contains("<script") && !html.contains("\" onload=\"x") && html.contains("&lt;script&gt;alert(1)&lt;")
    );
    assert!(html.contains("<title>a &lt;b&gt; &amp; &#39;c&#39;</title>"));
}

#[test]
fn the_learning_curve_is_drawn_where_it_is_wanted() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 12);
    let out = world.path("report.html").to_string_lossy().into_owned();
    let args = ["report", "--images", &images, "--model", TINY, "--out", &out];
    assert_eq!(world.graft(&args).status, 0);
    assert!(!text(&world, "report.html").contains("Would more images help?"));
    let drawn = world.graft(&[&args[..], &["--curve"]].concat());
    assert_eq!(drawn.status, 0, "{}", drawn.stderr);
    let html = text(&world, "report.html");
    assert!(html.contains("Would more images help?") && html.contains("Raw pixels, linear"));
    assert!(html.contains("--curve"), "how to come to the same");
}
