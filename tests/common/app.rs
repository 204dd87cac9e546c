//! The application without a screen in a test: what it asks for is noted, and answered by the test.

#![allow(dead_code, clippy::unwrap_used, reason = "shared by several test binaries, each using a part")]

use std::collections::HashMap;
use std::time::Instant;

use graft::app::{Action, AppState, Command, Effect, OpenProject, Place, ScreenEffect, on_event, update};
use graft::jobs::{
    Body, EmbedRequest, FilesRequest, JobData, JobError, JobEvent, JobId, JobOutput, JobRequest, LaneKind,
    OpenedProject, ProjectRequest, Session, path_key,
};
use graft::project::runs::Runs;
use graft::project::{Class, ClassId, History, Image, ImageId, Project, RootId};
use graft::store::project::{Access, ProjectInfo, Write};

/// The application with what it has asked for.
#[derive(Default)]
pub struct App {
    pub state: AppState,
    pub asked: Vec<(JobId, JobRequest)>,
    pub cancelled: Vec<LaneKind>,
    pub screen: Vec<ScreenEffect>,
}

impl App {
    /// Ready to work, with a project of `n` images of the classes ant and bee in turn.
    pub fn with_project(n: usize) -> Self {
        Self::with(opened(n, Access::Writable))
    }

    /// Ready to work, with a project.
    pub fn with(opened: OpenedProject) -> Self {
        let mut app = Self::ready();
        app.do_it(Command::OpenProject("/p/pets.graft".into()));
        app.open(opened);
        app
    }

    pub fn ready() -> Self {
        let mut app = Self::default();
        app.do_it(Command::Go(Place::Images));
        let (id, _) = app.take(|r| matches!(r, JobRequest::Files(FilesRequest::LoadRuntime { .. })));
        app.finish(id, JobOutput::Runtime { path: "/lib/ort.so".into(), version: "1.31".into() });
        app
    }

    pub fn do_it(&mut self, command: Command) {
        let effects = update(&mut self.state, command);
        self.note(effects);
    }

    pub fn act(&mut self, action: Action) {
        self.do_it(Command::Act(action));
    }

    pub fn event(&mut self, id: JobId, body: Body) {
        let effects = on_event(&mut self.state, JobEvent { id, at: Instant::now(), body });
        self.note(effects);
    }

    pub fn finish(&mut self, id: JobId, output: JobOutput) {
        self.event(id, Body::Finished(Ok(output)));
    }

    pub fn fail(&mut self, id: JobId, summary: &str) {
        self.event(id, Body::Finished(Err(JobError::Failed { summary: summary.into(), details: None })));
    }

    /// Answers the request for a project, opened or new.
    pub fn open(&mut self, mut opened: OpenedProject) {
        let is_it = |r: &JobRequest| {
            matches!(r, JobRequest::Project(ProjectRequest::Open { .. } | ProjectRequest::Create { .. }))
        };
        let (id, request) = self.take(is_it);
        if let JobRequest::Project(ProjectRequest::Open { session, .. } | ProjectRequest::Create { session, .. }) =
            request
        {
            opened.session = session;
        }
        self.finish(id, JobOutput::Opened(Box::new(opened)));
    }

    fn note(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Job(id, request) => self.asked.push((id, request)),
                Effect::Cancel(lane) => self.cancelled.push(lane),
                Effect::Screen(effect) => self.screen.push(effect),
                Effect::ForgetEmbeddings => {}
            }
        }
    }

    /// The first request of this kind, which is no longer waiting then.
    pub fn take(&mut self, is_it: impl Fn(&JobRequest) -> bool) -> (JobId, JobRequest) {
        let idx = self.asked.iter().position(|(_, r)| is_it(r)).unwrap_or_else(|| panic!("among {:?}", self.asked));
        self.asked.remove(idx)
    }

    pub fn asks(&self, is_it: impl Fn(&JobRequest) -> bool) -> bool {
        self.asked.iter().any(|(_, r)| is_it(r))
    }

    /// Everything that is written to the project file, confirmed.
    pub fn writes(&mut self) -> Vec<Write> {
        let mut all = Vec::new();
        while self.asks(is_write) {
            let (id, request) = self.take(is_write);
            let JobRequest::Project(ProjectRequest::Write { writes, .. }) = request else { unreachable!() };
            all.extend(writes);
            self.finish(id, JobOutput::Done);
        }
        all
    }

    pub fn take_embed(&mut self) -> (JobId, EmbedRequest) {
        let (id, request) = self.take(|r| matches!(r, JobRequest::Embed(_)));
        let JobRequest::Embed(request) = request else { unreachable!() };
        (id, request)
    }

    pub fn embed_all(&mut self) {
        let (id, request) = self.take_embed();
        let rows = request.images.iter().map(|(id, _)| (*id, hash(id.0), id.0)).collect();
        self.event(id, Body::Data(JobData::Embedded { epoch: request.epoch, rows, skipped: Vec::new() }));
        self.finish(id, JobOutput::Embedded { n_embedded: request.images.len(), n_cached: 0, ran_on: None, secs: 1.0 });
    }

    /// Fits end without a head, where heads are no matter.
    pub fn end_fits(&mut self) {
        while self.asks(|r| matches!(r, JobRequest::Fit(_))) {
            let (id, _) = self.take(|r| matches!(r, JobRequest::Fit(_)));
            self.fail(id, "No head.");
        }
    }

    pub fn project(&self) -> &OpenProject {
        self.state.project.as_ref().unwrap()
    }

    pub fn class_of(&self, id: u32) -> Option<&str> {
        let project = self.project();
        Some(&project.data.class(project.data.image(ImageId(id)).unwrap().class?).unwrap().name)
    }
}

pub fn is_write(request: &JobRequest) -> bool {
    matches!(request, JobRequest::Project(ProjectRequest::Write { .. }))
}

/// A content hash that tells images apart.
pub fn hash(i: u32) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&i.to_le_bytes());
    hash
}

/// A project of `n` images of the classes ant and bee in turn.
pub fn opened(n: usize, access: Access) -> OpenedProject {
    let class = |name: &str, colour| Some(Class { name: name.into(), colour });
    opened_of(n, access, vec![class("ant", 0), class("bee", 1)], |i| Some(ClassId::from(i % 2)))
}

/// A project of `n` images of these classes.
pub fn opened_of(
    n: usize,
    access: Access,
    classes: Vec<Option<Class>>,
    class_of: impl Fn(usize) -> Option<ClassId>,
) -> OpenedProject {
    let image = |i: usize| Image {
        root: RootId(0),
        rel: format!("{i}.png").into(),
        hash: None,
        class: class_of(i),
        split: None,
        is_present: true,
        skipped: None,
        is_guessed: false,
    };
    let images = (0..n).map(image).collect();
    let project = Project { roots: vec!["/images".into()], images, classes, ..Project::default() };
    let id_of_path: HashMap<_, _> =
        (0..n).map(ImageId::from).map(|id| (path_key(&project.path(id).unwrap()), id)).collect();
    OpenedProject {
        session: Session::default(),
        path: "/p/pets.graft".into(),
        project,
        history: History::default(),
        heads: Vec::new(),
        runs: Runs::default(),
        access,
        info: ProjectInfo::default(),
        id_of_path,
        is_new: false,
    }
}
