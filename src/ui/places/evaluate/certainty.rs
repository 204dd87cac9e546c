//! How sure the head may be, and when it says "unknown".

mod calibration;
mod histogram;
mod rule;
mod strangers;

use eframe::egui::Ui;

use crate::app::HeadFigures;
use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::widgets::{EmptyState, columns};

/// What this view remembers from frame to frame.
#[derive(Debug, Default)]
pub(super) struct CertaintyView {
    rule: rule::RuleCard,
    strangers: strangers::StrangersCard,
}

impl CertaintyView {
    /// Draws the view.
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, figures: &HeadFigures<'_>) {
        let Some(project) = cx.project() else { return };
        let Some(report) = figures.val else {
            EmptyState::new(icons::TARGET, "There are no validation images")
                .text(
                    "How sure an answer may be is found out on images that were held back. Each class needs two images or \
                     more: then one of them is.",
                )
                .show(ui);
            return;
        };
        columns(ui, &[1.0, 1.0], |ui, i| {
            if i == 0 {
                calibration::card(ui, project, report);
            } else {
                self.rule.ui(cx, ui, project);
            }
        });
        self.strangers.ui(cx, ui, project);
    }
}
