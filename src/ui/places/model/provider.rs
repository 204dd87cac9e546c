//! Where models run: the choice of a provider, its self-test, the library.

use eframe::egui::{Label, RichText, Ui};

use crate::app::{Action, Command, RuntimeState};
use crate::backbone::provider::Provider;
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::icons;
use crate::ui::theme::{Weight, font, size, space, tokens};
use crate::ui::widgets::{self, Button, Card, Meaning};
use crate::workflow::providers::SelfTest;

/// Cards that are offered; how many there are is known to the provider alone, which a test asks.
const MAX_CARDS: u32 = 4;

/// What a provider is.
fn description(provider: Provider) -> &'static str {
    match provider {
        Provider::Auto => "The fastest that works on this machine.",
        Provider::Cpu => "Works everywhere. The answers of the others are compared with its.",
        Provider::Cuda => "NVIDIA graphics cards, with CUDA, cuDNN and ONNX Runtime’s build for them.",
        Provider::DirectMl => "Any graphics card with DirectX 12, on Windows.",
        Provider::CoreMl => "Apple’s graphics and neural engine, on Macs.",
    }
}

/// The short name, for a row of all of them.
fn short(provider: Provider) -> &'static str {
    match provider {
        Provider::Auto => "Auto",
        other => other.label(),
    }
}

/// Shows the card.
pub fn ui(cx: &mut Cx<'_>, ui: &mut Ui) {
    let state = cx.state;
    Card::new().title("Where models run").show(ui, |ui| {
        let mut chosen = state.provider();
        let options = Provider::ALL.map(|p| (p, short(p)));
        // A row of segments has one width; where that is too much a list takes its place.
        let changed = if ui.available_width() >= 330.0 {
            widgets::segmented(ui, "Provider", &mut chosen, &options).changed()
        } else {
            widgets::select(ui, "Provider", &mut chosen, &options).changed()
        };
        if changed {
            cx.send(Command::SetProvider(chosen));
        }
        widgets::weak(ui, description(chosen));
        if matches!(chosen, Provider::Cuda | Provider::DirectMl) {
            card_number(cx, ui);
        }
        ui.add_space(space::XS);
        match state.models.testing {
            Some(provider) => {
                widgets::busy_line(ui, &format!("Testing {}: a few images here and on the CPU…", provider.label()));
            }
            None => {
                let is_ready = matches!(state.runtime, RuntimeState::Ready { .. });
                let availability = if is_ready { Ok(()) } else { Err("ONNX Runtime is not loaded") };
                let label = format!("Test {}", short(chosen));
                let button = Button::new(&label).icon(icons::GAUGE).availability(availability);
                if ui.add(button.tip("Run a few images, and compare with the CPU")).clicked() {
                    cx.send(Command::SelfTest(chosen));
                }
            }
        }
        for provider in Provider::ALL {
            if let Some(test) = state.models.self_tests.get(provider.label()) {
                result(ui, provider, test);
            }
        }
        ui.add_space(space::XS);
        widgets::separator(ui);
        library(cx, ui);
    });
}

/// Which card, where there are several.
fn card_number(cx: &mut Cx<'_>, ui: &mut Ui) {
    let now = cx.state.settings.device;
    let options: Vec<(u32, String)> = (0..MAX_CARDS.max(now + 1)).map(|n| (n, format!("Card {n}"))).collect();
    let options: Vec<(u32, &str)> = options.iter().map(|(n, text)| (*n, text.as_str())).collect();
    let mut chosen = now;
    if widgets::select(ui, "Which card", &mut chosen, &options).changed() {
        cx.send(Command::SetDevice(chosen));
    }
}

/// What a self-test gave.
fn result(ui: &mut Ui, provider: Provider, test: &SelfTest) {
    let t = tokens(ui);
    widgets::stack(ui, space::XXS, |ui| {
        widgets::flow(ui, |ui| {
            let (icon, word, meaning) = match test.passed {
                true => (icons::CHECK_CIRCLE, "Passed", Meaning::Positive),
                false => (icons::WARNING_CIRCLE, "Failed", Meaning::Negative),
            };
            widgets::badge_icon(ui, icon, word, meaning);
            widgets::strong(ui, provider.label());
            if let Some(rate) = test.images_per_sec {
                widgets::body(ui, &format!("{} images per second", rate_text(rate)));
            }
        });
        let mut facts = Vec::new();
        if let Some(ran_on) = test.ran_on.filter(|p| *p != provider) {
            facts.push(format!("Ran on {}", ran_on.label()));
        }
        if let Some(difference) = test.max_abs_difference {
            facts.push(format!("differs from the CPU by {difference:.1e} at most"));
        }
        if !facts.is_empty() {
            widgets::caption(ui, &facts.join("; "));
        }
        if let Some(failure) = &test.failure {
            let text = RichText::new(failure).font(font(size::SMALL, Weight::Regular)).color(t.text);
            ui.add(Label::new(text).selectable(true).wrap());
        }
    });
}

/// Images a second: whole from ten on.
fn rate_text(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { format::thousands(rate.round() as usize) }
}

fn library(cx: &mut Cx<'_>, ui: &mut Ui) {
    match &cx.state.runtime {
        RuntimeState::Ready { path, version } => {
            let rows = [("Library", format!("ONNX Runtime {version}")), ("File", format::path(path))];
            widgets::key_values(ui, &rows.each_ref().map(|(k, v)| (*k, v.as_str())));
            let button = Button::new("Use another library…").quiet().small();
            if ui.add(button.tip("Takes effect when Graft starts again")).clicked() {
                cx.act(Action::ChooseRuntime);
            }
        }
        RuntimeState::Missing { .. } => {
            widgets::badge_icon(ui, icons::WARNING, "ONNX Runtime is missing", Meaning::Warning);
        }
        RuntimeState::Unknown | RuntimeState::Loading => {
            widgets::busy_line(ui, "Loading ONNX Runtime…");
        }
    }
}
