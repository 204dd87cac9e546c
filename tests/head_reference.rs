//! Heads and metrics against scikit-learn, SciPy and NumPy (fixtures from `tests/reference/heads.py`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::path::PathBuf;

use graft::classes::{ClassIdx, ClassSet};
use graft::embedding::{EmbeddingSpace, Embeddings};
use graft::head::linear::{LinearConfig, LinearFit, fit};
use graft::head::{ClassWeight, Distance, Head, PrototypeHead, fit_temperature, prototype};
use graft::metrics::Report;
use graft::progress::CancelToken;
use graft::rng::SplitMix64;
use ndarray::Array2;
use serde_json::Value;

const DIM: usize = 24;

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/heads").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&fixture(name)).unwrap()
}

fn rows() -> Array2<f32> {
    let values: Vec<f32> =
        fixture("rows.f32").chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    Array2::from_shape_vec((values.len() / DIM, DIM), values).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn matrix(value: &Value) -> Array2<f32> {
    let rows = value.as_array().unwrap();
    let n_columns = rows[0].as_array().unwrap().len();
    let values = rows.iter().flat_map(|row| row.as_array().unwrap()).map(|v| number(v) as f32).collect();
    Array2::from_shape_vec((rows.len(), n_columns), values).unwrap()
}

fn labels(value: &Value) -> Vec<ClassIdx> {
    value.as_array().unwrap().iter().map(|v| ClassIdx(v.as_u64().unwrap() as u32)).collect()
}

fn assert_close(found: &Array2<f32>, expected: &Array2<f32>, tolerance: f32, what: &str) {
    assert_eq!(found.dim(), expected.dim(), "{what}");
    let largest = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest <= tolerance, "{what}: differs by {largest}");
}

/// scikit-learn's objective, computed anew in f64 from the weights that a fit gave.
fn objective(x: &Array2<f32>, y: &[ClassIdx], n_classes: usize, case: &Value, fit: &LinearFit) -> f64 {
    let weights = class_weights(y, n_classes, case["balanced"].as_bool().unwrap());
    let coef = fit.weight.mapv(f64::from);
    let z = x.mapv(f64::from).dot(&coef.t()) + &fit.bias.mapv(f64::from);
    let mut loss = 0.0;
    for (row, class) in z.outer_iter().zip(y) {
        let logits: Vec<f64> = if n_classes == 2 { vec![0.0, row[0]] } else { row.to_vec() };
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|v| (v - max).exp()).sum();
        loss += weights[class.as_usize()] * (sum.ln() + max - logits[class.as_usize()]);
    }
    number(&case["c"]) * loss + 0.5 * coef.mapv(|v| v * v).sum()
}

fn class_weights(y: &[ClassIdx], n_classes: usize, balanced: bool) -> Vec<f64> {
    let count = |class| y.iter().filter(|c| c.as_usize() == class).count() as f64;
    (0..n_classes).map(|k| if balanced { y.len() as f64 / (n_classes as f64 * count(k)) } else { 1.0 }).collect()
}

fn config(case: &Value, tol: f64) -> LinearConfig {
    let class_weight = if case["balanced"].as_bool().unwrap() { ClassWeight::Balanced } else { ClassWeight::Uniform };
    LinearConfig { c: number(&case["c"]), class_weight, tol, max_iter: 5000 }
}

/// Tall rows, and wide ones, which are fitted in the basis of their span.
fn linear_sets() -> [(Array2<f32>, Value); 2] {
    let tall = rows();
    let wide = Array2::from_shape_vec((50, 144), tall.iter().copied().collect()).unwrap();
    [(tall, json("linear.json")), (wide, json("linear_wide.json"))]
}

#[test]
fn linear_objective_is_at_or_under_scikit_learns() {
    for (x, reference) in linear_sets() {
        check_objectives(&x, &reference);
    }
}

fn check_objectives(x: &Array2<f32>, reference: &Value) {
    for case in reference["cases"].as_array().unwrap() {
        let n_classes = case["n_classes"].as_u64().unwrap() as usize;
        let y = labels(&reference["labels"][n_classes.to_string()]);
        let fit = fit(x.view(), &y, n_classes, &config(case, 1e-4), &CancelToken::new()).unwrap();
        let name = format!("{n_classes} classes, balanced {}, C {}", case["balanced"], case["c"]);
        assert!(fit.converged, "{name}");
        let found = objective(x, &y, n_classes, case, &fit);
        let allowed = number(&case["objective_at_1e-4"]).max(number(&case["objective"]));
        assert!(found <= allowed * (1.0 + 1e-4), "{name}: {found} above {allowed}");
        assert!(found >= number(&case["objective"]) * (1.0 - 1e-6), "{name}: {found} is under the minimum");
        assert!((fit.objective - found).abs() <= 1e-4 * found, "{name}: says {} and is {found}", fit.objective);
    }
}

#[test]
fn linear_weights_are_scikit_learns() {
    for (x, reference) in linear_sets() {
        check_weights(&x, &reference);
    }
}

fn check_weights(x: &Array2<f32>, reference: &Value) {
    for case in reference["cases"].as_array().unwrap().iter().filter(|case| !case["coef"].is_null()) {
        let n_classes = case["n_classes"].as_u64().unwrap() as usize;
        let y = labels(&reference["labels"][n_classes.to_string()]);
        let fit = fit(x.view(), &y, n_classes, &config(case, 1e-7), &CancelToken::new()).unwrap();
        let expected = matrix(&case["coef"]);
        let scale = expected.iter().fold(0.0f32, |max, v| max.max(v.abs()));
        let name = format!("{n_classes} classes, balanced {}, C {}", case["balanced"], case["c"]);
        assert_close(&fit.weight, &expected, 5e-3 * scale, &name);
    }
}

#[test]
fn linear_fit_does_not_depend_on_the_number_of_threads() {
    // Enough rows that the work is really divided; the wide set is fitted in another basis.
    for (n_rows, dim) in [(6000, 128), (200, 600)] {
        let mut rng = SplitMix64::new(3);
        let y: Vec<ClassIdx> = (0..n_rows).map(|row| ClassIdx::from(row % 10)).collect();
        let x = Array2::from_shape_fn((n_rows, dim), |(row, col)| {
            let noise = (rng.below(2000) as f32 - 1000.0) / 500.0;
            if col % 10 == row % 10 { 0.3 + noise } else { noise }
        });
        let config = LinearConfig { max_iter: 15, ..LinearConfig::default() };
        let run = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| fit(x.view(), &y, 10, &config, &CancelToken::new()).unwrap())
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(5));
    }
}

#[test]
fn prototypes_give_numpys_probabilities() {
    let (x, reference) = (rows(), json("prototype.json"));
    let y = labels(&json("linear.json")["labels"]["10"]);
    let space = EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim: DIM };
    let first = Embeddings::new(x.select(ndarray::Axis(0), &(0..20).collect::<Vec<_>>()), space.clone()).unwrap();
    for (name, distance) in [("squared_euclidean", Distance::SquaredEuclidean), ("cosine", Distance::Cosine)] {
        let means = prototype::prototypes(x.view(), &y, 10, distance);
        assert_close(&means, &matrix(&reference[name]["prototypes"]), 1e-5, name);
        let classes = ClassSet::from_ordered((0..10).map(|k| k.to_string()));
        let temperature = number(&reference["temperature"]);
        let head = PrototypeHead::new(space.clone(), classes, means, distance, temperature).unwrap();
        let probabilities = Head::Prototype(head).scores(&first).unwrap().probabilities().unwrap();
        assert_close(&probabilities, &matrix(&reference[name]["probabilities"]), 2e-5, name);
    }
}

#[test]
fn temperature_is_scipys() {
    for case in json("temperature.json").as_array().unwrap() {
        let found = fit_temperature(matrix(&case["logits"]).view(), &labels(&case["labels"]));
        let expected = number(&case["temperature"]);
        assert!((found / expected - 1.0).abs() < 1e-4, "{found} instead of {expected}");
    }
}

#[test]
fn metrics_are_scikit_learns() {
    for case in json("metrics.json").as_array().unwrap() {
        let (p, y) = (matrix(&case["probabilities"]), labels(&case["labels"]));
        let classes = ClassSet::from_ordered((0..p.ncols()).map(|k| k.to_string()));
        let report = Report::new(p.view(), &y, &classes, 0).unwrap();
        for (name, found) in [
            ("accuracy", report.accuracy.value),
            ("balanced_accuracy", report.balanced_accuracy.value),
            ("macro_f1", report.macro_f1.value),
            ("log_loss", report.log_loss.value),
            ("calibration_error", report.calibration_error.value),
        ] {
            assert!((found - number(&case[name])).abs() < 1e-6, "{name}: {found} instead of {}", case[name]);
        }
        let (top5, expected) = (report.top5_accuracy.map(|top5| top5.value), case["top5"].as_f64());
        assert_eq!(top5.is_some(), expected.is_some());
        assert!(
            top5.zip(expected).is_none_or(|(a, b)| (a - b).abs() < 1e-12),
            "top-5: {top5:?} instead of {expected:?}"
        );
        for (k, class) in report.per_class.iter().enumerate() {
            assert_eq!(u64::from(class.support), case["support"][k].as_u64().unwrap());
            for (name, found) in [("precision", class.precision), ("recall", class.recall), ("f1", class.f1)] {
                assert!((found - number(&case[name][k])).abs() < 1e-12, "{name} of class {k}");
            }
        }
        assert_eq!(serde_json::to_value(report.confusion.rows()).unwrap(), case["confusion"]);
    }
}
