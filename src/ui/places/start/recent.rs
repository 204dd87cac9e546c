//! Projects that were opened before.

use std::path::Path;
use std::time::{Duration, SystemTime};

use eframe::egui::{Align, CornerRadius, Layout, Role, Sense, Stroke, StrokeKind, Ui, UiBuilder, WidgetInfo, vec2};

use crate::app::Command;
use crate::store::settings::RecentProject;
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::icons;
use crate::ui::theme::{radius, space, tokens};
use crate::ui::widgets::{self, Button, Card, Meaning};

/// Height of a row in points.
const ROW: f32 = 52.0;

/// Shows the list; `is_missing` says which files are known to be gone.
pub fn ui(cx: &mut Cx<'_>, ui: &mut Ui, now: SystemTime, mut is_missing: impl FnMut(&Path) -> bool) {
    let recent: &[RecentProject] = &cx.state.settings.recent;
    let mut command = None;
    Card::new().title("Recent projects").flush().show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        for project in recent {
            command = row(ui, project, now, is_missing(&project.path)).or(command.take());
        }
        ui.add_space(space::XS);
    });
    if let Some(command) = command {
        cx.send(command);
    }
}

fn row(ui: &mut Ui, project: &RecentProject, now: SystemTime, is_missing: bool) -> Option<Command> {
    let t = tokens(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    let label = format!("Open {}", project.name);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
    let painter = ui.painter();
    let hot = response.hovered() || response.has_focus();
    if hot {
        painter.rect_filled(rect.shrink2(vec2(space::XS, 0.0)), CornerRadius::same(radius::CONTROL), t.hover);
    }
    if response.has_focus() {
        let ring = Stroke::new(2.0, t.focus);
        painter.rect_stroke(rect.shrink2(vec2(space::XS, 1.0)), radius::CONTROL, ring, StrokeKind::Inside);
    }
    let mut removed = false;
    let inside = rect.shrink2(vec2(space::L, space::S));
    let builder = UiBuilder::new().max_rect(inside).layout(Layout::right_to_left(Align::Center));
    ui.scope_builder(builder.id_salt(&project.path), |ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        let remove = format!("Take {} off this list", project.name);
        ui.scope(|ui| {
            if !hot && !is_missing && !ui.rect_contains_pointer(rect) {
                ui.multiply_opacity(0.45);
            }
            removed = ui.add(Button::icon_only(icons::X, &remove).small()).clicked();
        });
        if is_missing {
            widgets::badge(ui, "Missing", Meaning::Warning);
        } else {
            widgets::caption(ui, &ago(now, project.opened_at_secs));
        }
        let room = ui.available_size();
        ui.allocate_ui_with_layout(room, Layout::top_down(Align::Min), |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            ui.style_mut().wrap_mode = Some(eframe::egui::TextWrapMode::Truncate);
            widgets::strong(ui, &project.name);
            let folder = project.path.parent().map(format::path).unwrap_or_default();
            widgets::caption(ui, &format!("{} · {folder}", format::images(project.n_images)));
        });
    });
    if removed {
        return Some(Command::ForgetRecent(project.path.clone()));
    }
    let clicked = response.clicked();
    response.on_hover_text(format::path(&project.path));
    clicked.then(|| Command::OpenProject(project.path.clone()))
}

/// How long ago a time is: `2 days ago`. Empty when it is not known.
fn ago(now: SystemTime, at_secs: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const UNITS: [(u64, &str); 6] =
        [(365 * DAY, "year"), (30 * DAY, "month"), (7 * DAY, "week"), (DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")];
    if at_secs == 0 {
        return String::new();
    }
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at_secs);
    // A clock that was set back is no reason for a time in the future.
    let secs = now.duration_since(at).unwrap_or_default().as_secs();
    match UNITS.iter().find(|(unit, _)| secs >= *unit) {
        None => "just now".to_owned(),
        Some((unit, name)) => match secs / unit {
            1 if *name == "hour" => "an hour ago".to_owned(),
            1 => format!("a {name} ago"),
            n => format!("{n} {name}s ago"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_as_people_say_them() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let said = |secs: u64| ago(now, 2_000_000_000 - secs);
        let expected = [
            (0, "just now"),
            (59, "just now"),
            (60, "a minute ago"),
            (3_599, "59 minutes ago"),
            (3_600, "an hour ago"),
            (86_400, "a day ago"),
            (2 * 86_400, "2 days ago"),
            (8 * 86_400, "a week ago"),
            (70 * 86_400, "2 months ago"),
            (800 * 86_400, "2 years ago"),
        ];
        for (secs, text) in expected {
            assert_eq!(said(secs), text, "{secs}");
        }
        assert_eq!(ago(now, 2_000_000_100), "just now", "a clock that was set back");
        assert_eq!(ago(now, 0), "");
    }
}
