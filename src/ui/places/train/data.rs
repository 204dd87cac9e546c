//! How many images each class has, and what would help.

use eframe::egui::{Color32, CornerRadius, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::app::insight::{self, Advice, Weight};
use crate::app::{Command, OpenProject, Place};
use crate::dataset::Split;
use crate::project::ClassId;
use crate::ui::cx::Cx;
use crate::ui::made_from::MadeFromProject;
use crate::ui::places::page::can_edit;
use crate::ui::theme::{Theme, class_colour, tokens};
use crate::ui::widgets::{self, Button, Card, Meaning, columns, legend, slider};

/// What the card remembers: counts and advice are computed when something has changed, not in each frame.
#[derive(Debug, Default)]
pub(super) struct DataCard {
    made_from: Option<MadeFromProject>,
    n_curves: u64,
    rows: Vec<ClassRow>,
    advice: Vec<Advice>,
    val_fraction: Option<f32>,
}

#[derive(Debug)]
struct ClassRow {
    id: ClassId,
    name: String,
    colour: u8,
    n: usize,
    /// Train, val, test, as the last fit had it.
    n_of: [usize; 3],
}

impl DataCard {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        self.refresh(project);
        columns(ui, &[1.0, 1.0], |ui, i| {
            if i == 0 {
                self.classes(cx, ui, project);
            } else {
                self.advice(cx, ui);
            }
        });
    }

    fn refresh(&mut self, project: &OpenProject) {
        let n_curves = project.studies.n_curves;
        if self.made_from.as_ref().is_some_and(|m| m.is(project)) && self.n_curves == n_curves {
            return;
        }
        self.n_curves = n_curves;
        self.made_from = Some(MadeFromProject::new(project));
        let mut n_of = vec![[0; 3]; project.data.classes.len()];
        for (id, split) in project.live.fit.iter().flat_map(|fit| &fit.output.splits) {
            if let Some(counts) = project.data.image(*id).and_then(|i| i.class).and_then(|c| n_of.get_mut(c.as_usize()))
            {
                counts[match split {
                    Split::Train => 0,
                    Split::Val => 1,
                    Split::Test => 2,
                }] += 1;
            }
        }
        let classes = project.data.sorted_classes().into_iter();
        self.rows = classes
            .map(|(id, class)| ClassRow {
                id,
                name: class.name.clone(),
                colour: class.colour,
                n: project.counts.of(id),
                n_of: n_of.get(id.as_usize()).copied().unwrap_or_default(),
            })
            .collect();
        self.advice = insight::advice(project);
    }

    fn classes(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let t = tokens(ui);
        Card::new().title("Images a class").show(ui, |ui| {
            legend(ui, &[("training", t.neutral.solid), ("validation", t.accent.solid), ("test", t.positive.solid)]);
            if self.rows.is_empty() {
                widgets::weak(ui, "There are no classes yet.");
            }
            let most = self.rows.iter().map(|r| r.n).max().unwrap_or(1).max(1);
            let height = (self.rows.len() as f32 * 26.0).min(320.0);
            ui.spacing_mut().item_spacing.y = 2.0;
            eframe::egui::ScrollArea::vertical()
                .id_salt("class counts")
                .max_height(height)
                .min_scrolled_height(height)
                .show_rows(ui, 24.0, self.rows.len(), |ui, rows| {
                    for row in &self.rows[rows] {
                        if count_row(ui, row, most) {
                            cx.send(Command::SetFilter(crate::app::AppState::filter_of_class(row.id)));
                            cx.send(Command::Go(Place::Images));
                        }
                    }
                });
            widgets::separator(ui);
            self.val_share(cx, ui, project);
        });
    }

    fn val_share(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let is_given = project.live.fit.as_ref().is_some_and(|f| f.output.val_is_given);
        if is_given {
            widgets::caption(ui, "The validation images are given by the folders, so none are split off.");
            return;
        }
        let mut share = self.val_fraction.unwrap_or(project.data.settings.val_fraction as f32);
        ui.add_enabled_ui(can_edit(cx.state).is_ok(), |ui| {
            widgets::caption(ui, "Part of each class that is held back to validate on");
            let format = |v: f32| format!("{:.0} %", v * 100.0);
            let response = slider(ui, "Validation share", &mut share, 0.1..=0.4, format);
            if response.dragged() {
                self.val_fraction = Some(share);
            } else if response.drag_stopped() || response.changed() {
                self.val_fraction = None;
                cx.send(Command::SetValFraction(f64::from((share * 100.0).round()) / 100.0));
            }
        });
    }

    fn advice(&self, cx: &mut Cx<'_>, ui: &mut Ui) {
        Card::new().title("What would help").show(ui, |ui| {
            if self.advice.is_empty() {
                widgets::weak(ui, "Nothing stands out: enough images, well balanced, no duplicates.");
            }
            for (i, advice) in self.advice.iter().enumerate() {
                if i > 0 {
                    widgets::separator(ui);
                }
                advice_ui(cx, ui, advice);
            }
        });
    }
}

fn advice_ui(cx: &mut Cx<'_>, ui: &mut Ui, advice: &Advice) {
    let t = tokens(ui);
    let meaning = match advice.weight {
        Weight::Serious => Meaning::Negative,
        Weight::Helpful => Meaning::Warning,
        Weight::Note => Meaning::Accent,
    };
    ui.with_layout(eframe::egui::Layout::right_to_left(eframe::egui::Align::Min), |ui| {
        if let Some(filter) = &advice.images
            && ui.add(Button::new("Show").small()).clicked()
        {
            cx.send(Command::SetFilter(filter.clone()));
            cx.send(Command::Go(Place::Images));
        }
        ui.with_layout(eframe::egui::Layout::left_to_right(eframe::egui::Align::Min), |ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(18.0, 20.0), Sense::hover());
            widgets::paint::icon_at(ui, rect.center(), meaning.icon(), 15.0, meaning.tone(t).text);
            ui.vertical(|ui| widgets::body(ui, &advice.text));
        });
    });
}

/// A class with its bar; whether it was clicked.
fn count_row(ui: &mut Ui, row: &ClassRow, most: usize) -> bool {
    let t = tokens(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 24.0), Sense::click());
    let said = format!("{}, {}", row.name, crate::ui::format::images(row.n));
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &said));
    if response.hovered() {
        ui.painter().rect_filled(rect, CornerRadius::same(4), t.hover);
    }
    let y = rect.center().y;
    ui.painter().circle_filled(pos2(rect.left() + 9.0, y), 4.5, class_colour(usize::from(row.colour), Theme::of(ui)));
    let name_width = (rect.width() * 0.32).clamp(60.0, 180.0);
    let name = widgets::paint::cut_line(
        ui,
        &row.name,
        crate::ui::theme::size::BODY,
        crate::ui::theme::Weight::Regular,
        t.text,
        name_width - 8.0,
    );
    widgets::paint::galley_in(ui, eframe::egui::Align2::LEFT_CENTER, pos2(rect.left() + 20.0, y), name, t.text);
    let count = widgets::paint::line(
        ui,
        &crate::ui::format::thousands(row.n),
        crate::ui::theme::size::SMALL,
        crate::ui::theme::Weight::Regular,
        t.text_weak,
    );
    widgets::paint::galley_in(ui, eframe::egui::Align2::RIGHT_CENTER, pos2(rect.right() - 4.0, y), count, t.text_weak);
    let (left, right) = (rect.left() + 20.0 + name_width, rect.right() - 56.0);
    let scale = (right - left).max(1.0) / most as f32;
    let mut x = left;
    let n_rest = row.n.saturating_sub(row.n_of.iter().sum());
    let parts: [(usize, Color32); 4] = [
        (row.n_of[0], t.neutral.solid),
        (row.n_of[1], t.accent.solid),
        (row.n_of[2], t.positive.solid),
        (n_rest, t.border_control),
    ];
    for (n, colour) in parts {
        let end = x + n as f32 * scale;
        if n > 0 {
            let bar = Rect::from_min_max(pos2(x, y - 4.0), pos2((end - 1.0).max(x + 1.0), y + 4.0));
            ui.painter().rect_filled(bar, CornerRadius::same(2), colour);
        }
        x = end;
    }
    let [train, val, test] = row.n_of;
    let mut tip = format!("{train} training, {val} validation");
    if test > 0 {
        tip.push_str(&format!(", {test} test"));
    }
    if n_rest > 0 {
        tip.push_str(&format!(", {n_rest} not used yet"));
    }
    response.on_hover_text(tip).clicked()
}
