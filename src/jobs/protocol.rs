//! What goes to the lanes and what comes back.

use std::any::Any;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::backbone::provider::Provider;
use crate::classes::ClassSet;
use crate::dataset::Split;
use crate::export::bundle::Contents;
use crate::export::describe::Meta;
use crate::head::{HeadKind, TrainedHead, UnknownRule};
use crate::image::spec::PreprocessSpec;
use crate::metrics::Report;
use crate::progress::Stage;
use crate::project::runs::{Run, Runs};
use crate::project::{ClassId, History, ImageId, Project, RootId};
use crate::store::project::{Access, ProjectInfo, StoredHead, Write};
use crate::store::settings::AppSettings;
use crate::workflow::few_shot::CurvePoint;
use crate::workflow::import::Imported;
use crate::workflow::predict::Predictions;
use crate::workflow::providers::SelfTest;
use crate::workflow::sort::SortOutcome;
use crate::workflow::train::JudgedHead;
use crate::workflow::zero_shot::{ClassTexts, DescriptionEffect};

pub use super::lane_kind::LaneKind;
pub use super::protocol_check::*;
pub use super::protocol_files::*;
pub use super::protocol_map::*;
pub use super::protocol_next::*;
pub use super::protocol_report::*;
pub use super::protocol_study::*;
pub use super::protocol_text::*;

/// A job, numbered by whoever asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// Which features: a backbone, its layer, its preprocessing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelChoice {
    /// An installed model's name or a path; the starter model without.
    pub model: Option<String>,
    /// Layer; the model's own choice without.
    pub layer: Option<String>,
    /// The user's own preprocessing; the model's without.
    pub preprocess: Option<PreprocessSpec>,
}

/// A piece of work.
#[derive(Clone, Debug)]
pub enum JobRequest {
    /// For [`LaneKind::Files`].
    Files(FilesRequest),
    /// For [`LaneKind::Embed`].
    Embed(EmbedRequest),
    /// For [`LaneKind::Fit`].
    Fit(Box<FitRequest>),
    /// For [`LaneKind::Predict`].
    Predict(PredictRequest),
    /// For [`LaneKind::Strangers`].
    Strangers(PredictRequest),
    /// For [`LaneKind::Text`].
    Text(TextRequest),
    /// For [`LaneKind::Study`].
    Study(Box<StudyRequest>),
    /// For [`LaneKind::Map`].
    Map(Box<MapRequest>),
    /// For [`LaneKind::Next`].
    Next(Box<NextRequest>),
    /// For [`LaneKind::Explain`].
    Explain(Box<ExplainRequest>),
    /// For [`LaneKind::Check`].
    Check(Box<CheckRequest>),
    /// For [`LaneKind::Export`].
    Export(ExportRequest),
    /// For [`LaneKind::Project`].
    Project(ProjectRequest),
}

impl JobRequest {
    /// The thread that does it.
    pub fn lane(&self) -> LaneKind {
        match self {
            Self::Files(_) => LaneKind::Files,
            Self::Embed(_) => LaneKind::Embed,
            Self::Fit(_) => LaneKind::Fit,
            Self::Predict(_) => LaneKind::Predict,
            Self::Strangers(_) => LaneKind::Strangers,
            Self::Text(_) => LaneKind::Text,
            Self::Study(_) => LaneKind::Study,
            Self::Map(_) => LaneKind::Map,
            Self::Next(_) => LaneKind::Next,
            Self::Explain(_) => LaneKind::Explain,
            Self::Check(_) => LaneKind::Check,
            Self::Export(_) => LaneKind::Export,
            Self::Project(_) => LaneKind::Project,
        }
    }
}

/// Images to be embedded.
#[derive(Clone, Debug)]
pub struct EmbedRequest {
    /// Which choice of model it is, for [`super::table::Table`].
    pub epoch: u64,
    /// The model.
    pub model: ModelChoice,
    /// Where it runs.
    pub provider: Provider,
    /// The images.
    pub images: Vec<(ImageId, PathBuf)>,
}

/// Heads to be fitted.
#[derive(Clone, Debug)]
pub struct FitRequest {
    /// The project's revision.
    pub revision: u64,
    /// Which choice of model the rows belong to.
    pub epoch: u64,
    /// Classes in order.
    pub classes: Vec<(ClassId, String)>,
    /// Labelled images with an embedding.
    pub images: Vec<FitImage>,
    /// Part of a class's images that is split off, 0..1.
    pub val_fraction: f64,
    /// Seed of the split and of the bootstrap.
    pub seed: u64,
    /// Heads to go on from, for an answer at once; without them settings are chosen anew.
    pub before: Option<HeadsBefore>,
    /// Texts that a text head starts from, where every class has one.
    pub texts: Option<FitTexts>,
}

/// Texts that a text head starts from.
#[derive(Clone, Debug)]
pub struct FitTexts {
    /// Labels with their embeddings.
    pub texts: Arc<ClassTexts>,
    /// For each class of the request, its label.
    pub label_of_class: Vec<Option<usize>>,
}

/// Heads of the data before a change.
#[derive(Clone, Debug)]
pub struct HeadsBefore {
    /// Their classes in order.
    pub class_ids: Vec<ClassId>,
    /// One of each kind.
    pub heads: Vec<TrainedHead>,
}

/// A labelled image as the fit sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FitImage {
    /// Which.
    pub id: ImageId,
    /// Its row in the table.
    pub row: u32,
    /// Its class: index into the request's classes.
    pub class: u32,
    /// The split that it is given; `None` leaves it to Graft.
    pub split: Option<Split>,
    /// Its class is a guess: it may be trained on, and never judged on.
    pub is_guessed: bool,
}

/// What a head says of a row of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The most probable class: index into the fit's classes.
    pub class: u32,
    /// Its calibrated probability.
    pub confidence: f32,
    /// Distance to the nearest class; not a number where none is measured.
    pub distance: f32,
}

impl Prediction {
    /// The distance, where one is measured.
    pub fn distance(&self) -> Option<f32> {
        Some(self.distance).filter(|d| !d.is_nan())
    }
}

/// An image that repeats another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Left out.
    pub id: ImageId,
    /// The one that stays.
    pub of: ImageId,
    /// Whether the other has another class.
    pub is_conflict: bool,
    /// Whether they were given different splits: training would have seen what is judged on.
    pub is_leak: bool,
}

/// Fitted heads.
#[derive(Clone, Debug)]
pub struct FitOutput {
    /// The revision that was asked for.
    pub revision: u64,
    /// The choice of model.
    pub epoch: u64,
    /// Classes with training images, in order: those of the heads.
    pub class_ids: Vec<ClassId>,
    /// The heads, linear first.
    pub heads: Vec<FittedHead>,
    /// The split of every image that took part.
    pub splits: Vec<(ImageId, Split)>,
    /// Images left out because they repeat others.
    pub duplicates: Vec<Duplicate>,
    /// Classes without training images.
    pub classes_without: Vec<ClassId>,
    /// Training images that were not used, because there are more than are fitted on while one works.
    pub n_beyond: usize,
    /// Whether the validation images were given rather than split off.
    pub val_is_given: bool,
    /// Whether settings were chosen on these data, rather than before the last change of them.
    pub is_chosen_anew: bool,
    /// The heads as runs, where settings were chosen on these data; without identifiers and the model's name.
    pub runs: Vec<Run>,
    /// Duration in seconds.
    pub secs: f64,
}

/// A head with its figures and its answers.
#[derive(Clone, Debug)]
pub struct FittedHead {
    /// The head.
    pub judged: Arc<JudgedHead>,
    /// Answers on the rows of the table, as many as there were.
    pub predictions: Arc<[Prediction]>,
}

impl FittedHead {
    /// Its kind.
    pub fn kind(&self) -> HeadKind {
        self.judged.trained.head.kind()
    }
}

/// Images to answer on.
#[derive(Clone, Debug)]
pub struct PredictRequest {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// The model that the head was trained on.
    pub model: ModelChoice,
    /// Where it runs.
    pub provider: Provider,
    /// The head.
    pub head: Arc<JudgedHead>,
    /// When the answer is "unknown".
    pub rule: UnknownRule,
}

/// Writing things for elsewhere.
#[derive(Clone, Debug)]
pub enum ExportRequest {
    /// An export of a head.
    Head(Box<HeadExport>),
    /// A table of predictions.
    Csv {
        /// The file.
        path: PathBuf,
        /// What is written.
        predictions: Arc<Predictions>,
    },
    /// Copies of predicted images, one folder a class.
    Sort {
        /// The folder.
        dir: PathBuf,
        /// What is copied.
        predictions: Arc<Predictions>,
    },
    /// A report of the heads.
    Report(Box<ReportRequest>),
    /// Whether a provider gives the CPU's answers, and how fast.
    SelfTest {
        /// The model.
        model: ModelChoice,
        /// The provider.
        provider: Provider,
    },
}

/// An export of a head.
#[derive(Clone, Debug)]
pub struct HeadExport {
    /// The folder.
    pub dir: PathBuf,
    /// Which files.
    pub contents: Contents,
    /// The choice of model that the rows belong to.
    pub epoch: u64,
    /// The model.
    pub model: ModelChoice,
    /// The head.
    pub head: Arc<JudgedHead>,
    /// When the answer is "unknown".
    pub rule: UnknownRule,
    /// Images that the proof is made on: file and row.
    pub shown: Vec<(PathBuf, u32)>,
    /// Their classes: indices into the head's.
    pub shown_classes: Vec<u32>,
    /// Training images a class, in the head's order.
    pub n_train_per_class: Vec<usize>,
    /// Validation images a class, in the head's order.
    pub n_val_per_class: Vec<usize>,
    /// Seed of the split.
    pub seed: u64,
}

/// Keeping the project file.
#[derive(Clone, Debug)]
pub enum ProjectRequest {
    /// Opens a file, beside those that are open: the one before is closed once the new one is on the screen.
    Open {
        /// What to call this opening.
        session: Session,
        /// The file.
        path: PathBuf,
    },
    /// Makes a new file and opens it.
    Create {
        /// What to call this opening.
        session: Session,
        /// Where; in the folder of projects without.
        path: Option<PathBuf>,
        /// Name of the project.
        name: String,
    },
    /// Writes to a file, in one transaction.
    Write {
        /// Whose.
        session: Session,
        /// What changed.
        writes: Vec<Write>,
    },
    /// Writes a whole copy, with what could not be written to the file itself.
    CopyTo {
        /// Whose.
        session: Session,
        /// Where.
        path: PathBuf,
    },
    /// Closes a file. What could not be written to it is tried once more.
    Close {
        /// Whose.
        session: Session,
        /// What cannot be written is given up.
        discard: bool,
    },
    /// Writes the application's settings.
    SaveSettings(Box<AppSettings>),
}

/// Which opening of a project something belongs to; counted over the life of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session(pub u64);

/// An opened project.
#[derive(Clone, Debug)]
pub struct OpenedProject {
    /// What this opening is called.
    pub session: Session,
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub project: Project,
    /// Undo and redo.
    pub history: History,
    /// Heads of the last time.
    pub heads: Vec<StoredHead>,
    /// Runs that were kept.
    pub runs: Runs,
    /// Whether it can be written.
    pub access: Access,
    /// What the user should know.
    pub info: ProjectInfo,
    /// Its images by the digest of their path.
    pub id_of_path: HashMap<u64, ImageId>,
    /// Whether it was made just now.
    pub is_new: bool,
}

/// An image that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedImage {
    /// Which.
    pub id: ImageId,
    /// Why.
    pub reason: String,
    /// Whether it lies with the file's content. A file that cannot be reached may be there the next time.
    pub is_lasting: bool,
}

/// A part of a result that comes while the work goes on.
#[derive(Clone, Debug)]
pub enum JobData {
    /// Models that have been compared so far.
    Compared(Box<Compared>),
    /// The model of an embedding job is open.
    Space {
        /// The choice of model.
        epoch: u64,
        /// Its name for people.
        name: String,
        /// Whether it has a text tower.
        reads_text: bool,
        /// Where it runs.
        provider: Provider,
    },
    /// Images that have an embedding now, or cannot have one.
    Embedded {
        /// The choice of model.
        epoch: u64,
        /// Image, content hash, row in the table.
        rows: Vec<(ImageId, [u8; 32], u32)>,
        /// Images that cannot be used.
        skipped: Vec<SkippedImage>,
    },
    /// What labels say of every image.
    ZeroShot(Box<TextAnswers>),
    /// A map as it comes about.
    Mapped(Box<Mapped>),
}

/// The result of a job.
#[derive(Clone, Debug)]
pub enum JobOutput {
    /// Nothing but that it is done.
    Done,
    /// Of [`FilesRequest::Peek`].
    Peeked(Peek),
    /// Of [`FilesRequest::Scan`] and [`FilesRequest::ScanSample`].
    Scanned(Scanned),
    /// Of [`FilesRequest::FindRoot`].
    FoundRoot {
        /// Which.
        root: RootId,
        /// Where it is; `None` when it is not there.
        path: Option<PathBuf>,
    },
    /// Of [`FilesRequest::ListModels`].
    Models(Vec<ModelCard>),
    /// Of [`TextRequest::ZeroShot`], whose answers came before.
    ZeroShotJudged {
        /// The choice of model.
        epoch: u64,
        /// The number of the request.
        number: u64,
        /// Figures, where classes of images are known.
        report: Option<Box<Report>>,
        /// What each description is worth, where that is known.
        effects: Vec<DescriptionEffect>,
    },
    /// Of [`TextRequest::Curve`].
    Curve {
        /// The choice of model.
        epoch: u64,
        /// The project's revision.
        revision: u64,
        /// Accuracy by number of examples.
        points: Vec<CurvePoint>,
    },
    /// Of [`FilesRequest::Inspect`].
    Inspected(Box<Inspected>),
    /// Of [`FilesRequest::Import`].
    Imported(Imported),
    /// Of [`FilesRequest::LoadRuntime`].
    Runtime {
        /// The library.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// Of [`JobRequest::Embed`].
    Embedded {
        /// Images that went through the backbone.
        n_embedded: usize,
        /// Images that the cache knew.
        n_cached: usize,
        /// What the model ran on; `None` where the cache knew every image.
        ran_on: Option<Provider>,
        /// Duration in seconds.
        secs: f64,
    },
    /// Of [`StudyRequest::Probe`].
    Probed(Box<Probed>),
    /// Of [`StudyRequest::Curve`].
    DrawnCurve(Box<DrawnCurve>),
    /// Of [`StudyRequest::Compare`].
    Compared(Box<Compared>),
    /// Of [`JobRequest::Map`].
    Mapped(Box<Mapped>),
    /// Of [`JobRequest::Next`].
    Next(Box<NextOutput>),
    /// Of [`JobRequest::Explain`].
    Explained(Explained),
    /// Of [`JobRequest::Check`].
    Checked(Box<Checked>),
    /// Of [`JobRequest::Fit`].
    Fitted(Box<FitOutput>),
    /// Of [`JobRequest::Predict`].
    Predicted(Arc<Predictions>),
    /// Of [`ExportRequest::Head`].
    Exported {
        /// The folder.
        dir: PathBuf,
        /// What was written and proved.
        meta: Box<Meta>,
    },
    /// Of [`ExportRequest::Csv`] and [`ProjectRequest::CopyTo`].
    Wrote(PathBuf),
    /// Of [`ExportRequest::Report`].
    Reported(PathBuf),
    /// Of [`ExportRequest::Sort`].
    Sorted {
        /// The folder.
        dir: PathBuf,
        /// What was copied.
        outcome: SortOutcome,
    },
    /// Of [`ExportRequest::SelfTest`].
    SelfTested(Box<SelfTest>),
    /// Of [`ProjectRequest::Open`] and [`ProjectRequest::Create`].
    Opened(Box<OpenedProject>),
    /// Of [`ProjectRequest::Open`]: this window has it open.
    AlreadyOpen(PathBuf),
}

/// Why a job has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobError {
    /// It was ended, or another took its place.
    Cancelled,
    /// ONNX Runtime is missing; nothing that needs a model can run.
    RuntimeMissing {
        /// What was tried.
        details: String,
    },
    /// It failed.
    Failed {
        /// One sentence for people.
        summary: String,
        /// More, for those who want to know.
        details: Option<String>,
    },
}

impl JobError {
    /// A failure with one sentence.
    pub fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed { summary: sentence(&error.to_string()), details: None }
    }

    /// What a panic says.
    pub(super) fn from_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Self::Failed { summary: "This went wrong inside Graft, and nothing was changed.".to_owned(), details: text }
    }
}

/// A sentence: begins with a capital, ends with a full stop.
pub fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Body {
    /// It runs.
    Started,
    /// How far it is; `n_total` is 0 while it is not known.
    Progress {
        /// What it is doing.
        stage: Stage,
        /// Items done.
        n_done: usize,
        /// Of how many.
        n_total: usize,
    },
    /// Something that the user should know.
    Warning(String),
    /// Part of the result.
    Data(JobData),
    /// The end, once.
    Finished(Result<JobOutput, JobError>),
}

/// Something that happened to a job.
#[derive(Clone, Debug)]
pub struct JobEvent {
    /// Which.
    pub id: JobId,
    /// When.
    pub at: Instant,
    /// What.
    pub body: Body,
}

/// What a workflow's error is to the screen.
impl From<crate::workflow::WorkflowError> for JobError {
    fn from(error: crate::workflow::WorkflowError) -> Self {
        use crate::backbone::BackboneError;
        use crate::export::ExportError;
        use crate::workflow::WorkflowError;
        match error {
            WorkflowError::Cancelled | WorkflowError::Export(ExportError::Cancelled) => Self::Cancelled,
            WorkflowError::Head(crate::head::HeadError::Cancelled) => Self::Cancelled,
            WorkflowError::Backbone(BackboneError::Runtime(error)) => {
                Self::RuntimeMissing { details: error.to_string() }
            }
            other => Self::failed(other),
        }
    }
}

impl From<crate::backbone::BackboneError> for JobError {
    fn from(error: crate::backbone::BackboneError) -> Self {
        crate::workflow::WorkflowError::from(error).into()
    }
}

/// The classes of a fit as a set.
pub(super) fn class_set(classes: &[(ClassId, String)]) -> ClassSet {
    ClassSet::from_ordered(classes.iter().map(|(_, name)| name.clone()))
}
