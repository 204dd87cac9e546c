//! Writes that are whole or not there (invariant 7).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a file by way of a temporary one beside it: synced, then renamed over the target.
///
/// # Errors
/// Whatever the system says; the temporary file is gone by then and an older target is untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let tmp = sibling(path);
    let result = (|| {
        let mut file = File::create(&tmp)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&tmp, path)
    })();
    if result.is_err() {
        // The first error is the one to report; what is left to remove may never have been made.
        fs::remove_file(&tmp).ok();
    }
    result
}

/// A folder that appears whole or not at all: files are written into a hidden sibling, which [`Self::commit`] renames.
/// Dropped without a commit it removes what was written.
#[derive(Debug)]
pub struct StagedDir {
    tmp: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl StagedDir {
    /// Makes the hidden sibling (and the folders above it).
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn new(target: &Path) -> io::Result<Self> {
        let target = std::path::absolute(target)?;
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let tmp = sibling(&target);
        if tmp.exists() {
            fs::remove_dir_all(&tmp)?;
        }
        fs::create_dir(&tmp)?;
        Ok(Self { tmp, target, committed: false })
    }

    /// The folder to write into.
    pub fn path(&self) -> &Path {
        &self.tmp
    }

    /// Writes and syncs one file of the folder.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(self.tmp.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Puts the folder in its place. An older folder of that name is moved aside first and removed last, so that at
    /// every moment one of the two is whole.
    ///
    /// # Errors
    /// Whatever the system says; the older folder is back in its place by then.
    pub fn commit(mut self) -> io::Result<()> {
        let aside = self.target.exists().then(|| sibling(&self.target).with_extension("old"));
        if let Some(aside) = &aside {
            if aside.exists() {
                fs::remove_dir_all(aside)?;
            }
            fs::rename(&self.target, aside)?;
        }
        if let Err(error) = fs::rename(&self.tmp, &self.target) {
            if let Some(aside) = &aside {
                fs::rename(aside, &self.target)?;
            }
            return Err(error);
        }
        self.committed = true;
        if let Some(parent) = self.target.parent() {
            // A folder's own entry is synced where the system knows that; elsewhere opening it fails, which is fine.
            if let Ok(dir) = File::open(parent) {
                dir.sync_all().ok();
            }
        }
        if let Some(aside) = aside {
            fs::remove_dir_all(aside)?;
        }
        Ok(())
    }
}

impl Drop for StagedDir {
    fn drop(&mut self) {
        if !self.committed {
            fs::remove_dir_all(&self.tmp).ok();
        }
    }
}

/// A hidden name beside `path`, of this process alone.
fn sibling(path: &Path) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_folder_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let staged = StagedDir::new(&target).unwrap();
        staged.write("a", b"1").unwrap();
        drop(staged);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        for content in [b"1", b"2"] {
            let staged = StagedDir::new(&target).unwrap();
            staged.write("a", content).unwrap();
            staged.commit().unwrap();
            assert_eq!(fs::read(target.join("a")).unwrap(), content);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        }
    }

    #[test]
    fn atomic_write_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomic(&path, b"1").unwrap();
        write_atomic(&path, b"2").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert!(write_atomic(&dir.path().join("no/f"), b"1").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
