//! Whether two images show the same picture: resized, compressed again, slightly cropped, mirrored.
//!
//! Two [miniatures](Miniature) are compared by their normalised cross-correlation, one of them whole and the other with up to
//! 6 % cut off each side, both ways round and mirrored or not: of all such cuts the best counts. Cuts of 0, 2 and 4 of the 64
//! pixels of each side are tried, and from the best of them one pixel further. Images with hardly any contrast would correlate
//! by their noise; their vectors are not stretched to unit length, so that they are like nothing.

mod cuts;
mod search;

pub use cuts::{Comparer, Prepared};
pub use search::{MIN_COSINE, MIN_SIMILARITY, SimilarPair, SimilarityError, groups, similar_pairs};

#[cfg(doc)]
use super::miniature::Miniature;
