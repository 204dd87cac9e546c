//! What is said in words and tables: the head of the page, the data, the model, the runs, how to come to the same.

use super::date::short;
use super::page::{count, escape, facts, note, p, percent, section, table, thousands};
use super::{Document, RunRow, date_time};
use crate::metrics::{Estimate, Report};

/// Files that are listed as left out, at most.
const MAX_LISTED: usize = 50;
/// With fewer judged images a figure says little.
const FEW: usize = 50;
/// With fewer judged images of a class its own figures say little.
const FEW_OF_CLASS: usize = 30;

/// `84.1 % to 96.5 %`.
pub(super) fn interval(estimate: &Estimate) -> String {
    format!("{} to {}", percent(estimate.interval.low), percent(estimate.interval.high))
}

pub(super) fn header(document: &Document) -> String {
    let sum = |i: usize| document.data.classes.iter().map(|(_, n)| n[i]).sum::<usize>();
    format!(
        "<header>\n<h1>{}</h1>\n<p class=\"lead\">An image classifier of {}, trained on {} and judged on {} others, with the \
         model {}.<br>Written on {} by Graft {}.</p>\n</header>\n",
        escape(&document.title),
        count(document.data.classes.len(), "class").replace("classs", "classes"),
        count(sum(0), "image"),
        thousands(if sum(1) > 0 { sum(1) } else { sum(2) }),
        escape(&document.model.name),
        date_time(document.unix_secs),
        env!("CARGO_PKG_VERSION"),
    )
}

pub(super) fn at_a_glance(document: &Document) -> String {
    let Some(head) = document.head() else { return String::new() };
    let Some(report) = head.report() else {
        let text = "Nothing is known about how good it is: no class has an image to spare for validation.";
        return section("glance", "At a glance", &p(text));
    };
    let stats = [
        ("Accuracy", &report.accuracy),
        ("Balanced accuracy", &report.balanced_accuracy),
        ("Macro F1", &report.macro_f1),
        ("Calibration error", &report.calibration_error),
    ];
    let stats: String = stats
        .iter()
        .map(|(name, estimate)| {
            let (value, interval) = (percent(estimate.value), interval(estimate));
            format!("<div class=\"stat\"><span>{name}</span><b>{value}</b><span>{interval}</span></div>\n")
        })
        .collect();
    let words = format!(
        "The {} head, on {} that it was not fitted on. The ranges are 95 % intervals: other images of the same kind \
         would give figures within them nineteen times of twenty.",
        head.record.kind.label().to_lowercase(),
        count(report.n_rows, &format!("{} image", head.images())),
    );
    let test = match (&head.val, &head.test) {
        (Some(_), Some(test)) => p(&format!(
            "On {} that were kept apart from every choice its accuracy is {} ({}).",
            count(test.n_rows, "test image"),
            percent(test.accuracy.value),
            interval(&test.accuracy)
        )),
        _ => String::new(),
    };
    section("glance", "At a glance", &format!("<div class=\"stats\">\n{stats}</div>\n{}{test}", p(&words)))
}

/// What the figures cannot say.
pub(super) fn limits(document: &Document) -> String {
    let Some((head, report)) = document.head().and_then(|head| Some((head, head.report()?))) else {
        return String::new();
    };
    let half = 50.0 * (report.accuracy.interval.high - report.accuracy.interval.low);
    let few =
        if report.n_rows < FEW { " That is few: more judged images would say more than another model." } else { "" };
    let mut lines = vec![format!(
        "Judged on {}: the accuracy is known to about ±{half:.1} points.{few}",
        count(report.n_rows, "image")
    )];
    if let Some((name, n)) = smallest(report).filter(|(_, n)| *n < FEW_OF_CLASS) {
        let verb = if n == 1 { "has" } else { "have" };
        lines.push(match n {
            0 => format!("No judged image is of “{name}”: nothing is known about it."),
            n => format!(
                "The class with the fewest judged images is “{name}”: {} {verb} to speak for it, so that its own figures can \
                 be far off.",
                count(n, "image")
            ),
        });
    }
    if let (true, crate::head::ChosenBy::Validation { .. }) = (head.val.is_some(), head.record.chosen_by) {
        lines.push(match head.record.temperature_by {
            Some(_) => "The settings of the head were chosen on the same validation images, which flatters its accuracy a \
                        little; they had no part in choosing its temperature."
                .to_owned(),
            None => "The settings of the head and its temperature were chosen on the same validation images, which flatters \
                     it a little."
                .to_owned(),
        });
    }
    lines.push(
        "Figures hold for images like these. Of other cameras, places or kinds of picture, and of things that are of none \
         of the classes, they say nothing."
            .to_owned(),
    );
    let items: String = lines.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
    section("limits", "What these figures cannot say", &format!("<ul class=\"plain\">\n{items}</ul>\n"))
}

fn smallest(report: &Report) -> Option<(&str, usize)> {
    let classes = report.classes.names().iter().zip(&report.per_class);
    classes.map(|(name, class)| (name.as_str(), class.support as usize)).min_by_key(|(_, n)| *n)
}

pub(super) fn data(document: &Document) -> String {
    let data = &document.data;
    let has_test = data.classes.iter().any(|(_, n)| n[2] > 0);
    let mut head = vec![("Class", false), ("Training", true), ("Validation", true)];
    if has_test {
        head.push(("Test", true));
    }
    let n_columns = head.len() - 1;
    let row = |name: String, n: [usize; 3]| {
        let cells = n.into_iter().take(n_columns).map(thousands);
        std::iter::once(name).chain(cells).collect::<Vec<String>>()
    };
    let mut rows: Vec<Vec<String>> = data.classes.iter().map(|(name, n)| row(escape(name), *n)).collect();
    let sum = |i: usize| data.classes.iter().map(|(_, n)| n[i]).sum::<usize>();
    if rows.len() > 1 {
        rows.push(row("<b>Together</b>".to_owned(), [sum(0), sum(1), sum(2)]));
    }
    let split = match (sum(1), data.val_is_given) {
        (0, _) => "No class has an image to spare for validation.",
        (_, true) => "The validation images were given.",
        (_, false) => {
            "The validation images were split off at random, the same share of each class; identical pictures \
                       are on one side only."
        }
    };
    let mut body = table("Images a class", &head, &rows) + &note(split);
    body += &data.notes.iter().map(|text| note(text)).collect::<String>();
    if !data.skipped.is_empty() {
        let n = data.skipped.len();
        let item = |(name, reason): &(String, String)| format!("<li>{}: {}</li>\n", escape(name), escape(reason));
        let items: String = data.skipped.iter().take(MAX_LISTED).map(item).collect();
        let rest = match n.saturating_sub(MAX_LISTED) {
            0 => String::new(),
            rest => format!("<li>and {} more</li>\n", thousands(rest)),
        };
        body += &format!(
            "<details><summary>{} left out</summary>\n<ul class=\"plain\">\n{items}{rest}</ul></details>\n",
            count(n, "file")
        );
    }
    section("data", "The images", &body)
}

pub(super) fn model(document: &Document) -> String {
    let model = &document.model;
    let known = facts(model.facts.iter().map(|(name, value)| (name.as_str(), value.clone())));
    let rows: Vec<Vec<String>> = model
        .preprocess
        .iter()
        .map(|(step, value, origin)| vec![escape(step), escape(value), escape(origin)])
        .collect();
    let head = [("Step", false), ("Value", false), ("Where it comes from", false)];
    let intro = p("A pretrained network, used as it is, turns each image into features; the heads learn from these.");
    let body = intro + &known + "<h3>How an image is prepared</h3>\n" + &table("Preprocessing", &head, &rows);
    section("model", "The model", &body)
}

/// The cells of a run.
pub(super) fn run_cells(run: &RunRow) -> Vec<String> {
    let figure = |estimate: &Option<Estimate>| match estimate {
        Some(e) => format!("{} <span class=\"note\">({})</span>", percent(e.value), interval(e)),
        None => "–".to_owned(),
    };
    let error = run.calibration_error.as_ref().map_or_else(|| "–".to_owned(), |e| percent(e.value));
    vec![
        format!("<span class=\"keep\">{}</span>", escape(&run.name)),
        format!("<span class=\"keep\">{}</span>", short(run.unix_secs)),
        escape(&run.model),
        escape(&run.head),
        format!("{} / {}", thousands(run.n[0]), thousands(run.n[1])),
        figure(&run.accuracy),
        error,
    ]
}

pub(super) const RUN_COLUMNS: [(&str, bool); 7] = [
    ("Run", false),
    ("When (UTC)", false),
    ("Model", false),
    ("Head", false),
    ("Trained / judged on", true),
    ("Accuracy", true),
    ("Calibration error", true),
];

pub(super) fn runs(document: &Document) -> String {
    if document.runs.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = document.runs.iter().map(run_cells).collect();
    let text = "Heads that were kept as the data and the settings changed, latest first. Each was judged on the images of \
                its time, so that figures of different rows compare only roughly.";
    section("runs", "Runs", &(note(text) + &table("Runs", &RUN_COLUMNS, &rows)))
}

pub(super) fn reproduce(document: &Document) -> String {
    let reproduce = &document.reproduce;
    let known = facts(reproduce.facts.iter().map(|(name, value)| (name.as_str(), value.clone())));
    let command = format!("<pre>{}</pre>\n", escape(&reproduce.command));
    let text = match reproduce.differs.is_empty() {
        true => {
            "With the same images, model and seed this command gives the same figures to the last digit.".to_owned()
        }
        false => format!("This command makes a report of the same project. {}", reproduce.differs.join(" ")),
    };
    section("reproduce", "How to come to the same", &(p(&text) + &command + &known))
}
