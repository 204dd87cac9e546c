//! Which files are written, each with what it is for.

use eframe::egui::{Sense, Ui, vec2};

use crate::app::{Command, OpenProject};
use crate::export::bundle::Contents;
use crate::export::files;
use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::theme::{size, space, tokens};
use crate::ui::widgets::{self, Card};

/// A file that is written if it is wanted.
struct Optional {
    name: &'static str,
    text: &'static str,
    field: fn(&mut Contents) -> &mut bool,
}

const ALWAYS: [(&str, &str); 2] = [
    (files::CLASSIFIER, "The classifier: a prepared image in, class probabilities out. Runs wherever ONNX runs."),
    (
        "labels.txt, graft.json, README.md",
        "Names of the classes in order; preprocessing, figures and licences for programs; all of it for people.",
    ),
];

const OPTIONAL: [Optional; 4] = [
    Optional {
        name: files::IMAGE_CLASSIFIER,
        text: "Takes the picture as it is, of any size: resizing and scaling are inside. The simplest to use.",
        field: |c| &mut c.image_classifier,
    },
    Optional {
        name: files::PREDICT,
        text: "A script that classifies pictures with nothing but Python, onnxruntime and Pillow.",
        field: |c| &mut c.script,
    },
    Optional {
        name: files::HEAD,
        text: "Only the head, for programs that have the features of the backbone already.",
        field: |c| &mut c.head_onnx,
    },
    Optional {
        name: files::SAFETENSORS,
        text: "Weight and bias of the head as plain arrays, for PyTorch, JAX or NumPy.",
        field: |c| &mut c.safetensors,
    },
];

/// Names of the files that an export with these contents has, in the order of this list.
pub fn names(contents: Contents, has_image_classifier: bool) -> Vec<&'static str> {
    let mut contents = Contents { image_classifier: contents.image_classifier && has_image_classifier, ..contents };
    let mut names = vec![files::CLASSIFIER];
    names.extend(OPTIONAL.iter().filter(|file| *(file.field)(&mut contents)).map(|file| file.name));
    names.extend([files::LABELS, files::META, files::README]);
    names
}

/// Shows the list.
pub fn ui(cx: &mut Cx<'_>, project: &OpenProject, is_busy: bool, ui: &mut Ui) {
    Card::new().title("What is written").show(ui, |ui| {
        ui.add_enabled_ui(!is_busy, |ui| {
            ui.spacing_mut().item_spacing.y = space::XS;
            let mut contents = project.export.contents;
            always(ui, ALWAYS[0]);
            let mut changed = false;
            for file in &OPTIONAL {
                changed |= widgets::checkbox(ui, (file.field)(&mut contents), file.name).changed();
                explanation(ui, file.text);
            }
            always(ui, ALWAYS[1]);
            if changed {
                cx.send(Command::SetExportContents(contents));
            }
        });
    });
}

/// Text below a name, under its beginning.
fn explanation(ui: &mut Ui, text: &str) {
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        ui.add_space(16.0 + space::S);
        ui.vertical(|ui| widgets::caption(ui, text));
    });
    ui.add_space(space::S);
}

/// A file that is part of every export.
fn always(ui: &mut Ui, (name, text): (&str, &str)) {
    let t = tokens(ui);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        let (rect, _) = ui.allocate_exact_size(vec2(16.0, 24.0), Sense::hover());
        let font = icons::font(size::ICON);
        ui.painter().text(rect.center(), eframe::egui::Align2::CENTER_CENTER, icons::CHECK, font, t.text_weak);
        widgets::body(ui, name);
        widgets::badge(ui, "always", widgets::Meaning::Neutral);
    });
    explanation(ui, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_an_export_is_spoken_of() {
        let mut all = names(Contents::default(), true);
        let mut known = files::ALL.to_vec();
        all.sort_unstable();
        known.sort_unstable();
        assert_eq!(all, known);
        assert!(!names(Contents::default(), false).contains(&files::IMAGE_CLASSIFIER));
        let none = Contents { image_classifier: false, head_onnx: false, safetensors: false, script: false };
        assert_eq!(names(none, true), [files::CLASSIFIER, files::LABELS, files::META, files::README]);
    }
}
