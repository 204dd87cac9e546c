//! Faults in the data without a screen: each list is mended, dismissed, and taken back; nothing jumps meanwhile.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/app.rs"]
mod app;

use app::{App, opened};
use graft::app::{Action, Command, ImagesView};
use graft::dataset::Split;
use graft::image::oddity::Oddity;
use graft::jobs::{
    Body, CheckRequest, Checked, FaultDetail, FoundFault, JobError, JobId, JobOutput, JobRequest, LaneKind,
};
use graft::project::{ClassId, FaultKind, ImageId};
use graft::store::project::{Access, Write};
use graft::workflow::clean::LookedFor;

const N: usize = 12;

impl App {
    /// With a project of twelve embedded images, ant and bee in turn, whose lists of faults are shown.
    fn checking(access: Access) -> Self {
        let mut app = Self::with(opened(N, access));
        app.embed_all();
        app.end_fits();
        app.do_it(Command::ShowImages(ImagesView::Check));
        app
    }

    /// And one fault of each kind found, two of labels.
    fn found() -> Self {
        let mut app = Self::checking(Access::Writable);
        app.answer(all());
        app
    }

    fn check(&mut self) -> (JobId, CheckRequest) {
        self.end_fits();
        let (id, request) = self.take(is_check);
        let JobRequest::Check(request) = request else { unreachable!() };
        (id, *request)
    }

    /// Answers the check that was asked for.
    fn answer(&mut self, faults: Vec<FoundFault>) {
        let (id, request) = self.check();
        self.finish(id, JobOutput::Checked(Box::new(checked(&request, faults))));
    }

    fn faults(&self, kind: FaultKind) -> Vec<u32> {
        self.project().faults.open(kind).iter().map(|fault| fault.id.0).collect()
    }

    fn current(&self) -> Option<u32> {
        self.project().faults.current().map(|fault| fault.id.0)
    }

    fn label_of(&self, id: u32) -> ClassId {
        self.project().data.image(ImageId(id)).unwrap().class.unwrap()
    }

    fn is_present(&self, id: u32) -> bool {
        self.project().data.image(ImageId(id)).unwrap().is_present
    }
}

fn is_check(request: &JobRequest) -> bool {
    matches!(request, JobRequest::Check(_))
}

fn checked(request: &CheckRequest, faults: Vec<FoundFault>) -> Checked {
    Checked {
        session: request.session,
        revision: request.revision,
        epoch: request.epoch,
        faults,
        n_images: request.images.len(),
        notes: vec!["A note.".into()],
        looked: LookedFor { labels: true, outliers: false },
        unread: Vec::new(),
    }
}

fn label(id: u32, confidence: f32) -> FoundFault {
    let (given, suggested) = (ClassId(id % 2), ClassId((id + 1) % 2));
    FoundFault { id: ImageId(id), what: FaultDetail::Label { given, suggested, confidence } }
}

fn copy(id: u32, of: u32, is_leak: bool) -> FoundFault {
    let what = FaultDetail::Copy { of: ImageId(of), is_exact: false, similarity: 0.97, is_leak, disagrees: true };
    FoundFault { id: ImageId(id), what }
}

fn all() -> Vec<FoundFault> {
    vec![
        label(3, 0.97),
        label(1, 0.8),
        label(6, 0.7),
        copy(4, 5, true),
        FoundFault { id: ImageId(7), what: FaultDetail::Outlier { similarity: 0.2, usual: 0.5 } },
        FoundFault {
            id: ImageId(8),
            what: FaultDetail::Odd(vec![
                Oddity::OneColour { spread: 0.5 },
                Oddity::Aspect { width_px: 900, height_px: 100 },
            ]),
        },
    ]
}

#[test]
fn the_data_are_looked_at_when_their_faults_are_shown() {
    let mut app = App::checking(Access::Writable);
    assert!(app.state.is_checking());
    let (id, request) = app.check();
    assert_eq!((request.images.len(), request.classes.len(), request.files.len()), (N, 2, N));
    assert_eq!(request.files[3], (3, "/images/3.png".into()));
    assert_eq!((request.images[3].class, request.images[3].split), (Some(1), None::<Split>));
    assert_eq!(app.project().faults.n_checked, None);
    app.finish(id, JobOutput::Checked(Box::new(checked(&request, Vec::new()))));
    assert_eq!((app.project().faults.n_checked, app.project().faults.n_open()), (Some(N), 0));
    assert_eq!(app.project().faults.notes, ["A note."]);
    assert!(!app.state.is_checking() && !app.asks(is_check), "nothing new to look at");
    // Elsewhere nothing is looked at; back here it is.
    app.do_it(Command::ShowImages(ImagesView::Gallery));
    app.do_it(Command::Label { images: graft::app::Target::Images(vec![ImageId(0)]), class: Some(ClassId(1)) });
    app.end_fits();
    assert!(!app.asks(is_check));
    app.do_it(Command::ShowImages(ImagesView::Check));
    assert!(app.asks(is_check));
}

#[test]
fn reasons_are_in_words_and_figures() {
    let app = App::found();
    let reason = |kind: FaultKind| app.project().faults.open(kind)[0].reason(&app.project().data);
    assert_eq!(reason(FaultKind::Label), "labelled bee, looks like ant, 97 %");
    assert_eq!(
        reason(FaultKind::Copy),
        "ant here, bee there: on both sides of the split: the same picture as 5.png, alike by 0.97"
    );
    assert!(reason(FaultKind::Outlier).contains("0.20") && reason(FaultKind::Outlier).contains("0.50"));
    assert!(reason(FaultKind::Odd).contains("nearly one colour") && reason(FaultKind::Odd).contains("9.0 times"));
}

/// One list: the key that mends, undo, the key that dismisses, undo; what is written each time.
fn mend_and_dismiss(kind: FaultKind, id: u32, is_mended: impl Fn(&App) -> bool) {
    let mut app = App::found();
    app.do_it(Command::ShowFaults(kind));
    let list = app.faults(kind);
    assert_eq!(app.current(), Some(id), "the first is chosen");
    app.act(Action::FixFault);
    assert!(is_mended(&app), "{kind:?}");
    assert!(matches!(app.writes().last(), Some(Write::Did(_))));
    let rest: Vec<u32> = list.iter().copied().filter(|other| *other != id).collect();
    assert_eq!(app.faults(kind), rest);
    assert_eq!(app.current(), rest.first().copied(), "the next one is chosen");
    assert_eq!((app.project().faults.n_mended, app.project().faults.n_dismissed), (1, 0));
    // A check in between finds it mended; taking it back shows it where it was.
    let without: Vec<FoundFault> = all().into_iter().filter(|f| f.kind() != kind || f.id != ImageId(id)).collect();
    app.answer(without);
    app.act(Action::Undo);
    assert!(!is_mended(&app));
    assert!(matches!(app.writes().last(), Some(Write::Undid)));
    assert_eq!((app.faults(kind), app.project().faults.n_mended), (list.clone(), 0));
    assert_eq!(app.current(), Some(id), "the keys go on with what was taken back");
    app.act(Action::Redo);
    assert!(is_mended(&app) && app.faults(kind) == rest);
    app.act(Action::Undo);
    app.end_fits();
    // It is none: nothing else changes, and it stays away in the checks to come.
    app.do_it(Command::SelectFault(ImageId(id)));
    let before = app.project().data.images.clone();
    app.act(Action::DismissFault);
    assert!(app.project().data.is_dismissed(ImageId(id), kind));
    assert_eq!(app.project().data.images, before);
    assert!(matches!(app.writes().last(), Some(Write::Did(_))));
    assert_eq!((app.faults(kind), app.project().faults.n_dismissed), (rest, 1));
    app.answer(all());
    assert!(!app.faults(kind).contains(&id), "not listed again");
    app.act(Action::Undo);
    assert_eq!((app.faults(kind), app.project().faults.n_dismissed), (list, 0));
    assert!(!app.project().data.is_dismissed(ImageId(id), kind));
}

#[test]
fn a_label_is_mended_or_dismissed_and_taken_back() {
    mend_and_dismiss(FaultKind::Label, 3, |app| app.label_of(3) == ClassId(0));
}

#[test]
fn a_copy_is_taken_out_or_dismissed_and_taken_back() {
    mend_and_dismiss(FaultKind::Copy, 4, |app| !app.is_present(4) && app.is_present(5));
}

#[test]
fn a_stranger_is_taken_out_or_dismissed_and_taken_back() {
    mend_and_dismiss(FaultKind::Outlier, 7, |app| !app.is_present(7));
}

#[test]
fn an_odd_image_is_taken_out_or_dismissed_and_taken_back() {
    mend_and_dismiss(FaultKind::Odd, 8, |app| !app.is_present(8));
}

#[test]
fn lists_do_not_jump_under_the_hands() {
    let mut app = App::found();
    assert_eq!(app.faults(FaultKind::Label), [3, 1, 6]);
    app.do_it(Command::MoveFault(1));
    assert_eq!(app.current(), Some(1));
    app.act(Action::FixFault);
    assert_eq!((app.faults(FaultKind::Label), app.current()), (vec![3, 6], Some(6)), "the one behind it");
    // Another check has another order, and a new one.
    app.answer(vec![label(10, 0.99), label(6, 0.98), label(3, 0.6)]);
    assert_eq!((app.faults(FaultKind::Label), app.current()), (vec![3, 6, 10], Some(6)));
    let of_six = &app.project().faults.open(FaultKind::Label)[1];
    assert!(of_six.reason(&app.project().data).contains("98 %"), "with its latest figure");
    app.act(Action::FixFault);
    app.act(Action::FixFault);
    assert_eq!((app.faults(FaultKind::Label), app.current()), (vec![3], Some(3)), "at the end the one before");
    app.act(Action::FixFault);
    assert_eq!((app.faults(FaultKind::Label), app.current()), (vec![], None));
    app.act(Action::FixFault);
    app.do_it(Command::MoveFault(1));
    assert_eq!(app.project().faults.n_mended, 4);
    // One that is no longer found goes, wherever the keys are.
    app.answer(vec![]);
    assert_eq!(app.project().faults.n_open(), 0);
    for _ in 0..4 {
        app.act(Action::Undo);
    }
    assert_eq!(app.faults(FaultKind::Label), [3, 1, 6, 10], "all back in their places");
}

#[test]
fn what_a_check_finds_anew_does_not_take_the_keys() {
    let mut app = App::found();
    app.act(Action::FixFault);
    assert_eq!((app.faults(FaultKind::Label), app.current()), (vec![1, 6], Some(1)));
    // It looks like a third thing now: it is back in its place, and the keys stay where they are.
    let again = FaultDetail::Label { given: ClassId(0), suggested: ClassId(1), confidence: 0.6 };
    let mut found = all();
    found[0].what = again;
    app.answer(found);
    assert_eq!((app.faults(FaultKind::Label), app.current()), (vec![3, 1, 6], Some(1)));
    // What could not be looked for is not said to be well.
    for (kind, has_looked) in [(FaultKind::Label, true), (FaultKind::Outlier, false), (FaultKind::Copy, true)] {
        app.do_it(Command::ShowFaults(kind));
        assert_eq!(app.project().faults.has_looked(), has_looked, "{kind:?}");
    }
}

#[test]
fn what_else_mends_a_fault_counts_too() {
    let mut app = App::found();
    // The other copy goes, the class that was suggested is deleted, an image is labelled by hand.
    app.do_it(Command::Remove(graft::app::Target::Images(vec![ImageId(5)])));
    assert_eq!(app.faults(FaultKind::Copy), [] as [u32; 0]);
    app.do_it(Command::Label { images: graft::app::Target::Images(vec![ImageId(3)]), class: None });
    assert_eq!(app.faults(FaultKind::Label), [1, 6]);
    app.do_it(Command::DeleteClass(ClassId(0)));
    assert_eq!(app.faults(FaultKind::Label), [] as [u32; 0]);
}

#[test]
fn a_reader_cannot_mend() {
    let mut app = App::checking(Access::ReadOnly { why: graft::store::project::ReadOnlyReason::OpenElsewhere });
    app.answer(all());
    assert!(Action::FixFault.availability(&app.state).is_err());
    app.act(Action::FixFault);
    app.act(Action::DismissFault);
    assert_eq!(app.faults(FaultKind::Label), [3, 1, 6]);
    assert!(app.writes().is_empty());
}

#[test]
fn a_failure_is_said_and_tried_again_when_asked() {
    let mut app = App::checking(Access::Writable);
    let (id, _) = app.check();
    app.event(id, Body::Finished(Err(JobError::Failed { summary: "The disk is gone.".into(), details: None })));
    assert_eq!(app.project().faults.error.as_deref(), Some("The disk is gone."));
    assert!(!app.asks(is_check), "not by itself");
    app.act(Action::CheckAgain);
    assert!(app.asks(is_check));
    // The user ends it.
    app.do_it(Command::Cancel(LaneKind::Check));
    assert!(app.cancelled.contains(&LaneKind::Check));
    let (id, _) = app.check();
    app.event(id, Body::Finished(Err(JobError::Cancelled)));
    assert!(app.project().faults.error.as_deref().unwrap().contains("cancelled"));
    app.act(Action::CheckAgain);
    app.answer(all());
    assert_eq!((app.project().faults.error.as_deref(), app.project().faults.n_open()), (None, 6));
    // Another model: all of it is found anew.
    app.do_it(Command::ChooseModel(Some("other".into())));
    assert_eq!((app.project().faults.n_open(), app.project().faults.n_checked), (0, None));
}

#[test]
fn results_of_another_project_or_model_are_dropped() {
    let mut app = App::checking(Access::Writable);
    let (id, request) = app.check();
    let mut other = checked(&request, all());
    other.epoch += 1;
    app.finish(id, JobOutput::Checked(Box::new(other)));
    assert_eq!(app.project().faults.n_open(), 0);
}
