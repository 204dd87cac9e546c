//! What the user wants, and what follows from it.

use std::path::PathBuf;

use super::Action;
use super::gallery::{Filter, SelectOp, SortBy};
use super::map::ColourBy;
use super::next::NextCommand;
use super::state::Place;
use super::views::{EvaluateView, ImagesView};
use super::why::WhyCommand;
use crate::backbone::provider::Provider;
use crate::dataset::Split;
use crate::export::bundle::Contents;
use crate::head::{HeadKind, UnknownWish};
use crate::image::spec::PreprocessSpec;
use crate::jobs::{JobId, JobRequest, LaneKind, ModelChoice};
use crate::project::runs::RunId;
use crate::project::{ClassId, FaultKind, ImageId, RootId};
use crate::store::settings::{ThemeChoice, WindowPlace};

/// Which images a command is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Those that are selected; without a selection the one that is looked at.
    Selection,
    /// These.
    Images(Vec<ImageId>),
}

/// What becomes of dropped images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropInto {
    /// What the place and the data suggest (see [`super::drops`]).
    Auto,
    /// They are added, whatever the place.
    Add,
    /// They are examples of a class.
    Class(ClassId),
    /// They are answered on and not added.
    Predict,
    /// They show none of the classes: the rule for "unknown" is tested on them.
    Strangers,
}

/// What the user wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Something that needs nothing else to be known; also in the palette.
    Act(Action),
    /// Shows a place.
    Go(Place),
    /// Shows the images in a view.
    ShowImages(ImagesView),
    /// Shows what the Evaluate place has.
    ShowEvaluate(EvaluateView),
    /// Paths hover over the window; none when they have left.
    Hover(Vec<PathBuf>),
    /// Paths were dropped, chosen, typed or pasted.
    Drop {
        /// The paths.
        paths: Vec<PathBuf>,
        /// What becomes of them.
        into: DropInto,
    },
    /// Opens a project file.
    OpenProject(PathBuf),
    /// Makes a project file at a path.
    CreateProject(PathBuf),
    /// Writes a copy of the project.
    SaveCopy(PathBuf),
    /// Takes a project off the start screen.
    ForgetRecent(PathBuf),
    /// Adds a class.
    AddClass(String),
    /// Gives a class another name; the name of another class merges them.
    RenameClass(ClassId, String),
    /// Gives a class another colour of the palette.
    RecolourClass(ClassId, u8),
    /// Deletes a class; its images lose it.
    DeleteClass(ClassId),
    /// Makes the images of one class another's, and deletes it.
    MergeClasses {
        /// The class that goes.
        from: ClassId,
        /// The class that stays.
        into: ClassId,
    },
    /// Gives images a class, or none.
    Label {
        /// Which images.
        images: Target,
        /// The class.
        class: Option<ClassId>,
    },
    /// Gives the target the class of a position in the list, counted from 1; 0 takes it away.
    LabelByDigit(u8),
    /// Puts images into a split, or leaves it to Graft.
    SetSplit(Target, Option<Split>),
    /// Takes images out of the project; the files stay.
    Remove(Target),
    /// Where a folder that is gone is now.
    Relocate(RootId, PathBuf),
    /// Labels images in the order of their usefulness.
    Next(NextCommand),
    /// Asks why an answer is what it is.
    Why(WhyCommand),
    /// Changes the selection.
    Select(SelectOp),
    /// Shows only some images.
    SetFilter(Filter),
    /// Orders the images.
    SetSort(SortBy),
    /// What the colour of a point on the map tells.
    SetMapColour(ColourBy),
    /// Shows a list of faults.
    ShowFaults(FaultKind),
    /// Lets keys act on the fault of an image, in the list that is shown.
    SelectFault(ImageId),
    /// Lets keys act on the fault so many places further on.
    MoveFault(isize),
    /// Looks at one image; `None` goes back.
    Look(Option<ImageId>),
    /// Chooses the head that answers; `None` is the better one.
    ChooseHead(Option<HeadKind>),
    /// When the answer is "unknown".
    SetUnknown(UnknownWish),
    /// Part of the images that is split off for validation.
    SetValFraction(f64),
    /// Chooses the backbone (and its own layer and preprocessing).
    ChooseModel(Option<String>),
    /// Chooses the layer of the backbone.
    ChooseLayer(Option<String>),
    /// Sets the preprocessing; `None` is the model's.
    SetPreprocess(Option<PreprocessSpec>),
    /// Labels as they are typed, one a line.
    TypeLabels(String),
    /// What is typed is meant: it becomes part of the project.
    KeepLabels,
    /// What labels are put into; `None` is what suits the model.
    SetTemplates(Option<Vec<String>>),
    /// Whether there is a class of what no label fits.
    SetNoneOfThese(bool),
    /// The text tower; `None` is the model's own.
    SetTextGraph(Option<PathBuf>),
    /// What cosines are multiplied with; `None` is the model's own.
    SetLogitScale(Option<f64>),
    /// Reads the labels again, after that was ended or has failed.
    ReadAgain,
    /// Sorts all images by a label; `None` groups them.
    SortByLabel(Option<usize>),
    /// Share of each label's images that become examples of a class.
    SetShare(f32),
    /// Looks into a model.
    Inspect(ModelChoice),
    /// Copies a model to the user's own.
    ImportModel(PathBuf),
    /// Whether an installed model is to be compared.
    ChooseCompared {
        /// Its name.
        name: String,
        /// Whether it is.
        on: bool,
    },
    /// Whether imported models stay where they are.
    SetImportInPlace(bool),
    /// Where models run.
    SetProvider(Provider),
    /// Which card models run on, counted from 0.
    SetDevice(u32),
    /// Whether a provider works.
    SelfTest(Provider),
    /// Saves the predictions as a table.
    SavePredictions(PathBuf),
    /// Copies predicted images into folders.
    SortPredictions(PathBuf),
    /// Chooses a run for a comparison, or not any more; of three the one that was chosen first goes.
    ChooseRun {
        /// Which.
        id: RunId,
        /// Whether it is to be compared.
        on: bool,
    },
    /// Gives a run a name; an empty one takes it off.
    NameRun(RunId, String),
    /// Puts a note on a run.
    NoteOnRun(RunId, String),
    /// Keeps a run however many come after it, or not any more.
    PinRun(RunId, bool),
    /// Deletes a run.
    DeleteRun(RunId),
    /// Writes a report.
    WriteReport(PathBuf),
    /// Which files an export has.
    SetExportContents(Contents),
    /// Where an export goes.
    SetExportDir(PathBuf),
    /// Ends what a lane does.
    Cancel(LaneKind),
    /// The library that the user chose for ONNX Runtime.
    ChooseRuntime(PathBuf),
    /// Light, dark, or as the system has it.
    SetTheme(ThemeChoice),
    /// Size of thumbnails, in points.
    SetTileSize(f32),
    /// Begins to edit the name of a class.
    EditClassName(ClassId),
    /// Asks whether a class is to be deleted, if it has images.
    AskDeleteClass(ClassId),
    /// Asks where a folder that is gone is now.
    AskRelocate(RootId),
    /// Shows a folder in the system's file manager.
    ShowFolder(PathBuf),
    /// Takes back the edit that a notice tells of.
    TakeBack,
    /// Tells that something did not work.
    Notify(String),
    /// Takes a notice away.
    Dismiss(u64),
    /// The window's place and size, to be remembered.
    RememberWindow {
        /// Where it is.
        place: WindowPlace,
        /// Scale of the interface.
        scale: f32,
    },
    /// Closes the project without what could not be saved.
    DiscardUnsaved,
    /// Notes that the program ends.
    Quitting,
}

/// A dialog of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialog {
    /// A folder of images to add.
    AddFolder,
    /// Image files to add.
    AddFiles,
    /// A project to open.
    OpenProject,
    /// A place for a new project.
    NewProject,
    /// A place for a copy of the project.
    SaveCopy,
    /// A model file.
    ImportModel,
    /// Images to answer on.
    PredictFiles,
    /// A folder of images to answer on.
    PredictFolder,
    /// A folder of images of none of the classes.
    Strangers,
    /// A place for the table of predictions.
    SavePredictions,
    /// A folder for sorted copies.
    SortPredictions,
    /// A place for a report.
    Report,
    /// A folder for exports.
    ExportDir,
    /// The ONNX Runtime library.
    Runtime,
    /// The folder that is gone.
    Relocate(RootId),
}

/// What only the screen can do.
#[derive(Clone, Debug, PartialEq)]
pub enum ScreenEffect {
    /// Shows a dialog; its answer comes back as a command.
    Dialog(Dialog),
    /// Asks for a path to be typed or pasted.
    AskPath,
    /// Opens or closes the command palette.
    TogglePalette,
    /// Shows a folder in the system's file manager.
    OpenFolder(PathBuf),
    /// Begins to edit the name of a new class.
    EditNewClass,
    /// Begins to edit the name of a class.
    RenameClass(ClassId),
    /// Asks whether a class is to be deleted.
    AskDeleteClass(ClassId),
    /// Shows all of the map.
    FitMap,
    /// Lists the shortcuts.
    ShowShortcuts,
    /// Light where it is dark, and the other way round: only the screen knows which the system's theme is.
    ToggleTheme,
    /// Asks whether changes that cannot be saved are to be given up, and if so gives this command again.
    AskDiscard(Box<Command>),
    /// Ends the program.
    Quit,
}

/// What follows from a command or an event.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Work to begin.
    Job(JobId, JobRequest),
    /// Work to end.
    Cancel(LaneKind),
    /// The embeddings are needed no more.
    ForgetEmbeddings,
    /// For the screen.
    Screen(ScreenEffect),
}
