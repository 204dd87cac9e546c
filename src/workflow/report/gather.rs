//! What a report is made of, for callers that have images or a project and no heads yet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Axis, concatenate};

use super::{ComparedRuns, MAX_CHECKED, ReportInput, ReportedCopies, ReportedImage, judged_split, none_judged};
use crate::backbone::Backbone;
use crate::classes::{ClassIdx, ClassSet};
use crate::dataset::split::SplitConfig;
use crate::dataset::{Sample, SkipReason, Split, is_leak};
use crate::embedding::Embeddings;
use crate::export::report::LearningCurve;
use crate::head::{self, HeadKind, UnknownRule};
use crate::progress::{Reporter, Stage};
use crate::project::Project;
use crate::project::runs::{Run, RunId, RunMarks, Runs, SHORT_HASH, compare};
use crate::workflow::curve::{CurveConfig, curve};
use crate::workflow::embed::EmbedConfig;
use crate::workflow::study::{StudyConfig, StudyImages};
use crate::workflow::train::{JudgedHead, Prepared, TrainOutcome, fit_head, prepare_gathered};
use crate::workflow::{SharedCache, WorkflowError};

/// Images that heads are trained on for a report.
#[derive(Debug)]
pub struct Gathered {
    title: String,
    folders: Vec<PathBuf>,
    outcome: TrainOutcome,
    /// Index of the head that answers.
    shown: usize,
    /// Given splits of the files.
    split_of: BTreeMap<PathBuf, Option<Split>>,
    skipped: Vec<(PathBuf, String)>,
    notes: Vec<String>,
    seed: u64,
    unknown: UnknownRule,
    runs: Vec<(Run, RunMarks)>,
    compared: Option<ComparedRuns>,
    /// On which images.
    study: StudyConfig,
    curve: Option<LearningCurve>,
}

/// Trains heads on a folder of images, as `graft train` does.
///
/// # Errors
/// As [`crate::workflow::train::train`].
pub fn from_folder(
    backbone: &Backbone,
    (images, val): (&Path, Option<&Path>),
    seed: u64,
    embed: EmbedConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
) -> Result<Gathered, WorkflowError> {
    let folder = StudyImages::Folder { images: images.to_owned(), val: val.map(Path::to_owned) };
    let split = SplitConfig { seed, ..SplitConfig::default() };
    let config = StudyConfig { images: folder, split, embed };
    let (outcome, split_of) = trained(backbone, &config, cache, reporter)?;
    let shown = best(&outcome.heads);
    Ok(Gathered {
        title: super::title(images),
        folders: [Some(images), val].into_iter().flatten().map(Path::to_owned).collect(),
        outcome,
        shown,
        split_of,
        skipped: Vec::new(),
        notes: Vec::new(),
        seed,
        unknown: UnknownRule::Off,
        runs: Vec::new(),
        compared: None,
        study: config,
        curve: None,
    })
}

/// Trains heads on the labelled images of a project as its settings say. Images whose class typed labels have guessed are
/// left out.
///
/// # Errors
/// As [`crate::workflow::train::train`].
pub fn from_project(
    backbone: &Backbone,
    (title, project, runs): (&str, &Project, &Runs),
    compared: Option<(RunId, RunId)>,
    embed: EmbedConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
) -> Result<Gathered, WorkflowError> {
    let of_class = project.sorted_classes();
    let classes = ClassSet::from_ordered(of_class.iter().map(|(_, class)| class.name.clone()));
    let mut n_guessed = 0;
    let (mut samples, mut skipped) = (Vec::new(), Vec::new());
    for (id, image) in project.present() {
        let (Some(path), Some(class)) = (project.path(id), image.class) else { continue };
        if let Some(reason) = &image.skipped {
            skipped.push((path, reason.clone()));
            continue;
        }
        let class = of_class.iter().position(|(id, _)| *id == class).map(ClassIdx::from);
        match (image.is_guessed, class) {
            (true, _) => n_guessed += 1,
            (false, Some(class)) => samples.push(Sample { path, class: Some(class), split: image.split }),
            (false, None) => {}
        }
    }
    let settings = &project.settings;
    let split = SplitConfig { val_fraction: settings.val_fraction, seed: settings.seed, shots: None };
    let config = StudyConfig { images: StudyImages::Files { classes, samples }, split, embed };
    let (outcome, split_of) = trained(backbone, &config, cache, reporter)?;
    let chosen = outcome.heads.iter().position(|head| Some(head.trained.head.kind()) == settings.head);
    let shown = chosen.unwrap_or_else(|| best(&outcome.heads));
    let mut notes = Vec::new();
    let settled = settings.unknown.settle(outcome.heads.get(shown).map_or(&[], |head| &head.certainty.known));
    if let Err(error) = &settled {
        notes.push(format!("Every image gets an answer: {error}."));
    }
    let unknown = settled.unwrap_or_default();
    if n_guessed > 0 {
        notes.push(format!(
            "{n_guessed} images are left out whose class is only what typed labels say; confirm them to have them counted."
        ));
    }
    let of = |run: &Run| (run.clone(), marks_of(project, run.id));
    Ok(Gathered {
        title: title.to_owned(),
        folders: project.roots.clone(),
        outcome,
        shown,
        split_of,
        skipped,
        notes,
        seed: settings.seed,
        unknown,
        runs: runs.shown(&project.run_marks).into_iter().map(of).collect(),
        compared: compared.and_then(|(a, b)| compared_runs(project, runs, a, b)),
        study: config,
        curve: None,
    })
}

/// Two runs of a project with the files on which they differ; `None` where one is gone.
pub fn compared_runs(project: &Project, runs: &Runs, a: RunId, b: RunId) -> Option<ComparedRuns> {
    let (a, b) = (runs.get(a)?, runs.get(b)?);
    let comparison = compare(a, b);
    let hashes = super::shown_hashes(&comparison);
    let files = project
        .images_of(&hashes.into_iter().collect())
        .into_iter()
        .filter_map(|(hash, id)| Some((hash, project.path(id)?)))
        .collect::<BTreeMap<[u8; SHORT_HASH], PathBuf>>();
    let of = |run: &Run| (run.clone(), marks_of(project, run.id));
    Some(ComparedRuns { a: of(a), b: of(b), files })
}

fn marks_of(project: &Project, id: RunId) -> RunMarks {
    project.run_marks.get(&id).cloned().unwrap_or_default()
}

fn trained(
    backbone: &Backbone,
    config: &StudyConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
) -> Result<(TrainOutcome, BTreeMap<PathBuf, Option<Split>>), WorkflowError> {
    let gathered = config.gather(reporter)?;
    let split_of = gathered.samples.iter().map(|sample| (sample.path.clone(), sample.split)).collect();
    let prepared = prepare_gathered(backbone, gathered, &config.train(), cache, reporter)?;
    let started = std::time::Instant::now();
    let mut heads = Vec::new();
    for (i, kind) in HeadKind::OF_EXAMPLES.into_iter().enumerate() {
        reporter.progress(Stage::Fit, i, HeadKind::OF_EXAMPLES.len());
        let seed = config.split.seed;
        let of_head = head::TrainConfig { kind, seed, ..head::TrainConfig::default() };
        heads.push(fit_head(&prepared.data, kind, &of_head, seed, reporter.cancel_token())?);
    }
    Ok((TrainOutcome { prepared, heads, fit_secs: started.elapsed().as_secs_f64() }, split_of))
}

/// As [`TrainOutcome::best`], as an index.
fn best(heads: &[JudgedHead]) -> usize {
    let score = |head: &JudgedHead| head.val.as_ref().map_or((0.0, 0.0), |r| (r.accuracy.value, -r.log_loss.value));
    (0..heads.len())
        .reduce(|best, i| {
            let (a, b) = (score(&heads[best]), score(&heads[i]));
            if b.0 > a.0 || (b.0 == a.0 && b.1 > a.1) { i } else { best }
        })
        .unwrap_or(0)
}

impl Gathered {
    /// Draws the learning curve of the same images as well.
    ///
    /// # Errors
    /// As [`curve`].
    pub fn draw_curve(
        &mut self,
        backbone: &Backbone,
        cache: &SharedCache,
        reporter: &dyn Reporter,
    ) -> Result<(), WorkflowError> {
        let outcome = curve(backbone, &CurveConfig::new(self.study.clone()), cache, reporter)?;
        self.curve = super::reported_curve(&outcome);
        self.notes.extend(outcome.notes);
        Ok(())
    }

    /// The heads that were trained.
    pub fn heads(&self) -> &[JudgedHead] {
        &self.outcome.heads
    }

    /// The head that answers.
    pub fn shown(&self) -> Option<&JudgedHead> {
        self.outcome.heads.get(self.shown)
    }

    /// What a report is made of. `heads` are [`Self::heads`].
    ///
    /// # Errors
    /// When features of the parts do not fit together, which cannot be.
    pub fn input<'a>(
        &'a self,
        backbone: &'a Backbone,
        heads: &'a [&'a JudgedHead],
        command: String,
        shows_paths: bool,
    ) -> Result<ReportInput<'a>, WorkflowError> {
        let Prepared { data, skipped, notes, .. } = &self.outcome.prepared;
        let parts = [(&data.train, Split::Train), (&data.val, Split::Val), (&data.test, Split::Test)];
        let images: Vec<ReportedImage> = parts
            .iter()
            .flat_map(|(part, split)| {
                let files = part.paths.iter().zip(&part.classes);
                files.map(|(path, class)| ReportedImage { path: path.clone(), class: *class, split: *split })
            })
            .collect();
        let features = if images.len() <= MAX_CHECKED {
            let views: Vec<_> = parts.iter().map(|(part, _)| part.embeddings.view()).collect();
            let joined = concatenate(Axis(0), &views).ok();
            joined.map(|values| Embeddings::new(values, data.train.embeddings.space().clone())).transpose()?
        } else {
            None
        };
        let judged = match (judged_split(&images), heads.get(self.shown)) {
            (Split::Val, _) => data.val.embeddings.clone(),
            (_, Some(head)) if data.test.is_empty() => none_judged(head)?,
            _ => data.test.embeddings.clone(),
        };
        let (copies, left_out) = self.copies(skipped);
        Ok(ReportInput {
            title: self.title.clone(),
            folders: self.folders.clone(),
            shows_paths,
            backbone,
            classes: &data.classes,
            heads,
            shown: self.shown,
            images,
            judged,
            features,
            copies,
            skipped: self.skipped.iter().cloned().chain(left_out).collect(),
            notes: self.notes.iter().chain(notes).cloned().collect(),
            val_is_given: data.val_is_given,
            seed: self.seed,
            unknown: self.unknown,
            curve: self.curve.clone(),
            runs: self.runs.clone(),
            compared: self.compared.clone(),
            command,
            differs: Vec::new(),
        })
    }

    /// Copies, apart from what was left out for other reasons.
    fn copies(&self, skipped: &[crate::dataset::Skipped]) -> (Vec<ReportedCopies>, Vec<(PathBuf, String)>) {
        let mut groups: BTreeMap<&Path, ReportedCopies> = BTreeMap::new();
        let mut left_out = Vec::new();
        for file in skipped {
            let (of, disagree) = match &file.reason {
                SkipReason::DuplicateOf { of } => (of, false),
                SkipReason::LabelConflict { of, .. } => (of, true),
                // Files that are no images lie about in many folders.
                SkipReason::NotAnImage => continue,
                reason => {
                    left_out.push((file.path.clone(), reason.to_string()));
                    continue;
                }
            };
            let split = |path: &Path| self.split_of.get(path).copied().flatten();
            let (own, kept) = (split(&file.path), split(of));
            let group = groups
                .entry(of)
                .or_insert_with(|| ReportedCopies { paths: vec![of.clone()], ..ReportedCopies::default() });
            group.paths.push(file.path.clone());
            group.is_leak |= is_leak(own, kept);
            group.disagree |= disagree;
        }
        (groups.into_values().collect(), left_out)
    }
}
