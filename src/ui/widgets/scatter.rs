//! A scatter plot of very many points: zoomed, panned, lassoed.

mod raster;

use eframe::egui::Color32;
use eframe::egui::{
    ColorImage, CursorIcon, Id, Modifiers, PointerButton, Pos2, Rect, Response, Role, Sense, Shape, Stroke,
    TextureHandle, TextureOptions, Ui, Vec2, WidgetInfo, pos2, vec2,
};

use self::raster::{Brush, Raster};
use super::paint::focus_ring;
use crate::rng::SplitMix64;
use crate::ui::theme::{Theme, tokens};

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

/// Room around the points in points of the screen.
const MARGIN: f32 = 20.0;
/// How near the pointer must be to a point, in points of the screen.
const REACH: f32 = 9.0;
/// Magnification, 1 being all that there is.
const ZOOMS: std::ops::RangeInclusive<f32> = 0.5..=400.0;
/// Up to so many points each has a rim that keeps it apart from its neighbours.
const MAX_RIMMED: usize = 8000;
/// Steps of a lasso are so long, in points of the screen.
const LASSO_STEP: f32 = 3.0;

/// What is seen of the plane.
#[derive(Clone, Copy, Debug, PartialEq)]
struct View {
    centre: [f32; 2],
    zoom: f32,
    /// Half the width and half the height of what there is: fitted, it fills the plot.
    half: [f32; 2],
}

impl Default for View {
    fn default() -> Self {
        Self { centre: [0.0, 0.0], zoom: 1.0, half: [1.0, 1.0] }
    }
}

impl View {
    /// Points of the screen for one unit of the plane.
    fn scale(&self, rect: Rect) -> f32 {
        let fitted = (rect.width() / 2.0 - MARGIN) / self.half[0];
        fitted.min((rect.height() / 2.0 - MARGIN) / self.half[1]).max(8.0) * self.zoom
    }

    fn seen(&self, rect: Rect, at: [f32; 2]) -> Pos2 {
        let scale = self.scale(rect);
        rect.center() + vec2(at[0] - self.centre[0], self.centre[1] - at[1]) * scale
    }

    fn meant(&self, rect: Rect, at: Pos2) -> [f32; 2] {
        let from = (at - rect.center()) / self.scale(rect);
        [self.centre[0] + from.x, self.centre[1] - from.y]
    }

    fn pan(&mut self, rect: Rect, by: Vec2) {
        let by = by / self.scale(rect);
        // The middle never leaves what there is.
        self.centre = [(self.centre[0] - by.x).clamp(-1.0, 1.0), (self.centre[1] + by.y).clamp(-1.0, 1.0)];
    }

    /// What is at `anchor` stays there.
    fn zoom_by(&mut self, rect: Rect, factor: f32, anchor: Pos2) {
        let before = self.meant(rect, anchor);
        self.zoom = (self.zoom * factor).clamp(*ZOOMS.start(), *ZOOMS.end());
        let after = self.meant(rect, anchor);
        self.centre = [0, 1].map(|axis| (self.centre[axis] + before[axis] - after[axis]).clamp(-1.0, 1.0));
    }
}

/// What the picture was painted from.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Painted {
    view: View,
    size_px: [usize; 2],
    pixels_per_point: f32,
    theme: Theme,
}

/// The plot, with what it remembers from frame to frame.
#[derive(Default)]
pub struct Scatter {
    dots: Vec<Dot>,
    /// Indices of the dots in a fixed disorder.
    shuffled: Vec<u32>,
    /// And in the order in which they are painted.
    order: Vec<u32>,
    view: View,
    texture: Option<TextureHandle>,
    painted: Option<Painted>,
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
        self.order.clear();
        for layer in [Layer::Behind, Layer::Middle, Layer::Front, Layer::Selected] {
            self.order.extend(self.shuffled.iter().filter(|i| dots[**i as usize].layer == layer));
        }
        let reach = |axis: usize| dots.iter().fold(0.05_f32, |most, dot| most.max(dot.at[axis].abs()));
        self.view.half = [reach(0), reach(1)];
        self.dots = dots;
        self.painted = None;
    }

    /// The points.
    pub fn dots(&self) -> &[Dot] {
        &self.dots
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
        let Some(dot) = self.dots.get(idx) else { return };
        let reach = 0.9 / self.view.zoom;
        for axis in [0, 1] {
            let low = dot.at[axis] - reach;
            self.view.centre[axis] = self.view.centre[axis].clamp(low, low + 2.0 * reach);
        }
    }

    /// The nearest point from `from` towards a direction (right and down are positive), within 45 degrees of it; points behind
    /// are passed over.
    pub fn towards(&self, from: usize, direction: Vec2) -> Option<usize> {
        let at = self.dots.get(from)?.at;
        let along = |dot: &Dot| {
            let d = [dot.at[0] - at[0], at[1] - dot.at[1]];
            (d[0] * direction.x + d[1] * direction.y, d[0].hypot(d[1]))
        };
        let is_there = |(i, dot): &(usize, &Dot)| {
            let (ahead, far) = along(dot);
            *i != from && dot.layer != Layer::Behind && far > 0.0 && ahead >= far * 0.7
        };
        let candidates = self.dots.iter().enumerate().filter(is_there);
        candidates.min_by(|a, b| along(a.1).1.total_cmp(&along(b.1).1)).map(|(i, _)| i)
    }

    /// The point nearest the middle of the view that is not behind.
    pub fn middle(&self) -> Option<usize> {
        let centre = self.view.centre;
        let far = |dot: &Dot| (dot.at[0] - centre[0]).hypot(dot.at[1] - centre[1]);
        let candidates = self.dots.iter().enumerate().filter(|(_, dot)| dot.layer != Layer::Behind);
        candidates.min_by(|a, b| far(a.1).total_cmp(&far(b.1))).map(|(i, _)| i)
    }

    /// Radius of a dot in points of the screen: the denser they are in view, the smaller.
    fn radius(&self, rect: Rect) -> f32 {
        let in_view = self.dots.len().max(1) as f32 / (self.view.zoom * self.view.zoom).max(1.0);
        (0.22 * (rect.area() / in_view).sqrt()).clamp(1.3, 5.0)
    }

    /// Draws it over all that is available. `label` is its accessible name.
    pub fn ui(&mut self, ui: &mut Ui, label: &str) -> ScatterResponse {
        let rect = ui.available_rect_before_wrap();
        let response = ui.allocate_rect(rect, Sense::click_and_drag());
        response.widget_info(|| WidgetInfo::labeled(Role::Canvas, response.enabled(), label));
        self.move_view(ui, rect, &response);
        let lassoed = self.lasso(ui, rect, &response);
        self.paint(ui, rect);
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
        Some(ScatterEvent::Lasso(within(&polygon, &self.dots), modifiers.command))
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
        let reach = REACH.max(self.radius(rect) + 3.0) / self.view.scale(rect);
        let meant = self.view.meant(rect, at);
        let mut nearest: Option<(bool, f32, usize)> = None;
        for (i, dot) in self.dots.iter().enumerate() {
            let (dx, dy) = (dot.at[0] - meant[0], dot.at[1] - meant[1]);
            let squared = dx * dx + dy * dy;
            let is_behind = dot.layer == Layer::Behind;
            if squared <= reach * reach && nearest.is_none_or(|best| (is_behind, squared) < (best.0, best.1)) {
                nearest = Some((is_behind, squared, i));
            }
        }
        nearest.map(|(_, _, i)| i)
    }

    fn paint(&mut self, ui: &Ui, rect: Rect) {
        let pixels_per_point = ui.ctx().pixels_per_point();
        let most = ui.input(|i| i.max_texture_side);
        let px = |points: f32| ((points * pixels_per_point).ceil().max(1.0) as usize).min(most);
        let t = tokens(ui);
        let now = Painted {
            view: self.view,
            size_px: [px(rect.width()), px(rect.height())],
            pixels_per_point,
            theme: t.theme,
        };
        if self.painted != Some(now) {
            self.painted = Some(now);
            let raster = self.raster(rect, now, t.surface, t.text_strong);
            let image = ColorImage::new([raster.width, raster.height], raster.pixels);
            match &mut self.texture {
                Some(texture) => texture.set(image, TextureOptions::NEAREST),
                none => *none = Some(ui.ctx().load_texture("scatter", image, TextureOptions::NEAREST)),
            }
        }
        if let Some(texture) = &self.texture {
            let [width, height] = now.size_px.map(|side| side as f32 / pixels_per_point);
            let corner = (rect.min * pixels_per_point).round() / pixels_per_point;
            let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            let at = Rect::from_min_size(corner, vec2(width, height));
            ui.painter().with_clip_rect(rect).image(texture.id(), at, uv, Color32::WHITE);
        }
    }

    fn raster(&self, rect: Rect, now: Painted, ground: Color32, ring: Color32) -> Raster {
        let Painted { size_px: [width, height], pixels_per_point: scale, .. } = now;
        let mut raster = Raster::new(width, height);
        let radius = self.radius(rect) * scale;
        let dot = Brush::new(radius);
        let rim = Brush::new(radius + 0.8 * scale);
        let [wide_ring, inner_ring] = [3.0, 1.4].map(|beyond| Brush::new(radius + beyond * scale));
        let is_rimmed = self.dots.len() <= MAX_RIMMED;
        let reach = radius + 4.0 * scale;
        for &i in &self.order {
            let Some(Dot { at, colour, layer }) = self.dots.get(i as usize).copied() else { continue };
            let at = (self.view.seen(rect, at) - rect.min) * scale;
            let is_in =
                (-reach..width as f32 + reach).contains(&at.x) && (-reach..height as f32 + reach).contains(&at.y);
            if !is_in {
                continue;
            }
            if layer == Layer::Selected {
                raster.dot(&wide_ring, at.x, at.y, ring);
                raster.dot(&inner_ring, at.x, at.y, ground);
            } else if is_rimmed && layer != Layer::Behind {
                raster.dot(&rim, at.x, at.y, ground);
            }
            raster.dot(&dot, at.x, at.y, colour);
        }
        raster
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

    fn dots(at: &[[f32; 2]]) -> Vec<Dot> {
        at.iter().map(|at| Dot { at: *at, colour: Color32::WHITE, layer: Layer::Middle }).collect()
    }

    const RECT: Rect = Rect { min: pos2(100.0, 50.0), max: pos2(500.0, 350.0) };

    #[test]
    fn zooming_keeps_what_is_under_the_pointer() {
        let mut view = View::default();
        for (factor, anchor) in [(3.0, pos2(320.0, 180.0)), (2.0, pos2(290.0, 210.0)), (0.4, pos2(310.0, 200.0))] {
            let meant = view.meant(RECT, anchor);
            view.zoom_by(RECT, factor, anchor);
            assert!((view.seen(RECT, meant) - anchor).length() < 1e-3);
        }
        let before = view.seen(RECT, [0.1, 0.2]);
        view.pan(RECT, vec2(7.0, -4.0));
        assert!((view.seen(RECT, [0.1, 0.2]) - before - vec2(7.0, -4.0)).length() < 1e-3);
        view.zoom_by(RECT, 1e9, RECT.center());
        assert_eq!(view.zoom, *ZOOMS.end());
        view.pan(RECT, vec2(1e9, 1e9));
        assert_eq!(view.centre, [-1.0, 1.0], "not beyond what there is");
    }

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
        plot.zoom_by(8.0);
        plot.follow(2);
        assert!(plot.view.seen(RECT, [0.2, 0.9]).y > RECT.top());
    }

    #[test]
    fn painting_does_not_depend_on_what_was_painted_before() {
        let at: Vec<[f32; 2]> = (0..500).map(|i| [(i as f32 * 0.7).sin(), (i as f32 * 1.3).cos()]).collect();
        let mut all = dots(&at);
        let mut plot = Scatter::default();
        plot.set(all.clone());
        let order = plot.order.clone();
        all[7].layer = Layer::Front;
        plot.set(all.clone());
        assert_eq!(plot.order.last(), Some(&7));
        all[7].layer = Layer::Middle;
        plot.set(all);
        assert_eq!(plot.order, order);
        assert_ne!(order[..5], [0, 1, 2, 3, 4], "shuffled");
    }
}
