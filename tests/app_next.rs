//! What to label next, and why an answer: the application without a screen.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/app.rs"]
mod app;

use app::{App, opened_of};
use graft::app::next::reasons;
use graft::app::{Action, Command, ImagesView, NextCommand, Target, WhyCommand};
use graft::jobs::{
    AskedImage, Body, ExplainRequest, Explained, JobError, JobId, JobOutput, JobRequest, Near, NextOutput, NextRequest,
};
use graft::metrics::{Estimate, Interval};
use graft::project::{Class, ClassId, ImageId};
use graft::store::project::Access;

impl App {
    /// `n` images without a class, embedded; two classes. "Label next" is shown.
    fn unlabelled(n: usize) -> Self {
        let mut app = Self::opened(n, Access::Writable, true);
        app.embed_all();
        app.do_it(Command::Act(Action::ShowNext));
        app
    }

    fn opened(n: usize, access: Access, has_classes: bool) -> Self {
        let class = |name: &str, colour| Some(Class { name: name.into(), colour });
        let classes = if has_classes { vec![class("ant", 0), class("bee", 1)] } else { Vec::new() };
        Self::with(opened_of(n, access, classes, |_| None))
    }

    fn next(&mut self, command: NextCommand) {
        self.do_it(Command::Next(command));
    }

    fn next_request(&mut self) -> (JobId, NextRequest) {
        self.end_fits();
        // The latest ends those before it.
        while self.asked.iter().filter(|(_, r)| is_next(r)).count() > 1 {
            let (id, _) = self.take(is_next);
            self.event(id, Body::Finished(Err(JobError::Cancelled)));
        }
        let (id, request) = self.take(is_next);
        let JobRequest::Next(request) = request else { unreachable!() };
        (id, *request)
    }

    /// Answers the order that is asked for: the images in descending order.
    fn order_now(&mut self) {
        let (id, request) = self.next_request();
        let mut ids: Vec<ImageId> = request.images.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        let asked =
            |id: &ImageId| AskedImage { id: *id, likely: vec![(ClassId(0), 0.51), (ClassId(1), 0.49)], stands_for: 3 };
        let n_labelled = request.labelled.len();
        let value = n_labelled as f64 / 20.0;
        let interval = Interval { low: value / 2.0, high: 1.0 };
        self.finish(
            id,
            JobOutput::Next(Box::new(NextOutput {
                revision: request.revision,
                epoch: request.epoch,
                shown: Vec::new(),
                asked: ids.iter().take(8).map(asked).collect(),
                rest: ids.into_iter().skip(8).collect(),
                estimate: (request.estimates && n_labelled > 0).then_some(Estimate { value, interval }),
                n_labelled,
                secs: 0.0,
            })),
        );
    }

    fn shown(&self) -> Vec<u32> {
        self.project().next.shown().map(|asked| asked.id.0).collect()
    }
}

fn is_next(request: &JobRequest) -> bool {
    matches!(request, JobRequest::Next(_))
}

#[test]
fn images_are_ordered_when_they_are_looked_at_and_not_before() {
    let mut app = App::opened(30, Access::Writable, true);
    app.embed_all();
    assert!(!app.asks(is_next), "nobody looks");
    app.do_it(Command::ShowImages(ImagesView::Next));
    let (id, request) = app.next_request();
    assert_eq!((request.images.len(), request.shown.len(), request.labelled.len()), (30, 0, 0));
    assert!(request.head.is_none() && request.estimates);
    app.event(id, Body::Finished(Err(JobError::Failed { summary: "It went wrong.".into(), details: None })));
    assert_eq!(app.project().next.error.as_deref(), Some("It went wrong."));
    assert!(!app.asks(is_next), "not over and over");
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(4)]), class: Some(ClassId(0)) });
    app.order_now();
    assert!(app.project().next.error.is_none());
    assert_eq!(app.shown(), [29, 28, 27, 26, 25]);
    app.do_it(Command::ShowImages(ImagesView::Gallery));
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(5)]), class: Some(ClassId(0)) });
    assert!(!app.asks(is_next), "nobody looks any more");
    app.do_it(Command::ShowImages(ImagesView::Next));
    assert!(app.asks(is_next));
}

#[test]
fn a_key_labels_and_goes_on_and_what_is_in_view_stays() {
    let mut app = App::unlabelled(30);
    app.order_now();
    assert_eq!(app.shown(), [29, 28, 27, 26, 25]);
    app.next(NextCommand::Digit(2));
    assert_eq!(app.class_of(29), Some("bee"));
    assert_eq!(app.shown(), [28, 27, 26, 25, 24], "at once, without waiting for an order");
    let (id, request) = app.next_request();
    assert_eq!(request.shown.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [28, 27, 26, 25, 24]);
    assert_eq!((request.images.len(), request.labelled.len()), (24, 1));
    // Another order: those in view stay, the others come in the new one.
    let asked = |id: u32| AskedImage { id: ImageId(id), likely: Vec::new(), stands_for: 0 };
    let rest = (5..24).map(ImageId).collect();
    let output = NextOutput {
        revision: request.revision,
        epoch: request.epoch,
        shown: Vec::new(),
        asked: vec![asked(3), asked(1), asked(28), asked(4)],
        rest,
        estimate: None,
        n_labelled: 1,
        secs: 0.0,
    };
    app.finish(id, JobOutput::Next(Box::new(output)));
    assert_eq!(app.shown(), [28, 27, 26, 25, 24]);
    for _ in 0..5 {
        app.next(NextCommand::Digit(1));
    }
    assert_eq!(app.shown()[..3], [3, 1, 4], "each once");
    assert_eq!(app.project().next.n_labelled, 6);
    app.next(NextCommand::Digit(9));
    assert_eq!(app.shown()[0], 3, "there is no class number 9");
    assert!(app.state.notices.iter().any(|n| n.text.contains("no class number 9")));
}

#[test]
fn later_back_and_undo() {
    let mut app = App::unlabelled(12);
    app.order_now();
    assert!(!app.project().next.can_go_back());
    app.next(NextCommand::Back);
    assert_eq!(app.shown()[0], 11, "nothing to go back to");
    app.next(NextCommand::Later);
    app.next(NextCommand::Digit(1));
    app.next(NextCommand::Digit(2));
    assert_eq!((app.shown()[0], app.project().next.n_put_off()), (8, 1));
    assert_eq!((app.class_of(10), app.class_of(9)), (Some("ant"), Some("bee")));
    app.next(NextCommand::Back);
    assert_eq!((app.shown()[0], app.class_of(9)), (9, None));
    // Undo is as good.
    app.do_it(Command::Act(Action::Undo));
    assert_eq!((app.shown()[0], app.class_of(10)), (10, None));
    app.do_it(Command::Act(Action::Redo));
    assert_eq!((app.shown()[0], app.class_of(10)), (9, Some("ant")));
    app.do_it(Command::Act(Action::Undo));
    app.next(NextCommand::Back);
    assert_eq!((app.shown()[0], app.project().next.n_put_off()), (11, 0), "what was put off comes back");
    assert_eq!(app.project().next.n_labelled, 0);

    // Something else was edited since: going back takes the label off as an edit of its own.
    app.next(NextCommand::Digit(1));
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(0)]), class: Some(ClassId(1)) });
    app.next(NextCommand::Back);
    assert_eq!((app.shown()[0], app.class_of(11), app.class_of(0)), (11, None, Some("bee")));
    app.do_it(Command::Act(Action::Undo));
    assert_eq!(app.class_of(11), Some("ant"));
}

#[test]
fn what_is_put_off_comes_last_and_then_all_are_done() {
    let mut app = App::unlabelled(4);
    app.order_now();
    assert_eq!(app.shown(), [3, 2, 1, 0]);
    app.next(NextCommand::Later);
    app.next(NextCommand::Later);
    for _ in 0..2 {
        app.next(NextCommand::Digit(1));
    }
    assert_eq!(app.shown(), [3, 2], "only those are left");
    assert_eq!(app.project().next.n_put_off(), 0);
    app.next(NextCommand::Pick(ImageId(2)));
    assert_eq!(app.shown(), [2, 3]);
    app.next(NextCommand::Pick(ImageId(0)));
    assert_eq!(app.shown(), [2, 3], "it has a label");
    for _ in 0..3 {
        app.next(NextCommand::Digit(2));
    }
    assert!(app.shown().is_empty() && app.project().next.current().is_none());
    assert_eq!(app.project().counts.n_unlabelled, 0);
    app.next(NextCommand::Later);
    app.next(NextCommand::Name("cat".into()));
    assert!(app.project().data.class_by_name("cat").is_some(), "a class all the same");
}

#[test]
fn a_new_class_is_named_while_labelling_and_one_undo_takes_it_back() {
    let mut app = App::opened(10, Access::Writable, false);
    app.embed_all();
    app.do_it(Command::Act(Action::ShowNext));
    app.order_now();
    app.next(NextCommand::Digit(1));
    assert_eq!(app.shown()[0], 9, "there are no classes yet");
    app.next(NextCommand::Name("  ".into()));
    let keys_moved = |app: &App| app.state.notices.iter().filter(|n| n.text.contains("one on")).count();
    let n_before = keys_moved(&app);
    app.next(NextCommand::Name(" wasp ".into()));
    assert_eq!(keys_moved(&app), n_before, "it comes last: no key is another class's now");
    assert_eq!((app.class_of(9), app.shown()[0]), (Some("wasp"), 8));
    app.next(NextCommand::Name("wasp".into()));
    assert_eq!((app.class_of(8), app.project().data.sorted_classes().len()), (Some("wasp"), 1));
    // One that comes before another takes its key.
    app.next(NextCommand::Name("ant".into()));
    assert_eq!((app.class_of(7), keys_moved(&app)), (Some("ant"), n_before + 1));
    app.next(NextCommand::Back);
    app.do_it(Command::Act(Action::Undo));
    app.next(NextCommand::Back);
    assert_eq!((app.shown()[..2].to_vec(), app.project().data.sorted_classes().len()), (vec![9, 8], 0));
}

#[test]
fn accuracy_climbs_with_the_labels_and_goes_back_with_them() {
    let mut app = App::unlabelled(20);
    app.order_now();
    assert!(app.project().next.curve.is_empty());
    for digit in [1, 2, 1] {
        app.next(NextCommand::Digit(digit));
        app.order_now();
    }
    let curve: Vec<usize> = app.project().next.curve.iter().map(|at| at.n_labels).collect();
    assert_eq!(curve, [1, 2, 3]);
    assert!(app.project().next.curve.windows(2).all(|w| w[0].accuracy < w[1].accuracy));
    app.next(NextCommand::Back);
    app.order_now();
    assert_eq!(app.project().next.curve.iter().map(|at| at.n_labels).collect::<Vec<_>>(), [1, 2]);
    // With nothing labelled nothing is known.
    app.next(NextCommand::Back);
    app.next(NextCommand::Back);
    app.order_now();
    assert!(app.project().next.curve.is_empty());
}

#[test]
fn an_image_says_why_it_is_asked() {
    let mut app = App::unlabelled(20);
    app.order_now();
    let of = |app: &App| reasons(app.project(), app.project().next.current().unwrap());
    let said = of(&app);
    assert_eq!(said[0], "The head is torn between two classes.", "which ones is its guess");
    app.next(NextCommand::ShowGuess(true));
    assert_eq!(of(&app)[0], "The head is torn between “ant” (51 %) and “bee” (49 %).");
    app.next(NextCommand::ShowGuess(false));
    assert!(said[1].starts_with("It is typical: about 3 images"), "{}", said[1]);
    app.next(NextCommand::Digit(1));
    assert!(of(&app)[1].starts_with("It is new: about 3 images"));
    let sure = AskedImage { id: ImageId(0), likely: vec![(ClassId(0), 0.9), (ClassId(1), 0.1)], stands_for: 1 };
    assert_eq!(reasons(app.project(), &sure), ["It differs a little from everything labelled so far."]);
    assert!(!app.project().next.shows_guess, "what the head says is hidden until it is asked for");
    app.next(NextCommand::ShowGuess(true));
    assert!(app.project().next.shows_guess);
}

#[test]
fn a_project_that_can_only_be_read_is_not_labelled() {
    let access = Access::ReadOnly { why: graft::store::project::ReadOnlyReason::OpenElsewhere };
    let mut app = App::opened(6, access, true);
    app.embed_all();
    app.do_it(Command::Act(Action::ShowNext));
    app.order_now();
    app.next(NextCommand::Digit(1));
    assert_eq!((app.class_of(5), app.shown()[0], app.project().next.can_go_back()), (None, 5, false));
    app.next(NextCommand::Name("cat".into()));
    assert_eq!((app.class_of(5), app.shown()[0]), (None, 5));
}

#[test]
fn removed_images_are_asked_no_more_and_no_images_is_no_error() {
    let mut app = App::unlabelled(3);
    app.order_now();
    app.do_it(Command::Remove(Target::Images(vec![ImageId(2)])));
    assert_eq!(app.shown(), [1, 0]);
    app.do_it(Command::Remove(Target::Images(vec![ImageId(0), ImageId(1)])));
    assert!(app.shown().is_empty());
    let mut empty = App::opened(0, Access::Writable, true);
    empty.do_it(Command::Act(Action::ShowNext));
    assert!(!empty.asks(is_next));
    empty.next(NextCommand::Digit(1));
    empty.next(NextCommand::Later);
    empty.next(NextCommand::Back);
}

fn is_near(request: &JobRequest) -> bool {
    matches!(request, JobRequest::Explain(r) if matches!(**r, ExplainRequest::Near(_)))
}

fn is_look(request: &JobRequest) -> bool {
    matches!(request, JobRequest::Explain(r) if matches!(**r, ExplainRequest::Occlude(_)))
}

#[test]
fn alike_images_are_looked_for_when_one_asks_why() {
    let mut app = App::unlabelled(8);
    app.do_it(Command::Act(Action::Why));
    assert!(app.state.notices.iter().any(|n| n.text.contains("Open an image")), "of what?");
    let labels: Vec<ImageId> = (0..4).map(ImageId).collect();
    app.do_it(Command::Label { images: Target::Images(labels), class: Some(ClassId(0)) });
    app.do_it(Command::Look(Some(ImageId(6))));
    assert!(!app.asks(is_near), "nobody has asked");
    app.do_it(Command::Act(Action::Why));
    let (id, request) = app.take(is_near);
    let JobRequest::Explain(request) = request else { unreachable!() };
    let ExplainRequest::Near(request) = *request else { unreachable!() };
    assert_eq!((request.row, request.images.len(), request.path.to_str()), (Some(6), 4, Some("/images/6.png")));
    let subject = graft::jobs::Subject::Image(ImageId(6));
    assert!(app.project().why.near(&subject).is_none());
    let near = Near { images: vec![(ImageId(2), 0.9), (ImageId(1), 0.8)] };
    app.finish(id, JobOutput::Explained(Explained::Near(near.clone())));
    assert_eq!(app.project().why.near(&subject).unwrap().unwrap(), &near);
    assert!(!app.asks(is_near), "once");
    // Another image, and other labels.
    app.do_it(Command::Look(Some(ImageId(1))));
    let (id, request) = app.take(is_near);
    let JobRequest::Explain(request) = request else { unreachable!() };
    assert!(matches!(*request, ExplainRequest::Near(r) if r.images.len() == 3), "not itself");
    app.event(id, Body::Finished(Err(JobError::Failed { summary: "No.".into(), details: None })));
    let subject = graft::jobs::Subject::Image(ImageId(1));
    assert_eq!(app.project().why.near(&subject).unwrap().unwrap_err(), "No.");
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(5)]), class: Some(ClassId(1)) });
    assert!(app.asks(is_near), "labels have changed");
    app.do_it(Command::Act(Action::Why));
    assert!(!app.project().why.is_open);
}

#[test]
fn looking_needs_a_head() {
    let mut app = App::unlabelled(8);
    app.do_it(Command::Look(Some(ImageId(6))));
    app.do_it(Command::Act(Action::ShowWhere));
    assert!(app.state.notices.iter().any(|n| n.text.contains("no trained head")));
    app.do_it(Command::Why(WhyCommand::Map(true)));
    assert!(!app.asks(is_look) && !app.project().why.shows_map, "nothing is shown that is not there");
    let subject = graft::jobs::Subject::Image(ImageId(6));
    assert!(app.project().why.map(&subject).is_none() && !app.project().why.is_looking(&subject));
}
