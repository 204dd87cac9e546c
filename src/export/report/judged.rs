//! How good the heads are: side by side, by confusion, class by class.

use std::fmt::Write as _;

use super::page::{count, escape, note, p, percent, section, table, thousands};
use super::plot::interval_bar;
use super::sections::interval;
use super::{Document, HeadFigures};
use crate::head::ChosenBy;
use crate::metrics::Report;

/// More classes do not fit as a table of numbers.
const MAX_NUMBERS: usize = 20;
/// More classes are not told apart in a picture.
const MAX_MAP: usize = 120;
/// Fewer classes need no list of confusions beside their table.
const FEW_CLASSES: usize = 4;
/// Confusions that are listed, at most.
const MAX_CONFUSIONS: usize = 8;

pub(super) fn heads(document: &Document) -> String {
    let low = document.heads.iter().filter_map(|head| Some(head.report()?.accuracy.interval.low)).fold(1.0, f64::min);
    let low = ((low * 10.0).floor() / 10.0 - 0.1).max(0.0);
    let columns = [
        ("Head", false),
        ("Accuracy", true),
        ("95 % interval", true),
        ("", false),
        ("Balanced", true),
        ("Macro F1", true),
        ("Log loss", true),
        ("Calibration error", true),
    ];
    let row = |(i, head): (usize, &HeadFigures)| {
        let name = head.record.kind.label();
        let mut cells = vec![if i == document.shown { format!("<b>{name}</b>") } else { name.to_owned() }];
        match head.report() {
            Some(report) => {
                let Report { accuracy, balanced_accuracy, macro_f1, log_loss, calibration_error, .. } = report;
                let bar = interval_bar(accuracy.value, (accuracy.interval.low, accuracy.interval.high), low);
                cells.extend([percent(accuracy.value), interval(accuracy), bar, percent(balanced_accuracy.value)]);
                cells.extend([percent(macro_f1.value), format!("{:.3}", log_loss.value)]);
                cells.push(percent(calibration_error.value));
            }
            None => cells.extend(["–"; 7].map(str::to_owned)),
        }
        cells
    };
    let rows: Vec<Vec<String>> = document.heads.iter().enumerate().map(row).collect();
    let item = |head: &HeadFigures| format!("<li>{}: {}</li>\n", head.record.kind.label(), escape(&settings(head)));
    let items: String = document.heads.iter().map(item).collect();
    let settings = format!("<ul class=\"plain\">\n{items}</ul>\n");
    let text = match document.heads.len() {
        0 | 1 => String::new(),
        _ => note(
            "The head in bold is the one that the rest of this report is about. All were judged on the same images.",
        ),
    };
    section("heads", "The heads", &(table("Heads", &columns, &rows) + &settings + &text))
}

fn settings(head: &HeadFigures) -> String {
    let record = &head.record;
    let mut parts = Vec::new();
    parts.extend(record.c.map(|c| format!("C = {c:.3}")));
    parts.extend(record.distance.map(|distance| format!("{} distance", distance.label().to_lowercase())));
    parts.push(format!("temperature {:.3}", record.temperature));
    parts.push(match record.chosen_by {
        ChosenBy::Validation { n_rows } => format!("chosen on {}", count(n_rows, "validation image")),
        ChosenBy::CrossValidation { n_folds } => format!("chosen by cross-validation in {n_folds} folds"),
        ChosenBy::HoldOut { n_rows } => format!("chosen on {} held out of training", count(n_rows, "image")),
        ChosenBy::Defaults => "nothing to choose on".to_owned(),
    });
    parts.join(", ")
}

pub(super) fn classes(document: &Document) -> String {
    let Some(report) = document.head().and_then(HeadFigures::report) else { return String::new() };
    let n = report.classes.len();
    let mut body = match (n <= MAX_NUMBERS, n <= MAX_MAP) {
        (true, _) => matrix(report),
        (false, true) => map(report),
        (false, false) => String::new(),
    };
    body += &confusions(report);
    section("confusion", "What is taken for what", &body) + &per_class(report)
}

/// Counts as a table.
fn matrix(report: &Report) -> String {
    let names = report.classes.names();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let many = if names.len() > 6 && longest > 3 { " many" } else { "" };
    let mut out = note("Rows are the true classes, columns what the head says; the diagonal is right.");
    write!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Confusion matrix\">\n\
         <table class=\"matrix{many}\">\n<caption>Confusion matrix</caption>\n<thead><tr><td></td>"
    )
    .ok();
    for name in names {
        write!(out, "<th scope=\"col\">{}</th>", escape(name)).ok();
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (truth, row) in report.confusion.rows().iter().enumerate() {
        let all: u32 = row.iter().sum();
        write!(out, "<tr><th scope=\"row\">{}</th>", escape(names.get(truth).map_or("", String::as_str))).ok();
        for (predicted, n) in row.iter().enumerate() {
            if *n == 0 {
                out.push_str("<td class=\"zero\">0</td>");
                continue;
            }
            let share = f64::from(*n) / f64::from(all.max(1));
            // A strong blue where it is right, a strong orange where it is wrong; white text where that is needed.
            let rgb = if truth == predicted { "34,88,184" } else { "168,77,11" };
            let alpha = 0.12 + 0.88 * share;
            let white = if alpha > 0.6 { ";color:#fff" } else { "" };
            write!(out, "<td style=\"background:rgba({rgb},{alpha:.2}){white}\">{n}</td>").ok();
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
    out
}

/// Shares as a picture.
fn map(report: &Report) -> String {
    let n = report.classes.len();
    let mut cells = String::new();
    for (truth, row) in report.confusion.rows().iter().enumerate() {
        let all: u32 = row.iter().sum();
        for (predicted, count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (class, share) =
                (if truth == predicted { "fill0" } else { "fill1" }, f64::from(*count) / f64::from(all));
            let opacity = 0.15 + 0.85 * share;
            let names = report.classes.names();
            let title = format!("{} taken for {}: {count}", names[truth], names[predicted]);
            writeln!(
                cells,
                "<rect class=\"{class}\" x=\"{predicted}\" y=\"{truth}\" width=\"1\" height=\"1\" fill-opacity=\"{opacity:.2}\">\
                 <title>{}</title></rect>",
                escape(&title)
            ).ok();
        }
    }
    let text = note(
        "Rows are the true classes, columns what the head says, in the order of the table below; the diagonal \
                     is right. Point at a cell to see what it is.",
    );
    format!(
        "{text}<svg viewBox=\"-0.5 -0.5 {0} {0}\" style=\"max-width:34rem\" role=\"img\" aria-label=\"Confusion matrix of {1} \
         classes\">\n{cells}</svg>\n",
        n + 1,
        n
    )
}

fn confusions(report: &Report) -> String {
    let mut found: Vec<(u32, usize, usize)> = Vec::new();
    for (truth, row) in report.confusion.rows().iter().enumerate() {
        found.extend(row.iter().enumerate().filter(|(p, n)| *p != truth && **n > 0).map(|(p, n)| (*n, truth, p)));
    }
    if found.is_empty() {
        return p(&format!("It is right on all of {}.", count(report.n_rows, "image")));
    }
    if report.classes.len() < FEW_CLASSES {
        return String::new();
    }
    found.sort_by_key(|(n, truth, predicted)| (std::cmp::Reverse(*n), *truth, *predicted));
    let name = |i: usize| escape(report.classes.names().get(i).map_or("", String::as_str));
    let items: String = found
        .iter()
        .take(MAX_CONFUSIONS)
        .map(|(n, truth, predicted)| format!("<li>{} taken for {}: {n}</li>\n", name(*truth), name(*predicted)))
        .collect();
    format!("<h3>Most frequent</h3>\n<ul class=\"plain\">\n{items}</ul>\n")
}

fn per_class(report: &Report) -> String {
    let columns = [("Class", false), ("Precision", true), ("Recall", true), ("F1", true), ("Judged images", true)];
    let rows: Vec<Vec<String>> = report
        .classes
        .names()
        .iter()
        .zip(&report.per_class)
        .map(|(name, class)| {
            let figure = |value: f64| if class.support == 0 { "–".to_owned() } else { percent(value) };
            let figures = [figure(class.precision), figure(class.recall), figure(class.f1)];
            let n = thousands(class.support as usize);
            std::iter::once(escape(name)).chain(figures).chain([n]).collect()
        })
        .collect();
    let text =
        note("Precision: of what it calls so, how much is. Recall: of what is so, how much it finds. F1: both in one.");
    section("classes", "Class by class", &(table("Figures a class", &columns, &rows) + &text))
}
