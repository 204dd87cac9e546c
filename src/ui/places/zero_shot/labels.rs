//! What is typed: labels, templates, the class of what no label fits; the bridge to classes; the text tower.

use std::path::PathBuf;

use eframe::egui::{ScrollArea, Ui};

use crate::app::{Action, Command, OpenProject};
use crate::jobs::TextFacts;
use crate::text::labels::LabelError;
use crate::text::prompts::{ENSEMBLE, PHOTO, Templates};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::places::page::can_edit;
use crate::ui::theme::tokens;
use crate::ui::widgets::{self, Button, Card, key_values, percent, select, slider, text_area, toggle};

/// Seconds without a key after which what is typed is kept in the project.
const PAUSE_SECS: f64 = 3.0;
/// Height of the list of labels before it scrolls, in points.
const LIST_HEIGHT: f32 = 260.0;

/// What the select of templates offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Auto,
    Plain,
    Photo,
    Ensemble,
    Own,
}

/// What the card remembers.
#[derive(Debug, Default)]
pub(super) struct LabelsCard {
    /// When a key was last pressed, until what was typed is kept.
    typed_at: Option<f64>,
    /// The user's own templates as they are typed, until they are meant.
    own: Option<OwnTemplates>,
    own_error: Option<String>,
    /// The logarithm of the logit scale while its slider is dragged.
    dragged_scale: Option<f32>,
    /// Whether the labels have had the keyboard's focus since the place came up.
    was_focused: bool,
}

/// Templates as they are typed.
#[derive(Debug)]
struct OwnTemplates {
    text: String,
    /// What the project had when they were begun: where it has others, by an undo say, these are void.
    base: Option<Vec<String>>,
}

impl LabelsCard {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let is_editable = can_edit(cx.state).is_ok();
        self.labels(cx, ui, project);
        ui.add_enabled_ui(is_editable, |ui| {
            self.prompts(cx, ui, project);
        });
        if project.zero_shot.answers.is_some() {
            bridge(cx, ui, project);
        }
        if let Some(answers) = &project.zero_shot.answers {
            self.tower(cx, ui, project, &answers.facts);
        }
    }

    fn labels(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let zero_shot = &project.zero_shot;
        let action = Action::LabelByClassNames;
        let trailing = |ui: &mut Ui| {
            let button = Button::new("From classes").quiet().small().tip(action.tooltip());
            if ui.add(button.availability(action.availability(cx.state))).clicked() {
                cx.out.push(Command::Act(action));
            }
        };
        let mut text = zero_shot.text.clone();
        let mut response = None;
        Card::new().title("Labels").show_with(ui, trailing, |ui| {
            ScrollArea::vertical().id_salt("typed labels").max_height(LIST_HEIGHT).show(ui, |ui| {
                let hint = "ant\nbee | honey bee | bumblebee\na red car";
                response = Some(text_area(ui, "Labels, one class a line", &mut text, hint, 7));
            });
            match &zero_shot.labels {
                Err(LabelError::None) | Ok(_) => {
                    widgets::caption(ui, "One class a line. “|” separates descriptions of the same class.");
                }
                Err(error) => {
                    let colour = tokens(ui).negative.text;
                    ui.colored_label(colour, format::sentence(&error.to_string()));
                }
            }
        });
        let Some(response) = response else { return };
        if !std::mem::replace(&mut self.was_focused, true) && text.is_empty() {
            response.request_focus();
        }
        let now = ui.input(|i| i.time);
        if response.changed() {
            cx.send(Command::TypeLabels(text));
            self.typed_at = Some(now);
        }
        if let Some(at) = self.typed_at {
            let has_paused = now - at >= PAUSE_SECS;
            if response.lost_focus() || has_paused {
                self.typed_at = None;
                cx.send(Command::KeepLabels);
            } else {
                ui.ctx().request_repaint_after(std::time::Duration::from_secs_f64(PAUSE_SECS - (now - at) + 0.05));
            }
        }
    }

    fn prompts(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let settings = &project.data.settings.zero_shot;
        let facts = project.zero_shot.answers.as_ref().map(|a| &a.facts);
        Card::new().title("Prompts").show(ui, |ui| {
            if self.own.as_ref().is_some_and(|own| own.base != settings.templates) {
                (self.own, self.own_error) = (None, None);
            }
            let plain = vec!["{}".to_owned()];
            let photo = vec![PHOTO.to_owned()];
            let ensemble: Vec<String> = ENSEMBLE.map(str::to_owned).to_vec();
            let now = match &settings.templates {
                _ if self.own.is_some() => Choice::Own,
                None => Choice::Auto,
                Some(t) if *t == plain => Choice::Plain,
                Some(t) if *t == photo => Choice::Photo,
                Some(t) if *t == ensemble => Choice::Ensemble,
                Some(_) => Choice::Own,
            };
            let auto = match facts.map(|f| &f.default_templates) {
                Some(Templates::None) => "As suits the model: plain names",
                Some(_) => "As suits the model: a photo of a …",
                None => "As suits the model",
            };
            let options = [
                (Choice::Auto, auto),
                (Choice::Plain, "Plain names"),
                (Choice::Photo, "a photo of a …"),
                (Choice::Ensemble, "Seven templates, averaged"),
                (Choice::Own, "Your own…"),
            ];
            let mut choice = now;
            if select(ui, "Prompt templates", &mut choice, &options).changed() {
                self.own_error = None;
                let begun = settings.templates.clone().unwrap_or_else(|| photo.clone());
                let templates = match choice {
                    Choice::Auto => Some(None),
                    Choice::Plain => Some(Some(plain)),
                    Choice::Photo => Some(Some(photo)),
                    Choice::Ensemble => Some(Some(ensemble)),
                    Choice::Own => settings.templates.is_none().then_some(Some(photo)),
                };
                self.own = (choice == Choice::Own).then(|| OwnTemplates { text: begun.join("\n"), base: Some(begun) });
                if let Some(templates) = templates {
                    cx.send(Command::SetTemplates(templates));
                }
            }
            if choice == Choice::Own {
                self.own_templates(cx, ui, settings.templates.as_ref());
            }
            let mut on = settings.none_of_these;
            if toggle(ui, &mut on, "A class “none of these”").changed() {
                cx.send(Command::SetNoneOfThese(on));
            }
        });
    }

    fn own_templates(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, kept: Option<&Vec<String>>) {
        let mut text = match &self.own {
            Some(own) => own.text.clone(),
            None => kept.map(|kept| kept.join("\n")).unwrap_or_default(),
        };
        let response = text_area(ui, "Templates, one a line", &mut text, PHOTO, 3);
        if response.changed() {
            self.own = Some(OwnTemplates { text: text.clone(), base: kept.cloned() });
        }
        let own = Templates::own(&text);
        self.own_error = own.as_ref().err().map(|error| format::sentence(&error.to_string()));
        // Meant when the field is left, also by going to another place: all labels are read again with them.
        if !response.has_focus()
            && let Ok(Templates::Own(templates)) = own
            && kept != Some(&templates)
        {
            cx.send(Command::SetTemplates(Some(templates.clone())));
            self.own = Some(OwnTemplates { text, base: Some(templates) });
        }
        match &self.own_error {
            Some(error) => {
                ui.colored_label(tokens(ui).negative.text, error);
            }
            None => {
                widgets::caption(ui, "The label goes where {} stands. Click elsewhere to use them.");
            }
        }
    }

    /// What reads the labels.
    fn tower(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, facts: &TextFacts) {
        let settings = &project.data.settings.zero_shot;
        Card::new().title("Text tower").show(ui, |ui| {
            let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let own_graph = name(&facts.text_graph);
            let tokens_text = format!("{}, {} at most", facts.rules.family.label(), facts.rules.max_len);
            let logits = &facts.logits;
            let scale = match logits.bias.value {
                0.0 => format!("{:.2} × cosine", logits.scale.value),
                bias => format!("{:.2} × cosine {bias:+.2}", logits.scale.value),
            };
            let origin = logits.scale.origin.to_string();
            key_values(
                ui,
                &[
                    ("Model", &facts.model),
                    ("Text graph", &own_graph),
                    ("Tokens", &tokens_text),
                    ("Logits", &scale),
                    ("", &origin),
                ],
            );
            ui.add_enabled_ui(can_edit(cx.state).is_ok(), |ui| {
                if facts.text_graphs.len() > 1 {
                    let names: Vec<String> = facts.text_graphs.iter().map(name).collect();
                    let options: Vec<(usize, &str)> = names.iter().enumerate().map(|(i, n)| (i, n.as_str())).collect();
                    let now = facts.text_graphs.iter().position(|path| *path == facts.text_graph).unwrap_or(0);
                    let mut chosen = now;
                    if select(ui, "Precision of the text graph", &mut chosen, &options).changed() {
                        cx.send(Command::SetTextGraph(facts.text_graphs.get(chosen).cloned()));
                    }
                }
                widgets::caption(ui, "Logit scale: the larger, the surer it sounds");
                let mut log = self.dragged_scale.unwrap_or_else(|| (logits.scale.value as f32).max(1.0).ln());
                let shown = |log: f32| format!("{:.0}", log.exp());
                let response = slider(ui, "Logit scale", &mut log, 0.0..=5.3, shown);
                if response.dragged() {
                    self.dragged_scale = Some(log);
                } else if response.drag_stopped() || response.changed() {
                    let log = self.dragged_scale.take().unwrap_or(log);
                    cx.send(Command::SetLogitScale(Some(f64::from(log.exp()))));
                }
                if settings.logit_scale.is_some() || settings.text_graph.is_some() {
                    let button = Button::new("As the model has it").quiet().small();
                    if ui.add(button).clicked() {
                        cx.send(Command::SetLogitScale(None));
                        cx.send(Command::SetTextGraph(None));
                    }
                }
            });
        });
    }
}

/// From labels to classes with examples.
fn bridge(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    Card::new().title("From labels to classes").show(ui, |ui| {
        widgets::caption(
            ui,
            "The surest images of each label become examples of a class. Correct a few, and heads learn from them.",
        );
        widgets::caption(ui, "Share of each label's images");
        let mut share = project.zero_shot.share;
        let format = |share: f32| percent(share);
        if slider(ui, "Share of each label's images", &mut share, 0.0..=1.0, format).changed() {
            cx.send(Command::SetShare(share));
        }
        let groups = &project.zero_shot.groups;
        let n_taken: usize = groups.iter().map(|g| g.taken.len()).sum();
        let n_classes = groups.iter().filter(|g| !g.taken.is_empty()).count();
        widgets::body(
            ui,
            &match (n_taken, n_classes) {
                (0, _) => "No image without a class among them".to_owned(),
                (n, 1) => format!("{} of 1 class", format::images(n)),
                (n, n_classes) => format!("{} of {n_classes} classes", format::images(n)),
            },
        );
        let action = Action::UseAsClasses;
        let button = Button::new(action.label()).primary().fill_width().tip(action.tooltip());
        if ui.add(button.availability(action.availability(cx.state))).clicked() {
            cx.act(action);
        }
    });
}
