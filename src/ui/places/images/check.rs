//! What may be wrong with the data, as lists of images: each with its reason, a key that mends it and a key that leaves it as
//! it is.

use eframe::egui::{
    Align, Align2, Frame, Id, Layout, Margin, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, UiBuilder,
    WidgetInfo, pos2, vec2,
};

use crate::app::faults::name_of;
use crate::app::{Action, Command, OpenProject};
use crate::jobs::{FaultDetail, FoundFault, LaneKind};
use crate::project::{FaultKind, ImageId};
use crate::ui::cx::{Cx, Fit};
use crate::ui::icons;
use crate::ui::theme::{Weight, radius, size, space, tokens};
use crate::ui::widgets::paint::{cut_line, galley_in};
use crate::ui::widgets::{self, Banner, Button, EmptyState, Meaning, NoticeEvent, kbd, segmented};

/// Height of a row in points.
const ROW: f32 = 64.0;
/// Side of the thumbnail in a row.
const THUMB: f32 = 52.0;
/// Rows beyond the view whose thumbnails are made beforehand.
const ROWS_AHEAD: usize = 12;
/// Narrower than this there is a list alone.
const WITH_DETAIL: f32 = 600.0;
/// Reasons of unreadable files that are listed, at most.
const MAX_UNREAD: usize = 5;

/// What this view remembers from frame to frame.
#[derive(Default)]
pub(super) struct CheckView {
    /// The fault that was scrolled to last, to follow the keys.
    followed: Option<(FaultKind, Option<ImageId>)>,
}

impl CheckView {
    /// Draws the view.
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let Some(project) = cx.project() else { return };
        let faults = &project.faults;
        Frame::new().inner_margin(Margin { left: 12, right: 12, top: 0, bottom: 6 }).show(ui, |ui| {
            let titles = FaultKind::ALL.map(|kind| (kind, title(project, kind)));
            let options: Vec<(FaultKind, &str)> = titles.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
            let mut shown = faults.shown;
            if segmented(ui, "Kind of fault", &mut shown, &options).changed() {
                cx.send(Command::ShowFaults(shown));
            }
            ui.add_space(space::XS);
            state_line(cx, ui, project);
        });
        if let Some(why) = &faults.error {
            let margin = Margin { left: 12, right: 12, top: 0, bottom: 6 };
            let event = Frame::new().inner_margin(margin).show(ui, |ui| {
                Banner::new(Meaning::Warning, "The data could not be checked")
                    .text(why)
                    .actions(&["Check again"])
                    .show(ui)
            });
            if event.inner == NoticeEvent::Action(0) {
                cx.act(Action::CheckAgain);
            }
        }
        if faults.open(faults.shown).is_empty() {
            return nothing(cx, ui, project);
        }
        let room = ui.available_rect_before_wrap();
        if room.width() < WITH_DETAIL {
            let bar = 44.0;
            let list = Rect::from_min_max(room.min, pos2(room.right(), room.bottom() - bar));
            ui.scope_builder(UiBuilder::new().max_rect(list), |ui| self.list(cx, ui, project));
            let below = Rect::from_min_max(pos2(room.left() + 12.0, list.bottom() + 6.0), room.max - vec2(12.0, 6.0));
            ui.scope_builder(UiBuilder::new().max_rect(below), |ui| buttons(cx, ui, project));
            return;
        }
        let side = (room.width() * 0.42).clamp(280.0, 460.0);
        let list = Rect::from_min_max(room.min, pos2(room.right() - side, room.bottom()));
        ui.scope_builder(UiBuilder::new().max_rect(list), |ui| self.list(cx, ui, project));
        let t = tokens(ui);
        let detail = Rect::from_min_max(pos2(list.right(), room.top()), room.max);
        ui.painter().vline(detail.left(), detail.y_range(), Stroke::new(1.0, t.border));
        let builder = UiBuilder::new().max_rect(detail.shrink2(vec2(16.0, 8.0)));
        ui.scope_builder(builder.layout(Layout::top_down(Align::Min)), |ui| detail_ui(cx, ui, project));
    }

    fn list(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
        let faults = &project.faults;
        let open = faults.open(faults.shown);
        let position = faults.position();
        let now = (faults.shown, faults.current().map(|fault| fault.id));
        let mut scroll = ScrollArea::vertical().id_salt(("faults", faults.shown)).auto_shrink([false, false]);
        let view_height = ui.available_height();
        if self.followed != Some(now) {
            let id = ui.make_persistent_id(Id::unique("fault list offset"));
            let offset: f32 = ui.data(|d| d.get_temp(id)).unwrap_or(0.0);
            let top = position.unwrap_or(0) as f32 * ROW;
            // Only as far as it takes.
            if top < offset {
                scroll = scroll.vertical_scroll_offset(top);
            } else if top + ROW > offset + view_height {
                scroll = scroll.vertical_scroll_offset(top + ROW - view_height);
            }
            self.followed = Some(now);
        }
        ui.spacing_mut().item_spacing.y = 0.0;
        let shown = scroll.show_rows(ui, ROW, open.len(), |ui, rows| {
            let last = rows.end;
            for (i, fault) in open.iter().enumerate().skip(rows.start).take(rows.len()) {
                row_ui(cx, ui, project, fault, position == Some(i));
            }
            for fault in open.iter().skip(last).take(ROWS_AHEAD) {
                cx.prefetch_thumb(fault.id);
            }
        });
        let id = ui.make_persistent_id(Id::unique("fault list offset"));
        ui.data_mut(|d| d.insert_temp(id, shown.state.clamped_offset().y));
    }
}

fn title(project: &OpenProject, kind: FaultKind) -> String {
    match project.faults.n_checked {
        Some(_) => format!("{} {}", kind.label(), crate::ui::format::thousands(project.faults.open(kind).len())),
        None => kind.label().to_owned(),
    }
}

/// What is being done, and what it has been worth so far.
fn state_line(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    let faults = &project.faults;
    widgets::flow(ui, |ui| {
        if cx.state.is_checking() {
            widgets::busy_line(ui, if faults.n_checked.is_some() { "Looking again" } else { "Looking for faults" });
        }
        if let Some(text) = effect(cx, project) {
            widgets::strong(ui, &text).on_hover_text(
                "Accuracy of the head that answers, on the validation images; they change where labels and images do.",
            );
        }
        let done = match (faults.n_mended, faults.n_dismissed) {
            (0, 0) => None,
            (mended, 0) => Some(format!("{mended} mended")),
            (0, dismissed) => Some(format!("{dismissed} left as they are")),
            (mended, dismissed) => Some(format!("{mended} mended, {dismissed} left as they are")),
        };
        if let Some(done) = done {
            widgets::weak(ui, &format!("{done}; Ctrl+Z takes the last back"));
        }
    });
}

/// `Validated accuracy 94.1 % → 95.6 %`.
fn effect(cx: &Cx<'_>, project: &OpenProject) -> Option<String> {
    let before = project.faults.before?;
    let now = project.live.shown_figures(project.data.settings.head)?.val?.accuracy.value;
    let percent = |value: f64| format!("{:.1} %", value * 100.0);
    let was = percent(before.accuracy.value);
    if project.faults.n_mended == 0 {
        return Some(format!("Validated accuracy {was}"));
    }
    let is_old = cx.state.activity(LaneKind::Fit).is_some()
        || project.live.fit.as_ref().is_some_and(|fit| fit.output.revision != project.revision);
    let points = (now - before.accuracy.value) * 100.0;
    Some(match is_old {
        true => format!("Validated accuracy {was} → …"),
        false if points.abs() < 0.05 => format!("Validated accuracy {was}, as before"),
        false => format!("Validated accuracy {was} → {} ({points:+.1} points)", percent(now)),
    })
}

/// In place of an empty list.
fn nothing(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    let faults = &project.faults;
    ui.add_space(space::XL);
    if faults.n_checked.is_none() {
        if faults.error.is_some() {
            return;
        }
        let (title, text) = if project.live.n_embedded == 0 || !cx.state.is_checking() {
            ("Waiting for the images", "As soon as the model has seen them, they are looked at for faults.")
        } else {
            ("Looking for faults", "Labels that are probably wrong, copies, strangers and odd images show up here.")
        };
        EmptyState::new(icons::MAGNIFYING_GLASS, title).text(text).show(ui);
        return;
    }
    let n = faults.n_checked.unwrap_or_default();
    let mut text = format!("{} looked at. {}", crate::ui::format::images(n), faults.shown.explanation());
    for note in notes(project) {
        text.push_str("\n\n");
        text.push_str(&note);
    }
    // Where it could not be looked for, nothing is said to be well.
    let (icon, title) = match faults.has_looked() {
        true => (icons::CHECK_CIRCLE, faults.shown.nothing()),
        false if faults.shown == FaultKind::Label => (icons::TAG, "Labels could not be checked"),
        false => (icons::TAG, "Strangers could not be looked for"),
    };
    EmptyState::new(icon, title).text(&text).show(ui);
}

/// What is said of the set as a whole.
fn notes(project: &OpenProject) -> Vec<String> {
    let faults = &project.faults;
    let mut notes = faults.notes.clone();
    if let Some((first, why)) = faults.unread.first() {
        let name = name_of(&project.data, *first);
        notes.push(match faults.unread.len() {
            1 => format!("{name} could not be read again ({why}): nothing is said of its size and copies."),
            n => format!(
                "{} could not be read again, such as {name} ({why}): nothing is said of their sizes and copies.",
                crate::ui::format::images(n)
            ),
        });
    }
    notes
}

fn row_ui(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject, fault: &FoundFault, is_current: bool) {
    let t = tokens(ui);
    let width = ui.available_width();
    let (rect, _) = ui.allocate_exact_size(vec2(width, ROW), Sense::hover());
    let rect = rect.shrink2(vec2(8.0, 2.0));
    let response = ui.interact(rect, Id::unique("fault").with((fault.kind(), fault.id.0)), Sense::click());
    let (name, reason) = (name_of(&project.data, fault.id), fault.reason(&project.data));
    response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, is_current, format!("{name}, {reason}")));
    if is_current {
        ui.painter().rect_filled(rect, radius::CONTROL, t.selected);
        ui.painter().rect_stroke(rect, radius::CONTROL, Stroke::new(1.5, t.accent.solid), StrokeKind::Inside);
    } else if response.hovered() {
        ui.painter().rect_filled(rect, radius::CONTROL, t.hover);
    }
    let picture = Rect::from_min_size(rect.left_center() + vec2(6.0, -THUMB / 2.0), vec2(THUMB, THUMB));
    cx.project_thumb(ui, picture, fault.id);
    let mut left = picture.right() + space::S;
    if let FaultDetail::Copy { of, .. } = fault.what {
        let other = picture.translate(vec2(THUMB + 4.0, 0.0));
        cx.project_thumb(ui, other, of);
        left = other.right() + space::S;
    }
    let room = (rect.right() - left - space::S).max(40.0);
    let title = cut_line(ui, &capitalised(&reason), size::BODY, Weight::Medium, t.text_strong, room);
    galley_in(ui, Align2::LEFT_BOTTOM, pos2(left, rect.center().y), title, t.text_strong);
    // Which of the two goes is to be read also where there is no room for the pair.
    let below = match fault.what {
        FaultDetail::Copy { of, .. } => format!("{name} goes, {} stays", name_of(&project.data, of)),
        _ => name,
    };
    let file = cut_line(ui, &below, size::SMALL, Weight::Regular, t.text_weak, room);
    galley_in(ui, Align2::LEFT_TOP, pos2(left, rect.center().y + 3.0), file, t.text_weak);
    if response.double_clicked() {
        cx.send(Command::SelectFault(fault.id));
        cx.send(Command::Look(Some(fault.id)));
    } else if response.clicked() {
        response.surrender_focus();
        cx.send(Command::SelectFault(fault.id));
    }
}

/// The fault that keys act on, large.
fn detail_ui(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    let Some(fault) = project.faults.current() else { return };
    let id = Id::unique("fault detail").with(fault.id.0);
    ScrollArea::vertical().id_salt(id).auto_shrink([false, false]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        let width = ui.available_width();
        match fault.what {
            FaultDetail::Copy { of, .. } => {
                let side = (width - space::S) / 2.0;
                let (rect, _) = ui.allocate_exact_size(vec2(width, side + 20.0), Sense::hover());
                for (i, (id, word)) in [(fault.id, "goes"), (of, "stays")].into_iter().enumerate() {
                    let min = rect.min + vec2(i as f32 * (side + space::S), 0.0);
                    picture(cx, ui, Rect::from_min_size(min, vec2(side, side)), id);
                    let t = tokens(ui);
                    let text = format!("{word}: {}", name_of(&project.data, id));
                    let line = cut_line(ui, &text, size::SMALL, Weight::Regular, t.text_weak, side);
                    galley_in(ui, Align2::LEFT_TOP, min + vec2(0.0, side + 4.0), line, t.text_weak);
                }
            }
            _ => {
                let height = width.min(300.0);
                let (rect, _) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
                picture(cx, ui, rect, fault.id);
            }
        }
        widgets::title(ui, &capitalised(&fault.reason(&project.data)));
        if let Some(path) = project.data.path(fault.id) {
            widgets::caption(ui, &crate::ui::format::path(&path));
        }
        ui.add_space(space::XS);
        buttons(cx, ui, project);
        widgets::caption(ui, project.faults.shown.explanation());
        let all = notes(project);
        for note in all.iter().take(MAX_UNREAD) {
            widgets::caption(ui, note);
        }
    });
}

/// With a capital, for a title.
fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn picture(cx: &mut Cx<'_>, ui: &Ui, rect: Rect, id: ImageId) {
    let t = tokens(ui);
    ui.painter().rect_filled(rect, radius::CONTROL, t.sunken);
    cx.project_thumb_fit(ui, rect, id, Fit::Whole);
}

fn buttons(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    let Some(fault) = project.faults.current() else { return };
    let can = |action: Action| action.availability(cx.state);
    let (fix, dismiss) = (can(Action::FixFault), can(Action::DismissFault));
    let remedy = fault.remedy(&project.data);
    widgets::flow(ui, |ui| {
        let button = Button::new(&remedy).primary().availability(fix).shortcut("F").tip(Action::FixFault.tooltip());
        if ui.add(button).clicked() {
            cx.act(Action::FixFault);
        }
        kbd(ui, "F");
        let button =
            Button::new("Leave as it is").availability(dismiss).shortcut("D").tip(Action::DismissFault.tooltip());
        if ui.add(button).clicked() {
            cx.act(Action::DismissFault);
        }
        kbd(ui, "D");
    });
}
