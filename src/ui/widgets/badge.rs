//! Badges, classes, counts.

use eframe::egui::{
    Align2, Color32, CornerRadius, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2,
};

use super::paint::{cut_line, focus_ring, galley_in, icon, line, veil};
use crate::ui::format::thousands;
use crate::ui::icons;
use crate::ui::theme::{Tokens, Tone, Weight, height, radius, size, space, tokens};

/// What a colour says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// Nothing; plain facts.
    #[default]
    Neutral,
    /// Chosen, new, in progress.
    Accent,
    /// Verified, correct, done.
    Positive,
    /// Look at this.
    Warning,
    /// Wrong, failed.
    Negative,
}

impl Meaning {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Neutral, Self::Accent, Self::Positive, Self::Warning, Self::Negative];

    /// Its colours.
    pub fn tone(self, t: &Tokens) -> Tone {
        match self {
            Self::Neutral => t.neutral,
            Self::Accent => t.accent,
            Self::Positive => t.positive,
            Self::Warning => t.warning,
            Self::Negative => t.negative,
        }
    }

    /// Its icon, so that colour is never the only sign.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Neutral | Self::Accent => icons::INFO_FILL,
            Self::Positive => icons::CHECK_CIRCLE_FILL,
            Self::Warning => icons::WARNING_FILL,
            Self::Negative => icons::WARNING_CIRCLE_FILL,
        }
    }
}

/// A word or two on a tint.
pub fn badge(ui: &mut Ui, text: &str, meaning: Meaning) -> Response {
    badge_with(ui, "", text, meaning)
}

/// A word or two on a tint, after an icon.
pub fn badge_icon(ui: &mut Ui, icon: &str, text: &str, meaning: Meaning) -> Response {
    badge_with(ui, icon, text, meaning)
}

fn badge_with(ui: &mut Ui, icon_character: &str, text: &str, meaning: Meaning) -> Response {
    let tone = meaning.tone(tokens(ui));
    let galley = line(ui, text, size::CAPTION, Weight::Medium, tone.text);
    let lead = (!icon_character.is_empty()).then(|| icon(ui, icon_character, 12.0, tone.text));
    let lead_width = lead.as_ref().map_or(0.0, |g| g.size().x + 3.0);
    let (rect, response) = ui.allocate_exact_size(vec2(galley.size().x + lead_width + 12.0, 20.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
    ui.painter().rect_filled(rect, CornerRadius::same(radius::SMALL), tone.tint);
    let mut x = rect.left() + 6.0;
    if let Some(lead) = lead {
        x = galley_in(ui, Align2::LEFT_CENTER, pos2(x, rect.center().y), lead, tone.text).right() + 3.0;
    }
    galley_in(ui, Align2::LEFT_CENTER, pos2(x, rect.center().y), galley, tone.text);
    response
}

/// A number in a pill, as on the places of the rail.
pub fn count_pill(ui: &mut Ui, n: usize, meaning: Meaning) -> Response {
    let text = thousands(n);
    let tone = meaning.tone(tokens(ui));
    let galley = line(ui, &text, size::CAPTION, Weight::Medium, tone.text);
    let (rect, response) = ui.allocate_exact_size(vec2((galley.size().x + 10.0).max(18.0), 18.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &text));
    ui.painter().rect_filled(rect, CornerRadius::same(9), tone.tint);
    galley_in(ui, Align2::CENTER_CENTER, rect.center(), galley, tone.text);
    response
}

/// A class: its colour and its name, outlined. Senses clicks.
pub fn class_chip(ui: &mut Ui, name: &str, colour: Color32) -> Response {
    let t = tokens(ui);
    let galley = cut_line(ui, name, size::SMALL, Weight::Medium, t.text_strong, 200.0);
    let (rect, response) = ui.allocate_exact_size(vec2(galley.size().x + 8.0 + 8.0 + 6.0 + 10.0, 22.0), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, response.enabled(), name));
    let round = CornerRadius::same(11);
    ui.painter().rect(rect, round, t.surface, Stroke::new(1.0, t.border_control), StrokeKind::Inside);
    ui.painter().rect_filled(rect, round, veil(t, &response));
    focus_ring(ui, rect, round, &response);
    ui.painter().circle_filled(pos2(rect.left() + 12.0, rect.center().y), 4.0, colour);
    galley_in(ui, Align2::LEFT_CENTER, pos2(rect.left() + 22.0, rect.center().y), galley, t.text_strong);
    response
}

/// A class's colour alone, for legends and rows. Not accessible by itself: its name stands beside it.
pub fn class_dot(ui: &mut Ui, colour: Color32) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(10.0, 18.0), Sense::hover());
    ui.painter().circle_filled(rect.center(), 4.5, colour);
    response
}

/// A row of a list of classes (or of filters): all of the width, senses clicks and drags.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListRow<'a> {
    /// What it says.
    pub text: &'a str,
    /// A dot of this colour.
    pub colour: Option<Color32>,
    /// Or an icon.
    pub icon: Option<&'a str>,
    /// At the right.
    pub count: Option<usize>,
    /// The key that means it, as a key cap.
    pub key: Option<&'a str>,
    /// Whether it is chosen.
    pub selected: bool,
    /// Whether something is being dragged onto it.
    pub drop_target: bool,
}

/// A row of a list of classes or of filters.
pub fn list_row(ui: &mut Ui, row: ListRow<'_>) -> Response {
    let t = tokens(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height::ROW), Sense::click_and_drag());
    response.widget_info(|| {
        let mut info = WidgetInfo::selected(Role::ListBoxOption, response.enabled(), row.selected, row.text);
        info.current_text_value = row.count.map(thousands);
        info
    });
    if !ui.is_rect_visible(rect) {
        return response;
    }
    let round = CornerRadius::same(radius::CONTROL);
    let fill = if row.selected { t.selected } else { veil(t, &response) };
    ui.painter().rect_filled(rect, round, fill);
    if row.drop_target {
        ui.painter().rect(rect, round, t.selected, Stroke::new(1.5, t.accent.solid), StrokeKind::Inside);
    }
    focus_ring(ui, rect.shrink(1.0), round, &response);
    let y = rect.center().y;
    let mut left = rect.left() + space::S;
    if let Some(colour) = row.colour {
        ui.painter().circle_filled(pos2(left + 6.0, y), 4.5, colour);
        left += 12.0 + space::S;
    } else if let Some(character) = row.icon {
        let colour = if row.selected { t.accent.text } else { t.text_weak };
        super::paint::icon_at(ui, pos2(left + 7.0, y), character, 15.0, colour);
        left += 14.0 + space::S;
    }
    let mut right = rect.right() - space::S;
    if let Some(n) = row.count {
        let galley = line(ui, &thousands(n), size::SMALL, Weight::Regular, t.text_weak);
        right = galley_in(ui, Align2::RIGHT_CENTER, pos2(right, y), galley, t.text_weak).left() - space::S;
    }
    if let Some(key) = row.key {
        let galley = line(ui, key, size::CAPTION, Weight::Medium, t.text_weak);
        let cap = Rect::from_center_size(pos2(right - 8.0, y), vec2(16.0, 16.0));
        ui.painter().rect(
            cap,
            radius::SMALL,
            Color32::TRANSPARENT,
            Stroke::new(1.0, t.border_control),
            StrokeKind::Inside,
        );
        galley_in(ui, Align2::CENTER_CENTER, cap.center(), galley, t.text_weak);
        right = cap.left() - space::S;
    }
    let (weight, colour) = if row.selected { (Weight::Medium, t.text_strong) } else { (Weight::Regular, t.text) };
    let galley = cut_line(ui, row.text, size::BODY, weight, colour, right - left);
    galley_in(ui, Align2::LEFT_CENTER, pos2(left, y), galley, colour);
    response
}
