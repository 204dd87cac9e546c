//! What the application knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use super::command::DropInto;
use super::command::Effect;
use super::notices::Notices;
use super::project::OpenProject;
use super::study::Study;
use super::views::{EvaluateView, ImagesView};
use crate::backbone::provider::Provider;
use crate::head::HeadKind;
use crate::jobs::{
    Inspected, JobId, JobRequest, LaneKind, ModelCard, ModelChoice, NewFolder, Peek, ProjectRequest, Session,
};
use crate::progress::Stage;
use crate::project::ClassId;
use crate::store::settings::AppSettings;
use crate::workflow::providers::SelfTest;

/// The places of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Backbones.
    Model,
    /// Images and classes.
    #[default]
    Images,
    /// Heads.
    Train,
    /// Mistakes, thresholds, predictions.
    Evaluate,
    /// Labels that are typed.
    ZeroShot,
    /// Exports.
    Export,
}

impl Place {
    /// In the order of the rail.
    pub const ALL: [Self; 6] = [Self::Model, Self::Images, Self::Train, Self::Evaluate, Self::ZeroShot, Self::Export];

    /// The word on the rail.
    pub fn label(self) -> &'static str {
        match self {
            Self::Model => "Model",
            Self::Images => "Images",
            Self::Train => "Train",
            Self::Evaluate => "Evaluate",
            Self::ZeroShot => "Zero-shot",
            Self::Export => "Export",
        }
    }
}

/// ONNX Runtime, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RuntimeState {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// It is being loaded.
    Loading,
    /// It is there.
    Ready {
        /// The library.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// It is not.
    Missing {
        /// What was tried, in a sentence.
        details: String,
    },
}

/// Why images wait to be embedded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmbedPause {
    /// The user ended it.
    Cancelled,
    /// It failed.
    Failed(String),
}

/// What is known of models.
#[derive(Clone, Debug, Default)]
pub struct ModelsState {
    /// The installed models; `None` until they have been looked for.
    pub cards: Option<Vec<ModelCard>>,
    /// The model that was looked into last.
    pub inspected: Option<Box<Inspected>>,
    /// The choice that the last look was about, and why it failed.
    pub inspect_error: Option<(ModelChoice, String)>,
    /// Why the installed models could not be listed.
    pub list_error: Option<String>,
    /// The last self-test of each provider.
    pub self_tests: BTreeMap<&'static str, SelfTest>,
    /// The provider that is being tested.
    pub testing: Option<Provider>,
    /// Imported models stay where they are.
    pub imports_in_place: bool,
}

/// A job that runs or waits.
#[derive(Clone, Debug)]
pub struct Activity {
    /// Which.
    pub id: JobId,
    /// Where.
    pub lane: LaneKind,
    /// What it is doing.
    pub stage: Option<Stage>,
    /// Items done.
    pub n_done: usize,
    /// Of how many; 0 while it is not known.
    pub n_total: usize,
    /// When its stage began to make progress, and how many items were done then.
    pub since: Option<(Instant, usize)>,
    /// When it was last heard of.
    pub at: Option<Instant>,
}

impl Activity {
    /// Items a second, once there is something to go by.
    pub fn rate(&self) -> Option<f64> {
        let (since, n_before) = self.since?;
        let secs = self.at?.duration_since(since).as_secs_f64();
        let n = self.n_done.saturating_sub(n_before);
        (secs > 0.5 && n > 0).then(|| n as f64 / secs)
    }

    /// Seconds until it is done, at the rate so far.
    pub fn secs_left(&self) -> Option<f64> {
        let left = self.n_total.checked_sub(self.n_done).filter(|_| self.n_total > 0)?;
        Some(left as f64 / self.rate()?)
    }
}

/// What a job was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// A quick look at what hovers.
    Peek,
    /// To add (or answer on) what was dropped.
    Drop {
        /// What was aimed at.
        into: DropInto,
        /// The class whose images were shown.
        shown: Option<ClassId>,
        /// The project that was open.
        session: Option<Session>,
    },
    /// The sample images, for a project of their own.
    Sample,
    /// To open or make a project.
    Open,
    /// To write the project.
    Write {
        /// Which.
        session: Session,
    },
    /// To close a project.
    Close,
    /// To keep the settings.
    Settings,
    /// A copy of the project.
    Copy,
    /// Embeddings.
    Embed {
        /// The choice of model.
        epoch: u64,
    },
    /// Heads.
    Fit {
        /// The project's revision.
        revision: u64,
    },
    /// Answers on images outside the project.
    Predict {
        /// The choice of model.
        epoch: u64,
        /// The choice of head.
        head: Option<HeadKind>,
    },
    /// Answers on images of none of the classes.
    Strangers {
        /// Of which opening of a project.
        session: Session,
    },
    /// Images scored by labels.
    ZeroShot {
        /// The choice of model.
        epoch: u64,
        /// The number of the request.
        number: u64,
    },
    /// A learning curve.
    Curve {
        /// The choice of model.
        epoch: u64,
    },
    /// Faults in the data.
    Check {
        /// Of which opening of a project.
        session: Session,
    },
    /// An export.
    Export {
        /// The choice of model.
        epoch: u64,
        /// The project's revision.
        revision: u64,
    },
    /// A table or sorted copies of predictions.
    Predictions,
    /// A report.
    Report {
        /// Of which opening of a project.
        session: Session,
    },
    /// The installed models.
    ListModels,
    /// A look into a model.
    Inspect(ModelChoice),
    /// An import.
    Import,
    /// Layers or models are compared.
    Study {
        /// Which.
        study: Study,
        /// Of which opening of a project.
        session: Session,
    },
    /// The map of the images.
    Map {
        /// The choice of model.
        epoch: u64,
        /// The number of the request.
        number: u64,
        /// It is laid out, rather than only begun or added to.
        lays_out: bool,
    },
    /// The order of what is labelled next.
    Next {
        /// The choice of model.
        epoch: u64,
        /// The project's revision.
        revision: u64,
    },
    /// The training images that an image is most like.
    Near {
        /// Of which opening of a project.
        session: Session,
    },
    /// Where the model looks.
    Occlude {
        /// Of which opening of a project.
        session: Session,
    },
    /// A self-test.
    SelfTest(Provider),
    /// ONNX Runtime.
    Runtime,
    /// A folder that is gone.
    FindRoot {
        /// Of which project.
        session: Session,
    },
}

/// Images that wait for their project to be made.
#[derive(Debug)]
pub(super) struct PendingAdd {
    /// The job that makes it.
    pub(super) job: JobId,
    pub(super) folders: Vec<NewFolder>,
    /// They are the sample.
    pub(super) is_sample: bool,
}

/// What the application knows.
#[derive(Debug, Default)]
pub struct AppState {
    /// The place that is shown.
    pub place: Place,
    /// What the Images place shows.
    pub images_view: ImagesView,
    /// What the Evaluate place shows.
    pub evaluate_view: EvaluateView,
    /// The open project; the start screen is shown without.
    pub project: Option<OpenProject>,
    /// What is known of models.
    pub models: ModelsState,
    /// ONNX Runtime.
    pub runtime: RuntimeState,
    /// Jobs that run or wait, oldest first.
    pub activities: Vec<Activity>,
    /// What there is to tell.
    pub notices: Notices,
    /// What is remembered from one time to the next.
    pub settings: AppSettings,
    /// What hovers over the window: the paths, and what they are once that is known.
    pub hover: Option<(Vec<PathBuf>, Option<Peek>)>,
    /// Images that wait for their project to be made.
    pub(super) pending_adds: Vec<PendingAdd>,
    /// What the jobs in flight were asked for.
    pub(super) purposes: BTreeMap<JobId, Purpose>,
    pub(super) last_job: u64,
    /// Counts openings of projects.
    pub(super) last_session: u64,
    /// Counts choices of model over the life of the program, so that rows of different ones are never mixed.
    pub(super) last_epoch: u64,
    /// Writes that are not yet confirmed.
    pub(super) n_unsaved: usize,
    /// Lanes whose work the user has ended, until it has.
    pub(super) ended: BTreeSet<LaneKind>,
    /// Why the last write failed, until one succeeds.
    pub save_error: Option<String>,
}

impl AppState {
    /// A fresh start with these settings.
    pub fn new(settings: AppSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Where models run: as the user chose, else whatever works best.
    pub fn provider(&self) -> Provider {
        let chosen = self.settings.provider.as_deref();
        Provider::ALL.into_iter().find(|p| Some(p.label()) == chosen).unwrap_or(Provider::Auto)
    }

    /// Asks for work.
    pub(super) fn job(&mut self, request: JobRequest, purpose: Purpose, effects: &mut Vec<Effect>) -> JobId {
        self.last_job += 1;
        let id = JobId(self.last_job);
        let lane = request.lane();
        if let Purpose::Write { .. } = purpose {
            self.n_unsaved += 1;
        } else if !matches!(purpose, Purpose::Peek | Purpose::Settings | Purpose::Close) {
            self.activities.push(Activity { id, lane, stage: None, n_done: 0, n_total: 0, since: None, at: None });
        }
        self.purposes.insert(id, purpose);
        effects.push(Effect::Job(id, request));
        id
    }

    /// Asks for the settings to be kept.
    pub(super) fn save_settings(&mut self, effects: &mut Vec<Effect>) {
        let request = ProjectRequest::SaveSettings(Box::new(self.settings.clone()));
        self.job(JobRequest::Project(request), Purpose::Settings, effects);
    }

    /// What to call the next opening of a project.
    pub(super) fn next_session(&mut self) -> Session {
        self.last_session += 1;
        Session(self.last_session)
    }

    /// The opening of the project that is shown.
    pub(super) fn session(&self) -> Option<Session> {
        self.project.as_ref().map(|p| p.session)
    }

    /// The job that a lane is at, if any.
    pub fn activity(&self, lane: LaneKind) -> Option<&Activity> {
        self.activities.iter().find(|a| a.lane == lane)
    }

    /// Whether a job of this purpose runs or waits.
    pub fn is_busy_with(&self, is_it: impl Fn(&Purpose) -> bool) -> bool {
        self.purposes.values().any(is_it)
    }

    /// Whether everything that was changed is in the project file.
    pub fn is_saved(&self) -> bool {
        self.n_unsaved == 0 && self.save_error.is_none()
    }

    /// Whether nothing runs or waits, writes included.
    pub fn is_idle(&self) -> bool {
        self.purposes.is_empty()
    }
}
