//! The map against scikit-learn, on 600 handwritten digits (fixtures from `tests/reference/projection.py`).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;

use graft::progress::CancelToken;
use graft::projection::{Point, Reduction, lay_out, sample};
use ndarray::Array2;
use serde_json::Value;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/projection").join(name)).unwrap()
}

fn digits() -> (Array2<f32>, Value) {
    let reference: Value = serde_json::from_slice(&fixture("reference.json")).unwrap();
    let shape = ["n_rows", "dim"].map(|name| reference[name].as_u64().unwrap() as usize);
    let values = fixture("digits.u8").into_iter().map(f32::from).collect();
    (Array2::from_shape_vec(shape, values).unwrap(), reference)
}

/// How far the neighbours on the map are neighbours in truth, 0 to 1 (Venna and Kaski, "Neighborhood preservation in
/// nonlinear projection methods", 2001), by cosine distance.
fn trustworthiness(rows: &Array2<f32>, points: &[Point], k: usize) -> f64 {
    let mut unit = rows.clone();
    for mut row in unit.rows_mut() {
        let length = row.dot(&row).sqrt();
        row /= length;
    }
    let n = rows.nrows();
    let alike = unit.dot(&unit.t());
    let mut penalty = 0.0;
    for i in 0..n {
        let others = || (0..n).filter(move |j| *j != i);
        let mut by_truth: Vec<usize> = others().collect();
        by_truth.sort_by(|a, b| alike[[i, *b]].total_cmp(&alike[[i, *a]]).then(a.cmp(b)));
        let mut rank = vec![0; n];
        by_truth.iter().enumerate().for_each(|(at, j)| rank[*j] = at + 1);
        let mut by_map: Vec<usize> = others().collect();
        let far = |j: usize| (points[j][0] - points[i][0]).powi(2) + (points[j][1] - points[i][1]).powi(2);
        by_map.sort_by(|a, b| far(*a).total_cmp(&far(*b)).then(a.cmp(b)));
        penalty += by_map[..k].iter().map(|j| rank[*j].saturating_sub(k)).sum::<usize>() as f64;
    }
    1.0 - 2.0 * penalty / (n * k * (2 * n - 3 * k - 1)) as f64
}

#[test]
fn components_are_scikit_learns() {
    let (rows, reference) = digits();
    let reduction = Reduction::fit(rows.view(), 0, &CancelToken::new()).unwrap();
    let found = reduction.reduce(rows.view()).unwrap();
    for (row, expected) in reference["components"].as_array().unwrap().iter().enumerate() {
        for axis in 0..2 {
            let expected = expected[axis].as_f64().unwrap();
            assert!((f64::from(found[[row, axis]]) - expected).abs() < 1e-4, "{row} {axis}: {}", found[[row, axis]]);
        }
    }
}

#[test]
fn the_map_keeps_neighbours_as_scikit_learns_does() {
    let (rows, reference) = digits();
    let k = reference["k"].as_u64().unwrap() as usize;
    let of = |name: &str| reference["trustworthiness"][name].as_f64().unwrap();
    let token = CancelToken::new();
    let reduction = Reduction::fit(rows.view(), 0, &token).unwrap();
    let reduced = reduction.reduce(rows.view()).unwrap();
    let sketch: Vec<Point> = reduced.outer_iter().map(|row| [row[0], row[1]]).collect();
    assert!((trustworthiness(&rows, &sketch, k) - of("components")).abs() < 1e-3);
    let all: Vec<usize> = (0..rows.nrows()).collect();
    let (_, points) = lay_out(reduction.clone(), reduced.view(), &all, &mut |_| {}, &token).unwrap();
    let found = trustworthiness(&rows, &points, k);
    assert!(found > of("tsne") - 0.02, "{found} beside {}", of("tsne"));
    // A third laid out, the others placed among them: less, but far from a sketch.
    let third = sample(&vec![None; rows.nrows()], 200, 0);
    let (_, points) = lay_out(reduction, reduced.view(), &third, &mut |_| {}, &token).unwrap();
    let found = trustworthiness(&rows, &points, k);
    assert!(found > of("tsne") - 0.06, "{found} beside {}", of("tsne"));
}
