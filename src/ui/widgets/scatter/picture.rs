//! The picture of a scatter plot: painted at once where dots are few, else beside the window's thread, which shows the last
//! one in its new place meanwhile.

use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError, bounded};
use eframe::egui::{Color32, ColorImage, Context, Rect, TextureHandle, TextureOptions, Ui, Vec2, pos2, vec2};

use super::raster::{Brush, Raster};
use super::view::View;
use super::{Dot, Layer};
use crate::ui::theme::{Theme, tokens};

/// Up to so many dots are painted at once: it takes a millisecond, and nothing is ever seen late or stretched.
const MAX_AT_ONCE: usize = 8000;
/// Up to so many dots each has a rim that keeps it apart from its neighbours.
const MAX_RIMMED: usize = 8000;

/// What there is to paint.
#[derive(Clone, Default)]
pub(super) struct Dots {
    pub dots: Arc<[Dot]>,
    /// Indices of the dots in the order in which they are painted.
    pub order: Arc<[u32]>,
    /// Another one for other dots.
    pub generation: u64,
}

/// What decides a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    view: View,
    /// Size in points of the screen.
    size: Vec2,
    size_px: [usize; 2],
    /// Pixels of the picture for one point of the screen.
    scale: f32,
    theme: Theme,
    generation: u64,
}

impl Look {
    /// The plot as if it lay in the corner of the screen.
    fn rect(&self) -> Rect {
        Rect::from_min_size(pos2(0.0, 0.0), self.size)
    }

    /// Where on the screen the picture belongs, in a plot at `rect` that shows `view`.
    fn place(&self, rect: Rect, view: &View) -> Rect {
        let own = self.rect();
        Rect::from_two_pos(
            view.seen(rect, self.view.meant(own, own.min)),
            view.seen(rect, self.view.meant(own, own.max)),
        )
    }
}

/// A picture on its way from the thread that paints it.
struct Coming {
    of: Look,
    from: Receiver<Raster>,
}

/// The picture, kept from frame to frame.
#[derive(Default)]
pub(super) struct Picture {
    shown: Option<(Look, TextureHandle)>,
    coming: Option<Coming>,
}

impl Picture {
    /// Draws what `view` shows of `dots` at `rect`.
    pub(super) fn ui(&mut self, ui: &Ui, rect: Rect, view: &View, dots: &Dots) {
        let pixels_per_point = ui.ctx().pixels_per_point();
        // What is larger than a texture can be is painted smaller.
        let most = ui.input(|i| i.max_texture_side);
        let scale = pixels_per_point.min(most as f32 / rect.size().max_elem().max(1.0));
        let px = |points: f32| ((points * scale).ceil().max(1.0) as usize).min(most);
        let t = tokens(ui);
        let look = Look {
            view: *view,
            size: rect.size(),
            size_px: [px(rect.width()), px(rect.height())],
            scale,
            theme: t.theme,
            generation: dots.generation,
        };
        self.receive(ui.ctx());
        if self.coming.is_none() && self.shown.as_ref().is_none_or(|(shown, _)| *shown != look) {
            let paint = {
                let (dots, ground, ring) = (dots.clone(), t.surface, t.text_strong);
                move || paint(&look, &dots, ground, ring)
            };
            if dots.dots.len() <= MAX_AT_ONCE {
                self.show(ui.ctx(), look, paint());
            } else {
                self.coming = begin(ui.ctx(), look, paint);
            }
        }
        let Some((shown, texture)) = &self.shown else { return };
        let at = if (shown.view, shown.size, shown.scale) == (look.view, look.size, look.scale) {
            // Pixel on pixel.
            let corner = (rect.min * pixels_per_point).round() / pixels_per_point;
            let [width, height] = shown.size_px.map(|side| side as f32 / scale);
            Rect::from_min_size(corner, vec2(width, height))
        } else {
            shown.place(rect, view)
        };
        let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        ui.painter().with_clip_rect(rect).image(texture.id(), at, uv, Color32::WHITE);
    }

    fn receive(&mut self, ctx: &Context) {
        let Some(coming) = &self.coming else { return };
        match coming.from.try_recv() {
            Ok(raster) => {
                let of = coming.of;
                self.show(ctx, of, raster);
                self.coming = None;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => self.coming = None,
        }
    }

    fn show(&mut self, ctx: &Context, of: Look, raster: Raster) {
        let image = ColorImage::new([raster.width, raster.height], raster.pixels);
        let texture = match self.shown.take() {
            Some((_, mut texture)) => {
                texture.set(image, TextureOptions::NEAREST);
                texture
            }
            None => ctx.load_texture("scatter", image, TextureOptions::NEAREST),
        };
        self.shown = Some((of, texture));
    }
}

/// Paints on a thread of its own: the pool may be at work on something long. `None` where the system gives no thread.
fn begin(ctx: &Context, of: Look, paint: impl FnOnce() -> Raster + Send + 'static) -> Option<Coming> {
    let (to, from) = bounded(1);
    let ctx = ctx.clone();
    let work = move || {
        // The plot may be gone meanwhile.
        if to.send(paint()).is_ok() {
            ctx.request_repaint();
        }
    };
    std::thread::Builder::new().name("scatter".into()).spawn(work).ok()?;
    Some(Coming { of, from })
}

fn paint(look: &Look, of: &Dots, ground: Color32, ring: Color32) -> Raster {
    let Look { size_px: [width, height], scale, .. } = *look;
    let rect = look.rect();
    let mut raster = Raster::new(width, height);
    let radius = look.view.radius(of.dots.len(), rect) * scale;
    let dot = Brush::new(radius);
    let rim = Brush::new(radius + 0.8 * scale);
    let [wide_ring, inner_ring] = [3.0, 1.4].map(|beyond| Brush::new(radius + beyond * scale));
    let is_rimmed = of.dots.len() <= MAX_RIMMED;
    let reach = radius + 4.0 * scale;
    for &i in of.order.iter() {
        let Some(Dot { at, colour, layer }) = of.dots.get(i as usize).copied() else { continue };
        let at = look.view.seen(rect, at).to_vec2() * scale;
        let is_in = (-reach..width as f32 + reach).contains(&at.x) && (-reach..height as f32 + reach).contains(&at.y);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn look(view: View, size: Vec2) -> Look {
        let size_px = [size.x as usize, size.y as usize];
        Look { view, size, size_px, scale: 1.0, theme: Theme::Dark, generation: 0 }
    }

    #[test]
    fn the_last_picture_lies_where_its_points_are_now() {
        let size = vec2(400.0, 300.0);
        let before = look(View::default(), size);
        let rect = Rect::from_min_size(pos2(30.0, 70.0), size);
        assert!((before.place(rect, &before.view).min - rect.min).length() < 1e-3);
        let mut view = View::default();
        view.zoom_by(rect, 2.5, pos2(100.0, 200.0));
        view.pan(rect, vec2(13.0, -8.0));
        let place = before.place(rect, &view);
        assert!((place.width() / rect.width() - 2.5).abs() < 1e-3);
        // A point of the plane is under the same spot of the picture.
        let point = [0.3, -0.2];
        let spot = before.view.seen(before.rect(), point).to_vec2() / size;
        let on_screen = place.min + spot * place.size();
        assert!((on_screen - view.seen(rect, point)).length() < 1e-2);
    }

    #[test]
    fn many_dots_are_painted_beside_the_window_and_few_at_once() {
        for (n, at_once) in [(MAX_AT_ONCE, true), (MAX_AT_ONCE + 1, false)] {
            let dot = |i: usize| Dot { at: [i as f32 / n as f32, 0.0], colour: Color32::RED, layer: Layer::Middle };
            let dots = Dots { dots: (0..n).map(dot).collect(), order: (0..n as u32).collect(), generation: 1 };
            let mut picture = Picture::default();
            let ctx = Context::default();
            crate::ui::theme::install(&ctx);
            let frame = |picture: &mut Picture| {
                let mut output = ctx.run_ui(Default::default(), |ui| {
                    let rect = Rect::from_min_size(pos2(0.0, 0.0), vec2(200.0, 100.0));
                    picture.ui(ui, rect, &View::default(), &dots);
                });
                output.textures_delta.clear();
            };
            frame(&mut picture);
            assert_eq!(picture.shown.is_some(), at_once, "{n}");
            for _ in 0..1000 {
                if picture.shown.is_some() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
                frame(&mut picture);
            }
            assert!(picture.shown.is_some() && picture.coming.is_none(), "{n}");
            frame(&mut picture);
            assert!(picture.coming.is_none(), "nothing to paint anew");
        }
    }
}
