//! What stands above the gallery: filters, order, size.

use eframe::egui::{Slider, Ui, vec2};

use crate::app::gallery::{ClassFilter, Filter, SortBy, Usable};
use crate::app::{Action, Command};
use crate::dataset::Split;
use crate::project::ClassId;
use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::theme::{height, space};
use crate::ui::widgets as text;
use crate::ui::widgets::{Button, menu_button, menu_choice, menu_heading, menu_separator, search_field};

/// Sides of thumbnails in points.
pub(super) const TILE_SIZES: std::ops::RangeInclusive<f32> = 64.0..=256.0;

/// Width of the two menus beside the search with the longest name of an order, in points.
const MENUS_WIDTH: f32 = 310.0;
/// And where the order is not named.
const SHORT_MENUS_WIDTH: f32 = 190.0;
/// Width of the slider for their size, in points.
const SIZE_WIDTH: f32 = 104.0;

/// What the toolbar remembers: settings change when the pointer lets go, not at each of its steps.
#[derive(Default)]
pub(super) struct Toolbar {
    tile_size: Option<f32>,
}

impl Toolbar {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let Some(project) = cx.project() else { return };
        let mut filter = project.gallery.filter.clone();
        let sort = project.gallery.sort;
        // The first row never wraps: the search gives way, then the size of thumbnails goes.
        let room = ui.available_width();
        let (has_size, is_short) = (room > 560.0, room < 520.0);
        let menus = if is_short { SHORT_MENUS_WIDTH } else { MENUS_WIDTH };
        let search = (room - menus - if has_size { SIZE_WIDTH + space::L } else { 0.0 }).clamp(64.0, 200.0);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            ui.allocate_ui(vec2(search, height::CONTROL), |ui| {
                search_field(ui, "Find by name", &mut filter.text, "Find by name");
            });
            filter_menu(cx, ui, &mut filter);
            order_menu(cx, ui, sort, is_short);
            if has_size {
                ui.add_space((ui.available_width() - SIZE_WIDTH).max(0.0));
                self.size_ui(cx, ui);
            }
        });
        if !filter.is_empty() {
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing = vec2(space::S, space::XS);
                chips(cx, ui, &mut filter);
            });
        }
        if filter != project.gallery.filter {
            cx.send(Command::SetFilter(filter));
        }
    }

    fn size_ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let mut size = self.tile_size.unwrap_or(cx.state.settings.tile_px as f32);
        ui.spacing_mut().slider_width = SIZE_WIDTH;
        ui.spacing_mut().interact_size.y = height::CONTROL;
        let response =
            ui.add(Slider::new(&mut size, TILE_SIZES).show_value(false)).on_hover_text("Size of the thumbnails");
        response.widget_info(|| eframe::egui::WidgetInfo::slider(true, f64::from(size), "Size of the thumbnails"));
        if response.dragged() {
            self.tile_size = Some(size);
        } else if response.drag_stopped() || response.changed() {
            self.tile_size = None;
            cx.send(Command::SetTileSize(size));
        }
    }

    /// The size while the slider is being moved.
    pub(super) fn tile_size(&self) -> Option<f32> {
        self.tile_size
    }
}

fn order_menu(cx: &mut Cx<'_>, ui: &mut Ui, sort: SortBy, is_short: bool) {
    let label = if is_short { "Order".to_owned() } else { format!("Order: {}", sort.label().to_lowercase()) };
    let button = Button::new(&label).label("Order").quiet().trailing_icon(icons::CARET_DOWN);
    menu_button(ui, button, |ui| {
        for order in SortBy::ALL {
            if menu_choice(ui, order.label(), order == sort).clicked() {
                cx.send(Command::SetSort(order));
                ui.close();
            }
        }
    });
}

pub(super) fn filter_menu(cx: &mut Cx<'_>, ui: &mut Ui, filter: &mut Filter) {
    let button = Button::new("Filter").quiet().icon(icons::FUNNEL).trailing_icon(icons::CARET_DOWN);
    menu_button(ui, button, |ui| {
        let choice = |ui: &mut Ui, text: &str, is_chosen: bool| {
            let clicked = menu_choice(ui, text, is_chosen).clicked();
            if clicked {
                ui.close();
            }
            clicked
        };
        menu_heading(ui, "Split");
        for (split, name) in SPLITS {
            if choice(ui, name, filter.split == Some(split)) {
                filter.split = if filter.split == Some(split) { None } else { Some(split) };
            }
        }
        menu_separator(ui);
        menu_heading(ui, "Answer of the head");
        for (is_right, name) in [(true, "Right"), (false, "Wrong")] {
            if choice(ui, name, filter.is_right == Some(is_right)) {
                filter.is_right = if filter.is_right == Some(is_right) { None } else { Some(is_right) };
            }
        }
        if choice(ui, "Unknown", filter.is_unknown == Some(true)) {
            filter.is_unknown = if filter.is_unknown.is_some() { None } else { Some(true) };
        }
        let classes: Vec<(ClassId, String)> = cx
            .project()
            .map(|p| p.data.sorted_classes().into_iter().map(|(id, c)| (id, c.name.clone())).collect())
            .unwrap_or_default();
        if !classes.is_empty() {
            menu_separator(ui);
            menu_heading(ui, "Predicted class");
            eframe::egui::ScrollArea::vertical().max_height(220.0).show(ui, |ui| {
                for (id, name) in classes {
                    if choice(ui, &name, filter.predicted == Some(id)) {
                        filter.predicted = if filter.predicted == Some(id) { None } else { Some(id) };
                    }
                }
            });
        }
    });
}

const SPLITS: [(Split, &str); 3] = [(Split::Train, "Training"), (Split::Val, "Validation"), (Split::Test, "Test")];

/// What is filtered by, each with a cross.
pub(super) fn chips(cx: &mut Cx<'_>, ui: &mut Ui, filter: &mut Filter) {
    let name = |id: ClassId| {
        cx.project().and_then(|p| p.data.class(id)).map_or_else(|| "?".to_owned(), |class| class.name.clone())
    };
    let mut removed: Option<Filter> = None;
    let mut chip = |ui: &mut Ui, text: String, without: Filter| {
        let label = format!("Remove filter {text}");
        if ui.add(Button::new(&text).label(&label).small().selected(true).trailing_icon(icons::X)).clicked() {
            removed = Some(without);
        }
    };
    let now = filter.clone();
    match now.class {
        ClassFilter::Any => {}
        ClassFilter::Unlabelled => {
            chip(ui, "Unlabelled".to_owned(), Filter { class: ClassFilter::Any, ..now.clone() });
        }
        ClassFilter::Is(id) => chip(ui, name(id), Filter { class: ClassFilter::Any, ..now.clone() }),
    }
    if now.usable == Usable::Skipped {
        chip(ui, "Skipped".to_owned(), Filter { usable: Usable::Yes, ..now.clone() });
    }
    if let Some(split) = now.split {
        let text = SPLITS.iter().find(|(s, _)| *s == split).map_or("", |(_, name)| name);
        chip(ui, text.to_owned(), Filter { split: None, ..now.clone() });
    }
    if let Some(id) = now.predicted {
        chip(ui, format!("Predicted {}", name(id)), Filter { predicted: None, ..now.clone() });
    }
    if let Some(is_right) = now.is_right {
        let text = if is_right { "Right" } else { "Wrong" };
        chip(ui, text.to_owned(), Filter { is_right: None, ..now.clone() });
    }
    if now.is_unknown.is_some() {
        chip(ui, "Unknown".to_owned(), Filter { is_unknown: None, ..now.clone() });
    }
    if let Some(without) = removed {
        *filter = without;
    }
    if filter.usable == Usable::Skipped && ui.add(Button::new("Try again").small()).clicked() {
        cx.act(Action::RetrySkipped);
    }
    let n = cx.project().map_or(0, |p| p.gallery.visible.len());
    if !now.is_empty() {
        text::caption(ui, &crate::ui::format::images(n));
    }
}
