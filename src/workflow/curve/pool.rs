//! Which images a head of a learning curve is trained on, and which it is judged on.

use ndarray::Axis;

use crate::classes::ClassIdx;
use crate::embedding::Embeddings;
use crate::rng::SplitMix64;
use crate::workflow::WorkflowError;
use crate::workflow::train::{FitData, LabelledEmbeddings};

/// Folds where no images are given to judge on.
const N_FOLDS: usize = 5;
/// Images that are judged on, at most: more would not change the figures.
const MAX_JUDGED: usize = 10_000;

/// How many images of each class a draw has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::workflow) enum Amount {
    /// So many of each class, or all that it has.
    Each(usize),
    /// This share of each class, 0..1, and one at least: a draw is as unbalanced as the whole.
    Share(f64),
}

/// Rows of one draw.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::workflow) struct Draw {
    pub train: Vec<usize>,
    pub judged: Vec<usize>,
}

/// Labelled images to draw from and to judge on. Rows are those of the training, validation and test images one after
/// another.
#[derive(Clone, Debug)]
pub(in crate::workflow) struct Pool {
    pub y: Vec<ClassIdx>,
    pub n_classes: usize,
    /// Rows that may be drawn.
    open: Vec<usize>,
    /// Rows that are judged on in every draw.
    given: Vec<usize>,
    /// Without any: whatever is not drawn is judged on, rather than each fold of the open ones in turn.
    takes_rest: bool,
}

/// As many images of each part as are trained on and judged on at most, a stratified draw by the seed: features from scratch
/// are made of what remains.
pub(super) fn limited(data: FitData, max_trained: usize, seed: u64) -> FitData {
    let n_classes = data.classes.len();
    let (n_train, n_val) = (data.train.len(), data.val.len());
    let is_given = data.val_is_given && n_val > 0;
    let (train, val) = if is_given {
        (max_trained, MAX_JUDGED)
    } else {
        // Both are drawn from; without a test folder both are judged on in turn.
        let most = if data.test.is_empty() { max_trained + MAX_JUDGED } else { max_trained };
        let share = (most as f64 / (n_train + n_val).max(1) as f64).min(1.0);
        let part = |n: usize| (share * n as f64).round() as usize;
        (part(n_train), part(n_val))
    };
    let draw = |of: LabelledEmbeddings, most: usize| stratified_part(of, most, n_classes, seed);
    FitData { train: draw(data.train, train), val: draw(data.val, val), test: draw(data.test, MAX_JUDGED), ..data }
}

/// Without the images of a test folder where those that are given to validate on are judged on.
pub(super) fn without_unused(data: FitData) -> FitData {
    let test = match data.val_is_given && !data.val.is_empty() {
        true => {
            LabelledEmbeddings { embeddings: data.test.embeddings.select(&[]), classes: Vec::new(), paths: Vec::new() }
        }
        false => data.test,
    };
    FitData { test, ..data }
}

/// About `most` rows, each class by its share, one of each at least.
fn stratified_part(of: LabelledEmbeddings, most: usize, n_classes: usize, seed: u64) -> LabelledEmbeddings {
    if of.len() <= most {
        return of;
    }
    let mut of_class = vec![Vec::new(); n_classes];
    for (row, class) in of.classes.iter().enumerate() {
        of_class[class.as_usize()].push(row);
    }
    let share = most as f64 / of.len() as f64;
    let mut kept: Vec<usize> = Vec::new();
    for (class, mut rows) in of_class.into_iter().enumerate() {
        SplitMix64::new(SplitMix64::at(seed ^ 0x9a27, class as u64)).shuffle(&mut rows);
        let n = (share * rows.len() as f64).round() as usize;
        kept.extend(rows.into_iter().take(n.max(1)));
    }
    kept.sort_unstable();
    LabelledEmbeddings {
        embeddings: of.embeddings.select(&kept),
        classes: kept.iter().map(|&row| of.classes[row]).collect(),
        paths: kept.iter().filter_map(|&row| of.paths.get(row).cloned()).collect(),
    }
}

impl Pool {
    /// Of labelled images: those that are given to validate on are judged on, else those of the test folder; where there are
    /// neither, five folds of all are, each in turn.
    ///
    /// # Errors
    /// When no class has two images, so that none could be judged on.
    pub fn new(data: &FitData) -> Result<Self, WorkflowError> {
        let FitData { train, val, test, .. } = data;
        let (n_train, n_val) = (train.len(), val.len());
        let (open, given) = match (data.val_is_given && !val.is_empty(), test.is_empty()) {
            (true, _) => (0..n_train, n_train..n_train + n_val),
            (false, false) => (0..n_train + n_val, n_train + n_val..n_train + n_val + test.len()),
            (false, true) => (0..n_train + n_val, 0..0),
        };
        let given: Vec<usize> = given.collect();
        let every = given.len().div_ceil(MAX_JUDGED).max(1);
        let pool = Self {
            y: [train, val, test].into_iter().flat_map(|part| part.classes.iter().copied()).collect(),
            n_classes: data.classes.len(),
            open: open.collect(),
            given: given.into_iter().step_by(every).collect(),
            takes_rest: false,
        };
        if pool.n_folds() == 0 { Err(WorkflowError::NothingToJudgeOn) } else { Ok(pool) }
    }

    /// For draws of a few images: where none are given to judge on, all that are not drawn are, which is many more than a fold.
    pub fn judged_on_rest(self) -> Self {
        Self { takes_rest: !self.is_given(), ..self }
    }

    /// Embeddings of the pool's rows.
    ///
    /// # Errors
    /// When the parts are of different widths.
    pub fn rows(data: &FitData) -> Result<Embeddings, WorkflowError> {
        let parts: [&LabelledEmbeddings; 3] = [&data.train, &data.val, &data.test];
        let views = parts.map(|part| part.embeddings.view());
        let space = data.train.embeddings.space().clone();
        let width = |found| crate::embedding::WidthMismatch { expected: space.dim, found };
        if let Some(view) = views.iter().find(|view| view.ncols() != space.dim) {
            return Err(width(view.ncols()).into());
        }
        let values = ndarray::concatenate(Axis(0), &views).map_err(|_| width(0))?;
        Ok(Embeddings::new(values, space)?)
    }

    /// Whether images are given to judge on, other than those that are drawn from.
    pub fn is_given(&self) -> bool {
        !self.given.is_empty()
    }

    /// Parts that are judged on in turn, 1 where they are given.
    pub fn n_folds(&self) -> usize {
        let most = self.rows_of_classes(&self.open).iter().map(Vec::len).max().unwrap_or(0);
        match self.is_given() {
            true => 1,
            false if most < 2 => 0,
            false if self.takes_rest => 1,
            false => most.min(N_FOLDS),
        }
    }

    /// Every row that some draw is judged on.
    pub fn judged(&self) -> Vec<usize> {
        if self.is_given() {
            return self.given.clone();
        }
        let rows = self.rows_of_classes(&self.open).into_iter().filter(|rows| rows.len() > 1);
        let mut rows: Vec<usize> = rows.flatten().collect();
        rows.sort_unstable();
        rows
    }

    /// Rows of each class that a draw may have, in the mean over the folds.
    pub fn available(&self) -> Vec<f64> {
        let kept = |n: usize| match n as f64 {
            n if self.is_given() => n,
            // One to judge on.
            n if self.takes_rest => n - 1.0,
            n if n < 2.0 => n,
            n => n - n / self.n_folds().max(1) as f64,
        };
        self.rows_of_classes(&self.open).iter().map(|rows| kept(rows.len())).collect()
    }

    /// A draw: `amount` of each class, in an order that the seed and the draw's number give it, so that larger draws of a number
    /// have the images of its smaller ones. Where no images are given, draw `idx` is judged on fold `idx % n_folds` of a
    /// partition that `idx / n_folds` numbers. A class with a single image is never judged on.
    pub fn draw(&self, amount: Amount, idx: usize, seed: u64) -> Draw {
        let n_folds = self.n_folds().max(1);
        let mut is_held_out = vec![false; self.y.len()];
        if !self.is_given() && !self.takes_rest {
            let partition = SplitMix64::at(seed ^ 0xf01d, (idx / n_folds) as u64);
            let mut next = 0;
            for (class, mut rows) in self.rows_of_classes(&self.open).into_iter().enumerate() {
                if rows.len() < 2 {
                    continue;
                }
                SplitMix64::new(SplitMix64::at(partition, class as u64)).shuffle(&mut rows);
                for row in rows {
                    is_held_out[row] = next % n_folds == idx % n_folds;
                    next += 1;
                }
            }
        }
        let order = seed.wrapping_add(idx as u64);
        let mut train = Vec::new();
        for (class, rows) in self.rows_of_classes(&self.open).into_iter().enumerate() {
            let mut rows: Vec<usize> = rows.into_iter().filter(|&row| !is_held_out[row]).collect();
            SplitMix64::new(SplitMix64::at(order, class as u64)).shuffle(&mut rows);
            let n = match amount {
                Amount::Each(n) => n,
                Amount::Share(share) => ((share * rows.len() as f64).round() as usize).max(1),
            };
            train.extend(rows.into_iter().take(n));
        }
        let judged = match self.is_given() {
            true => self.given.clone(),
            false if self.takes_rest => {
                let mut is_drawn = vec![false; self.y.len()];
                train.iter().for_each(|&row| is_drawn[row] = true);
                self.open.iter().copied().filter(|&row| !is_drawn[row]).collect()
            }
            false => (0..self.y.len()).filter(|&row| is_held_out[row]).collect(),
        };
        Draw { train, judged }
    }

    fn rows_of_classes(&self, rows: &[usize]) -> Vec<Vec<usize>> {
        let mut of_class = vec![Vec::new(); self.n_classes];
        for &row in rows {
            of_class[self.y[row].as_usize()].push(row);
        }
        of_class
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
pub(in crate::workflow) mod tests {
    use std::collections::BTreeSet;

    use ndarray::Array2;

    use super::*;
    use crate::classes::ClassSet;
    use crate::embedding::EmbeddingSpace;

    /// Rows with these classes, whose features are their class and noise.
    pub fn part(classes: &[usize], noise: f32, seed: u64) -> LabelledEmbeddings {
        let mut rng = SplitMix64::new(seed);
        let values = Array2::from_shape_fn((classes.len(), 8), |(row, column)| {
            noise * rng.normal() as f32 + if column == classes[row] { 1.0 } else { 0.0 }
        });
        let space = EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim: 8 };
        LabelledEmbeddings {
            embeddings: Embeddings::new(values, space).unwrap(),
            classes: classes.iter().map(|&c| ClassIdx::from(c)).collect(),
            paths: Vec::new(),
        }
    }

    pub fn data(train: &[usize], val: &[usize], test: &[usize], val_is_given: bool) -> FitData {
        let n_classes = train.iter().chain(val).max().unwrap() + 1;
        FitData {
            classes: ClassSet::from_ordered((0..n_classes).map(|i| format!("c{i}"))),
            train: part(train, 0.5, 1),
            val: part(val, 0.5, 2),
            test: part(test, 0.5, 3),
            val_is_given,
        }
    }

    #[test]
    fn draws_are_nested_stratified_and_seeded() {
        let classes: Vec<usize> = (0..100).map(|i| usize::from(i >= 80)).collect();
        let pool = Pool::new(&data(&classes, &[0, 1], &[], true)).unwrap();
        let small = pool.draw(Amount::Share(0.25), 3, 9);
        let large = pool.draw(Amount::Share(0.5), 3, 9);
        let set = |draw: &Draw| draw.train.iter().copied().collect::<BTreeSet<_>>();
        assert!(set(&small).is_subset(&set(&large)));
        assert_eq!((small.train.len(), large.train.len()), (25, 50));
        assert_eq!(small.train.iter().filter(|&&row| row >= 80).count(), 5, "as unbalanced as the whole");
        assert_eq!(pool.draw(Amount::Share(0.01), 0, 9).train.len(), 2, "one of each class at least");
        assert_eq!(small, pool.draw(Amount::Share(0.25), 3, 9));
        assert_ne!(set(&small), set(&pool.draw(Amount::Share(0.25), 4, 9)));
        assert_eq!(small.judged, [100, 101]);
        assert_eq!(pool.draw(Amount::Each(7), 0, 9).train.len(), 14);
    }

    #[test]
    fn without_given_images_every_image_is_judged_on_once_in_a_round() {
        let mut classes: Vec<usize> = (0..47).map(|i| i % 3).collect();
        classes.push(3);
        let pool = Pool::new(&data(&classes, &[0, 1, 2], &[], false)).unwrap();
        assert_eq!((pool.n_folds(), pool.is_given()), (5, false));
        let mut judged: Vec<usize> = Vec::new();
        for idx in 5..10 {
            let draw = pool.draw(Amount::Share(1.0), idx, 0);
            assert!(draw.judged.iter().all(|row| !draw.train.contains(row)));
            assert!(draw.train.contains(&47), "the only image of its class");
            assert_eq!(draw.train.len() + draw.judged.len(), 51);
            judged.extend(draw.judged);
        }
        judged.sort_unstable();
        assert_eq!(judged, pool.judged());
        assert_eq!(judged.len(), 50);
    }

    #[test]
    fn of_a_few_the_rest_is_judged_on() {
        let pool = Pool::new(&data(&[0, 0, 0, 1, 1, 1], &[0, 1], &[], false)).unwrap().judged_on_rest();
        assert_eq!(pool.available(), [3.0, 3.0], "one of each to judge on");
        let draw = pool.draw(Amount::Each(3), 0, 0);
        assert_eq!((draw.train.len(), draw.judged.len()), (6, 2));
        assert!(draw.judged.iter().all(|row| !draw.train.contains(row)));
        let given = Pool::new(&data(&[0, 0, 1, 1], &[0, 1], &[], true)).unwrap().judged_on_rest();
        assert_eq!(given.draw(Amount::Each(1), 0, 0).judged, [4, 5]);
    }

    #[test]
    fn of_very_many_a_stratified_part_is_taken() {
        let many: Vec<usize> = (0..1000).map(|i| usize::from(i % 10 == 0) + 2 * usize::from(i == 7)).collect();
        let whole = without_unused(data(&many, &[0, 1], &[0, 1, 1], true));
        let same = limited(whole.clone(), 1000, 0);
        assert_eq!((&same.train.classes, same.val.len(), same.test.len()), (&whole.train.classes, 2, 0));
        let part = limited(whole.clone(), 100, 0);
        let n = |class: usize| part.train.classes.iter().filter(|c| c.as_usize() == class).count();
        assert_eq!((n(0), n(1), n(2)), (90, 10, 1), "by share, and the only one of its class");
        assert_eq!((part.train.embeddings.n_rows(), part.val.len()), (101, 2));
        assert_eq!(part.train.classes, limited(whole.clone(), 100, 0).train.classes, "seeded");
        assert_ne!(part.train.embeddings.view(), limited(whole, 100, 1).train.embeddings.view());
        // Without images to judge on, training and validation images are one lot.
        let split = limited(data(&many, &many, &[], false), 0, 0);
        assert_eq!((split.train.len(), split.val.len()), (1000, 1000), "ten thousand are judged on");
    }

    #[test]
    fn given_images_come_first_then_those_of_a_test_folder() {
        let of = |val_is_given| Pool::new(&data(&[0, 0, 1, 1], &[0, 1], &[0, 1, 1], val_is_given)).unwrap();
        assert_eq!((of(true).judged(), of(true).draw(Amount::Share(1.0), 0, 0).train.len()), (vec![4, 5], 4));
        assert_eq!((of(false).judged(), of(false).draw(Amount::Share(1.0), 0, 0).train.len()), (vec![6, 7, 8], 6));
        let lone = Pool::new(&data(&[0, 1], &[], &[], false));
        assert!(matches!(lone, Err(WorkflowError::NothingToJudgeOn)));
        assert_eq!(Pool::rows(&data(&[0, 1], &[0], &[1, 1], false)).unwrap().n_rows(), 5);
    }
}
