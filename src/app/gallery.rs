//! What the gallery shows: filter, order, selection.

use crate::dataset::Split;
use crate::project::{ClassId, ImageId, Project};

use super::live::Live;

/// Which class an image must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClassFilter {
    /// Any or none.
    #[default]
    Any,
    /// None.
    Unlabelled,
    /// This one.
    Is(ClassId),
}

/// Whether an image can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usable {
    /// Either; files that are no images aside.
    #[default]
    Yes,
    /// Only those that were left out.
    Skipped,
}

/// Which images are shown. Everything that is set must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// By class.
    pub class: ClassFilter,
    /// By split, as it is in effect.
    pub split: Option<Split>,
    /// By the class that the head answers.
    pub predicted: Option<ClassId>,
    /// By whether the head is right.
    pub is_right: Option<bool>,
    /// By whether the answer is "unknown".
    pub is_unknown: Option<bool>,
    /// Usable or left out.
    pub usable: Usable,
    /// Part of the path, any case.
    pub text: String,
}

impl Filter {
    /// Whether everything is shown.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether what the head answers matters.
    fn needs_predictions(&self) -> bool {
        self.predicted.is_some() || self.is_right.is_some() || self.is_unknown.is_some()
    }
}

/// The order of the images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// As they were added: by folder and name.
    #[default]
    Added,
    /// Least sure first.
    LeastSure,
    /// Surest first.
    MostSure,
    /// Mistakes first, the surest of them before all.
    WorstMistake,
}

impl SortBy {
    /// Every order.
    pub const ALL: [Self; 4] = [Self::Added, Self::LeastSure, Self::MostSure, Self::WorstMistake];

    /// The words in the menu.
    pub fn label(self) -> &'static str {
        match self {
            Self::Added => "As added",
            Self::LeastSure => "Least sure first",
            Self::MostSure => "Surest first",
            Self::WorstMistake => "Worst mistakes first",
        }
    }
}

/// A change of the selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectOp {
    /// This one alone (a click).
    Only(ImageId),
    /// This one as well, or no longer (Ctrl and a click).
    Toggle(ImageId),
    /// Everything from the last one to this one (Shift and a click).
    ExtendTo(ImageId),
    /// These (a rubber band), instead of or beside what is selected.
    Set {
        /// Which.
        images: Vec<ImageId>,
        /// Whether the others stay.
        keep: bool,
    },
    /// Moves the one that is looked at by so many places (arrow keys), selecting it alone or up to it.
    Move {
        /// How far, in the order shown.
        by: isize,
        /// Whether the selection grows.
        extend: bool,
    },
    /// Everything that is shown.
    All,
    /// Nothing.
    None,
}

/// A set of images with quick membership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdBits {
    bits: Vec<bool>,
    n: usize,
}

impl IdBits {
    /// Whether it holds an image.
    pub fn contains(&self, id: ImageId) -> bool {
        self.bits.get(id.as_usize()).copied().unwrap_or(false)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Adds or removes an image.
    pub fn set(&mut self, id: ImageId, is_in: bool) {
        let idx = id.as_usize();
        if self.bits.len() <= idx {
            if !is_in {
                return;
            }
            self.bits.resize(idx + 1, false);
        }
        if self.bits[idx] != is_in {
            self.bits[idx] = is_in;
            self.n = if is_in { self.n + 1 } else { self.n - 1 };
        }
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.bits.clear();
        self.n = 0;
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = ImageId> + '_ {
        self.bits.iter().enumerate().filter(|(_, is_in)| **is_in).map(|(i, _)| ImageId::from(i))
    }
}

/// What the gallery shows.
#[derive(Clone, Debug, Default)]
pub struct Gallery {
    /// Which images.
    pub filter: Filter,
    /// In which order.
    pub sort: SortBy,
    /// The images shown, in order.
    pub visible: Vec<ImageId>,
    /// What is selected.
    pub selection: IdBits,
    /// Where Shift begins.
    anchor: Option<ImageId>,
    /// The image that keys act on.
    pub cursor: Option<ImageId>,
    /// Where it was seen last.
    cursor_at: usize,
    /// The user has edited something since `visible` was computed: what has left by that gives its place to the next.
    pub(super) was_edited: bool,
    /// The image in the large view.
    pub large: Option<ImageId>,
    /// Whether `visible` is to be computed anew.
    pub(super) is_stale: bool,
    /// Counts changes of `visible`, for whoever keeps something beside it.
    pub generation: u64,
}

impl Gallery {
    /// Where an image is shown.
    pub fn position(&self, id: ImageId) -> Option<usize> {
        if self.sort == SortBy::Added {
            return self.visible.binary_search(&id).ok();
        }
        self.visible.iter().position(|v| *v == id)
    }

    /// Changes the selection.
    pub fn select(&mut self, op: SelectOp) {
        match op {
            SelectOp::Only(id) => {
                self.selection.clear();
                self.selection.set(id, true);
                (self.anchor, self.cursor) = (Some(id), Some(id));
            }
            SelectOp::Toggle(id) => {
                let is_in = self.selection.contains(id);
                self.selection.set(id, !is_in);
                (self.anchor, self.cursor) = (Some(id), Some(id));
            }
            SelectOp::ExtendTo(id) => self.extend_to(id),
            SelectOp::Set { images, keep } => {
                if !keep {
                    self.selection.clear();
                }
                for id in &images {
                    self.selection.set(*id, true);
                }
                if let Some(last) = images.last() {
                    self.cursor = Some(*last);
                    self.anchor = images.first().copied();
                }
            }
            SelectOp::Move { by, extend } => self.step(by, extend),
            SelectOp::All => {
                for i in 0..self.visible.len() {
                    self.selection.set(self.visible[i], true);
                }
            }
            SelectOp::None => {
                self.selection.clear();
                // Keys act on nothing then; arrows go on from where they were.
                (self.cursor, self.anchor) = (None, None);
            }
        }
        if let Some(at) = self.cursor.and_then(|c| self.position(c)) {
            self.cursor_at = at;
        }
    }

    fn extend_to(&mut self, id: ImageId) {
        let from = self.anchor.and_then(|a| self.position(a)).unwrap_or(0);
        let Some(to) = self.position(id) else { return };
        self.selection.clear();
        for i in from.min(to)..=from.max(to) {
            self.selection.set(self.visible[i], true);
        }
        self.cursor = Some(id);
        self.anchor = self.anchor.or_else(|| self.visible.first().copied());
    }

    fn step(&mut self, by: isize, extend: bool) {
        if self.visible.is_empty() {
            return;
        }
        let last = self.visible.len() - 1;
        let from = self.large.or(self.cursor);
        let to = match (from, from.and_then(|c| self.position(c))) {
            (_, Some(now)) => now.saturating_add_signed(by),
            // What was looked at has left the list: the one after it stands in its place.
            (Some(_), None) if self.large.is_some() && by > 0 => self.cursor_at.saturating_add_signed(by - 1),
            (Some(_), None) => self.cursor_at.saturating_add_signed(by),
            (None, None) => self.cursor_at,
        };
        let id = self.visible[to.min(last)];
        if self.large.is_some() {
            self.large = Some(id);
        }
        self.select(if extend { SelectOp::ExtendTo(id) } else { SelectOp::Only(id) });
    }

    /// The images that a command is about: the selection, else the one that keys act on.
    pub fn target(&self) -> Vec<ImageId> {
        if let Some(large) = self.large {
            return vec![large];
        }
        if self.selection.is_empty() {
            return self.cursor.into_iter().collect();
        }
        self.selection.iter().collect()
    }

    /// What stands where the cursor was.
    fn in_its_place(&self) -> Option<ImageId> {
        self.visible.get(self.cursor_at.min(self.visible.len().saturating_sub(1))).copied()
    }

    /// Another list is asked for: keys act on nothing until something of it is chosen.
    pub(super) fn leave(&mut self) {
        (self.cursor, self.anchor, self.large, self.cursor_at) = (None, None, None, 0);
    }

    /// Computes what is shown. What is no longer shown is no longer selected.
    pub(super) fn refresh(&mut self, project: &Project, live: &Live) {
        self.is_stale = false;
        self.generation += 1;
        let filter = &self.filter;
        let needle = filter.text.to_lowercase();
        let passes = |id: ImageId| {
            let Some(image) = project.image(id) else { return false };
            if (filter.usable == Usable::Skipped) != image.skipped.is_some() {
                return false;
            }
            let by_class = match filter.class {
                ClassFilter::Any => true,
                ClassFilter::Unlabelled => image.class.is_none(),
                ClassFilter::Is(class) => image.class == Some(class),
            };
            if !by_class || filter.split.is_some_and(|s| live.split_of(id) != Some(s)) {
                return false;
            }
            if filter.needs_predictions() {
                let Some((predicted, _)) = live.prediction(id) else { return false };
                if filter.predicted.is_some_and(|p| p != predicted)
                    || filter.is_right.is_some_and(|r| {
                        // A guess of labels is no truth to be right by.
                        image.class.is_none() || image.is_guessed || r != (image.class == Some(predicted))
                    })
                    || filter.is_unknown.is_some_and(|u| live.is_unknown(id) != Some(u))
                {
                    return false;
                }
            }
            needle.is_empty() || image.rel.to_string_lossy().to_lowercase().contains(&needle)
        };
        self.visible.clear();
        self.visible.extend(project.present().map(|(id, _)| id).filter(|id| passes(*id)));
        // Images without an answer come last.
        let confidence = |id: &ImageId| live.prediction(*id).map_or(f32::INFINITY, |p| p.1);
        match self.sort {
            SortBy::Added => {}
            SortBy::LeastSure => self.visible.sort_by(|a, b| confidence(a).total_cmp(&confidence(b))),
            SortBy::MostSure => {
                let key = |id: &ImageId| live.prediction(*id).map_or(f32::INFINITY, |p| -p.1);
                self.visible.sort_by(|a, b| key(a).total_cmp(&key(b)));
            }
            SortBy::WorstMistake => {
                let is_wrong = |id: &ImageId| {
                    let class = project.image(*id).filter(|i| !i.is_guessed).and_then(|i| i.class);
                    class.is_some() && live.prediction(*id).is_some_and(|p| Some(p.0) != class)
                };
                let key = |id: &ImageId| (!is_wrong(id), if is_wrong(id) { -confidence(id) } else { confidence(id) });
                let mut keyed: Vec<_> = self.visible.iter().map(|id| (key(id), *id)).collect();
                keyed.sort_by(|a, b| a.0.0.cmp(&b.0.0).then(a.0.1.total_cmp(&b.0.1)).then(a.1.cmp(&b.1)));
                self.visible = keyed.into_iter().map(|(_, id)| id).collect();
            }
        }
        let mut shown = IdBits::default();
        if !self.selection.is_empty() {
            self.visible.iter().for_each(|id| shown.set(*id, self.selection.contains(*id)));
            self.selection = shown;
        }
        match self.cursor.map(|c| self.position(c)) {
            Some(Some(at)) => self.cursor_at = at,
            // Labelled or removed: keys go on with what stands in its place. What left for another reason leaves keys
            // nothing to act on, since nobody has looked at its neighbour.
            Some(None) if self.was_edited || self.large.is_some() => self.cursor = self.in_its_place(),
            Some(None) => self.cursor = None,
            None => {}
        }
        self.was_edited = false;
        // A picture that is looked at stays although it does not pass the filter any more, but not when it was removed.
        if self.large.is_some_and(|id| !project.image(id).is_some_and(|i| i.is_present)) {
            self.large = self.cursor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{Class, Image, RootId};

    fn gallery(n: u32) -> Gallery {
        Gallery { visible: (0..n).map(ImageId).collect(), ..Gallery::default() }
    }

    fn selected(gallery: &Gallery) -> Vec<u32> {
        gallery.selection.iter().map(|i| i.0).collect()
    }

    #[test]
    fn clicks_with_and_without_keys() {
        let mut g = gallery(10);
        g.select(SelectOp::Only(ImageId(3)));
        g.select(SelectOp::ExtendTo(ImageId(6)));
        assert_eq!(selected(&g), [3, 4, 5, 6]);
        g.select(SelectOp::ExtendTo(ImageId(1)));
        assert_eq!(selected(&g), [1, 2, 3], "from where it began");
        g.select(SelectOp::Toggle(ImageId(2)));
        g.select(SelectOp::Toggle(ImageId(8)));
        assert_eq!(selected(&g), [1, 3, 8]);
        g.select(SelectOp::Set { images: vec![ImageId(5), ImageId(6)], keep: true });
        assert_eq!(selected(&g), [1, 3, 5, 6, 8]);
        g.select(SelectOp::All);
        assert_eq!(g.selection.len(), 10);
        g.select(SelectOp::None);
        assert!(g.selection.is_empty());
        assert!(g.target().is_empty(), "keys act on nothing");
        g.select(SelectOp::Move { by: 1, extend: false });
        assert_eq!(selected(&g), [6], "and go on from where they were");
    }

    #[test]
    fn what_leaves_the_list_gives_its_place_to_the_next() {
        let image = |class| Image {
            root: RootId(0),
            rel: "x.jpg".into(),
            hash: None,
            class,
            split: None,
            is_present: true,
            skipped: None,
            is_guessed: false,
        };
        let mut project = Project {
            roots: vec!["/r".into()],
            images: (0..6).map(|_| image(None)).collect(),
            classes: vec![Some(Class { name: "a".into(), colour: 0 })],
            ..Project::default()
        };
        let mut g =
            Gallery { filter: Filter { class: ClassFilter::Unlabelled, ..Filter::default() }, ..Gallery::default() };
        let live = Live::default();
        g.refresh(&project, &live);
        // Labelled in the large view: the picture stays until the next is asked for, and that is the one after it.
        g.select(SelectOp::Only(ImageId(2)));
        g.large = Some(ImageId(2));
        project.images[2].class = Some(ClassId(0));
        g.refresh(&project, &live);
        assert_eq!((g.large, g.visible.len()), (Some(ImageId(2)), 5));
        g.select(SelectOp::Move { by: 1, extend: false });
        assert_eq!(g.large, Some(ImageId(3)));
        project.images[3].class = Some(ClassId(0));
        g.refresh(&project, &live);
        g.select(SelectOp::Move { by: -1, extend: false });
        assert_eq!(g.large, Some(ImageId(1)));
        // Removed: the next one is looked at.
        project.images[1].is_present = false;
        g.refresh(&project, &live);
        assert_eq!((g.large, g.cursor), (Some(ImageId(4)), Some(ImageId(4))));
        project.images.iter_mut().for_each(|i| i.is_present = false);
        g.refresh(&project, &live);
        assert_eq!((g.large, g.cursor), (None, None));

        // In the grid: an edit hands the keys on, anything else leaves them nothing to act on.
        project.images.iter_mut().for_each(|i| (i.is_present, i.class) = (true, None));
        for (was_edited, expected) in [(true, Some(ImageId(3))), (false, None)] {
            project.images[2].class = None;
            g.refresh(&project, &live);
            g.select(SelectOp::Only(ImageId(2)));
            project.images[2].class = Some(ClassId(0));
            g.was_edited = was_edited;
            g.refresh(&project, &live);
            assert_eq!(g.cursor, expected);
        }
    }

    #[test]
    fn arrow_keys_stop_at_the_ends() {
        let mut g = gallery(5);
        for (by, extend, expected) in [
            (1, false, vec![0]),
            (3, false, vec![3]),
            (9, true, vec![3, 4]),
            (-2, false, vec![2]),
            (-9, false, vec![0]),
        ] {
            g.select(SelectOp::Move { by, extend });
            assert_eq!(selected(&g), expected);
        }
        gallery(0).select(SelectOp::Move { by: 1, extend: false });
    }
}
