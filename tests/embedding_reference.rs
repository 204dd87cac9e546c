//! Embeddings of the starter model against Pillow and ONNX Runtime in Python, as `tests/reference/embeddings.py` recorded
//! them.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::path::{Path, PathBuf};

use graft::progress::Silent;
use graft::workflow::embed::{EmbedConfig, embed};
use graft::workflow::models::open_path;

#[derive(serde::Deserialize)]
struct Recorded {
    files: Vec<String>,
    dim: usize,
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn embeddings_equal_pythons() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let recorded: Recorded =
        serde_json::from_slice(&fs::read(root.join("tests/fixtures/embeddings.json")).unwrap()).unwrap();
    let bytes = fs::read(root.join("tests/fixtures/embeddings.f32")).unwrap();
    let expected: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    assert_eq!(expected.len(), recorded.files.len() * recorded.dim);

    let paths: Vec<PathBuf> = recorded.files.iter().map(|f| root.join("assets/sample").join(f)).collect();
    let backbone = open_path(&root.join("models/graft-starter"), None, &None).unwrap();
    let embedded = embed(&backbone, &paths, &None, &EmbedConfig::default(), &Silent::default()).unwrap();

    assert!(embedded.skipped.is_empty(), "{:?}", embedded.skipped);
    assert_eq!(embedded.path_idx, (0..paths.len()).collect::<Vec<_>>());
    assert_eq!(embedded.embeddings.view().dim(), (paths.len(), recorded.dim));
    let rows = embedded.embeddings.view();
    for ((file, row), expected) in recorded.files.iter().zip(rows.rows()).zip(expected.chunks_exact(recorded.dim)) {
        let cosine = cosine(row.as_slice().unwrap(), expected);
        assert!(cosine >= 0.9999, "{file}: cosine {cosine}");
    }
}
