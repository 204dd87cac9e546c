//! `graft clean`

use std::path::Path;

use anyhow::Result;
use ndarray::Array2;
use serde_json::{Value, json};

use super::args::CleanArgs;
use super::npz::{Npy, write_npz};
use super::output::{Listing, count, list_skipped, percent, print, print_json};
use super::probe::config;
use super::terminal::Terminal;
use crate::classes::ClassSet;
use crate::workflow::WorkflowError;
use crate::workflow::clean::{CleanOutcome, Copies, HeldOut, LabelError, OddImage, Outlier, clean};
use crate::workflow::models::{open_cache, open_model};

pub(super) fn run(args: &CleanArgs, terminal: &Terminal) -> Result<()> {
    let cache = open_cache(terminal);
    let backbone = open_model(args.model.as_deref(), None, &cache)?;
    let outcome = clean(&backbone, &config(&args.study), &cache, terminal)?;
    if let Some(path) = &args.probabilities {
        match &outcome.held_out {
            Some(held_out) => write_probabilities(path, held_out, &outcome.classes)?,
            None => terminal.say(&format!("graft: {} is not written: no label could be judged", path.display())),
        }
    }
    if args.study.json {
        return print_json(&json!({
            "n_images": outcome.n_images,
            "classes": outcome.classes,
            "label_errors": outcome.label_errors.iter().map(error_json).collect::<Vec<_>>(),
            "copies": outcome.copies.iter().map(copies_json).collect::<Vec<_>>(),
            "outliers": outcome.outliers.iter().map(outlier_json).collect::<Vec<_>>(),
            "odd": outcome.odd.iter().map(odd_json).collect::<Result<Vec<_>>>()?,
            "skipped": outcome.skipped,
            "notes": outcome.notes,
        }));
    }
    outcome.notes.iter().for_each(|note| terminal.say(note));
    list_skipped(&outcome.skipped, Listing::Short, terminal);
    print(text(&outcome).trim_end())
}

fn write_probabilities(path: &Path, held_out: &HeldOut, classes: &ClassSet) -> Result<(), WorkflowError> {
    let names: Vec<String> = held_out.paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let labels: Vec<String> =
        held_out.given.iter().map(|&class| classes.name(class).unwrap_or_default().to_owned()).collect();
    let probabilities: Array2<f32> = held_out.out_of_sample.probabilities.mapv(|p| p as f32);
    let fold = |fold: &Option<usize>| fold.and_then(|fold| i32::try_from(fold).ok()).unwrap_or(-1);
    let folds: Vec<i32> = held_out.out_of_sample.folds.iter().map(fold).collect();
    let arrays = [
        ("probabilities", Npy::MatrixF32(probabilities.view())),
        ("folds", Npy::Integers(&folds)),
        ("paths", Npy::Strings(&names)),
        ("labels", Npy::Strings(&labels)),
        ("classes", Npy::Strings(classes.names())),
    ];
    write_npz(path, &arrays).map_err(|source| WorkflowError::Write { path: path.to_owned(), source })
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
        "is_exact": copies.is_exact,
        "similarity": copies.similarity,
        "is_leak": copies.is_leak,
        "disagree": copies.disagree,
    })
}

fn outlier_json(outlier: &Outlier) -> Value {
    json!({
        "path": outlier.path.to_string_lossy(),
        "class": outlier.class,
        "similarity": outlier.similarity,
        "usual": outlier.usual,
        "reason": outlier.reason(),
    })
}

fn odd_json(odd: &OddImage) -> Result<Value> {
    let mut object = serde_json::to_value(odd.oddity)?;
    object["path"] = json!(odd.path.to_string_lossy());
    object["reason"] = json!(odd.oddity.reason());
    Ok(object)
}

fn text(outcome: &CleanOutcome) -> String {
    let mut text = format!("{} of {} classes\n", count(outcome.n_images, "image"), outcome.classes.len());
    let mut part = |title: String, lines: Vec<String>| {
        text.push_str(&format!("\n{title}\n"));
        lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    };
    let errors: Vec<String> = outcome.label_errors.iter().map(error_text).collect();
    match errors.len() {
        0 if outcome.held_out.is_some() => part("No label looks wrong.".to_owned(), errors),
        0 => {}
        n => part(
            format!(
                "{} probably wrong, the likeliest first (how sure a head is of it that has not seen the image)",
                if n == 1 { "1 label is".to_owned() } else { format!("{n} labels are") }
            ),
            errors,
        ),
    }
    let copies: Vec<String> = outcome.copies.iter().map(copies_text).collect();
    match copies.len() {
        0 => part("No picture is there twice.".to_owned(), copies),
        n => part(format!("{} there more than once", pictures(n)), copies),
    }
    let outliers: Vec<String> =
        outcome.outliers.iter().map(|o| format!("{} ({}): {}", o.path.display(), o.class, o.reason())).collect();
    match outliers.len() {
        0 => part("No image is unlike all others.".to_owned(), outliers),
        n => part(format!("{} unlike all others", images(n)), outliers),
    }
    if !outcome.odd.is_empty() {
        let lines = outcome.odd.iter().map(|odd| format!("{}: {}", odd.path.display(), odd.oddity.reason()));
        part("Odd for what they are".to_owned(), lines.collect());
    }
    text
}

fn pictures(n: usize) -> String {
    if n == 1 { "1 picture is".to_owned() } else { format!("{n} pictures are") }
}

fn images(n: usize) -> String {
    if n == 1 { "1 image is".to_owned() } else { format!("{n} images are") }
}

fn error_text(error: &LabelError) -> String {
    let LabelError { path, given, suggested, quality } = error;
    format!("{:>7}  {given} -> {suggested}?  {}", percent(*quality), path.display())
}

fn copies_text(copies: &Copies) -> String {
    let paths: Vec<String> = copies.paths.iter().map(|path| path.display().to_string()).collect();
    let alike = format!("alike by {:.3}", copies.similarity);
    let words = [
        (copies.is_exact, "the same bytes"),
        (!copies.is_exact, alike.as_str()),
        (copies.is_leak, "on both sides of the split"),
        (copies.disagree, "in different classes"),
    ];
    let words: Vec<&str> = words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
    format!("{}  ({})", paths.join("\n    "), words.join(", "))
}
