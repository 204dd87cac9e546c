//! Installed models: one folder each, in the folders of [`crate::store::dirs::model_dirs`].

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::BackboneError;
use super::locate;

/// Name of the model that ships with Graft.
pub const STARTER: &str = "graft-starter";

/// File in a folder of the library that says where a model lies that is used in place: `{"path": "/where/it/is"}`.
pub const LINK: &str = "graft-link.json";

/// An installed model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its name for `--model`: the folder's, and `/FILE` for a variant.
    pub name: String,
    /// What to open.
    pub path: PathBuf,
    /// Whether it lies outside the library, which only says where.
    pub is_linked: bool,
}

/// What a folder of the library has in place of a model that lies elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The model; of a link that cannot be read, the link itself, and opening that says why.
    pub installed: Installed,
    /// What has become of it.
    pub state: LinkState,
}

/// What has become of a model that is used in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It is where it was.
    There,
    /// Nothing is there any more.
    Gone,
    /// The link does not say where it is.
    Broken,
}

/// The link in a folder of the library, where there is one.
pub fn link(folder: &Path) -> Option<Link> {
    let file = folder.join(LINK);
    file.symlink_metadata().ok()?;
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let (path, state) = match link_target(&file) {
        Ok(path) => {
            let is_gone = fs::metadata(&path)
                .is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory));
            (path, if is_gone { LinkState::Gone } else { LinkState::There })
        }
        Err(_) => (file, LinkState::Broken),
    };
    Some(Link { installed: Installed { name, path, is_linked: true }, state })
}

/// Where the model lies that a link stands for; a relative path counts from the link's folder.
pub(super) fn link_target(file: &Path) -> Result<PathBuf, BackboneError> {
    let broken = |why: String| BackboneError::Link { path: file.to_owned(), why };
    let text = fs::read_to_string(file).map_err(|error| broken(error.to_string()))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
    let target = json.get("path").and_then(|path| path.as_str()).filter(|path| !path.is_empty());
    let target = target.ok_or_else(|| broken("it has no path".to_owned()))?;
    Ok(file.parent().unwrap_or(Path::new("")).join(target))
}

/// Every installed model with its variants: the starter first, then by name.
pub fn installed(dirs: &[PathBuf]) -> Vec<Installed> {
    let mut found: Vec<Installed> = Vec::new();
    for dir in dirs {
        let mut folders: Vec<PathBuf> =
            fs::read_dir(dir).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
        folders.sort();
        for folder in folders.into_iter().filter(|f| f.is_dir()) {
            if let Some(Link { installed, .. }) = link(&folder) {
                // Also where it is gone or cannot be read: then it is said, rather than forgotten.
                if !found.iter().any(|m| m.name == installed.name) {
                    found.push(installed);
                }
                continue;
            }
            let Ok(files) = locate::locate(&folder) else { continue };
            // The same name in a later folder is hidden by the first.
            if found.iter().any(|m| m.name == files.name) {
                continue;
            }
            let variants = locate::variants(&files.onnx);
            found.push(Installed { name: files.name.clone(), path: folder, is_linked: false });
            for path in variants {
                let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
                found.push(Installed { name: format!("{}/{stem}", files.name), path, is_linked: false });
            }
        }
    }
    found.sort_by_key(|m| (m.name.split('/').next() != Some(STARTER), m.name.clone()));
    found
}

/// What `--model` means: an installed model's name, else a path; without it the starter model.
///
/// # Errors
/// When it is neither.
pub fn find(name: Option<&str>, dirs: &[PathBuf]) -> Result<PathBuf, BackboneError> {
    let name = name.unwrap_or(STARTER);
    let installed = installed(dirs);
    if let Some(model) = installed.iter().find(|m| m.name == name) {
        return Ok(model.path.clone());
    }
    let path = Path::new(name);
    if path.exists() {
        return Ok(path.to_owned());
    }
    // A path that is not there is told from a name by its separators and extension.
    if path.components().count() > 1 && !installed.iter().any(|m| name.starts_with(&m.name))
        || path.extension().is_some_and(|e| e == "onnx")
    {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(BackboneError::Read { path: path.to_owned(), source });
    }
    Err(BackboneError::Unknown { name: name.to_owned(), installed: installed.into_iter().map(|m| m.name).collect() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_models_or_say_why_not() {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("models");
        fs::create_dir_all(dir.path().join("there")).unwrap();
        let absolute = serde_json::json!({ "path": dir.path().join("there") }).to_string();
        for (name, text) in [
            ("absolute", absolute.as_str()),
            ("relative", r#"{"path": "../../there"}"#),
            ("gone", r#"{"path": "../../nowhere"}"#),
            ("half", r#"{"path": "../../th"#),
            ("nothing", r#"{"path": ""}"#),
            ("other", r#"{"place": "../../there"}"#),
        ] {
            fs::create_dir_all(library.join(name)).unwrap();
            fs::write(library.join(name).join(LINK), text).unwrap();
        }
        let link_of = |name: &str| link(&library.join(name)).unwrap();
        assert_eq!(link_of("absolute").installed.path, dir.path().join("there"));
        for (name, state) in [
            ("absolute", LinkState::There),
            ("relative", LinkState::There),
            ("gone", LinkState::Gone),
            ("half", LinkState::Broken),
            ("nothing", LinkState::Broken),
            ("other", LinkState::Broken),
        ] {
            let link = link_of(name);
            assert_eq!((link.installed.name.as_str(), link.state), (name, state));
            if state == LinkState::Broken {
                let error = locate::locate(&link.installed.path).unwrap_err();
                assert!(matches!(error, BackboneError::Link { .. }), "{error}");
            }
        }
        let names: Vec<String> = installed(std::slice::from_ref(&library)).into_iter().map(|m| m.name).collect();
        assert_eq!(names, ["absolute", "gone", "half", "nothing", "other", "relative"]);
        assert_eq!(link(dir.path()), None);
    }
}
