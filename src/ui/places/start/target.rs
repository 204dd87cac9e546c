//! Where to drop things, and the buttons that do the same.

use std::f32::consts::{FRAC_PI_2, PI};

use eframe::egui::{
    Align, Align2, Layout, Pos2, Rect, Role, Sense, Shape, Stroke, Ui, UiBuilder, WidgetInfo, pos2, vec2,
};

use crate::app::Action;
use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::theme::{radius, space, tokens};
use crate::ui::widgets::{self, Button, Kind};

/// Height of the area in points.
pub const HEIGHT: f32 = 226.0;

/// Draws the area. For somebody new the first step is the sample, so that no button here is the primary one.
pub fn ui(cx: &mut Cx<'_>, ui: &mut Ui, is_new: bool) {
    let t = tokens(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Region, true, "Drop a folder of images here"));
    let is_over = cx.state.hover.is_some();
    let (fill, line) = if is_over { (t.accent.tint, t.accent.solid) } else { (t.surface, t.neutral.solid) };
    ui.painter().rect_filled(rect, radius::DIALOG, fill);
    let outline = rounded(rect.shrink(0.75), f32::from(radius::DIALOG));
    ui.painter().extend(Shape::dashed_line(&outline, Stroke::new(1.25, line), 6.0, 5.0));
    let inside = rect.shrink(space::L);
    let layout = Layout::top_down(Align::Center);
    // On top of the area: what follows goes below the area, not below this.
    let mut content = ui.new_child(UiBuilder::new().max_rect(inside).layout(layout));
    let ui = &mut content;
    ui.spacing_mut().item_spacing.y = space::XS;
    ui.add_space(space::M);
    let (disc, _) = ui.allocate_exact_size(vec2(56.0, 56.0), Sense::hover());
    ui.painter().circle_filled(disc.center(), 28.0, t.accent.tint);
    let font = icons::font(28.0);
    ui.painter().text(disc.center(), Align2::CENTER_CENTER, icons::IMAGES_SQUARE, font, t.accent.text);
    ui.add_space(space::S);
    widgets::title(ui, "Drop a folder of images here");
    widgets::weak(ui, "One folder a class. Loose images, an ONNX model or a project work too.");
    ui.add_space(space::M);
    buttons(cx, ui, is_new);
}

fn buttons(cx: &mut Cx<'_>, ui: &mut Ui, is_new: bool) {
    let actions = [
        (Action::AddFolder, icons::FOLDER_PLUS),
        (Action::OpenProject, icons::FOLDER_OPEN),
        (Action::NewProject, icons::PLUS),
    ];
    let (gap, id) = (space::S, ui.scope_id().with("width of the buttons"));
    // Centred by what they needed in the frame before.
    let room = ui.available_width();
    let wanted = ui.data(|d| d.get_temp::<f32>(id)).unwrap_or(room).min(room);
    let used = ui.allocate_ui_with_layout(
        vec2(wanted, 36.0),
        Layout::left_to_right(Align::Center).with_main_wrap(true),
        |ui| {
            ui.spacing_mut().item_spacing = vec2(gap, gap);
            for (i, (action, icon)) in actions.into_iter().enumerate() {
                let kind = if i == 0 && !is_new { Kind::Primary } else { Kind::Secondary };
                let shortcut = action.shortcut().map(|s| s.text()).unwrap_or_default();
                let button = Button::new(action.label()).icon(icon).kind(kind).large().tip(action.tooltip());
                if ui.add(button.shortcut(&shortcut)).clicked() {
                    cx.act(action);
                }
            }
            ui.min_rect().width()
        },
    );
    if (used.inner - wanted).abs() > 0.5 && used.inner < room {
        ui.data_mut(|d| d.insert_temp(id, used.inner));
        ui.ctx().request_discard("the buttons are centred");
    }
}

/// The outline of a rectangle with round corners, closed.
fn rounded(rect: Rect, radius: f32) -> Vec<Pos2> {
    const N: usize = 6;
    let inner = rect.shrink(radius);
    let corners = [
        (inner.right_top(), -FRAC_PI_2),
        (inner.right_bottom(), 0.0),
        (inner.left_bottom(), FRAC_PI_2),
        (inner.left_top(), PI),
    ];
    let mut points = Vec::with_capacity(4 * (N + 1) + 1);
    for (centre, from) in corners {
        for i in 0..=N {
            let angle = from + FRAC_PI_2 * i as f32 / N as f32;
            points.push(pos2(centre.x + radius * angle.cos(), centre.y + radius * angle.sin()));
        }
    }
    points.extend(points.first().copied());
    points
}
