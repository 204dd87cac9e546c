//! What is said about files, folders and models on the disk.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::ModelChoice;
use crate::backbone::layers::Layer;
use crate::backbone::library::Installed;
use crate::backbone::manifest::Manifest;
use crate::dataset::Split;
use crate::project::RootId;

/// Looking at files and models.
#[derive(Clone, Debug)]
pub enum FilesRequest {
    /// What dropping these would be; a quick look that opens no image.
    Peek(Vec<PathBuf>),
    /// What these are, entirely.
    Scan(Vec<PathBuf>),
    /// The sample images.
    ScanSample,
    /// Whether a folder that is gone is at `candidate` now, or near it.
    FindRoot {
        /// Which.
        root: RootId,
        /// Where it was.
        was: PathBuf,
        /// Where the user says it is.
        candidate: PathBuf,
        /// Some of its images, relative to it.
        samples: Vec<PathBuf>,
    },
    /// The installed models.
    ListModels,
    /// One model in detail, with its layers.
    Inspect(ModelChoice),
    /// Copies a model to the user's own.
    Import {
        /// The file or folder.
        path: PathBuf,
        /// It stays where it is.
        in_place: bool,
    },
    /// Loads ONNX Runtime.
    LoadRuntime {
        /// The library that the user chose.
        chosen: Option<PathBuf>,
        /// The card that models run on.
        device: u32,
    },
    /// Chooses the card that models run on.
    SetDevice(u32),
}

/// What dropped or named paths are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropKind {
    /// A project file.
    Project,
    /// An ONNX file or a model's folder.
    Model,
    /// Images, folders of images, tables of images.
    Images {
        /// Class folders or a table with labels.
        n_classes: usize,
        /// Whether there are train, val or test folders.
        has_splits: bool,
        /// Images seen so far; a lower bound.
        n_images: usize,
    },
    /// Nothing that Graft knows.
    Unknown,
}

/// A quick look at dropped paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peek {
    /// The paths that were asked about.
    pub paths: Vec<PathBuf>,
    /// What they are.
    pub kind: DropKind,
    /// Names of the first classes.
    pub class_names: Vec<String>,
}

/// What dropped paths hold.
#[derive(Clone, Debug)]
pub enum Scanned {
    /// A project file.
    Project(PathBuf),
    /// A model.
    Model(PathBuf),
    /// Folders and tables of images; loose files together.
    Images(Vec<NewFolder>),
    /// Nothing that Graft knows.
    Unknown(Vec<PathBuf>),
}

/// Images of a folder, ready to become part of a project.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFolder {
    /// The folder that they are below.
    pub root: PathBuf,
    /// Names that [`NewImage::class`] counts.
    pub class_names: Vec<String>,
    /// The images, sorted by path.
    pub images: Vec<NewImage>,
    /// What the user should know about the whole.
    pub notes: Vec<String>,
}

/// An image of a [`NewFolder`].
#[derive(Clone, Debug, PartialEq)]
pub struct NewImage {
    /// Its path in the folder.
    pub rel: PathBuf,
    /// Digest of its whole path (see [`path_key`]).
    pub key: u64,
    /// Its class, as an index into the folder's names.
    pub class: Option<u32>,
    /// The split that the layout puts it in.
    pub split: Option<Split>,
    /// Why it cannot be used.
    pub skipped: Option<String>,
}

/// A digest of a path, to see which files a project already has.
pub fn path_key(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// A model on its card.
#[derive(Clone, Debug)]
pub struct ModelCard {
    /// Name and path.
    pub installed: Installed,
    /// What it is, or why it cannot be used.
    pub manifest: Result<Box<Manifest>, String>,
    /// Width of its embeddings.
    pub dim: Option<usize>,
    /// Whether it is one of the user's own, rather than shipped.
    pub is_imported: bool,
}

/// A model in detail.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// What was asked for.
    pub choice: ModelChoice,
    /// What it is.
    pub manifest: Box<Manifest>,
    /// Width of its embeddings.
    pub dim: usize,
    /// The layer in use.
    pub layer: String,
    /// Layers that can serve as features, or why they are not known.
    pub layers: Result<Vec<Layer>, String>,
    /// Multiplications (with an addition each) for one image, where they could be counted.
    pub macs: Option<u64>,
}
