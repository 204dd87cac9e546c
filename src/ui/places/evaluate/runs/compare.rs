//! Two runs against each other.

use eframe::egui::{Align2, Rect, Role, Sense, Ui, WidgetInfo, vec2};

use crate::app::gallery::Filter;
use crate::app::{Command, ComparedPair, MAX_DIFFERENCES, OpenProject, Place};
use crate::project::ImageId;
use crate::project::runs::{Comparison, Difference, RunId, points};
use crate::ui::cx::Cx;
use crate::ui::format::{images, thousands};
use crate::ui::icons;
use crate::ui::theme::{Weight, size, tokens};
use crate::ui::widgets::paint::{cut_line, galley_in, icon_at};
use crate::ui::widgets::{self, Card, Column, Table, percent};

/// Images of each kind that are shown.
const MAX_SHOWN: usize = 24;
const TILE: f32 = 128.0;
const LINES: f32 = 56.0;

pub(super) fn card(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, pair: &ComparedPair) {
    let comparison = &*pair.comparison;
    Card::new().title("A and B compared").show(ui, |ui| {
        for (letter, id) in [("A", pair.a), ("B", pair.b)] {
            widgets::caption(ui, &format!("{letter}: {}", about(project, id)));
        }
        widgets::strong(ui, &comparison.words("A", "B"));
        figures(ui, comparison);
        for text in limits(comparison) {
            widgets::caption(ui, &text);
        }
        let lists = [
            ("B is right and A is wrong", &comparison.only_b),
            ("A is right and B is wrong", &comparison.only_a),
            ("Both are wrong, in different ways", &comparison.neither),
        ];
        for (heading, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            differences(cx, ui, pair, heading, list);
        }
    });
}

/// Name, head and images of a run.
fn about(project: &OpenProject, id: RunId) -> String {
    let marks = project.run_marks(id);
    let note = if marks.note.is_empty() { String::new() } else { format!("; {}", marks.note) };
    let what = project.runs.kept.get(id).map_or_else(String::new, |run| {
        let n = thousands(run.data.n(crate::dataset::Split::Train));
        format!(", {} head, {}, trained on {n}", run.kind().label().to_lowercase(), run.model)
    });
    format!("{}{what}{note}", marks.title(id))
}

/// The table that the test looks at.
fn figures(ui: &mut Ui, comparison: &Comparison) {
    let Some(paired) = &comparison.paired else { return };
    let columns = [
        Column::text("").min_width(90.0).sortable(false),
        Column::number("B right", 90.0).sortable(false),
        Column::number("B wrong", 90.0).sortable(false),
    ];
    let rows = [("A right", paired.n_both, paired.n_only_a), ("A wrong", paired.n_only_b, paired.n_neither)];
    ui.scope(|ui| {
        ui.set_max_width(360.0);
        Table::new("paired", &columns).show(ui, rows.len(), |i, row| {
            let (name, right, wrong) = rows[i];
            row.text(name);
            row.text(&thousands(right));
            row.text(&thousands(wrong));
        });
    });
    let interval = &paired.difference.interval;
    let text = format!(
        "Of {} A has {} right and B {}: a difference of {} points (95 % interval {} to {}).",
        images(paired.n_rows()),
        percent(paired.accuracy_a() as f32),
        percent(paired.accuracy_b() as f32),
        points(paired.difference.value),
        points(interval.low),
        points(interval.high),
    );
    widgets::body(ui, &text);
    widgets::caption(ui, "McNemar’s exact test, two-sided; Newcombe’s interval for paired shares.");
}

fn limits(comparison: &Comparison) -> Vec<String> {
    let mut texts = Vec::new();
    if comparison.sets_differ() && comparison.paired.is_some() {
        texts.push(format!(
            "They were judged on different images: A on {}, B on {}, of which {} are the same. Only those count here.",
            thousands(comparison.n_a),
            thousands(comparison.n_b),
            thousands(comparison.n_common())
        ));
    }
    match comparison.n_relabelled {
        0 => {}
        1 => texts.push("1 image got another label between the two; the later label counts for both.".to_owned()),
        n => texts.push(format!("{} got another label between the two; the later label counts for both.", images(n))),
    }
    texts
}

fn differences(cx: &mut Cx<'_>, ui: &mut Ui, pair: &ComparedPair, heading: &str, list: &[Difference]) {
    ui.add_space(4.0);
    widgets::strong(ui, &format!("{heading} ({})", list.len()));
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(8.0, 8.0);
        for difference in list.iter().take(MAX_SHOWN.min(MAX_DIFFERENCES)) {
            tile(cx, ui, pair.images.get(&difference.hash).copied(), difference);
        }
    });
    if list.len() > MAX_SHOWN {
        widgets::caption(ui, &format!("and {}", more(list.len() - MAX_SHOWN)));
    }
}

fn more(n: usize) -> String {
    if n == 1 { "1 more image".to_owned() } else { format!("{} more images", thousands(n)) }
}

fn tile(cx: &mut Cx<'_>, ui: &mut Ui, image: Option<ImageId>, difference: &Difference) {
    let t = tokens(ui);
    let Difference { truth, a, b, .. } = difference;
    let sense = if image.is_some() { Sense::click() } else { Sense::hover() };
    let (rect, response) = ui.allocate_exact_size(vec2(TILE, TILE + LINES), sense);
    let said = format!("{truth}: A says {}, B says {}", a.class, b.class);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, image.is_some(), &said));
    let picture = Rect::from_min_size(rect.min, vec2(TILE, TILE));
    match image {
        Some(id) => cx.project_thumb(ui, picture, id),
        None => {
            ui.painter().rect_filled(picture, 4.0, t.sunken);
            icon_at(ui, picture.center(), icons::IMAGE_BROKEN, 24.0, t.text_faint);
        }
    }
    if response.hovered() || response.has_focus() {
        let stroke = eframe::egui::Stroke::new(2.0, t.accent.solid);
        ui.painter().rect_stroke(picture, 4.0, stroke, eframe::egui::StrokeKind::Inside);
    }
    let own = cut_line(ui, truth, size::SMALL, Weight::Regular, t.text, TILE);
    galley_in(ui, Align2::LEFT_TOP, picture.left_bottom() + vec2(0.0, 3.0), own, t.text);
    for (i, (letter, answered)) in [("A", a), ("B", b)].into_iter().enumerate() {
        let colour = if answered.is_right { t.positive.text } else { t.negative.text };
        let text = format!("{letter}  {} {}", answered.class, percent(answered.confidence));
        let line = cut_line(ui, &text, size::SMALL, Weight::Medium, colour, TILE);
        let at = picture.left_bottom() + vec2(0.0, 20.0 + 17.0 * i as f32);
        galley_in(ui, Align2::LEFT_TOP, at, line, colour);
    }
    if image.is_none() {
        response.on_hover_text("This image is not in the project any more");
    } else if response.clicked() {
        cx.send(Command::SetFilter(Filter::default()));
        cx.send(Command::Go(Place::Images));
        cx.send(Command::Look(image));
    }
}
