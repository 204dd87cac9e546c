//! `graft zero-shot`

use std::io::stdout;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use super::args::{DualArgs, TextArgs, Truth, ZeroShotArgs};
use super::output::{
    Listing, count, list_skipped, percent, print, print_json, report_json, report_text, unless_closed,
};
use super::predict::predictions_json;
use super::terminal::Terminal;
use crate::export::describe::Meta;
use crate::head::UnknownRule;
use crate::progress::Reporter;
use crate::text::TextError;
use crate::text::encoder::TextOverrides;
use crate::text::labels::{self, Label};
use crate::text::prompts::Templates;
use crate::workflow::export::{Contents, ExportInput, check_target, export};
use crate::workflow::models::{open_cache, open_model};
use crate::workflow::zero_shot::{DualEncoder, ZeroShotConfig, ZeroShotOutcome, zero_shot};
use crate::workflow::{SharedCache, WorkflowError};

pub(super) fn run(args: &ZeroShotArgs, terminal: &Terminal) -> Result<()> {
    if let Some(dir) = &args.export {
        check_target(dir)?;
    }
    // What was typed is looked at before anything takes time.
    let labels = read_labels(args.labels.as_deref(), args.labels_file.as_deref())?;
    let templates = read_templates(args.templates.as_deref())?;
    let cache = open_cache(terminal);
    let mut dual = open_dual(&args.dual, &cache)?;
    let config = ZeroShotConfig {
        images: args.images.clone(),
        labels,
        templates,
        has_truth: args.truth == Some(Truth::Folders),
        embed: args.dual.run.embed(),
    };
    let outcome = zero_shot(&mut dual, &config, &cache, terminal)?;
    for note in dual.image.manifest.notes.iter().chain(&outcome.notes) {
        terminal.warn(note);
    }
    if let Some(path) = &args.csv {
        outcome.predictions.write_csv(path)?;
    }
    let exported = match &args.export {
        Some(dir) => Some((dir, export(dir, &dual.image, export_input(&outcome), terminal)?)),
        None => None,
    };
    if args.json {
        return print_json(&to_json(&dual, &outcome, exported.as_ref().map(|(dir, meta)| (dir.as_path(), meta))));
    }
    list_skipped(&outcome.predictions.answers.skipped, Listing::Short, terminal);
    match &outcome.report {
        Some(report) => {
            print(&summary(&dual, &outcome))?;
            print(report_text(report, &outcome.texts.classes).trim_end())?;
            for effect in &outcome.effects {
                print(&format!(
                    "  “{}” for {}: accuracy {:+.1} points, log loss {:+.3}",
                    effect.description,
                    effect.class,
                    effect.accuracy_gain * 100.0,
                    -effect.log_loss_gain
                ))?;
            }
        }
        None => unless_closed(outcome.predictions.write_text(stdout().lock()))?,
    }
    if let Some((dir, meta)) = &exported {
        let proof = &meta.verification;
        print(&format!(
            "Exported to {}, verified on {}: classifier.onnx differs from the app by at most {:.1e}, same top class on {}",
            dir.display(),
            count(proof.n, "image"),
            proof.classifier.max_abs_difference,
            percent(proof.classifier.top1_agreement),
        ))?;
    }
    Ok(())
}

/// Opens the dual encoder that flags speak of.
pub(super) fn open_dual(args: &DualArgs, cache: &SharedCache) -> Result<DualEncoder, WorkflowError> {
    let backbone = open_model(args.model.as_deref(), None, cache)?;
    DualEncoder::open(&backbone, &overrides(&args.text), cache)
}

impl TextArgs {
    /// Whether anything is said.
    pub(super) fn is_given(&self) -> bool {
        overrides(self) != TextOverrides::default()
    }
}

pub(super) fn overrides(args: &TextArgs) -> TextOverrides {
    TextOverrides {
        graph: args.text_model.clone(),
        tokenizer: args.tokenizer.clone(),
        output: args.text_output.clone(),
        image_output: args.image_output.clone(),
        logit_scale: args.logit_scale,
        logit_bias: args.logit_bias,
    }
}

/// Labels from a list or a file.
pub(super) fn read_labels(list: Option<&str>, file: Option<&Path>) -> Result<Vec<Label>, TextError> {
    match (list, file) {
        (_, Some(path)) => labels::read(path),
        (list, None) => Ok(labels::parse_list(list.unwrap_or_default())?),
    }
}

/// Templates by name, or from a file.
pub(super) fn read_templates(templates: Option<&str>) -> Result<Templates, TextError> {
    Ok(match templates {
        None => Templates::Auto,
        Some("none") => Templates::None,
        Some("photo") => Templates::Photo,
        Some("ensemble") => Templates::Ensemble,
        Some(path) => Templates::own(&labels::read_text(&PathBuf::from(path))?)?,
    })
}

fn export_input(outcome: &ZeroShotOutcome) -> ExportInput<'_> {
    ExportInput {
        classes: &outcome.texts.classes,
        shown: &outcome.shown,
        data: outcome.counts(),
        trained: &outcome.trained,
        nearest: None,
        unknown: UnknownRule::Off,
        val: outcome.report.as_ref(),
        contents: Contents::default(),
    }
}

/// The figures as `graft evaluate` has them where truth is known, else the answers as `graft predict` has them; and how
/// they came about.
fn to_json(dual: &DualEncoder, outcome: &ZeroShotOutcome, exported: Option<(&Path, &Meta)>) -> Value {
    let mut object = match &outcome.report {
        Some(report) => report_json(report),
        None => json!({ "n": outcome.shown.len(), "predictions": predictions_json(&outcome.predictions) }),
    };
    let rules = dual.text.rules();
    let about = json!({
        "classes": outcome.texts.classes,
        "descriptions": outcome.texts.record().descriptions,
        "templates": outcome.texts.templates,
        "description_effects": outcome.effects,
        "skipped": outcome.predictions.answers.skipped,
        "notes": outcome.notes,
        "model": {
            "name": dual.image.manifest.name,
            "image_output": dual.image.space.layer,
            "text_graph": dual.text.tower().path.to_string_lossy(),
            "text_output": dual.text.tower().output.name,
            "tokenizer": dual.text.tokenizer_path().to_string_lossy(),
            "tokens": rules,
            "logits": dual.logits,
            "dim": dual.image.space.dim,
        },
        "export": exported.map(|(dir, meta)| json!({
            "dir": dir.to_string_lossy(),
            "head": "zero_shot",
            "n_verified": meta.verification.n,
            "max_abs_difference": meta.verification.classifier.max_abs_difference,
            "top1_agreement": meta.verification.classifier.top1_agreement,
            "image_classifier": meta.verification.image_classifier,
        })),
    });
    if let (Some(object), Value::Object(about)) = (object.as_object_mut(), about) {
        object.extend(about);
    }
    object
}

fn summary(dual: &DualEncoder, outcome: &ZeroShotOutcome) -> String {
    let logits = &dual.logits;
    format!(
        "{} by {} with {} ({}), {}\n  logits: {:.2} x cosine{} ({})",
        count(outcome.shown.len(), "image"),
        count(outcome.texts.classes.len(), "label"),
        dual.image.manifest.name,
        dual.text.rules().family.label(),
        match outcome.texts.templates.as_slice() {
            [one] if one == "{}" => "plain names".to_owned(),
            [one] => format!("template “{one}”"),
            many => format!("{} templates", many.len()),
        },
        logits.scale.value,
        if logits.bias.value == 0.0 { String::new() } else { format!(" {:+.2}", logits.bias.value) },
        logits.scale.origin,
    )
}
