//! What came of the work.

use super::command::{DropInto, Effect};
use super::notices::{Remedy, Tone};
use super::open::Aim;
use super::project::OpenProject;
use super::state::{Activity, AppState, EmbedPause, Place, Purpose, RuntimeState};
use super::words::n_images;
use super::zero_shot::LearningCurve;
use crate::dataset::Split;
use crate::jobs::{Body, Explained, FitOutput, JobData, JobError, JobEvent, JobId, JobOutput, LaneKind, SkippedImage};
use crate::project::RootId;
use crate::store::project::{StoredHead, Write};

/// Takes in what happened: changes the state and returns what follows.
pub fn on_event(state: &mut AppState, event: JobEvent) -> Vec<Effect> {
    let mut effects = Vec::new();
    let JobEvent { id, at, body } = event;
    match body {
        Body::Started => {}
        Body::Progress { stage, n_done, n_total } => {
            if let Some(activity) = state.activities.iter_mut().find(|a| a.id == id) {
                if activity.stage != Some(stage) {
                    activity.since = Some((at, n_done));
                }
                *activity = Activity { stage: Some(stage), n_done, n_total, at: Some(at), ..activity.clone() };
            }
            return effects;
        }
        Body::Warning(text) => {
            state.notices.push(Tone::Warning, text, None, None);
            return effects;
        }
        Body::Data(data) => state.on_data(data, &mut effects),
        Body::Finished(result) => state.on_finished(id, result, &mut effects),
    }
    state.follow_up(&mut effects);
    effects
}

impl AppState {
    fn on_data(&mut self, data: JobData, effects: &mut Vec<Effect>) {
        let Some(project) = &mut self.project else { return };
        match data {
            JobData::Space { epoch, name, reads_text, .. } => {
                if epoch == project.live.epoch {
                    project.live.reads_text = Some(reads_text);
                    project.live.model_name = Some(name);
                }
            }
            JobData::Compared(compared) => self.on_compared(compared),
            JobData::Embedded { epoch, rows, skipped } => {
                if epoch != project.live.epoch {
                    return;
                }
                let mut hashes = Vec::new();
                for (id, hash, row) in rows {
                    project.live.set_row(id, row);
                    if project.data.image(id).is_some_and(|i| i.hash != Some(hash)) {
                        project.data.set_hash(id, hash);
                        hashes.push((id, hash));
                    }
                }
                let mut writes = Vec::new();
                if !hashes.is_empty() {
                    writes.push(Write::Hashes(hashes));
                }
                if !skipped.is_empty() {
                    let mut lasting = Vec::new();
                    for SkippedImage { id, reason, is_lasting } in skipped {
                        project.data.set_skipped(id, Some(reason.clone()));
                        // A disk that is not there now may be there the next time.
                        match is_lasting {
                            true => lasting.push((id, Some(reason))),
                            false => project.live.unreachable.push(id),
                        }
                    }
                    project.gallery.is_stale = true;
                    if !lasting.is_empty() {
                        writes.push(Write::Skips(lasting));
                    }
                }
                self.write(writes, effects);
            }
            JobData::ZeroShot(answers) => self.on_text_answers(*answers),
            JobData::Mapped(mapped) => self.on_map_frame(*mapped),
        }
    }

    fn on_finished(&mut self, id: JobId, result: Result<JobOutput, JobError>, effects: &mut Vec<Effect>) {
        let lane = self.activities.iter().find(|a| a.id == id).map(|a| a.lane);
        self.activities.retain(|a| a.id != id);
        // What came to its end before it could be cancelled was not cancelled, nor is what follows it.
        if let Some(lane) = lane.filter(|lane| self.activity(*lane).is_none())
            && !matches!(result, Err(JobError::Cancelled))
        {
            self.ended.remove(&lane);
        }
        let Some(purpose) = self.purposes.remove(&id) else { return };
        if let (Purpose::Embed { epoch }, Some(project)) = (&purpose, &mut self.project)
            && project.live.epoch == *epoch
        {
            project.note_missing_roots();
        }
        match result {
            Ok(output) => self.on_output(id, purpose, output, effects),
            Err(error) => self.on_error(id, purpose, error),
        }
    }

    fn on_output(&mut self, id: JobId, purpose: Purpose, output: JobOutput, effects: &mut Vec<Effect>) {
        match (purpose, output) {
            (Purpose::Write { session }, _) => {
                self.n_unsaved = self.n_unsaved.saturating_sub(1);
                if self.session() == Some(session) {
                    self.save_error = None;
                }
            }
            (Purpose::Peek, JobOutput::Peeked(peek)) => {
                if let Some((paths, known)) = &mut self.hover
                    && *paths == peek.paths
                {
                    *known = Some(peek);
                }
            }
            (Purpose::Drop { into, shown, session }, JobOutput::Scanned(scanned)) => {
                self.on_scanned(scanned, Aim { into, shown, session, is_sample: false }, effects);
            }
            (Purpose::Sample, JobOutput::Scanned(scanned)) => {
                self.on_scanned(
                    scanned,
                    Aim { into: DropInto::Add, shown: None, session: None, is_sample: true },
                    effects,
                );
            }
            (Purpose::Open, JobOutput::Opened(opened)) => self.on_opened(id, *opened, effects),
            (Purpose::Open, JobOutput::AlreadyOpen(path)) => {
                // It is what is shown: a double click asks for it twice.
                tracing::debug!(path = %path.display(), "is open already");
                self.place = Place::Images;
            }
            (Purpose::Copy, JobOutput::Wrote(path)) => {
                let folder = path.parent().map(|p| Remedy::OpenFolder(p.to_owned()));
                self.notices.push(Tone::Success, format!("A copy was saved as {}.", path.display()), None, folder);
            }
            (Purpose::Map { lays_out, .. }, JobOutput::Mapped(mapped)) => self.on_mapped(*mapped, lays_out),
            (Purpose::Study { .. }, JobOutput::Probed(probed)) => self.on_probed(probed),
            (Purpose::Study { .. }, JobOutput::DrawnCurve(drawn)) => self.on_drawn_curve(drawn),
            (Purpose::Study { .. }, JobOutput::Compared(compared)) => self.on_compared(compared),
            (Purpose::Embed { epoch }, JobOutput::Embedded { ran_on, .. }) => {
                if let Some(project) = self.project.as_mut().filter(|p| p.live.epoch == epoch) {
                    project.live.ran_on = ran_on.or(project.live.ran_on);
                    // Images that were added meanwhile.
                    project.live.wants_embedding = true;
                }
            }
            (Purpose::ZeroShot { .. }, JobOutput::ZeroShotJudged { epoch, number, report, effects }) => {
                self.on_text_judged((epoch, number), report, effects);
            }
            (Purpose::Curve { .. }, JobOutput::Curve { epoch, revision, points }) => {
                if let Some(project) = self.project.as_mut().filter(|p| p.live.epoch == epoch) {
                    project.zero_shot.curve = Some(LearningCurve { points, revision });
                }
            }
            (Purpose::Check { .. }, JobOutput::Checked(checked)) => self.on_checked(*checked),
            (Purpose::Fit { revision }, JobOutput::Fitted(output)) => self.on_fitted(revision, *output, effects),
            (Purpose::Next { .. }, JobOutput::Next(output)) => self.on_next(*output),
            (Purpose::Near { session }, JobOutput::Explained(Explained::Near(near))) => {
                if self.session() == Some(session) {
                    self.on_near(id, Ok(near));
                }
            }
            (Purpose::Occlude { session }, JobOutput::Explained(Explained::Occluded { class, map })) => {
                if self.session() == Some(session) {
                    self.on_occluded(id, Ok((class, map)));
                }
            }
            (Purpose::Predict { epoch, head }, JobOutput::Predicted(predictions)) => {
                let is_wanted = |p: &&mut OpenProject| p.live.epoch == epoch && p.data.settings.head == head;
                if let Some(project) = self.project.as_mut().filter(is_wanted) {
                    let n_skipped = predictions.answers.skipped.len();
                    project.predictions = Some(predictions);
                    self.settle_unknown();
                    if n_skipped > 0 {
                        let text = format!("{} could not be used.", n_images(n_skipped));
                        self.notices.push(Tone::Warning, text, None, None);
                    }
                }
            }
            (Purpose::Strangers { session }, JobOutput::Predicted(answers)) => {
                if self.session() == Some(session) {
                    self.on_strangers(answers);
                }
            }
            (Purpose::Export { epoch, revision }, JobOutput::Exported { dir, meta }) => {
                let project = self.project.as_mut().filter(|p| p.live.epoch == epoch);
                // The place itself shows it.
                if self.place != Place::Export || project.is_none() {
                    let text = format!("Exported and verified on {}.", n_images(meta.verification.n));
                    self.notices.push(Tone::Success, text, None, Some(Remedy::OpenFolder(dir.clone())));
                }
                if let Some(project) = project {
                    project.export.done = Some((dir, meta));
                    project.export.done_at = revision;
                    project.export.error = None;
                }
            }
            (Purpose::Report { session }, JobOutput::Reported(path)) => self.on_reported(session, path),
            (Purpose::Predictions, JobOutput::Wrote(path)) => {
                let folder = path.parent().map(|p| Remedy::OpenFolder(p.to_owned()));
                self.notices.push(Tone::Success, format!("Saved {}.", path.display()), None, folder);
            }
            (Purpose::Predictions, JobOutput::Sorted { dir, outcome }) => {
                let text = format!("Copied {} into folders.", n_images(outcome.n_copied));
                let n_failed = outcome.skipped.len();
                let details = (n_failed > 0).then(|| format!("{} could not be copied.", n_images(n_failed)));
                self.notices.push(Tone::Success, text, details, Some(Remedy::OpenFolder(dir)));
            }
            (Purpose::ListModels, JobOutput::Models(cards)) => self.models.cards = Some(cards),
            (Purpose::Inspect(_), JobOutput::Inspected(inspected)) => {
                self.models.inspected = Some(inspected);
                self.models.inspect_error = None;
            }
            (Purpose::Import, JobOutput::Imported(imported)) => {
                let name = &imported.installed.name;
                match imported.was_there {
                    true => self.notices.info(format!("This model is installed already, as “{name}”.")),
                    false => {
                        let lies = format!("It stays at {}.", imported.installed.path.display());
                        let details = imported.installed.is_linked.then_some(lies);
                        self.notices.push(Tone::Success, format!("“{name}” is installed."), details, None);
                    }
                }
                self.list_models(effects);
            }
            (Purpose::SelfTest(provider), JobOutput::SelfTested(test)) => {
                self.models.testing = None;
                self.models.self_tests.insert(provider.label(), *test);
            }
            (Purpose::Runtime, JobOutput::Runtime { path, version }) => {
                self.runtime = RuntimeState::Ready { path, version };
            }
            (Purpose::FindRoot { session }, JobOutput::FoundRoot { root, path }) => {
                if self.session() == Some(session) {
                    self.on_found_root(root, path, effects);
                }
            }
            (purpose, output) => tracing::debug!(?purpose, ?output, "nothing follows from this"),
        }
    }

    fn on_fitted(&mut self, revision: u64, mut output: FitOutput, effects: &mut Vec<Effect>) {
        let Some(project) = &mut self.project else { return };
        // Results of an older state are dropped; the latest is on its way.
        if output.epoch != project.live.epoch || revision != project.revision {
            return;
        }
        let stored = output.heads.iter().map(|head| stored_head(head, &output)).collect();
        let chosen = project.data.settings.head;
        project.runs.note(std::mem::take(&mut output.runs), revision);
        project.live.set_fit(output, &project.data, chosen);
        project.gallery.is_stale = true;
        self.settle_unknown();
        self.write(vec![Write::Heads(stored)], effects);
    }

    pub(super) fn on_found_root(&mut self, root: RootId, path: Option<std::path::PathBuf>, effects: &mut Vec<Effect>) {
        let Some(project) = &mut self.project else { return };
        let Some(path) = path else {
            self.notices.push(
                Tone::Warning,
                "The images are not in that folder.",
                Some("Choose the folder that the images were moved to, or the one above it.".to_owned()),
                Some(Remedy::Relocate(root)),
            );
            return;
        };
        let Some(known) = project.data.roots.get_mut(root.as_usize()) else { return };
        known.clone_from(&path);
        project.missing_roots.retain(|r| *r != root);
        project.n_retries += 1;
        project.live.wants_embedding = true;
        let skipped: Vec<_> =
            project.data.present().filter(|(_, i)| i.root == root && i.skipped.is_some()).map(|(id, _)| id).collect();
        for id in &skipped {
            project.data.set_skipped(*id, None);
        }
        project.reindex_paths();
        project.gallery.is_stale = true;
        self.notices.push(Tone::Success, format!("Found in {}.", path.display()), None, None);
        let skips = Write::Skips(skipped.into_iter().map(|id| (id, None)).collect());
        self.write(vec![Write::MoveRoot { id: root, path }, skips], effects);
    }

    fn on_error(&mut self, id: JobId, purpose: Purpose, error: JobError) {
        let (summary, details) = match error {
            JobError::Cancelled => return self.on_cancelled(id, &purpose),
            JobError::RuntimeMissing { details } => {
                self.runtime = RuntimeState::Missing { details };
                self.models.testing = None;
                return self.on_cancelled(id, &purpose);
            }
            JobError::Failed { summary, details } => (summary, details),
        };
        match purpose {
            Purpose::Write { session } => {
                self.n_unsaved = self.n_unsaved.saturating_sub(1);
                if self.session() == Some(session) {
                    self.save_error = Some(summary);
                } else {
                    self.notices.error("The last changes of the project before could not be saved.", Some(summary));
                }
            }
            Purpose::Close => {
                self.notices.error("The last changes of the project before could not be saved.", Some(summary));
            }
            Purpose::Settings => tracing::warn!(error = summary, "settings are not kept"),
            Purpose::Embed { epoch } => {
                if let Some(project) = self.project.as_mut().filter(|p| p.live.epoch == epoch) {
                    project.live.pause = Some(EmbedPause::Failed(summary));
                }
            }
            Purpose::Fit { revision } => {
                if let Some(project) = self.project.as_mut().filter(|p| p.revision == revision) {
                    project.live.fit_error = Some(summary);
                }
            }
            Purpose::ZeroShot { epoch, number } => {
                if let Some(project) = self.project.as_mut().filter(|p| p.live.epoch == epoch) {
                    project.zero_shot.failed(number, summary);
                }
            }
            Purpose::Check { session } => self.check_failed(session, summary),
            Purpose::Strangers { session } if self.session() == Some(session) => self.strangers_failed(summary),
            Purpose::Strangers { .. } => {}
            Purpose::Study { study, session } => self.study_failed(study, session, summary),
            Purpose::Map { epoch, number, lays_out } => self.on_map_ended(epoch, number, lays_out, Some(summary)),
            Purpose::Next { epoch, .. } => self.next_failed(epoch, summary),
            Purpose::Near { .. } => self.on_near(id, Err(summary)),
            Purpose::Occlude { .. } => self.on_occluded(id, Err(summary)),
            Purpose::Curve { epoch } => {
                if let Some(project) = self.project.as_mut().filter(|p| p.live.epoch == epoch) {
                    project.zero_shot.curve_error = Some(summary);
                }
            }
            Purpose::Export { epoch, .. } => match self.project.as_mut().filter(|p| p.live.epoch == epoch) {
                Some(project) => project.export.error = Some(summary),
                None => self.notices.error(summary, details),
            },
            Purpose::Report { session } => self.report_failed(session, summary),
            Purpose::Inspect(choice) => self.models.inspect_error = Some((choice, summary)),
            Purpose::ListModels => {
                self.models.list_error = Some(summary.clone());
                self.notices.error(summary, details);
            }
            Purpose::Open => {
                self.pending_adds.retain(|waiting| waiting.job != id);
                self.notices.error(summary, details);
            }
            Purpose::SelfTest(_) => {
                self.models.testing = None;
                self.notices.error(summary, details);
            }
            Purpose::Peek => {}
            _ => self.notices.error(summary, details),
        }
    }

    /// Whether it was the user who ended the work of a lane; one that waits is cancelled with the one that runs.
    pub(super) fn was_ended(&mut self, lane: LaneKind) -> bool {
        match self.activity(lane) {
            Some(_) => self.ended.contains(&lane),
            None => self.ended.remove(&lane),
        }
    }

    /// Confirms what the user asked for; what ends because another takes its place is not worth a word.
    fn tell_cancelled(&mut self, lane: LaneKind) {
        if self.ended.remove(&lane) {
            self.notices.info("Cancelled.");
        }
    }

    fn on_cancelled(&mut self, id: JobId, purpose: &Purpose) {
        match purpose {
            Purpose::Write { .. } => self.n_unsaved = self.n_unsaved.saturating_sub(1),
            Purpose::Open => {
                self.pending_adds.retain(|waiting| waiting.job != id);
            }
            // Nothing works without it: it is looked for again.
            Purpose::Runtime if self.runtime == RuntimeState::Loading => self.runtime = RuntimeState::Unknown,
            Purpose::Inspect(choice) => {
                self.models.inspect_error = Some((choice.clone(), "It was cancelled".to_owned()));
            }
            Purpose::ListModels => self.models.list_error = Some("It was cancelled".to_owned()),
            Purpose::SelfTest(_) => self.models.testing = None,
            // Where the user did not ask for the end, another model has taken the place of this one.
            Purpose::Embed { epoch } => {
                if let Some(project) = self.project.as_mut().filter(|p| p.live.epoch == *epoch) {
                    project.live.wants_embedding = true;
                }
            }
            Purpose::Export { .. } | Purpose::Report { .. } => self.tell_cancelled(LaneKind::Export),
            Purpose::Drop { .. } | Purpose::Import => self.tell_cancelled(LaneKind::Files),
            Purpose::Predict { .. } => self.tell_cancelled(LaneKind::Predict),
            Purpose::Strangers { .. } => {
                self.strangers_cancelled();
                self.tell_cancelled(LaneKind::Strangers);
            }
            Purpose::ZeroShot { epoch, number } => {
                let is_ended = self.ended.contains(&LaneKind::Text);
                if let Some(project) = self.project.as_mut().filter(|p| is_ended && p.live.epoch == *epoch) {
                    project.zero_shot.failed(*number, "Reading them was cancelled.".to_owned());
                }
                self.tell_cancelled(LaneKind::Text);
            }
            Purpose::Curve { .. } => self.tell_cancelled(LaneKind::Text),
            Purpose::Check { session } => {
                if self.ended.contains(&LaneKind::Check) {
                    self.check_failed(*session, "Looking for faults was cancelled.".to_owned());
                }
                self.tell_cancelled(LaneKind::Check);
            }
            Purpose::Study { .. } => self.tell_cancelled(LaneKind::Study),
            Purpose::Map { epoch, number, lays_out } => {
                self.on_map_ended(*epoch, *number, *lays_out, None);
                self.tell_cancelled(LaneKind::Map);
            }
            Purpose::Next { epoch, revision } => self.next_cancelled(*epoch, *revision),
            Purpose::Near { .. } => self.near_cancelled(id),
            Purpose::Occlude { .. } => self.occlusion_cancelled(id),
            _ => {}
        }
    }
}

/// A head as the project file keeps it.
fn stored_head(head: &crate::jobs::FittedHead, output: &FitOutput) -> StoredHead {
    let judged = &head.judged;
    let n_in = |split| output.splits.iter().filter(|(_, s)| *s == split).count();
    StoredHead {
        head: judged.trained.head.clone(),
        record: judged.trained.record.clone(),
        val: judged.val.clone(),
        test: judged.test.clone(),
        class_ids: output.class_ids.clone(),
        revision: output.revision,
        n_train: n_in(Split::Train),
        n_val: n_in(Split::Val),
    }
}
