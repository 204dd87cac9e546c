//! What is shown while ONNX Runtime is missing: what it is, where it was looked for, and every way to go on.

use eframe::egui::{Align2, Role, Sense, Ui, WidgetInfo, vec2};

use crate::app::{Action, Command, RuntimeState};
use crate::ui::cx::Cx;
use crate::ui::dialogs::typed_paths;
use crate::ui::icons;
use crate::ui::places::page::page;
use crate::ui::theme::{space, tokens};
use crate::ui::widgets::{self, Button, Card, FieldEvent};

/// What gets ONNX Runtime onto any machine with Python.
const PIP: &str = "pip install onnxruntime";
/// What tells where it went.
const WHERE: &str = "python -c \"import onnxruntime; print(onnxruntime.__path__[0] + '/capi')\"";

/// What this page remembers from frame to frame.
#[derive(Debug, Default)]
pub struct RuntimePage {
    path: String,
    shows_details: bool,
    copied: Option<&'static str>,
}

impl RuntimePage {
    /// Draws the page over all of the window.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let details = match &cx.state.runtime {
            RuntimeState::Missing { details } => Some(details.clone()),
            _ => None,
        };
        page(ui, "runtime", 640.0, |ui| {
            ui.add_space((ui.clip_rect().height() * 0.06).min(space::XXL));
            self.title(ui);
            let Some(details) = details else {
                widgets::busy_line(ui, "Looking for ONNX Runtime…");
                return;
            };
            self.choose(cx, ui);
            self.install(ui);
            self.details(ui, &details);
        });
    }

    fn title(&self, ui: &mut Ui) {
        let t = tokens(ui);
        let (disc, _) = ui.allocate_exact_size(vec2(48.0, 48.0), Sense::hover());
        ui.painter().circle_filled(disc.center(), 24.0, t.accent.tint);
        ui.painter().text(disc.center(), Align2::CENTER_CENTER, icons::LIGHTNING, icons::font(24.0), t.accent.text);
        widgets::heading(ui, "One piece is missing: ONNX Runtime");
        widgets::body(
            ui,
            "Graft runs vision models with ONNX Runtime, a free library of Microsoft's. It is one file, and it is not where \
             Graft looks for it. Your projects and images are untouched.",
        );
        ui.add_space(space::XS);
    }

    fn choose(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let note = format!("It is called {}.", library_name());
        Card::new().title("It is on this machine already").note(&note).show(ui, |ui| {
            ui.horizontal_wrapped(|ui| {
                let choose = Button::new("Choose the file…").icon(icons::FILE).primary();
                if ui.add(choose.tip(Action::ChooseRuntime.tooltip())).clicked() {
                    cx.act(Action::ChooseRuntime);
                }
                let retry = Button::new("Try again").icon(icons::ARROW_CLOCKWISE);
                if ui.add(retry.tip(Action::RetryRuntime.tooltip())).clicked() {
                    cx.act(Action::RetryRuntime);
                }
            });
            let hint = "Or paste the path of the file, or of its folder";
            match widgets::path_field(ui, "Path of the library", &mut self.path, hint) {
                FieldEvent::Commit if !self.path.trim().is_empty() => {
                    cx.out.extend(typed_paths(&self.path).into_iter().next().map(Command::ChooseRuntime));
                }
                FieldEvent::Browse => cx.act(Action::ChooseRuntime),
                _ => {}
            }
        });
    }

    fn install(&mut self, ui: &mut Ui) {
        Card::new().title("Get it").show(ui, |ui| {
            widgets::weak(ui, "With Python, in a terminal:");
            self.command(ui, PIP);
            widgets::weak(ui, "Then ask where it went, and choose the file of that folder above:");
            self.command(ui, WHERE);
            widgets::caption(
                ui,
                "Without Python, unpack a release from github.com/microsoft/onnxruntime; the file is in its folder lib.",
            );
        });
    }

    fn command(&mut self, ui: &mut Ui, text: &'static str) {
        if widgets::command_line(ui, text, self.copied == Some(text)) {
            self.copied = Some(text);
        }
    }

    fn details(&mut self, ui: &mut Ui, details: &str) {
        let icon = if self.shows_details { icons::CARET_DOWN } else { icons::CARET_RIGHT };
        let response = ui.add(Button::new("What was looked for").icon(icon).quiet());
        let open = self.shows_details;
        response.widget_info(|| WidgetInfo::selected(Role::DisclosureTriangle, true, open, "What was looked for"));
        if response.clicked() {
            self.shows_details = !self.shows_details;
        }
        if self.shows_details {
            widgets::well(ui, |ui| {
                ui.take_available_width();
                widgets::selectable(ui, details);
            });
        }
    }
}

/// What the file is called on this system.
fn library_name() -> &'static str {
    match std::env::consts::OS {
        "windows" => "onnxruntime.dll",
        "macos" => "libonnxruntime.dylib (a version number may follow)",
        _ => "libonnxruntime.so (a version number may follow)",
    }
}
