//! The proof: that it will be made, how far it is, and what came out.

use std::path::Path;

use eframe::egui::{Align2, Sense, Ui, vec2};

use super::contents::names;
use crate::export::bundle::Contents;
use crate::export::describe::{Agreement, Meta};
use crate::export::files;
use crate::ui::format;
use crate::ui::icons;
use crate::ui::theme::{size, space, tokens};
use crate::ui::widgets::{self, Button, Card, Meaning};

/// The line that tries an export.
const TRY: &str = "python predict.py IMAGE";

/// What is going to happen.
pub fn promise(ui: &mut Ui) {
    Card::new().show(ui, |ui| {
        widgets::badge_icon(ui, icons::SHIELD_CHECK, "Verified before it counts", Meaning::Neutral);
        widgets::weak(
            ui,
            "The files are loaded again as another program would load them, run on your validation images, and compared with \
             the answers that you saw here. If they differ, nothing is written.",
        );
    });
}

/// How far it is: images compared, of how many; `None` while the files are being written. Whether to cancel.
pub fn running(ui: &mut Ui, compared: Option<(usize, usize)>) -> bool {
    let mut cancel = false;
    Card::new().title("Exporting").show_with(
        ui,
        |ui| cancel = ui.add(Button::new("Cancel").small().label("Cancel export")).clicked(),
        |ui| {
            ui.spacing_mut().item_spacing.y = space::XS;
            let is_all = compared.is_some_and(|(n, of)| of > 0 && n >= of);
            let verifying = match compared {
                Some((n, of)) => format!("Verifying: {} of {}", format::thousands(n), format::images(of)),
                None => "Verifying".to_owned(),
            };
            step(ui, "Writing the files", if compared.is_some() { Step::Done } else { Step::Now });
            step(
                ui,
                &verifying,
                if is_all {
                    Step::Done
                } else if compared.is_some() {
                    Step::Now
                } else {
                    Step::Later
                },
            );
            step(ui, "Moving them into place", if is_all { Step::Now } else { Step::Later });
            ui.add_space(space::S);
            let fraction = compared.filter(|(_, of)| *of > 0).map(|(n, of)| n as f32 / of as f32);
            widgets::progress_bar(ui, "Export", fraction);
        },
    );
    cancel
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Done,
    Now,
    Later,
}

fn step(ui: &mut Ui, text: &str, step: Step) {
    let t = tokens(ui);
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(20.0, 24.0), Sense::hover());
        let (icon, colour) = match step {
            Step::Done => (icons::CHECK_CIRCLE_FILL, t.positive.text),
            Step::Now => ("", t.accent.text),
            Step::Later => (icons::CIRCLE, t.text_faint),
        };
        if icon.is_empty() {
            widgets::spinner_at(ui, rect.center(), 7.0);
            widgets::strong(ui, text);
        } else {
            ui.painter().text(rect.center(), Align2::CENTER_CENTER, icon, icons::font(size::ICON), colour);
            widgets::weak(ui, text);
        }
    });
}

/// What came out. Whether to open the folder.
pub fn done(ui: &mut Ui, dir: &Path, meta: &Meta, contents: Contents, copied: &mut bool) -> bool {
    let mut open = false;
    Card::new().show(ui, |ui| {
        let proof = &meta.verification;
        widgets::row_ends(
            ui,
            |ui| {
                widgets::badge_icon(ui, icons::SEAL_CHECK, "Exported and verified", Meaning::Positive);
            },
            |ui| {
                let button = Button::new("Open folder").icon(icons::FOLDER_OPEN).small();
                open = ui.add(button.label("Open export folder")).clicked();
            },
        );
        widgets::body(
            ui,
            &format!(
                "The files were loaded again and gave the answers that you saw here, on {}.",
                format::images(proof.n)
            ),
        );
        ui.add_space(space::XS);
        agreement(ui, files::CLASSIFIER, proof.n, proof.classifier);
        if let Some(head) = proof.head.filter(|_| contents.head_onnx) {
            agreement(ui, files::HEAD, proof.n, head);
        }
        if let Some(of) = proof.image_classifier {
            agreement(ui, files::IMAGE_CLASSIFIER, proof.n_image_classifier, of);
        }
        if let Some(why) = &proof.image_classifier_missing {
            widgets::small(ui, &format!("{} was not written: {why}.", files::IMAGE_CLASSIFIER));
        }
        ui.add_space(space::XS);
        let has_image_classifier = proof.image_classifier.is_some();
        let listed: Vec<String> = names(contents, has_image_classifier)
            .into_iter()
            .map(str::to_owned)
            .chain(meta.notices.iter().cloned())
            .collect();
        widgets::key_values(ui, &[("Folder", &format::path(dir)), ("Files", &listed.join(", "))]);
        if contents.script {
            ui.add_space(space::XS);
            widgets::weak(ui, "Try it in that folder, after pip install numpy onnxruntime pillow");
            command(ui, copied);
        }
    });
    open
}

/// What the comparison of one file gave.
fn agreement(ui: &mut Ui, file: &str, n: usize, of: Agreement) {
    let t = tokens(ui);
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        let (rect, _) = ui.allocate_exact_size(vec2(16.0, 19.0), Sense::hover());
        let font = icons::font(size::ICON);
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, icons::CHECK_CIRCLE_FILL, font, t.positive.text);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            widgets::strong(ui, file);
            let same = widgets::percent(of.top1_agreement as f32);
            let text = format!(
                "Same class on {same} of {}; a probability differs by {} at most",
                format::images(n),
                difference(of.max_abs_difference)
            );
            let text = match of.unknown_agreement {
                Some(share) => format!("{text}; “unknown” alike on {}", widgets::percent(share as f32)),
                None => text,
            };
            widgets::caption(ui, &text);
        });
    });
}

/// A difference of probabilities, readable: `0.0000012`, and `less than a billionth` below that.
fn difference(value: f64) -> String {
    if value < 1e-9 {
        return "less than a billionth".to_owned();
    }
    // Two significant digits without an exponent.
    let n_decimals = (1.0 - value.log10().floor()).clamp(1.0, 12.0) as usize;
    format!("{value:.n_decimals$}")
}

fn command(ui: &mut Ui, copied: &mut bool) {
    *copied |= widgets::command_line(ui, TRY, *copied);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_written_without_an_exponent() {
        let texts = [0.0, 3.4e-10, 1.19e-7, 4.5e-5, 0.012, 0.5].map(difference);
        assert_eq!(
            texts,
            ["less than a billionth", "less than a billionth", "0.00000012", "0.000045", "0.012", "0.50"]
                .map(str::to_owned)
        );
    }
}
