//! The edits behind the commands: each one reversible, titled for the undo menu.

use std::collections::{BTreeMap, BTreeSet};

use super::action::Action;
use super::command::{Effect, Target};
use super::notices::{Remedy, Tone};
use super::project::OpenProject;
use super::state::{AppState, Purpose};
use super::study::Study;
use super::words::n_images;
use crate::dataset::Split;
use crate::jobs::{JobRequest, LaneKind, ProjectRequest};
use crate::project::{Change, ClassId, Edit, IdSet, ImageId, ProjectSettings};
use crate::store::project::Write;

impl AppState {
    /// Makes an edit of the open project: in memory, in its history, in its file. An edit without changes is none.
    pub(super) fn commit(&mut self, edit: Edit, effects: &mut Vec<Effect>) {
        self.commit_with(Vec::new(), edit, effects);
    }

    /// Makes an edit that builds on other writes: all of it is on the disk, or none.
    pub(super) fn commit_with(&mut self, mut writes: Vec<Write>, edit: Edit, effects: &mut Vec<Effect>) {
        let Some(project) = &mut self.project else { return };
        if edit.changes.is_empty() {
            return self.write(writes, effects);
        }
        if !project.is_writable() {
            self.notices.push(
                Tone::Warning,
                "This project is open for reading only.",
                Some("Save a copy of it to work on.".to_owned()),
                None,
            );
            return;
        }
        project.apply(&edit);
        project.history.push(edit.clone());
        // They would undo this edit instead of theirs.
        self.notices.forget_undo();
        writes.push(Write::Did(edit));
        self.write(writes, effects);
        self.refresh_runs();
    }

    /// Makes an edit and tells what was done, with a way back: for what takes things off the screen.
    pub(super) fn commit_told(&mut self, edit: Edit, text: String, effects: &mut Vec<Effect>) {
        let done = |state: &Self| state.project.as_ref().and_then(|p| p.history.undoable().map(|e| e.title.clone()));
        let (title, n_changes) = (edit.title.clone(), edit.changes.len());
        self.commit(edit, effects);
        if n_changes > 0 && done(self) == Some(title) {
            self.notices.push(Tone::Info, text, None, Some(Remedy::TakeBack));
        }
    }

    /// Writes to the project's file, unless it can only be read.
    pub(super) fn write(&mut self, writes: Vec<Write>, effects: &mut Vec<Effect>) {
        let Some(project) = self.project.as_ref().filter(|p| p.is_writable()) else { return };
        if writes.is_empty() {
            return;
        }
        let session = project.session;
        let request = ProjectRequest::Write { session, writes };
        self.job(JobRequest::Project(request), Purpose::Write { session }, effects);
    }

    pub(super) fn undo(&mut self, effects: &mut Vec<Effect>) {
        // What was typed last is what is undone.
        self.keep_labels(effects);
        self.take_back(effects);
    }

    /// Takes back the last edit.
    pub(super) fn take_back(&mut self, effects: &mut Vec<Effect>) {
        let Some(project) = self.project.as_mut().filter(|p| p.is_writable()) else { return };
        let Some(inverse) = project.history.undo().map(Edit::inverse) else { return };
        self.notices.forget_undo();
        let before = project.data.settings.clone();
        project.apply(&inverse);
        self.write(vec![Write::Undid], effects);
        self.refresh_runs();
        self.after_settings(&before, effects);
    }

    pub(super) fn redo(&mut self, effects: &mut Vec<Effect>) {
        // What was typed since would be lost; as an edit it ends what can be made again.
        self.keep_labels(effects);
        let Some(project) = self.project.as_mut().filter(|p| p.is_writable()) else { return };
        let Some(edit) = project.history.redo().cloned() else { return };
        self.notices.forget_undo();
        let before = project.data.settings.clone();
        project.apply(&edit);
        self.write(vec![Write::Redid], effects);
        self.refresh_runs();
        self.after_settings(&before, effects);
    }

    /// Changes the project's settings as an edit.
    pub(super) fn change_settings(
        &mut self,
        title: &str,
        change: impl FnOnce(&mut ProjectSettings),
        effects: &mut Vec<Effect>,
    ) {
        let Some(project) = &self.project else { return };
        let before = project.data.settings.clone();
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return;
        }
        let changes = vec![Change::Settings { before: Box::new(before.clone()), after: Box::new(after) }];
        self.commit(Edit { title: title.to_owned(), changes }, effects);
        self.after_settings(&before, effects);
    }

    /// What follows from other settings: another model means other embeddings, and heads of the old ones are void.
    fn after_settings(&mut self, before: &ProjectSettings, effects: &mut Vec<Effect>) {
        let epoch = self.last_epoch + 1;
        let Some(project) = &mut self.project else { return };
        let after = &project.data.settings;
        let model = |s: &ProjectSettings| (s.model.clone(), s.layer.clone(), s.preprocess.clone());
        if model(before) != model(after) {
            self.last_epoch = epoch;
            project.note_missing_roots();
            project.live.begin(epoch);
            project.predictions = None;
            project.export.done = None;
            project.gallery.is_stale = true;
            self.models.self_tests.clear();
            // What is done for the model of before is for nothing.
            project.faults.forget();
            project.next.forget_model();
            project.why.forget_model();
            project.runs.forget_pending();
            if let Some(strangers) = &mut project.strangers {
                strangers.forget_answers();
            }
            effects.extend(LaneKind::OF_MODEL.map(Effect::Cancel));
            (project.studies.probe_error, project.studies.curve_error) = (None, None);
            // Another layer is what probing is for.
            let of_probe = |s: &ProjectSettings| (s.model.clone(), s.preprocess.clone());
            if of_probe(before) != of_probe(&project.data.settings) && self.studying() == Some(Study::Probe) {
                effects.push(Effect::Cancel(LaneKind::Study));
            }
            if self.studying() == Some(Study::Curve) {
                effects.push(Effect::Cancel(LaneKind::Study));
            }
        } else if before.head != after.head {
            project.live.choose_head(&project.data, after.head);
            project.predictions = None;
            project.gallery.is_stale = true;
            if let Some(strangers) = &mut project.strangers {
                strangers.forget_answers();
            }
            effects.push(Effect::Cancel(LaneKind::Predict));
        }
        self.settle_unknown();
        if model(before) != model(&self.project_settings()) {
            if let Some(project) = &mut self.project {
                project.zero_shot.forget();
            }
            effects.push(Effect::Cancel(LaneKind::Text));
        }
        self.after_zero_shot_settings(&before.zero_shot);
    }

    fn project_settings(&self) -> ProjectSettings {
        self.project.as_ref().map(|p| p.data.settings.clone()).unwrap_or_default()
    }

    pub(super) fn add_class(&mut self, name: &str, effects: &mut Vec<Effect>) -> Option<ClassId> {
        let name = name.trim();
        let project = self.project.as_ref()?;
        if name.is_empty() {
            return None;
        }
        if let Some(id) = project.data.class_by_name(name) {
            self.notices.info(format!("There is a class “{name}” already."));
            return Some(id);
        }
        let (id, change) = project.data.add_class_change(name);
        self.commit(Edit { title: format!("add class “{name}”"), changes: vec![change] }, effects);
        Some(id)
    }

    /// Another name; that of another class merges the two.
    pub(super) fn rename_class(&mut self, id: ClassId, name: &str, effects: &mut Vec<Effect>) {
        let name = name.trim();
        let Some(project) = &self.project else { return };
        let Some(class) = project.data.class(id) else { return };
        if name.is_empty() || class.name == name {
            return;
        }
        if let Some(other) = project.data.class_by_name(name) {
            return self.merge_classes(id, other, effects);
        }
        let (before, mut after) = (class.clone(), class.clone());
        after.name = name.to_owned();
        let title = format!("rename “{}” to “{name}”", before.name);
        let changes = vec![Change::Class { id, before: Some(before), after: Some(after) }];
        self.commit(Edit { title, changes }, effects);
    }

    pub(super) fn recolour_class(&mut self, id: ClassId, colour: u8, effects: &mut Vec<Effect>) {
        let Some(class) = self.project.as_ref().and_then(|p| p.data.class(id)).cloned() else { return };
        if class.colour == colour {
            return;
        }
        let title = format!("change the colour of “{}”", class.name);
        let after = crate::project::Class { colour, ..class.clone() };
        let changes = vec![Change::Class { id, before: Some(class), after: Some(after) }];
        self.commit(Edit { title, changes }, effects);
    }

    pub(super) fn merge_classes(&mut self, from: ClassId, into: ClassId, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let (Some(a), Some(b)) = (project.data.class(from), project.data.class(into)) else { return };
        if from == into {
            return;
        }
        let title = format!("merge “{}” into “{}”", a.name, b.name);
        let mut changes = project.data.move_changes(images_of(project, from), Some(into));
        changes.push(Change::Class { id: from, before: Some(a.clone()), after: None });
        let text = format!("Merged “{}” into “{}”.", a.name, b.name);
        self.commit_told(Edit { title, changes }, text, effects);
    }

    pub(super) fn delete_class(&mut self, id: ClassId, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let Some(class) = project.data.class(id) else { return };
        let title = format!("delete class “{}”", class.name);
        let mut changes = project.data.label_changes(images_of(project, id), None);
        changes.push(Change::Class { id, before: Some(class.clone()), after: None });
        let text = format!("Deleted the class “{}”.", class.name);
        self.commit_told(Edit { title, changes }, text, effects);
    }

    pub(super) fn label(&mut self, target: &Target, class: Option<ClassId>, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let images = target_images(project, target);
        let name = match class {
            Some(id) => match project.data.class(id) {
                Some(class) => Some(class.name.clone()),
                None => return,
            },
            None => None,
        };
        let changes = project.data.label_changes(images, class);
        let n = n_images(n_moved(&changes));
        let title = match name {
            Some(name) => format!("label {n} “{name}”"),
            None => format!("take the label off {n}"),
        };
        self.commit(Edit { title, changes }, effects);
    }

    /// Gives the target the classes that the head says.
    pub(super) fn label_as_predicted(&mut self, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let mut of_class: BTreeMap<ClassId, Vec<ImageId>> = BTreeMap::new();
        for id in project.gallery.target() {
            if let Some((class, _)) = project.live.prediction(id) {
                of_class.entry(class).or_default().push(id);
            }
        }
        let changes: Vec<Change> =
            of_class.into_iter().flat_map(|(class, ids)| project.data.label_changes(ids, Some(class))).collect();
        let title = format!("label {} as predicted", n_images(n_moved(&changes)));
        self.commit(Edit { title, changes }, effects);
    }

    /// Says that the classes are right that labels gave the target.
    pub(super) fn confirm_labels(&mut self, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let changes = project.data.guess_changes(project.gallery.target(), false);
        let title = format!("confirm the classes of {}", n_images(n_moved(&changes)));
        self.commit(Edit { title, changes }, effects);
    }

    /// The class of a position in the list, counted from 1; 0 takes the label away.
    pub(super) fn label_by_digit(&mut self, digit: u8, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let class = match digit.checked_sub(1) {
            None => None,
            Some(idx) => match project.data.sorted_classes().get(usize::from(idx)) {
                Some((id, _)) => Some(*id),
                None => {
                    let text = format!("There is no class number {digit}.");
                    self.notices.push(Tone::Info, text, None, Some(Remedy::Act(Action::AddClass)));
                    return;
                }
            },
        };
        self.label(&Target::Selection, class, effects);
    }

    pub(super) fn set_split(&mut self, target: &Target, split: Option<Split>, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let changes = project.data.split_changes(target_images(project, target), split);
        let n = n_images(n_moved(&changes));
        let title = match split {
            Some(Split::Train) => format!("put {n} into training"),
            Some(Split::Val) => format!("put {n} into validation"),
            Some(Split::Test) => format!("put {n} into testing"),
            None => format!("leave the split of {n} to Graft"),
        };
        self.commit(Edit { title, changes }, effects);
    }

    pub(super) fn remove(&mut self, target: &Target, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let changes = project.data.presence_changes(target_images(project, target), false);
        let n = n_images(n_moved(&changes));
        let title = format!("remove {n} from the project");
        self.commit_told(Edit { title, changes }, format!("Removed {n} from the project."), effects);
    }
}

/// Images of a class, those that are not part of the project now included: undoing their removal must find them with a
/// class that is there.
fn images_of(project: &OpenProject, class: ClassId) -> Vec<ImageId> {
    let images = project.data.images.iter().enumerate();
    images.filter(|(_, image)| image.class == Some(class)).map(|(i, _)| ImageId::from(i)).collect()
}

fn target_images(project: &OpenProject, target: &Target) -> Vec<ImageId> {
    match target {
        Target::Selection => project.gallery.target(),
        Target::Images(images) => images.clone(),
    }
}

fn n_moved(changes: &[Change]) -> usize {
    let images = |change: &Change| match change {
        Change::Presence(moved) | Change::Guess(moved) => moved.images.clone(),
        Change::Label(moved) => moved.images.clone(),
        Change::Split(moved) => moved.images.clone(),
        Change::Dismissal(moved) => moved.images.clone(),
        Change::Class { .. } | Change::Settings { .. } | Change::Run { .. } => IdSet::default(),
    };
    // One that gets another class and is no guess any more moves once.
    match changes {
        [] => 0,
        [one] => images(one).len(),
        several => several.iter().flat_map(|c| images(c).iter().collect::<Vec<_>>()).collect::<BTreeSet<_>>().len(),
    }
}
