//! Logistic regression on 5000 rows of 1280 values: time and objective, beside scikit-learn's in the same run.
//!
//! `cargo bench --bench fit`; scikit-learn runs where `GRAFT_PYTHON` (else `python3`) has it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a benchmark reports and may panic")]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use graft::classes::ClassIdx;
use graft::head::linear::{LinearConfig, LinearFit, fit};
use graft::progress::CancelToken;
use ndarray::Array2;

const N_ROWS: usize = 5000;
const DIM: usize = 1280;
const N_REPETITIONS: usize = 3;

/// Uniform numbers in [0, 1) by SplitMix64.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }

    /// About normal: the sum of four uniform numbers, scaled to variance 1.
    fn normal(&mut self) -> f32 {
        ((0..4).map(|_| self.uniform()).sum::<f32>() - 2.0) * 3.0f32.sqrt()
    }
}

/// Like pooled features: not negative, columns of unequal scale, correlated, classes that overlap a little.
fn rows(n_classes: usize) -> (Array2<f32>, Vec<ClassIdx>) {
    const N_FACTORS: usize = 32;
    let mut random = Random(n_classes as u64);
    let centres = Array2::from_shape_fn((n_classes, DIM), |_| 0.12 * random.normal());
    let factors = Array2::from_shape_fn((N_FACTORS, DIM), |_| 0.12 * random.normal());
    let scales: Vec<f32> = (0..DIM).map(|_| 0.5 * (0.5 * random.normal()).exp()).collect();
    let y: Vec<ClassIdx> = (0..N_ROWS).map(|_| ClassIdx((random.uniform() * n_classes as f32) as u32)).collect();
    let mixture = Array2::from_shape_fn((N_ROWS, N_FACTORS), |_| random.normal()).dot(&factors);
    let x = Array2::from_shape_fn((N_ROWS, DIM), |(row, column)| {
        let value = centres[[y[row].as_usize(), column]] + mixture[[row, column]] + 0.8 * random.normal();
        scales[column] * value.max(0.0)
    });
    (x, y)
}

/// scikit-learn's line for the same rows, or why there is none.
fn reference(rows: &Path, labels: &Path, tol: f64) -> Result<serde_json::Value, String> {
    let python = std::env::var("GRAFT_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/reference_fit.py");
    let args = [DIM.to_string(), tol.to_string(), N_REPETITIONS.to_string()];
    let output = Command::new(&python).arg(script).arg(rows).arg(labels).args(args).output();
    let output = output.map_err(|error| format!("{python}: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{python}: {}", text.lines().last().unwrap_or("failed")));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    println!("{N_ROWS} x {DIM}, C = 1, fastest of {N_REPETITIONS}");
    for n_classes in [10, 100] {
        let (x, y) = rows(n_classes);
        let (rows_path, labels_path) = (folder.path().join("rows.f32"), folder.path().join("labels.u32"));
        std::fs::write(&rows_path, x.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
        std::fs::write(&labels_path, y.iter().flat_map(|class| class.0.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
        for tol in [1e-4, 1e-6] {
            let config = LinearConfig { tol, ..LinearConfig::default() };
            let timed = |_| {
                let start = Instant::now();
                let found = fit(x.view(), &y, n_classes, &config, &CancelToken::new()).unwrap();
                (start.elapsed().as_secs_f64(), found)
            };
            let (secs, found): (f64, LinearFit) =
                (0..N_REPETITIONS).map(timed).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            print!(
                "{n_classes:>3} classes, tol {tol:e}: graft {secs:.3} s, {:.4} after {}",
                found.objective, found.n_iter
            );
            match reference(&rows_path, &labels_path, tol) {
                Ok(theirs) => {
                    let (their_secs, objective) =
                        (theirs["secs"].as_f64().unwrap(), theirs["objective"].as_f64().unwrap());
                    println!(
                        "; scikit-learn {their_secs:.3} s, {objective:.4} after {}; {:.1} times as fast, objective {:+.1e}",
                        theirs["n_iter"],
                        their_secs / secs,
                        found.objective / objective - 1.0
                    );
                }
                Err(reason) => println!("; scikit-learn skipped ({reason})"),
            }
        }
    }
}
