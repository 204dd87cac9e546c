//! The embedding cache: one SQLite file shared by all projects and by the command line.
//!
//! Keyed by content hash and embedding space, so that a second run reads no pixels. A second table remembers the
//! content hash of a path with its size and modification time, so that it does not even read the files. Deleting the
//! cache costs only time; a damaged one is set aside and made anew.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};

use crate::embedding::EmbeddingSpace;

/// Counts changes of the tables; a cache of another version is made anew.
const SCHEMA_VERSION: i64 = 1;

/// Content hash of a file (BLAKE3).
pub type ContentHash = [u8; 32];

/// Why the cache cannot be used. The work goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The folder cannot be made.
    #[error("the cache folder {} cannot be made: {source}", .path.display())]
    Dir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite said no.
    #[error("the embedding cache failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// An open cache.
#[derive(Debug)]
pub struct EmbeddingCache {
    connection: Connection,
}

impl EmbeddingCache {
    /// Opens or makes `DIR/embeddings.sqlite`.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn open(dir: &Path) -> Result<Self, CacheError> {
        fs::create_dir_all(dir).map_err(|source| CacheError::Dir { path: dir.to_owned(), source })?;
        let path = dir.join("embeddings.sqlite");
        match Self::open_file(&path) {
            Err(CacheError::Sqlite(error)) if is_damaged(&error) => {
                for suffix in ["", "-wal", "-shm"] {
                    let mut name = path.clone().into_os_string();
                    name.push(suffix);
                    // Missing side files are fine; a main file that stays is reported by the second open.
                    fs::remove_file(name).ok();
                }
                Self::open_file(&path)
            }
            other => other,
        }
    }

    fn open_file(path: &Path) -> Result<Self, CacheError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        // NORMAL under WAL may lose the last transactions in a power cut, never the file: right for a cache.
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version != SCHEMA_VERSION {
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE;
                 DROP TABLE IF EXISTS space; DROP TABLE IF EXISTS embedding; DROP TABLE IF EXISTS file;
                 CREATE TABLE space (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, description TEXT NOT NULL);
                 CREATE TABLE embedding (id INTEGER PRIMARY KEY, space INTEGER NOT NULL, hash BLOB NOT NULL,
                                         vector BLOB NOT NULL, UNIQUE (space, hash));
                 CREATE TABLE file (path BLOB PRIMARY KEY, size INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
                                    hash BLOB NOT NULL) WITHOUT ROWID;
                 CREATE TABLE IF NOT EXISTS layer_dim (key TEXT PRIMARY KEY, dim INTEGER NOT NULL);
                 PRAGMA user_version = {SCHEMA_VERSION};
                 COMMIT;"
            ))?;
        }
        Ok(Self { connection })
    }

    /// The row id of a space, which is added when it is new.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn space_id(&self, space: &EmbeddingSpace) -> Result<SpaceId, CacheError> {
        let key = space.key();
        let description = format!("{} {} {} {}", space.backbone, space.layer, space.preprocess, space.dim);
        self.connection
            .execute("INSERT OR IGNORE INTO space (key, description) VALUES (?1, ?2)", params![key, description])?;
        let id = self.connection.query_row("SELECT id FROM space WHERE key = ?1", [key], |row| row.get(0))?;
        Ok(SpaceId { id, dim: space.dim })
    }

    /// Writes the embedding of `hash` into `out` (of the space's width); `false` when there is none.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn get(&self, space: SpaceId, hash: &ContentHash, out: &mut [f32]) -> Result<bool, CacheError> {
        let mut query =
            self.connection.prepare_cached("SELECT vector FROM embedding WHERE space = ?1 AND hash = ?2")?;
        let found = query
            .query_row(params![space.id, hash], |row| {
                let bytes = row.get_ref(0)?.as_blob()?;
                if bytes.len() != out.len() * 4 {
                    return Ok(false);
                }
                for (value, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
                Ok(true)
            })
            .optional()?;
        Ok(found.unwrap_or(false))
    }

    /// Keeps embeddings, in one transaction.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn put<'a>(
        &mut self,
        space: SpaceId,
        rows: impl IntoIterator<Item = (&'a ContentHash, &'a [f32])>,
    ) -> Result<(), CacheError> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction
                .prepare_cached("INSERT OR REPLACE INTO embedding (space, hash, vector) VALUES (?1, ?2, ?3)")?;
            let mut bytes = Vec::with_capacity(space.dim * 4);
            for (hash, vector) in rows {
                bytes.clear();
                bytes.extend(vector.iter().flat_map(|v| v.to_le_bytes()));
                insert.execute(params![space.id, hash, bytes])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// The content hash that a file had when it had this size and modification time.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn file_hash(&self, path: &Path, stamp: &FileStamp) -> Result<Option<ContentHash>, CacheError> {
        let mut query = self
            .connection
            .prepare_cached("SELECT hash FROM file WHERE path = ?1 AND size = ?2 AND modified_ns = ?3")?;
        let hash: Option<Vec<u8>> = query
            .query_row(params![path_bytes(path), stamp.size_i64(), stamp.modified_ns], |row| row.get(0))
            .optional()?;
        Ok(hash.and_then(|h| h.try_into().ok()))
    }

    /// Remembers content hashes of files, in one transaction.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn put_file_hashes<'a>(
        &mut self,
        files: impl IntoIterator<Item = (&'a Path, &'a FileStamp, &'a ContentHash)>,
    ) -> Result<(), CacheError> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO file (path, size, modified_ns, hash) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for (path, stamp, hash) in files {
                insert.execute(params![path_bytes(path), stamp.size_i64(), stamp.modified_ns, hash])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// The width that a layer of a backbone turned out to have, so that a second run need not start the backbone.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn layer_dim(&self, backbone: &str, layer: &str) -> Result<Option<usize>, CacheError> {
        let key = format!("{backbone} {layer}");
        let dim: Option<i64> = self
            .connection
            .query_row("SELECT dim FROM layer_dim WHERE key = ?1", [key], |row| row.get(0))
            .optional()?;
        Ok(dim.and_then(|d| usize::try_from(d).ok()))
    }

    /// Remembers the width of a layer of a backbone.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn put_layer_dim(&self, backbone: &str, layer: &str, dim: usize) -> Result<(), CacheError> {
        self.connection.execute(
            "INSERT OR REPLACE INTO layer_dim (key, dim) VALUES (?1, ?2)",
            params![format!("{backbone} {layer}"), dim as i64],
        )?;
        Ok(())
    }
}

/// A space's row in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceId {
    id: i64,
    dim: usize,
}

/// Size and modification time of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    size_bytes: u64,
    modified_ns: i64,
}

impl FileStamp {
    /// The stamp of a file; `None` when the system has no modification time, or when it is so young that a change
    /// within the clock's grain could go unnoticed (as git's index does).
    pub fn of(metadata: &Metadata) -> Option<Self> {
        let modified = metadata.modified().ok()?;
        let age = SystemTime::now().duration_since(modified).ok()?;
        if age < Duration::from_secs(2) {
            return None;
        }
        let since_epoch = modified.duration_since(UNIX_EPOCH).ok()?;
        Some(Self { size_bytes: metadata.len(), modified_ns: i64::try_from(since_epoch.as_nanos()).ok()? })
    }

    fn size_i64(&self) -> i64 {
        i64::try_from(self.size_bytes).unwrap_or(i64::MAX)
    }
}

fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

fn is_damaged(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn space(layer: &str) -> EmbeddingSpace {
        EmbeddingSpace { backbone: "b".into(), layer: layer.into(), preprocess: "p".into(), dim: 3 }
    }

    #[test]
    fn keeps_embeddings_apart_by_space_and_content() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = EmbeddingCache::open(dir.path()).unwrap();
        let (a, b) = (cache.space_id(&space("a")).unwrap(), cache.space_id(&space("b")).unwrap());
        assert_ne!(a, b);
        let hash = *blake3::hash(b"x").as_bytes();
        cache.put(a, [(&hash, &[1.0, -2.5, f32::MIN_POSITIVE][..])]).unwrap();
        drop(cache);
        let cache = EmbeddingCache::open(dir.path()).unwrap();
        let mut out = [0.0; 3];
        assert!(cache.get(a, &hash, &mut out).unwrap());
        assert_eq!(out, [1.0, -2.5, f32::MIN_POSITIVE]);
        assert!(!cache.get(b, &hash, &mut out).unwrap());
        assert!(!cache.get(a, blake3::hash(b"y").as_bytes(), &mut out).unwrap());
    }

    #[test]
    fn a_damaged_cache_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("embeddings.sqlite"), vec![b'x'; 5000]).unwrap();
        let cache = EmbeddingCache::open(dir.path()).unwrap();
        cache.put_layer_dim("b", "l", 7).unwrap();
        assert_eq!(cache.layer_dim("b", "l").unwrap(), Some(7));
    }

    #[test]
    fn a_file_hash_holds_for_its_stamp_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = EmbeddingCache::open(dir.path()).unwrap();
        let stamp = FileStamp { size_bytes: 5, modified_ns: 10 };
        let hash = *blake3::hash(b"x").as_bytes();
        let path = Path::new("/x/y.png");
        cache.put_file_hashes([(path, &stamp, &hash)]).unwrap();
        assert_eq!(cache.file_hash(path, &stamp).unwrap(), Some(hash));
        assert_eq!(cache.file_hash(path, &FileStamp { size_bytes: 6, ..stamp }).unwrap(), None);
        assert_eq!(cache.file_hash(path, &FileStamp { modified_ns: 11, ..stamp }).unwrap(), None);
    }
}
