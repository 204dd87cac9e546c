//! The Certainty view by accessible label: real worker threads, the starter model, a few of the sample photographs.

#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/window.rs"]
mod window;

use std::path::PathBuf;

use eframe::egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable as _;
use graft::app::{Action, AppState, Command, DropInto, EvaluateView, Place};
use graft::head::{UnknownRule, UnknownWish};
use window::{Window, pictures, root, sample};

/// `n` sample photographs of none of the three classes, and two files that are no pictures.
fn strangers(name: &str, n: usize) -> PathBuf {
    let dir = root().join(name);
    std::fs::create_dir_all(&dir).unwrap();
    for file in sample("mammal", n) {
        std::fs::copy(&file, dir.join(file.file_name().unwrap())).unwrap();
    }
    std::fs::write(dir.join("broken.jpg"), b"no picture").unwrap();
    std::fs::write(dir.join("empty.png"), b"").unwrap();
    dir
}

/// Tall enough for all of the view.
fn trained(name: &str, n: usize) -> Window {
    Window::trained_on(vec2(1280.0, 1600.0), pictures(name, n))
}

fn wish(window: &Window) -> UnknownWish {
    window.project().data.settings.unknown
}

fn rule(window: &Window) -> UnknownRule {
    window.project().live.rule()
}

#[test]
fn calibration_and_rules_are_seen_chosen_and_undone() {
    let mut window = trained("rules", 10);
    window.dispatch(Command::Go(Place::Evaluate));
    window.click("Certainty");
    assert_eq!(window.state().evaluate_view, EvaluateView::Certainty);
    for text in
        ["Reliability diagram", "Error as fitted", "With temperature", "By chance alone", "When to say “unknown”"]
    {
        assert!(window.sees(text), "{text}");
    }
    assert!(window.sees("Every validation image gets an answer"));
    assert_eq!((wish(&window), rule(&window)), (UnknownWish::Off, UnknownRule::Off));

    window.click("When far off");
    assert_eq!(wish(&window), UnknownWish::Distance { keep: 0.95 });
    assert!(rule(&window).needs_distance() && window.sees("Known images that keep their answer"));
    window.harness.get_by_label("Known images that keep their answer").focus();
    window.step();
    for _ in 0..20 {
        window.key(Modifiers::NONE, Key::ArrowLeft);
    }
    let UnknownWish::Distance { keep } = wish(&window) else { panic!("{:?}", wish(&window)) };
    assert!((keep - 0.85).abs() < 0.011, "{keep}");

    window.click("When unsure");
    assert_eq!(wish(&window), UnknownWish::Probability { below: 0.5 });
    assert!(window.sees("Unknown below"));
    window.click("99 % are right");
    assert_eq!(wish(&window), UnknownWish::Precision { at_least: 0.99 });
    window.click("Never");
    assert_eq!(wish(&window), UnknownWish::Off);
    for _ in 0..3 {
        window.key(Modifiers::COMMAND, Key::Z);
    }
    assert!(matches!(wish(&window), UnknownWish::Distance { .. }), "choosing is an edit");
    window.dispatch(Command::Act(Action::AlwaysAnswer));
    assert_eq!(rule(&window), UnknownRule::Off);
}

#[test]
fn strangers_are_dropped_judged_and_shown() {
    let mut window = trained("known", 10);
    window.dispatch(Command::Act(Action::ShowCertainty));
    assert!(window.sees("Drop images of none of the classes here"));
    window.drop_paths(&[strangers("odd", 6)]);
    let has_figures = |s: &AppState| {
        let strangers = s.project.as_ref().and_then(|p| p.strangers.as_ref());
        strangers.is_some_and(|s| s.figures.is_some())
    };
    window.wait("the strangers are judged", |s| has_figures(s) && s.is_idle());
    assert_eq!(window.project().counts.n_images, 30, "they are not added");
    assert_eq!(window.project().strangers.as_ref().unwrap().figures.as_ref().unwrap().n_strangers, 6);
    assert!(window.sees("2 images could not be used"), "broken files are told");
    for text in ["Strangers with an answer", "AUROC by distance", "Known images and strangers"] {
        assert!(window.sees(text), "{text}");
    }
    assert!(window.sees("Strangers that get an answer (6)"), "without a rule all of them");
    assert!(window.sees("bison.jpg, taken for"));
    window.click("When far off");
    let figures = window.project().strangers.as_ref().unwrap().figures.clone().unwrap();
    assert!(figures.rule.needs_distance() && figures.false_accept < 1.0, "{figures:?}");
    window.click("Forget");
    assert!(window.project().strangers.is_none() && window.sees("Drop images of none of the classes here"));

    // A folder without images, and one that is gone: said, and nothing else happens.
    let nobody = root().join("nobody");
    std::fs::create_dir_all(&nobody).unwrap();
    for path in [nobody, root().join("gone")] {
        window.dispatch(Command::Drop { paths: vec![path], into: DropInto::Strangers });
        window.wait("it is looked at", |s| {
            let strangers = s.project.as_ref().and_then(|p| p.strangers.as_ref());
            s.is_idle() && strangers.is_some_and(|s| s.error.is_some() || s.answers.is_some())
        });
        assert!(window.sees("could not be used"));
    }

    // Images of the classes are no strangers.
    window.dispatch(Command::Drop { paths: vec![root().join("known")], into: DropInto::Strangers });
    window.wait("they are judged", |s| has_figures(s) && s.is_idle());
    assert!(window.sees("These look like images of the classes"));
}

#[test]
fn a_small_window_has_room_for_it() {
    let mut window = Window::sized(vec2(640.0, 480.0));
    window.drop_paths(&[pictures("small", 4)]);
    window.wait("heads are trained", |s| s.project.as_ref().is_some_and(|p| p.live.fit.is_some()) && s.is_idle());
    window.dispatch(Command::Act(Action::ShowCertainty));
    assert!(window.sees("Reliability diagram"));
    window.dispatch(Command::Act(Action::UnknownByPrecision));
    window.dispatch(Command::Act(Action::UnknownByDistance));
    assert_eq!(wish(&window), UnknownWish::Distance { keep: 0.95 });
}
