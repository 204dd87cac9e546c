//! Embeddings as points of a plane: a map on which alike images lie near each other.
//!
//! ```text
//! rows [n, D] ─► Reduction (unit length, PCA) ─► [n, 50] ─► first two columns: the map at once
//!                                                       └─► t-SNE of a sample ─► the map; the rest placed among it
//! ```
//!
//! Rows are brought to unit length first, so that near means alike in direction (cosine) whatever the length. Principal
//! components (a seeded randomised SVD) give a first map and the input of t-SNE, which starts from them and needs no random
//! numbers: the same rows give the same map. Of very many rows a seeded sample is laid out, some of every class, and the rest
//! is placed among its nearest neighbours, as images are that come later.
//!
//! t-SNE is the crate `bhtsne` (Barnes and Hut's approximation): it takes neighbours and a beginning, and shows each step.
//! UMAP as the crate `umap-rs` has it draws from an unseeded generator and lets its threads race, so that no two maps are
//! the same.

mod map;
mod neighbours;
mod place;
mod reduce;
mod tsne;

pub use map::{EmbeddingMap, Frame, MapConfig, lay_out, sample};
pub use reduce::Reduction;

/// A place on the map. All of a map lies within -1..=1 in both directions.
pub type Point = [f32; 2];

/// Why there is no map.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// An embedding with an infinite value or one that is not a number.
    #[error("the embedding of row {row} has a value that is not finite")]
    NonFinite {
        /// Row of the embeddings.
        row: usize,
    },
    /// Rows of another width than those that the map was made of.
    #[error("embeddings of {found} values do not fit a map of embeddings of {expected} values")]
    Width {
        /// Width of the rows that the map was made of.
        expected: usize,
        /// Width of the rows given.
        found: usize,
    },
    /// A row of the sample that is not there.
    #[error("row {row} is to be laid out, but there are only {n_rows} rows")]
    NoSuchRow {
        /// The row.
        row: usize,
        /// How many there are.
        n_rows: usize,
    },
    /// The system gives no thread to work on.
    #[error("no thread could be started to lay out the map")]
    NoThread(#[source] rayon::ThreadPoolBuildError),
    /// It was ended.
    #[error("the map was cancelled")]
    Cancelled,
}
