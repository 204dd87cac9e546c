//! The lane that reads labels: encodes them, scores every image of the project by them, judges, draws learning curves.
//!
//! What was computed for a label is kept, so that typing another one computes only that one: texts by the encoder and the
//! cache, cosines of the images by the label's embedding.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array2, ArrayView1, Axis, aview1};
use rayon::prelude::*;

use super::fit::Plan;
use super::lane::{JobReporter, Work};
use super::models::OpenModels;
use super::protocol::{
    CurveRequest, JobData, JobError, JobOutput, JobRequest, ModelChoice, Prediction, TextAnswers, TextFacts,
    TextRequest, ZeroShotRequest,
};
use super::table::Table;
use crate::classes::ClassIdx;
use crate::dataset::Split;
use crate::head::text::CosineLogits;
use crate::head::{Activation, softmax};
use crate::metrics::Report;
use crate::progress::Reporter;
use crate::text::encoder::TextOverrides;
use crate::text::labels::Label;
use crate::text::prompts::Templates;
use crate::workflow::WorkflowError;
use crate::workflow::few_shot::{CurveConfig, learning_curve};
use crate::workflow::models::open_cache;
use crate::workflow::train::FitData;
use crate::workflow::zero_shot::{ClassTexts, DualEncoder, description_effects};

pub(super) fn worker(models: Arc<OpenModels>, table: Arc<Table>) -> Work {
    let mut desk = Desk { models, table, open: None, columns: Columns::default() };
    Box::new(move |request, reporter| match request {
        JobRequest::Text(TextRequest::ZeroShot(request)) => desk.zero_shot(&request, reporter),
        JobRequest::Text(TextRequest::Curve(request)) => desk.curve(&request, reporter),
        _ => Ok(JobOutput::Done),
    })
}

/// Columns of cosines that are kept beyond those in use, together; more are forgotten.
const MAX_KEPT_VALUES: usize = 32 << 20;
/// Rows that are scored at a time, and how many times over.
const BLOCK_ROWS: usize = 4096;
const N_BLOCKS: usize = 4;
/// Images that are judged on; more would not change the figures, and their intervals would take long.
const MAX_JUDGED: usize = 20_000;

/// Images that descriptions are judged on.
const MAX_DESCRIBED: usize = 2000;

/// What stays open from one request to the next.
struct Desk {
    models: Arc<OpenModels>,
    table: Arc<Table>,
    open: Option<(ModelChoice, TextOverrides, DualEncoder)>,
    columns: Columns,
}

impl Desk {
    fn dual(
        &mut self,
        choice: &ModelChoice,
        overrides: &TextOverrides,
        reporter: &JobReporter,
    ) -> Result<&mut DualEncoder, JobError> {
        let cache = open_cache(reporter);
        // Asked each time: a model may have been imported again under its name.
        let backbone = self.models.open(choice, &cache)?;
        let is_open = self
            .open
            .as_ref()
            .is_some_and(|(c, o, dual)| c == choice && o == overrides && dual.image.manifest == backbone.manifest);
        if !is_open {
            self.open = None;
            let dual = DualEncoder::open(&backbone, overrides, &cache)?;
            self.open = Some((choice.clone(), overrides.clone(), dual));
        }
        match &mut self.open {
            Some((_, _, dual)) => Ok(dual),
            None => Err(JobError::Cancelled),
        }
    }

    fn texts(
        &mut self,
        model: &ModelChoice,
        overrides: &TextOverrides,
        labels: &[Label],
        templates: &Templates,
        reporter: &JobReporter,
    ) -> Result<(ClassTexts, TextFacts), JobError> {
        let cache = open_cache(reporter);
        let dual = self.dual(model, overrides, reporter)?;
        let texts = dual.classes(labels, templates, &cache, reporter)?;
        Ok((texts, facts(dual)))
    }

    fn zero_shot(&mut self, request: &ZeroShotRequest, reporter: &JobReporter) -> Result<JobOutput, JobError> {
        let started = Instant::now();
        let ZeroShotRequest { epoch, number, model, overrides, labels, templates, truth } = request;
        let (texts, facts) = self.texts(model, overrides, labels, templates, reporter)?;
        let space = self.dual(model, overrides, reporter)?.image.space.clone();
        self.columns.begin(*epoch, &space.key());
        let columns = self.columns.of_classes(&self.table, *epoch, &space, &texts.embeddings, reporter)?;
        let predictions = predictions(&columns, texts.logits);
        let sureness = sureness(&columns);
        let answers = TextAnswers {
            epoch: *epoch,
            number: *number,
            texts: Arc::new(texts),
            facts: Arc::new(facts),
            space,
            columns,
            predictions,
            sureness,
            secs: started.elapsed().as_secs_f64(),
        };
        reporter.data(JobData::ZeroShot(Box::new(answers.clone())));
        let (report, effects) = self.judged(&answers, truth, reporter)?;
        Ok(JobOutput::ZeroShotJudged { epoch: *epoch, number: *number, report, effects })
    }

    /// Figures on images whose classes are known, and what each description is worth.
    #[allow(clippy::type_complexity, reason = "two things that come together")]
    fn judged(
        &self,
        answers: &TextAnswers,
        truth: &[(u32, u32)],
        reporter: &JobReporter,
    ) -> Result<(Option<Box<Report>>, Vec<crate::workflow::zero_shot::DescriptionEffect>), JobError> {
        let n_rows = answers.predictions.len();
        let every = truth.len().div_ceil(MAX_JUDGED).max(1);
        let known: Vec<(usize, ClassIdx)> = truth
            .iter()
            .step_by(every)
            .filter(|(row, _)| (*row as usize) < n_rows)
            .map(|(row, class)| (*row as usize, ClassIdx(*class)))
            .collect();
        if known.is_empty() || answers.texts.classes.len() < 2 {
            return Ok((None, Vec::new()));
        }
        let y: Vec<ClassIdx> = known.iter().map(|(_, class)| *class).collect();
        let scale = answers.texts.logits.scale as f32;
        let logits = Array2::from_shape_fn((known.len(), answers.columns.len()), |(i, class)| {
            scale * answers.columns[class].get(known[i].0).copied().unwrap_or(0.0)
        });
        // Each image has one true class, so classes are judged against each other, whatever the activation.
        let probabilities = softmax(&logits);
        if reporter.cancelled() {
            return Err(JobError::Cancelled);
        }
        let report = Report::new(probabilities.view(), &y, &answers.texts.classes, 0).map_err(WorkflowError::from)?;
        let has_several = answers.texts.labels.iter().any(|label| label.descriptions.len() > 1);
        let effects = match has_several {
            true => {
                // Spread over all: those of one class lie together.
                let every = known.len().div_ceil(MAX_DESCRIBED).max(1);
                let (rows, y): (Vec<u32>, Vec<ClassIdx>) =
                    known.iter().step_by(every).map(|(row, class)| (*row as u32, *class)).unzip();
                let images = self.table.select_in(answers.epoch, &rows, &answers.space).ok_or(JobError::Cancelled)?;
                description_effects(&answers.texts, images.view(), &y, reporter.cancel_token())?
            }
            false => Vec::new(),
        };
        Ok((Some(Box::new(report)), effects))
    }

    fn curve(&mut self, request: &CurveRequest, reporter: &JobReporter) -> Result<JobOutput, JobError> {
        let (epoch, fit) = (request.fit.epoch, &request.fit);
        let (hashes, _) = self.table.hashes(epoch).ok_or(JobError::Cancelled)?;
        let plan = Plan::new(fit, &hashes)?;
        let labels: Vec<Label> = plan
            .class_ids
            .iter()
            .filter_map(|id| request.labels.iter().find(|(class, _)| class == id))
            .map(|(_, label)| label.clone())
            .collect();
        if labels.len() != plan.class_ids.len() {
            return Err(JobError::failed("A class has no label: type one for each class of the images"));
        }
        let (texts, _) = self.texts(&request.model, &request.overrides, &labels, &request.templates, reporter)?;
        let parts = self.table.parts(epoch).ok_or(JobError::Cancelled)?;
        let part = |split| plan.joined_part(split, &self.table, epoch).ok_or(JobError::Cancelled);
        let data = FitData {
            classes: plan.classes.clone(),
            train: part(Split::Train)?,
            val: part(Split::Val)?,
            test: part(Split::Test)?,
            val_is_given: plan.val_is_given,
        };
        let points = learning_curve(&data, &parts, &texts, &CurveConfig::default(), reporter)?;
        Ok(JobOutput::Curve { epoch, revision: fit.revision, points })
    }
}

fn facts(dual: &DualEncoder) -> TextFacts {
    TextFacts {
        model: dual.image.manifest.name.clone(),
        text_graph: dual.text.tower().path.clone(),
        text_output: dual.text.tower().output.name.clone(),
        image_output: dual.image.space.layer.clone(),
        tokenizer: dual.text.tokenizer_path().to_owned(),
        rules: dual.text.rules(),
        logits: dual.logits.clone(),
        default_templates: dual.text.default_templates(),
        text_graphs: text_graphs(dual),
    }
}

/// Text graphs beside the image graph, of which the user may choose another precision.
fn text_graphs(dual: &DualEncoder) -> Vec<PathBuf> {
    let mut graphs = crate::backbone::towers::text_graphs(&dual.image.manifest.path);
    let own = &dual.text.tower().path;
    if !graphs.contains(own) {
        graphs.insert(0, own.clone());
    }
    graphs
}

/// Cosines of all rows with a label.
type Column = Arc<[f32]>;

/// Columns by the embedding that they were made with.
#[derive(Default)]
struct Columns {
    epoch: u64,
    space: String,
    known: BTreeMap<[u8; 32], Column>,
}

impl Columns {
    fn begin(&mut self, epoch: u64, space: &str) {
        if self.epoch != epoch || self.space != space {
            *self = Self { epoch, space: space.to_owned(), known: BTreeMap::new() };
        }
    }

    /// A column a class of `embeddings` `[n_classes, dim]`. Rows that came since are added to those that are known.
    fn of_classes(
        &mut self,
        table: &Table,
        epoch: u64,
        space: &crate::embedding::EmbeddingSpace,
        embeddings: &Array2<f32>,
        reporter: &JobReporter,
    ) -> Result<Vec<Column>, JobError> {
        let n_rows = table.n_rows(epoch);
        let keys: Vec<[u8; 32]> = embeddings.outer_iter().map(key).collect();
        // Columns of the same length are continued together.
        let mut waiting: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (class, key) in keys.iter().enumerate() {
            let n_known = self.known.get(key).map_or(0, |column| column.len());
            if n_known < n_rows {
                waiting.entry(n_known).or_default().push(class);
            }
        }
        for (first, classes) in waiting {
            let weights = embeddings.select(Axis(0), &classes);
            let mut made: Vec<Vec<f32>> = classes
                .iter()
                .map(|&class| {
                    let mut column = Vec::with_capacity(n_rows);
                    column.extend(self.known.get(&keys[class]).iter().flat_map(|known| known.iter().copied()));
                    column
                })
                .collect();
            let starts: Vec<usize> = (first..n_rows).step_by(BLOCK_ROWS).collect();
            // A few blocks at a time go into the columns, so that nothing is in memory twice.
            for starts in starts.chunks(N_BLOCKS) {
                let blocks: Vec<Array2<f32>> = starts
                .par_iter()
                .map(|&start| {
                    if reporter.cancelled() {
                        return Err(JobError::Cancelled);
                    }
                    let rows: Vec<u32> = (start..(start + BLOCK_ROWS).min(n_rows)).map(|r| r as u32).collect();
                    let Some(images) = table.select_in(epoch, &rows, space) else {
                        return Err(match table.parts(epoch) {
                            Some(parts) if !parts.contains(space) => JobError::failed(
                                "The images have no vectors in the space of these texts: take the model's own text tower",
                            ),
                            _ => JobError::Cancelled,
                        });
                    };
                    let lengths = images.view().map_axis(Axis(1), |row| row.dot(&row).sqrt().max(1e-12));
                    Ok(images.view().dot(&weights.t()) / &lengths.insert_axis(Axis(1)))
                })
                .collect::<Result<_, JobError>>()?;
                for (at, column) in made.iter_mut().enumerate() {
                    blocks.iter().for_each(|block| column.extend(block.column(at)));
                }
            }
            for (column, &class) in made.into_iter().zip(&classes) {
                self.known.insert(keys[class], column.into());
            }
        }
        let columns = keys.iter().filter_map(|key| self.known.get(key).cloned()).collect();
        if self.known.len() * n_rows > MAX_KEPT_VALUES {
            self.known.retain(|key, _| keys.contains(key));
        }
        Ok(columns)
    }
}

fn key(embedding: ArrayView1<'_, f32>) -> [u8; 32] {
    let bytes: Vec<u8> = embedding.iter().flat_map(|v| v.to_le_bytes()).collect();
    *blake3::hash(&bytes).as_bytes()
}

/// The best label of each row, with its probability.
fn predictions(columns: &[Column], logits: CosineLogits) -> Arc<[Prediction]> {
    let n_rows = columns.iter().map(|c| c.len()).min().unwrap_or(0);
    let of_row = |row: usize| {
        let cosines = || columns.iter().map(|column| f64::from(column[row]));
        let (class, best) = cosines()
            .enumerate()
            .fold((0, f64::NEG_INFINITY), |best, (class, cosine)| if cosine > best.1 { (class, cosine) } else { best });
        let confidence = match logits.activation {
            Activation::Softmax => 1.0 / cosines().map(|c| (logits.scale * (c - best)).exp()).sum::<f64>(),
            Activation::Sigmoid => 1.0 / (1.0 + (-(logits.scale * best + logits.bias)).exp()),
        };
        Prediction { class: class as u32, confidence: confidence as f32, distance: f32::NAN }
    };
    (0..n_rows).into_par_iter().with_min_len(1024).map(of_row).collect::<Vec<_>>().into()
}

/// How sure the best label of each row is, for ranking: its lead over the second, where probabilities would all round to
/// 1; a lone label's cosine.
fn sureness(columns: &[Column]) -> Arc<[f32]> {
    let n_rows = columns.iter().map(|c| c.len()).min().unwrap_or(0);
    let of_row = |row: usize| {
        let (best, second) = columns.iter().fold((f32::NEG_INFINITY, f32::NEG_INFINITY), |(best, second), column| {
            let cosine = column[row];
            if cosine > best { (cosine, best) } else { (best, second.max(cosine)) }
        });
        if second.is_finite() { best - second } else { best }
    };
    (0..n_rows).into_par_iter().with_min_len(1024).map(of_row).collect::<Vec<_>>().into()
}

/// Probabilities of all labels on one row.
pub fn probabilities(columns: &[Column], row: usize, logits: CosineLogits) -> Vec<f32> {
    let of_column = |column: &Column| {
        let cosine = column.get(row).copied().unwrap_or(0.0);
        (logits.scale * f64::from(cosine) + logits.bias) as f32
    };
    let values: Vec<f32> = columns.iter().map(of_column).collect();
    let row = aview1(&values).insert_axis(Axis(0)).to_owned();
    logits.activation.probabilities(&row).into_raw_vec_and_offset().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_label_of_each_row_with_its_probability() {
        let columns: Vec<Column> = vec![vec![0.5, 0.1].into(), vec![0.3, 0.2].into()];
        let softmax = CosineLogits { scale: 10.0, bias: 0.0, activation: Activation::Softmax };
        let found = predictions(&columns, softmax);
        assert_eq!(found.iter().map(|p| p.class).collect::<Vec<_>>(), [0, 1]);
        assert!((found[0].confidence - 1.0 / (1.0 + (-2.0f32).exp())).abs() < 1e-6);
        assert!((probabilities(&columns, 0, softmax)[0] - found[0].confidence).abs() < 1e-6);
        assert!((sureness(&columns)[0] - 0.2).abs() < 1e-6 && (sureness(&columns)[1] - 0.1).abs() < 1e-6);
        assert_eq!(sureness(&columns[..1]).to_vec(), [0.5, 0.1]);
        let sigmoid = CosineLogits { scale: 10.0, bias: -4.0, activation: Activation::Sigmoid };
        let found = predictions(&columns, sigmoid);
        assert!((found[0].confidence - 1.0 / (1.0 + (-1.0f32).exp())).abs() < 1e-6, "not shared out among labels");
        assert_eq!(probabilities(&columns, 1, sigmoid).len(), 2);
    }
}
