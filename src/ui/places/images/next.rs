//! Images without a class, the most useful to label first: one at a time, with a key a class.

mod accuracy;
mod answer;

use eframe::egui::{
    CentralPanel, Color32, CornerRadius, Frame, Id, Margin, Panel, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind,
    Ui, WidgetInfo, pos2, vec2,
};

use crate::app::next::{N_SHOWN, reasons};
use crate::app::{Action, Command, EmbedPause, NextCommand, OpenProject};
use crate::project::ImageId;
use crate::ui::cx::{Cx, contained};
use crate::ui::icons;
use crate::ui::textures::ThumbState;
use crate::ui::theme::{radius, space, tokens};
use crate::ui::widgets as text;
use crate::ui::widgets::{Banner, EmptyState, Meaning, spinner_at};

/// Side of the images that come next, in points.
const STRIP: f32 = 64.0;

/// What this view remembers from frame to frame.
#[derive(Default)]
pub(super) struct NextView {
    answer: answer::AnswerPanel,
}

impl NextView {
    /// Draws the view.
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let Some(project) = cx.project() else { return };
        if instead(cx, ui, project) {
            return;
        }
        let Some(current) = project.next.current().map(|asked| asked.id) else {
            return spinner_at(ui, ui.max_rect().center(), 12.0);
        };
        let t = tokens(ui);
        let width = if ui.available_width() < 560.0 { 206.0 } else { 264.0 };
        Panel::right("label next")
            .frame(Frame::new().fill(t.surface).inner_margin(Margin { left: 12, right: 12, top: 4, bottom: 8 }))
            .resizable(false)
            .exact_size(width)
            .show(ui, |ui| {
                ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
                    // Beside the scroll bar, which lies over what it scrolls.
                    ui.set_width(ui.available_width() - 6.0);
                    self.answer.ui(cx, ui, project);
                    ui.add_space(space::M);
                    accuracy::chart_ui(ui, project);
                });
            });
        CentralPanel::default().frame(Frame::new().fill(t.surface).inner_margin(Margin::symmetric(12, 4))).show(
            ui,
            |ui| {
                question(ui, project);
                let has_strip = ui.available_height() > 260.0;
                let below = if has_strip { STRIP + 40.0 } else { 0.0 };
                let room = ui.available_rect_before_wrap();
                let place = Rect::from_min_max(room.min, pos2(room.right(), room.bottom() - below));
                picture(cx, ui, project, current, place);
                if has_strip {
                    let line = Rect::from_min_max(pos2(room.left(), place.bottom() + space::S), room.max);
                    ui.scope_builder(eframe::egui::UiBuilder::new().max_rect(line), |ui| strip(cx, ui, project));
                }
            },
        );
    }
}

/// What stands in place of an image; whether anything does.
fn instead(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) -> bool {
    let counts = &project.counts;
    if counts.n_unlabelled == 0 {
        let guessed = format!(
            "{} of them are what typed labels guessed: confirm or correct those in the gallery.",
            crate::ui::format::thousands(counts.n_guessed)
        );
        let words = match counts.n_guessed {
            0 => "Add images without a class to go on: they are put in the order in which labels help most.",
            _ => guessed.as_str(),
        };
        let title = if counts.n_images == 0 { "There are no images" } else { "Every image has a label" };
        let chosen = EmptyState::new(icons::CHECK_CIRCLE, title)
            .text(words)
            .actions(&["Show the gallery", "Add folder…"])
            .show(ui);
        match chosen {
            Some(0) => cx.act(Action::ShowGallery),
            Some(_) => cx.act(Action::AddFolder),
            None => {}
        }
        return true;
    }
    if project.live.n_embedded == 0 {
        let (words, action) = match &project.live.pause {
            Some(EmbedPause::Failed(why)) => (why.as_str(), &["Try again"][..]),
            Some(EmbedPause::Cancelled) => ("Embedding was cancelled.", &["Resume"][..]),
            None => ("As soon as the model has seen the first images, the most useful ones are asked here.", &[][..]),
        };
        let shown = EmptyState::new(icons::IMAGES, "The model has not seen the images yet").text(words).actions(action);
        if shown.show(ui).is_some() {
            cx.act(Action::ResumeEmbedding);
        }
        return true;
    }
    let mut not_ordered = |why: &str| {
        let shown = EmptyState::new(icons::WARNING, "The images could not be ordered").text(why);
        if shown.actions(&["Try again"]).show(ui).is_some() {
            cx.send(Command::Next(NextCommand::Again));
        }
        true
    };
    if let Some(why) = project.next.error.as_ref().filter(|_| !project.next.is_ordered) {
        return not_ordered(why);
    }
    if project.next.current().is_none() {
        let (title, words, action) = match (&project.live.pause, &project.next.error) {
            (Some(EmbedPause::Failed(why)), _) => {
                ("The model has not seen the others", why.as_str(), &["Try again"][..])
            }
            (Some(EmbedPause::Cancelled), _) => {
                ("The model has not seen the others", "Embedding was cancelled.", &["Resume"][..])
            }
            (None, Some(why)) => return not_ordered(why),
            (None, None) => return false,
        };
        if EmptyState::new(icons::WARNING, title).text(words).actions(action).show(ui).is_some() {
            cx.act(Action::ResumeEmbedding);
        }
        return true;
    }
    false
}

/// Why this image is asked.
fn question(ui: &mut Ui, project: &OpenProject) {
    if !project.is_writable() {
        Banner::new(Meaning::Warning, "The project is open for reading only")
            .text("Save a copy of it to label images.")
            .show(ui);
    }
    text::title(ui, "What is this?");
    let Some(asked) = project.next.current() else { return };
    for reason in reasons(project, asked) {
        text::weak(ui, &reason);
    }
    ui.add_space(space::S);
}

fn picture(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, id: ImageId, place: Rect) {
    let t = tokens(ui);
    ui.painter().rect_filled(place, CornerRadius::same(radius::CARD), t.canvas);
    let response = ui.interact(place, Id::unique("asked image"), Sense::click());
    let name = file_name(project, id);
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("Asked: {name}")));
    let px = (place.width().max(place.height()) * ui.ctx().pixels_per_point()) as u32;
    let place = place.shrink(space::S);
    match cx.large(id, px.clamp(256, 2048).next_power_of_two()) {
        Some(ThumbState::Ready(picture)) => {
            let full = picture.full_size_px();
            let fit = contained(full, place);
            let limit = full * 2.0 / ui.ctx().pixels_per_point();
            let at = if fit.width() > limit.x { Rect::from_center_size(place.center(), limit) } else { fit };
            let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            ui.painter().image(picture.texture.id(), at, uv, Color32::WHITE);
        }
        Some(ThumbState::Failed(reason)) => {
            let reason = format!("This file cannot be shown: {reason}.");
            let galley = text::paint::wrapped(
                ui,
                &reason,
                crate::ui::theme::size::BODY,
                crate::ui::theme::Weight::Regular,
                t.text_weak,
                place.width().min(320.0),
                eframe::egui::Align::Center,
            );
            text::paint::galley_in(ui, eframe::egui::Align2::CENTER_CENTER, place.center(), galley, t.text_weak);
        }
        Some(ThumbState::Loading) | None => spinner_at(ui, place.center(), 12.0),
    }
    if response.on_hover_text("Double-click for the large view").double_clicked() {
        cx.send(Command::Look(Some(id)));
    }
}

/// The images that come next: they stay as they are, whatever is learned meanwhile.
fn strip(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    let n_left = project.counts.n_unlabelled;
    let put_off = match project.next.n_put_off() {
        0 => String::new(),
        n => format!("  ·  {} for later", crate::ui::format::thousands(n)),
    };
    let then = if project.next.shown().nth(1).is_some() { "  ·  then" } else { "" };
    text::caption(ui, &format!("{} without a label{put_off}{then}", crate::ui::format::images(n_left)));
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        let after: Vec<ImageId> = project.next.shown().skip(1).take(N_SHOWN - 1).map(|asked| asked.id).collect();
        for id in after {
            if ui.available_width() < STRIP {
                break;
            }
            let (rect, response) = ui.allocate_exact_size(vec2(STRIP, STRIP), Sense::click());
            cx.project_thumb(ui, rect, id);
            let name = file_name(project, id);
            response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Ask {name} first")));
            if response.hovered() || response.has_focus() {
                let stroke = Stroke::new(2.0, tokens(ui).focus);
                ui.painter().rect_stroke(rect, CornerRadius::same(radius::SMALL), stroke, StrokeKind::Outside);
            }
            if response.clicked() {
                response.surrender_focus();
                cx.send(Command::Next(NextCommand::Pick(id)));
            }
        }
    });
}

fn file_name(project: &OpenProject, id: ImageId) -> String {
    let path = project.data.path(id).unwrap_or_default();
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
