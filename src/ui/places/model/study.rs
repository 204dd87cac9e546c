//! What the depth plot and the comparison of models share: figures with their doubt, and what they rest on.

use eframe::egui::Ui;

use crate::app::{AppState, Command, Study};
use crate::dataset::Skipped;
use crate::jobs::LaneKind;
use crate::metrics::Estimate;
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::icons;
use crate::ui::theme::space;
use crate::ui::widgets::{self, Banner, Button, Meaning, percent};

/// Fewer validation images than this tell layers or models apart only where they differ much.
const FEW_VAL: usize = 30;

/// What LogME is, for those who see the word for the first time.
pub const LOG_ME: &str = "LogME estimates from the training images alone, without a head, how well features suit the classes: \
                          higher is better.";

/// An accuracy with its 95 % interval: `71.2 % (63–78)`; without the interval where there is little room.
pub fn accuracy(estimate: Option<Estimate>, is_wide: bool) -> String {
    let Some(Estimate { value, interval }) = estimate else { return "–".to_owned() };
    match is_wide && interval.low < interval.high {
        true => format!("{} ({:.0}–{:.0})", percent(value as f32), interval.low * 100.0, interval.high * 100.0),
        false => percent(value as f32),
    }
}

/// How far it is, and a way to end it.
pub fn progress(cx: &mut Cx<'_>, ui: &mut Ui, study: Study, label: &str, detail: &str) {
    if cx.state.studying() != Some(study) {
        return;
    }
    let activity = cx.state.activity(LaneKind::Study);
    let fraction = activity.filter(|a| a.n_total > 0).map(|a| a.n_done as f32 / a.n_total as f32);
    let stage = activity.and_then(|a| a.stage).map(|stage| stage.label());
    ui.add_space(space::XS);
    widgets::progress_bar(ui, label, fraction);
    let words: Vec<&str> = [detail, stage.unwrap_or_default()].into_iter().filter(|w| !w.is_empty()).collect();
    widgets::row_ends(
        ui,
        |ui| {
            widgets::caption(ui, &words.join("  ·  "));
        },
        |ui| {
            let name = format!("Cancel {}", label.to_lowercase());
            let response = ui.add(Button::new("Cancel").small().icon(icons::X).label(&name));
            if response.clicked() {
                cx.send(Command::Cancel(LaneKind::Study));
            }
            response
        },
    );
}

/// What the figures rest on: how many images, and whether they are still the project's.
pub fn basis(state: &AppState, ui: &mut Ui, (n_train, n_val): (usize, usize), revision: u64, more: &str) {
    let mut text = format!(
        "Trained on {}, judged on {} others; in brackets the 95 % interval in per cent. {more}",
        format::images(n_train),
        format::thousands(n_val),
    );
    if state.project.as_ref().is_some_and(|p| p.revision != revision) {
        text.push_str(" Labels or images have changed since.");
    }
    widgets::caption(ui, text.trim_end());
}

/// What the user should know before trusting the figures.
pub fn warnings(ui: &mut Ui, n_val: usize, skipped: &[Skipped], notes: &[String]) {
    if n_val < FEW_VAL {
        let title = format!("Only {} to judge on", format::images(n_val));
        Banner::new(Meaning::Warning, &title).text("Differences within the intervals may be chance.").show(ui);
    }
    if let Some(first) = skipped.first() {
        let n = format::images(skipped.len());
        widgets::caption(ui, &format!("{n} could not be used, such as {}: {}.", first.path.display(), first.reason));
    }
    for note in notes {
        widgets::caption(ui, note);
    }
}
