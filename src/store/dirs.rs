//! Where Graft keeps things on this machine.

use std::env;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Folder for what can be made again (embeddings, thumbnails): `GRAFT_CACHE_DIR`, else the system's cache folder.
pub fn cache_dir() -> Option<PathBuf> {
    from_env("GRAFT_CACHE_DIR")
        .or_else(|| Some(directories::ProjectDirs::from("", "", "graft")?.cache_dir().to_owned()))
}

/// Folder for what the user makes and chooses (settings, projects, models): `GRAFT_DATA_DIR`, else the system's folder
/// for application data.
pub fn data_dir() -> Option<PathBuf> {
    from_env("GRAFT_DATA_DIR").or_else(|| Some(directories::ProjectDirs::from("", "", "graft")?.data_dir().to_owned()))
}

/// Folder of the user's own models, in [`data_dir`].
pub fn user_models_dir() -> Option<PathBuf> {
    Some(data_dir()?.join("models"))
}

/// Folders in which installed models are looked for, first match first: `GRAFT_MODELS_DIR`, the user's own, beside
/// the executable or in a folder above it (`target/release` of a checkout), `share/graft/models` of an installation,
/// and last the checkout that this program was built from.
pub fn model_dirs() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    dirs.extend(from_env("GRAFT_MODELS_DIR"));
    dirs.extend(user_models_dir());
    // Symbolic links are followed, so that a link in ~/bin finds the models beside the real program.
    if let Ok(exe) = env::current_exe().and_then(|exe| exe.canonicalize()) {
        for above in exe.ancestors().skip(1).take(4) {
            dirs.push(above.join("models"));
            dirs.push(above.join("share").join("graft").join("models"));
        }
    }
    dirs.push(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/models")));
    let mut seen = Vec::new();
    dirs.retain(|dir| {
        let new = dir.is_dir() && !seen.contains(dir);
        if new {
            seen.push(dir.clone());
        }
        new
    });
    dirs
}

/// The sample images: beside the models' places.
pub fn sample_dir() -> Option<PathBuf> {
    model_dirs()
        .into_iter()
        .filter_map(|models| Some(models.parent()?.join("assets").join("sample")))
        .find(|dir| dir.is_dir())
}

static ROOT: OnceLock<PathBuf> = OnceLock::new();

/// Keeps everything of this process below one folder from now on, whatever the environment says: `ROOT/cache` and
/// `ROOT/data`. Once a process; for tests that run the application within theirs.
pub fn keep_below(root: PathBuf) {
    if ROOT.set(root).is_err() {
        tracing::warn!("the folder of this process has been chosen before");
    }
}

fn from_env(name: &str) -> Option<PathBuf> {
    let below = ROOT.get().and_then(|root| match name {
        "GRAFT_CACHE_DIR" => Some(root.join("cache")),
        "GRAFT_DATA_DIR" => Some(root.join("data")),
        _ => None,
    });
    below.or_else(|| from_variable(name))
}

fn from_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from)
}
