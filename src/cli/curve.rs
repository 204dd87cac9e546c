//! `graft curve`

use anyhow::Result;
use serde_json::json;

use super::args::{CurveArgs, CurveHeadArg};
use super::output::{Listing, count, list_skipped, percent, print, print_json};
use super::probe::{config, estimate};
use super::terminal::Terminal;
use crate::workflow::WorkflowError;
use crate::workflow::curve::{CurveConfig, CurveHead, CurveOutcome, HeadCurve, N_MORE, Needs, curve, words};
use crate::workflow::models::{open_cache, open_model};

pub(super) fn run(args: &CurveArgs, terminal: &Terminal) -> Result<()> {
    let cache = open_cache(terminal);
    let backbone = open_model(args.model.as_deref(), args.layer.as_deref(), &cache)?;
    let mut settings = CurveConfig { has_baselines: !args.no_baseline, ..CurveConfig::new(config(&args.study)) };
    if !args.heads.is_empty() {
        settings.heads = args.heads.iter().map(|head| head_of(*head)).collect();
    }
    if settings.heads == [CurveHead::Text] && backbone.manifest.text.is_none() {
        let model = backbone.manifest.name.clone();
        return Err(WorkflowError::from(crate::text::TextError::NoTextTower { model }).into());
    }
    let outcome = curve(&backbone, &settings, &cache, terminal)?;
    if args.study.json {
        return print_json(&json!({
            "model": backbone.manifest.name,
            "classes": outcome.classes,
            "n_train": outcome.n_train,
            "n_judged": outcome.n_judged,
            "is_given": outcome.is_given,
            "best": outcome.best().map(|best| best.head),
            "curves": outcome.curves,
            "needs": outcome.needs,
            "transfer": outcome.transfer,
            "said": sentences(&outcome),
            "skipped": outcome.skipped,
            "notes": outcome.notes,
        }));
    }
    outcome.notes.iter().for_each(|note| terminal.say(note));
    list_skipped(&outcome.skipped, Listing::Short, terminal);
    print(text(&backbone.manifest.name, &outcome).trim_end())
}

fn head_of(arg: CurveHeadArg) -> CurveHead {
    match arg {
        CurveHeadArg::Linear => CurveHead::Linear,
        CurveHeadArg::Prototype => CurveHead::Prototype,
        CurveHeadArg::Text => CurveHead::Text,
    }
}

fn sentences(outcome: &CurveOutcome) -> Vec<String> {
    let best = outcome.best();
    let of_curve = [best.and_then(words::outlook), best.and_then(words::far)];
    let of_needs = outcome.needs.as_ref().and_then(words::needs);
    let of_transfer = outcome
        .transfer
        .as_ref()
        .map(|transfer| [Some(words::transfer(transfer)), words::efficiency(transfer), words::convergence(transfer)]);
    of_curve.into_iter().chain([of_needs]).chain(of_transfer.into_iter().flatten()).flatten().collect()
}

fn text(name: &str, outcome: &CurveOutcome) -> String {
    let mut text = format!(
        "{name}: heads on up to {} of {} classes, {}\n\nAccuracy (95 % interval) over images a class\n",
        count(outcome.n_train.round() as usize, "image"),
        outcome.classes.len(),
        words::judged(outcome)
    );
    text.push_str(&table(&outcome.curves));
    let best = outcome.best().map(|best| best.head.label().to_lowercase()).unwrap_or_default();
    text.push_str(&format!("\nThe best head on pretrained features is the {best} one.\n"));
    for sentence in sentences(outcome) {
        text.push_str(&format!("{sentence}\n"));
    }
    if let Some(needs) = &outcome.needs {
        text.push_str(&needs_table(needs));
    }
    text
}

/// A row for each size, a column for each curve.
fn table(curves: &[HeadCurve]) -> String {
    let name = |curve: &HeadCurve| match curve.source {
        crate::workflow::curve::Source::Pretrained => curve.head.label().to_owned(),
        source => format!("{}, {}", source.label(), curve.head.label().to_lowercase()),
    };
    let width = curves.iter().map(|curve| name(curve).len()).max().unwrap_or(0).max(16);
    let mut text = format!("  {:>7}", "images");
    curves.iter().for_each(|curve| text.push_str(&format!("  {:width$}", name(curve))));
    text = format!("{}\n", text.trim_end());
    let n_sizes = curves.iter().map(|curve| curve.points.len()).max().unwrap_or(0);
    for size in 0..n_sizes {
        let n = curves.iter().find_map(|curve| curve.points.get(size)).map_or(0.0, |point| point.n_per_class);
        let mut line = format!("  {:>7}", if n < 9.95 { format!("{n:.1}") } else { format!("{n:.0}") });
        for curve in curves {
            line.push_str(&format!("  {:width$}", estimate(curve.points.get(size).map(|p| &p.accuracy))));
        }
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    text
}

fn needs_table(needs: &Needs) -> String {
    let width = needs.classes.iter().map(|need| need.class.chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!(
        "\nWhat {N_MORE} more images of a class would add to the mean recall, by the slope of its own recall\n  {:width$}  images  recall     F1  points (95 % interval)\n",
        "class"
    );
    let share = |value: Option<f64>| value.map_or("?".to_owned(), percent);
    for need in &needs.classes {
        let gain = need.gain.map_or("?".to_owned(), |gain| {
            let points = |v: f64| format!("{:.2}", 100.0 * v);
            format!("{} ({} to {})", points(gain.value), points(gain.interval.low), points(gain.interval.high))
        });
        text.push_str(&format!(
            "  {:width$}  {:>6}  {:>6}  {:>5}  {gain}\n",
            need.class,
            need.n_images,
            share(need.recall),
            need.f1.map_or("?".to_owned(), |f1| format!("{f1:.3}")),
        ));
    }
    text
}
