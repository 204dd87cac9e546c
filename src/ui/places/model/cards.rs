//! The installed models.

use eframe::egui::{Ui, vec2};

use crate::app::{Action, Command, Purpose};
use crate::backbone::library::STARTER;
use crate::backbone::manifest::Manifest;
use crate::image::spec::TensorLayout;
use crate::jobs::ModelCard;
use crate::ui::cx::Cx;
use crate::ui::dialogs::typed_paths;
use crate::ui::format;
use crate::ui::icons;
use crate::ui::theme::space;
use crate::ui::widgets::{self, Card, FieldEvent, Meaning};

/// What the project's setting is for a model: the starter model is none.
pub fn setting(card: &ModelCard) -> Option<String> {
    (card.installed.name != STARTER).then(|| card.installed.name.clone())
}

/// Whether a project's setting means this model.
pub fn is_meant(card: &ModelCard, setting: Option<&str>) -> bool {
    let setting = setting.unwrap_or(STARTER);
    card.installed.name == setting || card.installed.path.as_os_str() == setting
}

/// The name for people.
pub fn title(card: &ModelCard) -> &str {
    card.manifest.as_ref().map_or(&card.installed.name, |m| &m.name)
}

/// Height and width of the input in pixels, and the order of its dimensions.
pub fn input(manifest: &Manifest) -> String {
    let spec = &manifest.preprocess.spec;
    let (height, width) = spec.output_size().unwrap_or_default();
    let layout = match spec.layout {
        TensorLayout::Nchw => "NCHW",
        TensorLayout::Nhwc => "NHWC",
    };
    format!("{height} × {width} {layout}")
}

/// Badges of a model.
pub fn badges(ui: &mut Ui, card: &ModelCard, in_use: bool) {
    if in_use {
        widgets::badge_icon(ui, icons::CHECK, "In use", Meaning::Accent);
    }
    if card.installed.name == STARTER {
        widgets::badge(ui, "Starter", Meaning::Neutral);
    }
    if card.is_imported {
        widgets::badge(ui, if card.installed.is_linked { "In place" } else { "Yours" }, Meaning::Neutral);
    }
    if card.manifest.is_ok() {
        widgets::badge(ui, "Features", Meaning::Neutral);
        if card.manifest.as_ref().is_ok_and(|manifest| manifest.text.is_some() && manifest.joint.is_some()) {
            widgets::badge(ui, "Zero-shot", Meaning::Neutral);
        }
    } else {
        widgets::badge_icon(ui, icons::WARNING_CIRCLE, "Cannot be used", Meaning::Negative);
    }
}

/// Shows the cards; `in_use` is the project's setting where there is a project. Returns the one that was clicked.
pub fn ui(cx: &Cx<'_>, ui: &mut Ui, selected: Option<&str>, in_use: Option<Option<&str>>) -> Option<usize> {
    let Some(cards) = &cx.state.models.cards else {
        for _ in 0..2 {
            loading(ui);
        }
        return None;
    };
    let mut clicked = None;
    for (idx, card) in cards.iter().enumerate() {
        let is_selected = selected == Some(card.installed.name.as_str());
        let is_in_use = in_use.is_some_and(|setting| is_meant(card, setting));
        let label = format!("Model {}", title(card));
        let shown = Card::new().title(title(card)).selected(is_selected).show_clickable(ui, &label, |ui| {
            ui.spacing_mut().item_spacing.y = space::XS;
            match &card.manifest {
                Ok(manifest) => facts(ui, card, manifest),
                Err(reason) => drop(widgets::caption(ui, &format::sentence(reason))),
            }
            widgets::flow(ui, |ui| badges(ui, card, is_in_use));
        });
        if shown.response.clicked() {
            clicked = Some(idx);
        }
    }
    if cards.is_empty() {
        widgets::weak(ui, "No models are installed. Import one below.");
    }
    clicked
}

fn facts(ui: &mut Ui, card: &ModelCard, manifest: &Manifest) {
    let dim = card.dim.map(|dim| format!(" · {} features", format::thousands(dim))).unwrap_or_default();
    widgets::caption(ui, &format!("{}{dim} · {}", input(manifest), format::bytes(manifest.size_bytes)));
}

fn loading(ui: &mut Ui) {
    Card::new().show(ui, |ui| {
        let width = ui.available_width();
        widgets::skeleton(ui, vec2(width * 0.6, 16.0));
        widgets::skeleton(ui, vec2(width * 0.85, 12.0));
        widgets::skeleton(ui, vec2(width * 0.3, 18.0));
    });
}

/// How to add a model.
pub fn import(cx: &mut Cx<'_>, ui: &mut Ui, path: &mut String) {
    Card::new().title("Add a model").show(ui, |ui| {
        if cx.state.is_busy_with(|p| *p == Purpose::Import) {
            widgets::busy_line(ui, "Importing the model…");
            return;
        }
        widgets::caption(ui, "Drop an .onnx file or a model’s folder anywhere in this window, or name it here.");
        let mut in_place = cx.state.models.imports_in_place;
        if widgets::toggle(ui, &mut in_place, "Use it where it lies").changed() {
            cx.send(Command::SetImportInPlace(in_place));
        }
        let text = match in_place {
            true => "It must stay there: nothing is copied.",
            false => "It is copied into Graft’s library.",
        };
        widgets::caption(ui, text);
        match widgets::path_field(ui, "Path of a model", path, "Path") {
            FieldEvent::Commit if !path.trim().is_empty() => {
                cx.out.extend(typed_paths(&std::mem::take(path)).into_iter().next().map(Command::ImportModel));
            }
            FieldEvent::Browse => cx.act(Action::ImportModel),
            _ => {}
        }
    });
}
