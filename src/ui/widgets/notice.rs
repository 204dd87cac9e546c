//! Saying things: banners, toasts, empty states.

use eframe::egui::{
    Align, Align2, Area, Context, CornerRadius, Frame, Id, Layout, Margin, Order, Response, RichText, Role, Stroke,
    StrokeKind, Ui, UiBuilder, WidgetInfo, vec2,
};

use super::badge::Meaning;
use super::button::{Button, Kind};
use super::paint::{icon_at, wrapped};
use super::text;
use crate::ui::icons;
use crate::ui::theme::{DARK, LIGHT, Weight, font, radius, shadow, size, space, tokens};

/// What was done to a banner or a toast in this frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoticeEvent {
    /// Nothing.
    #[default]
    None,
    /// The action of this index was chosen.
    Action(usize),
    /// It was closed.
    Dismissed,
}

/// A message that stays where it concerns something.
#[must_use = "show it"]
#[derive(Clone, Copy, Debug)]
pub struct Banner<'a> {
    meaning: Meaning,
    title: &'a str,
    text: &'a str,
    actions: &'a [&'a str],
    dismissible: bool,
}

impl<'a> Banner<'a> {
    /// A title of a few words.
    pub fn new(meaning: Meaning, title: &'a str) -> Self {
        Self { meaning, title, text: "", actions: &[], dismissible: false }
    }

    /// What more there is to say.
    pub fn text(mut self, text: &'a str) -> Self {
        self.text = text;
        self
    }

    /// Buttons, the most useful first.
    pub fn actions(mut self, actions: &'a [&'a str]) -> Self {
        self.actions = actions;
        self
    }

    /// Can be closed.
    pub fn dismissible(mut self) -> Self {
        self.dismissible = true;
        self
    }

    /// Shows it over all of the width.
    pub fn show(self, ui: &mut Ui) -> NoticeEvent {
        let t = tokens(ui);
        let tone = self.meaning.tone(t);
        let frame = Frame::new()
            .fill(tone.tint)
            .stroke(Stroke::new(1.0, tone.line))
            .corner_radius(CornerRadius::same(radius::CARD))
            .inner_margin(Margin { left: 12, right: 8, top: 8, bottom: 8 });
        let mut event = NoticeEvent::None;
        let shown = frame.show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.with_layout(Layout::right_to_left(Align::Min), |ui| {
                ui.spacing_mut().item_spacing.x = space::XS;
                if self.dismissible && ui.add(Button::icon_only(icons::X, "Dismiss").small()).clicked() {
                    event = NoticeEvent::Dismissed;
                }
                for (i, action) in self.actions.iter().enumerate().rev() {
                    let kind = if i == 0 { Kind::Secondary } else { Kind::Quiet };
                    if ui.add(Button::new(action).kind(kind).small()).clicked() {
                        event = NoticeEvent::Action(i);
                    }
                }
                ui.with_layout(Layout::left_to_right(Align::Min), |ui| {
                    ui.take_available_width();
                    notice_icon(ui, self.meaning);
                    notice_text(ui, self.title, self.text);
                });
            });
        });
        shown.response.widget_info(|| WidgetInfo::new(Role::Alert));
        event
    }
}

fn notice_icon(ui: &mut Ui, meaning: Meaning) {
    let colour = meaning.tone(tokens(ui)).text;
    let (rect, _) = ui.allocate_exact_size(vec2(20.0, 24.0), eframe::egui::Sense::hover());
    icon_at(ui, rect.center() - vec2(1.0, 0.0), meaning.icon(), 16.0, colour);
}

fn notice_text(ui: &mut Ui, title: &str, detail: &str) {
    let t = tokens(ui);
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.add_space(3.0);
        let title = RichText::new(title).font(font(size::BODY, Weight::Medium)).color(t.text_strong);
        ui.add(eframe::egui::Label::new(title.line_height(Some(18.0))).wrap());
        if !detail.is_empty() {
            let detail = RichText::new(detail).font(font(size::SMALL, Weight::Regular)).color(t.text);
            ui.add(eframe::egui::Label::new(detail.line_height(Some(17.0))).wrap().selectable(true));
        }
        ui.add_space(2.0);
    });
}

/// A message that floats for a while.
#[derive(Clone, Copy, Debug)]
pub struct Toast<'a> {
    /// What it is about.
    pub meaning: Meaning,
    /// What happened.
    pub title: &'a str,
    /// More; may be empty.
    pub detail: &'a str,
    /// A button such as `Undo`; may be empty.
    pub action: &'a str,
}

/// Width of toasts in points.
const TOAST_WIDTH: f32 = 340.0;

/// Shows a toast; for use in [`toast_area`].
pub fn toast(ui: &mut Ui, toast: Toast<'_>) -> NoticeEvent {
    let t = tokens(ui);
    let frame = Frame::new()
        .fill(t.raised)
        .stroke(Stroke::new(1.0, t.border_control))
        .shadow(shadow(t))
        .corner_radius(CornerRadius::same(radius::CARD))
        .inner_margin(Margin { left: 12, right: 6, top: 7, bottom: 7 });
    let mut event = NoticeEvent::None;
    let shown = frame.show(ui, |ui| {
        ui.set_width(TOAST_WIDTH - 18.0);
        ui.with_layout(Layout::right_to_left(Align::Min), |ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            if ui.add(Button::icon_only(icons::X, "Dismiss").small()).clicked() {
                event = NoticeEvent::Dismissed;
            }
            if !toast.action.is_empty() && ui.add(Button::new(toast.action).small()).clicked() {
                event = NoticeEvent::Action(0);
            }
            ui.with_layout(Layout::left_to_right(Align::Min), |ui| {
                ui.take_available_width();
                notice_icon(ui, toast.meaning);
                notice_text(ui, toast.title, toast.detail);
            });
        });
    });
    shown.response.widget_info(|| WidgetInfo::new(Role::Status));
    event
}

/// Where toasts float: at the lower right, `above_bottom` points over the edge, the newest lowest.
pub fn toast_area<R>(ctx: &Context, above_bottom: f32, add: impl FnOnce(&mut Ui) -> R) -> R {
    Area::new(Id::unique("toasts"))
        .anchor(Align2::RIGHT_BOTTOM, vec2(-space::L, -above_bottom - space::L))
        .order(Order::Foreground)
        .show(ctx, |ui| {
            ui.spacing_mut().item_spacing.y = space::S;
            add(ui)
        })
        .inner
}

/// Over the whole window while something is dragged over it: what dropping it will do.
pub fn drop_overlay(ctx: &Context, icon: &str, title: &str, detail: &str) {
    let t = if ctx.global_style().visuals.dark_mode { &DARK } else { &LIGHT };
    let screen = ctx.content_rect();
    Area::new(Id::unique("drop overlay")).order(Order::Foreground).fixed_pos(screen.min).interactable(false).show(
        ctx,
        |ui| {
            ui.set_min_size(screen.size());
            ui.painter().rect_filled(screen, 0.0, t.canvas.gamma_multiply(0.94));
            let frame = screen.shrink(space::L);
            let ring = Stroke::new(2.0, t.accent.solid);
            ui.painter().rect(frame, radius::DIALOG, t.surface, ring, StrokeKind::Inside);
            ui.scope_builder(UiBuilder::new().max_rect(frame), |ui| EmptyState::new(icon, title).text(detail).show(ui));
        },
    );
}

/// A place with nothing in it yet: what it is for, and what to do.
#[must_use = "show it"]
#[derive(Clone, Copy, Debug)]
pub struct EmptyState<'a> {
    icon: &'a str,
    title: &'a str,
    text: &'a str,
    actions: &'a [&'a str],
}

impl<'a> EmptyState<'a> {
    /// An icon and a few words.
    pub fn new(icon: &'a str, title: &'a str) -> Self {
        Self { icon, title, text: "", actions: &[] }
    }

    /// One or two sentences.
    pub fn text(mut self, text: &'a str) -> Self {
        self.text = text;
        self
    }

    /// Buttons; the first is the primary one.
    pub fn actions(mut self, actions: &'a [&'a str]) -> Self {
        self.actions = actions;
        self
    }

    /// Shows it in the middle of all that is available; the index of the action that was chosen.
    pub fn show(self, ui: &mut Ui) -> Option<usize> {
        let t = tokens(ui);
        let room = ui.available_rect_before_wrap();
        let width = (room.width() - 2.0 * space::L).clamp(120.0, 400.0);
        let title = wrapped(ui, self.title, size::TITLE, Weight::SemiBold, t.text_strong, width, Align::Center);
        let body = wrapped(ui, self.text, size::BODY, Weight::Regular, t.text_weak, width, Align::Center);
        let body_height = if self.text.is_empty() { 0.0 } else { space::XS + body.size().y };
        let actions_height = if self.actions.is_empty() { 0.0 } else { space::L + 28.0 };
        let disc = 56.0;
        let tall = disc + space::L + title.size().y + body_height + actions_height;
        // A little above the middle looks like the middle.
        let top = room.top() + ((room.height() - tall) * 0.45).max(space::L);
        let centre = room.center().x;

        let middle = eframe::egui::pos2(centre, top + disc / 2.0);
        ui.painter().circle_filled(middle, disc / 2.0, t.accent.tint);
        icon_at(ui, middle, self.icon, 26.0, t.accent.text);
        let mut y = top + disc + space::L;
        let at = |y: f32| eframe::egui::pos2(centre, y);
        let drawn = title.size().y;
        galley_centred(ui, at(y), title, self.title);
        y += drawn;
        if !self.text.is_empty() {
            y += space::XS;
            let drawn = body.size().y;
            galley_centred(ui, at(y), body, self.text);
            y += drawn;
        }
        let area = eframe::egui::Rect::from_min_max(
            eframe::egui::pos2(room.left(), top),
            eframe::egui::pos2(room.right(), top + tall),
        );
        ui.allocate_rect(area, eframe::egui::Sense::hover());
        self.buttons(ui, eframe::egui::pos2(centre, y + space::L))
    }

    fn buttons(self, ui: &mut Ui, top_centre: eframe::egui::Pos2) -> Option<usize> {
        if self.actions.is_empty() {
            return None;
        }
        let widths: Vec<f32> = self
            .actions
            .iter()
            .map(|text| {
                let galley = super::paint::line(ui, text, size::BODY, Weight::Medium, tokens(ui).text);
                galley.size().x + 2.0 * space::M
            })
            .collect();
        let total = widths.iter().sum::<f32>() + space::S * (widths.len() - 1) as f32;
        let rect = eframe::egui::Rect::from_min_size(top_centre - vec2(total / 2.0, 0.0), vec2(total, 28.0));
        let mut chosen = None;
        ui.scope_builder(UiBuilder::new().max_rect(rect).layout(Layout::left_to_right(Align::Center)), |ui| {
            for (i, text) in self.actions.iter().enumerate() {
                let kind = if i == 0 { Kind::Primary } else { Kind::Secondary };
                if ui.add(Button::new(text).kind(kind)).clicked() {
                    chosen = Some(i);
                }
            }
        });
        chosen
    }
}

/// Paints a galley that is aligned to its centre, which has its origin there, and says it.
fn galley_centred(ui: &Ui, top_centre: eframe::egui::Pos2, galley: std::sync::Arc<eframe::egui::Galley>, said: &str) {
    let rect = galley.rect.translate(top_centre.to_vec2());
    let response = ui.interact(rect, ui.scope_id().with(said), eframe::egui::Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, said));
    ui.painter().galley(top_centre, galley, tokens(ui).text);
}

/// A line that something is being waited for: spinner and text.
pub fn busy_line(ui: &mut Ui, label: &str) -> Response {
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(16.0, 16.0), eframe::egui::Sense::hover());
        super::bars::spinner_at(ui, rect.center(), 6.5);
        text::weak(ui, label)
    })
    .inner
}
