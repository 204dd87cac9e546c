//! Zero-shot: classifying and searching images by texts, with a dual encoder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::embed::{EmbedConfig, Embedded, embed};
use super::evaluate::Answers;
use super::predict::{Predictions, list_inputs, nothing};
use super::scan::scan;
use super::train::LabelledEmbeddings;
use super::{SharedCache, WorkflowError};
use crate::backbone::{Backbone, locate, towers};
use crate::classes::{ClassIdx, ClassSet};
use crate::dataset::{SkipReason, Skipped};
use crate::embedding::{EmbeddingSpace, Embeddings};
use crate::export::describe::DataMeta;
use crate::head::text::{CosineLogits, TextRecord, ensemble, ensembles};
use crate::head::{
    Activation, Block, Head, HeadKind, TextHead, TrainRecord, TrainedHead, UnknownRule, softmax, unit_blocks,
};
use crate::metrics::Report;
use crate::progress::{CancelToken, Reporter, Stage};
use crate::text::TextError;
use crate::text::encoder::{TextEncoder, TextOverrides};
use crate::text::labels::{Label, LabelIndex};
use crate::text::prompts::{Prompts, Templates};
use crate::text::scale::LogitScale;
use crate::text::tokenizer::Family;

/// Both towers of a dual encoder.
#[derive(Debug)]
pub struct DualEncoder {
    /// The image tower, whose features are its vectors in the space of texts.
    pub image: Backbone,
    /// The text tower.
    pub text: TextEncoder,
    /// What makes logits of cosines, with where it comes from.
    pub logits: LogitScale,
    /// Texts that were found in the cache or put into it are of this space.
    text_space: EmbeddingSpace,
}

impl DualEncoder {
    /// Opens the text tower that belongs to a backbone. Nothing of the texts is computed yet.
    ///
    /// # Errors
    /// When there is no text tower or tokenizer, a projection is missing, or the towers do not belong together.
    pub fn open(backbone: &Backbone, overrides: &TextOverrides, cache: &SharedCache) -> Result<Self, WorkflowError> {
        let manifest = &backbone.manifest;
        let model = manifest.path.display().to_string();
        let files = match &overrides.graph {
            Some(path) => {
                let dirs_of = |path: &Path| locate::locate(path).map(|files| files.side_dirs);
                let mut dirs = dirs_of(path)?;
                dirs.extend(dirs_of(&manifest.path)?);
                Some(towers::of_graph(path.clone(), &dirs))
            }
            None => manifest.text.clone(),
        };
        let files = files.ok_or_else(|| TextError::NoTextTower { model: manifest.name.clone() })?;
        let joint = match (&overrides.image_output, &manifest.joint) {
            (Some(output), _) => output.clone(),
            (None, Some(joint)) => joint.value.label(),
            (None, None) => {
                // A text graph that the user has named belongs to an image graph that was not looked at as a tower.
                let kind = towers::model_type(&files.side_dirs);
                let found = towers::joint_feature(&manifest.outputs, kind.as_deref());
                let outputs = manifest.outputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                found.ok_or(TextError::NoProjection { model: model.clone(), outputs })?.value.label()
            }
        };
        let image = super::models::at_layer(backbone, &joint, cache)?;
        let mut text = TextEncoder::open(&files, overrides)?;
        let mut logits = text.logit_scale(&files, (&manifest.path, &image.input_dims(1)))?;
        let set =
            |value: f64| crate::backbone::manifest::Sourced { value, origin: crate::backbone::manifest::Origin::User };
        if let Some(scale) = overrides.logit_scale {
            logits.scale = set(scale);
        }
        if let Some(bias) = overrides.logit_bias {
            logits.bias = set(bias);
        }
        let dim = text.dim()?;
        if dim != image.space.dim {
            let widths = TextError::Widths {
                image: image.space.dim,
                image_output: joint.clone(),
                text: dim,
                text_output: text.tower().output.name.clone(),
            };
            return Err(widths.into());
        }
        // A projected vector and one that is not lie in different spaces, also where they are equally wide.
        let is_pooled = |name: &str| name == "pooler_output";
        // A SigLIP model has no projection: both names mean the same there.
        let is_siglip = matches!(text.rules().family, Family::Siglip | Family::Siglip2);
        let is_named = overrides.image_output.is_some() || overrides.output.is_some();
        if !is_named && !is_siglip && is_pooled(&joint) != is_pooled(&text.tower().output.name) {
            let outputs = manifest.outputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(match is_pooled(&joint) {
                true => TextError::NoProjection { model, outputs },
                false => TextError::NoTextOutput {
                    path: text.tower().path.clone(),
                    outputs: text.tower().output.to_string(),
                },
            }
            .into());
        }
        let text_space = EmbeddingSpace {
            backbone: text.tower().id.clone(),
            layer: text.tower().output.name.clone(),
            preprocess: text.digest(),
            dim,
        };
        Ok(Self { image, text, logits, text_space })
    }

    /// The features of `backbone` with the image's vector in the space of texts behind them; that alone where the
    /// backbone's features are just it.
    pub fn joined(&self, backbone: &Backbone) -> Backbone {
        if backbone.space == self.image.space { self.image.clone() } else { backbone.beside(&self.image) }
    }

    /// Encodes texts, array of shape `[n_texts, dim]` with rows of unit length. What the cache knows is not encoded again.
    ///
    /// # Errors
    /// When the text tower does not run, or the user cancels.
    pub fn encode(
        &mut self,
        texts: &[String],
        cache: &SharedCache,
        reporter: &dyn Reporter,
    ) -> Result<Array2<f32>, WorkflowError> {
        let new: Vec<String> = self.text.unknown(texts).into_iter().map(str::to_owned).collect();
        let found = self.cached(&new, cache);
        self.text.remember(found);
        let new: Vec<String> = self.text.unknown(&new).into_iter().map(str::to_owned).collect();
        let encoded = self.text.encode(texts, reporter.cancel_token(), |n_done, n_total| {
            reporter.progress(Stage::Texts, n_done, n_total);
        });
        // What was done before a cancel is worth keeping too.
        self.keep(&new, cache);
        Ok(encoded?)
    }

    fn cached(&self, texts: &[String], cache: &SharedCache) -> Vec<(String, Box<[f32]>)> {
        let Some(cache) = cache else { return Vec::new() };
        let cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(space) = cache.space_id(&self.text_space) else { return Vec::new() };
        let mut found = Vec::new();
        for text in texts {
            let mut row = vec![0.0; self.text_space.dim];
            if cache.get(space, blake3::hash(text.as_bytes()).as_bytes(), &mut row).unwrap_or(false) {
                found.push((text.clone(), row.into_boxed_slice()));
            }
        }
        found
    }

    fn keep(&self, texts: &[String], cache: &SharedCache) {
        let Some(cache) = cache else { return };
        let rows: Vec<([u8; 32], &[f32])> = texts
            .iter()
            .filter_map(|text| Some((*blake3::hash(text.as_bytes()).as_bytes(), self.text.known(text)?)))
            .collect();
        if rows.is_empty() {
            return;
        }
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = cache.space_id(&self.text_space);
        let kept = kept.and_then(|space| cache.put(space, rows.iter().map(|(hash, row)| (hash, *row))));
        if let Err(error) = kept {
            tracing::warn!(%error, "texts are not being cached");
        }
    }

    /// Encodes labels.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn classes(
        &mut self,
        labels: &[Label],
        templates: &Templates,
        cache: &SharedCache,
        reporter: &dyn Reporter,
    ) -> Result<ClassTexts, WorkflowError> {
        let templates = templates.texts(&self.text.default_templates());
        let prompts = Prompts::new(labels, &templates);
        let texts = self.encode(&prompts.texts, cache, reporter)?;
        let long: Vec<&str> = prompts.texts.iter().filter(|t| t.len() > 60).map(String::as_str).collect();
        for text in self.text.cut_texts(&long)? {
            let begin: String = text.chars().take(40).collect();
            let max = self.text.rules().max_len;
            reporter.warn(&format!("“{begin}…” is longer than the model reads ({max} tokens) and was cut."));
        }
        Ok(ClassTexts::new(labels.to_vec(), templates, prompts, texts, self.logits.logits()))
    }
}

/// Labels with their embeddings.
#[derive(Clone, Debug)]
pub struct ClassTexts {
    /// The labels.
    pub labels: Vec<Label>,
    /// Their names, in their order.
    pub classes: ClassSet,
    /// Templates that the descriptions were put into.
    pub templates: Vec<String>,
    /// What was encoded.
    pub prompts: Prompts,
    /// Embeddings of the texts, array of shape `[n_texts, dim]`, rows of unit length.
    pub texts: Array2<f32>,
    /// Embeddings of the classes, array of shape `[n_classes, dim]`, rows of unit length.
    pub embeddings: Array2<f32>,
    /// What makes logits of cosines.
    pub logits: CosineLogits,
    /// The labels by the names of folders and classes.
    pub index: LabelIndex,
}

impl ClassTexts {
    fn new(
        labels: Vec<Label>,
        templates: Vec<String>,
        prompts: Prompts,
        texts: Array2<f32>,
        logits: CosineLogits,
    ) -> Self {
        let classes = ClassSet::from_ordered(labels.iter().map(|l| l.name.clone()));
        let embeddings = ensembles(texts.view(), &prompts.of_label());
        let index = LabelIndex::new(&labels);
        Self { labels, classes, templates, prompts, texts, embeddings, logits, index }
    }

    /// Some of the labels, in that order.
    pub fn select(&self, labels: &[usize]) -> Self {
        let chosen: Vec<Label> = labels.iter().filter_map(|&i| self.labels.get(i).cloned()).collect();
        let of_description = labels.iter().filter_map(|&i| self.prompts.of_description.get(i).cloned()).collect();
        let prompts = Prompts { texts: self.prompts.texts.clone(), of_description };
        Self::new(chosen, self.templates.clone(), prompts, self.texts.clone(), self.logits)
    }

    /// The labels as a head over images in `space`.
    ///
    /// # Errors
    /// When the space has another width.
    pub fn head(&self, space: &EmbeddingSpace) -> Result<TrainedHead, WorkflowError> {
        let head = TextHead::zero_shot(space.clone(), self.classes.clone(), self.embeddings.view(), self.logits)?;
        let record = TrainRecord::unfitted(HeadKind::ZeroShot, Some(self.record()));
        Ok(TrainedHead { head: Head::Text(head), record })
    }

    /// What was read.
    pub fn record(&self) -> TextRecord {
        TextRecord {
            descriptions: self.labels.iter().map(|l| l.descriptions.clone()).collect(),
            folders: self.labels.iter().map(|l| l.folders.clone()).collect(),
            templates: self.templates.clone(),
            scale: self.logits.scale,
            bias: self.logits.bias,
            mix: None,
        }
    }

    /// The label that images in a folder of this name are known to be of; the first of several.
    pub fn class_of_folder(&self, folder: &str) -> Option<ClassIdx> {
        self.index.find(folder).map(ClassIdx::from)
    }
}

/// What a description is worth: what is lost without it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct DescriptionEffect {
    /// The class.
    pub class: String,
    /// The description.
    pub description: String,
    /// Accuracy with all descriptions, minus accuracy without this one: above 0 it helps.
    pub accuracy_gain: f64,
    /// Mean log loss without this one, minus that with all: above 0 it helps.
    pub log_loss_gain: f64,
}

/// Leaves out each description of classes that have several, and judges what is left.
///
/// `images`: array of shape `[n_images, dim]` in the space of texts; `y`: their true classes. In order of classes and
/// descriptions. Only the class's own column changes, so that a description costs a product and a pass over the images.
///
/// # Errors
/// When `cancel` is cancelled.
pub fn description_effects(
    texts: &ClassTexts,
    images: ArrayView2<'_, f32>,
    y: &[ClassIdx],
    cancel: &CancelToken,
) -> Result<Vec<DescriptionEffect>, WorkflowError> {
    let unit = unit_blocks(images, &[Block::plain(images.ncols())]);
    let logits = unit.dot(&texts.embeddings.t()) * texts.logits.scale as f32;
    let n = y.len().max(1) as f64;
    // Of each image: its largest logit, and the sum of exponentials below it.
    let rows: Vec<(f64, f64)> = logits
        .outer_iter()
        .map(|row| {
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            (f64::from(max), row.iter().map(|v| f64::from(v - max).exp()).sum())
        })
        .collect();
    let top = |row: ndarray::ArrayView1<'_, f32>, changed: Option<(usize, f32)>| {
        let value = |class: usize, v: f32| changed.filter(|(c, _)| *c == class).map_or(v, |(_, new)| new);
        let best = row.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (class, &v)| {
            let v = value(class, v);
            if v > best.1 { (class, v) } else { best }
        });
        best.0
    };
    let judge = |changed: Option<(usize, &Array1<f32>)>| {
        let (mut n_right, mut loss) = (0, 0.0);
        for (row, (values, truth)) in logits.outer_iter().zip(y).enumerate() {
            let (max, sum) = rows[row];
            let changed = changed.map(|(class, column)| (class, column[row]));
            let (log_sum, of_truth) = match changed {
                None => (max + sum.ln(), values[truth.as_usize()]),
                Some((class, new)) => {
                    let of_truth = if class == truth.as_usize() { new } else { values[truth.as_usize()] };
                    // Taking the largest away from the sum would leave nothing but rounding.
                    let log_sum = match f64::from(values[class]) < max && f64::from(new) <= max {
                        true => {
                            max + (sum - (f64::from(values[class]) - max).exp() + (f64::from(new) - max).exp()).ln()
                        }
                        false => {
                            let value = |(c, v): (usize, &f32)| f64::from(if c == class { new } else { *v });
                            let max = values.iter().enumerate().map(value).fold(f64::NEG_INFINITY, f64::max);
                            max + values.iter().enumerate().map(|v| (value(v) - max).exp()).sum::<f64>().ln()
                        }
                    };
                    (log_sum, of_truth)
                }
            };
            n_right += usize::from(top(values, changed) == truth.as_usize());
            loss += log_sum - f64::from(of_truth);
        }
        (n_right as f64 / n, loss / n)
    };
    let (accuracy, loss) = judge(None);
    let mut effects = Vec::new();
    for (class, (label, rows)) in texts.labels.iter().zip(&texts.prompts.of_description).enumerate() {
        if rows.len() < 2 {
            continue;
        }
        for (left_out, description) in label.descriptions.iter().enumerate() {
            if cancel.is_cancelled() {
                return Err(WorkflowError::Cancelled);
            }
            let kept: Vec<usize> =
                rows.iter().enumerate().filter(|(i, _)| *i != left_out).flat_map(|(_, rows)| rows.clone()).collect();
            let embedding = ensemble(texts.texts.select(Axis(0), &kept).view());
            let column = unit.dot(&embedding) * texts.logits.scale as f32;
            let (accuracy_without, loss_without) = judge(Some((class, &column)));
            effects.push(DescriptionEffect {
                class: label.name.clone(),
                description: description.clone(),
                accuracy_gain: accuracy - accuracy_without,
                log_loss_gain: loss_without - loss,
            });
        }
    }
    Ok(effects)
}

/// Images to classify by texts.
#[derive(Clone, Debug)]
pub struct ZeroShotConfig {
    /// Folders, tables and files.
    pub images: Vec<PathBuf>,
    /// Classes.
    pub labels: Vec<Label>,
    /// What descriptions are put into.
    pub templates: Templates,
    /// Whether the names of class folders say what is right.
    pub has_truth: bool,
    /// How images are embedded.
    pub embed: EmbedConfig,
}

/// What zero-shot classification gives.
#[derive(Debug)]
pub struct ZeroShotOutcome {
    /// Labels with their embeddings.
    pub texts: ClassTexts,
    /// The head that they make.
    pub trained: TrainedHead,
    /// Usable images, with the classes that are true where that is known, else with those that are answered.
    pub shown: LabelledEmbeddings,
    /// Answers on them.
    pub predictions: Predictions,
    /// Figures, where truth is known.
    pub report: Option<Report>,
    /// What each description is worth, where truth is known.
    pub effects: Vec<DescriptionEffect>,
    /// What the user should know about the whole.
    pub notes: Vec<String>,
    /// Images that went through the backbone.
    pub n_embedded: usize,
}

impl ZeroShotOutcome {
    /// Counts for an export: nothing was trained on.
    pub fn counts(&self) -> DataMeta {
        let n_classes = self.texts.classes.len();
        let n_val = if self.report.is_some() { self.shown.len() } else { 0 };
        let per_class = if n_val > 0 { self.shown.class_counts(n_classes) } else { vec![0; n_classes] };
        DataMeta {
            n_images: self.shown.len(),
            n_train: 0,
            n_val,
            n_train_per_class: vec![0; n_classes],
            n_val_per_class: per_class,
            seed: 0,
        }
    }
}

/// Classifies images by texts and, where folders say what is right, judges the answers.
///
/// # Errors
/// When no image can be used, no folder fits a label, a tower does not run, or the user cancels.
pub fn zero_shot(
    dual: &mut DualEncoder,
    config: &ZeroShotConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
) -> Result<ZeroShotOutcome, WorkflowError> {
    let texts = dual.classes(&config.labels, &config.templates, cache, reporter)?;
    let found = match config.has_truth {
        true => Found::by_folder(&config.images, &texts, reporter)?,
        false => {
            let (paths, skipped) = list_inputs(&config.images, reporter)?;
            Found { paths, skipped, ..Found::default() }
        }
    };
    let Found { paths, truth, mut skipped, notes } = found;
    let n_tried = paths.len() + skipped.len();
    let Embedded { embeddings, path_idx, skipped: more, n_embedded, .. } =
        embed(&dual.image, &paths, cache, &config.embed, reporter)?;
    skipped.extend(more);
    if path_idx.is_empty() {
        return Err(nothing(&config.images, n_tried, &skipped));
    }
    let trained = texts.head(&dual.image.space)?;
    let logits = trained.head.scores(&embeddings)?.values;
    let probabilities = trained.head.activation().probabilities(&logits);
    let paths: Vec<PathBuf> = path_idx.iter().map(|&i| paths[i].clone()).collect();
    let (mut report, mut effects) = (None, Vec::new());
    let classes: Vec<ClassIdx> = if truth.is_empty() {
        super::evaluate::top(probabilities.view()).into_iter().map(|(class, _)| class).collect()
    } else {
        let y: Vec<ClassIdx> = path_idx.iter().map(|&i| truth[i]).collect();
        // Classes are judged against each other, whatever the activation: each image has one true class.
        report = Some(Report::new(softmax(&logits).view(), &y, &texts.classes, 0)?);
        effects = description_effects(&texts, embeddings.view(), &y, reporter.cancel_token())?;
        y
    };
    let mut notes = notes;
    if texts.labels.len() == 1 && trained.head.activation() == Activation::Softmax {
        notes.push(
            "With one label there is no choice, so every image is of it: add others, or “none of these”.".to_owned(),
        );
    }
    let answers = Answers { paths: paths.clone(), probabilities, distances: None, skipped };
    let predictions = Predictions { classes: texts.classes.clone(), answers, rule: UnknownRule::Off };
    let shown = LabelledEmbeddings { embeddings, classes, paths };
    Ok(ZeroShotOutcome { texts, trained, shown, predictions, report, effects, notes, n_embedded })
}

/// Images with what is known of them.
#[derive(Default)]
struct Found {
    paths: Vec<PathBuf>,
    /// As many as paths, or none.
    truth: Vec<ClassIdx>,
    skipped: Vec<Skipped>,
    notes: Vec<String>,
}

impl Found {
    /// Images in folders whose names are labels.
    fn by_folder(inputs: &[PathBuf], texts: &ClassTexts, reporter: &dyn Reporter) -> Result<Self, WorkflowError> {
        let mut found = Self::default();
        let mut unmatched: BTreeMap<String, usize> = BTreeMap::new();
        let (mut n_images, mut n_unlabelled) = (0, 0);
        for input in inputs {
            let dataset = scan(input, reporter)?;
            found.notes.extend(dataset.notes);
            found.skipped.extend(dataset.skipped);
            let class_of: Vec<Option<ClassIdx>> =
                dataset.classes.names().iter().map(|name| texts.class_of_folder(name)).collect();
            n_images += dataset.samples.len();
            for sample in dataset.samples {
                let Some(folder) = sample.class else {
                    n_unlabelled += 1;
                    continue;
                };
                match class_of.get(folder.as_usize()).copied().flatten() {
                    Some(class) => {
                        found.paths.push(sample.path);
                        found.truth.push(class);
                    }
                    None => {
                        let class = dataset.classes.name(folder).unwrap_or_default().to_owned();
                        *unmatched.entry(class.clone()).or_default() += 1;
                        found.skipped.push(Skipped { path: sample.path, reason: SkipReason::NoLabel { class } });
                    }
                }
            }
        }
        for (folder, n) in unmatched {
            found.notes.push(format!(
                "The {n} images in {folder:?} are left out: no label is called that (write {folder}=LABEL in a labels \
                 file)."
            ));
        }
        if n_unlabelled > 0 {
            found.notes.push(format!("{n_unlabelled} images outside class folders are left out."));
        }
        if found.paths.is_empty() {
            found.notes.iter().for_each(|note| reporter.warn(note));
            let path = inputs.first().cloned().unwrap_or_default();
            return Err(match n_images {
                0 => nothing(inputs, found.skipped.len(), &found.skipped),
                n if n == n_unlabelled => WorkflowError::NoClasses { path },
                _ => WorkflowError::NoTruth { path },
            });
        }
        Ok(found)
    }
}

/// An image that a search found.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Hit {
    /// The file.
    pub path: PathBuf,
    /// Cosine of the image with the phrase.
    pub cosine: f32,
}

/// The images that fit a phrase best, best first, `n` at most; and the files that could not be used.
///
/// # Errors
/// When no image can be used, a tower does not run, or the user cancels.
pub fn search(
    dual: &mut DualEncoder,
    images: &[PathBuf],
    phrase: &str,
    n: usize,
    cache: &SharedCache,
    embed_config: &EmbedConfig,
    reporter: &dyn Reporter,
) -> Result<(Vec<Hit>, Vec<Skipped>), WorkflowError> {
    let labels = [Label::phrase(phrase).map_err(TextError::from)?];
    let texts = dual.classes(&labels, &Templates::None, cache, reporter)?;
    let (paths, mut skipped) = list_inputs(images, reporter)?;
    let n_tried = paths.len() + skipped.len();
    let embedded = embed(&dual.image, &paths, cache, embed_config, reporter)?;
    skipped.extend(embedded.skipped);
    if embedded.path_idx.is_empty() {
        return Err(nothing(images, n_tried, &skipped));
    }
    let cosines = cosines(&embedded.embeddings, texts.embeddings.row(0));
    let mut hits: Vec<Hit> =
        embedded.path_idx.iter().zip(cosines).map(|(&i, cosine)| Hit { path: paths[i].clone(), cosine }).collect();
    hits.sort_by(|a, b| b.cosine.total_cmp(&a.cosine).then_with(|| a.path.cmp(&b.path)));
    hits.truncate(n);
    Ok((hits, skipped))
}

/// Cosine of each row with a text's embedding of unit length.
fn cosines(images: &Embeddings, text: ndarray::ArrayView1<'_, f32>) -> Vec<f32> {
    unit_blocks(images.view(), &[Block::plain(images.view().ncols())]).dot(&text).to_vec()
}
