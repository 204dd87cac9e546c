//! Where a model's knowledge sits: accuracy over depth, against what it costs.

use eframe::egui::{Stroke, Ui};
use egui_plot::{Line, LineStyle, PlotPoints, Points};

use crate::app::{Action, Command, Study};
use crate::jobs::{LaneKind, Probed};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::theme::tokens;
use crate::ui::widgets::{self, Banner, Button, Card, ChartAxis, Column, Meaning, Table, chart, legend, percent};
use crate::workflow::probe::ProbedLayer;

/// What is remembered of the card.
#[derive(Debug, Default)]
pub struct DepthCard {
    picked: Option<String>,
}

impl DepthCard {
    /// Shows the depths of the model in use. `editable` says why the layer cannot be changed, if it cannot.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, editable: Result<(), &'static str>) {
        let state = cx.state;
        let action = Action::ProbeLayers;
        let probed = state.probed();
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
            if let Some(why) = &state.studies.probe_error {
                Banner::new(Meaning::Negative, "The layers could not be probed").text(why).show(ui);
            }
            if state.studying() == Some(Study::Probe) {
                let activity = state.activity(LaneKind::Study);
                let fraction = activity.filter(|a| a.n_total > 0).map(|a| a.n_done as f32 / a.n_total as f32);
                widgets::progress_bar(ui, "Probing the layers", fraction);
            }
            match probed {
                Some(probed) => self.plot(cx, ui, probed, editable),
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

    fn plot(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, probed: &Probed, editable: Result<(), &'static str>) {
        let t = tokens(ui);
        let layers = &probed.outcome.layers;
        let series = |of: &dyn Fn(&ProbedLayer) -> Option<f64>| -> Vec<[f64; 2]> {
            layers.iter().filter_map(|layer| Some([f64::from(layer.depth), of(layer)?])).collect()
        };
        let linear = series(&|l| l.worth.linear.map(|e| e.value));
        let prototype = series(&|l| l.worth.prototype.map(|e| e.value));
        let most = layers.iter().filter_map(|l| l.macs).max().unwrap_or(0) as f64;
        let cost = series(&|l| l.macs.filter(|_| most > 0.0).map(|macs| macs as f64 / most));
        let chance = 1.0 / probed.outcome.classes.len().max(1) as f64;
        let (of_linear, of_prototype, of_cost) = (t.accent.solid, t.warning.solid, t.text_faint);
        let x = ChartAxis::fraction("Depth of the layer");
        chart(ui, "Accuracy over depth", 240.0, (x, ChartAxis::fraction("")), move |plot| {
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
            for (name, points, colour) in [("prototype", prototype, of_prototype), ("linear", linear, of_linear)] {
                plot.line(Line::new(name, PlotPoints::from(points.clone())).stroke(Stroke::new(2.0, colour)));
                plot.points(Points::new(name, PlotPoints::from(points)).radius(3.5).color(colour));
            }
        });
        legend(
            ui,
            &[
                ("linear head", of_linear),
                ("class means", of_prototype),
                ("cost, of the deepest layer’s (dashed)", of_cost),
            ],
        );
        self.table(cx, ui, probed, editable);
    }

    fn table(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, probed: &Probed, editable: Result<(), &'static str>) {
        let t = tokens(ui);
        let outcome = &probed.outcome;
        let layers = &outcome.layers;
        let narrow = ui.available_width() < 560.0;
        let all = [
            Column::number("Depth", 52.0),
            Column::text("Layer").min_width(120.0),
            Column::number("Linear", 64.0),
            Column::number("Means", 64.0),
            Column::number("LogME", 60.0),
            Column::number("Features", 68.0),
            Column::number("Images/s", 68.0),
        ];
        let columns = if narrow { vec![all[0], all[1], all[2], all[6]] } else { all.to_vec() };
        let best = outcome.best();
        let selected = self.picked.as_ref().and_then(|picked| layers.iter().position(|l| l.layer == *picked));
        let table = Table::new("probed layers", &columns).clickable(selected).max_height(280.0);
        let response = table.show(ui, layers.len(), |idx, row| {
            let layer = &layers[idx];
            let value = |e: Option<crate::metrics::Estimate>| e.map_or("–".to_owned(), |e| percent(e.value as f32));
            row.weak(&format!("{:.0} %", layer.depth * 100.0));
            row.text(layer.block.as_deref().unwrap_or(&layer.layer));
            let colour = if best == Some(idx) { t.positive.text } else { t.text };
            row.coloured(&value(layer.worth.linear), colour);
            if !narrow {
                row.text(&value(layer.worth.prototype));
                row.weak(&layer.worth.transfer.map_or("–".to_owned(), |t| format!("{:.2}", t.log_me)));
                row.weak(&format::thousands(layer.dim));
            }
            row.text(&format::thousands(layer.images_per_sec.round() as usize));
        });
        if let Some(layer) = response.clicked.and_then(|idx| layers.get(idx)) {
            self.picked = Some(layer.layer.clone());
        }
        let n = outcome.n_val;
        let mut text =
            format!("Judged on {}. Images a second are of the model alone, without reading files.", format::images(n));
        if cx.project().is_some_and(|p| p.revision != probed.revision) {
            text.push_str(" Labels or images have changed since.");
        }
        widgets::caption(ui, &text);
        let picked = self.picked.clone().filter(|picked| layers.iter().any(|l| l.layer == *picked));
        let current = cx.state.model_choice().layer;
        let own = layers.iter().find(|l| l.is_proposed).map(|l| l.layer.as_str());
        let is_new = picked.as_deref().is_some_and(|p| current.as_deref().or(own) != Some(p));
        let availability = editable.and(if is_new { Ok(()) } else { Err("Choose another layer in the table") });
        if ui.add(Button::new("Use this layer").availability(availability).label("Use the probed layer")).clicked() {
            cx.send(Command::ChooseLayer(picked.filter(|p| own != Some(p.as_str()))));
        }
    }
}
