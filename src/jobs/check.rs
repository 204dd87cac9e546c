//! The lane that looks for faults in the data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::lane::{JobReporter, Work};
use super::models::OpenModels;
use super::protocol::{CheckImage, CheckRequest, Checked, FaultDetail, FoundFault, JobError, JobOutput, JobRequest};
use super::table::Table;
use crate::classes::ClassIdx;
use crate::dataset::{self, SkipReason};
use crate::image::miniature::Miniature;
use crate::image::oddity::Oddity;
use crate::image::similarity::SimilarPair;
use crate::progress::{Reporter, Stage};
use crate::project::ImageId;
use crate::workflow::clean::{CheckedImage, Findings, find, find_odd, input_px, miniatures, near_copies};
use crate::workflow::embed::EmbedConfig;
use crate::workflow::models::open_cache;

/// Images that are looked at while one works, at most: the search for copies grows with their square.
const MAX_CHECKED: usize = 20_000;

pub(super) fn worker(models: Arc<OpenModels>, table: Arc<Table>) -> Work {
    let mut kept = Kept::default();
    Box::new(move |request, reporter| match request {
        JobRequest::Check(request) => check(&models, &table, &mut kept, &request, reporter),
        _ => Ok(JobOutput::Done),
    })
}

/// What is the same as long as the pictures are: only labels change from one check to the next, mostly.
#[derive(Default)]
struct Kept {
    epoch: u64,
    /// By row.
    made: BTreeMap<u32, Miniature>,
    /// What could not be read, by row; tried again once there is another list of files.
    unread: BTreeMap<u32, SkipReason>,
    files: Arc<Vec<(u32, PathBuf)>>,
    compared: Compared,
}

/// Pictures that were compared with one another.
#[derive(Default)]
struct Compared {
    /// Their rows, ascending.
    rows: Vec<u32>,
    /// The pairs, as positions in that list.
    pairs: Vec<SimilarPair>,
}

impl Compared {
    /// The pairs among `rows`, ascending, as positions in them; `None` where a row that can be compared was not. Images
    /// that are gone need no new search, which grows with the square of their number.
    fn among(&self, rows: &[u32], can_be_compared: impl Fn(usize) -> bool) -> Option<Vec<SimilarPair>> {
        let is_known = |at: usize| !can_be_compared(at) || self.rows.binary_search(&rows[at]).is_ok();
        if !(0..rows.len()).all(is_known) {
            return None;
        }
        let place = |at: usize| rows.binary_search(self.rows.get(at)?).ok();
        // Of a group only so many pairs are known as hold it together: one that is gone may have been what held the others.
        let mut n_pairs = vec![0_u32; self.rows.len()];
        for pair in &self.pairs {
            [pair.a, pair.b].into_iter().for_each(|at| n_pairs[at] += 1);
        }
        if (0..self.rows.len()).any(|at| n_pairs[at] > 1 && place(at).is_none()) {
            return None;
        }
        let pair = |pair: &SimilarPair| Some(SimilarPair { a: place(pair.a)?, b: place(pair.b)?, ..*pair });
        Some(self.pairs.iter().filter_map(pair).collect())
    }
}

fn check(
    models: &OpenModels,
    table: &Table,
    kept: &mut Kept,
    request: &CheckRequest,
    reporter: &JobReporter,
) -> Result<JobOutput, JobError> {
    let cache = open_cache(reporter);
    let (hashes, _) = table.hashes(request.epoch).ok_or(JobError::Cancelled)?;
    if kept.epoch != request.epoch {
        *kept = Kept { epoch: request.epoch, ..Kept::default() };
    }
    let mut notes = Vec::new();
    // By their numbers, which no edit moves: else each one would have other images looked at.
    let n_numbers = request.images.iter().map(|image| image.id.as_usize() + 1).max().unwrap_or(0);
    let every = if request.images.len() > MAX_CHECKED { n_numbers.div_ceil(MAX_CHECKED).max(1) } else { 1 };
    let images: Vec<CheckImage> =
        request.images.iter().filter(|image| image.id.as_usize().is_multiple_of(every)).copied().collect();
    if every > 1 {
        notes.push(format!(
            "Of {} images one in {every} is looked at here; `graft clean` looks at all of them.",
            request.images.len()
        ));
    }
    let rows: Vec<u32> = images.iter().map(|image| image.row).collect::<BTreeSet<u32>>().into_iter().collect();
    let path_of: BTreeMap<u32, &PathBuf> = request.files.iter().map(|(row, path)| (*row, path)).collect();
    if !Arc::ptr_eq(&kept.files, &request.files) {
        kept.unread.clear();
        kept.files = Arc::clone(&request.files);
    }
    let is_known = |row: &u32| kept.made.contains_key(row) || kept.unread.contains_key(row);
    let missing: Vec<u32> = rows.iter().copied().filter(|row| !is_known(row)).collect();
    let files: Vec<(u32, (PathBuf, [u8; 32]))> = missing
        .into_iter()
        .filter_map(|row| Some((row, ((*path_of.get(&row)?).clone(), *hashes.get(row as usize)?))))
        .collect();
    let (of, files): (Vec<u32>, Vec<(PathBuf, [u8; 32])>) = files.into_iter().unzip();
    let config = EmbedConfig::default();
    let made = miniatures(&files, &cache, (&config.limits, config.max_file_bytes), reporter)?;
    for (row, made) in of.into_iter().zip(made) {
        match made {
            Ok(made) => drop(kept.made.insert(row, made)),
            Err(why) => drop(kept.unread.insert(row, why)),
        }
    }
    let x = table.select(request.epoch, &rows).ok_or(JobError::Cancelled)?;
    let known: Vec<Option<&Miniature>> = rows.iter().map(|row| kept.made.get(row)).collect();
    let pairs = match kept.compared.among(&rows, |at| known[at].is_some()) {
        Some(pairs) => pairs,
        None => {
            let found = near_copies(x.view(), &known, reporter)?;
            let compared: Vec<usize> = (0..rows.len()).filter(|&at| known[at].is_some()).collect();
            let place = |at: usize| compared.binary_search(&at).unwrap_or(usize::MAX);
            let pairs = found.iter().map(|pair| SimilarPair { a: place(pair.a), b: place(pair.b), ..*pair }).collect();
            kept.compared = Compared { rows: compared.iter().map(|&at| rows[at]).collect(), pairs };
            found
        }
    };
    reporter.progress(Stage::Check, 0, 0);
    let checked: Vec<CheckedImage> = images
        .iter()
        .filter_map(|image| {
            let row = rows.binary_search(&image.row).ok()?;
            Some(CheckedImage { row, class: image.class.map(ClassIdx), split: image.split, drawn: image.drawn })
        })
        .collect();
    let mut found = find(&checked, x.view(), &pairs, request.classes.len(), request.seed, reporter.cancel_token())?;
    let input_px = input_px(&*models.open(&request.model, &cache)?);
    let (odd, note) = find_odd(&checked, &known, input_px);
    notes.append(&mut found.notes);
    notes.extend(note);
    let of_image = |image: &CheckImage| Some((image.id, kept.unread.get(&image.row)?.to_string()));
    Ok(JobOutput::Checked(Box::new(Checked {
        session: request.session,
        revision: request.revision,
        epoch: request.epoch,
        faults: faults(&found, odd, &images, &checked, request),
        n_images: images.len(),
        notes,
        looked: found.looked,
        unread: images.iter().filter_map(of_image).collect(),
    })))
}

/// Findings in terms of the project.
fn faults(
    found: &Findings,
    odd: Vec<(usize, Oddity)>,
    images: &[CheckImage],
    checked: &[CheckedImage],
    request: &CheckRequest,
) -> Vec<FoundFault> {
    let id = |idx: usize| images[idx].id;
    let class = |class: Option<ClassIdx>| request.classes.get(class?.as_usize()).copied();
    let mut faults = Vec::new();
    for error in &found.label_errors {
        if let (Some(given), Some(suggested)) = (class(checked[error.row].class), class(Some(error.suggested))) {
            let confidence = (1.0 - error.quality) as f32;
            faults.push(FoundFault { id: id(error.row), what: FaultDetail::Label { given, suggested, confidence } });
        }
    }
    for group in &found.copies {
        let Some((&kept, extra)) = group.images.split_first() else { continue };
        // What is in no split, or has no class, is neither trained nor judged on.
        let split = |idx: usize| checked[idx].class.and(checked[idx].side());
        let is_leak =
            |a: usize, b: usize| split(a).is_some() && split(b).is_some() && dataset::is_leak(split(a), split(b));
        for &copy in extra {
            let what = FaultDetail::Copy {
                of: id(kept),
                is_exact: checked[copy].row == checked[kept].row,
                similarity: if checked[copy].row == checked[kept].row { 1.0 } else { group.similarity },
                is_leak: is_leak(copy, kept),
                disagrees: checked[copy].class.is_some() && checked[copy].class != checked[kept].class,
            };
            faults.push(FoundFault { id: id(copy), what });
        }
    }
    for outlier in &found.outliers {
        let what = FaultDetail::Outlier { similarity: outlier.similarity, usual: outlier.usual };
        faults.push(FoundFault { id: id(outlier.row), what });
    }
    let mut of_image: BTreeMap<ImageId, Vec<Oddity>> = BTreeMap::new();
    for (idx, oddity) in odd {
        of_image.entry(id(idx)).or_default().push(oddity);
    }
    faults.extend(of_image.into_iter().map(|(id, odd)| FoundFault { id, what: FaultDetail::Odd(odd) }));
    faults
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn pairs(of: &[(usize, usize)]) -> Vec<SimilarPair> {
        of.iter().map(|&(a, b)| SimilarPair { a, b, similarity: 0.98 }).collect()
    }

    #[test]
    fn images_that_are_gone_need_no_new_search_unless_they_held_others_together() {
        // 10, 11 and 12 are one picture, which two pairs say; 20 and 21 are another.
        let compared = Compared { rows: vec![10, 11, 12, 20, 21, 30], pairs: pairs(&[(0, 1), (0, 2), (3, 4)]) };
        let among = |rows: &[u32]| compared.among(rows, |_| true);
        assert_eq!(among(&[10, 11, 12, 20, 21, 30]), Some(pairs(&[(0, 1), (0, 2), (3, 4)])));
        assert_eq!(among(&[10, 12, 20, 21]), Some(pairs(&[(0, 1), (2, 3)])));
        assert_eq!(among(&[10, 11, 12, 21, 30]), Some(pairs(&[(0, 1), (0, 2)])));
        assert_eq!(among(&[11, 12, 20, 21]), None, "11 and 12 are alike still, which no pair says");
        assert_eq!(among(&[10, 11, 12, 15, 20, 21]), None, "15 was never compared");
        let unread = compared.among(&[10, 11, 12, 15, 20, 21], |at| at != 3);
        assert_eq!(unread, Some(pairs(&[(0, 1), (0, 2), (4, 5)])), "nor can it be");
        assert_eq!(Compared::default().among(&[], |_| true), Some(Vec::new()));
    }
}
