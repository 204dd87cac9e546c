//! `graft train`

use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::args::{FewShot, HeadChoice, TrainArgs};
use super::output::{Listing, count, list_skipped, percent, print, print_json, report_json, report_text};
use super::terminal::Terminal;
use super::unknown::{Doubt, calibration_text};
use super::zero_shot::{overrides, read_labels, read_templates};
use crate::backbone::Backbone;
use crate::dataset::split::SplitConfig;
use crate::export::describe::Meta;
use crate::head::few_shot::FewShotMethod;
use crate::head::text::Mix;
use crate::head::{self, ChosenBy, ClassWeight, HeadKind, UnknownRule};
use crate::progress::Reporter;
use crate::workflow::export::{Contents, ExportInput, check_target, export};
use crate::workflow::few_shot::{TextHeadConfig, train_with_texts};
use crate::workflow::models::{open_cache, open_model};
use crate::workflow::train::{JudgedHead, Prepared, TrainConfig, TrainOutcome, train};
use crate::workflow::zero_shot::DualEncoder;

pub(super) fn run(args: &TrainArgs, terminal: &Terminal) -> Result<()> {
    if let Some(dir) = &args.export {
        check_target(dir)?;
    }
    let needs_text = args.labels_file.is_some() || args.few_shot.is_some() || args.templates.is_some();
    if args.head != HeadChoice::Text && (needs_text || args.text.is_given()) {
        bail!("--labels-file, --few-shot, --templates and what is said of a text tower go with --head text");
    }
    if args.head == HeadChoice::Text && args.balanced {
        bail!("--balanced goes with the linear head: a text head starts from texts, which know no counts");
    }
    let text = match args.head {
        HeadChoice::Text => Some((
            args.labels_file.as_deref().map(|path| read_labels(None, Some(path))).transpose()?,
            read_templates(args.templates.as_deref())?,
        )),
        _ => None,
    };
    let cache = open_cache(terminal);
    let mut backbone = open_model(args.model.model.as_deref(), args.model.layer.as_deref(), &cache)?;
    let config = config(args);
    let outcome = match text {
        None => train(&backbone, &config, &cache, terminal)?,
        Some((labels, templates)) => {
            let mut dual = DualEncoder::open(&backbone, &overrides(&args.text), &cache)?;
            backbone = dual.joined(&backbone);
            let method = match args.few_shot {
                None | Some(FewShot::Linear) => FewShotMethod::Linear,
                Some(FewShot::Gda) => FewShotMethod::Gda,
                Some(FewShot::Tip) => FewShotMethod::Tip,
            };
            let texts = TextHeadConfig { labels, templates, method };
            train_with_texts(&mut dual, &backbone, &config, &texts, &cache, terminal)?
        }
    };
    for note in backbone.manifest.notes.iter().chain(&outcome.prepared.notes) {
        terminal.warn(note);
    }
    if !args.json {
        list_skipped(&outcome.prepared.skipped, Listing::Short, terminal);
        print(&summary(&backbone, &outcome))?;
    }
    let doubt = outcome.best().map(|best| Doubt::of(args, &backbone, best, &cache, terminal)).transpose()?;
    if let (Some(doubt), false) = (&doubt, args.json) {
        doubt.print(terminal)?;
    }
    let started = Instant::now();
    let exported = match (&args.export, outcome.best()) {
        (Some(dir), Some(best)) => {
            let unknown = doubt.as_ref().map_or(UnknownRule::Off, |doubt| doubt.rule());
            let input = ExportInput { unknown, ..export_input(&outcome, best, args.seed) };
            let meta = export(dir, &backbone, input, terminal)?;
            Some((dir, best, meta))
        }
        _ => None,
    };
    let export_secs = started.elapsed().as_secs_f64();
    if args.json {
        let export = exported.as_ref().map(|(dir, best, meta)| export_json(dir, best, meta));
        return print_json(&outcome_json(&backbone, &outcome, doubt.as_ref(), export, export_secs));
    }
    if let Some((dir, best, meta)) = &exported {
        print(&export_text(dir, best, meta))?;
    }
    Ok(())
}

fn config(args: &TrainArgs) -> TrainConfig {
    let heads = match args.head {
        HeadChoice::Linear => vec![HeadKind::Linear],
        HeadChoice::Prototype => vec![HeadKind::Prototype],
        HeadChoice::Text => Vec::new(),
        HeadChoice::Both => vec![HeadKind::Linear, HeadKind::Prototype],
    };
    let class_weight = if args.balanced { ClassWeight::Balanced } else { ClassWeight::Uniform };
    TrainConfig {
        images: args.images.clone(),
        val: args.val.clone(),
        heads,
        split: SplitConfig { seed: args.seed, shots: args.shots.map(|n| n as usize), ..SplitConfig::default() },
        head: head::TrainConfig { seed: args.seed, class_weight, ..head::TrainConfig::default() },
        embed: args.model.run.embed(),
    }
}

/// Everything of the best head.
pub(super) fn export_input<'a>(outcome: &'a TrainOutcome, best: &'a JudgedHead, seed: u64) -> ExportInput<'a> {
    let Prepared { data, n_images, .. } = &outcome.prepared;
    ExportInput {
        classes: &data.classes,
        shown: data.shown(),
        data: data.counts(*n_images, seed),
        trained: &best.trained,
        nearest: best.certainty.nearest.as_deref(),
        unknown: UnknownRule::Off,
        val: best.val.as_ref(),
        contents: Contents::default(),
    }
}

/// The stable JSON object of `train --json`.
fn outcome_json(
    backbone: &Backbone,
    outcome: &TrainOutcome,
    doubt: Option<&Doubt>,
    export: Option<Value>,
    export_secs: f64,
) -> Value {
    let TrainOutcome { prepared, heads, fit_secs } = outcome;
    let mut object = json!({
        "classes": prepared.data.classes,
        "n_images": prepared.n_images,
        "n_train": prepared.data.train.len(),
        "n_val": prepared.data.val.len(),
        "n_test": prepared.data.test.len(),
        "skipped": prepared.skipped,
        "notes": prepared.notes,
        "model": { "name": backbone.manifest.name, "layer": backbone.space.layer.clone(), "dim": backbone.space.dim },
        "heads": heads.iter().map(head_json).collect::<Vec<_>>(),
        "seconds": {
            "scan": prepared.scan_secs,
            "embed": prepared.embed_secs,
            "fit": fit_secs,
            "export": if export.is_some() { export_secs } else { 0.0 },
        },
        "n_embedded": prepared.n_embedded,
        "n_cached": prepared.n_cached,
    });
    if let Some(object) = object.as_object_mut() {
        object.extend(doubt.into_iter().flat_map(Doubt::json));
        object.extend(export.map(|export| ("export".to_owned(), export)));
    }
    object
}

fn head_json(judged: &JudgedHead) -> Value {
    let record = &judged.trained.record;
    json!({
        "kind": record.kind,
        "val": judged.val.as_ref().map(report_json),
        "test": judged.test.as_ref().map(report_json),
        // Strength of the penalty in "mean loss + l2 / 2 |W|^2" per example: the inverse of scikit-learn's C.
        "l2": record.c.map(|c| 1.0 / c),
        "c": record.c,
        "distance": record.distance,
        "temperature": record.temperature,
        "calibration": judged.certainty.calibration,
        "chosen_by": record.chosen_by,
        "text": record.text,
    })
}

pub(super) fn export_json(dir: &std::path::Path, best: &JudgedHead, meta: &Meta) -> Value {
    let proof = &meta.verification;
    json!({
        "dir": dir.to_string_lossy(),
        "head": best.trained.record.kind,
        "n_verified": proof.n,
        "max_abs_difference": proof.classifier.max_abs_difference,
        "top1_agreement": proof.classifier.top1_agreement,
        "image_classifier": proof.image_classifier,
    })
}

pub(super) fn summary(backbone: &Backbone, outcome: &TrainOutcome) -> String {
    let TrainOutcome { prepared, heads, fit_secs } = outcome;
    let mut text = format!(
        "{} in {}: {} to train on, {} to validate on{}\n",
        count(prepared.n_images, "image"),
        count(prepared.data.classes.len(), "class").replace("classs", "classes"),
        prepared.data.train.len(),
        prepared.data.val.len(),
        if prepared.data.val_is_given { " (given)" } else { "" },
    );
    text.push_str(&format!(
        "Embedded with {} in {:.1} s ({} computed, {} from the cache), fitted in {:.2} s\n",
        backbone.manifest.name, prepared.embed_secs, prepared.n_embedded, prepared.n_cached, fit_secs
    ));
    for judged in heads {
        let record = &judged.trained.record;
        let detail = match (record.c, record.distance) {
            _ if record.text.is_some() => text_detail(record.text.as_ref().and_then(|t| t.mix.as_ref())),
            (Some(c), _) => format!("C = {c:.3}"),
            (_, Some(distance)) => format!("{} distance", distance.label()),
            _ => String::new(),
        };
        let chosen = match record.chosen_by {
            ChosenBy::Validation { .. } => ", chosen on the same validation images",
            ChosenBy::CrossValidation { .. } => ", chosen by cross-validation",
            ChosenBy::HoldOut { .. } => ", chosen on a part of the training images",
            ChosenBy::Defaults => "",
        };
        text.push_str(&format!("\n{} head ({detail}{chosen})\n", record.kind.label()));
        match &judged.val {
            Some(report) => {
                text.push_str(&report_text(report, &prepared.data.classes));
                text.extend(judged.certainty.calibration.as_ref().map(calibration_text));
            }
            None => text.push_str("  not validated: no class has an image to spare\n"),
        }
        if let Some(report) = &judged.test {
            text.push_str(&format!(
                "  on the {}: accuracy {}\n",
                count(report.n_rows, "test image"),
                percent(report.accuracy.value)
            ));
        }
    }
    text.trim_end().to_owned()
}

fn text_detail(mix: Option<&Mix>) -> String {
    let Some(mix) = mix else { return "texts alone".to_owned() };
    let settings = [("C", mix.c), ("alpha", mix.alpha), ("beta", mix.beta)];
    let settings = settings.into_iter().filter_map(|(name, value)| Some(format!(", {name} = {}", value?)));
    format!("{}, texts weigh {:.2}{}", mix.method.label(), mix.text_weight, settings.collect::<String>())
}

pub(super) fn export_text(dir: &std::path::Path, best: &JudgedHead, meta: &Meta) -> String {
    let proof = &meta.verification;
    let mut text = format!(
        "\nExported the {} head to {}\n  verified on {}: classifier.onnx differs from the app by at most {:.1e}, same top class on {}",
        best.trained.record.kind.label().to_lowercase(),
        dir.display(),
        count(proof.n, "image"),
        proof.classifier.max_abs_difference,
        percent(proof.classifier.top1_agreement),
    );
    if let Some(image) = &proof.image_classifier {
        text.push_str(&format!(
            "\n  image_classifier.onnx, which does the preprocessing itself: {:.1e}, {}",
            image.max_abs_difference,
            percent(image.top1_agreement)
        ));
    }
    text
}
