//! Opening projects and adding images to them.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::command::{DropInto, Effect};
use super::gallery::{ClassFilter, Filter};
use super::notices::{Remedy, Tone};
use super::project::OpenProject;
use super::state::{AppState, Place, Purpose};
use super::words::n_images;
use super::{Action, drops};
use crate::jobs::{
    JobRequest, LaneKind, ModelChoice, NewFolder, OpenedProject, PredictRequest, ProjectRequest, Scanned,
};
use crate::project::{Change, ClassId, Edit, IdSet, Image, ImageId, Moved};
use crate::store::project::{Access, ReadOnlyReason, Write};
use crate::store::settings::RecentProject;

use super::live::model_choice;

impl AppState {
    /// What becomes of scanned paths.
    pub(super) fn on_scanned(&mut self, scanned: Scanned, into: DropInto, effects: &mut Vec<Effect>) {
        match scanned {
            Scanned::Project(path) => self.open_project(&path, effects),
            Scanned::Model(path) => self.import_model(&path, effects),
            Scanned::Images(folders) => self.on_new_folders(folders, into, effects),
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

    fn on_new_folders(&mut self, folders: Vec<NewFolder>, into: DropInto, effects: &mut Vec<Effect>) {
        if self.project.is_some() {
            return self.add_folders(folders, into, effects);
        }
        if let Some(waiting) = &mut self.pending_add {
            waiting.extend(folders);
            return;
        }
        let name = folders.first().map_or_else(|| "Untitled".to_owned(), |f| project_name(&f.root));
        self.pending_add = Some(folders);
        let request = ProjectRequest::Create { path: None, name };
        self.job(JobRequest::Project(request), Purpose::Open, effects);
    }

    pub(super) fn open_project(&mut self, path: &Path, effects: &mut Vec<Effect>) {
        self.pending_add = None;
        let request = ProjectRequest::Open(path.to_owned());
        self.job(JobRequest::Project(request), Purpose::Open, effects);
    }

    /// A project is open: everything that belonged to the one before ends.
    pub(super) fn on_opened(&mut self, opened: OpenedProject, effects: &mut Vec<Effect>) {
        for lane in [LaneKind::Embed, LaneKind::Fit, LaneKind::Predict] {
            effects.push(Effect::Cancel(lane));
        }
        self.last_epoch += 1;
        if let Access::ReadOnly { why } = &opened.access {
            let text = format!("“{}” is open for reading only.", project_name(&opened.path));
            let details = match why {
                ReadOnlyReason::OpenElsewhere => {
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
        if let Some(folders) = self.pending_add.take() {
            self.add_folders(folders, DropInto::Auto, effects);
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
    pub(super) fn add_folders(&mut self, folders: Vec<NewFolder>, into: DropInto, effects: &mut Vec<Effect>) {
        let Some(project) = &mut self.project else { return };
        if !project.is_writable() {
            self.notices.push(Tone::Warning, "This project is open for reading only.", None, None);
            return;
        }
        let into_class = drops::class_of_drop(project, into, folders.iter().all(|f| f.class_names.is_empty()));
        let n_before = project.data.images.len();
        let n_roots = project.data.roots.len();
        let mut changes = Vec::new();
        let (mut n_known, mut back): (usize, Vec<ImageId>) = (0, Vec::new());
        let mut notes = Vec::new();
        let mut relabelled: Vec<(ClassId, Vec<ImageId>)> = Vec::new();
        for folder in folders {
            let root = project.data.root(&folder.root);
            project.missing_roots.retain(|r| *r != root);
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
                    if project.data.image(id).is_some_and(|i| !i.is_present) {
                        back.push(id);
                    }
                    // Dropping known images on a class labels them.
                    if let (Some(class), None) = (into_class, image.class) {
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
        self.write(writes, effects);
        let title = format!("add {}", n_images(n_added));
        self.commit(Edit { title, changes }, effects);
        if n_added > 0 {
            let text = format!("Added {}.", n_images(n_added));
            self.notices.push(Tone::Success, text, None, Some(Remedy::Act(Action::Undo)));
        }
        if n_known > back.len() && n_new == 0 && !is_edit {
            self.notices.info("All of these images are in the project already.");
        } else if n_known > back.len() {
            let n = n_images(n_known - back.len());
            self.notices.info(format!("{n} were in the project already."));
        }
        for note in notes {
            self.notices.push(Tone::Warning, note, None, None);
        }
    }

    pub(super) fn import_model(&mut self, path: &Path, effects: &mut Vec<Effect>) {
        self.place = Place::Model;
        self.job(JobRequest::Files(crate::jobs::FilesRequest::Import(path.to_owned())), Purpose::Import, effects);
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
            unknown_below: project.data.settings.unknown_below,
        };
        self.place = Place::Evaluate;
        self.job(JobRequest::Predict(request), Purpose::Predict, effects);
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
