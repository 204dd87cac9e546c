//! The images as points: what the model sees as alike lies together.

mod colours;
mod parts;

use eframe::egui::{Event, EventFilter, Key, Modifiers, Popup, Rect, Ui, UiBuilder, pos2, vec2};

use self::colours::Painted;
use crate::app::gallery::{IdBits, SelectOp};
use crate::app::map::{ColourBy, LEAST_IMAGES};
use crate::app::{Action, Command, EmbedPause, OpenProject};
use crate::project::ImageId;
use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::made_from::MadeFromProject;
use crate::ui::theme::{Theme, space};
use crate::ui::widgets::scatter::{Scatter, ScatterEvent};
use crate::ui::widgets::{Banner, EmptyState, Meaning, NoticeEvent, spinner_at};

/// A step of the arrow keys, as a share of what is in view.
const PAN: f32 = 0.15;
/// A step of the keys that magnify.
const ZOOM: f32 = 1.4;
/// A place that is not higher, in points, has no room to say how the map is used.
const LOW: f32 = 360.0;
/// Nearer to the tabs in points.
const ABOVE: f32 = 8.0;
/// Room at the sides in points.
const PAD: f32 = 12.0;

/// What dots were made of.
struct MadeOf {
    project: MadeFromProject,
    generation: u64,
    colour_by: ColourBy,
    theme: Theme,
    selection: IdBits,
}

impl MadeOf {
    fn new(project: &OpenProject, theme: Theme) -> Self {
        Self {
            project: MadeFromProject::new(project),
            generation: project.map.generation,
            colour_by: project.map.colour_by,
            theme,
            selection: project.gallery.selection.clone(),
        }
    }

    fn is(&self, project: &OpenProject, theme: Theme) -> bool {
        self.project.is(project)
            && (self.generation, self.colour_by, self.theme) == (project.map.generation, project.map.colour_by, theme)
            && self.selection == project.gallery.selection
    }
}

/// What this view remembers from frame to frame.
#[derive(Default)]
pub(super) struct MapView {
    plot: Scatter,
    made_of: Option<MadeOf>,
    painted: Painted,
}

impl MapView {
    /// Shows all of the map.
    pub(super) fn fit(&mut self) {
        self.plot.fit();
    }

    /// Draws the view.
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let Some(project) = cx.project() else { return };
        if !project.map.is_there() {
            return nothing_yet(cx, ui, project);
        }
        let theme = Theme::of(ui);
        if !self.made_of.as_ref().is_some_and(|made_of| made_of.is(project, theme)) {
            if self.made_of.as_ref().is_none_or(|made_of| !made_of.project.is_of_model(project)) {
                self.plot.forget();
            }
            self.made_of = Some(MadeOf::new(project, theme));
            self.painted = Painted::new(project, ui);
            self.plot.set(std::mem::take(&mut self.painted.dots));
        }
        self.keys(cx, ui, project);
        let room = ui.available_rect_before_wrap();
        // The tabs above leave more room than a row of the same kind needs.
        let inner = Rect::from_min_max(room.min + vec2(PAD, -ABOVE), room.max - vec2(PAD, 0.0));
        let mut top = ui.new_child(UiBuilder::new().max_rect(inner));
        top.spacing_mut().item_spacing.y = space::XS;
        if let Some(why) = &project.map.error {
            let banner = Banner::new(Meaning::Negative, "The map could not be laid out").text(why);
            if banner.actions(&["Try again"]).show(&mut top) == NoticeEvent::Action(0) {
                cx.act(Action::LayOutMap);
            }
        }
        parts::toolbar(cx, &mut top, project, &mut self.plot);
        parts::legend(cx, &mut top, project, &self.painted);
        // What lies below is measured by drawing it: its place is known in the next frame.
        let id = eframe::egui::Id::unique("map notes");
        let below = ui.data(|d| d.get_temp::<f32>(id)).unwrap_or(44.0);
        let notes_top = (room.bottom() - below).max(top.min_rect().bottom());
        let mut notes = ui.new_child(UiBuilder::new().max_rect(Rect::from_min_max(
            pos2(inner.left(), notes_top + space::XS),
            pos2(inner.right(), room.bottom().max(notes_top + space::XS)),
        )));
        parts::notes(cx, &mut notes, project, room.height() > LOW);
        let height = notes.min_rect().height() + 2.0 * space::XS;
        if (height - below).abs() > 0.5 {
            ui.data_mut(|d| d.insert_temp(id, height));
            ui.ctx().request_repaint();
        }
        let plot =
            Rect::from_min_max(pos2(room.left(), top.min_rect().bottom() + space::XS), pos2(room.right(), notes_top));
        if plot.height() > 40.0 {
            ui.scope_builder(UiBuilder::new().max_rect(plot), |ui| self.plot_ui(cx, ui, project));
        }
        ui.advance_cursor_after_rect(room);
    }

    fn plot_ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let rect = ui.available_rect_before_wrap();
        let label = format!("Map of {}", crate::ui::format::images(self.painted.ids.len()));
        let out = self.plot.ui(ui, &label);
        ui.data_mut(|d| d.insert_temp(plot_id(), out.response.id));
        if out.response.has_focus() {
            let arrows = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
            ui.memory_mut(|m| m.set_focus_lock_filter(out.response.id, arrows));
        }
        if let (Some(idx), Some(at)) = (out.hovered, out.response.hover_pos())
            && let Some(&id) = self.painted.ids.get(idx)
        {
            parts::hovered(cx, ui, project, id, at);
        }
        let can_be_chosen =
            |idx: usize| self.painted.ids.get(idx).copied().filter(|id| self.painted.shown.contains(*id));
        match out.event {
            ScatterEvent::None => {}
            ScatterEvent::DoubleClick(idx) => {
                cx.out.extend(self.painted.ids.get(idx).map(|id| Command::Look(Some(*id))))
            }
            ScatterEvent::Click(Some(idx), modifiers) => {
                if let Some(id) = can_be_chosen(idx) {
                    let adds = modifiers.command || modifiers.shift;
                    cx.send(Command::Select(if adds { SelectOp::Toggle(id) } else { SelectOp::Only(id) }));
                }
            }
            ScatterEvent::Click(None, modifiers) => {
                if !modifiers.command && !modifiers.shift {
                    cx.send(Command::Select(SelectOp::None));
                }
            }
            ScatterEvent::Lasso(found, keep) => {
                let images: Vec<ImageId> = found.into_iter().filter_map(can_be_chosen).collect();
                cx.send(Command::Select(match images.is_empty() && !keep {
                    true => SelectOp::None,
                    false => SelectOp::Set { images, keep },
                }));
            }
        }
        parts::selected(cx, ui, project, rect);
    }

    fn keys(&mut self, cx: &mut Cx<'_>, ui: &Ui, project: &OpenProject) {
        let ctx = ui.ctx();
        let is_free =
            ctx.memory(|m| m.top_modal_layer().is_none()) && !ctx.text_edit_focused() && !Popup::is_any_open(ctx);
        // Enter and the arrows are another widget's while that has the keyboard; after a click here it is this one.
        let focused = ctx.memory(|m| m.focused());
        let is_other = focused.is_some_and(|id| ui.data(|d| d.get_temp(plot_id())) != Some(id));
        if !is_free || is_other {
            return;
        }
        let take = |modifiers: Modifiers, key: Key| ui.input_mut(|i| i.consume_key(modifiers, key));
        for (key, x, y) in [
            (Key::ArrowLeft, -1.0, 0.0),
            (Key::ArrowRight, 1.0, 0.0),
            (Key::ArrowUp, 0.0, -1.0),
            (Key::ArrowDown, 0.0, 1.0),
        ] {
            if take(Modifiers::COMMAND | Modifiers::SHIFT, key) {
                self.go(cx, project, vec2(x, y), true);
            } else if take(Modifiers::COMMAND, key) {
                self.go(cx, project, vec2(x, y), false);
            } else if take(Modifiers::NONE, key) {
                self.plot.pan_by(vec2(x, y) * PAN);
            }
        }
        // Shift is part of the plus on many keyboards.
        let typed = ui.input(|i| {
            let text =
                i.events.iter().filter_map(|e| if let Event::Text(text) = e { Some(text.as_str()) } else { None });
            text.collect::<String>()
        });
        match typed.as_str() {
            "+" | "=" => self.plot.zoom_by(ZOOM),
            "-" => self.plot.zoom_by(1.0 / ZOOM),
            "l" | "L" => self.plot.lassoes = !self.plot.lassoes,
            _ => {}
        }
        if take(Modifiers::NONE, Key::Home) {
            self.plot.fit();
        }
        if let (true, Some(id)) = (take(Modifiers::NONE, Key::Enter), project.gallery.cursor) {
            cx.send(Command::Look(Some(id)));
        }
    }

    /// Selects the nearest image in a direction; the one in the middle where none is selected.
    fn go(&mut self, cx: &mut Cx<'_>, project: &OpenProject, direction: eframe::egui::Vec2, adds: bool) {
        let now = project.gallery.cursor.and_then(|id| self.painted.ids.binary_search(&id).ok());
        let next = match now {
            Some(now) => self.plot.towards(now, direction),
            None => self.plot.middle(),
        };
        let Some((next, id)) = next.and_then(|next| Some((next, *self.painted.ids.get(next)?))) else { return };
        self.plot.follow(next);
        cx.send(Command::Select(if adds {
            SelectOp::Set { images: vec![id], keep: true }
        } else {
            SelectOp::Only(id)
        }));
    }
}

/// Where the plot tells its identity, for the keys.
fn plot_id() -> eframe::egui::Id {
    eframe::egui::Id::unique("map plot")
}

/// Why there is no map, and what to do.
fn nothing_yet(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    let n_usable = project.counts.n_images;
    let chosen = if let Some(why) = &project.map.error {
        let why = crate::ui::format::sentence(why);
        let state = EmptyState::new(icons::WARNING, "There is no map").text(&why).actions(&["Try again"]);
        state.show(ui).map(|_| Action::LayOutMap)
    } else if n_usable < LEAST_IMAGES {
        EmptyState::new(icons::CHART_SCATTER, "A map needs three images or more")
            .text("Every image becomes a dot; images that the model sees as alike lie near each other.")
            .actions(&["Add folder…"])
            .show(ui)
            .map(|_| Action::AddFolder)
    } else if let Some(pause) = &project.live.pause {
        let why = match pause {
            EmbedPause::Cancelled => "The images have not been through the model yet.",
            EmbedPause::Failed(why) => why.as_str(),
        };
        EmptyState::new(icons::CHART_SCATTER, "The map waits for the images")
            .text(why)
            .actions(&["Resume embedding"])
            .show(ui)
            .map(|_| Action::ResumeEmbedding)
    } else if project.live.n_embedded < LEAST_IMAGES {
        let text = "The map begins as soon as three images have been through the model.";
        EmptyState::new(icons::CHART_SCATTER, "The images are being embedded")
            .text(text)
            .show(ui)
            .map(|_| Action::ShowMap)
    } else {
        spinner_at(ui, ui.available_rect_before_wrap().center(), 12.0);
        None
    };
    if let Some(action) = chosen {
        cx.act(action);
    }
}
