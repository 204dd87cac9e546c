//! Paths in a project file: as values of SQLite, and relative to the project's folder.

use std::fs;
use std::path::{Component, Path, PathBuf};

use rusqlite::types::{FromSqlError, ToSqlOutput, ValueRef};

/// Text where the path is UTF-8, else the system's bytes (Unix). On Windows folders are separated by `/`, so that a
/// project can be moved between systems, and what is not Unicode is replaced.
pub(super) fn to_sql(path: &Path) -> ToSqlOutput<'_> {
    if cfg!(windows) {
        return ToSqlOutput::from(path.to_string_lossy().replace('\\', "/"));
    }
    match path.to_str() {
        Some(text) => ToSqlOutput::from(text),
        None => ToSqlOutput::from(path.as_os_str().as_encoded_bytes()),
    }
}

/// What [`to_sql`] gave.
pub(super) fn from_sql(value: ValueRef<'_>) -> Result<PathBuf, FromSqlError> {
    match value {
        ValueRef::Text(text) => {
            let text = str::from_utf8(text).map_err(FromSqlError::other)?;
            Ok(if cfg!(windows) { text.replace('/', "\\").into() } else { text.into() })
        }
        #[cfg(unix)]
        ValueRef::Blob(bytes) => {
            use std::os::unix::ffi::OsStrExt;
            Ok(std::ffi::OsStr::from_bytes(bytes).into())
        }
        #[cfg(not(unix))]
        ValueRef::Blob(bytes) => Ok(String::from_utf8_lossy(bytes).replace('/', "\\").into()),
        _ => Err(FromSqlError::InvalidType),
    }
}

/// A folder that images were added from, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredRoot {
    pub(super) path: PathBuf,
    /// From the project file's folder.
    pub(super) relative: Option<PathBuf>,
}

/// Where such a folder is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Located {
    There,
    /// It is gone from where it was, but there is one that lies to the project as it did.
    Moved(PathBuf),
    Missing,
}

impl StoredRoot {
    pub(super) fn new(path: PathBuf, dir: &Path) -> Self {
        let relative = relative_to(dir, &path);
        Self { path, relative }
    }

    /// Looks for it from the folder `dir` that the project file is in.
    pub(super) fn locate(&self, dir: &Path) -> Located {
        if self.path.is_dir() {
            return Located::There;
        }
        let near = self.relative.as_ref().map(|relative| normal(&dir.join(relative)));
        near.filter(|near| near.is_dir()).map_or(Located::Missing, Located::Moved)
    }
}

/// The way from the folder `dir` (an absolute path) to `path`, where both lie below one folder that is not the root of
/// all: a project that has nothing in common with its images does not move with them.
fn relative_to(dir: &Path, path: &Path) -> Option<PathBuf> {
    // As `dir` is: with symbolic links followed, but not on Windows, where that gives paths of another form.
    let real = if cfg!(windows) { None } else { fs::canonicalize(path).ok() };
    let path = real.as_deref().unwrap_or(path);
    let (from, to): (Vec<_>, Vec<_>) = (dir.components().collect(), path.components().collect());
    let n_common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    if !from[..n_common].iter().any(|c| matches!(c, Component::Normal(_))) {
        return None;
    }
    let up = from[n_common..].iter().map(|_| Component::ParentDir);
    let relative: PathBuf = up.chain(to[n_common..].iter().copied()).collect();
    Some(if relative.as_os_str().is_empty() { PathBuf::from(".") } else { relative })
}

/// Without `.` and `..`; only for paths whose folders are no symbolic links.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_way_between_folders() {
        for (dir, path, expected) in [
            ("/a/b", "/a/b", Some(".")),
            ("/a/b", "/a/b/c/d", Some("c/d")),
            ("/a/b", "/a/c", Some("../c")),
            ("/a/b/x/y", "/a/c", Some("../../../c")),
            ("/a/b", "/c/b", None),
            ("/a/b", "/", None),
        ] {
            let relative = relative_to(Path::new(dir), Path::new(path));
            assert_eq!(relative, expected.map(PathBuf::from), "{dir} to {path}");
            if let Some(relative) = relative {
                assert_eq!(normal(&Path::new(dir).join(relative)), Path::new(path));
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn paths_come_back_whatever_their_bytes() {
        use std::os::unix::ffi::OsStrExt;
        let db = rusqlite::Connection::open_in_memory().unwrap();
        for (bytes, kind) in [(&b"a/\xc3\xa4.png"[..], "text"), (b"a/\xe4\xff.png", "blob"), (b"a\\b", "text")] {
            let path = Path::new(std::ffi::OsStr::from_bytes(bytes));
            let (back, found): (PathBuf, String) = db
                .query_row("SELECT ?1, typeof(?1)", [to_sql(path)], |row| Ok((from_sql(row.get_ref(0)?)?, row.get(1)?)))
                .unwrap();
            assert_eq!((back.as_path(), found.as_str()), (path, kind));
        }
    }
}
