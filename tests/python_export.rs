//! An export in Python's hands: the same answers there as here.
//!
//! Runs where `GRAFT_PYTHON` names an interpreter with numpy, onnxruntime and pillow; elsewhere it says that it did not.
//! `tests/embedding_reference.rs` and the export's own proof stand in for it there.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may")]

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The interpreter, or why there is none.
fn python() -> Result<std::ffi::OsString, String> {
    let python = std::env::var_os("GRAFT_PYTHON").ok_or("GRAFT_PYTHON is not set")?;
    let probe = Command::new(&python).args(["-c", "import numpy, onnxruntime, PIL"]).output();
    match probe {
        Ok(output) if output.status.success() => Ok(python),
        Ok(_) => Err(format!("{} lacks numpy, onnxruntime or pillow", python.display())),
        Err(error) => Err(format!("{}: {error}", python.display())),
    }
}

/// Runs `graft` with folders of its own.
fn graft(home: &Path, arguments: &[&OsStr]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_graft"))
        .args(arguments)
        .env("GRAFT_CACHE_DIR", home.join("cache"))
        .env("GRAFT_DATA_DIR", home.join("data"))
        .output()
        .unwrap();
    assert!(output.status.success(), "graft {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn check(head: &str, rule: &[&str]) {
    let python = match python() {
        Ok(python) => python,
        Err(why) => return eprintln!("SKIPPED, exports are not checked in Python: {why}"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = tempfile::tempdir().unwrap();
    let [export, predictions, npz] = ["export", "predictions.json", "images.npz"].map(|name| home.path().join(name));
    let sample = root.join("assets/sample");
    let [sample, export_dir] = [sample.as_os_str(), export.as_os_str()];
    let option = OsStr::new;
    let mut train = vec![
        option("train"),
        option("--images"),
        sample,
        option("--head"),
        option(head),
        option("--export"),
        export_dir,
    ];
    train.extend(rule.iter().map(|flag| option(flag)));
    graft(home.path(), &train);
    let answers = graft(home.path(), &[option("predict"), option("--with"), export_dir, sample, option("--json")]);
    fs::write(&predictions, answers.stdout).unwrap();
    graft(home.path(), &[option("embed"), option("--images"), sample, option("--out"), npz.as_os_str()]);

    let output = Command::new(python)
        .arg(root.join("tests/reference/export_check.py"))
        .args([&export, &predictions, &npz])
        .output()
        .unwrap();
    let [figures, errors] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    eprintln!("{head} head: {figures}");
    assert!(output.status.success(), "{errors}");
}

#[test]
fn python_gives_the_linear_heads_answers() {
    check("linear", &[]);
}

#[test]
fn python_gives_the_prototype_heads_answers() {
    check("prototype", &[]);
}

/// Where the app says "unknown", so does `predict.py`: the labels are compared one by one.
#[test]
fn python_says_unknown_where_the_app_does() {
    check("linear", &["--unknown-by-distance", "0.8"]);
    check("prototype", &["--unknown-below", "0.9"]);
}
