//! The command palette: every action, found by typing.

use eframe::egui::{
    Align2, Area, Context, CornerRadius, Frame, Id, Key, Margin, Modifiers, Order, RichText, Role, ScrollArea, Sense,
    Stroke, TextEdit, WidgetInfo, vec2,
};

use super::cx::Cx;
use super::icons;
use super::shell_icon;
use super::theme::{DARK, LIGHT, Weight, font, radius, shadow, size, space};
use super::widgets::kbd;
use crate::app::Action;
use crate::app::{Command, Target, action};
use crate::dataset::Split;
use crate::project::ClassId;

/// What can be chosen.
enum Entry {
    Act(Action),
    Label(ClassId, String),
    Show(ClassId, String),
    Rename(ClassId, String),
    Delete(ClassId, String),
    Split(Option<Split>, &'static str),
}

/// Where images can be put.
const SPLITS: [(Option<Split>, &str); 4] = [
    (Some(Split::Train), "Put selection into training"),
    (Some(Split::Val), "Put selection into validation"),
    (Some(Split::Test), "Put selection into test"),
    (None, "Leave split of selection to Graft"),
];

/// Entries about classes, at most.
const MAX_OF_CLASSES: usize = 12;

/// The palette; closed at first.
#[derive(Default)]
pub struct Palette {
    query: Option<String>,
    chosen: usize,
    takes_focus: bool,
}

impl Palette {
    /// Whether it is shown.
    pub fn is_open(&self) -> bool {
        self.query.is_some()
    }

    /// Opens or closes it.
    pub fn toggle(&mut self) {
        self.query = if self.is_open() { None } else { Some(String::new()) };
        self.chosen = 0;
        self.takes_focus = true;
    }

    /// Draws it.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ctx: &Context) {
        let Some(mut query) = self.query.take() else { return };
        let entries = entries(&query, cx);
        self.chosen = self.chosen.min(entries.len().saturating_sub(1));
        let take = |key| ctx.input_mut(|i| i.consume_key(Modifiers::NONE, key));
        let (up, down, enter, escape) = (take(Key::ArrowUp), take(Key::ArrowDown), take(Key::Enter), take(Key::Escape));
        let toggled = ctx.input_mut(|i| i.consume_key(Modifiers::COMMAND, Key::K));
        if down && !entries.is_empty() {
            self.chosen = (self.chosen + 1) % entries.len();
        }
        if up && !entries.is_empty() {
            self.chosen = (self.chosen + entries.len() - 1) % entries.len();
        }
        let mut picked = enter.then_some(self.chosen);
        let t = if ctx.global_style().visuals.dark_mode { &DARK } else { &LIGHT };
        let whole = ctx.content_rect();
        let width = 560.0_f32.min(whole.width() - 32.0);
        // Behind it everything waits; a click there closes it.
        let beside =
            Area::new(Id::unique("palette backdrop")).order(Order::Middle).fixed_pos(whole.min).show(ctx, |ui| {
                ui.painter().rect_filled(whole, 0.0, t.backdrop.gamma_multiply(0.6));
                ui.allocate_rect(whole, Sense::click()).clicked()
            });
        let area =
            Area::new(Id::unique("palette")).order(Order::Foreground).anchor(Align2::CENTER_TOP, vec2(0.0, 72.0));
        area.show(ctx, |ui| {
            let frame = Frame::new()
                .fill(t.raised)
                .stroke(Stroke::new(1.0, t.border_control))
                .shadow(shadow(t))
                .corner_radius(CornerRadius::same(radius::DIALOG))
                .inner_margin(Margin::same(8));
            frame.show(ui, |ui| {
                ui.set_width(width - 16.0);
                let line = vec2(ui.available_width(), 36.0);
                let layout = eframe::egui::Layout::left_to_right(eframe::egui::Align::Center);
                ui.allocate_ui_with_layout(line, layout, |ui| {
                    ui.add_space(space::S);
                    ui.label(RichText::new(icons::MAGNIFYING_GLASS).font(icons::font(size::ICON)).color(t.text_weak));
                    let edit = TextEdit::singleline(&mut query)
                        .hint_text("Find a command")
                        .frame(Frame::NONE)
                        .font(font(size::TITLE, Weight::Regular))
                        .desired_width(f32::INFINITY)
                        .align(eframe::egui::Align2::LEFT_CENTER)
                        .margin(Margin::symmetric(4, 0))
                        .min_size(vec2(0.0, 36.0));
                    let response = ui.add(edit);
                    response.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, "Find a command"));
                    if std::mem::take(&mut self.takes_focus) || !response.has_focus() {
                        response.request_focus();
                    }
                    if response.changed() {
                        self.chosen = 0;
                    }
                });
                ui.painter().hline(ui.min_rect().x_range(), ui.min_rect().bottom(), Stroke::new(1.0, t.border));
                ui.add_space(space::S);
                ui.spacing_mut().item_spacing.y = 0.0;
                let height = (whole.height() - 240.0).clamp(120.0, 400.0);
                ScrollArea::vertical().max_height(height).min_scrolled_height(height).auto_shrink([false, true]).show(
                    ui,
                    |ui| {
                        for (i, entry) in entries.iter().enumerate() {
                            let is_chosen = i == self.chosen;
                            if entry_ui(ui, cx, entry, is_chosen, (up || down) && is_chosen) {
                                picked = Some(i);
                            }
                        }
                        if entries.is_empty() {
                            ui.add_space(space::M);
                            ui.vertical_centered(|ui| super::widgets::weak(ui, "No command is called that"));
                            ui.add_space(space::M);
                        }
                    },
                );
            });
        });
        if let Some(entry) = picked.and_then(|i| entries.get(i)) {
            match entry {
                Entry::Act(action) => cx.act(*action),
                Entry::Label(class, _) => cx.send(Command::Label { images: Target::Selection, class: Some(*class) }),
                Entry::Rename(class, _) => cx.send(Command::EditClassName(*class)),
                Entry::Delete(class, _) => cx.send(Command::AskDeleteClass(*class)),
                Entry::Split(split, _) => cx.send(Command::SetSplit(Target::Selection, *split)),
                Entry::Show(class, _) => {
                    cx.send(Command::SetFilter(crate::app::AppState::filter_of_class(*class)));
                    cx.send(Command::Go(crate::app::Place::Images));
                }
            }
            return;
        }
        if !escape && !beside.inner && !toggled {
            self.query = Some(query);
        }
    }
}

/// Actions that match, and what can be done with the classes.
fn entries(query: &str, cx: &Cx<'_>) -> Vec<Entry> {
    let mut found: Vec<Entry> = action::matching(query, cx.state).into_iter().map(Entry::Act).collect();
    let Some(project) = cx.project() else { return found };
    let words: Vec<String> = query.to_lowercase().split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return found;
    }
    let matches = |text: &str| words.iter().all(|w| text.to_lowercase().contains(w.as_str()));
    let has_target = !project.gallery.target().is_empty() && project.is_writable();
    let mut of_classes = Vec::new();
    for (id, class) in project.data.sorted_classes() {
        let label = format!("Label selection as {}", class.name);
        if has_target && matches(&label) {
            of_classes.push(Entry::Label(id, label));
        }
        let show = format!("Show images of {}", class.name);
        if matches(&show) {
            of_classes.push(Entry::Show(id, show));
        }
        if project.is_writable() {
            let (rename, delete) = (format!("Rename class {}…", class.name), format!("Delete class {}…", class.name));
            if matches(&rename) {
                of_classes.push(Entry::Rename(id, rename));
            }
            if matches(&delete) {
                of_classes.push(Entry::Delete(id, delete));
            }
        }
        if of_classes.len() >= MAX_OF_CLASSES {
            break;
        }
    }
    if has_target {
        found.extend(SPLITS.into_iter().filter(|(_, label)| matches(label)).map(|(s, label)| Entry::Split(s, label)));
    }
    of_classes.truncate(MAX_OF_CLASSES);
    found.extend(of_classes);
    found
}

fn entry_ui(ui: &mut eframe::egui::Ui, cx: &Cx<'_>, entry: &Entry, is_chosen: bool, scrolls: bool) -> bool {
    let t = super::theme::tokens(ui);
    let (icon, label, keys, reason) = match entry {
        Entry::Act(action) => {
            let keys = action.shortcut().map(|s| s.text());
            (shell_icon(*action), action.full_label(cx.state), keys, action.availability(cx.state).err())
        }
        Entry::Label(_, label) => (icons::TAG, label.clone(), None, None),
        Entry::Rename(_, label) => (icons::PENCIL_SIMPLE, label.clone(), None, None),
        Entry::Delete(_, label) => (icons::TRASH, label.clone(), None, None),
        Entry::Split(_, label) => (icons::TAG, (*label).to_owned(), None, None),
        Entry::Show(_, label) => (icons::FUNNEL, label.clone(), None, None),
    };
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 34.0), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Button, reason.is_none(), is_chosen, &label));
    if is_chosen || response.hovered() {
        let fill = if is_chosen { t.selected } else { t.hover };
        ui.painter().rect_filled(rect, CornerRadius::same(radius::CONTROL), fill);
    }
    if scrolls {
        response.scroll_to_me(None);
    }
    let colour = if reason.is_some() { t.text_faint } else { t.text_strong };
    let y = rect.center().y;
    let painter = ui.painter();
    painter.text(
        eframe::egui::pos2(rect.left() + 18.0, y),
        Align2::CENTER_CENTER,
        icon,
        icons::font(size::ICON),
        t.text_weak,
    );
    let text = painter.text(
        eframe::egui::pos2(rect.left() + 36.0, y),
        Align2::LEFT_CENTER,
        &label,
        font(size::BODY, Weight::Regular),
        colour,
    );
    let mut right = rect.right() - space::S;
    if let Some(keys) = keys {
        let place =
            eframe::egui::Rect::from_min_max(eframe::egui::pos2(rect.right() - 140.0, rect.top()), rect.right_bottom());
        let builder = eframe::egui::UiBuilder::new()
            .max_rect(place.shrink2(vec2(space::S, 0.0)))
            .layout(eframe::egui::Layout::right_to_left(eframe::egui::Align::Center));
        right = ui.scope_builder(builder, |ui| kbd(ui, &keys).rect.left()).inner - space::S;
    }
    if let Some(reason) = reason {
        let room = right - text.right() - space::L;
        let galley = ui.painter().layout_no_wrap(reason.to_owned(), font(size::SMALL, Weight::Regular), t.text_weak);
        if galley.size().x < room {
            ui.painter().galley(
                eframe::egui::pos2(right - galley.size().x, y - galley.size().y / 2.0),
                galley,
                t.text_weak,
            );
        }
    }
    response.clicked() && reason.is_none()
}
