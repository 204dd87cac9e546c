//! The lane that looks at files and models.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lane::{JobReporter, Work};
use super::models::OpenModels;
use super::protocol::{
    DropKind, FilesRequest, Inspected, JobError, JobOutput, JobRequest, ModelCard, ModelChoice, NewFolder, NewImage,
    Peek, Scanned, path_key,
};
use crate::backbone::{library, locate, runtime, session};
use crate::classes::ClassSet;
use crate::dataset::layout::{has_image_extension, is_litter};
use crate::dataset::{Dataset, Layout, Sample, Split};
use crate::progress::Reporter;
use crate::store::dirs;
use crate::workflow::WorkflowError;
use crate::workflow::import::{ImportConfig, import_model};
use crate::workflow::models::{open_cache, open_path};
use crate::workflow::scan::scan;

pub(super) fn worker(models: Arc<OpenModels>) -> Work {
    Box::new(move |request, reporter| match request {
        JobRequest::Files(FilesRequest::Peek(paths)) => Ok(JobOutput::Peeked(peek(paths))),
        JobRequest::Files(FilesRequest::Scan(paths)) => scan_all(paths, reporter).map(JobOutput::Scanned),
        JobRequest::Files(FilesRequest::ScanSample) => {
            let dir = dirs::sample_dir().ok_or(WorkflowError::NoSample)?;
            scan_all(vec![dir], reporter).map(JobOutput::Scanned)
        }
        JobRequest::Files(FilesRequest::FindRoot { root, was, candidate, samples }) => {
            Ok(JobOutput::FoundRoot { root, path: find_root(&was, &candidate, &samples) })
        }
        JobRequest::Files(FilesRequest::ListModels) => Ok(JobOutput::Models(list_models(reporter)?)),
        JobRequest::Files(FilesRequest::Inspect(choice)) => inspect(&models, choice, reporter),
        JobRequest::Files(FilesRequest::Import { path, in_place }) => {
            let config = ImportConfig { name: None, in_place };
            let imported = import_model(&path, &config, reporter)?;
            models.forget();
            Ok(JobOutput::Imported(imported))
        }
        JobRequest::Files(FilesRequest::LoadRuntime { chosen, device }) => {
            session::set_device(device);
            match runtime::ensure_loaded(chosen.as_deref()) {
                Ok(runtime) => Ok(JobOutput::Runtime { path: runtime.path.clone(), version: runtime.version.clone() }),
                Err(error) => Err(JobError::RuntimeMissing { details: error.to_string() }),
            }
        }
        JobRequest::Files(FilesRequest::SetDevice(device)) => {
            session::set_device(device);
            Ok(JobOutput::Done)
        }
        _ => Ok(JobOutput::Done),
    })
}

/// Extension of project files.
pub(crate) const PROJECT_EXTENSION: &str = "graft";

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension))
}

/// A peek looks at so many entries, and for so long, at most.
const PEEK_ENTRIES: usize = 5000;
const PEEK_TIME: Duration = Duration::from_millis(150);
/// Names of classes that a peek returns.
const PEEK_NAMES: usize = 6;

fn peek(paths: Vec<PathBuf>) -> Peek {
    let mut glance = Glance::new(Instant::now() + PEEK_TIME);
    let kind = match special(&paths) {
        Some(Scanned::Project(_)) => DropKind::Project,
        Some(Scanned::Model(_)) => DropKind::Model,
        _ => {
            let several = paths.iter().filter(|p| p.is_dir()).count() > 1;
            for path in &paths {
                glance.path(path, several);
            }
            if glance.n_images == 0 && glance.n_tables == 0 {
                DropKind::Unknown
            } else {
                DropKind::Images {
                    n_classes: glance.class_names.len(),
                    has_splits: glance.has_splits,
                    n_images: glance.n_images,
                }
            }
        }
    };
    glance.class_names.sort();
    glance.class_names.truncate(PEEK_NAMES);
    Peek { paths, kind, class_names: glance.class_names }
}

/// A project or a model among dropped paths; `None` when they are to be read as images.
fn special(paths: &[PathBuf]) -> Option<Scanned> {
    if let Some(path) = paths.iter().find(|p| has_extension(p, PROJECT_EXTENSION) && p.is_file()) {
        return Some(Scanned::Project(path.clone()));
    }
    let [path] = paths else { return None };
    let is_model = if path.is_dir() { is_model_folder(path) } else { has_extension(path, "onnx") };
    is_model.then(|| Scanned::Model(path.clone()))
}

/// Whether a folder holds a model and no images.
fn is_model_folder(path: &Path) -> bool {
    let has_images = entries(path).any(|p| has_image_extension(&p));
    !has_images && locate::locate(path).is_ok()
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.file_name().is_some_and(|n| !is_litter(&n.to_string_lossy())))
        .take(PEEK_ENTRIES)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What a quick look has found so far.
struct Glance {
    deadline: Instant,
    n_seen: usize,
    n_images: usize,
    n_tables: usize,
    has_splits: bool,
    class_names: Vec<String>,
}

impl Glance {
    fn new(deadline: Instant) -> Self {
        Self { deadline, n_seen: 0, n_images: 0, n_tables: 0, has_splits: false, class_names: Vec::new() }
    }

    fn is_over(&self) -> bool {
        self.n_seen >= PEEK_ENTRIES || Instant::now() >= self.deadline
    }

    /// A dropped path; `is_class` when several folders come together, each a class.
    fn path(&mut self, path: &Path, is_class: bool) {
        if self.is_over() {
            return;
        }
        if !path.is_dir() {
            self.file(path);
        } else if is_class && Split::from_name(&name_of(path)).is_none() {
            self.class(path);
        } else {
            self.folder(path);
        }
    }

    fn file(&mut self, path: &Path) {
        self.n_seen += 1;
        self.n_images += usize::from(has_image_extension(path));
        self.n_tables += usize::from(["csv", "tsv", "jsonl"].iter().any(|e| has_extension(path, e)));
    }

    /// A folder of classes, of splits, or of loose images.
    fn folder(&mut self, path: &Path) {
        for entry in entries(path) {
            if self.is_over() {
                return;
            }
            if !entry.is_dir() {
                self.file(&entry);
            } else if Split::from_name(&name_of(&entry)).is_some() {
                self.has_splits = true;
                for class in entries(&entry).filter(|p| p.is_dir()) {
                    self.class(&class);
                }
            } else {
                self.class(&entry);
            }
        }
    }

    fn class(&mut self, path: &Path) {
        let before = self.n_images;
        for entry in entries(path) {
            if self.is_over() {
                break;
            }
            self.file(&entry);
        }
        let name = name_of(path);
        if self.n_images > before && !self.class_names.contains(&name) {
            self.class_names.push(name);
        }
    }
}

fn scan_all(paths: Vec<PathBuf>, reporter: &JobReporter) -> Result<Scanned, JobError> {
    // A link that leads nowhere is there, and told of as such.
    if let Some(first) = paths.first()
        && paths.iter().all(|path| path.symlink_metadata().is_err())
    {
        return Err(JobError::failed(format!("{} is not there: check its spelling and its disk.", first.display())));
    }
    if let Some(special) = special(&paths) {
        return Ok(special);
    }
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = paths.into_iter().partition(|p| p.is_dir());
    let mut found = Vec::new();
    let several = folders.len() > 1;
    for folder in folders {
        let mut dataset = scan(&folder, reporter)?;
        let root = if several { name_after_folder(&mut dataset, &folder) } else { folder };
        found.push((root, dataset));
    }
    let mut loose = Vec::new();
    let mut unknown = Vec::new();
    for file in files {
        let mut dataset = match scan(&file, reporter) {
            Ok(dataset) => dataset,
            Err(WorkflowError::Cancelled) => return Err(JobError::Cancelled),
            // Of many files one that cannot be read is no reason to stop.
            Err(error) => {
                tracing::info!(%error, "a dropped file is left out");
                unknown.push(file);
                continue;
            }
        };
        if dataset.layout == Layout::Loose {
            if dataset.samples.iter().all(|s| has_image_extension(&s.path) || is_image(&s.path)) {
                loose.append(&mut dataset.samples);
            } else {
                unknown.push(file);
            }
        } else {
            found.push((file.parent().map(Path::to_owned).unwrap_or_default(), dataset));
        }
    }
    if !loose.is_empty() {
        let root = common_parent(&loose);
        let dataset = Dataset {
            layout: Layout::Loose,
            classes: ClassSet::default(),
            samples: loose,
            skipped: Vec::new(),
            notes: Vec::new(),
        };
        found.push((root, dataset));
    }
    if found.iter().all(|(_, d)| d.samples.is_empty()) {
        unknown.extend(found.into_iter().map(|(root, _)| root));
        return Ok(Scanned::Unknown(unknown));
    }
    Ok(Scanned::Images(found.into_iter().map(|(root, dataset)| new_folder(root, dataset)).collect()))
}

/// Files that a folder holds and that are no images are listed up to this number; they may be a whole system's.
const MAX_LISTED_SKIPS: usize = 10_000;

fn new_folder(root: PathBuf, dataset: Dataset) -> NewFolder {
    let Dataset { classes, samples, skipped, notes, .. } = dataset;
    let rel = |path: &Path| path.strip_prefix(&root).unwrap_or(path).to_owned();
    let usable = samples.into_iter().map(|s| NewImage {
        rel: rel(&s.path),
        key: path_key(&s.path),
        class: s.class.map(|c| c.0),
        split: s.split,
        skipped: None,
    });
    let unusable = skipped.into_iter().take(MAX_LISTED_SKIPS).map(|s| NewImage {
        rel: rel(&s.path),
        key: path_key(&s.path),
        class: None,
        split: None,
        skipped: Some(s.reason.to_string()),
    });
    let images = usable.chain(unusable).collect();
    NewFolder { images, class_names: classes.names().to_vec(), notes, root }
}

/// The folder that holds most of the `samples`: the one that was named, one in it, or one above it.
fn find_root(was: &Path, candidate: &Path, samples: &[PathBuf]) -> Option<PathBuf> {
    let mut places = vec![candidate.to_owned()];
    places.extend(was.file_name().map(|name| candidate.join(name)));
    places.extend(candidate.ancestors().skip(1).take(3).map(Path::to_owned));
    places.extend(entries(candidate).filter(|p| p.is_dir()).take(200));
    let n_there = |place: &PathBuf| samples.iter().filter(|rel| place.join(rel).is_file()).count();
    // The first of equally good places: the nearest to what was named.
    let best = places.into_iter().rev().max_by_key(n_there)?;
    (2 * n_there(&best) > samples.len()).then_some(best)
}

/// Whether the first bytes are an image's.
fn is_image(path: &Path) -> bool {
    use std::io::Read;
    let mut bytes = Vec::with_capacity(64);
    let read = fs::File::open(path).and_then(|f| f.take(64).read_to_end(&mut bytes));
    read.is_ok() && crate::image::decode::is_image(&bytes)
}

/// Of several folders that come together each is a class, or a split: returns the folder that both are below.
fn name_after_folder(dataset: &mut Dataset, folder: &Path) -> PathBuf {
    let name = name_of(folder);
    if dataset.classes.is_empty() {
        let class = dataset.classes.insert(name);
        dataset.samples.iter_mut().for_each(|s| s.class = Some(class));
    } else if let Some(split) = Split::from_name(&name) {
        dataset.samples.iter_mut().for_each(|s| s.split = s.split.or(Some(split)));
    }
    folder.parent().map_or_else(|| folder.to_owned(), Path::to_owned)
}

/// The folder that all samples are below.
fn common_parent(samples: &[Sample]) -> PathBuf {
    let mut parents = samples.iter().filter_map(|s| s.path.parent());
    let mut common = parents.next().unwrap_or(Path::new("")).to_owned();
    for parent in parents {
        while !parent.starts_with(&common) && common.pop() {}
    }
    common
}

fn list_models(reporter: &JobReporter) -> Result<Vec<ModelCard>, JobError> {
    let cache = open_cache(reporter);
    let user = dirs::user_models_dir();
    let mut cards = Vec::new();
    for installed in library::installed(&dirs::model_dirs()) {
        if reporter.cancelled() {
            return Err(JobError::Cancelled);
        }
        let is_imported = installed.is_linked || user.as_ref().is_some_and(|dir| installed.path.starts_with(dir));
        let (manifest, dim) = match open_path(&installed.path, None, &cache) {
            Ok(backbone) => (Ok(Box::new(backbone.manifest)), Some(backbone.space.dim)),
            Err(error) => (Err(error.to_string()), None),
        };
        cards.push(ModelCard { installed, manifest, dim, is_imported });
    }
    Ok(cards)
}

fn inspect(models: &OpenModels, choice: ModelChoice, reporter: &JobReporter) -> Result<JobOutput, JobError> {
    let cache = open_cache(reporter);
    let backbone = models.open(&choice, &cache)?;
    let survey = backbone.survey(reporter.cancel_token());
    if reporter.cancelled() {
        return Err(JobError::Cancelled);
    }
    Ok(JobOutput::Inspected(Box::new(Inspected {
        choice,
        manifest: Box::new(backbone.manifest.clone()),
        dim: backbone.space.dim,
        layer: backbone.space.layer.clone(),
        macs: survey.as_ref().ok().and_then(|survey| survey.macs),
        layers: survey.map(|survey| survey.layers).map_err(|e| e.to_string()),
    })))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for rel in files {
            let path = dir.path().join(rel);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").unwrap();
        }
        dir
    }

    fn kind(dir: &Path, rel: &[&str]) -> DropKind {
        peek(rel.iter().map(|r| dir.join(r)).collect()).kind
    }

    #[test]
    fn a_peek_says_what_a_drop_would_be() {
        let dir = folder(&[
            "set/ant/1.png",
            "set/ant/2.png",
            "set/bee/3.png",
            "split/train/a/1.png",
            "split/val/a/2.png",
            "loose/1.png",
            "loose/notes.txt",
            "x.graft",
            "m.onnx",
            "empty/readme.md",
        ]);
        let images = |n_classes, has_splits, n_images| DropKind::Images { n_classes, has_splits, n_images };
        assert_eq!(kind(dir.path(), &["set"]), images(2, false, 3));
        assert_eq!(kind(dir.path(), &["set/ant", "set/bee"]), images(2, false, 3));
        assert_eq!(kind(dir.path(), &["split"]), images(1, true, 2));
        assert_eq!(kind(dir.path(), &["loose"]), images(0, false, 1));
        assert_eq!(kind(dir.path(), &["loose/1.png", "set/ant/1.png"]), images(0, false, 2));
        assert_eq!(kind(dir.path(), &["x.graft"]), DropKind::Project);
        assert_eq!(kind(dir.path(), &["m.onnx"]), DropKind::Model);
        assert_eq!(kind(dir.path(), &["empty"]), DropKind::Unknown);
        assert_eq!(kind(dir.path(), &["nothing there"]), DropKind::Unknown);
    }

    #[test]
    fn loose_files_share_the_folder_that_they_are_below() {
        let sample = |p: &str| Sample { path: p.into(), class: None, split: None };
        assert_eq!(common_parent(&[sample("/a/b/1"), sample("/a/c/2")]), Path::new("/a"));
        assert_eq!(common_parent(&[sample("/a/b/1")]), Path::new("/a/b"));
    }
}
