//! What the widgets share, for those that paint themselves: laying out text, icons, rings, veils.

use std::sync::Arc;

use eframe::egui::text::{LayoutJob, TextFormat, TextWrapping};
use eframe::egui::{Align, Align2, Color32, CornerRadius, Galley, Pos2, Rect, Response, Stroke, StrokeKind, Ui};

use crate::ui::icons;
use crate::ui::theme::{Tokens, Weight, font, tokens};

/// Text on one line, as long as it wants to be.
pub fn line(ui: &Ui, text: &str, size_pt: f32, weight: Weight, colour: Color32) -> Arc<Galley> {
    ui.painter().layout_no_wrap(text.to_owned(), font(size_pt, weight), colour)
}

/// Text on one line of at most `max_width`, with `…` where it was cut.
pub fn cut_line(ui: &Ui, text: &str, size_pt: f32, weight: Weight, colour: Color32, max_width: f32) -> Arc<Galley> {
    let format = TextFormat::simple(font(size_pt, weight), colour);
    let mut job = LayoutJob::single_section(text.to_owned(), format);
    job.wrap = TextWrapping::truncate_at_width(max_width.max(0.0));
    ui.painter().layout_job(job)
}

/// Text on as many lines of `max_width` as it needs.
pub fn wrapped(
    ui: &Ui,
    text: &str,
    size_pt: f32,
    weight: Weight,
    colour: Color32,
    max_width: f32,
    align: Align,
) -> Arc<Galley> {
    let format =
        TextFormat { line_height: Some((size_pt * 1.45).round()), ..TextFormat::simple(font(size_pt, weight), colour) };
    let mut job = LayoutJob::single_section(text.to_owned(), format);
    job.wrap.max_width = max_width;
    job.halign = align;
    ui.painter().layout_job(job)
}

/// An icon's galley: a square of `size_pt`.
pub fn icon(ui: &Ui, icon: &str, size_pt: f32, colour: Color32) -> Arc<Galley> {
    ui.painter().layout_no_wrap(icon.to_owned(), icons::font(size_pt), colour)
}

/// Paints an icon centred at `centre`.
pub fn icon_at(ui: &Ui, centre: Pos2, character: &str, size_pt: f32, colour: Color32) {
    let galley = icon(ui, character, size_pt, colour);
    galley_in(ui, Align2::CENTER_CENTER, centre, galley, colour);
}

/// Paints a galley with its `anchor` at `pos`, on whole pixels.
pub fn galley_in(ui: &Ui, anchor: Align2, pos: Pos2, galley: Arc<Galley>, colour: Color32) -> Rect {
    let rect = anchor.anchor_size(pos, galley.size());
    ui.painter().galley(rect.min, galley, colour);
    rect
}

/// The ring of what has the keyboard's focus.
pub fn focus_ring(ui: &Ui, rect: Rect, radius: impl Into<CornerRadius>, response: &Response) {
    if response.has_focus() {
        let radius: CornerRadius = radius.into();
        let stroke = Stroke::new(2.0, tokens(ui).focus);
        ui.painter().rect_stroke(rect.expand(1.0), radius + CornerRadius::same(1), stroke, StrokeKind::Outside);
    }
}

/// The veil over a quiet thing: under the pointer, held down, or neither.
pub fn veil(t: &Tokens, response: &Response) -> Color32 {
    if response.is_pointer_button_down_on() {
        t.pressed
    } else if response.hovered() && response.enabled() || response.has_focus() {
        t.hover
    } else {
        Color32::TRANSPARENT
    }
}
