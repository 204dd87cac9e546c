//! The start screen: what there is before a project is open.

mod recent;
mod target;

use std::time::SystemTime;

use eframe::egui::{Align, Align2, Layout, RichText, Sense, Ui, vec2};

use crate::app::{Action, Command, DropInto, Purpose};
use crate::jobs::LaneKind;
use crate::jobs::presence::Presence;
use crate::progress::Stage;
use crate::ui::cx::Cx;
use crate::ui::dialogs::typed_paths;
use crate::ui::format;
use crate::ui::icons;
use crate::ui::places::page::{Split, page};
use crate::ui::theme::{Weight, font, size, space, tokens, tracking};
use crate::ui::widgets::{self, Button, Card, FieldEvent};

/// Beside the recent projects, or the sample.
const SPLIT: Split = Split { side_pt: 340.0, least_pt: 360.0, side_first: false };

/// All of it is seen from this height on, in points.
const LEAST_HEIGHT: f32 = 520.0;

/// What this place remembers from frame to frame.
#[derive(Debug, Default)]
pub struct StartPlace {
    path: String,
    presence: Presence,
}

impl StartPlace {
    /// Draws the place.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        // In a large window it stands a little below the edge rather than under it.
        let above = ((ui.available_height() - LEAST_HEIGHT) * 0.3).clamp(0.0, 160.0);
        page(ui, "start", 960.0, |ui| {
            ui.add_space(above);
            title(ui);
            let room = ui.available_width();
            if SPLIT.fits(room) {
                SPLIT.show(ui, |ui, is_side| if is_side { self.side(cx, ui) } else { self.main(cx, ui) });
            } else {
                self.main(cx, ui);
                self.side(cx, ui);
            }
            ui.add_space(space::M);
            how_it_works(ui);
        });
    }

    fn main(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        if let Some(what) = busy(cx) {
            return progress(cx, ui, what);
        }
        let is_new = cx.state.settings.recent.is_empty();
        target::ui(cx, ui, is_new);
        Card::new().show(ui, |ui| {
            let event =
                widgets::path_field(ui, "Path", &mut self.path, "Or paste the path of a folder, a model or a project");
            match event {
                FieldEvent::Commit if !self.path.trim().is_empty() => {
                    let paths = typed_paths(&std::mem::take(&mut self.path));
                    cx.send(Command::Drop { paths, into: DropInto::Auto });
                }
                FieldEvent::Browse => cx.act(Action::AddFolder),
                _ => {}
            }
        });
    }

    fn side(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        if !cx.state.settings.recent.is_empty() {
            let ctx = ui.ctx().clone();
            let paths = cx.state.settings.recent.iter().map(|r| r.path.as_path());
            self.presence.ask(paths, move || ctx.request_repaint());
            let now = SystemTime::now();
            recent::ui(cx, ui, now, |path| self.presence.is_missing(path));
        }
        sample(cx, ui);
    }
}

fn title(ui: &mut Ui) {
    let t = tokens(ui);
    widgets::stack(ui, space::XXS, |ui| {
        let name = RichText::new("Graft").font(font(size::DISPLAY, Weight::SemiBold)).color(t.text_strong);
        ui.label(name.extra_letter_spacing(tracking(size::DISPLAY)));
        let text = "Teach a vision model your own classes, on your own machine.";
        ui.label(RichText::new(text).font(font(size::TITLE, Weight::Regular)).color(t.text_weak));
    });
    ui.add_space(space::XS);
}

/// What goes on before there is a project to show, in words.
fn busy(cx: &Cx<'_>) -> Option<&'static str> {
    let is = |purpose: fn(&Purpose) -> bool| cx.state.is_busy_with(purpose);
    if is(|p| *p == Purpose::Open) {
        Some("Opening the project…")
    } else if is(|p| *p == Purpose::Sample) {
        Some("Getting the sample ready…")
    } else if is(|p| matches!(p, Purpose::Drop { .. })) {
        Some("Looking at what you added…")
    } else {
        None
    }
}

fn progress(cx: &mut Cx<'_>, ui: &mut Ui, what: &str) {
    let activity = cx.state.activities.iter().find(|a| a.lane == LaneKind::Files && a.stage == Some(Stage::Scan));
    let n_done = activity.map_or(0, |a| a.n_done);
    let fraction = activity.filter(|a| a.n_total > 0).map(|a| a.n_done as f32 / a.n_total as f32);
    let cancels = !cx.state.is_busy_with(|p| *p == Purpose::Open);
    Card::new().show(ui, |ui| {
        ui.set_min_height(target::HEIGHT - 2.0 * space::L);
        ui.vertical_centered(|ui| {
            ui.add_space(target::HEIGHT * 0.26);
            widgets::title(ui, what);
            ui.add_space(space::XS);
            let width = ui.available_width().min(320.0);
            ui.allocate_ui_with_layout(vec2(width, 4.0), Layout::top_down(Align::Min), |ui| {
                widgets::progress_bar(ui, what, fraction);
            });
            ui.add_space(space::XS);
            let found = if n_done > 0 { format!("{} files so far", format::thousands(n_done)) } else { String::new() };
            widgets::weak(ui, if found.is_empty() { "Nothing is copied or changed." } else { &found });
            if cancels {
                ui.add_space(space::XS);
                if widgets::quiet_button(ui, "Cancel").clicked() {
                    cx.send(Command::Cancel(LaneKind::Files));
                }
            }
        });
    });
}

fn sample(cx: &mut Cx<'_>, ui: &mut Ui) {
    let is_new = cx.state.settings.recent.is_empty();
    let availability = if busy(cx).is_some() { Err("Something is being opened") } else { Ok(()) };
    let label = Action::TrySample.label();
    Card::new().show(ui, |ui| {
        if is_new {
            widgets::title(ui, "New to Graft?");
            widgets::weak(
                ui,
                "A hundred photographs come with it. In a few seconds you see a trained classifier, its mistakes, and how \
                 to mend them. Nothing leaves your machine.",
            );
            ui.add_space(space::XS);
            let button = Button::new(label).icon(icons::SPARKLE).primary().large().fill_width();
            if ui.add(button.availability(availability)).clicked() {
                cx.act(Action::TrySample);
            }
            return;
        }
        widgets::row_ends(
            ui,
            |ui| {
                widgets::weak(ui, "A hundred photographs");
            },
            |ui| {
                if ui.add(Button::new(label).icon(icons::SPARKLE).quiet().small().availability(availability)).clicked() {
                    cx.act(Action::TrySample);
                }
            },
        );
    });
}

const STEPS: [(&str, &str, &str); 3] = [
    (
        icons::FOLDER_OPEN,
        "Drop your images",
        "One folder a class, or loose images that you label here. They stay where they are.",
    ),
    (
        icons::GRADUATION_CAP,
        "It learns by itself",
        "There is nothing to press. Correct a label and the answers change at once.",
    ),
    (icons::SEAL_CHECK, "Take it with you", "The export is loaded again and checked to give the same answers as here."),
];

fn how_it_works(ui: &mut Ui) {
    let t = tokens(ui);
    widgets::columns(ui, &[1.0; STEPS.len()], |ui, i| {
        let (icon, title, text) = STEPS[i];
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::M;
            let (rect, _) = ui.allocate_exact_size(vec2(32.0, 32.0), Sense::hover());
            ui.painter().circle_filled(rect.center(), 16.0, t.accent.tint);
            ui.painter().text(rect.center(), Align2::CENTER_CENTER, icon, icons::font(16.0), t.accent.text);
            widgets::stack(ui, 0.0, |ui| {
                widgets::strong(ui, title);
                widgets::caption(ui, text);
            });
        });
    });
}
