//! The learning curve in the window, by accessible label: drawn by real worker threads on a few of the sample photographs.

#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/window.rs"]
mod window;

use eframe::egui::vec2;
use egui_kittest::kittest::Queryable as _;
use graft::app::{Action, Command, Place, Target};
use graft::metrics::{Estimate, Interval};
use graft::project::ImageId;
use graft::workflow::curve::{CurveHead, Source, Verdict};
use window::{Window, pictures};

#[test]
fn the_curve_is_drawn_goes_out_of_date_and_warns() {
    // Tall enough for all of the place.
    let mut window = Window::trained_on(vec2(1280.0, 2600.0), pictures("curve", 10));
    window.dispatch(Command::Go(Place::Train));
    assert!(window.sees("Draw it to see whether more images would help"));
    window.harness.get_by_label("Draw the learning curve").click();
    window.step();
    assert!(window.state().studying().is_some() && window.sees("Cancel drawing the learning curve"));
    // What is not wanted any more is not waited for.
    // In the card and in the status bar.
    window.harness.get_all_by_label("Cancel drawing the learning curve").next().unwrap().click();
    window.wait("it is cancelled", |s| s.studying().is_none());
    assert!(window.project().drawn_curve().is_none());

    window.dispatch(Command::Act(Action::DrawHeadCurves));
    window.wait("it is drawn", |s| s.project.as_ref().unwrap().drawn_curve().is_some() && s.is_idle());
    let outcome = window.project().drawn_curve().unwrap().outcome.clone();
    let own: Vec<CurveHead> =
        outcome.curves.iter().filter(|c| c.source == Source::Pretrained).map(|c| c.head).collect();
    assert_eq!(own, [CurveHead::Linear, CurveHead::Prototype, CurveHead::Text]);
    assert!(outcome.curves.iter().any(|c| c.source == Source::RandomWeights), "{:?}", outcome.notes);
    for text in ["Accuracy over images a class", "10 more images give", "Pretrained features are better than"] {
        assert!(window.sees(text), "{text}");
    }
    for class in ["fish", "tool", "windmill"] {
        assert!(outcome.needs.as_ref().unwrap().classes.iter().any(|need| need.class == class), "{class}");
    }
    assert!(!window.sees("Labels or images have changed since it was drawn"));

    // Another label, and it is out of date; taken back, and it is of the images as they are.
    let class = window.project().data.class_by_name("windmill");
    window.dispatch(Command::Label { images: Target::Images(vec![ImageId(0)]), class });
    assert!(window.sees("Labels or images have changed since it was drawn"));

    // Features that were no better would be said in a banner and in the advice.
    let mut drawn = window.project().studies.curve.clone().unwrap();
    let transfer = drawn.outcome.transfer.as_mut().unwrap();
    transfer.verdict = Verdict::Worse;
    transfer.difference = Estimate { value: -0.2, interval: Interval { low: -0.3, high: -0.1 } };
    drawn.revision = window.project().revision;
    window.harness.state_mut().as_mut().unwrap().runner_mut().state.project.as_mut().unwrap().studies.curve =
        Some(drawn);
    window.step();
    assert!(window.sees("The pretrained features are worse than none") && window.sees("Negative transfer"));

    // It is of this model; another has none yet.
    window.dispatch(Command::ChooseModel(Some("graft-starter/vision_model_int8".into())));
    assert!(window.project().drawn_curve().is_none());
}
