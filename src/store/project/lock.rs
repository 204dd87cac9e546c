//! Who has a project open: a lock file beside it, which the system frees when its holder ends, however it ends.
//!
//! Not a lock on the project file itself: on some systems that would be one with SQLite's own, and closing the file
//! would drop those.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::beside;

/// Holds a project until it is dropped, which removes the lock file.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    /// `None` only while it is dropped.
    file: Option<File>,
}

/// What came of asking for a lock.
#[derive(Debug)]
pub(super) enum Taken {
    Yes(Lock),
    /// Somebody else has it.
    Held,
    /// No lock file can be made.
    NoFile(io::Error),
}

impl Lock {
    /// Asks once, without waiting.
    pub(super) fn take(project: &Path) -> Taken {
        let path = beside(project, "-lock");
        match open(&path) {
            Ok(Some(file)) => Taken::Yes(Self { path, file: Some(file) }),
            Ok(None) => Taken::Held,
            Err(error) => Taken::NoFile(error),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is still held, so that whoever gets it next sees that it is gone. On Windows the system
        // removes it.
        if cfg!(unix) {
            fs::remove_file(&self.path).ok();
        }
        self.file.take();
    }
}

/// The locked file; `None` when somebody else holds it.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<Option<File>> {
    use std::fs::TryLockError;
    use std::os::unix::fs::MetadataExt;
    loop {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                // A file system without locks; `ProjectFile::write` notices other writers by itself.
                tracing::warn!(%error, path = %path.display(), "the project cannot be locked");
                return Ok(Some(file));
            }
        }
        // The one who held it before has removed it meanwhile: the next opener would make a new one.
        let ours = file.metadata()?;
        match fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => return Ok(Some(file)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

/// The file, which nobody else can open and which the system removes when it is closed; `None` when somebody else has
/// it.
#[cfg(windows)]
fn open(path: &Path) -> io::Result<Option<File>> {
    use std::os::windows::fs::OpenOptionsExt;
    const GENERIC_WRITE_AND_DELETE: u32 = 0x4000_0000 | 0x0001_0000;
    const FILE_FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;
    const ERROR_SHARING_VIOLATION: i32 = 32;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .access_mode(GENERIC_WRITE_AND_DELETE)
        .share_mode(0)
        .custom_flags(FILE_FLAG_DELETE_ON_CLOSE)
        .open(path);
    match file {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_holder_at_a_time_even_while_the_file_comes_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("p.graft");
        let (n_inside, n_taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        match Lock::take(&project) {
                            Taken::Yes(_lock) => {
                                assert_eq!(n_inside.fetch_add(1, Ordering::SeqCst), 0);
                                n_taken.fetch_add(1, Ordering::SeqCst);
                                n_inside.fetch_sub(1, Ordering::SeqCst);
                            }
                            Taken::Held => {}
                            Taken::NoFile(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
        assert!(n_taken.into_inner() > 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
        assert!(matches!(Lock::take(&dir.path().join("no/p.graft")), Taken::NoFile(_)));
    }
}
