//! The Evaluate place: where the head that answers is wrong, how sure it may be, and what it says of other images.

mod certainty;
mod confusion;
mod mistakes;
mod predictions;
mod runs;

use eframe::egui::Ui;

pub(super) use confusion::ConfusionCard;

use super::page::{MAX_WIDTH, page};
use crate::app::{Action, Command, EvaluateView, HeadFigures, OpenProject, Place};
use crate::metrics::Report;
use crate::ui::cx::Cx;
use crate::ui::made_from::MadeFrom;
use crate::ui::theme::space;
use crate::ui::widgets::{
    self, Button, Card, Column, EmptyState, Sort, Table, columns, percent, place_header, segmented, stat,
};
use crate::ui::{format, icons};
use crate::workflow::predict::Predictions;

/// Narrower than this, the table of classes stands below the matrix, in points.
const LEAST_FOR_TABLE: f32 = 1000.0;

/// What this place remembers from frame to frame.
#[derive(Debug, Default)]
pub struct EvaluatePlace {
    confusion: confusion::ConfusionCard,
    mistakes: mistakes::Mistakes,
    predictions: predictions::PredictionsCard,
    /// The answers that were shown last.
    answers: MadeFrom<Predictions>,
    sort: Option<Sort>,
    certainty: certainty::CertaintyView,
    runs: runs::RunsView,
}

impl EvaluatePlace {
    /// Draws the place.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let Some(project) = cx.project() else { return };
        page(ui, "evaluate", MAX_WIDTH, |ui| {
            // New answers are shown at the top, wherever they were asked for.
            if !self.answers.is(project.predictions.as_ref()) {
                self.answers = MadeFrom::new(project.predictions.as_ref());
                ui.scroll_to_cursor(Some(eframe::egui::Align::TOP));
            }
            let figures = project.live.shown_figures(project.data.settings.head);
            header(cx, ui, figures.as_ref());
            let view = cx.state.evaluate_view;
            tabs(cx, ui, view);
            if view == EvaluateView::Runs {
                return self.runs.ui(cx, ui);
            }
            let Some(figures) = figures else {
                return nothing(cx, ui);
            };
            if view == EvaluateView::Certainty {
                return self.certainty.ui(cx, ui, &figures);
            }
            if project.predictions.is_some() {
                self.predictions.ui(cx, ui, project);
            }
            match figures.val {
                Some(report) => self.judged(cx, ui, project, report),
                None => {
                    EmptyState::new(icons::TARGET, "There are no validation images")
                        .text("Each class needs two images or more: then one of them is held back to judge on.")
                        .show(ui);
                }
            }
            if project.predictions.is_none() {
                self.predictions.ui(cx, ui, project);
            }
        });
    }

    fn judged(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, report: &Report) {
        headline(ui, report, "validation images");
        let both = |ui: &mut Ui, i: usize| {
            if i == 0 {
                self.confusion.ui(cx, ui, project, report);
            } else {
                per_class_card(ui, report, &mut self.sort);
            }
        };
        if ui.available_width() < LEAST_FOR_TABLE {
            widgets::columns(ui, &[1.0], {
                let mut both = both;
                move |ui, _| (0..2).for_each(|i| both(ui, i))
            });
        } else {
            columns(ui, &[1.15, 1.0], both);
        }
        self.mistakes.ui(cx, ui, project);
    }
}

/// Precision, recall and F1 of each class.
pub(in crate::ui::places) fn per_class_card(ui: &mut Ui, report: &Report, sort: &mut Option<Sort>) {
    Card::new().title("Per class").show(ui, |ui| {
        let columns = [
            Column::text("Class").min_width(70.0).sortable(true),
            Column::number("Precision", 72.0).sortable(true),
            Column::number("Recall", 62.0).sortable(true),
            Column::number("F1", 62.0).sortable(true),
            Column::number("Images", 56.0).sortable(true),
        ];
        let mut order: Vec<usize> = (0..report.per_class.len()).collect();
        if let Some(Sort { column, descending }) = *sort {
            let key = |i: usize| {
                let m = &report.per_class[i];
                match column {
                    1 => m.precision,
                    2 => m.recall,
                    3 => m.f1,
                    4 => f64::from(m.support),
                    _ => i as f64,
                }
            };
            order.sort_by(|a, b| key(*a).total_cmp(&key(*b)));
            if descending {
                order.reverse();
            }
        }
        let table = Table::new("per class", &columns).sort(sort).max_height(300.0);
        table.show(ui, order.len(), |i, row| {
            let class = order[i];
            let metrics = &report.per_class[class];
            row.text(report.classes.names().get(class).map_or("", String::as_str));
            for value in [metrics.precision, metrics.recall, metrics.f1] {
                // Of a class without validation images nothing is known.
                row.text(&if metrics.support == 0 { "–".to_owned() } else { percent(value as f32) });
            }
            row.weak(&metrics.support.to_string());
        });
        widgets::caption(
            ui,
            "Precision: of what it calls so, how much is. Recall: of what is so, how much it finds. F1: both in one.",
        );
    });
}

fn header(cx: &mut Cx<'_>, ui: &mut Ui, figures: Option<&HeadFigures<'_>>) {
    let state =
        figures.map_or_else(String::new, |f| format!("{} head, on images that it was not fitted on", f.kind.label()));
    place_header(ui, "Evaluate", &state, |ui| {
        for action in [Action::PredictFolder, Action::PredictFiles] {
            let tip = action.tooltip();
            let button = Button::new(action.label()).tip(tip).availability(action.availability(cx.state));
            if ui.add(button).clicked() {
                cx.act(action);
            }
        }
    });
}

fn tabs(cx: &mut Cx<'_>, ui: &mut Ui, mut view: EvaluateView) {
    let options = EvaluateView::ALL.map(|view| (view, view.label()));
    if segmented(ui, "View", &mut view, &options).changed() {
        cx.send(Command::ShowEvaluate(view));
    }
    ui.add_space(space::S);
}

/// The figures of a report, on so many `images`, such as "validation images".
pub(in crate::ui::places) fn headline(ui: &mut Ui, report: &Report, images: &str) {
    let figures = [
        ("Accuracy", &report.accuracy),
        ("Balanced accuracy", &report.balanced_accuracy),
        ("Macro F1", &report.macro_f1),
        ("Calibration error", &report.calibration_error),
    ];
    Card::new().show(ui, |ui| {
        let n_columns = if ui.available_width() < 560.0 { 2 } else { 4 };
        for row in figures.chunks(n_columns) {
            ui.columns(n_columns, |columns| {
                for (ui, (caption, estimate)) in columns.iter_mut().zip(row) {
                    stat(ui, caption, &percent(estimate.value as f32), &format::interval(estimate));
                }
            });
        }
    });
    let text = match report.top5_accuracy {
        Some(top5) => format!(
            "{} {images}; ranges are 95 % intervals. The right class is among the first five for {}.",
            format::thousands(report.n_rows),
            percent(top5.value as f32)
        ),
        None => format!("{} {images}; ranges are 95 % intervals.", format::thousands(report.n_rows)),
    };
    widgets::caption(ui, &text);
}

fn nothing(cx: &mut Cx<'_>, ui: &mut Ui) {
    let chosen = EmptyState::new(icons::TARGET, "There is no trained head yet")
        .text("As soon as two classes have images, a head is trained and judged by itself.")
        .actions(&["Go to Images"])
        .show(ui);
    if chosen.is_some() {
        cx.act(Action::go(Place::Images));
    }
}
