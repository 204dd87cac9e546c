//! Texts: labels as people type them, prompts, tokens, and the text tower of a dual encoder.
//!
//! | stage | type |
//! | --- | --- |
//! | lines that were typed | [`labels::Label`]: a name, its descriptions |
//! | prompts | [`prompts::Templates`] put each description into sentences |
//! | tokens | [`tokenizer::TextTokenizer`], with the padding, length and case of the model's family |
//! | encode | [`encoder::TextEncoder`]: embeddings `[n_texts, dim]` of unit length |
//!
//! What comes of them (a class's embedding, logits) is [`crate::head::text`].

pub mod encoder;
pub mod labels;
pub mod prompts;
pub mod scale;
pub mod tokenizer;
pub mod tower;

mod build;

use std::path::PathBuf;

use crate::backbone::BackboneError;
use crate::onnx::OnnxError;

/// Why texts cannot be used. Each message is one sentence for people.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The model has no text tower.
    #[error(
        "the model {model} has no text tower, so it cannot compare pictures with words: choose a dual encoder, such as \
         the starter model, or name the text graph that belongs to it"
    )]
    NoTextTower {
        /// The image model.
        model: String,
    },
    /// The model has no image embedding in the space of texts.
    #[error(
        "the image tower {model} gives nothing in the space of texts (its outputs are {outputs}): the projection was not \
         exported; export it again with its projection, or name another output"
    )]
    NoProjection {
        /// The image model.
        model: String,
        /// Its outputs, as text.
        outputs: String,
    },
    /// The towers give vectors of different widths.
    #[error(
        "the towers do not belong together: the image tower gives {image} numbers ({image_output}), the text tower {text} \
         ({text_output}); a projection is missing, or they are of two models"
    )]
    Widths {
        /// Width of image embeddings.
        image: usize,
        /// Their tensor.
        image_output: String,
        /// Width of text embeddings.
        text: usize,
        /// Their tensor.
        text_output: String,
    },
    /// The text tower has no output that can be a text's embedding.
    #[error(
        "the text tower {} gives no embedding of a text (its outputs are {outputs}): the projection was not exported; \
         export it again with its projection, or name another output", .path.display()
    )]
    NoTextOutput {
        /// The graph.
        path: PathBuf,
        /// Its outputs, as text.
        outputs: String,
    },
    /// The output that the user named is not there.
    #[error("the text tower {} has no output {name:?}; it has {outputs}", .path.display())]
    UnknownOutput {
        /// The graph.
        path: PathBuf,
        /// What was asked for.
        name: String,
        /// Its outputs, as text.
        outputs: String,
    },
    /// The text tower takes no tokens.
    #[error("the text tower {} takes no tokens (its inputs are {inputs})", .path.display())]
    NoTokenInput {
        /// The graph.
        path: PathBuf,
        /// Its inputs, as text.
        inputs: String,
    },
    /// There is no tokenizer.
    #[error(
        "no tokenizer was found for {}: put tokenizer.json (or vocab.json and merges.txt, or vocab.txt) beside it or in \
         its model folder", .path.display()
    )]
    NoTokenizer {
        /// The text graph.
        path: PathBuf,
    },
    /// The tokenizer's file cannot be used.
    #[error("the tokenizer {} cannot be used: {message}", .path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The tokenizer gives tokens that the model does not have.
    #[error(
        "the tokenizer {} does not belong to this model: it gives token {token} and the model has {n_tokens}",
        .path.display()
    )]
    ForeignTokenizer {
        /// The tokenizer's file.
        path: PathBuf,
        /// A token that it gives.
        token: i64,
        /// How many the model has.
        n_tokens: usize,
    },
    /// The text graph cannot be read or is no usable ONNX.
    #[error("the text tower {} cannot be used: {source}", .path.display())]
    Onnx {
        /// The graph.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<OnnxError>,
    },
    /// The text tower cannot be loaded or run.
    #[error("the text tower {} does not run: {source}", .path.display())]
    Run {
        /// The graph.
        path: PathBuf,
        /// What went wrong.
        source: Box<BackboneError>,
    },
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A text file is in another encoding.
    #[error("{} is not in UTF-8 (line {line}): save it as UTF-8, which every editor can", .path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first line that is not.
        line: usize,
    },
    /// A text file is far larger than a list of labels or templates.
    #[error("{} is too large for a list of labels or templates", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Something is wrong with what was typed.
    #[error(transparent)]
    Label(#[from] labels::LabelError),
    /// The user ended it.
    #[error("cancelled")]
    Cancelled,
}
