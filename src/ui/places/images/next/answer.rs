//! The classes with their keys, and what else can be done with the image that is asked.

use eframe::egui::{Id, Key, Modifiers, Ui};

use crate::app::{Command, NextCommand, OpenProject};
use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::theme::{Theme, class_colour, space};
use crate::ui::widgets as text;
use crate::ui::widgets::{Button, Field, FieldEvent, ListRow, list_row, probability_bar, toggle};

/// Classes that are listed without being looked for.
const MAX_LISTED: usize = 9;

/// What the panel remembers.
#[derive(Default)]
pub(super) struct AnswerPanel {
    /// What is typed to find a class, or to make one.
    needle: String,
}

impl AnswerPanel {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        ui.spacing_mut().item_spacing.y = space::XS;
        let classes = project.data.sorted_classes();
        text::strong(ui, if classes.is_empty() { "Name the first class" } else { "Label as" });
        if classes.is_empty() {
            text::weak(ui, "Type what the image shows, and press Enter.");
        }
        if project.is_writable() {
            self.find(cx, ui, project);
        }
        let needle = self.needle.trim().to_lowercase();
        let found: Vec<_> =
            classes.iter().enumerate().filter(|(_, (_, class))| class.name.to_lowercase().contains(&needle)).collect();
        let n_found = found.len();
        let listed = if needle.is_empty() { MAX_LISTED } else { 2 * MAX_LISTED };
        for (position, (id, class)) in found.into_iter().take(listed) {
            let key = (*position_key(position)).to_owned();
            let row = ListRow {
                text: &class.name,
                colour: Some(class_colour(usize::from(class.colour), Theme::of(ui))),
                count: Some(project.counts.of(*id)),
                key: (!key.is_empty()).then_some(key.as_str()),
                ..ListRow::default()
            };
            let response = list_row(ui, row);
            if response.clicked() && project.is_writable() {
                response.surrender_focus();
                self.needle.clear();
                cx.send(Command::Next(NextCommand::Label(*id)));
            }
        }
        if n_found > listed {
            text::caption(ui, &format!("{} more: type to find them.", n_found - listed));
        } else if n_found == 0 && !needle.is_empty() {
            text::caption(ui, &format!("Enter makes the class “{}”.", self.needle.trim()));
        }
        ui.add_space(space::S);
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = eframe::egui::vec2(space::XS, space::XS);
            let later = Button::new("Later").icon(icons::CARET_RIGHT).shortcut("S").tip("Ask it after all others");
            if ui.add(later).clicked() {
                cx.send(Command::Next(NextCommand::Later));
            }
            let can = if project.next.can_go_back() { Ok(()) } else { Err("Nothing has been labelled here yet") };
            let back = Button::new("Back")
                .icon(icons::ARROW_COUNTER_CLOCKWISE)
                .shortcut("Backspace")
                .availability(can)
                .tip("Take the last label off again, and ask that image anew");
            if ui.add(back).clicked() {
                cx.send(Command::Next(NextCommand::Back));
            }
        });
        self.guess(cx, ui, project);
    }

    fn find(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let is_typing = ui.ctx().text_edit_focused();
        let wants = !is_typing && ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::Slash));
        let id = Id::unique("find a class to label with");
        let (event, response) = Field::new("Find or add a class")
            .hint("Find or add  ( / )")
            .icon(icons::MAGNIFYING_GLASS)
            .id(id)
            .focus(wants)
            .show(ui, &mut self.needle);
        match event {
            FieldEvent::Commit if ui.input(|i| i.key_pressed(Key::Enter)) => {
                let needle = self.needle.trim().to_owned();
                if let Some(name) = meant(project, &needle) {
                    cx.send(Command::Next(NextCommand::Name(name)));
                    self.needle.clear();
                }
                response.surrender_focus();
            }
            FieldEvent::Cancel => self.needle.clear(),
            _ => {}
        }
    }

    /// What the head says: hidden until it is asked for, since one agrees too easily with what one has been told.
    fn guess(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let mut on = project.next.shows_guess;
        let words = if ui.available_width() < 220.0 { "Show its guess (G)" } else { "Show the head's guess (G)" };
        let response = toggle(ui, &mut on, words);
        if response.changed() {
            cx.send(Command::Next(NextCommand::ShowGuess(on)));
        }
        response.on_hover_text("Hidden at first: one agrees too easily with what one has been told");
        if !project.next.shows_guess {
            return;
        }
        let likely = project.next.current().map(|asked| asked.likely.clone()).unwrap_or_default();
        if likely.is_empty() {
            text::caption(ui, "There is no guess of this image yet.");
        }
        for (i, (class, p)) in likely.into_iter().enumerate() {
            let Some(class) = project.data.class(class) else { continue };
            let colour = class_colour(usize::from(class.colour), Theme::of(ui));
            probability_bar(ui, &class.name, colour, p, i == 0);
        }
    }
}

fn position_key(position: usize) -> &'static &'static str {
    const KEYS: [&str; 10] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", ""];
    &KEYS[position.min(9)]
}

/// The class that is meant by what was typed: the one of that name, else the first that contains it, else a new one.
fn meant(project: &OpenProject, needle: &str) -> Option<String> {
    if needle.is_empty() {
        return None;
    }
    let lower = needle.to_lowercase();
    let classes = project.data.sorted_classes();
    let name = |holds: &dyn Fn(&str) -> bool| {
        classes.iter().find(|(_, class)| holds(&class.name.to_lowercase())).map(|(_, class)| class.name.clone())
    };
    let found = name(&|name| name == lower).or_else(|| name(&|name| name.starts_with(&lower)));
    Some(found.or_else(|| name(&|name| name.contains(&lower))).unwrap_or_else(|| needle.to_owned()))
}
