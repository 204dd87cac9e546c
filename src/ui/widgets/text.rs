//! Text in the sizes and strengths of the table of tokens.

use eframe::egui::{Label, Response, RichText, Stroke, Ui, vec2};

use crate::ui::theme::{Weight, font, size, space, tokens, tracking};

/// The title of a place.
pub fn heading(ui: &mut Ui, text: &str) -> Response {
    let t = tokens(ui);
    ui.label(
        RichText::new(text)
            .font(font(size::HEADING, Weight::SemiBold))
            .color(t.text_strong)
            .extra_letter_spacing(tracking(size::HEADING)),
    )
}

/// The title of a card or a group.
pub fn title(ui: &mut Ui, text: &str) -> Response {
    let t = tokens(ui);
    ui.label(
        RichText::new(text)
            .font(font(size::TITLE, Weight::SemiBold))
            .color(t.text_strong)
            .extra_letter_spacing(tracking(size::TITLE)),
    )
}

/// The name of a thing within text.
pub fn strong(ui: &mut Ui, text: &str) -> Response {
    let t = tokens(ui);
    ui.label(RichText::new(text).font(font(size::BODY, Weight::Medium)).color(t.text_strong))
}

/// Text; wraps.
pub fn body(ui: &mut Ui, text: &str) -> Response {
    let t = tokens(ui);
    ui.label(RichText::new(text).font(font(size::BODY, Weight::Regular)).color(t.text).line_height(Some(19.0)))
}

/// Secondary text; wraps.
pub fn weak(ui: &mut Ui, text: &str) -> Response {
    let t = tokens(ui);
    ui.label(RichText::new(text).font(font(size::BODY, Weight::Regular)).color(t.text_weak).line_height(Some(19.0)))
}

/// Smaller text; wraps.
pub fn small(ui: &mut Ui, text: &str) -> Response {
    let t = tokens(ui);
    ui.label(RichText::new(text).font(font(size::SMALL, Weight::Regular)).color(t.text).line_height(Some(17.0)))
}

/// Smaller secondary text; wraps.
pub fn caption(ui: &mut Ui, text: &str) -> Response {
    let t = tokens(ui);
    ui.label(RichText::new(text).font(font(size::SMALL, Weight::Regular)).color(t.text_weak).line_height(Some(17.0)))
}

/// Text that can be selected and copied, such as a path or a message; wraps.
pub fn selectable(ui: &mut Ui, text: &str) -> Response {
    let t = tokens(ui);
    let text = RichText::new(text).font(font(size::BODY, Weight::Regular)).color(t.text).line_height(Some(19.0));
    ui.add(Label::new(text).selectable(true).wrap())
}

/// One line of text, cut with `…` where there is no room; the whole text is its tooltip then.
pub fn one_line(ui: &mut Ui, text: &str) -> Response {
    let t = tokens(ui);
    let text = RichText::new(text).font(font(size::BODY, Weight::Regular)).color(t.text);
    ui.add(Label::new(text).truncate())
}

/// A hairline across the available width.
pub fn separator(ui: &mut Ui) -> Response {
    let t = tokens(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 1.0), eframe::egui::Sense::hover());
    ui.painter().hline(rect.x_range(), rect.center().y, Stroke::new(1.0, t.border));
    response
}

/// A heading over a group, with what belongs to its right.
pub fn section_heading<R>(ui: &mut Ui, text: &str, trailing: impl FnOnce(&mut Ui) -> R) -> R {
    super::layout::row_ends(
        ui,
        |ui| {
            title(ui, text);
        },
        trailing,
    )
}

/// The head of a place: its title, a line about its state, and its actions at the right.
pub fn place_header<R>(ui: &mut Ui, text: &str, state: &str, actions: impl FnOnce(&mut Ui) -> R) -> R {
    let inner = super::layout::row_ends(
        ui,
        |ui| {
            heading(ui, text);
            if !state.is_empty() {
                ui.add_space(space::XS);
                weak(ui, state);
            }
        },
        actions,
    );
    ui.add_space(space::S);
    inner
}
