//! Importing a model: what belongs to it is copied into the user's models folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::WorkflowError;
use super::sort::folder_name;
use crate::backbone::library::{self, Installed};
use crate::backbone::locate::{self, ModelFiles};
use crate::backbone::{Backbone, BackboneError, towers};
use crate::onnx;
use crate::progress::{Reporter, Stage};
use crate::store::copy::copy_in_steps;
use crate::store::dirs;
use crate::store::file::StagedDir;

/// Files beside a model that say how its input is prepared and what it is called.
const CONFIGS: [&str; 4] = ["preprocessor_config.json", "preprocess_cfg.json", "open_clip_config.json", "config.json"];
/// Endings of other small files that belong to a model's folder: tokenizers, licences, notes.
const SIDE_ENDINGS: [&str; 6] = ["json", "txt", "model", "md", "yaml", "yml"];
/// A side file that is longer is something else.
const MAX_SIDE_BYTES: u64 = 64 << 20;

/// How a model is imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportConfig {
    /// Its name in the library; that of its folder or file without.
    pub name: Option<String>,
    /// It stays where it is, and the library only says where.
    pub in_place: bool,
}

/// Where a model has got to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The model in the library.
    pub installed: Installed,
    /// Whether the same graph and weights were there already.
    pub was_there: bool,
}

/// Copies the model at `path` (an ONNX file or a model's folder) into the user's models folder, or notes there where it
/// lies. A model whose graph and weights are installed already is not copied again.
///
/// Of a folder, the vision graph, the text graph beside it, their external data and the small files (preprocessing,
/// tokenizer, licence) are copied; of a lone file, itself, its external data and what it is prepared by.
///
/// # Errors
/// When it is no usable backbone, the folder cannot be written, or the user cancels; nothing is left behind then.
pub fn import_model(path: &Path, config: &ImportConfig, reporter: &dyn Reporter) -> Result<Imported, WorkflowError> {
    let models = dirs::user_models_dir().ok_or(WorkflowError::NoModelsDir)?;
    let mut all = dirs::model_dirs();
    if !all.contains(&models) {
        all.insert(0, models.clone());
    }
    import_into(path, config, &models, &all, reporter)
}

/// As [`import_model`], into `models`, with `all` the folders in which installed models are looked for.
///
/// # Errors
/// As there.
pub fn import_into(
    path: &Path,
    config: &ImportConfig,
    models: &Path,
    all: &[PathBuf],
    reporter: &dyn Reporter,
) -> Result<Imported, WorkflowError> {
    // What the copy is called and where it lies must not depend on the working directory.
    let path = &std::path::absolute(path).map_err(|source| WorkflowError::Read { path: path.to_owned(), source })?;
    reporter.progress(Stage::Copy, 0, 0);
    let files = locate::locate(path)?;
    let backbone = Backbone::open(path, None, |_| None)?;
    let installed = library::installed(all);
    if let Some(same) = find_same(&backbone, &installed, reporter) {
        return Ok(Imported { installed: same, was_there: true });
    }
    if reporter.cancelled() {
        return Err(WorkflowError::Cancelled);
    }
    backbone.check_features()?;
    let name = match &config.name {
        Some(name) => own_name(name, models, &installed)?,
        None => free_name(&files, models, &installed),
    };
    let target = models.join(&name);
    let failed = |source| WorkflowError::Write { path: target.clone(), source };
    let staged = StagedDir::new(&target).map_err(failed)?;
    if config.in_place {
        let link = serde_json::json!({ "path": path.to_string_lossy() });
        fs::write(staged.path().join(library::LINK), format!("{link:#}\n")).map_err(failed)?;
        staged.commit().map_err(failed)?;
        let installed = Installed { name, path: path.clone(), is_linked: true };
        return Ok(Imported { installed, was_there: false });
    }
    let plan = Plan::new(path, &files)?;
    plan.copy(staged.path(), reporter).map_err(|error| match error.kind() {
        ErrorKind::Interrupted => WorkflowError::Cancelled,
        _ => failed(error),
    })?;
    // The proof that everything that matters has come along.
    let copy = Backbone::open(staged.path(), None, |_| Some(backbone.space.dim))?;
    if copy.space != backbone.space {
        return Err(WorkflowError::ImportChanged { path: path.clone() });
    }
    if reporter.cancelled() {
        return Err(WorkflowError::Cancelled);
    }
    staged.commit().map_err(failed)?;
    Ok(Imported { installed: Installed { name, path: target, is_linked: false }, was_there: false })
}

/// The name that the user wants, where it can be a folder's and is free.
fn own_name(name: &str, models: &Path, installed: &[Installed]) -> Result<String, WorkflowError> {
    let name = name.trim();
    if name.is_empty() || folder_name(name) != name {
        return Err(WorkflowError::ModelName { name: name.to_owned(), why: "it cannot be the name of a folder" });
    }
    if models.join(name).symlink_metadata().is_ok() || installed.iter().any(|m| m.name == name) {
        return Err(WorkflowError::ModelName { name: name.to_owned(), why: "another model has it" });
    }
    Ok(name.to_owned())
}

/// The installed model with the same graph and weights.
fn find_same(backbone: &Backbone, installed: &[Installed], reporter: &dyn Reporter) -> Option<Installed> {
    let size = |path: &Path| fs::metadata(path).map(|m| m.len()).ok();
    let own_size = size(&backbone.manifest.path);
    let is_same = |model: &&Installed| {
        // Reading them all would take long: one of another size is another one.
        let same_size = locate::locate(&model.path).is_ok_and(|files| size(&files.onnx) == own_size);
        same_size
            && !reporter.cancelled()
            && Backbone::open(&model.path, None, |_| Some(backbone.space.dim))
                .is_ok_and(|other| other.manifest.id == backbone.manifest.id)
    };
    installed.iter().find(is_same).cloned()
}

/// A folder's name that neither a folder in `models` nor an installed model has.
fn free_name(files: &ModelFiles, models: &Path, installed: &[Installed]) -> String {
    let name = folder_name(&files.name.replace('/', "-"));
    let is_taken =
        |name: &String| models.join(name).symlink_metadata().is_ok() || installed.iter().any(|m| m.name == *name);
    let mut free = name.clone();
    for number in 2.. {
        if !is_taken(&free) {
            break;
        }
        free = format!("{name}-{number}");
    }
    free
}

/// Files to copy, by their place below the model's new folder.
struct Plan {
    files: BTreeMap<PathBuf, PathBuf>,
}

impl Plan {
    fn new(path: &Path, files: &ModelFiles) -> Result<Self, WorkflowError> {
        let mut plan = Self { files: BTreeMap::new() };
        if path.is_dir() {
            plan.add_graph(path, &files.onnx)?;
            for text in towers::text_graphs(&files.onnx).into_iter().take(1) {
                plan.add_graph(path, &text)?;
                plan.add_beside(path, text.parent(), is_side_file);
            }
            for dir in &files.side_dirs {
                plan.add_beside(path, Some(dir), is_side_file);
            }
        } else {
            let dir = path.parent().unwrap_or(Path::new("/"));
            plan.add_graph(dir, path)?;
            // All at one level: the nearest of each name is the one that counts.
            for dir in &files.side_dirs {
                for name in CONFIGS {
                    let config = dir.join(name);
                    if config.is_file() {
                        plan.files.entry(PathBuf::from(name)).or_insert(config);
                    }
                }
            }
        }
        Ok(plan)
    }

    /// A graph below `root` and the files that its tensors are stored in.
    fn add_graph(&mut self, root: &Path, graph: &Path) -> Result<(), WorkflowError> {
        let dir = graph.parent().unwrap_or(root);
        self.add(root, graph);
        for location in external_files(graph)? {
            let is_inside = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
            let location: PathBuf = PathBuf::from(location);
            if location.components().all(is_inside) {
                self.add(root, &dir.join(location.components().collect::<PathBuf>()));
            }
        }
        Ok(())
    }

    fn add_beside(&mut self, root: &Path, dir: Option<&Path>, wanted: impl Fn(&Path) -> bool) {
        let entries = dir.and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten();
        for path in entries.filter_map(|e| Some(e.ok()?.path())) {
            if wanted(&path) {
                self.add(root, &path);
            }
        }
    }

    fn add(&mut self, root: &Path, file: &Path) {
        if let Ok(below) = file.strip_prefix(root) {
            self.files.insert(below.to_owned(), file.to_owned());
        }
    }

    /// Progress is in megabytes.
    fn copy(&self, into: &Path, reporter: &dyn Reporter) -> std::io::Result<()> {
        let length = |path: &PathBuf| fs::metadata(path).map_or(0, |m| m.len());
        let total: u64 = self.files.values().map(length).sum();
        let in_mb = |bytes: u64| usize::try_from(bytes.div_ceil(1 << 20)).unwrap_or(usize::MAX);
        let mut n_bytes = 0;
        for (below, from) in &self.files {
            let to = into.join(below);
            if let Some(dir) = to.parent() {
                fs::create_dir_all(dir)?;
            }
            copy_in_steps(from, &to, |n| {
                n_bytes += n;
                reporter.progress(Stage::Copy, in_mb(n_bytes), in_mb(total));
                !reporter.cancelled()
            })?;
        }
        Ok(())
    }
}

/// Where the tensors of a graph are stored besides in its file.
fn external_files(graph: &Path) -> Result<BTreeSet<String>, WorkflowError> {
    let read = |source| BackboneError::Read { path: graph.to_owned(), source };
    let bytes = fs::read(graph).map_err(read)?;
    let mut model = onnx::parse(bytes).map_err(|source| BackboneError::Onnx { path: graph.to_owned(), source })?;
    Ok(onnx::external_locations(&mut model))
}

/// A small file that belongs to a model: settings, tokenizer, licence.
fn is_side_file(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let is_legal = ["license", "licence", "notice"].iter().any(|word| name.starts_with(word));
    let is_hidden = name.starts_with('.');
    (is_legal || SIDE_ENDINGS.contains(&ending.as_str()))
        && !is_hidden
        && fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= MAX_SIDE_BYTES)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::progress::Silent;

    const ONNX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/onnx");

    fn import(path: &Path, models: &Path) -> Result<Installed, WorkflowError> {
        import_as(path, models, &ImportConfig::default())
    }

    fn import_as(path: &Path, models: &Path, config: &ImportConfig) -> Result<Installed, WorkflowError> {
        import_into(path, config, models, &[models.to_owned()], &Silent::default()).map(|i| i.installed)
    }

    fn below(dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            match path.is_dir() {
                true => found.extend(below(&path).into_iter().map(|below| format!("{name}/{below}"))),
                false => found.push(name),
            }
        }
        found.sort();
        found
    }

    fn space(path: &Path) -> crate::embedding::EmbeddingSpace {
        Backbone::open(path, None, |_| None).unwrap().space
    }

    #[test]
    fn a_folder_is_imported_with_what_belongs_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let (models, clip) = (dir.path().join("models"), dir.path().join("clip"));
        fs::create_dir_all(clip.join("onnx")).unwrap();
        fs::copy(Path::new(ONNX).join("tiny_cnn/model.onnx"), clip.join("onnx/vision_model.onnx")).unwrap();
        let config = "preprocessor_config.json";
        fs::copy(Path::new(ONNX).join("tiny_cnn").join(config), clip.join(config)).unwrap();
        fs::copy(Path::new(ONNX).join("tiny_external.onnx"), clip.join("onnx/text_model.onnx")).unwrap();
        fs::copy(Path::new(ONNX).join("tiny_external.onnx_data"), clip.join("onnx/tiny_external.onnx_data")).unwrap();
        for name in
            ["tokenizer.json", "merges.txt", "LICENSE", ".hidden.json", "cat.png", "onnx/vision_model_int8.onnx"]
        {
            fs::write(clip.join(name), b"{}").unwrap();
        }
        let installed = import(&clip, &models).unwrap();
        assert_eq!(installed, Installed { name: "clip".into(), path: models.join("clip"), is_linked: false });
        assert_eq!(
            below(&models),
            [
                "clip/LICENSE",
                "clip/merges.txt",
                "clip/onnx/text_model.onnx",
                "clip/onnx/tiny_external.onnx_data",
                "clip/onnx/vision_model.onnx",
                "clip/preprocessor_config.json",
                "clip/tokenizer.json"
            ]
        );
        assert_eq!(space(&installed.path), space(&clip));
        assert_eq!(library::installed(std::slice::from_ref(&models)), vec![installed.clone()]);
        assert_eq!(import(&clip, &models).unwrap(), installed, "once is enough");
        assert_eq!(import(&installed.path, &models).unwrap(), installed);
        assert_eq!(fs::read_dir(&models).unwrap().count(), 1);
    }

    #[test]
    fn a_lone_file_comes_with_its_data_under_a_free_name() {
        let dir = tempfile::tempdir().unwrap();
        let models = dir.path().join("models");
        fs::create_dir_all(models.join("tiny_external")).unwrap();
        let path = Path::new(ONNX).join("tiny_external.onnx");
        let installed = import(&path, &models).unwrap();
        assert_eq!(installed.name, "tiny_external-2");
        assert_eq!(below(&models), ["tiny_external-2/tiny_external.onnx", "tiny_external-2/tiny_external.onnx_data"]);
        assert_eq!(space(&installed.path), space(&path));
        assert_eq!(import(&path, &models).unwrap(), installed);

        // With the file that says how its input is prepared, since that is how it was shown.
        let alone = Path::new(ONNX).join("tiny_cnn/model.onnx");
        let installed = import(&alone, &models).unwrap();
        assert_eq!(below(&installed.path), ["model.onnx", "preprocessor_config.json"]);
        assert_eq!((installed.name.as_str(), space(&installed.path)), ("tiny_cnn-model", space(&alone)));
    }

    #[test]
    fn a_model_has_the_name_that_is_wanted_and_may_stay_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let models = dir.path().join("models");
        let tiny = Path::new(ONNX).join("tiny_cnn");
        let config = ImportConfig { name: Some("mine".into()), in_place: true };
        let installed = import_as(&tiny, &models, &config).unwrap();
        assert_eq!((installed.name.as_str(), installed.path.as_path()), ("mine", tiny.as_path()));
        assert_eq!(below(&models), ["mine/graft-link.json"]);
        assert_eq!(library::installed(std::slice::from_ref(&models)), vec![installed.clone()]);
        assert_eq!(library::find(Some("mine"), std::slice::from_ref(&models)).unwrap(), tiny);
        assert_eq!(import(&tiny, &models).unwrap(), installed, "it is there already");
        let other = Path::new(ONNX).join("tiny_external.onnx");
        for name in ["mine", "a/b", "..", ""] {
            let config = ImportConfig { name: Some(name.into()), in_place: false };
            let error = import_as(&other, &models, &config).unwrap_err();
            assert!(matches!(error, WorkflowError::ModelName { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn what_is_no_backbone_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let models = dir.path().join("models");
        let not = import(&Path::new(ONNX).join("not_image.onnx"), &models).unwrap_err();
        assert!(matches!(not, WorkflowError::Backbone(BackboneError::NoImageInput { .. })), "{not}");
        fs::write(dir.path().join("x.onnx"), b"no model").unwrap();
        let not = import(&dir.path().join("x.onnx"), &models).unwrap_err();
        assert!(matches!(not, WorkflowError::Backbone(BackboneError::Onnx { .. })), "{not}");
        let cancelled = Silent::default();
        cancelled.cancel_token().cancel();
        let tiny = Path::new(ONNX).join("tiny_cnn");
        let error = import_into(&tiny, &ImportConfig::default(), &models, &[], &cancelled).unwrap_err();
        assert!(matches!(error, WorkflowError::Cancelled), "{error}");
        assert!(!models.exists());
    }

    /// Cancels when the copy has begun.
    #[derive(Default)]
    struct CancelWhileCopying(Silent);

    impl Reporter for CancelWhileCopying {
        fn progress(&self, stage: Stage, n_done: usize, _: usize) {
            assert_eq!(stage, Stage::Copy);
            if n_done > 0 {
                self.0.cancel_token().cancel();
            }
        }
        fn warn(&self, message: &str) {
            panic!("{message}");
        }
        fn cancel_token(&self) -> &crate::progress::CancelToken {
            self.0.cancel_token()
        }
    }

    #[test]
    fn a_cancelled_copy_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let models = dir.path().join("models");
        let tiny = Path::new(ONNX).join("tiny_cnn");
        let error =
            import_into(&tiny, &ImportConfig::default(), &models, &[], &CancelWhileCopying::default()).unwrap_err();
        assert!(matches!(error, WorkflowError::Cancelled), "{error}");
        assert!(!models.exists());
    }
}
