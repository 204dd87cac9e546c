//! Colour arithmetic: contrast as WCAG 2.1 defines it, mixing, and OKLCH.

use eframe::egui::Color32;

/// `0xRRGGBB` as an opaque colour.
pub const fn hex(rgb: u32) -> Color32 {
    Color32::from_rgb((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8)
}

fn linear(channel: u8) -> f32 {
    let c = f32::from(channel) / 255.0;
    if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
}

fn encoded(linear: f32) -> u8 {
    let c = linear.clamp(0.0, 1.0);
    let c = if c <= 0.003_130_8 { c * 12.92 } else { 1.055 * c.powf(1.0 / 2.4) - 0.055 };
    (c * 255.0).round() as u8
}

/// Relative luminance of an opaque colour, 0 (black) to 1 (white).
pub fn luminance(colour: Color32) -> f32 {
    0.2126 * linear(colour.r()) + 0.7152 * linear(colour.g()) + 0.0722 * linear(colour.b())
}

/// Contrast ratio of two opaque colours, 1 to 21. Text wants 4.5 (AA), large text and graphics 3.
pub fn contrast(a: Color32, b: Color32) -> f32 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// What is seen where `over`, which may be translucent, is painted on the opaque `under`.
pub fn composite(over: Color32, under: Color32) -> Color32 {
    under.blend(over)
}

/// A mixture of two opaque colours: `t = 0` is `a`, `t = 1` is `b`.
pub fn mix(a: Color32, b: Color32, t: f32) -> Color32 {
    a.lerp_to_gamma(b, t)
}

/// OKLab of an opaque colour. Distances in it are about as large as the differences look; black to white is 1.
/// Source: B. Ottosson, "A perceptual color space for image processing".
pub fn oklab(colour: Color32) -> [f32; 3] {
    oklab_of_linear([linear(colour.r()), linear(colour.g()), linear(colour.b())])
}

/// OKLab of linear red, green and blue, each 0 to 1.
pub fn oklab_of_linear([r, g, b]: [f32; 3]) -> [f32; 3] {
    let l = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).max(0.0).cbrt();
    let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).max(0.0).cbrt();
    let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).max(0.0).cbrt();
    [
        0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
        1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
        0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
    ]
}

/// Linear red, green and blue of an opaque colour.
pub fn linear_rgb(colour: Color32) -> [f32; 3] {
    [linear(colour.r()), linear(colour.g()), linear(colour.b())]
}

/// A colour by lightness (0 to 1), chroma (0 to about 0.3) and hue in degrees. Where sRGB has no such colour, the
/// nearest one of less chroma.
pub fn oklch(lightness: f32, chroma: f32, hue_deg: f32) -> Color32 {
    let hue = hue_deg.to_radians();
    let mut chroma = chroma;
    loop {
        let (a, b) = (chroma * hue.cos(), chroma * hue.sin());
        let l = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
        let m = (lightness - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
        let s = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
        let rgb = [
            4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s,
            -1.268_438 * l + 2.609_757_4 * m - 0.341_319_38 * s,
            -0.004_196_086_3 * l - 0.703_418_6 * m + 1.707_614_7 * s,
        ];
        if chroma <= 0.0 || rgb.iter().all(|c| (-0.000_5..=1.000_5).contains(c)) {
            return Color32::from_rgb(encoded(rgb[0]), encoded(rgb[1]), encoded(rgb[2]));
        }
        chroma = (chroma - 0.005).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_that_of_wcag() {
        assert!((contrast(Color32::BLACK, Color32::WHITE) - 21.0).abs() < 0.01);
        assert!((contrast(hex(0x767676), Color32::WHITE) - 4.54).abs() < 0.01);
    }

    #[test]
    fn oklch_goes_there_and_back() {
        for rgb in [0x336699, 0xC37015, 0x808080, 0x10F010] {
            let colour = hex(rgb);
            let [l, a, b] = oklab(colour);
            let back = oklch(l, a.hypot(b), b.atan2(a).to_degrees());
            for (x, y) in colour.to_array().iter().zip(back.to_array()) {
                assert!(x.abs_diff(y) <= 2, "{colour:?} became {back:?}");
            }
        }
    }
}
