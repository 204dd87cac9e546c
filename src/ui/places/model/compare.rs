//! Installed models on the project's images: accuracy against speed.

use eframe::egui::{Align2, RichText, Ui, vec2};
use egui_plot::{PlotPoint, PlotPoints, Points, Text};

use super::cards;
use crate::app::{Action, Command, Study};
use crate::jobs::{Compared, LaneKind};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::theme::{Weight, font, size, space, tokens};
use crate::ui::widgets::{self, Banner, Button, Card, ChartAxis, Column, Meaning, Table, chart, checkbox, percent};

/// Shows which models are compared, and what came of it.
pub fn ui(cx: &mut Cx<'_>, ui: &mut Ui) {
    let state = cx.state;
    let action = Action::CompareModels;
    let mut is_asked = false;
    let trailing = |ui: &mut Ui| {
        let button = Button::new("Compare").small().primary().tip(action.tooltip()).label(action.label());
        is_asked = ui.add(button.availability(action.availability(state))).clicked();
    };
    Card::new().title("Which model suits these images").show_with(ui, trailing, |ui| {
        widgets::caption(ui, "Heads are trained and judged on your labelled images with each model that is ticked.");
        let chosen = state.compared_models();
        ui.spacing_mut().item_spacing.y = space::XXS;
        for card in state.models.cards.iter().flatten().filter(|card| card.manifest.is_ok()) {
            let name = &card.installed.name;
            let mut on = chosen.contains(name);
            let variant = name.split_once('/').map_or(String::new(), |(_, v)| format!(" ({v})"));
            let label = match variant.is_empty() || cards::title(card).contains(", ") {
                true => cards::title(card).to_owned(),
                false => format!("{}{variant}", cards::title(card)),
            };
            if checkbox(ui, &mut on, &label).changed() {
                cx.out.push(Command::ChooseCompared { name: name.clone(), on });
            }
        }
        if let Err(why) = action.availability(state)
            && state.studying().is_none()
        {
            widgets::weak(ui, why);
        }
        if let Some(why) = &state.studies.compare_error {
            Banner::new(Meaning::Negative, "The models could not be compared").text(why).show(ui);
        }
        if state.studying() == Some(Study::Compare) {
            let activity = state.activity(LaneKind::Study);
            let fraction = activity.filter(|a| a.n_total > 0).map(|a| a.n_done as f32 / a.n_total as f32);
            ui.add_space(space::XS);
            widgets::progress_bar(ui, "Comparing the models", fraction);
            let n_done = state.studies.compared.as_ref().map_or(0, |c| c.outcome.models.len() + c.outcome.failed.len());
            widgets::caption(ui, &format!("Model {} of {}", (n_done + 1).min(chosen.len()), chosen.len()));
        }
    });
    if let Some(compared) = &state.studies.compared {
        outcome(cx, ui, compared);
    }
    if is_asked {
        cx.act(action);
    }
}

fn outcome(cx: &mut Cx<'_>, ui: &mut Ui, compared: &Compared) {
    let outcome = &compared.outcome;
    let t = tokens(ui);
    Card::new().title("Accuracy against speed").show(ui, |ui| {
        let points: Vec<(String, f64, f64, bool)> = outcome
            .models
            .iter()
            .enumerate()
            .filter_map(|(idx, model)| {
                let speed = model.images_per_sec.max(1e-3).log10();
                Some((short(&model.name, &model.model), speed, model.accuracy()?, outcome.is_best_of_its_speed(idx)))
            })
            .collect();
        if !points.is_empty() {
            let ends = |pick: fn(f64, f64) -> f64, from: f64| points.iter().map(|p| p.1).fold(from, pick);
            let (least, most) = (ends(f64::min, f64::INFINITY), ends(f64::max, f64::NEG_INFINITY));
            let floor = points.iter().map(|p| p.2).fold(1.0, f64::min);
            let floor = ((floor * 10.0).floor() / 10.0 - 0.05).max(0.0);
            let x = ChartAxis::new("Images a second, of the model alone")
                .bounds((least - 0.4).floor(), (most + 0.5).max(least.floor() + 1.0))
                .step(1.0)
                .format(|v| {
                    if v.fract().abs() < 1e-6 {
                        format::thousands(10_f64.powf(v).round() as usize)
                    } else {
                        String::new()
                    }
                });
            let y = ChartAxis::fraction("").bounds(floor, 1.03).step(if floor < 0.5 { 0.25 } else { 0.1 });
            let (of_best, of_others, ink) = (t.accent.solid, t.text_faint, t.text);
            chart(ui, "Accuracy against speed", 260.0, (x, y), move |plot| {
                let mut points = points;
                points.sort_by(|a, b| a.1.total_cmp(&b.1));
                for (idx, (name, speed, accuracy, is_best)) in points.into_iter().enumerate() {
                    let colour = if is_best { of_best } else { of_others };
                    let point = PlotPoints::from(vec![[speed, accuracy]]);
                    plot.points(Points::new(name.clone(), point).radius(5.0).color(colour));
                    let text = RichText::new(&name).font(font(size::CAPTION, Weight::Medium)).color(ink);
                    // By turns above and below, so that neighbours do not write over each other.
                    let (anchor, shift) = match idx % 2 {
                        0 => (Align2::CENTER_TOP, -0.012),
                        _ => (Align2::CENTER_BOTTOM, 0.012),
                    };
                    plot.text(Text::new(name, PlotPoint::new(speed, accuracy + shift), text).anchor(anchor));
                }
            });
            widgets::caption(ui, "In colour: those that no other beats in both.");
        }
        table(ui, compared);
        for failed in &outcome.failed {
            Banner::new(Meaning::Warning, &format!("{} is left out", failed.model)).text(&failed.reason).show(ui);
        }
        let mut text = format!("Judged on {}.", format::images(outcome.n_val));
        if let (true, Some(tau)) = (outcome.models.len() > 2, outcome.agreement.log_me) {
            text.push_str(&format!(
                " LogME, an estimate without training, ranks the models {} (Kendall’s tau {tau:+.2}).",
                if tau > 0.8 {
                    "alike"
                } else if tau > 0.3 {
                    "in part alike"
                } else {
                    "otherwise"
                }
            ));
        }
        if cx.project().is_some_and(|p| p.revision != compared.revision) {
            text.push_str(" Labels or images have changed since.");
        }
        widgets::caption(ui, &text);
    });
}

fn table(ui: &mut Ui, compared: &Compared) {
    let t = tokens(ui);
    let outcome = &compared.outcome;
    let all = [
        Column::text("Model").min_width(150.0),
        Column::number("Linear", 64.0),
        Column::number("Images/s", 68.0),
        Column::number("Size", 72.0),
        Column::number("LogME", 60.0),
        Column::number("Features", 68.0),
        Column::number("Means", 64.0),
        Column::number("H-score", 64.0),
    ];
    let n_columns = match ui.available_width() {
        w if w < 540.0 => 4,
        w if w < 760.0 => 6,
        _ => 8,
    };
    let columns = all[..n_columns].to_vec();
    ui.add_space(space::XS);
    ui.allocate_ui(vec2(ui.available_width(), 0.0), |ui| {
        Table::new("compared models", &columns).max_height(320.0).show(ui, outcome.models.len(), |idx, row| {
            let model = &outcome.models[idx];
            let value = |e: Option<crate::metrics::Estimate>| e.map_or("–".to_owned(), |e| percent(e.value as f32));
            row.strong(&short(&model.name, &model.model));
            let colour = if outcome.is_best_of_its_speed(idx) { t.positive.text } else { t.text };
            row.coloured(&value(model.worth.linear), colour);
            row.text(&format::thousands(model.images_per_sec.round() as usize));
            row.weak(&format::bytes(model.size_bytes));
            let transfer = model.worth.transfer;
            if n_columns > 4 {
                row.weak(&transfer.map_or("–".to_owned(), |t| format!("{:.2}", t.log_me)));
                row.weak(&format::thousands(model.dim));
            }
            if n_columns > 6 {
                row.text(&value(model.worth.prototype));
                row.weak(&transfer.map_or("–".to_owned(), |t| format!("{:.2}", t.h_score_shrunk)));
            }
        });
    });
}

/// A name that tells variants apart and fits beside a point.
fn short(name: &str, model: &str) -> String {
    let variant = model.split_once('/').map(|(_, variant)| variant).filter(|_| !name.contains(", "));
    let text = variant.map_or_else(|| name.to_owned(), |variant| format!("{name}, {variant}"));
    match text.chars().count() {
        0..=34 => text,
        _ => text.chars().take(33).chain(['…']).collect(),
    }
}
