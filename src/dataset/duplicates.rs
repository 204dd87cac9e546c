//! Exact duplicates: one copy stays, so that no picture is ever in two splits.

use std::collections::BTreeMap;
use std::path::Path;

use super::{SkipReason, Split};
use crate::classes::{ClassIdx, ClassSet};

/// One usable image with the hash of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Hashed<'a> {
    /// The file.
    pub path: &'a Path,
    /// Its class.
    pub class: ClassIdx,
    /// Its split, if the layout gives one.
    pub split: Option<Split>,
    /// Hash of its bytes.
    pub hash: [u8; 32],
}

/// Images with the same bytes, as indices into `images`; those that stand alone are left out.
pub fn groups(images: &[Hashed<'_>]) -> Vec<Vec<usize>> {
    let mut of_hash: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
    for (i, image) in images.iter().enumerate() {
        of_hash.entry(image.hash).or_default().push(i);
    }
    of_hash.into_values().filter(|copies| copies.len() > 1).collect()
}

/// The images to leave out, as indices into `images` with the reason, in order. Of identical pictures the copy in the
/// test split stays, else that in the validation split (so that given benchmarks keep their images and training
/// never sees them), else the first.
pub fn find(images: &[Hashed<'_>], classes: &ClassSet) -> Vec<(usize, SkipReason)> {
    let rank = |i: usize| match images[i].split {
        Some(Split::Test) => 0,
        Some(Split::Val) => 1,
        Some(Split::Train) | None => 2,
    };
    let mut dropped = Vec::new();
    for copies in groups(images) {
        let Some(kept) = copies.iter().copied().min_by_key(|&i| (rank(i), i)) else { continue };
        for i in copies.into_iter().filter(|&i| i != kept) {
            let of = images[kept].path.to_owned();
            let reason = if images[i].class == images[kept].class {
                SkipReason::DuplicateOf { of }
            } else {
                let class = classes.name(images[kept].class).unwrap_or_default().to_owned();
                SkipReason::LabelConflict { of, class }
            };
            dropped.push((i, reason));
        }
    }
    dropped.sort_by_key(|(i, _)| *i);
    dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_copy_stays_and_leaks_leave_the_training_set() {
        let classes = ClassSet::from_ordered(["a", "b"]);
        let image = |path, class, split, hash: u8| Hashed {
            path: Path::new(path),
            class: ClassIdx(class),
            split,
            hash: [hash; 32],
        };
        let images = [
            image("train/1", 0, Some(Split::Train), 1),
            image("train/2", 0, Some(Split::Train), 2),
            image("train/2 copy", 0, Some(Split::Train), 2),
            image("train/3", 0, Some(Split::Train), 3),
            image("val/1", 0, Some(Split::Val), 1),
            image("train/3 as b", 1, Some(Split::Train), 3),
        ];
        assert_eq!(
            find(&images, &classes),
            [
                (0, SkipReason::DuplicateOf { of: "val/1".into() }),
                (2, SkipReason::DuplicateOf { of: "train/2".into() }),
                (5, SkipReason::LabelConflict { of: "train/3".into(), class: "a".into() }),
            ]
        );
    }
}
