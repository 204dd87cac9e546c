//! The reliability diagram, before and after temperature scaling.

use eframe::egui::{Stroke, Ui};
use egui_plot::{Bar, BarChart, Line, MarkerShape, PlotPoints, Points};

use crate::app::OpenProject;
use crate::metrics::{Calibration, CalibrationBin, Report};
use crate::ui::format::{images, interval};
use crate::ui::theme::tokens;
use crate::ui::widgets::{self, Card, ChartAxis, chart, legend, percent, stat};

/// Room at the left of the charts in points, so that the places of how sure an answer is stand under one another.
const LEFT: f32 = 68.0;

/// How sure the head is against how often it is right.
pub(super) fn card(ui: &mut Ui, project: &OpenProject, report: &Report) {
    let head = project.live.fit.as_ref().and_then(|fit| fit.head());
    let calibration = head.and_then(|head| head.judged.certainty.calibration.as_ref());
    Card::new().title("Reliability diagram").show(ui, |ui| {
        widgets::caption(ui, "Answers by how sure they are. On the line, 80 % sure is right 80 % of the time.");
        let after = calibration.map_or(&report.calibration, |found| &found.after.bins);
        diagram(ui, after, calibration.map(|found| found.before.bins.as_slice()));
        counts(ui, after);
        match calibration {
            Some(found) => change(ui, found),
            // Of the last time only the figures are kept.
            None => {
                let error = &report.calibration_error;
                let text = format!("Calibration error {} ({}).", percent(error.value as f32), interval(error));
                widgets::body(ui, &text);
            }
        }
    });
}

fn diagram(ui: &mut Ui, after: &[CalibrationBin], before: Option<&[CalibrationBin]>) {
    let t = tokens(ui);
    let bins: Vec<_> = after.iter().filter(|b| b.n_rows > 0).collect();
    let most = bins.iter().map(|b| b.n_rows).max().unwrap_or(1);
    let bars: Vec<Bar> = bins
        .iter()
        .map(|bin| {
            // Bins with few images say little and are drawn faintly.
            let weight = 0.35 + 0.65 * (f64::from(bin.n_rows) / f64::from(most)) as f32;
            Bar::new((bin.low + bin.high) / 2.0, bin.accuracy)
                .width((bin.high - bin.low) * 0.86)
                .fill(t.accent.solid.gamma_multiply(weight))
                .stroke(Stroke::NONE)
                .name(format!("{}, {:.0} % right", images(bin.n_rows as usize), bin.accuracy * 100.0))
        })
        .collect();
    let marks = before.unwrap_or_default().iter().filter(|b| b.n_rows > 0);
    let marks: Vec<[f64; 2]> = marks.map(|b| [b.mean_confidence, b.accuracy]).collect();
    let has_before = !marks.is_empty();
    let axes = (ChartAxis::fraction("How sure"), ChartAxis::fraction("How often right").least(LEFT));
    let (grey, warm) = (t.text_weak, t.warning.solid);
    chart(ui, "Reliability diagram", 200.0, axes, move |plot| {
        plot.bar_chart(BarChart::new("after", bars));
        let diagonal = PlotPoints::from(vec![[0.0, 0.0], [1.0, 1.0]]);
        plot.line(Line::new("perfect", diagonal).stroke(Stroke::new(1.0, grey)));
        plot.points(Points::new("before", marks).radius(4.0).color(warm).shape(MarkerShape::Diamond));
    });
    if has_before {
        let names = [
            ("with temperature", t.accent.solid),
            ("as it was fitted", t.warning.solid),
            ("as it should be", t.text_weak),
        ];
        legend(ui, &names);
    } else {
        legend(ui, &[("answers", t.accent.solid), ("as it should be", t.text_weak)]);
    }
}

/// How many answers each bar rests on.
fn counts(ui: &mut Ui, bins: &[CalibrationBin]) {
    let t = tokens(ui);
    let most = bins.iter().map(|b| b.n_rows).max().unwrap_or(1);
    let bars: Vec<Bar> = bins
        .iter()
        .filter(|b| b.n_rows > 0)
        .map(|bin| {
            Bar::new((bin.low + bin.high) / 2.0, f64::from(bin.n_rows))
                .width((bin.high - bin.low) * 0.86)
                .fill(t.text_faint)
                .stroke(Stroke::NONE)
                .name(images(bin.n_rows as usize))
        })
        .collect();
    let x = ChartAxis::fraction("How sure");
    let y = ChartAxis::new("Images").least(LEFT).bounds(0.0, f64::from(most)).step(f64::from(most.div_ceil(2).max(1)));
    chart(ui, "Images by how sure the answer is", 84.0, (x, y), move |plot| {
        plot.bar_chart(BarChart::new("images", bars));
    });
}

/// What the temperature has changed.
fn change(ui: &mut Ui, found: &Calibration) {
    let Calibration { before, after, .. } = found;
    let error = |error: f64| percent(error as f32);
    ui.columns(3, |columns| {
        let figures = [
            ("Error as fitted", error(before.error), format!("log loss {:.3}", before.log_loss)),
            ("With temperature", error(after.error), format!("log loss {:.3}", after.log_loss)),
            ("By chance alone", error(after.error_by_chance), "a perfect head's".to_owned()),
        ];
        for (ui, (caption, value, detail)) in columns.iter_mut().zip(figures) {
            stat(ui, caption, &value, &detail);
        }
    });
    let bins = after.bins.iter();
    let over: f64 = bins.map(|b| f64::from(b.n_rows) * (b.mean_confidence - b.accuracy)).sum();
    let how = match over / found.n_rows.max(1) as f64 {
        lean if lean > 0.02 => "surer than it is right",
        lean if lean < -0.02 => "right more often than it is sure",
        _ => "about as sure as it is right",
    };
    let chosen = match found.is_cross_fitted {
        true => " They have chosen the temperature, so each was judged at one that it had no part in.",
        false => " They had no part in choosing the temperature.",
    };
    let text = format!(
        "Calibration error on {}, at temperature {:.2}: on the whole it is {how}.{chosen}",
        images(found.n_rows),
        found.temperature,
    );
    widgets::body(ui, &text);
}
