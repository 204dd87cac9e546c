//! Comparing two classifiers against statsmodels, SciPy and the examples of Newcombe's paper (fixture from
//! `tests/reference/paired.py`).

#![allow(clippy::unwrap_used, reason = "tests")]

use graft::metrics::paired::{Paired, mcnemar_exact};
use serde_json::Value;

#[test]
fn the_test_and_the_interval_are_those_of_the_references() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("fixtures/paired.json")).unwrap();
    assert!(cases.len() > 10);
    for case in &cases {
        let count = |i: usize| case["counts"][i].as_u64().unwrap() as usize;
        let rows = [(0, (true, true)), (1, (true, false)), (2, (false, true)), (3, (false, false))];
        let paired = Paired::new(rows.into_iter().flat_map(|(i, row)| std::iter::repeat_n(row, count(i)))).unwrap();
        let near = |found: f64, name: &str, tolerance: f64| {
            let wanted = case[name].as_f64().unwrap();
            assert!((found - wanted).abs() <= tolerance, "{name} of {:?}: {found} for {wanted}", case["counts"]);
        };
        near(paired.p_value, "p_value", 1e-9);
        near(paired.difference.interval.low, "low", 1e-9);
        near(paired.difference.interval.high, "high", 1e-9);
        assert_eq!(paired.p_value, mcnemar_exact(count(2), count(1)), "whichever is called A");
    }
}
