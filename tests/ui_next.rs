//! "Label next" and "Why?" in the window, by accessible label: real worker threads, the starter model, sample photographs.

#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/window.rs"]
mod window;

use std::path::PathBuf;

use eframe::egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable as _;
use graft::app::why::N_NEAR;
use graft::app::{Action, AppState, Command, DropInto, ImagesView, Place};
use graft::jobs::Subject;
use graft::project::ImageId;
use window::{Window, root, sample};

/// `n` sample photographs of each of some classes: in folders of their classes, or all in one.
fn loose_pictures(name: &str, classes: &[&str], n: usize, in_folders: bool) -> PathBuf {
    let dir = root().join(name);
    for class in classes {
        let to = if in_folders { dir.join(class) } else { dir.clone() };
        std::fs::create_dir_all(&to).unwrap();
        for file in sample(class, n) {
            let name = format!("{class}-{}", file.file_name().unwrap().to_string_lossy());
            std::fs::copy(&file, to.join(name)).unwrap();
        }
    }
    dir
}

impl Window {
    /// With the images of a folder, all that follows done.
    fn with(folder: PathBuf) -> Self {
        let mut window = Self::open();
        window.step();
        window.dispatch(Command::Drop { paths: vec![folder], into: DropInto::Auto });
        window.wait("images are embedded", |s| {
            s.is_idle()
                && s.project.as_ref().is_some_and(|p| p.counts.n_images > 0 && p.live.n_embedded == p.counts.n_images)
        });
        window
    }

    fn quiet(&mut self) {
        self.wait("all that follows is done", AppState::is_idle);
    }

    fn current(&self) -> ImageId {
        self.project().next.current().unwrap().id
    }

    /// The class that a picture's name begins with.
    fn truth(&self, id: ImageId) -> String {
        let rel = &self.project().data.image(id).unwrap().rel;
        rel.file_name().unwrap().to_string_lossy().split('-').next().unwrap().to_owned()
    }
}

#[test]
fn a_folder_without_labels_is_labelled_with_one_key_an_image() {
    let mut window = Window::with(loose_pictures("next", &["fish", "tool", "windmill"], 7, false));
    window.dispatch(Command::Act(Action::ShowNext));
    window.wait("the images are ordered", |s| s.project.as_ref().unwrap().next.is_ordered);
    assert!(window.sees("What is this?") && window.sees("Name the first class"));
    assert!(window.sees("It is the most typical of all images."), "why it is asked");
    assert!(window.sees("It is known once 5 images"), "the chart says when it begins");

    // The classes are typed as they are met.
    let mut named: Vec<String> = Vec::new();
    let mut answer = |window: &mut Window| {
        let id = window.current();
        let truth = window.truth(id);
        named.sort();
        match named.iter().position(|name| *name == truth) {
            Some(at) => window.key(Modifiers::NONE, [Key::Num1, Key::Num2, Key::Num3][at]),
            None => {
                window.key(Modifiers::NONE, Key::Slash);
                window.step();
                window.type_text(&truth);
                window.key(Modifiers::NONE, Key::Enter);
                named.push(truth.clone());
            }
        }
        assert_eq!(window.class_of(id).as_deref(), Some(truth.as_str()));
        assert_ne!(window.current(), id, "the next one is asked");
        window.quiet();
    };
    let first = window.current();
    for _ in 0..10 {
        answer(&mut window);
    }
    assert_eq!(window.project().data.sorted_classes().len(), 3, "three pictures of the first few are of three classes");
    let curve = &window.project().next.curve;
    assert!(!curve.is_empty() && curve.last().unwrap().n_labels == 10, "{curve:?}");
    assert!(curve.last().unwrap().accuracy > 0.5, "{curve:?}");
    assert!(window.sees("Accuracy by number of labels") && window.sees("with 10 labels"));

    // Back, and on.
    let before = window.current();
    window.key(Modifiers::NONE, Key::Backspace);
    let undone = window.current();
    assert!(undone != before && window.class_of(undone).is_none());
    window.harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    window.step();
    assert_ne!(window.current(), undone, "undo goes back one more");
    window.harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    window.step();
    assert_eq!(window.current(), undone);
    window.key(Modifiers::NONE, Key::S);
    assert_ne!(window.current(), undone);
    assert!(window.sees("1 for later"));

    // The guess is hidden until it is asked for.
    window.quiet();
    assert!(!window.project().next.shows_guess);
    window.key(Modifiers::NONE, Key::G);
    assert!(window.project().next.shows_guess);
    let guess = window.project().next.current().unwrap().likely.clone();
    assert_eq!(guess.len(), 2);

    // A class is also clicked, and the rest labelled to the end. (The guess would name classes as well.)
    window.key(Modifiers::NONE, Key::G);
    assert!(!window.project().next.shows_guess);
    let id = window.current();
    window.harness.get_all_by_label("fish").last().unwrap().click();
    window.step();
    assert_eq!(window.class_of(id).as_deref(), Some("fish"));
    while window.project().counts.n_unlabelled > 0 {
        window.key(Modifiers::NONE, Key::Num1);
    }
    window.quiet();
    assert!(window.sees("Every image has a label"));
    assert!(window.class_of(first).is_some());
}

#[test]
fn there_is_something_to_read_whatever_is_missing() {
    let mut window = Window::with(loose_pictures("labelled", &["fish", "tool"], 4, true));
    window.dispatch(Command::ShowImages(ImagesView::Next));
    assert!(window.sees("Every image has a label"));
    window.click("Show the gallery");
    assert_eq!(window.state().images_view, ImagesView::Gallery);
}

#[test]
fn why_shows_alike_images_and_where_the_model_looks() {
    let mut window = Window::with(loose_pictures("why", &["fish", "tool", "windmill"], 6, true));
    window.quiet();
    let id = window.project().gallery.visible[0];
    window.dispatch(Command::Look(Some(id)));
    window.click("Why?");
    let subject = Subject::Image(id);
    window.wait("alike images are found", |s| s.project.as_ref().unwrap().why.near(&subject).is_some());
    let near = window.project().why.near(&subject).unwrap().unwrap().clone();
    assert!(near.images.len() >= 4 && near.images.iter().all(|(other, _)| *other != id));
    assert!(near.images.windows(2).all(|w| w[0].1 >= w[1].1));
    assert!(window.sees("as the head says") || window.sees("which the head says"));
    assert!(window.sees("similarity"));

    window.key(Modifiers::NONE, Key::O);
    window.wait("it has looked", |s| s.project.as_ref().unwrap().why.map(&subject).is_some());
    let (_, map) = window.project().why.map(&subject).unwrap();
    assert_eq!(map.drops.dim(), (12, 12));
    assert!(map.drops.iter().any(|d| d.abs() > 0.05));
    assert!(window.sees("speaks for it") && window.sees("It shows what the answer rests on"));
    assert!(window.project().why.shows_map);
    window.key(Modifiers::NONE, Key::O);
    assert!(!window.project().why.shows_map);
    window.key(Modifiers::NONE, Key::O);
    assert!(window.project().why.shows_map && window.state().is_idle(), "what is known is not looked at again");

    // The next image: nothing is drawn over it that is not its own.
    window.key(Modifiers::NONE, Key::ArrowRight);
    assert!(!window.project().why.shows_map);
    window.quiet();
    let other = window.project().gallery.large.unwrap();
    assert!(window.project().why.near(&Subject::Image(other)).is_some(), "while it is open, alike images follow");
    window.key(Modifiers::NONE, Key::W);
    assert!(!window.project().why.is_open && window.sees("Why?"));

    // A file that is gone when the model is to look.
    let path = window.project().data.path(other).unwrap();
    std::fs::remove_file(path).unwrap();
    window.key(Modifiers::NONE, Key::O);
    window.quiet();
    assert!(window.sees("It could not be found out") && window.sees("cannot be looked at"));
}

#[test]
fn a_look_can_be_stopped() {
    let mut window = Window::with(loose_pictures("stop", &["fish", "tool"], 5, true));
    window.quiet();
    let id = window.project().gallery.visible[0];
    window.dispatch(Command::Look(Some(id)));
    window.dispatch(Command::Act(Action::ShowWhere));
    assert!(window.project().why.is_looking(&Subject::Image(id)));
    window.click("Stop");
    assert!(!window.project().why.is_looking(&Subject::Image(id)));
    window.quiet();
    assert!(window.project().why.map(&Subject::Image(id)).is_none());
    assert!(window.sees("Show where it looks"));
}

#[test]
fn a_prediction_says_why_too() {
    let mut window = Window::with(loose_pictures("trained", &["fish", "tool"], 6, true));
    window.quiet();
    let outside = loose_pictures("outside", &["windmill"], 1, false);
    window.dispatch(Command::Drop { paths: vec![outside], into: DropInto::Predict });
    window.quiet();
    assert_eq!(window.state().place, Place::Evaluate);
    window.key(Modifiers::NONE, Key::W);
    window.quiet();
    assert!(window.project().why.is_open);
    let Some(Subject::File(path)) = window.project().why.subject.clone() else { panic!("a file") };
    let near = window.project().why.near(&Subject::File(path.clone())).unwrap().unwrap().clone();
    assert!(near.images.len() == N_NEAR && window.sees("Most alike among the training images"));
    window.dispatch(Command::Act(Action::ShowWhere));
    window.wait("it has looked", |s| s.project.as_ref().unwrap().why.map(&Subject::File(path.clone())).is_some());
    assert!(window.sees("speaks for it"));
}

#[test]
fn a_small_window_still_labels() {
    let mut window = Window::sized(vec2(640.0, 480.0));
    window.step();
    window.dispatch(Command::Drop {
        paths: vec![loose_pictures("small", &["fish", "tool"], 3, false)],
        into: DropInto::Auto,
    });
    window.wait("images are embedded", |s| s.is_idle() && s.project.as_ref().is_some_and(|p| p.live.n_embedded == 6));
    window.dispatch(Command::Act(Action::ShowNext));
    window.quiet();
    assert!(window.sees("What is this?") && window.sees("Find or add a class"));

    // In the smallest one too, all that answers is within the window and not under the picture.
    window.harness.set_size(vec2(560.0, 380.0));
    window.step();
    let picture = window.harness.get_by_label_contains("Asked: ").rect();
    for label in ["Find or add a class", "Later", "Back", "Show its guess (G)"] {
        let rect = window.harness.get_by_label(label).rect();
        assert!(rect.left() > picture.right() && rect.right() <= 560.0, "{label}: {rect}, the picture {picture}");
    }

    // A class that is added from the menu is named in the list, which is there for as long.
    assert!(!window.sees("Unlabelled"));
    window.dispatch(Command::Act(Action::AddClass));
    window.step();
    assert!(window.sees("Unlabelled"));
    window.type_text("fish");
    window.key(Modifiers::NONE, Key::Enter);
    window.step();
    assert!(window.project().data.sorted_classes().iter().any(|(_, class)| class.name == "fish"));
    assert!(!window.sees("Unlabelled") && window.sees("What is this?"));
}
