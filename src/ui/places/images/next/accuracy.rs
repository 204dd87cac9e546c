//! How accuracy grows with the labels, as they are given.

use eframe::egui::{Color32, Stroke, Ui};
use egui_plot::{Line, PlotPoints, Points, Polygon};

use crate::app::OpenProject;
use crate::app::next::AccuracyAt;
use crate::ui::theme::tokens;
use crate::ui::widgets::{self, ChartAxis, chart};
use crate::workflow::label_next::LEAST_JUDGED;

const HEIGHT: f32 = 150.0;

/// Accuracy by number of labels, with its interval.
pub(super) fn chart_ui(ui: &mut Ui, project: &OpenProject) {
    widgets::strong(ui, "Accuracy so far");
    let curve = &project.next.curve;
    let Some(last) = curve.last() else {
        widgets::weak(
            ui,
            &format!(
                "It is known once {LEAST_JUDGED} images of two classes have a label, and one class has two of them."
            ),
        );
        return;
    };
    let percent = |v: f64| format!("{:.0}", 100.0 * v);
    let figure = format!(
        "{} %  ({} to {}) with {} labels",
        percent(last.accuracy),
        percent(last.low),
        percent(last.high),
        last.n_labels
    );
    widgets::body(ui, &figure);
    let t = tokens(ui);
    let (line, band) = (t.accent.solid, t.accent.solid.gamma_multiply(0.18));
    let points: Vec<[f64; 2]> = curve.iter().map(|at| [at.n_labels as f64, at.accuracy]).collect();
    let outline = outline(curve);
    let (from, to) = (points.first().map_or(0.0, |p| p[0]), last.n_labels as f64);
    let whole = |v: f64| if v.fract().abs() < 1e-6 { format!("{v:.0}") } else { String::new() };
    let x = ChartAxis::new("Labels").bounds((from - 1.0).max(0.0), to.max(from + 4.0)).format(whole);
    let y = ChartAxis::fraction("").bounds(0.0, 1.0).step(0.25);
    chart(ui, "Accuracy by number of labels", HEIGHT, (x, y), move |plot| {
        if outline.len() > 2 {
            let polygon = Polygon::new("interval", PlotPoints::from(outline));
            plot.polygon(polygon.fill_color(band).stroke(Stroke::new(0.0, Color32::TRANSPARENT)));
        }
        plot.line(Line::new("accuracy", PlotPoints::from(points.clone())).stroke(Stroke::new(2.0, line)));
        plot.points(Points::new("accuracy", PlotPoints::from(points)).radius(2.5).color(line));
    });
    let is_given = project.live.fit.as_ref().is_some_and(|fit| fit.output.val_is_given);
    widgets::caption(
        ui,
        if is_given {
            "On the validation images; 95 % interval."
        } else {
            "Cross-validated on the labels. Each counts for the images that it stands for, since hard ones are asked first; \
             95 % interval."
        },
    );
}

/// Along the upper ends and back along the lower ones.
fn outline(curve: &[AccuracyAt]) -> Vec<[f64; 2]> {
    let upper = curve.iter().map(|at| [at.n_labels as f64, at.high]);
    upper.chain(curve.iter().rev().map(|at| [at.n_labels as f64, at.low])).collect()
}
