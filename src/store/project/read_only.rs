//! Reading a project that is not ours to change.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::{ProjectFileError, io_at};
use super::{PATIENCE, beside, schema};

/// A connection for reading, to the file or to a copy for the time being.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) connection: Connection,
    /// Version of the tables of the file itself.
    pub(super) version: u32,
    /// Dropped after the connection.
    _scratch: Option<Scratch>,
}

impl Reader {
    /// Opens a project without changing it, whatever state it was left in: SQLite needs to write beside a file that
    /// was not closed properly, and older tables need to become today's, so such a one is read from a copy in the
    /// system's folder for temporary files.
    pub(super) fn open(path: &Path) -> Result<Self, ProjectFileError> {
        let at = |failure: super::error::Failure| failure.at(path);
        let (mut connection, mut scratch) = match connect(path) {
            Ok(connection) => (connection, None),
            Err(error) => match error.sqlite_error_code() {
                Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
                    let scratch = Scratch::new().map_err(io_at(&env::temp_dir()))?;
                    let copy = scratch.path.join("project");
                    fs::copy(path, &copy).map_err(io_at(path))?;
                    match fs::copy(beside(path, "-wal"), beside(&copy, "-wal")) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_at(path)(error)),
                        _ => {}
                    }
                    make_writable(&scratch.path).map_err(io_at(&scratch.path))?;
                    (Connection::open(&copy).map_err(|e| at(e.into()))?, Some(scratch))
                }
                _ => return Err(at(error.into())),
            },
        };
        let version = schema::check(&connection).map_err(at)?;
        if version < schema::VERSION {
            if scratch.is_none() {
                let made = Scratch::new().map_err(io_at(&env::temp_dir()))?;
                let copy = made.path.join("project");
                super::copy::vacuum_into(&connection, &copy).map_err(at)?;
                connection = Connection::open(&copy).map_err(|e| at(e.into()))?;
                scratch = Some(made);
            }
            schema::migrate(&mut connection).map_err(at)?;
        }
        Ok(Self { connection, version, _scratch: scratch })
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    // The first look is where SQLite finds out whether it can read the file.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// A folder of this process alone, which goes with the value.
#[derive(Debug)]
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> io::Result<Self> {
        static N_MADE: AtomicUsize = AtomicUsize::new(0);
        loop {
            let n = N_MADE.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("graft-{}-{n}", process::id()));
            let mut builder = fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            match builder.create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self { path }),
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is the system's to clean up.
        fs::remove_dir_all(&self.path).ok();
    }
}

/// Copies have the permissions of what they are copies of.
fn make_writable(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let mut permissions = fs::metadata(&path)?.permissions();
        #[cfg(unix)]
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
        #[cfg(not(unix))]
        permissions.set_readonly(false);
        fs::set_permissions(&path, permissions)?;
    }
    Ok(())
}
