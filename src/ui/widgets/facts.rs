//! Facts: one number with its name, and rows of names with values.

use eframe::egui::{Align, Layout, Response, RichText, Sense, Ui, vec2};

use super::badge::Meaning;
use super::paint::line;
use super::text;
use crate::ui::theme::{Weight, font, size, space, tokens, tracking};

/// A number that matters: its name above it, and what qualifies it (an interval, a change) below.
pub fn stat(ui: &mut Ui, caption: &str, value: &str, detail: &str) -> Response {
    stat_toned(ui, caption, value, detail, Meaning::Neutral)
}

/// As [`stat`], with the detail in a colour of meaning.
pub fn stat_toned(ui: &mut Ui, caption: &str, value: &str, detail: &str, meaning: Meaning) -> Response {
    let t = tokens(ui);
    let detail_colour = if meaning == Meaning::Neutral { t.text_weak } else { meaning.tone(t).text };
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = space::XXS;
        text::caption(ui, caption);
        let value = RichText::new(value).font(font(size::DISPLAY, Weight::SemiBold)).color(t.text_strong);
        ui.label(value.extra_letter_spacing(tracking(size::DISPLAY)));
        if !detail.is_empty() {
            ui.label(RichText::new(detail).font(font(size::SMALL, Weight::Regular)).color(detail_colour));
        }
    })
    .response
}

/// Rows of a name and a value; the values stand in one column and can be selected and copied.
pub fn key_values(ui: &mut Ui, rows: &[(&str, &str)]) {
    let t = tokens(ui);
    let key_width = rows
        .iter()
        .map(|(key, _)| line(ui, key, size::BODY, Weight::Regular, t.text_weak).size().x)
        .fold(72.0_f32, f32::max)
        + space::L;
    super::layout::stack(ui, 5.0, |ui| {
        for (key, value) in rows {
            key_value_ui(ui, key, key_width, |ui| {
                text::selectable(ui, value);
            });
        }
    });
}

/// A row of a name, `key_width` wide, and whatever shows the value.
pub fn key_value_ui<R>(ui: &mut Ui, key: &str, key_width: f32, value: impl FnOnce(&mut Ui) -> R) -> R {
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        ui.allocate_ui_with_layout(vec2(key_width, 19.0), Layout::left_to_right(Align::Min), |ui| {
            ui.set_min_width(key_width);
            text::weak(ui, key);
        });
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            value(ui)
        })
        .inner
    })
    .inner
}

/// A row of a form: its name, `key_width` wide, and a control beside it, with an explanation below the control. Give
/// the control the same name: what stands beside it is only painted.
pub fn form_row<R>(
    ui: &mut Ui,
    name: &str,
    key_width: f32,
    explanation: &str,
    control: impl FnOnce(&mut Ui) -> R,
) -> R {
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        let tall = crate::ui::theme::height::CONTROL;
        ui.allocate_ui_with_layout(vec2(key_width, tall), Layout::left_to_right(Align::Center), |ui| {
            ui.set_min_size(vec2(key_width, tall));
            // Painted, not a label: the control carries the name.
            let galley = line(ui, name, size::BODY, Weight::Regular, tokens(ui).text);
            let (rect, _) = ui.allocate_exact_size(galley.size(), Sense::hover());
            ui.painter().galley(rect.min, galley, tokens(ui).text);
        });
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing = vec2(space::S, space::XS);
            let inner = ui.horizontal(control).inner;
            if !explanation.is_empty() {
                text::caption(ui, explanation);
            }
            inner
        })
        .inner
    })
    .inner
}
