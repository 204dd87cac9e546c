//! The learning curve in the window, by accessible label: drawn by real worker threads on a few of the sample photographs.

#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eframe::egui::{self, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use graft::app::{Action, AppState, Command, Place, Target};
use graft::metrics::{Estimate, Interval};
use graft::project::ImageId;
use graft::store::dirs;
use graft::store::settings::AppSettings;
use graft::ui::shell::Shell;
use graft::workflow::curve::{CurveHead, Source, Verdict};

const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("paths are enough".to_owned())
    }
}

struct Window {
    harness: Harness<'static, Option<Shell>>,
}

impl Window {
    /// With a project of the sample photographs, trained, tall enough for all of a place.
    fn trained(root: &Path, n: usize) -> Self {
        dirs::keep_below(root.to_owned());
        let settings = AppSettings::default();
        let harness = Harness::builder().with_size(vec2(1280.0, 2600.0)).with_max_steps(64).build_ui_state(
            move |ui, shell: &mut Option<Shell>| {
                let shell = shell.get_or_insert_with(|| Shell::new(ui.ctx(), settings.clone()).unwrap());
                shell.logic(ui.ctx());
                shell.draw(ui);
            },
            None,
        );
        let mut window = Self { harness };
        let folder = root.join("pictures");
        for class in ["fish", "tool", "windmill"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sample").join(class);
            std::fs::create_dir_all(folder.join(class)).unwrap();
            let mut files: Vec<_> = std::fs::read_dir(from).unwrap().map(|e| e.unwrap().path()).collect();
            files.sort();
            for file in files.into_iter().take(n) {
                std::fs::copy(&file, folder.join(class).join(file.file_name().unwrap())).unwrap();
            }
        }
        let dropped: Arc<dyn egui::DroppedFile + Send + Sync> = Arc::new(Dropped(folder));
        window.harness.input_mut().dropped_files = vec![dropped];
        window.harness.step();
        window.harness.input_mut().dropped_files.clear();
        window.wait("heads are trained", |s| s.project.as_ref().is_some_and(|p| p.live.fit.is_some()) && s.is_idle());
        window
    }

    fn state(&self) -> &AppState {
        self.harness.state().as_ref().unwrap().state()
    }

    fn project(&self) -> &graft::app::OpenProject {
        self.state().project.as_ref().unwrap()
    }

    fn step(&mut self) {
        self.harness.step();
        self.harness.step();
    }

    fn wait(&mut self, what: &str, holds: impl Fn(&AppState) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        self.step();
        while !holds(self.state()) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.state().activities);
            let shell = self.harness.state_mut().as_mut().unwrap();
            shell.runner_mut().wait(Duration::from_millis(200));
            self.harness.step();
        }
        self.step();
    }

    fn dispatch(&mut self, command: Command) {
        self.harness.state_mut().as_mut().unwrap().dispatch(command);
        self.step();
    }

    fn sees(&self, label: &str) -> bool {
        self.harness.query_all_by_label_contains(label).next().is_some()
    }
}

#[test]
fn the_curve_is_drawn_goes_out_of_date_and_warns() {
    let root = tempfile::tempdir().unwrap();
    let mut window = Window::trained(root.path(), 10);
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
