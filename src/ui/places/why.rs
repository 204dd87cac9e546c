//! Why an answer: the training images that an image is most like, and where the model looks.

mod heat;

use eframe::egui::{CornerRadius, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, vec2};

use super::super::made_from::MadeFrom;
use crate::app::{Action, AppState, Command, OpenProject, WhyCommand};
use crate::jobs::{LaneKind, Subject};
use crate::project::{ClassId, ImageId};
use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::theme::{Theme, class_colour, radius, space, tokens};
use crate::ui::widgets::{self, Banner, Button, Meaning, badge, class_dot, percent, progress_bar, select, toggle};
use crate::workflow::explain::OcclusionMap;

pub(super) use heat::HeatOverlay;

/// Side of the images that stand beside each other, in points.
const THUMB: f32 = 46.0;
/// Classes that can be asked for.
const MAX_CLASSES: usize = 12;

/// What a panel is about.
pub(super) struct Asked<'a> {
    /// The image.
    pub subject: &'a Subject,
    /// What the head says of it.
    pub answer: Option<ClassId>,
    /// The likeliest classes, to ask for.
    pub classes: &'a [ClassId],
}

/// Draws the panel, or the button that opens it.
pub(super) fn panel_ui(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, asked: &Asked<'_>) {
    let why = &project.why;
    if why.subject.as_ref() != Some(asked.subject) {
        cx.send(Command::Why(WhyCommand::About(asked.subject.clone())));
    }
    let label = if why.is_open { "Hide why" } else { "Why?" };
    let button = Button::new(label).icon(icons::QUESTION).shortcut("W").tip(Action::Why.tooltip()).fill_width();
    if ui.add(button).clicked() {
        cx.act(Action::Why);
    }
    if !why.is_open {
        return;
    }
    ui.add_space(space::XS);
    near_ui(cx, ui, project, asked);
    ui.add_space(space::S);
    where_ui(cx, ui, project, asked);
}

/// Shows an image of the project as large as there is room.
fn look_at(cx: &mut Cx<'_>, id: ImageId) {
    if cx.state.place != crate::app::Place::Images {
        cx.send(Command::Go(crate::app::Place::Images));
    }
    cx.send(Command::Look(Some(id)));
}

fn near_ui(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, asked: &Asked<'_>) {
    widgets::strong(ui, "Most alike among the training images");
    match project.why.near(asked.subject) {
        Some(Ok(near)) if near.images.is_empty() => {
            widgets::weak(ui, "There are none: no other image has a label and has been seen by the model.");
        }
        Some(Ok(near)) => {
            widgets::caption(ui, &summary(project, &near.images, asked.answer));
            for (id, similarity) in near.images.clone() {
                near_row(cx, ui, project, (id, similarity), asked.answer);
            }
        }
        Some(Err(error)) => {
            Banner::new(Meaning::Warning, "They could not be found").text(error).show(ui);
        }
        None => {
            widgets::weak(ui, "Looking for them…");
        }
    }
}

/// How many of them are of the class that the head says.
fn summary(project: &OpenProject, images: &[(ImageId, f32)], answer: Option<ClassId>) -> String {
    let name = answer.and_then(|id| project.data.class(id)).map(|class| class.name.as_str());
    let Some(name) = name else { return "The head has no answer yet; these are what it would go by.".to_owned() };
    let class_of = |id: &ImageId| project.data.image(*id).and_then(|image| image.class);
    let n_same = images.iter().filter(|(id, _)| class_of(id) == answer).count();
    match (n_same, images.len()) {
        (0, _) => format!("None of them is “{name}”, which the head says: it goes by something else."),
        (n, all) if n == all => format!("All {all} are “{name}”, as the head says."),
        (n, all) if 2 * n > all => format!("{n} of {all} are “{name}”, as the head says."),
        (n, all) => format!("Only {n} of {all} are “{name}”, which the head says: be doubtful."),
    }
}

fn near_row(
    cx: &mut Cx<'_>,
    ui: &mut Ui,
    project: &OpenProject,
    (id, similarity): (ImageId, f32),
    answer: Option<ClassId>,
) {
    let Some(image) = project.data.image(id) else { return };
    let class = image.class.and_then(|class| project.data.class(class));
    let label = class.map_or("unlabelled", |class| class.name.as_str());
    let name = image.rel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        let (rect, response) = ui.allocate_exact_size(vec2(THUMB, THUMB), Sense::click());
        cx.project_thumb(ui, rect, id);
        response.widget_info(|| {
            WidgetInfo::labeled(Role::Button, true, format!("{name}, {label}, similarity {similarity:.2}"))
        });
        if response.hovered() || response.has_focus() {
            let stroke = Stroke::new(2.0, tokens(ui).focus);
            ui.painter().rect_stroke(rect, CornerRadius::same(radius::SMALL), stroke, StrokeKind::Outside);
        }
        if response.clicked() {
            look_at(cx, id);
        }
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing = vec2(space::XS, 1.0);
            ui.horizontal(|ui| {
                if let Some(class) = class {
                    class_dot(ui, class_colour(usize::from(class.colour), Theme::of(ui)));
                }
                widgets::one_line(ui, label);
                if answer.is_some() && image.class != answer {
                    badge(ui, "other class", Meaning::Warning);
                }
            });
            widgets::caption(ui, &format!("similarity {similarity:.2}"));
            if let Some((said, p)) = project.live.prediction(id).filter(|(said, _)| Some(*said) != image.class)
                && let Some(said) = project.data.class(said)
            {
                widgets::caption(ui, &format!("the head says “{}” ({})", said.name, percent(p)));
            }
        });
    });
}

fn where_ui(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, asked: &Asked<'_>) {
    let why = &project.why;
    widgets::strong(ui, "Where it looks");
    if project.live.fit.is_none() {
        widgets::weak(ui, "There is no trained head yet.");
        return;
    }
    if why.is_looking(asked.subject) {
        let activity = cx.state.activity(LaneKind::Explain);
        let fraction = activity.filter(|a| a.n_total > 0).map(|a| a.n_done as f32 / a.n_total as f32);
        progress_bar(ui, "Covering one part of the image after the other", fraction);
        widgets::caption(ui, "Covering one part of the image after the other…");
        if ui.add(Button::new("Stop").small()).clicked() {
            cx.send(Command::Why(WhyCommand::Stop));
        }
        return;
    }
    let found = why.map(asked.subject);
    if found.is_none() {
        widgets::weak(
            ui,
            "A patch is moved over the image: where the answer falls when it is covered, the model looks.",
        );
    }
    let mut on = why.shows_map && found.is_some();
    if found.is_some() {
        let label = if ui.available_width() < 210.0 { "Show it (O)" } else { "Show it on the image (O)" };
        if toggle(ui, &mut on, label).changed() {
            cx.send(Command::Why(WhyCommand::Map(on)));
        }
    } else if ui.add(Button::new("Show where it looks").icon(icons::CROSSHAIR).shortcut("O").fill_width()).clicked() {
        cx.send(Command::Why(WhyCommand::Map(true)));
    }
    if let Some(error) = why.map_error(asked.subject) {
        Banner::new(Meaning::Warning, "It could not be found out").text(error).show(ui);
    }
    let Some((class, map)) = found.filter(|_| on) else { return };
    let name = project.data.class(class).map_or("", |class| class.name.as_str());
    choose_class(cx, ui, project, asked, class);
    heat::legend_ui(ui, name);
    widgets::caption(ui, &words(map, name));
    widgets::caption(
        ui,
        "It shows what the answer rests on, not whether that is right. Two places that say the same hide each other, since \
         one patch covers only one of them.",
    );
}

fn choose_class(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, asked: &Asked<'_>, shown: ClassId) {
    let names: Vec<(ClassId, &str)> = asked
        .classes
        .iter()
        .take(MAX_CLASSES)
        .filter_map(|id| Some((*id, project.data.class(*id)?.name.as_str())))
        .collect();
    let mut chosen = shown;
    if names.len() > 1 && select(ui, "What speaks for the class", &mut chosen, &names).changed() {
        let class = Some(chosen).filter(|class| Some(*class) != asked.answer);
        cx.send(Command::Why(WhyCommand::Class(class)));
    }
}

/// What covering does, in words.
fn words(map: &OcclusionMap, name: &str) -> String {
    let (least, most) = map.range;
    let p = map.probability;
    if map.drops.iter().all(|drop| drop.abs() < 0.1) {
        return format!("No part matters by itself: “{name}” stays at {} whatever is covered.", percent(p));
    }
    let mut words =
        format!("“{name}” is at {}. Covered where it is warmest, it falls to {}", percent(p), percent(least.min(p)));
    if most > p + 0.005 {
        words.push_str(&format!("; where it is bluest, it rises to {}", percent(most)));
    }
    words.push('.');
    words
}

/// The map of an image, where it is to be drawn.
pub(super) fn map_shown<'a>(state: &'a AppState, subject: &Subject) -> Option<&'a std::sync::Arc<OcclusionMap>> {
    let why = &state.project.as_ref()?.why;
    let is_it = why.is_open && why.shows_map && why.subject.as_ref() == Some(subject);
    why.map(subject).filter(|_| is_it).map(|(_, map)| map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classes::ClassIdx;
    use ndarray::array;

    #[test]
    fn a_map_is_said_in_words() {
        let map = OcclusionMap {
            class: ClassIdx(0),
            drops: array![[2.0_f32, -1.0], [0.0, 0.0]],
            probability: 0.9,
            range: (0.55, 0.96),
            seen: [0.0, 0.0, 1.0, 1.0],
        };
        assert_eq!(
            words(&map, "bee"),
            "“bee” is at 90.0 %. Covered where it is warmest, it falls to 55.0 %; where it is bluest, it rises to 96.0 %."
        );
        let flat = OcclusionMap { drops: array![[0.01_f32, -0.02]], ..map };
        assert!(words(&flat, "bee").starts_with("No part matters by itself"));
    }
}
