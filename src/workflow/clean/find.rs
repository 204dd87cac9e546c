//! Faults of images whose features and miniatures are known.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{ArrayView2, Axis};

use super::labels::{Suspected, suspected};
use crate::classes::ClassIdx;
use crate::dataset::{Split, is_judged_on};
use crate::head::{HeadError, OutOfSample};
use crate::image::miniature::Miniature;
use crate::image::oddity::{Oddity, note_on_sizes, odd_images};
use crate::image::similarity::{SimilarPair, groups, similar_pairs};
use crate::metrics::outliers::{Outlier, OutlierError, outliers};
use crate::progress::{CancelToken, Reporter};
use crate::workflow::WorkflowError;

/// An image that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedImage {
    /// The row of its features; files with the same bytes share one.
    pub row: usize,
    /// Its class, if it has one.
    pub class: Option<ClassIdx>,
    /// The split that it is given, if any.
    pub split: Option<Split>,
    /// The split that training puts it in, where that is known.
    pub drawn: Option<Split>,
}

impl CheckedImage {
    /// Of copies the one in the test split counts, else that in the validation split (so that given benchmarks keep their
    /// images and training never sees them), else the first.
    fn rank(&self) -> u8 {
        match self.split {
            Some(Split::Test) => 0,
            Some(Split::Val) => 1,
            Some(Split::Train) | None => 2,
        }
    }

    fn is_judged_on(&self) -> bool {
        is_judged_on(self.side())
    }

    /// The split that it is in.
    pub fn side(&self) -> Option<Split> {
        self.drawn.or(self.split)
    }
}

/// The same picture more than once.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyGroup {
    /// The images, as indices; the first is the one that counts.
    pub images: Vec<usize>,
    /// Whether all have the same bytes.
    pub is_exact: bool,
    /// How much the two that are least alike of the pairs found are, 0.95 to 1; 1 where all have the same bytes.
    pub similarity: f32,
    /// Whether some are trained on and others judged on.
    pub is_leak: bool,
    /// Whether they are in different classes.
    pub disagree: bool,
}

/// What could be looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookedFor {
    /// Wrong labels.
    pub labels: bool,
    /// Images unlike all others.
    pub outliers: bool,
}

/// What was found, by index of an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Labels that are probably wrong, the likeliest first.
    pub label_errors: Vec<Suspected>,
    /// Pictures that are there more than once: leaks and disagreements first.
    pub copies: Vec<CopyGroup>,
    /// Images unlike all others, the strangest first.
    pub outliers: Vec<Outlier>,
    /// Images that are odd for what they are.
    pub odd: Vec<(usize, Oddity)>,
    /// The images that heads were trained on without, one of each picture, as indices in the order of the rows of the
    /// cross-validation.
    pub judged: Vec<usize>,
    /// What heads said that had not seen them; `None` where that could not be asked.
    pub out_of_sample: Option<OutOfSample>,
    /// What could be looked for at all.
    pub looked: LookedFor,
    /// What could not be looked for, and why; and what is said of the set as a whole.
    pub notes: Vec<String>,
}

/// Pairs of rows that show the same picture; rows without a miniature are like nothing.
///
/// # Errors
/// When cancelled.
pub fn near_copies(
    x: ArrayView2<'_, f32>,
    miniatures: &[Option<&Miniature>],
    reporter: &dyn Reporter,
) -> Result<Vec<SimilarPair>, WorkflowError> {
    let rows: Vec<usize> = (0..miniatures.len()).filter(|&row| miniatures[row].is_some()).collect();
    let known: Vec<&Miniature> = miniatures.iter().flatten().copied().collect();
    let mut pairs = match rows.len() == x.nrows() {
        true => similar_pairs(x, &known, reporter)?,
        false => similar_pairs(x.select(Axis(0), &rows).view(), &known, reporter)?,
    };
    pairs.iter_mut().for_each(|pair| (pair.a, pair.b) = (rows[pair.a], rows[pair.b]));
    Ok(pairs)
}

/// Looks for faults in `images`, whose rows are those of `x` (`[n_rows, dim]`) and of `pairs`. Of copies one is judged.
///
/// # Errors
/// When values do not fit or are not finite, or when cancelled.
pub fn find(
    images: &[CheckedImage],
    x: ArrayView2<'_, f32>,
    pairs: &[SimilarPair],
    n_classes: usize,
    seed: u64,
    cancel: &CancelToken,
) -> Result<Findings, WorkflowError> {
    let mut found = Findings { copies: copy_groups(images, x.nrows(), pairs), ..Findings::default() };
    // A copy in another fold would tell a head the answer.
    let extra = extra_copies(&found.copies);
    let judged: Vec<usize> =
        (0..images.len()).filter(|idx| images[*idx].class.is_some() && !extra.contains(idx)).collect();
    let y: Vec<ClassIdx> = judged.iter().filter_map(|&idx| images[idx].class).collect();
    let rows: Vec<usize> = judged.iter().map(|&idx| images[idx].row).collect();
    let n_used = y.iter().collect::<BTreeSet<_>>().len();
    if n_used < 2 {
        found.notes.push("Labels are checked once there are images of two classes.".to_owned());
    } else {
        match suspected(x.select(Axis(0), &rows).view(), &y, n_classes, seed, cancel) {
            Ok((errors, first)) => {
                let at = |error: Suspected| Suspected { row: judged[error.row], ..error };
                found.label_errors = errors.into_iter().map(at).collect();
                found.out_of_sample = Some(first);
                found.looked.labels = true;
                found.judged = judged;
            }
            Err(HeadError::Cancelled) => return Err(WorkflowError::Cancelled),
            Err(HeadError::NoValidation) => {
                found.notes.push("No class has two images, so that nothing can be said of labels.".to_owned());
            }
            Err(error) => return Err(error.into()),
        }
    }
    prefer_agreeing(&mut found, images);
    let extra = extra_copies(&found.copies);
    let kept: Vec<usize> = (0..images.len()).filter(|idx| !extra.contains(idx)).collect();
    let rows: Vec<usize> = kept.iter().map(|&idx| images[idx].row).collect();
    // What looks like another class of the set is no stranger to it: it is compared with that one.
    let looks_like: BTreeMap<usize, ClassIdx> =
        found.label_errors.iter().map(|error| (error.row, error.suggested)).collect();
    let label = |idx: &usize| looks_like.get(idx).copied().or(images[*idx].class);
    let labels: Vec<Option<ClassIdx>> = kept.iter().map(label).collect();
    match outliers(x.select(Axis(0), &rows).view(), &labels, cancel) {
        Ok(strange) => {
            let at = |outlier: Outlier| Outlier { row: kept[outlier.row], ..outlier };
            found.outliers = strange.into_iter().map(at).collect();
            found.looked.outliers = true;
        }
        Err(OutlierError::Cancelled) => return Err(WorkflowError::Cancelled),
        Err(OutlierError::TooFew | OutlierError::LabelCount { .. }) => {
            found.notes.push("Images unlike the others are looked for in classes of 10 images or more.".to_owned());
        }
    }
    Ok(found)
}

/// All but the one of each group that counts.
fn extra_copies(copies: &[CopyGroup]) -> BTreeSet<usize> {
    copies.iter().flat_map(|copies| copies.images.iter().skip(1).copied()).collect()
}

/// What is odd about `images`, by their index, and what is said of their sizes as a whole.
pub fn find_odd(
    images: &[CheckedImage],
    miniatures: &[Option<&Miniature>],
    input_px: Option<u32>,
) -> (Vec<(usize, Oddity)>, Option<String>) {
    let known = |(idx, image): (usize, &CheckedImage)| Some((idx, (*miniatures.get(image.row)?)?));
    let (of, known): (Vec<usize>, Vec<&Miniature>) = images.iter().enumerate().filter_map(known).unzip();
    let odd = odd_images(&known, input_px).into_iter().map(|(i, oddity)| (of[i], oddity)).collect();
    (odd, note_on_sizes(&known, input_px))
}

fn copy_groups(images: &[CheckedImage], n_rows: usize, pairs: &[SimilarPair]) -> Vec<CopyGroup> {
    let mut of_row: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (idx, image) in images.iter().enumerate() {
        of_row.entry(image.row).or_default().push(idx);
    }
    let is_there = |pair: &&SimilarPair| of_row.contains_key(&pair.a) && of_row.contains_key(&pair.b);
    let pairs: Vec<SimilarPair> = pairs.iter().filter(is_there).copied().collect();
    let alike = groups(n_rows, pairs.iter().map(|pair| (pair.a, pair.b)));
    let mut group_of_row = vec![None; n_rows];
    for (group, rows) in alike.iter().enumerate() {
        rows.iter().for_each(|&row| group_of_row[row] = Some(group));
    }
    let mut least = vec![1.0_f32; alike.len()];
    for pair in &pairs {
        if let Some(group) = group_of_row[pair.a] {
            least[group] = least[group].min(pair.similarity);
        }
    }
    let near = alike.iter().zip(least).map(|(rows, similarity)| (rows.clone(), false, similarity));
    let exact = of_row.iter().filter(|(row, copies)| copies.len() > 1 && group_of_row.get(**row) == Some(&None));
    let all = near.chain(exact.map(|(row, _)| (vec![*row], true, 1.0)));
    let mut groups: Vec<CopyGroup> = all
        .map(|(rows, is_exact, similarity)| {
            let mut copies: Vec<usize> =
                rows.iter().flat_map(|row| of_row.get(row).into_iter().flatten().copied()).collect();
            // What nobody has given a class has least to lose, whatever folder it lies in.
            copies.sort_by_key(|&idx| (images[idx].class.is_none(), images[idx].rank(), idx));
            let mut classes: Vec<ClassIdx> = copies.iter().filter_map(|&idx| images[idx].class).collect();
            classes.dedup();
            let has_class = |is_it: &dyn Fn(&CheckedImage) -> bool| {
                copies.iter().any(|&idx| images[idx].class.is_some() && is_it(&images[idx]))
            };
            CopyGroup {
                // What has no class is neither trained nor judged on.
                is_leak: has_class(&|image| image.is_judged_on()) && has_class(&|image| !image.is_judged_on()),
                disagree: classes.len() > 1,
                is_exact,
                similarity,
                images: copies,
            }
        })
        .collect();
    groups.sort_by_key(|copies| (!copies.disagree, !copies.is_leak, copies.images[0]));
    groups
}

/// Of copies in different classes one counts whose class is what it looks like. Its label is no error of its own then.
fn prefer_agreeing(found: &mut Findings, images: &[CheckedImage]) {
    let mut resolved = BTreeSet::new();
    for copies in found.copies.iter_mut().filter(|copies| copies.disagree) {
        let kept = copies.images[0];
        let Some(error) = found.label_errors.iter().find(|error| error.row == kept) else { continue };
        let rank = images[kept].rank();
        let agrees = |&idx: &usize| images[idx].class == Some(error.suggested) && images[idx].rank() == rank;
        if let Some(at) = copies.images.iter().position(agrees) {
            let better = copies.images.remove(at);
            copies.images.insert(0, better);
            resolved.insert(kept);
        }
    }
    found.label_errors.retain(|error| !resolved.contains(&error.row));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::rng::SplitMix64;

    fn image(row: usize, class: u32, split: Option<Split>) -> CheckedImage {
        CheckedImage { row, class: Some(ClassIdx(class)), split, drawn: None }
    }

    /// Rows of three classes, well apart.
    fn rows(n: usize) -> Array2<f32> {
        let mut rng = SplitMix64::new(5);
        Array2::from_shape_fn((n, 12), |(row, column)| {
            rng.below(1000) as f32 / 1000.0 - 0.5 + if column % 3 == row % 3 { 1.5 } else { 0.0 }
        })
    }

    fn pair(a: usize, b: usize, similarity: f32) -> SimilarPair {
        SimilarPair { a, b, similarity }
    }

    #[test]
    fn groups_say_whether_they_leak_or_disagree() {
        let images = [
            image(0, 0, None),
            image(0, 0, Some(Split::Val)),
            image(1, 0, None),
            image(2, 1, None),
            image(3, 0, None),
            image(4, 1, None),
            image(4, 1, None),
            CheckedImage { class: None, ..image(5, 0, None) },
            image(5, 0, None),
            CheckedImage { class: None, ..image(6, 0, Some(Split::Test)) },
            image(6, 2, None),
            CheckedImage { drawn: Some(Split::Train), ..image(7, 0, None) },
            CheckedImage { drawn: Some(Split::Val), ..image(7, 0, None) },
        ];
        let found = copy_groups(&images, 9, &[pair(1, 0, 0.97), pair(2, 3, 0.96), pair(3, 8, 0.99)]);
        let facts: Vec<(&[usize], bool, bool, bool, f32)> =
            found.iter().map(|c| (&c.images[..], c.is_exact, c.is_leak, c.disagree, c.similarity)).collect();
        assert_eq!(
            facts,
            [
                (&[3, 4][..], false, false, true, 0.96),
                (&[1, 0, 2][..], false, true, false, 0.97),
                (&[11, 12][..], true, true, false, 1.0),
                (&[5, 6][..], true, false, false, 1.0),
                (&[8, 7][..], true, false, false, 1.0),
                (&[10, 9][..], true, false, false, 1.0),
            ]
        );
    }

    #[test]
    fn every_kind_of_fault_is_found_once() {
        let mut x = rows(90);
        // A stranger, and a copy of row 8 under another name.
        x.row_mut(89)
            .assign(&Array2::from_shape_fn((1, 12), |(_, column)| if column == 11 { -3.0 } else { 0.1 }).row(0));
        let copy = x.row(8).to_owned();
        x.row_mut(88).assign(&copy);
        let mut images: Vec<CheckedImage> = (0..90).map(|row| image(row, row as u32 % 3, None)).collect();
        images[4].class = Some(ClassIdx(0));
        images[8].class = Some(ClassIdx(0));
        images[88].class = Some(ClassIdx(2));
        let pairs = [pair(8, 88, 0.98)];
        let found = find(&images, x.view(), &pairs, 3, 0, &CancelToken::new()).unwrap();
        assert_eq!(found.label_errors.iter().map(|e| (e.row, e.suggested)).collect::<Vec<_>>(), [(4, ClassIdx(1))]);
        assert_eq!(found.copies.len(), 1);
        assert_eq!(found.copies[0].images, [88, 8], "the one whose class it looks like counts");
        assert_eq!(found.outliers.iter().map(|o| o.row).collect::<Vec<_>>(), [89]);
        assert_eq!(found.judged.len(), 89);
        assert_eq!(found.out_of_sample.as_ref().unwrap().probabilities.nrows(), 89);
        assert_eq!(found.notes, [] as [String; 0]);
        assert_eq!(find(&images, x.view(), &pairs, 3, 0, &CancelToken::new()).unwrap(), found, "seeded");
    }

    #[test]
    fn what_cannot_be_looked_for_is_said() {
        let token = CancelToken::new();
        let x = rows(30);
        let find = |images: &[CheckedImage], x: &Array2<f32>| find(images, x.view(), &[], 3, 0, &token);
        let one: Vec<CheckedImage> = (0..30).map(|row| image(row, 0, None)).collect();
        let found = find(&one, &x).unwrap();
        assert!(found.label_errors.is_empty() && found.notes[0].contains("two classes"), "{:?}", found.notes);
        // Two images a class.
        let few: Vec<CheckedImage> = (0..6).map(|row| image(row, row as u32 % 3, None)).collect();
        let found = find(&few, &x).unwrap();
        assert!(found.notes.iter().any(|note| note.contains("10 images")), "{:?}", found.notes);
        let single: Vec<CheckedImage> = (0..3).map(|row| image(row, row as u32, None)).collect();
        assert!(find(&single, &x).unwrap().notes.iter().any(|note| note.contains("two images")));
        // All identical: one picture, thirty times.
        let same: Vec<CheckedImage> = (0..30).map(|row| image(0, row % 3, None)).collect();
        let found = find(&same, &x).unwrap();
        assert_eq!((found.copies.len(), found.copies[0].images.len()), (1, 30));
        assert!(found.copies[0].disagree && found.label_errors.is_empty());
        let alike = Array2::from_elem((30, 12), 1.0);
        let mixed: Vec<CheckedImage> = (0..30).map(|row| image(row, row as u32 % 3, None)).collect();
        let found = find(&mixed, &alike).unwrap();
        assert!(found.label_errors.is_empty() && found.outliers.is_empty(), "{found:?}");
        // No images, numbers that are none.
        assert_eq!(find(&[], &x).unwrap().notes.len(), 2);
        let mut broken = x.clone();
        broken[[3, 3]] = f32::NAN;
        let error = find(&mixed, &broken).unwrap_err();
        assert!(matches!(error, WorkflowError::Head(_)), "{error}");
        token.cancel();
        assert!(matches!(find(&mixed, &x), Err(WorkflowError::Cancelled)));
    }
}
