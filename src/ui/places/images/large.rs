//! One image, as large as there is room, with everything that is known of it.

use eframe::egui::{
    CentralPanel, Color32, Frame, Id, Margin, Panel, Pos2, Rect, ScrollArea, Sense, Ui, Vec2, pos2, vec2,
};

use crate::app::gallery::SelectOp;
use crate::app::{Command, Fit, OpenProject, Target};
use crate::dataset::Split;
use crate::jobs::Subject;
use crate::project::{ClassId, ImageId};
use crate::ui::cx::{Cx, contained};
use crate::ui::format;
use crate::ui::icons;
use crate::ui::made_from::MadeFrom;
use crate::ui::places::why;
use crate::ui::textures::ThumbState;
use crate::ui::theme::{Theme, class_colour, space, tokens};
use crate::ui::widgets as text;
use crate::ui::widgets::{
    Banner, Button, Meaning, icon_button, key_values, menu_button, menu_choice, probability_bar, row_ends, spinner_at,
};

/// Probabilities that are shown, at most.
const MAX_BARS: usize = 8;

/// Probabilities of an image, kept from frame to frame.
struct Probabilities {
    of: ImageId,
    fit: MadeFrom<Fit>,
    /// The largest first.
    values: Vec<(ClassId, f32)>,
}

/// What the view remembers.
#[derive(Default)]
pub(super) struct LargeView {
    id: Option<ImageId>,
    /// 1 is as large as fits.
    zoom: f32,
    /// Of the picture's centre, in points.
    pan: Vec2,
    probabilities: Option<Probabilities>,
    full_size: Option<Vec2>,
    heat: why::HeatOverlay,
}

impl LargeView {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, id: ImageId) {
        if self.id != Some(id) {
            *self = Self { id: Some(id), zoom: 1.0, ..Self::default() };
        }
        let t = tokens(ui);
        let width = if ui.available_width() < 640.0 { 200.0 } else { 272.0 };
        Panel::right("facts")
            .frame(Frame::new().fill(t.surface).inner_margin(Margin::same(14)))
            .resizable(false)
            .exact_size(width)
            .show(ui, |ui| {
                ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
                    // Beside the scroll bar, which lies over what it scrolls.
                    ui.set_max_width(ui.available_width() - 8.0);
                    self.facts(cx, ui, id);
                });
            });
        CentralPanel::default().frame(Frame::new().fill(t.canvas)).show(ui, |ui| {
            self.picture(cx, ui, id);
        });
    }

    fn picture(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, id: ImageId) {
        let rect = ui.max_rect();
        let response = ui.interact(rect, Id::unique("large picture"), Sense::click_and_drag());
        let place = rect.shrink(space::L);
        let px = (place.width().max(place.height()) * ui.ctx().pixels_per_point() * self.zoom.max(1.0)) as u32;
        match cx.large(id, px.clamp(256, 4096).next_power_of_two()) {
            Some(ThumbState::Ready(picture)) => {
                let full = picture.full_size_px();
                self.full_size = Some(full);
                // A small picture is shown at twice its size at most, until one zooms.
                let fit = contained(full, place);
                let limit = full * 2.0 / ui.ctx().pixels_per_point();
                let base = if fit.width() > limit.x { Rect::from_center_size(place.center(), limit) } else { fit };
                let at = Rect::from_center_size(base.center() + self.pan, base.size() * self.zoom);
                let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
                ui.painter().with_clip_rect(rect).image(picture.texture.id(), at, uv, Color32::WHITE);
                if let Some(map) = why::map_shown(cx.state, &Subject::Image(id)) {
                    self.heat.draw(ui, at, rect, map);
                }
                self.zoom_and_pan(ui, &response, base.center());
            }
            Some(ThumbState::Failed(reason)) => {
                let reason = reason.to_string();
                let place = Rect::from_center_size(rect.center(), vec2(360.0_f32.min(rect.width() - 32.0), 80.0));
                ui.scope_builder(eframe::egui::UiBuilder::new().max_rect(place), |ui| {
                    Banner::new(Meaning::Warning, "This file cannot be shown").text(&reason).show(ui);
                });
            }
            Some(ThumbState::Loading) | None => spinner_at(ui, rect.center(), 12.0),
        }
        let bar = Rect::from_min_max(
            rect.left_top() + vec2(space::S, space::S),
            pos2(rect.right() - space::S, rect.top() + 40.0),
        );
        ui.scope_builder(eframe::egui::UiBuilder::new().max_rect(bar), |ui| self.bar(cx, ui, id));
    }

    fn zoom_and_pan(&mut self, ui: &Ui, response: &eframe::egui::Response, centre: Pos2) {
        if response.dragged() {
            self.pan += response.drag_delta();
        }
        if response.double_clicked() {
            (self.zoom, self.pan) = if self.zoom == 1.0 { (3.0, Vec2::ZERO) } else { (1.0, Vec2::ZERO) };
        }
        if let Some(pointer) = response.hover_pos() {
            let (scroll, pinch) = ui.input(|i| (i.smooth_scroll_delta().y, i.zoom_delta()));
            let factor = pinch * (scroll / 240.0).exp();
            if factor != 1.0 {
                self.zoom_by(factor, pointer - centre);
            }
        }
    }

    /// What is under `anchor`, from the centre, stays there.
    fn zoom_by(&mut self, factor: f32, anchor: Vec2) {
        let zoom = (self.zoom * factor).clamp(0.5, 24.0);
        self.pan = anchor - (anchor - self.pan) * (zoom / self.zoom);
        self.zoom = zoom;
        if (0.95..1.05).contains(&self.zoom) && factor < 1.0 {
            (self.zoom, self.pan) = (1.0, Vec2::ZERO);
        }
    }

    fn bar(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, id: ImageId) {
        let (mut wanted, mut zoom) = (None, 1.0);
        let mut is_back = false;
        row_ends(
            ui,
            |ui| is_back = ui.add(Button::new("Back").icon(icons::ARROW_LEFT).shortcut("Esc")).clicked(),
            |ui| {
                if icon_button(ui, icons::CARET_RIGHT, "Next image").clicked() {
                    wanted = Some(1);
                }
                if icon_button(ui, icons::CARET_LEFT, "Previous image").clicked() {
                    wanted = Some(-1);
                }
                if let Some(project) = cx.project()
                    && let Some(at) = project.gallery.position(id)
                {
                    let n = project.gallery.visible.len();
                    text::caption(ui, &format!("{} of {}", format::thousands(at + 1), format::thousands(n)));
                }
                if icon_button(ui, icons::MAGNIFYING_GLASS_PLUS, "Zoom in").clicked() {
                    zoom = 1.5;
                }
                if icon_button(ui, icons::MAGNIFYING_GLASS_MINUS, "Zoom out").clicked() {
                    zoom = 1.0 / 1.5;
                }
            },
        );
        if zoom != 1.0 {
            self.zoom_by(zoom, Vec2::ZERO);
        }
        if let Some(by) = wanted {
            cx.send(Command::Select(SelectOp::Move { by, extend: false }));
        }
        if is_back {
            cx.send(Command::Look(None));
        }
    }

    fn facts(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, id: ImageId) {
        let Some(project) = cx.project() else { return };
        let Some(image) = project.data.image(id) else { return };
        let path = project.data.path(id).unwrap_or_default();
        ui.spacing_mut().item_spacing.y = space::S;
        text::title(ui, &path.file_name().unwrap_or_default().to_string_lossy());
        if let Some(reason) = &image.skipped {
            Banner::new(Meaning::Warning, "Not used").text(reason).show(ui);
        }
        self.label(cx, ui, project, id);
        ui.add_space(space::S);
        text::strong(ui, "Answer of the head");
        self.answer(cx, ui, project, id);
        ui.add_space(space::XS);
        let likely: Vec<ClassId> = self.probabilities.iter().flat_map(|p| p.values.iter().map(|(c, _)| *c)).collect();
        let asked = why::Asked { subject: &Subject::Image(id), answer: likely.first().copied(), classes: &likely };
        why::panel_ui(cx, ui, project, &asked);
        ui.add_space(space::S);
        text::strong(ui, "Facts");
        let folder = path.parent().map(crate::ui::format::path).unwrap_or_default();
        let size = self.full_size.map_or_else(String::new, |s| format!("{:.0} × {:.0} px", s.x, s.y));
        let split = match (image.split, project.live.split_of(id)) {
            (Some(split), _) => format!("{} (given)", split_name(split)),
            (None, Some(split)) => split_name(split).to_owned(),
            (None, None) => "not used yet".to_owned(),
        };
        let hash = image.hash.map(|h| h[..4].iter().map(|b| format!("{b:02x}")).collect::<String>());
        let rows = [
            ("Size", size.as_str()),
            ("Split", split.as_str()),
            ("Content", hash.as_deref().unwrap_or("not read yet")),
        ];
        key_values(ui, &rows);
        text::caption(ui, "Folder");
        text::selectable(ui, &folder);
        for duplicate in project.live.duplicates().iter().filter(|d| d.id == id) {
            let of = project.data.path(duplicate.of).unwrap_or_default();
            let name = of.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let title =
                if duplicate.is_conflict { "The same picture has another label" } else { "Repeats another picture" };
            Banner::new(Meaning::Warning, title).text(&name).show(ui);
        }
    }

    fn label(&self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, id: ImageId) {
        let now = project.data.image(id).and_then(|i| i.class);
        let name = now.and_then(|c| project.data.class(c)).map_or("Unlabelled", |c| c.name.as_str());
        let button = Button::new(name).label("Label").icon(icons::TAG).trailing_icon(icons::CARET_UP_DOWN).fill_width();
        if !project.is_writable() {
            text::body(ui, name);
            return;
        }
        menu_button(ui, button, |ui| {
            ScrollArea::vertical().max_height(360.0).show(ui, |ui| {
                for (i, (class_id, class)) in project.data.sorted_classes().into_iter().enumerate() {
                    let text = if i < 9 { format!("{}  {}", i + 1, class.name) } else { class.name.clone() };
                    if menu_choice(ui, &text, now == Some(class_id)).clicked() {
                        cx.send(Command::Label { images: Target::Images(vec![id]), class: Some(class_id) });
                        ui.close();
                    }
                }
                if now.is_some() && menu_choice(ui, "0  No label", false).clicked() {
                    cx.send(Command::Label { images: Target::Images(vec![id]), class: None });
                    ui.close();
                }
            });
        });
    }

    fn answer(&mut self, cx: &Cx<'_>, ui: &mut Ui, project: &OpenProject, id: ImageId) {
        let Some(fit) = &project.live.fit else {
            text::weak(ui, "There is no trained head yet.");
            return;
        };
        let is_known = self.probabilities.as_ref().is_some_and(|p| p.of == id && p.fit.is(Some(fit)));
        if !is_known {
            let values = probabilities(cx, project, fit, id);
            self.probabilities = values.map(|values| Probabilities { of: id, fit: MadeFrom::new(Some(fit)), values });
        }
        let Some(Probabilities { values: probabilities, .. }) = &self.probabilities else {
            text::weak(ui, "This image has not been embedded yet.");
            return;
        };
        let own = project.data.image(id).and_then(|i| i.class);
        for (i, (class, p)) in probabilities.iter().take(MAX_BARS).enumerate() {
            let Some(class_of) = project.data.class(*class) else { continue };
            let colour = class_colour(usize::from(class_of.colour), Theme::of(ui));
            probability_bar(ui, &class_of.name, colour, *p, i == 0);
        }
        let top = probabilities.first();
        let answer = project.live.answer(id);
        if let Some(why) = answer.and_then(|a| project.live.rule().why(a.confidence, a.distance())) {
            text::caption(ui, &why);
        } else if own.is_some() && top.is_some_and(|(class, _)| Some(*class) != own) {
            text::caption(ui, "The head disagrees with the label.");
        }
        if project.live.split_of(id) == Some(Split::Train) {
            text::caption(ui, "It was trained on this image, so that it is surer than on a new one.");
        }
    }
}

/// Calibrated probabilities of an image, the largest first.
fn probabilities(cx: &Cx<'_>, project: &OpenProject, fit: &Fit, id: ImageId) -> Option<Vec<(ClassId, f32)>> {
    let row = project.live.row(id)?;
    let space = fit.head()?.judged.trained.head.space();
    let embeddings = cx.table.select_in(project.live.epoch, &[row], space)?;
    let row = fit.head()?.judged.trained.head.probabilities(&embeddings).ok()?;
    let mut all: Vec<_> = fit.class_ids().iter().copied().zip(row.iter().copied()).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    Some(all)
}

fn split_name(split: Split) -> &'static str {
    match split {
        Split::Train => "Training",
        Split::Val => "Validation",
        Split::Test => "Test",
    }
}
