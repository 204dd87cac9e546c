//! `graft evaluate`

use anyhow::Result;
use serde_json::json;

use super::args::EvaluateArgs;
use super::output::{Listing, list_skipped, print, print_json, report_json, report_text};
use super::terminal::Terminal;
use crate::progress::Reporter;
use crate::workflow::evaluate::{Classifier, evaluate};
use crate::workflow::models::open_cache;

pub(super) fn run(args: &EvaluateArgs, terminal: &Terminal) -> Result<()> {
    let cache = open_cache(terminal);
    let classifier = Classifier::open(&args.with, &cache)?;
    let evaluation = evaluate(&classifier, &args.images, &cache, &args.run.embed(), terminal)?;
    for note in &evaluation.notes {
        terminal.warn(note);
    }
    if args.json {
        let mut object = report_json(&evaluation.report);
        if let Some(object) = object.as_object_mut() {
            object.insert("classes".to_owned(), json!(classifier.meta.classes));
            object.insert("skipped".to_owned(), json!(evaluation.skipped));
        }
        return print_json(&object);
    }
    list_skipped(&evaluation.skipped, Listing::Short, terminal);
    print(report_text(&evaluation.report, &classifier.meta.classes).trim_end())
}
