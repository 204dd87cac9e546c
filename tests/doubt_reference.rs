//! Doubt against scikit-learn, scipy and numpy: `reference/doubt.py` wrote the values.

#![allow(clippy::unwrap_used, reason = "tests")]

use graft::classes::ClassIdx;
use graft::embedding::{EmbeddingSpace, Embeddings};
use graft::head::{KnownImage, NearestClass, UnknownRule, UnknownWish, fit_temperature};
use graft::metrics::Reliability;
use graft::metrics::strangers::separation;
use ndarray::Array2;
use serde_json::Value;

fn fixture(part: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("fixtures/doubt.json")).unwrap();
    all[part].clone()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn matrix(value: &Value) -> Array2<f32> {
    let rows: Vec<Vec<f32>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn classes(value: &Value) -> Vec<ClassIdx> {
    value.as_array().unwrap().iter().map(|v| ClassIdx(v.as_u64().unwrap() as u32)).collect()
}

fn close(found: f64, expected: &Value, within: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= within, "{found} is not {expected}");
}

#[test]
fn calibration_figures() {
    for case in fixture("calibration").as_array().unwrap() {
        let p = matrix(&case["probabilities"]);
        let found = Reliability::new(p.view(), &classes(&case["labels"]), p.ncols(), 0).unwrap();
        close(found.log_loss, &case["log_loss"], 1e-5);
        close(found.brier, &case["brier"], 1e-5);
        close(found.adaptive_error, &case["adaptive"], 1e-5);
        close(found.debiased_error, &case["debiased"], 1e-5);
    }
}

#[test]
fn the_temperature_is_scipys() {
    let case = fixture("temperature");
    let found = fit_temperature(matrix(&case["logits"]).view(), &classes(&case["labels"]));
    close(found, &case["temperature"], 1e-5);
}

#[test]
fn distances_to_the_nearest_class() {
    let case = fixture("distance");
    let embeddings = |value: &Value| {
        let values = matrix(value);
        let dim = values.ncols();
        let space = EmbeddingSpace { backbone: "b".into(), layer: "f".into(), preprocess: "p".into(), dim };
        Embeddings::new(values, space).unwrap()
    };
    let nearest = NearestClass::fit(&embeddings(&case["train"]), &classes(&case["labels"]), 3).unwrap();
    let found = nearest.distances(&embeddings(&case["rows"])).unwrap();
    for (found, expected) in found.iter().zip(case["distances"].as_array().unwrap()) {
        close(f64::from(*found), expected, 1e-6);
    }
}

#[test]
fn strangers_are_told_as_often_as_scikit_learn_says() {
    for case in fixture("strangers").as_array().unwrap() {
        let found = separation(&numbers(&case["known"]), &numbers(&case["strangers"])).unwrap();
        close(found.auroc, &case["auroc"], 1e-12);
        close(found.false_accept_at_95, &case["false_accept_at_95"], 1e-12);
    }
}

#[test]
fn thresholds_for_a_precision() {
    let case = fixture("precision");
    let right = case["right"].as_array().unwrap().iter().map(|v| v.as_bool().unwrap());
    let known: Vec<KnownImage> = numbers(&case["confidences"])
        .into_iter()
        .zip(right)
        .map(|(confidence, is_right)| KnownImage { confidence, distance: None, is_right })
        .collect();
    for (wanted, smallest) in case["wanted"].as_array().unwrap().iter().zip(numbers(&case["smallest"])) {
        let rule = UnknownWish::Precision { at_least: wanted.as_f64().unwrap() }.settle(&known).unwrap();
        let UnknownRule::Probability { below } = rule else { panic!("{rule:?}") };
        // Ours lies between the last that is refused and the first that is answered, which is scikit-learn's threshold.
        let refused = known.iter().map(|k| k.confidence).filter(|c| *c < smallest).fold(0.0, f32::max);
        assert!(refused < below && below <= smallest, "{refused} {below} {smallest}");
    }
}

#[test]
fn thresholds_that_keep_what_is_known() {
    let case = fixture("conformal");
    let distances = numbers(&case["distances"]);
    let known: Vec<KnownImage> =
        distances.iter().map(|&d| KnownImage { confidence: 1.0, distance: Some(d), is_right: true }).collect();
    for (keep, kept) in case["keeps"].as_array().unwrap().iter().zip(numbers(&case["kept"])) {
        let rule = UnknownWish::Distance { keep: keep.as_f64().unwrap() }.settle(&known).unwrap();
        let UnknownRule::Distance { above } = rule else { panic!("{rule:?}") };
        let next = distances.iter().copied().filter(|d| *d > kept).fold(f32::INFINITY, f32::min);
        assert!(kept <= above && above < next, "{kept} {above} {next}");
    }
}
