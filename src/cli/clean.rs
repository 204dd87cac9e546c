//! `graft clean`

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::args::CleanArgs;
use super::output::{Listing, count, list_skipped, percent, print, print_json};
use super::probe::config;
use super::terminal::Terminal;
use crate::workflow::clean::{CleanOutcome, Copies, LabelError, clean};
use crate::workflow::models::{open_cache, open_model};

pub(super) fn run(args: &CleanArgs, terminal: &Terminal) -> Result<()> {
    let cache = open_cache(terminal);
    let backbone = open_model(args.model.as_deref(), None, &cache)?;
    let outcome = clean(&backbone, &config(&args.study), &cache, terminal)?;
    if args.study.json {
        return print_json(&json!({
            "n_images": outcome.n_images,
            "classes": outcome.classes,
            "label_errors": outcome.label_errors.iter().map(error_json).collect::<Vec<_>>(),
            "copies": outcome.copies.iter().map(copies_json).collect::<Vec<_>>(),
            "skipped": outcome.skipped,
            "notes": outcome.notes,
        }));
    }
    outcome.notes.iter().for_each(|note| terminal.say(note));
    list_skipped(&outcome.skipped, Listing::Short, terminal);
    print(text(&outcome).trim_end())
}

fn error_json(error: &LabelError) -> Value {
    json!({
        "path": error.path.to_string_lossy(),
        "given": error.given,
        "suggested": error.suggested,
        "quality": error.quality,
    })
}

fn copies_json(copies: &Copies) -> Value {
    json!({
        "paths": copies.paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        "is_leak": copies.is_leak,
        "disagree": copies.disagree,
    })
}

fn text(outcome: &CleanOutcome) -> String {
    let shown = |path: &Path| path.display().to_string();
    let mut text = format!("{} of {} classes\n", count(outcome.n_images, "image"), outcome.classes.len());
    match outcome.label_errors.len() {
        0 => text.push_str("\nNo label looks wrong.\n"),
        n => text.push_str(&format!(
            "\n{} probably wrong, the likeliest first (how sure a head is of it that has not seen the image)\n",
            match n {
                1 => "1 label is".to_owned(),
                n => format!("{n} labels are"),
            }
        )),
    }
    for error in &outcome.label_errors {
        let LabelError { path, given, suggested, quality } = error;
        text.push_str(&format!("  {:>7}  {given} -> {suggested}?  {}\n", percent(*quality), shown(path)));
    }
    if !outcome.copies.is_empty() {
        text.push_str("\nThe same picture more than once\n");
    }
    for copies in &outcome.copies {
        let paths: Vec<String> = copies.paths.iter().map(|path| shown(path)).collect();
        let words = [(copies.is_leak, "trained and judged on"), (copies.disagree, "in different classes")];
        let words: Vec<&str> = words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
        let words = if words.is_empty() { String::new() } else { format!("  ({})", words.join(", ")) };
        text.push_str(&format!("  {}{words}\n", paths.join("\n    ")));
    }
    text
}
