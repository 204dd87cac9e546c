//! Runs: trained heads as they were, kept so that they can be compared after the data have moved on.
//!
//! A run is what a fit gave once the data stood still: not the heads on the way there. [`Runs::keep`] has the rule:
//!
//! - what has the key of a kept run (same data, split, model, kind, settings) is that run and is not kept twice;
//! - a run whose data were changed again within [`REST_SECS`] was a step on the way (labels given one after another): the
//!   next one takes its place, unless it has been pinned or named;
//! - of those that are neither pinned nor named the latest [`MAX_RUNS`] stay, so that a project does not grow without end.
//!
//! A run has no weights: those of the latest heads are in the project, and older ones could not be proved to be what was
//! shown once their images have changed. It has its answers, image by image, so that two runs can be compared in pairs.

mod compare;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use compare::{Answered, Comparison, Difference, compare, points};

use crate::classes::{ClassIdx, ClassSet};
use crate::dataset::Split;
use crate::embedding::EmbeddingSpace;
use crate::head::{HeadKind, TrainRecord};
use crate::metrics::Report;

/// Runs that are kept at most, but for those that are pinned or named.
pub const MAX_RUNS: usize = 60;
/// Data that have not changed for so long stand still.
pub const REST_SECS: u64 = 20;
/// Bytes of a content hash that are kept: enough to tell images apart.
pub const SHORT_HASH: usize = 16;

/// A run of a project. Never used again for another run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub u32);

/// What the user says of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunMarks {
    /// A name; empty without one.
    pub name: String,
    /// A note; empty without one.
    pub note: String,
    /// It stays, however many come after it.
    pub is_pinned: bool,
    /// It was deleted; undo brings it back as long as it is among the latest.
    pub is_deleted: bool,
}

impl RunMarks {
    /// What the run is called: its name, else its number.
    pub fn title(&self, id: RunId) -> String {
        if self.name.is_empty() { format!("Run {}", u64::from(id.0) + 1) } else { self.name.clone() }
    }

    /// Whether it stays until the user deletes it.
    pub fn is_held(&self) -> bool {
        !self.is_deleted && (self.is_pinned || !self.name.is_empty() || !self.note.is_empty())
    }
}

/// The data that a head was fitted and judged on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataRevision {
    /// Digest of content hash, class and split of every image that took part.
    pub digest: String,
    /// The classes.
    pub classes: ClassSet,
    /// Images a class in train, val and test, in class order.
    pub n_per_class: Vec<[usize; 3]>,
    /// Whether the validation images were given rather than split off.
    pub val_is_given: bool,
    /// Part of each class that was split off else.
    pub val_fraction: f64,
    /// Seed of the split and of the intervals.
    pub seed: u64,
}

impl DataRevision {
    /// Of images: content hash, class, split.
    pub fn new(
        classes: ClassSet,
        images: impl IntoIterator<Item = ([u8; 32], ClassIdx, Split)>,
        (val_is_given, val_fraction, seed): (bool, f64, u64),
    ) -> Self {
        let mut images: Vec<_> = images.into_iter().collect();
        images.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        classes.names().iter().for_each(|name| part(name.as_bytes()));
        let mut n_per_class = vec![[0; 3]; classes.len()];
        for (hash, class, split) in &images {
            part(hash);
            part(&[class.0.to_le_bytes(), (split_idx(*split) as u32).to_le_bytes()].concat());
            if let Some(counts) = n_per_class.get_mut(class.as_usize()) {
                counts[split_idx(*split)] += 1;
            }
        }
        let digest = hasher.finalize().to_hex()[..32].to_owned();
        Self { digest, classes, n_per_class, val_is_given, val_fraction, seed }
    }

    /// Images in train, val and test.
    pub fn n(&self, split: Split) -> usize {
        self.n_per_class.iter().map(|counts| counts[split_idx(split)]).sum()
    }

    /// Images together.
    pub fn n_images(&self) -> usize {
        self.n_per_class.iter().flatten().sum()
    }
}

fn split_idx(split: Split) -> usize {
    match split {
        Split::Train => 0,
        Split::Val => 1,
        Split::Test => 2,
    }
}

/// An image that was judged on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Judged {
    /// The beginning of its content hash.
    pub hash: [u8; SHORT_HASH],
    /// Its class, as an index into the run's.
    pub truth: u16,
}

/// What a head said of such an image, which it was not fitted on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunAnswer {
    /// The most probable class, as an index into the run's.
    pub class: u16,
    /// Its calibrated probability.
    pub confidence: f32,
}

/// A trained head as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Which.
    pub id: RunId,
    /// When it was fitted, in seconds since 1970 (UTC).
    pub unix_secs: u64,
    /// Name of the backbone for people.
    pub model: String,
    /// Backbone, layer and preprocessing.
    pub space: EmbeddingSpace,
    /// What it was fitted on.
    pub data: DataRevision,
    /// Its kind, settings and how they came about.
    pub record: TrainRecord,
    /// Figures on the validation images.
    pub val: Option<Report>,
    /// Figures on the test images.
    pub test: Option<Report>,
    /// The images that it was judged on: the validation images, without any the test images. By hash.
    pub judged: Arc<[Judged]>,
    /// Its answers on them.
    pub answers: Arc<[RunAnswer]>,
}

impl Run {
    /// Its kind.
    pub fn kind(&self) -> HeadKind {
        self.record.kind
    }

    /// The figures on the images that it was judged on.
    pub fn report(&self) -> Option<&Report> {
        self.val.as_ref().or(self.test.as_ref())
    }

    /// What two fits have in common that cannot but give the same.
    pub fn key(&self) -> String {
        let text = serde_json::to_string(&self.record.text).unwrap_or_default();
        let weight = serde_json::to_string(&self.record.class_weight).unwrap_or_default();
        let parts = [&self.data.digest, &self.space.key(), self.kind().label(), &text, &weight, &self.settings()];
        parts.join("\n")
    }

    fn settings(&self) -> String {
        format!("{} {} {}", self.data.val_fraction, self.data.seed, self.data.val_is_given)
    }

    /// Whether it may be a step on the way to `next`: all but the data and the texts, which are typed little by little, agree.
    fn leads_to(&self, next: &Self) -> bool {
        self.space == next.space
            && self.kind() == next.kind()
            && self.settings() == next.settings()
            && self.record.class_weight == next.record.class_weight
            // A clock that went back tells nothing: a run from later than now is no step.
            && next.unix_secs.checked_sub(self.unix_secs).is_some_and(|secs| secs < REST_SECS)
    }
}

/// The runs of a project, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs {
    all: Vec<Run>,
    next: u32,
}

/// What came of keeping runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// Runs that were added, with their identifiers.
    pub added: Vec<Run>,
    /// Runs that went.
    pub dropped: Vec<RunId>,
}

impl Runs {
    /// Runs that were kept before, ascending; `next` is the identifier that comes next.
    pub fn from_parts(all: Vec<Run>, next: u32) -> Self {
        let after = all.iter().map(|run| run.id.0.saturating_add(1)).max().unwrap_or(0);
        Self { all, next: next.max(after) }
    }

    /// All, oldest first, deleted ones included.
    pub fn all(&self) -> &[Run] {
        &self.all
    }

    /// A run.
    pub fn get(&self, id: RunId) -> Option<&Run> {
        self.all.iter().find(|run| run.id == id)
    }

    /// The runs that were not deleted, latest first; of one fit in the order of its heads.
    pub fn shown<'a>(&'a self, marks: &'a BTreeMap<RunId, RunMarks>) -> Vec<&'a Run> {
        let is_shown = |run: &&Run| !marks.get(&run.id).is_some_and(|m| m.is_deleted);
        let is_one_fit = |a: &Run, b: &Run| (a.unix_secs, &a.data.digest) == (b.unix_secs, &b.data.digest);
        self.all.chunk_by(is_one_fit).rev().flat_map(|fit| fit.iter().filter(is_shown)).collect()
    }

    /// Keeps the runs of a fit by the rule above.
    pub fn keep(&mut self, fresh: Vec<Run>, marks: &BTreeMap<RunId, RunMarks>) -> Kept {
        let is_held = |id: RunId| marks.get(&id).is_some_and(RunMarks::is_held);
        let is_deleted = |id: RunId| marks.get(&id).is_some_and(|m| m.is_deleted);
        let mut kept = Kept::default();
        for mut run in fresh {
            let key = run.key();
            let on_the_way = |old: &Run| old.leads_to(&run) && !is_held(old.id) && old.key() != key;
            kept.dropped.extend(self.all.iter().filter(|old| on_the_way(old)).map(|old| old.id));
            // One that was deleted comes back as another: it was made again.
            if self.all.iter().any(|old| old.key() == key && !is_deleted(old.id)) {
                continue;
            }
            run.id = RunId(self.next);
            self.next = self.next.saturating_add(1);
            kept.added.push(run);
        }
        self.all.retain(|run| !kept.dropped.contains(&run.id));
        self.all.extend(kept.added.iter().cloned());
        // Those that were deleted go first.
        let mut loose: Vec<(bool, RunId)> =
            self.all.iter().filter(|run| !is_held(run.id)).map(|run| (!is_deleted(run.id), run.id)).collect();
        loose.sort_unstable();
        let beyond: Vec<RunId> = loose.iter().take(loose.len().saturating_sub(MAX_RUNS)).map(|l| l.1).collect();
        self.all.retain(|run| !beyond.contains(&run.id));
        kept.added.retain(|run| !beyond.contains(&run.id));
        kept.dropped.extend(beyond);
        kept
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
pub(super) mod tests {
    use super::*;
    use crate::head::HeadKind;

    /// A run on ten images of two classes, whose data are told apart by `seed` of the hashes.
    pub(in crate::project) fn run(unix_secs: u64, data: u8) -> Run {
        let classes = ClassSet::from_ordered(["ant", "bee"]);
        let images = (0..10u8).map(|i| {
            let split = if i < 6 { Split::Train } else { Split::Val };
            ([i + data; 32], ClassIdx(u32::from(i % 2)), split)
        });
        Run {
            id: RunId(0),
            unix_secs,
            model: "starter".to_owned(),
            space: EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim: 2 },
            data: DataRevision::new(classes, images, (false, 0.2, 0)),
            record: TrainRecord::unfitted(HeadKind::Linear, None),
            val: None,
            test: None,
            judged: Arc::new([]),
            answers: Arc::new([]),
        }
    }

    fn ids(runs: &Runs) -> Vec<u32> {
        runs.all().iter().map(|run| run.id.0).collect()
    }

    #[test]
    fn labels_given_one_after_another_are_one_run() {
        let (mut runs, marks) = (Runs::default(), BTreeMap::new());
        runs.keep(vec![run(100, 0)], &marks);
        // A while later, then quickly after each other.
        for (i, secs) in [200, 205, 212].into_iter().enumerate() {
            runs.keep(vec![run(secs, 1 + i as u8)], &marks);
        }
        assert_eq!(ids(&runs), [0, 3], "the one before the burst, and its end");
        // Undone within the time: what was undone goes, what was there is there.
        let kept = runs.keep(vec![run(220, 0)], &marks);
        assert_eq!((kept.added.len(), kept.dropped, ids(&runs)), (0, vec![RunId(3)], vec![0]));
    }

    #[test]
    fn what_is_the_same_is_kept_once_and_other_settings_are_not_steps() {
        let (mut runs, marks) = (Runs::default(), BTreeMap::new());
        runs.keep(vec![run(100, 0)], &marks);
        assert!(runs.keep(vec![run(900, 0)], &marks).added.is_empty());
        let mut other = run(905, 0);
        other.record.kind = HeadKind::Prototype;
        let mut layer = run(906, 0);
        layer.space.layer = "early".into();
        runs.keep(vec![other], &marks);
        runs.keep(vec![layer], &marks);
        assert_eq!(ids(&runs), [0, 1, 2]);
        let marks = BTreeMap::from([(RunId(2), RunMarks { name: "early layer".into(), ..RunMarks::default() })]);
        let mut layer = run(910, 1);
        layer.space.layer = "early".into();
        assert!(runs.keep(vec![layer], &marks).dropped.is_empty(), "what has a name stays");
        let shown: Vec<u32> = runs.shown(&marks).into_iter().map(|run| run.id.0).collect();
        assert_eq!(shown, [3, 2, 1, 0]);
    }

    #[test]
    fn the_oldest_go_and_deleted_ones_before_them() {
        let (mut runs, mut marks) = (Runs::default(), BTreeMap::new());
        let at = |i: usize| run(1000 * i as u64, i as u8);
        (0..MAX_RUNS).for_each(|i| drop(runs.keep(vec![at(i)], &marks)));
        assert_eq!(runs.all().len(), MAX_RUNS);
        marks.insert(RunId(0), RunMarks { is_pinned: true, ..RunMarks::default() });
        marks.insert(RunId(5), RunMarks { is_deleted: true, is_pinned: true, ..RunMarks::default() });
        assert!(runs.keep(vec![at(MAX_RUNS)], &marks).dropped.is_empty(), "a pinned one does not count");
        assert_eq!(runs.keep(vec![at(MAX_RUNS + 1)], &marks).dropped, [RunId(5)]);
        assert_eq!(runs.keep(vec![at(MAX_RUNS + 2)], &marks).dropped, [RunId(1)]);
        assert!(runs.get(RunId(0)).is_some());
    }

    #[test]
    fn the_digest_tells_labels_splits_and_images_but_not_their_order() {
        let classes = || ClassSet::from_ordered(["ant", "bee"]);
        let of = |images: &[([u8; 32], u32, Split)]| {
            let images = images.iter().map(|(hash, class, split)| (*hash, ClassIdx(*class), *split));
            DataRevision::new(classes(), images, (false, 0.2, 0))
        };
        let base = of(&[([1; 32], 0, Split::Train), ([2; 32], 1, Split::Val)]);
        assert_eq!(base.digest, of(&[([2; 32], 1, Split::Val), ([1; 32], 0, Split::Train)]).digest);
        assert_eq!((base.n(Split::Train), base.n(Split::Val), base.n_images()), (1, 1, 2));
        for other in [
            of(&[([1; 32], 1, Split::Train), ([2; 32], 1, Split::Val)]),
            of(&[([1; 32], 0, Split::Val), ([2; 32], 1, Split::Val)]),
            of(&[([1; 32], 0, Split::Train)]),
        ] {
            assert_ne!(base.digest, other.digest);
        }
    }
}
