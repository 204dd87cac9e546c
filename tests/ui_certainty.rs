//! The Certainty view by accessible label: real worker threads, the starter model, a few of the sample photographs.

#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use eframe::egui::{self, Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use graft::app::{Action, AppState, Command, DropInto, EvaluateView, Place};
use graft::head::{UnknownRule, UnknownWish};
use graft::store::dirs;
use graft::store::settings::AppSettings;
use graft::ui::shell::Shell;

const PATIENCE: Duration = Duration::from_secs(120);

/// One at a time: they share two cores, and the folders below.
static ALONE: Mutex<()> = Mutex::new(());

/// The folder that this process keeps everything in, for its life.
fn root() -> &'static Path {
    static ROOT: OnceLock<tempfile::TempDir> = OnceLock::new();
    ROOT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        dirs::keep_below(dir.path().to_owned());
        dir
    })
    .path()
}

/// `n` sample photographs of each of three classes, in a folder of their own.
fn pictures(name: &str, n: usize) -> PathBuf {
    let dir = root().join(name);
    for class in ["fish", "tool", "windmill"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sample").join(class);
        std::fs::create_dir_all(dir.join(class)).unwrap();
        let mut files: Vec<_> = std::fs::read_dir(from).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for file in files.into_iter().take(n) {
            std::fs::copy(&file, dir.join(class).join(file.file_name().unwrap())).unwrap();
        }
    }
    dir
}

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

/// The window in a test.
struct Window {
    harness: Harness<'static, Option<Shell>>,
    _alone: MutexGuard<'static, ()>,
}

impl Window {
    fn open(size: egui::Vec2) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        root();
        let harness = Harness::builder().with_size(size).with_max_steps(64).build_ui_state(
            move |ui, shell: &mut Option<Shell>| {
                let shell = shell.get_or_insert_with(|| Shell::new(ui.ctx(), AppSettings::default()).unwrap());
                shell.logic(ui.ctx());
                shell.draw(ui);
            },
            None,
        );
        Self { harness, _alone: alone }
    }

    /// With a project of `n` photographs of each class, trained.
    fn trained(name: &str, n: usize) -> Self {
        let mut window = Self::open(vec2(1280.0, 1600.0));
        window.drop_paths(&[pictures(name, n)]);
        window.wait("heads are trained", |s| s.project.as_ref().is_some_and(|p| p.live.fit.is_some()) && is_quiet(s));
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

    /// Frames until `holds`, each after something has come of the work.
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

    fn drop_paths(&mut self, paths: &[PathBuf]) {
        self.harness.input_mut().dropped_files =
            paths.iter().map(|p| Arc::new(Dropped(p.clone())) as Arc<dyn egui::DroppedFile + Send + Sync>).collect();
        self.harness.step();
        self.harness.input_mut().dropped_files.clear();
        self.step();
    }

    fn key(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.step();
    }

    fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.step();
    }

    fn sees(&self, label: &str) -> bool {
        self.harness.query_all_by_label_contains(label).next().is_some()
    }
}

fn is_quiet(state: &AppState) -> bool {
    state.is_idle()
}

/// `n` sample photographs of none of the three classes, and two files that are no pictures.
fn strangers(name: &str, n: usize) -> PathBuf {
    let dir = root().join(name);
    std::fs::create_dir_all(&dir).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sample/mammal");
    let mut files: Vec<_> = std::fs::read_dir(from).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for file in files.into_iter().take(n) {
        std::fs::copy(&file, dir.join(file.file_name().unwrap())).unwrap();
    }
    std::fs::write(dir.join("broken.jpg"), b"no picture").unwrap();
    std::fs::write(dir.join("empty.png"), b"").unwrap();
    dir
}

fn wish(window: &Window) -> UnknownWish {
    window.project().data.settings.unknown
}

fn rule(window: &Window) -> UnknownRule {
    window.project().live.rule()
}

#[test]
fn calibration_and_rules_are_seen_chosen_and_undone() {
    let mut window = Window::trained("rules", 10);
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
    let mut window = Window::trained("known", 10);
    window.dispatch(Command::Act(Action::ShowCertainty));
    assert!(window.sees("Drop images of none of the classes here"));
    window.drop_paths(&[strangers("odd", 6)]);
    let has_figures = |s: &AppState| {
        let strangers = s.project.as_ref().and_then(|p| p.strangers.as_ref());
        strangers.is_some_and(|s| s.figures.is_some())
    };
    window.wait("the strangers are judged", |s| has_figures(s) && is_quiet(s));
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
            is_quiet(s) && strangers.is_some_and(|s| s.error.is_some() || s.answers.is_some())
        });
        assert!(window.sees("could not be used"));
    }

    // Images of the classes are no strangers.
    window.dispatch(Command::Drop { paths: vec![root().join("known")], into: DropInto::Strangers });
    window.wait("they are judged", |s| has_figures(s) && is_quiet(s));
    assert!(window.sees("These look like images of the classes"));
}

#[test]
fn a_small_window_has_room_for_it() {
    let mut window = Window::open(vec2(640.0, 480.0));
    window.drop_paths(&[pictures("small", 4)]);
    window.wait("heads are trained", |s| s.project.as_ref().is_some_and(|p| p.live.fit.is_some()) && is_quiet(s));
    window.dispatch(Command::Act(Action::ShowCertainty));
    assert!(window.sees("Reliability diagram"));
    window.dispatch(Command::Act(Action::UnknownByPrecision));
    window.dispatch(Command::Act(Action::UnknownByDistance));
    assert_eq!(wish(&window), UnknownWish::Distance { keep: 0.95 });
}
