//! How good labels are where classes of images are known; how accuracy grows with examples.

use eframe::egui::{Stroke, Ui};
use egui_plot::{Line, PlotPoints, Points};

use crate::app::{Action, OpenProject};
use crate::ui::cx::Cx;
use crate::ui::places::evaluate::{ConfusionCard, headline, per_class_card};
use crate::ui::theme::tokens;
use crate::ui::widgets::{
    self, Banner, Button, Card, ChartAxis, Column, EmptyState, Meaning, Sort, Table, chart, columns, legend, percent,
};
use crate::ui::{format, icons};

/// Narrower than this, the table of classes stands below the matrix, in points.
const LEAST_FOR_TABLE: f32 = 760.0;

/// What this view remembers.
#[derive(Debug, Default)]
pub(super) struct Figures {
    confusion: ConfusionCard,
    sort: Option<Sort>,
}

impl Figures {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let zero_shot = &project.zero_shot;
        if zero_shot.is_judging() && cx.state.activity(crate::jobs::LaneKind::Text).is_some() {
            let text = if zero_shot.report.is_some() {
                "Judging; these figures are of the labels before."
            } else {
                "Judging…"
            };
            widgets::caption(ui, text);
            if zero_shot.report.is_none() {
                return;
            }
        }
        let Some(report) = &zero_shot.report else {
            EmptyState::new(icons::TARGET, "The truth is not known")
                .text("Images whose class is called like a label are judged: folders of images, or images that you have labelled. What labels themselves have said is no truth.")
                .show(ui);
            return;
        };
        headline(ui, report, "images of a known class");
        let n_guessed = project.counts.n_guessed;
        if n_guessed > 0 {
            widgets::caption(
                ui,
                &format!(
                    "{} got their class from labels and are not judged, until you confirm or correct them.",
                    format::images(n_guessed)
                ),
            );
        }
        if ui.available_width() < LEAST_FOR_TABLE {
            self.confusion.plain(ui, report);
            per_class_card(ui, report, &mut self.sort);
        } else {
            columns(ui, &[1.15, 1.0], |ui, i| {
                if i == 0 {
                    self.confusion.plain(ui, report);
                } else {
                    per_class_card(ui, report, &mut self.sort);
                }
            });
        }
        if !project.zero_shot.effects.is_empty() {
            effects(ui, project);
        }
    }
}

/// What each description is worth.
fn effects(ui: &mut Ui, project: &OpenProject) {
    let t = tokens(ui);
    Card::new().title("Which descriptions help").show(ui, |ui| {
        widgets::caption(ui, "Each is left out in turn: what is lost without it, on the images whose class is known.");
        let columns = [
            Column::text("Class").min_width(80.0),
            Column::text("Description").min_width(120.0).share(2.0),
            Column::number("Accuracy", 92.0),
            Column::number("Log loss", 80.0),
        ];
        let effects = &project.zero_shot.effects;
        Table::new("descriptions", &columns).max_height(320.0).show(ui, effects.len(), |i, row| {
            let effect = &effects[i];
            row.text(&effect.class);
            row.text(&effect.description);
            let points = effect.accuracy_gain * 100.0;
            let colour = match points {
                p if p > 0.05 => t.positive.text,
                p if p < -0.05 => t.negative.text,
                _ => t.text_weak,
            };
            row.coloured(&format!("{points:+.1} points"), colour);
            row.weak(&format!("{:+.3}", -effect.log_loss_gain));
        });
    });
}

/// Accuracy over the number of examples a class.
pub(super) fn curve_ui(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    let zero_shot = &project.zero_shot;
    if let Some(why) = &zero_shot.curve_error {
        Banner::new(Meaning::Negative, "The curve could not be drawn").text(why).show(ui);
    }
    let action = Action::DrawCurve;
    let state = cx.state;
    let mut is_asked = false;
    let trailing = |ui: &mut Ui| {
        let text = if zero_shot.curve.is_some() { "Draw again" } else { "Draw" };
        let button = Button::new(text).small().tip(action.tooltip()).label(action.label());
        is_asked = ui.add(button.availability(action.availability(state))).clicked();
    };
    Card::new().title("Few-shot curve").show_with(ui, trailing, |ui| {
        widgets::caption(
            ui,
            "Accuracy with so many labelled images of each class, on images that were not drawn; means of three draws.",
        );
        if state.draws_curve() {
            let activity = state.activity(crate::jobs::LaneKind::Text);
            let fraction = activity.filter(|a| a.n_total > 0).map(|a| a.n_done as f32 / a.n_total as f32);
            widgets::progress_bar(ui, "Drawing the few-shot curve", fraction);
        }
        let Some(curve) = zero_shot.curve.as_ref().filter(|c| c.points.len() > 1) else {
            if !state.draws_curve() {
                let why = match (&zero_shot.curve, action.availability(state)) {
                    (Some(_), _) => "It needs more labelled images of each class.",
                    (None, Ok(())) => "Draw it to see whether labelling a few images is worth it.",
                    (None, Err(why)) => why,
                };
                widgets::weak(ui, why);
            }
            return;
        };
        let t = tokens(ui);
        let n = curve.points.len();
        let series = |of: &dyn Fn(&crate::workflow::few_shot::CurvePoint) -> Option<f64>| -> Vec<[f64; 2]> {
            curve.points.iter().enumerate().filter_map(|(i, p)| Some([i as f64, of(p)?])).collect()
        };
        let text = series(&|p| p.text.first().copied());
        let linear = series(&|p| p.linear);
        let alone = series(&|p| Some(p.zero_shot));
        let least = text.iter().chain(&linear).chain(&alone).map(|p| p[1]).fold(1.0, f64::min);
        let floor = ((least * 10.0).floor() / 10.0 - 0.05).max(0.0);
        let x = ChartAxis::new("Labelled images a class").step(1.0).bounds(-0.2, n as f64 - 0.8).format(shots);
        let y = ChartAxis::fraction("").bounds(floor, 1.0).step(if floor < 0.5 { 0.25 } else { 0.1 });
        let (of_text, of_linear, of_alone) = (t.accent.solid, t.warning.solid, t.text_faint);
        chart(ui, "Accuracy over labelled images a class", 260.0, (x, y), move |plot| {
            for (name, points, colour) in
                [("zero-shot", alone, of_alone), ("linear", linear, of_linear), ("text", text, of_text)]
            {
                plot.line(Line::new(name, PlotPoints::from(points.clone())).stroke(Stroke::new(2.0, colour)));
                plot.points(Points::new(name, PlotPoints::from(points)).radius(3.0).color(colour));
            }
        });
        legend(
            ui,
            &[
                ("starts from the labels", of_text),
                ("linear head, images alone", of_linear),
                ("labels alone", of_alone),
            ],
        );
        if let Some(last) = curve.points.last() {
            let best = last.text.first().copied().unwrap_or_default();
            widgets::body(
                ui,
                &format!(
                    "Labels alone {}, with {} images a class {}.",
                    percent(curve.points[0].zero_shot as f32),
                    last.shots,
                    percent(best as f32)
                ),
            );
        }
        if curve.revision != project.revision {
            widgets::caption(ui, "Labels or images have changed since it was drawn.");
        }
    });
    if is_asked {
        cx.act(action);
    }
}

/// The number of examples at a position of the axis: 0, 1, 2, 4, 8, 16.
fn shots(position: f64) -> String {
    if position.fract().abs() > 1e-6 || position < 0.0 {
        return String::new();
    }
    match position as u32 {
        0 => "0".to_owned(),
        n => (1u32 << (n - 1).min(16)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::shots;

    #[test]
    fn positions_are_powers_of_two() {
        assert_eq!([0.0, 1.0, 2.0, 5.0].map(shots), ["0", "1", "2", "16"]);
        assert_eq!(shots(1.5), "");
    }
}
