//! Notices, shown for a while.

use std::collections::BTreeMap;

use eframe::egui::Context;

use crate::app::notices::{Remedy, Tone};
use crate::app::{Action, Command};
use crate::ui::cx::Cx;
use crate::ui::widgets::{Meaning, NoticeEvent, Toast, toast, toast_area};

/// When each notice was first shown.
#[derive(Default)]
pub(super) struct Toasts {
    first_shown: BTreeMap<u64, f64>,
}

/// Seconds that a notice is shown; errors stay until they are taken away.
fn secs(tone: Tone, has_more: bool) -> f64 {
    match tone {
        Tone::Error => f64::INFINITY,
        Tone::Warning => 14.0,
        Tone::Info | Tone::Success if has_more => 9.0,
        Tone::Info | Tone::Success => 5.0,
    }
}

impl Toasts {
    pub(super) fn ui(&mut self, cx: &mut Cx<'_>, ctx: &Context) {
        let now = ctx.input(|i| i.time);
        let notices: Vec<_> = cx.state.notices.iter().cloned().collect();
        self.first_shown.retain(|id, _| notices.iter().any(|n| n.id == *id));
        if notices.is_empty() {
            return;
        }
        toast_area(ctx, 40.0, |ui| {
            for notice in &notices {
                let since = *self.first_shown.entry(notice.id).or_insert(now);
                let left = since + secs(notice.tone, notice.details.is_some() || notice.remedy.is_some()) - now;
                if left <= 0.0 {
                    cx.send(Command::Dismiss(notice.id));
                    continue;
                }
                if left.is_finite() {
                    ctx.request_repaint_after(std::time::Duration::from_secs_f64(left));
                }
                let action = match &notice.remedy {
                    Some(Remedy::Act(action)) => action.label(),
                    Some(Remedy::TakeBack) => Action::Undo.label(),
                    Some(Remedy::OpenFolder(_)) => "Open folder",
                    Some(Remedy::Relocate(_)) => "Find the folder…",
                    None => "",
                };
                let shown = Toast {
                    meaning: match notice.tone {
                        Tone::Info => Meaning::Accent,
                        Tone::Success => Meaning::Positive,
                        Tone::Warning => Meaning::Warning,
                        Tone::Error => Meaning::Negative,
                    },
                    title: &notice.text,
                    detail: notice.details.as_deref().unwrap_or_default(),
                    action,
                };
                match toast(ui, shown) {
                    NoticeEvent::None => {}
                    NoticeEvent::Dismissed => cx.send(Command::Dismiss(notice.id)),
                    NoticeEvent::Action(_) => {
                        match &notice.remedy {
                            Some(Remedy::Act(action)) => cx.act(*action),
                            Some(Remedy::TakeBack) => cx.send(Command::TakeBack),
                            Some(Remedy::OpenFolder(path)) => cx.send(Command::ShowFolder(path.clone())),
                            Some(Remedy::Relocate(root)) => cx.send(Command::AskRelocate(*root)),
                            None => {}
                        }
                        cx.send(Command::Dismiss(notice.id));
                    }
                }
            }
        });
    }
}
