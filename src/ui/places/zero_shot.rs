//! The Zero-shot place: labels at the left, what they say of the images at the right; figures, the way from labels to
//! classes, and how accuracy grows with examples.

mod figures;
mod labels;
mod results;

use eframe::egui::{CentralPanel, Frame, Margin, Panel, ScrollArea, Ui};

use crate::app::{Action, Command, OpenProject, Place};
use crate::jobs::LaneKind;
use crate::text::labels::LabelError;
use crate::ui::cx::Cx;
use crate::ui::theme::{space, tokens};
use crate::ui::widgets::{self, Banner, Button, EmptyState, Meaning, place_header, segmented};
use crate::ui::{format, icons};

/// Width of the labels, in points.
const SIDE: f32 = 312.0;
/// Narrower than this, the labels stand above what they say.
const LEAST: f32 = 640.0;

/// What is shown of the answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum View {
    #[default]
    Images,
    Figures,
    Curve,
}

/// What this place remembers from frame to frame.
#[derive(Debug, Default)]
pub struct ZeroShotPlace {
    view: View,
    labels: labels::LabelsCard,
    results: results::Results,
    figures: figures::Figures,
}

impl ZeroShotPlace {
    /// Draws the place.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let Some(project) = cx.project() else { return };
        let t = tokens(ui);
        let pad = if ui.available_width() < 720.0 { space::L } else { space::XL };
        let margin = Margin { left: pad as i8, right: pad as i8, top: pad as i8, bottom: space::M as i8 };
        Frame::new().inner_margin(margin).show(ui, |ui| header(cx, ui, project));
        let is_narrow = ui.available_width() < LEAST;
        let frame = Frame::new().fill(t.surface).inner_margin(Margin {
            left: pad as i8,
            right: 0,
            top: 0,
            bottom: space::M as i8,
        });
        let side = |ui: &mut Ui| {
            ScrollArea::vertical().id_salt("labels").auto_shrink([false, false]).show(ui, |ui| {
                // Beside the cards there is room for the bar.
                ui.set_max_width(ui.available_width() - space::M);
                ui.spacing_mut().item_spacing.y = space::M;
                self.labels.ui(cx, ui, project);
            });
        };
        if is_narrow {
            let tall = (ui.available_height() * 0.5).max(180.0);
            Panel::top("labels above")
                .frame(frame)
                .exact_size(tall)
                .resizable(false)
                .show_separator_line(false)
                .show(ui, side);
        } else {
            Panel::left("labels at the side")
                .frame(frame)
                .exact_size(SIDE + pad)
                .resizable(false)
                .show_separator_line(false)
                .show(ui, side);
        }
        CentralPanel::default().frame(Frame::new().fill(t.surface)).show(ui, |ui| self.answers(cx, ui, project, pad));
    }

    fn answers(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, pad: f32) {
        let zero_shot = &project.zero_shot;
        let margin = Margin { left: space::M as i8, right: pad as i8, top: 0, bottom: space::S as i8 };
        if let Some(why) = &zero_shot.error {
            Frame::new().inner_margin(margin).show(ui, |ui| {
                let banner = Banner::new(Meaning::Negative, "These labels could not be read").text(why);
                let settings = &project.data.settings.zero_shot;
                let is_own = settings.text_graph.is_some() || settings.logit_scale.is_some();
                let actions: &[&str] = match is_own {
                    true => &["Read again", "Go to Model", "As the model has it"],
                    false => &["Read again", "Go to Model"],
                };
                match banner.actions(actions).show(ui) {
                    widgets::NoticeEvent::Action(0) => cx.send(Command::ReadAgain),
                    widgets::NoticeEvent::Action(1) => cx.act(Action::go(Place::Model)),
                    widgets::NoticeEvent::Action(_) => {
                        cx.send(Command::SetTextGraph(None));
                        cx.send(Command::SetLogitScale(None));
                    }
                    _ => {}
                }
            });
        }
        if zero_shot.answers.is_none() {
            return waiting(cx, ui, project);
        }
        Frame::new().inner_margin(margin).show(ui, |ui| {
            let has_order = self.view == View::Images;
            widgets::row_ends(
                ui,
                |ui| {
                    let views = [(View::Images, "Images"), (View::Figures, "Figures"), (View::Curve, "Few-shot curve")];
                    segmented(ui, "What is shown", &mut self.view, &views);
                },
                |ui| {
                    if has_order {
                        results::order_ui(cx, ui, project);
                    }
                },
            );
        });
        match self.view {
            View::Images => self.results.ui(cx, ui, project, pad),
            View::Figures => scrolled(ui, "figures", pad, |ui| self.figures.ui(cx, ui, project)),
            View::Curve => scrolled(ui, "curve", pad, |ui| figures::curve_ui(cx, ui, project)),
        }
    }
}

fn scrolled(ui: &mut Ui, id: &str, pad: f32, add: impl FnOnce(&mut Ui)) {
    ScrollArea::vertical().id_salt(id).auto_shrink([false, false]).show(ui, |ui| {
        let margin = Margin { left: space::M as i8, right: pad as i8, top: 0, bottom: space::XL as i8 };
        Frame::new().inner_margin(margin).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = space::M;
            add(ui);
        });
    });
}

fn header(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    place_header(ui, "Zero-shot", &state_line(cx, project), |ui| {
        let action = Action::ExportZeroShot;
        let button = Button::new(action.label()).tip(action.tooltip()).availability(action.availability(cx.state));
        if ui.add(button).clicked() {
            cx.act(action);
        }
    });
}

/// Below the title: what is going on.
fn state_line(cx: &Cx<'_>, project: &OpenProject) -> String {
    let zero_shot = &project.zero_shot;
    if let Some(activity) = cx.state.activity(LaneKind::Text).filter(|a| a.n_total > 1 && !cx.state.draws_curve()) {
        return format!(
            "Reading {} of {} texts",
            format::thousands(activity.n_done),
            format::thousands(activity.n_total)
        );
    }
    match &zero_shot.answers {
        Some(answers) => {
            let n_labels = answers.texts.labels.len();
            let labels = if n_labels == 1 { "1 label".to_owned() } else { format!("{n_labels} labels") };
            let images = format::images(answers.predictions.len());
            match zero_shot.is_current() {
                true => format!("{labels} on {images}, in {:.2} s", answers.secs),
                false => format!("{labels} on {images}; what is typed now is not read yet"),
            }
        }
        None => "A classifier from the names of its classes, without examples".to_owned(),
    }
}

/// There are no answers: what they wait for.
fn waiting(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    ui.add_space(space::XXL);
    if project.counts.n_images == 0 {
        let chosen = EmptyState::new(icons::IMAGES, "Drop images here")
            .text("They are sorted by what you type at the left: no labels, no training.")
            .actions(&["Add folder…"])
            .show(ui);
        if chosen.is_some() {
            cx.act(Action::AddFolder);
        }
    } else if project.live.reads_text == Some(false) {
        let chosen = EmptyState::new(icons::TEXT_T, "This model does not read words")
            .text("It has no text tower. The starter model has one, and so has any CLIP or SigLIP folder that you import.")
            .actions(&["Go to Model"])
            .show(ui);
        if chosen.is_some() {
            cx.act(Action::go(Place::Model));
        }
    } else if project.zero_shot.labels == Err(LabelError::None) {
        let has_classes = Action::LabelByClassNames.availability(cx.state).is_ok();
        let state = EmptyState::new(icons::TAG, "Type what the images may show")
            .text("One class a line, in words. Scores appear while you type; one line alone is a search.");
        let chosen =
            if has_classes { state.actions(&["Type the names of the classes"]).show(ui) } else { state.show(ui) };
        if chosen.is_some() {
            cx.act(Action::LabelByClassNames);
        }
    } else if project.zero_shot.error.is_none() && project.zero_shot.labels.is_ok() {
        let embeds = cx.state.activity(LaneKind::Embed).is_some() && project.live.n_embedded == 0;
        let reads = cx.state.activity(LaneKind::Text).is_some();
        if embeds || reads {
            EmptyState::new(
                icons::HOURGLASS,
                if embeds { "The model looks at the images" } else { "Reading the labels" },
            )
            .text("Scores appear as soon as there are any.")
            .show(ui);
        } else if project.live.n_embedded == 0 {
            let waits = Action::ResumeEmbedding.availability(cx.state).is_ok();
            let state = EmptyState::new(icons::PAUSE, "The model has not looked at the images")
                .text("Labels are compared with what it sees in them.");
            let chosen = if waits { state.actions(&["Resume embedding"]).show(ui) } else { state.show(ui) };
            if chosen.is_some() {
                cx.act(Action::ResumeEmbedding);
            }
        }
    }
}
