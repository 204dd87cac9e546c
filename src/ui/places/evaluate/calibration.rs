//! The reliability diagram.

use eframe::egui::{Stroke, Ui};
use egui_plot::{Bar, BarChart, Line, PlotPoints};

use crate::metrics::Report;
use crate::ui::format::{images, interval};
use crate::ui::theme::tokens;
use crate::ui::widgets::{self, Card, ChartAxis, chart, legend, percent};

/// How sure the head is against how often it is right.
pub(super) fn card(ui: &mut Ui, report: &Report) {
    Card::new().title("Reliability diagram").show(ui, |ui| {
        let t = tokens(ui);
        widgets::caption(ui, "Answers by how sure they were. On the line, 80 % sure is right 80 % of the time.");
        let bins: Vec<_> = report.calibration.iter().filter(|b| b.n_rows > 0).collect();
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
        let axes = (ChartAxis::fraction("How sure"), ChartAxis::fraction("How often right"));
        let grey = t.text_weak;
        chart(ui, "Reliability diagram", 220.0, axes, move |plot| {
            plot.bar_chart(BarChart::new("answers", bars));
            let diagonal = PlotPoints::from(vec![[0.0, 0.0], [1.0, 1.0]]);
            plot.line(Line::new("perfect", diagonal).stroke(Stroke::new(1.0, grey)));
        });
        legend(ui, &[("answers", t.accent.solid), ("as it should be", t.text_weak)]);
        let error = &report.calibration_error;
        let over: f64 = bins.iter().map(|b| f64::from(b.n_rows) * (b.mean_confidence - b.accuracy)).sum();
        let lean = over / f64::from(report.n_rows.max(1) as u32);
        let how = match lean {
            l if l > 0.02 => "surer than it is right",
            l if l < -0.02 => "right more often than it is sure",
            _ => "about as sure as it is right",
        };
        let text = format!(
            "Calibration error {} ({}): on the whole it is {how}.",
            percent(error.value as f32),
            interval(error)
        );
        widgets::body(ui, &text);
    });
}
