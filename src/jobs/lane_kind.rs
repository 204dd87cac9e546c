//! The lanes by name.

/// The threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LaneKind {
    /// Looks at files and models.
    Files,
    /// Runs images through the backbone.
    Embed,
    /// Fits heads.
    Fit,
    /// Answers on images that are not part of the project.
    Predict,
    /// Answers on images of none of the classes.
    Strangers,
    /// Reads labels and scores images by them.
    Text,
    /// Compares layers and models.
    Study,
    /// Makes the map of the images.
    Map,
    /// Says what to label next.
    Next,
    /// Says why an answer is what it is.
    Explain,
    /// Looks for faults in the data.
    Check,
    /// Writes exports.
    Export,
    /// Keeps the project file.
    Project,
}

impl LaneKind {
    /// Those whose work rests on the model that the project uses: it is for nothing once another is chosen.
    pub const OF_MODEL: [Self; 8] =
        [Self::Embed, Self::Fit, Self::Predict, Self::Strangers, Self::Map, Self::Check, Self::Next, Self::Explain];

    /// Those whose work is of the open project alone: it is for nothing once another is open.
    pub const OF_PROJECT: [Self; 10] = [
        Self::Embed,
        Self::Fit,
        Self::Predict,
        Self::Strangers,
        Self::Map,
        Self::Check,
        Self::Next,
        Self::Explain,
        Self::Text,
        Self::Study,
    ];

    /// Name of the thread.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Embed => "embed",
            Self::Fit => "fit",
            Self::Predict => "predict",
            Self::Strangers => "strangers",
            Self::Text => "text",
            Self::Study => "study",
            Self::Map => "map",
            Self::Next => "next",
            Self::Explain => "explain",
            Self::Check => "check",
            Self::Export => "export",
            Self::Project => "project",
        }
    }
}
