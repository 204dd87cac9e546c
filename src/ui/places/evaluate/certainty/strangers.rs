//! Strangers: how many images of none of the classes get an answer.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui::{Align2, Rect, Sense, Ui, WidgetInfo, vec2};

use super::histogram::Histogram;
use crate::app::{Action, Fit, OpenProject, Strangers};
use crate::head::UnknownRule;
use crate::jobs::LaneKind;
use crate::ui::cx::Cx;
use crate::ui::made_from::MadeFrom;
use crate::ui::theme::{Weight, size, tokens};
use crate::ui::widgets::paint::{cut_line, galley_in};
use crate::ui::widgets::{self, Banner, Button, Card, EmptyState, Meaning, columns, percent, stat, stat_toned};
use crate::ui::{format, icons};
use crate::workflow::predict::Predictions;
use crate::workflow::strangers::StrangerFigures;

/// Strangers with an answer that are shown, at most.
const MAX_SHOWN: usize = 8;
const TILE: f32 = 112.0;
const LINES: f32 = 20.0;
/// More than this share let in is too much.
const MANY: f64 = 0.1;

/// What is made of answers under a rule.
#[derive(Debug)]
struct Made {
    of: MadeFrom<Predictions>,
    fit: MadeFrom<Fit>,
    rule: UnknownRule,
    histogram: Histogram,
    by_distance: bool,
    n_let_in: usize,
    shown: Vec<(PathBuf, String)>,
}

/// What the card remembers.
#[derive(Debug, Default)]
pub(super) struct StrangersCard {
    made: Option<Made>,
}

impl StrangersCard {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let has_strangers = project.strangers.is_some();
        let mut chosen = None;
        let trailing = |ui: &mut Ui| {
            for (action, label) in [(Action::ForgetStrangers, "Forget"), (Action::TestStrangers, "Choose others…")] {
                if has_strangers && ui.add(Button::new(label).small().tip(action.tooltip())).clicked() {
                    chosen = Some(action);
                }
            }
        };
        Card::new().title("Strangers").show_with(ui, trailing, |ui| {
            let busy = cx.state.activity(LaneKind::Strangers);
            if let Some(activity) = busy {
                let fraction = (activity.n_total > 0).then(|| activity.n_done as f32 / activity.n_total as f32);
                widgets::progress_bar(ui, "Looking at the strangers", fraction);
            }
            let Some(strangers) = &project.strangers else { return empty(cx, ui) };
            let names: Vec<String> = strangers.paths.iter().take(3).map(|path| format::path(path)).collect();
            let more = if strangers.paths.len() > names.len() { ", …" } else { "" };
            widgets::caption(ui, &format!("From {}{more}", names.join(", ")));
            if let Some(error) = &strangers.error {
                Banner::new(Meaning::Negative, "The strangers could not be used").text(&format!("{error}.")).show(ui);
            }
            if let (Some(answers), Some(fit)) = (&strangers.answers, &project.live.fit) {
                self.answered(cx, ui, (fit, strangers, answers));
            } else if busy.is_none() && strangers.error.is_none() {
                widgets::weak(ui, "They wait for the head to be fitted.");
            }
        });
        if let Some(action) = chosen {
            cx.act(action);
        }
    }

    fn answered(
        &mut self,
        cx: &mut Cx<'_>,
        ui: &mut Ui,
        (fit, strangers, answers): (&Arc<Fit>, &Strangers, &Arc<Predictions>),
    ) {
        let skipped = &answers.answers.skipped;
        if let Some(first) = skipped.first() {
            let title = format!("{} could not be used", format::images(skipped.len()));
            let text = format!("{} ({})", format::path(&first.path), first.reason);
            Banner::new(Meaning::Warning, &title).text(&text).show(ui);
        }
        let Some(figures) = &strangers.figures else {
            widgets::weak(ui, "None of them could be used.");
            return;
        };
        if let Some(note) = figures.note() {
            Banner::new(Meaning::Warning, "These look like images of the classes").text(&note).show(ui);
        }
        stats(ui, figures);
        self.refresh((fit, strangers, answers));
        let Some(made) = &self.made else { return };
        columns(ui, &[1.0, 1.0], |ui, i| {
            if i == 0 {
                let (score, threshold) = match (made.by_distance, made.rule) {
                    (true, UnknownRule::Distance { above }) => ("Distance to the nearest class", Some(above)),
                    (true, _) => ("Distance to the nearest class", None),
                    (false, UnknownRule::Probability { below }) => ("How sure", Some(below)),
                    (false, _) => ("How sure", None),
                };
                made.histogram.ui(ui, "Known images and strangers", score, threshold.map(f64::from));
            } else {
                let text = match made.n_let_in {
                    0 => "No stranger gets an answer.".to_owned(),
                    1 => "The one stranger that gets an answer.".to_owned(),
                    n => format!("Strangers that get an answer ({n}), the surest first."),
                };
                widgets::caption(ui, &text);
                ui.horizontal_wrapped(|ui| {
                    ui.spacing_mut().item_spacing = vec2(8.0, 8.0);
                    for (path, said) in &made.shown {
                        let (rect, response) = ui.allocate_exact_size(vec2(TILE, TILE + LINES), Sense::hover());
                        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                        let label = format!("{name}, taken for {said}");
                        response.widget_info(|| WidgetInfo::labeled(eframe::egui::Role::Image, true, &label));
                        let picture = Rect::from_min_size(rect.min, vec2(TILE, TILE));
                        cx.file_thumb(ui, picture, path);
                        let colour = tokens(ui).text;
                        let line = cut_line(ui, said, size::SMALL, Weight::Regular, colour, TILE);
                        galley_in(ui, Align2::LEFT_TOP, picture.left_bottom() + vec2(0.0, 3.0), line, colour);
                    }
                });
            }
        });
    }

    fn refresh(&mut self, (fit, strangers, answers): (&Arc<Fit>, &Strangers, &Arc<Predictions>)) {
        let rule = answers.rule;
        let is_same = |m: &Made| m.of.is(Some(answers)) && m.fit.is(Some(fit)) && m.rule == rule;
        if self.made.as_ref().is_some_and(is_same) {
            return;
        }
        let top = answers.answers.top();
        let distances = answers.answers.distances.as_deref();
        // Of two scores the one that is in force; without a rule the one that tells more.
        let tells_more = |f: &StrangerFigures| f.distance.is_some_and(|d| d.auroc >= f.probability.auroc);
        let by_distance = match rule {
            UnknownRule::Probability { .. } => false,
            UnknownRule::Distance { .. } => true,
            UnknownRule::Off => strangers.figures.as_ref().is_some_and(tells_more),
        };
        let histogram = match distances.filter(|_| by_distance) {
            Some(distances) => {
                let known: Vec<f32> = fit.known.iter().filter_map(|k| k.distance).collect();
                Histogram::new(&known, distances, None)
            }
            None => {
                let known: Vec<f32> = fit.known.iter().map(|k| k.confidence).collect();
                let strangers: Vec<f32> = top.iter().map(|(_, p)| *p).collect();
                Histogram::new(&known, &strangers, Some((0.0, 1.0)))
            }
        };
        let let_in = strangers.let_in();
        let said = |row: usize| {
            let (class, p) = top[row];
            format!("{} {}", answers.classes.name(class).unwrap_or_default(), percent(p))
        };
        let shown = let_in.iter().take(MAX_SHOWN).map(|&row| (answers.answers.paths[row].clone(), said(row))).collect();
        let (of, fit) = (MadeFrom::new(Some(answers)), MadeFrom::new(Some(fit)));
        self.made = Some(Made { of, fit, rule, histogram, by_distance, n_let_in: let_in.len(), shown });
    }
}

fn stats(ui: &mut Ui, figures: &StrangerFigures) {
    let wide = ui.available_width() >= 560.0;
    let (low, high) = (figures.false_accept_interval.low, figures.false_accept_interval.high);
    let range = format!("{} to {}", percent(low as f32), percent(high as f32));
    let tone = if figures.false_accept > MANY { Meaning::Warning } else { Meaning::Neutral };
    let auroc = |separation: Option<f64>| separation.map_or_else(|| "–".to_owned(), |a| format!("{a:.3}"));
    let at_95 = |share: Option<f64>| {
        share.map_or_else(String::new, |s| format!("{} let in with 95 % of the known", percent(s as f32)))
    };
    let draw = |ui: &mut Ui, i: usize| match i {
        0 => stat_toned(ui, "Strangers with an answer", &percent(figures.false_accept as f32), &range, tone),
        1 => {
            let detail = format!("of {} held back", format::images(figures.n_known));
            stat(ui, "Known with an answer", &percent(figures.known_answered as f32), &detail)
        }
        2 => {
            let by = figures.distance;
            stat(ui, "AUROC by distance", &auroc(by.map(|d| d.auroc)), &at_95(by.map(|d| d.false_accept_at_95)))
        }
        _ => {
            let by = figures.probability;
            stat(ui, "AUROC by confidence", &auroc(Some(by.auroc)), &at_95(Some(by.false_accept_at_95)))
        }
    };
    let n_columns = if wide { 4 } else { 2 };
    for row in 0..4 / n_columns {
        ui.columns(n_columns, |columns| {
            for (i, ui) in columns.iter_mut().enumerate() {
                draw(ui, row * n_columns + i);
            }
        });
    }
    widgets::caption(
        ui,
        &format!(
            "{} under the rule as it is. AUROC: how often a stranger is told from a known image, of two shown; 0.5 is chance.",
            format::images(figures.n_strangers)
        ),
    );
}

fn empty(cx: &mut Cx<'_>, ui: &mut Ui) {
    let chosen = EmptyState::new(icons::IMAGE, "Drop images of none of the classes here")
        .text(
            "Other animals, empty scenes, whatever may come before the camera: they show how many strangers get an answer, \
             and which rule keeps them out. They are not added to the project.",
        )
        .actions(&["Choose a folder of strangers…"])
        .show(ui);
    if chosen.is_some() {
        cx.act(Action::TestStrangers);
    }
}
