//! The look: one table of design tokens, a light and a dark theme made from it, the typefaces, the colours of classes.
//!
//! Call [`install`] once with egui's context; afterwards [`tokens`] gives the colours of the theme in which a `Ui` is
//! drawn. Distances, radii and sizes are constants in [`space`], [`radius`], [`size`] and [`height`].

pub mod colour;
mod fonts;
mod palette;
mod style;
mod tokens;

use eframe::egui::{self, Context, ThemePreference, Ui};

pub use fonts::{Weight, font, mono, tracking};
pub use palette::{N_SAFE, class_colour, text_on};
pub use style::{field_fill, shadow};
pub use tokens::{DARK, LIGHT, Tokens, Tone, height, radius, size, space};

/// A theme that is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Light, Self::Dark];

    /// The theme in which `ui` is drawn.
    pub fn of(ui: &Ui) -> Self {
        if ui.visuals().dark_mode { Self::Dark } else { Self::Light }
    }

    /// Its tokens.
    pub fn tokens(self) -> &'static Tokens {
        tokens::of(self)
    }
}

impl From<Theme> for egui::Theme {
    fn from(theme: Theme) -> Self {
        match theme {
            Theme::Light => Self::Light,
            Theme::Dark => Self::Dark,
        }
    }
}

/// What somebody chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ThemeChoice {
    /// As the system has it.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

impl ThemeChoice {
    /// All, in the order in which to offer them.
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// What it is called on screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    /// The next one, for a button that goes through all.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }

    /// Makes `ctx` draw in it from the next frame on.
    pub fn apply(self, ctx: &Context) {
        ctx.set_theme(match self {
            Self::System => ThemePreference::System,
            Self::Light => ThemePreference::Light,
            Self::Dark => ThemePreference::Dark,
        });
    }
}

/// Gives `ctx` the fonts and both themes. Takes effect with the next frame; once is enough.
pub fn install(ctx: &Context) {
    ctx.set_fonts(fonts::definitions());
    for theme in Theme::ALL {
        ctx.set_style_of(theme.into(), style::style(theme));
    }
}

/// The tokens of the theme in which `ui` is drawn.
pub fn tokens(ui: &Ui) -> &'static Tokens {
    Theme::of(ui).tokens()
}
