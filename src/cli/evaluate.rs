//! `graft evaluate`

use anyhow::Result;
use serde_json::json;

use super::args::EvaluateArgs;
use super::output::{Listing, list_skipped, print, print_json, report_json, report_text};
use super::terminal::Terminal;
use super::unknown::{calibration_text, rule_json, strangers_json, strangers_text, unknown_text};
use crate::progress::Reporter;
use crate::workflow::evaluate::{Classifier, evaluate};
use crate::workflow::models::open_cache;
use crate::workflow::predict::predict;
use crate::workflow::strangers::StrangerFigures;

pub(super) fn run(args: &EvaluateArgs, terminal: &Terminal) -> Result<()> {
    let cache = open_cache(terminal);
    let classifier = Classifier::open(&args.with, &cache)?;
    let evaluation = evaluate(&classifier, &args.images, args.rule.rule(), &cache, &args.run.embed(), terminal)?;
    let strangers = match args.strangers.dirs.as_slice() {
        [] => None,
        dirs => Some(predict(&classifier, dirs, args.rule.rule(), &cache, &args.run.embed(), terminal)?),
    };
    let rule = evaluation.rule.rule;
    let figures = strangers.as_ref().and_then(|s| StrangerFigures::new(&evaluation.known, s, rule));
    if let Some(note) = figures.as_ref().and_then(StrangerFigures::note) {
        terminal.warn(&note);
    }
    for note in &evaluation.notes {
        terminal.warn(note);
    }
    if args.json {
        let mut object = report_json(&evaluation.report);
        if let Some(object) = object.as_object_mut() {
            object.insert("classes".to_owned(), json!(classifier.meta.classes));
            object.insert("skipped".to_owned(), json!(evaluation.skipped));
            object.insert("calibration".to_owned(), json!(evaluation.calibration));
            object.insert("unknown".to_owned(), rule_json(&evaluation.rule));
            if let (Some(figures), Some(strangers)) = (&figures, &strangers) {
                object.insert("strangers".to_owned(), strangers_json(figures, strangers));
            }
        }
        return print_json(&object);
    }
    list_skipped(&evaluation.skipped, Listing::Short, terminal);
    let mut text = report_text(&evaluation.report, &classifier.meta.classes);
    text.push_str(&calibration_text(&evaluation.calibration));
    text.push_str(&unknown_text(&evaluation.rule, false));
    if let (Some(figures), Some(strangers)) = (&figures, &strangers) {
        list_skipped(&strangers.answers.skipped, Listing::Short, terminal);
        text.push_str(&strangers_text(figures, false));
    }
    print(text.trim_end())
}
