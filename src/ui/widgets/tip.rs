//! Tooltips and key caps.

use eframe::egui::{
    Align2, Color32, CornerRadius, Frame, Margin, Response, Role, Sense, Stroke, StrokeKind, Tooltip, Ui, WidgetInfo,
    vec2,
};

use super::paint::{galley_in, line};
use crate::ui::theme::{Weight, radius, size, space, tokens};

/// What a tooltip says.
#[derive(Clone, Copy, Debug)]
pub struct Tip<'a> {
    /// Sentence case, no full stop.
    pub text: &'a str,
    /// Such as `Ctrl+K`.
    pub shortcut: Option<&'a str>,
}

/// Shows a tooltip with its shortcut as key caps while `response` is hovered.
pub fn tip(response: &Response, tip: Tip<'_>) {
    let mut tooltip = Tooltip::for_enabled(response);
    tooltip.popup = tooltip.popup.frame(tooltip_frame(&response.ctx));
    tooltip.show(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        ui.spacing_mut().interact_size.y = 18.0;
        ui.horizontal(|ui| {
            // Painted, not a label: the widget has this name already, and two of a name would confuse.
            let text = line(ui, tip.text, size::SMALL, Weight::Regular, tokens(ui).text);
            let (rect, _) = ui.allocate_exact_size(vec2(text.size().x, 18.0), Sense::hover());
            galley_in(ui, Align2::LEFT_CENTER, rect.left_center(), text, tokens(ui).text);
            if let Some(keys) = tip.shortcut {
                kbd(ui, keys);
            }
        });
    });
}

fn tooltip_frame(ctx: &eframe::egui::Context) -> Frame {
    let style = ctx.global_style();
    let t = if style.visuals.dark_mode { &crate::ui::theme::DARK } else { &crate::ui::theme::LIGHT };
    Frame::popup(&style)
        .fill(t.tooltip)
        .stroke(Stroke::new(1.0, t.border_control))
        .corner_radius(CornerRadius::same(radius::CONTROL))
        .inner_margin(Margin::symmetric(8, 4))
}

/// Key caps of a shortcut such as `Ctrl+Shift+K`.
pub fn kbd(ui: &mut Ui, keys: &str) -> Response {
    let t = tokens(ui);
    let (pad, gap, tall) = (5.0, 3.0, 18.0);
    let caps: Vec<_> = keys
        .split('+')
        .filter(|key| !key.is_empty())
        .map(|key| line(ui, key, size::CAPTION, Weight::Medium, Color32::PLACEHOLDER))
        .collect();
    let widths: Vec<f32> = caps.iter().map(|g| (g.size().x + 2.0 * pad).max(tall)).collect();
    let width = widths.iter().sum::<f32>() + gap * widths.len().saturating_sub(1) as f32;
    let (rect, response) = ui.allocate_exact_size(vec2(width, tall), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, keys));
    let mut left = rect.left();
    for (galley, width) in caps.into_iter().zip(widths) {
        let cap = eframe::egui::Rect::from_min_size(eframe::egui::pos2(left, rect.top()), vec2(width, tall));
        let round = CornerRadius::same(radius::SMALL);
        ui.painter().rect(cap, round, t.control_active, Stroke::new(1.0, t.border_control), StrokeKind::Inside);
        galley_in(ui, Align2::CENTER_CENTER, cap.center(), galley, t.text_weak);
        left = cap.right() + gap;
    }
    response
}
