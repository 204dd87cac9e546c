//! Opening projects and adding images to them.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::command::{Command, DropInto, Effect};
use super::gallery::{ClassFilter, Filter};
use super::notices::{Remedy, Tone};
use super::project::OpenProject;
use super::state::{AppState, PendingAdd, Place, Purpose};
use super::words::n_images;
use super::{Action, drops};
use crate::jobs::{
    FilesRequest, JobId, JobRequest, LaneKind, ModelChoice, NewFolder, OpenedProject, PredictRequest, ProjectRequest,
    Scanned, Session,
};
use crate::project::{Change, ClassId, Edit, IdSet, Image, ImageId, Moved};
use crate::store::project::{Access, ReadOnlyReason, Write};
use crate::store::settings::RecentProject;

use super::live::model_choice;

/// What scanned paths were dropped on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim {
    pub(super) into: DropInto,
    /// The class whose images were shown.
    pub(super) shown: Option<ClassId>,
    /// The project that was open.
    pub(super) session: Option<Session>,
    /// They are the sample.
    pub(super) is_sample: bool,
}

impl AppState {
    /// What becomes of scanned paths.
    pub(super) fn on_scanned(&mut self, scanned: Scanned, aim: Aim, effects: &mut Vec<Effect>) {
        match scanned {
            Scanned::Project(path) => self.open_project(&path, effects),
            Scanned::Model(path) => self.import_model(&path, effects),
            Scanned::Images(folders) => self.on_new_folders(folders, aim, effects),
            Scanned::Unknown(paths) => {
                let what = match paths.as_slice() {
                    [one] => format!("“{}”", one.file_name().unwrap_or(one.as_os_str()).to_string_lossy()),
                    _ => "what you dropped".to_owned(),
                };
                self.notices.push(
                    Tone::Warning,
                    format!("There are no images in {what}."),
                    Some(
                        "Graft takes folders of images, image files, tables of images (CSV), ONNX models and its own \
                         projects."
                            .to_owned(),
                    ),
                    None,
                );
            }
        }
    }

    fn on_new_folders(&mut self, folders: Vec<NewFolder>, aim: Aim, effects: &mut Vec<Effect>) {
        if aim.session.is_some() && aim.session != self.session() {
            let text = "The images were not added: they were dropped on a project that is not open any more.";
            self.notices.push(Tone::Warning, text, Some("Drop them again.".to_owned()), None);
            return;
        }
        // Someone's own classes are not mixed into the sample.
        let is_own = |f: &NewFolder| !f.class_names.is_empty();
        let is_apart = self.project.as_ref().is_some_and(|p| p.is_sample) && folders.iter().any(is_own);
        if aim.session.is_some() && !is_apart {
            return self.add_folders(folders, aim.into, aim.shown, effects);
        }
        // Dropped on the start screen they begin a project, unless one of an earlier drop there has begun.
        if let Some(waiting) = self.pending_adds.iter_mut().find(|w| w.is_sample == aim.is_sample) {
            waiting.folders.extend(folders);
            return;
        }
        if !is_apart && self.project.as_ref().is_some_and(|p| p.is_of_drop) {
            return self.add_folders(folders, aim.into, aim.shown, effects);
        }
        let name = folders.first().map_or_else(|| "Untitled".to_owned(), |f| project_name(&f.root));
        let request = ProjectRequest::Create { session: self.next_session(), path: None, name };
        let id = self.job(JobRequest::Project(request), Purpose::Open, effects);
        self.pending_adds.push(PendingAdd { job: id, folders, is_sample: aim.is_sample });
    }

    pub(super) fn open_project(&mut self, path: &Path, effects: &mut Vec<Effect>) {
        if self.asks_to_discard(Command::OpenProject(path.to_owned()), effects) {
            return;
        }
        let request = ProjectRequest::Open { session: self.next_session(), path: path.to_owned() };
        self.job(JobRequest::Project(request), Purpose::Open, effects);
    }

    /// A project is open: everything that belonged to the one before ends.
    pub(super) fn on_opened(&mut self, id: JobId, opened: OpenedProject, effects: &mut Vec<Effect>) {
        if self.project.is_some() {
            self.note_recent(effects);
            self.close_file(false, effects);
        }
        self.save_error = None;
        (self.images_view, self.evaluate_view) = (super::ImagesView::default(), super::EvaluateView::default());
        self.notices.forget_undo();
        self.models.self_tests.clear();
        effects.extend(LaneKind::OF_PROJECT.map(Effect::Cancel));
        self.last_epoch += 1;
        if let Access::ReadOnly { why } = &opened.access {
            let text = format!("“{}” is open for reading only.", project_name(&opened.path));
            let details = match why {
                ReadOnlyReason::OpenElsewhere | ReadOnlyReason::Reading => {
                    "Another window has it open. You can look at everything and export; edits need a copy.".to_owned()
                }
                ReadOnlyReason::NotWritable { path } => {
                    format!("{} cannot be written to. Save a copy elsewhere to go on.", path.display())
                }
            };
            self.notices.push(Tone::Warning, text, Some(details), Some(Remedy::Act(Action::SaveCopy)));
        }
        for moved in &opened.info.moved_roots {
            self.notices.info(format!("The images were found again in {}.", moved.to.display()));
        }
        // A project that was left in another place begins there again.
        let remembered = self.settings.place.as_deref().filter(|_| !opened.is_new);
        self.place = Place::ALL.into_iter().find(|p| Some(p.label()) == remembered).unwrap_or(Place::Images);
        self.project = Some(OpenProject::new(opened, self.last_epoch));
        if let Some(i) = self.pending_adds.iter().position(|waiting| waiting.job == id) {
            let PendingAdd { folders, is_sample, .. } = self.pending_adds.remove(i);
            if let Some(project) = &mut self.project {
                project.is_of_drop = true;
                project.is_sample = is_sample;
            }
            self.add_folders(folders, DropInto::Auto, None, effects);
        }
        if let Some(project) = &mut self.project {
            project.refresh_if_stale();
        }
        self.note_recent(effects);
    }

    /// Puts the open project at the top of the start screen's list.
    pub(super) fn note_recent(&mut self, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let recent = recent(project);
        self.settings.note_opened(recent);
        self.save_settings(effects);
    }

    /// Adds images; those that the project has already are left as they are, those that were removed come back.
    pub(super) fn add_folders(
        &mut self,
        folders: Vec<NewFolder>,
        into: DropInto,
        shown: Option<ClassId>,
        effects: &mut Vec<Effect>,
    ) {
        if self.project.as_ref().is_some_and(|p| !p.is_writable()) {
            self.notices.push(Tone::Warning, "This project is open for reading only.", None, None);
            return;
        }
        for folder in &folders {
            if let Some(root) = self.project.as_ref().and_then(|p| p.missing_root_at(folder)) {
                self.on_found_root(root, Some(folder.root.clone()), effects);
            }
        }
        let Some(project) = &mut self.project else { return };
        let is_unlabelled = folders.iter().all(|f| f.class_names.is_empty());
        // It may have been deleted while the files were looked at.
        let into_class =
            drops::class_of_drop(into, shown, is_unlabelled).filter(|class| project.data.class(*class).is_some());
        let n_before = project.data.images.len();
        let n_roots = project.data.roots.len();
        let mut changes = Vec::new();
        let (mut n_known, mut back): (usize, Vec<ImageId>) = (0, Vec::new());
        let mut notes = Vec::new();
        let mut relabelled: Vec<(ClassId, Vec<ImageId>)> = Vec::new();
        for folder in folders {
            let root = project.data.root(&folder.root);
            if project.missing_roots.contains(&root) {
                project.missing_roots.retain(|r| *r != root);
                project.n_retries += 1;
            }
            notes.extend(folder.notes);
            let ids: Vec<ClassId> = folder
                .class_names
                .iter()
                .map(|name| {
                    // Each class is part of the same edit: one undo takes everything back.
                    project.data.class_by_name(name).unwrap_or_else(|| {
                        let (id, change) = project.data.add_class_change(name);
                        project.data.apply(&Edit { title: String::new(), changes: vec![change.clone()] });
                        changes.push(change);
                        id
                    })
                })
                .collect();
            for image in folder.images {
                let class = image.class.and_then(|c| ids.get(c as usize).copied()).or(into_class);
                if let Some(&id) = project.id_of_path.get(&image.key) {
                    n_known += 1;
                    let is_back = project.data.image(id).is_some_and(|i| !i.is_present);
                    if is_back {
                        back.push(id);
                    }
                    // Dropping known images on a class labels them. What comes back keeps its label, unless its class
                    // has gone with an import that was undone.
                    let own = project.data.image(id).and_then(|i| i.class);
                    let is_bare = own.is_none_or(|c| project.data.class(c).is_none());
                    let wanted = match (into_class, image.class) {
                        (Some(class), None) => Some(class),
                        _ if is_back && is_bare => class,
                        _ => None,
                    };
                    if let Some(class) = wanted {
                        match relabelled.iter_mut().find(|(c, _)| *c == class) {
                            Some((_, ids)) => ids.push(id),
                            None => relabelled.push((class, vec![id])),
                        }
                    }
                    continue;
                }
                let id = ImageId::from(project.data.images.len());
                project.id_of_path.insert(image.key, id);
                project.data.images.push(Image {
                    root,
                    rel: image.rel,
                    hash: None,
                    class: class.filter(|_| image.skipped.is_none()),
                    split: image.split,
                    is_present: false,
                    skipped: image.skipped,
                    is_guessed: false,
                });
            }
        }
        let n_new = project.data.images.len() - n_before;
        let first = ImageId::from(n_before);
        if n_new > 0 {
            let images = IdSet::range(first, n_new);
            changes.push(Change::Presence(Moved { images, before: false, after: true }));
        }
        changes.extend(project.data.presence_changes(back.iter().copied(), true));
        for (class, ids) in relabelled {
            changes.extend(project.data.label_changes(ids, Some(class)));
        }
        let mut writes = Vec::new();
        for (i, path) in project.data.roots.iter().enumerate().skip(n_roots) {
            writes.push(Write::AddRoot { id: i.into(), path: path.clone() });
        }
        if n_new > 0 {
            writes.push(Write::AddImages { first, images: project.data.images[n_before..].to_vec() });
        }
        project.live.wants_embedding = true;
        project.live.pause = None;
        if !project.gallery.filter.is_empty() && into_class.is_none() {
            project.gallery.filter = Filter::default();
        }
        let n_added = n_new + back.len();
        let is_edit = !changes.is_empty();
        let title = format!("add {}", n_images(n_added));
        self.commit_with(writes, Edit { title, changes }, effects);
        if n_added > 0 {
            let text = format!("Added {}.", n_images(n_added));
            self.notices.push(Tone::Success, text, None, Some(Remedy::TakeBack));
        }
        if n_known > back.len() && n_new == 0 && !is_edit {
            self.notices.info("All of these images are in the project already.");
        } else if n_known > back.len() {
            let n = n_known - back.len();
            let were = if n == 1 { "was" } else { "were" };
            self.notices.info(format!("{} {were} in the project already.", n_images(n)));
        }
        for note in notes {
            self.notices.push(Tone::Warning, note, None, None);
        }
    }

    pub(super) fn import_model(&mut self, path: &Path, effects: &mut Vec<Effect>) {
        self.place = Place::Model;
        let request = FilesRequest::Import { path: path.to_owned(), in_place: self.models.imports_in_place };
        self.job(JobRequest::Files(request), Purpose::Import, effects);
    }

    /// Answers on images outside the project with the head that is shown.
    pub(super) fn predict(&mut self, paths: Vec<std::path::PathBuf>, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let Some(head) = project.live.fit.as_ref().and_then(|fit| fit.head()) else {
            self.notices.info("There is no trained head yet: label images of two classes first.");
            return;
        };
        let request = PredictRequest {
            paths,
            model: model_choice(&project.data),
            provider: self.provider(),
            head: std::sync::Arc::clone(&head.judged),
            rule: project.live.rule(),
        };
        let purpose = Purpose::Predict { epoch: project.live.epoch, head: project.data.settings.head };
        self.place = Place::Evaluate;
        self.evaluate_view = super::EvaluateView::Results;
        self.job(JobRequest::Predict(request), purpose, effects);
    }

    /// The choice of model in effect, also without a project.
    pub fn model_choice(&self) -> ModelChoice {
        self.project.as_ref().map(|p| model_choice(&p.data)).unwrap_or_default()
    }

    /// Shows the images of a class.
    pub fn filter_of_class(class: ClassId) -> Filter {
        Filter { class: ClassFilter::Is(class), ..Filter::default() }
    }
}

/// How the start screen remembers a project.
fn recent(project: &OpenProject) -> RecentProject {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    RecentProject {
        path: project.path.clone(),
        name: project.name(),
        opened_at_secs: since_1970.as_secs(),
        n_images: project.counts.n_images,
    }
}

/// A project is called like the folder or file that it began with.
fn project_name(path: &Path) -> String {
    path.file_stem().or(path.file_name()).map(|n| n.to_string_lossy().into_owned()).unwrap_or_else(|| "Untitled".into())
}
