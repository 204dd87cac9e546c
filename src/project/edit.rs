//! Edits: what the user changes, as data that can be turned round. Undo, redo and the project file share them.

use serde::{Deserialize, Serialize};

use super::runs::{RunId, RunMarks};
use super::{Class, ClassId, Dismissed, IdSet, ImageId, ProjectSettings};
use crate::dataset::Split;

/// Images that change from one value to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved<T> {
    /// The images.
    pub images: IdSet,
    /// What they had.
    pub before: T,
    /// What they get.
    pub after: T,
}

/// One reversible change of a project's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Images that are part of the project or not.
    Presence(Moved<bool>),
    /// The class of images.
    Label(Moved<Option<ClassId>>),
    /// The split that the user or the layout puts images in; `None` leaves it to Graft.
    Split(Moved<Option<Split>>),
    /// Whether the class of images is only a guess.
    Guess(Moved<bool>),
    /// Faults of images that are none.
    Dismissal(Moved<Dismissed>),
    /// A class: added (`before` is `None`), changed, or deleted (`after` is `None`).
    Class {
        /// Which.
        id: ClassId,
        /// What it was.
        before: Option<Class>,
        /// What it becomes.
        after: Option<Class>,
    },
    /// The project's settings as a whole.
    Settings {
        /// What they were.
        before: Box<ProjectSettings>,
        /// What they become.
        after: Box<ProjectSettings>,
    },
    /// What is said of a run.
    Run {
        /// Which.
        id: RunId,
        /// What was said.
        before: RunMarks,
        /// What is.
        after: RunMarks,
    },
}

impl Change {
    fn inverse(&self) -> Self {
        fn turn<T: Clone>(moved: &Moved<T>) -> Moved<T> {
            Moved { images: moved.images.clone(), before: moved.after.clone(), after: moved.before.clone() }
        }
        match self {
            Self::Presence(moved) => Self::Presence(turn(moved)),
            Self::Label(moved) => Self::Label(turn(moved)),
            Self::Split(moved) => Self::Split(turn(moved)),
            Self::Guess(moved) => Self::Guess(turn(moved)),
            Self::Dismissal(moved) => Self::Dismissal(turn(moved)),
            Self::Class { id, before, after } => Self::Class { id: *id, before: after.clone(), after: before.clone() },
            Self::Settings { before, after } => Self::Settings { before: after.clone(), after: before.clone() },
            Self::Run { id, before, after } => Self::Run { id: *id, before: after.clone(), after: before.clone() },
        }
    }
}

/// What one action of the user changes: undone and redone as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// What it was, as a menu says it after "Undo": `relabel 3 images as bee`.
    pub title: String,
    /// In the order in which they are made.
    pub changes: Vec<Change>,
}

impl Edit {
    /// The edit that takes this one back.
    pub fn inverse(&self) -> Self {
        Self { title: self.title.clone(), changes: self.changes.iter().rev().map(Change::inverse).collect() }
    }
}

/// Groups images by what they have now, so that each group is one change to `after`; those that already have it are
/// left out.
pub(super) fn moves<T: Clone + PartialEq>(
    images: impl IntoIterator<Item = (ImageId, T)>,
    after: &T,
) -> impl Iterator<Item = Moved<T>> {
    let mut groups: Vec<(T, Vec<ImageId>)> = Vec::new();
    for (id, before) in images {
        if before == *after {
            continue;
        }
        match groups.iter_mut().find(|(value, _)| *value == before) {
            Some((_, ids)) => ids.push(id),
            None => groups.push((before, vec![id])),
        }
    }
    let after = after.clone();
    groups.into_iter().map(move |(before, ids)| Moved {
        images: ids.into_iter().collect(),
        before,
        after: after.clone(),
    })
}
