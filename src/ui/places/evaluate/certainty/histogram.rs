//! Known images against strangers by a score, with the threshold of the rule.

use eframe::egui::{Stroke, Ui};
use egui_plot::{Bar, BarChart, VLine};

use crate::ui::theme::tokens;
use crate::ui::widgets::{ChartAxis, chart, legend};

const N_BINS: usize = 32;

/// Shares of two groups by a score.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Histogram {
    low: f64,
    width: f64,
    known: Vec<f64>,
    strangers: Vec<f64>,
}

impl Histogram {
    /// Between the least and the largest of all values, unless `range` says otherwise.
    pub(super) fn new(known: &[f32], strangers: &[f32], range: Option<(f32, f32)>) -> Self {
        let all = || known.iter().chain(strangers).copied().filter(|v| v.is_finite());
        let (low, high) = range.unwrap_or_else(|| {
            all().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        });
        // Nothing, or all the same.
        if low >= high {
            let low = if low.is_finite() { f64::from(low) } else { 0.0 };
            let one = |values: &[f32]| vec![if values.is_empty() { 0.0 } else { 1.0 }];
            return Self { low: low - 0.005, width: 0.01, known: one(known), strangers: one(strangers) };
        }
        let (low, width) = (f64::from(low), f64::from(high - low) / N_BINS as f64);
        let shares = |values: &[f32]| {
            let mut shares = vec![0.0; N_BINS];
            for value in values.iter().filter(|v| v.is_finite()) {
                let bin = ((f64::from(*value) - low) / width) as usize;
                shares[bin.min(N_BINS - 1)] += 1.0 / values.len() as f64;
            }
            shares
        };
        Self { low, width, known: shares(known), strangers: shares(strangers) }
    }

    /// Draws it; `threshold` is where the rule parts them.
    pub(super) fn ui<'a>(&self, ui: &mut Ui, label: &'a str, score: &'a str, threshold: Option<f64>) {
        let t = tokens(ui);
        let bars = |shares: &[f64], left: f64, colour| -> Vec<Bar> {
            let (low, width) = (self.low, self.width);
            shares
                .iter()
                .enumerate()
                .filter(|(_, share)| **share > 0.0)
                .map(|(i, share)| {
                    Bar::new(low + width * (i as f64 + left), *share)
                        .width(width * 0.42)
                        .fill(colour)
                        .stroke(Stroke::NONE)
                        .name(format!("{:.0} %", share * 100.0))
                })
                .collect()
        };
        let has_strangers = self.strangers.iter().any(|s| *s > 0.0);
        let known = bars(&self.known, if has_strangers { 0.27 } else { 0.5 }, t.accent.solid);
        let strangers = bars(&self.strangers, 0.73, t.warning.solid);
        let most = self.known.iter().chain(&self.strangers).copied().fold(0.05, f64::max);
        let end = self.low + self.width * self.known.len() as f64;
        let format = |value: f64| format!("{value:.2}");
        let x = ChartAxis::new(score).bounds(self.low, end).format(format);
        let y = ChartAxis::fraction("Images").bounds(0.0, most).step(if most > 0.5 { 0.25 } else { 0.1 });
        let line = t.text_strong;
        chart(ui, label, 150.0, (x, y), move |plot| {
            plot.bar_chart(BarChart::new("images of the classes", known));
            plot.bar_chart(BarChart::new("strangers", strangers));
            if let Some(at) = threshold {
                plot.vline(VLine::new("threshold", at).stroke(Stroke::new(1.5, line)));
            }
        });
        let mut names = vec![("images of the classes", t.accent.solid)];
        if has_strangers {
            names.push(("strangers", t.warning.solid));
        }
        if threshold.is_some() {
            names.push(("threshold", line));
        }
        legend(ui, &names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_whatever_the_values() {
        let sum = |shares: &[f64]| shares.iter().sum::<f64>();
        let found = Histogram::new(&[0.1, 0.2, 0.3], &[0.9, 0.5], None);
        assert!((sum(&found.known) - 1.0).abs() < 1e-9 && (sum(&found.strangers) - 1.0).abs() < 1e-9);
        assert_eq!((found.known[0] > 0.0, found.strangers[N_BINS - 1] > 0.0), (true, true));
        let same = Histogram::new(&[0.5; 4], &[0.5; 2], None);
        assert_eq!((same.known.as_slice(), same.strangers.as_slice()), (&[1.0][..], &[1.0][..]));
        let empty = Histogram::new(&[], &[], None);
        assert_eq!((sum(&empty.known), empty.low.is_finite()), (0.0, true));
        let odd = Histogram::new(&[f32::NAN, 0.5, 1.0], &[], Some((0.0, 1.0)));
        assert!((sum(&odd.known) - 2.0 / 3.0).abs() < 1e-9);
    }
}
