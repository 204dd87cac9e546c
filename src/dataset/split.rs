//! Seeded stratified splits over groups of identical pictures.

use std::collections::BTreeMap;

use super::Split;
use crate::classes::{ClassIdx, ClassSet};
use crate::rng::SplitMix64;

/// One labelled image as the split sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitItem {
    /// Its class.
    pub class: ClassIdx,
    /// Images of one group are never parted; identical pictures share a group (their content hash).
    pub group: [u8; 32],
}

/// How to split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SplitConfig {
    /// Part of each class's images that goes to validation, 0..1.
    pub val_fraction: f64,
    /// Seed of the shuffle.
    pub seed: u64,
    /// Keep at most so many training images a class (few-shot protocols).
    pub shots: Option<usize>,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self { val_fraction: 0.2, seed: 0, shots: None }
    }
}

/// Splits into train and validation: `round(val_fraction * n)` images of each class, at least one where the class has
/// two groups or more. Returns, for each item, its split; `None` for training images beyond `shots`.
///
/// The result depends on the groups, the names of the classes and the seed only, not on the order of the items nor on
/// the other classes: adding a class leaves the split of those that were there alone.
pub fn stratified(items: &[SplitItem], classes: &ClassSet, config: &SplitConfig) -> Vec<Option<Split>> {
    // A group belongs to the class of its first member, so that members under other classes go along with it.
    let mut class_of_group: BTreeMap<[u8; 32], ClassIdx> = BTreeMap::new();
    for item in items {
        let class = class_of_group.entry(item.group).or_insert(item.class);
        *class = (*class).min(item.class);
    }
    let mut groups_of_class: BTreeMap<ClassIdx, Vec<[u8; 32]>> = BTreeMap::new();
    for (group, class) in class_of_group {
        groups_of_class.entry(class).or_default().push(group);
    }
    let mut split_of_group: BTreeMap<[u8; 32], Split> = BTreeMap::new();
    for (class, mut groups) in groups_of_class {
        let mut rng = class_rng("split", class, classes, config.seed);
        rng.shuffle(&mut groups);
        let n = groups.len();
        let wanted = (n as f64 * config.val_fraction).round() as usize;
        let n_val = if n < 2 || config.val_fraction <= 0.0 { 0 } else { wanted.clamp(1, n - 1) };
        for (i, group) in groups.into_iter().enumerate() {
            split_of_group.insert(group, if i < n_val { Split::Val } else { Split::Train });
        }
    }
    let mut splits: Vec<Option<Split>> = items.iter().map(|item| split_of_group.get(&item.group).copied()).collect();
    if let Some(shots) = config.shots {
        limit_shots(items, &mut splits, classes, shots, config.seed);
    }
    splits
}

/// A generator of its own for each class, seeded by the class's name: its index changes when other classes come or go.
fn class_rng(purpose: &str, class: ClassIdx, classes: &ClassSet, seed: u64) -> SplitMix64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(purpose.as_bytes()).update(&seed.to_le_bytes());
    hasher.update(classes.name(class).unwrap_or_default().as_bytes());
    let mut state = [0; 8];
    hasher.finalize_xof().fill(&mut state);
    SplitMix64::new(u64::from_le_bytes(state))
}

/// Keeps `shots` training images of each class, drawn with `seed`; the others get `None`.
pub fn limit_shots(items: &[SplitItem], splits: &mut [Option<Split>], classes: &ClassSet, shots: usize, seed: u64) {
    let mut of_class: BTreeMap<ClassIdx, Vec<usize>> = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        if splits[i] == Some(Split::Train) {
            of_class.entry(item.class).or_default().push(i);
        }
    }
    for (class, mut members) in of_class {
        members.sort_by_key(|&i| items[i].group);
        let mut rng = class_rng("shots", class, classes, seed);
        rng.shuffle(&mut members);
        for &i in members.iter().skip(shots) {
            splits[i] = None;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn item(class: u32, group: u8) -> SplitItem {
        let mut g = *blake3::hash(&[group]).as_bytes();
        g[31] = group;
        SplitItem { class: ClassIdx(class), group: g }
    }

    fn classes() -> ClassSet {
        ClassSet::from_ordered(["a", "b", "c"])
    }

    fn count(items: &[SplitItem], splits: &[Option<Split>], class: u32, split: Split) -> usize {
        items.iter().zip(splits).filter(|(i, s)| i.class == ClassIdx(class) && **s == Some(split)).count()
    }

    #[test]
    fn stratified_with_a_floor_of_one() {
        let mut items: Vec<_> = (0..50).map(|g| item(0, g)).collect();
        items.extend((50..53).map(|g| item(1, g)));
        items.push(item(2, 60));
        let splits = stratified(&items, &classes(), &SplitConfig::default());
        assert_eq!(count(&items, &splits, 0, Split::Val), 10);
        assert_eq!(count(&items, &splits, 1, Split::Val), 1);
        assert_eq!(count(&items, &splits, 2, Split::Val), 0);
        assert_eq!(count(&items, &splits, 2, Split::Train), 1);
    }

    #[test]
    fn duplicates_stay_together_and_order_does_not_matter() {
        let items: Vec<_> = (0..40).map(|i| item(u32::from(i % 2), i / 4)).collect();
        for seed in 0..20 {
            let config = SplitConfig { seed, ..SplitConfig::default() };
            let splits = stratified(&items, &classes(), &config);
            for (a, sa) in items.iter().zip(&splits) {
                for (b, sb) in items.iter().zip(&splits) {
                    assert!(a.group != b.group || sa == sb);
                }
            }
            let reversed: Vec<_> = items.iter().rev().cloned().collect();
            let mut back = stratified(&reversed, &classes(), &config);
            back.reverse();
            assert_eq!(splits, back);
        }
    }

    #[test]
    fn seeds_differ_and_shots_limit() {
        let items: Vec<_> = (0..100).map(|g| item(0, g)).collect();
        let split =
            |seed, shots| stratified(&items, &classes(), &SplitConfig { seed, shots, ..SplitConfig::default() });
        assert_ne!(split(0, None), split(1, None));
        let few = split(0, Some(4));
        assert_eq!(count(&items, &few, 0, Split::Train), 4);
        assert_eq!(count(&items, &few, 0, Split::Val), 20, "shots leave the validation images alone");
    }

    #[test]
    fn a_class_more_leaves_the_split_of_the_others_alone() {
        let of = |first: u32| (0..60).map(move |g| item(first + u32::from(g % 2), g));
        let config = SplitConfig { shots: Some(7), ..SplitConfig::default() };
        let two: Vec<_> = of(0).collect();
        let before = stratified(&two, &ClassSet::sorted(["bee", "cat"]), &config);
        // "ant" sorts first, so that the indices of the others move by one.
        let three: Vec<_> = of(1).chain((100..140).map(|g| item(0, g))).collect();
        let after = stratified(&three, &ClassSet::sorted(["ant", "bee", "cat"]), &config);
        assert_eq!(before, after[..60]);
        let renamed = stratified(&two, &ClassSet::sorted(["bee", "dog"]), &config);
        let of_class =
            |splits: &[Option<Split>], c: usize| splits.iter().skip(c).step_by(2).copied().collect::<Vec<_>>();
        assert_eq!(of_class(&before, 0), of_class(&renamed, 0));
        assert_ne!(of_class(&before, 1), of_class(&renamed, 1), "classes are shuffled apart from each other");
    }
}
