//! The Train place: the heads side by side, how they came about, and what would make them better.

mod curve;
mod curves;
mod data;
mod heads;

use eframe::egui::Ui;

use super::page::{MAX_WIDTH, page};
use crate::app::{Action, OpenProject, Place};
use crate::jobs::LaneKind;
use crate::ui::cx::Cx;
use crate::ui::theme::space;
use crate::ui::widgets::{self, Banner, EmptyState, Meaning, columns, place_header};
use crate::ui::{format, icons};

/// What this place remembers from frame to frame.
#[derive(Debug, Default)]
pub struct TrainPlace {
    data: data::DataCard,
}

impl TrainPlace {
    /// Draws the place.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let Some(project) = cx.project() else { return };
        page(ui, "train", MAX_WIDTH, |ui| {
            place_header(ui, "Train", &state_line(cx, project), |_| {});
            let figures = project.live.figures();
            if figures.is_empty() {
                waiting(cx, ui, project);
            } else {
                if let Some(why) = &project.live.fit_error {
                    Banner::new(Meaning::Negative, "The last fit failed").text(why).show(ui);
                }
                heads::heads_ui(cx, ui, project, &figures);
                columns(ui, &[1.0, 1.0], |ui, i| {
                    if i == 0 {
                        curves::path_card(ui, &figures);
                    } else {
                        curves::loss_card(ui, &figures);
                    }
                });
                curve::curve_card(cx, ui, project);
            }
            self.data.ui(cx, ui, project);
        });
    }
}

/// Below the title: what is going on.
fn state_line(cx: &Cx<'_>, project: &OpenProject) -> String {
    if let Some(activity) = cx.state.activity(LaneKind::Embed) {
        let (n_done, n) = (format::thousands(activity.n_done), format::thousands(activity.n_total));
        return format!("Embedding {n_done} of {n} images; heads are fitted again as they come");
    }
    match &project.live.fit {
        Some(fit) if fit.output.revision == project.revision && !fit.output.is_chosen_anew => {
            "Fitted on the labels as they are now; the strength is being chosen anew".to_owned()
        }
        _ if cx.state.activity(LaneKind::Fit).is_some() => "Fitting".to_owned(),
        Some(fit) => {
            let count = |split| fit.output.splits.iter().filter(|(_, s)| *s == split).count();
            let (n_train, n_val) = (count(crate::dataset::Split::Train), count(crate::dataset::Split::Val));
            format!(
                "Fitted in {:.2} s on {}, judged on {}",
                fit.output.secs,
                format::images(n_train),
                format::images(n_val)
            )
        }
        None if !project.live.stored.is_empty() => "Figures of the last time; they are being refreshed".to_owned(),
        None => "Heads are trained by themselves".to_owned(),
    }
}

/// There are no heads: what they wait for.
fn waiting(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    if let Some(activity) = cx.state.activity(LaneKind::Embed) {
        ui.add_space(space::XL);
        let fraction = (activity.n_total > 0).then(|| activity.n_done as f32 / activity.n_total as f32);
        widgets::progress_bar(ui, "Embedding", fraction);
        widgets::weak(
            ui,
            "The model looks at every image once. The first heads appear as soon as two classes have a few.",
        );
        return;
    }
    if let Some(why) = &project.live.fit_error {
        Banner::new(Meaning::Negative, "Heads cannot be fitted").text(why).show(ui);
        return;
    }
    let chosen = EmptyState::new(icons::GRADUATION_CAP, "Label images of two classes")
        .text("Heads are trained by themselves as soon as there are two classes with images, and again after every change.")
        .actions(&["Go to Images"])
        .show(ui);
    if chosen.is_some() {
        cx.act(Action::go(Place::Images));
    }
}
