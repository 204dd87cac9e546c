//! Where a model's knowledge sits: accuracy over depth, against what it costs.

use eframe::egui::{Stroke, Ui};
use egui_plot::{Line, LineStyle, PlotPoints, Points, VLine};

use super::inspect::tensor_of;
use super::study;
use crate::app::{Action, Command, Study};
use crate::jobs::Probed;
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::theme::{space, tokens};
use crate::ui::widgets::{self, Banner, Button, Card, ChartAxis, Column, Meaning, Table, chart, legend};
use crate::workflow::probe::{ProbeOutcome, ProbedLayer};

/// What is remembered of the card.
#[derive(Debug, Default)]
pub struct DepthCard {
    picked: Option<String>,
}

impl DepthCard {
    /// Shows the depths of the model in use. `editable` says why the layer cannot be changed, if it cannot; `in_use` is the
    /// layer that the project uses.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, in_use: &str, editable: Result<(), &'static str>) {
        let state = cx.state;
        let action = Action::ProbeLayers;
        let project = state.project.as_ref();
        let probed = project.and_then(|p| p.probed());
        let mut is_asked = false;
        let trailing = |ui: &mut Ui| {
            let text = if probed.is_some() { "Probe again" } else { "Probe" };
            let button = Button::new(text).small().tip(action.tooltip()).label(action.label());
            is_asked = ui.add(button.availability(action.availability(state))).clicked();
        };
        Card::new().title("Accuracy over depth").show_with(ui, trailing, |ui| {
            widgets::caption(
                ui,
                "Heads are trained on your images at several depths. The lowest layer that is good enough is the fastest.",
            );
            if let Some(why) = project.and_then(|p| p.studies.probe_error.as_ref()) {
                Banner::new(Meaning::Negative, "The layers could not be probed").text(why).show(ui);
            }
            study::progress(cx, ui, Study::Probe, "Probing the layers", "");
            match probed {
                Some(probed) => {
                    let outcome = &probed.outcome;
                    study::warnings(ui, outcome.n_val, &outcome.skipped, &outcome.notes);
                    plot(ui, outcome, in_use);
                    self.table(cx, ui, probed, in_use, editable);
                }
                None if state.studying().is_some() => {}
                None => {
                    let why = match action.availability(state) {
                        Ok(()) => "Probe them to see where the knowledge sits that your classes need.",
                        Err(why) => why,
                    };
                    widgets::weak(ui, why);
                }
            }
        });
        if is_asked {
            cx.act(action);
        }
    }

    fn table(
        &mut self,
        cx: &mut Cx<'_>,
        ui: &mut Ui,
        probed: &Probed,
        in_use: &str,
        editable: Result<(), &'static str>,
    ) {
        let t = tokens(ui);
        let outcome = &probed.outcome;
        let layers = &outcome.layers;
        let (narrow, is_wide) = (ui.available_width() < 600.0, ui.available_width() >= 760.0);
        let all = [
            Column::number("Depth", 48.0),
            Column::text("Layer").min_width(96.0),
            Column::fixed("", 44.0),
            Column::number("Linear", if narrow { 64.0 } else { 108.0 }),
            Column::number("Class means", 82.0),
            Column::number("LogME", 48.0),
            Column::number("Features", 60.0),
            Column::number("Images/s", 60.0),
        ];
        let columns = match (narrow, is_wide) {
            (true, _) => vec![all[0], all[1], all[2], all[3], all[7]],
            (_, false) => vec![all[0], all[1], all[2], all[3], all[4], all[5], all[7]],
            (_, true) => all.to_vec(),
        };
        let best = outcome.best();
        let selected = self.picked.as_deref().unwrap_or(in_use);
        let selected = layers.iter().position(|l| l.layer == selected);
        let table = Table::new("probed layers", &columns).clickable(selected).max_height(280.0);
        let response = table.show(ui, layers.len(), |idx, row| {
            let layer = &layers[idx];
            row.weak(&format!("{:.0} %", layer.depth * 100.0));
            row.text(layer.block.as_deref().unwrap_or_else(|| tensor_of(&layer.layer)));
            row.coloured(if layer.layer == in_use { "In use" } else { "" }, t.accent.text);
            let colour = if best == Some(idx) { t.positive.text } else { t.text };
            row.coloured(&study::accuracy(layer.worth.linear, !narrow), colour);
            if !narrow {
                row.text(&study::accuracy(layer.worth.prototype, false));
                row.weak(&layer.worth.transfer.map_or("–".to_owned(), |t| format!("{:.2}", t.log_me)));
            }
            if is_wide {
                row.weak(&format::thousands(layer.dim));
            }
            row.text(&format::thousands(layer.images_per_sec.round() as usize));
        });
        if let Some(layer) = response.clicked.and_then(|idx| layers.get(idx)) {
            self.picked = Some(layer.layer.clone());
        }
        let picked = self.picked.clone().filter(|picked| layers.iter().any(|l| l.layer == *picked));
        let own = layers.iter().find(|l| l.is_proposed).map(|l| l.layer.as_str());
        let is_new = picked.as_deref().is_some_and(|p| p != in_use);
        let availability = editable.and(if is_new { Ok(()) } else { Err("Choose another layer in the table") });
        ui.add_space(space::XS);
        if ui.add(Button::new("Use this layer").availability(availability).label("Use the probed layer")).clicked() {
            cx.send(Command::ChooseLayer(picked.filter(|p| own != Some(p.as_str()))));
        }
        let more = format!("Images a second are of the model alone, without reading files. {}", study::LOG_ME);
        study::basis(cx.state, ui, (outcome.n_train, outcome.n_val), probed.revision, &more);
    }
}

/// Accuracies and cost over depth.
fn plot(ui: &mut Ui, outcome: &ProbeOutcome, in_use: &str) {
    let t = tokens(ui);
    let layers = &outcome.layers;
    let series = |of: &dyn Fn(&ProbedLayer) -> Option<f64>| -> Vec<[f64; 2]> {
        layers.iter().filter_map(|layer| Some([f64::from(layer.depth), of(layer)?])).collect()
    };
    let linear = series(&|l| l.worth.linear.map(|e| e.value));
    let prototype = series(&|l| l.worth.prototype.map(|e| e.value));
    let most = layers.iter().filter_map(|l| l.macs).max().unwrap_or(0) as f64;
    let cost = series(&|l| l.macs.filter(|_| most > 0.0).map(|macs| macs as f64 / most));
    let chance = 1.0 / outcome.classes.len().max(1) as f64;
    let used_at = layers.iter().find(|l| l.layer == in_use).map(|l| f64::from(l.depth));
    let (of_linear, of_prototype, of_cost, of_used) = (t.accent.solid, t.warning.solid, t.text_faint, t.accent.line);
    let x = ChartAxis::fraction("Depth of the layer");
    chart(ui, "Accuracy over depth", 240.0, (x, ChartAxis::fraction("")), move |plot| {
        if let Some(depth) = used_at {
            plot.vline(VLine::new("in use", depth).stroke(Stroke::new(4.0, of_used)));
        }
        let guessing = vec![[0.0, chance], [1.0, chance]];
        plot.line(
            Line::new("guessing", PlotPoints::from(guessing))
                .stroke(Stroke::new(1.0, of_cost))
                .style(LineStyle::dotted_dense()),
        );
        plot.line(
            Line::new("cost", PlotPoints::from(cost))
                .stroke(Stroke::new(1.5, of_cost))
                .style(LineStyle::dashed_dense()),
        );
        for (name, points, colour) in [("class means", prototype, of_prototype), ("linear", linear, of_linear)] {
            plot.line(Line::new(name, PlotPoints::from(points.clone())).stroke(Stroke::new(2.0, colour)));
            plot.points(Points::new(name, PlotPoints::from(points)).radius(3.5).color(colour));
        }
    });
    let mut names = vec![
        ("linear head", of_linear),
        ("class means", of_prototype),
        ("cost, of the deepest layer’s (dashed)", of_cost),
        ("guessing (dotted)", of_cost),
    ];
    if used_at.is_some() {
        names.push(("layer in use", of_used));
    }
    legend(ui, &names);
}
