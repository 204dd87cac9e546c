//! A report: everything that is known of trained heads, gathered for people who have no Graft.

mod curve;
mod gather;
mod pictures;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ndarray::Array2;

use super::WorkflowError;
use super::clean::suspected;
use super::evaluate::{RuleFigures, top};
use super::train::JudgedHead;
use crate::backbone::Backbone;
use crate::classes::{ClassIdx, ClassSet};
use crate::dataset::Split;
use crate::embedding::Embeddings;
use crate::export::report::{
    BeforeScaling, Compared, Copies, Data, Document, DoubtfulLabel, Faults, HeadFigures, LearningCurve, LeftByRule,
    Mistake, NotLookedFor, Picture, Reproduce, RunRow,
};
use crate::head::{HeadError, KnownImage, UnknownRule, softmax};
use crate::metrics::{calibration_bins, expected_calibration_error};
use crate::progress::{Reporter, Stage};
use crate::project::runs::{Comparison, Run, RunMarks, SHORT_HASH, compare};

pub use crate::export::report::{ReportError, check_target, write};
pub use curve::reported_curve;
pub use gather::{Gathered, compared_runs, from_folder, from_project};
use pictures::Pictures;
use text::Names;

/// Images among which wrong labels are looked for, at most: beyond, it takes longer than a report may.
pub const MAX_CHECKED: usize = 5000;
/// Mistakes that are shown, at most.
const MAX_MISTAKES: usize = 24;
/// Doubtful labels that are shown, at most.
const MAX_DOUBTFUL: usize = 24;
/// Images of each kind on which two runs differ that are shown, at most.
const MAX_DIFFERENCES: usize = 12;

/// An image that was trained or judged on.
#[derive(Clone, Debug)]
pub struct ReportedImage {
    /// The file.
    pub path: PathBuf,
    /// Its class.
    pub class: ClassIdx,
    /// Its split.
    pub split: Split,
}

/// Images with the same bytes.
#[derive(Clone, Debug, Default)]
pub struct ReportedCopies {
    /// The files; the first is the one that counts.
    pub paths: Vec<PathBuf>,
    /// Some were for training and others to judge on.
    pub is_leak: bool,
    /// They have different classes.
    pub disagree: bool,
}

/// Two runs that are compared.
#[derive(Clone, Debug)]
pub struct ComparedRuns {
    /// The one, and what is said of it.
    pub a: (Run, RunMarks),
    /// The other.
    pub b: (Run, RunMarks),
    /// Files of the images on which they differ, as far as they are known.
    pub files: BTreeMap<[u8; SHORT_HASH], PathBuf>,
}

/// What a report is made of.
pub struct ReportInput<'a> {
    /// What it is about.
    pub title: String,
    /// Folders that the images come from; files are named from there.
    pub folders: Vec<PathBuf>,
    /// Files are named by their whole path, which tells how folders on this machine are called.
    pub shows_paths: bool,
    /// The backbone.
    pub backbone: &'a Backbone,
    /// The classes of the heads.
    pub classes: &'a ClassSet,
    /// The heads.
    pub heads: &'a [&'a JudgedHead],
    /// The head that answers: index into `heads`.
    pub shown: usize,
    /// Everything that was trained or judged on.
    pub images: Vec<ReportedImage>,
    /// Embeddings of those of [`judged_split`], in their order, in the space of the head that answers.
    pub judged: Embeddings,
    /// Features of all of them, in their order; `None` where they are too many.
    pub features: Option<Embeddings>,
    /// Images that repeat others.
    pub copies: Vec<ReportedCopies>,
    /// Files that were left out, with the reason.
    pub skipped: Vec<(PathBuf, String)>,
    /// What else is to be known.
    pub notes: Vec<String>,
    /// Whether the validation images were given.
    pub val_is_given: bool,
    /// Seed of the split.
    pub seed: u64,
    /// When the answer is "unknown".
    pub unknown: UnknownRule,
    /// A learning curve, where one was drawn.
    pub curve: Option<LearningCurve>,
    /// Runs that were kept, latest first.
    pub runs: Vec<(Run, RunMarks)>,
    /// Two of them against each other.
    pub compared: Option<ComparedRuns>,
    /// The command that gives such a report.
    pub command: String,
    /// In what that would be another one, in sentences.
    pub differs: Vec<String>,
}

/// The images that figures are of: the validation images, without any the test images.
pub fn judged_split(images: &[ReportedImage]) -> Split {
    if images.iter().any(|image| image.split == Split::Val) { Split::Val } else { Split::Test }
}

/// Gathers a report.
///
/// # Errors
/// When a head does not fit the embeddings, or the user cancels.
pub fn document(input: ReportInput<'_>, reporter: &dyn Reporter) -> Result<Document, WorkflowError> {
    let names = Names::new(&input.folders, input.shows_paths);
    let mut pictures = Pictures::new(&names, reporter);
    let split = judged_split(&input.images);
    let judged: Vec<&ReportedImage> = input.images.iter().filter(|image| image.split == split).collect();
    let answers = answers(&input)?;
    let is_right = |i: usize| answers.tops.get(i).is_some_and(|(class, _)| *class == judged[i].class);
    let class_name = |class: ClassIdx| input.classes.name(class).unwrap_or_default().to_owned();
    let mut wrong: Vec<usize> = (0..judged.len().min(answers.tops.len())).filter(|&i| !is_right(i)).collect();
    wrong.sort_by(|&a, &b| answers.tops[b].1.total_cmp(&answers.tops[a].1).then(a.cmp(&b)));
    let n_mistakes = wrong.len();
    let mut mistakes = Vec::new();
    for i in wrong.into_iter().take(MAX_MISTAKES) {
        let (predicted, confidence) = answers.tops[i];
        mistakes.push(Mistake {
            picture: pictures.of(&judged[i].path)?,
            truth: class_name(judged[i].class),
            predicted: class_name(predicted),
            confidence,
        });
    }
    let faults = faults(&input, &names, &mut pictures, reporter)?;
    let compared = input.compared.as_ref().map(|runs| compared(runs, input.backbone, &mut pictures)).transpose()?;
    let rights = (0..answers.tops.len().min(judged.len())).map(|i| (answers.tops[i].1, is_right(i))).collect();
    let runs = input.runs.iter().map(|(run, marks)| run_row(run, marks, input.backbone)).collect();
    Ok(Document {
        title: input.title.clone(),
        unix_secs: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        data: data(&input, &names),
        model: text::model(input.backbone, &names),
        heads: input
            .heads
            .iter()
            .map(|head| HeadFigures {
                record: head.trained.record.clone(),
                val: head.val.clone(),
                test: head.test.clone(),
            })
            .collect(),
        shown: input.shown,
        before_scaling: answers.before,
        answers: rights,
        unknown: input.unknown,
        left_by_distance: input.heads.get(input.shown).and_then(|head| left_by(input.unknown, &head.certainty.known)),
        mistakes,
        n_mistakes,
        faults: Some(faults),
        curve: input.curve.clone(),
        compared,
        runs,
        reproduce: Reproduce {
            command: input.command.clone(),
            differs: input.differs.clone(),
            facts: text::versions(input.backbone, input.heads.get(input.shown).copied(), input.seed),
        },
    })
}

/// What a rule by distance leaves of the validation images.
fn left_by(rule: UnknownRule, known: &[KnownImage]) -> Option<LeftByRule> {
    if !rule.needs_distance() || known.is_empty() || known.iter().any(|image| image.distance.is_none()) {
        return None;
    }
    let RuleFigures { n, n_answered, n_right, .. } = RuleFigures::new(known, rule);
    Some(LeftByRule { n, n_answered, n_right })
}

/// What the head says of the judged images.
struct Answers {
    tops: Vec<(ClassIdx, f32)>,
    before: Option<BeforeScaling>,
}

fn answers(input: &ReportInput<'_>) -> Result<Answers, WorkflowError> {
    let Some(head) = input.heads.get(input.shown).filter(|_| input.judged.view().nrows() > 0) else {
        return Ok(Answers { tops: Vec::new(), before: None });
    };
    let trained = &head.trained;
    let tops = top(trained.head.probabilities(&input.judged)?.view());
    let temperature = trained.record.temperature as f32;
    // The temperature is inside the logits.
    let is_scaled = temperature.is_finite() && temperature > 0.0 && (temperature - 1.0).abs() > 1e-6;
    let before = if is_scaled {
        let unscaled = softmax(&(trained.head.scores(&input.judged)?.values * temperature));
        let split = judged_split(&input.images);
        let truth = input.images.iter().filter(|image| image.split == split).map(|image| image.class);
        let rows: Vec<(f32, bool)> =
            top(unscaled.view()).into_iter().zip(truth).map(|((class, p), truth)| (p, class == truth)).collect();
        let error = expected_calibration_error(rows.iter().copied());
        // Judged on the very images that chose the temperature, it would be flattered.
        let crossed = input.heads[input.shown].certainty.calibration.as_ref();
        let crossed = crossed.filter(|c| c.is_cross_fitted && split == Split::Val);
        let cross_fitted = crossed.map(|c| (c.after.bins.clone(), c.after.error));
        Some(BeforeScaling { bins: calibration_bins(rows), error, cross_fitted })
    } else {
        None
    };
    Ok(Answers { tops, before })
}

fn data(input: &ReportInput<'_>, names: &Names) -> Data {
    let mut counts = vec![[0; 3]; input.classes.len()];
    for image in &input.images {
        let idx = match image.split {
            Split::Train => 0,
            Split::Val => 1,
            Split::Test => 2,
        };
        if let Some(counts) = counts.get_mut(image.class.as_usize()) {
            counts[idx] += 1;
        }
    }
    Data {
        classes: input.classes.names().iter().cloned().zip(counts).collect(),
        val_is_given: input.val_is_given,
        skipped: input.skipped.iter().map(|(path, why)| (names.of(path), names.without_folders(why))).collect(),
        notes: input.notes.iter().map(|note| names.without_folders(note)).collect(),
    }
}

fn faults(
    input: &ReportInput<'_>,
    names: &Names,
    pictures: &mut Pictures<'_>,
    reporter: &dyn Reporter,
) -> Result<Faults, WorkflowError> {
    let copies = input
        .copies
        .iter()
        .map(|copies| Copies {
            names: copies.paths.iter().map(|path| names.of(path)).collect(),
            is_leak: copies.is_leak,
            disagree: copies.disagree,
        })
        .collect();
    let Some(features) = input.features.as_ref().filter(|f| f.view().nrows() == input.images.len()) else {
        return Ok(Faults { labels: Err(NotLookedFor::TooMany), n_labels: 0, copies });
    };
    let y: Vec<ClassIdx> = input.images.iter().map(|image| image.class).collect();
    reporter.progress(Stage::Fit, 0, 0);
    let found = match suspected(features.view(), &y, input.classes.len(), input.seed, reporter.cancel_token()) {
        Ok((found, _)) => found,
        Err(HeadError::Cancelled) => return Err(WorkflowError::Cancelled),
        Err(HeadError::NoValidation) => {
            return Ok(Faults { labels: Err(NotLookedFor::TooFew), n_labels: 0, copies });
        }
        Err(error) => return Err(error.into()),
    };
    let name = |class: ClassIdx| input.classes.name(class).unwrap_or_default().to_owned();
    let n_labels = found.len();
    let mut labels = Vec::new();
    for label in found.into_iter().take(MAX_DOUBTFUL) {
        labels.push(DoubtfulLabel {
            picture: pictures.of(&input.images[label.row].path)?,
            given: name(y[label.row]),
            suggested: name(label.suggested),
            quality: label.quality,
        });
    }
    Ok(Faults { labels: Ok(labels), n_labels, copies })
}

fn compared(runs: &ComparedRuns, backbone: &Backbone, pictures: &mut Pictures<'_>) -> Result<Compared, WorkflowError> {
    let comparison = compare(&runs.a.0, &runs.b.0);
    let mut of_hash: BTreeMap<[u8; SHORT_HASH], Picture> = BTreeMap::new();
    for hash in shown_hashes(&comparison) {
        if let Some(path) = runs.files.get(&hash) {
            of_hash.insert(hash, pictures.of(path)?);
        }
    }
    let row = |(run, marks): &(Run, RunMarks)| run_row(run, marks, backbone);
    Ok(Compared { a: row(&runs.a), b: row(&runs.b), comparison, pictures: of_hash })
}

/// Images on which two runs differ and that a report shows.
pub fn shown_hashes(comparison: &Comparison) -> Vec<[u8; SHORT_HASH]> {
    let lists = [&comparison.only_b, &comparison.only_a, &comparison.neither];
    lists.into_iter().flat_map(|list| list.iter().take(MAX_DIFFERENCES).map(|d| d.hash)).collect()
}

/// A run as a row; the layer and the preprocessing are named where they are not those of `backbone`.
fn run_row(run: &Run, marks: &RunMarks, backbone: &Backbone) -> RunRow {
    let mut model = run.model.clone();
    if run.space.layer != backbone.space.layer {
        model = format!("{model}, layer {}", run.space.layer);
    }
    if run.space.backbone == backbone.space.backbone && run.space.preprocess != backbone.space.preprocess {
        model.push_str(", prepared differently");
    }
    let report = run.report();
    RunRow {
        name: marks.title(run.id),
        unix_secs: run.unix_secs,
        model,
        head: run.kind().label().to_owned(),
        n: [run.data.n(Split::Train), report.map_or(0, |r| r.n_rows)],
        accuracy: report.map(|r| r.accuracy),
        calibration_error: report.map(|r| r.calibration_error),
    }
}

/// No embeddings of a space, for where there is nothing to judge on.
pub fn none_judged(head: &JudgedHead) -> Result<Embeddings, WorkflowError> {
    let space = head.trained.head.space().clone();
    Ok(Embeddings::new(Array2::zeros((0, space.dim)), space)?)
}

/// The last component of a path.
pub fn folder_name(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_else(|| "images".to_owned())
}

/// What a folder of images is about: its name, that of the folder above where it is called as a split is.
fn title(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let is_split = Split::from_name(&folder_name(path)).is_some();
    absolute
        .parent()
        .filter(|above| is_split && above.file_name().is_some())
        .map_or_else(|| folder_name(path), folder_name)
}
