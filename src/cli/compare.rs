//! `graft compare`

use anyhow::Result;
use serde_json::json;

use super::args::CompareArgs;
use super::output::{count, print, print_json};
use super::probe::{config, estimate};
use super::terminal::Terminal;
use crate::backbone::layers::rounded;
use crate::progress::Reporter;
use crate::workflow::compare::{CompareOutcome, compare};
use crate::workflow::models::open_cache;

pub(super) fn run(args: &CompareArgs, terminal: &Terminal) -> Result<()> {
    let cache = open_cache(terminal);
    let wanted: Vec<String> = args.models.iter().map(|m| m.trim().to_owned()).filter(|m| !m.is_empty()).collect();
    let outcome = compare(&wanted, &config(&args.study), &cache, terminal, |_| {})?;
    for failed in &outcome.failed {
        terminal.warn(&format!("{} is left out: {}.", failed.model, failed.reason));
    }
    for note in &outcome.notes {
        terminal.warn(note);
    }
    if args.study.json {
        return print_json(&json!({
            "n_train": outcome.n_train,
            "n_val": outcome.n_val,
            "models": outcome.models,
            "failed": outcome.failed,
            "agreement": outcome.agreement,
            "notes": outcome.notes,
        }));
    }
    print(text(&outcome).trim_end())
}

fn text(outcome: &CompareOutcome) -> String {
    let width = outcome.models.iter().map(|m| m.model.chars().count()).max().unwrap_or(0).clamp(5, 40);
    let mut text = format!(
        "Heads on {}, judged on {}; * marks those that no other beats in both accuracy and speed\n\n    {:width$}  linear head         class means         LogME  H-score  img/s  features      MB  multiplications\n",
        count(outcome.n_train, "image"),
        outcome.n_val,
        "model",
    );
    for (idx, model) in outcome.models.iter().enumerate() {
        let transfer = |of: fn(&crate::metrics::transfer::Transferability) -> f64| {
            model.worth.transfer.as_ref().map_or("?".to_owned(), |t| format!("{:.2}", of(t)))
        };
        text.push_str(&format!(
            "  {} {:width$}  {:18}  {:18}  {:>5}  {:>7}  {:5.0}  {:8}  {:6.1}  {:>15}\n",
            if outcome.is_best_of_its_speed(idx) { "*" } else { " " },
            model.model,
            estimate(model.worth.linear.as_ref()),
            estimate(model.worth.prototype.as_ref()),
            transfer(|t| t.log_me),
            transfer(|t| t.h_score_shrunk),
            model.images_per_sec,
            model.dim,
            model.size_bytes as f64 / 1e6,
            model.macs.map_or("?".to_owned(), rounded),
        ));
    }
    let tau = |value: Option<f64>| value.map_or("unknown".to_owned(), |tau| format!("{tau:+.2}"));
    if outcome.models.len() > 2 {
        text.push_str(&format!(
            "\nEstimates against accuracies (Kendall's tau, 1 is the same order): LogME {}, H-score {}\n",
            tau(outcome.agreement.log_me),
            tau(outcome.agreement.h_score_shrunk),
        ));
    }
    text
}
