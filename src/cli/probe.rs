//! `graft probe`

use anyhow::Result;
use serde_json::json;

use super::args::{ProbeArgs, StudyArgs};
use super::output::{Listing, count, list_skipped, percent, print, print_json};
use super::terminal::Terminal;
use crate::backbone::layers::rounded;
use crate::dataset::split::SplitConfig;
use crate::metrics::Estimate;
use crate::progress::Reporter;
use crate::workflow::models::{look_into, open_cache};
use crate::workflow::probe::{ProbeOutcome, probe};
use crate::workflow::study::{StudyConfig, StudyImages};

pub(super) fn run(args: &ProbeArgs, terminal: &Terminal) -> Result<()> {
    let cache = open_cache(terminal);
    let backbone = look_into(args.model.as_deref(), &cache)?;
    let wanted: Option<Vec<String>> = match args.layers.trim() {
        "auto" => None,
        list => Some(list.split(',').map(|layer| layer.trim().to_owned()).filter(|l| !l.is_empty()).collect()),
    };
    let outcome = probe(&backbone, wanted.as_deref(), &config(&args.study), &cache, terminal)?;
    for note in backbone.manifest.notes.iter().chain(&outcome.notes) {
        terminal.warn(note);
    }
    if args.study.json {
        return print_json(&json!({
            "model": backbone.manifest.name,
            "classes": outcome.classes,
            "n_train": outcome.n_train,
            "n_val": outcome.n_val,
            "best": outcome.best().map(|i| outcome.layers[i].layer.clone()),
            "layers": outcome.layers,
            "skipped": outcome.skipped,
            "notes": outcome.notes,
        }));
    }
    list_skipped(&outcome.skipped, Listing::Short, terminal);
    print(text(&backbone.manifest.name, &outcome).trim_end())
}

/// What a command compares on.
pub(super) fn config(args: &StudyArgs) -> StudyConfig {
    let images = StudyImages::Folder { images: args.images.clone(), val: args.val.clone() };
    let split = SplitConfig { seed: args.seed, ..SplitConfig::default() };
    StudyConfig { split, embed: args.run.embed(), ..StudyConfig::new(images) }
}

/// An accuracy with its interval.
pub(super) fn estimate(estimate: Option<&Estimate>) -> String {
    estimate.map_or("not judged".to_owned(), |e| {
        format!("{} ({:.0}-{:.0})", percent(e.value), e.interval.low * 100.0, e.interval.high * 100.0)
    })
}

fn text(name: &str, outcome: &ProbeOutcome) -> String {
    let mut text = format!(
        "{name}: heads on {} of {} classes, judged on {}\n\n  depth  linear head         class means         LogME  features  img/s  multiplications  layer\n",
        count(outcome.n_train, "image"),
        outcome.classes.len(),
        outcome.n_val
    );
    for (idx, layer) in outcome.layers.iter().enumerate() {
        let mark = match (outcome.best() == Some(idx), layer.is_proposed) {
            (true, true) => "  <- best, the model's own",
            (true, false) => "  <- best",
            (false, true) => "  <- the model's own",
            (false, false) => "",
        };
        text.push_str(&format!(
            "  {:4.0} %  {:18}  {:18}  {:5}  {:8}  {:5.0}  {:>15}  {}{mark}\n",
            layer.depth * 100.0,
            estimate(layer.worth.linear.as_ref()),
            estimate(layer.worth.prototype.as_ref()),
            layer.worth.transfer.map_or("?".to_owned(), |t| format!("{:.2}", t.log_me)),
            layer.dim,
            layer.images_per_sec,
            layer.macs.map_or("?".to_owned(), rounded),
            layer.layer,
        ));
    }
    text
}
