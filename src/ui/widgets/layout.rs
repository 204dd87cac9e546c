//! Frames and rows: cards, panels, rows with two ends, placeholders.

use eframe::egui::{
    Align, CornerRadius, Frame, InnerResponse, Layout, Margin, Rect, Response, Role, Sense, Stroke, StrokeKind,
    TextWrapMode, Ui, UiBuilder, Vec2, WidgetInfo, pos2, vec2,
};

use super::paint::focus_ring;
use super::text;
use crate::ui::theme::{height, radius, space, tokens};

/// A row of a control's height: `left` from the left, `right` from the right, first one outermost.
pub fn row_ends<R>(ui: &mut Ui, left: impl FnOnce(&mut Ui), right: impl FnOnce(&mut Ui) -> R) -> R {
    let size = vec2(ui.available_width(), height::CONTROL);
    ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
        ui.set_min_height(height::CONTROL);
        let inner = right(ui);
        let room = vec2(ui.available_width(), ui.available_height());
        ui.allocate_ui_with_layout(room, Layout::left_to_right(Align::Center), |ui| {
            ui.take_available_width();
            ui.shrink_clip_rect(ui.max_rect().expand(3.0));
            ui.style_mut().wrap_mode = Some(TextWrapMode::Truncate);
            left(ui);
        });
        inner
    })
    .inner
}

/// One below the other with `gap_pt` between them.
pub fn stack<R>(ui: &mut Ui, gap_pt: f32, add: impl FnOnce(&mut Ui) -> R) -> R {
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = gap_pt;
        add(ui)
    })
    .inner
}

/// Narrower than this, columns go below each other.
const LEAST_COLUMN: f32 = 280.0;

/// Columns that share the width in the proportion of `shares`; below each other where it is narrow. `add` is called
/// once for each with its index.
pub fn columns(ui: &mut Ui, shares: &[f32], mut add: impl FnMut(&mut Ui, usize)) {
    let gap = space::M;
    let n_gaps = shares.len().saturating_sub(1) as f32;
    let room = ui.available_rect_before_wrap();
    let usable = room.width() - gap * n_gaps;
    let total: f32 = shares.iter().sum();
    let narrowest = shares.iter().copied().fold(f32::INFINITY, f32::min);
    if usable * narrowest / total.max(f32::EPSILON) < LEAST_COLUMN {
        stack(ui, gap, |ui| (0..shares.len()).for_each(|i| add(ui, i)));
        return;
    }
    let mut left = room.left();
    let mut used = Rect::from_min_size(room.min, vec2(room.width(), 0.0));
    for (i, share) in shares.iter().enumerate() {
        let width = usable * share / total;
        let rect = Rect::from_min_size(pos2(left, room.top()), vec2(width, room.height()));
        let builder = UiBuilder::new().id_salt(("column", i)).max_rect(rect).layout(Layout::top_down(Align::Min));
        let mut column = ui.new_child(builder);
        column.spacing_mut().item_spacing.y = gap;
        column.set_width(width);
        add(&mut column, i);
        used = used.union(column.min_rect());
        left += width + gap;
    }
    ui.advance_cursor_after_rect(used);
}

/// Side by side, and on as many lines as that needs: chips, badges.
pub fn flow<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> R {
    ui.scope(|ui| {
        ui.spacing_mut().interact_size.y = 22.0;
        ui.spacing_mut().item_spacing = vec2(6.0, 6.0);
        ui.horizontal_wrapped(add).inner
    })
    .inner
}

/// A surface with a hairline around it, as wide as there is room.
#[must_use = "show it"]
#[derive(Clone, Copy, Debug, Default)]
pub struct Card<'a> {
    title: Option<&'a str>,
    note: Option<&'a str>,
    selected: bool,
    flush: bool,
}

impl<'a> Card<'a> {
    /// Without a title.
    pub fn new() -> Self {
        Self::default()
    }

    /// A title.
    pub fn title(mut self, title: &'a str) -> Self {
        self.title = Some(title);
        self
    }

    /// A line below the title.
    pub fn note(mut self, note: &'a str) -> Self {
        self.note = Some(note);
        self
    }

    /// Outlined in the accent.
    pub fn selected(mut self, selected: bool) -> Self {
        self.selected = selected;
        self
    }

    /// Without padding around the body, for tables and images.
    pub fn flush(mut self) -> Self {
        self.flush = true;
        self
    }

    fn frame(self, ui: &Ui) -> Frame {
        let t = tokens(ui);
        let stroke = Stroke::new(1.0, if self.selected { t.accent.solid } else { t.border });
        let pad = if self.flush { 0 } else { space::L as i8 };
        // The row of the title is higher than its letters.
        let top = if self.title.is_some() && !self.flush { pad - 5 } else { pad };
        Frame::new()
            .fill(t.surface)
            .stroke(stroke)
            .corner_radius(CornerRadius::same(radius::CARD))
            .inner_margin(Margin { top, ..Margin::same(pad) })
    }

    /// Shows it.
    pub fn show<R>(self, ui: &mut Ui, body: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
        self.show_with(ui, |_| (), body)
    }

    /// Shows it with `trailing` at the right of the title.
    pub fn show_with<R>(
        self,
        ui: &mut Ui,
        trailing: impl FnOnce(&mut Ui),
        body: impl FnOnce(&mut Ui) -> R,
    ) -> InnerResponse<R> {
        self.frame(ui).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing = vec2(space::S, space::S);
            ui.vertical(|ui| {
                if let Some(title) = self.title {
                    let margin =
                        if self.flush { Margin { left: 16, right: 12, top: 10, bottom: 0 } } else { Margin::ZERO };
                    Frame::new().inner_margin(margin).show(ui, |ui| {
                        ui.spacing_mut().item_spacing.y = 0.0;
                        row_ends(
                            ui,
                            |ui| {
                                text::title(ui, title);
                            },
                            trailing,
                        );
                        if let Some(note) = self.note {
                            text::caption(ui, note);
                        }
                    });
                    ui.add_space(if self.flush { -space::XS } else { 0.0 });
                }
                body(ui)
            })
            .inner
        })
    }

    /// Shows it as something to click, with `label` as its accessible name, which says what a click does and so differs
    /// from the title. Widgets inside stay clickable.
    pub fn show_clickable<R>(self, ui: &mut Ui, label: &str, body: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
        let id = ui.next_auto_id().with("card");
        let t = tokens(ui);
        let shown = ui.scope_builder(UiBuilder::new().id_salt(id).sense(Sense::click()), |ui| {
            let before = ui.response();
            let mut frame = self.frame(ui);
            if !self.selected && (before.hovered() || before.contains_pointer()) {
                frame = frame.stroke(Stroke::new(1.0, t.border_control));
            }
            frame
                .show(ui, |ui| {
                    ui.set_width(ui.available_width());
                    ui.vertical(|ui| {
                        stack(ui, space::XXS, |ui| {
                            if let Some(title) = self.title {
                                text::title(ui, title);
                            }
                            if let Some(note) = self.note {
                                text::caption(ui, note);
                            }
                        });
                        body(ui)
                    })
                    .inner
                })
                .inner
        });
        let selected = self.selected;
        if selected {
            let ring = Stroke::new(2.0, t.accent.solid);
            ui.painter().rect_stroke(shown.response.rect, radius::CARD, ring, StrokeKind::Inside);
        }
        shown.response.widget_info(|| WidgetInfo::selected(Role::Button, true, selected, label));
        focus_ring(ui, shown.response.rect, radius::CARD, &shown.response);
        InnerResponse::new(shown.inner, shown.response)
    }
}

/// A grey block where something will be.
pub fn skeleton(ui: &mut Ui, size: Vec2) -> Response {
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    skeleton_at(ui, rect);
    response
}

/// A grey block in a rectangle.
pub fn skeleton_at(ui: &Ui, rect: Rect) {
    let t = tokens(ui);
    ui.painter().rect_filled(rect, radius::SMALL, t.pressed.gamma_multiply(0.7));
}
