//! Faults in a data set: labels that are probably wrong, pictures that are there more than once, exactly or nearly, images
//! unlike all others, and odd ones.

mod find;
mod labels;
mod miniatures;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

pub use find::{CheckedImage, CopyGroup, Findings, LookedFor, find, find_odd, near_copies};
pub use labels::{Suspected, suspected};
pub use miniatures::miniatures;

use super::study::StudyConfig;
use super::train::Gathered;
use super::{SharedCache, WorkflowError, embed};
use crate::backbone::Backbone;
use crate::classes::{ClassIdx, ClassSet};
use crate::dataset::duplicates::{self, Hashed};
use crate::dataset::split::{SplitConfig, SplitItem, stratified_around};
use crate::dataset::{Skipped, Split};
use crate::head::OutOfSample;
use crate::image::miniature::Miniature;
use crate::image::oddity::Oddity;
use crate::metrics::outliers;
use crate::progress::{Reporter, Stage};
use crate::store::cache::ContentHash;

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

/// Files that show the same picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Copies {
    /// The files; the first is the one that counts.
    pub paths: Vec<PathBuf>,
    /// Whether all have the same bytes.
    pub is_exact: bool,
    /// As [`CopyGroup::similarity`].
    pub similarity: f32,
    /// Whether some are trained on and others judged on.
    pub is_leak: bool,
    /// Whether they are in different classes.
    pub disagree: bool,
}

/// An image unlike all others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outlier {
    /// The file.
    pub path: PathBuf,
    /// Its class.
    pub class: String,
    /// Its cosine to its k-th nearest neighbour among its class.
    pub similarity: f32,
    /// Half of the images have this or more.
    pub usual: f32,
}

impl Outlier {
    /// Why, in a few words with figures.
    pub fn reason(&self) -> String {
        outlier_reason(self.similarity, self.usual)
    }
}

/// Why an image is unlike all others, in a few words with figures.
pub fn outlier_reason(similarity: f32, usual: f32) -> String {
    format!("its likeness to its class is {similarity:.2}, where {usual:.2} is usual")
}

/// An image that is odd for what it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OddImage {
    /// The file.
    pub path: PathBuf,
    /// How.
    #[serde(flatten)]
    pub oddity: Oddity,
}

/// What heads said of images that they had not seen.
#[derive(Clone, Debug)]
pub struct HeldOut {
    /// The files, one of each picture.
    pub paths: Vec<PathBuf>,
    /// Their classes.
    pub given: Vec<ClassIdx>,
    /// Probabilities and folds, a row a file.
    pub out_of_sample: OutOfSample,
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
    /// Pictures that are there more than once; those in different classes first, then those that are trained and judged on.
    pub copies: Vec<Copies>,
    /// Images unlike all others, the strangest first.
    pub outliers: Vec<Outlier>,
    /// Images that are odd for what they are.
    pub odd: Vec<OddImage>,
    /// What labels were judged by.
    pub held_out: Option<HeldOut>,
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
    let Gathered { classes, samples, mut skipped, mut notes, val_is_given, .. } = config.gather(reporter)?;
    let paths: Vec<PathBuf> = samples.iter().map(|sample| sample.path.clone()).collect();
    let embedded = embed::embed(backbone, &paths, cache, &config.embed, reporter)?;
    if embedded.path_idx.is_empty() {
        return Err(WorkflowError::nothing_usable(paths.len(), &embedded.skipped));
    }
    // One row a picture, whatever it is called.
    let mut row_of_hash: BTreeMap<ContentHash, usize> = BTreeMap::new();
    let (mut kept, mut files, mut images, mut path_of) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (at, (&idx, &hash)) in embedded.path_idx.iter().zip(&embedded.hashes).enumerate() {
        let sample = &samples[idx];
        let row = *row_of_hash.entry(hash).or_insert_with(|| {
            kept.push(at);
            files.push((sample.path.clone(), hash));
            files.len() - 1
        });
        images.push(CheckedImage { row, class: sample.class, split: sample.split, drawn: None });
        path_of.push(sample.path.clone());
    }
    if !val_is_given {
        draw_split(&mut images, &path_of, &files, &classes, &config.split);
    }
    let x = embedded.embeddings.select(&kept);
    let limits = (&config.embed.limits, config.embed.max_file_bytes);
    let made = miniatures(&files, cache, limits, reporter)?;
    let unread = made.iter().filter(|made| made.is_err()).count();
    if unread > 0 {
        notes.push(format!("{unread} files could not be read again: nothing is said of their sizes and near copies."));
    }
    let made: Vec<Option<&Miniature>> = made.iter().map(|made| made.as_ref().ok()).collect();
    let pairs = near_copies(x.view(), &made, reporter)?;
    reporter.progress(Stage::Fit, 0, 0);
    let cancel = reporter.cancel_token();
    let mut found = find(&images, x.view(), &pairs, classes.len(), config.split.seed, cancel)?;
    let (odd, note) = find_odd(&images, &made, input_px(backbone));
    notes.append(&mut found.notes);
    notes.extend(note);
    skipped.extend(embedded.skipped);
    Ok(named(found, odd, &images, &path_of, classes, (skipped, notes)))
}

/// Where no validation images are given: the side of each image that has a class, as training draws it. Of identical files
/// one is dealt, and the others go with it; what is given to test on stays.
fn draw_split(
    images: &mut [CheckedImage],
    paths: &[PathBuf],
    files: &[(PathBuf, ContentHash)],
    classes: &ClassSet,
    config: &SplitConfig,
) {
    let (labelled, hashed): (Vec<usize>, Vec<Hashed<'_>>) = images
        .iter()
        .enumerate()
        .filter_map(|(at, image)| {
            let (class, hash) = (image.class?, files[image.row].1);
            Some((at, Hashed { path: &paths[at], class, split: image.split, hash }))
        })
        .unzip();
    let dropped: BTreeSet<usize> = duplicates::find(&hashed, classes).into_iter().map(|(i, _)| i).collect();
    let items: Vec<SplitItem> = hashed.iter().map(|of| SplitItem { class: of.class, group: of.hash }).collect();
    let fixed = |i: usize| match hashed[i].split {
        _ if dropped.contains(&i) => Some(None),
        Some(Split::Test) => Some(Some(Split::Test)),
        _ => None,
    };
    let sides = stratified_around(&items, fixed, config);
    let dealt = items.iter().zip(sides).filter(|(_, side)| side.is_some());
    let side_of: BTreeMap<ContentHash, Option<Split>> = dealt.map(|(item, side)| (item.group, side)).collect();
    for at in labelled {
        images[at].drawn = side_of.get(&files[images[at].row].1).copied().flatten();
    }
}

/// The shorter side of the picture that a backbone sees, in pixels.
pub fn input_px(backbone: &Backbone) -> Option<u32> {
    backbone.preprocess().output_size().ok().map(|(height_px, width_px)| height_px.min(width_px))
}

/// Findings with paths and names in place of indices.
fn named(
    found: Findings,
    odd: Vec<(usize, Oddity)>,
    images: &[CheckedImage],
    paths: &[PathBuf],
    classes: ClassSet,
    (skipped, notes): (Vec<Skipped>, Vec<String>),
) -> CleanOutcome {
    let name = |class: ClassIdx| classes.name(class).unwrap_or_default().to_owned();
    let class_of = |idx: usize| images[idx].class.map(name).unwrap_or_default();
    let label_error = |error: Suspected| LabelError {
        path: paths[error.row].clone(),
        given: class_of(error.row),
        suggested: name(error.suggested),
        quality: error.quality,
    };
    let copies = |group: CopyGroup| Copies {
        paths: group.images.iter().map(|&idx| paths[idx].clone()).collect(),
        is_exact: group.is_exact,
        similarity: group.similarity,
        is_leak: group.is_leak,
        disagree: group.disagree,
    };
    let outlier = |outliers::Outlier { row, similarity, usual }| Outlier {
        path: paths[row].clone(),
        class: class_of(row),
        similarity,
        usual,
    };
    let held_out = found.out_of_sample.map(|out_of_sample| HeldOut {
        paths: found.judged.iter().map(|&idx| paths[idx].clone()).collect(),
        given: found.judged.iter().filter_map(|&idx| images[idx].class).collect(),
        out_of_sample,
    });
    CleanOutcome {
        n_images: images.len(),
        label_errors: found.label_errors.into_iter().map(label_error).collect(),
        copies: found.copies.into_iter().map(copies).collect(),
        outliers: found.outliers.into_iter().map(outlier).collect(),
        odd: odd.into_iter().map(|(idx, oddity)| OddImage { path: paths[idx].clone(), oddity }).collect(),
        held_out,
        skipped,
        notes,
        classes,
    }
}
