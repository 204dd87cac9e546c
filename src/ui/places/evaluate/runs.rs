//! Heads of before: what they were trained on, how good they were, how two of them differ, and the report.

mod compare;
mod list;

use eframe::egui::Ui;

use crate::app::{Action, OpenProject, Place, Purpose};
use crate::jobs::LaneKind;
use crate::ui::cx::Cx;
use crate::ui::widgets::{self, Banner, Button, Card, EmptyState, Meaning, NoticeEvent, busy_line};
use crate::ui::{format, icons};

/// What this view remembers from frame to frame.
#[derive(Debug, Default)]
pub(super) struct RunsView {
    list: list::RunList,
}

impl RunsView {
    /// Draws the view.
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let Some(project) = cx.project() else { return };
        report(cx, ui, project);
        let n = project.shown_runs().len();
        if n == 0 {
            return none(cx, ui, project);
        }
        self.list.ui(cx, ui, project);
        match &project.runs.compared {
            Some(pair) => compare::card(cx, ui, project, pair),
            None if n > 1 => {
                Card::new().title("Comparison").show(ui, |ui| {
                    let text = match project.runs.chosen.len() {
                        0 => "Choose two runs with the boxes at their left, to see on which images they differ.",
                        _ => "Choose another run, to see on which images they differ.",
                    };
                    widgets::weak(ui, text);
                });
            }
            None => {}
        }
    }
}

/// The report: a button, and what came of it.
fn report(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    let is_busy = cx.state.is_busy_with(|p| matches!(p, Purpose::Report { .. }));
    let available = Action::WriteReport.availability(cx.state);
    let trailing = |ui: &mut Ui| {
        let tip = Action::WriteReport.tooltip();
        let button = Button::new(Action::WriteReport.label()).icon(icons::FILE_TEXT).tip(tip).availability(available);
        ui.add(button).clicked()
    };
    let mut wants = false;
    Card::new().title("Report").show_with(ui, |ui| wants = trailing(ui), |ui| {
        widgets::caption(
            ui,
            "One file for any browser, for people without Graft: figures, plots, mistakes, runs. Two runs that are chosen are \
             compared in it.",
        );
        if is_busy {
            busy_line(ui, "Writing the report");
            if ui.add(Button::new("Cancel").small()).clicked() {
                cx.send(crate::app::Command::Cancel(LaneKind::Export));
            }
        }
    });
    if wants {
        cx.act(Action::WriteReport);
    }
    if is_busy {
        return;
    }
    if let Some(error) = &project.runs.report_error {
        Banner::new(Meaning::Negative, "The report was not written").text(error).show(ui);
    } else if let Some(path) = &project.runs.report {
        let title = format!("Written to {}", format::path(path));
        let actions = [Action::OpenReport.label()];
        if Banner::new(Meaning::Positive, &title).actions(&actions).show(ui) == NoticeEvent::Action(0) {
            cx.act(Action::OpenReport);
        }
    }
}

fn none(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    let is_training = project.live.fit.is_some();
    let text = match is_training {
        true => "The heads of now are kept as the first run as soon as nothing more is being embedded or fitted.",
        false => {
            "Heads are kept as runs by themselves once two classes have images: then you can change labels, the model or \
                  its layer, and see what it was good for."
        }
    };
    let empty = EmptyState::new(icons::CLOCK_COUNTER_CLOCKWISE, "There are no runs yet").text(text);
    let chosen = if is_training { empty.show(ui) } else { empty.actions(&["Go to Images"]).show(ui) };
    if chosen.is_some() {
        cx.act(Action::go(Place::Images));
    }
}
