//! Loading ONNX Runtime fails with a reason and can be tried again. A test binary of its own, because a process that has
//! ONNX Runtime keeps it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;

use graft::backbone::runtime::{RuntimeError, ensure_loaded};

#[test]
fn after_a_failure_another_path_can_be_tried() {
    let folder = tempfile::tempdir().unwrap();

    let missing = folder.path().join("none.so");
    let error = ensure_loaded(Some(&missing)).unwrap_err();
    assert!(matches!(&error, RuntimeError::NotFound { searched } if *searched == [missing.clone()]), "{error}");

    let text = folder.path().join("text.so");
    fs::write(&text, "not a library").unwrap();
    let error = ensure_loaded(Some(&text)).unwrap_err();
    assert!(matches!(&error, RuntimeError::CannotLoad { path, .. } if *path == text), "{error}");
    assert!(error.to_string().contains("ORT_DYLIB_PATH") && !error.to_string().contains('\n'), "{error}");

    assert!(ensure_loaded(None).unwrap().path.is_file());
}
