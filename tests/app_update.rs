//! The application without a screen: commands and events in, state and effects out.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use graft::app::gallery::{ClassFilter, Filter, SelectOp, SortBy};
use graft::app::{Action, AppState, Command, DropInto, Effect, Place, RuntimeState, Target, drops, on_event, update};
use graft::classes::{ClassIdx, ClassSet};
use graft::dataset::Split;
use graft::embedding::{EmbeddingSpace, Embeddings};
use graft::head::{HeadKind, TrainConfig};
use graft::jobs::{
    Body, DropKind, ExportRequest, FilesRequest, FitOutput, FittedHead, JobData, JobError, JobEvent, JobId, JobOutput,
    JobRequest, LaneKind, NewFolder, NewImage, OpenedProject, Peek, Prediction, ProjectRequest, Scanned, path_key,
};
use graft::progress::CancelToken;
use graft::project::{Class, ClassId, History, Image, ImageId, Project, RootId};
use graft::store::project::{Access, ProjectInfo, ReadOnlyReason, Write};
use graft::workflow::train::{FitData, LabelledEmbeddings, fit_head};

/// The application with what it has asked for.
#[derive(Default)]
struct App {
    state: AppState,
    asked: Vec<(JobId, JobRequest)>,
    cancelled: Vec<LaneKind>,
}

impl App {
    /// Ready to work, with a project of `n` images of the classes ant and bee in turn.
    fn with_project(n: usize) -> Self {
        let mut app = Self::ready();
        app.do_it(Command::OpenProject("/p/pets.graft".into()));
        let id = app.take(|r| matches!(r, JobRequest::Project(ProjectRequest::Open(_)))).0;
        app.finish(id, JobOutput::Opened(Box::new(opened(n, Access::Writable))));
        app
    }

    fn ready() -> Self {
        let mut app = Self::default();
        app.do_it(Command::Go(Place::Images));
        let (id, _) = app.take(|r| matches!(r, JobRequest::Files(FilesRequest::LoadRuntime { .. })));
        app.finish(id, JobOutput::Runtime { path: "/lib/ort.so".into(), version: "1.31".into() });
        app
    }

    /// And with everything embedded and fitted: the head is wrong on image 0 and 1.
    fn trained(n: usize) -> Self {
        let mut app = Self::with_project(n);
        app.embed_all();
        app.fit_now();
        app
    }

    fn do_it(&mut self, command: Command) {
        let effects = update(&mut self.state, command);
        self.note(effects);
    }

    fn event(&mut self, id: JobId, body: Body) {
        let effects = on_event(&mut self.state, JobEvent { id, at: Instant::now(), body });
        self.note(effects);
    }

    fn finish(&mut self, id: JobId, output: JobOutput) {
        self.event(id, Body::Finished(Ok(output)));
    }

    fn note(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Job(id, request) => self.asked.push((id, request)),
                Effect::Cancel(lane) => self.cancelled.push(lane),
                Effect::Screen(_) => {}
            }
        }
    }

    /// The first request of this kind, which is no longer waiting then.
    fn take(&mut self, is_it: impl Fn(&JobRequest) -> bool) -> (JobId, JobRequest) {
        let idx = self.asked.iter().position(|(_, r)| is_it(r)).unwrap_or_else(|| panic!("among {:?}", self.asked));
        self.asked.remove(idx)
    }

    fn asks(&self, is_it: impl Fn(&JobRequest) -> bool) -> bool {
        self.asked.iter().any(|(_, r)| is_it(r))
    }

    /// Everything that is written to the project file, confirmed.
    fn writes(&mut self) -> Vec<Write> {
        let mut all = Vec::new();
        while self.asks(|r| matches!(r, JobRequest::Project(ProjectRequest::Write(_)))) {
            let (id, request) = self.take(|r| matches!(r, JobRequest::Project(ProjectRequest::Write(_))));
            let JobRequest::Project(ProjectRequest::Write(writes)) = request else { unreachable!() };
            all.extend(writes);
            self.finish(id, JobOutput::Done);
        }
        all
    }

    fn embed_all(&mut self) {
        let (id, request) = self.take(|r| matches!(r, JobRequest::Embed(_)));
        let JobRequest::Embed(request) = request else { unreachable!() };
        let rows = request.images.iter().map(|(id, _)| (*id, hash(id.0), id.0)).collect();
        self.event(id, Body::Data(JobData::Embedded { epoch: request.epoch, rows, skipped: Vec::new() }));
        self.finish(id, JobOutput::Embedded { n_embedded: request.images.len(), n_cached: 0, secs: 1.0 });
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
                Prediction { class: ((row + wrong) % 2) as u32, confidence: 0.5 + 0.4 * (row % 10) as f32 / 10.0 }
            })
            .collect();
        let heads =
            HeadKind::ALL.map(|kind| FittedHead { judged: judged(kind), predictions: Arc::clone(&predictions) });
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
                secs: 0.1,
            })),
        );
    }

    fn project(&self) -> &graft::app::OpenProject {
        self.state.project.as_ref().unwrap()
    }

    fn class_of(&self, id: u32) -> Option<&str> {
        let project = self.project();
        Some(&project.data.class(project.data.image(ImageId(id)).unwrap().class?).unwrap().name)
    }

    fn notices(&self) -> Vec<&str> {
        self.state.notices.iter().map(|n| n.text.as_str()).collect()
    }
}

fn hash(i: u32) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&i.to_le_bytes());
    hash
}

fn opened(n: usize, access: Access) -> OpenedProject {
    let image = |i: usize| Image {
        root: RootId(0),
        rel: format!("{i}.png").into(),
        hash: None,
        class: Some(ClassId::from(i % 2)),
        split: None,
        is_present: true,
        skipped: None,
    };
    let class = |name: &str, colour| Some(Class { name: name.into(), colour });
    let project = Project {
        roots: vec!["/images".into()],
        images: (0..n).map(image).collect(),
        classes: vec![class("ant", 0), class("bee", 1)],
        ..Project::default()
    };
    let id_of_path: HashMap<_, _> =
        (0..n).map(ImageId::from).map(|id| (path_key(&project.path(id).unwrap()), id)).collect();
    OpenedProject {
        path: "/p/pets.graft".into(),
        project,
        history: History::default(),
        heads: Vec::new(),
        access,
        info: ProjectInfo::default(),
        id_of_path,
        is_new: false,
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
    let (id, request) = app.take(|r| matches!(r, JobRequest::Project(ProjectRequest::Create { .. })));
    assert!(matches!(&request, JobRequest::Project(ProjectRequest::Create { name, .. }) if name == "pets"));
    let mut empty = opened(0, Access::Writable);
    (empty.project.classes, empty.project.roots, empty.is_new) = (Vec::new(), Vec::new(), true);
    app.finish(id, JobOutput::Opened(Box::new(empty)));

    assert_eq!((app.project().counts.n_images, app.project().data.sorted_classes().len()), (4, 2));
    assert_eq!((app.class_of(0), app.class_of(3)), (Some("ant"), Some("bee")));
    let writes = app.writes();
    assert!(
        matches!(&writes[..], [Write::AddRoot { .. }, Write::AddImages { images, .. }, Write::Did(_)] if images.len() == 4)
    );
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
    assert!(!Arc::ptr_eq(&before, app.project().live.fit.as_ref().unwrap()));
    assert!(!app.asks(is_fit), "nothing more to do");
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
    let (id, _) = app.take(|r| matches!(r, JobRequest::Project(ProjectRequest::Open(_))));
    let access = Access::ReadOnly { why: ReadOnlyReason::OpenElsewhere };
    app.finish(id, JobOutput::Opened(Box::new(opened(4, access))));
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
    let (id, _) = app.take(|r| matches!(r, JobRequest::Project(ProjectRequest::Open(_))));
    app.finish(id, JobOutput::Opened(Box::new(opened(4, Access::Writable))));
    assert!(!app.asks(is_embed));
    app.do_it(Command::ChooseRuntime("/opt/ort.so".into()));
    let (id, request) = app.take(|r| matches!(r, JobRequest::Files(FilesRequest::LoadRuntime { .. })));
    assert!(
        matches!(request, JobRequest::Files(FilesRequest::LoadRuntime { chosen: Some(p) }) if p.ends_with("ort.so"))
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
    app.do_it(Command::SetThreshold(Some(0.6)));
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
        app.take(|r| matches!(r, JobRequest::Project(ProjectRequest::Write(_)))).0
    };
    let id = label(&mut app, None);
    assert!(!app.state.is_saved());
    app.event(id, Body::Finished(Err(JobError::Failed { summary: "The disk is full.".into(), details: None })));
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
    let skipped = vec![(ImageId(2), "the file is empty".to_owned())];
    app.event(id, Body::Data(JobData::Embedded { epoch: request.epoch, rows: Vec::new(), skipped }));
    app.finish(id, JobOutput::Embedded { n_embedded: 0, n_cached: 0, secs: 0.0 });
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
