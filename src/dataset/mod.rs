//! Data sets: which files are images of which class in which split. Rules only: walking and reading happen in
//! `workflow::scan`.

pub mod duplicates;
pub mod layout;
pub mod manifest;
pub mod split;
pub mod tables;

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::classes::{ClassIdx, ClassSet};

/// Part of a data set that an image belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Heads are fitted on it.
    Train,
    /// A head's strength is chosen on it, and it is judged on.
    Val,
    /// Judged on, never chosen on.
    Test,
}

/// Whether copies in these splits are a leak: one of them is judged on and the other is trained on, as images without a split
/// may be.
pub fn is_leak(a: Option<Split>, b: Option<Split>) -> bool {
    is_judged_on(a) != is_judged_on(b)
}

/// Whether images in this split are judged on rather than trained on.
pub fn is_judged_on(split: Option<Split>) -> bool {
    matches!(split, Some(Split::Val | Split::Test))
}

impl Split {
    /// The split that a folder or a table cell of this name means (`train`, `val`, `valid`, `validation`, `test`, …).
    pub fn from_name(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" | "validate" | "dev" => Some(Self::Val),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        }
    }
}

/// One image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Where the file is.
    pub path: PathBuf,
    /// Its class, if it has one.
    pub class: Option<ClassIdx>,
    /// The split that the layout puts it in, if the layout has splits.
    pub split: Option<Split>,
}

/// How the folder was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `root/CLASS/**/image`.
    ClassFolders,
    /// `root/SPLIT/CLASS/**/image`.
    SplitFolders,
    /// Images without class folders.
    Loose,
    /// Hugging Face's `metadata.csv` or `metadata.jsonl`.
    Metadata,
    /// A table of paths and labels.
    Csv,
}

/// What a folder, a table or a list of files holds. Samples are sorted by path, classes by name.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// How it was read.
    pub layout: Layout,
    /// Classes in their stable order.
    pub classes: ClassSet,
    /// Candidate images; that they decode is only known after embedding.
    pub samples: Vec<Sample>,
    /// Files left out so far.
    pub skipped: Vec<Skipped>,
    /// What the user should know about the whole (names that differ only in case, say).
    pub notes: Vec<String>,
}

/// A file that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The file.
    #[serde(serialize_with = "lossy_path")]
    pub path: PathBuf,
    /// Why.
    #[serde(serialize_with = "as_text")]
    pub reason: SkipReason,
}

/// Why a file was left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// Its content is no image format that Graft reads.
    #[error("not an image")]
    NotAnImage,
    /// No bytes.
    #[error("the file is empty")]
    Empty,
    /// It ends before the picture does.
    #[error("truncated: the file ends before the picture does")]
    Truncated,
    /// Over the limits, which are checked before decoding.
    #[error("too large: {width_px} x {height_px} px, the limit is {limit_mpx} megapixels")]
    TooLarge {
        /// Width in pixels.
        width_px: u32,
        /// Height in pixels.
        height_px: u32,
        /// The limit in megapixels.
        limit_mpx: u64,
    },
    /// The file is longer than Graft reads into memory.
    #[error("too large: {size_mb} MB on disk, the limit is {limit_mb} MB")]
    FileTooLarge {
        /// Size in megabytes.
        size_mb: u64,
        /// The limit in megabytes.
        limit_mb: u64,
    },
    /// A flavour of a known format that Graft does not read.
    #[error("unsupported: {message}")]
    Unsupported {
        /// Which.
        message: String,
    },
    /// Damaged.
    #[error("damaged: {message}")]
    Corrupt {
        /// What the decoder said.
        message: String,
    },
    /// The system refused to read it.
    #[error("unreadable: {message}")]
    Unreadable {
        /// What the system said.
        message: String,
    },
    /// A symbolic link that leads back to a folder above it.
    #[error("a symbolic link that leads back to a folder above it")]
    SymlinkLoop,
    /// A named pipe, a socket, a device or a folder: opening it might never return.
    #[error("not a regular file")]
    NotAFile,
    /// A folder beside those of the splits is neither a split nor a class.
    #[error("outside the train, val and test folders")]
    OutsideSplits,
    /// Named by a table, but not there.
    #[error("the table names it, but there is no such file")]
    Missing,
    /// A table that was found in a folder names a path outside that folder.
    #[error("the table names a path outside the data set's folder")]
    OutsideRoot,
    /// The same bytes as another image of the data set.
    #[error("duplicate of {}", .of.display())]
    DuplicateOf {
        /// The image that stays.
        of: PathBuf,
    },
    /// The same bytes under another class.
    #[error("the same picture as {} under another class, {class:?}", .of.display())]
    LabelConflict {
        /// The image that stays.
        of: PathBuf,
        /// The class that it stays with.
        class: String,
    },
    /// A validation image of a class that has no training image.
    #[error("its class {class:?} has no training images")]
    UnknownClass {
        /// The class's name.
        class: String,
    },
    /// An image in a folder that is called like no label.
    #[error("its folder {class:?} is called like no label")]
    NoLabel {
        /// The folder.
        class: String,
    },
    /// A copy of it cannot be written.
    #[error("could not be copied: {message}")]
    NotCopied {
        /// What the system said.
        message: String,
    },
    /// The backbone gave numbers that are not finite for it.
    #[error("the backbone's features for it are not finite numbers")]
    NotFinite,
}

impl Dataset {
    /// Number of samples of each class, in class order.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for class in self.samples.iter().filter_map(|s| s.class) {
            counts[class.as_usize()] += 1;
        }
        counts
    }
}

fn lossy_path<S: Serializer>(path: &Path, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&path.to_string_lossy())
}

fn as_text<S: Serializer>(reason: &SkipReason, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(reason)
}
