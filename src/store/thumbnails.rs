//! The thumbnail cache: one SQLite file of small JPEGs, shared by all projects, no larger than a limit.
//!
//! A thumbnail is found by the path of its file and belongs to that file's [`FileStamp`]: a file that changes takes the
//! place of its own row. A file too young for a stamp is not remembered: a picture kept wrong would stay wrong, and it
//! costs one decoding more until the file has settled. The thumbnails used longest ago go first, in small batches, so
//! that no call takes long. Deleting the cache costs only time; one that turns out to be damaged is renamed to
//! `….damaged` and made anew.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};

use super::cache::{CacheError, FileStamp, absolute, path_bytes};
use super::database::{Database, Schema};

/// The index has everything that sums and evictions read, so that they never walk the pictures.
const SCHEMA: Schema = Schema {
    name: "thumbnail cache",
    version: 1,
    tables: "
    DROP TABLE IF EXISTS thumbnail;
    CREATE TABLE thumbnail (id INTEGER PRIMARY KEY, used INTEGER NOT NULL, n_bytes INTEGER NOT NULL,
                            body BLOB NOT NULL);
    CREATE INDEX by_use ON thumbnail (used, n_bytes);",
};

/// Bytes that thumbnails may take together by default.
pub const DEFAULT_LIMIT_BYTES: u64 = 512 << 20;

/// Uses closer together than this are one use.
const USE_GRAIN_SECS: i64 = 3600;
/// Uses that wait to be written down.
const MAX_TOUCHED: usize = 256;
/// What a row takes beyond its picture: its part of the index and of pages not filled.
const ROW_BYTES: u64 = 1024;
/// The size is looked at after every such part of the limit that is written, and is brought this far below it.
const SLACK_DIVISOR: u64 = 64;

/// An open thumbnail cache; each thread has one of its own. Damage that any call meets is mended once; where it cannot
/// be, the call says so and the cache is empty from then on.
#[derive(Debug)]
pub struct ThumbnailCache {
    database: Database,
    limit_bytes: u64,
    /// Bytes written since the size was looked at.
    unchecked_bytes: u64,
    /// Rows whose use is to be written down.
    touched: Vec<i64>,
}

/// Where the thumbnail of a file in a certain state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThumbnailKey {
    /// From the path.
    id: i64,
    /// Of path and stamp.
    digest: [u8; 32],
}

impl ThumbnailKey {
    /// The key of a file; a relative path is one from the working directory. `None` without a working directory.
    pub fn new(path: &Path, stamp: &FileStamp) -> Option<Self> {
        let path = absolute(path)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(path_bytes(&path));
        let of_path = hasher.finalize();
        let (id, _) = of_path.as_bytes().split_first_chunk::<8>()?;
        // The stamp is of fixed length, so that what is hashed can mean one thing only.
        hasher.update(&stamp.to_bytes());
        Some(Self { id: i64::from_le_bytes(*id), digest: *hasher.finalize().as_bytes() })
    }
}

/// A small picture and the size of the one that it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// The picture as a JPEG file.
    pub jpeg: Vec<u8>,
    /// Width of the whole picture in pixels, upright.
    pub full_width_px: u32,
    /// Height of the whole picture in pixels, upright.
    pub full_height_px: u32,
}

impl ThumbnailCache {
    /// Opens or makes `DIR/thumbnails.sqlite`, which is kept to about `limit_bytes`.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn open(dir: &Path, limit_bytes: u64) -> Result<Self, CacheError> {
        fs::create_dir_all(dir).map_err(|source| CacheError::Dir { path: dir.to_owned(), source })?;
        let database = Database::open(dir.join("thumbnails.sqlite"), SCHEMA)?;
        // The first write looks at what is there: the limit may have been higher before.
        Ok(Self { database, limit_bytes, unchecked_bytes: limit_bytes, touched: Vec::new() })
    }

    /// The thumbnail of a file.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn get(&mut self, key: &ThumbnailKey) -> Result<Option<Thumbnail>, CacheError> {
        let found = self.database.run(|connection| {
            let mut query = connection.prepare_cached("SELECT used, body FROM thumbnail WHERE id = ?1")?;
            let row = query.query_row([key.id], |row| Ok((row.get(0)?, decode(key, row.get_ref(1)?.as_blob()?))));
            row.optional()
        })?;
        let Some((used, Some(thumbnail))) = found else { return Ok(None) };
        // A read only writes now and then, and only in batches.
        let used: i64 = used;
        if used.abs_diff(now_secs()) > USE_GRAIN_SECS.unsigned_abs() {
            self.touched.push(key.id);
            if self.touched.len() >= MAX_TOUCHED {
                self.put_many([])?;
            }
        }
        Ok(Some(thumbnail))
    }

    /// Keeps thumbnails, in one transaction, and drops those used longest ago where they are too many.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn put_many<'a>(
        &mut self,
        thumbnails: impl IntoIterator<Item = (&'a ThumbnailKey, &'a Thumbnail)>,
    ) -> Result<(), CacheError> {
        let rows: Vec<_> = thumbnails.into_iter().map(|(key, t)| (key.id, encode(key, t))).collect();
        let touched = std::mem::take(&mut self.touched);
        if rows.is_empty() && touched.is_empty() {
            return Ok(());
        }
        self.unchecked_bytes += rows.iter().map(|(_, body)| n_bytes(body)).sum::<u64>();
        let slack_bytes = self.limit_bytes / SLACK_DIVISOR;
        let is_due = self.unchecked_bytes >= slack_bytes;
        let limit_bytes = self.limit_bytes;
        let now = now_secs();
        self.database.run(|connection| {
            let transaction = connection.transaction()?;
            {
                let mut touch = transaction.prepare_cached("UPDATE thumbnail SET used = ?1 WHERE id = ?2")?;
                for id in &touched {
                    touch.execute([now, *id])?;
                }
                let mut insert = transaction.prepare_cached(
                    "INSERT OR REPLACE INTO thumbnail (id, used, n_bytes, body) VALUES (?1, ?2, ?3, ?4)",
                )?;
                for (id, body) in &rows {
                    insert.execute(params![id, now, n_bytes(body) as i64, body])?;
                }
                if is_due {
                    evict(&transaction, limit_bytes, slack_bytes)?;
                }
            }
            transaction.commit()
        })?;
        if is_due {
            self.unchecked_bytes = 0;
        }
        Ok(())
    }
}

impl Drop for ThumbnailCache {
    fn drop(&mut self) {
        if let Err(error) = self.put_many([]) {
            tracing::warn!(%error, "uses of thumbnails were not written down");
        }
    }
}

/// Drops what was used longest ago until the rest is `slack_bytes` below the limit; nothing while it is within.
fn evict(connection: &Connection, limit_bytes: u64, slack_bytes: u64) -> rusqlite::Result<()> {
    let sum: i64 = connection.query_row("SELECT coalesce(sum(n_bytes), 0) FROM thumbnail", [], |row| row.get(0))?;
    let sum = sum.max(0).unsigned_abs();
    if sum <= limit_bytes {
        return Ok(());
    }
    let mut excess_bytes = sum - limit_bytes.saturating_sub(slack_bytes);
    let mut oldest = connection.prepare_cached("SELECT id, n_bytes FROM thumbnail ORDER BY used, n_bytes")?;
    let mut rows = oldest.query([])?;
    let mut ids: Vec<i64> = Vec::new();
    while excess_bytes > 0
        && let Some(row) = rows.next()?
    {
        ids.push(row.get(0)?);
        let n_bytes: i64 = row.get(1)?;
        excess_bytes = excess_bytes.saturating_sub(n_bytes.max(1).unsigned_abs());
    }
    drop(rows);
    let mut delete = connection.prepare_cached("DELETE FROM thumbnail WHERE id = ?1")?;
    for id in ids {
        delete.execute([id])?;
    }
    Ok(())
}

fn n_bytes(body: &[u8]) -> u64 {
    body.len() as u64 + ROW_BYTES
}

/// Bytes of the digest before a thumbnail: SQLite does not notice when a page in the middle of a row is overwritten, and
/// a row is only that of a file in the state that the digest was made with.
const CHECK_LEN: usize = 16;

/// Check, width, height (little-endian), JPEG.
fn encode(key: &ThumbnailKey, thumbnail: &Thumbnail) -> Vec<u8> {
    let mut body = Vec::with_capacity(CHECK_LEN + 8 + thumbnail.jpeg.len());
    body.extend([0; CHECK_LEN]);
    body.extend(thumbnail.full_width_px.to_le_bytes());
    body.extend(thumbnail.full_height_px.to_le_bytes());
    body.extend(&thumbnail.jpeg);
    let check = check(key, &body[CHECK_LEN..]);
    body[..CHECK_LEN].copy_from_slice(&check);
    body
}

fn decode(key: &ThumbnailKey, body: &[u8]) -> Option<Thumbnail> {
    let (stated, rest) = body.split_first_chunk::<CHECK_LEN>()?;
    if check(key, rest) != *stated {
        return None;
    }
    let (width, rest) = rest.split_first_chunk::<4>()?;
    let (height, jpeg) = rest.split_first_chunk::<4>()?;
    Some(Thumbnail {
        jpeg: jpeg.to_vec(),
        full_width_px: u32::from_le_bytes(*width),
        full_height_px: u32::from_le_bytes(*height),
    })
}

fn check(key: &ThumbnailKey, rest: &[u8]) -> [u8; CHECK_LEN] {
    let digest = blake3::keyed_hash(&key.digest, rest);
    let mut check = [0; CHECK_LEN];
    check.copy_from_slice(&digest.as_bytes()[..CHECK_LEN]);
    check
}

fn now_secs() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::store::stamp::tests::stamp;

    fn key(name: &str, size_bytes: u64) -> ThumbnailKey {
        ThumbnailKey::new(Path::new(name), &stamp(size_bytes)).unwrap()
    }

    fn thumbnail(n_bytes: usize) -> Thumbnail {
        Thumbnail { jpeg: (0..n_bytes).map(|i| (i % 251) as u8).collect(), full_width_px: 4000, full_height_px: 3000 }
    }

    fn names(cache: &mut ThumbnailCache, n: usize) -> Vec<usize> {
        (0..n).filter(|i| cache.get(&key(&i.to_string(), 1)).unwrap().is_some()).collect()
    }

    fn age(cache: &ThumbnailCache, name: &str, used: i64) {
        let sql = "UPDATE thumbnail SET used = ?1 WHERE id = ?2";
        cache.database.run(|c| c.execute(sql, [used, key(name, 1).id])).unwrap();
    }

    fn used(cache: &ThumbnailCache, name: &str) -> i64 {
        let sql = "SELECT used FROM thumbnail WHERE id = ?1";
        cache.database.run(|c| c.query_row(sql, [key(name, 1).id], |row| row.get(0))).unwrap()
    }

    #[test]
    fn a_thumbnail_is_that_of_a_file_in_one_state() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = ThumbnailCache::open(dir.path(), 1 << 20).unwrap();
        let here = std::env::current_dir().unwrap().join("x");
        cache.put_many([(&key("x", 5), &thumbnail(10_000))]).unwrap();
        drop(cache);
        let mut cache = ThumbnailCache::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(cache.get(&key("x", 5)).unwrap(), Some(thumbnail(10_000)));
        assert_eq!(cache.get(&key(here.to_str().unwrap(), 5)).unwrap(), Some(thumbnail(10_000)));
        assert_eq!(cache.get(&key("x", 6)).unwrap(), None, "the file has changed");
        assert_eq!(cache.get(&key("y", 5)).unwrap(), None);
        cache.put_many([(&key("x", 6), &thumbnail(7))]).unwrap();
        assert_eq!(cache.get(&key("x", 6)).unwrap(), Some(thumbnail(7)));
        assert_eq!(cache.get(&key("x", 5)).unwrap(), None, "the new state took the place of the old");
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        // Room for ten.
        let limit = 10 * (n_bytes(&encode(&key("0", 1), &thumbnail(9000))));
        let mut cache = ThumbnailCache::open(dir.path(), limit).unwrap();
        for i in 0..10 {
            cache.put_many([(&key(&i.to_string(), 1), &thumbnail(9000))]).unwrap();
        }
        assert_eq!(names(&mut cache, 10), (0..10).collect::<Vec<_>>(), "ten fit");
        for i in 0..10 {
            age(&cache, &i.to_string(), 1000 + i);
        }
        // The oldest but one is used again, which is written down with the next write.
        cache.get(&key("1", 1)).unwrap().unwrap();
        for i in 10..13 {
            cache.put_many([(&key(&i.to_string(), 1), &thumbnail(9000))]).unwrap();
        }
        let left = names(&mut cache, 13);
        assert!(left.len() <= 10 && left.len() >= 9, "{left:?}");
        assert!(!left.contains(&0) && !left.contains(&2) && !left.contains(&3), "{left:?}");
        assert!([1, 9, 10, 11, 12].iter().all(|i| left.contains(i)), "{left:?}");
    }

    #[test]
    fn a_lower_limit_holds_for_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = ThumbnailCache::open(dir.path(), 1 << 20).unwrap();
        let keys: Vec<_> = (0..50).map(|i| key(&i.to_string(), 1)).collect();
        let each = thumbnail(9000);
        cache.put_many(keys.iter().map(|k| (k, &each))).unwrap();
        drop(cache);
        let mut cache = ThumbnailCache::open(dir.path(), 100_000).unwrap();
        cache.put_many([(&key("new", 1), &thumbnail(10))]).unwrap();
        assert!((8..=10).contains(&names(&mut cache, 50).len()));
    }

    #[test]
    fn a_read_writes_only_after_an_hour() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = ThumbnailCache::open(dir.path(), 1 << 20).unwrap();
        cache.put_many([(&key("a", 1), &thumbnail(9)), (&key("b", 1), &thumbnail(9))]).unwrap();
        let (recent, old) = (now_secs() - 60, now_secs() - 2 * USE_GRAIN_SECS);
        age(&cache, "a", recent);
        age(&cache, "b", old);
        cache.get(&key("a", 1)).unwrap().unwrap();
        cache.get(&key("b", 1)).unwrap().unwrap();
        assert_eq!(used(&cache, "b"), old, "not at once");
        drop(cache);
        let cache = ThumbnailCache::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(used(&cache, "a"), recent);
        assert!(used(&cache, "b") > old, "but in the end");
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thumbnails.sqlite"), vec![b'x'; 5000]).unwrap();
        let mut cache = ThumbnailCache::open(dir.path(), 1 << 20).unwrap();
        cache.put_many([(&key("a", 1), &thumbnail(9))]).unwrap();
        assert_eq!(cache.get(&key("a", 1)).unwrap(), Some(thumbnail(9)));
        assert_eq!(fs::read(dir.path().join("thumbnails.sqlite.damaged")).unwrap(), vec![b'x'; 5000]);
    }

    #[test]
    fn damage_within_is_mended_by_whoever_meets_it() {
        let calls: [fn(&mut ThumbnailCache); 2] = [
            |cache| assert_eq!(cache.get(&key("1", 1)).unwrap(), None),
            |cache| cache.put_many([(&key("1", 1), &thumbnail(9))]).unwrap(),
        ];
        for call in calls {
            let dir = tempfile::tempdir().unwrap();
            let mut cache = ThumbnailCache::open(dir.path(), 1 << 20).unwrap();
            let keys: Vec<_> = (0..50).map(|i| key(&i.to_string(), 1)).collect();
            let each = thumbnail(2000);
            cache.put_many(keys.iter().map(|k| (k, &each))).unwrap();
            drop(cache);
            let path = dir.path().join("thumbnails.sqlite");
            let mut bytes = fs::read(&path).unwrap();
            bytes[4096..].fill(b'x');
            fs::write(&path, bytes).unwrap();
            let mut cache = ThumbnailCache::open(dir.path(), 1 << 20).unwrap();
            call(&mut cache);
            cache.put_many([(&key("2", 1), &thumbnail(9))]).unwrap();
            assert_eq!(cache.get(&key("2", 1)).unwrap(), Some(thumbnail(9)));
            assert!(dir.path().join("thumbnails.sqlite.damaged").exists());
        }
    }

    #[test]
    fn a_body_that_was_changed_on_the_disk_is_none() {
        let key = key("a", 1);
        let body = encode(&key, &thumbnail(30));
        assert_eq!(decode(&key, &body), Some(thumbnail(30)));
        for i in 0..body.len() {
            let mut body = body.clone();
            body[i] ^= 1;
            assert_eq!(decode(&key, &body), None);
        }
        assert_eq!(decode(&key, &body[..20]), None);
        assert_eq!(decode(&key, b""), None);
    }

    #[test]
    fn two_connections_share_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut a = ThumbnailCache::open(dir.path(), 1 << 20).unwrap();
        let mut b = ThumbnailCache::open(dir.path(), 1 << 20).unwrap();
        a.put_many([(&key("a", 1), &thumbnail(9))]).unwrap();
        b.put_many([(&key("b", 1), &thumbnail(8))]).unwrap();
        assert_eq!(a.get(&key("b", 1)).unwrap(), Some(thumbnail(8)));
        assert_eq!(b.get(&key("a", 1)).unwrap(), Some(thumbnail(9)));
    }
}
