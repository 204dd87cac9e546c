//! The confusion matrix: rows are true classes, columns predicted ones; a cell opens its images.

use std::ops::Range;

use eframe::egui::{
    Align2, CornerRadius, Key, Pos2, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2,
};

use crate::app::gallery::{ClassFilter, Filter};
use crate::app::{Command, OpenProject, Place};
use crate::dataset::Split;
use crate::metrics::Report;
use crate::project::ClassId;
use crate::ui::cx::Cx;
use crate::ui::theme::colour::mix;
use crate::ui::theme::{Weight, size, tokens};
use crate::ui::widgets::paint::{cut_line, galley_in, line};
use crate::ui::widgets::{self, Card, percent, segmented};

/// Sides of a cell in points: as large as there is room, within these.
const CELLS: std::ops::RangeInclusive<f32> = 24.0..=64.0;

/// What the card remembers.
#[derive(Debug, Default)]
pub(in crate::ui::places) struct ConfusionCard {
    shows_shares: bool,
    hovered: Option<(usize, usize)>,
}

impl ConfusionCard {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, report: &Report) {
        let ids: Vec<ClassId> = match &project.live.fit {
            Some(fit) => fit.class_ids().to_vec(),
            None => project.live.stored.first().map(|h| h.class_ids.clone()).unwrap_or_default(),
        };
        let about = "Rows are what images are, columns what the head says. A cell opens its images.";
        if let Some((truth, predicted)) = self.card(ui, report, about)
            && let (Some(&truth), Some(&predicted)) = (ids.get(truth), ids.get(predicted))
        {
            let filter = Filter {
                class: ClassFilter::Is(truth),
                predicted: Some(predicted),
                split: Some(Split::Val),
                ..Filter::default()
            };
            cx.send(Command::SetFilter(filter));
            cx.send(Command::Go(Place::Images));
        }
    }

    /// Without the way to the images of a cell.
    pub(in crate::ui::places) fn plain(&mut self, ui: &mut Ui, report: &Report) {
        self.card(ui, report, "Rows are what images are, columns what the labels say.");
    }

    /// Draws the card; the cell that was clicked.
    fn card(&mut self, ui: &mut Ui, report: &Report, about: &str) -> Option<(usize, usize)> {
        let mut shows_shares = self.shows_shares;
        let trailing = |ui: &mut Ui| {
            segmented(ui, "What cells show", &mut shows_shares, &[(false, "Images"), (true, "Share")]);
        };
        let shown = Card::new().title("Confusion matrix").show_with(ui, trailing, |ui| {
            widgets::caption(ui, about);
            let clicked = self.matrix(ui, report);
            let sentence = self.hovered.map_or_else(
                || "Off the diagonal are the mistakes.".to_owned(),
                |(truth, predicted)| sentence(report, truth, predicted),
            );
            widgets::caption(ui, &sentence);
            clicked
        });
        self.shows_shares = shows_shares;
        shown.inner
    }

    /// Draws it; the cell that was clicked.
    fn matrix(&mut self, ui: &mut Ui, report: &Report) -> Option<(usize, usize)> {
        let names = report.classes.names();
        let n = names.len();
        let room = ui.available_width();
        let label_width = (room * 0.28).clamp(56.0, 150.0);
        let cell = ((room - label_width - 8.0) / n.max(1) as f32).clamp(*CELLS.start(), *CELLS.end()).floor();
        // Names of columns stand on end where cells are narrow.
        let is_steep = cell < 52.0;
        let head = if is_steep { 84.0 } else { 24.0 };
        let whole = vec2(label_width + cell * n as f32 + 8.0, head + cell * n as f32);
        let mut clicked = None;
        let mut hovered = None;
        let scroll = ScrollArea::both().id_salt("confusion").max_height(520.0).min_scrolled_height(whole.y.min(520.0));
        scroll.auto_shrink([false, true]).show(ui, |ui| {
            let (area, _) = ui.allocate_exact_size(whole, Sense::hover());
            let origin = area.min + vec2(label_width, head);
            let at = |row: usize, column: usize| {
                let min = origin + vec2(column as f32 * cell, row as f32 * cell);
                Rect::from_min_size(min, vec2(cell, cell)).shrink(1.0)
            };
            // Only what is in view: of a thousand classes there are a million cells.
            let in_view = |from: f32, to: f32, start: f32| {
                let first = ((from - start) / cell).floor().max(0.0) as usize;
                let last = ((to - start) / cell).ceil().max(0.0) as usize;
                first.min(n)..last.min(n)
            };
            let clip = ui.clip_rect();
            let columns = in_view(clip.left(), clip.right(), origin.x);
            let rows = in_view(clip.top(), clip.bottom(), origin.y);
            self.names(ui, names, (area.min, label_width, head, cell), is_steep, (&rows, &columns));
            for truth in rows {
                let counts = report.confusion.rows().get(truth).map_or(&[][..], |row| row);
                let total: u64 = counts.iter().map(|c| u64::from(*c)).sum();
                for (predicted, &count) in counts.iter().enumerate().take(columns.end).skip(columns.start) {
                    let rect = at(truth, predicted);
                    let share = if total == 0 { 0.0 } else { f64::from(count) / total as f64 };
                    let text = match (count, self.shows_shares) {
                        (0, _) => String::new(),
                        (_, true) => format!("{:.0}", share * 100.0),
                        (_, false) => count.to_string(),
                    };
                    let response = ui.interact(rect, ui.scope_id().with((truth, predicted)), Sense::click());
                    response.widget_info(|| {
                        WidgetInfo::labeled(Role::Button, count > 0, sentence(report, truth, predicted))
                    });
                    paint(ui, rect, (truth == predicted, share, count), &text, &response);
                    if response.hovered() || response.has_focus() {
                        hovered = Some((truth, predicted));
                    }
                    let entered = response.has_focus() && ui.input(|i| i.key_pressed(Key::Enter));
                    if count > 0 && (response.clicked() || entered) {
                        clicked = Some((truth, predicted));
                    }
                }
            }
        });
        self.hovered = hovered;
        clicked
    }

    fn names(
        &self,
        ui: &Ui,
        names: &[String],
        place: (Pos2, f32, f32, f32),
        is_steep: bool,
        (rows, columns): (&Range<usize>, &Range<usize>),
    ) {
        let t = tokens(ui);
        let (min, label_width, head, cell) = place;
        let colour = |is_on: bool| if is_on { t.text_strong } else { t.text };
        for (i, name) in names.iter().enumerate().take(rows.end).skip(rows.start) {
            let is_row = self.hovered.is_some_and(|(truth, _)| truth == i);
            let row = cut_line(ui, name, size::SMALL, Weight::Regular, colour(is_row), label_width - 8.0);
            let y = min.y + head + (i as f32 + 0.5) * cell;
            galley_in(ui, Align2::RIGHT_CENTER, pos2(min.x + label_width - 6.0, y), row, colour(is_row));
        }
        for (i, name) in names.iter().enumerate().take(columns.end).skip(columns.start) {
            let is_column = self.hovered.is_some_and(|(_, predicted)| predicted == i);
            let x = min.x + label_width + (i as f32 + 0.5) * cell;
            if is_steep {
                let text = cut_line(ui, name, size::SMALL, Weight::Regular, colour(is_column), head - 8.0);
                let height = text.size().y;
                let shape = eframe::egui::epaint::TextShape::new(
                    pos2(x - height / 2.0, min.y + head - 4.0),
                    text,
                    colour(is_column),
                )
                .with_angle(-std::f32::consts::FRAC_PI_2);
                ui.painter().add(shape);
            } else {
                let text = cut_line(ui, name, size::SMALL, Weight::Regular, colour(is_column), cell - 4.0);
                galley_in(ui, Align2::CENTER_CENTER, pos2(x, min.y + head / 2.0), text, colour(is_column));
            }
        }
    }
}

fn paint(
    ui: &Ui,
    rect: Rect,
    (is_right, share, count): (bool, f64, u32),
    text: &str,
    response: &eframe::egui::Response,
) {
    let t = tokens(ui);
    let tone = if is_right { t.accent } else { t.negative };
    let round = CornerRadius::same(3);
    // A single mistake among many must still be seen.
    let strength = if count == 0 { 0.0 } else { (0.16 + 0.84 * share as f32).min(1.0) };
    let fill = mix(t.sunken, tone.solid, strength);
    ui.painter().rect_filled(rect, round, fill);
    if response.hovered() || response.has_focus() {
        ui.painter().rect_stroke(rect, round, Stroke::new(1.5, t.text_strong), StrokeKind::Inside);
    }
    let colour = crate::ui::theme::text_on(fill);
    let galley = line(ui, text, size::SMALL, Weight::Medium, colour);
    galley_in(ui, Align2::CENTER_CENTER, rect.center(), galley, colour);
}

/// What a cell says, in words.
fn sentence(report: &Report, truth: usize, predicted: usize) -> String {
    let name = |i: usize| report.classes.names().get(i).map_or("", String::as_str);
    let rows = report.confusion.rows();
    let row: &[u32] = rows.get(truth).map_or(&[], |row| row);
    let count = row.get(predicted).copied().unwrap_or(0);
    let total: u32 = row.iter().sum();
    let share = percent(count as f32 / total.max(1) as f32);
    if truth == predicted {
        format!("{count} of {total} “{}” are recognised ({share})", name(truth))
    } else {
        format!("{count} of {total} “{}” are taken for “{}” ({share})", name(truth), name(predicted))
    }
}
