//! Writes that are whole or not there (invariant 5).

use std::cmp::Reverse;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, Cursor, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use super::staged::StagedDir;

/// What a file is written through: a file, or memory on the way to a pipe.
pub trait WriteSeek: Write + Seek {}

impl<T: Write + Seek> WriteSeek for T {}

/// As [`write_atomic_with`], from bytes.
///
/// # Errors
/// As there.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomic_with(path, |out| out.write_all(bytes))
}

/// Writes a file by way of a temporary one beside it: synced, then renamed over the target. Symbolic links are followed
/// and an older file's permissions kept. What is no regular file (a pipe, a device) is written to as it is.
///
/// # Errors
/// Whatever the system or `write` says; the temporary file is gone by then and an older target is untouched.
pub fn write_atomic_with(path: &Path, write: impl FnOnce(&mut dyn WriteSeek) -> io::Result<()>) -> io::Result<()> {
    let in_memory = |write: &mut dyn FnMut(&mut dyn WriteSeek) -> io::Result<()>| {
        let mut bytes = Cursor::new(Vec::new());
        write(&mut bytes).map(|()| bytes.into_inner())
    };
    let mut write = Some(write);
    let mut write = |out: &mut dyn WriteSeek| write.take().map_or(Ok(()), |write| write(out));
    if path == Path::new("/dev/stdout") {
        // Whatever it leads to, and in order with what else is said there.
        let bytes = in_memory(&mut write)?;
        let mut out = io::stdout().lock();
        return out.write_all(&bytes).and_then(|()| out.flush());
    }
    let older = match fs::metadata(path) {
        Ok(older) if !older.is_file() => {
            let bytes = in_memory(&mut write)?;
            return File::options().write(true).open(path)?.write_all(&bytes);
        }
        Ok(older) => Some(older),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let target = followed(path)?;
    if let Some(parent) = target.parent() {
        sweep(parent, &target);
    }
    let tmp = hidden(&target, "tmp");
    let result = (|| {
        let mut file = File::create(&tmp)?;
        write(&mut file)?;
        if let Some(older) = &older {
            keep_permissions(&tmp, older)?;
        }
        file.sync_all()?;
        drop(file);
        fs::rename(&tmp, &target)
    })();
    if result.is_err() {
        // The first error is the one to report; what is left to remove may never have been made.
        fs::remove_file(&tmp).ok();
    } else {
        target.parent().map(sync_dir);
    }
    result
}

/// Gives a file the mode of an older one and, where that is allowed, its owner.
fn keep_permissions(path: &Path, older: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // Only root may give files away; for others it is theirs already, or becomes so.
        std::os::unix::fs::chown(path, Some(older.uid()), Some(older.gid())).ok();
    }
    fs::set_permissions(path, older.permissions())
}

/// Syncs a folder's own entries where the system knows that; elsewhere opening it fails, which is fine.
pub(super) fn sync_dir(dir: &Path) {
    if let Ok(dir) = File::open(dir) {
        dir.sync_all().ok();
    }
}

/// The absolute path that symbolic links lead to, whether something is there or not.
pub(super) fn followed(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
            // Ends: a circle of links is another error than `NotFound`.
            Ok(to) => followed(&path.parent().unwrap_or(Path::new("")).join(to)),
            Err(_) => std::path::absolute(path),
        },
        other => other,
    }
}

/// A hidden name beside `path`, of this process alone: `.NAME.PID.KIND`.
pub(super) fn hidden(path: &Path, kind: &str) -> PathBuf {
    let mut name = hidden_prefix(path);
    name.push(format!("{}.{kind}", std::process::id()));
    path.with_file_name(name)
}

fn hidden_prefix(path: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    prefix
}

/// Removes from `dir` what processes that were killed left there under hidden names of `target`. Where one was killed
/// after it had moved the target aside and before the new one stood, the older one is put back.
pub(super) fn sweep(dir: &Path, target: &Path) {
    let prefix = hidden_prefix(target);
    // Nothing here is worth an error: what cannot be read or removed stays.
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut left: Vec<(DirEntry, Kind)> = entries
        .filter_map(|entry| {
            let (pid, kind) = process_and_kind(&entry.file_name(), &prefix)?;
            (!is_running(pid, &entry)).then_some((entry, kind))
        })
        .collect();
    left.sort_by_key(|(entry, _)| Reverse(entry.metadata().and_then(|m| m.modified()).ok()));
    for (entry, kind) in left {
        let path = entry.path();
        if kind == Kind::Old && !target.exists() && fs::rename(&path, target).is_ok() {
            tracing::warn!(path = %target.display(), "put back what a killed process had moved aside");
        } else if entry.file_type().is_ok_and(|t| t.is_dir()) {
            fs::remove_dir_all(path).ok();
        } else {
            fs::remove_file(path).ok();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tmp,
    Old,
}

fn process_and_kind(name: &OsStr, prefix: &OsStr) -> Option<(u32, Kind)> {
    let rest = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes())?;
    let (pid, kind) = std::str::from_utf8(rest).ok()?.split_once('.')?;
    let kind = match kind {
        "tmp" => Kind::Tmp,
        "old" => Kind::Old,
        _ => return None,
    };
    Some((pid.parse().ok()?, kind))
}

/// Whether the process that made an entry still runs; where the system does not list its processes, whether the entry is
/// younger than a day.
fn is_running(pid: u32, entry: &DirEntry) -> bool {
    if cfg!(target_os = "linux") && Path::new("/proc/self").exists() {
        return Path::new("/proc").join(pid.to_string()).exists();
    }
    let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|modified| modified.elapsed().ok());
    age.is_none_or(|age| age < Duration::from_secs(24 * 60 * 60))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn atomic_write_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomic(&path, b"1").unwrap();
        write_atomic(&path, b"2").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert!(write_atomic(&dir.path().join("no/f"), b"1").is_err());
        assert!(write_atomic(dir.path(), b"1").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn atomic_write_follows_links_and_keeps_the_mode() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        let (real, link) = (dir.path().join("sub/real"), dir.path().join("link"));
        symlink("sub/real", dir.path().join("hop")).unwrap();
        symlink("hop", &link).unwrap();
        write_atomic(&link, b"1").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        write_atomic(&link, b"2").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"2");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o7777, 0o640);
        let circle = dir.path().join("circle");
        symlink("circle", &circle).unwrap();
        assert!(write_atomic(&circle, b"1").is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_no_file_is_written_to() {
        use std::io::Read;
        use std::os::fd::AsRawFd;
        write_atomic(Path::new("/dev/null"), b"1").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());

        let (mut reader, writer) = io::pipe().unwrap();
        let path = PathBuf::from(format!("/proc/self/fd/{}", writer.as_raw_fd()));
        write_atomic(&path, b"through").unwrap();
        drop(writer);
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "through");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_write_removes_what_a_killed_one_left() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".f.4999999.tmp"), b"half").unwrap();
        write_atomic(&dir.path().join("f"), b"1").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
