//! What goes to the lanes that say what to label next and why an answer is what it is, and what comes back.

use std::path::PathBuf;
use std::sync::Arc;

use super::{FitImage, ModelChoice};
use crate::backbone::provider::Provider;
use crate::metrics::Estimate;
use crate::project::{ClassId, ImageId};
use crate::workflow::explain::OcclusionMap;
use crate::workflow::train::JudgedHead;

/// A head with the classes of the project that its own are.
#[derive(Clone, Debug)]
pub struct HeadOf {
    /// The head.
    pub judged: Arc<JudgedHead>,
    /// Its classes, in its order.
    pub class_ids: Vec<ClassId>,
}

/// Images to be put in the order of their usefulness.
#[derive(Clone, Debug)]
pub struct NextRequest {
    /// The project's revision.
    pub revision: u64,
    /// Which choice of model the rows belong to.
    pub epoch: u64,
    /// Images without a class, with their rows: what is ordered.
    pub images: Vec<(ImageId, u32)>,
    /// Images that stay before all others, with their rows.
    pub shown: Vec<(ImageId, u32)>,
    /// Images with a class, of any split but test.
    pub labelled: Vec<FitImage>,
    /// Number of classes that labels are of.
    pub n_classes: usize,
    /// The head, where there is one.
    pub head: Option<HeadOf>,
    /// Strength of the linear head's penalty, where it has been chosen.
    pub c: Option<f64>,
    /// Whether accuracy is to be estimated from the labels, since no validation images say it.
    pub estimates: bool,
    /// Images that are chosen one by one.
    pub n: usize,
    /// Seed of the sample and of the folds.
    pub seed: u64,
}

/// An image that is worth a label, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct AskedImage {
    /// Which.
    pub id: ImageId,
    /// The likeliest two classes with their probabilities, where there is a head.
    pub likely: Vec<(ClassId, f32)>,
    /// Images that are more like it than like anything that is labelled or asked before it.
    pub stands_for: usize,
}

/// Images in the order of their usefulness.
#[derive(Clone, Debug, PartialEq)]
pub struct NextOutput {
    /// The revision that was asked for.
    pub revision: u64,
    /// The choice of model.
    pub epoch: u64,
    /// The first.
    pub asked: Vec<AskedImage>,
    /// What the head says now of those that are in view.
    pub shown: Vec<(ImageId, Vec<(ClassId, f32)>)>,
    /// All others.
    pub rest: Vec<ImageId>,
    /// How often the head would be right on all images, where that was asked for and can be said.
    pub estimate: Option<Estimate>,
    /// Labels that it rests on.
    pub n_labelled: usize,
    /// Duration in seconds.
    pub secs: f64,
}

/// An image that is asked about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// One of the project.
    Image(ImageId),
    /// Any other.
    File(PathBuf),
}

/// What is asked about an image.
#[derive(Clone, Debug)]
pub enum ExplainRequest {
    /// The training images that it is most like.
    Near(NearRequest),
    /// Where the model looks.
    Occlude(OccludeRequest),
}

/// Which training images an image is most like.
#[derive(Clone, Debug)]
pub struct NearRequest {
    /// Which choice of model the rows belong to.
    pub epoch: u64,
    /// The image's row, where it is one of the project.
    pub row: Option<u32>,
    /// Where its file is.
    pub path: PathBuf,
    /// The model, for a file that has no row.
    pub model: ModelChoice,
    /// What it runs on.
    pub provider: Provider,
    /// Training images with their rows.
    pub images: Vec<(ImageId, u32)>,
    /// How many are wanted.
    pub n: usize,
}

/// Where the model looks.
#[derive(Clone, Debug)]
pub struct OccludeRequest {
    /// Where its file is.
    pub path: PathBuf,
    /// The model.
    pub model: ModelChoice,
    /// What it runs on.
    pub provider: Provider,
    /// The head.
    pub head: HeadOf,
    /// The class that is asked about; the head's answer without.
    pub class: Option<ClassId>,
}

/// The training images that an image is most like.
#[derive(Clone, Debug, PartialEq)]
pub struct Near {
    /// Image and cosine, the most like first.
    pub images: Vec<(ImageId, f32)>,
}

/// What was found out about an image.
#[derive(Clone, Debug)]
pub enum Explained {
    /// Of [`ExplainRequest::Near`].
    Near(Near),
    /// Of [`ExplainRequest::Occlude`].
    Occluded {
        /// The class that it is about.
        class: ClassId,
        /// What covering parts of it does.
        map: Arc<OcclusionMap>,
    },
}
