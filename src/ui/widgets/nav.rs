//! The rail of places.

use eframe::egui::{Align2, CornerRadius, Response, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};

use super::badge::Meaning;
use super::paint::{cut_line, focus_ring, galley_in, icon_at, line, veil};
use super::tip::{Tip, tip};
use crate::ui::theme::{Weight, radius, size, space, tokens};

/// A place on the rail.
#[derive(Clone, Copy, Debug, Default)]
pub struct RailItem<'a> {
    /// Icon at rest.
    pub icon: &'a str,
    /// Icon when selected, usually the filled one.
    pub icon_selected: &'a str,
    /// Its name.
    pub label: &'a str,
    /// Whether it is the place that is shown.
    pub selected: bool,
    /// What to notice at a glance, such as a number of images.
    pub badge: Option<&'a str>,
    /// A dot instead: something new, or a problem.
    pub dot: Option<Meaning>,
    /// For the tooltip.
    pub shortcut: Option<&'a str>,
}

/// Widths of the rail in points: with names beside the icons, and narrow.
pub const RAIL_WIDTH: f32 = 176.0;
/// Width of the narrow rail in points: icons alone, the names are tooltips.
pub const RAIL_WIDTH_NARROW: f32 = 52.0;

/// A place on the rail, as wide as there is room; below 100 points only its icon shows.
pub fn rail_item(ui: &mut Ui, item: RailItem<'_>) -> Response {
    let t = tokens(ui);
    let width = ui.available_width();
    let narrow = width < 100.0;
    let (rect, response) = ui.allocate_exact_size(vec2(width, if narrow { 36.0 } else { 32.0 }), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Tab, response.enabled(), item.selected, item.label));
    let round = CornerRadius::same(radius::CONTROL);
    let fill = if item.selected { t.selected } else { veil(t, &response) };
    ui.painter().rect_filled(rect, round, fill);
    focus_ring(ui, rect.shrink(1.0), round, &response);
    let y = rect.center().y;
    let icon_colour = if item.selected { t.accent.text } else { t.text_weak };
    let character = if item.selected && !item.icon_selected.is_empty() { item.icon_selected } else { item.icon };
    let icon_x = if narrow { rect.center().x } else { rect.left() + 18.0 };
    icon_at(ui, pos2(icon_x, y), character, 18.0, icon_colour);
    let dot_at = if narrow { pos2(icon_x + 9.0, y - 9.0) } else { pos2(rect.right() - 13.0, y) };
    if let Some(meaning) = item.dot {
        // The ring parts the dot from the icon.
        let ring = Stroke::new(1.5, if item.selected { t.selected } else { t.canvas });
        ui.painter().circle(dot_at, 4.0, meaning.tone(t).solid, ring);
    }
    if narrow {
        tip(&response, Tip { text: item.label, shortcut: item.shortcut });
        return response;
    }
    let mut right = rect.right() - space::S;
    if item.dot.is_some() {
        right -= 14.0;
    } else if let Some(text) = item.badge {
        let galley = line(ui, text, size::CAPTION, Weight::Medium, t.text_weak);
        right = galley_in(ui, Align2::RIGHT_CENTER, pos2(right, y), galley, t.text_weak).left() - space::S;
    }
    let (weight, colour) = if item.selected { (Weight::SemiBold, t.text_strong) } else { (Weight::Medium, t.text) };
    let left = rect.left() + 36.0;
    let galley = cut_line(ui, item.label, size::BODY, weight, colour, right - left);
    galley_in(ui, Align2::LEFT_CENTER, pos2(left, y), galley, colour);
    if let Some(keys) = item.shortcut {
        tip(&response, Tip { text: item.label, shortcut: Some(keys) });
    }
    response
}
