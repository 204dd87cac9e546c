//! The threshold for "unknown": what it saves and what it costs.

use std::sync::Arc;

use eframe::egui::{Stroke, Ui};
use egui_plot::{Line, PlotPoints, Points};

use crate::app::threshold::ThresholdCurve;
use crate::app::{Command, Fit, OpenProject};
use crate::ui::cx::Cx;
use crate::ui::made_from::MadeFrom;
use crate::ui::places::page::can_edit;
use crate::ui::theme::tokens;
use crate::ui::widgets::{self, Button, Card, ChartAxis, chart, percent, slider};

/// Points of the curve.
const N_POINTS: usize = 101;

/// What the card remembers.
#[derive(Debug, Default)]
pub(super) struct ThresholdCard {
    /// While the slider is moved.
    moving: Option<f32>,
    curve: Option<(MadeFrom<Fit>, Vec<[f64; 2]>)>,
}

impl ThresholdCard {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let set = project.data.settings.unknown_below;
        let is_editable = can_edit(cx.state).is_ok();
        let mut is_off = false;
        let trailing = |ui: &mut Ui| {
            if set.is_some() && is_editable {
                is_off = ui.add(Button::new("Always answer").small()).clicked();
            }
        };
        Card::new().title("When to say “unknown”").show_with(ui, trailing, |ui| {
            let Some(fit) = &project.live.fit else {
                widgets::weak(ui, "The head of the last time is being refreshed.");
                return;
            };
            widgets::caption(ui, "Answers less sure than this become “unknown”. Found out on the validation images.");
            let mut threshold = self.moving.or(set).unwrap_or(0.0);
            ui.add_enabled_ui(is_editable, |ui| {
                let response = slider(ui, "Unknown below", &mut threshold, 0.0..=1.0, |p| {
                    if p > 0.0 { percent(p) } else { "Off".to_owned() }
                });
                if response.dragged() {
                    self.moving = Some(threshold);
                } else if response.drag_stopped() || response.changed() {
                    self.moving = None;
                    cx.send(Command::SetThreshold((threshold > 0.0).then_some(threshold)));
                }
            });
            self.curve(ui, fit, threshold);
            words(ui, &fit.threshold, threshold);
        });
        if is_off {
            self.moving = None;
            cx.send(Command::SetThreshold(None));
        }
    }

    /// Accuracy of the answers over the share of images that get one.
    fn curve(&mut self, ui: &mut Ui, fit: &Arc<Fit>, threshold: f32) {
        let curve = &fit.threshold;
        if self.curve.as_ref().is_none_or(|(known, _)| !known.is(Some(fit))) {
            let at = |i: usize| curve.at(i as f32 / (N_POINTS - 1) as f32);
            let points = (0..N_POINTS).map(at).filter_map(|at| Some([at.coverage(), at.accuracy()?])).collect();
            self.curve = Some((MadeFrom::new(Some(fit)), points));
        }
        let Some((_, points)) = &self.curve else { return };
        let t = tokens(ui);
        let least = points.iter().map(|p| p[1]).fold(1.0, f64::min);
        let floor = ((least * 20.0).floor() / 20.0 - 0.05).max(0.0);
        let x = ChartAxis::fraction("Images that get an answer");
        let y = ChartAxis::fraction("Answers right").bounds(floor, 1.0).step(if floor < 0.7 { 0.25 } else { 0.05 });
        let now = curve.at(threshold);
        let (line, mark, points) = (t.accent.solid, t.accent.text, points.clone());
        chart(ui, "Accuracy over coverage", 150.0, (x, y), move |plot| {
            plot.line(Line::new("threshold", PlotPoints::from(points)).stroke(Stroke::new(2.0, line)));
            if let Some(accuracy) = now.accuracy() {
                let point = PlotPoints::from(vec![[now.coverage(), accuracy]]);
                plot.points(Points::new("now", point).radius(5.0).color(mark));
            }
        });
    }
}

fn words(ui: &mut Ui, curve: &ThresholdCurve, threshold: f32) {
    let at = curve.at(threshold);
    let n_wrong = at.n_wrong_refused + at.n_wrong_answered;
    let right = at.accuracy().map_or_else(|| "none".to_owned(), |a| percent(a as f32));
    if threshold <= 0.0 {
        widgets::body(ui, &format!("Every image gets an answer; {right} of them are right."));
        return;
    }
    let text = format!(
        "Answers {} of the images; of the answers {right} are right. Saves {} of {n_wrong} mistakes, costs {} right {}.",
        percent(at.coverage() as f32),
        at.n_wrong_refused,
        at.n_right_refused,
        if at.n_right_refused == 1 { "answer" } else { "answers" }
    );
    widgets::body(ui, &text);
}
