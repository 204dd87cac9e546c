//! The lane that says what to label next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::lane::{JobReporter, Work};
use super::protocol::{AskedImage, FitImage, JobError, JobOutput, JobRequest, NextOutput, NextRequest};
use super::table::Table;
use crate::classes::ClassIdx;
use crate::head::usefulness::Coverage;
use crate::progress::Reporter;
use crate::project::ImageId;
use crate::rng::SplitMix64;
use crate::workflow::WorkflowError;
use crate::workflow::label_next::{MAX_ROWS, estimate_accuracy, label_next, likely};

pub(super) fn worker(table: Arc<Table>) -> Work {
    let mut known = None;
    Box::new(move |request, reporter| match request {
        JobRequest::Next(request) => {
            next(&table, &request, &mut known, reporter).map(|output| JobOutput::Next(Box::new(output)))
        }
        _ => Ok(JobOutput::Done),
    })
}

/// How near images are to each other, kept from label to label.
struct Known {
    epoch: u64,
    /// The table's rows, in the order of the coverage's.
    rows: Vec<u32>,
    /// Their places.
    place: BTreeMap<u32, usize>,
    /// Rows of the table when it was made: more of them may be more of what matters.
    n_rows: usize,
    coverage: Coverage,
}

fn next(
    table: &Table,
    request: &NextRequest,
    known: &mut Option<Known>,
    reporter: &JobReporter,
) -> Result<NextOutput, JobError> {
    let started = Instant::now();
    let cancel = reporter.cancel_token();
    let (labelled_rows, image_of) = of_rows(request);
    let wanted = |known: &Known| {
        let has = |row: &u32| known.place.contains_key(row);
        known.epoch == request.epoch
            && known.n_rows == table.n_rows(request.epoch)
            && labelled_rows.iter().chain(request.shown.iter().map(|(_, row)| row)).all(has)
            // As images are labelled the sample runs out.
            && (image_of.keys().all(has) || 2 * image_of.keys().filter(|row| has(row)).count() > MAX_ROWS)
    };
    if !known.as_ref().is_some_and(wanted) {
        *known = None;
        *known = Some(Known::new(table, request, &labelled_rows, image_of.keys().copied(), reporter)?);
    }
    let Some(known) = known else { return Err(JobError::Cancelled) };
    let places = |rows: &mut dyn Iterator<Item = u32>| -> Vec<usize> {
        rows.filter_map(|row| known.place.get(&row).copied()).collect()
    };
    let labelled = places(&mut labelled_rows.iter().copied());
    let shown = places(&mut request.shown.iter().map(|(_, row)| *row));
    let is_shown: BTreeSet<usize> = shown.iter().copied().collect();
    let mut candidates = places(&mut image_of.keys().copied());
    candidates.retain(|place| !is_shown.contains(place));
    let probabilities = match &request.head {
        Some(head) => {
            let head = &head.judged.trained.head;
            let x = table.select_in(request.epoch, &known.rows, head.space()).ok_or(JobError::Cancelled)?;
            Some(head.probabilities(&x).map_err(WorkflowError::from)?)
        }
        None => None,
    };
    let view = probabilities.as_ref().map(|p| p.view());
    let found = label_next(&known.coverage, &labelled, &shown, &candidates, view, request.n, cancel)?;
    let class_ids = request.head.as_ref().map_or(&[][..], |head| &head.class_ids);
    let mut taken = BTreeSet::new();
    let mut image = |place: usize| -> Option<ImageId> {
        let id = *image_of.get(known.rows.get(place)?)?;
        taken.insert(id);
        Some(id)
    };
    let asked = found
        .first
        .iter()
        .filter_map(|question| {
            let likely = question.likely.iter().filter_map(|(c, p)| Some((*class_ids.get(c.as_usize())?, *p)));
            Some(AskedImage { id: image(question.row)?, likely: likely.collect(), stands_for: question.stands_for })
        })
        .collect();
    let in_view = |&(id, row): &(ImageId, u32)| {
        let (p, place) = (view.as_ref()?, *known.place.get(&row)?);
        let said = likely(*p, place).into_iter();
        Some((id, said.filter_map(|(c, p)| Some((*class_ids.get(c.as_usize())?, p))).collect()))
    };
    let shown = request.shown.iter().filter_map(in_view).collect();
    let mut rest: Vec<ImageId> = found.rest.iter().filter_map(|&place| image(place)).collect();
    // Copies of others, and what is beyond the sample.
    taken.extend(request.shown.iter().map(|(id, _)| *id));
    rest.extend(request.images.iter().map(|(id, _)| *id).filter(|id| !taken.contains(id)));
    let estimate = if request.estimates { estimate(table, request, known, reporter)? } else { None };
    Ok(NextOutput {
        revision: request.revision,
        epoch: request.epoch,
        asked,
        shown,
        rest,
        estimate,
        n_labelled: request.labelled.len(),
        secs: started.elapsed().as_secs_f64(),
    })
}

fn estimate(
    table: &Table,
    request: &NextRequest,
    known: &Known,
    reporter: &JobReporter,
) -> Result<Option<crate::metrics::Estimate>, JobError> {
    // One label a picture; of copies the first.
    let mut class_of: BTreeMap<u32, &FitImage> = BTreeMap::new();
    for image in request.labelled.iter().filter(|image| !image.is_guessed) {
        class_of.entry(image.row).or_insert(image);
    }
    // Of very many labels those of the sample, and no more of them.
    class_of.retain(|row, _| known.place.contains_key(row));
    let mut rows = sample(class_of.keys().copied().collect(), request.seed);
    rows.sort_unstable();
    let x = table.select(request.epoch, &rows).ok_or(JobError::Cancelled)?;
    let of_coverage: Vec<usize> = rows.iter().filter_map(|row| known.place.get(row).copied()).collect();
    let y: Vec<ClassIdx> = rows.iter().filter_map(|row| Some(ClassIdx(class_of.get(row)?.class))).collect();
    let (labelled, cancel) = ((&x, &y[..]), reporter.cancel_token());
    let (n_classes, c, seed) = (request.n_classes, request.c, request.seed);
    Ok(estimate_accuracy(&known.coverage, &of_coverage, labelled, n_classes, c, seed, cancel)?)
}

/// The rows that have a label, and an image of each row that has an image without one.
fn of_rows(request: &NextRequest) -> (Vec<u32>, BTreeMap<u32, ImageId>) {
    let labelled: BTreeSet<u32> = request.labelled.iter().map(|image| image.row).collect();
    let mut image_of = BTreeMap::new();
    for (id, row) in &request.images {
        image_of.entry(*row).or_insert(*id);
    }
    (sample(labelled.into_iter().collect(), request.seed), image_of)
}

/// At most [`MAX_ROWS`] of some rows, drawn by the seed; a row more or less changes at most one other.
fn sample(mut rows: Vec<u32>, seed: u64) -> Vec<u32> {
    if rows.len() > MAX_ROWS {
        rows.sort_by_key(|&row| (SplitMix64::at(seed, u64::from(row)), row));
        rows.truncate(MAX_ROWS);
    }
    rows
}

impl Known {
    fn new(
        table: &Table,
        request: &NextRequest,
        labelled: &[u32],
        images: impl Iterator<Item = u32>,
        reporter: &JobReporter,
    ) -> Result<Self, JobError> {
        let images: Vec<u32> = images.collect();
        let n_unlabelled = images.len();
        let drawn = sample(images, request.seed);
        let shown = request.shown.iter().map(|(_, row)| *row);
        let all: BTreeSet<u32> = request.labelled.iter().map(|image| image.row).collect();
        // How many images a row of each kind stands for; of rows of two kinds the last kind counts.
        let each = |n: usize, n_drawn: usize| n as f64 / n_drawn.max(1) as f64;
        let mut n_images: BTreeMap<u32, f64> = shown.map(|row| (row, 1.0)).collect();
        n_images.extend(drawn.iter().map(|row| (*row, each(n_unlabelled, drawn.len()))));
        n_images.extend(labelled.iter().map(|row| (*row, each(all.len(), labelled.len()))));
        let (rows, n_images): (Vec<u32>, Vec<f64>) = n_images.into_iter().unzip();
        let x = table.select(request.epoch, &rows).ok_or(JobError::Cancelled)?;
        let made = Coverage::new(x.view(), request.seed, reporter.cancel_token());
        let coverage = made.map_err(|error| match error {
            crate::head::HeadError::Cancelled => JobError::Cancelled,
            error => WorkflowError::from(error).into(),
        })?;
        let coverage = coverage.counting(&n_images);
        if reporter.cancelled() {
            return Err(JobError::Cancelled);
        }
        let place = rows.iter().enumerate().map(|(place, row)| (*row, place)).collect();
        Ok(Self { epoch: request.epoch, rows, place, n_rows: table.n_rows(request.epoch), coverage })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::lane::{Lane, Outbox, Policy};
    use super::super::{Body, JobId};
    use super::*;
    use crate::embedding::EmbeddingSpace;

    /// Rows around three centres in turn.
    fn table(n: u32) -> Arc<Table> {
        let table = Table::default();
        let space = EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim: 4 };
        table.begin(1, &space, vec![space.clone()]);
        let mut rng = SplitMix64::new(1);
        for i in 0..n {
            let mut values = [0.0_f32; 4].map(|_| rng.below(100) as f32 / 200.0);
            values[i as usize % 3] += 3.0;
            table.add(1, [(blake3::hash(&i.to_le_bytes()).as_bytes(), &values[..])]).unwrap();
        }
        Arc::new(table)
    }

    fn request(n: u32) -> NextRequest {
        NextRequest {
            revision: 7,
            epoch: 1,
            images: (0..n).map(|i| (ImageId(i), i)).collect(),
            shown: Vec::new(),
            labelled: Vec::new(),
            n_classes: 3,
            head: None,
            c: None,
            estimates: true,
            n: 5,
            seed: 0,
        }
    }

    fn run(work: &mut Vec<Result<NextOutput, JobError>>, table: Arc<Table>, requests: Vec<NextRequest>) {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let lane = Lane::start("next", Policy::Queue, Outbox::new(sender, Arc::new(|| {})), worker(table)).unwrap();
        let n = requests.len();
        for (i, request) in requests.into_iter().enumerate() {
            lane.submit(JobId(i as u64), JobRequest::Next(Box::new(request)));
        }
        while work.len() < n {
            let event = receiver.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
            match event.body {
                Body::Finished(Ok(JobOutput::Next(output))) => work.push(Ok(*output)),
                Body::Finished(Err(error)) => work.push(Err(error)),
                _ => {}
            }
        }
    }

    fn label(id: u32, class: u32) -> FitImage {
        FitImage { id: ImageId(id), row: id, class, split: None, is_guessed: false }
    }

    #[test]
    fn every_image_is_asked_once_and_labels_change_the_order() {
        let n = 60;
        let mut labelled = request(n);
        labelled.labelled = (0..6).map(|i| label(i, i % 3)).collect();
        labelled.images.drain(..6);
        labelled.shown = vec![labelled.images.remove(0)];
        // A copy of a picture that is there already, and one of a labelled picture.
        labelled.images.push((ImageId(100), 20));
        labelled.images.push((ImageId(101), 0));
        let mut results = Vec::new();
        run(&mut results, table(n), vec![request(n), labelled, request(n)]);
        let outputs: Vec<NextOutput> = results.into_iter().map(Result::unwrap).collect();
        let of = |output: &NextOutput| {
            let mut ids: Vec<u32> =
                output.asked.iter().map(|a| a.id.0).chain(output.rest.iter().map(|id| id.0)).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(of(&outputs[0]), (0..n).collect::<Vec<_>>());
        let mut groups: Vec<u32> = outputs[0].asked.iter().take(3).map(|a| a.id.0 % 3).collect();
        groups.sort_unstable();
        assert_eq!(groups, [0, 1, 2], "nothing is labelled: one of each group");
        assert!(outputs[0].asked.iter().all(|a| a.likely.is_empty()) && outputs[0].estimate.is_none());
        assert_eq!(of(&outputs[1]), (7..n).chain([100, 101]).collect::<Vec<_>>(), "what is shown is not asked again");
        assert!(outputs[1].rest.contains(&ImageId(100)) && outputs[1].rest.contains(&ImageId(101)));
        assert_eq!(outputs[1].n_labelled, 6);
        assert!(outputs[1].estimate.unwrap().value > 0.9);
        assert_eq!(NextOutput { secs: 0.0, ..outputs[0].clone() }, NextOutput { secs: 0.0, ..outputs[2].clone() });
    }

    #[test]
    fn nothing_to_ask_and_another_epoch() {
        let mut other = request(5);
        other.epoch = 2;
        let mut empty = request(5);
        empty.images.clear();
        let mut results = Vec::new();
        run(&mut results, table(5), vec![other, empty]);
        assert_eq!(results[0], Err(JobError::Cancelled));
        let empty = results[1].as_ref().unwrap();
        assert!(empty.asked.is_empty() && empty.rest.is_empty());
    }
}
