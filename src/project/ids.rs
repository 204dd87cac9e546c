//! Identifiers within a project, and compact sets of them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// An image of a project: its position in [`super::Project::images`]. Never used again for another image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub u32);

/// A class of a project: its position in [`super::Project::classes`]. It outlives renaming, and is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassId(pub u32);

/// A folder that images were added from: its position in [`super::Project::roots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RootId(pub u32);

macro_rules! index {
    ($($id:ident),*) => {$(
        impl $id {
            /// As an index into a slice.
            pub fn as_usize(self) -> usize {
                self.0 as usize
            }
        }

        impl From<usize> for $id {
            /// From a position; counts never come near `u32::MAX`, so larger values saturate.
            fn from(idx: usize) -> Self {
                Self(u32::try_from(idx).unwrap_or(u32::MAX))
            }
        }
    )*};
}

index!(ImageId, ClassId, RootId);

/// A set of images as sorted, disjoint ranges: an edit of a whole folder is a few numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdSet {
    /// First identifier and count.
    ranges: Vec<(u32, u32)>,
}

impl IdSet {
    /// The images from `first`, `n` of them.
    pub fn range(first: ImageId, n: usize) -> Self {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        Self { ranges: if n == 0 { Vec::new() } else { vec![(first.0, n)] } }
    }

    /// The runs of consecutive identifiers, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        self.ranges.iter().map(|&(first, n)| first..first.saturating_add(n))
    }

    /// Every image of the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ImageId> + '_ {
        self.ranges().flat_map(|range| range.map(ImageId))
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(|&(_, n)| n as usize).sum()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// One past the largest identifier.
    pub fn end(&self) -> usize {
        self.ranges.last().map_or(0, |&(first, n)| first as usize + n as usize)
    }
}

impl FromIterator<ImageId> for IdSet {
    fn from_iter<I: IntoIterator<Item = ImageId>>(ids: I) -> Self {
        let mut ids: Vec<u32> = ids.into_iter().map(|id| id.0).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for id in ids {
            match ranges.last_mut() {
                Some((first, n)) if *first + *n == id => *n += 1,
                _ => ranges.push((id, 1)),
            }
        }
        Self { ranges }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn sets_are_ranges() {
        let set: IdSet = [5, 3, 4, 9, 3].into_iter().map(ImageId).collect();
        assert_eq!(serde_json::to_string(&set).unwrap(), "[[3,3],[9,1]]");
        assert_eq!(set.iter().map(|i| i.0).collect::<Vec<_>>(), [3, 4, 5, 9]);
        assert_eq!((set.len(), set.end()), (4, 10));
        assert_eq!(set.ranges().collect::<Vec<_>>(), [3..6, 9..10]);
        assert!(IdSet::range(ImageId(7), 0).is_empty());
    }
}
