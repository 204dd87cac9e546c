//! The application without a screen: commands and events in, state and effects out.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/app.rs"]
mod app;

use std::path::PathBuf;
use std::sync::Arc;

use app::{App, hash, is_write, opened};
use graft::app::gallery::{ClassFilter, Filter, SelectOp, SortBy};
use graft::app::{
    Action, Command, DropInto, EvaluateView, ImagesView, Place, RuntimeState, ScreenEffect, Target, drops,
};
use graft::classes::{ClassIdx, ClassSet};
use graft::dataset::Split;
use graft::embedding::{EmbeddingSpace, Embeddings};
use graft::head::{HeadKind, TrainConfig, UnknownRule, UnknownWish};
use graft::jobs::{
    Body, DropKind, ExportRequest, FilesRequest, FitOutput, FittedHead, JobData, JobError, JobId, JobOutput,
    JobRequest, LaneKind, NewFolder, NewImage, Peek, Prediction, ProjectRequest, Scanned, SkippedImage, path_key,
};
use graft::progress::CancelToken;
use graft::project::{ClassId, ImageId, RootId};
use graft::store::project::{Access, ReadOnlyReason, Write};
use graft::workflow::evaluate::Answers;
use graft::workflow::predict::Predictions;
use graft::workflow::train::{FitData, LabelledEmbeddings, fit_head};

impl App {
    /// And with everything embedded and fitted: the head is wrong on image 0 and 1.
    fn trained(n: usize) -> Self {
        let mut app = Self::with_project(n);
        app.embed_all();
        app.fit_now();
        app
    }

    /// What comes of dropping paths, scanned.
    fn drop_folder(&mut self, found: NewFolder) {
        self.do_it(Command::Drop { paths: vec![found.root.clone()], into: DropInto::Auto });
        let (id, _) = self.take(is_scan);
        self.finish(id, JobOutput::Scanned(Scanned::Images(vec![found])));
    }

    /// Answers the latest fit that was asked for.
    fn fit_now(&mut self) {
        while self.asked.iter().filter(|(_, r)| matches!(r, JobRequest::Fit(_))).count() > 1 {
            let (id, _) = self.take(|r| matches!(r, JobRequest::Fit(_)));
            self.event(id, Body::Finished(Err(JobError::Cancelled)));
        }
        let (id, request) = self.take(|r| matches!(r, JobRequest::Fit(_)));
        let JobRequest::Fit(request) = request else { unreachable!() };
        let splits =
            request.images.iter().map(|i| (i.id, if i.row % 4 < 2 { Split::Val } else { Split::Train })).collect();
        let n_rows = request.images.iter().map(|i| i.row as usize + 1).max().unwrap_or(0);
        let predictions: Arc<[Prediction]> = (0..n_rows)
            .map(|row| {
                let wrong = usize::from(row < 2);
                Prediction {
                    class: ((row + wrong) % 2) as u32,
                    confidence: 0.5 + 0.4 * (row % 10) as f32 / 10.0,
                    distance: row as f32 / 100.0,
                }
            })
            .collect();
        let heads = HeadKind::OF_EXAMPLES
            .map(|kind| FittedHead { judged: judged(kind), predictions: Arc::clone(&predictions) });
        self.finish(
            id,
            JobOutput::Fitted(Box::new(FitOutput {
                revision: request.revision,
                epoch: request.epoch,
                class_ids: request.classes.iter().map(|c| c.0).collect(),
                heads: heads.into(),
                splits,
                duplicates: Vec::new(),
                classes_without: Vec::new(),
                n_beyond: 0,
                val_is_given: false,
                is_chosen_anew: request.before.is_none(),
                runs: Vec::new(),
                secs: 0.1,
            })),
        );
    }

    fn notices(&self) -> Vec<&str> {
        self.state.notices.iter().map(|n| n.text.as_str()).collect()
    }
}

/// A real head on four rows.
fn judged(kind: HeadKind) -> Arc<graft::workflow::train::JudgedHead> {
    let space = EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim: 2 };
    let values = ndarray::arr2(&[[0.0, 1.0], [1.0, 0.0], [0.1, 1.0], [1.0, 0.1]]);
    let rows = || LabelledEmbeddings {
        embeddings: Embeddings::new(values.clone(), space.clone()).unwrap(),
        classes: [0, 1, 0, 1].map(ClassIdx).to_vec(),
        paths: Vec::new(),
    };
    let data = FitData {
        classes: ClassSet::from_ordered(["ant", "bee"]),
        train: rows(),
        val: rows(),
        test: LabelledEmbeddings {
            embeddings: Embeddings::new(ndarray::Array2::zeros((0, 2)), space.clone()).unwrap(),
            classes: Vec::new(),
            paths: Vec::new(),
        },
        val_is_given: false,
    };
    let config = TrainConfig { kind, ..TrainConfig::default() };
    Arc::new(fit_head(&data, kind, &config, 0, &CancelToken::new()).unwrap())
}

fn folder(root: &str, files: &[(&str, Option<u32>)], classes: &[&str]) -> NewFolder {
    let image = |(rel, class): &(&str, Option<u32>)| NewImage {
        rel: rel.into(),
        key: path_key(&PathBuf::from(root).join(rel)),
        class: *class,
        split: None,
        skipped: None,
    };
    NewFolder {
        root: root.into(),
        class_names: classes.iter().map(|c| (*c).to_owned()).collect(),
        images: files.iter().map(image).collect(),
        notes: Vec::new(),
    }
}

fn is_fit(request: &JobRequest) -> bool {
    matches!(request, JobRequest::Fit(_))
}

fn is_scan(request: &JobRequest) -> bool {
    matches!(request, JobRequest::Files(FilesRequest::Scan(_)))
}

fn is_close(request: &JobRequest) -> bool {
    matches!(request, JobRequest::Project(ProjectRequest::Close { .. }))
}

fn is_embed(request: &JobRequest) -> bool {
    matches!(request, JobRequest::Embed(_))
}

#[test]
fn a_dropped_folder_becomes_a_project_that_learns_by_itself() {
    let mut app = App::ready();
    app.do_it(Command::Drop { paths: vec!["/images/pets".into()], into: DropInto::Auto });
    let (id, _) = app.take(|r| matches!(r, JobRequest::Files(FilesRequest::Scan(_))));
    let files = [("ant/1.png", Some(0)), ("ant/2.png", Some(0)), ("bee/1.png", Some(1)), ("bee/2.png", Some(1))];
    let found = folder("/images/pets", &files, &["ant", "bee"]);
    app.finish(id, JobOutput::Scanned(Scanned::Images(vec![found])));
    assert!(app.asks(|r| matches!(r, JobRequest::Project(ProjectRequest::Create { name, .. }) if name == "pets")));
    let mut empty = opened(0, Access::Writable);
    (empty.project.classes, empty.project.roots, empty.is_new) = (Vec::new(), Vec::new(), true);
    app.open(empty);

    assert_eq!((app.project().counts.n_images, app.project().data.sorted_classes().len()), (4, 2));
    assert_eq!((app.class_of(0), app.class_of(3)), (Some("ant"), Some("bee")));
    // In one transaction: the images' classes are part of the edit.
    let (id, request) = app.take(is_write);
    let JobRequest::Project(ProjectRequest::Write { writes, .. }) = request else { unreachable!() };
    assert!(
        matches!(&writes[..], [Write::AddRoot { .. }, Write::AddImages { images, .. }, Write::Did(_)] if images.len() == 4)
    );
    app.finish(id, JobOutput::Done);
    app.embed_all();
    assert!(matches!(&app.writes()[..], [Write::Hashes(hashes)] if hashes.len() == 4));
    app.fit_now();
    assert!(app.project().live.fit.is_some());
    assert!(matches!(&app.writes()[..], [Write::Heads(heads)] if heads.len() == 2), "kept for the next start");

    // One undo takes all of it back, classes included.
    app.do_it(Command::Act(Action::Undo));
    assert_eq!((app.project().counts.n_images, app.project().data.sorted_classes().len()), (0, 0));
    assert!(matches!(&app.writes()[..], [Write::Undid]));
    app.do_it(Command::Act(Action::Redo));
    assert_eq!(app.class_of(3), Some("bee"));
}

#[test]
fn the_same_folder_again_adds_nothing_and_removed_images_come_back() {
    let mut app = App::with_project(4);
    let again = || folder("/images", &[("0.png", None), ("1.png", None)], &[]);
    let drop = |app: &mut App| {
        app.do_it(Command::Drop { paths: vec!["/images".into()], into: DropInto::Auto });
        let (id, _) = app.take(|r| matches!(r, JobRequest::Files(FilesRequest::Scan(_))));
        app.finish(id, JobOutput::Scanned(Scanned::Images(vec![again()])));
    };
    drop(&mut app);
    assert_eq!(app.project().data.images.len(), 4);
    assert_eq!(app.notices(), ["All of these images are in the project already."]);
    app.do_it(Command::Remove(Target::Images(vec![ImageId(1)])));
    assert_eq!(app.project().counts.n_images, 3);
    drop(&mut app);
    assert_eq!(app.project().counts.n_images, 4);
    assert_eq!(app.class_of(1), Some("bee"), "with their label");
}

#[test]
fn every_change_of_a_label_is_fitted_and_older_results_are_dropped() {
    let mut app = App::trained(12);
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(5)]), class: Some(ClassId(0)) });
    let (old_id, request) = app.take(is_fit);
    let JobRequest::Fit(old) = request else { unreachable!() };
    assert_eq!(old.images.iter().find(|i| i.id == ImageId(5)).unwrap().class, 0);
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(7)]), class: Some(ClassId(0)) });
    let before = app.project().live.fit.clone().unwrap();
    let stale = FitOutput { revision: old.revision, ..before.output.clone() };
    app.finish(old_id, JobOutput::Fitted(Box::new(stale)));
    assert!(Arc::ptr_eq(&before, app.project().live.fit.as_ref().unwrap()), "the older one is dropped");
    app.fit_now();
    let quick = app.project().live.fit.clone().unwrap();
    assert!(!Arc::ptr_eq(&before, &quick) && !quick.output.is_chosen_anew, "an answer at once, from the heads before");
    let (id, request) = app.take(is_fit);
    assert!(matches!(&request, JobRequest::Fit(r) if r.before.is_none()), "then settings are chosen anew");
    app.asked.push((id, request));
    app.fit_now();
    assert!(app.project().live.fit.as_ref().unwrap().output.is_chosen_anew);
    assert!(!app.asks(is_fit), "nothing more to do");
    app.do_it(Command::RecolourClass(ClassId(0), 5));
    app.do_it(Command::SetUnknown(UnknownWish::Probability { below: 0.6 }));
    app.do_it(Command::AddClass("empty".into()));
    assert!(!app.asks(is_fit), "heads do not depend on that");
    app.do_it(Command::Go(Place::Train));
    app.do_it(Command::Select(SelectOp::All));
    assert!(!app.asks(is_fit), "looking changes nothing");
}

#[test]
fn another_model_voids_heads_and_embeds_again() {
    let mut app = App::trained(8);
    let epoch = app.project().live.epoch;
    app.do_it(Command::ChooseModel(Some("other".into())));
    let live = &app.project().live;
    assert!(live.epoch > epoch && live.fit.is_none() && live.n_embedded == 0);
    let (_, request) = app.take(is_embed);
    assert!(
        matches!(request, JobRequest::Embed(r) if r.model.model.as_deref() == Some("other") && r.images.len() == 8)
    );
    // Rows of the model before come too late.
    let rows = vec![(ImageId(0), hash(0), 0)];
    app.event(JobId(999), Body::Data(JobData::Embedded { epoch, rows, skipped: Vec::new() }));
    assert_eq!(app.project().live.n_embedded, 0);
    app.do_it(Command::Act(Action::Undo));
    assert_eq!(app.project().data.settings.model, None, "a choice can be undone as well");
}

#[test]
fn classes_are_renamed_merged_and_deleted_with_undo() {
    let mut app = App::with_project(6);
    app.do_it(Command::RenameClass(ClassId(0), " wasp ".into()));
    assert_eq!(app.class_of(0), Some("wasp"));
    app.do_it(Command::RenameClass(ClassId(0), "bee".into()));
    assert_eq!((app.class_of(0), app.project().counts.of(ClassId(1))), (Some("bee"), 6), "the same name merges");
    app.do_it(Command::Act(Action::Undo));
    assert_eq!((app.class_of(0), app.project().counts.of(ClassId(1))), (Some("wasp"), 3));
    app.do_it(Command::DeleteClass(ClassId(1)));
    assert_eq!((app.project().counts.n_unlabelled, app.class_of(1)), (3, None));
    app.do_it(Command::Act(Action::Undo));
    app.do_it(Command::Act(Action::Undo));
    assert_eq!((app.class_of(0), app.class_of(1)), (Some("ant"), Some("bee")));
    app.do_it(Command::AddClass("bee".into()));
    app.do_it(Command::AddClass("  ".into()));
    assert_eq!(app.project().data.sorted_classes().len(), 2, "no empty names, none twice");
    app.do_it(Command::RecolourClass(ClassId(0), 7));
    assert_eq!(app.project().data.class(ClassId(0)).unwrap().colour, 7);
}

#[test]
fn digits_label_what_is_selected() {
    let mut app = App::with_project(6);
    app.do_it(Command::Select(SelectOp::Only(ImageId(0))));
    app.do_it(Command::Select(SelectOp::ExtendTo(ImageId(2))));
    app.do_it(Command::LabelByDigit(2));
    assert_eq!([0, 1, 2].map(|i| app.class_of(i)), [Some("bee"); 3]);
    let title = &app.project().history.undoable().unwrap().title;
    assert_eq!(title, "label 2 images “bee”", "one of them was a bee before");
    app.do_it(Command::LabelByDigit(0));
    assert_eq!(app.class_of(0), None);
    app.do_it(Command::LabelByDigit(9));
    assert_eq!(app.notices(), ["There is no class number 9."]);
}

#[test]
fn a_project_that_is_open_elsewhere_is_not_changed() {
    let mut app = App::ready();
    app.do_it(Command::OpenProject("/p/pets.graft".into()));
    app.open(opened(4, Access::ReadOnly { why: ReadOnlyReason::OpenElsewhere }));
    assert!(app.notices()[0].contains("reading only"), "{:?}", app.notices());
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(0)]), class: Some(ClassId(1)) });
    assert_eq!(app.class_of(0), Some("ant"));
    app.embed_all();
    app.fit_now();
    assert!(app.project().live.fit.is_some(), "it can be looked at and exported");
    assert!(app.writes().is_empty());
    assert!(Action::Undo.availability(&app.state).is_err() && Action::Export.availability(&app.state).is_ok());
}

#[test]
fn embedding_that_was_cancelled_waits_until_it_is_resumed() {
    let mut app = App::with_project(4);
    let (id, _) = app.take(is_embed);
    app.do_it(Command::Cancel(LaneKind::Embed));
    assert!(app.cancelled.contains(&LaneKind::Embed));
    app.event(id, Body::Finished(Err(JobError::Cancelled)));
    assert!(!app.asks(is_embed));
    app.do_it(Command::Act(Action::ResumeEmbedding));
    let (id, _) = app.take(is_embed);
    let failure = JobError::Failed { summary: "The model cannot be run.".into(), details: None };
    app.event(id, Body::Finished(Err(failure)));
    assert!(!app.asks(is_embed), "a failure is not tried for ever");
    assert!(app.project().live.pause.is_some());
    app.do_it(Command::Act(Action::ResumeEmbedding));
    assert!(app.asks(is_embed));
}

#[test]
fn without_onnx_runtime_work_waits_and_goes_on_once_it_is_there() {
    let mut app = App::default();
    app.do_it(Command::Go(Place::Images));
    let (id, _) = app.take(|r| matches!(r, JobRequest::Files(FilesRequest::LoadRuntime { .. })));
    app.event(id, Body::Finished(Err(JobError::RuntimeMissing { details: "looked for x".into() })));
    assert_eq!(app.state.runtime, RuntimeState::Missing { details: "looked for x".into() });
    app.do_it(Command::OpenProject("/p/pets.graft".into()));
    app.open(opened(4, Access::Writable));
    assert!(!app.asks(is_embed));
    app.do_it(Command::ChooseRuntime("/opt/ort.so".into()));
    let (id, request) = app.take(|r| matches!(r, JobRequest::Files(FilesRequest::LoadRuntime { .. })));
    assert!(
        matches!(request, JobRequest::Files(FilesRequest::LoadRuntime { chosen: Some(p), .. }) if p.ends_with("ort.so"))
    );
    app.finish(id, JobOutput::Runtime { path: "/opt/ort.so".into(), version: "1.31".into() });
    assert!(app.asks(is_embed));
}

#[test]
fn dropped_images_are_predicted_in_evaluate_and_added_elsewhere() {
    let mut app = App::trained(8);
    let image = || Command::Drop { paths: vec!["/new.png".into()], into: DropInto::Auto };
    app.do_it(Command::Go(Place::Evaluate));
    app.do_it(image());
    let (_, request) = app.take(|r| matches!(r, JobRequest::Predict(_)));
    assert!(matches!(request, JobRequest::Predict(r) if r.paths == [PathBuf::from("/new.png")]));
    app.do_it(Command::Drop { paths: vec!["/model.onnx".into()], into: DropInto::Auto });
    app.take(|r| matches!(r, JobRequest::Files(FilesRequest::Scan(_))));
    app.do_it(Command::Go(Place::Images));
    app.do_it(Command::SetFilter(Filter { class: ClassFilter::Is(ClassId(1)), ..Filter::default() }));
    app.do_it(image());
    let (id, _) = app.take(|r| matches!(r, JobRequest::Files(FilesRequest::Scan(_))));
    app.finish(id, JobOutput::Scanned(Scanned::Images(vec![folder("/", &[("new.png", None)], &[])])));
    assert_eq!(app.class_of(8), Some("bee"), "to the class that is shown");
}

#[test]
fn the_overlay_says_what_a_drop_will_do() {
    let peek = |kind, names: &[&str]| Peek {
        paths: vec!["/x/birds.onnx".into()],
        kind,
        class_names: names.iter().map(|n| (*n).to_owned()).collect(),
    };
    let images = |n_classes, has_splits| DropKind::Images { n_classes, has_splits, n_images: 12 };
    let ready = App::ready();
    let title = |app: &App, peek: &Peek| drops::intent(&app.state, 1, Some(peek)).title;
    assert_eq!(title(&ready, &peek(images(2, false), &["a", "b"])), "Start a new project with these images");
    assert_eq!(title(&ready, &peek(DropKind::Model, &[])), "Import this model");
    assert_eq!(title(&ready, &peek(DropKind::Project, &[])), "Open this project");
    assert!(!drops::intent(&ready.state, 1, Some(&peek(DropKind::Unknown, &[]))).is_welcome);
    let mut app = App::trained(8);
    assert_eq!(title(&app, &peek(images(0, false), &[])), "Add as unlabelled images");
    let splits = drops::intent(&app.state, 1, Some(&peek(images(2, true), &["a", "b"])));
    assert_eq!(splits.title, "Add these classes to the project");
    assert_eq!(splits.detail, "2 classes: a, b, with its own training and validation folders");
    app.do_it(Command::SetFilter(Filter { class: ClassFilter::Is(ClassId(0)), ..Filter::default() }));
    assert_eq!(title(&app, &peek(images(0, false), &[])), "Add to class “ant”");
    app.do_it(Command::Go(Place::Evaluate));
    assert_eq!(title(&app, &peek(images(0, false), &[])), "Predict these images");
}

#[test]
fn filters_follow_labels_answers_and_thresholds() {
    let mut app = App::trained(12);
    let shown = |app: &App| app.project().gallery.visible.iter().map(|i| i.0).collect::<Vec<_>>();
    app.do_it(Command::SetFilter(Filter { is_right: Some(false), ..Filter::default() }));
    assert_eq!(shown(&app), [0, 1]);
    app.do_it(Command::SetSort(SortBy::WorstMistake));
    assert_eq!(shown(&app), [1, 0], "the surest mistake first");
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(0)]), class: Some(ClassId(1)) });
    assert_eq!(shown(&app), [1], "a corrected label is no mistake any more");
    app.do_it(Command::SetFilter(Filter { split: Some(Split::Val), ..Filter::default() }));
    app.do_it(Command::SetSort(SortBy::Added));
    assert_eq!(shown(&app), [0, 1, 4, 5, 8, 9]);
    app.do_it(Command::SetFilter(Filter { is_unknown: Some(true), ..Filter::default() }));
    assert!(shown(&app).is_empty());
    app.do_it(Command::SetUnknown(UnknownWish::Probability { below: 0.6 }));
    assert_eq!(shown(&app), [0, 1, 2, 10, 11]);
    app.do_it(Command::SetFilter(Filter { text: "1.PNG".into(), ..Filter::default() }));
    assert_eq!(shown(&app), [1, 11]);
    app.do_it(Command::Act(Action::ShowMistakes));
    assert_eq!(app.state.place, Place::Images);
}

#[test]
fn an_export_is_proved_on_validation_images() {
    let mut app = App::trained(12);
    app.do_it(Command::Act(Action::Export));
    let (id, request) = app.take(|r| matches!(r, JobRequest::Export(_)));
    let JobRequest::Export(ExportRequest::Head(export)) = request else { panic!() };
    assert_eq!(export.dir, PathBuf::from("/p/pets export"));
    assert_eq!(export.shown.len(), 6);
    assert_eq!((export.n_train_per_class, export.n_val_per_class), (vec![3, 3], vec![3, 3]));
    assert!(Action::Export.availability(&app.state).is_err(), "one at a time");
    let failure = JobError::Failed { summary: "The disk is full.".into(), details: None };
    app.event(id, Body::Finished(Err(failure)));
    assert_eq!(app.project().export.error.as_deref(), Some("The disk is full."));
    assert!(Action::Export.availability(&app.state).is_ok());
}

#[test]
fn writes_that_fail_are_told_until_one_succeeds() {
    let mut app = App::with_project(4);
    let label = |app: &mut App, class| {
        app.do_it(Command::Label { images: Target::Images(vec![ImageId(0)]), class });
        app.take(is_write).0
    };
    let id = label(&mut app, None);
    assert!(!app.state.is_saved());
    app.fail(id, "The disk is full.");
    // What is kept beside the project says nothing about it.
    app.do_it(Command::SetTileSize(99.0));
    let settings = app.take(|r| matches!(r, JobRequest::Project(ProjectRequest::SaveSettings(_)))).0;
    app.finish(settings, JobOutput::Done);
    assert_eq!(app.state.save_error.as_deref(), Some("The disk is full."));
    let id = label(&mut app, Some(ClassId(1)));
    app.finish(id, JobOutput::Done);
    assert_eq!(app.state.save_error, None);
}

#[test]
fn files_that_cannot_be_used_are_listed_and_can_be_tried_again() {
    let mut app = App::with_project(4);
    let (id, request) = app.take(is_embed);
    let JobRequest::Embed(request) = request else { unreachable!() };
    let skipped = vec![SkippedImage { id: ImageId(2), reason: "the file is empty".into(), is_lasting: true }];
    app.event(id, Body::Data(JobData::Embedded { epoch: request.epoch, rows: Vec::new(), skipped }));
    app.finish(id, JobOutput::Embedded { n_embedded: 0, n_cached: 0, ran_on: None, secs: 0.0 });
    assert_eq!((app.project().counts.n_images, app.project().counts.n_skipped), (3, 1));
    app.asked.clear();
    app.do_it(Command::Act(Action::ShowSkipped));
    assert_eq!(app.project().gallery.visible, [ImageId(2)]);
    app.do_it(Command::Act(Action::RetrySkipped));
    assert_eq!((app.project().counts.n_skipped, app.project().gallery.visible.len()), (0, 4));
}

#[test]
fn what_cannot_be_done_says_why() {
    let app = App::ready();
    for action in [Action::Undo, Action::Export, Action::GoTrain, Action::SelectAll, Action::PredictFiles] {
        let reason = action.availability(&app.state).unwrap_err();
        assert!(!reason.is_empty() && !reason.ends_with('.'), "{action:?}");
    }
    let mut app = App::ready();
    app.do_it(Command::Act(Action::Export));
    assert_eq!(app.notices(), ["No project is open."]);
}

/// The project requests that wait, in words.
fn project_requests(app: &App) -> Vec<String> {
    let word = |r: &JobRequest| match r {
        JobRequest::Project(ProjectRequest::Open { session, .. }) => Some(format!("open {}", session.0)),
        JobRequest::Project(ProjectRequest::Create { session, .. }) => Some(format!("create {}", session.0)),
        JobRequest::Project(ProjectRequest::Write { session, .. }) => Some(format!("write {}", session.0)),
        JobRequest::Project(ProjectRequest::Close { session, discard }) => {
            Some(format!("close {}{}", session.0, if *discard { " for good" } else { "" }))
        }
        _ => None,
    };
    app.asked.iter().filter_map(|(_, r)| word(r)).collect()
}

#[test]
fn writes_go_to_the_project_they_were_made_in_and_the_old_one_is_closed_last() {
    let mut app = App::with_project(4);
    app.writes();
    app.do_it(Command::OpenProject("/p/other.graft".into()));
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(0)]), class: None });
    assert_eq!(project_requests(&app), ["open 2", "write 1"]);
    let (write, _) = app.take(is_write);
    app.open(opened(6, Access::Writable));
    assert_eq!(project_requests(&app), ["close 1"]);
    assert_eq!(app.project().counts.n_images, 6);
    // What becomes of the write is no matter of the project that is shown now.
    app.fail(write, "The disk is full.");
    assert_eq!(app.state.save_error, None);
    assert!(app.notices().iter().any(|n| n.contains("project before")), "{:?}", app.notices());
}

#[test]
fn what_cannot_be_saved_is_asked_about_before_it_is_given_up() {
    let mut app = App::with_project(4);
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(0)]), class: None });
    let (id, _) = app.take(is_write);
    app.fail(id, "The disk is full.");
    for command in [
        Command::Act(Action::CloseProject),
        Command::Act(Action::Quit),
        Command::Act(Action::TrySample),
        Command::OpenProject("/p/b.graft".into()),
        Command::CreateProject("/p/c.graft".into()),
    ] {
        app.do_it(command.clone());
        assert_eq!(app.screen.pop(), Some(ScreenEffect::AskDiscard(Box::new(command))));
        assert!(app.state.project.is_some() && project_requests(&app).is_empty());
    }
    app.do_it(Command::DiscardUnsaved);
    assert_eq!(project_requests(&app), ["close 1 for good"]);
    app.do_it(Command::Act(Action::Quit));
    assert_eq!(app.screen.pop(), Some(ScreenEffect::Quit));
}

#[test]
fn an_import_that_was_undone_comes_back_with_its_classes() {
    let mut app = App::with_project(0);
    let pets = || folder("/pets", &[("cat/1.png", Some(0)), ("dog/1.png", Some(1))], &["cat", "dog"]);
    app.drop_folder(pets());
    app.do_it(Command::Act(Action::Undo));
    app.drop_folder(pets());
    assert_eq!((app.class_of(0), app.class_of(1)), (Some("cat"), Some("dog")));
    assert_eq!(app.project().counts.n_unlabelled, 0);
    app.do_it(Command::Act(Action::Undo));
    app.do_it(Command::Act(Action::Redo));
    assert_eq!((app.class_of(0), app.class_of(1)), (Some("cat"), Some("dog")));
}

#[test]
fn images_that_an_undo_brings_back_are_embedded() {
    let mut app = App::with_project(4);
    app.do_it(Command::Remove(Target::Images(vec![ImageId(2)])));
    // As after a restart: the removed one has no embedding.
    let (id, request) = app.take(is_embed);
    let JobRequest::Embed(request) = request else { unreachable!() };
    let rows = [0, 1, 3].map(|i| (ImageId(i), hash(i), i)).into();
    app.event(id, Body::Data(JobData::Embedded { epoch: request.epoch, rows, skipped: Vec::new() }));
    app.finish(id, JobOutput::Embedded { n_embedded: 3, n_cached: 0, ran_on: None, secs: 1.0 });
    assert!(!app.asks(is_embed), "that was all");
    app.do_it(Command::Act(Action::Undo));
    let (_, request) = app.take(is_embed);
    assert!(matches!(request, JobRequest::Embed(r) if r.images.iter().map(|i| i.0).eq([ImageId(2)])));
}

#[test]
fn an_image_that_comes_back_alone_is_embedded() {
    let mut app = App::with_project(4);
    app.embed_all();
    app.do_it(Command::Remove(Target::Images(vec![ImageId(2)])));
    // Its embedding is not known, as after a restart.
    app.do_it(Command::ChooseLayer(Some("early".into())));
    app.embed_all();
    assert_eq!((app.project().live.n_embedded, app.asks(is_embed)), (3, false));
    let again = folder("/images", &[("2.png", None)], &[]);
    app.drop_folder(again);
    let (_, request) = app.take(is_embed);
    assert!(matches!(request, JobRequest::Embed(r) if r.images.iter().map(|i| i.0).eq([ImageId(2)])));
}

#[test]
fn another_model_ends_the_work_for_the_one_before() {
    let mut app = App::with_project(8);
    let (running, _) = app.take(is_embed);
    app.do_it(Command::ChooseModel(Some("other".into())));
    assert!(app.cancelled.contains(&LaneKind::Embed));
    app.event(running, Body::Finished(Err(JobError::Cancelled)));
    assert!(app.asks(|r| matches!(r, JobRequest::Embed(r) if r.model.model.as_deref() == Some("other"))));
    assert_eq!(app.project().live.pause, None);
}

#[test]
fn drops_keep_to_the_project_and_the_class_that_they_were_made_on() {
    let mut app = App::with_project(4);
    let show = |class| Command::SetFilter(Filter { class: ClassFilter::Is(ClassId(class)), ..Filter::default() });
    app.do_it(show(1));
    app.do_it(Command::Drop { paths: vec!["/x".into()], into: DropInto::Auto });
    app.do_it(show(0));
    let (id, _) = app.take(is_scan);
    app.finish(id, JobOutput::Scanned(Scanned::Images(vec![folder("/x", &[("a.png", None)], &[])])));
    assert_eq!(app.class_of(4), Some("bee"), "the class that was shown when it was dropped");

    // A class that is gone takes nothing, and its filter goes with it.
    app.do_it(show(1));
    app.do_it(Command::Drop { paths: vec!["/x".into()], into: DropInto::Auto });
    app.do_it(Command::DeleteClass(ClassId(1)));
    assert_eq!(app.project().gallery.filter, Filter::default());
    let (id, _) = app.take(is_scan);
    app.finish(id, JobOutput::Scanned(Scanned::Images(vec![folder("/x", &[("b.png", None)], &[])])));
    assert_eq!((app.class_of(5), app.project().data.image(ImageId(5)).unwrap().class), (None, None));

    // Another project was opened while the files were looked at.
    app.do_it(Command::Drop { paths: vec!["/x".into()], into: DropInto::Auto });
    let (id, _) = app.take(is_scan);
    app.do_it(Command::OpenProject("/p/other.graft".into()));
    app.open(opened(2, Access::Writable));
    app.finish(id, JobOutput::Scanned(Scanned::Images(vec![folder("/x", &[("c.png", None)], &[])])));
    assert_eq!(app.project().data.images.len(), 2);
    assert!(app.notices().iter().any(|n| n.contains("not added")), "{:?}", app.notices());
}

#[test]
fn images_dropped_on_the_start_screen_wait_for_their_own_project() {
    let mut app = App::ready();
    app.do_it(Command::Drop { paths: vec!["/x".into()], into: DropInto::Auto });
    let (scan, _) = app.take(is_scan);
    app.do_it(Command::OpenProject("/p/pets.graft".into()));
    let found = folder("/x", &[("a.png", None)], &[]);
    app.finish(scan, JobOutput::Scanned(Scanned::Images(vec![found])));
    assert_eq!(project_requests(&app), ["open 1", "create 2"]);
    app.open(opened(4, Access::Writable));
    assert_eq!(app.project().data.images.len(), 4, "not into the one that was opened");
    let mut own = opened(0, Access::Writable);
    own.is_new = true;
    app.open(own);
    assert_eq!(app.project().data.images.len(), 1);
    assert!(app.asks(is_close), "and the other is closed");
}

#[test]
fn late_answers_do_not_reach_another_project() {
    let mut app = App::trained(12);
    app.do_it(Command::Act(Action::Export));
    let (export, _) = app.take(|r| matches!(r, JobRequest::Export(_)));
    app.do_it(Command::Relocate(RootId(0), "/elsewhere".into()));
    let (found, _) = app.take(|r| matches!(r, JobRequest::Files(FilesRequest::FindRoot { .. })));
    app.do_it(Command::OpenProject("/p/other.graft".into()));
    app.open(opened(2, Access::Writable));
    app.fail(export, "The disk is full.");
    assert_eq!(app.project().export.error, None);
    app.finish(found, JobOutput::FoundRoot { root: RootId(0), path: Some("/elsewhere".into()) });
    assert_eq!(app.project().data.roots, [PathBuf::from("/images")]);
}

#[test]
fn a_disk_that_is_not_there_damages_no_images() {
    let mut app = App::with_project(3);
    app.writes();
    let (id, request) = app.take(is_embed);
    let JobRequest::Embed(request) = request else { unreachable!() };
    let gone = |id| SkippedImage { id: ImageId(id), reason: "No such file".into(), is_lasting: false };
    let skipped = (0..3).map(gone).collect();
    app.event(id, Body::Data(JobData::Embedded { epoch: request.epoch, rows: Vec::new(), skipped }));
    assert!(app.writes().is_empty(), "it may be there the next time");
    app.finish(id, JobOutput::Embedded { n_embedded: 0, n_cached: 0, ran_on: None, secs: 0.0 });
    assert_eq!((app.project().counts.n_skipped, app.project().missing_roots.as_slice()), (0, &[RootId(0)][..]));
    assert!(!app.asks(is_embed), "it is not tried again by itself");
    app.do_it(Command::Relocate(RootId(0), "/mnt".into()));
    let (_, request) = app.take(|r| matches!(r, JobRequest::Files(FilesRequest::FindRoot { .. })));
    assert!(matches!(request, JobRequest::Files(FilesRequest::FindRoot { samples, .. }) if samples.len() == 3));
}

#[test]
fn undo_of_a_threshold_reaches_the_predictions() {
    let mut app = App::trained(8);
    app.do_it(Command::SetUnknown(UnknownWish::Probability { below: 0.9 }));
    app.do_it(Command::Drop { paths: vec!["/new.png".into()], into: DropInto::Predict });
    let (id, _) = app.take(|r| matches!(r, JobRequest::Predict(_)));
    app.do_it(Command::SetUnknown(UnknownWish::Probability { below: 0.7 }));
    let answers = Answers {
        paths: vec!["/new.png".into()],
        probabilities: ndarray::arr2(&[[0.8, 0.2]]),
        skipped: Vec::new(),
        distances: None,
    };
    let classes = ClassSet::from_ordered(["ant", "bee"]);
    let predictions = Predictions { classes, answers, rule: UnknownRule::Probability { below: 0.9 } };
    app.finish(id, JobOutput::Predicted(Arc::new(predictions)));
    let rule = |app: &App| app.project().predictions.as_ref().unwrap().rule;
    assert_eq!(rule(&app), UnknownRule::Probability { below: 0.7 }, "the threshold as it is now");
    app.do_it(Command::Act(Action::Undo));
    assert_eq!(rule(&app), UnknownRule::Probability { below: 0.9 });
    app.do_it(Command::ChooseHead(Some(HeadKind::Prototype)));
    assert!(app.project().predictions.is_none() && app.cancelled.contains(&LaneKind::Predict));
}

#[test]
fn strangers_are_asked_of_every_head_and_judged_by_the_rule() {
    let is_strangers = |r: &JobRequest| matches!(r, JobRequest::Strangers(_));
    let mut app = App::trained(12);
    app.do_it(Command::Act(Action::ShowCertainty));
    let kind = DropKind::Images { n_classes: 0, has_splits: false, n_images: 3 };
    let peek = Peek { paths: vec!["/odd".into()], kind, class_names: Vec::new() };
    let intent = drops::intent(&app.state, 1, Some(&peek));
    assert_eq!((intent.title.as_str(), intent.is_welcome), ("Test on these as strangers", true));
    app.do_it(Command::Drop { paths: vec!["/odd".into()], into: DropInto::Auto });
    let (id, request) = app.take(is_strangers);
    assert!(matches!(&request, JobRequest::Strangers(r) if r.paths == [PathBuf::from("/odd")]));
    assert!(app.project().predictions.is_none() && !app.asks(is_strangers), "once");
    let answers = Answers {
        paths: vec!["/odd/1.png".into(), "/odd/2.png".into(), "/odd/3.png".into()],
        probabilities: ndarray::arr2(&[[0.55, 0.45], [0.2, 0.8], [0.99, 0.01]]),
        distances: Some(vec![0.5, 0.6, 0.04]),
        skipped: Vec::new(),
    };
    let classes = ClassSet::from_ordered(["ant", "bee"]);
    let predictions = Predictions { classes, answers, rule: UnknownRule::Off };
    app.finish(id, JobOutput::Predicted(Arc::new(predictions.clone())));
    let figures = |app: &App| app.project().strangers.as_ref().unwrap().figures.clone().unwrap();
    assert_eq!((figures(&app).n_known, figures(&app).n_strangers, figures(&app).false_accept), (6, 3, 1.0));
    // Validation images are at 0.00, 0.01, 0.04, 0.05, 0.08 and 0.09.
    app.do_it(Command::Act(Action::UnknownByDistance));
    assert_eq!(app.project().live.rule(), UnknownRule::Distance { above: 0.09 + 1e-3 });
    assert_eq!((figures(&app).known_answered, figures(&app).false_accept), (1.0, 1.0 / 3.0));
    assert_eq!(app.project().strangers.as_ref().unwrap().let_in(), [2]);
    app.do_it(Command::SetFilter(Filter { is_unknown: Some(true), ..Filter::default() }));
    assert_eq!(app.project().gallery.visible, [ImageId(10), ImageId(11)], "the gallery follows the rule");
    app.do_it(Command::Act(Action::Export));
    let (_, request) = app.take(|r| matches!(r, JobRequest::Export(_)));
    assert!(
        matches!(request, JobRequest::Export(ExportRequest::Head(e)) if e.rule.needs_distance()),
        "so does an export"
    );
    app.do_it(Command::Act(Action::Undo));
    assert_eq!((app.project().live.rule(), figures(&app).false_accept), (UnknownRule::Off, 1.0));

    // Another head is asked by itself; what is let in is found out anew.
    app.do_it(Command::ChooseHead(Some(HeadKind::Prototype)));
    let (id, _) = app.take(is_strangers);
    app.event(id, Body::Finished(Err(JobError::Failed { summary: "Gone".into(), details: None })));
    let strangers = app.project().strangers.as_ref().unwrap();
    assert_eq!((strangers.error.as_deref(), strangers.answers.is_none()), (Some("Gone"), true));
    assert!(!app.asks(is_strangers), "not again by itself");
    app.do_it(Command::Act(Action::ForgetStrangers));
    assert!(app.project().strangers.is_none() && app.cancelled.contains(&LaneKind::Strangers));
}

#[test]
fn a_wish_that_cannot_be_is_said_and_everything_is_answered() {
    let mut app = App::trained(12);
    // Of the validation images 0 and 1 are wrong, at 0.50 and 0.54; the others are surer.
    app.do_it(Command::SetUnknown(UnknownWish::Precision { at_least: 0.99 }));
    assert!(matches!(app.project().live.rule(), UnknownRule::Probability { below } if below > 0.54 && below < 0.66));
    assert_eq!(app.project().live.unknown_error(), None);
    // The surest answer becomes wrong by another label: no threshold helps.
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(9)]), class: Some(ClassId(0)) });
    app.fit_now();
    assert_eq!(app.project().live.rule(), UnknownRule::Off);
    let error = app.project().live.unknown_error().unwrap();
    assert!(error.to_string().contains("99 %"), "{error}");
    app.do_it(Command::Act(Action::Undo));
    app.fit_now();
    assert_eq!(app.project().live.unknown_error(), None, "settled anew with every head");
    app.do_it(Command::Act(Action::AlwaysAnswer));
    assert!(Action::AlwaysAnswer.availability(&app.state).is_err());
}

#[test]
fn images_are_labelled_as_the_head_says() {
    let mut app = App::trained(12);
    let some = Target::Images((2..6).map(ImageId).collect());
    app.do_it(Command::Label { images: some, class: None });
    app.do_it(Command::Select(SelectOp::Set { images: (2..6).map(ImageId).collect(), keep: false }));
    app.do_it(Command::Act(Action::LabelAsPredicted));
    let classes: Vec<_> = (2..6).map(|i| app.class_of(i)).collect();
    assert_eq!(classes, [Some("ant"), Some("bee"), Some("ant"), Some("bee")]);
    app.do_it(Command::Act(Action::Undo));
    assert_eq!(app.class_of(3), None, "one edit for all of them");
}

#[test]
fn the_sample_and_a_drop_that_come_together_have_a_project_each() {
    let mut app = App::ready();
    app.do_it(Command::Drop { paths: vec!["/x".into()], into: DropInto::Auto });
    app.do_it(Command::Act(Action::TrySample));
    let (scan, _) = app.take(is_scan);
    app.finish(scan, JobOutput::Scanned(Scanned::Images(vec![folder("/x", &[("a.png", None)], &[])])));
    let (id, _) = app.take(|r| matches!(r, JobRequest::Files(FilesRequest::ScanSample)));
    let sample = folder("/sample", &[("fish/1.jpg", Some(0)), ("tool/1.jpg", Some(1))], &["fish", "tool"]);
    app.finish(id, JobOutput::Scanned(Scanned::Images(vec![sample])));
    assert_eq!(project_requests(&app), ["create 1", "create 2"]);
    for n_images in [1, 2] {
        let mut empty = opened(0, Access::Writable);
        (empty.project.classes, empty.project.roots, empty.is_new) = (Vec::new(), Vec::new(), true);
        app.open(empty);
        assert_eq!(app.project().data.images.len(), n_images);
    }
}

#[test]
fn folders_of_ones_own_are_not_mixed_into_the_sample() {
    let mut app = App::ready();
    app.do_it(Command::Act(Action::TrySample));
    let (id, _) = app.take(|r| matches!(r, JobRequest::Files(FilesRequest::ScanSample)));
    let sample = folder("/sample", &[("fish/1.jpg", Some(0)), ("tool/1.jpg", Some(1))], &["fish", "tool"]);
    app.finish(id, JobOutput::Scanned(Scanned::Images(vec![sample])));
    let empty = || {
        let mut empty = opened(0, Access::Writable);
        (empty.project.classes, empty.project.roots, empty.is_new) = (Vec::new(), Vec::new(), true);
        empty
    };
    app.open(empty());
    app.drop_folder(folder("/pets", &[("cat/1.png", Some(0)), ("dog/1.png", Some(1))], &["cat", "dog"]));
    app.open(empty());
    assert_eq!(app.project().data.images.len(), 2, "a project of their own");
    app.drop_folder(folder("/more", &[("cow/1.png", Some(0))], &["cow"]));
    assert_eq!(app.project().data.images.len(), 3, "and more goes into that");
}

#[test]
fn offers_to_undo_go_with_the_next_edit() {
    let mut app = App::with_project(4);
    app.do_it(Command::Remove(Target::Images(vec![ImageId(0)])));
    let offers = |app: &App| app.state.notices.iter().filter(|n| n.remedy.is_some()).count();
    assert_eq!(offers(&app), 1);
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(1)]), class: None });
    assert_eq!(offers(&app), 0, "it would undo the label");
}

use graft::app::ZeroShot;
use graft::head::Activation;
use graft::head::text::CosineLogits;
use graft::jobs::{StudyRequest, TextAnswers, TextFacts, TextRequest, ZeroShotRequest};
use graft::text::labels::{LabelError, LabelIndex, parse};
use graft::text::prompts::{Prompts, Templates};
use graft::text::scale::LogitScale;
use graft::text::tokenizer::{Family, TokenRules};
use graft::workflow::zero_shot::ClassTexts;

fn is_zero_shot(request: &JobRequest) -> bool {
    matches!(request, JobRequest::Text(TextRequest::ZeroShot(_)))
}

impl App {
    fn take_zero_shot(&mut self) -> (JobId, ZeroShotRequest) {
        let (id, request) = self.take(is_zero_shot);
        let JobRequest::Text(TextRequest::ZeroShot(request)) = request else { unreachable!() };
        (id, *request)
    }

    /// Answers: image `i` is of label `i % n_labels`, the surer the smaller `i`.
    fn answer(&mut self, id: JobId, request: &ZeroShotRequest, n_rows: usize) {
        self.data_only(id, request, n_rows);
        let (epoch, number) = (request.epoch, request.number);
        self.finish(id, JobOutput::ZeroShotJudged { epoch, number, report: None, effects: Vec::new() });
    }

    /// Answers that are not judged yet.
    fn data_only(&mut self, id: JobId, request: &ZeroShotRequest, n_rows: usize) {
        let n = request.labels.len();
        let columns: Vec<Arc<[f32]>> = (0..n)
            .map(|label| {
                (0..n_rows).map(|row| if row % n == label { 0.9 - row as f32 / 1000.0 } else { 0.1 }).collect()
            })
            .collect();
        let predictions: Arc<[Prediction]> = (0..n_rows)
            .map(|row| Prediction {
                class: (row % n) as u32,
                confidence: 0.99 - row as f32 / 1000.0,
                distance: f32::NAN,
            })
            .collect();
        let logits = CosineLogits { scale: 10.0, bias: 0.0, activation: Activation::Softmax };
        let sourced = |value| graft::backbone::manifest::Sourced::guess(value, "a test");
        let texts = ClassTexts {
            classes: ClassSet::from_ordered(request.labels.iter().map(|l| l.name.clone())),
            templates: vec!["{}".into()],
            prompts: Prompts::new(&request.labels, &["{}".to_owned()]),
            texts: ndarray::Array2::eye(n),
            embeddings: ndarray::Array2::eye(n),
            labels: request.labels.clone(),
            logits,
            index: LabelIndex::new(&request.labels),
        };
        let space = EmbeddingSpace { backbone: "b".into(), layer: "e".into(), preprocess: "p".into(), dim: n };
        let facts = TextFacts {
            model: "m".into(),
            text_graph: "/m/text_model.onnx".into(),
            text_output: "text_embeds".into(),
            image_output: "image_embeds".into(),
            tokenizer: "/m/tokenizer.json".into(),
            rules: TokenRules { family: Family::Clip, max_len: 77, pads_to_max: true, pad_id: 0, canonical: false },
            logits: LogitScale { scale: sourced(10.0), bias: sourced(0.0), activation: Activation::Softmax },
            default_templates: Templates::Photo,
            text_graphs: Vec::new(),
        };
        let answers = TextAnswers {
            epoch: request.epoch,
            number: request.number,
            texts: Arc::new(texts),
            facts: Arc::new(facts),
            space,
            columns,
            predictions,
            sureness: (0..n_rows).map(|row| 1.0 - row as f32 / 1000.0).collect(),
            secs: 0.01,
        };
        self.event(id, Body::Data(JobData::ZeroShot(Box::new(answers))));
    }

    fn zero_shot(&self) -> &ZeroShot {
        &self.project().zero_shot
    }

    fn type_labels(&mut self, text: &str) {
        self.do_it(Command::TypeLabels(text.to_owned()));
    }
}

#[test]
fn labels_are_read_when_there_is_something_to_read_them_for() {
    let mut app = App::with_project(8);
    app.type_labels("ant\nbee");
    assert!(!app.asks(is_zero_shot), "nothing is embedded yet");
    app.embed_all();
    let (id, request) = app.take_zero_shot();
    // The classes of the project are called like the labels: ant and bee in turn.
    assert_eq!(request.truth.len(), 8);
    assert!(request.truth.iter().all(|(row, label)| row % 2 == *label));
    app.answer(id, &request, 8);
    assert!(app.zero_shot().is_current());
    assert!(!app.asks(is_zero_shot), "once is enough");
    app.type_labels("ant\nbee |");
    assert_eq!(app.zero_shot().labels, Err(LabelError::Empty { line: 2 }));
    assert!(!app.asks(is_zero_shot) && app.zero_shot().answers.is_some());
    app.type_labels("");
    assert!(app.zero_shot().answers.is_none() && !app.asks(is_zero_shot));
}

#[test]
fn late_answers_and_those_of_another_model_are_dropped() {
    let mut app = App::with_project(8);
    app.embed_all();
    app.type_labels("ant");
    let (first, old) = app.take_zero_shot();
    app.type_labels("ant\nbee");
    let (second, new) = app.take_zero_shot();
    assert!(new.number > old.number);
    app.answer(second, &new, 8);
    app.answer(first, &old, 8);
    assert_eq!(app.zero_shot().answers.as_ref().unwrap().texts.labels.len(), 2, "the latest wins");
    app.do_it(Command::ChooseModel(Some("other".into())));
    assert!(app.zero_shot().answers.is_none());
    assert_eq!(app.zero_shot().text, "ant\nbee", "what was typed stays");
    assert!(app.cancelled.contains(&LaneKind::Text));
    app.answer(second, &new, 8);
    assert!(app.zero_shot().answers.is_none());
    app.embed_all();
    assert_eq!(app.take_zero_shot().1.epoch, app.project().live.epoch);
}

#[test]
fn what_is_typed_becomes_part_of_the_project_and_can_be_taken_back() {
    let mut app = App::with_project(4);
    app.type_labels("ant");
    app.type_labels("ant\nbee");
    assert_eq!(app.project().data.settings.zero_shot.labels, "", "not with every key");
    app.do_it(Command::KeepLabels);
    app.do_it(Command::KeepLabels);
    assert_eq!(app.project().data.settings.zero_shot.labels, "ant\nbee");
    app.type_labels("wasp");
    app.do_it(Command::Go(Place::Train));
    assert_eq!(app.project().data.settings.zero_shot.labels, "wasp", "leaving the place is meaning it");
    app.do_it(Command::Act(Action::Undo));
    assert_eq!(app.zero_shot().text, "ant\nbee");
    app.do_it(Command::Act(Action::Undo));
    assert_eq!(app.zero_shot().text, "");
    app.do_it(Command::Act(Action::Redo));
    assert_eq!(app.zero_shot().text, "ant\nbee");
}

#[test]
fn the_bridge_takes_the_surest_that_have_no_class_and_is_one_edit() {
    let mut app = App::with_project(20);
    app.embed_all();
    // Half of them lose their class.
    let images: Vec<ImageId> = (0..10).map(ImageId).collect();
    app.do_it(Command::Label { images: Target::Images(images), class: None });
    app.type_labels("ant\nwasp\nnone of these");
    let (id, request) = app.take_zero_shot();
    assert!(request.labels[2].is_contrast);
    app.answer(id, &request, 20);
    app.do_it(Command::SetShare(0.5));
    let taken: Vec<Vec<u32>> = app.zero_shot().groups.iter().map(|g| g.taken.iter().map(|i| i.0).collect()).collect();
    // Of seven images of a label the surest four; what has a class keeps it; the contrast is no class.
    assert_eq!(taken, [vec![0, 3, 6, 9], vec![1, 4, 7], vec![]]);
    let n_edits = app.project().history.undoable().unwrap().title.clone();
    app.do_it(Command::Act(Action::UseAsClasses));
    assert_ne!(app.project().history.undoable().unwrap().title, n_edits);
    assert_eq!((app.class_of(0), app.class_of(1), app.class_of(2)), (Some("ant"), Some("wasp"), None));
    assert_eq!(app.class_of(10), Some("ant"), "as it was");
    let names: Vec<String> = app.project().data.sorted_classes().into_iter().map(|(_, c)| c.name.clone()).collect();
    assert_eq!(names, ["ant", "bee", "wasp"]);
    // What labels said is no truth to judge them by, nor heads; what the user says of it is.
    let guessed = |app: &App| {
        let all = app.project().data.images.iter().enumerate().filter(|(_, image)| image.is_guessed);
        all.map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(guessed(&app), [0, 1, 3, 4, 6, 7, 9]);
    app.do_it(Command::Go(Place::ZeroShot));
    let ant = app.project().data.class_by_name("ant");
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(0), ImageId(1)]), class: ant });
    assert_eq!(guessed(&app), [3, 4, 6, 7, 9], "confirmed and corrected");
    let (id, request) = app.take_zero_shot();
    let known: Vec<u32> = request.truth.iter().map(|(row, _)| *row).collect();
    assert!(known.contains(&0) && known.contains(&1) && !known.contains(&3), "{known:?}");
    app.answer(id, &request, 20);
    let (_, fit) = app.asked.iter().rev().find(|(_, r)| matches!(r, JobRequest::Fit(_))).unwrap();
    let JobRequest::Fit(fit) = fit else { unreachable!() };
    assert!(fit.images.iter().all(|i| i.is_guessed == [3, 4, 6, 7, 9].contains(&i.id.as_usize())));
    app.do_it(Command::Act(Action::Undo));
    app.do_it(Command::Act(Action::Undo));
    assert_eq!((app.class_of(0), app.class_of(1)), (None, None));
    assert!(guessed(&app).is_empty());
    assert_eq!(app.project().data.sorted_classes().len(), 2);
}

#[test]
fn texts_go_along_with_a_fit_where_every_class_has_one() {
    let mut app = App::trained(8);
    app.type_labels("ant\nwasp");
    let (id, request) = app.take_zero_shot();
    app.answer(id, &request, 8);
    assert!(!app.asks(|r| matches!(r, JobRequest::Fit(_))), "bees have no label");
    app.type_labels("ant\nbee\nwasp");
    let (id, request) = app.take_zero_shot();
    app.answer(id, &request, 8);
    assert!(!app.asks(|r| matches!(r, JobRequest::Fit(_))), "they are not meant yet");
    app.do_it(Command::KeepLabels);
    let (_, request) = app.take(|r| matches!(r, JobRequest::Fit(_)));
    let JobRequest::Fit(request) = request else { unreachable!() };
    assert_eq!(request.texts.unwrap().label_of_class, [Some(0), Some(1)]);
}

#[test]
fn labels_are_exported_as_they_answer() {
    let mut app = App::with_project(6);
    app.embed_all();
    assert!(Action::ExportZeroShot.availability(&app.state).is_err());
    app.type_labels("wasp");
    let (id, request) = app.take_zero_shot();
    app.answer(id, &request, 6);
    assert_eq!(Action::ExportZeroShot.availability(&app.state), Err("A classifier needs two labels or more"));
    app.type_labels("wasp\nant");
    let (id, request) = app.take_zero_shot();
    app.answer(id, &request, 6);
    app.do_it(Command::Act(Action::ExportZeroShot));
    let (_, request) = app.take(|r| matches!(r, JobRequest::Export(ExportRequest::Head(_))));
    let JobRequest::Export(ExportRequest::Head(export)) = request else { unreachable!() };
    assert_eq!(export.head.trained.head.classes().names(), ["wasp", "ant"]);
    assert_eq!(export.head.trained.head.kind(), HeadKind::ZeroShot);
    assert_eq!((export.shown.len(), export.n_train_per_class), (6, vec![0, 0]));
    assert!(parse("wasp\nant").is_ok());
}

#[test]
fn a_label_of_several_classes_takes_nothing_by_chance() {
    let mut app = App::with_project(6);
    app.embed_all();
    app.do_it(Command::Label { images: Target::Images((2..6).map(ImageId).collect()), class: None });
    app.type_labels("ant=insect\nbee=insect\nstone | wasp");
    let (id, request) = app.take_zero_shot();
    app.answer(id, &request, 6);
    app.do_it(Command::SetShare(1.0));
    let group = &app.zero_shot().groups[0];
    assert!(group.is_ambiguous() && group.taken.is_empty() && group.classes.len() == 2);
    // A class that is called like another description of a label is that label's.
    app.do_it(Command::AddClass("wasps".into()));
    app.do_it(Command::SortByLabel(None));
    app.do_it(Command::SetShare(1.0));
    app.do_it(Command::Act(Action::UseAsClasses));
    assert_eq!((app.class_of(3), app.class_of(4)), (Some("wasps"), None));
    assert_eq!(app.project().counts.n_guessed, 2);
}

#[test]
fn taking_back_what_a_notice_tells_of_leaves_what_is_typed() {
    let mut app = App::with_project(20);
    app.embed_all();
    app.do_it(Command::Label { images: Target::Images((0..10).map(ImageId).collect()), class: None });
    app.type_labels("ant\nwasp");
    let (id, request) = app.take_zero_shot();
    app.answer(id, &request, 20);
    app.do_it(Command::Act(Action::UseAsClasses));
    assert!(app.class_of(0).is_some());
    app.type_labels("ant\nwasp\nb");
    assert!(Action::Undo.full_label(&app.state).contains("edit the labels"));
    app.do_it(Command::TakeBack);
    assert_eq!((app.class_of(0), app.zero_shot().text.as_str()), (None, "ant\nwasp\nb"));
    // What was undone cannot be made again over what was typed since.
    assert!(Action::Redo.availability(&app.state).is_err());
    app.do_it(Command::Act(Action::Redo));
    assert_eq!((app.class_of(0), app.zero_shot().text.as_str()), (None, "ant\nwasp\nb"));
    app.do_it(Command::Act(Action::Undo));
    assert_eq!(app.zero_shot().text, "ant\nwasp");
}

#[test]
fn answers_stay_where_only_their_figures_are_cancelled() {
    let mut app = App::with_project(6);
    app.embed_all();
    app.type_labels("wasp\nant");
    let (id, request) = app.take_zero_shot();
    app.data_only(id, &request, 6);
    assert!(app.zero_shot().is_judging());
    assert_eq!(Action::ExportZeroShot.availability(&app.state), Err("The figures are still being made"));
    app.do_it(Command::Act(Action::CancelWork));
    app.event(id, Body::Finished(Err(JobError::Cancelled)));
    assert!(app.zero_shot().error.is_none() && !app.zero_shot().is_judging());
    assert_eq!(Action::ExportZeroShot.availability(&app.state), Ok(()));
}

#[test]
fn studies_are_of_labelled_images_and_end_with_their_project() {
    let mut app = App::with_project(20);
    app.embed_all();
    app.do_it(Command::Label { images: Target::Images((0..4).map(ImageId).collect()), class: None });
    app.type_labels("ant\nbee");
    let (id, request) = app.take_zero_shot();
    app.answer(id, &request, 20);
    app.do_it(Command::SetShare(1.0));
    app.do_it(Command::Act(Action::UseAsClasses));
    assert_eq!(app.project().counts.n_guessed, 4);
    app.do_it(Command::Act(Action::ProbeLayers));
    assert_eq!(Action::ProbeLayers.availability(&app.state), Err("It is being compared"));
    let (id, request) = app.take(|r| matches!(r, JobRequest::Study(_)));
    let JobRequest::Study(request) = request else { unreachable!() };
    let StudyRequest::Probe { images, .. } = *request else { panic!("a probe") };
    assert_eq!((images.samples.len(), images.classes.names().len()), (16, 2), "guesses are no truth");
    let layer = |depth: f32, accuracy: f64| graft::workflow::probe::ProbedLayer {
        layer: format!("at {depth}"),
        block: None,
        depth,
        dims: vec![8],
        dim: 8,
        macs: None,
        n_params: 1,
        images_per_sec: 10.0,
        is_proposed: depth == 1.0,
        worth: graft::workflow::study::Worth {
            linear: Some(graft::metrics::Estimate { value: accuracy, ..Default::default() }),
            prototype: None,
            transfer: None,
        },
    };
    let outcome = graft::workflow::probe::ProbeOutcome {
        layers: vec![layer(0.5, 0.9), layer(1.0, 0.9)],
        classes: images.classes,
        n_train: 12,
        n_val: 4,
        skipped: Vec::new(),
        notes: Vec::new(),
    };
    assert_eq!(outcome.best(), Some(0), "of equal ones the one that costs less");
    let model = graft::jobs::ModelChoice::default();
    let probed = graft::jobs::Probed { model, session: images.session, revision: images.revision, outcome };
    app.finish(id, JobOutput::Probed(Box::new(probed)));
    assert!(app.project().probed().is_some());
    app.do_it(Command::ChooseLayer(Some("at 0.5".into())));
    assert!(app.project().probed().is_some(), "another layer is what they are probed for");
    app.do_it(Command::ChooseModel(Some("another".into())));
    assert!(app.project().probed().is_none(), "it was of the other model");
    app.do_it(Command::Act(Action::Undo));
    assert!(app.project().probed().is_some());

    // Guesses are confirmed, and then they count.
    let guessed: Vec<ImageId> = (0..4).map(ImageId).collect();
    app.do_it(Command::Select(SelectOp::Set { images: guessed, keep: false }));
    app.do_it(Command::Act(Action::ConfirmLabels));
    assert_eq!(app.project().counts.n_guessed, 0);
    assert_eq!(Action::ConfirmLabels.availability(&app.state), Err("No class is a guess"));
    app.do_it(Command::Act(Action::Undo));
    assert_eq!(app.project().counts.n_guessed, 4);

    // What another model is probed for ends with the choice.
    app.do_it(Command::Act(Action::ProbeLayers));
    assert!(app.state.studying().is_some());
    app.do_it(Command::ChooseModel(Some("another".into())));
    assert!(app.cancelled.contains(&LaneKind::Study));
    app.do_it(Command::Act(Action::CloseProject));
    assert_eq!(Action::ProbeLayers.availability(&app.state), Err("No project is open"));
}

#[test]
fn a_filter_from_elsewhere_is_shown_in_the_gallery_and_keys_act_where_images_are_seen() {
    let mut app = App::trained(12);
    for view in ImagesView::ALL {
        app.do_it(Command::ShowImages(view));
        assert_eq!((app.state.place, app.state.images_view), (Place::Images, view));
        let is_seen = matches!(view, ImagesView::Gallery | ImagesView::Map);
        assert_eq!(app.state.keys_act_on_images(), is_seen);
        assert_eq!(app.state.arrows_move_in_gallery(), view == ImagesView::Gallery);
    }
    app.do_it(Command::Look(Some(ImageId(3))));
    assert!(app.state.keys_act_on_images() && !app.state.arrows_move_in_gallery(), "opened from what is asked next");
    app.do_it(Command::ShowImages(ImagesView::Map));
    app.do_it(Command::Look(Some(ImageId(3))));
    assert!(app.state.arrows_move_in_gallery(), "in the large view");
    // The map stays while its images are filtered; from elsewhere the gallery is meant.
    app.do_it(Command::ShowImages(ImagesView::Map));
    let wrong = Filter { is_right: Some(false), ..Filter::default() };
    app.do_it(Command::SetFilter(wrong.clone()));
    assert_eq!(app.state.images_view, ImagesView::Map);
    app.do_it(Command::Act(Action::GoEvaluate));
    app.do_it(Command::SetFilter(wrong));
    app.do_it(Command::Go(Place::Images));
    assert_eq!(app.state.images_view, ImagesView::Gallery);
    app.do_it(Command::Act(Action::ShowRuns));
    assert_eq!((app.state.place, app.state.evaluate_view), (Place::Evaluate, EvaluateView::Runs));
}

#[test]
fn learning_curves_are_of_the_model_with_its_layer_and_say_what_would_help() {
    use graft::workflow::curve::CurveOutcome;
    let mut app = App::with_project(20);
    assert_eq!(Action::DrawHeadCurves.availability(&app.state), Ok(()), "they need no embeddings to be there");
    app.do_it(Command::Act(Action::DrawHeadCurves));
    assert_eq!((app.state.studying(), app.state.place), (Some(graft::app::Study::Curve), Place::Train));
    let (id, request) = app.take(|r| matches!(r, JobRequest::Study(_)));
    let JobRequest::Study(request) = request else { unreachable!() };
    let StudyRequest::Curve { images, model, texts, .. } = *request else { panic!("a curve") };
    assert_eq!((images.samples.len(), texts.labels.is_none()), (20, true), "names of classes where none are typed");
    app.fail(id, "there is no image to judge on");
    assert_eq!(app.project().studies.curve_error.as_deref(), Some("there is no image to judge on"));

    app.do_it(Command::Act(Action::DrawHeadCurves));
    assert_eq!(app.project().studies.curve_error, None);
    let (id, _) = app.take(|r| matches!(r, JobRequest::Study(_)));
    let outcome = CurveOutcome {
        classes: images.classes,
        n_train: 16.0,
        n_judged: 20,
        is_given: false,
        curves: Vec::new(),
        needs: Some(graft::workflow::curve::Needs {
            classes: vec![graft::workflow::curve::ClassNeed {
                class: "bee".into(),
                n_images: 8,
                recall: Some(0.7),
                f1: Some(0.7),
                per_doubling: None,
                gain: Some(graft::metrics::Estimate { value: 0.02, ..Default::default() }),
            }],
            stands_out: Some("bee".into()),
        }),
        transfer: None,
        skipped: Vec::new(),
        notes: Vec::new(),
    };
    let (session, revision) = (images.session, images.revision);
    let drawn = graft::jobs::DrawnCurve { model, session, revision, outcome };
    app.finish(id, JobOutput::DrawnCurve(Box::new(drawn)));
    assert!(app.project().drawn_curve().is_some());
    let says = |app: &App| {
        let advice = graft::app::insight::advice(app.project());
        advice.iter().any(|a| a.text.contains("bee most needs more images") && a.images.is_some())
    };
    assert!(says(&app));
    app.do_it(Command::Label { images: Target::Images(vec![ImageId(0)]), class: None });
    assert!(app.project().drawn_curve().is_some() && !says(&app), "shown as out of date, and no advice any more");
    app.do_it(Command::ChooseLayer(Some("another".into())));
    assert!(app.project().drawn_curve().is_none(), "it was of the other layer");
    app.do_it(Command::Act(Action::Undo));
    assert!(app.project().drawn_curve().is_some());
    // Another layer ends what is being drawn.
    app.do_it(Command::Act(Action::DrawHeadCurves));
    app.cancelled.clear();
    app.do_it(Command::ChooseLayer(Some("another".into())));
    assert!(app.cancelled.contains(&LaneKind::Study));
}
