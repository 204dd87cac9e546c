//! Installed models on the project's images: accuracy against speed.

use eframe::egui::{Align2, RichText, Ui};
use egui_plot::{PlotPoint, PlotPoints, Points, Text};

use super::{cards, study};
use crate::app::{Action, Command, Study};
use crate::jobs::{Compared, ModelCard};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::places::page::can_edit;
use crate::ui::theme::{Weight, font, size, space, tokens};
use crate::ui::widgets::{self, Banner, Button, Card, ChartAxis, Column, Meaning, Table, chart, checkbox};
use crate::workflow::compare::CompareOutcome;

/// What is remembered of the comparison.
#[derive(Debug, Default)]
pub struct CompareCard {
    /// As it was asked for.
    picked: Option<String>,
}

impl CompareCard {
    /// Shows which models are compared, and what came of it.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let state = cx.state;
        let action = Action::CompareModels;
        let studies = state.project.as_ref().map(|p| &p.studies);
        let compared = studies.and_then(|s| s.compared.as_deref());
        let is_running = state.studying() == Some(Study::Compare);
        let mut is_asked = false;
        let trailing = |ui: &mut Ui| {
            let button = Button::new("Compare").small().primary().tip(action.tooltip()).label(action.label());
            is_asked = ui.add(button.availability(action.availability(state))).clicked();
        };
        Card::new().title("Which model suits these images").show_with(ui, trailing, |ui| {
            widgets::caption(
                ui,
                "Heads are trained and judged on your labelled images with each model that is ticked, each with its own layer \
                 and preprocessing.",
            );
            let chosen = state.compared_models();
            ui.scope(|ui| {
                ui.spacing_mut().item_spacing.y = space::XXS;
                if is_running {
                    ui.disable();
                }
                for card in state.models.cards.iter().flatten().filter(|card| card.manifest.is_ok()) {
                    let name = &card.installed.name;
                    let mut on = chosen.contains(name);
                    if checkbox(ui, &mut on, &full_name(state.models.cards.as_deref(), name)).changed() {
                        cx.out.push(Command::ChooseCompared { name: name.clone(), on });
                    }
                }
            });
            if let Err(why) = action.availability(state)
                && state.studying().is_none()
            {
                widgets::weak(ui, why);
            }
            if let Some(why) = studies.and_then(|s| s.compare_error.as_ref()) {
                Banner::new(Meaning::Negative, "The models could not be compared").text(why).show(ui);
            }
            if is_running {
                let n_done = compared.map_or(0, |c| c.outcome.models.len() + c.outcome.failed.len());
                let n_asked = compared.map_or(chosen.len(), |c| c.asked.len());
                let detail = format!("Model {} of {n_asked}", (n_done + 1).min(n_asked.max(1)));
                study::progress(cx, ui, Study::Compare, "Comparing the models", &detail);
            }
        });
        if let Some(compared) = compared {
            self.outcome(cx, ui, compared, is_running);
        }
        if is_asked {
            cx.act(action);
        }
    }

    fn outcome(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, compared: &Compared, is_running: bool) {
        let outcome = &compared.outcome;
        Card::new().title("Accuracy against speed").show(ui, |ui| {
            let n_missing = compared.asked.len().saturating_sub(outcome.models.len() + outcome.failed.len());
            if !is_running && n_missing > 0 {
                let title = format!("{n_missing} of {} models are missing", compared.asked.len());
                Banner::new(Meaning::Warning, &title).text("The comparison was ended before them.").show(ui);
            }
            study::warnings(ui, outcome.n_val, &outcome.skipped, &outcome.notes);
            if plot(ui, outcome) {
                widgets::caption(
                    ui,
                    "The numbers are the rows of the table. In colour: those that no other beats in both.",
                );
            }
            self.table(cx, ui, compared);
            for failed in &outcome.failed {
                let name = full_name(cx.state.models.cards.as_deref(), &failed.model);
                Banner::new(Meaning::Warning, &format!("{name} is left out")).text(&failed.reason).show(ui);
            }
            let mut more = study::LOG_ME.to_owned();
            if let (false, true, Some(tau)) = (is_running, outcome.models.len() > 3, outcome.agreement.log_me) {
                let alike = match tau {
                    tau if tau > 0.8 => "nearly as the accuracies do",
                    tau if tau > 0.3 => "partly as the accuracies do",
                    _ => "otherwise than the accuracies do",
                };
                more.push_str(&format!(" Here it ranks the models {alike} (Kendall’s tau {tau:+.2})."));
            }
            study::basis(cx.state, ui, (outcome.n_train, outcome.n_val), compared.revision, &more);
        });
    }

    fn table(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, compared: &Compared) {
        let t = tokens(ui);
        let outcome = &compared.outcome;
        let own = cx.state.model_choice().model;
        let cards = cx.state.models.cards.as_deref();
        let card_of = |name: &str| cards.unwrap_or_default().iter().find(|card| card.installed.name == name);
        let is_own = |name: &str| card_of(name).is_some_and(|card| cards::is_meant(card, own.as_deref()));
        let is_wide = ui.available_width() >= 640.0;
        let all = [
            Column::number("#", 16.0),
            Column::text("Model").min_width(130.0),
            Column::fixed("", 44.0),
            Column::number("Linear", if is_wide { 108.0 } else { 64.0 }),
            Column::number("Images/s", 60.0),
            Column::number("Class means", 82.0),
            Column::number("Size", 64.0),
            Column::number("Features", 60.0),
            Column::number("LogME", 48.0),
            Column::number("H-score", 54.0),
        ];
        let n_columns = match ui.available_width() {
            w if w < 560.0 => 5,
            w if w < 820.0 => 7,
            _ => 10,
        };
        let columns = all[..n_columns].to_vec();
        let names: Vec<&str> = outcome.models.iter().map(|model| model.model.as_str()).collect();
        let picked = self.picked.clone().or_else(|| names.iter().find(|name| is_own(name)).map(|n| (*n).to_owned()));
        let selected = picked.as_ref().and_then(|picked| names.iter().position(|name| name == picked));
        ui.add_space(space::XS);
        let table = Table::new("compared models", &columns).clickable(selected).max_height(320.0);
        let response = table.show(ui, outcome.models.len(), |idx, row| {
            let model = &outcome.models[idx];
            row.weak(&(idx + 1).to_string());
            row.strong(&full_name(cards, &model.model));
            row.coloured(if is_own(&model.model) { "In use" } else { "" }, t.accent.text);
            let colour = if outcome.is_best_of_its_speed(idx) { t.accent.text } else { t.text };
            row.coloured(&study::accuracy(model.worth.linear, is_wide), colour);
            row.text(&format::thousands(model.images_per_sec.round() as usize));
            if n_columns > 5 {
                row.text(&study::accuracy(model.worth.prototype, false));
                row.weak(&format::bytes(model.size_bytes));
            }
            if n_columns > 7 {
                let transfer = model.worth.transfer;
                row.weak(&format::thousands(model.dim));
                row.weak(&transfer.map_or("–".to_owned(), |t| format!("{:.2}", t.log_me)));
                row.weak(&transfer.map_or("–".to_owned(), |t| format!("{:.2}", t.h_score_shrunk)));
            }
        });
        if let Some(model) = response.clicked.and_then(|idx| outcome.models.get(idx)) {
            self.picked = Some(model.model.clone());
        }
        ui.add_space(space::XS);
        let new = picked.as_deref().filter(|name| !is_own(name)).and_then(card_of);
        let availability = can_edit(cx.state).and(new.map(drop).ok_or("Choose another model in the table"));
        let button = Button::new("Use this model").availability(availability).label("Use the compared model");
        if let (true, Some(card)) = (ui.add(button).clicked(), new) {
            cx.send(Command::ChooseModel(cards::setting(card)));
        }
    }
}

/// Numbered points, left to right in order of speed. Returns whether there is anything to see.
fn plot(ui: &mut Ui, outcome: &CompareOutcome) -> bool {
    let t = tokens(ui);
    let points: Vec<(usize, f64, f64, bool)> = outcome
        .models
        .iter()
        .enumerate()
        .filter_map(|(idx, model)| {
            let speed = model.images_per_sec.max(1e-3).log10();
            Some((idx, speed, model.accuracy()?, outcome.is_best_of_its_speed(idx)))
        })
        .collect();
    if points.is_empty() {
        return false;
    }
    let ends = |pick: fn(f64, f64) -> f64, from: f64| points.iter().map(|p| p.1).fold(from, pick);
    let (least, most) = (ends(f64::min, f64::INFINITY), ends(f64::max, f64::NEG_INFINITY));
    let floor = points.iter().map(|p| p.2).fold(1.0, f64::min);
    let floor = ((floor * 10.0).floor() / 10.0 - 0.05).max(0.0);
    let from = (least - 0.15).floor();
    let x = ChartAxis::new("Images a second, of the model alone")
        .bounds(from, (most + 0.15).ceil().max(from + 1.0))
        .step(1.0)
        .format(|v| match v.fract().abs() < 1e-6 {
            true => format::thousands(10_f64.powf(v).round() as usize),
            false => String::new(),
        });
    let y = ChartAxis::fraction("").bounds(floor, 1.03).step(if floor < 0.5 { 0.25 } else { 0.1 });
    let (of_best, of_others) = ((t.accent.solid, t.accent.on_solid), (t.neutral.solid, t.neutral.on_solid));
    chart(ui, "Accuracy against speed", 260.0, (x, y), move |plot| {
        // The best lie above where points meet.
        for (idx, speed, accuracy, is_best) in points.into_iter().rev() {
            let (colour, ink) = if is_best { of_best } else { of_others };
            let point = PlotPoints::from(vec![[speed, accuracy]]);
            let name = (idx + 1).to_string();
            plot.points(Points::new(name.clone(), point).radius(9.0).color(colour));
            let text = RichText::new(&name).font(font(size::CAPTION, Weight::SemiBold)).color(ink);
            plot.text(Text::new(name, PlotPoint::new(speed, accuracy), text).anchor(Align2::CENTER_CENTER));
        }
    });
    true
}

/// A name that tells installed models apart: the variant first, which a long name would hide; where two are still alike,
/// the name that it is installed by.
fn full_name(cards: Option<&[ModelCard]>, installed: &str) -> String {
    let cards = cards.unwrap_or_default();
    let Some(card) = cards.iter().find(|card| card.installed.name == installed) else { return installed.to_owned() };
    let named = |card: &ModelCard| {
        let title = cards::title(card);
        match (title.rsplit_once(", "), card.installed.name.split_once('/')) {
            (Some((title, variant)), Some(_)) => format!("{variant} · {title}"),
            (None, Some((_, variant))) => format!("{variant} · {title}"),
            _ => title.to_owned(),
        }
    };
    let own = named(card);
    match cards.iter().filter(|other| named(other) == own).count() {
        0 | 1 => own,
        _ => installed.to_owned(),
    }
}
