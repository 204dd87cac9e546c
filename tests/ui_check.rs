//! The lists of faults in the window: found in real photographs by real worker threads, mended and taken back by keys.

#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use eframe::egui::{self, Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use graft::app::{AppState, Command, ImagesView};
use graft::image::Rgb8Image;
use graft::image::decode::{DecodeLimits, decode};
use graft::image::resize;
use graft::image::spec::Filter;
use graft::project::{FaultKind, ImageId};
use graft::store::dirs;
use graft::store::settings::AppSettings;
use graft::ui::shell::Shell;

const PATIENCE: Duration = Duration::from_secs(120);

/// One at a time: they share two cores, and the folders below.
static ALONE: Mutex<()> = Mutex::new(());

fn root() -> &'static Path {
    static ROOT: OnceLock<tempfile::TempDir> = OnceLock::new();
    ROOT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        dirs::keep_below(dir.path().to_owned());
        dir
    })
    .path()
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
    /// With a project of the images in a folder, trained.
    fn trained(folder: PathBuf) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let harness = Harness::builder().with_size(vec2(1280.0, 800.0)).with_max_steps(64).build_ui_state(
            move |ui, shell: &mut Option<Shell>| {
                let shell = shell.get_or_insert_with(|| Shell::new(ui.ctx(), AppSettings::default()).unwrap());
                shell.logic(ui.ctx());
                shell.draw(ui);
            },
            None,
        );
        let mut window = Self { harness, _alone: alone };
        window.step();
        window.harness.input_mut().dropped_files =
            vec![Arc::new(Dropped(folder)) as Arc<dyn egui::DroppedFile + Send + Sync>];
        window.harness.step();
        window.harness.input_mut().dropped_files.clear();
        window.wait("heads are trained", |s| s.project.as_ref().is_some_and(|p| p.live.fit.is_some()) && s.is_idle());
        window
    }

    fn checked(folder: PathBuf) -> Self {
        let mut window = Self::trained(folder);
        window.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::F);
        assert_eq!(window.state().images_view, ImagesView::Check);
        window.settle();
        window
    }

    fn settle(&mut self) {
        self.wait("the data are checked", |s| {
            s.is_idle() && s.project.as_ref().is_some_and(|p| p.faults.n_checked.is_some())
        });
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

    fn key(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.step();
    }

    fn sees(&self, label: &str) -> bool {
        self.harness.query_all_by_label_contains(label).next().is_some()
    }

    fn open(&self, kind: FaultKind) -> Vec<String> {
        let name = |id: ImageId| graft::app::faults::name_of(&self.project().data, id);
        self.project().faults.open(kind).iter().map(|fault| name(fault.id)).collect()
    }

    fn present(&self) -> usize {
        self.project().data.present().count()
    }
}

/// Photographs of fish and windmills: one with the wrong label, one made smaller, one that is noise, one that is blank.
fn faulty(name: &str) -> PathBuf {
    let dir = root().join(name);
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sample");
    let photographs = |class: &str| {
        let mut files: Vec<_> = std::fs::read_dir(sample.join(class)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    };
    for class in ["fish", "windmill"] {
        std::fs::create_dir_all(dir.join(class)).unwrap();
        for (i, file) in photographs(class).iter().take(13).enumerate() {
            std::fs::copy(file, dir.join(class).join(format!("{i:02}.jpg"))).unwrap();
        }
    }
    std::fs::copy(&photographs("windmill")[13], dir.join("fish/wrong.jpg")).unwrap();
    let whole = decode(&std::fs::read(&photographs("windmill")[4]).unwrap(), &DecodeLimits::default()).unwrap();
    let (width, height) = (whole.width_px() * 2 / 3, whole.height_px() * 2 / 3);
    let small = resize::resize(&whole, width, height, Filter::Bicubic, &mut Default::default()).unwrap();
    std::fs::write(dir.join("windmill/smaller.bmp"), bitmap(&small)).unwrap();
    let mut state = 7_u32;
    let noise: Vec<u8> = (0..200 * 200 * 3)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    std::fs::write(dir.join("fish/noise.bmp"), bitmap(&Rgb8Image::new(200, 200, noise).unwrap())).unwrap();
    let blank = vec![180; 240 * 240 * 3];
    std::fs::write(dir.join("windmill/blank.bmp"), bitmap(&Rgb8Image::new(240, 240, blank).unwrap())).unwrap();
    dir
}

fn bitmap(image: &Rgb8Image) -> Vec<u8> {
    let (width, height) = (image.width_px() as usize, image.height_px() as usize);
    let row_len = (width * 3).next_multiple_of(4);
    let mut bytes = b"BM".to_vec();
    for value in [54 + row_len * height, 0, 54, 40, width, height] {
        bytes.extend((value as u32).to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    for row in image.pixels().chunks_exact(width * 3).rev() {
        let mut stored: Vec<u8> = row.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]).collect();
        stored.resize(row_len, 0);
        bytes.extend(stored);
    }
    bytes
}

#[test]
fn each_list_is_mended_by_a_key_and_taken_back() {
    let mut window = Window::checked(faulty("faulty"));
    let n = window.present();
    let lists = [
        (FaultKind::Label, "wrong.jpg", "labelled fish, looks like windmill"),
        (FaultKind::Copy, "smaller.bmp", "the same picture as 04.jpg"),
        (FaultKind::Outlier, "noise.bmp", "its likeness to its class is"),
        (FaultKind::Odd, "blank.bmp", "nearly one colour"),
    ];
    for (i, (kind, name, reason)) in lists.into_iter().enumerate() {
        if i > 0 {
            window.key(Modifiers::NONE, Key::ArrowRight);
        }
        assert_eq!(window.project().faults.shown, kind);
        let before = window.open(kind);
        assert!(before.iter().any(|found| found == name), "{kind:?}: {before:?}");
        while window
            .project()
            .faults
            .current()
            .is_some_and(|fault| graft::app::faults::name_of(&window.project().data, fault.id) != name)
        {
            window.key(Modifiers::NONE, Key::ArrowDown);
        }
        let fault = window.project().faults.current().unwrap().reason(&window.project().data);
        assert!(fault.contains(reason), "{kind:?}: {fault}");
        assert!(window.sees(&format!("{name}, {fault}")), "{kind:?}");
        // F mends, Ctrl+Z takes it back, D leaves it as it is, Ctrl+Z takes that back.
        window.key(Modifiers::NONE, Key::F);
        assert!(!window.open(kind).iter().any(|found| found == name), "{kind:?}");
        match kind {
            FaultKind::Label => assert_eq!(window.present(), n),
            _ => assert_eq!(window.present(), n - 1),
        }
        window.settle();
        assert!(window.sees("1 mended") && window.sees("Validated accuracy"));
        window.key(Modifiers::COMMAND, Key::Z);
        assert_eq!((window.open(kind), window.present()), (before.clone(), n), "{kind:?}");
        window.settle();
        window.dispatch_select(name);
        window.key(Modifiers::NONE, Key::D);
        assert!(!window.open(kind).iter().any(|found| found == name), "{kind:?}");
        assert!(window.sees("1 left as they are") && window.present() == n);
        window.key(Modifiers::COMMAND, Key::Z);
        assert_eq!(window.open(kind), before, "{kind:?}");
        window.settle();
    }
}

impl Window {
    /// Chooses the fault of a file in the list that is shown.
    fn dispatch_select(&mut self, name: &str) {
        let faults = self.project().faults.open(self.project().faults.shown);
        let id = faults.iter().find(|f| graft::app::faults::name_of(&self.project().data, f.id) == name).unwrap().id;
        self.harness.state_mut().as_mut().unwrap().dispatch(Command::SelectFault(id));
        self.step();
    }
}

#[test]
fn buttons_do_what_keys_do_and_enter_shows_it_large() {
    let mut window = Window::checked(faulty("buttons"));
    assert!(window.sees("Label “windmill”") && window.sees("Leave as it is"));
    window.dispatch_select("wrong.jpg");
    window.key(Modifiers::NONE, Key::Enter);
    assert!(window.project().gallery.large.is_some());
    window.key(Modifiers::NONE, Key::Escape);
    assert!(window.project().gallery.large.is_none() && window.state().images_view == ImagesView::Check);
    window.dispatch_select("wrong.jpg");
    window.harness.get_by_label("Label “windmill”").click();
    window.step();
    assert!(!window.open(FaultKind::Label).contains(&"wrong.jpg".to_owned()));
    window.settle();
    // The key of another class labels, too, and nothing is left over from the gallery's keys.
    let n = window.present();
    window.key(Modifiers::NONE, Key::Delete);
    assert_eq!(window.present(), n, "Delete is the gallery's");
}

#[test]
fn a_set_without_faults_is_said_to_be_one() {
    let dir = root().join("clean");
    for class in ["fish", "windmill"] {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sample").join(class);
        std::fs::create_dir_all(dir.join(class)).unwrap();
        let mut files: Vec<_> = std::fs::read_dir(sample).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for file in files.into_iter().take(6) {
            std::fs::copy(&file, dir.join(class).join(file.file_name().unwrap())).unwrap();
        }
    }
    let mut window = Window::checked(dir);
    assert!(window.sees("No label looks wrong"), "{:?}", window.open(FaultKind::Label));
    window.key(Modifiers::NONE, Key::ArrowRight);
    assert!(window.sees("No picture is there twice"));
    window.key(Modifiers::NONE, Key::ArrowRight);
    assert!(window.sees("No image is unlike all others") && window.sees("classes of 10 images"));
}
