//! Training: from a folder of images to judged heads.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::certainty::Certainty;
use super::embed::{EmbedConfig, Embedded, embed};
use super::scan::scan;
use super::{SharedCache, WorkflowError};
use crate::backbone::Backbone;
use crate::classes::{ClassIdx, ClassSet};
use crate::dataset::duplicates::{self, Hashed};
use crate::dataset::split::{SplitConfig, SplitItem, limit_shots, stratified_around};
use crate::dataset::{Dataset, Sample, SkipReason, Skipped, Split};
use crate::embedding::{EmbeddingSpace, Embeddings};
use crate::export::describe::DataMeta;
use crate::head::{self, HeadError, HeadKind, SelectionPolicy, TrainedHead, softmax};
use crate::metrics::Report;
use crate::progress::{CancelToken, Reporter, Stage};

/// What to train on, and how.
#[derive(Clone, Debug)]
pub struct TrainConfig {
    /// Folder (or table) of the images.
    pub images: PathBuf,
    /// Folder of validation images; without it the layout's own, or a part of the images.
    pub val: Option<PathBuf>,
    /// Heads to train.
    pub heads: Vec<HeadKind>,
    /// How images are split.
    pub split: SplitConfig,
    /// How heads are fitted; the kind is set for each of `heads`.
    pub head: head::TrainConfig,
    /// How images are embedded.
    pub embed: EmbedConfig,
}

/// Labelled embeddings, split: rows <-> image files <-> classes.
#[derive(Clone, Debug)]
pub struct LabelledEmbeddings {
    /// Array of shape `[n, dim]` with its space.
    pub embeddings: Embeddings,
    /// Class of each row.
    pub classes: Vec<ClassIdx>,
    /// File of each row.
    pub paths: Vec<PathBuf>,
}

impl LabelledEmbeddings {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Rows of each class, in class order.
    pub fn class_counts(&self, n_classes: usize) -> Vec<usize> {
        let mut counts = vec![0; n_classes];
        for class in &self.classes {
            counts[class.as_usize()] += 1;
        }
        counts
    }
}

/// What heads are fitted and judged on: labelled embeddings of one space, split.
#[derive(Clone, Debug)]
pub struct FitData {
    /// Classes with at least one training image.
    pub classes: ClassSet,
    /// Heads are fitted on it.
    pub train: LabelledEmbeddings,
    /// Heads are chosen and judged on it; may be empty.
    pub val: LabelledEmbeddings,
    /// Heads are judged on it; may be empty.
    pub test: LabelledEmbeddings,
    /// Whether the validation images were given, rather than split off.
    pub val_is_given: bool,
}

impl FitData {
    /// Images of all parts.
    pub fn n_images(&self) -> usize {
        self.train.len() + self.val.len() + self.test.len()
    }

    /// One part of features that stand side by side; `parts` are the spaces of all of them.
    ///
    /// # Errors
    /// When the parts are not as wide as the features together.
    pub fn part(&self, parts: &[EmbeddingSpace], idx: usize) -> Result<Self, WorkflowError> {
        let part = |set: &LabelledEmbeddings| -> Result<LabelledEmbeddings, WorkflowError> {
            Ok(LabelledEmbeddings {
                embeddings: set.embeddings.part(parts, idx)?,
                classes: set.classes.clone(),
                paths: set.paths.clone(),
            })
        };
        Ok(Self {
            classes: self.classes.clone(),
            train: part(&self.train)?,
            val: part(&self.val)?,
            test: part(&self.test)?,
            val_is_given: self.val_is_given,
        })
    }

    /// Whether the validation images choose a head's strength, distance and temperature: only where there are enough of
    /// them, since what chooses is flattered by being judged on as well. Else cross-validation on the training images
    /// does.
    ///
    /// A validation set that the user gives is there to choose on, and needs 20 images and two a class; one that was split
    /// off needs 100 images.
    pub fn can_choose(&self) -> bool {
        let fewest = self.val.class_counts(self.classes.len()).into_iter().min().unwrap_or(0);
        fewest >= 2 && self.val.len() >= if self.val_is_given { 20 } else { 100 }
    }

    /// Whether the validation images choose under `config`.
    fn chooses(&self, config: &head::TrainConfig) -> bool {
        config.policy != SelectionPolicy::CrossValidation && self.can_choose()
    }

    /// The configuration of a head of `kind`.
    fn config(&self, kind: HeadKind, config: &head::TrainConfig) -> head::TrainConfig {
        let mut config = head::TrainConfig { kind, ..config.clone() };
        if self.chooses(&config) && config.policy == SelectionPolicy::Auto {
            config.policy = SelectionPolicy::Validation;
        }
        config
    }

    /// The validation images, where they choose.
    fn validation(&self, config: &head::TrainConfig) -> Option<(&Embeddings, &[ClassIdx])> {
        self.chooses(config).then_some((&self.val.embeddings, self.val.classes.as_slice()))
    }

    /// What an export is compared on: the validation images, or the training images without any.
    pub fn shown(&self) -> &LabelledEmbeddings {
        if self.val.is_empty() { &self.train } else { &self.val }
    }

    /// Counts for an export; `n_images` with those beyond the shots, `seed` of the split.
    pub fn counts(&self, n_images: usize, seed: u64) -> DataMeta {
        let n_classes = self.classes.len();
        DataMeta {
            n_images,
            n_train: self.train.len(),
            n_val: self.val.len(),
            n_train_per_class: self.train.class_counts(n_classes),
            n_val_per_class: self.val.class_counts(n_classes),
            seed,
        }
    }
}

/// A data set that is ready for fitting.
#[derive(Debug)]
pub struct Prepared {
    /// What heads are fitted and judged on.
    pub data: FitData,
    /// Usable labelled images, those beyond `shots` included.
    pub n_images: usize,
    /// Files left out.
    pub skipped: Vec<Skipped>,
    /// What the user should know about the whole.
    pub notes: Vec<String>,
    /// Images that went through the backbone.
    pub n_embedded: usize,
    /// Images that the cache knew.
    pub n_cached: usize,
    /// Duration of the scan.
    pub scan_secs: f64,
    /// Duration of the embedding.
    pub embed_secs: f64,
}

/// A head with its figures.
#[derive(Debug)]
pub struct JudgedHead {
    /// The head and how it was fitted.
    pub trained: TrainedHead,
    /// Figures on the validation images, if there are any.
    pub val: Option<Report>,
    /// Figures on the test images, if there are any.
    pub test: Option<Report>,
    /// How sure it may be.
    pub certainty: Certainty,
}

/// What training gives.
#[derive(Debug)]
pub struct TrainOutcome {
    /// The data.
    pub prepared: Prepared,
    /// The heads, in the order asked for.
    pub heads: Vec<JudgedHead>,
    /// Duration of fitting and judging.
    pub fit_secs: f64,
}

impl TrainOutcome {
    /// The head with the highest validated accuracy, ties by log loss; the first when nothing is validated.
    pub fn best(&self) -> Option<&JudgedHead> {
        let score = |h: &JudgedHead| h.val.as_ref().map_or((0.0, 0.0), |r| (r.accuracy.value, -r.log_loss.value));
        self.heads.iter().reduce(|best, head| {
            let (a, b) = (score(best), score(head));
            if b.0 > a.0 || (b.0 == a.0 && b.1 > a.1) { head } else { best }
        })
    }
}

/// Scans, embeds, splits, fits and judges.
///
/// # Errors
/// When there is nothing to train on, the backbone cannot run, or the user cancels.
pub fn train(
    backbone: &Backbone,
    config: &TrainConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
) -> Result<TrainOutcome, WorkflowError> {
    let prepared = prepare(backbone, config, cache, reporter)?;
    let started = Instant::now();
    let mut heads = Vec::with_capacity(config.heads.len());
    for (i, kind) in config.heads.iter().enumerate() {
        reporter.progress(Stage::Fit, i, config.heads.len());
        heads.push(fit_head(&prepared.data, *kind, &config.head, config.split.seed, reporter.cancel_token())?);
    }
    reporter.progress(Stage::Fit, config.heads.len(), config.heads.len());
    Ok(TrainOutcome { prepared, heads, fit_secs: started.elapsed().as_secs_f64() })
}

/// Fits a head of `kind` (whatever kind `config` names) and judges it; `seed` is that of the figures' intervals.
///
/// # Errors
/// When there are fewer than two classes or a class without a training row, or `cancel` is cancelled.
pub fn fit_head(
    data: &FitData,
    kind: HeadKind,
    config: &head::TrainConfig,
    seed: u64,
    cancel: &CancelToken,
) -> Result<JudgedHead, WorkflowError> {
    let config = data.config(kind, config);
    let FitData { classes, train, .. } = data;
    let trained = head::train(&train.embeddings, &train.classes, data.validation(&config), classes, &config, cancel)
        .map_err(fit_error)?;
    judged(data, trained, seed, cancel)
}

/// Fits a head again after a change of its data, with the settings of before (see [`head::retrain`]), and judges it.
/// `None` where it has to be fitted afresh.
///
/// # Errors
/// As [`fit_head`].
pub fn refit_head(
    data: &FitData,
    before: &TrainedHead,
    config: &head::TrainConfig,
    seed: u64,
    cancel: &CancelToken,
) -> Result<Option<JudgedHead>, WorkflowError> {
    let config = data.config(before.head.kind(), config);
    let FitData { classes, train, .. } = data;
    let validation = data.validation(&config);
    let trained = head::retrain(before, &train.embeddings, &train.classes, validation, classes, &config, cancel)
        .map_err(fit_error)?;
    trained.map(|trained| judged(data, trained, seed, cancel)).transpose()
}

fn fit_error(error: HeadError) -> WorkflowError {
    match error {
        HeadError::Cancelled => WorkflowError::Cancelled,
        error => error.into(),
    }
}

/// Judges a head that was fitted on `data`.
pub(super) fn judged(
    data: &FitData,
    trained: TrainedHead,
    seed: u64,
    cancel: &CancelToken,
) -> Result<JudgedHead, WorkflowError> {
    let judge = |set: &LabelledEmbeddings| -> Result<Option<Report>, WorkflowError> {
        if set.is_empty() {
            return Ok(None);
        }
        if cancel.is_cancelled() {
            return Err(WorkflowError::Cancelled);
        }
        // Each image has one true class, so classes are judged against each other, whatever the head's activation.
        let probabilities = softmax(&trained.head.scores(&set.embeddings)?.values);
        Ok(Some(Report::new(probabilities.view(), &set.classes, &data.classes, seed)?))
    };
    let (val, test) = (judge(&data.val)?, judge(&data.test)?);
    Ok(JudgedHead { val, test, certainty: Certainty::of(data, &trained, seed, cancel)?, trained })
}

/// Scans, embeds, removes duplicates and splits.
///
/// # Errors
/// When there are fewer than two classes with usable images, the backbone cannot run, or the user cancels.
pub fn prepare(
    backbone: &Backbone,
    config: &TrainConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
) -> Result<Prepared, WorkflowError> {
    let started = Instant::now();
    let gathered = gather(config, reporter)?;
    check_gathered(&gathered, config, reporter)?;
    let scan_secs = started.elapsed().as_secs_f64();
    let mut prepared = prepare_gathered(backbone, gathered, config, cache, reporter)?;
    prepared.scan_secs = scan_secs;
    Ok(prepared)
}

/// As [`prepare`], of images that have been gathered and checked.
pub(super) fn prepare_gathered(
    backbone: &Backbone,
    mut gathered: Gathered,
    config: &TrainConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
) -> Result<Prepared, WorkflowError> {
    let started = Instant::now();
    let paths: Vec<PathBuf> = gathered.samples.iter().map(|s| s.path.clone()).collect();
    let mut embedded = embed(backbone, &paths, cache, &config.embed, reporter)?;
    let embed_secs = started.elapsed().as_secs_f64();
    if embedded.path_idx.is_empty() {
        return Err(WorkflowError::nothing_usable(paths.len(), &embedded.skipped));
    }
    gathered.skipped.append(&mut embedded.skipped);
    let mut prepared = split(gathered, &embedded, config)?;
    prepared.embed_secs = embed_secs;
    Ok(prepared)
}

/// That there is something to tell apart.
pub(super) fn check_gathered(
    gathered: &Gathered,
    config: &TrainConfig,
    reporter: &dyn Reporter,
) -> Result<(), WorkflowError> {
    if gathered.samples.is_empty() || gathered.classes.len() < 2 {
        // The error below is the end: what else there is to know must be said now.
        gathered.notes.iter().for_each(|note| reporter.warn(note));
    }
    if gathered.samples.is_empty() {
        let path = config.images.clone();
        return Err(match gathered.n_unlabelled {
            // Files that were tried and refused are the more helpful thing to say.
            0 => match gathered.skipped.iter().find(|s| s.reason != SkipReason::NotAnImage) {
                Some(first) => WorkflowError::NothingUsable {
                    n: gathered.skipped.len(),
                    path: first.path.clone(),
                    reason: first.reason.to_string(),
                },
                None => WorkflowError::NoImages { path },
            },
            _ => WorkflowError::NoClasses { path },
        });
    }
    if gathered.classes.len() < 2 {
        // A folder that cannot be read may be the class that is missing.
        if let Some(first) = gathered.skipped.iter().find(|s| s.reason != SkipReason::NotAnImage) {
            reporter.warn(&format!("{} could not be used: {}", first.path.display(), first.reason));
        }
        return Err(too_few(config, gathered.classes.names()));
    }
    Ok(())
}

/// Labelled samples of the images and, where given, the validation images, over one set of classes.
pub(super) struct Gathered {
    pub classes: ClassSet,
    /// All with a class.
    pub samples: Vec<Sample>,
    pub skipped: Vec<Skipped>,
    pub notes: Vec<String>,
    n_unlabelled: usize,
    pub val_is_given: bool,
}

impl Gathered {
    /// Of images that are known: with their classes, and the splits that the user or a layout puts them in. Where one is for
    /// validation, no other is split off.
    pub fn of(classes: ClassSet, samples: Vec<Sample>) -> Self {
        let val_is_given = samples.iter().any(|s| s.split == Some(Split::Val));
        Self { classes, samples, skipped: Vec::new(), notes: Vec::new(), n_unlabelled: 0, val_is_given }
    }
}

/// The images that `config` names.
pub(super) fn gather(config: &TrainConfig, reporter: &dyn Reporter) -> Result<Gathered, WorkflowError> {
    let mut images = scan(&config.images, reporter)?;
    let mut notes = std::mem::take(&mut images.notes);
    let mut skipped = std::mem::take(&mut images.skipped);
    let n_found = images.samples.len();
    images.samples.retain(|s| s.class.is_some());
    let n_unlabelled = n_found - images.samples.len();
    if n_unlabelled > 0 && !images.samples.is_empty() {
        notes.push(format!("{n_unlabelled} images outside the class folders are left out."));
    }
    let Dataset { classes, mut samples, .. } = images;
    let mut val_is_given = samples.iter().any(|s| s.split == Some(Split::Val));
    if let Some(val) = &config.val {
        if val_is_given {
            notes.push("The images' own validation folder is left out, since another one is given.".to_owned());
            samples.retain(|s| s.split != Some(Split::Val));
        }
        let found = scan(val, reporter)?;
        skipped.extend(found.skipped);
        let mut n_known = 0;
        for sample in found.samples {
            let Some(name) = sample.class.and_then(|c| found.classes.name(c)) else { continue };
            match classes.idx(name) {
                Some(class) => {
                    n_known += 1;
                    samples.push(Sample { class: Some(class), split: Some(Split::Val), ..sample });
                }
                None => skipped
                    .push(Skipped { path: sample.path, reason: SkipReason::UnknownClass { class: name.to_owned() } }),
            }
        }
        // An empty or unusable training folder is reported first, by the caller.
        if n_known == 0 && !classes.is_empty() {
            return Err(WorkflowError::NoValidation { path: val.clone() });
        }
        val_is_given = true;
    }
    // Only a validation or test folder: there is nothing else to train on, so its images are split like any others.
    if !samples.iter().any(|s| is_for_training(s.split)) && config.val.is_none() {
        if !samples.is_empty() {
            let split = if val_is_given { "validation" } else { "test" };
            notes.push(format!(
                "There are {split} images and none to train on: they are split and trained on like any others."
            ));
        }
        for sample in &mut samples {
            sample.split = None;
        }
        val_is_given = false;
    }
    Ok(Gathered { classes, samples, skipped, notes, n_unlabelled, val_is_given })
}

/// Whether heads may be fitted on images that the layout puts in this split.
fn is_for_training(split: Option<Split>) -> bool {
    matches!(split, None | Some(Split::Train))
}

fn too_few(config: &TrainConfig, names: &[String]) -> WorkflowError {
    let found = match names {
        [] => "none".to_owned(),
        [one] => format!("only {one:?}"),
        names => names.join(", "),
    };
    WorkflowError::TooFewClasses { path: config.images.clone(), found }
}

/// A usable image: its row among the embeddings.
struct Usable<'a> {
    row: usize,
    path: &'a Path,
    class: ClassIdx,
    split: Option<Split>,
    hash: [u8; 32],
}

/// Rows of one split.
#[derive(Default)]
struct Part {
    rows: Vec<usize>,
    classes: Vec<ClassIdx>,
    paths: Vec<PathBuf>,
}

fn split(gathered: Gathered, embedded: &Embedded, config: &TrainConfig) -> Result<Prepared, WorkflowError> {
    let Gathered { classes, samples, mut skipped, mut notes, val_is_given, .. } = gathered;
    let mut usable: Vec<Usable<'_>> = Vec::with_capacity(embedded.path_idx.len());
    for (row, (&idx, &hash)) in embedded.path_idx.iter().zip(&embedded.hashes).enumerate() {
        let sample = &samples[idx];
        if let Some(class) = sample.class {
            usable.push(Usable { row, path: &sample.path, class, split: sample.split, hash });
        }
    }
    let hashed: Vec<Hashed<'_>> =
        usable.iter().map(|u| Hashed { path: u.path, class: u.class, split: u.split, hash: u.hash }).collect();
    let had_training_images = usable.iter().any(|u| is_for_training(u.split));
    let dropped = duplicates::find(&hashed, &classes);
    let dropped_idx: BTreeSet<usize> = dropped.iter().map(|(i, _)| *i).collect();
    for (i, reason) in dropped {
        skipped.push(Skipped { path: usable[i].path.to_owned(), reason });
    }
    let mut i = 0;
    usable.retain(|_| {
        i += 1;
        !dropped_idx.contains(&(i - 1))
    });

    let n_images = usable.len();
    let items: Vec<SplitItem> = usable.iter().map(|u| SplitItem { class: u.class, group: u.hash }).collect();
    let splits = assign(&usable, &items, val_is_given, &config.split);

    // Classes that training sees; the others are left out with a word.
    let trained: BTreeSet<ClassIdx> =
        usable.iter().zip(&splits).filter(|(_, s)| **s == Some(Split::Train)).map(|(u, _)| u.class).collect();
    let kept = ClassSet::from_ordered(trained.iter().filter_map(|c| classes.name(*c)));
    if kept.len() < 2 {
        if had_training_images && !usable.iter().any(|u| is_for_training(u.split)) {
            return Err(WorkflowError::OnlyDuplicates { path: config.images.clone() });
        }
        return Err(too_few(config, kept.names()));
    }
    for class in classes.indices().filter(|c| !trained.contains(c)) {
        notes.push(format!(
            "The class {:?} has no usable training image and is left out.",
            classes.name(class).unwrap_or_default()
        ));
    }

    let mut parts: [Part; 3] = Default::default();
    for (item, split) in usable.iter().zip(&splits) {
        let Some(split) = split else { continue };
        let name = classes.name(item.class).unwrap_or_default();
        let Some(class) = kept.idx(name) else {
            let reason = SkipReason::UnknownClass { class: name.to_owned() };
            skipped.push(Skipped { path: item.path.to_owned(), reason });
            continue;
        };
        let part = &mut parts[match split {
            Split::Train => 0,
            Split::Val => 1,
            Split::Test => 2,
        }];
        part.rows.push(item.row);
        part.classes.push(class);
        part.paths.push(item.path.to_owned());
    }
    let [train, val, test] = parts.map(|part| LabelledEmbeddings {
        embeddings: embedded.embeddings.select(&part.rows),
        classes: part.classes,
        paths: part.paths,
    });
    single_image_notes(&kept, &train, &val, &mut notes);
    Ok(Prepared {
        data: FitData { classes: kept, train, val, test, val_is_given },
        n_images,
        skipped,
        notes,
        n_embedded: embedded.n_embedded,
        n_cached: embedded.n_cached,
        scan_secs: 0.0,
        embed_secs: 0.0,
    })
}

/// The split of each usable image; `None` for training images beyond the shots.
fn assign(usable: &[Usable<'_>], items: &[SplitItem], val_is_given: bool, config: &SplitConfig) -> Vec<Option<Split>> {
    if val_is_given {
        let mut splits: Vec<_> = usable.iter().map(|u| Some(u.split.unwrap_or(Split::Train))).collect();
        if let Some(shots) = config.shots {
            limit_shots(items, &mut splits, shots, config.seed);
        }
        return splits;
    }
    // A given test folder stays what it is; the rest is split.
    let is_test = |i: usize| usable[i].split == Some(Split::Test);
    stratified_around(items, |i| is_test(i).then_some(Some(Split::Test)), config)
}

fn single_image_notes(
    classes: &ClassSet,
    train: &LabelledEmbeddings,
    val: &LabelledEmbeddings,
    notes: &mut Vec<String>,
) {
    let (n_train, n_val) = (train.class_counts(classes.len()), val.class_counts(classes.len()));
    for class in classes.indices() {
        let (t, v) = (n_train[class.as_usize()], n_val[class.as_usize()]);
        if v == 0 {
            let name = classes.name(class).unwrap_or_default();
            let images = if t == 1 { "a single image".to_owned() } else { format!("{t} training images") };
            notes.push(format!(
                "The class {name:?} has {images} and none to validate on: add some to learn how well it is told apart."
            ));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::embedding::EmbeddingSpace;
    use crate::progress::Silent;

    fn config(images: &Path) -> TrainConfig {
        TrainConfig {
            images: images.to_owned(),
            val: None,
            heads: vec![HeadKind::Linear],
            split: SplitConfig::default(),
            head: head::TrainConfig::default(),
            embed: EmbedConfig::default(),
        }
    }

    /// Files named `SPLIT/CLASS/NAME` (or `CLASS/NAME`), each with its name as its bytes.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for rel in files {
            let path = dir.path().join(rel);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, rel.rsplit('/').next().unwrap()).unwrap();
        }
        dir
    }

    /// What embedding would give: a feature of zero for each image, and the hash of its file.
    fn embedded(samples: &[Sample]) -> Embedded {
        let space = EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim: 1 };
        let values = ndarray::Array2::zeros((samples.len(), 1));
        Embedded {
            embeddings: Embeddings::new(values, space).unwrap(),
            path_idx: (0..samples.len()).collect(),
            hashes: samples.iter().map(|s| *blake3::hash(&std::fs::read(&s.path).unwrap()).as_bytes()).collect(),
            skipped: Vec::new(),
            n_embedded: samples.len(),
            n_cached: 0,
        }
    }

    #[test]
    fn training_on_a_test_or_validation_folder_alone_is_noted() {
        for (top, word) in [("test", "test images"), ("val", "validation images")] {
            let dir = folder(&[&format!("{top}/a/1.png"), &format!("{top}/b/2.png")]);
            let gathered = gather(&config(dir.path()), &Silent::default()).unwrap();
            assert!(gathered.samples.iter().all(|s| s.split.is_none()) && !gathered.val_is_given);
            assert_eq!(gathered.notes.len(), 1);
            assert!(gathered.notes[0].contains(word), "{:?}", gathered.notes);
        }
        let dir = folder(&["train/a/1.png", "train/b/2.png", "test/a/3.png"]);
        assert!(gather(&config(dir.path()), &Silent::default()).unwrap().notes.is_empty());
    }

    #[test]
    fn validating_on_the_training_images_is_said_as_such() {
        let dir = folder(&["a/1.png", "a/2.png", "b/3.png", "b/4.png"]);
        let mut config = config(dir.path());
        config.val = Some(dir.path().to_owned());
        let gathered = gather(&config, &Silent::default()).unwrap();
        let features = embedded(&gathered.samples);
        let error = split(gathered, &features, &config).unwrap_err();
        assert!(matches!(&error, WorkflowError::OnlyDuplicates { path } if path == dir.path()), "{error}");

        let other = folder(&["a/1.png", "b/3.png"]);
        config.val = Some(other.path().to_owned());
        let gathered = gather(&config, &Silent::default()).unwrap();
        let features = embedded(&gathered.samples);
        let prepared = split(gathered, &features, &config).unwrap();
        assert_eq!((prepared.data.train.len(), prepared.data.val.len(), prepared.skipped.len()), (2, 2, 2));
    }
}
