//! The rail: the project's name, the places, and what concerns all of them.

use eframe::egui::{Align, Layout, Ui};

use crate::app::{Action, Command, Place};
use crate::ui::cx::Cx;
use crate::ui::format::thousands;
use crate::ui::icons;
use crate::ui::theme::space;
use crate::ui::widgets::{
    Button, Meaning, RailItem, icon_button, menu_button, menu_item, menu_separator, percent, rail_item,
};

pub(super) fn rail_ui(cx: &mut Cx<'_>, ui: &mut Ui) {
    ui.spacing_mut().item_spacing.y = space::XXS;
    let is_narrow = ui.available_width() < 100.0;
    project_menu(cx, ui, is_narrow);
    ui.add_space(space::M);
    for place in Place::ALL {
        let action = Action::go(place);
        let is_open = action.availability(cx.state).is_ok();
        let shortcut = action.shortcut().map(|s| s.text());
        let (icon, badge, dot) = about(cx, place);
        let item = RailItem {
            icon,
            icon_selected: icon,
            // Without a project it leads to the start screen.
            label: if place == Place::Images && cx.project().is_none() { "Start" } else { place.label() },
            selected: cx.state.place == place,
            badge: badge.as_deref(),
            dot,
            shortcut: shortcut.as_deref(),
        };
        let response = ui.add_enabled_ui(is_open, |ui| rail_item(ui, item)).inner;
        if response.clicked() {
            cx.send(Command::Go(place));
        }
    }
    // In a low window there is no room below the places; keys and the palette do the same.
    if ui.available_height() < if is_narrow { 96.0 } else { 32.0 } {
        return;
    }
    ui.with_layout(Layout::bottom_up(Align::Min), |ui| {
        ui.spacing_mut().item_spacing = eframe::egui::vec2(space::XXS, space::XXS);
        let inner = |ui: &mut Ui, cx: &mut Cx<'_>| {
            let is_dark = ui.visuals().dark_mode;
            let icon = if is_dark { icons::SUN } else { icons::MOON };
            if icon_button(ui, icon, if is_dark { "Switch to light" } else { "Switch to dark" }).clicked() {
                cx.act(Action::ToggleTheme);
            }
            let keys = Action::Palette.shortcut().map(|s| s.text()).unwrap_or_default();
            let button = Button::icon_only(icons::COMMAND, "Command palette").shortcut(&keys);
            if ui.add(button).clicked() {
                cx.act(Action::Palette);
            }
            if icon_button(ui, icons::KEYBOARD, "Keyboard shortcuts").clicked() {
                cx.act(Action::Shortcuts);
            }
        };
        if is_narrow {
            inner(ui, cx);
        } else {
            ui.horizontal(|ui| inner(ui, cx));
        }
    });
}

fn project_menu(cx: &mut Cx<'_>, ui: &mut Ui, is_narrow: bool) {
    let name = cx.project().map_or_else(|| "Graft".to_owned(), |p| p.name());
    let button = if is_narrow {
        Button::icon_only(icons::FOLDER_OPEN, "Project menu")
    } else {
        let room = ui.available_width();
        let button = Button::new(&name).label("Project menu").max_width(room).quiet();
        button.icon(icons::FOLDER_OPEN).trailing_icon(icons::CARET_DOWN)
    };
    let groups = [
        &[Action::NewProject, Action::OpenProject, Action::SaveCopy][..],
        &[Action::AddFolder, Action::AddFiles, Action::TypePath],
        &[Action::CloseProject],
    ];
    menu_button(ui, button, |ui| {
        for (i, group) in groups.into_iter().enumerate() {
            if i > 0 {
                menu_separator(ui);
            }
            for &action in group {
                let keys = action.shortcut().map(|s| s.text());
                let is_on = action.availability(cx.state).is_ok();
                let item =
                    ui.add_enabled_ui(is_on, |ui| menu_item(ui, icon_of(action), action.label(), keys.as_deref()));
                if item.inner.clicked() {
                    cx.act(action);
                    ui.close();
                }
            }
        }
    });
    ui.add_space(space::XXS);
    ui.horizontal(|ui| {
        if !is_narrow {
            ui.add_space(space::XXS);
        }
        for action in [Action::Undo, Action::Redo] {
            let label = action.full_label(cx.state);
            let keys = action.shortcut().map(|s| s.text()).unwrap_or_default();
            let button = Button::icon_only(icon_of(action), action.label())
                .tip(&label)
                .shortcut(&keys)
                .availability(action.availability(cx.state))
                .small();
            if ui.add(button).clicked() {
                cx.act(action);
            }
            if is_narrow {
                break;
            }
        }
    });
}

/// The icon of a place, the figure that matters there, and whether something is to be seen to.
fn about(cx: &Cx<'_>, place: Place) -> (&'static str, Option<String>, Option<Meaning>) {
    let Some(project) = cx.project() else {
        return (place_icon(place), None, None);
    };
    match place {
        Place::Images => {
            let is_missing = !project.missing_roots.is_empty();
            (place_icon(place), Some(thousands(project.counts.n_images)), is_missing.then_some(Meaning::Warning))
        }
        Place::Train => {
            let figures = project.live.shown_figures(project.data.settings.head);
            // Of a handful of images a figure without its interval would mislead.
            let report = figures.and_then(|f| f.val).filter(|report| report.n_rows >= 10);
            let accuracy = report.map(|report| percent(report.accuracy.value as f32));
            (place_icon(place), accuracy, project.live.fit_error.is_some().then_some(Meaning::Negative))
        }
        _ => (place_icon(place), None, None),
    }
}

pub(in crate::ui) fn place_icon(place: Place) -> &'static str {
    match place {
        Place::Model => icons::CUBE,
        Place::Images => icons::IMAGES,
        Place::Train => icons::GRADUATION_CAP,
        Place::Evaluate => icons::TARGET,
        Place::ZeroShot => icons::TAG,
        Place::Export => icons::EXPORT,
    }
}

/// The icon of an action; empty for those that need none.
pub(in crate::ui) fn icon_of(action: Action) -> &'static str {
    match action {
        Action::Undo => icons::ARROW_U_UP_LEFT,
        Action::Redo => icons::ARROW_U_UP_RIGHT,
        Action::NewProject | Action::AddClass => icons::PLUS,
        Action::OpenProject
        | Action::AddFolder
        | Action::PredictFolder
        | Action::TestStrangers
        | Action::OpenExportFolder => icons::FOLDER_OPEN,
        Action::SaveCopy => icons::COPY,
        Action::AddFiles | Action::PredictFiles => icons::IMAGE,
        Action::TypePath => icons::KEYBOARD,
        Action::CloseProject => icons::X,
        Action::TrySample => icons::SPARKLE,
        Action::Remove => icons::TRASH,
        Action::Export | Action::ExportZeroShot => icons::EXPORT,
        Action::ImportModel => icons::DOWNLOAD_SIMPLE,
        Action::GoModel => icons::CUBE,
        Action::GoImages => icons::IMAGES,
        Action::GoTrain => icons::GRADUATION_CAP,
        Action::GoEvaluate => icons::TARGET,
        Action::GoZeroShot => icons::TAG,
        Action::GoExport => icons::EXPORT,
        _ => "",
    }
}
