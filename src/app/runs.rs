//! Runs: kept once the data stand still, marked, compared, and written into a report.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::command::Effect;
use super::live::{Fit, model_choice};
use super::notices::{Remedy, Tone};
use super::project::OpenProject;
use super::state::{AppState, Purpose};
use super::{Action, EvaluateView, Place};
use crate::head::HeadKind;
use crate::jobs::{ExportRequest, JobRequest, LaneKind, ReportRequest, RowOfReport};
use crate::project::runs::{Comparison, Run, RunId, RunMarks, Runs, SHORT_HASH, compare};
use crate::project::{Edit, ImageId};
use crate::store::project::Write;
use crate::workflow::report::{ReportedCopies, compared_runs, reported_curve};

/// Images on which two runs differ that are found at once, at most of each kind.
pub const MAX_DIFFERENCES: usize = 60;

/// Two runs that were compared.
#[derive(Clone, Debug)]
pub struct ComparedPair {
    /// The earlier one.
    pub a: RunId,
    /// The later one.
    pub b: RunId,
    /// What came of it.
    pub comparison: Arc<Comparison>,
    /// The images on which they differ, as far as they are in the project.
    pub images: BTreeMap<[u8; SHORT_HASH], ImageId>,
}

/// Runs of the open project.
#[derive(Clone, Debug, Default)]
pub struct RunsState {
    /// Those that are kept.
    pub kept: Runs,
    /// Those that are chosen to be compared, at most two, the one chosen last behind.
    pub chosen: Vec<RunId>,
    /// Both of them against each other.
    pub compared: Option<ComparedPair>,
    /// The report that was written last.
    pub report: Option<PathBuf>,
    /// Why the last one was not.
    pub report_error: Option<String>,
    /// Runs of the latest fit, and the revision that it was of, until the data stand still.
    pending: Option<(Vec<Run>, u64)>,
}

impl RunsState {
    pub(super) fn new(kept: Runs) -> Self {
        Self { kept, ..Self::default() }
    }

    /// Another model was chosen: what was not kept yet would be called by its name.
    pub(super) fn forget_pending(&mut self) {
        self.pending = None;
    }

    /// Notes the runs of a fit; those of an older one are of no interest any more.
    pub(super) fn note(&mut self, runs: Vec<Run>, revision: u64) {
        self.pending = (!runs.is_empty()).then_some((runs, revision));
    }
}

impl OpenProject {
    /// What the user says of a run.
    pub fn run_marks(&self, id: RunId) -> RunMarks {
        self.data.run_marks.get(&id).cloned().unwrap_or_default()
    }

    /// What a run is called.
    pub fn run_title(&self, id: RunId) -> String {
        self.data.run_marks.get(&id).map_or_else(|| RunMarks::default().title(id), |marks| marks.title(id))
    }

    /// The runs that are shown, latest first.
    pub fn shown_runs(&self) -> Vec<&Run> {
        self.runs.kept.shown(&self.data.run_marks)
    }

    /// What was chosen is compared anew, where something has changed.
    fn compare_runs(&mut self) {
        let (runs, marks) = (&self.runs.kept, &self.data.run_marks);
        let is_there = |id: &RunId| runs.get(*id).is_some() && !marks.get(id).is_some_and(|m| m.is_deleted);
        self.runs.chosen.retain(is_there);
        let pair = match self.runs.chosen.as_slice() {
            [a, b] => runs.get(*a).zip(runs.get(*b)),
            _ => None,
        };
        // The later one is B, whichever was chosen first.
        let pair = pair.map(|(a, b)| if (a.unix_secs, a.id) <= (b.unix_secs, b.id) { (a, b) } else { (b, a) });
        let known = self.runs.compared.as_ref().map(|known| (known.a, known.b));
        if known == pair.map(|(a, b)| (a.id, b.id)) {
            return;
        }
        self.runs.compared = pair.map(|(a, b)| {
            let comparison = compare(a, b);
            let lists = [&comparison.only_b, &comparison.only_a, &comparison.neither];
            let hashes = lists.iter().flat_map(|list| list.iter().take(MAX_DIFFERENCES).map(|d| d.hash)).collect();
            let images = self.data.images_of(&hashes);
            ComparedPair { a: a.id, b: b.id, comparison: Arc::new(comparison), images }
        });
    }
}

impl AppState {
    /// Keeps the runs of the latest fit once nothing more is under way that would make others.
    pub(super) fn keep_runs_if_due(&mut self, effects: &mut Vec<Effect>) {
        let is_busy = self.is_busy_with(|p| matches!(p, Purpose::Embed { .. } | Purpose::Fit { .. }));
        let Some(project) = &mut self.project else { return };
        if project.runs.pending.as_ref().is_some_and(|(_, revision)| *revision != project.revision) {
            project.runs.pending = None;
        }
        let Some((mut fresh, _)) = project.runs.pending.take_if(|_| !is_busy) else { return };
        let model = project.live.model_name.clone().or_else(|| project.data.settings.model.clone());
        for run in &mut fresh {
            run.model = model.clone().unwrap_or_else(|| "Starter".to_owned());
        }
        let kept = project.runs.kept.keep(fresh, &project.data.run_marks);
        for id in &kept.dropped {
            project.data.run_marks.remove(id);
        }
        project.compare_runs();
        let mut writes: Vec<Write> = kept.added.into_iter().map(|run| Write::AddRun(Box::new(run))).collect();
        if !kept.dropped.is_empty() {
            writes.push(Write::DropRuns(kept.dropped));
        }
        self.write(writes, effects);
    }

    /// Brings the comparison up to date after runs were deleted or have come back.
    pub(super) fn refresh_runs(&mut self) {
        if let Some(project) = &mut self.project {
            project.compare_runs();
        }
    }

    pub(super) fn choose_run(&mut self, id: RunId, on: bool) {
        let Some(project) = &mut self.project else { return };
        let chosen = &mut project.runs.chosen;
        chosen.retain(|known| *known != id);
        if on {
            if chosen.len() > 1 {
                chosen.remove(0);
            }
            chosen.push(id);
        }
        project.compare_runs();
    }

    pub(super) fn name_run(&mut self, id: RunId, name: &str, effects: &mut Vec<Effect>) {
        let name = name.trim().to_owned();
        let title = match name.as_str() {
            "" => "take the name off a run".to_owned(),
            name => format!("name a run “{name}”"),
        };
        self.mark_run(id, title, None, |marks| marks.name = name, effects);
    }

    pub(super) fn note_on_run(&mut self, id: RunId, note: &str, effects: &mut Vec<Effect>) {
        let note = note.trim().to_owned();
        self.mark_run(id, "change the note on a run".to_owned(), None, |marks| marks.note = note, effects);
    }

    pub(super) fn pin_run(&mut self, id: RunId, on: bool, effects: &mut Vec<Effect>) {
        let title = if on { "pin a run" } else { "unpin a run" };
        self.mark_run(id, title.to_owned(), None, |marks| marks.is_pinned = on, effects);
    }

    pub(super) fn delete_run(&mut self, id: RunId, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let name = project.run_title(id);
        let told = Some(format!("Deleted “{name}”."));
        self.mark_run(id, format!("delete “{name}”"), told, |marks| marks.is_deleted = true, effects);
    }

    fn mark_run(
        &mut self,
        id: RunId,
        title: String,
        told: Option<String>,
        change: impl FnOnce(&mut RunMarks),
        effects: &mut Vec<Effect>,
    ) {
        let Some(project) = self.project.as_ref().filter(|p| p.runs.kept.get(id).is_some()) else { return };
        let changes = project.data.run_change(id, change).into_iter().collect();
        let edit = Edit { title, changes };
        match told {
            Some(text) => self.commit_told(edit, text, effects),
            None => self.commit(edit, effects),
        }
    }

    /// Has a report written of the heads as they are.
    pub(super) fn write_report(&mut self, path: PathBuf, effects: &mut Vec<Effect>) {
        let Some(project) = &mut self.project else { return };
        project.runs.report_error = None;
        let Some(request) = project.report_request(path) else { return };
        let session = project.session;
        self.evaluate_view = EvaluateView::Runs;
        self.place = Place::Evaluate;
        let request = JobRequest::Export(ExportRequest::Report(Box::new(request)));
        self.job(request, Purpose::Report { session }, effects);
    }

    pub(super) fn on_reported(&mut self, session: crate::jobs::Session, path: PathBuf) {
        if let Some(project) = self.project.as_mut().filter(|p| p.session == session) {
            let text = format!("Wrote the report {}.", path.display());
            project.runs.report = Some(path);
            // The view itself shows it.
            if (self.place, self.evaluate_view) != (Place::Evaluate, EvaluateView::Runs) {
                self.notices.push(Tone::Success, text, None, Some(Remedy::Act(Action::OpenReport)));
            }
        }
    }

    pub(super) fn report_failed(&mut self, session: crate::jobs::Session, why: String) {
        if let Some(project) = self.project.as_mut().filter(|p| p.session == session) {
            project.runs.report_error = Some(why);
        }
    }
}

/// Whether a report can be written now, and if not why.
pub(super) fn can_report(state: &AppState) -> Result<(), super::action::Reason> {
    let project = state.project.as_ref().ok_or("No project is open")?;
    let Some(fit) = project.live.fit.as_ref().filter(|fit| fit.head().is_some()) else {
        return Err("There is no trained head yet: label images of two classes");
    };
    if state.activity(LaneKind::Fit).is_some() {
        return Err("Heads are being fitted: the report would be of those before");
    }
    if fit.output.revision != project.revision {
        return Err("The heads are of the data as they were before the last change");
    }
    let is_at_it =
        state.activity(LaneKind::Export).is_some() && state.is_busy_with(|p| matches!(p, Purpose::Report { .. }));
    if is_at_it { Err("A report is being written") } else { Ok(()) }
}

impl OpenProject {
    fn report_request(&self, path: PathBuf) -> Option<ReportRequest> {
        let fit = self.live.fit.as_ref()?;
        let output = &fit.output;
        let rows = output.splits.iter().filter_map(|(id, split)| {
            let image = self.data.image(*id)?;
            let class = output.class_ids.iter().position(|class| Some(*class) == image.class)?;
            Some(RowOfReport {
                path: self.data.path(*id)?,
                row: self.live.row(*id)?,
                class: class as u32,
                split: *split,
            })
        });
        let mut rows: Vec<RowOfReport> = rows.collect();
        // As the command line has them, since the order of rows has a say in cross-validation.
        rows.sort_by_key(|row| row.split);
        let skipped = self.data.present().filter_map(|(id, image)| Some((self.data.path(id)?, image.skipped.clone()?)));
        let marked = |run: &Run| (run.clone(), self.run_marks(run.id));
        let pair = self.runs.compared.as_ref().map(|pair| (pair.a, pair.b));
        let model = model_choice(&self.data);
        let mut notes = Vec::new();
        if output.n_beyond > 0 {
            notes.push(format!(
                "{} more training images were not used, since heads are fitted while one works.",
                output.n_beyond
            ));
        }
        if self.counts.n_guessed > 0 {
            let text = format!(
                "The class of {} images is only what typed labels say: they were trained on and not judged on.",
                self.counts.n_guessed
            );
            notes.push(text);
        }
        Some(ReportRequest {
            title: self.name(),
            command: self.report_command(),
            differs: self.report_differs(fit),
            folders: self.data.roots.clone(),
            epoch: self.live.epoch,
            model,
            heads: output.heads.iter().map(|head| Arc::clone(&head.judged)).collect(),
            shown: fit.shown,
            rows,
            copies: self.copies(),
            skipped: skipped.collect(),
            notes,
            val_is_given: output.val_is_given,
            seed: self.data.settings.seed,
            unknown: self.live.rule(),
            curve: self
                .drawn_curve()
                .filter(|drawn| drawn.revision == self.revision)
                .and_then(|drawn| reported_curve(&drawn.outcome)),
            runs: self.shown_runs().into_iter().map(marked).collect(),
            compared: pair.and_then(|(a, b)| compared_runs(&self.data, &self.runs.kept, a, b)),
            path,
        })
    }

    /// Where the project lies is nobody's business.
    fn report_command(&self) -> String {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut command = format!("graft report --project '{}'", name.replace('\'', "'\\''"));
        if let Some(pair) = &self.runs.compared {
            let quoted = |id: RunId| format!("'{}'", self.run_title(id).replace('\'', "'\\''"));
            command += &format!(" --runs {} {}", quoted(pair.a), quoted(pair.b));
        }
        command + " --out report.html"
    }

    /// In what the command's report would be another one than the window's.
    fn report_differs(&self, fit: &Fit) -> Vec<String> {
        let mut differs = Vec::new();
        if self.counts.n_guessed > 0 {
            differs.push("It leaves out the images whose class is only what typed labels say.");
        }
        if fit.output.n_beyond > 0 {
            differs.push("It trains on all images, and not on a part of them.");
        }
        if fit.head().is_some_and(|head| !HeadKind::OF_EXAMPLES.contains(&head.kind())) {
            differs.push("It trains the heads that start from images alone, and reports the better of them.");
        }
        if !fit.output.is_chosen_anew {
            differs.push("It chooses the settings of the heads anew; those here are of before the last change.");
        }
        if self.live.n_embedded < self.counts.n_images {
            differs.push("It takes all images; the model had not seen all of them here.");
        }
        if self.drawn_curve().is_some_and(|drawn| drawn.revision == self.revision) {
            differs.push("The learning curve was drawn in the window; the command draws its own with --curve.");
        }
        differs.into_iter().map(str::to_owned).collect()
    }

    fn copies(&self) -> Vec<ReportedCopies> {
        let mut groups: BTreeMap<ImageId, ReportedCopies> = BTreeMap::new();
        for copy in self.live.duplicates() {
            let (Some(path), Some(kept)) = (self.data.path(copy.id), self.data.path(copy.of)) else { continue };
            let group = groups
                .entry(copy.of)
                .or_insert_with(|| ReportedCopies { paths: vec![kept], ..ReportedCopies::default() });
            group.paths.push(path);
            group.is_leak |= copy.is_leak;
            group.disagree |= copy.is_conflict;
        }
        groups.into_values().collect()
    }
}
