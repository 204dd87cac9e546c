//! "Save a copy…".

use std::fs::{self, File};
use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags};

use super::error::{Failure, ProjectFileError, io_at};
use super::lock::{Lock, Taken};
use super::paths::{Located, StoredRoot};
use super::{beside, load, schema, write};
use crate::project::RootId;
use crate::store::file::{followed, hidden, sweep, sync_dir};

/// Copies the project that `connection` reads and whose file is `source`.
pub(super) fn copy(connection: &Connection, source: &Path, target: &Path) -> Result<(), ProjectFileError> {
    let target = followed(target).map_err(io_at(target))?;
    if target == source || is_same_file(source, &target) {
        return Err(ProjectFileError::CopyOntoItself { path: target });
    }
    let (Some(source_dir), Some(target_dir)) = (source.parent(), target.parent()) else {
        return Err(ProjectFileError::CopyOntoItself { path: target });
    };
    let _lock = match Lock::take(&target) {
        Taken::Yes(lock) => lock,
        Taken::Held => return Err(ProjectFileError::CopyTargetOpen { path: target }),
        Taken::NoFile(error) => return Err(io_at(&target)(error)),
    };
    sweep(target_dir, &target);
    let tmp = hidden(&target, "tmp");
    let made = vacuum_into(connection, &tmp)
        .and_then(|()| point_to_roots(&tmp, source_dir, target_dir))
        .map_err(|failure| failure.at(&target))
        .and_then(|()| File::open(&tmp).and_then(|file| file.sync_all()).map_err(io_at(&target)))
        .and_then(|()| finish_with_older(&target))
        .and_then(|()| fs::rename(&tmp, &target).map_err(io_at(&target)));
    if made.is_err() {
        // The first error is the one to report.
        fs::remove_file(&tmp).ok();
    }
    made.inspect(|()| sync_dir(target_dir))
}

/// Writes what the connection sees to a new file, packed.
pub(super) fn vacuum_into(connection: &Connection, to: &Path) -> Result<(), Failure> {
    let to = match to.to_str() {
        Some(text) => ToSqlOutput::from(text),
        // SQLite hands the name on to the system as it is.
        None => ToSqlOutput::Borrowed(ValueRef::Text(to.as_os_str().as_encoded_bytes())),
    };
    connection.execute("VACUUM INTO ?1", [to])?;
    Ok(())
}

/// Stores where the folders are as seen from the copy's folder.
fn point_to_roots(copy: &Path, source_dir: &Path, target_dir: &Path) -> Result<(), Failure> {
    let mut connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // The file is nobody's yet, and thrown away if this fails.
    connection.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
    let roots = load::roots(&connection)?;
    let transaction = connection.transaction()?;
    for (i, root) in roots.into_iter().enumerate() {
        let root = match root.locate(source_dir) {
            Located::Moved(path) => StoredRoot::new(path, target_dir),
            Located::There | Located::Missing => StoredRoot::new(root.path, target_dir),
        };
        write::put_root(&transaction, RootId::from(i), &root)?;
    }
    Ok(transaction.commit()?)
}

/// What a project that was killed left beside its file would be taken for a part of the one that comes in its place. It
/// becomes part of the older one first, so that at every moment one of the two is whole.
fn finish_with_older(target: &Path) -> Result<(), ProjectFileError> {
    let at = io_at(target);
    match schema::check_header(target) {
        Ok(Ok(())) => {
            let folded = Connection::open(target)
                .and_then(|older| older.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
            if let Err(error) = folded {
                tracing::warn!(%error, path = %target.display(), "the file that a copy replaces is damaged");
            }
        }
        // Something else: nothing is known of what lies beside it.
        Ok(Err(_)) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(error)),
    }
    remove_side_files(target)
}

/// Removes what SQLite keeps beside a file that is about to be put in its place.
pub(super) fn remove_side_files(path: &Path) -> Result<(), ProjectFileError> {
    for suffix in ["-wal", "-shm", "-journal"] {
        let side = beside(path, suffix);
        match fs::remove_file(&side) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io_at(&side)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Whether they are two names of one file (hard links).
#[cfg(unix)]
fn is_same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |path| fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    id(a).is_some_and(|a| Some(a) == id(b))
}

#[cfg(not(unix))]
fn is_same_file(_: &Path, _: &Path) -> bool {
    false
}
