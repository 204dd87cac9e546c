//! `graft providers`

use anyhow::Result;
use serde_json::{Value, json};

use super::args::ProvidersArgs;
use super::output::{print, print_json};
use super::terminal::Terminal;
use crate::backbone::provider::Provider;
use crate::workflow::models::{open_cache, open_model};
use crate::workflow::providers::{ProviderReport, ProviderState, missing_file, survey};

pub(super) fn run(args: &ProvidersArgs, terminal: &Terminal) -> Result<()> {
    let cache = open_cache(terminal);
    let backbone = open_model(args.model.as_deref(), None, &cache)?;
    let found = survey(&backbone, terminal)?;
    if args.json {
        return print_json(&found.iter().map(to_json).collect());
    }
    print(&format!("Tested on {}", backbone.manifest.name))?;
    for report in &found {
        print(&text(report))?;
    }
    let best = found
        .iter()
        .filter(|r| r.state == ProviderState::Works)
        .filter_map(|report| Some((report.provider, report.test.as_ref()?.images_per_sec?)));
    match best.max_by(|a, b| a.1.total_cmp(&b.1)) {
        Some((provider, rate)) => print(&format!("Fastest: {} with {rate:.0} images a second", provider.label())),
        None => anyhow::bail!("nothing works: images cannot be embedded"),
    }
}

fn text(report: &ProviderReport) -> String {
    let state = match report.state {
        ProviderState::Works => "works",
        ProviderState::Wrong => "gives wrong features",
        ProviderState::NotUsable => "cannot be used",
        ProviderState::NotThere => "is not there",
    };
    let mut text = format!("  {:8} {state}", report.provider.label());
    let Some(test) = &report.test else { return text };
    if let Some(rate) = test.images_per_sec {
        text.push_str(&format!(", {rate:.0} images a second"));
    }
    let is_compared = test.passed && report.provider != Provider::Cpu;
    if let Some(difference) = test.max_abs_difference.filter(|_| is_compared) {
        text.push_str(&format!(", differs from the CPU by {difference:.1e}"));
    }
    if let Some(why) = &test.failure {
        if let Some(file) = missing_file(why).filter(|_| report.state == ProviderState::NotUsable) {
            text.push_str(&format!(": {file} is missing or broken"));
        }
        text.push_str(&format!("\n           {why}"));
    }
    text
}

fn to_json(report: &ProviderReport) -> Value {
    let test = report.test.as_ref();
    let why = test.and_then(|t| t.failure.as_deref());
    json!({
        "provider": report.provider,
        "state": report.state,
        "ran_on": test.and_then(|t| t.ran_on),
        "images_per_sec": test.and_then(|t| t.images_per_sec),
        "max_abs_difference": test.and_then(|t| t.max_abs_difference).filter(|d| d.is_finite()),
        "missing_file": why.and_then(missing_file).filter(|_| report.state == ProviderState::NotUsable),
        "reason": why,
    })
}
