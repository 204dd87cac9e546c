//! Seeded stratified splits over groups of identical pictures.

use std::collections::BTreeMap;

use super::Split;
use crate::classes::ClassIdx;

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
    /// Seed of the order that images are taken in.
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
/// Every group has a place in an order that the seed alone draws, and the first of each class are its validation images.
/// So the split does not depend on the order of the items nor on names or other classes, and hardly on other images: one
/// image more or less in a class, or one that is given another label, moves at most one other image a class.
pub fn stratified(items: &[SplitItem], config: &SplitConfig) -> Vec<Option<Split>> {
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
    for mut groups in groups_of_class.into_values() {
        groups.sort_by_cached_key(|group| draw("split", config.seed, group));
        let n = groups.len();
        let wanted = (n as f64 * config.val_fraction).round() as usize;
        let n_val = if n < 2 || config.val_fraction <= 0.0 { 0 } else { wanted.clamp(1, n - 1) };
        for (i, group) in groups.into_iter().enumerate() {
            split_of_group.insert(group, if i < n_val { Split::Val } else { Split::Train });
        }
    }
    let mut splits: Vec<Option<Split>> = items.iter().map(|item| split_of_group.get(&item.group).copied()).collect();
    if let Some(shots) = config.shots {
        limit_shots(items, &mut splits, shots, config.seed);
    }
    splits
}

/// As [`stratified`], of the items for which `fixed` says nothing; the others stay where it says, or in no split.
pub fn stratified_around(
    items: &[SplitItem],
    fixed: impl Fn(usize) -> Option<Option<Split>>,
    config: &SplitConfig,
) -> Vec<Option<Split>> {
    let mut splits: Vec<Option<Split>> = (0..items.len()).map(|i| fixed(i).flatten()).collect();
    let open: Vec<usize> = (0..items.len()).filter(|&i| fixed(i).is_none()).collect();
    let open_items: Vec<SplitItem> = open.iter().map(|&i| items[i].clone()).collect();
    for (i, split) in open.into_iter().zip(stratified(&open_items, config)) {
        splits[i] = split;
    }
    splits
}

/// A group's place in the order of one purpose. Its class has no say, so that an image with another label mostly stays on
/// its side.
fn draw(purpose: &str, seed: u64, group: &[u8; 32]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(purpose.as_bytes()).update(&seed.to_le_bytes()).update(group);
    *hasher.finalize().as_bytes()
}

/// Keeps `shots` training images of each class, drawn with `seed`; the others get `None`. As stable as [`stratified`].
pub fn limit_shots(items: &[SplitItem], splits: &mut [Option<Split>], shots: usize, seed: u64) {
    let mut of_class: BTreeMap<ClassIdx, Vec<usize>> = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        if splits[i] == Some(Split::Train) {
            of_class.entry(item.class).or_default().push(i);
        }
    }
    for mut members in of_class.into_values() {
        members.sort_by_cached_key(|&i| draw("shots", seed, &items[i].group));
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

    fn count(items: &[SplitItem], splits: &[Option<Split>], class: u32, split: Split) -> usize {
        items.iter().zip(splits).filter(|(i, s)| i.class == ClassIdx(class) && **s == Some(split)).count()
    }

    #[test]
    fn stratified_with_a_floor_of_one() {
        let mut items: Vec<_> = (0..50).map(|g| item(0, g)).collect();
        items.extend((50..53).map(|g| item(1, g)));
        items.push(item(2, 60));
        let splits = stratified(&items, &SplitConfig::default());
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
            let splits = stratified(&items, &config);
            for (a, sa) in items.iter().zip(&splits) {
                for (b, sb) in items.iter().zip(&splits) {
                    assert!(a.group != b.group || sa == sb);
                }
            }
            let reversed: Vec<_> = items.iter().rev().cloned().collect();
            let mut back = stratified(&reversed, &config);
            back.reverse();
            assert_eq!(splits, back);
        }
    }

    #[test]
    fn seeds_differ_and_shots_limit() {
        let items: Vec<_> = (0..100).map(|g| item(0, g)).collect();
        let split = |seed, shots| stratified(&items, &SplitConfig { seed, shots, ..SplitConfig::default() });
        assert_ne!(split(0, None), split(1, None));
        let few = split(0, Some(4));
        assert_eq!(count(&items, &few, 0, Split::Train), 4);
        assert_eq!(count(&items, &few, 0, Split::Val), 20, "shots leave the validation images alone");
    }

    #[test]
    fn what_is_fixed_stays_and_has_no_say() {
        let items: Vec<_> = (0..60).map(|g| item(u32::from(g % 2), g)).collect();
        let config = SplitConfig::default();
        let fixed = |i: usize| match i % 6 {
            0 => Some(Some(Split::Test)),
            1 => Some(None),
            _ => None,
        };
        let splits = stratified_around(&items, fixed, &config);
        assert!((0..60).all(|i| fixed(i).is_none_or(|split| splits[i] == split)));
        let open = |i: &usize| fixed(*i).is_none();
        let rest: Vec<SplitItem> = (0..60).filter(open).map(|i| items[i].clone()).collect();
        let of_rest: Vec<_> = (0..60).filter(open).map(|i| splits[i]).collect();
        assert_eq!(of_rest, stratified(&rest, &config));
    }

    #[test]
    fn a_class_more_leaves_the_split_of_the_others_alone() {
        let of = |first: u32| (0..60).map(move |g| item(first + u32::from(g % 2), g));
        let config = SplitConfig { shots: Some(7), ..SplitConfig::default() };
        let before = stratified(&of(0).collect::<Vec<_>>(), &config);
        // A class that sorts first, so that the indices of the others move by one.
        let three: Vec<_> = of(1).chain((100..140).map(|g| item(0, g))).collect();
        assert_eq!(before, stratified(&three, &config)[..60]);
    }

    /// How many items other than `except` are on another side.
    fn n_moved(before: &[Option<Split>], after: &[Option<Split>], except: usize) -> usize {
        before.iter().zip(after).enumerate().filter(|(i, (a, b))| *i != except && a != b).count()
    }

    #[test]
    fn one_relabelled_image_moves_at_most_one_other_a_class() {
        let mut n_stayed = 0;
        for seed in 0..50_u64 {
            let items: Vec<_> = (0..97).map(|g| item(u32::from(g % 3), g)).collect();
            let config = SplitConfig { seed, ..SplitConfig::default() };
            let before = stratified(&items, &config);
            let relabelled = (seed as usize * 31) % items.len();
            let mut changed = items.clone();
            changed[relabelled].class = ClassIdx((items[relabelled].class.0 + 1) % 3);
            let after = stratified(&changed, &config);
            assert!(n_moved(&before, &after, relabelled) <= 2, "seed {seed}");
            n_stayed += usize::from(before[relabelled] == after[relabelled]);
        }
        assert!(n_stayed >= 45, "{n_stayed} of 50 relabelled images stay on their side");
    }

    #[test]
    fn one_image_more_moves_at_most_one_other_and_with_shots_few() {
        for seed in 0..50 {
            let config = SplitConfig { seed, ..SplitConfig::default() };
            for shots in [None, Some(9)] {
                let config = SplitConfig { shots, ..config };
                let mut items: Vec<_> = (0..60).map(|g| item(u32::from(g % 2), g)).collect();
                let before = stratified(&items, &config);
                items.push(item(0, 200));
                let after = stratified(&items, &config);
                // With shots, who changes sides can take another's place among them.
                let most = if shots.is_some() { 2 } else { 1 };
                assert!(n_moved(&before, &after[..60], 60) <= most, "seed {seed}, {shots:?}");
            }
        }
    }
}
