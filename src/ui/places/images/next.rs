//! Images without a class, the most useful to label first.

use eframe::egui::Ui;

use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::widgets::EmptyState;

/// What this view remembers from frame to frame.
#[derive(Default)]
pub(super) struct NextView {}

impl NextView {
    /// Draws the view.
    pub(super) fn ui(&mut self, _cx: &mut Cx<'_>, ui: &mut Ui) {
        EmptyState::new(icons::IMAGES, "What to label next").show(ui);
    }
}
