//! A project: images, classes, labels and settings, and the edits that change them. In memory only; the project file is
//! `store::project`'s, which keeps the same data.
//!
//! | change | by | undone? |
//! | --- | --- | --- |
//! | what the user decides: classes, labels, splits, images, settings | [`Edit`], through [`Project::apply`] | yes |
//! | what is found out: content hashes, unusable files, where a folder went | [`Project::set_hash`] and its like | no |

mod dismissed;
mod edit;
mod history;
mod ids;
pub mod runs;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use dismissed::{Dismissed, FaultKind};
pub use edit::{Change, Edit, Moved};
pub use history::{History, MAX_EDITS};
pub use ids::{ClassId, IdSet, ImageId, RootId};

use crate::dataset::Split;
use crate::head::{HeadKind, UnknownWish};
use crate::image::spec::PreprocessSpec;
use runs::{RunId, RunMarks, SHORT_HASH};

/// An image of the project. The file stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The folder that it was added from.
    pub root: RootId,
    /// Its path in that folder.
    pub rel: PathBuf,
    /// Content hash (BLAKE3), once the file has been read.
    pub hash: Option<[u8; 32]>,
    /// Its class, if it has one.
    pub class: Option<ClassId>,
    /// The split that the layout or the user puts it in; `None` leaves it to Graft.
    pub split: Option<Split>,
    /// Whether it is part of the project; an image that was removed, or whose import was undone, is not.
    pub is_present: bool,
    /// Why it cannot be used, if it cannot.
    pub skipped: Option<String>,
    /// Whether its class is only what typed labels said: it is trained on, and nothing is judged on it until the user
    /// confirms or corrects it.
    pub is_guessed: bool,
}

/// A class of the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Its name, unique among the classes in use.
    pub name: String,
    /// Which colour of the palette it has.
    pub colour: u8,
}

/// What the user chooses for a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectSettings {
    /// The backbone: an installed model's name or a path; the starter model without.
    pub model: Option<String>,
    /// The layer that serves as features; the model's own choice without.
    pub layer: Option<String>,
    /// The user's own preprocessing; the model's without.
    pub preprocess: Option<PreprocessSpec>,
    /// The head that answers; the better one by validation without.
    pub head: Option<HeadKind>,
    /// When the answer is "unknown". Older files have a threshold on the top probability instead.
    #[serde(alias = "unknown_below", deserialize_with = "UnknownWish::from_any")]
    pub unknown: UnknownWish,
    /// Part of the images of a class that is split off for validation, 0..1.
    pub val_fraction: f64,
    /// Seed of the split and of the bootstrap.
    pub seed: u64,
    /// Labels that were typed, and how they are read.
    pub zero_shot: ZeroShotSettings,
}

impl Default for ProjectSettings {
    fn default() -> Self {
        Self {
            model: None,
            layer: None,
            preprocess: None,
            head: None,
            unknown: UnknownWish::Off,
            val_fraction: 0.2,
            seed: 0,
            zero_shot: ZeroShotSettings::default(),
        }
    }
}

/// Labels that were typed, and how they are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ZeroShotSettings {
    /// One class a line.
    pub labels: String,
    /// What descriptions are put into, each with a `{}`; what suits the model without.
    pub templates: Option<Vec<String>>,
    /// Whether there is a class of what no label fits.
    pub none_of_these: bool,
    /// The text graph; what belongs to the model without.
    pub text_graph: Option<PathBuf>,
    /// What cosines are multiplied with; the model's own without.
    pub logit_scale: Option<f64>,
}

/// A project in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Project {
    /// Folders that images were added from, by [`RootId`].
    pub roots: Vec<PathBuf>,
    /// Every image that was ever added, by [`ImageId`].
    pub images: Vec<Image>,
    /// Every class that there ever was, by [`ClassId`]; `None` for those that are deleted.
    pub classes: Vec<Option<Class>>,
    /// What the user chose.
    pub settings: ProjectSettings,
    /// What the user says of runs; of others nothing.
    pub run_marks: BTreeMap<RunId, RunMarks>,
    /// Faults of images that are none, as the user says.
    pub dismissed: BTreeMap<ImageId, Dismissed>,
}

impl Project {
    /// Where an image's file is.
    pub fn path(&self, id: ImageId) -> Option<PathBuf> {
        let image = self.images.get(id.as_usize())?;
        Some(self.roots.get(image.root.as_usize())?.join(&image.rel))
    }

    /// The image, if there is one.
    pub fn image(&self, id: ImageId) -> Option<&Image> {
        self.images.get(id.as_usize())
    }

    /// The images that are part of the project, ascending.
    pub fn present(&self) -> impl Iterator<Item = (ImageId, &Image)> {
        self.images.iter().enumerate().filter(|(_, image)| image.is_present).map(|(i, image)| (ImageId::from(i), image))
    }

    /// Images with contents whose hashes begin so, the first of copies; those in the project before those that were removed.
    pub fn images_of(&self, hashes: &BTreeSet<[u8; SHORT_HASH]>) -> BTreeMap<[u8; SHORT_HASH], ImageId> {
        let mut found = BTreeMap::new();
        if hashes.is_empty() {
            return found;
        }
        for is_present in [true, false] {
            for (i, image) in self.images.iter().enumerate().filter(|(_, image)| image.is_present == is_present) {
                let short = image.hash.as_ref().and_then(|hash| hash.first_chunk::<SHORT_HASH>());
                if let Some(short) = short.filter(|short| hashes.contains(*short)) {
                    found.entry(*short).or_insert_with(|| ImageId::from(i));
                }
            }
        }
        found
    }

    /// The class, if it is in use.
    pub fn class(&self, id: ClassId) -> Option<&Class> {
        self.classes.get(id.as_usize())?.as_ref()
    }

    /// The classes in use, in the order of their names as bytes: the order of every list and of an export.
    pub fn sorted_classes(&self) -> Vec<(ClassId, &Class)> {
        let mut classes: Vec<_> = self
            .classes
            .iter()
            .enumerate()
            .filter_map(|(i, class)| Some((ClassId::from(i), class.as_ref()?)))
            .collect();
        classes.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        classes
    }

    /// The class of this name, if it is in use.
    pub fn class_by_name(&self, name: &str) -> Option<ClassId> {
        self.classes.iter().position(|c| c.as_ref().is_some_and(|c| c.name == name)).map(ClassId::from)
    }

    /// The palette colour that the fewest classes have, the first of equal ones.
    pub fn free_colour(&self) -> u8 {
        let mut used = [0_usize; N_COLOURS];
        for class in self.classes.iter().flatten() {
            used[usize::from(class.colour) % N_COLOURS] += 1;
        }
        let best = (0..N_COLOURS).min_by_key(|&i| used[i]).unwrap_or(0);
        u8::try_from(best).unwrap_or(0)
    }

    /// Makes the changes of an edit, which were computed for the project as it is now.
    pub fn apply(&mut self, edit: &Edit) {
        for change in &edit.changes {
            self.apply_change(change);
        }
    }

    fn apply_change(&mut self, change: &Change) {
        match change {
            Change::Presence(moved) => self.each(&moved.images, |image| image.is_present = moved.after),
            Change::Label(moved) => self.each(&moved.images, |image| image.class = moved.after),
            Change::Split(moved) => self.each(&moved.images, |image| image.split = moved.after),
            Change::Guess(moved) => self.each(&moved.images, |image| image.is_guessed = moved.after),
            Change::Dismissal(moved) => {
                for id in moved.images.iter() {
                    match moved.after.is_empty() {
                        true => self.dismissed.remove(&id),
                        false => self.dismissed.insert(id, moved.after),
                    };
                }
            }
            Change::Class { id, after, .. } => {
                let idx = id.as_usize();
                if self.classes.len() <= idx {
                    self.classes.resize(idx + 1, None);
                }
                self.classes[idx].clone_from(after);
            }
            Change::Settings { after, .. } => self.settings = (**after).clone(),
            Change::Run { id, after, .. } if *after == RunMarks::default() => drop(self.run_marks.remove(id)),
            Change::Run { id, after, .. } => drop(self.run_marks.insert(*id, after.clone())),
        }
    }

    fn each(&mut self, ids: &IdSet, mut f: impl FnMut(&mut Image)) {
        for id in ids.iter() {
            if let Some(image) = self.images.get_mut(id.as_usize()) {
                f(image);
            }
        }
    }

    /// The identifier of a folder, which is added when it is new.
    pub fn root(&mut self, path: &Path) -> RootId {
        match self.roots.iter().position(|r| r == path) {
            Some(idx) => RootId::from(idx),
            None => {
                self.roots.push(path.to_owned());
                RootId::from(self.roots.len() - 1)
            }
        }
    }

    /// Notes the content hash of an image.
    pub fn set_hash(&mut self, id: ImageId, hash: [u8; 32]) {
        if let Some(image) = self.images.get_mut(id.as_usize()) {
            image.hash = Some(hash);
        }
    }

    /// Notes why an image cannot be used, or that it can after all.
    pub fn set_skipped(&mut self, id: ImageId, reason: Option<String>) {
        if let Some(image) = self.images.get_mut(id.as_usize()) {
            image.skipped = reason;
        }
    }

    /// The changes with which the user gives images a class: what was a guess is none any more, also where the class is
    /// the one that was guessed.
    pub fn label_changes(&self, ids: impl IntoIterator<Item = ImageId>, class: Option<ClassId>) -> Vec<Change> {
        let ids: Vec<ImageId> = ids.into_iter().collect();
        let mut changes = self.move_changes(ids.iter().copied(), class);
        // That the label is right was said of the one that goes.
        let relabelled = ids.iter().copied().filter(|id| self.image(*id).is_some_and(|image| image.class != class));
        let dismissed = relabelled.filter(|id| self.is_dismissed(*id, FaultKind::Label));
        changes.extend(self.dismissal_changes(dismissed.collect::<Vec<_>>(), FaultKind::Label, false));
        changes.extend(self.guess_changes(ids, false));
        changes
    }

    /// Whether the user has said that a fault of an image is none.
    pub fn is_dismissed(&self, id: ImageId, kind: FaultKind) -> bool {
        self.dismissed.get(&id).is_some_and(|dismissed| dismissed.contains(kind))
    }

    /// The changes that say of a kind of fault that it is none, or that it may be one after all.
    pub fn dismissal_changes(
        &self,
        ids: impl IntoIterator<Item = ImageId>,
        kind: FaultKind,
        is_dismissed: bool,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for id in ids {
            let before = self.dismissed.get(&id).copied().unwrap_or_default();
            let after = if is_dismissed { before.with(kind) } else { before.without(kind) };
            changes.extend(edit::moves([(id, before)], &after).map(Change::Dismissal));
        }
        changes
    }

    /// The changes that give images the class that labels say.
    pub fn guessed_label_changes(&self, ids: &[ImageId], class: ClassId) -> Vec<Change> {
        let mut changes = self.move_changes(ids.iter().copied(), Some(class));
        changes.extend(self.guess_changes(ids.iter().copied(), true));
        changes
    }

    /// The change that gives images another class, guesses or not: for classes that are merged.
    pub fn move_changes(&self, ids: impl IntoIterator<Item = ImageId>, class: Option<ClassId>) -> Vec<Change> {
        let now = ids.into_iter().filter_map(|id| Some((id, self.image(id)?.class)));
        edit::moves(now, &class).map(Change::Label).collect()
    }

    /// The change that makes classes guesses, or says that they are none.
    pub fn guess_changes(&self, ids: impl IntoIterator<Item = ImageId>, is_guessed: bool) -> Vec<Change> {
        let now = ids.into_iter().filter_map(|id| Some((id, self.image(id)?.is_guessed)));
        edit::moves(now, &is_guessed).map(Change::Guess).collect()
    }

    /// The change that puts images into a split.
    pub fn split_changes(&self, ids: impl IntoIterator<Item = ImageId>, split: Option<Split>) -> Vec<Change> {
        let now = ids.into_iter().filter_map(|id| Some((id, self.image(id)?.split)));
        edit::moves(now, &split).map(Change::Split).collect()
    }

    /// The change that takes images out of the project, or back in.
    pub fn presence_changes(&self, ids: impl IntoIterator<Item = ImageId>, is_present: bool) -> Vec<Change> {
        let now = ids.into_iter().filter_map(|id| Some((id, self.image(id)?.is_present)));
        edit::moves(now, &is_present).map(Change::Presence).collect()
    }

    /// The change that marks a run; `None` where nothing changes.
    pub fn run_change(&self, id: RunId, change: impl FnOnce(&mut RunMarks)) -> Option<Change> {
        let before = self.run_marks.get(&id).cloned().unwrap_or_default();
        let mut after = before.clone();
        change(&mut after);
        (after != before).then_some(Change::Run { id, before, after })
    }

    /// The change that adds a class, with the identifier that it gets.
    pub fn add_class_change(&self, name: &str) -> (ClassId, Change) {
        let id = ClassId::from(self.classes.len());
        let class = Class { name: name.to_owned(), colour: self.free_colour() };
        (id, Change::Class { id, before: None, after: Some(class) })
    }
}

/// Colours of the palette.
pub const N_COLOURS: usize = 12;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn project() -> Project {
        let mut project = Project::default();
        let root = project.root(Path::new("/pictures"));
        for i in 0..10 {
            project.images.push(Image {
                root,
                rel: format!("{i}.png").into(),
                hash: None,
                class: None,
                split: None,
                is_present: true,
                skipped: None,
                is_guessed: false,
            });
        }
        for name in ["bee", "ant"] {
            let (_, change) = project.add_class_change(name);
            project.apply(&Edit { title: String::new(), changes: vec![change] });
        }
        project
    }

    #[test]
    fn every_edit_can_be_taken_back() {
        let mut project = project();
        let ids = |range: std::ops::Range<u32>| range.map(ImageId);
        let mut changes = project.label_changes(ids(0..4), Some(ClassId(0)));
        changes.extend(project.split_changes(ids(2..5), Some(Split::Val)));
        changes.extend(project.presence_changes(ids(9..10), false));
        changes.extend(project.guessed_label_changes(&[ImageId(5), ImageId(6)], ClassId(1)));
        changes.extend(project.dismissal_changes(ids(7..9), FaultKind::Copy, true));
        let settings =
            ProjectSettings { unknown: UnknownWish::Precision { at_least: 0.95 }, ..ProjectSettings::default() };
        changes.push(Change::Settings { before: Box::default(), after: Box::new(settings) });
        let first = Edit { title: "first".into(), changes };
        let start = project.clone();
        project.apply(&first);
        assert_eq!(project.images[3].class, Some(ClassId(0)));
        assert_eq!(project.present().count(), 9);
        assert!(project.images[5].is_guessed && project.images[5].class == Some(ClassId(1)));
        assert!(project.is_dismissed(ImageId(8), FaultKind::Copy) && !project.is_dismissed(ImageId(8), FaultKind::Odd));
        let middle = project.clone();
        // What the user says is no guess, also where it is the same; merging says nothing.
        let confirm = project.label_changes(ids(5..6), Some(ClassId(1)));
        assert!(matches!(confirm.as_slice(), [Change::Guess(moved)] if !moved.after));
        assert_eq!(project.move_changes(ids(5..6), Some(ClassId(0))).len(), 1);

        // Deleting a class: its images lose it, and get it back.
        let labelled = project.present().filter(|(_, i)| i.class == Some(ClassId(0))).map(|(id, _)| id);
        let mut changes = project.label_changes(labelled.collect::<Vec<_>>(), None);
        changes.push(Change::Class { id: ClassId(0), before: project.classes[0].clone(), after: None });
        let second = Edit { title: "second".into(), changes };
        let json = serde_json::to_string(&second).unwrap();
        assert_eq!(serde_json::from_str::<Edit>(&json).unwrap(), second);
        project.apply(&second);
        assert_eq!(project.sorted_classes().len(), 1);
        project.apply(&second.inverse());
        assert_eq!(project, middle);
        project.apply(&first.inverse());
        assert_eq!(project, start);
    }

    #[test]
    fn a_label_that_was_said_to_be_right_is_so_until_it_changes() {
        let mut project = project();
        let edit = |project: &mut Project, changes: Vec<Change>| project.apply(&Edit { title: String::new(), changes });
        let changes = project.label_changes([ImageId(1)], Some(ClassId(0)));
        edit(&mut project, changes);
        for kind in [FaultKind::Label, FaultKind::Odd] {
            let changes = project.dismissal_changes([ImageId(1)], kind, true);
            edit(&mut project, changes);
        }
        assert_eq!(project.dismissal_changes([ImageId(1)], FaultKind::Odd, true), []);
        let changes = project.label_changes([ImageId(1)], Some(ClassId(0)));
        edit(&mut project, changes);
        assert!(project.is_dismissed(ImageId(1), FaultKind::Label), "the same label again");
        let changes = project.label_changes([ImageId(1)], Some(ClassId(1)));
        let other = Edit { title: String::new(), changes };
        let before = project.clone();
        project.apply(&other);
        assert!(
            !project.is_dismissed(ImageId(1), FaultKind::Label) && project.is_dismissed(ImageId(1), FaultKind::Odd)
        );
        project.apply(&other.inverse());
        assert_eq!(project, before);
    }

    #[test]
    fn classes_are_sorted_and_colours_shared_out() {
        let project = project();
        let names: Vec<_> = project.sorted_classes().into_iter().map(|(id, c)| (id.0, c.name.clone())).collect();
        assert_eq!(names, [(1, "ant".to_owned()), (0, "bee".to_owned())]);
        assert_eq!(project.free_colour(), 2);
        assert_eq!(project.class_by_name("ant"), Some(ClassId(1)));
    }

    #[test]
    fn history_steps_both_ways_and_forgets_what_was_replaced() {
        let edit = |title: &str| Edit { title: title.into(), changes: Vec::new() };
        let mut history = History::default();
        assert!(history.undo().is_none() && history.redo().is_none());
        history.push(edit("a"));
        history.push(edit("b"));
        assert_eq!(history.undo().unwrap().title, "b");
        assert_eq!(history.redoable().unwrap().title, "b");
        history.push(edit("c"));
        assert!(history.redo().is_none());
        assert_eq!(history.undoable().unwrap().title, "c");
        for i in 0..MAX_EDITS {
            history.push(edit(&i.to_string()));
        }
        assert_eq!(std::iter::from_fn(|| history.undo().map(|_| ())).count(), MAX_EDITS);
    }
}
