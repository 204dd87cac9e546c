//! Actions: what can be done without saying more. Each has a name, an explanation and perhaps a shortcut; buttons, menus,
//! the palette, keys and tests share them.

pub use super::shortcut::Shortcut;
use super::shortcut::{ctrl, ctrl_shift, plain};
use super::state::{AppState, EmbedPause, Place, Purpose};
use super::{faults, map, runs, study, zero_shot};
use crate::head::UnknownWish;
use crate::jobs::LaneKind;

/// Something that can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Opens the command palette.
    Palette,
    /// Takes back the last edit.
    Undo,
    /// Makes it again.
    Redo,
    /// Back to the start screen.
    CloseProject,
    /// Begins a project at a chosen place.
    NewProject,
    /// Opens a project.
    OpenProject,
    /// Writes a copy of the project.
    SaveCopy,
    /// The sample images.
    TrySample,
    /// Adds a folder.
    AddFolder,
    /// Adds files.
    AddFiles,
    /// Adds what a typed or pasted path names.
    TypePath,
    /// A new class.
    AddClass,
    /// Everything that is shown is selected.
    SelectAll,
    /// Nothing is selected.
    SelectNone,
    /// Takes the label off.
    Unlabel,
    /// Labels images as the head says.
    LabelAsPredicted,
    /// Says that guessed classes are right.
    ConfirmLabels,
    /// Takes images out of the project.
    Remove,
    /// Shows every image again.
    ClearFilter,
    /// Files that were left out.
    ShowSkipped,
    /// Images where the head is wrong.
    ShowMistakes,
    /// Tries the left out files again.
    RetrySkipped,
    /// Goes on embedding.
    ResumeEmbedding,
    /// Ends what runs in the background.
    CancelWork,
    /// Places.
    GoModel,
    /// Places.
    GoImages,
    /// Places.
    GoTrain,
    /// Places.
    GoEvaluate,
    /// Shows labels.
    GoZeroShot,
    /// Places.
    GoExport,
    /// Thumbnails in rows.
    ShowGallery,
    /// Images as points.
    ShowMap,
    /// What may be wrong with the data.
    ShowCheck,
    /// Mends the fault that is looked at.
    FixFault,
    /// Says that it is none.
    DismissFault,
    /// Looks for faults again.
    CheckAgain,
    /// Images that are worth a label.
    ShowNext,
    /// Calibration, and when the answer is "unknown".
    ShowCertainty,
    /// Heads of before.
    ShowRuns,
    /// What is behind an answer.
    Why,
    /// What an answer rests on.
    ShowWhere,
    /// Answers on image files.
    PredictFiles,
    /// Answers on a folder.
    PredictFolder,
    /// Tests the rule for "unknown" on a folder.
    TestStrangers,
    /// Takes the strangers off the screen.
    ForgetStrangers,
    /// No answer is "unknown".
    AlwaysAnswer,
    /// "Unknown" where answers are not right often enough.
    UnknownByPrecision,
    /// "Unknown" far from every class.
    UnknownByDistance,
    /// The predictions as a table.
    SavePredictions,
    /// The predicted images, sorted by copying.
    SortPredictions,
    /// Takes the predictions off the screen.
    ClearPredictions,
    /// Writes a report.
    WriteReport,
    /// Shows the report in a browser.
    OpenReport,
    /// Imports a model.
    ImportModel,
    /// Writes the export.
    Export,
    /// Writes an export of the labels.
    ExportZeroShot,
    /// Makes classes of the labels.
    UseAsClasses,
    /// Makes labels of the classes.
    LabelByClassNames,
    /// Draws accuracy by number of images.
    DrawCurve,
    /// Trains heads on several depths of the model.
    ProbeLayers,
    /// Draws learning curves of the heads.
    DrawHeadCurves,
    /// Compares installed models.
    CompareModels,
    /// Makes the map of the images anew.
    LayOutMap,
    /// Shows all of the map.
    FitMap,
    /// Chooses where.
    ChooseExportDir,
    /// Shows the export.
    OpenExportFolder,
    /// Looks for ONNX Runtime again.
    RetryRuntime,
    /// Chooses its library.
    ChooseRuntime,
    /// Light or dark.
    ToggleTheme,
    /// Lists the shortcuts.
    Shortcuts,
    /// Ends the program.
    Quit,
}

/// Why an action cannot be done now, in a few words.
pub type Reason = &'static str;

impl Action {
    /// Every action, in the order of the palette.
    pub const ALL: [Self; 71] = [
        Self::AddFolder,
        Self::AddFiles,
        Self::TypePath,
        Self::AddClass,
        Self::Undo,
        Self::Redo,
        Self::GoModel,
        Self::GoImages,
        Self::GoTrain,
        Self::GoEvaluate,
        Self::GoZeroShot,
        Self::GoExport,
        Self::ShowGallery,
        Self::ShowMap,
        Self::ShowCheck,
        Self::FixFault,
        Self::DismissFault,
        Self::CheckAgain,
        Self::ShowNext,
        Self::ShowCertainty,
        Self::ShowRuns,
        Self::Why,
        Self::ShowWhere,
        Self::SelectAll,
        Self::SelectNone,
        Self::Unlabel,
        Self::LabelAsPredicted,
        Self::ConfirmLabels,
        Self::Remove,
        Self::ClearFilter,
        Self::ShowSkipped,
        Self::ShowMistakes,
        Self::RetrySkipped,
        Self::ResumeEmbedding,
        Self::CancelWork,
        Self::PredictFiles,
        Self::PredictFolder,
        Self::TestStrangers,
        Self::ForgetStrangers,
        Self::AlwaysAnswer,
        Self::UnknownByPrecision,
        Self::UnknownByDistance,
        Self::SavePredictions,
        Self::SortPredictions,
        Self::ClearPredictions,
        Self::WriteReport,
        Self::OpenReport,
        Self::ImportModel,
        Self::Export,
        Self::ExportZeroShot,
        Self::UseAsClasses,
        Self::LabelByClassNames,
        Self::DrawCurve,
        Self::ProbeLayers,
        Self::DrawHeadCurves,
        Self::CompareModels,
        Self::LayOutMap,
        Self::FitMap,
        Self::ChooseExportDir,
        Self::OpenExportFolder,
        Self::NewProject,
        Self::OpenProject,
        Self::SaveCopy,
        Self::CloseProject,
        Self::TrySample,
        Self::RetryRuntime,
        Self::ChooseRuntime,
        Self::ToggleTheme,
        Self::Shortcuts,
        Self::Palette,
        Self::Quit,
    ];

    /// What a button says.
    pub fn label(self) -> &'static str {
        match self {
            Self::Palette => "Command palette…",
            Self::Undo => "Undo",
            Self::Redo => "Redo",
            Self::CloseProject => "Close project",
            Self::NewProject => "New project…",
            Self::OpenProject => "Open project…",
            Self::SaveCopy => "Save a copy…",
            Self::TrySample => "Try the sample",
            Self::AddFolder => "Add folder…",
            Self::AddFiles => "Add images…",
            Self::TypePath => "Type or paste a path…",
            Self::AddClass => "Add class…",
            Self::SelectAll => "Select all",
            Self::SelectNone => "Select none",
            Self::Unlabel => "Remove label",
            Self::Remove => "Remove from project",
            Self::ClearFilter => "Show all images",
            Self::ShowSkipped => "Show skipped files",
            Self::LabelAsPredicted => "Label as predicted",
            Self::ConfirmLabels => "Confirm guessed classes",
            Self::ShowMistakes => "Show mistakes",
            Self::RetrySkipped => "Try skipped files again",
            Self::ResumeEmbedding => "Resume embedding",
            Self::CancelWork => "Cancel background work",
            Self::GoModel => "Go to Model",
            Self::GoImages => "Go to Images",
            Self::GoTrain => "Go to Train",
            Self::GoEvaluate => "Go to Evaluate",
            Self::GoZeroShot => "Go to Zero-shot",
            Self::GoExport => "Go to Export",
            Self::ShowGallery => "Show the gallery",
            Self::ShowMap => "Show the map of the images",
            Self::ShowCheck => "Check the data for faults",
            Self::FixFault => "Mend this fault",
            Self::DismissFault => "Leave it as it is",
            Self::CheckAgain => "Look for faults again",
            Self::ShowNext => "Label what helps most",
            Self::ShowCertainty => "Show certainty and the rule for “unknown”",
            Self::ShowRuns => "Show the runs",
            Self::Why => "Why this answer",
            Self::ShowWhere => "Show where it looks",
            Self::PredictFiles => "Predict images…",
            Self::PredictFolder => "Predict a folder…",
            Self::TestStrangers => "Test on strangers…",
            Self::ForgetStrangers => "Forget the strangers",
            Self::AlwaysAnswer => "Always answer",
            Self::UnknownByPrecision => "Say “unknown” for 95 % right answers",
            Self::UnknownByDistance => "Say “unknown” far from every class",
            Self::SavePredictions => "Save predictions as CSV…",
            Self::SortPredictions => "Sort predicted images into folders…",
            Self::ClearPredictions => "Clear predictions",
            Self::WriteReport => "Write report…",
            Self::OpenReport => "Open report",
            Self::ImportModel => "Import model…",
            Self::Export => "Export classifier",
            Self::ExportZeroShot => "Export zero-shot classifier",
            Self::UseAsClasses => "Use these as classes",
            Self::LabelByClassNames => "Type the names of the classes",
            Self::DrawCurve => "Draw the few-shot curve",
            Self::ProbeLayers => "Probe the layers",
            Self::DrawHeadCurves => "Draw the learning curve",
            Self::CompareModels => "Compare the models",
            Self::LayOutMap => "Lay out the map again",
            Self::FitMap => "Fit the map to the window",
            Self::ChooseExportDir => "Choose export folder…",
            Self::OpenExportFolder => "Open export folder",
            Self::RetryRuntime => "Look for ONNX Runtime again",
            Self::ChooseRuntime => "Choose ONNX Runtime library…",
            Self::ToggleTheme => "Switch between light and dark",
            Self::Shortcuts => "Keyboard shortcuts",
            Self::Quit => "Quit",
        }
    }

    /// What it does, in a sentence without its full stop.
    pub fn tooltip(self) -> &'static str {
        match self {
            Self::Palette => "Find and run any command",
            Self::Undo => "Take back the last edit, also one of an earlier session",
            Self::Redo => "Make the edit again that was taken back",
            Self::CloseProject => "Back to the start screen; everything is saved",
            Self::NewProject => "Begin an empty project at a place of your choice",
            Self::OpenProject => "Open a project file",
            Self::SaveCopy => "Write the whole project to another file; this one stays open",
            Self::TrySample => "See how it works with a hundred photographs that come with Graft",
            Self::AddFolder => "Add a folder of images; folders in it become classes",
            Self::AddFiles => "Add image files",
            Self::TypePath => "Add a folder, an image, a model or a project by its path",
            Self::AddClass => "Add a class to label images with",
            Self::SelectAll => "Select every image that is shown",
            Self::SelectNone => "Select nothing",
            Self::Unlabel => "Take the class off the selected images",
            Self::Remove => "Take the selected images out of the project; the files stay where they are",
            Self::ClearFilter => "Show every image of the project",
            Self::ShowSkipped => "Show the files that could not be used, and why",
            Self::LabelAsPredicted => "Give the selected images the classes that the head says",
            Self::ConfirmLabels => {
                "Say that the classes are right that typed labels gave the selected images: then they are judged on"
            }
            Self::ShowMistakes => "Show the validation images where the head disagrees with the label, worst first",
            Self::RetrySkipped => "Read the skipped files again",
            Self::ResumeEmbedding => "Go on with the images that have not been embedded yet",
            Self::CancelWork => "End what runs in the background; what is done is kept",
            Self::GoModel => "Backbones: what is installed, preprocessing, provider",
            Self::GoImages => "Images and classes",
            Self::GoTrain => "Heads: accuracy, regularisation, advice",
            Self::GoEvaluate => "Mistakes, calibration, threshold, predictions",
            Self::GoZeroShot => "Type labels: scores, search, and the way to classes",
            Self::GoExport => "Write a classifier for elsewhere, verified",
            Self::ShowGallery => "Thumbnails of all images, with filters",
            Self::ShowMap => "All images as points; what the model sees as alike lies together",
            Self::ShowCheck => {
                "Probable label errors, duplicates, leaks, outliers and odd sizes, each mended with one key"
            }
            Self::FixFault => {
                "Give the image the class that it looks like, or take it out of the project; the file stays"
            }
            Self::DismissFault => "Say that this is no fault: it is not listed again",
            Self::CheckAgain => "Look again for labels that are wrong, copies, strangers and odd images",
            Self::ShowNext => "Images without a class, the most useful to label first",
            Self::ShowCertainty => "Calibration, and when the answer is “unknown”",
            Self::ShowRuns => "Heads that were trained before, compared",
            Self::Why => "Show the training images that it is most like, with their labels, or hide them",
            Self::ShowWhere => "Cover one part of the image after the other: which parts the answer rests on",
            Self::PredictFiles => "Classify image files without adding them",
            Self::PredictFolder => "Classify every image of a folder without adding it",
            Self::TestStrangers => "See how many images of none of the classes would get an answer",
            Self::ForgetStrangers => "Take the strangers off the screen",
            Self::AlwaysAnswer => "No answer is “unknown”",
            Self::UnknownByPrecision => {
                "The lowest threshold at which 95 % of the answers on the validation images are right"
            }
            Self::UnknownByDistance => {
                "The distance to the nearest class that 95 % of the validation images keep within"
            }
            Self::SavePredictions => "Write the table of predictions to a file",
            Self::SortPredictions => "Copy the predicted images into one folder a class; nothing is moved",
            Self::ClearPredictions => "Take the predictions off the screen",
            Self::WriteReport => "Write figures, plots and mistakes into one HTML file, for people without Graft",
            Self::OpenReport => "Open the report that was written last in the browser",
            Self::ImportModel => "Copy an ONNX model to your own models",
            Self::Export => "Write the classifier, and compare it with what you saw here",
            Self::ExportZeroShot => {
                "Write a classifier made of the labels alone, and compare it with what you saw here"
            }
            Self::UseAsClasses => "Give the images that labels are surest of their classes; one undo takes it back",
            Self::LabelByClassNames => "Put the names of the project's classes into the list of labels",
            Self::DrawCurve => "See how accuracy grows with 1, 2, 4, 8, 16 images a class",
            Self::DrawHeadCurves => {
                "See what more images would give, which class most needs them, and whether pretrained features help"
            }
            Self::ProbeLayers => "Train heads on several depths of the model: where its knowledge sits",
            Self::CompareModels => "Train heads on several models with your images: accuracy against speed",
            Self::LayOutMap => "Give every image a place anew, also those that were only placed among others",
            Self::FitMap => "Show all of the map, as large as there is room",
            Self::ChooseExportDir => "Choose the folder that the export goes to",
            Self::OpenExportFolder => "Show the export in the file manager",
            Self::RetryRuntime => "Look for the ONNX Runtime library again",
            Self::ChooseRuntime => "Choose the file of the ONNX Runtime library",
            Self::ToggleTheme => "Switch between the light and the dark theme",
            Self::Shortcuts => "List every keyboard shortcut",
            Self::Quit => "End the program; everything is saved",
        }
    }

    /// The keys that do it.
    pub fn shortcut(self) -> Option<Shortcut> {
        match self {
            Self::Palette => ctrl("K"),
            Self::Undo => ctrl("Z"),
            Self::Redo => ctrl_shift("Z"),
            Self::NewProject => ctrl("N"),
            Self::OpenProject => ctrl("O"),
            Self::SaveCopy => ctrl_shift("S"),
            Self::CloseProject => ctrl("W"),
            Self::AddFolder => ctrl("I"),
            Self::TypePath => ctrl("L"),
            Self::AddClass => ctrl_shift("N"),
            Self::SelectAll => ctrl("A"),
            Self::SelectNone => ctrl_shift("A"),
            Self::Remove => plain("Delete"),
            Self::Unlabel => plain("0"),
            Self::LabelAsPredicted => plain("P"),
            Self::ConfirmLabels => plain("Y"),
            Self::PredictFiles => ctrl("P"),
            Self::Export => ctrl("E"),
            Self::ShowGallery => ctrl_shift("G"),
            Self::ShowMap => ctrl_shift("M"),
            Self::ShowCheck => ctrl_shift("F"),
            Self::FixFault => plain("F"),
            Self::DismissFault => plain("D"),
            Self::ShowNext => ctrl_shift("L"),
            Self::Why => plain("W"),
            Self::ShowWhere => plain("O"),
            Self::GoModel => ctrl("1"),
            Self::GoImages => ctrl("2"),
            Self::GoTrain => ctrl("3"),
            Self::GoEvaluate => ctrl("4"),
            Self::GoZeroShot => ctrl("5"),
            Self::GoExport => ctrl("6"),
            Self::ToggleTheme => ctrl_shift("T"),
            Self::Shortcuts => plain("F1"),
            Self::Quit => ctrl("Q"),
            _ => None,
        }
    }

    /// Whether it can be done now, and if not why.
    ///
    /// # Errors
    /// The reason, for a tooltip.
    pub fn availability(self, state: &AppState) -> Result<(), Reason> {
        let project = state.project.as_ref();
        let open = project.ok_or("No project is open");
        let writable = || match open?.is_writable() {
            true => Ok(()),
            false => Err("The project is open for reading only"),
        };
        let check = |holds: bool, reason: Reason| if holds { Ok(()) } else { Err(reason) };
        match self {
            Self::Undo => {
                writable()?;
                let open = open?;
                check(open.history.undoable().is_some() || open.has_unkept_labels(), "There is nothing to undo")
            }
            Self::Redo => {
                writable()?;
                let open = open?;
                check(open.history.redoable().is_some() && !open.has_unkept_labels(), "There is nothing to redo")
            }
            Self::AddClass => writable(),
            Self::CloseProject | Self::SaveCopy | Self::SelectNone => open.map(drop),
            Self::AddFolder | Self::AddFiles => match project {
                Some(_) => writable(),
                None => Ok(()),
            },
            Self::SelectAll => check(!open?.gallery.visible.is_empty(), "No images are shown"),
            Self::LabelAsPredicted => {
                writable()?;
                check(open?.live.fit.is_some(), "There is no trained head yet")?;
                check(!open?.gallery.target().is_empty(), "No images are selected")
            }
            Self::ConfirmLabels => {
                writable()?;
                let open = open?;
                let is_guessed = |id: &crate::project::ImageId| open.data.image(*id).is_some_and(|i| i.is_guessed);
                check(open.counts.n_guessed > 0, "No class is a guess")?;
                check(open.gallery.target().iter().any(is_guessed), "No class of the selected images is a guess")
            }
            Self::Unlabel => {
                writable()?;
                check(!open?.gallery.target().is_empty(), "No images are selected")
            }
            // Not the one that the keys happen to be at.
            Self::Remove => {
                writable()?;
                let gallery = &open?.gallery;
                check(gallery.large.is_some() || !gallery.selection.is_empty(), "No images are selected")
            }
            Self::ClearFilter => check(!open?.gallery.filter.is_empty(), "All images are shown"),
            Self::ShowSkipped | Self::RetrySkipped => check(open?.counts.n_skipped > 0, "No files were skipped"),
            Self::ShowMistakes => check(open?.live.fit.is_some(), "There is no trained head yet"),
            Self::ResumeEmbedding => check(open?.live.pause.is_some(), "Nothing waits to be embedded"),
            Self::CancelWork => {
                let is_brief = |lane| matches!(lane, LaneKind::Project | LaneKind::Fit | LaneKind::Next);
                let is_busy = state.activities.iter().any(|a| !is_brief(a.lane));
                check(is_busy, "Nothing runs in the background")
            }
            Self::PredictFiles | Self::PredictFolder => {
                check(open?.live.fit.is_some(), "There is no trained head yet: label images of two classes")
            }
            Self::TestStrangers => {
                check(open?.live.fit.is_some(), "There is no trained head yet: label images of two classes")
            }
            Self::ForgetStrangers => check(open?.strangers.is_some(), "There are no strangers"),
            Self::AlwaysAnswer => {
                writable()?;
                check(open?.data.settings.unknown != UnknownWish::Off, "Every image gets an answer already")
            }
            Self::UnknownByPrecision | Self::UnknownByDistance => {
                writable()?;
                check(!open?.live.known().is_empty(), "There are no validation images to settle a rule on")
            }
            Self::SavePredictions | Self::SortPredictions | Self::ClearPredictions => {
                check(open?.predictions.is_some(), "There are no predictions")
            }
            Self::Export => {
                check(open?.live.fit.is_some(), "There is no trained head yet: label images of two classes")?;
                check(!state.is_busy_with(|p| matches!(p, Purpose::Export { .. })), "An export is being written")
            }
            Self::ExportZeroShot => {
                zero_shot::can_export(open?)?;
                let is_one = open?.zero_shot.answers.as_ref().is_some_and(|a| a.texts.labels.len() < 2);
                check(!is_one, "A classifier needs two labels or more")?;
                check(!state.is_busy_with(|p| matches!(p, Purpose::Export { .. })), "An export is being written")
            }
            Self::UseAsClasses => {
                writable()?;
                zero_shot::has_answers(open?)?;
                check(!open?.zero_shot.is_search(), "One label alone is a search: type another to have a choice")?;
                let n_taken: usize = open?.zero_shot.groups.iter().map(|g| g.taken.len()).sum();
                check(n_taken > 0, "No image without a class is among those")
            }
            Self::LabelByClassNames => {
                writable()?;
                check(open?.data.sorted_classes().len() > 1, "There are not two classes yet")
            }
            Self::DrawCurve => zero_shot::can_draw_curve(state, open?),
            Self::FixFault | Self::DismissFault => faults::can_act(state),
            Self::CheckAgain => check(open?.faults.error.is_some(), "It looks again by itself after every change"),
            Self::ProbeLayers | Self::DrawHeadCurves => study::can_study(state),
            Self::CompareModels => {
                study::can_study(state)?;
                check(state.compared_models().len() > 1, "Choose two models or more")
            }
            Self::LayOutMap => map::can_lay_out(state),
            Self::FitMap => {
                open?;
                check(state.shows_map(), "The map is not shown")
            }
            Self::WriteReport => runs::can_report(state),
            Self::OpenReport => check(open?.runs.report.is_some(), "No report has been written yet"),
            Self::ChooseExportDir => open.map(drop),
            Self::OpenExportFolder => check(open?.export.done.is_some(), "Nothing has been exported yet"),
            Self::GoTrain | Self::GoEvaluate | Self::GoZeroShot | Self::GoExport => open.map(drop),
            Self::Why => check(state.has_answer_in_view(), "Open an image, or predict one"),
            Self::ShowWhere => {
                check(state.has_answer_in_view(), "Open an image, or predict one")?;
                check(open?.live.fit.is_some(), "There is no trained head yet")
            }
            Self::ShowGallery
            | Self::ShowMap
            | Self::ShowCheck
            | Self::ShowNext
            | Self::ShowCertainty
            | Self::ShowRuns => open.map(drop),
            Self::Palette
            | Self::NewProject
            | Self::OpenProject
            | Self::TrySample
            | Self::TypePath
            | Self::GoModel
            | Self::GoImages
            | Self::ImportModel
            | Self::RetryRuntime
            | Self::ChooseRuntime
            | Self::ToggleTheme
            | Self::Shortcuts
            | Self::Quit => Ok(()),
        }
    }

    /// The place that it goes to.
    pub fn place(self) -> Option<Place> {
        match self {
            Self::GoModel => Some(Place::Model),
            Self::GoImages => Some(Place::Images),
            Self::GoTrain => Some(Place::Train),
            Self::GoEvaluate => Some(Place::Evaluate),
            Self::GoZeroShot => Some(Place::ZeroShot),
            Self::GoExport => Some(Place::Export),
            _ => None,
        }
    }

    /// The action that goes to a place.
    pub fn go(place: Place) -> Self {
        match place {
            Place::Model => Self::GoModel,
            Place::Images => Self::GoImages,
            Place::Train => Self::GoTrain,
            Place::Evaluate => Self::GoEvaluate,
            Place::ZeroShot => Self::GoZeroShot,
            Place::Export => Self::GoExport,
        }
    }

    /// Its label with what it is about: `Undo label 3 images “bee”`.
    pub fn full_label(self, state: &AppState) -> String {
        let history = state.project.as_ref().map(|p| &p.history);
        let title = match self {
            Self::Undo if state.project.as_ref().is_some_and(super::OpenProject::has_unkept_labels) => {
                return format!("{}: {}", self.label(), super::zero_shot::EDIT_LABELS);
            }
            Self::Undo => history.and_then(|h| h.undoable()),
            Self::Redo => history.and_then(|h| h.redoable()),
            _ => None,
        };
        title.map_or_else(|| self.label().to_owned(), |edit| format!("{}: {}", self.label(), edit.title))
    }
}

/// Actions that match what was typed into the palette, best first: all words must occur, beginnings of words count more.
pub fn matching(query: &str, state: &AppState) -> Vec<Action> {
    let words: Vec<String> = query.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let score = |action: Action| -> Option<usize> {
        let label = action.full_label(state).to_lowercase();
        let text = format!("{label} {}", action.tooltip().to_lowercase());
        let mut score = 0;
        for word in &words {
            score += match (label.find(word.as_str()), text.contains(word.as_str())) {
                (Some(0), _) => 0,
                (Some(at), _) if label.as_bytes().get(at - 1) == Some(&b' ') => 1,
                (Some(_), _) => 2,
                (None, true) => 4,
                (None, false) => return None,
            };
        }
        Some(score)
    };
    let mut found: Vec<(bool, usize, usize, Action)> = Action::ALL
        .into_iter()
        .enumerate()
        .filter(|(_, a)| *a != Action::Palette)
        .filter_map(|(i, a)| Some((a.availability(state).is_err(), score(a)?, i, a)))
        .collect();
    found.sort();
    found.into_iter().map(|(_, _, _, action)| action).collect()
}

/// Whether images wait because embedding was ended or failed.
pub fn waits(state: &AppState) -> Option<&EmbedPause> {
    state.project.as_ref()?.live.pause.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_action_is_listed_once_and_no_shortcut_twice() {
        let all: BTreeSet<_> = Action::ALL.into_iter().collect();
        assert_eq!(all.len(), Action::ALL.len());
        let mut shortcuts = BTreeSet::new();
        let mut labels = BTreeSet::new();
        for action in Action::ALL {
            assert!(labels.insert(action.label()), "{}", action.label());
            assert!(!action.tooltip().ends_with('.'));
            if let Some(shortcut) = action.shortcut() {
                assert!(shortcuts.insert(shortcut), "{}", shortcut.text());
            }
        }
    }

    #[test]
    fn the_palette_finds_by_words() {
        let state = AppState::default();
        assert_eq!(matching("open proj", &state)[0], Action::OpenProject);
        assert_eq!(matching("sample", &state)[0], Action::TrySample);
        assert_eq!(matching("theme", &state)[0], Action::ToggleTheme, "by what it does");
        assert!(matching("xyzzy", &state).is_empty());
        let all = matching("", &state);
        assert_eq!(all.len(), Action::ALL.len() - 1);
        let first_missing = all.iter().position(|a| a.availability(&state).is_err()).unwrap_or(all.len());
        assert!(all[first_missing..].iter().all(|a| a.availability(&state).is_err()), "what cannot be done is last");
    }
}
