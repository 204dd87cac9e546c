//! The real window of the real program: a folder is dropped on it as a file manager would, heads are trained, the
//! places are looked at, the classifier is exported and used, and everything is there after the window is closed.
//!
//! Wants Xvfb and Mesa's software OpenGL; without them it says that it is skipped, or fails where `GRAFT_DESKTOP=1`
//! wants it to run. `GRAFT_BIN` names the program to test (the release build, say); `GRAFT_SCREENSHOTS` names a folder
//! for pictures of the places, which is how the README's are made; `GRAFT_SCREENSHOT_THEME=dark` has them dark.

#![cfg(all(feature = "gui", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "tests")]

mod display;
mod drag;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use display::Display;
use drag::Drag;
use graft::export::files;
use graft::store::project::{Access, Opened, ProjectFile};

/// For things that take work; generous, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
const PLACES: [&str; 6] = ["model", "images", "train", "evaluate", "zero-shot", "export"];

/// A display, or `None` with a message that is seen even where tests are quiet.
fn display() -> Option<Display> {
    match Display::start(1280, 800) {
        Ok(display) => Some(display),
        Err(why) => {
            assert!(std::env::var_os("GRAFT_DESKTOP").is_none(), "GRAFT_DESKTOP is set, but {why}");
            let message = format!("SKIPPED, the real window is not tested: {why}\n");
            std::io::stderr().write_all(message.as_bytes()).unwrap();
            None
        }
    }
}

/// The program that is tested.
fn bin() -> PathBuf {
    std::env::var_os("GRAFT_BIN").map_or_else(|| env!("CARGO_BIN_EXE_graft").into(), PathBuf::from)
}

/// The running program in folders of its own.
struct App {
    child: Child,
    home: PathBuf,
}

impl App {
    fn start(display: &Display, home: &Path) -> Self {
        let runtime = home.join("graft/libonnxruntime.so");
        let child = Command::new(bin())
            .envs(runtime.exists().then_some(("ORT_DYLIB_PATH", runtime)))
            .env("DISPLAY", &display.name)
            .env_remove("WAYLAND_DISPLAY")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("GRAFT_CACHE_DIR", home.join("cache"))
            .env("GRAFT_DATA_DIR", home.join("data"))
            .env("GRAFT_MODELS_DIR", home.join("graft/models"))
            .env("HOME", home)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(home.join("stderr.txt")).unwrap())
            .spawn()
            .unwrap();
        Self { child, home: home.to_owned() }
    }

    fn stderr(&self) -> String {
        std::fs::read_to_string(self.home.join("stderr.txt")).unwrap_or_default()
    }

    /// Waits for the program to end by itself.
    fn ended(mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the window does not close");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Looks again and again until something is there.
fn wait_for<T>(what: &str, app: &mut App, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        let status = app.child.try_wait().unwrap();
        assert!(status.is_none(), "the program has ended ({status:?}) before {what}: {}", app.stderr());
        assert!(Instant::now() < deadline, "{what}: waited in vain");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The only project in the program's folder, as it is on the disk now.
fn project(home: &Path) -> Option<Opened> {
    let found = std::fs::read_dir(home.join("data/projects")).ok()?;
    let path = found.filter_map(|e| Some(e.ok()?.path())).find(|p| p.extension().is_some_and(|e| e == "graft"))?;
    ProjectFile::open(&path).ok()
}

fn n_colours(screen: &image::RgbImage) -> usize {
    screen.pixels().map(|p| p.0).collect::<BTreeSet<_>>().len()
}

/// Where pictures are wanted.
fn screenshots() -> Option<PathBuf> {
    std::env::var_os("GRAFT_SCREENSHOTS").map(PathBuf::from)
}

/// Keeps a picture where the README's are wanted.
fn keep(name: &str, screen: &image::RgbImage) {
    if let Some(dir) = screenshots() {
        std::fs::create_dir_all(&dir).unwrap();
        write_png(&dir.join(format!("{name}.png")), screen);
    }
}

/// Links to the models and the runtime in a home of its own, so that pictures show no folder of this machine.
fn furnish(home: &Path) {
    std::fs::create_dir_all(home.join("graft")).unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    std::os::unix::fs::symlink(models, home.join("graft/models")).unwrap();
    let runtime = std::fs::canonicalize(bin()).unwrap().with_file_name("libonnxruntime.so");
    if runtime.exists() {
        std::os::unix::fs::symlink(runtime, home.join("graft/libonnxruntime.so")).unwrap();
    }
}

/// Small enough to be part of a repository.
fn write_png(path: &Path, screen: &image::RgbImage) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), screen.width(), screen.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::High);
    encoder.write_header().unwrap().write_image_data(screen).unwrap();
}

#[test]
fn a_folder_dropped_on_the_window_becomes_a_verified_classifier() {
    let Some(display) = display() else { return };
    let home = tempfile::tempdir().unwrap();
    if std::env::var("GRAFT_SCREENSHOT_THEME").is_ok_and(|t| t == "dark") {
        std::fs::create_dir_all(home.path().join("data")).unwrap();
        std::fs::write(home.path().join("data/settings.json"), r#"{"theme": "dark"}"#).unwrap();
    }
    furnish(home.path());
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sample");
    // Out of the way of what shows under the pointer.
    display.point(1279, 799);
    let mut app = App::start(&display, home.path());
    let window = wait_for("a window", &mut app, || display.window("Graft"));
    display.take_over(window);
    let start = display.settled_screen(PATIENCE);
    assert!(n_colours(&start) > 20, "the window is empty");

    // The drop.
    let drag = Drag::over(&display, window, std::slice::from_ref(&sample));
    let hovered = display.settled_screen(Duration::from_secs(5));
    assert_ne!(hovered, start, "nothing says what a drop will do");
    drag.drop_here();
    let opened = wait_for("two heads", &mut app, || project(home.path()).filter(|p| p.heads.len() == 2));
    assert!(matches!(opened.file.access(), Access::ReadOnly { .. }), "the window has it open");
    assert_eq!((opened.project.images.len(), opened.project.sorted_classes().len()), (103, 5));
    wait_for("the title", &mut app, || display.title(window).starts_with("sample").then_some(()));

    if screenshots().is_some() {
        // Until the notices have gone.
        std::thread::sleep(Duration::from_secs(11));
    }

    // The places.
    let mut seen = Vec::new();
    for (i, place) in PLACES.into_iter().enumerate() {
        display.ctrl(char::from(b'1' + i as u8));
        if place == "zero-shot" {
            // The list of labels has the keyboard: what is typed is compared with the images.
            display.settled_screen(Duration::from_secs(10));
            let lines = ["fish", "windmill", "building", "mammal", "tool"].join("\n");
            let keysym = |c: char| if c == '\n' { 0xff0d } else { u32::from(c) };
            display.keys(&lines.chars().map(keysym).collect::<Vec<_>>());
            std::thread::sleep(Duration::from_secs(if screenshots().is_some() { 6 } else { 1 }));
        }
        let screen = display.settled_screen(Duration::from_secs(10));
        assert!(n_colours(&screen) > 20 && !seen.contains(&screen), "{place} shows nothing of its own");
        if place != "export" {
            keep(place, &screen);
        }
        seen.push(screen);
        if place == "model" && screenshots().is_some() {
            // The tab of the layers, and its button.
            display.click(634, 88);
            display.settled_screen(Duration::from_secs(10));
            display.click(1212, 357);
            std::thread::sleep(Duration::from_secs(40));
            keep("layers", &display.settled_screen(Duration::from_secs(10)));
        }
    }

    // Leaving the place is meaning what was typed.
    let typed = || Some(project(home.path())?.project.settings.zero_shot.labels);
    wait_for("the labels", &mut app, || typed().filter(|labels| labels.lines().count() == 5));

    // Another label for the first image, by hand, and back.
    display.ctrl('2');
    // A click in the same breath would still be one on the place before.
    display.settled_screen(Duration::from_secs(10));
    let label = |n: usize| project(home.path()).and_then(|p| p.project.images.get(n).and_then(|i| i.class));
    let before = label(0).unwrap();
    display.click(484, 150);
    display.settled_screen(Duration::from_secs(10));
    display.keys(&[u32::from('5')]);
    wait_for("the label", &mut app, || (label(0) != Some(before)).then_some(()));
    display.ctrl('z');
    wait_for("the label of before", &mut app, || (label(0) == Some(before)).then_some(()));

    // The export, with its proof.
    display.ctrl('e');
    let export = home.path().join("data/projects/sample export");
    wait_for("the export", &mut app, || export.join(files::META).exists().then_some(()));
    keep("export", &display.settled_screen(Duration::from_secs(10)));
    let meta: serde_json::Value = serde_json::from_slice(&std::fs::read(export.join(files::META)).unwrap()).unwrap();
    assert!(meta["verification"]["n"].as_u64().unwrap() >= 20);
    assert_eq!(meta["verification"]["classifier"]["top1_agreement"].as_f64(), Some(1.0));
    for file in files::ALL {
        assert!(export.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    assert_eq!(std::fs::read_to_string(export.join(files::LABELS)).unwrap().lines().count(), 5);

    // It ends as it should, and everything is there.
    display.ctrl('q');
    assert_eq!(app.ended(), Some(0));
    let opened = project(home.path()).unwrap();
    assert_eq!(*opened.file.access(), Access::Writable, "the project was closed");
    assert!(opened.project.images.iter().all(|i| i.class.is_some() && i.hash.is_some() && i.skipped.is_none()));
    drop(opened);

    // From outside as well, as a system that shuts down does it.
    let mut app = App::start(&display, home.path());
    let window = wait_for("a window again", &mut app, || display.window("Graft"));
    display.take_over(window);
    display.settled_screen(PATIENCE);
    let pid = app.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(app.ended(), Some(130));

    // The exported classifier in other hands.
    let answer = Command::new(env!("CARGO_BIN_EXE_graft"))
        .args(["predict", "--json", "--with"])
        .arg(&export)
        .arg(sample.join("windmill"))
        .env("GRAFT_CACHE_DIR", home.path().join("other cache"))
        .output()
        .unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let answers: Vec<serde_json::Value> = serde_json::from_slice(&answer.stdout).unwrap();
    let n_right = answers.iter().filter(|a| a["label"] == "windmill").count();
    assert!(n_right >= 12, "{n_right} of {} windmills: {:?}", answers.len(), answers.first());
}
