//! `graft predict`

use std::io::stdout;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::args::PredictArgs;
use super::output::{Listing, list_skipped, print_json, unless_closed};
use super::terminal::Terminal;
use crate::workflow::evaluate::Classifier;
use crate::workflow::models::open_cache;
use crate::workflow::predict::{Predictions, predict};

pub(super) fn run(args: &PredictArgs, terminal: &Terminal) -> Result<()> {
    let cache = open_cache(terminal);
    let classifier = Classifier::open(&args.with, &cache)?;
    let predictions = predict(&classifier, &args.inputs, args.rule.rule(), &cache, &args.run.embed(), terminal)?;
    list_skipped(&predictions.answers.skipped, Listing::Whole, terminal);
    if let Some(path) = &args.csv {
        predictions.write_csv(path)?;
    }
    if args.json {
        return print_json(&predictions_json(&predictions));
    }
    unless_closed(predictions.write_text(stdout().lock()))
}

/// A row an image, with all probabilities.
pub(super) fn predictions_json(predictions: &Predictions) -> Value {
    let rows = predictions.answers.paths.iter().zip(predictions.labels()).zip(predictions.answers.probabilities.rows());
    rows.enumerate()
        .map(|(i, ((path, (label, confidence)), row))| {
            let names = predictions.classes.names().iter().cloned();
            let probabilities: Map<String, Value> = names.zip(row.iter().map(|p| json!(p))).collect();
            let mut object = json!({
                "file": path.to_string_lossy(),
                "label": label,
                "confidence": confidence,
                "probabilities": probabilities,
            });
            if let (Some(object), Some(distance)) = (object.as_object_mut(), predictions.distance(i)) {
                object.insert("distance".to_owned(), json!(distance));
            }
            object
        })
        .collect()
}
