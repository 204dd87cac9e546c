//! The images as points: what the model sees as alike lies together.

use eframe::egui::Ui;

use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::widgets::EmptyState;

/// What this view remembers from frame to frame.
#[derive(Default)]
pub(super) struct MapView {}

impl MapView {
    /// Draws the view.
    pub(super) fn ui(&mut self, _cx: &mut Cx<'_>, ui: &mut Ui) {
        EmptyState::new(icons::IMAGES, "The map of the images").show(ui);
    }
}
