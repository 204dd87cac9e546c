//! The table of design tokens: every colour, distance, radius and size of type that the screen uses.

use eframe::egui::Color32;

use super::Theme;
use super::colour::hex;

/// Distances in points, multiples of 4 but for the half step.
pub mod space {
    /// Between an icon and its text.
    pub const XXS: f32 = 2.0;
    /// Within a group.
    pub const XS: f32 = 4.0;
    /// Between the parts of a row.
    pub const S: f32 = 8.0;
    /// Inside cards, between rows of a form.
    pub const M: f32 = 12.0;
    /// Between cards.
    pub const L: f32 = 16.0;
    /// Between sections, around a place.
    pub const XL: f32 = 24.0;
    /// Around what stands alone.
    pub const XXL: f32 = 40.0;
}

/// Corner radii in points.
pub mod radius {
    /// Key caps, chips, small thumbnails.
    pub const SMALL: u8 = 4;
    /// Buttons, fields, rows.
    pub const CONTROL: u8 = 6;
    /// Cards, popups.
    pub const CARD: u8 = 8;
    /// Dialogs.
    pub const DIALOG: u8 = 12;
    /// Half of any height.
    pub const PILL: u8 = 255;
}

/// Sizes of type and of icons in points.
pub mod size {
    /// Axis labels, badges, captions.
    pub const CAPTION: f32 = 11.0;
    /// Secondary text, dense tables.
    pub const SMALL: f32 = 12.0;
    /// Text.
    pub const BODY: f32 = 13.0;
    /// Titles of cards and dialogs.
    pub const TITLE: f32 = 15.0;
    /// Title of a place.
    pub const HEADING: f32 = 20.0;
    /// The one number of a card.
    pub const DISPLAY: f32 = 28.0;
    /// Icons beside text.
    pub const ICON: f32 = 16.0;
    /// Icons of empty states.
    pub const ICON_LARGE: f32 = 32.0;
}

/// Heights of controls in points.
pub mod height {
    /// Buttons in toolbars and rows.
    pub const SMALL: f32 = 24.0;
    /// Buttons and fields.
    pub const CONTROL: f32 = 28.0;
    /// Rows of tables and lists.
    pub const ROW: f32 = 28.0;
    /// The main button of a place.
    pub const LARGE: f32 = 36.0;
}

/// The colours of one meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    /// Text and icons on a surface or on [`Tone::tint`].
    pub text: Color32,
    /// Bars, dots, filled buttons.
    pub solid: Color32,
    /// Text on [`Tone::solid`].
    pub on_solid: Color32,
    /// Background of badges and banners; opaque.
    pub tint: Color32,
    /// Outline of banners.
    pub line: Color32,
}

/// The colours of a theme. All are opaque but for those that say otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tokens {
    /// Which theme this is.
    pub theme: Theme,
    /// Behind everything: the rail, the status bar, the gaps between cards.
    pub canvas: Color32,
    /// Where a place's contents lie: cards, panels.
    pub surface: Color32,
    /// What floats: menus, dialogs, toasts.
    pub raised: Color32,
    /// Wells: fields, tracks of bars, image backgrounds.
    pub sunken: Color32,
    /// Fill of buttons.
    pub control: Color32,
    /// Fill of buttons under the pointer.
    pub control_hover: Color32,
    /// Fill of buttons held down.
    pub control_active: Color32,
    /// Veil over a row or a quiet button under the pointer; translucent.
    pub hover: Color32,
    /// Veil over a row or a quiet button held down; translucent.
    pub pressed: Color32,
    /// Fill of what is selected.
    pub selected: Color32,
    /// Hairlines between and around areas.
    pub border: Color32,
    /// Outline of controls; contrast of 3 with the surfaces where nothing else marks the control.
    pub border_control: Color32,
    /// Titles, numbers, what is selected.
    pub text_strong: Color32,
    /// Text.
    pub text: Color32,
    /// Captions, hints, secondary columns; still AA.
    pub text_weak: Color32,
    /// What is disabled, and decoration; not for what must be read.
    pub text_faint: Color32,
    /// The one accent.
    pub accent: Tone,
    /// Verified, correct.
    pub positive: Tone,
    /// Look at this.
    pub warning: Tone,
    /// Wrong, failed, destructive.
    pub negative: Tone,
    /// No meaning: neutral badges.
    pub neutral: Tone,
    /// Ring around what has the keyboard's focus.
    pub focus: Color32,
    /// Behind selected text; translucent.
    pub text_selection: Color32,
    /// Shadows; translucent.
    pub shadow: Color32,
    /// Over everything behind a dialog; translucent.
    pub backdrop: Color32,
    /// Fill of tooltips.
    pub tooltip: Color32,
}

/// The light theme.
pub const LIGHT: Tokens = Tokens {
    theme: Theme::Light,
    canvas: hex(0xF5F5F6),
    surface: hex(0xFFFFFF),
    raised: hex(0xFFFFFF),
    sunken: hex(0xEEEEF1),
    control: hex(0xFFFFFF),
    control_hover: hex(0xF6F6F8),
    control_active: hex(0xECECEF),
    hover: Color32::from_rgba_premultiplied(0, 0, 0, 11),
    pressed: Color32::from_rgba_premultiplied(0, 0, 0, 22),
    selected: hex(0xE9EBFB),
    border: hex(0xE3E3E7),
    border_control: hex(0xCFCFD6),
    text_strong: hex(0x16171B),
    text: hex(0x35373E),
    text_weak: hex(0x666973),
    text_faint: hex(0x9A9DA6),
    accent: Tone {
        text: hex(0x414AB8),
        solid: hex(0x4B55C8),
        on_solid: hex(0xFFFFFF),
        tint: hex(0xECEEFB),
        line: hex(0xCBD0F3),
    },
    positive: Tone {
        text: hex(0x176B43),
        solid: hex(0x1B8250),
        on_solid: hex(0xFFFFFF),
        tint: hex(0xE4F4EB),
        line: hex(0xBBE0CB),
    },
    warning: Tone {
        text: hex(0x865200),
        solid: hex(0xD18A11),
        on_solid: hex(0x1C1300),
        tint: hex(0xFCF2DD),
        line: hex(0xEFD8A5),
    },
    negative: Tone {
        text: hex(0xB4232F),
        solid: hex(0xCC3440),
        on_solid: hex(0xFFFFFF),
        tint: hex(0xFCEBEC),
        line: hex(0xF2C5C9),
    },
    neutral: Tone {
        text: hex(0x53565F),
        solid: hex(0x848791),
        on_solid: hex(0x0B0C0E),
        tint: hex(0xECECEF),
        line: hex(0xD9D9DF),
    },
    focus: hex(0x5D68E0),
    text_selection: Color32::from_rgba_premultiplied(21, 24, 58, 64),
    shadow: Color32::from_rgba_premultiplied(2, 2, 4, 26),
    backdrop: Color32::from_rgba_premultiplied(5, 5, 8, 68),
    tooltip: hex(0xFFFFFF),
};

/// The dark theme.
pub const DARK: Tokens = Tokens {
    theme: Theme::Dark,
    canvas: hex(0x131416),
    surface: hex(0x1A1B1E),
    raised: hex(0x232429),
    sunken: hex(0x101113),
    control: hex(0x27282D),
    control_hover: hex(0x2F3036),
    control_active: hex(0x222327),
    hover: Color32::from_rgba_premultiplied(13, 13, 13, 13),
    pressed: Color32::from_rgba_premultiplied(22, 22, 22, 22),
    selected: hex(0x2A2D48),
    border: hex(0x2A2B30),
    border_control: hex(0x3B3D44),
    text_strong: hex(0xF1F2F4),
    text: hex(0xC8CAD0),
    text_weak: hex(0x9497A0),
    text_faint: hex(0x63666F),
    accent: Tone {
        text: hex(0xA5AEFB),
        solid: hex(0x5A65DC),
        on_solid: hex(0xFFFFFF),
        tint: hex(0x262942),
        line: hex(0x3C4270),
    },
    positive: Tone {
        text: hex(0x63CB98),
        solid: hex(0x35A56F),
        on_solid: hex(0x04140C),
        tint: hex(0x182B23),
        line: hex(0x264A39),
    },
    warning: Tone {
        text: hex(0xEDB95E),
        solid: hex(0xD6982E),
        on_solid: hex(0x1C1300),
        tint: hex(0x302716),
        line: hex(0x544320),
    },
    negative: Tone {
        text: hex(0xFF959B),
        solid: hex(0xCB3F4B),
        on_solid: hex(0xFFFFFF),
        tint: hex(0x361F23),
        line: hex(0x5E3137),
    },
    neutral: Tone {
        text: hex(0xADB0B9),
        solid: hex(0x7B7E88),
        on_solid: hex(0x08090A),
        tint: hex(0x2B2C31),
        line: hex(0x3A3B42),
    },
    focus: hex(0x8691FF),
    text_selection: Color32::from_rgba_premultiplied(36, 41, 92, 104),
    shadow: Color32::from_rgba_premultiplied(0, 0, 0, 110),
    backdrop: Color32::from_rgba_premultiplied(0, 0, 0, 140),
    tooltip: hex(0x2E2F35),
};

/// The tokens of a theme.
pub fn of(theme: Theme) -> &'static Tokens {
    match theme {
        Theme::Light => &LIGHT,
        Theme::Dark => &DARK,
    }
}

#[cfg(test)]
mod tests {
    use super::super::colour::{composite, contrast};
    use super::*;

    fn check(theme: Theme, what: &str, fg: Color32, bg: Color32, least: f32) {
        let ratio = contrast(fg, bg);
        assert!(ratio >= least, "{theme:?}: {what} has a contrast of {ratio:.2}, wants {least}");
    }

    #[test]
    fn text_reads_on_every_surface() {
        for theme in Theme::ALL {
            let t = of(theme);
            let surfaces = [
                ("canvas", t.canvas),
                ("surface", t.surface),
                ("raised", t.raised),
                ("sunken", t.sunken),
                ("tooltip", t.tooltip),
                ("control", t.control),
                ("control, hovered", t.control_hover),
                ("control, held", t.control_active),
                ("selected", t.selected),
                ("canvas, hovered", composite(t.hover, t.canvas)),
                ("surface, held", composite(t.pressed, t.surface)),
                ("selected text", composite(t.text_selection, t.sunken)),
            ];
            for (name, bg) in surfaces {
                check(theme, &format!("strong text on {name}"), t.text_strong, bg, 7.0);
                check(theme, &format!("text on {name}"), t.text, bg, 4.5);
                if name != "selected text" {
                    check(theme, &format!("weak text on {name}"), t.text_weak, bg, 4.5);
                }
            }
        }
    }

    #[test]
    fn tones_read_on_surfaces_tints_and_solids() {
        for theme in Theme::ALL {
            let t = of(theme);
            let tones = [
                ("accent", t.accent),
                ("positive", t.positive),
                ("warning", t.warning),
                ("negative", t.negative),
                ("neutral", t.neutral),
            ];
            for (name, tone) in tones {
                for bg in [t.canvas, t.surface, t.raised, tone.tint] {
                    check(theme, &format!("{name} text on {bg:?}"), tone.text, bg, 4.5);
                }
                check(theme, &format!("{name}: text on solid"), tone.on_solid, tone.solid, 4.5);
                // A banner is read too.
                check(theme, &format!("text on the tint of {name}"), t.text, tone.tint, 4.5);
            }
            check(theme, "accent on selected", t.accent.text, t.selected, 4.5);
            for bg in [t.canvas, t.surface, t.raised, t.sunken] {
                check(theme, "the focus ring", t.focus, bg, 3.0);
            }
        }
    }
}
