//! The open project: its data, what is computed from it, and how it is shown.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::faults::Faults;
use super::gallery::{ClassFilter, Gallery};
use super::live::Live;
use super::map::ProjectMap;
use super::next::Next;
use super::runs::RunsState;
use super::strangers::Strangers;
use super::study::Studies;
use super::why::Why;
use super::zero_shot::ZeroShot;
use crate::dataset::Split;
use crate::export::bundle::Contents;
use crate::export::describe::Meta;
use crate::jobs::{NewFolder, OpenedProject, Session, path_key};
use crate::project::{Change, ClassId, Edit, History, ImageId, Project, ProjectSettings, RootId};
use crate::store::project::Access;
use crate::workflow::predict::Predictions;

/// How many images there are of what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Usable images.
    pub n_images: usize,
    /// Usable images without a class.
    pub n_unlabelled: usize,
    /// Files that cannot be used.
    pub n_skipped: usize,
    /// Usable images of each class, by [`ClassId`].
    pub of_class: Vec<usize>,
    /// Usable images of each class that labels have not guessed, by [`ClassId`].
    pub of_class_known: Vec<usize>,
    /// Usable images whose class is a guess of labels.
    pub n_guessed: usize,
    /// Images that the user or the layout put into train, val and test.
    pub n_given: [usize; 3],
}

impl Counts {
    /// Usable images of a class.
    pub fn of(&self, class: ClassId) -> usize {
        self.of_class.get(class.as_usize()).copied().unwrap_or(0)
    }

    /// Usable images of a class that labels have not guessed.
    pub fn known_of(&self, class: ClassId) -> usize {
        self.of_class_known.get(class.as_usize()).copied().unwrap_or(0)
    }
}

/// What an export is to have, and what came of the last one.
#[derive(Clone, Debug)]
pub struct ExportState {
    /// Which files.
    pub contents: Contents,
    /// The folder; beside the project file where the user has not said.
    pub dir: Option<PathBuf>,
    /// The last export of this session.
    pub done: Option<(PathBuf, Box<Meta>)>,
    /// The project's revision that it is of.
    pub done_at: u64,
    /// Why the last one failed.
    pub error: Option<String>,
}

/// The open project.
#[derive(Debug)]
pub struct OpenProject {
    /// Which opening this is.
    pub session: Session,
    /// What was compared on its images.
    pub studies: Studies,
    /// The file.
    pub path: PathBuf,
    /// Whether it can be written.
    pub access: Access,
    /// Images, classes, labels, settings.
    pub data: Project,
    /// Undo and redo.
    pub history: History,
    /// Images by the digest of their path.
    pub(super) id_of_path: HashMap<u64, ImageId>,
    /// Folders that are not where they were.
    pub missing_roots: Vec<RootId>,
    /// Whether it was made just now to try the sample.
    pub(super) is_sample: bool,
    /// Whether it was made for images that were dropped on the start screen.
    pub(super) is_of_drop: bool,
    /// Counts how often files that could not be used were tried again.
    pub n_retries: usize,
    /// Counts changes that heads depend on.
    pub revision: u64,
    /// Embeddings, heads, answers.
    pub live: Live,
    /// Labels that were typed, and what they say.
    pub zero_shot: ZeroShot,
    /// Where images are on the map.
    pub map: ProjectMap,
    /// What to label next.
    pub next: Next,
    /// What is behind answers.
    pub why: Why,
    /// What the gallery shows.
    pub gallery: Gallery,
    /// What may be wrong with the data.
    pub faults: Faults,
    /// How many images there are of what.
    pub counts: Counts,
    /// Answers on images outside the project.
    pub predictions: Option<Arc<Predictions>>,
    /// Images of none of the classes, to test the rule for "unknown" on.
    pub strangers: Option<Strangers>,
    /// Exports.
    pub export: ExportState,
    /// Heads of before.
    pub runs: RunsState,
}

impl OpenProject {
    pub(super) fn new(opened: OpenedProject, epoch: u64) -> Self {
        let mut live = Live::default();
        live.begin(epoch);
        live.stored = opened.heads;
        live.settle(opened.project.settings.unknown);
        let zero_shot = ZeroShot::of(&opened.project.settings.zero_shot);
        let mut project = Self {
            session: opened.session,
            studies: Studies::default(),
            path: opened.path,
            access: opened.access,
            data: opened.project,
            history: opened.history,
            id_of_path: opened.id_of_path,
            missing_roots: opened.info.missing_roots.clone(),
            is_sample: false,
            is_of_drop: false,
            n_retries: 0,
            revision: 1,
            live,
            zero_shot,
            map: ProjectMap::default(),
            next: Next::default(),
            why: Why::default(),
            gallery: Gallery::default(),
            faults: Faults::default(),
            counts: Counts::default(),
            predictions: None,
            strangers: None,
            export: ExportState { contents: Contents::default(), dir: None, done: None, done_at: 0, error: None },
            runs: RunsState::new(opened.runs),
        };
        project.refresh();
        project
    }

    /// Its name: the file's.
    pub fn name(&self) -> String {
        self.path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Whether it can be written.
    pub fn is_writable(&self) -> bool {
        self.access == Access::Writable
    }

    /// Makes the changes of an edit, and what follows in here from them.
    pub(super) fn apply(&mut self, edit: &Edit) {
        self.data.apply(edit);
        if edit.changes.iter().any(matters_to_heads) {
            self.revision += 1;
        }
        // Images that come (back) may never have been embedded.
        self.live.wants_embedding |= edit.changes.iter().any(|c| matches!(c, Change::Presence(m) if m.after));
        (self.gallery.is_stale, self.gallery.was_edited) = (true, true);
        self.zero_shot.is_stale = true;
        self.faults.is_stale = true;
    }

    /// Brings counts and gallery up to date. Cheap when nothing has changed.
    pub(super) fn refresh_if_stale(&mut self) {
        if self.gallery.is_stale {
            self.refresh();
        }
    }

    fn refresh(&mut self) {
        // A class may go with an edit that is undone.
        let is_there = |class: ClassId| self.data.class(class).is_some();
        let filter = &mut self.gallery.filter;
        if matches!(filter.class, ClassFilter::Is(class) if !is_there(class)) {
            filter.class = ClassFilter::Any;
        }
        filter.predicted = filter.predicted.filter(|class| is_there(*class));
        let zeros = vec![0; self.data.classes.len()];
        let mut counts = Counts { of_class: zeros.clone(), of_class_known: zeros, ..Counts::default() };
        for (_, image) in self.data.present() {
            if image.skipped.is_some() {
                counts.n_skipped += 1;
                continue;
            }
            counts.n_images += 1;
            if image.is_guessed && image.class.is_some() {
                counts.n_guessed += 1;
            } else if let Some(n) = image.class.and_then(|c| counts.of_class_known.get_mut(c.as_usize())) {
                *n += 1;
            }
            match image.class.and_then(|c| counts.of_class.get_mut(c.as_usize())) {
                Some(n) => *n += 1,
                None => counts.n_unlabelled += 1,
            }
            if let Some(split) = image.split {
                counts.n_given[match split {
                    Split::Train => 0,
                    Split::Val => 1,
                    Split::Test => 2,
                }] += 1;
            }
        }
        self.counts = counts;
        self.gallery.refresh(&self.data, &self.live);
    }

    /// Whether an image's folder is where it was.
    pub fn is_root_there(&self, root: RootId) -> bool {
        !self.missing_roots.contains(&root)
    }

    /// Where an export goes.
    pub fn export_dir(&self) -> PathBuf {
        self.export.dir.clone().unwrap_or_else(|| self.usual_export_dir())
    }

    /// Where an export of the labels goes: beside that of a trained head, never over it.
    pub fn zero_shot_export_dir(&self) -> PathBuf {
        match &self.export.dir {
            Some(chosen) => {
                let name = chosen.file_name().unwrap_or_default().to_string_lossy().into_owned();
                chosen.with_file_name(format!("{name} zero-shot"))
            }
            None => self.path.with_file_name(format!("{} zero-shot export", self.name())),
        }
    }

    /// Where an export goes that the user has not said anything about: beside the project.
    pub fn usual_export_dir(&self) -> PathBuf {
        self.path.with_file_name(format!("{} export", self.name()))
    }
}

/// Whether heads are to be fitted again after a change.
fn matters_to_heads(change: &Change) -> bool {
    match change {
        Change::Presence(_) | Change::Label(_) | Change::Split(_) | Change::Guess(_) => true,
        Change::Dismissal(_) => false,
        // A new class has no images yet, and those of one that goes are told by their labels.
        Change::Class { before: Some(before), after: Some(after), .. } => before.name != after.name,
        Change::Class { .. } | Change::Run { .. } => false,
        Change::Settings { before, after } => {
            let of = |s: &ProjectSettings| (s.val_fraction, s.seed);
            of(before) != of(after)
        }
    }
}

impl OpenProject {
    /// After a folder has moved: its images have other paths.
    pub(super) fn reindex_paths(&mut self) {
        let ids = (0..self.data.images.len()).map(ImageId::from);
        self.id_of_path = ids.filter_map(|id| Some((path_key(&self.data.path(id)?), id))).collect();
    }

    /// The folder of the project that is gone and has come back as `folder`: it holds most of its images.
    pub(super) fn missing_root_at(&self, folder: &NewFolder) -> Option<RootId> {
        let found: HashSet<&Path> = folder.images.iter().map(|image| image.rel.as_path()).collect();
        self.missing_roots.iter().copied().find(|&root| {
            let own = || self.data.present().filter(|(_, image)| image.root == root);
            let n_there = own().filter(|(_, image)| found.contains(image.rel.as_path())).count();
            n_there > 0 && 2 * n_there > own().count()
        })
    }

    /// A folder of which no file can be reached is one that is not there: its images are not damaged.
    pub(super) fn note_missing_roots(&mut self) {
        let unreachable = std::mem::take(&mut self.live.unreachable);
        let mut roots: Vec<RootId> = unreachable.iter().filter_map(|id| Some(self.data.image(*id)?.root)).collect();
        roots.sort_unstable();
        roots.dedup();
        for root in roots {
            let has_any = self.data.present().any(|(id, image)| image.root == root && self.live.row(id).is_some());
            if has_any {
                continue;
            }
            for id in &unreachable {
                if self.data.image(*id).is_some_and(|i| i.root == root) {
                    self.data.set_skipped(*id, None);
                }
            }
            if !self.missing_roots.contains(&root) {
                self.missing_roots.push(root);
            }
            self.gallery.is_stale = true;
        }
    }
}
