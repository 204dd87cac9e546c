//! The lane that fits heads from the table's rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::lane::{JobReporter, Work};
use super::protocol::{
    Duplicate, FitImage, FitOutput, FitRequest, FitTexts, FittedHead, JobError, JobOutput, JobRequest, Prediction,
    class_set,
};
use super::runs::runs;
use super::table::Table;
use crate::classes::{ClassIdx, ClassSet};
use crate::dataset::split::{SplitConfig, SplitItem, limit_shots, stratified_around};
use crate::dataset::{Split, is_leak};
use crate::head::few_shot::FewShotConfig;
use crate::head::{HeadKind, TrainConfig};
use crate::progress::{Reporter, Stage};
use crate::project::{ClassId, ImageId};
use crate::workflow::WorkflowError;
use crate::workflow::certainty::distances;
use crate::workflow::evaluate::top;
use crate::workflow::few_shot::fit_text_head;
use crate::workflow::train::{FitData, JudgedHead, LabelledEmbeddings, fit_head, refit_head};

/// Training images that heads are fitted on while one works, at most: beyond, a fit would take longer than a moment and a
/// copy of the rows more memory than the rest of the program, for a difference that cannot be seen.
const MAX_LIVE_ROWS: usize = 20_000;

/// Rows that are answered on at a time.
const ANSWER_ROWS: usize = 4096;

pub(super) fn worker(table: Arc<Table>) -> Work {
    Box::new(move |request, reporter| match request {
        JobRequest::Fit(request) => fit(&table, &request, reporter).map(|o| JobOutput::Fitted(Box::new(o))),
        _ => Ok(JobOutput::Done),
    })
}

fn fit(table: &Table, request: &FitRequest, reporter: &JobReporter) -> Result<FitOutput, JobError> {
    let started = Instant::now();
    let (hashes, _) = table.hashes(request.epoch).ok_or(JobError::Cancelled)?;
    let plan = Plan::new(request, &hashes)?;
    let part = |split| plan.part(split, table, request.epoch).ok_or(JobError::Cancelled);
    let data = FitData {
        classes: plan.classes.clone(),
        train: part(Split::Train)?,
        val: part(Split::Val)?,
        test: part(Split::Test)?,
        val_is_given: plan.val_is_given,
    };
    let mut heads = Vec::new();
    let mut is_chosen_anew = true;
    // Of other classes than before there is nothing to go on from.
    let before = request.before.as_ref().filter(|b| b.class_ids == plan.class_ids).map_or(&[][..], |b| &b.heads);
    for (i, kind) in HeadKind::OF_EXAMPLES.into_iter().enumerate() {
        reporter.progress(Stage::Fit, i, HeadKind::OF_EXAMPLES.len());
        let config = TrainConfig { kind, ..TrainConfig::default() };
        let (seed, cancel) = (request.seed, reporter.cancel_token());
        let again = match before.iter().find(|head| head.head.kind() == kind) {
            Some(before) => refit_head(&data, before, &config, seed, cancel)?,
            None => None,
        };
        heads.push(match again {
            Some(judged) => {
                is_chosen_anew = false;
                judged
            }
            None => fit_head(&data, kind, &config, seed, cancel)?,
        });
    }
    heads.extend(text_head(table, request, &plan, !is_chosen_anew, reporter)?);
    // The copies of the rows are no longer needed, and answering takes memory of its own.
    drop(data);
    let heads: Vec<FittedHead> = heads
        .into_iter()
        .map(|judged| answered(judged, table, request.epoch, hashes.len(), reporter))
        .collect::<Result<_, _>>()?;
    let runs = if is_chosen_anew { runs(&plan, request, &hashes, &heads) } else { Vec::new() };
    reporter.progress(Stage::Fit, HeadKind::OF_EXAMPLES.len(), HeadKind::OF_EXAMPLES.len());
    Ok(FitOutput {
        revision: request.revision,
        epoch: request.epoch,
        class_ids: plan.class_ids,
        heads,
        splits: plan.rows.iter().map(|r| (r.id, r.split)).collect(),
        duplicates: plan.duplicates,
        classes_without: plan.classes_without,
        n_beyond: plan.n_beyond,
        val_is_given: plan.val_is_given,
        is_chosen_anew,
        runs,
        secs: started.elapsed().as_secs_f64(),
    })
}

/// The head that starts from texts, where every class has one and the model is a dual encoder. `goes_on`: with the mix of
/// before, as the heads of examples have gone on from theirs.
fn text_head(
    table: &Table,
    request: &FitRequest,
    plan: &Plan,
    goes_on: bool,
    reporter: &JobReporter,
) -> Result<Option<JudgedHead>, JobError> {
    let Some(FitTexts { texts, label_of_class }) = &request.texts else { return Ok(None) };
    let label_of = |id: &ClassId| {
        let idx = request.classes.iter().position(|(class, _)| class == id)?;
        label_of_class.get(idx).copied().flatten()
    };
    let Some(labels) = plan.class_ids.iter().map(label_of).collect::<Option<Vec<usize>>>() else { return Ok(None) };
    let texts = texts.select(&labels);
    let part = |split| plan.joined_part(split, table, request.epoch).ok_or(JobError::Cancelled);
    let data = FitData {
        classes: plan.classes.clone(),
        train: part(Split::Train)?,
        val: part(Split::Val)?,
        test: part(Split::Test)?,
        val_is_given: plan.val_is_given,
    };
    // Where heads go on from those before, so does this one: its mix is chosen anew with theirs.
    let before = request.before.as_ref().filter(|b| goes_on && b.class_ids == plan.class_ids);
    let before = before.map_or(&[][..], |b| &b.heads);
    let mix = before.iter().find_map(|head| head.record.text.as_ref()?.mix.clone());
    let config = FewShotConfig { fixed: mix, ..FewShotConfig::default() };
    Ok(Some(fit_text_head(&data, &texts, &config, request.seed, reporter.cancel_token())?))
}

fn answered(
    judged: JudgedHead,
    table: &Table,
    epoch: u64,
    n_rows: usize,
    reporter: &JobReporter,
) -> Result<FittedHead, JobError> {
    let mut predictions = Vec::with_capacity(n_rows);
    for first in (0..n_rows).step_by(ANSWER_ROWS) {
        if reporter.cancelled() {
            return Err(JobError::Cancelled);
        }
        let rows: Vec<u32> = (first..(first + ANSWER_ROWS).min(n_rows)).map(|r| r as u32).collect();
        predictions.extend(answers(&judged, table, epoch, &rows)?);
    }
    Ok(FittedHead { judged: Arc::new(judged), predictions: predictions.into() })
}

fn answers(judged: &JudgedHead, table: &Table, epoch: u64, rows: &[u32]) -> Result<Vec<Prediction>, JobError> {
    let head = &judged.trained.head;
    let embeddings = table.select_in(epoch, rows, head.space()).ok_or(JobError::Cancelled)?;
    let probabilities = head.probabilities(&embeddings).map_err(WorkflowError::from)?;
    let distances = distances(judged.certainty.nearest.as_deref(), &embeddings)?;
    let answer = |(row, (class, confidence)): (usize, (ClassIdx, f32))| {
        let distance = distances.as_ref().and_then(|all| all.get(row).copied()).unwrap_or(f32::NAN);
        Prediction { class: class.0, confidence, distance }
    };
    Ok(top(probabilities.view()).into_iter().enumerate().map(answer).collect())
}

struct Row {
    id: ImageId,
    row: u32,
    /// Index into the plan's classes.
    class: ClassIdx,
    split: Split,
}

/// Which rows are fitted and judged on.
pub(super) struct Plan {
    pub(super) classes: ClassSet,
    pub(super) class_ids: Vec<ClassId>,
    /// Everything that takes part, in the order of the request.
    rows: Vec<Row>,
    duplicates: Vec<Duplicate>,
    classes_without: Vec<ClassId>,
    n_beyond: usize,
    pub(super) val_is_given: bool,
}

impl Plan {
    pub(super) fn new(request: &FitRequest, hashes: &[[u8; 32]]) -> Result<Self, JobError> {
        let all_classes = class_set(&request.classes);
        let (images, duplicates) = without_duplicates(&request.images);
        let items: Option<Vec<SplitItem>> = images
            .iter()
            .map(|i| Some(SplitItem { class: ClassIdx(i.class), group: *hashes.get(i.row as usize)? }))
            .collect();
        let items = items.ok_or(JobError::Cancelled)?;
        let val_is_given = images.iter().any(|i| i.split == Some(Split::Val) && !i.is_guessed);
        let config = SplitConfig { val_fraction: request.val_fraction, seed: request.seed, shots: None };
        let mut splits = assign(&images, &items, val_is_given, &config);
        let n_train = splits.iter().filter(|s| **s == Some(Split::Train)).count();
        let mut n_beyond = 0;
        if n_train > MAX_LIVE_ROWS {
            let shots = (MAX_LIVE_ROWS / all_classes.len().max(1)).max(1);
            limit_shots(&items, &mut splits, shots, request.seed);
            n_beyond = splits.iter().filter(|s| s.is_none()).count();
        }
        let trained: BTreeSet<u32> =
            images.iter().zip(&splits).filter(|(_, s)| **s == Some(Split::Train)).map(|(i, _)| i.class).collect();
        let kept: Vec<usize> = trained.iter().map(|&c| c as usize).collect();
        if kept.len() < 2 {
            return Err(JobError::Failed { summary: "A head needs images of two classes.".to_owned(), details: None });
        }
        let (classes_without, class_ids) = {
            let id = |i: usize| request.classes.get(i).map(|c| c.0);
            let without = (0..request.classes.len()).filter(|i| !kept.contains(i)).filter_map(id).collect();
            (without, kept.iter().filter_map(|&i| id(i)).collect())
        };
        let classes =
            ClassSet::from_ordered(kept.iter().filter_map(|&i| all_classes.name(ClassIdx::from(i)).map(str::to_owned)));
        let rows = images
            .iter()
            .zip(splits)
            .filter_map(|(image, split)| {
                let class = kept.iter().position(|&c| c == image.class as usize)?;
                Some(Row { id: image.id, row: image.row, class: ClassIdx::from(class), split: split? })
            })
            .collect();
        Ok(Self { classes, class_ids, rows, duplicates, classes_without, n_beyond, val_is_given })
    }

    /// Row of the table, class and split of everything that takes part.
    pub(super) fn images(&self) -> impl Iterator<Item = (u32, ClassIdx, Split)> {
        self.rows.iter().map(|r| (r.row, r.class, r.split))
    }

    fn part(&self, split: Split, table: &Table, epoch: u64) -> Option<LabelledEmbeddings> {
        let (numbers, classes) = self.rows_of(split);
        // Paths are for exports, which have their own.
        Some(LabelledEmbeddings { embeddings: table.select(epoch, &numbers)?, classes, paths: Vec::new() })
    }

    /// As [`Self::part`], of all columns: with the image's vectors in the space of texts.
    pub(super) fn joined_part(&self, split: Split, table: &Table, epoch: u64) -> Option<LabelledEmbeddings> {
        let (numbers, classes) = self.rows_of(split);
        Some(LabelledEmbeddings { embeddings: table.select_all(epoch, &numbers)?, classes, paths: Vec::new() })
    }

    fn rows_of(&self, split: Split) -> (Vec<u32>, Vec<ClassIdx>) {
        self.rows.iter().filter(|r| r.split == split).map(|r| (r.row, r.class)).unzip()
    }
}

/// As in `workflow::train`: given validation images stay what they are, else a part of each class is split off.
///
/// What labels have guessed is trained on only: judging on it would show that the guesses are repeated. A test image stays
/// out of training, so a guessed one takes no part.
fn assign(images: &[FitImage], items: &[SplitItem], val_is_given: bool, config: &SplitConfig) -> Vec<Option<Split>> {
    let fixed = |image: &FitImage| match (image.is_guessed, image.split) {
        (true, Some(Split::Test)) => Some(None),
        (true, _) => Some(Some(Split::Train)),
        (false, Some(Split::Test)) => Some(Some(Split::Test)),
        (false, split) if val_is_given => Some(Some(split.unwrap_or(Split::Train))),
        (false, _) => None,
    };
    stratified_around(items, |i| fixed(&images[i]), config)
}

/// One image of each picture: of copies one whose class is no guess, the one in the test split, else in the validation
/// split, else the first (as `dataset::duplicates` has it for files).
fn without_duplicates(images: &[FitImage]) -> (Vec<FitImage>, Vec<Duplicate>) {
    let rank = |image: &FitImage| {
        let of_split = match image.split {
            Some(Split::Test) => 0,
            Some(Split::Val) => 1,
            Some(Split::Train) | None => 2,
        };
        (image.is_guessed, of_split)
    };
    let mut of_row: BTreeMap<u32, &FitImage> = BTreeMap::new();
    for image in images {
        let kept = of_row.entry(image.row).or_insert(image);
        if (rank(image), image.id) < (rank(kept), kept.id) {
            *kept = image;
        }
    }
    let (mut unique, mut duplicates) = (Vec::with_capacity(of_row.len()), Vec::new());
    for image in images {
        match of_row.get(&image.row) {
            Some(kept) if kept.id != image.id => duplicates.push(Duplicate {
                id: image.id,
                of: kept.id,
                is_conflict: kept.class != image.class,
                is_leak: kept.split.is_some() && image.split.is_some() && is_leak(kept.split, image.split),
            }),
            _ => unique.push(*image),
        }
    }
    (unique, duplicates)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::embedding::EmbeddingSpace;

    fn image(id: u32, row: u32, class: u32, split: Option<Split>) -> FitImage {
        FitImage { id: ImageId(id), row, class, split, is_guessed: false }
    }

    fn request(images: Vec<FitImage>) -> FitRequest {
        let classes = vec![(ClassId(7), "a".into()), (ClassId(3), "b".into()), (ClassId(5), "empty".into())];
        FitRequest { revision: 1, epoch: 1, classes, images, val_fraction: 0.2, seed: 0, before: None, texts: None }
    }

    fn hashes(n: usize) -> Vec<[u8; 32]> {
        (0..n).map(|i| *blake3::hash(&i.to_le_bytes()).as_bytes()).collect()
    }

    #[test]
    fn of_copies_the_judged_one_stays() {
        let images = [
            image(0, 5, 0, Some(Split::Train)),
            image(1, 5, 0, Some(Split::Val)),
            image(2, 5, 1, None),
            image(3, 6, 1, None),
        ];
        let (unique, duplicates) = without_duplicates(&images);
        assert_eq!(unique.iter().map(|i| i.id.0).collect::<Vec<_>>(), [1, 3]);
        let of = |id: u32, is_conflict, is_leak| Duplicate { id: ImageId(id), of: ImageId(1), is_conflict, is_leak };
        assert_eq!(duplicates, [of(0, false, true), of(2, true, false)]);
        // What the user said comes before what labels guessed.
        let guess = FitImage { is_guessed: true, ..image(0, 5, 0, Some(Split::Test)) };
        let (unique, _) = without_duplicates(&[guess, image(1, 5, 1, None)]);
        assert_eq!(unique.iter().map(|i| (i.id.0, i.class)).collect::<Vec<_>>(), [(1, 1)]);
    }

    #[test]
    fn classes_without_images_are_left_out_and_given_validation_stays() {
        let mut images: Vec<_> = (0..40).map(|i| image(i, i, i % 2, None)).collect();
        let plan = Plan::new(&request(images.clone()), &hashes(40)).unwrap();
        assert_eq!((plan.class_ids.len(), plan.classes_without.as_slice()), (2, &[ClassId(5)][..]));
        assert_eq!(plan.rows.iter().filter(|r| r.split == Split::Val).count(), 8);
        for i in &mut images[..6] {
            i.split = Some(Split::Val);
        }
        let plan = Plan::new(&request(images), &hashes(40)).unwrap();
        assert!(plan.val_is_given);
        assert_eq!(plan.rows.iter().filter(|r| r.split == Split::Val).count(), 6);
        let one = vec![image(0, 0, 0, None), image(1, 1, 0, None)];
        assert!(matches!(Plan::new(&request(one), &hashes(2)), Err(JobError::Failed { .. })));
    }

    #[test]
    fn guesses_are_trained_on_and_never_judged_on() {
        let mut images: Vec<_> = (0..40).map(|i| image(i, i, i % 2, None)).collect();
        images[..30].iter_mut().for_each(|i| i.is_guessed = true);
        let plan = Plan::new(&request(images.clone()), &hashes(40)).unwrap();
        let of = |split| plan.rows.iter().filter(|r| r.split == split).map(|r| r.id.0).collect::<Vec<_>>();
        assert!(of(Split::Val).iter().all(|id| *id >= 30), "{:?}", of(Split::Val));
        assert_eq!(of(Split::Val).len() + of(Split::Train).len(), 40);
        assert_eq!(of(Split::Val).len(), 2, "a fifth of those that are known");
        // In folders of their own, too.
        let mut given: Vec<_> = images.clone();
        given[..10].iter_mut().for_each(|i| i.split = Some(Split::Val));
        given[10..20].iter_mut().for_each(|i| i.split = Some(Split::Test));
        let plan = Plan::new(&request(given), &hashes(40)).unwrap();
        assert!(!plan.val_is_given);
        assert!(plan.rows.iter().all(|r| r.split == Split::Train || r.id.0 >= 30));
        assert!(plan.rows.iter().all(|r| !(10..20).contains(&r.id.0)), "what is to be tested on is not trained on");
        images.iter_mut().for_each(|i| i.is_guessed = true);
        let plan = Plan::new(&request(images), &hashes(40)).unwrap();
        assert!(plan.rows.iter().all(|r| r.split == Split::Train));
    }

    #[test]
    fn large_sets_are_fitted_on_a_part_of_each_class() {
        let n = 60_000;
        let images: Vec<_> = (0..n).map(|i| image(i, i, i % 2, None)).collect();
        let plan = Plan::new(&request(images), &hashes(n as usize)).unwrap();
        let n_train = plan.rows.iter().filter(|r| r.split == Split::Train).count();
        assert_eq!((n_train, plan.n_beyond), (6666 * 2, 48_000 - 6666 * 2));
    }

    #[test]
    fn heads_answer_on_every_row() {
        let table = Table::default();
        let space = EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim: 2 };
        table.begin(1, &space, vec![space.clone()]);
        let n = 60;
        let hashes = hashes(n);
        for (i, hash) in hashes.iter().enumerate() {
            let values = [(i % 2) as f32 + 0.01 * i as f32, 1.0 - (i % 2) as f32];
            table.add(1, [(hash, &values[..])]).unwrap();
        }
        // Half of them are labelled.
        let images: Vec<_> = (0..30).map(|i| image(i, i, i % 2, None)).collect();
        let (sender, receiver) = crossbeam_channel::unbounded();
        let outbox = super::super::lane::Outbox::new(sender, Arc::new(|| {}));
        let lane = super::super::lane::Lane::start(
            "fit",
            super::super::lane::Policy::Interrupt,
            outbox,
            worker(Arc::new(table)),
        )
        .unwrap();
        lane.submit(super::super::JobId(1), JobRequest::Fit(Box::new(request(images))));
        let output = loop {
            let event = receiver.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
            if let super::super::Body::Finished(result) = event.body {
                break result.unwrap();
            }
        };
        let JobOutput::Fitted(output) = output else { panic!("{output:?}") };
        assert_eq!(output.heads.len(), 2);
        for head in &output.heads {
            assert_eq!(head.predictions.len(), n);
            let n_right = head.predictions.iter().enumerate().filter(|(i, p)| p.class as usize == i % 2).count();
            assert_eq!(n_right, n, "{:?}", head.kind());
            assert!(head.judged.val.is_some());
        }
    }
}
