//! Copies that are whole or not there, and never in the place of something else.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::file::{hidden, sweep};

/// A folder that files are copied into under names that are free.
#[derive(Debug)]
pub struct CopyInto {
    dir: PathBuf,
    tmp: PathBuf,
    /// The number that was last given to a name that is taken.
    numbers: BTreeMap<OsString, u32>,
}

impl CopyInto {
    /// Makes the folder where it is missing, and removes what killed processes left half copied there.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn new(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let name = dir.join("copy");
        sweep(dir, &name);
        Ok(Self { dir: dir.to_owned(), tmp: hidden(&name, "tmp"), numbers: BTreeMap::new() })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Copies a file under its own name or, where that is taken, as `NAME (2).EXT` and so on; its time of change goes
    /// along. Returns the copy's path.
    ///
    /// # Errors
    /// Whatever the system says; no part of the copy is there then.
    pub fn copy(&mut self, from: &Path) -> io::Result<PathBuf> {
        let result = self.write(from).and_then(|()| self.place(from.file_name().unwrap_or_default()));
        if result.is_err() {
            // The first error is the one to report; the file may never have been made.
            fs::remove_file(&self.tmp).ok();
        }
        result
    }

    fn write(&self, from: &Path) -> io::Result<()> {
        let mut source = File::open(from)?;
        let mut copy = File::create(&self.tmp)?;
        io::copy(&mut source, &mut copy)?;
        if let Ok(modified) = source.metadata().and_then(|m| m.modified()) {
            // Not every file system keeps times.
            copy.set_modified(modified).ok();
        }
        copy.sync_all()
    }

    /// Gives the finished copy its name.
    fn place(&mut self, name: &OsStr) -> io::Result<PathBuf> {
        let mut number = self.numbers.get(name).copied().unwrap_or(1);
        loop {
            let target = self.dir.join(numbered(name, number));
            match rename_new(&self.tmp, &target) {
                Ok(()) => {
                    self.numbers.insert(name.to_owned(), number);
                    return Ok(target);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

/// `NAME (2).EXT` for number 2; the name itself for 1.
fn numbered(name: &OsStr, number: u32) -> OsString {
    if number < 2 {
        return name.to_owned();
    }
    let path = Path::new(name);
    let mut numbered = path.file_stem().unwrap_or(name).to_owned();
    numbered.push(format!(" ({number})"));
    if let Some(extension) = path.extension() {
        numbered.push(".");
        numbered.push(extension);
    }
    numbered
}

/// A rename that fails where something is there already.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without links, such as a memory card's: between the look and the rename nobody else is expected.
        Err(_) if to.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

/// Copies a large file in steps; `go_on` sees how many bytes each step had and may end it.
///
/// # Errors
/// Whatever the system says; [`io::ErrorKind::Interrupted`] when it was ended. What was written stays: this is for files
/// in a folder that is staged.
pub fn copy_in_steps(from: &Path, to: &Path, mut go_on: impl FnMut(u64) -> bool) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut copy = File::create(to)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        copy.write_all(&buffer[..n])?;
        if !go_on(n as u64) {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
    copy.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_half_done_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (from, into) = (dir.path().join("a.tar.gz"), dir.path().join("into"));
        fs::write(&from, b"new").unwrap();
        fs::create_dir(&into).unwrap();
        fs::write(into.join("a.tar.gz"), b"old").unwrap();
        let mut copies = CopyInto::new(&into).unwrap();
        assert_eq!(copies.copy(&from).unwrap(), into.join("a.tar (2).gz"));
        assert_eq!(copies.copy(&from).unwrap(), into.join("a.tar (3).gz"));
        assert_eq!(fs::read(into.join("a.tar.gz")).unwrap(), b"old");
        assert_eq!(fs::read(into.join("a.tar (3).gz")).unwrap(), b"new");
        let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(modified(&into.join("a.tar (2).gz")), modified(&from));
        assert!(copies.copy(&dir.path().join("missing")).is_err());
        assert!(copies.copy(dir.path()).is_err());
        assert_eq!(names(&into), ["a.tar (2).gz", "a.tar (3).gz", "a.tar.gz"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_killed_processes_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".copy.4999999.tmp"), b"half").unwrap();
        CopyInto::new(dir.path()).unwrap();
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn a_copy_in_steps_can_be_ended() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, vec![7; 3 << 20]).unwrap();
        let mut n_bytes = 0;
        let mut add = |n| {
            n_bytes += n;
            true
        };
        copy_in_steps(&from, &to, &mut add).unwrap();
        assert_eq!((n_bytes, fs::read(&to).unwrap()), (3 << 20, vec![7; 3 << 20]));
        let error = copy_in_steps(&from, &to, |_| false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
