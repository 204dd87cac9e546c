//! The grid of thumbnails. Only what is in view is drawn, so that 100,000 images cost no more than a hundred.

use eframe::egui::{
    Align2, Color32, CornerRadius, Id, PointerButton, Pos2, Rect, Response, Role, ScrollArea, Sense, Stroke,
    StrokeKind, Ui, WidgetInfo, pos2, vec2,
};

use super::Dragged;
use super::toolbar::TILE_SIZES;
use crate::app::gallery::{Filter, SelectOp, SortBy};
use crate::app::{Action, Command, OpenProject, Target};
use crate::dataset::Split;
use crate::jobs::Session;
use crate::project::{ClassId, ImageId};
use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::shell::columns_id;
use crate::ui::theme::{Theme, Weight, class_colour, font, radius, size, space, tokens};
use crate::ui::widgets::{menu_choice, menu_heading, menu_item, menu_item_danger, menu_separator, percent};

/// Distance between tiles in points.
const GAP: f32 = 8.0;
/// Height of the line below a thumbnail in points.
const LINE: f32 = 18.0;
/// Around all tiles, in points.
const MARGIN: f32 = 12.0;
/// Rows above and below the view whose thumbnails are made beforehand.
const ROWS_AHEAD: usize = 4;

/// What the grid remembers.
#[derive(Default)]
pub(super) struct GalleryGrid {
    /// Where the rubber band began, in the coordinates of the content.
    band: Option<Band>,
    /// The image that was scrolled to last, to follow the keys.
    followed: Option<ImageId>,
    /// The list that is scrolled.
    list: Option<(Session, Filter, SortBy)>,
}

struct Band {
    from: Pos2,
    /// What was selected before and stays so.
    kept: Vec<ImageId>,
    sent: Vec<ImageId>,
}

/// Where tiles are, in the coordinates of the content.
#[derive(Clone, Copy)]
struct Grid {
    n_columns: usize,
    tile: f32,
    pitch_x: f32,
    pitch_y: f32,
    n: usize,
}

impl Grid {
    fn new(width: f32, wanted: f32, n: usize) -> Self {
        let room = (width - 2.0 * MARGIN).max(wanted);
        let n_columns = ((room + GAP) / (wanted + GAP)).floor().max(1.0);
        // What is left over is shared out, so that the right edge is straight.
        let tile = ((room + GAP) / n_columns - GAP).floor();
        Self { n_columns: n_columns as usize, tile, pitch_x: tile + GAP, pitch_y: tile + LINE + GAP, n }
    }

    fn n_rows(&self) -> usize {
        self.n.div_ceil(self.n_columns)
    }

    fn height(&self) -> f32 {
        self.n_rows() as f32 * self.pitch_y + 2.0 * MARGIN
    }

    fn rect(&self, i: usize) -> Rect {
        let (row, column) = (i / self.n_columns, i % self.n_columns);
        let min = pos2(MARGIN + column as f32 * self.pitch_x, MARGIN + row as f32 * self.pitch_y);
        Rect::from_min_size(min, vec2(self.tile, self.tile + LINE))
    }

    /// Rows that a span of the content touches.
    fn rows(&self, top: f32, bottom: f32) -> std::ops::Range<usize> {
        let first = ((top - MARGIN) / self.pitch_y).floor().max(0.0) as usize;
        let last = ((bottom - MARGIN) / self.pitch_y).floor().max(0.0) as usize + 1;
        first.min(self.n_rows())..last.min(self.n_rows())
    }

    fn touching(&self, band: Rect) -> impl Iterator<Item = usize> + '_ {
        let rows = self.rows(band.top(), band.bottom());
        let all = rows.start * self.n_columns..(rows.end * self.n_columns).min(self.n);
        all.filter(move |&i| self.rect(i).intersects(band))
    }
}

impl GalleryGrid {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, tile_size: Option<f32>) {
        let Some(project) = cx.project() else { return };
        let wanted =
            tile_size.unwrap_or(cx.state.settings.tile_px as f32).clamp(*TILE_SIZES.start(), *TILE_SIZES.end());
        let n = project.gallery.visible.len();
        let mut scroll = ScrollArea::vertical().id_salt("gallery").auto_shrink([false, false]);
        // Another list begins at its top.
        let list = (project.session, project.gallery.filter.clone(), project.gallery.sort);
        if self.list.as_ref() != Some(&list) {
            self.list = Some(list);
            self.followed = project.gallery.cursor;
            scroll = scroll.vertical_scroll_offset(0.0);
        }
        scroll.show_viewport(ui, |ui, view| {
            let grid = Grid::new(ui.available_width(), wanted, n);
            ui.set_height(grid.height().max(view.height()));
            let origin = ui.min_rect().min;
            ui.data_mut(|d| {
                d.insert_temp(columns_id(), grid.n_columns);
                d.insert_temp(columns_id().with("rows"), (view.height() / grid.pitch_y) as usize);
            });
            let ground = Rect::from_min_size(origin, vec2(ui.available_width(), grid.height().max(view.height())));
            let ground = ui.interact(ground, Id::unique("gallery ground"), Sense::click_and_drag());
            self.follow(project, ui, &grid, origin, view);
            let rows = grid.rows(view.top(), view.bottom());
            let shown = rows.start * grid.n_columns..(rows.end * grid.n_columns).min(n);
            for i in shown.clone() {
                if let Some(&id) = project.gallery.visible.get(i) {
                    tile_ui(cx, ui, project, id, grid.rect(i).translate(origin.to_vec2()));
                }
            }
            let ahead = ROWS_AHEAD * grid.n_columns;
            let after = shown.end..(shown.end + ahead).min(n);
            let before = (shown.start.saturating_sub(ahead)..shown.start).rev();
            for i in after.chain(before) {
                if let Some(&id) = project.gallery.visible.get(i) {
                    cx.prefetch_thumb(id);
                }
            }
            self.rubber_band(cx, ui, project, &grid, origin, &ground);
        });
        drag_label(ui);
    }

    /// Keeps the image that keys act on in view.
    fn follow(&mut self, project: &OpenProject, ui: &Ui, grid: &Grid, origin: Pos2, view: Rect) {
        let cursor = project.gallery.cursor;
        if cursor == self.followed {
            return;
        }
        self.followed = cursor;
        let Some(position) = cursor.and_then(|c| project.gallery.position(c)) else { return };
        let rect = grid.rect(position);
        if rect.top() < view.top() || rect.bottom() > view.bottom() {
            ui.scroll_to_rect(rect.expand(GAP).translate(origin.to_vec2()), None);
        }
    }

    fn rubber_band(
        &mut self,
        cx: &mut Cx<'_>,
        ui: &Ui,
        project: &OpenProject,
        grid: &Grid,
        origin: Pos2,
        ground: &Response,
    ) {
        let keep = ui.input(|i| i.modifiers.command || i.modifiers.shift);
        if ground.clicked() && !keep {
            cx.send(Command::Select(SelectOp::None));
        }
        if ground.drag_started_by(PointerButton::Primary)
            && let Some(at) = ui.input(|i| i.pointer.press_origin())
        {
            let kept = if keep { project.gallery.selection.iter().collect() } else { Vec::new() };
            self.band = Some(Band { from: at - origin.to_vec2(), kept, sent: Vec::new() });
        }
        let Some(band) = &mut self.band else { return };
        let Some(at) = ui.input(|i| i.pointer.latest_pos()).filter(|_| ground.dragged()) else {
            self.band = None;
            return;
        };
        let rect = Rect::from_two_pos(band.from, at - origin.to_vec2());
        let images: Vec<ImageId> =
            grid.touching(rect).filter_map(|i| project.gallery.visible.get(i).copied()).collect();
        if images != band.sent {
            band.sent.clone_from(&images);
            let images = band.kept.iter().copied().chain(images).collect();
            cx.send(Command::Select(SelectOp::Set { images, keep: false }));
        }
        let t = tokens(ui);
        let seen = rect.translate(origin.to_vec2());
        let fill = t.accent.solid.gamma_multiply(0.12);
        ui.painter().rect(seen, 2.0, fill, Stroke::new(1.0, t.accent.solid), StrokeKind::Inside);
        // Towards the edges the view goes along.
        let clip = ui.clip_rect();
        let pull = if at.y > clip.bottom() - 24.0 {
            -12.0
        } else if at.y < clip.top() + 24.0 {
            12.0
        } else {
            0.0
        };
        if pull != 0.0 {
            ui.scroll_with_delta(vec2(0.0, pull));
            ui.ctx().request_repaint();
        }
    }
}

fn tile_ui(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, id: ImageId, rect: Rect) {
    let Some(image) = project.data.image(id) else { return };
    let t = tokens(ui);
    let picture = Rect::from_min_size(rect.min, vec2(rect.width(), rect.width()));
    let response = ui.interact(rect, Id::unique("tile").with(id.0), Sense::click_and_drag());
    let is_selected = project.gallery.selection.contains(id);
    let class = image.class.and_then(|c| Some((c, project.data.class(c)?)));
    let prediction = project.live.prediction(id);
    response.widget_info(|| {
        let class = match class {
            Some((_, class)) if image.is_guessed => format!("{}, a guess", class.name),
            Some((_, class)) => class.name.clone(),
            None => "unlabelled".to_owned(),
        };
        let name = image.rel.file_name().unwrap_or_default().to_string_lossy();
        WidgetInfo::selected(Role::ListBoxOption, true, is_selected, format!("{name}, {class}"))
    });
    let round = CornerRadius::same(radius::SMALL);
    if let Some(reason) = &image.skipped {
        ui.painter().rect_filled(picture, round, t.warning.tint);
        ui.painter().text(
            picture.center_top() + vec2(0.0, picture.height() * 0.3),
            Align2::CENTER_CENTER,
            icons::WARNING,
            icons::font(22.0),
            t.warning.text,
        );
        let text = ui.painter().layout(
            reason.clone(),
            font(size::CAPTION, Weight::Regular),
            t.warning.text,
            picture.width() - 2.0 * space::S,
        );
        let at = picture.left_top() + vec2(space::S, picture.height() * 0.3 + 18.0);
        ui.painter().with_clip_rect(picture).galley(at, text, t.warning.text);
    } else {
        cx.project_thumb(ui, picture, id);
    }
    if is_selected {
        ui.painter().rect_stroke(
            picture.expand(2.0),
            CornerRadius::same(6),
            Stroke::new(2.5, t.accent.solid),
            StrokeKind::Inside,
        );
        let at = picture.left_top() + vec2(14.0, 14.0);
        ui.painter().circle_filled(at, 9.0, t.accent.solid);
        ui.painter().text(at, Align2::CENTER_CENTER, icons::CHECK, icons::font(12.0), t.accent.on_solid);
    } else if project.gallery.cursor == Some(id) {
        // What keys would act on.
        let line = Stroke::new(2.0, t.accent.solid);
        ui.painter().rect_stroke(picture.expand(2.0), CornerRadius::same(6), line, StrokeKind::Inside);
    } else if response.hovered() {
        ui.painter().rect_stroke(picture, round, Stroke::new(1.5, t.border_control), StrokeKind::Inside);
    }
    let line = Rect::from_min_max(pos2(rect.left(), picture.bottom() + 1.0), rect.max);
    line_ui(ui, project, class.map(|(id, c)| (id, c.name.as_str(), c.colour)), prediction, line, image);
    interact(cx, ui, project, id, &response);
}

/// Below a thumbnail: its class, and what the head says where that is something else.
fn line_ui(
    ui: &Ui,
    project: &OpenProject,
    class: Option<(ClassId, &str, u8)>,
    prediction: Option<(ClassId, f32)>,
    line: Rect,
    image: &crate::project::Image,
) {
    let t = tokens(ui);
    let painter = ui.painter().with_clip_rect(line.intersect(ui.clip_rect()));
    let theme = Theme::of(ui);
    let mut right = line.right();
    let answer = prediction.and_then(|(id, p)| Some((id, project.data.class(id)?, p)));
    if let Some((id, class_said, p)) = answer
        && class.is_none_or(|(own, _, _)| own != id)
    {
        let (colour, text) = if class.is_some() {
            (t.negative.text, class_said.name.clone())
        } else {
            (t.text_weak, format!("{} {}", class_said.name, percent(p)))
        };
        if class.is_some() {
            let galley = painter.layout_no_wrap(text, font(size::CAPTION, Weight::Medium), colour);
            // Where there is no room for both, that it is wrong is told by the mark alone.
            if galley.size().x < line.width() * 0.55 {
                let at = pos2(line.right() - galley.size().x, line.center().y - galley.size().y / 2.0);
                right = at.x - 16.0;
                painter.galley(at, galley, colour);
                painter.text(
                    pos2(at.x - 8.0, line.center().y),
                    Align2::CENTER_CENTER,
                    icons::ARROW_RIGHT,
                    icons::font(11.0),
                    colour,
                );
            } else {
                painter.text(
                    pos2(right - 6.0, line.center().y),
                    Align2::CENTER_CENTER,
                    icons::X_CIRCLE,
                    icons::font(12.0),
                    colour,
                );
                right -= 16.0;
            }
        } else {
            // Not labelled: what it would be called.
            let dot = pos2(line.left() + 5.0, line.center().y);
            painter.circle_stroke(dot, 3.5, Stroke::new(1.2, class_colour(usize::from(class_said.colour), theme)));
            painter.text(
                pos2(line.left() + 14.0, line.center().y),
                Align2::LEFT_CENTER,
                text,
                font(size::CAPTION, Weight::Regular),
                colour,
            );
            return;
        }
    }
    match class {
        Some((_, name, colour)) => {
            painter.circle_filled(
                pos2(line.left() + 5.0, line.center().y),
                4.0,
                class_colour(usize::from(colour), theme),
            );
            let room = Rect::from_min_max(line.min, pos2(right, line.bottom()));
            painter.with_clip_rect(room.intersect(painter.clip_rect())).text(
                pos2(line.left() + 14.0, line.center().y),
                Align2::LEFT_CENTER,
                if image.is_guessed { format!("{name} ?") } else { name.to_owned() },
                font(size::CAPTION, Weight::Regular),
                if image.is_guessed { t.text_weak } else { t.text },
            );
        }
        None => {
            let text = match image.skipped {
                Some(_) => image.rel.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                None => "unlabelled".to_owned(),
            };
            painter.text(
                line.left_center(),
                Align2::LEFT_CENTER,
                text,
                font(size::CAPTION, Weight::Regular),
                t.text_faint,
            );
        }
    }
}

fn interact(cx: &mut Cx<'_>, ui: &Ui, project: &OpenProject, id: ImageId, response: &Response) {
    let modifiers = ui.input(|i| i.modifiers);
    if response.double_clicked() {
        cx.send(Command::Look(Some(id)));
    } else if response.clicked() {
        response.surrender_focus();
        cx.send(Command::Select(match modifiers {
            m if m.shift => SelectOp::ExtendTo(id),
            m if m.command => SelectOp::Toggle(id),
            _ => SelectOp::Only(id),
        }));
    }
    if response.drag_started_by(PointerButton::Primary) {
        let n = if project.gallery.selection.contains(id) {
            project.gallery.selection.len()
        } else {
            cx.send(Command::Select(SelectOp::Only(id)));
            1
        };
        response.dnd_set_drag_payload(Dragged { n });
    }
    if response.secondary_clicked() && !project.gallery.selection.contains(id) {
        cx.send(Command::Select(SelectOp::Only(id)));
    }
    response.context_menu(|ui| tile_menu(cx, ui, project, id));
}

fn tile_menu(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, id: ImageId) {
    if menu_item(ui, icons::MAGNIFYING_GLASS_PLUS, "Large view", Some("Enter")).clicked() {
        cx.send(Command::Look(Some(id)));
        ui.close();
    }
    if project.is_writable() {
        menu_separator(ui);
        menu_heading(ui, "Label as");
        ScrollArea::vertical().max_height(260.0).show(ui, |ui| {
            let now = project.data.image(id).and_then(|i| i.class);
            for (i, (class_id, class)) in project.data.sorted_classes().into_iter().enumerate() {
                let text = if i < 9 { format!("{}  {}", i + 1, class.name) } else { class.name.clone() };
                if menu_choice(ui, &text, now == Some(class_id)).clicked() {
                    cx.send(Command::Label { images: Target::Selection, class: Some(class_id) });
                    ui.close();
                }
            }
        });
        if project.data.image(id).is_some_and(|i| i.is_guessed) {
            let action = Action::ConfirmLabels;
            let keys = action.shortcut().map(|s| s.text());
            if menu_item(ui, icons::CHECK, action.label(), keys.as_deref()).clicked() {
                cx.act(action);
                ui.close();
            }
        }
        let action = Action::LabelAsPredicted;
        let is_on = action.availability(cx.state).is_ok();
        let keys = action.shortcut().map(|s| s.text());
        let item = ui.add_enabled_ui(is_on, |ui| menu_item(ui, icons::SPARKLE, action.label(), keys.as_deref()));
        if item.inner.clicked() {
            cx.act(action);
            ui.close();
        }
        menu_separator(ui);
        menu_heading(ui, "Split");
        let now = project.data.image(id).and_then(|i| i.split);
        let splits = [
            (None, "Automatic"),
            (Some(Split::Train), "Training"),
            (Some(Split::Val), "Validation"),
            (Some(Split::Test), "Test"),
        ];
        for (split, text) in splits {
            if menu_choice(ui, text, now == split).clicked() {
                cx.send(Command::SetSplit(Target::Selection, split));
                ui.close();
            }
        }
    }
    menu_separator(ui);
    let path = project.data.path(id).unwrap_or_default();
    if menu_item(ui, icons::COPY, "Copy path", None).clicked() {
        ui.ctx().copy_text(path.display().to_string());
        ui.close();
    }
    if menu_item(ui, icons::FOLDER_OPEN, "Show folder", None).clicked() {
        if let Some(folder) = path.parent() {
            cx.send(Command::ShowFolder(folder.to_owned()));
        }
        ui.close();
    }
    if project.is_writable() && menu_item_danger(ui, icons::TRASH, "Remove from project").clicked() {
        cx.act(Action::Remove);
        ui.close();
    }
}

/// Beside the pointer, how many images are being dragged.
fn drag_label(ui: &Ui) {
    let ctx = ui.ctx();
    let Some(dragged) = eframe::egui::DragAndDrop::payload::<Dragged>(ctx) else { return };
    let Some(at) = ctx.input(|i| i.pointer.latest_pos()) else { return };
    let t = tokens(ui);
    let painter = ctx.layer_painter(eframe::egui::LayerId::new(eframe::egui::Order::Tooltip, Id::unique("dragged")));
    let text = crate::ui::format::images(dragged.n);
    let galley = painter.layout_no_wrap(text, font(size::SMALL, Weight::Medium), Color32::PLACEHOLDER);
    let rect = Rect::from_min_size(at + vec2(14.0, 10.0), galley.size() + vec2(20.0, 10.0));
    painter.rect_filled(rect, CornerRadius::same(radius::PILL), t.accent.solid);
    painter.galley(rect.min + vec2(10.0, 5.0), galley, t.accent.on_solid);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fill_the_width_and_bands_touch_them() {
        let grid = Grid::new(1000.0, 128.0, 1001);
        assert_eq!(grid.n_columns, 7);
        let last_column = grid.rect(6).right();
        assert!(last_column <= 1000.0 - MARGIN && last_column > 1000.0 - MARGIN - 8.0, "{last_column}");
        assert_eq!(grid.rows(0.0, 10.0), 0..1);
        assert_eq!(grid.rows(grid.height() - 30.0, grid.height()), 142..143);
        let band = Rect::from_two_pos(grid.rect(8).center(), grid.rect(15).center());
        assert_eq!(grid.touching(band).collect::<Vec<_>>(), [8, 15]);
        assert_eq!(Grid::new(40.0, 128.0, 3).n_columns, 1);
        assert_eq!(Grid::new(500.0, 128.0, 0).touching(band).count(), 0);
    }
}
