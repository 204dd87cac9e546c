//! Images by label: a row a label with its surest images, or all images sorted by one label. Only what is in view is
//! drawn.

use eframe::egui::{
    Align2, CornerRadius, Id, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2,
};

use crate::app::{Command, LabelGroup, OpenProject, Place};
use crate::jobs::TextAnswers;
use crate::jobs::texts::probabilities;
use crate::project::ImageId;
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::icons;
use crate::ui::theme::{Theme, Weight, class_colour, font, radius, size, space, tokens};
use crate::ui::widgets::paint::{cut_line, galley_in};
use crate::ui::widgets::{self, Button, percent, select};

/// Least side of a thumbnail, and the line below it, in points.
const TILE: f32 = 92.0;
const LINE: f32 = 18.0;
const GAP: f32 = 8.0;
/// Line above a row of thumbnails, in points.
const HEAD: f32 = 30.0;
/// Distance between labels, in points.
const BETWEEN: f32 = 14.0;
/// Labels without an image that are named; the others are counted.
const MAX_NAMED: usize = 12;
/// Labels that the order offers; of more, those with images.
const MAX_ORDERS: usize = 60;

/// What the list remembers.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// What was sorted by last, to begin another order at its top.
    sorted_by: Option<usize>,
}

impl Results {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, pad: f32) {
        let Some(answers) = &project.zero_shot.answers else { return };
        let sort_by = project.zero_shot.sort_by;
        let begins = self.sorted_by != sort_by;
        self.sorted_by = sort_by;
        match sort_by {
            Some(_) => sorted(cx, ui, project, answers, (pad, begins)),
            None if project.zero_shot.is_search() => sorted(cx, ui, project, answers, (pad, begins)),
            None => groups(cx, ui, project, answers, (pad, begins)),
        }
    }
}

/// By which label images are sorted.
pub(super) fn order_ui(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    let Some(answers) = &project.zero_shot.answers else { return };
    let labels = &answers.texts.labels;
    if labels.len() < 2 {
        return;
    }
    let has_images = |i: &usize| project.zero_shot.groups.get(*i).is_some_and(|g| !g.images.is_empty());
    let all: Vec<usize> = match labels.len() {
        n if n <= MAX_ORDERS => (0..n).collect(),
        n => (0..n).filter(has_images).take(MAX_ORDERS).collect(),
    };
    let mut options: Vec<(Option<usize>, String)> = vec![(None, "Grouped by label".to_owned())];
    options.extend(all.into_iter().map(|i| (Some(i), format!("Sorted by “{}”", shortened(&labels[i].name)))));
    let options: Vec<(Option<usize>, &str)> = options.iter().map(|(i, text)| (*i, text.as_str())).collect();
    let mut chosen = project.zero_shot.sort_by;
    if select(ui, "Order of the images", &mut chosen, &options).changed() {
        cx.send(Command::SortByLabel(chosen));
    }
}

fn shortened(name: &str) -> String {
    match name.chars().count() {
        0..=28 => name.to_owned(),
        _ => name.chars().take(27).chain(['…']).collect(),
    }
}

/// How many thumbnails stand side by side, and their side: what is left over is shared out.
fn columns(width: f32) -> (usize, f32) {
    let n = ((width + GAP) / (TILE + GAP)).floor().max(1.0);
    (n as usize, ((width + GAP) / n - GAP).floor())
}

/// A row a label.
fn groups(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, answers: &TextAnswers, (pad, begins): (f32, bool)) {
    let groups = &project.zero_shot.groups;
    let shown: Vec<usize> = (0..groups.len()).filter(|&i| !groups[i].images.is_empty()).collect();
    let empty: Vec<usize> = (0..groups.len()).filter(|&i| groups[i].images.is_empty()).collect();
    let mut scroll = ScrollArea::vertical().id_salt("label groups").auto_shrink([false, false]);
    if begins {
        scroll = scroll.vertical_scroll_offset(0.0);
    }
    scroll.show_viewport(ui, |ui, view| {
        let width = ui.available_width() - space::M - pad;
        let pitch = HEAD + columns(width).1 + LINE + BETWEEN;
        let tail = if empty.is_empty() { 0.0 } else { 64.0 };
        ui.set_height(shown.len() as f32 * pitch + tail);
        let origin = ui.min_rect().min + vec2(space::M, 0.0);
        let first = (view.top() / pitch).floor().max(0.0) as usize;
        let last = ((view.bottom() / pitch).ceil().max(0.0) as usize).min(shown.len());
        for (row, &label) in shown.iter().enumerate().take(last).skip(first) {
            let top = origin.y + row as f32 * pitch;
            let rect = Rect::from_min_size(pos2(origin.x, top), vec2(width, pitch - BETWEEN));
            group(cx, ui, project, answers, label, &groups[label], rect);
        }
        if !empty.is_empty() {
            let top = origin.y + shown.len() as f32 * pitch;
            let rect = Rect::from_min_size(pos2(origin.x, top), vec2(width, tail));
            let names: Vec<&str> = empty
                .iter()
                .take(MAX_NAMED)
                .filter_map(|&i| Some(answers.texts.labels.get(i)?.name.as_str()))
                .collect();
            let more = match empty.len().saturating_sub(MAX_NAMED) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            let text = format!("No image is closest to {}{more}.", names.join(", "));
            ui.put(rect, |ui: &mut Ui| ui.vertical(|ui| widgets::weak(ui, &text)).inner);
        }
    });
}

fn group(
    cx: &mut Cx<'_>,
    ui: &mut Ui,
    project: &OpenProject,
    answers: &TextAnswers,
    label: usize,
    group: &LabelGroup,
    rect: Rect,
) {
    let Some(of) = answers.texts.labels.get(label) else { return };
    let t = tokens(ui);
    let head = Rect::from_min_size(rect.min, vec2(rect.width(), HEAD));
    let class = group.class.and_then(|id| project.data.class(id));
    let mut x = head.left();
    if let Some(class) = class {
        let colour = class_colour(usize::from(class.colour), Theme::of(ui));
        ui.painter().circle_filled(pos2(x + 5.0, head.center().y), 5.0, colour);
        x += 16.0;
    }
    let name = cut_line(ui, &of.name, size::BODY, Weight::SemiBold, t.text_strong, rect.width() * 0.5);
    let wide = name.size().x;
    galley_in(ui, Align2::LEFT_CENTER, pos2(x, head.center().y), name, t.text_strong);
    let n = group.images.len();
    let mut text = format::images(n);
    if !group.taken.is_empty() {
        text.push_str(&format!(", {} taken", format::thousands(group.taken.len())));
    } else if group.is_ambiguous() {
        text.push_str(", none taken: it means several classes");
    }
    let about = cut_line(ui, &text, size::SMALL, Weight::Regular, t.text_weak, rect.width() * 0.3);
    galley_in(ui, Align2::LEFT_CENTER, pos2(x + wide + space::S, head.center().y), about, t.text_weak);
    let button_rect = Rect::from_min_max(pos2(head.right() - 84.0, head.top()), head.max);
    let button_label = format!("Sort all images by {}", of.name);
    let button = Button::new("Sort all").quiet().small().label(&button_label).tip("Every image, the best fit first");
    if ui.put(button_rect, button).clicked() {
        cx.send(Command::SortByLabel(Some(label)));
    }
    let (n_fit, side) = columns(rect.width());
    for (i, (id, p)) in group.images.iter().take(n_fit).enumerate() {
        let min = pos2(rect.left() + i as f32 * (side + GAP), head.bottom());
        let at = Rect::from_min_size(min, vec2(side, side + LINE));
        // Where more follow, the last is the way to them.
        if i + 1 == n_fit && n > n_fit {
            more(cx, ui, (label, &of.name), (n, n + 1 - n_fit), (*id, at));
            continue;
        }
        let is_open = project.data.image(*id).is_some_and(|image| image.class.is_none());
        tile(cx, ui, project, answers, (*id, &sure(*p)), at, i < group.n_surest && is_open);
    }
}

/// In place of the last thumbnail: how many more there are, and the way to all of them.
fn more(
    cx: &mut Cx<'_>,
    ui: &mut Ui,
    (label, name): (usize, &str),
    (n, n_more): (usize, usize),
    (id, rect): (ImageId, Rect),
) {
    let t = tokens(ui);
    let picture = Rect::from_min_size(rect.min, vec2(rect.width(), rect.width()));
    let response = ui.interact(picture, Id::unique("more").with(label), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Show all {n} images of {name}")));
    cx.project_thumb(ui, picture, id);
    let round = CornerRadius::same(radius::SMALL);
    ui.painter().rect_filled(picture, round, t.surface.gamma_multiply(0.78));
    let text = format!("+{}", format::thousands(n_more));
    ui.painter().text(picture.center(), Align2::CENTER_CENTER, text, font(size::BODY, Weight::SemiBold), t.text_strong);
    if response.hovered() || response.has_focus() {
        ui.painter().rect_stroke(picture, round, Stroke::new(1.5, t.border_control), StrokeKind::Inside);
    }
    if response.clicked() {
        cx.send(Command::SortByLabel(Some(label)));
    }
}

/// A probability that is never said to be certain.
fn sure(p: f32) -> String {
    if p > 0.9994 { "> 99.9 %".to_owned() } else { percent(p) }
}

/// All images, the best fit first.
fn sorted(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, answers: &TextAnswers, (pad, begins): (f32, bool)) {
    let images = &project.zero_shot.sorted;
    let mut scroll = ScrollArea::vertical().id_salt("sorted images").auto_shrink([false, false]);
    if begins {
        scroll = scroll.vertical_scroll_offset(0.0);
    }
    scroll.show_viewport(ui, |ui, view| {
        let width = ui.available_width() - space::M - pad;
        let (n_columns, side) = columns(width);
        let pitch = side + LINE + GAP;
        ui.set_height(images.len().div_ceil(n_columns) as f32 * pitch);
        let origin = ui.min_rect().min + vec2(space::M, 0.0);
        let first = (view.top() / pitch).floor().max(0.0) as usize * n_columns;
        let last = ((view.bottom() / pitch).ceil().max(0.0) as usize * n_columns).min(images.len());
        for (i, (id, cosine)) in images.iter().enumerate().take(last).skip(first) {
            let min = origin + vec2((i % n_columns) as f32 * (side + GAP), (i / n_columns) as f32 * pitch);
            let at = Rect::from_min_size(min, vec2(side, side + LINE));
            tile(cx, ui, project, answers, (*id, &format!("{cosine:.3}")), at, false);
        }
    });
}

#[allow(clippy::too_many_arguments, reason = "one thumbnail")]
fn tile(
    cx: &mut Cx<'_>,
    ui: &mut Ui,
    project: &OpenProject,
    answers: &TextAnswers,
    (id, value): (ImageId, &str),
    rect: Rect,
    is_taken: bool,
) {
    let Some(image) = project.data.image(id) else { return };
    let t = tokens(ui);
    let picture = Rect::from_min_size(rect.min, vec2(rect.width(), rect.width()));
    let response = ui.interact(rect, Id::unique("scored").with(id.0), Sense::click());
    let file = image.rel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("{file}, {value}")));
    let round = CornerRadius::same(radius::SMALL);
    cx.project_thumb(ui, picture, id);
    if response.hovered() || response.has_focus() {
        ui.painter().rect_stroke(picture, round, Stroke::new(1.5, t.border_control), StrokeKind::Inside);
    }
    if is_taken {
        let at = picture.right_top() + vec2(-11.0, 11.0);
        ui.painter().circle_filled(at, 8.0, t.accent.solid);
        ui.painter().text(at, Align2::CENTER_CENTER, icons::CHECK, icons::font(11.0), t.accent.on_solid);
    }
    let line = pos2(rect.left() + 2.0, picture.bottom() + LINE / 2.0 + 1.0);
    let mut x = line.x;
    // Where the truth is known: its colour, and whether the answer is that.
    if let Some((class_id, class)) = image.class.and_then(|c| Some((c, project.data.class(c)?))) {
        let colour = class_colour(usize::from(class.colour), Theme::of(ui));
        ui.painter().circle_filled(pos2(x + 4.0, line.y), 4.0, colour);
        x += 13.0;
        let said = project.zero_shot.prediction(&project.live, id).and_then(|(l, _)| project.zero_shot.groups.get(l));
        // A search says of no image what it is.
        let is_wrong = said.is_some_and(|group| !group.classes.contains(&class_id));
        if is_wrong && !project.zero_shot.is_search() {
            let at = pos2(rect.right() - 8.0, line.y);
            ui.painter().text(at, Align2::CENTER_CENTER, icons::X_CIRCLE, icons::font(12.0), t.negative.text);
        }
    }
    ui.painter().text(pos2(x, line.y), Align2::LEFT_CENTER, value, font(size::CAPTION, Weight::Medium), t.text_weak);
    if response.clicked() {
        cx.send(Command::Look(Some(id)));
        cx.send(Command::Go(Place::Images));
    }
    response.on_hover_ui(|ui| about(ui, project, answers, id, &file));
}

/// Of an image under the pointer: its file, its class, the best labels.
fn about(ui: &mut Ui, project: &OpenProject, answers: &TextAnswers, id: ImageId, file: &str) {
    ui.spacing_mut().item_spacing.y = space::XXS;
    widgets::strong(ui, file);
    let class = project.data.image(id).and_then(|i| project.data.class(i.class?));
    if let Some(class) = class {
        widgets::weak(ui, &format!("labelled {}", class.name));
    }
    let Some(row) = project.live.row(id) else { return };
    let all = probabilities(&answers.columns, row as usize, answers.texts.logits);
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|a, b| all[*b].total_cmp(&all[*a]));
    for label in order.into_iter().take(3) {
        let name = answers.texts.labels.get(label).map_or("", |l| l.name.as_str());
        widgets::body(ui, &format!("{} {}", sure(all[label]), shortened(name)));
    }
}
