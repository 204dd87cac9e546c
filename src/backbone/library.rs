//! Installed models: one folder each, in the folders of [`crate::store::dirs::model_dirs`].

use std::fs;
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

/// Where a folder of the library says that its model lies.
fn linked(folder: &Path) -> Option<PathBuf> {
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(folder.join(LINK)).ok()?).ok()?;
    Some(PathBuf::from(json.get("path")?.as_str()?))
}

/// Every installed model with its variants: the starter first, then by name.
pub fn installed(dirs: &[PathBuf]) -> Vec<Installed> {
    let mut found: Vec<Installed> = Vec::new();
    for dir in dirs {
        let mut folders: Vec<PathBuf> =
            fs::read_dir(dir).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
        folders.sort();
        for folder in folders.into_iter().filter(|f| f.is_dir()) {
            if let Some(path) = linked(&folder) {
                let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                // Also where it is gone: then it is said, rather than forgotten.
                if !found.iter().any(|m| m.name == name) {
                    found.push(Installed { name, path, is_linked: true });
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
