//! Where the ONNX Runtime library is kept.
//!
//! This file is compiled twice: into the build script, which puts the library there, and into the program, which
//! looks for it. So the two cannot disagree.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The file name of the ONNX Runtime library on `os`, a value of `std::env::consts::OS`.
pub(crate) fn library_name(os: &str) -> &'static str {
    match os {
        "windows" => "onnxruntime.dll",
        "macos" => "libonnxruntime.dylib",
        _ => "libonnxruntime.so",
    }
}

/// The per-user folder that holds one folder per version and platform of ONNX Runtime, shared by all builds and all
/// installed copies of Graft.
///
/// `None` when the environment names no home. Nothing is created.
pub fn cache_dir() -> Option<PathBuf> {
    // Relative paths are to be ignored: the XDG base directory specification says so, and elsewhere they would make
    // the cache depend on the working directory.
    let folder = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user_cache = if cfg!(windows) {
        folder("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        folder("HOME").map(|home| home.join("Library/Caches"))
    } else {
        folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")))
    };
    user_cache.map(|cache| cache.join(Path::new("graft").join("onnxruntime")))
}
