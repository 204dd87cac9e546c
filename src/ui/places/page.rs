//! What places share: a scrolled column in the middle, two areas side by side where there is room, words for figures.

use eframe::egui::{Align, Layout, Margin, ScrollArea, Ui, UiBuilder, pos2, vec2};

use crate::app::AppState;
use crate::ui::theme::space;

/// Contents are no wider than this, in points.
pub const MAX_WIDTH: f32 = 1100.0;

/// Narrower than this the padding around a place shrinks.
const ROOMY: f32 = 720.0;

/// All of the central area: padded, scrolled, contents at most `max_width_pt` wide and in the middle.
pub fn page<R>(ui: &mut Ui, id: &str, max_width_pt: f32, add: impl FnOnce(&mut Ui) -> R) -> R {
    let shown = ScrollArea::vertical().id_salt(id).auto_shrink(false).show(ui, |ui| {
        let room = ui.available_rect_before_wrap();
        let pad = if room.width() < ROOMY { space::L } else { space::XL };
        let width = (room.width() - 2.0 * pad).clamp(80.0, max_width_pt);
        let left = room.left() + ((room.width() - width) / 2.0).floor().max(pad);
        let rect = eframe::egui::Rect::from_min_size(pos2(left, room.top() + pad), vec2(width, room.height()));
        let builder = UiBuilder::new().max_rect(rect).layout(Layout::top_down(Align::Min));
        let mut column = ui.new_child(builder);
        column.set_width(width);
        column.spacing_mut().item_spacing.y = space::M;
        let inner = add(&mut column);
        let used = column.min_rect();
        ui.advance_cursor_after_rect(used + Margin { bottom: pad as i8, ..Margin::ZERO });
        inner
    });
    shown.inner
}

/// How two areas share the width.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    /// Width of the narrow one in points.
    pub side_pt: f32,
    /// The least width of the other; with less room they are one below the other.
    pub least_pt: f32,
    /// Whether the narrow one is at the left.
    pub side_first: bool,
}

impl Split {
    /// Whether there is room for both side by side.
    pub fn fits(self, width_pt: f32) -> bool {
        width_pt >= self.side_pt + space::L + self.least_pt
    }

    /// Shows both: `add` is called with `true` for the narrow one and `false` for the other. One below the other, the
    /// narrow one comes first.
    pub fn show(self, ui: &mut Ui, mut add: impl FnMut(&mut Ui, bool)) {
        let room = ui.available_rect_before_wrap();
        if !self.fits(room.width()) {
            add(ui, true);
            add(ui, false);
            return;
        }
        let gap = space::L;
        let wide = room.width() - gap - self.side_pt;
        let mut left = room.left();
        let mut used = eframe::egui::Rect::from_min_size(room.min, vec2(room.width(), 0.0));
        for is_side in [self.side_first, !self.side_first] {
            let width = if is_side { self.side_pt } else { wide };
            let rect = eframe::egui::Rect::from_min_size(pos2(left, room.top()), vec2(width, room.height()));
            let builder = UiBuilder::new().id_salt(("split", is_side)).max_rect(rect);
            let mut area = ui.new_child(builder.layout(Layout::top_down(Align::Min)));
            area.set_width(width);
            area.spacing_mut().item_spacing.y = ui.spacing().item_spacing.y;
            add(&mut area, is_side);
            used = used.union(area.min_rect());
            left += width + gap;
        }
        ui.advance_cursor_after_rect(used);
    }
}

/// Why settings of the project cannot be changed, if they cannot.
///
/// # Errors
/// The reason, for a tooltip.
pub fn can_edit(state: &AppState) -> Result<(), &'static str> {
    match &state.project {
        None => Err("No project is open"),
        Some(project) if !project.is_writable() => Err("The project is open for reading only"),
        Some(_) => Ok(()),
    }
}
