//! What may be wrong with the data, as lists of images.

use eframe::egui::Ui;

use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::widgets::EmptyState;

/// What this view remembers from frame to frame.
#[derive(Default)]
pub(super) struct CheckView {}

impl CheckView {
    /// Draws the view.
    pub(super) fn ui(&mut self, _cx: &mut Cx<'_>, ui: &mut Ui) {
        EmptyState::new(icons::IMAGES, "Faults in the data").show(ui);
    }
}
