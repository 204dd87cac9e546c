//! Choosing: segments, switches, check boxes, lists to select from.

use eframe::egui::{
    Align2, Color32, ComboBox, CornerRadius, EventFilter, Key, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui,
    WidgetInfo, pos2, vec2,
};

use super::button::menu_choice;
use super::paint::{focus_ring, galley_in, icon_at, line};
use super::tip::{Tip, tip};
use crate::ui::icons;
use crate::ui::theme::colour::mix;
use crate::ui::theme::{Theme, Weight, height, radius, size, space, tokens};

/// One of a few, side by side. `options` are values with their labels. The response says `changed`.
pub fn segmented<T: PartialEq + Copy>(ui: &mut Ui, label: &str, value: &mut T, options: &[(T, &str)]) -> Response {
    let plain: Vec<_> = options.iter().map(|(value, text)| (*value, "", *text)).collect();
    segments(ui, label, value, &plain, true)
}

/// As [`segmented`], of icons; the labels are tooltips and accessible names. `options`: value, icon, label.
pub fn segmented_icons<T: PartialEq + Copy>(
    ui: &mut Ui,
    label: &str,
    value: &mut T,
    options: &[(T, &str, &str)],
) -> Response {
    segments(ui, label, value, options, false)
}

fn segments<T: PartialEq + Copy>(
    ui: &mut Ui,
    label: &str,
    value: &mut T,
    options: &[(T, &str, &str)],
    with_text: bool,
) -> Response {
    let t = tokens(ui);
    let (tall, inset) = (height::CONTROL, 2.0);
    let texts: Vec<_> =
        options.iter().map(|(_, _, text)| line(ui, text, size::BODY, Weight::Medium, Color32::PLACEHOLDER)).collect();
    let widths: Vec<f32> =
        texts.iter().map(|g| if with_text { g.size().x + 2.0 * space::M } else { tall + 4.0 }).collect();
    let total = widths.iter().sum::<f32>() + 2.0 * inset;
    let (rect, mut response) = ui.allocate_exact_size(vec2(total, tall), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::RadioGroup, true, label));
    let round = CornerRadius::same(radius::CONTROL);
    ui.painter().rect(rect, round, t.sunken, Stroke::new(1.0, t.border), StrokeKind::Inside);
    let mut left = rect.left() + inset;
    for (((option, icon, text), galley), width) in options.iter().zip(texts).zip(widths) {
        let cell = Rect::from_min_size(pos2(left, rect.top() + inset), vec2(width, tall - 2.0 * inset));
        left += width;
        let id = response.id.with(text);
        let part = ui.interact(cell, id, Sense::click());
        if part.clicked() && *value != *option {
            *value = *option;
            response.mark_changed();
        }
        let on = *value == *option;
        part.widget_info(|| WidgetInfo::selected(Role::RadioButton, part.enabled(), on, text));
        let inner = CornerRadius::same(radius::SMALL);
        if on {
            let fill = if t.theme == Theme::Light { t.surface } else { t.control_hover };
            ui.painter().rect(cell, inner, fill, Stroke::new(1.0, t.border_control), StrokeKind::Inside);
        }
        focus_ring(ui, cell, inner, &part);
        let colour = if on {
            t.text_strong
        } else if part.hovered() {
            t.text
        } else {
            t.text_weak
        };
        if with_text {
            galley_in(ui, Align2::CENTER_CENTER, cell.center(), galley, colour);
        } else {
            icon_at(ui, cell.center(), icon, size::ICON, colour);
            tip(&part, Tip { text, shortcut: None });
        }
    }
    response
}

/// A switch with its label at the right; it acts at once. The response says `changed`.
pub fn toggle(ui: &mut Ui, on: &mut bool, label: &str) -> Response {
    let t = tokens(ui);
    let (track, knob) = (vec2(30.0, 18.0), 6.5);
    let galley = line(ui, label, size::BODY, Weight::Regular, t.text);
    let width = track.x + space::S + galley.size().x;
    let (rect, mut response) = ui.allocate_exact_size(vec2(width, height::SMALL), Sense::click());
    if response.clicked() {
        *on = !*on;
        response.mark_changed();
    }
    response.widget_info(|| WidgetInfo::selected(Role::Switch, response.enabled(), *on, label));
    let how_on = ui.ctx().animate_bool_with_time(response.id, *on, ui.style().animation_time);
    let track = Rect::from_min_size(pos2(rect.left(), rect.center().y - track.y / 2.0), track);
    let off = if response.hovered() { t.text_weak } else { t.neutral.solid };
    let fill = mix(off, t.accent.solid, how_on);
    ui.painter().rect_filled(track, CornerRadius::same(radius::PILL), fill);
    let x = lerp(track.left() + 9.0, track.right() - 9.0, how_on);
    ui.painter().circle_filled(pos2(x, track.center().y), knob, Color32::WHITE);
    focus_ring(ui, track, CornerRadius::same(9), &response);
    galley_in(ui, Align2::LEFT_CENTER, pos2(track.right() + space::S, rect.center().y), galley, t.text);
    response
}

fn lerp(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// A check box with its label. The response says `changed`.
pub fn checkbox(ui: &mut Ui, checked: &mut bool, label: &str) -> Response {
    let t = tokens(ui);
    let side = 16.0;
    let galley = line(ui, label, size::BODY, Weight::Regular, t.text);
    let width = side + space::S + galley.size().x;
    let (rect, mut response) = ui.allocate_exact_size(vec2(width, height::SMALL), Sense::click());
    if response.clicked() {
        *checked = !*checked;
        response.mark_changed();
    }
    response.widget_info(|| WidgetInfo::selected(Role::CheckBox, response.enabled(), *checked, label));
    let square = Rect::from_min_size(pos2(rect.left(), rect.center().y - side / 2.0), vec2(side, side));
    let round = CornerRadius::same(radius::SMALL);
    if *checked {
        ui.painter().rect_filled(square, round, t.accent.solid);
        icon_at(ui, square.center(), icons::CHECK, 12.0, t.accent.on_solid);
    } else {
        let border = if response.hovered() { t.text_weak } else { t.neutral.solid };
        let fill = crate::ui::theme::field_fill(t);
        ui.painter().rect(square, round, fill, Stroke::new(1.0, border), StrokeKind::Inside);
    }
    focus_ring(ui, square, round, &response);
    galley_in(ui, Align2::LEFT_CENTER, pos2(square.right() + space::S, rect.center().y), galley, t.text);
    response
}

/// One of many, from a list that opens. `options` are values with their labels. The response says `changed`.
pub fn select<T: PartialEq + Copy>(ui: &mut Ui, label: &str, value: &mut T, options: &[(T, &str)]) -> Response {
    let chosen = options.iter().find(|(option, _)| *option == *value).map_or("", |(_, text)| *text);
    let mut changed = false;
    let mut response = ComboBox::from_id_salt(label)
        .selected_text(chosen)
        .icon(|ui, rect, _, _| {
            icon_at(ui, rect.center(), icons::CARET_UP_DOWN, 14.0, tokens(ui).text_weak);
        })
        .show_ui(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for (option, text) in options {
                if menu_choice(ui, text, *option == *value).clicked() {
                    changed = *option != *value;
                    *value = *option;
                    ui.close();
                }
            }
        })
        .response
        .accessible_name(label);
    if changed {
        response.mark_changed();
    }
    response
}

/// A value from a range, dragged or moved with the arrow keys by a hundredth of it; `format` says it at the right.
/// The response says `changed`, and `drag_stopped` when it is let go.
pub fn slider(
    ui: &mut Ui,
    label: &str,
    value: &mut f32,
    range: std::ops::RangeInclusive<f32>,
    format: impl Fn(f32) -> String,
) -> Response {
    let t = tokens(ui);
    let said = format(*value);
    let widest = [*range.start(), *range.end(), *value]
        .map(|v| line(ui, &format(v), size::BODY, Weight::Medium, t.text_strong).size().x)
        .into_iter()
        .fold(0.0, f32::max);
    let (rect, mut response) =
        ui.allocate_exact_size(vec2(ui.available_width().max(80.0), height::SMALL), Sense::click_and_drag());
    let thumb = 7.0;
    let (from, to) = (rect.left() + thumb, (rect.right() - widest - space::M - thumb).max(rect.left() + thumb + 1.0));
    let (low, high) = (*range.start(), *range.end());
    let before = *value;
    if let Some(at) = response.interact_pointer_pos().filter(|_| response.dragged() || response.clicked()) {
        *value = lerp(low, high, ((at.x - from) / (to - from)).clamp(0.0, 1.0));
    }
    if response.has_focus() {
        let arrows = EventFilter { horizontal_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|m| m.set_focus_lock_filter(response.id, arrows));
        let steps = ui.input(|i| i.num_presses(Key::ArrowRight) as f32 - i.num_presses(Key::ArrowLeft) as f32);
        *value = (*value + steps * (high - low) / 100.0).clamp(low, high);
    }
    if *value != before {
        response.mark_changed();
    }
    response.widget_info(|| {
        let mut info = WidgetInfo::slider(response.enabled(), f64::from(*value), label);
        info.current_text_value = Some(format(*value));
        info
    });
    let along = if high > low { ((*value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
    let (x, y) = (lerp(from, to, along), rect.center().y);
    let rail = Rect::from_x_y_ranges(from - thumb..=to + thumb, y - 2.0..=y + 2.0);
    ui.painter().rect_filled(
        rail,
        CornerRadius::same(2),
        if t.theme == Theme::Light { t.border } else { t.border_control },
    );
    let done = Rect::from_x_y_ranges(from - thumb..=x, rail.y_range());
    ui.painter().rect_filled(done, CornerRadius::same(2), t.accent.solid);
    let knob = Rect::from_center_size(pos2(x, y), vec2(2.0 * thumb, 2.0 * thumb));
    let hot = response.hovered() || response.dragged();
    ui.painter().circle(knob.center(), thumb, Color32::WHITE, Stroke::new(if hot { 3.5 } else { 2.5 }, t.accent.solid));
    focus_ring(ui, knob.expand(2.0), CornerRadius::same(9), &response);
    let galley = line(ui, &said, size::BODY, Weight::Medium, t.text_strong);
    galley_in(ui, Align2::RIGHT_CENTER, pos2(rect.right(), y), galley, t.text_strong);
    response
}
