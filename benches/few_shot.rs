//! Accuracy of few-shot heads by number of examples a class: the README's table.
//!
//!     cargo bench --bench few_shot -- --data ../shared/data
//!
//! Means over five draws. Examples are drawn from all images (from `train` where there is a `val`) and judged on the rest
//! (on `val`). The labels are the folders' names in the singular. All settings are chosen on the examples alone.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement for a terminal"
)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use graft::dataset::split::SplitConfig;
use graft::head;
use graft::head::few_shot::FewShotMethod;
use graft::progress::Silent;
use graft::text::encoder::TextOverrides;
use graft::text::labels;
use graft::text::prompts::Templates;
use graft::workflow::embed::EmbedConfig;
use graft::workflow::few_shot::{CurveConfig, CurvePoint, labels_of_classes, learning_curve};
use graft::workflow::models::{open_cache, open_model};
use graft::workflow::train::{TrainConfig, prepare};
use graft::workflow::zero_shot::DualEncoder;

/// Folder, folder of validation images, labels.
const SETS: [(&str, Option<&str>, &str); 5] = [
    ("hymenoptera/train", Some("hymenoptera/val"), "ant\nbee"),
    ("flowers", None, "daisy\ndandelion\nrose\nsunflower\ntulip"),
    ("pacs/photo", None, "dog\nelephant\ngiraffe\nguitar\nhorse\nhouse\nperson"),
    ("pacs/sketch", None, "dog\nelephant\ngiraffe\nguitar\nhorse\nhouse\nperson"),
    ("sign_digits", None, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9"),
];
const N_DRAWS: usize = 5;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |flag: &str| args.iter().position(|a| a == flag).and_then(|i| args.get(i + 1)).cloned();
    let Some(data) = value("--data").map(PathBuf::from) else {
        println!("give --data DIR (with hymenoptera, flowers, pacs, sign_digits) to measure few-shot heads");
        return;
    };
    let reporter = Silent::default();
    let cache = open_cache(&reporter);
    let model = value("--model");
    let backbone = open_model(model.as_deref(), None, &cache).expect("the model");
    let mut dual = DualEncoder::open(&backbone, &TextOverrides::default(), &cache).expect("a dual encoder");
    let joined = dual.joined(&backbone);
    println!("| images | head | 0 | 1 | 2 | 4 | 8 | 16 |\n| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut all: Vec<Vec<CurvePoint>> = Vec::new();
    for (images, val, names) in SETS {
        let config = TrainConfig {
            images: data.join(images),
            val: val.map(|val| data.join(val)),
            heads: Vec::new(),
            split: SplitConfig::default(),
            head: head::TrainConfig::default(),
            embed: EmbedConfig::default(),
        };
        let prepared = prepare(&joined, &config, &cache, &reporter).expect("images");
        let labels = labels::parse(names).expect("labels");
        let (labels, _) = labels_of_classes(&prepared.data.classes, &labels).expect("a label a class");
        let texts = dual.classes(&labels, &Templates::Auto, &cache, &reporter).expect("texts");
        let curve = CurveConfig { n_draws: N_DRAWS, methods: FewShotMethod::ALL.to_vec(), ..CurveConfig::default() };
        let started = Instant::now();
        let points = learning_curve(&prepared.data, &joined.parts(), &texts, &curve, &reporter).expect("a curve");
        let name = Path::new(images).display().to_string();
        rows(&name, &points);
        eprintln!("{name}: {:.1} s", started.elapsed().as_secs_f64());
        all.push(points);
    }
    let n = all[0].len();
    let mean: Vec<CurvePoint> = (0..n)
        .map(|i| {
            let of = |f: &dyn Fn(&CurvePoint) -> f64| all.iter().map(|p| f(&p[i])).sum::<f64>() / all.len() as f64;
            CurvePoint {
                shots: all[0][i].shots,
                text: (0..FewShotMethod::ALL.len()).map(|m| of(&|p| p.text[m])).collect(),
                linear: all[0][i].linear.map(|_| of(&|p| p.linear.unwrap_or_default())),
                zero_shot: of(&|p| p.zero_shot),
            }
        })
        .collect();
    rows("mean", &mean);
}

fn rows(name: &str, points: &[CurvePoint]) {
    let row = |head: &str, of: &dyn Fn(&CurvePoint) -> Option<f64>| {
        let cells: Vec<String> = points.iter().map(|p| of(p).map_or_else(String::new, |v| format!("{v:.3}"))).collect();
        println!("| {name} | {head} | {} |", cells.join(" | "));
    };
    row("zero-shot", &|p| Some(p.zero_shot));
    row("linear", &|p| p.linear);
    for (i, method) in FewShotMethod::ALL.into_iter().enumerate() {
        row(method.label(), &|p| (p.shots > 0).then(|| p.text[i]));
    }
}
