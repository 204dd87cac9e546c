//! A scatter plot of very many points: zoomed, panned, lassoed.

mod picture;
mod raster;
mod view;

use eframe::egui::Color32;
use eframe::egui::{
    CursorIcon, Id, Modifiers, PointerButton, Pos2, Rect, Response, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo,
    vec2,
};

use self::picture::{Dots, Picture};
use self::view::{View, ZOOMS};
use super::paint::focus_ring;
use crate::rng::SplitMix64;
use crate::ui::theme::tokens;

/// Which points lie over which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Behind the others: not what is looked for.
    Behind,
    /// In between.
    #[default]
    Middle,
    /// To be seen among many.
    Front,
    /// Selected: with a ring.
    Selected,
}

/// A point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dot {
    /// Where, within -1..=1 in both directions; the second goes up.
    pub at: [f32; 2],
    /// Opaque.
    pub colour: Color32,
    /// Over which others.
    pub layer: Layer,
}

/// What was done to the points in this frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ScatterEvent {
    /// Nothing.
    #[default]
    None,
    /// A click on a point or beside all.
    Click(Option<usize>, Modifiers),
    /// A double click on a point.
    DoubleClick(usize),
    /// A lasso around points; those that were selected stay so where the flag says.
    Lasso(Vec<usize>, bool),
}

/// What came of a frame.
pub struct ScatterResponse {
    /// Of the whole plot.
    pub response: Response,
    /// The point under the pointer.
    pub hovered: Option<usize>,
    /// What was done.
    pub event: ScatterEvent,
}

/// How near the pointer must be to a point, in points of the screen.
const REACH: f32 = 9.0;
/// Steps of a lasso are so long, in points of the screen.
const LASSO_STEP: f32 = 3.0;

/// The plot, with what it remembers from frame to frame.
#[derive(Default)]
pub struct Scatter {
    dots: Dots,
    /// Indices of the dots in a fixed disorder.
    shuffled: Vec<u32>,
    view: View,
    picture: Picture,
    /// Size of the plot on the screen when it was last drawn.
    size: Vec2,
    /// The way of the lasso on the screen.
    lasso: Option<Vec<Pos2>>,
    /// A drag without a key draws a lasso.
    pub lassoes: bool,
}

impl Scatter {
    /// Other points, or others' colours.
    pub fn set(&mut self, dots: Vec<Dot>) {
        // A fixed shuffle, so that no class lies over all others because it came last.
        if self.shuffled.len() != dots.len() {
            self.shuffled = (0..u32::try_from(dots.len()).unwrap_or(u32::MAX)).collect();
            SplitMix64::new(1).shuffle(&mut self.shuffled);
        }
        let mut order = Vec::with_capacity(dots.len());
        for layer in [Layer::Behind, Layer::Middle, Layer::Front, Layer::Selected] {
            order.extend(self.shuffled.iter().filter(|i| dots[**i as usize].layer == layer));
        }
        let reach = |axis: usize| dots.iter().fold(0.05_f32, |most, dot| most.max(dot.at[axis].abs()));
        self.view.half = [reach(0), reach(1)];
        self.dots = Dots { dots: dots.into(), order: order.into(), generation: self.dots.generation + 1 };
    }

    /// No picture of other points is to be seen until there is one of those to come.
    pub fn forget(&mut self) {
        self.picture = Picture::default();
    }

    /// The points.
    pub fn dots(&self) -> &[Dot] {
        &self.dots.dots
    }

    /// Shows all of them.
    pub fn fit(&mut self) {
        (self.view.centre, self.view.zoom) = ([0.0, 0.0], 1.0);
    }

    /// Whether all of them are in view.
    pub fn is_fitted(&self) -> bool {
        self.view.centre == [0.0, 0.0] && self.view.zoom == 1.0
    }

    /// Magnifies around the middle.
    pub fn zoom_by(&mut self, factor: f32) {
        self.view.zoom = (self.view.zoom * factor).clamp(*ZOOMS.start(), *ZOOMS.end());
    }

    /// Moves by shares of what is in view: 1, 0 is a whole width to the right.
    pub fn pan_by(&mut self, shares: Vec2) {
        let step = 2.0 / self.view.zoom;
        self.view.centre =
            [self.view.centre[0] + shares.x * step, self.view.centre[1] - shares.y * step].map(|v| v.clamp(-1.0, 1.0));
    }

    /// Brings a point into view, if it is not.
    pub fn follow(&mut self, idx: usize) {
        let Some(dot) = self.dots.dots.get(idx) else { return };
        let seen = self.size / self.view.scale(Rect::from_min_size(Pos2::ZERO, self.size));
        for (axis, seen) in [seen.x, seen.y].into_iter().enumerate() {
            let reach = 0.45 * seen;
            let low = dot.at[axis] - reach;
            self.view.centre[axis] = self.view.centre[axis].clamp(low, low + 2.0 * reach);
        }
    }

    /// The nearest point from `from` towards a direction (right and down are positive), within 45 degrees of it; points behind
    /// are passed over.
    pub fn towards(&self, from: usize, direction: Vec2) -> Option<usize> {
        let at = self.dots.dots.get(from)?.at;
        let along = |dot: &Dot| {
            let d = [dot.at[0] - at[0], at[1] - dot.at[1]];
            (d[0] * direction.x + d[1] * direction.y, d[0].hypot(d[1]))
        };
        let is_there = |(i, dot): &(usize, &Dot)| {
            let (ahead, far) = along(dot);
            *i != from && dot.layer != Layer::Behind && far > 0.0 && ahead >= far * 0.7
        };
        let candidates = self.dots.dots.iter().enumerate().filter(is_there);
        candidates.min_by(|a, b| along(a.1).1.total_cmp(&along(b.1).1)).map(|(i, _)| i)
    }

    /// The point nearest the middle of the view that is not behind.
    pub fn middle(&self) -> Option<usize> {
        let centre = self.view.centre;
        let far = |dot: &Dot| (dot.at[0] - centre[0]).hypot(dot.at[1] - centre[1]);
        let candidates = self.dots.dots.iter().enumerate().filter(|(_, dot)| dot.layer != Layer::Behind);
        candidates.min_by(|a, b| far(a.1).total_cmp(&far(b.1))).map(|(i, _)| i)
    }

    /// Draws it over all that is available. `label` is its accessible name.
    pub fn ui(&mut self, ui: &mut Ui, label: &str) -> ScatterResponse {
        let rect = ui.available_rect_before_wrap();
        self.size = rect.size();
        let response = ui.allocate_rect(rect, Sense::click_and_drag());
        response.widget_info(|| WidgetInfo::labeled(Role::Canvas, response.enabled(), label));
        self.move_view(ui, rect, &response);
        let lassoed = self.lasso(ui, rect, &response);
        self.picture.ui(ui, rect, &self.view, &self.dots);
        self.paint_lasso(ui, rect);
        focus_ring(ui, rect.shrink(2.0), eframe::egui::CornerRadius::ZERO, &response);
        let pointer = response.hover_pos().filter(|_| self.lasso.is_none() && !response.dragged());
        let hovered = pointer.and_then(|at| self.hit(rect, at));
        if hovered.is_some() {
            ui.ctx().set_cursor_icon(CursorIcon::PointingHand);
        } else if response.dragged() && self.lasso.is_none() {
            ui.ctx().set_cursor_icon(CursorIcon::Grabbing);
        } else if response.hovered() && (self.lassoes || self.lasso.is_some()) {
            ui.ctx().set_cursor_icon(CursorIcon::Crosshair);
        }
        let event = if let Some(event) = lassoed {
            event
        } else if let (true, Some(idx)) = (response.double_clicked(), hovered) {
            ScatterEvent::DoubleClick(idx)
        } else if response.clicked_by(PointerButton::Primary) {
            // Not by Enter, which a focused widget takes for a click.
            response.request_focus();
            ScatterEvent::Click(hovered, ui.input(|i| i.modifiers))
        } else {
            ScatterEvent::None
        };
        ScatterResponse { response, hovered, event }
    }

    /// The wheel and two fingers zoom, a drag pans.
    fn move_view(&mut self, ui: &Ui, rect: Rect, response: &Response) {
        let draws = self.lasso.is_some() || self.lassoes || ui.input(|i| i.modifiers.shift);
        let pans = response.dragged_by(PointerButton::Middle)
            || response.dragged_by(PointerButton::Secondary)
            || (response.dragged_by(PointerButton::Primary) && !draws);
        if pans && self.lasso.is_none() {
            self.view.pan(rect, response.drag_delta());
        }
        let Some(pointer) = response.hover_pos().filter(|_| self.lasso.is_none()) else { return };
        let (scroll, pinch) = ui.input(|i| (i.smooth_scroll_delta().y, i.zoom_delta()));
        let factor = pinch * (scroll / 240.0).exp();
        if factor != 1.0 {
            self.view.zoom_by(rect, factor, pointer);
        }
    }

    fn lasso(&mut self, ui: &Ui, rect: Rect, response: &Response) -> Option<ScatterEvent> {
        let modifiers = ui.input(|i| i.modifiers);
        if response.drag_started_by(PointerButton::Primary)
            && (self.lassoes || modifiers.shift)
            && let Some(at) = ui.input(|i| i.pointer.press_origin())
        {
            self.lasso = Some(vec![at]);
        }
        let way = self.lasso.as_mut()?;
        if let Some(at) = ui.input(|i| i.pointer.latest_pos())
            && way.last().is_none_or(|last| last.distance(at) >= LASSO_STEP)
        {
            way.push(at);
        }
        if response.dragged() {
            return None;
        }
        let way = self.lasso.take()?;
        let polygon: Vec<[f32; 2]> = way.iter().map(|at| self.view.meant(rect, *at)).collect();
        Some(ScatterEvent::Lasso(within(&polygon, &self.dots.dots), modifiers.command))
    }

    fn paint_lasso(&self, ui: &Ui, rect: Rect) {
        let Some(way) = &self.lasso else { return };
        let accent = tokens(ui).accent.solid;
        let painter = ui.painter().with_clip_rect(rect);
        painter.add(Shape::line(way.clone(), Stroke::new(2.0, accent)));
        if let (Some(first), Some(last)) = (way.first(), way.last()) {
            painter.extend(Shape::dashed_line(&[*last, *first], Stroke::new(1.5, accent), 6.0, 4.0));
        }
    }

    /// The point at a place of the screen: the nearest within reach, those behind last.
    fn hit(&self, rect: Rect, at: Pos2) -> Option<usize> {
        let reach = REACH.max(self.view.radius(self.dots.dots.len(), rect) + 3.0) / self.view.scale(rect);
        let meant = self.view.meant(rect, at);
        let mut nearest: Option<(bool, f32, usize)> = None;
        for (i, dot) in self.dots.dots.iter().enumerate() {
            let (dx, dy) = (dot.at[0] - meant[0], dot.at[1] - meant[1]);
            let squared = dx * dx + dy * dy;
            let is_behind = dot.layer == Layer::Behind;
            if squared <= reach * reach && nearest.is_none_or(|best| (is_behind, squared) < (best.0, best.1)) {
                nearest = Some((is_behind, squared, i));
            }
        }
        nearest.map(|(_, _, i)| i)
    }
}

/// Dots inside a closed way, by the even-odd rule; those behind are left out.
fn within(polygon: &[[f32; 2]], dots: &[Dot]) -> Vec<usize> {
    let bounds = |axis: usize| {
        let of = polygon.iter().map(|p| p[axis]);
        (of.clone().fold(f32::INFINITY, f32::min), of.fold(f32::NEG_INFINITY, f32::max))
    };
    let (x, y) = (bounds(0), bounds(1));
    let is_inside = |p: [f32; 2]| {
        if !(x.0..=x.1).contains(&p[0]) || !(y.0..=y.1).contains(&p[1]) {
            return false;
        }
        let mut inside = false;
        for (i, a) in polygon.iter().enumerate() {
            let b = polygon[(i + 1) % polygon.len()];
            if (a[1] > p[1]) != (b[1] > p[1]) && p[0] < a[0] + (p[1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0]) {
                inside = !inside;
            }
        }
        inside
    };
    let found = dots.iter().enumerate().filter(|(_, dot)| dot.layer != Layer::Behind && is_inside(dot.at));
    found.map(|(i, _)| i).collect()
}

/// Where something about a point is shown beside it.
pub fn beside(ui: &Ui, id: Id, at: Pos2, add: impl FnOnce(&mut Ui)) {
    let t = tokens(ui);
    let screen = ui.ctx().content_rect();
    // On the side where there is more room.
    let pivot = match (at.x > screen.center().x, at.y > screen.center().y) {
        (false, false) => eframe::egui::Align2::LEFT_TOP,
        (true, false) => eframe::egui::Align2::RIGHT_TOP,
        (false, true) => eframe::egui::Align2::LEFT_BOTTOM,
        (true, true) => eframe::egui::Align2::RIGHT_BOTTOM,
    };
    let towards =
        vec2(if at.x > screen.center().x { -14.0 } else { 14.0 }, if at.y > screen.center().y { -10.0 } else { 14.0 });
    eframe::egui::Area::new(id)
        .order(eframe::egui::Order::Tooltip)
        .interactable(false)
        .pivot(pivot)
        .fixed_pos(at + towards)
        .constrain_to(screen.shrink(4.0))
        .show(ui.ctx(), |ui| {
            eframe::egui::Frame::new()
                .fill(t.tooltip)
                .stroke(Stroke::new(1.0, t.border_control))
                .corner_radius(eframe::egui::CornerRadius::same(crate::ui::theme::radius::CARD))
                .inner_margin(8)
                .shadow(crate::ui::theme::shadow(t))
                .show(ui, add);
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::pos2;

    fn dots(at: &[[f32; 2]]) -> Vec<Dot> {
        at.iter().map(|at| Dot { at: *at, colour: Color32::WHITE, layer: Layer::Middle }).collect()
    }

    const RECT: Rect = Rect { min: pos2(100.0, 50.0), max: pos2(500.0, 350.0) };

    #[test]
    fn a_lasso_takes_what_is_within_it() {
        // A horseshoe: its hollow is outside.
        let way = [[0.0, 0.0], [3.0, 0.0], [3.0, 3.0], [2.0, 3.0], [2.0, 1.0], [1.0, 1.0], [1.0, 3.0], [0.0, 3.0]];
        let mut all = dots(&[[0.5, 2.0], [1.5, 2.0], [2.5, 2.0], [1.5, 0.5], [-1.0, 0.5], [9.0, 9.0]]);
        assert_eq!(within(&way, &all), [0, 2, 3]);
        all[2].layer = Layer::Behind;
        assert_eq!(within(&way, &all), [0, 3]);
        assert!(within(&way[..2], &all).is_empty() && within(&[], &all).is_empty());
    }

    #[test]
    fn the_nearest_is_hit_and_those_behind_last() {
        let mut plot = Scatter::default();
        let mut all = dots(&[[0.0, 0.0], [0.02, 0.0], [0.9, 0.9]]);
        plot.set(all.clone());
        assert_eq!(plot.hit(RECT, RECT.center()), Some(0));
        all[0].layer = Layer::Behind;
        plot.set(all);
        assert_eq!(plot.hit(RECT, RECT.center()), Some(1));
        assert_eq!(plot.hit(RECT, RECT.left_top()), None);
        assert_eq!(Scatter::default().hit(RECT, RECT.center()), None);
    }

    #[test]
    fn arrows_find_the_next_point_in_their_direction() {
        let mut plot = Scatter::default();
        plot.set(dots(&[[0.0, 0.0], [0.5, 0.1], [0.2, 0.9], [-0.4, 0.0], [0.0, -0.3]]));
        let to = |x, y| plot.towards(0, vec2(x, y));
        assert_eq!((to(1.0, 0.0), to(-1.0, 0.0), to(0.0, -1.0), to(0.0, 1.0)), (Some(1), Some(3), Some(2), Some(4)));
        assert_eq!(plot.towards(1, vec2(1.0, 0.0)), None);
        assert_eq!(plot.middle(), Some(0));
        plot.size = RECT.size();
        plot.zoom_by(8.0);
        plot.follow(2);
        assert!(RECT.contains(plot.view.seen(RECT, [0.2, 0.9])));
        // Also where the plot is wider than what there is, or lower.
        let wide = Rect::from_min_size(Pos2::ZERO, vec2(1600.0, 300.0));
        plot.set(dots(&[[0.0, 0.0], [1.0, 0.0], [0.9, 0.4]]));
        (plot.size, plot.view.zoom, plot.view.centre) = (wide.size(), 4.0, [0.0, 0.0]);
        for (idx, at) in [(2, [0.9, 0.4]), (0, [0.0, 0.0])] {
            plot.follow(idx);
            assert!(wide.contains(plot.view.seen(wide, at)), "{at:?}");
        }
    }

    #[test]
    fn painting_does_not_depend_on_what_was_painted_before() {
        let at: Vec<[f32; 2]> = (0..500).map(|i| [(i as f32 * 0.7).sin(), (i as f32 * 1.3).cos()]).collect();
        let mut all = dots(&at);
        let mut plot = Scatter::default();
        plot.set(all.clone());
        let order = plot.dots.order.clone();
        all[7].layer = Layer::Front;
        plot.set(all.clone());
        assert_eq!(plot.dots.order.last(), Some(&7));
        all[7].layer = Layer::Middle;
        plot.set(all);
        assert_eq!(plot.dots.order, order);
        assert_ne!(order[..5], [0, 1, 2, 3, 4], "shuffled");
    }
}
