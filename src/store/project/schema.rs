//! The tables of a project file, and how older ones become today's.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::Failure;

/// Says that a SQLite file is a project of Graft ("GRFT").
pub(super) const APPLICATION_ID: i32 = 0x4752_4654;

/// Each makes the tables of its version (1, 2, …) from those of the one before; `user_version` says which was last.
/// One that was released is never changed: what is new goes into another one at the end.
///
/// Paths are text where they are UTF-8, else the system's bytes. A class that was deleted has no name. Edits up to
/// `done_edit` are in effect, later ones were undone. `n_writes` counts transactions, to notice other writers.
const MIGRATIONS: [&str; 5] = [
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
     INSERT INTO meta VALUES ('name', ''), ('settings', '{}'), ('done_edit', 0), ('n_writes', 0);
     CREATE TABLE root (id INTEGER PRIMARY KEY, path ANY NOT NULL, relative ANY) STRICT;
     CREATE TABLE class (id INTEGER PRIMARY KEY, name TEXT, colour INTEGER NOT NULL) STRICT;
     CREATE TABLE image (
         id INTEGER PRIMARY KEY,
         root INTEGER NOT NULL REFERENCES root (id),
         path ANY NOT NULL,
         hash BLOB,
         class INTEGER REFERENCES class (id) DEFERRABLE INITIALLY DEFERRED,
         split TEXT,
         is_present INTEGER NOT NULL,
         skipped TEXT
     ) STRICT;
     CREATE TABLE edit (id INTEGER PRIMARY KEY, title TEXT NOT NULL, changes TEXT NOT NULL) STRICT;",
    "CREATE TABLE head (
         id INTEGER PRIMARY KEY,
         meta TEXT NOT NULL,
         matrix BLOB NOT NULL,
         bias BLOB,
         record TEXT NOT NULL,
         val TEXT,
         test TEXT,
         class_ids TEXT NOT NULL,
         revision INTEGER NOT NULL,
         n_train INTEGER NOT NULL,
         n_val INTEGER NOT NULL
     ) STRICT;",
    "ALTER TABLE image ADD COLUMN is_guessed INTEGER NOT NULL DEFAULT 0;",
    "CREATE TABLE judged (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, images BLOB NOT NULL) STRICT;
     CREATE TABLE run (
         id INTEGER PRIMARY KEY,
         unix_secs INTEGER NOT NULL,
         facts TEXT NOT NULL,
         judged INTEGER NOT NULL REFERENCES judged (id),
         answers BLOB NOT NULL,
         marks TEXT
     ) STRICT;
     INSERT INTO meta VALUES ('next_run', 0);",
    "CREATE TABLE dismissed (
         image INTEGER PRIMARY KEY REFERENCES image (id) DEFERRABLE INITIALLY DEFERRED,
         kinds INTEGER NOT NULL
     ) STRICT;",
];

/// Version of the tables that this program writes.
pub(super) const VERSION: u32 = MIGRATIONS.len() as u32;

/// Brings the tables up to date, one transaction a version, and says which they were of.
pub(super) fn migrate(connection: &mut Connection) -> Result<u32, Failure> {
    let found = check(connection)?;
    for (version, sql) in (1..=VERSION).zip(MIGRATIONS) {
        if version <= found {
            continue;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(found)
}

/// The version of a project's tables.
pub(super) fn check(connection: &Connection) -> Result<u32, Failure> {
    let get = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if get("application_id")? != i64::from(APPLICATION_ID) {
        return Err(Failure::NotAProject);
    }
    known(get("user_version")?)
}

fn known(version: i64) -> Result<u32, Failure> {
    match u32::try_from(version) {
        Ok(version) if version <= VERSION => Ok(version),
        other => Err(Failure::TooNew(other.unwrap_or(u32::MAX))),
    }
}

/// Looks at the first bytes only, so that a file of something else is not touched by SQLite. Only for files that
/// nobody has open: closing a file drops the locks that SQLite holds on it in this process.
pub(super) fn check_header(path: &Path) -> io::Result<Result<(), Failure>> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let mut header = [0; 72];
    match File::open(path)?.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Err(Failure::NotAProject)),
        other => other?,
    }
    let field = |at: usize| header[at..].first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
    if !header.starts_with(MAGIC) || field(68) != Some(APPLICATION_ID) {
        return Ok(Err(Failure::NotAProject));
    }
    Ok(known(field(60).unwrap_or(0).into()).map(drop))
}
