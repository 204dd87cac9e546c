//! The lists of faults in the window: found in real photographs by real worker threads, mended and taken back by keys.

#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/bitmap.rs"]
mod bitmap;
#[path = "common/window.rs"]
mod window;

use std::path::PathBuf;

use bitmap::bitmap;
use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use graft::app::{Command, ImagesView};
use graft::image::Rgb8Image;
use graft::image::decode::{DecodeLimits, decode};
use graft::image::resize;
use graft::image::spec::Filter;
use graft::project::{FaultKind, ImageId};
use window::{SIZE, Window, root, sample};

impl Window {
    fn checked(folder: PathBuf) -> Self {
        let mut window = Self::trained_on(SIZE, folder);
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

    fn faults(&self, kind: FaultKind) -> Vec<String> {
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
    for class in ["fish", "windmill"] {
        std::fs::create_dir_all(dir.join(class)).unwrap();
        for (i, file) in sample(class, 13).iter().enumerate() {
            std::fs::copy(file, dir.join(class).join(format!("{i:02}.jpg"))).unwrap();
        }
    }
    let windmills = sample("windmill", 14);
    std::fs::copy(&windmills[13], dir.join("fish/wrong.jpg")).unwrap();
    let whole = decode(&std::fs::read(&windmills[4]).unwrap(), &DecodeLimits::default()).unwrap();
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
        let before = window.faults(kind);
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
        assert!(!window.faults(kind).iter().any(|found| found == name), "{kind:?}");
        match kind {
            FaultKind::Label => assert_eq!(window.present(), n),
            _ => assert_eq!(window.present(), n - 1),
        }
        window.settle();
        assert!(window.sees("1 mended") && window.sees("Validated accuracy"));
        window.key(Modifiers::COMMAND, Key::Z);
        assert_eq!((window.faults(kind), window.present()), (before.clone(), n), "{kind:?}");
        window.settle();
        window.dispatch_select(name);
        window.key(Modifiers::NONE, Key::D);
        assert!(!window.faults(kind).iter().any(|found| found == name), "{kind:?}");
        assert!(window.sees("1 left as they are") && window.present() == n);
        window.key(Modifiers::COMMAND, Key::Z);
        assert_eq!(window.faults(kind), before, "{kind:?}");
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
    assert!(!window.faults(FaultKind::Label).contains(&"wrong.jpg".to_owned()));
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
        std::fs::create_dir_all(dir.join(class)).unwrap();
        for file in sample(class, 6) {
            std::fs::copy(&file, dir.join(class).join(file.file_name().unwrap())).unwrap();
        }
    }
    let mut window = Window::checked(dir);
    assert!(window.sees("No label looks wrong"), "{:?}", window.faults(FaultKind::Label));
    window.key(Modifiers::NONE, Key::ArrowRight);
    assert!(window.sees("No picture is there twice"));
    window.key(Modifiers::NONE, Key::ArrowRight);
    assert!(window.sees("Strangers could not be looked for") && window.sees("classes of 10 images"));
}
