//! What is seen of the plane of a scatter plot.

use eframe::egui::{Pos2, Rect, Vec2, vec2};

/// Room around the points in points of the screen.
const MARGIN: f32 = 20.0;
/// Magnification, 1 being all that there is.
pub(super) const ZOOMS: std::ops::RangeInclusive<f32> = 0.5..=400.0;

/// What is seen of the plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct View {
    pub centre: [f32; 2],
    /// Magnification, 1 being all that there is.
    pub zoom: f32,
    /// Half the width and half the height of what there is: fitted, it fills the plot.
    pub half: [f32; 2],
}

impl Default for View {
    fn default() -> Self {
        Self { centre: [0.0, 0.0], zoom: 1.0, half: [1.0, 1.0] }
    }
}

impl View {
    /// Points of the screen for one unit of the plane.
    pub fn scale(&self, rect: Rect) -> f32 {
        let fitted = (rect.width() / 2.0 - MARGIN) / self.half[0];
        fitted.min((rect.height() / 2.0 - MARGIN) / self.half[1]).max(8.0) * self.zoom
    }

    pub fn seen(&self, rect: Rect, at: [f32; 2]) -> Pos2 {
        let scale = self.scale(rect);
        rect.center() + vec2(at[0] - self.centre[0], self.centre[1] - at[1]) * scale
    }

    pub fn meant(&self, rect: Rect, at: Pos2) -> [f32; 2] {
        let from = (at - rect.center()) / self.scale(rect);
        [self.centre[0] + from.x, self.centre[1] - from.y]
    }

    /// Radius of one of `n_dots` in points of the screen: the denser they are in view, the smaller.
    pub fn radius(&self, n_dots: usize, rect: Rect) -> f32 {
        let in_view = n_dots.max(1) as f32 / (self.zoom * self.zoom).max(1.0);
        (0.22 * (rect.area() / in_view).sqrt()).clamp(1.3, 5.0)
    }

    pub fn pan(&mut self, rect: Rect, by: Vec2) {
        let by = by / self.scale(rect);
        // The middle never leaves what there is.
        self.centre = [(self.centre[0] - by.x).clamp(-1.0, 1.0), (self.centre[1] + by.y).clamp(-1.0, 1.0)];
    }

    /// What is at `anchor` stays there.
    pub fn zoom_by(&mut self, rect: Rect, factor: f32, anchor: Pos2) {
        let before = self.meant(rect, anchor);
        self.zoom = (self.zoom * factor).clamp(*ZOOMS.start(), *ZOOMS.end());
        let after = self.meant(rect, anchor);
        self.centre = [0, 1].map(|axis| (self.centre[axis] + before[axis] - after[axis]).clamp(-1.0, 1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::pos2;

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
}
