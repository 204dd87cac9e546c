//! The table of runs.

use std::time::{SystemTime, UNIX_EPOCH};

use eframe::egui::{Id, Ui};

use crate::app::{Command, OpenProject};
use crate::dataset::Split;
use crate::export::report::date;
use crate::project::runs::{Run, RunId};
use crate::ui::cx::Cx;
use crate::ui::places::page::can_edit;
use crate::ui::widgets::{
    self, Button, Card, Column, FieldEvent, Interval, Table, interval_bar, menu_button, menu_item, menu_item_danger,
    percent, rename_field,
};
use crate::ui::{format, icons};

/// Narrower than this there is no room for the model and the calibration error, in points.
const ROOMY: f32 = 820.0;
/// Narrower than this there is none for the time and the images either, in points.
const NARROW: f32 = 560.0;
/// Rows that are seen at once, about, before the table scrolls by itself.
const MAX_HEIGHT: f32 = 360.0;

/// What of a run is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typed {
    Name,
    Note,
}

/// What the table remembers.
#[derive(Debug, Default)]
pub(super) struct RunList {
    editing: Option<(RunId, Typed, String)>,
}

impl RunList {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let runs = project.shown_runs();
        let title = format!("Runs ({})", runs.len());
        let width = ui.available_width();
        let (is_roomy, is_narrow) = (width >= ROOMY, width < NARROW);
        let mut columns = vec![Column::fixed("", 28.0), Column::text("Run").min_width(110.0).share(1.3)];
        if !is_narrow {
            columns.push(Column::fixed("When", 92.0));
        }
        if is_roomy {
            columns.push(Column::text("Model").min_width(90.0).share(1.3));
        }
        columns.push(Column::fixed("Head", 66.0));
        if !is_narrow {
            columns.push(Column::number("Images", 84.0));
        }
        columns.extend([Column::number("Accuracy", 60.0), Column::text("95 % interval").min_width(90.0)]);
        if is_roomy {
            columns.push(Column::number("Calibration error", 106.0));
        }
        columns.push(Column::fixed("", 28.0));
        let low = runs.iter().filter_map(|run| run.report()).map(|r| r.accuracy.interval.low).fold(1.0, f64::min);
        // A common axis, so that intervals can be compared by eye.
        let floor = ((low * 10.0).floor() / 10.0).clamp(0.0, 0.9) as f32;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Card::new().title(&title).flush().show(ui, |ui| {
            let table = Table::new("runs", &columns).row_height(34.0).max_height(MAX_HEIGHT);
            table.show(ui, runs.len(), |i, row| {
                let run = runs[i];
                row.cell(|ui| choice(cx, ui, project, run));
                row.cell(|ui| self.name(cx, ui, project, run));
                if !is_narrow {
                    row.weak(&ago(run.unix_secs, now));
                }
                if is_roomy {
                    row.text(&model(project, run));
                }
                row.text(run.kind().label());
                if !is_narrow {
                    row.weak(&format!("{} / {}", run.data.n(Split::Train), run.judged.len()));
                }
                match run.report() {
                    Some(report) => {
                        let accuracy = &report.accuracy;
                        row.text(&percent(accuracy.value as f32));
                        let (low, high) = (accuracy.interval.low as f32, accuracy.interval.high as f32);
                        let interval =
                            Interval { axis: (floor, 1.0), ..Interval::new(accuracy.value as f32, low, high) };
                        row.cell(|ui| {
                            let label = format!("Accuracy of {}", project.run_title(run.id));
                            let colour = crate::ui::theme::tokens(ui).accent.solid;
                            let tip = format::interval(accuracy);
                            interval_bar(ui, &label, interval, colour).on_hover_text(tip);
                        });
                        if is_roomy {
                            row.weak(&percent(report.calibration_error.value as f32));
                        }
                    }
                    None => {
                        row.weak("–");
                        row.weak("not judged");
                        if is_roomy {
                            row.weak("–");
                        }
                    }
                }
                row.cell(|ui| self.menu(cx, ui, project, run));
            });
        });
        widgets::caption(
            ui,
            "Images: trained on / judged on. A run is kept when labels have stood still for a while; pinned and named ones stay, of \
             the others the latest 60.",
        );
    }

    fn name(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, run: &Run) {
        if let Some((id, typed, text)) = self.editing.as_mut().filter(|editing| editing.0 == run.id) {
            let (id, typed) = (*id, *typed);
            let label = if typed == Typed::Name { "Name of the run" } else { "Note on the run" };
            match rename_field(ui, Id::unique(("run", id.0, typed == Typed::Name)), label, text) {
                FieldEvent::Commit => {
                    let text = std::mem::take(text);
                    cx.send(match typed {
                        Typed::Name => Command::NameRun(id, text),
                        Typed::Note => Command::NoteOnRun(id, text),
                    });
                    self.editing = None;
                }
                FieldEvent::Cancel => self.editing = None,
                FieldEvent::None | FieldEvent::Changed | FieldEvent::Browse => {}
            }
            return;
        }
        let marks = project.run_marks(run.id);
        if marks.is_pinned {
            let pin = eframe::egui::RichText::new(icons::PUSH_PIN).font(icons::font(13.0));
            ui.label(pin).on_hover_text("Pinned: it stays however many come after it");
        }
        let response = widgets::one_line(ui, &marks.title(run.id));
        if !marks.note.is_empty() {
            response.on_hover_text(&marks.note);
            widgets::one_line(ui, &format!("· {}", marks.note));
        }
    }

    fn menu(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, run: &Run) {
        let marks = project.run_marks(run.id);
        let label = format!("More for {}", marks.title(run.id));
        let button = Button::icon_only(icons::DOTS_THREE, &label).small().availability(can_edit(cx.state));
        menu_button(ui, button, |ui| {
            let mut edit = |typed, text: &str| self.editing = Some((run.id, typed, text.to_owned()));
            if menu_item(ui, icons::PENCIL_SIMPLE, "Name…", None).clicked() {
                edit(Typed::Name, &marks.name);
            }
            if menu_item(ui, icons::NOTE_PENCIL, "Note…", None).clicked() {
                edit(Typed::Note, &marks.note);
            }
            let pin = if marks.is_pinned { "Unpin" } else { "Pin" };
            if menu_item(ui, icons::PUSH_PIN, pin, None).clicked() {
                cx.send(Command::PinRun(run.id, !marks.is_pinned));
            }
            if menu_item_danger(ui, icons::TRASH, "Delete").clicked() {
                cx.send(Command::DeleteRun(run.id));
            }
        });
    }
}

/// The box that chooses a run for the comparison: with its letter once two are chosen.
fn choice(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, run: &Run) {
    let is_chosen = project.runs.chosen.contains(&run.id);
    let label = format!("Compare {}", project.run_title(run.id));
    let pair = project.runs.compared.as_ref();
    let letter = pair.and_then(|pair| [(pair.a, "A"), (pair.b, "B")].into_iter().find(|(id, _)| *id == run.id));
    let button = match (letter, is_chosen) {
        (Some((_, letter)), _) => Button::new(letter).label(&label).selected(true).small(),
        (None, true) => Button::icon_only(icons::CHECK_SQUARE, &label).selected(true).small(),
        (None, false) => Button::icon_only(icons::SQUARE, &label).small(),
    };
    if ui.add(button).clicked() {
        cx.send(Command::ChooseRun { id: run.id, on: !is_chosen });
    }
}

/// The backbone, and what of it is not as it is now.
fn model(project: &OpenProject, run: &Run) -> String {
    let now = project.live.fit.as_ref().and_then(|fit| fit.head()).map(|head| head.judged.trained.head.space().clone());
    match now {
        Some(now) if now.backbone == run.space.backbone && now.layer != run.space.layer => {
            format!("{}, {}", run.model, run.space.layer)
        }
        _ => run.model.clone(),
    }
}

/// How long ago something was: `just now`, `12 min ago`; after a week the date.
pub(super) fn ago(unix_secs: u64, now: u64) -> String {
    let secs = now.saturating_sub(unix_secs);
    let of = |n: u64, unit: &str| format!("{n} {unit} ago");
    match secs {
        0..60 => "just now".to_owned(),
        60..3600 => of(secs / 60, "min"),
        3600..86_400 => of(secs / 3600, "h"),
        86_400..604_800 => of(secs / 86_400, if secs < 172_800 { "day" } else { "days" }),
        _ => date(unix_secs),
    }
}

#[cfg(test)]
mod tests {
    use super::ago;

    #[test]
    fn ages_are_rough() {
        let now = 1_795_705_500;
        let ages = [0, 59, 60, 3599, 7300, 86_400, 200_000, 700_000].map(|age| ago(now - age, now));
        let texts = [
            "just now",
            "just now",
            "1 min ago",
            "59 min ago",
            "2 h ago",
            "1 day ago",
            "2 days ago",
            "18 November 2026",
        ];
        assert_eq!(ages, texts);
        assert_eq!(ago(now + 100, now), "just now", "a clock that went back");
    }
}
