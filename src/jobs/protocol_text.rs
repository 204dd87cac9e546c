//! What goes to the lane that reads labels, and what comes back.

use std::path::PathBuf;
use std::sync::Arc;

use super::protocol::{FitRequest, ModelChoice, Prediction};
use crate::embedding::EmbeddingSpace;
use crate::project::ClassId;
use crate::text::encoder::TextOverrides;
use crate::text::labels::Label;
use crate::text::prompts::Templates;
use crate::text::scale::LogitScale;
use crate::text::tokenizer::TokenRules;
use crate::workflow::zero_shot::ClassTexts;

/// Reading labels.
#[derive(Clone, Debug)]
pub enum TextRequest {
    /// Scores every image of the table by labels.
    ZeroShot(Box<ZeroShotRequest>),
    /// Accuracy by number of examples.
    Curve(Box<CurveRequest>),
}

/// Labels to score images by.
#[derive(Clone, Debug)]
pub struct ZeroShotRequest {
    /// The choice of model that the rows belong to.
    pub epoch: u64,
    /// Counts requests, so that late answers are told from the latest.
    pub number: u64,
    /// The model.
    pub model: ModelChoice,
    /// What the user says of its text tower.
    pub overrides: TextOverrides,
    /// The labels.
    pub labels: Vec<Label>,
    /// What descriptions are put into.
    pub templates: Templates,
    /// Rows whose label is known: row and label.
    pub truth: Vec<(u32, u32)>,
}

/// A learning curve to draw.
#[derive(Clone, Debug)]
pub struct CurveRequest {
    /// Labelled images.
    pub fit: FitRequest,
    /// The model.
    pub model: ModelChoice,
    /// What the user says of its text tower.
    pub overrides: TextOverrides,
    /// What descriptions are put into.
    pub templates: Templates,
    /// The label of each class.
    pub labels: Vec<(ClassId, Label)>,
}

/// What labels say of every row of the table.
#[derive(Clone, Debug)]
pub struct TextAnswers {
    /// The choice of model.
    pub epoch: u64,
    /// The number of the request.
    pub number: u64,
    /// Labels with their embeddings.
    pub texts: Arc<ClassTexts>,
    /// What is known of the text tower.
    pub facts: Arc<TextFacts>,
    /// The space that images and texts share.
    pub space: EmbeddingSpace,
    /// Cosine of each row with each label: one column a label.
    pub columns: Vec<Arc<[f32]>>,
    /// The best label of each row.
    pub predictions: Arc<[Prediction]>,
    /// How sure it is, for ranking images of one label.
    pub sureness: Arc<[f32]>,
    /// Duration in seconds.
    pub secs: f64,
}

/// What is known of a text tower.
#[derive(Clone, Debug)]
pub struct TextFacts {
    /// The model's name.
    pub model: String,
    /// The text graph.
    pub text_graph: PathBuf,
    /// Its output.
    pub text_output: String,
    /// The image tower's output in the same space.
    pub image_output: String,
    /// The tokenizer's file.
    pub tokenizer: PathBuf,
    /// How texts become tokens.
    pub rules: TokenRules,
    /// What makes logits of cosines.
    pub logits: LogitScale,
    /// Templates that suit the model.
    pub default_templates: Templates,
    /// Text graphs that could be used, of other precisions.
    pub text_graphs: Vec<PathBuf>,
}
