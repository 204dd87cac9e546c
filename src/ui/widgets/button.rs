//! Buttons: one look in five kinds, with icons, shortcuts, reasons, menus.

use eframe::egui::{
    Align2, Color32, CornerRadius, InnerResponse, Popup, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, Vec2,
    Widget, WidgetInfo, pos2, vec2,
};

use super::paint::{cut_line, focus_ring, galley_in, icon, line, veil};
use super::tip::{Tip, tip};
use crate::ui::icons;
use crate::ui::theme::colour::mix;
use crate::ui::theme::{Theme, Tokens, Weight, height, radius, size, space, tokens};

/// What a button looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The one thing to do next; at most one in sight.
    Primary,
    /// Any other action.
    #[default]
    Secondary,
    /// No outline until pointed at: toolbars, rows.
    Quiet,
    /// Destroys something.
    Danger,
    /// Reads as a link.
    Link,
}

/// A button; made by [`Button::new`] or [`Button::icon_only`], shown by `ui.add`.
#[must_use = "add it to a Ui"]
#[derive(Clone, Debug)]
pub struct Button<'a> {
    text: &'a str,
    label: &'a str,
    icon: Option<&'a str>,
    trailing: Option<&'a str>,
    kind: Kind,
    height: f32,
    min_width: f32,
    max_width: f32,
    fill_width: bool,
    selected: bool,
    enabled: bool,
    reason: Option<&'a str>,
    tip: Option<&'a str>,
    shortcut: Option<&'a str>,
}

impl<'a> Button<'a> {
    /// A secondary button.
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            label: text,
            icon: None,
            trailing: None,
            kind: Kind::Secondary,
            height: height::CONTROL,
            min_width: 0.0,
            max_width: f32::INFINITY,
            fill_width: false,
            selected: false,
            enabled: true,
            reason: None,
            tip: None,
            shortcut: None,
        }
    }

    /// A quiet square button; `label` is its tooltip and accessible name.
    pub fn icon_only(icon: &'a str, label: &'a str) -> Self {
        Self { text: "", label, icon: Some(icon), kind: Kind::Quiet, tip: Some(label), ..Self::new("") }
    }

    /// What it looks like.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The one thing to do next.
    pub fn primary(self) -> Self {
        self.kind(Kind::Primary)
    }

    /// No outline until pointed at.
    pub fn quiet(self) -> Self {
        self.kind(Kind::Quiet)
    }

    /// Destroys something.
    pub fn danger(self) -> Self {
        self.kind(Kind::Danger)
    }

    /// An icon before the text.
    pub fn icon(mut self, icon: &'a str) -> Self {
        self.icon = Some(icon);
        self
    }

    /// An icon after the text.
    pub fn trailing_icon(mut self, icon: &'a str) -> Self {
        self.trailing = Some(icon);
        self
    }

    /// For toolbars and rows: 24 points high.
    pub fn small(mut self) -> Self {
        self.height = height::SMALL;
        self
    }

    /// For empty states and the start screen: 36 points high.
    pub fn large(mut self) -> Self {
        self.height = height::LARGE;
        self
    }

    /// At least this wide.
    pub fn min_width(mut self, width_pt: f32) -> Self {
        self.min_width = width_pt;
        self
    }

    /// At most so wide: the text is cut, with `…`.
    pub fn max_width(mut self, width_pt: f32) -> Self {
        self.max_width = width_pt;
        self
    }

    /// As wide as there is room.
    pub fn fill_width(mut self) -> Self {
        self.fill_width = true;
        self
    }

    /// Pressed in, for what is on or open.
    pub fn selected(mut self, selected: bool) -> Self {
        self.selected = selected;
        self
    }

    /// The name for screen readers and tests, where the text is not enough.
    pub fn label(mut self, label: &'a str) -> Self {
        self.label = label;
        self
    }

    /// Cannot be pressed when false.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Cannot be pressed when an error says why not; the reason is the tooltip.
    pub fn availability(mut self, availability: Result<(), &'a str>) -> Self {
        self.enabled = availability.is_ok();
        self.reason = availability.err();
        self
    }

    /// Tooltip.
    pub fn tip(mut self, text: &'a str) -> Self {
        self.tip = Some(text);
        self
    }

    /// Shortcut such as `Ctrl+K`, shown in the tooltip.
    pub fn shortcut(mut self, keys: &'a str) -> Self {
        self.shortcut = Some(keys);
        self
    }

    fn colours(&self, t: &Tokens, response: &Response) -> (Color32, Color32, Color32) {
        let (held, hovered) = (response.is_pointer_button_down_on(), response.hovered() && response.enabled());
        let filled = |solid: Color32| {
            let towards = if t.theme == Theme::Light { Color32::BLACK } else { Color32::WHITE };
            if held {
                mix(solid, Color32::BLACK, 0.16)
            } else if hovered {
                mix(solid, towards, 0.10)
            } else {
                solid
            }
        };
        match self.kind {
            Kind::Primary => (filled(t.accent.solid), Color32::TRANSPARENT, t.accent.on_solid),
            Kind::Danger => (filled(t.negative.solid), Color32::TRANSPARENT, t.negative.on_solid),
            Kind::Secondary => {
                let fill = match (self.selected, held, hovered) {
                    (true, ..) => t.selected,
                    (_, true, _) => t.control_active,
                    (_, _, true) => t.control_hover,
                    _ => t.control,
                };
                (fill, t.border_control, if self.selected { t.accent.text } else { t.text_strong })
            }
            Kind::Quiet => {
                let fill = if self.selected { t.selected } else { veil(t, response) };
                let text = if self.selected {
                    t.accent.text
                } else if hovered {
                    t.text_strong
                } else {
                    t.text
                };
                (fill, Color32::TRANSPARENT, text)
            }
            Kind::Link => (Color32::TRANSPARENT, Color32::TRANSPARENT, t.accent.text),
        }
    }

    fn show(&self, ui: &mut Ui) -> Response {
        let t = tokens(ui);
        let size_pt = if self.height > height::CONTROL { 14.0 } else { size::BODY };
        let icon_pt = if self.height < height::CONTROL { 15.0 } else { size::ICON };
        // Colours follow the response, which follows the size: text is laid out in a placeholder colour.
        let lead = self.icon.map(|i| icon(ui, i, icon_pt, Color32::PLACEHOLDER));
        let trail = self.trailing.map(|i| icon(ui, i, 12.0, Color32::PLACEHOLDER));
        let gap = 6.0;
        let pad = match (self.kind, self.height > height::CONTROL) {
            (Kind::Link, _) => 2.0,
            (_, true) => space::L,
            (_, false) if self.height < height::CONTROL => space::S,
            _ => space::M,
        };
        let around: f32 = [&lead, &trail].into_iter().flatten().map(|g| g.size().x + gap).sum::<f32>() + 2.0 * pad;
        let text = (!self.text.is_empty()).then(|| {
            let room = self.max_width - around;
            cut_line(ui, self.text, size_pt, Weight::Medium, Color32::PLACEHOLDER, room)
        });
        let parts: Vec<_> = [&lead, &text, &trail].into_iter().flatten().map(|g| g.size().x).collect();
        let content = parts.iter().sum::<f32>() + gap * parts.len().saturating_sub(1) as f32;
        let square = text.is_none() && trail.is_none();
        let wanted = if square { self.height } else { content + 2.0 * pad };
        let mut width = wanted.max(self.min_width);
        if self.fill_width {
            width = width.max(ui.available_width());
        }
        let (rect, response) = ui.allocate_exact_size(vec2(width, self.height), Sense::click());
        let (selected, label) = (self.selected, self.label);
        let toggles = matches!(self.kind, Kind::Quiet | Kind::Secondary) && selected;
        response.widget_info(|| {
            let enabled = response.enabled();
            if toggles {
                WidgetInfo::selected(Role::Button, enabled, selected, label)
            } else {
                WidgetInfo::labeled(Role::Button, enabled, label)
            }
        });
        if ui.is_rect_visible(rect) {
            let (fill, border, colour) = self.colours(t, &response);
            let round = CornerRadius::same(radius::CONTROL);
            ui.painter().rect(rect, round, fill, Stroke::new(1.0, border), StrokeKind::Inside);
            focus_ring(ui, rect, round, &response);
            let icon_colour = match self.kind {
                Kind::Secondary if !self.selected => t.text_weak,
                Kind::Quiet if !self.selected && !square && !response.hovered() => t.text_weak,
                _ => colour,
            };
            let mut x = rect.center().x - content / 2.0;
            let y = rect.center().y;
            let row = [(lead, icon_colour), (text, colour), (trail, icon_colour)];
            for (galley, colour) in row.into_iter().filter_map(|(g, c)| g.map(|g| (g, c))) {
                let drawn = galley_in(ui, Align2::LEFT_CENTER, pos2(x, y), galley, colour);
                if self.kind == Kind::Link && response.hovered() && !square {
                    let at = drawn.bottom() - 2.0;
                    ui.painter().hline(drawn.x_range(), at, Stroke::new(1.0, colour));
                }
                x = drawn.right() + gap;
            }
        }
        response
    }
}

impl Widget for Button<'_> {
    fn ui(self, ui: &mut Ui) -> Response {
        let response = ui.add_enabled_ui(self.enabled, |ui| self.show(ui)).inner;
        let text = self.tip.filter(|tip| *tip != self.text);
        if text.is_some() || self.shortcut.is_some() {
            tip(&response, Tip { text: text.unwrap_or(self.label), shortcut: self.shortcut });
        }
        if let Some(reason) = self.reason {
            return response.on_disabled_hover_text(reason);
        }
        response
    }
}

/// The one thing to do next.
pub fn primary_button(ui: &mut Ui, text: &str) -> Response {
    ui.add(Button::new(text).primary())
}

/// Any other action.
pub fn button(ui: &mut Ui, text: &str) -> Response {
    ui.add(Button::new(text))
}

/// No outline until pointed at.
pub fn quiet_button(ui: &mut Ui, text: &str) -> Response {
    ui.add(Button::new(text).quiet())
}

/// Destroys something.
pub fn danger_button(ui: &mut Ui, text: &str) -> Response {
    ui.add(Button::new(text).danger())
}

/// Reads as a link.
pub fn link_button(ui: &mut Ui, text: &str) -> Response {
    ui.add(Button::new(text).kind(Kind::Link))
}

/// A quiet square button; `label` is its tooltip and accessible name.
pub fn icon_button(ui: &mut Ui, icon: &str, label: &str) -> Response {
    ui.add(Button::icon_only(icon, label))
}

/// A button that opens a menu below it. Fill the menu with [`menu_item`], [`menu_heading`] and [`menu_separator`].
pub fn menu_button<R>(
    ui: &mut Ui,
    button: Button<'_>,
    contents: impl FnOnce(&mut Ui) -> R,
) -> InnerResponse<Option<R>> {
    let response = ui.add(button);
    if Popup::is_id_open(ui.ctx(), Popup::default_response_id(&response)) {
        ui.painter().rect_filled(response.rect, CornerRadius::same(radius::CONTROL), tokens(ui).hover);
    }
    let inner = Popup::menu(&response).gap(space::XS).show(|ui| menu_contents(ui, contents)).map(|shown| shown.inner);
    InnerResponse::new(inner, response)
}

/// A menu at the pointer, on a secondary click on `response`.
pub fn context_menu<R>(response: &Response, contents: impl FnOnce(&mut Ui) -> R) -> Option<R> {
    Popup::context_menu(response).show(|ui| menu_contents(ui, contents)).map(|shown| shown.inner)
}

fn menu_contents<R>(ui: &mut Ui, contents: impl FnOnce(&mut Ui) -> R) -> R {
    ui.spacing_mut().item_spacing.y = 0.0;
    contents(ui)
}

/// A row of a menu: icon (may be empty), text, shortcut. Choosing it closes the menu.
pub fn menu_item(ui: &mut Ui, icon_character: &str, text: &str, shortcut: Option<&str>) -> Response {
    menu_row(ui, icon_character, text, shortcut, false)
}

/// A row of a menu that destroys something.
pub fn menu_item_danger(ui: &mut Ui, icon_character: &str, text: &str) -> Response {
    menu_row(ui, icon_character, text, None, true)
}

/// A row of a menu that is one of several choices.
pub fn menu_choice(ui: &mut Ui, text: &str, chosen: bool) -> Response {
    menu_row(ui, if chosen { icons::CHECK } else { "" }, text, None, false)
}

fn menu_row(ui: &mut Ui, icon_character: &str, text: &str, shortcut: Option<&str>, danger: bool) -> Response {
    let t = tokens(ui);
    let galley = line(ui, text, size::BODY, Weight::Regular, Color32::PLACEHOLDER);
    let keys = shortcut.map(|keys| line(ui, keys, size::SMALL, Weight::Regular, Color32::PLACEHOLDER));
    let text_x = 30.0;
    let keys_width = keys.as_ref().map_or(0.0, |g| g.size().x + space::XL);
    let wanted = (text_x + galley.size().x + keys_width + space::M).max(160.0);
    // Rows share a width: a menu is as wide as its widest row, and later rows learn that from the Ui.
    let width = wanted.max(ui.min_rect().width()).max(ui.available_width().min(ui.min_rect().width()));
    let (rect, response) = ui.allocate_exact_size(vec2(width, height::ROW), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::MenuItem, response.enabled(), text));
    if ui.is_rect_visible(rect) {
        let rect = Rect::from_x_y_ranges(rect.left()..=rect.right().max(ui.min_rect().right()), rect.y_range());
        let hot = response.hovered() || response.has_focus();
        let colour = match (danger, hot && response.enabled()) {
            (true, _) => t.negative.text,
            (false, true) => t.text_strong,
            (false, false) => t.text,
        };
        let fill = if danger && hot { t.negative.tint } else { veil(t, &response) };
        ui.painter().rect_filled(rect, CornerRadius::same(radius::SMALL), fill);
        let y = rect.center().y;
        if !icon_character.is_empty() {
            let colour = if danger { colour } else { t.text_weak };
            super::paint::icon_at(ui, pos2(rect.left() + 15.0, y), icon_character, 15.0, colour);
        }
        galley_in(ui, Align2::LEFT_CENTER, pos2(rect.left() + text_x, y), galley, colour);
        if let Some(keys) = keys {
            galley_in(ui, Align2::RIGHT_CENTER, pos2(rect.right() - space::S, y), keys, t.text_weak);
        }
    }
    response
}

/// A small title within a menu.
pub fn menu_heading(ui: &mut Ui, text: &str) {
    let t = tokens(ui);
    let galley = line(ui, text, size::CAPTION, Weight::Medium, t.text_weak);
    let (rect, response) = ui.allocate_exact_size(vec2(galley.size().x + 2.0 * space::S, 22.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
    galley_in(ui, Align2::LEFT_CENTER, rect.left_center() + vec2(space::S, 0.0), galley, t.text_weak);
}

/// A line between the rows of a menu.
pub fn menu_separator(ui: &mut Ui) {
    let t = tokens(ui);
    let (_, rect) = ui.allocate_space(Vec2::new(ui.min_rect().width().max(1.0), 9.0));
    ui.painter().hline(ui.min_rect().x_range(), rect.center().y, Stroke::new(1.0, t.border));
}
