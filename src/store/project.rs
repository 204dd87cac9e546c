//! The project file: one SQLite file that is written as the user works.
//!
//! [`ProjectFile::open`] reads it whole into a [`Project`] and its [`History`]; from then on memory leads, and every
//! change that is made there is written here as a [`Write`], several at a time in one transaction. What
//! [`ProjectFile::write`] has returned from is on the disk.
//!
//! While a project is open, `NAME.graft-lock`, `-wal` and `-shm` lie beside it; closing it (dropping the value) leaves
//! the one file. After a kill they are left over and harmless: the next opener goes on from them.

mod copy;
mod error;
mod heads;
mod load;
mod lock;
mod paths;
mod read_only;
mod runs;
mod schema;
mod write;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};

pub use error::{Damage, OutOfStep, ProjectFileError};
pub use heads::StoredHead;
pub use write::Write;

use super::file::{followed, hidden, sweep, sync_dir};
use crate::project::runs::Runs;
use crate::project::{History, Project, RootId};
use error::{Failure, io_at};
use load::Contents;
use lock::{Lock, Taken};
use paths::Located;
use read_only::Reader;

/// What the names of project files end in.
pub const EXTENSION: &str = "graft";

/// How long another program that has the file for a moment (a backup, say) is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open project file. One thread uses it at a time; it can be handed from one to another.
#[derive(Debug)]
pub struct ProjectFile {
    path: PathBuf,
    dir: PathBuf,
    access: Access,
    /// `None` when it is read-only: such a one holds nothing open.
    writer: Option<OpenWriter>,
    /// Freed last.
    _lock: Option<Lock>,
}

#[derive(Debug)]
struct OpenWriter {
    connection: Connection,
    n_writes: i64,
}

/// Whether an open project can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// It can.
    Writable,
    /// It cannot; what is seen is how it was when it was opened.
    ReadOnly {
        /// Why.
        why: ReadOnlyReason,
    },
}

/// Why a project cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadOnlyReason {
    /// Only reading was asked for.
    #[error("it was opened for reading only")]
    Reading,
    /// Another window or program has it open.
    #[error("it is open in another window, so it was opened for reading only")]
    OpenElsewhere,
    /// The file, or its folder, does not allow it.
    #[error("{} cannot be written to, so the project was opened for reading only; save a copy elsewhere to go on", .path.display())]
    NotWritable {
        /// The file or the folder.
        path: PathBuf,
    },
}

/// What [`ProjectFile::open`] gives.
#[derive(Debug)]
pub struct Opened {
    /// The file, for what is changed from now on.
    pub file: ProjectFile,
    /// Its contents.
    pub project: Project,
    /// What can be undone and redone.
    pub history: History,
    /// The heads that were trained last. One that this program cannot understand is left out.
    pub heads: Vec<StoredHead>,
    /// The runs that were kept; what the user says of them is in the project.
    pub runs: Runs,
    /// What else is known.
    pub info: ProjectInfo,
}

/// What opening a project found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectInfo {
    /// The project's name, as it was given when it was made.
    pub name: String,
    /// Folders that lie to the project as they did, but elsewhere than before. [`Project::roots`] says where they are
    /// now, and so does the file if it is writable.
    pub moved_roots: Vec<MovedRoot>,
    /// Folders that are not there.
    pub missing_roots: Vec<RootId>,
    /// Version of the tables that were brought up to date, if they were older.
    pub migrated_from: Option<u32>,
}

/// A folder that was moved together with the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedRoot {
    /// Which.
    pub id: RootId,
    /// Where it was.
    pub from: PathBuf,
    /// Where it is.
    pub to: PathBuf,
}

impl ProjectFile {
    /// Makes a project without images, and the folders above it. It appears whole or not at all.
    ///
    /// # Errors
    /// When something of that name is there, or it cannot be made.
    pub fn create(path: &Path, name: &str) -> Result<Self, ProjectFileError> {
        let path = followed(path).map_err(io_at(path))?;
        let dir = path.parent().unwrap_or(&path);
        fs::create_dir_all(dir).map_err(io_at(dir))?;
        // As a later opening will see it.
        let dir = followed(dir).map_err(io_at(dir))?;
        let path = dir.join(path.file_name().unwrap_or_default());
        let lock = match Lock::take(&path) {
            Taken::Yes(lock) => lock,
            Taken::Held => return Err(ProjectFileError::Exists { path }),
            Taken::NoFile(error) => return Err(io_at(&path)(error)),
        };
        if fs::symlink_metadata(&path).is_ok() {
            return Err(ProjectFileError::Exists { path });
        }
        sweep(&dir, &path);
        let tmp = hidden(&path, "tmp");
        let made = make(&tmp, name)
            .map_err(|failure| failure.at(&path))
            // Left by a project of this name that was killed and whose file was then deleted.
            .and_then(|()| copy::remove_side_files(&path))
            .and_then(|()| fs::rename(&tmp, &path).map_err(io_at(&path)));
        if made.is_err() {
            // The first error is the one to report.
            fs::remove_file(&tmp).ok();
        }
        made?;
        sync_dir(&dir);
        match Self::open_writable(&path, &dir, lock)? {
            Ok(opened) => Ok(opened.file),
            Err(why) => Err(ProjectFileError::ReadOnly { path, why }),
        }
    }

    /// Opens a project and reads it whole. Where it cannot be changed it is opened read-only, which
    /// [`ProjectFile::access`] says.
    ///
    /// # Errors
    /// When there is none, when it is something else, damaged or of a newer Graft: then nothing is changed.
    pub fn open(path: &Path) -> Result<Opened, ProjectFileError> {
        let path = existing(path)?;
        let dir = path.parent().unwrap_or(&path).to_owned();
        let check_header = || match schema::check_header(&path) {
            Ok(checked) => checked.map_err(|failure| failure.at(&path)),
            Err(error) => Err(io_at(&path)(error)),
        };
        let why = match Lock::take(&path) {
            Taken::Held => ReadOnlyReason::OpenElsewhere,
            Taken::NoFile(error) => {
                tracing::debug!(%error, "no lock file can be made");
                check_header()?;
                ReadOnlyReason::NotWritable { path: dir.clone() }
            }
            Taken::Yes(lock) => {
                check_header()?;
                match Self::open_writable(&path, &dir, lock)? {
                    Ok(opened) => return Ok(opened),
                    Err(why) => why,
                }
            }
        };
        Self::open_read_only(path, dir, why)
    }

    /// Reads a project whole without changing it: also older tables stay as they are, and a window may have it open.
    ///
    /// # Errors
    /// As [`ProjectFile::open`].
    pub fn read(path: &Path) -> Result<Opened, ProjectFileError> {
        let path = existing(path)?;
        schema::check_header(&path).map_err(io_at(&path))?.map_err(|failure| failure.at(&path))?;
        let dir = path.parent().unwrap_or(&path).to_owned();
        Self::open_read_only(path, dir, ReadOnlyReason::Reading)
    }

    /// The inner error says why the file can only be read.
    fn open_writable(path: &Path, dir: &Path, lock: Lock) -> Result<Result<Opened, ReadOnlyReason>, ProjectFileError> {
        let at = |failure: Failure| failure.at(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(|e| at(e.into()))?;
        connection.busy_timeout(PATIENCE).map_err(|e| at(e.into()))?;
        if connection.is_readonly(MAIN_DB).map_err(|e| at(e.into()))? {
            return Ok(Err(ReadOnlyReason::NotWritable { path: path.to_owned() }));
        }
        let version = schema::migrate(&mut connection).map_err(at)?;
        let contents = load::load(&mut connection).map_err(at)?;
        // Only now, so that a file that cannot be understood stays as it is.
        match prepare(&connection) {
            Err(error) if matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)) => {
                return Ok(Err(ReadOnlyReason::NotWritable { path: dir.to_owned() }));
            }
            other => other.map_err(|e| at(e.into()))?,
        }
        let file = Self {
            path: path.to_owned(),
            dir: dir.to_owned(),
            access: Access::Writable,
            writer: Some(OpenWriter { connection, n_writes: contents.n_writes }),
            _lock: Some(lock),
        };
        file.finish_open(contents, version).map(Ok)
    }

    fn open_read_only(path: PathBuf, dir: PathBuf, why: ReadOnlyReason) -> Result<Opened, ProjectFileError> {
        let mut reader = Reader::open(&path)?;
        let contents = load::load(&mut reader.connection).map_err(|failure| failure.at(&path))?;
        let file = Self { path, dir, access: Access::ReadOnly { why }, writer: None, _lock: None };
        file.finish_open(contents, reader.version)
    }

    /// Finds the folders.
    fn finish_open(mut self, contents: Contents, version: u32) -> Result<Opened, ProjectFileError> {
        let Contents { name, mut project, roots, history, heads, runs, .. } = contents;
        let migrated_from = Some(version).filter(|v| *v < schema::VERSION);
        let mut info = ProjectInfo { name, migrated_from, ..ProjectInfo::default() };
        let mut stale = Vec::new();
        for (i, root) in roots.into_iter().enumerate() {
            let id = RootId::from(i);
            let now = match root.locate(&self.dir) {
                Located::Missing => {
                    info.missing_roots.push(id);
                    continue;
                }
                Located::There => paths::StoredRoot::new(root.path.clone(), &self.dir),
                Located::Moved(to) => {
                    project.roots[i].clone_from(&to);
                    info.moved_roots.push(MovedRoot { id, from: root.path.clone(), to: to.clone() });
                    paths::StoredRoot::new(to, &self.dir)
                }
            };
            if now != root {
                stale.push((id, now.path));
            }
        }
        if !stale.is_empty() && self.access == Access::Writable {
            self.transact(|writer| stale.iter().try_for_each(|(id, path)| writer.put_root(*id, path)))?;
        }
        Ok(Opened { file: self, project, history, heads, runs, info })
    }

    /// Where the file is; absolute, with symbolic links followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it can be changed.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Writes changes, in their order and in one transaction: when this returns they are on the disk, or, after an
    /// error, none of them is.
    ///
    /// # Errors
    /// When the file is read-only, another program has changed it, the changes do not follow from what it holds, or
    /// the disk does not take them. It may be tried again with the same changes.
    pub fn write(&mut self, writes: &[Write]) -> Result<(), ProjectFileError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.transact(|writer| writes.iter().try_for_each(|write| writer.write(write)))
    }

    fn transact(&mut self, f: impl FnOnce(&write::Writer<'_>) -> Result<(), Failure>) -> Result<(), ProjectFileError> {
        let Some(open) = &mut self.writer else {
            let why = match &self.access {
                Access::ReadOnly { why } => why.clone(),
                Access::Writable => ReadOnlyReason::OpenElsewhere,
            };
            return Err(ProjectFileError::ReadOnly { path: self.path.clone(), why });
        };
        write::write(&mut open.connection, &self.dir, open.n_writes, f).map_err(|failure| failure.at(&self.path))?;
        open.n_writes += 1;
        Ok(())
    }

    /// Saves a copy, packed, whole or not at all. An older file of that name is replaced.
    ///
    /// # Errors
    /// When the target is this file or a project that is open, or it cannot be written; an older file is untouched
    /// then.
    pub fn copy_to(&self, target: &Path) -> Result<(), ProjectFileError> {
        match &self.writer {
            Some(open) => copy::copy(&open.connection, &self.path, target),
            None => copy::copy(&Reader::open(&self.path)?.connection, &self.path, target),
        }
    }
}

impl Drop for ProjectFile {
    /// Brings everything into the one file.
    fn drop(&mut self) {
        let Some(OpenWriter { connection, .. }) = self.writer.take() else { return };
        // Without the mark of WAL a file can also be read where nothing can be written beside it.
        let folded = connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()));
        let closed = connection.close().map_err(|(_, error)| error);
        if let Err(error) = folded.and(closed) {
            // Nothing is lost: it is in the file beside it, and the next opener brings it over.
            tracing::warn!(%error, path = %self.path.display(), "the project was not closed cleanly");
        }
    }
}

/// A connection for writing: each transaction is on the disk when it is done.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    // Stays as it is on file systems without shared memory, which is as safe.
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    // A large import does not leave a large file beside a project for as long as it is open.
    connection.query_row("PRAGMA journal_size_limit = 4194304", [], |_| Ok(()))
}

/// A new file with the tables.
fn make(path: &Path, name: &str) -> Result<(), Failure> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA synchronous = FULL;")?;
    connection.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    schema::migrate(&mut connection)?;
    connection.execute("UPDATE meta SET value = ?1 WHERE key = 'name'", [name])?;
    connection.close().map_err(|(_, error)| error.into())
}

/// `path` with something after its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The file at `path`, by its own name.
fn existing(path: &Path) -> Result<PathBuf, ProjectFileError> {
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ProjectFileError::Missing { path: path.to_owned() });
        }
        other => other.map_err(io_at(path))?,
    };
    if path.is_file() { Ok(path) } else { Err(ProjectFileError::NotAProject { path }) }
}
