//! What tells that a file is still the one whose content hash is remembered.

use std::fs::Metadata;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Younger files may change again within the clock's grain, unnoticed.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Size and modification time of a file; on Unix also its device, inode and change time, as in git's index: two files
/// of one size and time that change places have another inode, and a time that was set back leaves a new change time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    size_bytes: u64,
    modified_ns: i64,
    /// 0 where the system has none, as the two below.
    changed_ns: i64,
    device: u64,
    inode: u64,
}

impl FileStamp {
    /// The stamp of a file; `None` when the system has no modification time, or when the file is so young that a change
    /// within the clock's grain could go unnoticed.
    pub fn of(metadata: &Metadata) -> Option<Self> {
        let modified_ns = i64::try_from(metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()?;
        let (changed_ns, device, inode) = identity(metadata);
        let now_ns = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()?;
        let age = u64::try_from(now_ns.checked_sub(modified_ns.max(changed_ns))?).ok()?;
        (Duration::from_nanos(age) >= SETTLED_AFTER).then_some(Self {
            size_bytes: metadata.len(),
            modified_ns,
            changed_ns,
            device,
            inode,
        })
    }

    /// All fields, one after the other, little-endian.
    pub(super) fn to_bytes(self) -> [u8; 40] {
        let fields = [self.size_bytes, self.modified_ns as u64, self.changed_ns as u64, self.device, self.inode];
        let mut bytes = [0; 40];
        for (to, field) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(fields) {
            *to = field.to_le_bytes();
        }
        bytes
    }
}

/// Change time in nanoseconds, device, inode.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> (i64, u64, u64) {
    use std::os::unix::fs::MetadataExt;
    let changed_ns = metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec());
    (changed_ns, metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (i64, u64, u64) {
    (0, 0, 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use std::fs::{self, File};

    /// A stamp that differs from others by its size.
    pub(in crate::store) fn stamp(size_bytes: u64) -> FileStamp {
        FileStamp { size_bytes, modified_ns: 10, changed_ns: 11, device: 1, inode: 2 }
    }

    #[test]
    fn every_field_tells() {
        let a = stamp(5);
        let others = [
            FileStamp { size_bytes: 6, ..a },
            FileStamp { modified_ns: -1, ..a },
            FileStamp { changed_ns: 0, ..a },
            FileStamp { device: 9, ..a },
            FileStamp { inode: u64::MAX, ..a },
        ];
        for b in others {
            assert_ne!(a.to_bytes(), b.to_bytes(), "{b:?}");
        }
    }

    #[test]
    fn a_young_file_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, b"1").unwrap();
        assert_eq!(FileStamp::of(&fs::metadata(&path).unwrap()), None);
    }

    #[cfg(unix)]
    #[test]
    fn files_of_one_size_and_time_that_change_places_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, aside) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("c"));
        let at = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for path in [&a, &b] {
            fs::write(path, b"x").unwrap();
            File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
        }
        assert_eq!(FileStamp::of(&fs::metadata(&a).unwrap()), None, "an old time on a file that changed just now");
        std::thread::sleep(SETTLED_AFTER + Duration::from_millis(50));
        let before = FileStamp::of(&fs::metadata(&a).unwrap()).unwrap();
        assert_eq!(FileStamp::of(&fs::metadata(&a).unwrap()), Some(before));
        fs::rename(&a, &aside).unwrap();
        fs::rename(&b, &a).unwrap();
        let after = fs::metadata(&a).unwrap();
        assert_eq!((after.len(), after.modified().unwrap()), (1, at));
        assert_ne!(FileStamp::of(&after), Some(before));
        std::thread::sleep(SETTLED_AFTER + Duration::from_millis(50));
        assert_ne!(FileStamp::of(&fs::metadata(&a).unwrap()), Some(before));
    }
}
