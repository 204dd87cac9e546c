//! What can go wrong with heads.

use crate::embedding::EmbeddingSpace;

/// Why a head was not trained, or not applied.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HeadError {
    /// There is nothing to tell apart.
    #[error("a classifier needs at least two classes, but there {}", if *.found == 1 { "is only one" } else { "are none" })]
    TooFewClasses {
        /// Number of classes.
        found: usize,
    },
    /// A class that no training example shows.
    #[error("class \"{class}\" has no example to train on")]
    ClassWithoutExample {
        /// Its name.
        class: String,
    },
    /// A label that is not in the class set.
    #[error("row {row} is labelled with class {class_idx}, but there are only {n_classes} classes")]
    UnknownClass {
        /// Row of the embeddings.
        row: usize,
        /// The label.
        class_idx: u32,
        /// Size of the class set.
        n_classes: usize,
    },
    /// As many labels as rows are needed.
    #[error("{n_labels} labels were given for {n_rows} embeddings")]
    LabelCount {
        /// Number of embeddings.
        n_rows: usize,
        /// Number of labels.
        n_labels: usize,
    },
    /// An embedding with an infinite value or one that is not a number.
    #[error("the embedding of row {row} has a value that is not finite")]
    NonFinite {
        /// Row of the embeddings.
        row: usize,
    },
    /// Embeddings of another backbone, layer or preprocessing than the head's.
    #[error(
        "the head was trained on embeddings of another kind (layer {}, {} values) than these (layer {}, {} values)",
        .head.layer, .head.dim, .embeddings.layer, .embeddings.dim
    )]
    SpaceMismatch {
        /// The head's space.
        head: Box<EmbeddingSpace>,
        /// The embeddings' space.
        embeddings: Box<EmbeddingSpace>,
    },
    /// Weights of another shape than the classes and the space say.
    #[error("weights of shape [{rows}, {cols}] do not fit {n_classes} classes and embeddings of {dim} values")]
    Shape {
        /// Rows of the weights.
        rows: usize,
        /// Columns of the weights.
        cols: usize,
        /// Size of the class set.
        n_classes: usize,
        /// Width of the space.
        dim: usize,
    },
    /// A setting outside its range.
    #[error("{name} must be above 0 and finite, not {value}")]
    Setting {
        /// Which setting.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// Selection on a validation set was asked for, but there is none.
    #[error("the regularisation strength was to be chosen on a validation set, but none was given")]
    NoValidation,
    /// A head that starts from texts was to be fitted without any.
    #[error("a text head needs the texts of its classes")]
    NeedsTexts,
    /// The work was cancelled.
    #[error("training was cancelled")]
    Cancelled,
}
