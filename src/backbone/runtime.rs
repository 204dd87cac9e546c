//! Finds and loads the ONNX Runtime library, once per process.
//!
//! Nothing else in `ort` may be called before [`ensure_loaded`] has succeeded: `ort` panics when it has to look for the
//! library itself and does not find it.

mod location;

pub use location::cache_dir;

use std::{
    env,
    error::Error as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use ort::{LoadDynamicError, environment::Environment, logging::LogLevel};

/// The ONNX Runtime of this process.
#[derive(Debug)]
pub struct Runtime {
    /// The library that was loaded.
    pub path: PathBuf,
    /// Its version, such as `1.31`.
    pub version: String,
    environment: Environment,
}

impl Runtime {
    /// The environment that sessions are created in.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// Why there is no ONNX Runtime. Each message names the two ways to mend it, so it can be shown as it is.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No library lies in any of the places.
    #[error(
        "ONNX Runtime is missing (looked for {}): set ORT_DYLIB_PATH to the library of an installed ONNX Runtime 1.{} or \
         newer, or build Graft again with Python, pip and a network connection.",
        list(searched),
        ort::MINOR_VERSION
    )]
    NotFound {
        /// The files that were looked for, in order.
        searched: Vec<PathBuf>,
    },

    /// A file is there, but it is no library of ONNX Runtime for this machine.
    #[error(
        "{} cannot be used as the ONNX Runtime library ({reason}): set ORT_DYLIB_PATH to the library of an installed \
         ONNX Runtime 1.{} or newer, or name none and build Graft again.",
        path.display(), ort::MINOR_VERSION
    )]
    CannotLoad {
        /// The file.
        path: PathBuf,
        /// What the operating system or the library said.
        reason: String,
    },

    /// The library is older than what Graft was made for.
    #[error(
        "{} is ONNX Runtime {version}, too old for Graft: set ORT_DYLIB_PATH to the library of an installed ONNX \
         Runtime 1.{} or newer, or name none and build Graft again.",
        path.display(), ort::MINOR_VERSION
    )]
    TooOld {
        /// The file.
        path: PathBuf,
        /// The version that it says it has.
        version: String,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Loads ONNX Runtime, unless this process has it already.
///
/// What the user names, by `ORT_DYLIB_PATH` or else by `chosen` (a library, or the folder it lies in), is binding: if it
/// cannot be loaded that is an error, because another library in its stead could lack the execution provider that it was
/// named for. Where nothing is named, the library is looked for beside the executable, where an installed copy keeps it,
/// and in the [cache](cache_dir) that the build script fills.
///
/// After an error this can be called again, with another path. After success `chosen` no longer matters: a process has
/// one ONNX Runtime until it ends.
///
/// # Errors
///
/// [`RuntimeError`] says what is missing and how to mend it. With several candidates it is about the first that is there
/// and cannot be loaded, or else that none is there.
pub fn ensure_loaded(chosen: Option<&Path>) -> Result<&'static Runtime, RuntimeError> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    // `OnceLock` alone lets two threads try at once, and `ort` allows one environment a process.
    static LOADING: Mutex<()> = Mutex::new(());

    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let named = [env::var_os("ORT_DYLIB_PATH").map(PathBuf::from), chosen.map(Path::to_path_buf)];
    let named: Vec<_> = named.into_iter().flatten().filter(|path| !path.as_os_str().is_empty()).collect();
    let candidates = if named.is_empty() {
        default_candidates(env::current_exe().ok().as_deref())
    } else {
        named.iter().map(|path| named_candidate(path)).collect()
    };
    let runtime = load_first(&candidates)?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// A path that the user named, made absolute; in a folder, the library in it. A bare file name that is not here is left
/// to the system's search path for libraries.
fn named_candidate(path: &Path) -> PathBuf {
    let is_bare_name = path.file_name() == Some(path.as_os_str());
    if is_bare_name && !path.exists() {
        return path.to_path_buf();
    }
    // `ort` takes a relative path as relative to the executable.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if path.is_dir() { path.join(location::library_name(env::consts::OS)) } else { path }
}

/// Where the library lies when nobody names it, for the program `exe`.
fn default_candidates(exe: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(folder) = exe.and_then(Path::parent) {
        folders.push(folder.to_path_buf());
        if let Some(parent) = folder.parent() {
            // Cargo's tests and examples lie one below the program.
            if folder.ends_with("deps") || folder.ends_with("examples") {
                folders.push(parent.to_path_buf());
            }
            folders.push(parent.join(if cfg!(target_os = "macos") { "Frameworks" } else { "lib" }));
        }
    }
    // Set by the build script, except where ONNX Runtime has no wheel.
    if let (Some(cache), Some(folder)) = (cache_dir(), option_env!("GRAFT_ORT_FOLDER")) {
        folders.push(cache.join(folder));
    }
    folders.into_iter().map(|folder| folder.join(location::library_name(env::consts::OS))).collect()
}

/// Loads the first candidate that can be loaded.
fn load_first(candidates: &[PathBuf]) -> Result<Runtime, RuntimeError> {
    let mut first_error = None;
    for path in candidates.iter().filter(|path| path.is_relative() || path.is_file()) {
        match load(path) {
            Ok(runtime) => return Ok(runtime),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| RuntimeError::NotFound { searched: candidates.to_vec() }))
}

fn load(path: &Path) -> Result<Runtime, RuntimeError> {
    let cannot_load = |reason: String| RuntimeError::CannotLoad { path: path.to_path_buf(), reason: one_line(&reason) };
    preload_companions(path);
    let builder = ort::init_from(path).map_err(|error| match error {
        LoadDynamicError::BadVersion { version_str, path } => RuntimeError::TooOld { path, version: version_str },
        // The loader's own words are in the source; the error itself only says "dlopen failed".
        LoadDynamicError::Dlopen { error, .. } => {
            cannot_load(error.source().map_or_else(|| error.to_string(), ToString::to_string))
        }
        LoadDynamicError::MissingApi { .. } => cannot_load("it does not contain ONNX Runtime".to_owned()),
        LoadDynamicError::InvalidVersionString => cannot_load("it does not tell its version".to_owned()),
    })?;
    let environment = builder
        .with_name("graft")
        .with_telemetry(false)
        .with_logger(Arc::new(forward_log))
        .build()
        .map_err(|error| cannot_load(error.to_string()))?;
    environment.set_log_level(LogLevel::Error);
    let version = ort::util::probe(path).map_or_else(|| "1".to_owned(), |minor| format!("1.{minor}"));
    tracing::debug!(path = %path.display(), version, "loaded ONNX Runtime");
    Ok(Runtime { path: path.to_path_buf(), version, environment })
}

/// Windows looks for the libraries that a library needs beside the program and in the system, where an old DirectML may
/// lie, but not beside the library; unless they are in memory already.
fn preload_companions(library: &Path) {
    let companion = library.with_file_name("DirectML.dll");
    if cfg!(windows)
        && companion.is_file()
        && let Err(error) = ort::util::preload_dylib(&companion)
    {
        tracing::warn!(path = %companion.display(), %error, "DirectML was not loaded");
    }
}

/// ONNX Runtime returns each error to its caller as well, who reports it once and with more context: its own line is for
/// those who ask for it, with `GRAFT_LOG=onnxruntime=debug`.
fn forward_log(level: LogLevel, _category: &str, _id: &str, code_location: &str, message: &str) {
    if level == LogLevel::Fatal {
        tracing::error!(target: "onnxruntime", code_location, "{message}");
    } else {
        tracing::debug!(target: "onnxruntime", ?level, code_location, "{message}");
    }
}

/// Error texts of loaders may have several lines and end in a full stop; here they stand within a sentence.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn library() -> &'static str {
        location::library_name(env::consts::OS)
    }

    #[test]
    fn default_candidates_begin_beside_the_program() {
        let candidates = default_candidates(Some(Path::new("/opt/graft/bin/graft")));
        assert_eq!(candidates[0], Path::new("/opt/graft/bin").join(library()));
        let installed = if cfg!(target_os = "macos") { "/opt/graft/Frameworks" } else { "/opt/graft/lib" };
        assert_eq!(candidates[1], Path::new(installed).join(library()));
    }

    #[test]
    fn tests_look_in_the_folder_of_the_program_too() {
        let candidates = default_candidates(Some(Path::new("/src/target/debug/deps/graft-0a1b")));
        assert!(candidates.contains(&Path::new("/src/target/debug").join(library())));
    }

    #[test]
    fn the_cache_comes_last() {
        let candidates = default_candidates(Some(Path::new("/opt/graft/bin/graft")));
        if let (Some(cache), Some(folder)) = (cache_dir(), option_env!("GRAFT_ORT_FOLDER")) {
            assert_eq!(candidates.last(), Some(&cache.join(folder).join(library())));
        }
    }

    #[test]
    fn a_named_folder_means_the_library_in_it() {
        let folder = env::temp_dir();
        assert_eq!(named_candidate(&folder), folder.join(library()));
    }

    #[test]
    fn a_named_path_becomes_absolute_but_a_bare_name_is_left_to_the_system() {
        assert!(named_candidate(Path::new("some/where/x.so")).is_absolute());
        assert_eq!(named_candidate(Path::new("libonnxruntime.so.1")), Path::new("libonnxruntime.so.1"));
    }

    #[test]
    fn a_missing_library_is_reported_with_every_place_and_both_remedies() {
        let searched = vec![Path::new("/nowhere/a").join(library()), Path::new("/nowhere/b").join(library())];
        let error = load_first(&searched).unwrap_err();
        assert!(matches!(&error, RuntimeError::NotFound { searched: places } if *places == searched), "{error}");
        let text = error.to_string();
        for part in ["/nowhere/a", "/nowhere/b", library(), "ORT_DYLIB_PATH", "build Graft again", "1.22"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        assert!(!text.contains('\n'));
    }

    #[test]
    fn loading_twice_gives_the_same_runtime() {
        let first = ensure_loaded(None).unwrap();
        let second = ensure_loaded(Some(Path::new("/nowhere"))).unwrap();
        assert!(std::ptr::eq(first, second));
        assert!(first.version.starts_with("1."), "{}", first.version);
    }
}
