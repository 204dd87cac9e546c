//! The Export place: what is written, where, and the proof.

mod contents;
mod proof;

use std::path::PathBuf;

use eframe::egui::Ui;

use crate::app::{Action, Command, OpenProject, Place, Purpose};
use crate::export::bundle::Contents;
use crate::export::describe::rule_text;
use crate::jobs::LaneKind;
use crate::progress::Stage;
use crate::ui::cx::Cx;
use crate::ui::dialogs::typed_paths;
use crate::ui::format;
use crate::ui::icons;
use crate::ui::places::page::{MAX_WIDTH, Split, page};
use crate::ui::theme::space;
use crate::ui::widgets::{self, Button, Card, EmptyState, FieldEvent, Meaning};

/// What happens stands beside what is wanted.
const SPLIT: Split = Split { side_pt: 420.0, least_pt: 320.0, side_first: false };

/// The field of the folder.
#[derive(Debug)]
struct DirField {
    /// The folder that the text means.
    of: PathBuf,
    text: String,
    /// The folder of before, for Esc.
    before: PathBuf,
}

/// What this place remembers from frame to frame.
#[derive(Debug, Default)]
pub struct ExportPlace {
    /// What is being typed as the folder, and the folder that it was begun with.
    dir: Option<DirField>,
    /// What the last export was asked to have.
    wrote: Option<Contents>,
    copied: bool,
}

impl ExportPlace {
    /// Draws the place.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let Some(project) = cx.state.project.as_ref() else {
            if EmptyState::new(icons::EXPORT, "No project is open")
                .actions(&["Go to the start screen"])
                .show(ui)
                .is_some()
            {
                cx.send(Command::Go(Place::Images));
            }
            return;
        };
        // Figures of an earlier time can be looked at, but only a head that is at hand can be written.
        if project.live.fit.is_none() && project.live.stored.is_empty() {
            return no_head(cx, project, ui);
        }
        let is_busy = cx.state.is_busy_with(|p| matches!(p, Purpose::Export { .. }));
        if is_busy {
            self.wrote = Some(project.export.contents);
            self.copied = false;
        }
        page(ui, "export", MAX_WIDTH, |ui| {
            widgets::place_header(ui, "Export", "A classifier for elsewhere, proved to answer as it does here", |_| ());
            SPLIT.show(ui, |ui, is_side| {
                if is_side {
                    self.make(cx, project, is_busy, ui);
                    self.outcome(cx, project, is_busy, ui);
                } else {
                    contents::ui(cx, project, is_busy, ui);
                }
            });
        });
    }

    /// Which head, where, and the button.
    fn make(&mut self, cx: &mut Cx<'_>, project: &OpenProject, is_busy: bool, ui: &mut Ui) {
        Card::new().title("Your classifier").show(ui, |ui| {
            head(project, ui);
            ui.add_space(space::XS);
            widgets::strong(ui, "Folder");
            self.folder(cx, project, is_busy, ui);
            ui.add_space(space::XS);
            let action = Action::Export;
            let keys = action.shortcut().map(|s| s.text()).unwrap_or_default();
            let label = if project.export.done.is_some() { "Export again" } else { "Export" };
            let button = Button::new(label).label(action.label()).icon(icons::EXPORT).primary().large().fill_width();
            let button = button.tip(action.tooltip()).shortcut(&keys).availability(action.availability(cx.state));
            if ui.add(button).clicked() {
                cx.act(action);
            }
            if let Err(reason) = action.availability(cx.state)
                && !is_busy
            {
                let reason = if project.live.fit.is_none() { waiting(cx) } else { reason };
                widgets::caption(ui, reason);
            }
        });
    }

    fn folder(&mut self, cx: &mut Cx<'_>, project: &OpenProject, is_busy: bool, ui: &mut Ui) {
        let dir = project.export_dir();
        if self.dir.as_ref().is_none_or(|field| field.of != dir) {
            self.dir = Some(DirField { of: dir.clone(), text: format::path(&dir), before: dir.clone() });
        }
        let Some(field) = &mut self.dir else { return };
        let edit = |ui: &mut Ui| widgets::path_field(ui, "Export folder", &mut field.text, "Folder of the export");
        match ui.add_enabled_ui(!is_busy, edit).inner {
            // What is typed counts at once, or the button would write elsewhere than the field says. An empty field means
            // the folder beside the project.
            FieldEvent::Changed => {
                let typed = typed_paths(&field.text).into_iter().next().unwrap_or_default();
                field.of = if typed.as_os_str().is_empty() { project.usual_export_dir() } else { typed.clone() };
                cx.send(Command::SetExportDir(typed));
            }
            FieldEvent::Cancel => {
                cx.send(Command::SetExportDir(field.before.clone()));
                self.dir = None;
            }
            FieldEvent::Commit => self.dir = None,
            FieldEvent::Browse => cx.act(Action::ChooseExportDir),
            // Esc goes back to what it was before the field was entered.
            FieldEvent::None if !ui.ctx().text_edit_focused() => field.before.clone_from(&field.of),
            FieldEvent::None => {}
        }
        widgets::caption(ui, "An older export there is replaced; anything else is left alone.");
    }

    /// What goes on or came of it.
    fn outcome(&mut self, cx: &mut Cx<'_>, project: &OpenProject, is_busy: bool, ui: &mut Ui) {
        if is_busy {
            let lane = |a: &&crate::app::Activity| a.lane == LaneKind::Export && a.stage == Some(Stage::Verify);
            let activity = cx.state.activities.iter().find(lane);
            if proof::running(ui, activity.map(|a| (a.n_done, a.n_total))) {
                cx.send(Command::Cancel(LaneKind::Export));
            }
            return;
        }
        if let Some(error) = &project.export.error {
            Card::new().show(ui, |ui| {
                widgets::badge_icon(ui, icons::WARNING_CIRCLE, "Not exported", Meaning::Negative);
                widgets::selectable(ui, error);
                widgets::caption(ui, "Nothing was left behind; an older export is as it was.");
            });
        }
        match &project.export.done {
            Some((dir, meta)) => {
                if project.export.done_at != project.revision {
                    let title = "The classifier has changed since this export";
                    widgets::Banner::new(Meaning::Warning, title)
                        .text("Export again to take the changes along.")
                        .show(ui);
                }
                let contents = self.wrote.unwrap_or(project.export.contents);
                if proof::done(ui, dir, meta, contents, &mut self.copied) {
                    cx.act(Action::OpenExportFolder);
                }
            }
            None if project.export.error.is_none() => proof::promise(ui),
            None => {}
        }
    }
}

/// Why there is no head at hand though there was one the last time.
fn waiting(cx: &Cx<'_>) -> &'static str {
    let is = |purpose: fn(&Purpose) -> bool| cx.state.is_busy_with(purpose);
    if is(|p| matches!(p, Purpose::Embed { .. } | Purpose::Fit { .. })) {
        "The head is being made ready; this takes a moment"
    } else {
        "The head of the last time is shown; its images have to be embedded again first"
    }
}

/// The head that is written.
fn head(project: &OpenProject, ui: &mut Ui) {
    let chosen = project.data.settings.head;
    let Some(figures) = project.live.shown_figures(chosen) else { return };
    let n_classes = project
        .live
        .fit
        .as_ref()
        .map_or_else(|| project.live.stored.first().map_or(0, |s| s.class_ids.len()), |fit| fit.class_ids().len());
    let kind = format!("{} head", figures.kind.label());
    let trained = format!("{} classes from {} training images", n_classes, format::thousands(figures.record.n_train));
    match figures.val {
        Some(report) => {
            let value = widgets::percent(report.accuracy.value as f32);
            let detail = format!("{kind}, {trained}");
            widgets::stat(ui, "Validated accuracy", &value, &detail);
        }
        None => {
            widgets::strong(ui, &kind);
            widgets::weak(ui, &format!("{trained}; there were no validation images to judge it on"));
        }
    }
    widgets::caption(ui, &rule_text(project.live.rule()));
}

fn no_head(cx: &mut Cx<'_>, project: &OpenProject, ui: &mut Ui) {
    let n_classes = project.counts.of_class.iter().filter(|n| **n > 0).count();
    let is_working = cx.state.is_busy_with(|p| matches!(p, Purpose::Embed { .. } | Purpose::Fit { .. }));
    let (text, actions): (_, &[&str]) = if is_working && n_classes >= 2 {
        ("The classifier is being trained. As soon as it is there, it can be exported here.", &["Watch it learn"])
    } else {
        (
            "A classifier needs images of at least two classes. Add folders or label images, and it trains by itself.",
            &["Go to Images"],
        )
    };
    let place = if is_working && n_classes >= 2 { Place::Train } else { Place::Images };
    if EmptyState::new(icons::EXPORT, "Nothing to export yet").text(text).actions(actions).show(ui).is_some() {
        cx.send(Command::Go(place));
    }
}
