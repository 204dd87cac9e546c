//! Which rows choose the settings of a head, and which are trained on meanwhile.

use serde::{Deserialize, Serialize};

use super::error::HeadError;
use crate::rng::SplitMix64;

/// Folds of a cross-validation.
const N_FOLDS: usize = 5;
/// From this many training rows on, one fold judges as well as five.
const MANY_ROWS: usize = 1000;
/// A validation set with fewer rows, or fewer than two a class, does not choose unless it is told to.
const MIN_VALIDATION_ROWS: usize = 20;

/// What chooses the strength of the penalty, the distance and the temperature. Where the validation set does, up to 2000
/// training rows choose the temperature by cross-validation: they are more, and the validation rows then had no part in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectionPolicy {
    /// The validation set where it is large enough (20 rows, two a class), else cross-validation where the training
    /// rows are few (up to 1000), else a fifth of the training rows.
    #[default]
    Auto,
    /// The validation set, whatever its size.
    Validation,
    /// Stratified cross-validation on the training rows.
    CrossValidation,
}

/// What did choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChosenBy {
    /// The validation set.
    Validation {
        /// Its size.
        n_rows: usize,
    },
    /// Stratified cross-validation on the training rows.
    CrossValidation {
        /// Number of folds.
        n_folds: usize,
    },
    /// A stratified part of the training rows, which the final head is trained on again.
    HoldOut {
        /// Its size.
        n_rows: usize,
    },
    /// Nothing: there was no row to spare, so defaults were taken.
    Defaults,
}

/// Rows of one fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fold {
    pub train: Vec<usize>,
    pub held_out: Vec<usize>,
}

/// How a head's settings are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Validation { n_rows: usize },
    CrossValidation(Vec<Fold>),
    HoldOut(Fold),
    Nothing,
}

impl Plan {
    /// Follows `policy` for these training classes and this many validation rows (`None` without a set).
    pub(super) fn new(
        policy: SelectionPolicy,
        targets: &[u32],
        n_classes: usize,
        n_validation: Option<usize>,
        seed: u64,
    ) -> Result<Self, HeadError> {
        let enough = |n: usize| n >= MIN_VALIDATION_ROWS.max(2 * n_classes);
        match (policy, n_validation) {
            (SelectionPolicy::Validation, None | Some(0)) => return Err(HeadError::NoValidation),
            (SelectionPolicy::Validation, Some(n_rows)) => return Ok(Self::Validation { n_rows }),
            (SelectionPolicy::Auto, Some(n_rows)) if enough(n_rows) => return Ok(Self::Validation { n_rows }),
            _ => {}
        }
        let mut folds = stratified_folds(targets, n_classes, seed);
        if folds.is_empty() {
            return Ok(Self::Nothing);
        }
        if policy == SelectionPolicy::Auto && targets.len() > MANY_ROWS {
            return Ok(Self::HoldOut(folds.swap_remove(0)));
        }
        Ok(Self::CrossValidation(folds))
    }

    pub(super) fn folds(&self) -> &[Fold] {
        match self {
            Self::CrossValidation(folds) => folds,
            Self::HoldOut(fold) => std::slice::from_ref(fold),
            Self::Validation { .. } | Self::Nothing => &[],
        }
    }

    pub(super) fn chosen_by(&self) -> ChosenBy {
        match self {
            Self::Validation { n_rows } => ChosenBy::Validation { n_rows: *n_rows },
            Self::CrossValidation(folds) => ChosenBy::CrossValidation { n_folds: folds.len() },
            Self::HoldOut(fold) => ChosenBy::HoldOut { n_rows: fold.held_out.len() },
            Self::Nothing => ChosenBy::Defaults,
        }
    }
}

/// Deals the rows of every class to five folds in a seeded order, and goes on where the last class ended.
///
/// There are fewer folds where no class has five rows. A class with fewer rows than folds is held out in as many folds
/// as it has rows; a single row is never held out, so that every fold is trained on every class.
pub(super) fn stratified_folds(targets: &[u32], n_classes: usize, seed: u64) -> Vec<Fold> {
    let mut rows_of_class = vec![Vec::new(); n_classes];
    for (row, &target) in targets.iter().enumerate() {
        rows_of_class[target as usize].push(row);
    }
    let n_folds = rows_of_class.iter().map(Vec::len).max().unwrap_or(0).min(N_FOLDS);
    if n_folds < 2 {
        return Vec::new();
    }
    let mut fold_of_row = vec![None; targets.len()];
    let mut next = 0;
    for rows in &mut rows_of_class {
        if rows.len() < 2 {
            continue;
        }
        rows.sort_by_key(|&row| (SplitMix64::at(seed, row as u64), row));
        for &row in rows.iter() {
            fold_of_row[row] = Some(next % n_folds);
            next += 1;
        }
    }
    let fold = |fold: usize| {
        let (held_out, train) = (0..targets.len()).partition(|&row| fold_of_row[row] == Some(fold));
        Fold { train, held_out }
    };
    (0..n_folds).map(fold).filter(|fold| !fold.held_out.is_empty()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_stratified_disjoint_and_seeded() {
        let targets: Vec<u32> = (0..53).map(|i| u32::from(i >= 23) + u32::from(i == 52)).collect();
        let folds = stratified_folds(&targets, 3, 1);
        assert_eq!(folds.len(), 5);
        let mut held_out: Vec<usize> = folds.iter().flat_map(|f| f.held_out.clone()).collect();
        held_out.sort_unstable();
        assert_eq!(held_out, (0..52).collect::<Vec<_>>(), "all rows but that of the class with a single one");
        for fold in &folds {
            let n_first = fold.held_out.iter().filter(|&&row| targets[row] == 0).count();
            assert!((4..=5).contains(&n_first));
            assert_eq!(fold.train.len() + fold.held_out.len(), 53);
            assert!((0..3).all(|class| fold.train.iter().any(|&row| targets[row] == class)));
        }
        assert_eq!(folds, stratified_folds(&targets, 3, 1));
        assert_ne!(folds, stratified_folds(&targets, 3, 2));
    }

    #[test]
    fn policy_decides() {
        let plan = |policy, n_rows: u32, n_validation| {
            let targets: Vec<u32> = (0..n_rows).map(|i| i % 2).collect();
            Plan::new(policy, &targets, 2, n_validation, 0).map(|plan| plan.chosen_by())
        };
        assert_eq!(plan(SelectionPolicy::Auto, 40, Some(30)).unwrap(), ChosenBy::Validation { n_rows: 30 });
        assert_eq!(plan(SelectionPolicy::Auto, 40, Some(10)).unwrap(), ChosenBy::CrossValidation { n_folds: 5 });
        assert_eq!(plan(SelectionPolicy::Auto, 6, None).unwrap(), ChosenBy::CrossValidation { n_folds: 3 });
        assert_eq!(plan(SelectionPolicy::Auto, 4000, None).unwrap(), ChosenBy::HoldOut { n_rows: 800 });
        assert_eq!(plan(SelectionPolicy::Auto, 2, None).unwrap(), ChosenBy::Defaults);
        assert_eq!(plan(SelectionPolicy::Validation, 40, Some(10)).unwrap(), ChosenBy::Validation { n_rows: 10 });
        assert_eq!(plan(SelectionPolicy::Validation, 40, None).unwrap_err(), HeadError::NoValidation);
    }
}
