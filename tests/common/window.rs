//! The window in a test, by accessible label: real worker threads, the starter model, a few of the sample photographs.

#![allow(dead_code, clippy::unwrap_used, reason = "shared by several test binaries, each using a part")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use eframe::egui::{self, Event, Key, Modifiers, Vec2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use graft::app::{AppState, Command, OpenProject};
use graft::project::ImageId;
use graft::store::dirs;
use graft::store::settings::AppSettings;
use graft::ui::shell::Shell;

/// How long is waited for what must come.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The usual size, in points.
pub const SIZE: Vec2 = vec2(1280.0, 800.0);

/// Classes of the sample that most tests use.
pub const CLASSES: [&str; 3] = ["fish", "tool", "windmill"];

/// One at a time: they share two cores, and the folders below.
static ALONE: Mutex<()> = Mutex::new(());

/// The folder that this process keeps everything in, for its life.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<tempfile::TempDir> = OnceLock::new();
    ROOT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        dirs::keep_below(dir.path().to_owned());
        dir
    })
    .path()
}

/// The first `n` sample photographs of a class, in the order of their names.
pub fn sample(class: &str, n: usize) -> Vec<PathBuf> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sample").join(class);
    let mut files: Vec<_> = std::fs::read_dir(from).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.truncate(n);
    files
}

/// `n` sample photographs of each of three classes, in a folder of their own.
pub fn pictures(name: &str, n: usize) -> PathBuf {
    let dir = root().join(name);
    for class in CLASSES {
        std::fs::create_dir_all(dir.join(class)).unwrap();
        for file in sample(class, n) {
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
pub struct Window {
    pub harness: Harness<'static, Option<Shell>>,
    _alone: MutexGuard<'static, ()>,
}

impl Window {
    pub fn open() -> Self {
        Self::sized(SIZE)
    }

    /// Of a size, in points.
    pub fn sized(size: Vec2) -> Self {
        Self::open_with(size, AppSettings::default())
    }

    pub fn open_with(size: Vec2, settings: AppSettings) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        root();
        let harness = Harness::builder().with_size(size).with_max_steps(64).build_ui_state(
            move |ui, shell: &mut Option<Shell>| {
                let shell = shell.get_or_insert_with(|| Shell::new(ui.ctx(), settings.clone()).unwrap());
                shell.logic(ui.ctx());
                shell.draw(ui);
            },
            None,
        );
        Self { harness, _alone: alone }
    }

    /// With a project of `n` photographs of each class, trained.
    pub fn trained(name: &str, n: usize) -> Self {
        Self::trained_on(SIZE, pictures(name, n))
    }

    /// With a project of the images in a folder, trained.
    pub fn trained_on(size: Vec2, folder: PathBuf) -> Self {
        let mut window = Self::sized(size);
        window.step();
        window.drop_paths(&[folder]);
        window.wait("heads are trained", |s| s.project.as_ref().is_some_and(|p| p.live.fit.is_some()) && s.is_idle());
        window
    }

    pub fn state(&self) -> &AppState {
        self.harness.state().as_ref().unwrap().state()
    }

    pub fn project(&self) -> &OpenProject {
        self.state().project.as_ref().unwrap()
    }

    pub fn step(&mut self) {
        self.harness.step();
        self.harness.step();
    }

    /// Frames until `holds`, each after something has come of the work.
    pub fn wait(&mut self, what: &str, holds: impl Fn(&AppState) -> bool) {
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

    pub fn dispatch(&mut self, command: Command) {
        self.harness.state_mut().as_mut().unwrap().dispatch(command);
        self.step();
    }

    pub fn drop_paths(&mut self, paths: &[PathBuf]) {
        self.harness.input_mut().dropped_files =
            paths.iter().map(|p| Arc::new(Dropped(p.clone())) as Arc<dyn egui::DroppedFile + Send + Sync>).collect();
        self.harness.step();
        self.harness.input_mut().dropped_files.clear();
        self.step();
    }

    pub fn key(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.step();
    }

    pub fn type_text(&mut self, text: &str) {
        self.harness.event(Event::Text(text.to_owned()));
        self.step();
    }

    pub fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.step();
    }

    pub fn sees(&self, label: &str) -> bool {
        self.harness.query_all_by_label_contains(label).next().is_some()
    }

    pub fn class_of(&self, id: ImageId) -> Option<String> {
        let project = self.project();
        Some(project.data.class(project.data.image(id)?.class?)?.name.clone())
    }
}
