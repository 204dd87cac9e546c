//! Shared forms of what commands print.

use std::io::{Write, stdout};

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::terminal::Terminal;
use crate::classes::ClassSet;
use crate::dataset::Skipped;
use crate::export::describe::one_line;
use crate::metrics::Report;

/// Prints JSON, and a line end.
pub(super) fn print_json(value: &Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    unless_closed(stdout().lock().write_all(text.as_bytes()))
}

/// Prints text, and a line end.
pub(super) fn print(text: &str) -> Result<()> {
    unless_closed(writeln!(stdout().lock(), "{text}"))
}

/// A reader that has seen enough (`graft … | head`) is no failure, and no reason to leave the work undone.
pub(super) fn unless_closed(written: std::io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Skipped files that are listed one by one for people; the rest is counted.
const MAX_LISTED: usize = 20;

/// How much of a list is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// The first lines; `--json` has all.
    Short,
    /// All.
    Whole,
}

/// Lists skipped files on standard error, with their reasons.
pub(super) fn list_skipped(skipped: &[Skipped], listing: Listing, terminal: &Terminal) {
    if skipped.is_empty() {
        return;
    }
    let shown = if listing == Listing::Short { MAX_LISTED } else { usize::MAX };
    terminal.say(&format!("{} skipped:", count(skipped.len(), "file")));
    for Skipped { path, reason } in skipped.iter().take(shown) {
        terminal.say(&format!("  {}: {reason}", path.display()));
    }
    if skipped.len() > shown {
        terminal.say(&format!("  … and {} more (--json lists all)", skipped.len() - shown));
    }
}

/// `1 image`, `2 images`.
pub(super) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// `94.5 %`.
pub(super) fn percent(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

/// The figures of a report as the stable JSON object, intervals and per-class figures included.
pub(super) fn report_json(report: &Report) -> Value {
    let figures = [
        ("accuracy", Some(report.accuracy)),
        ("balanced_accuracy", Some(report.balanced_accuracy)),
        ("macro_f1", Some(report.macro_f1)),
        ("log_loss", Some(report.log_loss)),
        ("ece", Some(report.calibration_error)),
        ("top5_accuracy", report.top5_accuracy),
    ];
    let mut object = Map::new();
    let mut intervals = Map::new();
    for (name, figure) in figures {
        object.insert(name.to_owned(), json!(figure.map(|f| f.value)));
        intervals.insert(name.to_owned(), json!(figure.map(|f| [f.interval.low, f.interval.high])));
    }
    object.insert("n".to_owned(), json!(report.n_rows));
    object.insert("confusion".to_owned(), json!(report.confusion.rows()));
    object.insert("per_class".to_owned(), json!(report.per_class));
    object.insert("intervals_95".to_owned(), Value::Object(intervals));
    Value::Object(object)
}

/// The figures of a report as lines for people.
pub(super) fn report_text(report: &Report, classes: &ClassSet) -> String {
    let mut text = format!(
        "  accuracy {} ({} to {} at 95 %), balanced {}, macro F1 {:.3}, log loss {:.3}, calibration error {:.3}, {}\n",
        percent(report.accuracy.value),
        percent(report.accuracy.interval.low),
        percent(report.accuracy.interval.high),
        percent(report.balanced_accuracy.value),
        report.macro_f1.value,
        report.log_loss.value,
        report.calibration_error.value,
        count(report.n_rows, "image"),
    );
    let width = classes.names().iter().map(|n| n.chars().count()).max().unwrap_or(5).clamp(5, 30);
    text.push_str(&format!("  {:width$}  precision  recall     F1  images\n", "class"));
    for (name, class) in classes.names().iter().zip(&report.per_class) {
        let name: String = one_line(name).chars().take(width).collect();
        text.push_str(&format!(
            "  {name:width$}  {:9.3}  {:6.3}  {:5.3}  {:6}\n",
            class.precision, class.recall, class.f1, class.support
        ));
    }
    text
}
