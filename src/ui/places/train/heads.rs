//! The heads side by side.

use eframe::egui::Ui;

use crate::app::{Command, HeadFigures, OpenProject};
use crate::head::{ChosenBy, Distance, HeadKind};
use crate::metrics::{Estimate, Report};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::places::page::can_edit;
use crate::ui::theme::tokens;
use crate::ui::widgets::{
    self, Card, Interval, Meaning, badge, columns, interval_bar, key_values, percent, row_ends, segmented,
};

/// Both heads, and which one answers.
pub(super) fn heads_ui(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, figures: &[HeadFigures<'_>]) {
    let mut chosen = project.data.settings.head;
    row_ends(
        ui,
        |ui| {
            widgets::title(ui, "Heads");
        },
        |ui| {
            let mut options = vec![(None, "Best")];
            options.extend(figures.iter().map(|f| (Some(f.kind), f.kind.label())));
            // What was chosen is shown, also where it cannot be fitted now.
            let missing = chosen.filter(|kind| !figures.iter().any(|f| f.kind == *kind));
            options.extend(missing.map(|kind| (Some(kind), kind.label())));
            ui.add_enabled_ui(can_edit(cx.state).is_ok(), |ui| {
                if segmented(ui, "Head in use", &mut chosen, &options).changed() {
                    cx.send(Command::ChooseHead(chosen));
                }
            });
            widgets::caption(ui, "In use");
        },
    );
    let shown = project.live.shown_figures(project.data.settings.head).map(|f| f.kind);
    columns(ui, &vec![1.0; figures.len()], |ui, i| {
        if let Some(head) = figures.get(i) {
            head_card(ui, head, shown == Some(head.kind));
        }
    });
}

fn head_card(ui: &mut Ui, head: &HeadFigures<'_>, answers: bool) {
    let t = tokens(ui);
    let (title, about) = match head.kind {
        HeadKind::Linear => ("Linear", "Logistic regression: weighs every feature; best with many images"),
        HeadKind::Prototype => ("Prototype", "Class means: steady with a handful of images"),
        HeadKind::ZeroShot => ("Zero-shot", "The names of the classes alone"),
        HeadKind::Text => ("Text", "Starts from the names of the classes; best with few images"),
    };
    let trailing = |ui: &mut Ui| {
        if answers {
            badge(ui, "In use", Meaning::Accent);
        }
    };
    Card::new().title(title).show_with(ui, trailing, |ui| {
        widgets::caption(ui, about);
        match head.val {
            Some(report) => {
                validated(ui, report, title, if answers { t.accent.solid } else { t.neutral.solid });
            }
            None => {
                widgets::weak(ui, "There are no validation images: nothing is known about how good it is.");
            }
        }
        if let Some(test) = head.test {
            let text = format!("On {} test images: {}", test.n_rows, estimate(&test.accuracy));
            widgets::body(ui, &text);
        }
        widgets::separator(ui);
        let rows = facts(head);
        let rows: Vec<(&str, &str)> = rows.iter().map(|(k, v)| (*k, v.as_str())).collect();
        key_values(ui, &rows);
    });
}

fn validated(ui: &mut Ui, report: &Report, title: &str, colour: eframe::egui::Color32) {
    let accuracy = interval(&report.accuracy);
    let detail = format!(
        "95 % interval {}, {} validation images",
        format::interval(&report.accuracy),
        format::thousands(report.n_rows)
    );
    widgets::stat(ui, "Validated accuracy", &percent(accuracy.value), &detail);
    interval_bar(ui, &format!("{title} accuracy"), accuracy, colour);
    let log_loss = format!("{:.3}", report.log_loss.value);
    let rows = [
        ("Balanced accuracy", estimate(&report.balanced_accuracy)),
        ("Macro F1", estimate(&report.macro_f1)),
        ("Calibration error", estimate(&report.calibration_error)),
        ("Log loss", log_loss),
    ];
    let rows: Vec<(&str, &str)> = rows.iter().map(|(k, v)| (*k, v.as_str())).collect();
    key_values(ui, &rows);
}

fn facts(head: &HeadFigures<'_>) -> Vec<(&'static str, String)> {
    let record = head.record;
    let mut rows = vec![("Trained on", crate::ui::format::images(record.n_train))];
    rows.push((
        "Chosen by",
        match record.chosen_by {
            ChosenBy::HoldOut { n_rows } => format!("{n_rows} held-out training images"),
            ChosenBy::Validation { n_rows } => format!("{n_rows} validation images"),
            ChosenBy::CrossValidation { n_folds } => format!("{n_folds}-fold cross-validation"),
            ChosenBy::Defaults => "defaults: too few images to choose".to_owned(),
        },
    ));
    if let Some(c) = record.c {
        rows.push(("Strength C", crate::ui::format::number(c)));
    }
    if let Some(distance) = record.distance {
        let text = match distance {
            Distance::SquaredEuclidean => "squared Euclidean",
            Distance::Cosine => "cosine",
        };
        rows.push(("Distance", text.to_owned()));
    }
    rows.push(("Temperature", format!("{:.2}", record.temperature)));
    if record.n_iter > 0 {
        let state = if record.converged { "converged" } else { "stopped at the limit" };
        rows.push(("Iterations", format!("{}, {state}", record.n_iter)));
    }
    rows
}

pub(super) fn interval(estimate: &Estimate) -> Interval {
    Interval::new(estimate.value as f32, estimate.interval.low as f32, estimate.interval.high as f32)
}

fn estimate(estimate: &Estimate) -> String {
    format!("{}  ({})", percent(estimate.value as f32), format::interval(estimate))
}
