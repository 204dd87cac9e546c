//! What the head says of images that are not part of the project.

use std::path::Path;
use std::sync::Arc;

use eframe::egui::{Color32, Sense, Ui, vec2};

use crate::app::{Action, OpenProject};
use crate::head::UnknownRule;
use crate::jobs::{LaneKind, Subject};
use crate::project::ClassId;
use crate::ui::cx::Cx;
use crate::ui::made_from::MadeFrom;
use crate::ui::places::why;
use crate::ui::theme::{Theme, class_colour, tokens};
use crate::ui::widgets::{
    self, Banner, Button, Card, Column, EmptyState, Meaning, Sort, Table, badge, columns, percent, probability_bar,
};
use crate::ui::{format, icons};
use crate::workflow::predict::{Predictions, UNKNOWN};

/// Probabilities that are shown, at most.
const MAX_BARS: usize = 10;

/// What the card remembers.
#[derive(Debug, Default)]
pub(super) struct PredictionsCard {
    /// And the rule for "unknown".
    made_from: Option<(MadeFrom<Predictions>, UnknownRule)>,
    rows: Vec<Row>,
    order: Vec<usize>,
    sort: Option<Sort>,
    selected: usize,
    heat: why::HeatOverlay,
}

#[derive(Debug)]
struct Row {
    name: String,
    label: String,
    confidence: f32,
}

impl PredictionsCard {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let actions = [Action::ClearPredictions, Action::SortPredictions, Action::SavePredictions];
        let predictions = project.predictions.clone();
        let mut chosen = None;
        let trailing = |ui: &mut Ui| {
            for action in actions.into_iter().filter(|_| predictions.is_some()) {
                let label = match action {
                    Action::ClearPredictions => "Clear",
                    Action::SortPredictions => "Sort into folders…",
                    _ => "Save as CSV…",
                };
                if ui.add(Button::new(label).small().tip(action.tooltip())).clicked() {
                    chosen = Some(action);
                }
            }
        };
        Card::new().title("Predictions").show_with(ui, trailing, |ui| {
            if let Some(activity) = cx.state.activity(LaneKind::Predict) {
                let fraction = (activity.n_total > 0).then(|| activity.n_done as f32 / activity.n_total as f32);
                widgets::progress_bar(ui, "Predicting", fraction);
            }
            match &predictions {
                None => empty(cx, ui),
                Some(predictions) => self.shown(cx, ui, project, predictions),
            }
        });
        if let Some(action) = chosen {
            cx.act(action);
        }
    }

    fn shown(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, predictions: &Arc<Predictions>) {
        self.refresh(predictions);
        let skipped = &predictions.answers.skipped;
        if let Some(first) = skipped.first() {
            let title = format!("{} could not be used", format::images(skipped.len()));
            let text = format!("{} ({})", format::path(&first.path), first.reason);
            Banner::new(Meaning::Warning, &title).text(&text).show(ui);
        }
        if self.rows.len() == 1 {
            self.one(cx, ui, project, predictions, 0);
            return;
        }
        columns(ui, &[1.5, 1.0], |ui, i| {
            if i == 0 {
                self.table(ui, project);
            } else {
                let row = self.order.get(self.selected).copied().unwrap_or(0);
                self.one(cx, ui, project, predictions, row);
            }
        });
    }

    fn refresh(&mut self, predictions: &Arc<Predictions>) {
        let rule = predictions.rule;
        if self.made_from.as_ref().is_some_and(|(of, at)| of.is(Some(predictions)) && *at == rule) {
            return;
        }
        self.made_from = Some((MadeFrom::new(Some(predictions)), rule));
        self.selected = 0;
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let rows = predictions.answers.paths.iter().zip(predictions.labels());
        self.rows = rows
            .map(|(path, (label, confidence))| Row { name: name(path), label: label.to_owned(), confidence })
            .collect();
        self.reorder();
    }

    fn reorder(&mut self) {
        self.order = (0..self.rows.len()).collect();
        let Some(Sort { column, descending }) = self.sort else { return };
        let rows = &self.rows;
        self.order.sort_by(|&a, &b| match column {
            0 => rows[a].name.cmp(&rows[b].name),
            1 => rows[a].label.cmp(&rows[b].label),
            _ => rows[a].confidence.total_cmp(&rows[b].confidence),
        });
        if descending {
            self.order.reverse();
        }
    }

    fn table(&mut self, ui: &mut Ui, project: &OpenProject) {
        let columns = [
            Column::text("File").min_width(90.0).share(1.4).sortable(true),
            Column::text("Answer").min_width(80.0).sortable(true),
            Column::fixed("Sure", 130.0).sortable(true),
        ];
        let (theme, faint) = (Theme::of(ui), tokens(ui).text_faint);
        let (rows, order) = (&self.rows, &self.order);
        let table =
            Table::new("predictions", &columns).sort(&mut self.sort).clickable(Some(self.selected)).max_height(360.0);
        let response = table.show(ui, rows.len(), |i, row| {
            let of = &rows[order[i]];
            let colour = colour_of(theme, faint, project, &of.label);
            row.text(&of.name);
            row.class(&of.label, colour);
            row.bar(&percent(of.confidence), of.confidence, colour);
        });
        if let Some(clicked) = response.clicked {
            self.selected = clicked;
        }
        if response.sort_changed {
            // The image that is looked at stays the same.
            let row = self.order.get(self.selected).copied();
            self.reorder();
            self.selected = row.and_then(|row| self.order.iter().position(|&i| i == row)).unwrap_or(0);
        }
    }

    /// An image with its probabilities.
    fn one(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, predictions: &Predictions, row: usize) {
        let (Some(path), Some(of)) = (predictions.answers.paths.get(row), self.rows.get(row)) else { return };
        let is_wide = self.rows.len() == 1 && ui.available_width() > 560.0;
        let side = if is_wide { 300.0 } else { ui.available_width().min(240.0) };
        let subject = Subject::File(path.clone());
        let heat = &mut self.heat;
        let mut draw = |ui: &mut Ui, cx: &mut Cx<'_>| {
            let (rect, _) = ui.allocate_exact_size(vec2(side, side * 0.75), Sense::hover());
            if let (Some(at), Some(map)) = (cx.file_thumb(ui, rect, path), why::map_shown(cx.state, &subject)) {
                heat.draw(ui, at, rect, map);
            }
        };
        let facts = |ui: &mut Ui| {
            widgets::strong(ui, &of.name);
            if of.label == UNKNOWN {
                badge(ui, "unknown", Meaning::Warning);
            }
            let sure = predictions.answers.probabilities.row(row).iter().copied().fold(0.0, f32::max);
            if let Some(why) = predictions.rule.why(sure, predictions.distance(row)) {
                widgets::caption(ui, &why);
            }
            let values = predictions.answers.probabilities.row(row);
            let mut all: Vec<(usize, f32)> = values.iter().copied().enumerate().collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1));
            for (i, (class, p)) in all.into_iter().take(MAX_BARS).enumerate() {
                let name = predictions.classes.names().get(class).map_or("", String::as_str);
                let colour = colour_of(Theme::of(ui), tokens(ui).text_faint, project, name);
                probability_bar(ui, name, colour, p, i == 0 && of.label != UNKNOWN);
            }
        };
        let likely = likely(project, predictions, row);
        let asked = why::Asked { subject: &subject, answer: likely.first().copied(), classes: &likely };
        if is_wide {
            ui.horizontal_top(|ui| {
                draw(ui, cx);
                ui.add_space(16.0);
                ui.vertical(|ui| {
                    facts(ui);
                    why::panel_ui(cx, ui, project, &asked);
                });
            });
        } else {
            draw(ui, cx);
            facts(ui);
            why::panel_ui(cx, ui, project, &asked);
        }
    }
}

/// The classes of the project by what an answer gives them, the largest first.
fn likely(project: &OpenProject, predictions: &Predictions, row: usize) -> Vec<ClassId> {
    let values = predictions.answers.probabilities.row(row);
    let mut all: Vec<(usize, f32)> = values.iter().copied().enumerate().collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    let name = |class: usize| predictions.classes.names().get(class);
    all.into_iter().filter_map(|(class, _)| project.data.class_by_name(name(class)?)).collect()
}

fn colour_of(theme: Theme, other: Color32, project: &OpenProject, label: &str) -> Color32 {
    let class = project.data.class_by_name(label).and_then(|id| project.data.class(id));
    class.map_or(other, |c| class_colour(usize::from(c.colour), theme))
}

fn empty(cx: &mut Cx<'_>, ui: &mut Ui) {
    let chosen = EmptyState::new(icons::IMAGE, "Drop images here to try it")
        .text("They are classified and not added to the project. Dropped in Images they would be added.")
        .actions(&["Predict images…", "Predict a folder…"])
        .show(ui);
    match chosen {
        Some(0) => cx.act(Action::PredictFiles),
        Some(_) => cx.act(Action::PredictFolder),
        None => {}
    }
}
