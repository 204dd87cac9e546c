//! The list of classes: what there is of each, and everything that can be done with one.

use eframe::egui::{Id, Response, ScrollArea, Sense, Ui, vec2};

use super::Dragged;
use crate::app::gallery::{ClassFilter, Filter, Usable};
use crate::app::{Action, Command, Target};
use crate::project::{ClassId, N_COLOURS};
use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::theme::{Theme, class_colour, space};
use crate::ui::widgets as text;
use crate::ui::widgets::{
    Button, FieldEvent, ListRow, Question, confirm, list_row, menu_heading, menu_item, menu_item_danger,
    menu_separator, rename_field, row_ends,
};

/// Height of a row with the gap below it, in points.
const ROW: f32 = 29.0;

/// What the list remembers.
#[derive(Default)]
pub(super) struct ClassList {
    new_name: Option<String>,
    renaming: Option<(ClassId, String)>,
    deleting: Option<ClassId>,
    /// The class whose name is to be edited from the next frame on.
    begin_rename: Option<ClassId>,
    scrolls_to_new: bool,
    /// The class that was clicked last, and what was shown before: a second click renames it and is not to change what
    /// is shown.
    clicked: Option<(ClassId, Filter)>,
}

impl ClassList {
    pub(super) fn edit_new(&mut self) {
        self.new_name = Some(String::new());
        self.scrolls_to_new = true;
    }

    pub(super) fn rename(&mut self, id: ClassId) {
        self.begin_rename = Some(id);
    }

    /// Whether a name is being edited, or is about to be, or something is asked.
    pub(super) fn is_editing(&self) -> bool {
        self.new_name.is_some() || self.renaming.is_some() || self.begin_rename.is_some() || self.deleting.is_some()
    }

    pub(super) fn ask_delete(&mut self, id: ClassId) {
        self.deleting = Some(id);
    }

    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let Some(project) = cx.project() else { return };
        ui.spacing_mut().item_spacing.y = 1.0;
        let filter = &project.gallery.filter;
        let counts = &project.counts;
        let is_all = filter.class == ClassFilter::Any && filter.usable == Usable::Yes;
        let rows = [
            ("All images", icons::IMAGES, counts.n_images, is_all, Filter::default()),
            (
                "Unlabelled",
                icons::TAG,
                counts.n_unlabelled,
                filter.class == ClassFilter::Unlabelled,
                Filter { class: ClassFilter::Unlabelled, ..Filter::default() },
            ),
            (
                "Skipped",
                icons::WARNING,
                counts.n_skipped,
                filter.usable == Usable::Skipped,
                Filter { usable: Usable::Skipped, ..Filter::default() },
            ),
        ];
        for (name, icon, n, selected, wanted) in rows {
            if n == 0 && !selected && name != "All images" {
                continue;
            }
            let is_unlabelled = name == "Unlabelled";
            let row = ListRow { text: name, icon: Some(icon), count: Some(n), selected, ..ListRow::default() };
            let response = if is_unlabelled { self.target_row(cx, ui, row, None) } else { list_row(ui, row) };
            if response.clicked() {
                cx.send(Command::SetFilter(wanted));
            }
        }
        ui.add_space(space::M);
        let can_add = Action::AddClass.availability(cx.state);
        row_ends(
            ui,
            |ui| {
                ui.add_space(space::S);
                text::caption(ui, "Classes");
            },
            |ui| {
                let button = Button::icon_only(icons::PLUS, "Add class").small().availability(can_add);
                if ui.add(button).clicked() {
                    self.edit_new();
                }
            },
        );
        // Only what is in view is drawn: there may be thousands of classes.
        let classes = project.data.sorted_classes();
        let mut at = None;
        if let Some(id) = self.begin_rename.take()
            && let Some(position) = classes.iter().position(|(of, _)| *of == id)
        {
            self.renaming = Some((id, classes[position].1.name.clone()));
            at = Some(position as f32 * ROW);
        }
        let n_rows = classes.len() + usize::from(self.new_name.is_some());
        if n_rows == 0 && project.is_writable() {
            ui.add_space(space::XS);
            text::weak(ui, "Add a class with +, then select images and press its number.");
        }
        let scroll = ScrollArea::vertical().auto_shrink([false, false]);
        if std::mem::take(&mut self.scrolls_to_new) {
            at = Some(n_rows as f32 * ROW);
        }
        let scroll = match at {
            Some(at) => scroll.vertical_scroll_offset(at),
            None => scroll,
        };
        scroll.show_rows(ui, ROW - ui.spacing().item_spacing.y, n_rows, |ui, rows| {
            for i in rows {
                match classes.get(i) {
                    Some((id, _)) => {
                        let id = *id;
                        ui.push_id(id, |ui| self.class_row(cx, ui, i, id));
                    }
                    None => self.new_row(cx, ui),
                }
            }
        });
        self.ask(cx, ui);
    }

    fn class_row(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, position: usize, id: ClassId) {
        let Some(project) = cx.project() else { return };
        let Some(class) = project.data.class(id) else { return };
        if let Some((renaming, name)) = &mut self.renaming
            && *renaming == id
        {
            match rename_field(ui, Id::unique("rename class"), "Class name", name) {
                FieldEvent::Commit => {
                    cx.send(Command::RenameClass(id, name.clone()));
                    self.renaming = None;
                }
                FieldEvent::Cancel => self.renaming = None,
                _ => {}
            }
            return;
        }
        let digit = (position < 9).then(|| (position + 1).to_string());
        let selected = project.gallery.filter.class == ClassFilter::Is(id);
        let row = ListRow {
            text: &class.name,
            colour: Some(class_colour(usize::from(class.colour), Theme::of(ui))),
            count: Some(project.counts.of(id)),
            key: digit.as_deref().filter(|_| ui.available_width() > 170.0),
            selected,
            ..ListRow::default()
        };
        let response = self.target_row(cx, ui, row, Some(id));
        if response.double_clicked() {
            // The first click of the two has changed what is shown.
            if let Some((_, before)) = self.clicked.take().filter(|(of, _)| *of == id) {
                cx.send(Command::SetFilter(before));
            }
        } else if response.clicked() {
            self.clicked = Some((id, project.gallery.filter.clone()));
            let wanted = if selected { Filter::default() } else { crate::app::AppState::filter_of_class(id) };
            cx.send(Command::SetFilter(wanted));
        }
        if project.is_writable() {
            let f2 = ui.input(|i| i.key_pressed(eframe::egui::Key::F2)) && !ui.ctx().text_edit_focused();
            let has_focus = response.has_focus() || (selected && ui.memory(|m| m.focused().is_none()));
            if response.double_clicked() || (f2 && has_focus) {
                self.renaming = Some((id, class.name.clone()));
            }
            response.context_menu(|ui| self.menu(cx, ui, id));
        }
    }

    /// A row that takes images which are dragged onto it.
    fn target_row(&self, cx: &mut Cx<'_>, ui: &mut Ui, row: ListRow<'_>, class: Option<ClassId>) -> Response {
        // Whether something hovers is only known once the row is there: it shows a frame later.
        let id = ui.next_auto_id().with("drop");
        let was_target = ui.data(|d| d.get_temp::<bool>(id)).unwrap_or(false);
        let response = list_row(ui, ListRow { drop_target: was_target, ..row });
        let is_target = response.dnd_hover_payload::<Dragged>().is_some();
        if is_target != was_target {
            ui.data_mut(|d| d.insert_temp(id, is_target));
            ui.ctx().request_repaint();
        }
        if response.dnd_release_payload::<Dragged>().is_some() {
            cx.send(Command::Label { images: Target::Selection, class });
        }
        response
    }

    fn menu(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, id: ClassId) {
        let Some(project) = cx.project() else { return };
        let Some(class) = project.data.class(id) else { return };
        let n_selected = project.gallery.target().len();
        if n_selected > 0 {
            let label = format!("Label {} with it", crate::ui::format::images(n_selected));
            if menu_item(ui, icons::TAG, &label, None).clicked() {
                cx.send(Command::Label { images: Target::Selection, class: Some(id) });
                ui.close();
            }
        }
        if menu_item(ui, icons::PENCIL_SIMPLE, "Rename…", Some("F2")).clicked() {
            self.renaming = Some((id, class.name.clone()));
            ui.close();
        }
        let others: Vec<_> = project.data.sorted_classes().into_iter().filter(|(other, _)| *other != id).collect();
        if !others.is_empty() {
            ui.menu_button("Merge into…", |ui| {
                ScrollArea::vertical().max_height(320.0).show(ui, |ui| {
                    for (other, class) in others {
                        if menu_item(ui, "", &class.name, None).clicked() {
                            cx.send(Command::MergeClasses { from: id, into: other });
                            ui.close();
                        }
                    }
                });
            });
        }
        menu_separator(ui);
        menu_heading(ui, "Colour");
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
            ui.set_max_width(6.0 * 24.0);
            for colour in 0..N_COLOURS {
                let (rect, response) = ui.allocate_exact_size(vec2(20.0, 20.0), Sense::click());
                let fill = class_colour(colour, Theme::of(ui));
                ui.painter().circle_filled(rect.center(), if response.hovered() { 9.0 } else { 7.5 }, fill);
                if usize::from(class.colour) == colour {
                    let stroke = eframe::egui::Stroke::new(1.5, crate::ui::theme::tokens(ui).text_strong);
                    ui.painter().circle_stroke(rect.center(), 9.5, stroke);
                }
                response.widget_info(|| {
                    let label = format!("Colour {}", colour + 1);
                    eframe::egui::WidgetInfo::labeled(eframe::egui::Role::Button, true, label)
                });
                if response.clicked() {
                    cx.send(Command::RecolourClass(id, u8::try_from(colour).unwrap_or(0)));
                    ui.close();
                }
            }
        });
        menu_separator(ui);
        if menu_item_danger(ui, icons::TRASH, "Delete class…").clicked() {
            if project.counts.of(id) == 0 {
                cx.send(Command::DeleteClass(id));
            } else {
                self.deleting = Some(id);
            }
            ui.close();
        }
    }

    fn new_row(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let Some(name) = &mut self.new_name else { return };
        match rename_field(ui, Id::unique("new class"), "New class name", name) {
            FieldEvent::Commit => {
                if !name.trim().is_empty() {
                    cx.send(Command::AddClass(std::mem::take(name)));
                }
                self.new_name = None;
            }
            FieldEvent::Cancel => self.new_name = None,
            _ => {}
        }
    }

    fn ask(&mut self, cx: &mut Cx<'_>, ui: &Ui) {
        let Some(id) = self.deleting else { return };
        let Some((project, class)) = cx.project().and_then(|p| Some((p, p.data.class(id)?))) else {
            self.deleting = None;
            return;
        };
        let title = format!("Delete the class “{}”?", class.name);
        let n = project.counts.of(id);
        let text = format!(
            "{} {} label. The files stay, and undo brings everything back.",
            crate::ui::format::images(n),
            if n == 1 { "loses its" } else { "lose their" }
        );
        let question = Question { title: &title, text: &text, confirm: "Delete class", danger: true };
        if let Some(is_yes) = confirm(ui.ctx(), "delete class", question) {
            if is_yes {
                cx.send(Command::DeleteClass(id));
            }
            self.deleting = None;
        }
    }
}
