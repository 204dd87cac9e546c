//! Colours of classes: twelve that stay apart for colour-blind readers, then more by the golden angle.

use eframe::egui::Color32;

use super::Theme;
use super::colour::{contrast, hex, oklch};

/// `(light, dark)`. Chosen by a search over OKLCH that made the smallest distance between any two as large as it could
/// be, as seen with full colour vision, protanopia, deuteranopia and tritanopia, on both themes at once; starting from
/// a blue and an orange, which every one of these tells apart.
const BASE: [(Color32, Color32); 12] = [
    (hex(0x216FBB), hex(0x65A9F3)), // blue
    (hex(0xC37015), hex(0xFFAD67)), // orange
    (hex(0x0C715C), hex(0x46AA91)), // teal
    (hex(0xBA3452), hex(0xF5768A)), // rose
    (hex(0x512898), hex(0x8163CC)), // violet
    (hex(0x676402), hex(0x9C9B4D)), // olive
    (hex(0x9C78C4), hex(0xDFC3FE)), // lavender
    (hex(0x703500), hex(0xA8693C)), // brown
    (hex(0x649576), hex(0xA1CFB1)), // sage
    (hex(0x850344), hex(0xC04B76)), // wine
    (hex(0x2A4A6C), hex(0x5E7DA0)), // slate
    (hex(0x8C5591), hex(0xC48FC9)), // plum
];

/// Number of colours that stay apart for colour-blind readers.
pub const N_SAFE: usize = BASE.len();

/// The colour of a class, for dots, bars and outlines on any surface of `theme` (a contrast of 3 or more).
pub fn class_colour(idx: usize, theme: Theme) -> Color32 {
    if let Some((light, dark)) = BASE.get(idx) {
        return match theme {
            Theme::Light => *light,
            Theme::Dark => *dark,
        };
    }
    let turn = (idx - BASE.len()) as f32;
    let hue_deg = (turn * 137.507_77 + 20.0) % 360.0;
    // Three levels of lightness, so that hues that come near each other differ in it.
    let level = (turn as usize % 3) as f32;
    match theme {
        Theme::Light => oklch(0.42 + 0.055 * level, 0.13, hue_deg),
        Theme::Dark => oklch(0.64 + 0.08 * level, 0.11, hue_deg),
    }
}

/// Black or white, whichever reads better on `fill`.
pub fn text_on(fill: Color32) -> Color32 {
    const INK: Color32 = hex(0x050607);
    if contrast(Color32::WHITE, fill) >= contrast(INK, fill) { Color32::WHITE } else { INK }
}

#[cfg(test)]
mod tests {
    use super::super::colour::{linear_rgb, oklab_of_linear};
    use super::super::tokens;
    use super::*;

    /// Machado, Oliveira, Fernandes (2009), severity 1: protanopia, deuteranopia, tritanopia; in linear RGB.
    const BLIND: [[[f32; 3]; 3]; 3] = [
        [[0.152_286, 1.052_583, -0.204_868], [0.114_503, 0.786_281, 0.099_216], [-0.003_882, -0.048_116, 1.051_998]],
        [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_82, 0.042_94, 0.968_881]],
        [[1.255_528, -0.076_749, -0.178_779], [-0.078_411, 0.930_809, 0.147_602], [0.004_733, 0.691_367, 0.303_9]],
    ];

    fn seen(colour: Color32, how: Option<[[f32; 3]; 3]>) -> [f32; 3] {
        let rgb = linear_rgb(colour);
        let rgb =
            how.map_or(rgb, |m| m.map(|row| row.iter().zip(rgb).map(|(a, b)| a * b).sum::<f32>().clamp(0.0, 1.0)));
        oklab_of_linear(rgb)
    }

    #[test]
    fn the_safe_colours_stay_apart_for_everyone() {
        let views: Vec<_> = std::iter::once(None).chain(BLIND.map(Some)).collect();
        for theme in Theme::ALL {
            for how in &views {
                let colours: Vec<_> = (0..N_SAFE).map(|i| seen(class_colour(i, theme), *how)).collect();
                for i in 0..N_SAFE {
                    for j in 0..i {
                        let apart: f32 = colours[i].iter().zip(colours[j]).map(|(a, b)| (a - b).powi(2)).sum();
                        // A difference of 0.02 is just noticeable.
                        assert!(apart.sqrt() > 0.05, "{theme:?}: {i} and {j} are {:.3} apart", apart.sqrt());
                    }
                }
            }
        }
    }

    #[test]
    fn class_colours_show_on_every_surface_and_carry_text() {
        for theme in Theme::ALL {
            let t = tokens::of(theme);
            for idx in 0..255 {
                let colour = class_colour(idx, theme);
                for surface in [t.canvas, t.surface, t.raised] {
                    let ratio = contrast(colour, surface);
                    assert!(ratio >= 3.0, "{theme:?}: class {idx} has {ratio:.2} on {surface:?}");
                }
                assert!(contrast(colour, text_on(colour)) >= 4.5, "{theme:?}: text on class {idx}");
            }
        }
    }
}
