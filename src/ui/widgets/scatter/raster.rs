//! Many dots painted into a picture.
//!
//! On the processor, on purpose: 100,000 dots as triangles are 8 MB that go to the graphics card in every frame of a zoom,
//! and a software OpenGL spends longer on their corners than this does on their pixels.

use eframe::egui::Color32;

/// Parts of a pixel that a dot is placed to, in each direction.
const STEPS: usize = 4;

/// How much of each pixel a dot covers, for every place within a pixel.
pub(super) struct Brush {
    side: usize,
    masks: Vec<Vec<u8>>,
}

impl Brush {
    /// A dot of this radius in pixels.
    pub(super) fn new(radius: f32) -> Self {
        let side = (2.0 * radius).ceil() as usize + 2;
        let half = side as f32 / 2.0;
        let mask = |i: usize| {
            let offset = |step: usize| (step as f32 + 0.5) / STEPS as f32 - 0.5;
            let (x, y) = (half + offset(i % STEPS), half + offset(i / STEPS));
            let cover = |at: usize| {
                let (dx, dy) = ((at % side) as f32 + 0.5 - x, (at / side) as f32 + 0.5 - y);
                let inside = radius + 0.5 - dx.hypot(dy);
                (inside.clamp(0.0, 1.0) * 255.0) as u8
            };
            (0..side * side).map(cover).collect()
        };
        Self { side, masks: (0..STEPS * STEPS).map(mask).collect() }
    }
}

/// A picture, premultiplied, transparent at first.
pub(super) struct Raster {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<Color32>,
}

impl Raster {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![Color32::TRANSPARENT; width * height] }
    }

    /// Paints a dot around a place in pixels; `colour` is opaque.
    pub(super) fn dot(&mut self, brush: &Brush, x: f32, y: f32, colour: Color32) {
        let half = brush.side as f32 / 2.0;
        // The corner, moved so that steps are around the middle of a pixel.
        let (left, top) = (x - half + 0.5, y - half + 0.5);
        let (column, row) = (left.floor(), top.floor());
        let reach = brush.side as f32;
        if !(column > -reach && row > -reach && column < self.width as f32 && row < self.height as f32) {
            return;
        }
        let step = |rest: f32| ((rest * STEPS as f32) as usize).min(STEPS - 1);
        let mask = &brush.masks[step(top - row) * STEPS + step(left - column)];
        let (column, row) = (column as isize, row as isize);
        let first = (-column).max(0) as usize;
        let last = brush.side.min((self.width as isize - column) as usize);
        for i in (-row).max(0) as usize..brush.side.min((self.height as isize - row) as usize) {
            let start = (row + i as isize) as usize * self.width;
            let from = (start as isize + column + first as isize) as usize;
            let line = &mut self.pixels[from..from + (last - first)];
            for (pixel, cover) in line.iter_mut().zip(&mask[i * brush.side + first..i * brush.side + last]) {
                match *cover {
                    0 => {}
                    255 => *pixel = colour,
                    cover => *pixel = over(colour, *pixel, u32::from(cover)),
                }
            }
        }
    }
}

/// `colour` over `ground`, covering `cover` of 255 of it; two channels at a time.
fn over(colour: Color32, ground: Color32, cover: u32) -> Color32 {
    const PAIR: u32 = 0x00FF_00FF;
    // Of 256, so that it can be shifted by.
    let cover = cover + (cover >> 7);
    let (c, g) = (u32::from_le_bytes(colour.to_array()), u32::from_le_bytes(ground.to_array()));
    let mix = |c: u32, g: u32| ((c & PAIR) * cover + (g & PAIR) * (256 - cover)) >> 8 & PAIR;
    let [r, g, b, a] = (mix(c, g) | mix(c >> 8, g >> 8) << 8).to_le_bytes();
    Color32::from_rgba_premultiplied(r, g, b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INK: Color32 = Color32::from_rgb(200, 100, 0);

    fn area(raster: &Raster) -> f32 {
        raster.pixels.iter().map(|p| f32::from(p.a()) / 255.0).sum()
    }

    fn middle(raster: &Raster) -> (f32, f32) {
        let mut sum = (0.0, 0.0);
        for (i, p) in raster.pixels.iter().enumerate() {
            let a = f32::from(p.a()) / 255.0;
            sum.0 += a * ((i % raster.width) as f32 + 0.5);
            sum.1 += a * ((i / raster.width) as f32 + 0.5);
        }
        (sum.0 / area(raster), sum.1 / area(raster))
    }

    #[test]
    fn a_dot_has_its_size_and_its_place() {
        for radius in [1.0_f32, 1.4, 2.0, 3.5, 6.0] {
            let brush = Brush::new(radius);
            for (x, y) in [(20.0, 20.0), (20.5, 20.5), (17.3, 21.9), (15.99, 16.01)] {
                let mut raster = Raster::new(40, 40);
                raster.dot(&brush, x, y, INK);
                let wanted = std::f32::consts::PI * radius * radius;
                assert!((area(&raster) / wanted - 1.0).abs() < 0.15, "{radius}: {} for {wanted}", area(&raster));
                let (cx, cy) = middle(&raster);
                assert!((cx - x).abs() < 0.2 && (cy - y).abs() < 0.2, "{radius} at {x} {y}: {cx} {cy}");
            }
        }
    }

    #[test]
    fn dots_are_cut_off_at_the_edges() {
        let brush = Brush::new(3.0);
        for x in -6..26 {
            for y in -6..16 {
                let (mut cut, mut whole) = (Raster::new(20, 10), Raster::new(60, 50));
                cut.dot(&brush, x as f32 + 0.3, y as f32 - 0.2, INK);
                whole.dot(&brush, x as f32 + 20.3, y as f32 + 19.8, INK);
                for row in 0..10 {
                    let from = (row + 20) * 60 + 20;
                    assert_eq!(cut.pixels[row * 20..row * 20 + 20], whole.pixels[from..from + 20], "{x} {y} {row}");
                }
            }
        }
        let mut raster = Raster::new(4, 4);
        for bad in [f32::NAN, f32::INFINITY, -1e30, 1e30] {
            raster.dot(&brush, bad, 1.0, INK);
            raster.dot(&brush, 1.0, bad, INK);
        }
        assert_eq!(area(&raster), 0.0);
        Raster::new(0, 0).dot(&brush, 0.0, 0.0, INK);
    }

    #[test]
    fn covering_mixes() {
        let ground = Color32::from_rgb(0, 100, 250);
        assert_eq!(over(INK, ground, 0), ground);
        assert_eq!(over(INK, ground, 255), INK);
        let half = over(INK, ground, 128);
        assert!(half.r().abs_diff(100) < 2 && half.g() == 100 && half.b().abs_diff(125) < 2 && half.a() == 255);
        let thin = over(INK, Color32::TRANSPARENT, 128);
        assert!(thin.a().abs_diff(128) < 2 && thin.r().abs_diff(100) < 2, "premultiplied");
    }
}
