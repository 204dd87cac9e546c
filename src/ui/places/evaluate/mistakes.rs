//! The worst mistakes: validation images where the head is wrong, the surest first.

use eframe::egui::{Align2, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::app::gallery::Filter;
use crate::app::{Action, Command, OpenProject, Place};
use crate::dataset::Split;
use crate::project::{ClassId, ImageId};
use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::made_from::MadeFromProject;
use crate::ui::theme::{Weight, size, tokens};
use crate::ui::widgets::paint::{cut_line, galley_in, icon_at};
use crate::ui::widgets::{self, Button, Card, percent};

/// Mistakes that are shown here, at most; the rest is in the gallery.
const MAX_SHOWN: usize = 24;
const TILE: f32 = 128.0;
const LINES: f32 = 36.0;

/// What the card remembers.
#[derive(Debug, Default)]
pub(super) struct Mistakes {
    made_from: Option<MadeFromProject>,
    worst: Vec<(ImageId, ClassId, ClassId, f32)>,
    n: usize,
}

impl Mistakes {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        self.refresh(project);
        let title = format!("Worst mistakes ({})", self.n);
        let mut shows_all = false;
        let has_mistakes = self.n > 0;
        let trailing = |ui: &mut Ui| {
            if has_mistakes {
                shows_all = ui.add(Button::new("Show all").small().tip(Action::ShowMistakes.tooltip())).clicked();
            }
        };
        Card::new().title(&title).show_with(ui, trailing, |ui| {
            if self.worst.is_empty() {
                let text = match &project.live.fit {
                    Some(_) => "It is right on every validation image.",
                    None => "The head of the last time is being refreshed.",
                };
                widgets::weak(ui, text);
                return;
            }
            widgets::caption(
                ui,
                "The surest first. Sometimes it is the label that is wrong: click to look and to mend it.",
            );
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing = vec2(8.0, 8.0);
                for (id, truth, predicted, confidence) in &self.worst {
                    tile(cx, ui, project, (*id, *truth, *predicted, *confidence));
                }
            });
        });
        if shows_all {
            cx.act(Action::ShowMistakes);
        }
    }

    fn refresh(&mut self, project: &OpenProject) {
        if self.made_from.as_ref().is_some_and(|m| m.is(project)) {
            return;
        }
        self.made_from = Some(MadeFromProject::new(project));
        let splits = project.live.fit.iter().flat_map(|fit| &fit.output.splits);
        let mut wrong: Vec<_> = splits
            .filter(|(_, split)| *split == Split::Val)
            .filter_map(|(id, _)| {
                let truth = project.data.image(*id)?.class?;
                let (predicted, confidence) = project.live.prediction(*id)?;
                (predicted != truth).then_some((*id, truth, predicted, confidence))
            })
            .collect();
        wrong.sort_by(|a, b| b.3.total_cmp(&a.3));
        self.n = wrong.len();
        wrong.truncate(MAX_SHOWN);
        self.worst = wrong;
    }
}

fn tile(
    cx: &mut Cx<'_>,
    ui: &mut Ui,
    project: &OpenProject,
    (id, truth, predicted, confidence): (ImageId, ClassId, ClassId, f32),
) {
    let t = tokens(ui);
    let name = |id| project.data.class(id).map_or("?", |c| c.name.as_str());
    let (rect, response) = ui.allocate_exact_size(vec2(TILE, TILE + LINES), Sense::click());
    let said = format!("{} taken for {}, {}", name(truth), name(predicted), percent(confidence));
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &said));
    let picture = Rect::from_min_size(rect.min, vec2(TILE, TILE));
    cx.project_thumb(ui, picture, id);
    if response.hovered() || response.has_focus() {
        let stroke = eframe::egui::Stroke::new(2.0, t.accent.solid);
        ui.painter().rect_stroke(picture, 4.0, stroke, eframe::egui::StrokeKind::Inside);
    }
    let own = cut_line(ui, name(truth), size::SMALL, Weight::Regular, t.text, TILE);
    galley_in(ui, Align2::LEFT_TOP, picture.left_bottom() + vec2(0.0, 3.0), own, t.text);
    let y = picture.bottom() + 27.0;
    icon_at(ui, pos2(picture.left() + 6.0, y), icons::ARROW_RIGHT, 12.0, t.negative.text);
    let text = format!("{} {}", name(predicted), percent(confidence));
    let taken = cut_line(ui, &text, size::SMALL, Weight::Medium, t.negative.text, TILE - 16.0);
    galley_in(ui, Align2::LEFT_CENTER, pos2(picture.left() + 16.0, y), taken, t.negative.text);
    if response.clicked() {
        // With all images shown the arrows lead on to its neighbours.
        cx.send(Command::SetFilter(Filter::default()));
        cx.send(Command::Go(Place::Images));
        cx.send(Command::Look(Some(id)));
    }
}
