//! A cache's SQLite file: opened by many processes at once, and made anew when it is damaged.

use std::cell::RefCell;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::cache::CacheError;

/// What a file's tables are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schema {
    /// What the file is, for the log.
    pub name: &'static str,
    /// Counts changes of the tables; a file of another version is made anew.
    pub version: i64,
    /// Drops the tables of earlier versions and makes those of this one.
    pub tables: &'static str,
}

/// How long another process is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The file and the connection to it.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    schema: Schema,
    /// `None` once it has failed beyond mending: nothing is remembered from then on.
    open: RefCell<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    /// Which file it is, to see whether another process has put a new one in its place.
    file: Option<FileId>,
    /// Whether it has been made anew before; a second time would say that the disk is at fault.
    mended: bool,
}

impl Database {
    /// Opens or makes the file; a damaged one is set aside.
    pub(super) fn open(path: PathBuf, schema: Schema) -> Result<Self, CacheError> {
        let open = {
            let _lock = lock(&path);
            Open::new(&path, schema, false)?
        };
        Ok(Self { path, schema, open: RefCell::new(Some(open)) })
    }

    /// Does `work`. Where the file turns out to be damaged, it is set aside and the work done again on a new one; where
    /// that fails, or comes to pass again, the error is returned once and all further work gives `T::default()`.
    pub(super) fn run<T: Default>(
        &self,
        mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, CacheError> {
        let mut slot = self.open.borrow_mut();
        let Some(mut open) = slot.take() else { return Ok(T::default()) };
        let result = work(&mut open.connection);
        let error = match result {
            Err(error) if is_damaged(&error) => error,
            other => {
                *slot = Some(open);
                return Ok(other?);
            }
        };
        if open.mended {
            return Err(error.into());
        }
        let mut open = self.mend(open, &error)?;
        let result = work(&mut open.connection);
        if !result.as_ref().is_err_and(is_damaged) {
            *slot = Some(open);
        }
        Ok(result?)
    }

    fn mend(&self, damaged: Open, error: &rusqlite::Error) -> Result<Open, CacheError> {
        let Open { connection, file, .. } = damaged;
        // Closed first: some systems rename no open file. What closing says of a damaged file does not matter.
        drop(connection);
        let _lock = lock(&self.path);
        // Another process may have been here first; its new file is to stay.
        if file_id(&self.path) == file {
            set_aside(&self.path, self.schema.name, error)?;
        }
        Open::new(&self.path, self.schema, true)
    }
}

impl Open {
    /// The caller holds the lock.
    fn new(path: &Path, schema: Schema, mended: bool) -> Result<Self, CacheError> {
        let (connection, mended) = match connect(path, schema) {
            Err(error) if is_damaged(&error) => {
                set_aside(path, schema.name, &error)?;
                (connect(path, schema)?, true)
            }
            other => (other?, mended),
        };
        Ok(Self { connection, file: file_id(path), mended })
    }
}

fn connect(path: &Path, schema: Schema) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    // NORMAL under WAL may lose the last transactions in a power cut, never the file: right for a cache.
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")?;
    if version(&connection)? != schema.version {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Asked again: another process may have made the tables, and filled them, while this one waited.
        if version(&transaction)? != schema.version {
            transaction.execute_batch(schema.tables)?;
            transaction.pragma_update(None, "user_version", schema.version)?;
        }
        transaction.commit()?;
    }
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Renames the file and its side files to `….damaged`, over those of an earlier time. A process that has them open goes
/// on with them.
fn set_aside(path: &Path, name: &str, error: &rusqlite::Error) -> Result<(), CacheError> {
    tracing::warn!(%error, path = %path.display(), "the {name} is damaged and made anew");
    // The main file goes last: while it is there, nobody takes the side files for those of a new one.
    for suffix in ["-wal", "-shm", ""] {
        let name = |middle: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(middle);
            name.push(suffix);
            PathBuf::from(name)
        };
        let (from, to) = (name(""), name(".damaged"));
        match fs::rename(&from, &to) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(CacheError::SetAside { path: from, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Keeps other processes from opening the file while it is made or set aside, until the result is dropped. `None` where
/// the system has no locks, or when somebody holds this one for too long: SQLite's own locks still keep the tables
/// whole then.
fn lock(path: &Path) -> Option<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(name).ok()?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(_) => return None,
        }
    }
}

/// Device and inode.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
}

#[cfg(not(unix))]
fn file_id(_: &Path) -> Option<FileId> {
    None
}

fn is_damaged(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SCHEMA: Schema = Schema {
        name: "test",
        version: 1,
        tables: "DROP TABLE IF EXISTS number; CREATE TABLE number (i INTEGER PRIMARY KEY);",
    };

    fn insert(connection: &Connection, i: i64) -> rusqlite::Result<()> {
        connection.execute("INSERT INTO number VALUES (?1)", [i]).map(drop)
    }

    #[test]
    fn tables_are_made_once_even_without_the_lock() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("db");
            // The switch to WAL is not waited for by SQLite, so it is done before; the tables are what this is about.
            Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode = WAL").unwrap();
            let start = std::sync::Barrier::new(6);
            std::thread::scope(|scope| {
                for i in 0..6 {
                    let (path, start) = (&path, &start);
                    scope.spawn(move || {
                        start.wait();
                        insert(&connect(path, SCHEMA).unwrap(), i).unwrap();
                    });
                }
            });
            let n: i64 =
                connect(&path, SCHEMA).unwrap().query_row("SELECT count(*) FROM number", [], |r| r.get(0)).unwrap();
            assert_eq!(n, 6, "nobody's rows were dropped");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_that_another_process_has_made_anew_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let (ours, theirs) =
            (Database::open(path.clone(), SCHEMA).unwrap(), Database::open(path.clone(), SCHEMA).unwrap());
        let damaged = || rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), None);
        for (db, i) in [(&theirs, 1), (&ours, 2)] {
            let mut first = true;
            db.run(|connection| match std::mem::take(&mut first) {
                true => Err(damaged()),
                false => insert(connection, i),
            })
            .unwrap();
        }
        let n: i64 =
            connect(&path, SCHEMA).unwrap().query_row("SELECT count(*) FROM number", [], |r| r.get(0)).unwrap();
        assert_eq!(n, 2);
        assert!(ours.run::<()>(|_| Err(damaged())).is_err(), "the second time is reported");
        assert_eq!(ours.run::<i64>(|_| unreachable!()).unwrap(), 0, "and nothing more is tried");
    }
}
