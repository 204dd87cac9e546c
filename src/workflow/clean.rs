//! Faults in a data set: labels that are probably wrong, and pictures that are there more than once.

use std::path::PathBuf;

use ndarray::{Array2, ArrayView2};
use serde::Serialize;

use super::study::StudyConfig;
use super::train::Gathered;
use super::{SharedCache, WorkflowError, embed};
use crate::backbone::Backbone;
use crate::classes::{ClassIdx, ClassSet};
use crate::dataset::duplicates::{self, Hashed};
use crate::dataset::{Skipped, Split};
use crate::head::{Block, HeadError, out_of_sample, unit_blocks};
use crate::metrics::label_errors::{label_errors, label_quality};
use crate::progress::{CancelToken, Reporter, Stage};

/// Cross-validations that are averaged: each deals the rows to folds anew.
const N_REPEATS: u64 = 3;

/// A label that is probably wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelError {
    /// The file.
    pub path: PathBuf,
    /// The class that it is given.
    pub given: String,
    /// The class that it looks like.
    pub suggested: String,
    /// How sure a head that has not seen it is of the given class against the suggested one, 0 to 1.
    pub quality: f64,
}

/// Files with the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Copies {
    /// The files; the first is the one that counts.
    pub paths: Vec<PathBuf>,
    /// Whether some are trained on and others judged on.
    pub is_leak: bool,
    /// Whether they are in different classes.
    pub disagree: bool,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct CleanOutcome {
    /// The classes.
    pub classes: ClassSet,
    /// Labelled images that were looked at.
    pub n_images: usize,
    /// Labels that are probably wrong, the likeliest first.
    pub label_errors: Vec<LabelError>,
    /// Pictures that are there more than once.
    pub copies: Vec<Copies>,
    /// Files left out.
    pub skipped: Vec<Skipped>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Looks for faults in labelled images.
///
/// # Errors
/// When there are fewer than two classes with usable images, the backbone cannot run, or the user cancels.
pub fn clean(
    backbone: &Backbone,
    config: &StudyConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
) -> Result<CleanOutcome, WorkflowError> {
    let Gathered { classes, samples, mut skipped, mut notes, .. } = config.gather(reporter)?;
    let paths: Vec<PathBuf> = samples.iter().map(|sample| sample.path.clone()).collect();
    let embedded = embed::embed(backbone, &paths, cache, &config.embed, reporter)?;
    if embedded.path_idx.is_empty() {
        return Err(WorkflowError::nothing_usable(paths.len(), &embedded.skipped));
    }
    let hashed: Vec<Hashed<'_>> = (embedded.path_idx.iter().zip(&embedded.hashes))
        .filter_map(|(&idx, &hash)| {
            let sample = &samples[idx];
            Some(Hashed { path: &sample.path, class: sample.class?, split: sample.split, hash })
        })
        .collect();
    let copies = copies(&hashed);
    // A copy in another fold would tell a head the answer.
    let mut is_kept = vec![true; hashed.len()];
    duplicates::find(&hashed, &classes).into_iter().for_each(|(row, _)| is_kept[row] = false);
    let rows: Vec<usize> = (0..hashed.len()).filter(|&row| is_kept[row]).collect();
    let y: Vec<ClassIdx> = rows.iter().map(|&row| hashed[row].class).collect();
    reporter.progress(Stage::Fit, 0, 0);
    let x = embedded.embeddings.select(&rows);
    let found = match suspected(x.view(), &y, classes.len(), config.split.seed, reporter.cancel_token()) {
        Ok(found) => found,
        Err(HeadError::Cancelled) => return Err(WorkflowError::Cancelled),
        Err(HeadError::NoValidation) => {
            notes.push("No class has two images, so that nothing can be said of labels.".to_owned());
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    let name = |class: ClassIdx| classes.name(class).unwrap_or_default().to_owned();
    let label_errors = found
        .into_iter()
        .map(|found| LabelError {
            path: hashed[rows[found.row]].path.to_owned(),
            given: name(y[found.row]),
            suggested: name(found.suggested),
            quality: found.quality,
        })
        .collect();
    let n_images = hashed.len();
    skipped.extend(embedded.skipped);
    Ok(CleanOutcome { n_images, label_errors, copies, skipped, notes, classes })
}

/// A row whose label is probably wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suspected {
    /// The row.
    pub row: usize,
    /// What it looks like.
    pub suggested: ClassIdx,
    /// As in [`LabelError`].
    pub quality: f64,
}

/// Rows of `x`, `[n_rows, dim]`, whose labels are probably wrong, the likeliest first.
///
/// How many there are says confident learning on cross-validated probabilities; which they are says the mean of several
/// cross-validations and of one that was trained without the first finds, since wrong labels that are trained on vouch for each
/// other.
///
/// # Errors
/// As [`out_of_sample`].
pub fn suspected(
    x: ArrayView2<'_, f32>,
    y: &[ClassIdx],
    n_classes: usize,
    seed: u64,
    cancel: &CancelToken,
) -> Result<Vec<Suspected>, HeadError> {
    let x = unit_blocks(x, &[Block::plain(x.ncols())]);
    let judged = |trusted: Option<&[bool]>, c: Option<f64>, seed: u64| {
        out_of_sample(x.view(), y, n_classes, (trusted, c), seed, cancel)
    };
    let first = judged(None, None, seed)?;
    let c = Some(first.c);
    let no_rows = |_| HeadError::NoValidation;
    let found = label_errors(first.probabilities.view(), y).map_err(no_rows)?;
    let n_found = found.iter().filter(|found| **found).count();
    if n_found == 0 {
        return Ok(Vec::new());
    }
    let mut mean = first.probabilities;
    for repeat in 1..N_REPEATS {
        mean += &judged(None, c, seed.wrapping_add(repeat))?.probabilities;
    }
    mean /= N_REPEATS as f64;
    let trusted: Vec<bool> = found.iter().map(|found| !found).collect();
    let all: Array2<f64> = (mean + judged(Some(&trusted), c, seed)?.probabilities) / 2.0;
    let quality = label_quality(all.view(), y).map_err(no_rows)?;
    let mut order: Vec<usize> = (0..y.len()).collect();
    order.sort_by(|&a, &b| quality[a].total_cmp(&quality[b]).then(a.cmp(&b)));
    let suggested = |row: usize| {
        let others = (0..n_classes).filter(|&class| class != y[row].as_usize());
        others.reduce(|best, class| if all[[row, class]] > all[[row, best]] { class } else { best })
    };
    let suspected = order
        .into_iter()
        .take(n_found)
        .filter_map(|row| Some(Suspected { row, suggested: ClassIdx::from(suggested(row)?), quality: quality[row] }));
    // What the head would rather leave as it is, is no find.
    Ok(suspected.filter(|found| found.quality < 0.5).collect())
}

fn copies(images: &[Hashed<'_>]) -> Vec<Copies> {
    let mut groups = duplicates::groups(images);
    groups.sort_unstable();
    let is_judged = |row: usize| matches!(images[row].split, Some(Split::Val | Split::Test));
    let group = |rows: Vec<usize>| Copies {
        is_leak: rows.iter().any(|&row| is_judged(row)) && rows.iter().any(|&row| !is_judged(row)),
        disagree: rows.iter().any(|&row| images[row].class != images[rows[0]].class),
        paths: rows.into_iter().map(|row| images[row].path.to_owned()).collect(),
    };
    groups.into_iter().map(group).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::rng::SplitMix64;

    #[test]
    fn flipped_labels_are_found_and_hardly_any_other() {
        let mut rng = SplitMix64::new(5);
        let truth: Vec<usize> = (0..150).map(|i| i % 3).collect();
        // Distances between the classes of about two standard deviations.
        let x = Array2::from_shape_fn((150, 16), |(row, column)| {
            let noise: f32 = (0..4).map(|_| rng.below(1000) as f32 / 1000.0 - 0.5).sum();
            noise + if column % 3 == truth[row] { 0.9 } else { 0.0 }
        });
        let flipped: Vec<usize> = (0..150).step_by(10).collect();
        let mut y = truth.clone();
        flipped.iter().for_each(|&row| y[row] = (truth[row] + 1 + row / 10 % 2) % 3);
        let y: Vec<ClassIdx> = y.into_iter().map(ClassIdx::from).collect();
        let found = suspected(x.view(), &y, 3, 0, &CancelToken::new()).unwrap();
        let n_right = found.iter().filter(|found| flipped.contains(&found.row)).count();
        assert!(
            n_right >= 11 && n_right * 10 >= found.len() * 9,
            "{n_right} of {} found, {} flipped",
            found.len(),
            flipped.len()
        );
        let n_named = found.iter().filter(|found| found.suggested.as_usize() == truth[found.row]).count();
        assert!(n_named >= n_right, "what they look like is what they are");
        assert!(found.windows(2).all(|pair| pair[0].quality <= pair[1].quality));
        // Right labels stay.
        let y: Vec<ClassIdx> = truth.into_iter().map(ClassIdx::from).collect();
        assert!(suspected(x.view(), &y, 3, 0, &CancelToken::new()).unwrap().len() <= 2);
    }

    #[test]
    fn copies_say_whether_they_leak_or_disagree() {
        let image = |path: &'static str, class: u32, split: Option<Split>, hash: u8| Hashed {
            path: Path::new(path),
            class: ClassIdx(class),
            split,
            hash: [hash; 32],
        };
        let found = copies(&[
            image("a", 0, None, 1),
            image("b", 0, Some(Split::Val), 1),
            image("c", 0, None, 2),
            image("d", 1, None, 3),
            image("e", 0, None, 3),
        ]);
        let facts: Vec<(usize, bool, bool)> = found.iter().map(|c| (c.paths.len(), c.is_leak, c.disagree)).collect();
        assert_eq!(facts, [(2, true, false), (2, false, true)]);
    }
}
