//! The screen: the only place that names egui.

pub mod cx;
pub mod dialogs;
pub mod format;
pub mod icons;
mod made_from;
pub mod palette;
pub mod places;
pub mod shell;
pub mod textures;
pub mod theme;
pub mod widgets;
mod window;

use shell::icon_of as shell_icon;
pub use window::{FrameTimes, Launch, WindowError, quantile_secs, run};
