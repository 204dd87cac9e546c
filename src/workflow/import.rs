//! Importing a model: what belongs to it is copied into the user's models folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::WorkflowError;
use super::sort::folder_name;
use crate::backbone::library::{self, Installed, LinkState};
use crate::backbone::locate::{self, ModelFiles};
use crate::backbone::manifest::FeatureChoice;
use crate::backbone::{Backbone, BackboneError, towers};
use crate::onnx;
use crate::progress::{Reporter, Stage};
use crate::store::copy::copy_in_steps;
use crate::store::dirs;
use crate::store::file::StagedDir;

/// Files beside a model that say how its input is prepared and what it is called.
const CONFIGS: [&str; 4] = ["preprocessor_config.json", "preprocess_cfg.json", "open_clip_config.json", "config.json"];
/// Files beside a text tower that say how texts become tokens and what scores mean.
const TEXT_FILES: [&str; 8] = [
    "tokenizer.json",
    "merges.txt",
    "vocab.json",
    "vocab.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "config.json",
    "open_clip_config.json",
];
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
    /// Whether the same model was there already, as it was asked for.
    pub was_there: bool,
}

/// Copies the model at `path` (an ONNX file or a model's folder) into the user's models folder, or notes there where it
/// lies. A model that is installed already, with the same graph, weights, preprocessing and files for texts, is not
/// installed again, unless under another name or in another way (copied, in place). The name of a model that was used in
/// place and is gone can be given to another.
///
/// Of a folder, the vision graph, the text graph beside it, their external data and the small files (preprocessing,
/// tokenizer, licence) are copied; of a lone file, itself, its external data and what it is prepared by. The subfolder
/// `onnx` of such a folder stands for the whole.
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
    let path = &locate::model_folder(path);
    if config.in_place && path.to_str().is_none() {
        return Err(WorkflowError::PathNotText { path: path.clone() });
    }
    reporter.progress(Stage::Copy, 0, 0);
    let files = locate::locate(path)?;
    let backbone = Backbone::open(path, None, |_| None)?;
    let plan = || Plan::new(path, &files);
    let installed = library::installed(all);
    let is_wanted = |model: &Installed| {
        model.is_linked == config.in_place && config.name.as_ref().is_none_or(|name| model.name == name.trim())
    };
    if let Some(same) = find_same(&backbone, plan, &installed, is_wanted, reporter)? {
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
    plan()?.copy(staged.path(), reporter).map_err(|error| match error.kind() {
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
    // Who gives the name of a model that is gone means that one.
    if !is_free(name, models, installed, &[LinkState::Gone, LinkState::Broken]) {
        return Err(WorkflowError::ModelName { name: name.to_owned(), why: "another model has it" });
    }
    Ok(name.to_owned())
}

/// Whether neither a folder in `models` nor an installed model has a name, but for a link in one of these states.
fn is_free(name: &str, models: &Path, installed: &[Installed], replaces: &[LinkState]) -> bool {
    let folder = models.join(name);
    let is_alone = || fs::read_dir(&folder).is_ok_and(|entries| entries.count() == 1);
    let replaced = library::link(&folder).filter(|link| replaces.contains(&link.state) && is_alone());
    (replaced.is_some() || folder.symlink_metadata().is_err())
        && !installed.iter().any(|m| m.name == name && replaced.as_ref().is_none_or(|link| link.installed != *m))
}

/// The installed model that `is_wanted` and has the same graph and weights, is prepared in the same way and, where it has a
/// text tower, reads the same texts.
fn find_same(
    backbone: &Backbone,
    plan: impl Fn() -> Result<Plan, WorkflowError>,
    installed: &[Installed],
    is_wanted: impl Fn(&Installed) -> bool,
    reporter: &dyn Reporter,
) -> Result<Option<Installed>, WorkflowError> {
    let size = |path: &Path| fs::metadata(path).map(|m| m.len()).ok();
    let own_size = size(&backbone.manifest.path);
    // As it lies there, and as a copy of it has it: of a lone file, not everything that lies beside it comes along.
    let mut own: Option<[Option<TextIdentity>; 2]> = None;
    for model in installed.iter().filter(|m| is_wanted(m)) {
        // Reading them all would take long: one of another size is another one.
        let same_size = locate::locate(&model.path).is_ok_and(|files| size(&files.onnx) == own_size);
        if !same_size || reporter.cancelled() {
            continue;
        }
        let Ok(other) = Backbone::open(&model.path, None, |_| Some(backbone.space.dim)) else { continue };
        if other.space != backbone.space {
            continue;
        }
        let own = match &own {
            Some(own) => own,
            None if backbone.manifest.text.is_none() => own.insert([None, None]),
            None => {
                let plan = plan()?;
                let copied = |path: &Path| plan.files.values().any(|file| file == path);
                own.insert([TextIdentity::new(backbone, |_| true)?, TextIdentity::new(backbone, copied)?])
            }
        };
        if TextIdentity::new(&other, |_| true).is_ok_and(|other| own.contains(&other)) {
            return Ok(Some(model.clone()));
        }
    }
    Ok(None)
}

/// What a model makes of texts, and what of its images they are compared with.
#[derive(Debug, PartialEq, Eq)]
struct TextIdentity {
    is_joint: bool,
    /// The image's vector in the space of texts.
    image: Option<FeatureChoice>,
    /// Hashes of the graph and of the files that its weights are stored in; none where the image's is the same graph.
    graph: Vec<blake3::Hash>,
    /// Name and hash of the files beside it, nearest first.
    side_files: Vec<(&'static str, blake3::Hash)>,
}

impl TextIdentity {
    /// That of a backbone's text tower, where it has one, in as far as its files are `counted`.
    fn new(backbone: &Backbone, counted: impl Fn(&Path) -> bool) -> Result<Option<Self>, WorkflowError> {
        let Some(text) = backbone.manifest.text.as_ref().filter(|text| counted(&text.onnx)) else { return Ok(None) };
        let mut graph = Vec::new();
        if !text.is_joint {
            let dir = text.onnx.parent().unwrap_or(Path::new(""));
            graph.push(hash(&text.onnx)?);
            for file in external_files(&text.onnx)? {
                graph.push(hash(&dir.join(file))?);
            }
        }
        let mut side_files = Vec::new();
        for name in TEXT_FILES {
            for file in text.side_dirs.iter().map(|dir| dir.join(name)).filter(|file| file.is_file() && counted(file)) {
                side_files.push((name, hash(&file)?));
            }
        }
        let image = backbone.manifest.joint.as_ref().map(|joint| joint.value.clone());
        Ok(Some(Self { is_joint: text.is_joint, image, graph, side_files }))
    }
}

fn hash(path: &Path) -> Result<blake3::Hash, WorkflowError> {
    let mut hasher = blake3::Hasher::new();
    fs::File::open(path)
        .and_then(|file| hasher.update_reader(file).map(|hasher| hasher.finalize()))
        .map_err(|source| WorkflowError::Read { path: path.to_owned(), source })
}

/// A folder's name that neither a folder in `models` nor an installed model has.
fn free_name(files: &ModelFiles, models: &Path, installed: &[Installed]) -> String {
    let name = folder_name(&files.name.replace('/', "-"));
    let mut free = name.clone();
    for number in 2.. {
        // A model that is gone may come back with its disk; a link that says nothing cannot.
        if is_free(&free, models, installed, &[LinkState::Broken]) {
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
        for file in external_files(graph)? {
            // What a link in the model's folder has from elsewhere is no weights, and must not become them by a copy.
            if onnx::external::is_beside(graph, &dir.join(&file)) {
                self.add(root, &dir.join(file));
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

/// Where the tensors of a graph are stored besides in its file, relative to its folder.
fn external_files(graph: &Path) -> Result<BTreeSet<PathBuf>, WorkflowError> {
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
        let in_place = ImportConfig { name: None, in_place: true };
        assert_eq!(import_as(&tiny, &models, &in_place).unwrap(), installed, "it is there already");
        let other = Path::new(ONNX).join("tiny_external.onnx");
        for name in ["mine", "a/b", "..", ""] {
            let config = ImportConfig { name: Some(name.into()), in_place: false };
            let error = import_as(&other, &models, &config).unwrap_err();
            assert!(matches!(error, WorkflowError::ModelName { .. }), "{name}: {error}");
        }
    }

    fn named(name: Option<&str>, in_place: bool) -> ImportConfig {
        ImportConfig { name: name.map(str::to_owned), in_place }
    }

    /// A copy of the tiny model's folder, and the change of a file in it.
    fn tiny_in(dir: &Path) -> PathBuf {
        let own = dir.join("d2");
        fs::create_dir_all(&own).unwrap();
        for entry in fs::read_dir(Path::new(ONNX).join("tiny_cnn")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, own.join(path.file_name().unwrap())).unwrap();
        }
        own
    }

    #[test]
    fn what_is_asked_for_anew_is_installed_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (models, source) = (dir.path().join("models"), tiny_in(dir.path()));
        let import = |config: &ImportConfig| {
            let done =
                import_into(&source, config, &models, std::slice::from_ref(&models), &Silent::default()).unwrap();
            (done.installed.name, done.installed.is_linked, done.was_there)
        };
        let done = |name: &str, is_linked, was_there| (name.to_owned(), is_linked, was_there);
        assert_eq!(import(&named(Some("mine"), false)), done("mine", false, false));
        assert_eq!(import(&named(None, false)), done("mine", false, true));
        assert_eq!(import(&named(Some("mine"), false)), done("mine", false, true));
        assert_eq!(import(&named(Some("mine2"), false)), done("mine2", false, false), "another name");
        assert_eq!(import(&named(None, true)), done("d2", true, false), "in place where there are copies");
        assert_eq!(import(&named(None, true)), done("d2", true, true));
        let error = import_as(&source, &models, &named(Some("mine"), true)).unwrap_err();
        assert!(matches!(error, WorkflowError::ModelName { .. }), "{error}");

        // Other preprocessing makes another model of the same graph.
        let config = source.join("preprocessor_config.json");
        let text = fs::read_to_string(&config).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["image_mean"] = serde_json::json!([0.1, 0.2, 0.3]);
        fs::write(&config, json.to_string()).unwrap();
        assert_eq!(import(&named(None, false)), done("d2-2", false, false));
        assert_eq!(space(&models.join("d2-2")), space(&source));
        assert_ne!(space(&models.join("mine")), space(&source));
        assert_eq!(import(&named(None, false)), done("d2-2", false, true));
    }

    #[test]
    fn another_tokenizer_makes_another_model() {
        let dir = tempfile::tempdir().unwrap();
        let (models, clip) = (dir.path().join("models"), dir.path().join("clip"));
        fs::create_dir_all(&clip).unwrap();
        fs::copy(Path::new(ONNX).join("tiny_cnn/model.onnx"), clip.join("vision_model.onnx")).unwrap();
        fs::copy(Path::new(ONNX).join("tiny_external.onnx"), clip.join("text_model.onnx")).unwrap();
        fs::copy(Path::new(ONNX).join("tiny_external.onnx_data"), clip.join("tiny_external.onnx_data")).unwrap();
        fs::write(clip.join("tokenizer.json"), b"{}").unwrap();
        assert_eq!(import(&clip, &models).unwrap().name, "clip");
        assert_eq!(import(&clip, &models).unwrap().name, "clip");
        fs::write(clip.join("notes.txt"), b"more").unwrap();
        assert_eq!(import(&clip, &models).unwrap().name, "clip", "no file that texts are read by");
        fs::write(clip.join("tokenizer.json"), b"{ }").unwrap();
        assert_eq!(import(&clip, &models).unwrap().name, "clip-2");
        // A lone file comes without its text tower, and so it is there the second time.
        let alone = import(&clip.join("vision_model.onnx"), &models).unwrap();
        assert_eq!(import(&clip.join("vision_model.onnx"), &models).unwrap(), alone);
    }

    #[test]
    fn a_link_whose_model_is_gone_gives_its_name_away() {
        let dir = tempfile::tempdir().unwrap();
        let (models, source) = (dir.path().join("models"), tiny_in(dir.path()));
        import_as(&source, &models, &named(None, true)).unwrap();
        let moved = dir.path().join("moved");
        fs::rename(&source, &moved).unwrap();
        let installed = import_as(&moved, &models, &named(Some("d2"), true)).unwrap();
        assert_eq!((installed.name.as_str(), installed.path.as_path()), ("d2", moved.as_path()));
        assert_eq!(library::installed(std::slice::from_ref(&models)), [installed]);
        let error = import_as(&Path::new(ONNX).join("tiny_fp16.onnx"), &models, &named(Some("d2"), false)).unwrap_err();
        assert!(matches!(error, WorkflowError::ModelName { .. }), "it is in use: {error}");

        // A link that cannot be read is listed with the reason, until the model is imported again.
        fs::write(models.join("d2/graft-link.json"), b"{\"pa").unwrap();
        let listed = library::installed(std::slice::from_ref(&models));
        assert_eq!(listed.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["d2"]);
        let error = Backbone::open(&listed[0].path, None, |_| None).unwrap_err();
        assert!(error.to_string().contains("does not say where its model lies"), "{error}");
        fs::rename(&moved, &source).unwrap();
        let installed = import_as(&source, &models, &named(None, false)).unwrap();
        assert_eq!((installed.name.as_str(), installed.is_linked), ("d2", false));
        assert_eq!(below(&models), ["d2/model.onnx", "d2/preprocessor_config.json"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_path_that_is_no_text_is_not_kept() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let models = dir.path().join("models");
        let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"mod\xffel"));
        fs::rename(tiny_in(dir.path()), &odd).unwrap();
        let error = import_as(&odd, &models, &named(Some("odd"), true)).unwrap_err();
        assert!(matches!(error, WorkflowError::PathNotText { .. }), "{error}");
        assert!(!models.exists());
        assert_eq!(import_as(&odd, &models, &named(Some("odd"), false)).unwrap().name, "odd");
    }

    #[test]
    fn a_subfolder_stands_for_the_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (models, clip) = (dir.path().join("models"), tiny_in(dir.path()));
        fs::create_dir(clip.join("onnx")).unwrap();
        fs::rename(clip.join("model.onnx"), clip.join("onnx/model.onnx")).unwrap();
        let installed = import(&clip.join("onnx"), &models).unwrap();
        assert_eq!(installed.name, "d2");
        assert_eq!(below(&models), ["d2/onnx/model.onnx", "d2/preprocessor_config.json"]);
        assert_eq!(space(&installed.path), space(&clip));
        assert_eq!(space(&clip.join("onnx")), space(&clip));
        assert_eq!(import(&clip, &models).unwrap(), installed);
    }

    /// The external model with its weights under another location.
    fn stored_in(location: &str) -> Vec<u8> {
        let mut model = onnx::parse(fs::read(Path::new(ONNX).join("tiny_external.onnx")).unwrap()).unwrap();
        for tensor in &mut model.graph.as_mut().unwrap().initializer {
            for entry in tensor.external_data.iter_mut().filter(|e| e.key() == "location") {
                entry.value = Some(location.to_owned());
            }
        }
        onnx::encode(&model).unwrap()
    }

    #[test]
    fn weights_of_windows_are_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (models, source) = (dir.path().join("models"), dir.path().join("net"));
        fs::create_dir_all(source.join("sub")).unwrap();
        fs::write(source.join("model.onnx"), stored_in(r"sub\w.bin")).unwrap();
        fs::copy(Path::new(ONNX).join("tiny_external.onnx_data"), source.join("sub/w.bin")).unwrap();
        let installed = import(&source, &models).unwrap();
        assert_eq!(below(&installed.path), ["model.onnx", "sub/w.bin"]);
    }

    #[test]
    #[cfg(unix)]
    fn links_of_a_hub_are_copied_as_what_they_lead_to() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let (models, hub) = (dir.path().join("models"), dir.path().join("hub"));
        let (blobs, net) = (hub.join("blobs"), hub.join("snapshots/net"));
        fs::create_dir_all(&blobs).unwrap();
        fs::create_dir_all(&net).unwrap();
        fs::write(blobs.join("g"), stored_in("model.onnx.data")).unwrap();
        fs::copy(Path::new(ONNX).join("tiny_external.onnx_data"), blobs.join("w")).unwrap();
        symlink("../../blobs/g", net.join("model.onnx")).unwrap();
        symlink("../../blobs/w", net.join("model.onnx.data")).unwrap();
        let linked = import_as(&net, &models, &named(Some("linked"), true)).unwrap();
        let installed = import(&net, &models).unwrap();
        assert_eq!(space(&linked.path), space(&installed.path));
        for name in ["model.onnx", "model.onnx.data"] {
            assert!(models.join("net").join(name).symlink_metadata().unwrap().is_file(), "{name}");
        }
        // What leads elsewhere is neither read nor copied.
        fs::remove_file(net.join("model.onnx.data")).unwrap();
        fs::rename(blobs.join("w"), dir.path().join("secret")).unwrap();
        symlink("../../../secret", net.join("model.onnx.data")).unwrap();
        let error = import_as(&net, &models, &named(Some("third"), false)).unwrap_err();
        assert!(error.to_string().contains("outside the model's folder"), "{error}");
        let plan = Plan::new(&net, &locate::locate(&net).unwrap()).unwrap();
        assert_eq!(plan.files.keys().map(|p| p.to_str().unwrap()).collect::<Vec<_>>(), ["model.onnx"]);
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
