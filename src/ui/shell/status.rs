//! The status bar: what runs, how fast, how long still; whether all is saved.

use eframe::egui::{Align, Layout, Ui, vec2};

use crate::app::{Action, Activity, Command, EmbedPause, Study};
use crate::jobs::LaneKind;
use crate::ui::cx::Cx;
use crate::ui::format::{duration, thousands};
use crate::ui::icons;
use crate::ui::theme::{Weight, font, size, space, tokens};
use crate::ui::widgets as text;
use crate::ui::widgets::{Button, progress_bar};

/// Lanes in the order in which the bar speaks of them.
const LANES: [LaneKind; 12] = [
    LaneKind::Export,
    LaneKind::Predict,
    LaneKind::Strangers,
    LaneKind::Text,
    LaneKind::Study,
    LaneKind::Explain,
    LaneKind::Embed,
    LaneKind::Map,
    LaneKind::Check,
    LaneKind::Files,
    LaneKind::Fit,
    LaneKind::Project,
];
/// A few texts are read in a moment: a bar would only flicker while one types.
const FEW_TEXTS: usize = 8;

pub(super) fn status_ui(cx: &mut Cx<'_>, ui: &mut Ui) {
    let t = tokens(ui);
    let bar = ui.max_rect();
    ui.painter().hline(bar.x_range(), bar.top() + 0.5, eframe::egui::Stroke::new(1.0, t.border));
    ui.scope_builder(eframe::egui::UiBuilder::new().max_rect(bar.shrink2(vec2(space::M, 0.0))), |ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            right(cx, ui);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| left(cx, ui));
        });
    });
}

fn left(cx: &mut Cx<'_>, ui: &mut Ui) {
    let is_worth = |a: &&Activity| match a.lane {
        LaneKind::Text => a.n_total > FEW_TEXTS,
        // Images that are alike are found in a moment, and a few more are placed on the map as soon.
        LaneKind::Explain | LaneKind::Map => a.n_total > 0,
        _ => true,
    };
    let now = LANES.into_iter().find_map(|lane| cx.state.activity(lane).filter(is_worth));
    match now {
        Some(activity) => running(&activity.clone(), cx, ui),
        None => waiting(cx, ui),
    }
}

fn running(activity: &Activity, cx: &mut Cx<'_>, ui: &mut Ui) {
    let Activity { lane, stage, n_done, n_total, .. } = *activity;
    let word = stage.map_or(
        match lane {
            LaneKind::Files => "Looking at files",
            LaneKind::Embed => "Opening the model",
            LaneKind::Fit => "Fitting",
            LaneKind::Predict => "Predicting",
            LaneKind::Strangers => "Looking at the strangers",
            LaneKind::Text => "Reading labels",
            LaneKind::Study => "Looking at images",
            LaneKind::Map => "Looking at the map",
            LaneKind::Next => "Ordering images",
            LaneKind::Explain => "Looking",
            LaneKind::Check => "Looking for faults",
            LaneKind::Export => "Exporting",
            LaneKind::Project => "Opening",
        },
        |s| s.label(),
    );
    let studied = match cx.state.studying().filter(|_| lane == LaneKind::Study) {
        Some(Study::Probe) => format!("Probing the layers  ·  {word}"),
        Some(Study::Curve) => format!("Drawing the learning curve  ·  {word}"),
        Some(Study::Compare) => format!("Comparing the models  ·  {word}"),
        None => word.to_owned(),
    };
    let word = studied.as_str();
    let fraction = (n_total > 0).then(|| n_done as f32 / n_total as f32);
    ui.allocate_ui(vec2(120.0, 16.0), |ui| progress_bar(ui, word, fraction));
    let mut parts = vec![word.to_owned()];
    // Two heads are no number to show.
    if !matches!(lane, LaneKind::Fit | LaneKind::Map) && n_done > 0 {
        parts.push(match n_total {
            0 => thousands(n_done),
            n => format!("{} of {}", thousands(n_done), thousands(n)),
        });
    }
    if let Some(rate) = activity.rate().filter(|_| lane == LaneKind::Embed || lane == LaneKind::Predict) {
        parts.push(format!("{rate:.0} images/s"));
    }
    if let Some(secs) = activity.secs_left().filter(|s| *s > 1.0) {
        parts.push(format!("{} left", duration(secs)));
    }
    text::caption(ui, &parts.join("  ·  "));
    // Fitting is over in a moment, and the project is not to be half open.
    if !matches!(lane, LaneKind::Fit | LaneKind::Project) {
        let label = format!("Cancel {}", word.split("  ·  ").next().unwrap_or(word).to_lowercase());
        if ui.add(Button::icon_only(icons::X, &label).small()).clicked() {
            cx.send(Command::Cancel(lane));
        }
    }
}

fn waiting(cx: &mut Cx<'_>, ui: &mut Ui) {
    let Some(project) = cx.project() else { return };
    match project.live.pause.clone() {
        Some(EmbedPause::Cancelled) => {
            text::caption(ui, "Embedding was cancelled");
            if ui.add(Button::new("Resume").small()).clicked() {
                cx.act(Action::ResumeEmbedding);
            }
        }
        Some(EmbedPause::Failed(why)) => {
            let t = tokens(ui);
            let text =
                eframe::egui::RichText::new(&why).font(font(size::SMALL, Weight::Regular)).color(t.negative.text);
            ui.add(eframe::egui::Label::new(text).truncate()).on_hover_text(&why);
            if ui.add(Button::new("Try again").small()).clicked() {
                cx.act(Action::ResumeEmbedding);
            }
        }
        None => {
            let counts = &project.counts;
            let mut parts = vec![crate::ui::format::images(counts.n_images)];
            if counts.n_skipped > 0 {
                parts.push(format!("{} skipped", thousands(counts.n_skipped)));
            }
            let head = project.live.shown_figures(project.data.settings.head);
            if let Some((head, report)) = head.and_then(|head| Some((head, head.val?))) {
                let accuracy = text::percent(report.accuracy.value as f32);
                parts.push(format!("{} head: {accuracy} of {} right", head.kind.label(), thousands(report.n_rows)));
            }
            let n_selected = project.gallery.selection.len();
            if n_selected > 1 {
                parts.push(format!("{} selected", thousands(n_selected)));
            }
            text::caption(ui, &parts.join("  ·  "));
        }
    }
}

fn right(cx: &mut Cx<'_>, ui: &mut Ui) {
    let Some(project) = cx.project() else { return };
    let t = tokens(ui);
    let small =
        |text: &str, colour| eframe::egui::RichText::new(text).font(font(size::SMALL, Weight::Regular)).color(colour);
    if let Some(why) = &cx.state.save_error {
        ui.label(small("Not saved", t.negative.text)).on_hover_text(why);
    } else if !project.is_writable() {
        ui.label(small("Read-only", t.warning.text));
    } else if cx.state.is_saved() {
        ui.label(small("Saved", t.text_weak)).on_hover_text(crate::ui::format::path(&project.path));
    } else {
        ui.label(small("Saving…", t.text_weak));
    }
    if let Some(provider) = project.live.ran_on {
        ui.label(small("·", t.text_faint));
        ui.label(small(provider.label(), t.text_weak)).on_hover_text("What the model ran on last");
    }
    if let Some(model) = &project.live.model_name {
        ui.label(small("·", t.text_faint));
        ui.add(eframe::egui::Label::new(small(model, t.text_weak)).truncate());
    }
}
