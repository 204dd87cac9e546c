//! What stands around the map: what colours mean, what can be done, what is under the pointer.

use eframe::egui::{
    Align2, CornerRadius, Id, Pos2, Rect, Response, Role, ScrollArea, Sense, Ui, UiBuilder, WidgetInfo, pos2, vec2,
};

use super::colours::{Group, Painted, scale};
use crate::app::map::ColourBy;
use crate::app::{Action, Command, OpenProject, Target};
use crate::dataset::Split;
use crate::jobs::LaneKind;
use crate::project::ImageId;
use crate::ui::cx::{Cx, Fit};
use crate::ui::format::{images, thousands};
use crate::ui::icons;
use crate::ui::theme::{Theme, Weight, class_colour, height, radius, size, space, tokens};
use crate::ui::widgets as text;
use crate::ui::widgets::paint::{focus_ring, galley_in, line};
use crate::ui::widgets::scatter::{Scatter, beside};
use crate::ui::widgets::{
    Button, Tip, menu_button, menu_choice, percent, progress_bar, row_ends, segmented, select, tip,
};

/// Side of the thumbnail under the pointer, in points.
const THUMB: f32 = 144.0;
/// Below this width the choice of colours is a list.
const NARROW: f32 = 560.0;

pub(super) fn toolbar(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, plot: &mut Scatter) {
    let mut by = project.map.colour_by;
    let options = ColourBy::ALL.map(|by| (by, by.label()));
    let is_narrow = ui.available_width() < NARROW;
    let mut filter = project.gallery.filter.clone();
    row_ends(
        ui,
        |ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            if is_narrow {
                ui.set_max_width(140.0);
                select(ui, "Colour by", &mut by, &options);
            } else {
                text::caption(ui, "Colour by");
                segmented(ui, "Colour by", &mut by, &options);
            }
        },
        |ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            let again = Action::LayOutMap;
            let button = Button::icon_only(icons::ARROWS_CLOCKWISE, again.label()).tip(again.tooltip());
            if ui.add(button.availability(again.availability(cx.state))).clicked() {
                cx.act(again);
            }
            let fit = Action::FitMap;
            let button = Button::icon_only(icons::ARROWS_OUT, fit.label()).shortcut("Home");
            if ui.add(button.enabled(!plot.is_fitted())).clicked() {
                cx.act(fit);
            }
            let lasso =
                Button::icon_only(icons::POLYGON, "Lasso").tip("Draw around images to select them").shortcut("L");
            if ui.add(lasso.selected(plot.lassoes)).clicked() {
                plot.lassoes = !plot.lassoes;
            }
            super::super::toolbar::filter_menu(cx, ui, &mut filter);
        },
    );
    if !filter.is_empty() {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(space::S, space::XS);
            super::super::toolbar::chips(cx, ui, &mut filter);
        });
    }
    if by != project.map.colour_by {
        cx.send(Command::SetMapColour(by));
    }
    if filter != project.gallery.filter {
        cx.send(Command::SetFilter(filter));
    }
}

/// What the colours mean, with how many there are; a click shows only those.
pub(super) fn legend(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, painted: &Painted) {
    if project.map.colour_by == ColourBy::Confidence {
        return confidence_legend(ui, project, painted);
    }
    ScrollArea::horizontal().id_salt("legend").auto_shrink([false, true]).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            for group in &painted.groups {
                let is_on = group.filter.is_some_and(|only| only.is_on(&project.gallery.filter));
                if let (true, Some(only)) = (legend_item(ui, group, is_on).clicked(), group.filter) {
                    cx.send(Command::SetFilter(only.toggled(&project.gallery.filter)));
                }
            }
            if project.map.colour_by == ColourBy::Correctness && project.live.fit.is_some() {
                text::caption(ui, "Training images were learned from, so that nearly all of them are right.");
            }
        });
    });
}

/// A colour with its name and count, to be clicked where a filter can tell its images from others.
fn legend_item(ui: &mut Ui, group: &Group, is_on: bool) -> Response {
    let t = tokens(ui);
    let can = group.filter.is_some();
    let name = line(ui, &group.name, size::SMALL, Weight::Medium, t.text);
    let n = line(ui, &thousands(group.n), size::SMALL, Weight::Regular, t.text_weak);
    let width = 22.0 + name.size().x + space::XS + n.size().x + space::S;
    let sense = if can { Sense::click() } else { Sense::hover() };
    let (rect, response) = ui.allocate_exact_size(vec2(width, height::SMALL), sense);
    response.widget_info(|| match can {
        true => {
            let label = format!("Show only {}, {}", group.name, images(group.n));
            WidgetInfo::selected(Role::Button, true, is_on, label)
        }
        false => WidgetInfo::labeled(Role::Label, true, format!("{}, {}", group.name, images(group.n))),
    });
    let round = CornerRadius::same(radius::SMALL);
    if is_on {
        ui.painter().rect_filled(rect, round, t.selected);
    } else if can && response.hovered() {
        ui.painter().rect_filled(rect, round, t.hover);
    }
    focus_ring(ui, rect, round, &response);
    ui.painter().circle_filled(pos2(rect.left() + 12.0, rect.center().y), 4.5, group.colour);
    let after = rect.left() + 22.0 + name.size().x + space::XS;
    galley_in(ui, Align2::LEFT_CENTER, pos2(rect.left() + 22.0, rect.center().y), name, t.text);
    galley_in(ui, Align2::LEFT_CENTER, pos2(after, rect.center().y), n, t.text_weak);
    if can {
        let what = if is_on { "Show all again" } else { "Show only these" };
        tip(&response, Tip { text: what, shortcut: None });
    }
    response
}

fn confidence_legend(ui: &mut Ui, project: &OpenProject, painted: &Painted) {
    let n_without = painted.groups.iter().find(|g| g.filter.is_none() && g.name == "No answer yet").map_or(0, |g| g.n);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        ui.spacing_mut().interact_size.y = height::SMALL;
        if project.live.fit.is_none() {
            text::caption(ui, "There is no trained head yet: label images of two classes.");
            return;
        }
        text::caption(ui, "Unsure");
        let (rect, _) = ui.allocate_exact_size(vec2(120.0, 8.0), Sense::hover());
        let [unsure, sure] = scale(Theme::of(ui));
        let mut mesh = eframe::egui::Mesh::default();
        for (x, colour) in [(rect.left(), unsure), (rect.right(), sure)] {
            mesh.colored_vertex(pos2(x, rect.top()), colour);
            mesh.colored_vertex(pos2(x, rect.bottom()), colour);
        }
        mesh.add_triangle(0, 1, 2);
        mesh.add_triangle(1, 2, 3);
        ui.painter().add(mesh);
        text::caption(ui, "Sure");
        if n_without > 0 {
            text::caption(ui, &format!("{} without an answer yet", thousands(n_without)));
        }
    });
}

/// What the map is, how it came about, and what else can be done.
pub(super) fn notes(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, says_how: bool) {
    let map = &project.map;
    ui.spacing_mut().item_spacing.y = space::XXS;
    if let (Some(activity), true) = (cx.state.activity(LaneKind::Map).cloned(), map.is_under_way()) {
        let share = (activity.n_total > 0).then(|| activity.n_done as f32 / activity.n_total as f32);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            ui.allocate_ui(vec2(120.0, 16.0), |ui| progress_bar(ui, "Laying out the map", share));
            text::caption(ui, &format!("Finding a place for each image  ·  {}", percent(share.unwrap_or(0.0))));
            if ui.add(Button::new("Stop").label("Stop laying out the map").small().quiet()).clicked() {
                cx.send(Command::Cancel(LaneKind::Map));
            }
        });
    } else {
        let mut state = Vec::new();
        match map.n_laid_out() {
            _ if map.is_cancelled && !map.is_laid_out() => {
                state.push("The layout was stopped: this is a first sketch.".to_owned())
            }
            None => state.push("A first sketch while the images are being embedded.".to_owned()),
            Some(_) if !map.is_laid_out() => {
                state.push("There are few different images: this is a simple sketch.".to_owned())
            }
            Some(_) => {}
        }
        if map.n_placed > 0 {
            let (was, its) = if map.n_placed == 1 { ("was", "its") } else { ("were", "their") };
            state.push(format!("{} {was} added since and put among {its} likes.", images(map.n_placed)));
        }
        if map.n_left_out() > 0 {
            state.push(format!("{} could not be placed: the model gave no numbers.", images(map.n_left_out())));
        }
        let can = Action::LayOutMap.availability(cx.state).is_ok();
        if !state.is_empty() {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = space::S;
                ui.spacing_mut().interact_size.y = height::SMALL;
                text::small(ui, &state.join(" "));
                let is_of_use = map.n_placed > 0 || map.is_cancelled;
                if is_of_use && can && ui.add(Button::new("Lay out again").small()).clicked() {
                    cx.act(Action::LayOutMap);
                }
            });
        }
    }
    text::caption(
        ui,
        "Each dot is an image. Neighbours look alike to the model; how far apart separate groups lie means little.",
    );
    if says_how {
        text::caption(
            ui,
            "Drag to move, wheel or + and − to zoom, Shift+drag to select with a lasso, Ctrl+arrows to go from image to \
             image.",
        );
    }
}

/// What is under the pointer.
pub(super) fn hovered(cx: &mut Cx<'_>, ui: &Ui, project: &OpenProject, id: ImageId, at: Pos2) {
    let Some(image) = project.data.image(id) else { return };
    let name = image.rel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    beside(ui, Id::unique("map hover"), at, |ui| {
        ui.set_max_width(THUMB);
        ui.spacing_mut().item_spacing.y = space::XXS;
        let (rect, _) = ui.allocate_exact_size(vec2(THUMB, THUMB), Sense::hover());
        ui.painter().rect_filled(rect, f32::from(radius::SMALL), tokens(ui).sunken);
        cx.project_thumb_fit(ui, rect, id, Fit::Whole);
        text::one_line(ui, &name);
        let theme = Theme::of(ui);
        let class = image.class.and_then(|class| project.data.class(class));
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            match class {
                Some(class) => {
                    text::class_dot(ui, class_colour(usize::from(class.colour), theme));
                    text::small(ui, &if image.is_guessed { format!("{} ?", class.name) } else { class.name.clone() });
                }
                None => {
                    text::small(ui, "Unlabelled");
                }
            }
            if let Some(split) = project.live.split_of(id) {
                text::caption(ui, split_name(split));
            }
        });
        if let Some((predicted, confidence)) = project.live.prediction(id)
            && let Some(said) = project.data.class(predicted)
        {
            let is_wrong = image.class.is_some() && !image.is_guessed && image.class != Some(predicted);
            let verb = if is_wrong { "Head says instead" } else { "Head says" };
            text::caption(ui, &format!("{verb} {}, {}", said.name, percent(confidence)));
        }
    });
}

fn split_name(split: Split) -> &'static str {
    match split {
        Split::Train => "training",
        Split::Val => "validation",
        Split::Test => "test",
    }
}

/// What can be done with what is selected.
pub(super) fn selected(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, plot: Rect) {
    let n = project.gallery.selection.len();
    if n == 0 {
        return;
    }
    let t = tokens(ui);
    let id = Id::unique("map selection");
    let width = ui.data(|d| d.get_temp::<f32>(id)).unwrap_or(360.0);
    let corner = pos2(plot.center().x - width / 2.0, plot.bottom() - 42.0 - space::M);
    let bar = Rect::from_min_size(corner, vec2(width, 42.0));
    let mut ui = ui.new_child(UiBuilder::new().max_rect(bar.intersect(plot.shrink(space::XS))));
    let shown = eframe::egui::Frame::new()
        .fill(t.raised)
        .stroke(eframe::egui::Stroke::new(1.0, t.border_control))
        .shadow(crate::ui::theme::shadow(t))
        .corner_radius(CornerRadius::same(radius::CARD))
        .inner_margin(6)
        .show(&mut ui, |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = space::S;
                ui.add_space(space::XS);
                text::strong(ui, &format!("{} selected", images(n)));
                if project.is_writable() {
                    label_menu(cx, ui, project);
                }
                if ui.add(Button::new("Select none").quiet().shortcut("Esc")).clicked() {
                    cx.act(Action::SelectNone);
                }
            });
        });
    let found = shown.response.rect.width();
    if (found - width).abs() > 0.5 {
        ui.data_mut(|d| d.insert_temp(id, found));
        ui.ctx().request_repaint();
    }
}

fn label_menu(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    let button = Button::new("Label as").icon(icons::TAG).trailing_icon(icons::CARET_DOWN);
    menu_button(ui, button, |ui| {
        ScrollArea::vertical().max_height(260.0).show(ui, |ui| {
            for (i, (class_id, class)) in project.data.sorted_classes().into_iter().enumerate() {
                let text = if i < 9 { format!("{}  {}", i + 1, class.name) } else { class.name.clone() };
                if menu_choice(ui, &text, false).clicked() {
                    cx.send(Command::Label { images: Target::Selection, class: Some(class_id) });
                    ui.close();
                }
            }
            if menu_choice(ui, "0  No label", false).clicked() {
                cx.act(Action::Unlabel);
                ui.close();
            }
        });
    });
}
