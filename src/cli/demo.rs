//! `graft demo`

use anyhow::Result;

use super::args::DemoArgs;
use super::output::{Listing, count, list_skipped, percent, print};
use super::terminal::Terminal;
use super::train::{export_input, export_text, summary};
use crate::dataset::split::SplitConfig;
use crate::head::{self, HeadKind};
use crate::progress::Reporter;
use crate::store::dirs;
use crate::workflow::WorkflowError;
use crate::workflow::embed::EmbedConfig;
use crate::workflow::evaluate::Classifier;
use crate::workflow::export::{check_target, export};
use crate::workflow::models::{open_cache, open_model};
use crate::workflow::predict::predict;
use crate::workflow::train::{TrainConfig, train};

pub(super) fn run(args: &DemoArgs, terminal: &Terminal) -> Result<()> {
    let images = dirs::sample_dir().ok_or(WorkflowError::NoSample)?;
    check_target(&args.out)?;
    let cache = open_cache(terminal);
    let backbone = open_model(None, None, &cache)?;
    print(&format!("Images: {}\nModel: {}\n", images.display(), backbone.manifest.name))?;
    let config = TrainConfig {
        images: images.clone(),
        val: None,
        heads: vec![HeadKind::Linear, HeadKind::Prototype],
        split: SplitConfig::default(),
        head: head::TrainConfig::default(),
        embed: EmbedConfig::default(),
    };
    let outcome = train(&backbone, &config, &cache, terminal)?;
    for note in &outcome.prepared.notes {
        terminal.warn(note);
    }
    list_skipped(&outcome.prepared.skipped, Listing::Short, terminal);
    print(&summary(&backbone, &outcome))?;
    let Some(best) = outcome.best() else { return Ok(()) };
    let meta = export(&args.out, &backbone, export_input(&outcome, best, config.split.seed), terminal)?;
    print(&export_text(&args.out, best, &meta))?;

    // The export is used as anybody would use it, on pictures that the head was not fitted on.
    let classifier = Classifier::open(&args.out, &cache)?;
    let shown = &outcome.prepared.data.val.paths;
    let predictions = predict(&classifier, shown, None, &cache, &EmbedConfig::default(), terminal)?;
    let truth =
        outcome.prepared.data.val.classes.iter().map(|c| outcome.prepared.data.classes.name(*c).unwrap_or_default());
    let labels = predictions.labels();
    let n_right = truth.zip(&labels).filter(|(truth, (label, _))| truth == label).count();
    print(&format!("\nThe export names {n_right} of {} rightly, such as", count(labels.len(), "validation image")))?;
    for (path, (label, confidence)) in predictions.answers.paths.iter().zip(labels).step_by((shown.len() / 5).max(1)) {
        let name = path.strip_prefix(&images).unwrap_or(path);
        print(&format!("  {:32} {label} ({})", name.display().to_string(), percent(f64::from(confidence))))?;
    }
    print(&format!(
        "\nNext: python {}/predict.py IMAGE…, or graft train --images FOLDER --export DIR with your own pictures",
        args.out.display()
    ))
}
