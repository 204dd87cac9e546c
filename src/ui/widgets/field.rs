//! Fields to type into.

use eframe::egui::{
    Color32, CornerRadius, Frame, Id, Key, Label, Margin, Rect, Response, RichText, Sense, Stroke, StrokeKind,
    TextEdit, Ui, pos2, vec2,
};

use super::button::Button;
use super::paint::icon_at;
use crate::ui::icons;
use crate::ui::theme::{Weight, field_fill, font, height, mono, radius, size, space, tokens};

/// What happened to a field in this frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldEvent {
    /// Nothing.
    #[default]
    None,
    /// The text changed.
    Changed,
    /// Enter was pressed, or an edited field was left.
    Commit,
    /// Esc was pressed.
    Cancel,
    /// The button that looks for a file was pressed.
    Browse,
}

/// A field of one line; [`text_field`] and its siblings are the common ones.
#[must_use = "show it"]
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    label: &'a str,
    hint: &'a str,
    icon: Option<&'a str>,
    width: f32,
    trailing: f32,
    mono: bool,
    invalid: bool,
    focus: bool,
    id: Option<Id>,
}

impl<'a> Field<'a> {
    /// `label` is its accessible name.
    pub fn new(label: &'a str) -> Self {
        Self {
            label,
            hint: "",
            icon: None,
            width: f32::INFINITY,
            trailing: 10.0,
            mono: false,
            invalid: false,
            focus: false,
            id: None,
        }
    }

    /// What stands in it while it is empty.
    pub fn hint(mut self, hint: &'a str) -> Self {
        self.hint = hint;
        self
    }

    /// An icon before the text.
    pub fn icon(mut self, icon: &'a str) -> Self {
        self.icon = Some(icon);
        self
    }

    /// At most this wide; otherwise as wide as there is room.
    pub fn width(mut self, width_pt: f32) -> Self {
        self.width = width_pt;
        self
    }

    /// In the monospaced font.
    pub fn mono(mut self) -> Self {
        self.mono = true;
        self
    }

    /// Marked as wrong.
    pub fn invalid(mut self, invalid: bool) -> Self {
        self.invalid = invalid;
        self
    }

    /// Takes the keyboard's focus in this frame.
    pub fn focus(mut self, focus: bool) -> Self {
        self.focus = focus;
        self
    }

    /// An id of one's own, for focusing it from elsewhere.
    pub fn id(mut self, id: Id) -> Self {
        self.id = Some(id);
        self
    }

    /// Shows it.
    pub fn show(self, ui: &mut Ui, text: &mut String) -> (FieldEvent, Response) {
        let (_, response) = field(ui, text, &self);
        if self.focus {
            response.request_focus();
        }
        (event(ui, &response), response)
    }
}

fn field(ui: &mut Ui, text: &mut String, look: &Field<'_>) -> (Rect, Response) {
    let t = tokens(ui);
    let (id, rect) = ui.allocate_space(vec2(look.width.min(ui.available_width()), height::CONTROL));
    let id = look.id.unwrap_or(id);
    let lead = if look.icon.is_some() { 30.0 } else { 10.0 };
    let inner =
        Rect::from_min_max(pos2(rect.left() + lead, rect.top()), pos2(rect.right() - look.trailing, rect.bottom()));
    let background = ui.painter().add(eframe::egui::Shape::Noop);
    let edit_font = if look.mono { mono(size::SMALL) } else { font(size::BODY, Weight::Regular) };
    let edit = TextEdit::singleline(text)
        .id(id)
        .frame(Frame::NONE)
        .margin(Margin::ZERO)
        .font(edit_font)
        .text_color(t.text_strong)
        .hint_text(look.hint)
        .desired_width(inner.width())
        .min_size(vec2(0.0, height::CONTROL))
        .align(eframe::egui::Align2::LEFT_CENTER);
    let response = ui.place(inner, edit).accessible_name(look.label);
    // The whole of the field is the target, not only its text.
    if ui.interact(rect, id.with("around"), Sense::click()).clicked() {
        response.request_focus();
    }
    let round = CornerRadius::same(radius::CONTROL);
    let (stroke, width) = match (look.invalid, response.has_focus()) {
        (true, _) => (t.negative.solid, 1.5),
        (_, true) => (t.focus, 1.5),
        _ if response.hovered() => (t.neutral.solid, 1.0),
        _ => (t.border_control, 1.0),
    };
    let shape = eframe::egui::epaint::RectShape::new(
        rect,
        round,
        field_fill(t),
        Stroke::new(width, stroke),
        StrokeKind::Inside,
    );
    ui.painter().set(background, shape);
    if let Some(icon) = look.icon {
        icon_at(ui, pos2(rect.left() + 16.0, rect.center().y), icon, 15.0, t.text_weak);
    }
    (rect, response)
}

/// Whether the field had the focus until this frame. egui's own `lost_focus` says so in two frames.
fn left(ui: &Ui, response: &Response) -> bool {
    let (key, has) = (response.id.with("had focus"), response.has_focus());
    let had = ui.data(|d| d.get_temp(key)).unwrap_or(false);
    if had != has {
        ui.data_mut(|d| d.insert_temp(key, has));
    }
    had && !has
}

fn event(ui: &Ui, response: &Response) -> FieldEvent {
    if left(ui, response) {
        let escape = ui.input(|i| i.key_pressed(Key::Escape));
        return if escape { FieldEvent::Cancel } else { FieldEvent::Commit };
    }
    if response.changed() { FieldEvent::Changed } else { FieldEvent::None }
}

/// A field; `label` is its accessible name. As wide as there is room.
pub fn text_field(ui: &mut Ui, label: &str, text: &mut String, hint: &str) -> FieldEvent {
    Field::new(label).hint(hint).show(ui, text).0
}

/// A field that is marked as wrong while `error` says why; the error stands below it.
pub fn checked_field(ui: &mut Ui, label: &str, text: &mut String, hint: &str, error: Option<&str>) -> FieldEvent {
    super::layout::stack(ui, space::XS, |ui| {
        let (event, _) = Field::new(label).hint(hint).invalid(error.is_some()).show(ui, text);
        if let Some(error) = error {
            let colour = tokens(ui).negative.text;
            ui.colored_label(colour, eframe::egui::RichText::new(error).font(font(size::SMALL, Weight::Regular)));
        }
        event
    })
}

/// A field in place of a name: takes the focus with all of it selected when it appears under `id`.
pub fn rename_field(ui: &mut Ui, id: Id, label: &str, text: &mut String) -> FieldEvent {
    let (event, response) = Field::new(label).id(id).show(ui, text);
    let pass = ui.ctx().cumulative_pass_nr();
    let shown_before = ui.data(|d| d.get_temp::<u64>(id)).is_some_and(|last| last + 1 >= pass);
    ui.data_mut(|d| d.insert_temp(id, pass));
    if !shown_before {
        response.request_focus();
        let mut state = TextEdit::load_state(ui.ctx(), id).unwrap_or_default();
        let all = eframe::egui::text::CCursorRange::two(
            eframe::egui::text::CCursor::new(0),
            eframe::egui::text::CCursor::new(text.chars().count()),
        );
        state.cursor.set_char_range(Some(all));
        TextEdit::store_state(ui.ctx(), id, state);
        return FieldEvent::None;
    }
    event
}

/// A field to search or filter with; Esc or the cross empties it. The response says `changed`.
pub fn search_field(ui: &mut Ui, label: &str, text: &mut String, hint: &str) -> Response {
    let look = Field { trailing: 28.0, ..Field::new(label).hint(hint).icon(icons::MAGNIFYING_GLASS).width(280.0) };
    let (rect, mut response) = field(ui, text, &look);
    let mut clear = left(ui, &response) && ui.input(|i| i.key_pressed(Key::Escape));
    if !text.is_empty() {
        let at = Rect::from_center_size(pos2(rect.right() - 14.0, rect.center().y), vec2(20.0, 20.0));
        let cross = ui.interact(at, response.id.with("clear"), Sense::click());
        cross.widget_info(|| {
            eframe::egui::WidgetInfo::labeled(
                eframe::egui::Role::Button,
                true,
                format!("Clear {}", label.to_lowercase()),
            )
        });
        let colour = if cross.hovered() { tokens(ui).text_strong } else { tokens(ui).text_weak };
        icon_at(ui, at.center(), icons::X, 13.0, colour);
        super::paint::focus_ring(ui, at.shrink(2.0), radius::SMALL, &cross);
        clear |= cross.clicked();
    }
    if clear && !text.is_empty() {
        text.clear();
        response.mark_changed();
    }
    response
}

/// A path: typed or pasted (quotes around it are taken off on commit), or looked for. Enter commits.
pub fn path_field(ui: &mut Ui, label: &str, text: &mut String, hint: &str) -> FieldEvent {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        let browse_width = 88.0;
        let width = (ui.available_width() - browse_width - space::S).max(120.0);
        let (mut event, _) = Field::new(label).hint(hint).icon(icons::FOLDER).width(width).show(ui, text);
        // Leaving a path is not yet meaning it; only Enter is.
        if event == FieldEvent::Commit && !ui.input(|i| i.key_pressed(Key::Enter)) {
            event = FieldEvent::None;
        }
        if event == FieldEvent::Commit {
            let bare = text.trim().trim_matches(|c| c == '"' || c == '\'').to_owned();
            *text = bare;
        }
        let browse = format!("Browse for {}", label.to_lowercase());
        if ui.add(Button::new("Browse…").label(&browse).min_width(browse_width)).clicked() {
            event = FieldEvent::Browse;
        }
        event
    })
    .inner
}

/// Several lines of text.
pub fn text_area(ui: &mut Ui, label: &str, text: &mut String, hint: &str, n_rows: usize) -> Response {
    let t = tokens(ui);
    let width = ui.available_width();
    let edit = TextEdit::multiline(text)
        .font(font(size::BODY, Weight::Regular))
        .text_color(t.text_strong)
        .hint_text(hint)
        .desired_width(width)
        .desired_rows(n_rows)
        .margin(Margin::symmetric(10, 7));
    ui.add(edit).accessible_name(label)
}

/// Fill of what imitates a field, such as a read-only value.
pub fn well(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    let t = tokens(ui);
    Frame::new()
        .fill(t.sunken)
        .stroke(Stroke::new(1.0, Color32::TRANSPARENT))
        .corner_radius(CornerRadius::same(radius::CONTROL))
        .inner_margin(Margin::symmetric(10, 6))
        .show(ui, add);
}

/// A line for a terminal, with a button that copies it; whether that was clicked. `copied`: it has been before.
pub fn command_line(ui: &mut Ui, text: &str, copied: bool) -> bool {
    let mut is_clicked = false;
    well(ui, |ui| {
        ui.horizontal_top(|ui| {
            let room = vec2(ui.available_width() - height::SMALL - space::S, 0.0);
            ui.allocate_ui(room, |ui| {
                ui.set_min_width(room.x);
                let text = RichText::new(text).font(mono(size::SMALL)).color(tokens(ui).text_strong);
                ui.add(Label::new(text).selectable(true).wrap());
            });
            let (icon, tip) = if copied { (icons::CHECK, "Copied") } else { (icons::COPY, "Copy") };
            let label = format!("{tip} {text}");
            if ui.add(Button::icon_only(icon, &label).tip(tip).small()).clicked() {
                ui.copy_text(text.to_owned());
                is_clicked = true;
            }
        });
    });
    is_clicked
}
