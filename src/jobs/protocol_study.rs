//! What goes to the lane that compares layers and models, and what comes back.

use crate::backbone::provider::Provider;
use crate::classes::ClassSet;
use crate::dataset::Sample;
use crate::workflow::compare::CompareOutcome;
use crate::workflow::curve::{CurveOutcome, CurveTexts};
use crate::workflow::probe::ProbeOutcome;

use super::{ModelChoice, Session};

/// Labelled images of a project, to compare on.
#[derive(Clone, Debug)]
pub struct StudiedImages {
    /// The classes.
    pub classes: ClassSet,
    /// The files.
    pub samples: Vec<Sample>,
    /// Part of them that is split off for validation where none is given.
    pub val_fraction: f64,
    /// Seed of the split.
    pub seed: u64,
    /// The project's revision.
    pub revision: u64,
    /// The opening of the project that asks.
    pub session: Session,
}

/// Comparing.
#[derive(Clone, Debug)]
pub enum StudyRequest {
    /// The depths of one model.
    Probe {
        /// Which.
        model: ModelChoice,
        /// What it runs on.
        provider: Provider,
        /// On what.
        images: StudiedImages,
    },
    /// Learning curves of one model's heads.
    Curve {
        /// Which.
        model: ModelChoice,
        /// What it runs on.
        provider: Provider,
        /// On what.
        images: StudiedImages,
        /// What text heads start from.
        texts: Box<CurveTexts>,
    },
    /// Several models.
    Compare {
        /// Names of installed models.
        models: Vec<String>,
        /// What they run on.
        provider: Provider,
        /// On what.
        images: StudiedImages,
    },
}

/// What probing gave.
#[derive(Clone, Debug)]
pub struct Probed {
    /// The model that was probed, whatever its layer.
    pub model: ModelChoice,
    /// The opening of the project that asked.
    pub session: Session,
    /// The project's revision.
    pub revision: u64,
    /// Its layers.
    pub outcome: ProbeOutcome,
}

/// Learning curves and what they are of.
#[derive(Clone, Debug)]
pub struct DrawnCurve {
    /// The model with its layer.
    pub model: ModelChoice,
    /// The opening of the project that asked.
    pub session: Session,
    /// The project's revision.
    pub revision: u64,
    /// The curves.
    pub outcome: CurveOutcome,
}

/// What comparing gave.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The opening of the project that asked.
    pub session: Session,
    /// The models that were asked for.
    pub asked: Vec<String>,
    /// The project's revision.
    pub revision: u64,
    /// The models.
    pub outcome: CompareOutcome,
}
