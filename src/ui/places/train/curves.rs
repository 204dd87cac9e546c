//! How the linear head came about: its strength on a path, its loss over the iterations.

use eframe::egui::{Stroke, Ui};
use egui_plot::{HLine, Line, PlotPoints, Points, VLine};

use crate::app::HeadFigures;
use crate::head::HeadKind;
use crate::ui::theme::tokens;
use crate::ui::widgets::{self, Card, ChartAxis, chart, legend};

const HEIGHT: f32 = 190.0;

fn linear<'a>(figures: &[HeadFigures<'a>]) -> Option<HeadFigures<'a>> {
    figures.iter().copied().find(|f| f.kind == HeadKind::Linear)
}

/// Accuracy over the strengths that were tried.
pub(super) fn path_card(ui: &mut Ui, figures: &[HeadFigures<'_>]) {
    Card::new().title("Regularisation path").show(ui, |ui| {
        let Some(head) = linear(figures).filter(|h| h.record.path.len() > 1) else {
            widgets::weak(ui, "Too few images to choose a strength: the default is used.");
            return;
        };
        let t = tokens(ui);
        widgets::caption(ui, "Accuracy on held-out images for each strength C. Small C keeps weights small.");
        let points: Vec<[f64; 2]> = head.record.path.iter().map(|p| [p.c.log10(), p.accuracy]).collect();
        let least = points.iter().map(|p| p[1]).fold(1.0, f64::min);
        let chosen = head.record.c.map(f64::log10);
        let floor = ((least * 10.0).floor() / 10.0 - 0.05).max(0.0);
        let x =
            ChartAxis::new("C").format(|v| if v.fract().abs() < 1e-6 { format!("1e{v:.0}") } else { String::new() });
        let y = ChartAxis::fraction("").bounds(floor, 1.0).step(if floor < 0.5 { 0.25 } else { 0.1 });
        let (line, mark, grey) = (t.accent.solid, t.accent.text, t.text_faint);
        chart(ui, "Accuracy over the strength of the penalty", HEIGHT, (x.step(1.0), y), move |plot| {
            if let Some(chosen) = chosen {
                plot.vline(VLine::new("chosen", chosen).stroke(Stroke::new(1.0, grey)));
            }
            plot.line(Line::new("accuracy", PlotPoints::from(points.clone())).stroke(Stroke::new(2.0, line)));
            plot.points(Points::new("tried", PlotPoints::from(points.clone())).radius(2.5).color(line));
            let at: Vec<[f64; 2]> =
                points.iter().copied().filter(|p| chosen.is_some_and(|c| (p[0] - c).abs() < 1e-9)).collect();
            plot.points(Points::new("chosen", PlotPoints::from(at)).radius(5.0).color(mark));
        });
        if let Some(c) = head.record.c {
            widgets::caption(ui, &format!("Chosen: C = {}", crate::ui::format::number(c)));
        }
    });
}

/// The next larger one of 1, 2 and 5 times a power of ten, for the distance of ticks.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= least).unwrap_or(power)
}

/// The objective over the iterations of the final fit.
pub(super) fn loss_card(ui: &mut Ui, figures: &[HeadFigures<'_>]) {
    Card::new().title("Loss of the final fit").show(ui, |ui| {
        let Some(head) = linear(figures).filter(|h| h.record.loss_curve.len() > 1) else {
            widgets::weak(ui, "There is nothing to show: class means are not fitted in steps.");
            return;
        };
        let t = tokens(ui);
        widgets::caption(
            ui,
            "What the linear head minimises, iteration by iteration. It ends flat when it has converged.",
        );
        let curve: Vec<[f64; 2]> = head.record.loss_curve.iter().enumerate().map(|(i, l)| [i as f64, *l]).collect();
        let end = head.record.loss_curve.last().copied().unwrap_or(0.0);
        let x =
            ChartAxis::new("Iteration").format(|v| if v.fract() == 0.0 { format!("{v:.0}") } else { String::new() });
        let most = curve.iter().map(|p| p[1]).fold(f64::MIN_POSITIVE, f64::max);
        let y = ChartAxis::new("").format(crate::ui::format::number).bounds(0.0, most).step(round_step(most / 4.0));
        let (line, grey) = (t.accent.solid, t.text_faint);
        chart(ui, "Loss over the iterations", HEIGHT, (x, y), move |plot| {
            plot.hline(HLine::new("end", end).stroke(Stroke::new(1.0, grey)));
            plot.line(Line::new("loss", PlotPoints::from(curve)).stroke(Stroke::new(2.0, line)));
        });
        legend(ui, &[(&format!("ends at {}", crate::ui::format::number(end)), t.text_faint)]);
    });
}

#[cfg(test)]
mod tests {
    use super::round_step;

    #[test]
    fn ticks_are_at_round_numbers() {
        for (least, step) in [(0.23, 0.5), (0.14, 0.2), (1.0, 1.0), (7.0, 10.0), (30.0, 50.0)] {
            assert!((round_step(least) / step - 1.0).abs() < 1e-9, "{least}: {}", round_step(least));
        }
    }
}
