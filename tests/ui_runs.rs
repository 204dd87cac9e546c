//! The Runs view of the window by accessible label: real worker threads, the starter model, a few of the sample photographs.

#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/window.rs"]
mod window;

use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use graft::app::{Action, Command, EvaluateView, Place, Target};
use graft::project::ImageId;
use graft::project::runs::RunId;
use window::{Window, root};

impl Window {
    /// In the Runs view.
    fn runs(name: &str, n: usize) -> Self {
        let mut window = Self::trained(name, n);
        window.dispatch(Command::Act(Action::ShowRuns));
        assert_eq!((window.state().place, window.state().evaluate_view), (Place::Evaluate, EvaluateView::Runs));
        window
    }

    fn ids(&self) -> Vec<u32> {
        self.project().shown_runs().iter().map(|run| run.id.0).collect()
    }
}

#[test]
fn runs_are_listed_named_and_deleted() {
    let mut window = Window::open();
    window.dispatch(Command::CreateProject(root().join("none.graft")));
    window.wait("the project is there", |s| s.project.is_some() && s.is_idle());
    window.dispatch(Command::Act(Action::ShowRuns));
    assert!(window.sees("There are no runs yet"));
    window.click("Go to Images");
    assert_eq!(window.state().place, Place::Images);
    drop(window);

    let mut window = Window::runs("listed", 6);
    assert_eq!(window.ids(), [0, 1]);
    assert!(window.sees("Runs (2)") && window.sees("Compare Run 1") && window.sees("just now"));
    window.click("More for Run 1");
    window.click("Name…");
    window.type_text("before <cleaning>");
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.project().run_title(RunId(0)), "before <cleaning>");
    assert!(window.sees("Compare before <cleaning>"));
    window.click("More for before <cleaning>");
    window.click("Pin");
    assert!(window.project().run_marks(RunId(0)).is_pinned);
    window.click("More for Run 2");
    window.click("Note…");
    window.type_text("only means");
    window.key(Modifiers::NONE, Key::Enter);
    assert!(window.sees("only means"));
    window.click("More for Run 2");
    window.click("Delete");
    assert_eq!(window.ids(), [0]);
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.ids(), [0, 1]);
    // Escape leaves a name as it is.
    window.click("More for Run 2");
    window.click("Name…");
    window.type_text("no");
    window.key(Modifiers::NONE, Key::Escape);
    assert_eq!(window.project().run_title(RunId(1)), "Run 2");
}

#[test]
fn two_runs_are_compared_and_their_images_open() {
    let mut window = Window::runs("compared", 8);
    assert!(window.sees("Choose two runs"));
    window.click("Compare Run 1");
    assert!(window.sees("Choose another run"));
    window.click("Compare Run 2");
    assert!(window.sees("A and B compared") && window.sees("McNemar"));
    window.dispatch(Command::PinRun(RunId(0), true));
    // Many labels wrong, all in training: the heads get worse on the judged images.
    let project = window.project();
    let is_trained = |id: &ImageId| project.live.split_of(*id) == Some(graft::dataset::Split::Train);
    let fish = project.data.class_by_name("fish");
    let wrong: Vec<ImageId> = project
        .data
        .present()
        .filter(|(id, image)| is_trained(id) && image.class != fish)
        .map(|(id, _)| id)
        .step_by(2)
        .chain(project.data.present().filter(|(id, i)| is_trained(id) && i.class != fish).map(|(id, _)| id).take(9))
        .collect();
    window.dispatch(Command::Label { images: Target::Images(wrong), class: fish });
    window.wait("a run of it is kept", |s| s.is_idle() && s.project.as_ref().is_some_and(|p| p.shown_runs().len() > 2));
    let latest = window.ids()[0];
    // What was not held gave way, and is chosen no more.
    assert_eq!(window.project().runs.chosen, [RunId(0)]);
    window.click(&format!("Compare Run {}", latest + 1));
    let pair = window.project().runs.compared.clone().unwrap();
    assert_eq!((pair.a, pair.b), (RunId(0), RunId(latest)));
    assert!(!pair.comparison.only_a.is_empty(), "{:?}", pair.comparison.paired);
    assert!(window.sees("A is right and B is wrong"));
    let first = &pair.comparison.only_a[0];
    // It lies below what is seen of the page.
    let label = format!("{}: A says {}, B says {}", first.truth, first.a.class, first.b.class);
    window.harness.get_all_by_label(&label).next().unwrap().click_accesskit();
    window.step();
    assert_eq!(window.state().place, Place::Images);
    assert_eq!(window.project().gallery.large, pair.images.get(&first.hash).copied());
}

#[test]
fn a_report_is_written_from_the_window() {
    let mut window = Window::runs("reported", 6);
    let path = root().join("reported.html");
    assert!(window.sees("Write report…"));
    // As the system's dialog answers.
    window.dispatch(Command::WriteReport(path.clone()));
    window.wait("it is written", |s| s.project.as_ref().is_some_and(|p| p.runs.report.is_some()) && s.is_idle());
    assert!(std::fs::read_to_string(&path).unwrap().contains("Images a class"));
    assert!(window.sees("Written to") && window.sees("Open report"));
    std::fs::write(root().join("mine.html"), "mine").unwrap();
    window.dispatch(Command::WriteReport(root().join("mine.html")));
    window.wait("it is refused", |s| s.project.as_ref().is_some_and(|p| p.runs.report_error.is_some()) && s.is_idle());
    assert!(window.sees("The report was not written") && window.sees("is no report of Graft"));
}
