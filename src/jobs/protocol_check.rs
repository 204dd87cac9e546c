//! What goes to the lane that looks for faults in the data, and what comes back.

use std::path::PathBuf;
use std::sync::Arc;

use super::{ModelChoice, Session};
use crate::dataset::Split;
use crate::image::oddity::Oddity;
use crate::project::{ClassId, ImageId};
use crate::workflow::clean::LookedFor;

/// Images to look for faults in.
#[derive(Clone, Debug)]
pub struct CheckRequest {
    /// The opening of the project that asks.
    pub session: Session,
    /// The project's revision.
    pub revision: u64,
    /// Which choice of model the rows belong to.
    pub epoch: u64,
    /// The model, for the size of what it sees.
    pub model: ModelChoice,
    /// Classes in order.
    pub classes: Vec<ClassId>,
    /// Images with an embedding, in the order of the project.
    pub images: Vec<CheckImage>,
    /// For rows of the table a file with that picture.
    pub files: Arc<Vec<(u32, PathBuf)>>,
    /// Seed of the folds.
    pub seed: u64,
}

/// An image as the check sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckImage {
    /// Which.
    pub id: ImageId,
    /// Its row in the table.
    pub row: u32,
    /// Its class: index into the request's classes.
    pub class: Option<u32>,
    /// The split that it is given, if any.
    pub split: Option<Split>,
    /// The split that heads were fitted with, where they were.
    pub drawn: Option<Split>,
}

/// A fault that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundFault {
    /// The image.
    pub id: ImageId,
    /// What it is.
    pub what: FaultDetail,
}

/// What a fault is, with its figures.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultDetail {
    /// Its label is probably wrong.
    Label {
        /// The class that it had.
        given: ClassId,
        /// The class that it looks like.
        suggested: ClassId,
        /// How sure a head that has not seen it is of that class against the given one, 0 to 1.
        confidence: f32,
    },
    /// It shows the same picture as another image, which counts.
    Copy {
        /// The other image.
        of: ImageId,
        /// Whether the bytes are the same.
        is_exact: bool,
        /// The least similarity of the pairs that connect the copies of the picture, 0.95 to 1.
        similarity: f32,
        /// Whether one is trained on and the other judged on.
        is_leak: bool,
        /// Whether the other has another class.
        disagrees: bool,
    },
    /// It is unlike all others of its class.
    Outlier {
        /// Its cosine to its k-th nearest neighbour among its class.
        similarity: f32,
        /// Half of the images have this or more.
        usual: f32,
    },
    /// It is odd for what it is, in these ways.
    Odd(Vec<Oddity>),
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The opening of the project that asked.
    pub session: Session,
    /// The project's revision.
    pub revision: u64,
    /// The choice of model.
    pub epoch: u64,
    /// Faults of all kinds; within a kind the worst first.
    pub faults: Vec<FoundFault>,
    /// Images that were looked at.
    pub n_images: usize,
    /// What could not be looked for, and what is said of the set as a whole.
    pub notes: Vec<String>,
    /// What could be looked for.
    pub looked: LookedFor,
    /// Images whose files could not be read again, and why.
    pub unread: Vec<(ImageId, String)>,
}
