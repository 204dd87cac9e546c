//! Heads: what turns embeddings into classes.
//!
//! | head | fitted by | module |
//! | --- | --- | --- |
//! | linear | multinomial logistic regression, L2 penalty chosen on a path, L-BFGS | [`linear`], `select`, `lbfgs` |
//! | prototype | class means, squared Euclidean distance or cosine | [`prototype`] |
//! | zero-shot | nothing: embeddings of texts are its weights | [`text`] |
//! | text | corrections of the texts by a few examples | [`few_shot`] |
//!
//! [`usefulness`] orders unlabelled images by what labelling them would teach a head.
//!
//! [`train()`] fits either kind, chooses its settings on held-out rows and scales it by a temperature, so that the
//! softmax of a head's logits are calibrated probabilities. [`UnknownRule`] says when they are no answer. Every head is applied, and exported, in one form:
//! [`Affine`]. Results do not depend on the number of threads.

mod affine;
mod check;
mod design;
mod error;
pub mod few_shot;
mod judge;
mod lbfgs;
pub mod linear;
mod logistic;
mod matmul;
mod nearest;
mod neighbours;
mod out_of_sample;
mod plan;
pub mod prototype;
mod rows;
mod scores;
mod select;
mod temperature;
pub mod text;
mod train;
mod unknown;
pub mod usefulness;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

pub use affine::{Activation, Affine, Block, Kernel, unit_blocks};
pub use error::HeadError;
pub use linear::ClassWeight;
pub use nearest::NearestClass;
pub use neighbours::{Neighbour, nearest};
pub use out_of_sample::{OutOfSample, out_of_sample};
pub use plan::{ChosenBy, SelectionPolicy};
pub use prototype::Distance;
pub use scores::{ScoreKind, Scores, softmax};
pub use select::PathPoint;
pub use temperature::{cross_fitted, fit_temperature};
pub use text::TextHead;
pub use train::{Strength, TrainConfig, TrainRecord, TrainedHead, retrain, train};
pub use unknown::{KnownImage, UnknownError, UnknownRule, UnknownWish, keep_for_false_accept};

use crate::classes::ClassSet;
use crate::embedding::{EmbeddingSpace, Embeddings};

/// The kinds of head that are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadKind {
    /// Logistic regression.
    Linear,
    /// Class means.
    Prototype,
    /// Texts alone.
    ZeroShot,
    /// Texts, and examples that correct them.
    Text,
}

impl HeadKind {
    /// Every kind that is fitted to examples alone.
    pub const OF_EXAMPLES: [Self; 2] = [Self::Linear, Self::Prototype];

    /// The name on the screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::Linear => "Linear",
            Self::Prototype => "Prototype",
            Self::ZeroShot => "Zero-shot",
            Self::Text => "Text",
        }
    }
}

/// Logistic regression whose logits are already divided by the temperature.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearHead {
    space: EmbeddingSpace,
    classes: ClassSet,
    weight: Array2<f32>,
    bias: Array1<f32>,
}

impl LinearHead {
    /// From weights of shape `[n_classes, dim]` and intercepts of shape `[n_classes]`.
    ///
    /// # Errors
    /// When the shapes do not fit the classes and the space.
    pub fn new(
        space: EmbeddingSpace,
        classes: ClassSet,
        weight: Array2<f32>,
        bias: Array1<f32>,
    ) -> Result<Self, HeadError> {
        check::shape(&weight, &classes, &space)?;
        if bias.len() != classes.len() {
            return Err(HeadError::Shape { rows: bias.len(), cols: 1, n_classes: classes.len(), dim: space.dim });
        }
        Ok(Self { space, classes, weight, bias })
    }

    /// Array of shape `[n_classes, dim]`.
    pub fn weight(&self) -> ArrayView2<'_, f32> {
        self.weight.view()
    }

    /// Array of shape `[n_classes]`.
    pub fn bias(&self) -> ArrayView1<'_, f32> {
        self.bias.view()
    }
}

/// Class means with a distance and a temperature.
#[derive(Clone, Debug, PartialEq)]
pub struct PrototypeHead {
    space: EmbeddingSpace,
    classes: ClassSet,
    prototypes: Array2<f32>,
    distance: Distance,
    temperature: f64,
}

impl PrototypeHead {
    /// From prototypes of shape `[n_classes, dim]`, of unit length for cosine.
    ///
    /// # Errors
    /// When the shape does not fit the classes and the space, or the temperature is not above 0.
    pub fn new(
        space: EmbeddingSpace,
        classes: ClassSet,
        prototypes: Array2<f32>,
        distance: Distance,
        temperature: f64,
    ) -> Result<Self, HeadError> {
        check::shape(&prototypes, &classes, &space)?;
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(HeadError::Setting { name: "the temperature", value: temperature });
        }
        Ok(Self { space, classes, prototypes, distance, temperature })
    }

    /// Array of shape `[n_classes, dim]`.
    pub fn prototypes(&self) -> ArrayView2<'_, f32> {
        self.prototypes.view()
    }

    /// How far an embedding is from a prototype.
    pub fn distance(&self) -> Distance {
        self.distance
    }

    /// What distances are divided by.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }
}

/// What turns embeddings of one space into scores for a set of classes.
#[derive(Clone, Debug, PartialEq)]
pub enum Head {
    /// Logistic regression.
    Linear(LinearHead),
    /// Class means.
    Prototype(PrototypeHead),
    /// Texts, with or without examples.
    Text(TextHead),
}

/// All of a head but its numbers, to be stored beside them (see [`Head::from_parts`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HeadMeta {
    /// Of a [`LinearHead`].
    Linear {
        /// Space of the embeddings.
        space: EmbeddingSpace,
        /// Classes, in the order of the weights' rows.
        classes: ClassSet,
    },
    /// Of a [`PrototypeHead`].
    Prototype {
        /// Space of the embeddings.
        space: EmbeddingSpace,
        /// Classes, in the order of the prototypes.
        classes: ClassSet,
        /// How far an embedding is from a prototype.
        distance: Distance,
        /// What distances are divided by.
        temperature: f64,
    },
    /// Of a [`TextHead`].
    Text {
        /// Space of the embeddings.
        space: EmbeddingSpace,
        /// Classes, in the order of the weights' rows.
        classes: ClassSet,
        /// See [`Affine::l2_blocks`].
        l2_blocks: Vec<Block>,
        /// What makes probabilities of logits.
        activation: Activation,
        /// Whether examples have corrected the texts.
        is_fitted: bool,
    },
}

impl Head {
    /// Its kind.
    pub fn kind(&self) -> HeadKind {
        match self {
            Self::Linear(_) => HeadKind::Linear,
            Self::Prototype(_) => HeadKind::Prototype,
            Self::Text(head) => head.kind(),
        }
    }

    /// The space of the embeddings that it was trained on.
    pub fn space(&self) -> &EmbeddingSpace {
        match self {
            Self::Linear(head) => &head.space,
            Self::Prototype(head) => &head.space,
            Self::Text(head) => head.space(),
        }
    }

    /// Its classes, in the order of scores.
    pub fn classes(&self) -> &ClassSet {
        match self {
            Self::Linear(head) => &head.classes,
            Self::Prototype(head) => &head.classes,
            Self::Text(head) => head.classes(),
        }
    }

    /// The form in which it is applied and exported.
    pub fn affine(&self) -> Affine {
        match self {
            Self::Linear(head) => Affine {
                l2_blocks: Vec::new(),
                activation: Activation::Softmax,
                weight: head.weight.clone(),
                bias: head.bias.clone(),
                kernel: None,
            },
            Self::Prototype(head) => prototype::affine(head.prototypes.view(), head.distance, head.temperature),
            Self::Text(head) => head.affine().clone(),
        }
    }

    /// What makes probabilities of its logits.
    pub fn activation(&self) -> Activation {
        match self {
            Self::Linear(_) | Self::Prototype(_) => Activation::Softmax,
            Self::Text(head) => head.affine().activation,
        }
    }

    /// Calibrated probabilities of shape `[n_rows, n_classes]`.
    ///
    /// # Errors
    /// As [`Head::scores`].
    pub fn probabilities(&self, embeddings: &Embeddings) -> Result<Array2<f32>, HeadError> {
        Ok(self.activation().probabilities(&self.scores(embeddings)?.values))
    }

    /// Logits of shape `[n_rows, n_classes]`, of which [`Head::activation`] makes the calibrated probabilities.
    ///
    /// # Errors
    /// Embeddings of another space than the head's, or with a value that is not finite.
    pub fn scores(&self, embeddings: &Embeddings) -> Result<Scores, HeadError> {
        check::same_space(self.space(), embeddings.space())?;
        check::finite(embeddings.view())?;
        Ok(Scores { values: self.affine().apply(embeddings.view()), kind: ScoreKind::Logits })
    }

    /// All but the numbers.
    pub fn meta(&self) -> HeadMeta {
        match self {
            Self::Linear(head) => HeadMeta::Linear { space: head.space.clone(), classes: head.classes.clone() },
            Self::Prototype(head) => HeadMeta::Prototype {
                space: head.space.clone(),
                classes: head.classes.clone(),
                distance: head.distance,
                temperature: head.temperature,
            },
            Self::Text(head) => HeadMeta::Text {
                space: head.space().clone(),
                classes: head.classes().clone(),
                l2_blocks: head.affine().l2_blocks.clone(),
                activation: head.affine().activation,
                is_fitted: head.kind() == HeadKind::Text,
            },
        }
    }

    /// The numbers, but for the examples that a head keeps (see [`Affine::kernel`]): weights or prototypes of shape `[n_classes, dim]`, and a linear or text head's intercepts of
    /// shape `[n_classes]`.
    pub fn arrays(&self) -> (ArrayView2<'_, f32>, Option<ArrayView1<'_, f32>>) {
        match self {
            Self::Linear(head) => (head.weight.view(), Some(head.bias.view())),
            Self::Prototype(head) => (head.prototypes.view(), None),
            Self::Text(head) => (head.affine().weight.view(), Some(head.affine().bias.view())),
        }
    }

    /// The head that gave [`Head::meta`] and [`Head::arrays`]. Prototypes take no `bias`; a linear head without one has
    /// zeros.
    ///
    /// # Errors
    /// When shapes do not fit, or the temperature is not above 0.
    pub fn from_parts(meta: HeadMeta, matrix: Array2<f32>, bias: Option<Array1<f32>>) -> Result<Self, HeadError> {
        match meta {
            HeadMeta::Linear { space, classes } => {
                let bias = bias.unwrap_or_else(|| Array1::zeros(classes.len()));
                LinearHead::new(space, classes, matrix, bias).map(Self::Linear)
            }
            HeadMeta::Prototype { space, classes, distance, temperature } => {
                PrototypeHead::new(space, classes, matrix, distance, temperature).map(Self::Prototype)
            }
            HeadMeta::Text { space, classes, l2_blocks, activation, is_fitted } => {
                let bias = bias.unwrap_or_else(|| Array1::zeros(classes.len()));
                let kind = if is_fitted { HeadKind::Text } else { HeadKind::ZeroShot };
                let affine = Affine { l2_blocks, activation, weight: matrix, bias, kernel: None };
                TextHead::new(space, classes, affine, kind).map(Self::Text)
            }
        }
    }
}
