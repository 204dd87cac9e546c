//! Where the model looks, as warm and cold colours over an image.

use std::sync::Arc;

use eframe::egui::{
    Color32, ColorImage, CornerRadius, Rect, Role, Sense, Stroke, StrokeKind, TextureHandle, TextureOptions, Ui,
    WidgetInfo, lerp, pos2, vec2,
};

use super::MadeFrom;
use crate::ui::theme::{radius, space};
use crate::ui::widgets;
use crate::workflow::explain::OcclusionMap;

/// What speaks for the class; told apart from the other also by colour-blind people.
const FOR: [f32; 3] = [255.0, 96.0, 24.0];
/// What speaks against it.
const AGAINST: [f32; 3] = [60.0, 130.0, 255.0];
/// How much of the image the strongest colour hides.
const STRONGEST: f32 = 0.72;
/// How much darker the picture is under the map, of 255.
const VEIL: u8 = 120;
/// Pixels of the texture for each place of the grid: steps are not to be seen.
const FINER: usize = 8;

/// The texture of the map that was drawn last.
#[derive(Default)]
pub(in crate::ui::places) struct HeatOverlay {
    of: MadeFrom<OcclusionMap>,
    texture: Option<TextureHandle>,
}

impl std::fmt::Debug for HeatOverlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeatOverlay").field("of", &self.of).finish_non_exhaustive()
    }
}

impl HeatOverlay {
    /// Draws a map over a picture that lies at `picture`; only within `clip`.
    pub(in crate::ui::places) fn draw(&mut self, ui: &Ui, picture: Rect, clip: Rect, map: &Arc<OcclusionMap>) {
        if !self.of.is(Some(map)) {
            self.of = MadeFrom::new(Some(map));
            self.texture = None;
        }
        let texture = self.texture.get_or_insert_with(|| {
            let (n_rows, n_columns) = map.drops.dim();
            let size = [n_columns * FINER, n_rows * FINER];
            ui.ctx().load_texture("where the model looks", ColorImage::new(size, pixels(map)), TextureOptions::LINEAR)
        });
        let [left, top, right, bottom] = map.seen;
        let at = |x: f32, y: f32| pos2(picture.left() + x * picture.width(), picture.top() + y * picture.height());
        let seen = Rect::from_min_max(at(left, top), at(right, bottom));
        let painter = ui.painter().with_clip_rect(clip.intersect(picture).intersect(ui.clip_rect()));
        // Darker, so that colours of the picture are not taken for those of the map.
        painter.rect_filled(seen, CornerRadius::ZERO, Color32::from_black_alpha(VEIL));
        painter.image(texture.id(), seen, Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0)), Color32::WHITE);
        // The model sees no more than this.
        let frame = Stroke::new(1.5, Color32::from_white_alpha(200));
        painter.rect_stroke(
            seen,
            CornerRadius::ZERO,
            Stroke::new(3.0, Color32::from_black_alpha(110)),
            StrokeKind::Inside,
        );
        painter.rect_stroke(seen, CornerRadius::ZERO, frame, StrokeKind::Inside);
    }
}

/// The colours, `FINER` pixels a place, interpolated between the places' centres.
fn pixels(map: &OcclusionMap) -> Vec<Color32> {
    let (n_rows, n_columns) = map.drops.dim();
    let scale = map.scale();
    let mut pixels = Vec::with_capacity(n_rows * n_columns * FINER * FINER);
    let place = |pixel: usize, n: usize| {
        let at = ((pixel as f32 + 0.5) / FINER as f32 - 0.5).clamp(0.0, (n - 1) as f32);
        let first = at.floor() as usize;
        (first, (first + 1).min(n - 1), at - at.floor())
    };
    for y in 0..n_rows * FINER {
        let (top, bottom, down) = place(y, n_rows);
        for x in 0..n_columns * FINER {
            let (left, right, along) = place(x, n_columns);
            let row = |row: usize| lerp(map.drops[[row, left]]..=map.drops[[row, right]], along);
            pixels.push(colour(lerp(row(top)..=row(bottom), down) / scale));
        }
    }
    pixels
}

/// The colour of a change from -1 (speaks against) to 1 (speaks for).
fn colour(change: f32) -> Color32 {
    let strength = change.abs().min(1.0);
    // Little is nearly nothing.
    let alpha = STRONGEST * strength.powf(0.9);
    let [r, g, b] = if change >= 0.0 { FOR } else { AGAINST };
    let byte = |v: f32| (v * alpha).round() as u8;
    Color32::from_rgba_premultiplied(byte(r), byte(g), byte(b), (255.0 * alpha).round() as u8)
}

/// What the colours mean.
pub(super) fn legend_ui(ui: &mut Ui, class: &str) {
    let label = format!("Blue speaks against “{class}”, orange speaks for it");
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 10.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
    ui.painter().rect_filled(rect, CornerRadius::same(radius::SMALL), Color32::from_gray(128));
    let n = 48;
    for i in 0..n {
        let change = 2.0 * (i as f32 + 0.5) / n as f32 - 1.0;
        let x = |i: usize| lerp(rect.left()..=rect.right(), i as f32 / n as f32);
        let cell = Rect::from_min_max(pos2(x(i), rect.top()), pos2(x(i + 1), rect.bottom()));
        ui.painter().rect_filled(cell, CornerRadius::ZERO, colour(change));
    }
    ui.spacing_mut().item_spacing.y = space::XS;
    widgets::row_ends(
        ui,
        |ui| {
            widgets::caption(ui, "speaks against");
        },
        |ui| {
            widgets::caption(ui, &format!("speaks for “{class}”"));
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classes::ClassIdx;
    use ndarray::array;

    #[test]
    fn warm_and_cold_lie_where_they_belong_and_nothing_is_clear() {
        let map = OcclusionMap {
            class: ClassIdx(0),
            drops: array![[3.0_f32, 0.0], [0.0, -3.0]],
            probability: 0.5,
            range: (0.1, 0.9),
            seen: [0.0, 0.0, 1.0, 1.0],
        };
        let pixels = pixels(&map);
        let side = 2 * FINER;
        assert_eq!(pixels.len(), side * side);
        let (first, last) = (pixels[0], pixels[side * side - 1]);
        assert!(first.r() > first.b() && last.b() > last.r());
        assert_eq!(first.a(), last.a());
        assert!(pixels[side - 1].a() < 8, "{:?}", pixels[side - 1]);
        let flat = OcclusionMap { drops: array![[0.0_f32]], ..map };
        assert!(super::pixels(&flat).iter().all(|p| p.a() == 0));
    }
}
