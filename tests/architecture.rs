//! The crate's invariants about who may use what, read from the sources (see the front page of the documentation).

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// Modules by level; arrows point down.
const LEVELS: [&[&str]; 9] = [
    &["classes", "eigen", "embedding", "progress", "rng"],
    &["image", "dataset", "head", "metrics", "projection"],
    &["project"],
    &["onnx", "backbone", "text", "store", "export"],
    &["workflow"],
    &["jobs"],
    &["app"],
    &["ui"],
    &["cli"],
];

/// Allowed arrows within a level.
const WITHIN: [(&str, &str); 5] =
    [("backbone", "onnx"), ("export", "onnx"), ("export", "backbone"), ("text", "onnx"), ("text", "backbone")];

/// `export` also stages its folder through `store`'s writes.
const ALSO: [(&str, &str); 1] = [("export", "store")];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The top module of a file and its code without comments.
fn modules() -> Vec<(String, PathBuf, String)> {
    let files = sources(Path::new(SRC));
    assert!(files.len() > 40, "the sources were found");
    files
        .into_iter()
        .map(|path| {
            let rel = path.strip_prefix(SRC).unwrap();
            let top = rel.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
            let text = fs::read_to_string(&path).unwrap();
            let code: String =
                text.lines().filter(|l| !l.trim_start().starts_with("//")).map(|l| format!("{l}\n")).collect();
            (top, path, code)
        })
        .collect()
}

fn level(module: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&module))
}

/// Names behind `crate::` in a file.
fn uses(code: &str) -> Vec<String> {
    code.split("crate::")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .collect()
}

#[test]
fn arrows_point_down() {
    for (module, path, code) in modules() {
        let Some(own) = level(&module) else {
            assert!(["lib", "main"].contains(&module.as_str()), "{} belongs to no level", path.display());
            continue;
        };
        for used in uses(&code) {
            let Some(other) = level(&used) else { continue };
            let pair = (module.as_str(), used.as_str());
            let allowed = other < own || module == used || WITHIN.contains(&pair) || ALSO.contains(&pair);
            assert!(allowed, "{}: `{module}` (level {own}) uses `{used}` (level {other})", path.display());
        }
    }
}

#[test]
fn crates_stay_in_their_place() {
    let places: [(&str, &[&str]); 7] = [
        ("ort::", &["backbone/session.rs", "backbone/runtime.rs", "backbone/runtime/"]),
        ("tokenizers::", &["text/tokenizer.rs"]),
        ("rusqlite::", &["store/"]),
        ("indicatif::", &["cli/"]),
        ("anyhow::", &["cli/", "main.rs"]),
        ("egui::", &["ui/"]),
        ("bhtsne::", &["projection/tsne.rs"]),
    ];
    for (_, path, code) in modules() {
        let rel = path.strip_prefix(SRC).unwrap().to_string_lossy().replace('\\', "/");
        for (name, allowed) in places {
            let named = code.match_indices(name).any(|(i, _)| {
                let before = code[..i].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            });
            assert!(!named || allowed.iter().any(|a| rel.starts_with(a)), "{rel} names {name}");
        }
    }
}

#[test]
fn only_the_command_line_prints() {
    for (module, path, code) in modules() {
        if module == "cli" || module == "main" {
            continue;
        }
        for word in ["println!(", "eprintln!(", "print!(", "dbg!("] {
            assert!(!code.contains(word), "{} prints", path.display());
        }
    }
}

#[test]
fn files_stay_readable() {
    for (_, path, code) in modules() {
        let n = code.lines().count();
        assert!(n <= 800, "{} has {n} lines of code", path.display());
    }
}

#[test]
fn main_is_short() {
    let text = fs::read_to_string(Path::new(SRC).join("main.rs")).unwrap();
    assert!(text.lines().count() < 60);
}
