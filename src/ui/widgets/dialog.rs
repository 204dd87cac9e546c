//! Dialogs: for what cannot be undone, and for what needs an answer first.

use eframe::egui::{Align, Context, CornerRadius, Frame, Id, Key, Layout, Margin, Modal, Stroke, Ui};

use super::button::{Button, Kind};
use super::text;
use crate::ui::icons;
use crate::ui::theme::{DARK, LIGHT, radius, shadow, space};

/// A dialog over everything else. Esc, the cross and a click beside it close it.
#[must_use = "show it"]
#[derive(Clone, Copy, Debug)]
pub struct Dialog<'a> {
    id: &'a str,
    title: &'a str,
    width: f32,
}

/// What a dialog gave back.
#[derive(Clone, Copy, Debug)]
pub struct DialogResponse<R> {
    /// What its contents returned.
    pub inner: R,
    /// Whether it wants to be closed.
    pub close: bool,
}

impl<'a> Dialog<'a> {
    /// 420 points wide.
    pub fn new(id: &'a str, title: &'a str) -> Self {
        Self { id, title, width: 420.0 }
    }

    /// Another width in points.
    pub fn width(mut self, width_pt: f32) -> Self {
        self.width = width_pt;
        self
    }

    /// Shows it; `body` draws what lies below the title. End it with [`dialog_buttons`].
    pub fn show<R>(self, ctx: &Context, body: impl FnOnce(&mut Ui) -> R) -> DialogResponse<R> {
        let t = if ctx.global_style().visuals.dark_mode { &DARK } else { &LIGHT };
        let frame = Frame::new()
            .fill(t.raised)
            .stroke(Stroke::new(1.0, t.border_control))
            .shadow(shadow(t))
            .corner_radius(CornerRadius::same(radius::DIALOG))
            .inner_margin(Margin::same(20));
        let mut close = false;
        let shown = Modal::new(Id::unique(self.id)).frame(frame).backdrop_color(t.backdrop).show(ctx, |ui| {
            ui.set_width(self.width - 40.0);
            super::layout::row_ends(
                ui,
                |ui| {
                    text::title(ui, self.title);
                },
                |ui| {
                    if ui.add(Button::icon_only(icons::X, "Close")).clicked() {
                        close = true;
                    }
                },
            );
            ui.add_space(space::XS);
            body(ui)
        });
        let close = close || shown.should_close();
        DialogResponse { inner: shown.inner, close }
    }
}

/// The row of buttons that ends a dialog, at the right: drawn from the right, so the main one comes first.
pub fn dialog_buttons<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> R {
    ui.add_space(space::M);
    ui.with_layout(Layout::right_to_left(Align::Center), add).inner
}

/// What to ask before something that cannot be undone.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Such as `Delete 12 images from the project?`.
    pub title: &'a str,
    /// What will and what will not happen.
    pub text: &'a str,
    /// Such as `Delete`.
    pub confirm: &'a str,
    /// Whether the button is red.
    pub danger: bool,
}

/// Asks; `Some(true)` for yes, `Some(false)` for no. Enter confirms what is no danger.
pub fn confirm(ctx: &Context, id: &str, question: Question<'_>) -> Option<bool> {
    let response = Dialog::new(id, question.title).show(ctx, |ui| {
        text::body(ui, question.text);
        dialog_buttons(ui, |ui| {
            let kind = if question.danger { Kind::Danger } else { Kind::Primary };
            let yes = ui.add(Button::new(question.confirm).kind(kind)).clicked();
            let no = ui.add(Button::new("Cancel")).clicked();
            match (yes, no) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            }
        })
    });
    let enter = !question.danger && ctx.memory(|m| m.focused().is_none()) && ctx.input(|i| i.key_pressed(Key::Enter));
    if enter {
        return Some(true);
    }
    if response.close { Some(false) } else { response.inner }
}
