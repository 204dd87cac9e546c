//! Accuracy by number of labels when images are labelled in the order of their usefulness, and at random: the README's curves.
//!
//!     cargo bench --bench active -- --data ../shared/data --svg assets/label-next.svg
//!     cargo bench --bench active -- --speed
//!
//! Means over five seeds. Nothing is labelled at first. Images are asked as the window does it: five are in view, each label is
//! learned at once, and what follows those in view is ordered anew. Judged on images that are never asked: `val` where there is
//! one, else two fifths of the images, drawn by the seed. Settings of the heads are chosen on the labels alone.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement for a terminal"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use graft::app::next::N_SHOWN;
use graft::classes::{ClassIdx, ClassSet};
use graft::dataset::split::SplitConfig;
use graft::embedding::Embeddings;
use graft::head::usefulness::Coverage;
use graft::head::{self, HeadKind, TrainConfig, TrainedHead};
use graft::progress::{CancelToken, Silent};
use graft::rng::SplitMix64;
use graft::workflow::embed::EmbedConfig;
use graft::workflow::label_next::{estimate_accuracy, label_next};
use graft::workflow::models::{open_cache, open_model};
use graft::workflow::train::{self, prepare};

/// Folder, folder of validation images, name.
const SETS: [(&str, Option<&str>, &str); 5] = [
    ("hymenoptera/train", Some("hymenoptera/val"), "Ants and bees"),
    ("flowers", None, "Flowers"),
    ("pacs/photo", None, "Photographs"),
    ("pacs/sketch", None, "Sketches"),
    ("sign_digits", None, "Finger digits"),
];
const SEEDS: std::ops::Range<u64> = 0..5;
const MAX_LABELS: usize = 100;
/// Labels between two points of a curve.
const STEP: usize = 5;
/// Numbers of random labels whose accuracy is to be reached with fewer.
const LEVELS: [usize; 5] = [20, 40, 60, 80, 100];

struct Set {
    classes: ClassSet,
    pool: (Embeddings, Vec<ClassIdx>),
    test: (Embeddings, Vec<ClassIdx>),
}

/// Accuracy at each step, and how far it was estimated from the labels alone.
struct Curve {
    accuracy: Vec<f64>,
    estimated: Vec<Option<f64>>,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |flag: &str| args.iter().position(|a| a == flag).and_then(|i| args.get(i + 1)).cloned();
    if args.iter().any(|a| a == "--speed") {
        return speed();
    }
    let Some(data) = value("--data").map(PathBuf::from) else {
        println!("give --data DIR (with hymenoptera, flowers, pacs, sign_digits) to measure what labels are worth");
        return;
    };
    let only = value("--only");
    let reporter = Silent::default();
    let cache = open_cache(&reporter);
    let backbone = open_model(value("--model").as_deref(), None, &cache).expect("the model");
    let levels: Vec<String> = LEVELS.iter().map(|n| format!("{n} random labels")).collect();
    println!("| images | {} | mean |\n|{}", levels.join(" | "), " --- |".repeat(LEVELS.len() + 2));
    let mut drawn = Vec::new();
    for (images, val, name) in SETS.into_iter().filter(|(images, ..)| only.as_ref().is_none_or(|only| images == only)) {
        let started = Instant::now();
        let config = train::TrainConfig {
            images: data.join(images),
            val: val.map(|val| data.join(val)),
            heads: Vec::new(),
            split: SplitConfig { val_fraction: 0.4, ..SplitConfig::default() },
            head: TrainConfig::default(),
            embed: EmbedConfig::default(),
        };
        let (mut useful, mut random) = (Vec::new(), Vec::new());
        for seed in SEEDS {
            let split = SplitConfig { seed, ..config.split };
            let prepared = prepare(&backbone, &train::TrainConfig { split, ..config.clone() }, &cache, &reporter);
            let found = prepared.expect("images").data;
            let set = Set {
                classes: found.classes,
                pool: (found.train.embeddings, found.train.classes),
                test: (found.val.embeddings, found.val.classes),
            };
            useful.push(by_usefulness(&set, seed));
            random.push(at_random(&set, seed));
        }
        let mean = |curves: &[Curve]| -> Vec<f64> {
            (0..MAX_LABELS / STEP)
                .map(|i| curves.iter().map(|c| c.accuracy[i]).sum::<f64>() / curves.len() as f64)
                .collect()
        };
        let (useful_mean, random_mean) = (mean(&useful), mean(&random));
        let (rising_useful, rising_random) = (rising(&useful_mean), rising(&random_mean));
        let cells: Vec<Option<(f64, f64)>> = LEVELS
            .iter()
            .map(|n| {
                let accuracy = rising_random[n / STEP - 1];
                // Chance has that accuracy earlier where more labels added nothing.
                let by_chance = labels_for(&rising_random, accuracy)?;
                Some((labels_for(&rising_useful, accuracy)?, by_chance))
            })
            .collect();
        let text = |cell: &Option<(f64, f64)>| match cell {
            Some((useful, random)) => format!("{useful:.0} of {random:.0} ({:.2})", useful / random),
            None => "not reached".to_owned(),
        };
        let ratios: Option<Vec<f64>> = cells.iter().map(|c| c.map(|(useful, random)| useful / random)).collect();
        let of_all = ratios.map_or_else(String::new, |r| format!("{:.2}", r.iter().sum::<f64>() / r.len() as f64));
        println!("| {name} | {} | {of_all} |", cells.iter().map(text).collect::<Vec<_>>().join(" | "));
        let errors: Vec<f64> = useful
            .iter()
            .flat_map(|c| c.accuracy.iter().zip(&c.estimated).skip(40 / STEP - 1))
            .filter_map(|(accuracy, estimate)| Some((*estimate)? - accuracy))
            .collect();
        let n = errors.len().max(1) as f64;
        eprintln!(
            "{name}: {:.0} s; from 40 labels on the estimate is {:+.3} off in the mean, {:.3} without sign",
            started.elapsed().as_secs_f64(),
            errors.iter().sum::<f64>() / n,
            errors.iter().map(|e| e.abs()).sum::<f64>() / n
        );
        drawn.push((name, useful_mean, random_mean, spread(&useful), spread(&random)));
    }
    if let Some(path) = value("--svg") {
        std::fs::write(Path::new(&path), svg(&drawn)).expect("the drawing");
    }
}

/// Time for an order of 10,000 images of 1280 values: what is computed once, and what after each label.
fn speed() {
    let mut rng = SplitMix64::new(1);
    let x = ndarray::Array2::from_shape_fn((10_000, 1280), |_| rng.below(1000) as f32 / 1000.0);
    let token = CancelToken::new();
    let started = Instant::now();
    let coverage = Coverage::new(x.view(), 0, &token).expect("embeddings");
    println!("once: {:.0} ms", started.elapsed().as_secs_f64() * 1e3);
    let labelled: Vec<usize> = (0..100).collect();
    let candidates: Vec<usize> = (100..10_000).collect();
    let p = ndarray::Array2::from_shape_fn((10_000, 10), |_| 0.1 + rng.below(1000) as f32 / 10_000.0);
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let started = Instant::now();
        let found = label_next(&coverage, &labelled, &[], &candidates, Some(p.view()), 24, &token);
        assert_eq!(found.expect("an order").first.len(), 24);
        best = best.min(started.elapsed().as_secs_f64() * 1e3);
    }
    println!("after a label: {best:.1} ms");
}

/// The head as the window fits it on so few labels, where there are two classes.
fn fit(set: &Set, labelled: &[usize]) -> Option<(TrainedHead, Vec<usize>)> {
    // Classes that nothing is labelled of yet do not take part.
    let known: Vec<usize> =
        (0..set.classes.len()).filter(|c| labelled.iter().any(|&row| set.pool.1[row].as_usize() == *c)).collect();
    if known.len() < 2 {
        return None;
    }
    let classes = ClassSet::from_ordered(known.iter().map(|&c| set.classes.names()[c].clone()));
    let place = |class: ClassIdx| ClassIdx::from(known.iter().position(|c| *c == class.as_usize()).unwrap());
    let y: Vec<ClassIdx> = labelled.iter().map(|&row| place(set.pool.1[row])).collect();
    let x = set.pool.0.select(labelled);
    let config = TrainConfig { kind: HeadKind::Linear, ..TrainConfig::default() };
    Some((head::train(&x, &y, None, &classes, &config, &CancelToken::new()).expect("a head"), known))
}

fn accuracy(set: &Set, labelled: &[usize], fitted: Option<&(TrainedHead, Vec<usize>)>) -> f64 {
    let n = set.test.1.len() as f64;
    let Some((trained, known)) = fitted else {
        // One class is all that is known.
        let class = set.pool.1[labelled[0]];
        return set.test.1.iter().filter(|c| **c == class).count() as f64 / n;
    };
    let top = trained.head.scores(&set.test.0).expect("scores").top1();
    top.iter().zip(&set.test.1).filter(|(top, y)| known[top.as_usize()] == y.as_usize()).count() as f64 / n
}

fn by_usefulness(set: &Set, seed: u64) -> Curve {
    let token = CancelToken::new();
    let coverage = Coverage::new(set.pool.0.view(), seed, &token).expect("embeddings");
    let (mut labelled, mut shown) = (Vec::<usize>::new(), Vec::<usize>::new());
    let mut curve = Curve { accuracy: Vec::new(), estimated: Vec::new() };
    let mut fitted = None;
    while labelled.len() < MAX_LABELS {
        let taken = |row: &usize| !labelled.contains(row) && !shown.contains(row);
        let candidates: Vec<usize> = (0..set.pool.1.len()).filter(taken).collect();
        let p = fitted
            .as_ref()
            .map(|(trained, _): &(TrainedHead, Vec<usize>)| trained.head.probabilities(&set.pool.0).expect("answers"));
        let wanted = N_SHOWN - shown.len();
        let view = p.as_ref().map(|p| p.view());
        let found = label_next(&coverage, &labelled, &shown, &candidates, view, wanted, &token).expect("an order");
        shown.extend(found.first.iter().map(|question| question.row));
        labelled.push(shown.remove(0));
        fitted = fit(set, &labelled);
        if labelled.len().is_multiple_of(STEP) {
            curve.accuracy.push(accuracy(set, &labelled, fitted.as_ref()));
            let y: Vec<ClassIdx> = labelled.iter().map(|&row| set.pool.1[row]).collect();
            let c = fitted.as_ref().and_then(|(trained, _)| trained.record.c);
            let x = set.pool.0.select(&labelled);
            let n_classes = set.classes.len();
            let estimate = estimate_accuracy(&coverage, &labelled, (&x, &y), n_classes, c, seed, &token);
            curve.estimated.push(estimate.expect("an estimate").map(|e| e.value));
        }
    }
    curve
}

fn at_random(set: &Set, seed: u64) -> Curve {
    let mut rows: Vec<usize> = (0..set.pool.1.len()).collect();
    SplitMix64::new(1000 + seed).shuffle(&mut rows);
    let steps = (STEP..=MAX_LABELS).step_by(STEP);
    let accuracy = steps.map(|n| accuracy(set, &rows[..n], fit(set, &rows[..n]).as_ref())).collect();
    Curve { accuracy, estimated: Vec::new() }
}

/// The nearest curve that never falls (pool adjacent violators): a mean over five seeds wavers.
fn rising(values: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for &value in values {
        blocks.push((value, 1));
        while let [.., (a, n), (b, m)] = blocks[..]
            && a > b
        {
            blocks.truncate(blocks.len() - 2);
            blocks.push(((a * n as f64 + b * m as f64) / (n + m) as f64, n + m));
        }
    }
    blocks.into_iter().flat_map(|(value, n)| std::iter::repeat_n(value, n)).collect()
}

/// Labels with which a rising curve reaches an accuracy, between its points by a straight line.
fn labels_for(curve: &[f64], accuracy: f64) -> Option<f64> {
    let at = curve.iter().position(|a| *a >= accuracy - 1e-9)?;
    let labels = |i: usize| ((i + 1) * STEP) as f64;
    if at == 0 || curve[at] <= curve[at - 1] {
        return Some(labels(at));
    }
    let share = ((accuracy - curve[at - 1]) / (curve[at] - curve[at - 1])).clamp(0.0, 1.0);
    Some(labels(at - 1) + share * STEP as f64)
}

/// The least and the largest accuracy over the seeds.
fn spread(curves: &[Curve]) -> Vec<(f64, f64)> {
    let of = |i: usize| curves.iter().map(move |c| c.accuracy[i]);
    (0..MAX_LABELS / STEP).map(|i| (of(i).fold(1.0, f64::min), of(i).fold(0.0, f64::max))).collect()
}

type Drawn<'a> = (&'a str, Vec<f64>, Vec<f64>, Vec<(f64, f64)>, Vec<(f64, f64)>);

/// A small plot of each set, side by side, readable on white and on black.
fn svg(sets: &[Drawn<'_>]) -> String {
    const WIDTH: f64 = 168.0;
    const HEIGHT: f64 = 150.0;
    const LEFT: f64 = 50.0;
    const TOP: f64 = 48.0;
    const GAP: f64 = 18.0;
    let (useful_colour, random_colour, grey) = ("#2f7fd6", "#d9822b", "#808080");
    let (whole_w, whole_h) = (LEFT + sets.len() as f64 * (WIDTH + GAP), TOP + HEIGHT + 40.0);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole_w} {whole_h}\" width=\"{whole_w}\" \
         height=\"{whole_h}\" font-family=\"sans-serif\" font-size=\"11\" fill=\"{grey}\">\n"
    );
    for (x, colour, name) in
        [(LEFT, useful_colour, "in the order of usefulness"), (LEFT + 190.0, random_colour, "at random")]
    {
        writeln!(
            text,
            "<line x1=\"{x}\" y1=\"12\" x2=\"{}\" y2=\"12\" stroke=\"{colour}\" stroke-width=\"2.5\"/>",
            x + 22.0
        )
        .ok();
        writeln!(text, "<text x=\"{}\" y=\"16\">{name}</text>", x + 28.0).ok();
    }
    for (i, (name, useful, random, useful_spread, random_spread)) in sets.iter().enumerate() {
        let left = LEFT + i as f64 * (WIDTH + GAP);
        let x = |step: usize| left + WIDTH * ((step + 1) * STEP) as f64 / MAX_LABELS as f64;
        let y = |accuracy: f64| TOP + HEIGHT * (1.0 - accuracy);
        writeln!(text, "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{name}</text>", TOP - 8.0).ok();
        for tenth in [0, 25, 50, 75, 100] {
            let at = y(f64::from(tenth) / 100.0);
            writeln!(
                text,
                "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" stroke=\"{grey}\" stroke-opacity=\"0.3\"/>",
                left + WIDTH
            ).ok();
            if i == 0 {
                let (at_x, at_y) = (left - 5.0, at + 4.0);
                writeln!(text, "<text x=\"{at_x}\" y=\"{at_y:.1}\" text-anchor=\"end\">{tenth} %</text>").ok();
            }
        }
        for labels in [20, 40, 60, 80, 100] {
            let (at_x, at_y) = (x(labels / STEP - 1), TOP + HEIGHT + 14.0);
            writeln!(text, "<text x=\"{at_x:.1}\" y=\"{at_y}\" text-anchor=\"middle\">{labels}</text>").ok();
        }
        for (spread, colour) in [(random_spread, random_colour), (useful_spread, useful_colour)] {
            let upper = spread.iter().enumerate().map(|(i, (_, high))| format!("{:.1},{:.1}", x(i), y(*high)));
            let lower = spread.iter().enumerate().rev().map(|(i, (low, _))| format!("{:.1},{:.1}", x(i), y(*low)));
            let points: Vec<String> = upper.chain(lower).collect();
            writeln!(text, "<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.15\"/>", points.join(" ")).ok();
        }
        for (curve, colour) in [(random, random_colour), (useful, useful_colour)] {
            let points: Vec<String> =
                curve.iter().enumerate().map(|(i, a)| format!("{:.1},{:.1}", x(i), y(*a))).collect();
            writeln!(
                text,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                points.join(" ")
            )
            .ok();
        }
    }
    let (middle, below) = (LEFT + 0.5 * (whole_w - LEFT), TOP + HEIGHT + 32.0);
    writeln!(text, "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">labels</text>\n</svg>").ok();
    text
}
