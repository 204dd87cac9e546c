//! What an earlier layer saves, and whether estimates without training rank layers and models as accuracies do.
//!
//!     cargo bench --bench layers -- --images ../shared/data/hymenoptera [--models A,B,C]
//!
//! Speeds are those of embedding files, decoding included, each layer by itself and without the cache, in one run: ratios to
//! the model's own layer. Estimates are compared with validated accuracies by Kendall's tau.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement for a terminal"
)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use graft::backbone::Backbone;
use graft::metrics::transfer::kendall_tau;
use graft::progress::Silent;
use graft::workflow::compare::compare;
use graft::workflow::embed::{EmbedConfig, embed};
use graft::workflow::models::{open_cache, open_model};
use graft::workflow::probe::{ProbedLayer, probe};
use graft::workflow::scan::scan;
use graft::workflow::study::{StudyConfig, StudyImages};

/// Rounds of each layer, of which the fastest counts; the layers take turns.
const N_ROUNDS: usize = 3;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |flag: &str| args.iter().position(|a| a == flag).and_then(|i| args.get(i + 1)).cloned();
    let Some(images) = value("--images").map(PathBuf::from) else {
        println!("give --images DIR (a folder a class) to measure layers");
        return;
    };
    let reporter = Silent::default();
    let cache = open_cache(&reporter);
    let config = StudyConfig::new(StudyImages::Folder { images: images.clone(), val: None });
    let backbone = open_model(value("--model").as_deref(), None, &cache).expect("the model");
    let outcome = probe(&backbone, None, &config, &cache, &reporter).expect("the layers");
    let cut: Vec<Backbone> =
        outcome.layers.iter().map(|l| backbone.at_layer(&l.layer, |_| Some(l.dim)).expect("the layer")).collect();
    let secs = embedding_secs(&cut, &images);
    let own = outcome.layers.iter().position(|l| l.is_proposed).expect("the model's own layer");
    println!("| layer | depth | multiplications | embedding, times as fast | accuracy | LogME | H-score |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (layer, secs_of) in outcome.layers.iter().zip(&secs) {
        let transfer = layer.worth.transfer.expect("an estimate");
        println!(
            "| {} | {:.0} % | {:.0} M | {:.2} | {:.1} % | {:.3} | {:.3} |",
            layer.layer,
            layer.depth * 100.0,
            layer.macs.unwrap_or(0) as f64 / 1e6,
            secs[own] / secs_of,
            layer.accuracy().unwrap_or(0.0) * 100.0,
            transfer.log_me,
            transfer.h_score_shrunk,
        );
    }
    let tau = |of: fn(&ProbedLayer) -> f64| {
        let accuracies: Vec<f64> = outcome.layers.iter().map(|l| l.accuracy().unwrap_or(0.0)).collect();
        let estimates: Vec<f64> = outcome.layers.iter().map(of).collect();
        kendall_tau(&accuracies, &estimates).unwrap_or(f64::NAN)
    };
    println!(
        "\nlayers, Kendall's tau with the accuracy: LogME {:+.2}, H-score {:+.2}",
        tau(|l| l.worth.transfer.map_or(0.0, |t| t.log_me)),
        tau(|l| l.worth.transfer.map_or(0.0, |t| t.h_score_shrunk)),
    );
    let Some(models) = value("--models") else { return };
    let models: Vec<String> = models.split(',').map(str::to_owned).collect();
    let outcome = compare(&models, &config, &cache, &reporter, |_| {}).expect("the models");
    println!("\n| model | accuracy | images/s | LogME | H-score |\n| --- | --- | --- | --- | --- |");
    for model in &outcome.models {
        let transfer = model.worth.transfer.expect("an estimate");
        println!(
            "| {} | {:.1} % | {:.0} | {:.3} | {:.3} |",
            model.name,
            model.accuracy().unwrap_or(0.0) * 100.0,
            model.images_per_sec,
            transfer.log_me,
            transfer.h_score_shrunk,
        );
    }
    println!("\nmodels, Kendall's tau with the accuracy: {:?}", outcome.agreement);
}

/// Seconds to embed the images at each layer, without the cache: the fastest of a few rounds in which the layers take turns.
fn embedding_secs(cut: &[Backbone], images: &Path) -> Vec<f64> {
    let reporter = Silent::default();
    let paths: Vec<PathBuf> = scan(images, &reporter).unwrap().samples.into_iter().map(|s| s.path).collect();
    let mut best = vec![f64::INFINITY; cut.len()];
    for _ in 0..N_ROUNDS {
        for (layer, best) in cut.iter().zip(&mut best) {
            let started = Instant::now();
            embed(layer, &paths, &None, &EmbedConfig::default(), &reporter).unwrap();
            *best = best.min(started.elapsed().as_secs_f64());
        }
    }
    best
}
