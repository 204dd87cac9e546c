//! Typefaces: Inter's subsets and the icons, before egui's own fonts.
//!
//! What these lack comes from egui's fonts, and after them from the system's: eframe asks for those by itself on the
//! first missing character (its feature `system_fonts`, `NativeOptions::system_font_fallback`), having listed them on
//! a thread.

use std::sync::Arc;

use eframe::egui::epaint::text::FontTweak;
use eframe::egui::{FontData, FontDefinitions, FontFamily, FontId};

use crate::ui::icons;

/// Weights of the typeface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Text.
    Regular,
    /// Buttons, the names of things.
    Medium,
    /// Titles and numbers.
    SemiBold,
}

const MEDIUM: &str = "graft-sans-medium";
const SEMI_BOLD: &str = "graft-sans-semibold";
const REGULAR: &str = "graft-sans-regular";

impl Weight {
    /// The font family of this weight.
    pub fn family(self) -> FontFamily {
        match self {
            Self::Regular => FontFamily::Proportional,
            Self::Medium => FontFamily::Name(MEDIUM.into()),
            Self::SemiBold => FontFamily::Name(SEMI_BOLD.into()),
        }
    }
}

/// A font of the typeface; `size_pt` is one of [`super::size`].
pub fn font(size_pt: f32, weight: Weight) -> FontId {
    FontId::new(size_pt, weight.family())
}

/// Space to add between letters, in points: large sizes are set tighter.
///
/// Source: Inter's dynamic metrics, `-0.0223 + 0.185 exp(-0.1745 size)` em.
pub fn tracking(size_pt: f32) -> f32 {
    if size_pt < 14.0 { 0.0 } else { (-0.0223 + 0.185 * (-0.1745 * size_pt).exp()) * size_pt }
}

/// The monospaced font.
pub fn mono(size_pt: f32) -> FontId {
    FontId::monospace(size_pt)
}

/// All fonts, in the order in which they are asked for a character.
pub fn definitions() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let files: [(&str, &'static [u8]); 4] = [
        (REGULAR, include_bytes!("../../../assets/fonts/graft-sans-regular.otf")),
        (MEDIUM, include_bytes!("../../../assets/fonts/graft-sans-medium.otf")),
        (SEMI_BOLD, include_bytes!("../../../assets/fonts/graft-sans-semibold.otf")),
        (icons::FAMILY, include_bytes!("../../../assets/icons/graft-icons.ttf")),
    ];
    for (name, bytes) in files {
        let mut data = FontData::from_static(bytes);
        if name == icons::FAMILY {
            data.tweak = FontTweak { hinting: Some(false), ..FontTweak::default() };
        }
        fonts.font_data.insert(name.to_owned(), Arc::new(data));
    }
    let fallbacks = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    let chain = |first: &[&str]| -> Vec<String> {
        first.iter().map(|name| (*name).to_owned()).chain(fallbacks.iter().cloned()).collect()
    };
    fonts.families.insert(Weight::Medium.family(), chain(&[MEDIUM, icons::FAMILY]));
    fonts.families.insert(Weight::SemiBold.family(), chain(&[SEMI_BOLD, icons::FAMILY]));
    fonts.families.insert(FontFamily::Name(icons::FAMILY.into()), chain(&[icons::FAMILY, REGULAR]));
    fonts.families.insert(FontFamily::Proportional, chain(&[REGULAR, icons::FAMILY]));
    if let Some(mono) = fonts.families.get_mut(&FontFamily::Monospace) {
        mono.insert(1, icons::FAMILY.to_owned());
        mono.insert(1, REGULAR.to_owned());
    }
    fonts
}
