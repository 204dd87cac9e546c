//! What can go wrong with a project file.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::ReadOnlyReason;

/// Why a project file was not made, opened, written or copied.
#[derive(Debug, thiserror::Error)]
pub enum ProjectFileError {
    /// There is no such file.
    #[error("there is no project {}: it was moved, renamed or deleted; open it from where it is now", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A project is not made over a file that is there.
    #[error("{} is there already: choose another name, or open it", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another kind of file.
    #[error("{} is not a Graft project: choose a file that Graft has made (its name ends in .graft)", .path.display())]
    NotAProject {
        /// The file.
        path: PathBuf,
    },
    /// A later version of Graft has written it. Nothing was changed.
    #[error(
        "{} was written by a newer Graft (format {version}, this one knows up to {known}): update Graft to open it",
        .path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Version of its tables.
        version: u32,
        /// The latest version that this program knows.
        known: u32,
    },
    /// It is a project, but its contents make no sense. Nothing was changed.
    #[error(
        "the project {} is damaged and was left as it is ({damage}): open a copy or a backup of it, or begin a new \
         project from the same folders",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        damage: Damage,
    },
    /// The file was opened read-only.
    #[error("nothing can be changed in {}: {why}", .path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// Why it was opened so.
        why: ReadOnlyReason,
    },
    /// Another program has written to it since it was opened. What was to be written is not in it.
    #[error("another program has changed {}: open it again to go on with what it holds now", .path.display())]
    ChangedElsewhere {
        /// The file.
        path: PathBuf,
    },
    /// What is to be written does not follow from what the file holds. A mistake of this program; nothing was written.
    #[error("the last change does not fit {} and was not saved ({what}): open the project again", .path.display())]
    OutOfStep {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: OutOfStep,
    },
    /// A copy cannot replace the project that it is a copy of.
    #[error("{} is the project itself: choose another name for the copy", .path.display())]
    CopyOntoItself {
        /// The file.
        path: PathBuf,
    },
    /// A copy does not replace a project in use.
    #[error("{} is open in another window: choose another name for the copy, or close it there", .path.display())]
    CopyTargetOpen {
        /// The file.
        path: PathBuf,
    },
    /// SQLite said no.
    #[error("{} cannot be read or written ({source}): check that its disk is there and has space", .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// The system said no.
    #[error("{} cannot be read or written: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

/// What is wrong with a damaged project.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// SQLite cannot make sense of the file.
    #[error("{0}")]
    Sqlite(rusqlite::Error),
    /// A row is missing, or says what cannot be.
    #[error("{what} of {table} {id} is wrong")]
    Row {
        /// The table.
        table: &'static str,
        /// The row.
        id: i64,
        /// Which value.
        what: &'static str,
    },
    /// A value that is not the JSON that it should be.
    #[error("{what} of {table} {id} is wrong: {source}")]
    Json {
        /// The table.
        table: &'static str,
        /// The row.
        id: i64,
        /// Which value.
        what: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// What of a write does not fit the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfStep {
    /// Rows are appended without gaps.
    #[error("{table} {given} was to be added where {expected} is next")]
    NextId {
        /// The table.
        table: &'static str,
        /// What was given.
        given: u32,
        /// What comes next.
        expected: i64,
    },
    /// There is no edit to undo.
    #[error("there is no edit to undo")]
    NothingToUndo,
    /// There is no edit to redo.
    #[error("there is no edit to redo")]
    NothingToRedo,
    /// A value that would not come back as it is, such as a number that is not finite.
    #[error("{what} cannot be stored")]
    Unstorable {
        /// Which value.
        what: &'static str,
    },
    /// An image of a folder, or with a class, that there is not.
    #[error("an image's folder or class is not in the project")]
    Reference,
}

/// An error that does not know its file yet.
#[derive(Debug)]
pub(super) enum Failure {
    Sqlite(rusqlite::Error),
    Damage(Damage),
    OutOfStep(OutOfStep),
    TooNew(u32),
    NotAProject,
    ChangedElsewhere,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match (&error, error.sqlite_error_code()) {
            (_, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
            | (E::InvalidColumnType(..) | E::IntegralValueOutOfRange(..) | E::FromSqlConversionFailure(..), _)
            | (E::Utf8Error(..) | E::QueryReturnedNoRows, _) => Self::Damage(Damage::Sqlite(error)),
            // The statements are right: a table or column that they name is not there.
            (E::SqliteFailure(inner, _), _) if inner.extended_code == rusqlite::ffi::SQLITE_ERROR => {
                Self::Damage(Damage::Sqlite(error))
            }
            (E::SqliteFailure(inner, _), _) if inner.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
                Self::OutOfStep(OutOfStep::Reference)
            }
            _ => Self::Sqlite(error),
        }
    }
}

impl From<Damage> for Failure {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

impl From<OutOfStep> for Failure {
    fn from(what: OutOfStep) -> Self {
        Self::OutOfStep(what)
    }
}

impl Failure {
    pub(super) fn at(self, path: &Path) -> ProjectFileError {
        let path = path.to_owned();
        match self {
            Self::Sqlite(source) => ProjectFileError::Sqlite { path, source },
            Self::Damage(damage) => ProjectFileError::Damaged { path, damage },
            Self::OutOfStep(what) => ProjectFileError::OutOfStep { path, what },
            Self::TooNew(version) => ProjectFileError::TooNew { path, version, known: super::schema::VERSION },
            Self::NotAProject => ProjectFileError::NotAProject { path },
            Self::ChangedElsewhere => ProjectFileError::ChangedElsewhere { path },
        }
    }
}

/// Adds the file to an error of the system.
pub(super) fn io_at(path: &Path) -> impl FnOnce(std::io::Error) -> ProjectFileError {
    move |source| ProjectFileError::Io { path: path.to_owned(), source }
}
