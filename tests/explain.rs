//! Why an answer: nearest images as scikit-learn finds them, and where a model looks whose eyes are known.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use graft::backbone::Backbone;
use graft::backbone::provider::Provider;
use graft::classes::{ClassIdx, ClassSet};
use graft::head::{Head, LinearHead, nearest};
use graft::progress::{CancelToken, Reporter, Silent, Stage};
use graft::workflow::WorkflowError;
use graft::workflow::embed::EmbedConfig;
use graft::workflow::explain::{OcclusionConfig, OcclusionMap, occlusion};
use graft::workflow::models::{open_model, open_path};
use ndarray::{Array2, arr1, arr2};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn nearest_images_are_those_of_scikit_learn() {
    #[derive(serde::Deserialize)]
    struct Found {
        rows: Vec<Vec<usize>>,
        cosines: Vec<Vec<f64>>,
    }
    let found: Found = serde_json::from_slice(&fs::read(fixture("neighbours.json")).unwrap()).unwrap();
    let bytes = fs::read(fixture("embeddings.f32")).unwrap();
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let n = found.rows.len();
    let x = Array2::from_shape_vec((n, values.len() / n), values).unwrap();
    for (row, (rows, cosines)) in found.rows.iter().zip(&found.cosines).enumerate() {
        let ours = nearest(x.view(), x.row(row), n).unwrap();
        assert_eq!(ours[0].row, row, "itself");
        assert_eq!(ours[1..].iter().map(|o| o.row).collect::<Vec<_>>(), *rows);
        for (our, cosine) in ours[1..].iter().zip(cosines) {
            assert!((f64::from(our.similarity) - cosine).abs() < 1e-6, "{} and {cosine}", our.similarity);
        }
        let three = nearest(x.view(), x.row(row), 3).unwrap();
        assert_eq!(three, ours[..3]);
    }
}

/// A model that sees the quarter at the top right alone, one picture at a time; how red that is.
fn red_at_the_top_right() -> (Backbone, Head) {
    let backbone = open_path(&fixture("onnx/corner.onnx"), Some("features|none"), &None).unwrap();
    assert_eq!((backbone.fixed_batch(), backbone.space.dim), (Some(1), 3));
    let classes = ClassSet::from_ordered(["other", "red"]);
    let weight = arr2(&[[0.0_f32, 0.0, 0.0], [2.0, -1.0, -1.0]]);
    let head = LinearHead::new(backbone.space.clone(), classes, weight, arr1(&[0.0, 0.0])).unwrap();
    (backbone, Head::Linear(head))
}

/// A grey 64 x 64 picture with a square of a colour from `at`, a quarter of its side wide.
fn square(dir: &Path, at: (usize, usize), rgb: [u8; 3]) -> PathBuf {
    let mut pixels = Vec::new();
    for y in 0..64_usize {
        for x in 0..64_usize {
            let inside = (at.0..at.0 + 16).contains(&x) && (at.1..at.1 + 16).contains(&y);
            pixels.push(if inside { rgb } else { [60, 60, 60] });
        }
    }
    let path = dir.join(format!("{}-{}.bmp", at.0, at.1));
    fs::write(&path, bmp(64, 64, &pixels)).unwrap();
    path
}

fn bmp(width: u32, height: u32, pixels: &[[u8; 3]]) -> Vec<u8> {
    let mut bytes = b"BM".to_vec();
    for v in [54 + width * height * 3, 0, 54, 40, width, height] {
        bytes.extend(v.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    for line in pixels.chunks(width as usize).rev() {
        bytes.extend(line.iter().flat_map(|[r, g, b]| [*b, *g, *r]));
    }
    bytes
}

fn cpu() -> EmbedConfig {
    EmbedConfig { provider: Provider::Cpu, ..EmbedConfig::default() }
}

fn look(backbone: &Backbone, head: &Head, class: Option<ClassIdx>, path: &Path) -> Result<OcclusionMap, WorkflowError> {
    occlusion(backbone, head, class, path, (OcclusionConfig::default(), &cpu()), &Silent::default())
}

#[test]
fn what_the_answer_rests_on_lights_up() {
    let dir = tempfile::tempdir().unwrap();
    let (backbone, head) = red_at_the_top_right();
    let map = look(&backbone, &head, None, &square(dir.path(), (40, 8), [250, 20, 20])).unwrap();
    assert_eq!((map.class, map.drops.dim()), (ClassIdx(1), (12, 12)));
    let (row, column) = map.strongest();
    // The square reaches from 7.5 to 10.5 of 12 columns and from 1.5 to 4.5 of 12 rows.
    assert!((7..=10).contains(&column) && (1..=4).contains(&row), "{row}, {column}");
    assert!(map.drops[[row, column]] > 0.5);
    assert!(map.range.0 < map.probability && map.probability > 0.5);
    // What it does not see does not matter: patches in the left half and in the lower half, a patch's half away.
    for row in 0..12 {
        for column in 0..12 {
            if column < 4 || row > 7 {
                assert!(map.drops[[row, column]].abs() < 1e-5, "{row}, {column}: {}", map.drops[[row, column]]);
            }
        }
    }
    // The other class: what speaks for one speaks against the other.
    let path = square(dir.path(), (40, 8), [250, 20, 20]);
    let other = look(&backbone, &head, Some(ClassIdx(0)), &path).unwrap();
    assert_eq!(other.class, ClassIdx(0));
    assert!((&other.drops + &map.drops).iter().all(|d| d.abs() < 1e-5));
    // A square where it does not look.
    let blind = look(&backbone, &head, Some(ClassIdx(1)), &square(dir.path(), (8, 40), [250, 20, 20])).unwrap();
    let lit = |map: &OcclusionMap| map.drops.iter().filter(|d| **d > 0.2).count();
    assert_eq!(lit(&blind), 0, "{:?}", blind.drops);
}

#[test]
fn a_plain_picture_has_nothing_to_look_at() {
    let dir = tempfile::tempdir().unwrap();
    let (backbone, head) = red_at_the_top_right();
    let path = dir.path().join("plain.bmp");
    fs::write(&path, bmp(8, 4, &[[90, 90, 90]; 32])).unwrap();
    let map = look(&backbone, &head, None, &path).unwrap();
    assert!(map.drops.iter().all(|d| d.abs() < 1e-5), "the patch has the picture's own colour");
}

#[test]
fn a_real_model_answers_whatever_the_batch() {
    let backbone = open_model(None, None, &None).unwrap();
    let dim = backbone.space.dim;
    let weight = Array2::from_shape_fn((2, dim), |(class, i)| if class == i % 2 { 0.05 } else { -0.05 });
    let classes = ClassSet::from_ordered(["a", "b"]);
    let head = LinearHead::new(backbone.space.clone(), classes, weight, arr1(&[0.0, 0.0])).unwrap();
    let head = Head::Linear(head);
    let image = common::files_below(Path::new(common::SAMPLE)).into_iter().find(|p| p.extension().is_some()).unwrap();
    let config = OcclusionConfig { n_steps: 3, patch: 0.4 };
    let run =
        |backbone: &Backbone| occlusion(backbone, &head, None, &image, (config, &cpu()), &Silent::default()).unwrap();
    let open = run(&backbone);
    assert!(open.drops.iter().any(|d| d.abs() > 1e-3));
    let [left, top, right, bottom] = open.seen;
    assert!(left >= 0.0 && top >= 0.0 && right <= 1.0 && bottom <= 1.0 && right > left && bottom > top);
    for n in [1, 4] {
        let fixed = run(&backbone.fixed_to(n));
        assert!((&fixed.drops - &open.drops).iter().all(|d| d.abs() < 1e-3), "{} and {}", fixed.drops, open.drops);
    }
}

#[test]
fn what_cannot_be_looked_at_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (backbone, head) = red_at_the_top_right();
    let gone = dir.path().join("gone.png");
    let error = look(&backbone, &head, None, &gone).unwrap_err().to_string();
    assert!(error.contains("gone.png") && error.contains("cannot be looked at"), "{error}");
    let broken = PathBuf::from(common::IMAGES).join("truncated.jpg");
    assert!(matches!(look(&backbone, &head, None, &broken), Err(WorkflowError::Picture { .. })));
    assert!(matches!(look(&backbone, &head, None, dir.path()), Err(WorkflowError::Picture { .. })));
    // A head of other features.
    let mut space = backbone.space.clone();
    space.layer = "elsewhere".into();
    let other =
        LinearHead::new(space, ClassSet::from_ordered(["a", "b"]), Array2::zeros((2, 3)), arr1(&[0.0, 0.0])).unwrap();
    let path = square(dir.path(), (0, 0), [1, 2, 3]);
    assert!(matches!(look(&backbone, &Head::Linear(other), None, &path), Err(WorkflowError::Head(_))));
}

/// Ends the work after so many reports.
struct Ends {
    token: CancelToken,
    n_left: AtomicUsize,
}

impl Reporter for Ends {
    fn progress(&self, stage: Stage, _: usize, n_total: usize) {
        assert_eq!((stage, n_total), (Stage::Explain, 145));
        if self.n_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.token.cancel();
        }
    }

    fn warn(&self, message: &str) {
        panic!("{message}");
    }

    fn cancel_token(&self) -> &CancelToken {
        &self.token
    }
}

#[test]
fn looking_is_cancelled_half_way() {
    let dir = tempfile::tempdir().unwrap();
    let (backbone, head) = red_at_the_top_right();
    let path = square(dir.path(), (40, 8), [250, 20, 20]);
    for n_left in [1, 70] {
        let reporter = Ends { token: CancelToken::new(), n_left: AtomicUsize::new(n_left) };
        let ended = occlusion(&backbone, &head, None, &path, (OcclusionConfig::default(), &cpu()), &reporter);
        assert!(matches!(ended, Err(WorkflowError::Cancelled)), "{ended:?}");
    }
}
