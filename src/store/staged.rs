//! A folder that appears whole or not at all (invariant 5).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::file::{followed, hidden, sweep, sync_dir};

/// A folder that appears whole or not at all: files are written into a hidden folder beside it, which [`Self::commit`]
/// renames. Dropped without a commit it removes what was made. Symbolic links are followed.
///
/// An empty folder, and one that is or holds the working directory, is not replaced (a shell may stand in it, or a
/// volume be mounted on it): the files are renamed into it one by one.
#[derive(Debug)]
pub struct StagedDir {
    tmp: PathBuf,
    target: PathBuf,
    place: Place,
    /// Folders above the target that were made for it, outermost first.
    made: Vec<PathBuf>,
    committed: bool,
}

/// What stands at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Missing,
    /// A folder to be replaced.
    Replace,
    /// A folder that files are renamed into.
    Fill,
}

impl StagedDir {
    /// Makes the hidden folder (and the folders above it), and removes those of processes that were killed.
    ///
    /// # Errors
    /// When the target is no folder; else whatever the system says.
    pub fn new(target: &Path) -> io::Result<Self> {
        // A process whose working directory is gone cannot have it as its target.
        Self::seen_from(target, std::env::current_dir().and_then(fs::canonicalize).ok().as_deref())
    }

    fn seen_from(target: &Path, working_dir: Option<&Path>) -> io::Result<Self> {
        let target = followed(target)?;
        if let Some(parent) = target.parent() {
            sweep(parent, &target);
        }
        sweep(&target, &target);
        let place = match fs::read_dir(&target) {
            Ok(mut entries) => {
                let fill = entries.next().is_none() || working_dir.is_some_and(|dir| dir.starts_with(&target));
                if fill { Place::Fill } else { Place::Replace }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Place::Missing,
            Err(error) => return Err(error),
        };
        let made = target.ancestors().skip(1).take_while(|dir| !dir.exists()).map(Path::to_owned).collect::<Vec<_>>();
        let made = made.into_iter().rev().collect();
        // From here on dropping it removes what it has made.
        let mut staged = Self { tmp: hidden(&target, "tmp"), target, place, made, committed: false };
        if let Some(parent) = staged.target.parent() {
            fs::create_dir_all(parent)?;
        }
        let within = staged.target.join(staged.tmp.file_name().unwrap_or_default());
        match make_anew(&staged.tmp) {
            // Beside it nothing can be made, or nothing that can be renamed into it: within it, then.
            Err(_) if place == Place::Fill => staged.tmp = within,
            Ok(()) if place == Place::Fill && !one_device(&staged.tmp, &staged.target) => {
                fs::remove_dir(&staged.tmp)?;
                staged.tmp = within;
            }
            made => return made.map(|()| staged),
        }
        make_anew(&staged.tmp).map(|()| staged)
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
    /// every moment one of the two is whole; after a kill between the two renames the next [`Self::new`] puts it back.
    ///
    /// # Errors
    /// Whatever the system says; the older folder is back in its place by then. An older folder that cannot be removed
    /// once the new one stands is only a line in the log.
    pub fn commit(mut self) -> io::Result<()> {
        let leftover = match self.place {
            // Fails where somebody has made one with something in it meanwhile.
            Place::Missing => fs::rename(&self.tmp, &self.target).map(|()| None)?,
            Place::Replace => Some(self.replace()?),
            Place::Fill => self.fill().map(|()| Some(self.tmp.clone()))?,
        };
        self.committed = true;
        self.target.parent().map(sync_dir);
        if let Some(leftover) = leftover
            && let Err(error) = fs::remove_dir_all(&leftover)
        {
            tracing::warn!(%error, path = %leftover.display(), "an older folder could not be removed");
        }
        Ok(())
    }

    /// Returns where the older folder is now.
    fn replace(&self) -> io::Result<PathBuf> {
        let aside = hidden(&self.target, "old");
        if aside.exists() {
            fs::remove_dir_all(&aside)?;
        }
        fs::rename(&self.target, &aside)?;
        if let Err(error) = fs::rename(&self.tmp, &self.target) {
            fs::rename(&aside, &self.target)?;
            return Err(error);
        }
        Ok(aside)
    }

    fn fill(&self) -> io::Result<()> {
        let mut names = fs::read_dir(&self.tmp)?.map(|e| Ok(e?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        for (i, name) in names.iter().enumerate() {
            if let Err(error) = fs::rename(self.tmp.join(name), self.target.join(name)) {
                for name in &names[..i] {
                    // The first error is the one to report.
                    fs::rename(self.target.join(name), self.tmp.join(name)).ok();
                }
                return Err(error);
            }
        }
        sync_dir(&self.target);
        Ok(())
    }
}

impl Drop for StagedDir {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        // Nobody is there to be told; what stays is removed by the next run.
        fs::remove_dir_all(&self.tmp).ok();
        for dir in self.made.iter().rev() {
            // Fails where something else has been put into it, as it should.
            fs::remove_dir(dir).ok();
        }
    }
}

fn make_anew(dir: &Path) -> io::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir(dir)
}

/// Whether a rename from one folder to the other can succeed.
#[cfg(unix)]
fn one_device(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path| fs::metadata(path).ok().map(|m| m.dev());
    device(a) == device(b)
}

#[cfg(not(unix))]
fn one_device(_: &Path, _: &Path) -> bool {
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn export(target: &Path, content: &[u8]) {
        let staged = StagedDir::new(target).unwrap();
        staged.write("a", content).unwrap();
        staged.commit().unwrap();
    }

    #[test]
    fn a_staged_folder_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let staged = StagedDir::new(&target).unwrap();
        staged.write("a", b"1").unwrap();
        drop(staged);
        assert!(names(dir.path()).is_empty());

        for content in [b"1", b"2"] {
            export(&target, content);
            assert_eq!(fs::read(target.join("a")).unwrap(), content);
            assert_eq!(names(dir.path()), ["out"], "nothing is left beside it");
        }
    }

    #[test]
    fn what_an_older_folder_held_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("stale"), b"").unwrap();
        export(&target, b"1");
        assert_eq!(names(&target), ["a"]);
    }

    #[test]
    fn folders_above_it_stay_only_with_a_commit() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("qa/qb/qc");
        drop(StagedDir::new(&target).unwrap());
        assert!(names(dir.path()).is_empty());
        let staged = StagedDir::new(&target).unwrap();
        fs::write(dir.path().join("qa/other"), b"").unwrap();
        drop(staged);
        assert_eq!(names(&dir.path().join("qa")), ["other"], "somebody else's file stays");
        export(&target, b"1");
        assert_eq!(names(&target), ["a"]);
    }

    #[test]
    fn a_file_is_no_folder() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("f");
        fs::write(&target, b"1").unwrap();
        assert!(StagedDir::new(&target).is_err());
        assert_eq!(names(dir.path()), ["f"]);
    }

    #[test]
    fn a_folder_made_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let staged = StagedDir::new(&target).unwrap();
        fs::create_dir(&target).unwrap();
        fs::write(target.join("theirs"), b"").unwrap();
        assert!(staged.commit().is_err());
        assert_eq!(names(&target), ["theirs"]);
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[cfg(unix)]
    fn inode(path: &Path) -> u64 {
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap())
    }

    #[cfg(unix)]
    #[test]
    fn an_empty_folder_and_the_working_directory_are_filled() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        let target = base.join("out");
        fs::create_dir(&target).unwrap();
        let before = inode(&target);
        export(&target, b"1");
        assert_eq!(inode(&target), before);

        fs::create_dir(target.join("sub")).unwrap();
        for working_dir in [target.clone(), target.join("sub")] {
            let staged = StagedDir::seen_from(&target, Some(&working_dir)).unwrap();
            staged.write("a", b"2").unwrap();
            staged.commit().unwrap();
            assert_eq!(inode(&target), before);
        }
        assert_eq!(fs::read(target.join("a")).unwrap(), b"2");
        assert_eq!(names(&target), ["a", "sub"]);
        assert_eq!(names(&base), ["out"]);
    }

    #[test]
    fn a_folder_that_cannot_be_filled_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        fs::create_dir(&target).unwrap();
        let staged = StagedDir::new(&target).unwrap();
        staged.write("a", b"1").unwrap();
        staged.write("b", b"1").unwrap();
        fs::create_dir(target.join("b")).unwrap();
        assert!(staged.commit().is_err());
        assert_eq!(names(&target), ["b"]);
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::os::unix::fs::symlink("real", &link).unwrap();
        // Leading nowhere, to a folder that is empty by then, to an older export.
        for content in [b"1", b"2", b"3"] {
            export(&link, content);
            assert_eq!(fs::read(real.join("a")).unwrap(), content);
            assert!(link.is_symlink());
            if content == b"1" {
                fs::remove_file(real.join("a")).unwrap();
            }
        }
        assert_eq!(names(dir.path()), ["link", "real"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_killed_processes_left_is_removed_or_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        // No process has a number as high as that.
        for name in [".out.4999999.tmp", ".out.4999998.old", ".out.1.tmp", ".out.x.tmp", ".other.4999999.tmp"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("a"), name).unwrap();
        }
        let staged = StagedDir::new(&target).unwrap();
        assert_eq!(fs::read(target.join("a")).unwrap(), b".out.4999998.old", "killed between the two renames");
        drop(staged);
        let others = [".other.4999999.tmp", ".out.1.tmp", ".out.x.tmp", "out"];
        assert_eq!(names(dir.path()), others);
        fs::create_dir(dir.path().join(".out.4999998.old")).unwrap();
        export(&target, b"1");
        assert_eq!(names(dir.path()), others);
    }
}
