//! Heads of before, and how they differ.

use eframe::egui::Ui;

use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::widgets::EmptyState;

/// What this view remembers from frame to frame.
#[derive(Debug, Default)]
pub(super) struct RunsView {}

impl RunsView {
    /// Draws the view.
    pub(super) fn ui(&mut self, _cx: &mut Cx<'_>, ui: &mut Ui) {
        EmptyState::new(icons::TARGET, "Runs").show(ui);
    }
}
