//! Labelled images that layers and models are compared on, and what features are worth on them.

use std::path::PathBuf;

use serde::Serialize;

use super::embed::EmbedConfig;
use super::train::{self, FitData, Gathered, JudgedHead, Prepared, TrainConfig, fit_head};
use super::{SharedCache, WorkflowError};
use crate::backbone::Backbone;
use crate::classes::{ClassIdx, ClassSet};
use crate::dataset::Sample;
use crate::dataset::split::SplitConfig;
use crate::head::{self, HeadKind};
use crate::metrics::Estimate;
use crate::metrics::transfer::{Transferability, transferability};
use crate::progress::Reporter;

/// Rows that are estimated on, at most: more change little and cost with their cube.
const MAX_ESTIMATED: usize = 1500;

/// Labelled images that layers or models are compared on.
#[derive(Clone, Debug)]
pub enum StudyImages {
    /// A folder or table, and a folder of validation images where there is one.
    Folder {
        /// The images.
        images: PathBuf,
        /// For validation.
        val: Option<PathBuf>,
    },
    /// Files whose classes are known.
    Files {
        /// The classes.
        classes: ClassSet,
        /// The files.
        samples: Vec<Sample>,
    },
}

/// How layers or models are compared.
#[derive(Clone, Debug)]
pub struct StudyConfig {
    /// On what.
    pub images: StudyImages,
    /// How images are split.
    pub split: SplitConfig,
    /// How images are embedded.
    pub embed: EmbedConfig,
}

impl StudyConfig {
    /// With the usual split, on the CPU.
    pub fn new(images: StudyImages) -> Self {
        Self { images, split: SplitConfig::default(), embed: EmbedConfig::default() }
    }

    pub(super) fn train(&self) -> TrainConfig {
        let (images, val) = match &self.images {
            StudyImages::Folder { images, val } => (images.clone(), val.clone()),
            StudyImages::Files { .. } => (PathBuf::from("the project"), None),
        };
        TrainConfig {
            images,
            val,
            heads: Vec::new(),
            split: self.split,
            head: head::TrainConfig::default(),
            embed: self.embed.clone(),
        }
    }

    /// The labelled images, before anything is embedded.
    ///
    /// # Errors
    /// When they cannot be read, or are of fewer than two classes.
    pub(super) fn gather(&self, reporter: &dyn Reporter) -> Result<Gathered, WorkflowError> {
        let config = self.train();
        let gathered = match &self.images {
            StudyImages::Folder { .. } => train::gather(&config, reporter)?,
            StudyImages::Files { classes, samples } => Gathered::of(classes.clone(), samples.clone()),
        };
        train::check_gathered(&gathered, &config, reporter)?;
        Ok(gathered)
    }

    /// Embeds and splits.
    pub(super) fn prepare(
        &self,
        backbone: &Backbone,
        cache: &SharedCache,
        reporter: &dyn Reporter,
    ) -> Result<Prepared, WorkflowError> {
        train::prepare_gathered(backbone, self.gather(reporter)?, &self.train(), cache, reporter)
    }
}

/// What the features of one space are worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Worth {
    /// Validated accuracy of a linear head.
    pub linear: Option<Estimate>,
    /// Validated accuracy of class means.
    pub prototype: Option<Estimate>,
    /// Estimates without a head, on the training images.
    pub transfer: Option<Transferability>,
}

/// What features are worth: both heads, and the estimates.
pub(super) fn worth(data: &FitData, seed: u64, reporter: &dyn Reporter) -> Result<Worth, WorkflowError> {
    let head = |kind| -> Result<JudgedHead, WorkflowError> {
        fit_head(data, kind, &head::TrainConfig { kind, ..Default::default() }, seed, reporter.cancel_token())
    };
    let accuracy = |head: JudgedHead| head.val.map(|report| report.accuracy);
    let (linear, prototype) = (accuracy(head(HeadKind::Linear)?), accuracy(head(HeadKind::Prototype)?));
    let every = data.train.len().div_ceil(MAX_ESTIMATED).max(1);
    let rows: Vec<usize> = (0..data.train.len()).step_by(every).collect();
    let y: Vec<ClassIdx> = rows.iter().map(|&row| data.train.classes[row]).collect();
    let features = data.train.embeddings.select(&rows);
    let transfer = transferability(features.view(), &y, data.classes.len()).ok();
    Ok(Worth { linear, prototype, transfer })
}
