//! When it says "unknown": what that saves and what it costs.

use std::sync::Arc;

use eframe::egui::{Stroke, Ui};
use egui_plot::{Line, PlotPoints, Points};

use super::histogram::Histogram;
use crate::app::{Command, Fit, OpenProject, USUAL_KEEP};
use crate::head::{UnknownRule, UnknownWish};
use crate::ui::cx::Cx;
use crate::ui::made_from::MadeFrom;
use crate::ui::places::page::can_edit;
use crate::ui::theme::tokens;
use crate::ui::widgets::{self, Banner, Button, Card, ChartAxis, Meaning, chart, percent, segmented, slider};
use crate::workflow::evaluate::RuleFigures;

/// Points of the curve.
const N_POINTS: usize = 101;
/// Precisions that can be asked for with a press.
const PRECISIONS: [f64; 2] = [0.95, 0.99];
/// The threshold that one begins with.
const FIRST_THRESHOLD: f32 = 0.5;
/// The least share of known images that a rule by distance keeps.
const LEAST_KEEP: f32 = 0.5;

/// The kinds of rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Off,
    Confidence,
    Distance,
}

impl By {
    fn of(wish: UnknownWish) -> Self {
        match wish {
            UnknownWish::Off => Self::Off,
            UnknownWish::Probability { .. } | UnknownWish::Precision { .. } => Self::Confidence,
            UnknownWish::Distance { .. } => Self::Distance,
        }
    }
}

/// What the card remembers.
#[derive(Debug, Default)]
pub(super) struct RuleCard {
    /// While a slider is moved.
    moving: Option<f32>,
    curve: Option<(MadeFrom<Fit>, Vec<[f64; 2]>)>,
    histogram: Option<(MadeFrom<Fit>, Histogram)>,
}

impl RuleCard {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let wish = project.data.settings.unknown;
        let is_editable = can_edit(cx.state).is_ok();
        Card::new().title("When to say “unknown”").show(ui, |ui| {
            let Some(fit) = &project.live.fit else {
                widgets::weak(ui, "The head of the last time is being refreshed.");
                return;
            };
            let mut by = By::of(wish);
            ui.add_enabled_ui(is_editable, |ui| {
                let options = [(By::Off, "Never"), (By::Confidence, "When unsure"), (By::Distance, "When far off")];
                if segmented(ui, "When to say unknown", &mut by, &options).changed() {
                    self.moving = None;
                    cx.send(Command::SetUnknown(match by {
                        By::Off => UnknownWish::Off,
                        By::Confidence => UnknownWish::Probability { below: FIRST_THRESHOLD },
                        By::Distance => UnknownWish::Distance { keep: USUAL_KEEP },
                    }));
                }
            });
            let rule = match by {
                By::Off => {
                    widgets::caption(ui, "Every image gets an answer, also one that shows none of the classes.");
                    project.live.rule()
                }
                By::Confidence => self.by_confidence(cx, ui, project, is_editable),
                By::Distance => self.by_distance(cx, ui, project, is_editable),
            };
            if let (Some(error), None) = (project.live.unknown_error(), self.moving) {
                let text = format!("{}.", first_upper(&error.to_string()));
                Banner::new(Meaning::Warning, "Every image gets an answer for now").text(&text).show(ui);
            }
            match by {
                By::Distance => self.distances(ui, fit, rule),
                By::Off | By::Confidence => self.curve(ui, fit, rule),
            }
            words(ui, &RuleFigures::new(&fit.known, rule));
        });
    }

    fn by_confidence(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, is_editable: bool) -> UnknownRule {
        let wish = project.data.settings.unknown;
        let settled = match project.live.rule() {
            UnknownRule::Probability { below } => below,
            _ => 0.0,
        };
        widgets::caption(ui, "Answers less sure than this become “unknown”. Found out on the validation images.");
        let mut threshold = self.moving.unwrap_or(settled);
        ui.add_enabled_ui(is_editable, |ui| {
            let response = slider(ui, "Unknown below", &mut threshold, 0.0..=1.0, |p| {
                if p > 0.0 { percent(p) } else { "Off".to_owned() }
            });
            if response.dragged() {
                self.moving = Some(threshold);
            } else if response.drag_stopped() || response.changed() {
                self.moving = None;
                cx.send(Command::SetUnknown(match threshold > 0.0 {
                    true => UnknownWish::Probability { below: threshold },
                    false => UnknownWish::Off,
                }));
            }
            ui.horizontal_wrapped(|ui| {
                widgets::weak(ui, "So that");
                for at_least in PRECISIONS {
                    let wanted = UnknownWish::Precision { at_least };
                    let text = format!("{:.0} % are right", at_least * 100.0);
                    let tip = "The lowest threshold at which so many answers on the validation images are right; found \
                               anew whenever the head changes";
                    if ui.add(Button::new(&text).small().selected(wish == wanted).tip(tip)).clicked() {
                        self.moving = None;
                        cx.send(Command::SetUnknown(wanted));
                    }
                }
            });
        });
        UnknownRule::Probability { below: threshold }
    }

    fn by_distance(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, is_editable: bool) -> UnknownRule {
        widgets::caption(
            ui,
            "Keeps the answer of this share of the validation images; what lies further from every class becomes “unknown”.",
        );
        let wished = match project.data.settings.unknown {
            UnknownWish::Distance { keep } => keep as f32,
            _ => USUAL_KEEP as f32,
        };
        let mut keep = self.moving.unwrap_or(wished);
        ui.add_enabled_ui(is_editable, |ui| {
            let response = slider(ui, "Known images that keep their answer", &mut keep, LEAST_KEEP..=1.0, percent);
            if response.dragged() {
                self.moving = Some(keep);
            } else if response.drag_stopped() || response.changed() {
                self.moving = None;
                cx.send(Command::SetUnknown(UnknownWish::Distance { keep: f64::from(keep) }));
            }
        });
        match self.moving {
            Some(keep) => {
                UnknownWish::Distance { keep: f64::from(keep) }.settle(project.live.known()).unwrap_or_default()
            }
            None => project.live.rule(),
        }
    }

    /// Accuracy of the answers over the share of images that get one.
    fn curve(&mut self, ui: &mut Ui, fit: &Arc<Fit>, rule: UnknownRule) {
        let threshold = match rule {
            UnknownRule::Probability { below } => below,
            _ => 0.0,
        };
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

    /// Distances of the validation images, with the threshold.
    fn distances(&mut self, ui: &mut Ui, fit: &Arc<Fit>, rule: UnknownRule) {
        if self.histogram.as_ref().is_none_or(|(known, _)| !known.is(Some(fit))) {
            let known: Vec<f32> = fit.known.iter().filter_map(|k| k.distance).collect();
            self.histogram = Some((MadeFrom::new(Some(fit)), Histogram::new(&known, &[], None)));
        }
        let Some((_, histogram)) = &self.histogram else { return };
        let threshold = match rule {
            UnknownRule::Distance { above } => Some(f64::from(above)),
            _ => None,
        };
        histogram.ui(ui, "Distances of the validation images", "Distance to the nearest class", threshold);
    }
}

fn words(ui: &mut Ui, found: &RuleFigures) {
    let n_wrong = found.n_wrong_refused + (found.n_answered - found.n_right);
    let right = found.precision().map_or_else(
        || "none".to_owned(),
        |p| format!("{} ({})", percent(p.value as f32), crate::ui::format::interval(&p)),
    );
    if found.n_answered == found.n {
        widgets::body(ui, &format!("Every validation image gets an answer; {right} of them are right."));
        return;
    }
    let text = format!(
        "Answers {} of the validation images; of the answers {right} are right. Saves {} of {n_wrong} {}, costs {} right {}.",
        percent(found.coverage() as f32),
        found.n_wrong_refused,
        if n_wrong == 1 { "mistake" } else { "mistakes" },
        found.n_right_refused,
        if found.n_right_refused == 1 { "answer" } else { "answers" }
    );
    widgets::body(ui, &text);
}

/// Errors begin small, to stand in a sentence.
fn first_upper(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wish_has_its_kind() {
        assert_eq!(By::of(UnknownWish::Off), By::Off);
        assert_eq!(By::of(UnknownWish::Precision { at_least: 0.9 }), By::Confidence);
        assert_eq!(By::of(UnknownWish::Distance { keep: 0.9 }), By::Distance);
        assert_eq!(first_upper("no threshold"), "No threshold");
        assert_eq!(first_upper(""), "");
    }
}
