//! The embedding cache: one SQLite file shared by all projects and by the command line.
//!
//! Keyed by content hash and embedding space, so that a second run reads no pixels. A second table remembers the
//! content hash of a path with its [`FileStamp`], so that it does not even read the files. Deleting the cache costs only
//! time; one that turns out to be damaged is renamed to `….damaged` and made anew, with a line in the log.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, params};

use super::database::{Database, Schema};
pub use super::stamp::FileStamp;
use crate::embedding::EmbeddingSpace;

/// Rows are keyed by digests of what they are about, never by numbers that the file gives out: a key that another
/// process holds, or that was made for a file since replaced, cannot come to mean something else.
const SCHEMA: Schema = Schema {
    name: "embedding cache",
    version: 2,
    tables: "
    DROP TABLE IF EXISTS space; DROP TABLE IF EXISTS embedding; DROP TABLE IF EXISTS file;
    DROP TABLE IF EXISTS layer_dim;
    CREATE TABLE space (key BLOB PRIMARY KEY, description TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE embedding (id INTEGER PRIMARY KEY, space BLOB NOT NULL, hash BLOB NOT NULL, vector BLOB NOT NULL,
                            UNIQUE (space, hash));
    CREATE TABLE file (path BLOB PRIMARY KEY, stamp BLOB NOT NULL, hash BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE layer_dim (key TEXT PRIMARY KEY, dim INTEGER NOT NULL) WITHOUT ROWID;",
};

/// Content hash of a file (BLAKE3).
pub type ContentHash = [u8; 32];

/// Why a cache cannot be used. The work goes on without it.
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
    /// A damaged file cannot be renamed.
    #[error("the damaged cache file {} cannot be set aside: {source}", .path.display())]
    SetAside {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite said no.
    #[error("the cache failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// An open cache. Damage that any call meets is mended once; where it cannot be, the call says so and the cache is
/// empty from then on.
#[derive(Debug)]
pub struct EmbeddingCache {
    database: Database,
}

impl EmbeddingCache {
    /// Opens or makes `DIR/embeddings.sqlite`.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn open(dir: &Path) -> Result<Self, CacheError> {
        fs::create_dir_all(dir).map_err(|source| CacheError::Dir { path: dir.to_owned(), source })?;
        Ok(Self { database: Database::open(dir.join("embeddings.sqlite"), SCHEMA)? })
    }

    /// The key of a space, which is noted when it is new.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn space_id(&self, space: &EmbeddingSpace) -> Result<SpaceId, CacheError> {
        let key = *blake3::hash(space.key().as_bytes()).as_bytes();
        // For whoever looks into the file; nothing reads it.
        let description = format!("{} {} {} {}", space.backbone, space.layer, space.preprocess, space.dim);
        self.database.run(|connection| {
            let insert = "INSERT OR IGNORE INTO space (key, description) VALUES (?1, ?2)";
            connection.execute(insert, params![key, description]).map(drop)
        })?;
        Ok(SpaceId { key, dim: space.dim })
    }

    /// Writes the embedding of `hash` into `out` (of the space's width); `false` when there is none.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn get(&self, space: SpaceId, hash: &ContentHash, out: &mut [f32]) -> Result<bool, CacheError> {
        self.database.run(|connection| {
            let mut query = connection.prepare_cached("SELECT vector FROM embedding WHERE space = ?1 AND hash = ?2")?;
            let found = query.query_row(params![space.key, hash], |row| Ok(decode(row.get_ref(0)?.as_blob()?, out)));
            Ok(found.optional()?.unwrap_or(false))
        })
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
        let rows: Vec<_> = rows.into_iter().collect();
        self.database.run(|connection| {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction
                    .prepare_cached("INSERT OR REPLACE INTO embedding (space, hash, vector) VALUES (?1, ?2, ?3)")?;
                let mut bytes = Vec::with_capacity(space.dim * 4 + CHECK_LEN);
                for (hash, vector) in &rows {
                    encode(vector, &mut bytes);
                    insert.execute(params![space.key, hash, bytes])?;
                }
            }
            transaction.commit()
        })
    }

    /// The keys of spaces whose features stand side by side: each part is kept by itself, so that it is found again whatever
    /// stands beside it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn part_spaces(&self, parts: &[EmbeddingSpace]) -> Result<PartSpaces, CacheError> {
        parts.iter().map(|space| self.space_id(space)).collect::<Result<_, _>>().map(PartSpaces)
    }

    /// As [`Self::get`], of all parts; `false` when one of them is missing.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn get_parts(&self, spaces: &PartSpaces, hash: &ContentHash, out: &mut [f32]) -> Result<bool, CacheError> {
        let mut rest = out;
        for space in &spaces.0 {
            let Some((part, behind)) = rest.split_at_mut_checked(space.dim) else { return Ok(false) };
            if !self.get(*space, hash, part)? {
                return Ok(false);
            }
            rest = behind;
        }
        Ok(rest.is_empty())
    }

    /// As [`Self::put`], each part by itself.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn put_parts(&mut self, spaces: &PartSpaces, rows: &[(ContentHash, Box<[f32]>)]) -> Result<(), CacheError> {
        let mut start = 0;
        for space in &spaces.0 {
            let end = start + space.dim;
            self.put(*space, rows.iter().filter_map(|(hash, values)| Some((hash, values.get(start..end)?))))?;
            start = end;
        }
        Ok(())
    }

    /// The content hash that a file had when it had this stamp. A relative path is one from the working directory.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn file_hash(&self, path: &Path, stamp: &FileStamp) -> Result<Option<ContentHash>, CacheError> {
        let Some(path) = absolute(path) else { return Ok(None) };
        self.database.run(|connection| {
            let mut query = connection.prepare_cached("SELECT hash FROM file WHERE path = ?1 AND stamp = ?2")?;
            let hash: Option<Vec<u8>> =
                query.query_row(params![path_bytes(&path), stamp.to_bytes()], |row| row.get(0)).optional()?;
            Ok(hash.and_then(|h| h.try_into().ok()))
        })
    }

    /// Remembers content hashes of files, in one transaction.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn put_file_hashes<'a>(
        &mut self,
        files: impl IntoIterator<Item = (&'a Path, &'a FileStamp, &'a ContentHash)>,
    ) -> Result<(), CacheError> {
        let files: Vec<_> = files.into_iter().filter_map(|(path, s, h)| Some((absolute(path)?, s, h))).collect();
        self.database.run(|connection| {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction
                    .prepare_cached("INSERT OR REPLACE INTO file (path, stamp, hash) VALUES (?1, ?2, ?3)")?;
                for (path, stamp, hash) in &files {
                    insert.execute(params![path_bytes(path), stamp.to_bytes(), hash])?;
                }
            }
            transaction.commit()
        })
    }

    /// The width that a layer of a backbone turned out to have with a preprocessing (by its digest), so that a second
    /// run need not start the backbone. The preprocessing counts: a flattened layer is as wide as the image makes it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn layer_dim(&self, backbone: &str, layer: &str, preprocess: &str) -> Result<Option<usize>, CacheError> {
        let key = layer_key(backbone, layer, preprocess);
        self.database.run(|connection| {
            let dim: Option<i64> = connection
                .query_row("SELECT dim FROM layer_dim WHERE key = ?1", [&key], |row| row.get(0))
                .optional()?;
            Ok(dim.and_then(|d| usize::try_from(d).ok()))
        })
    }

    /// Remembers the width of a layer of a backbone with a preprocessing.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn put_layer_dim(&self, backbone: &str, layer: &str, preprocess: &str, dim: usize) -> Result<(), CacheError> {
        let key = layer_key(backbone, layer, preprocess);
        self.database.run(|connection| {
            let insert = "INSERT OR REPLACE INTO layer_dim (key, dim) VALUES (?1, ?2)";
            connection.execute(insert, params![key, dim as i64]).map(drop)
        })
    }
}

/// A space's key in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceId {
    /// A digest of the space, so that it means the same in every cache file.
    key: [u8; 32],
    dim: usize,
}

/// Keys of spaces whose features stand side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartSpaces(Vec<SpaceId>);

/// Bytes of a vector's digest that follow it: SQLite does not notice when a page in the middle of a row is overwritten.
const CHECK_LEN: usize = 8;

fn encode(vector: &[f32], bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.extend(vector.iter().flat_map(|v| v.to_le_bytes()));
    let digest = blake3::hash(bytes);
    bytes.extend(&digest.as_bytes()[..CHECK_LEN]);
}

/// Whether `bytes` are a vector of the width of `out`, which then holds it.
fn decode(bytes: &[u8], out: &mut [f32]) -> bool {
    let Some((vector, check)) = bytes.split_last_chunk::<CHECK_LEN>().filter(|(v, _)| v.len() == out.len() * 4) else {
        return false;
    };
    if !blake3::hash(vector).as_bytes().starts_with(check) {
        return false;
    }
    for (value, bytes) in out.iter_mut().zip(vector.as_chunks::<4>().0) {
        *value = f32::from_le_bytes(*bytes);
    }
    true
}

fn layer_key(backbone: &str, layer: &str, preprocess: &str) -> String {
    // The width is what is asked for.
    EmbeddingSpace { backbone: backbone.into(), layer: layer.into(), preprocess: preprocess.into(), dim: 0 }.key()
}

/// Without one (the working directory is gone, say) a file is not remembered.
pub(super) fn absolute(path: &Path) -> Option<PathBuf> {
    std::path::absolute(path).ok()
}

pub(super) fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::stamp::tests::stamp;
    use std::io::{Seek, SeekFrom, Write};

    fn space(layer: &str) -> EmbeddingSpace {
        EmbeddingSpace { backbone: "b".into(), layer: layer.into(), preprocess: "p".into(), dim: 3 }
    }

    fn hash(of: &str) -> ContentHash {
        *blake3::hash(of.as_bytes()).as_bytes()
    }

    #[test]
    fn keeps_embeddings_apart_by_space_and_content() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = EmbeddingCache::open(dir.path()).unwrap();
        let (a, b) = (cache.space_id(&space("a")).unwrap(), cache.space_id(&space("b")).unwrap());
        assert_ne!(a, b);
        cache.put(a, [(&hash("x"), &[1.0, -2.5, f32::MIN_POSITIVE][..])]).unwrap();
        drop(cache);
        let cache = EmbeddingCache::open(dir.path()).unwrap();
        let mut out = [0.0; 3];
        assert!(cache.get(a, &hash("x"), &mut out).unwrap());
        assert_eq!(out, [1.0, -2.5, f32::MIN_POSITIVE]);
        assert!(!cache.get(b, &hash("x"), &mut out).unwrap());
        assert!(!cache.get(a, &hash("y"), &mut out).unwrap());
        assert!(!cache.get(a, &hash("x"), &mut [0.0; 4]).unwrap(), "another width");
    }

    #[test]
    fn many_that_make_one_cache_get_their_own_embeddings() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let start = std::sync::Barrier::new(6);
            let run = |i: usize| {
                start.wait();
                let mut cache = EmbeddingCache::open(dir.path()).unwrap();
                // Two models, three processes each.
                let model = i % 2;
                let id = cache.space_id(&space(&model.to_string())).unwrap();
                cache.put(id, [(&hash("x"), &[model as f32; 3][..])]).unwrap();
                let mut out = [9.0; 3];
                assert!(cache.get(id, &hash("x"), &mut out).unwrap(), "nobody has dropped it");
                assert_eq!(out, [model as f32; 3]);
            };
            std::thread::scope(|scope| {
                for i in 0..6 {
                    let run = &run;
                    scope.spawn(move || run(i));
                }
            });
            let cache = EmbeddingCache::open(dir.path()).unwrap();
            for model in 0..2 {
                let mut out = [9.0; 3];
                assert!(cache.get(cache.space_id(&space(&model.to_string())).unwrap(), &hash("x"), &mut out).unwrap());
                assert_eq!(out, [model as f32; 3]);
            }
        }
    }

    #[test]
    fn a_damaged_cache_is_set_aside_and_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("embeddings.sqlite"), vec![b'x'; 5000]).unwrap();
        let cache = EmbeddingCache::open(dir.path()).unwrap();
        cache.put_layer_dim("b", "l", "p", 7).unwrap();
        assert_eq!(cache.layer_dim("b", "l", "p").unwrap(), Some(7));
        assert_eq!(fs::read(dir.path().join("embeddings.sqlite.damaged")).unwrap(), vec![b'x'; 5000]);
    }

    /// A cache of 200 embeddings of which all pages from byte 8192 on are overwritten.
    fn overwritten(dir: &Path) -> SpaceId {
        let mut cache = EmbeddingCache::open(dir).unwrap();
        let id = cache.space_id(&space("a")).unwrap();
        let hashes: Vec<_> = (0..200).map(|i| hash(&i.to_string())).collect();
        cache.put(id, hashes.iter().map(|h| (h, &[1.0; 3][..]))).unwrap();
        drop(cache);
        let path = dir.join("embeddings.sqlite");
        let len = fs::metadata(&path).unwrap().len();
        let mut file = fs::File::options().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(8192)).unwrap();
        file.write_all(&vec![b'x'; usize::try_from(len - 8192).unwrap()]).unwrap();
        id
    }

    #[test]
    fn damage_beyond_the_header_is_mended_by_whoever_meets_it() {
        let calls: [fn(&mut EmbeddingCache, SpaceId); 4] = [
            |cache, id| assert!(!cache.get(id, &hash("1"), &mut [0.0; 3]).unwrap()),
            |cache, id| cache.put(id, [(&hash("1"), &[2.0; 3][..])]).unwrap(),
            |cache, _| assert_eq!(cache.file_hash(Path::new("/x"), &stamp(1)).unwrap(), None),
            |cache, _| assert_eq!(cache.layer_dim("b", "l", "p").unwrap(), None),
        ];
        for call in calls {
            let dir = tempfile::tempdir().unwrap();
            let id = overwritten(dir.path());
            let mut cache = EmbeddingCache::open(dir.path()).unwrap();
            call(&mut cache, id);
            cache.put(id, [(&hash("2"), &[3.0; 3][..])]).unwrap();
            drop(cache);
            assert!(dir.path().join("embeddings.sqlite.damaged").exists());
            let cache = EmbeddingCache::open(dir.path()).unwrap();
            let mut out = [0.0; 3];
            assert!(cache.get(id, &hash("2"), &mut out).unwrap());
            assert_eq!(out, [3.0; 3]);
        }
    }

    #[test]
    fn a_vector_that_was_changed_on_the_disk_is_none() {
        let mut bytes = Vec::new();
        encode(&[1.0, 2.0], &mut bytes);
        let mut out = [0.0; 2];
        assert!(decode(&bytes, &mut out));
        assert_eq!(out, [1.0, 2.0]);
        for i in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[i] ^= 1;
            assert!(!decode(&bytes, &mut out));
        }
        assert!(!decode(&bytes[..bytes.len() - 1], &mut out));
        assert!(!decode(b"", &mut out));
    }

    #[test]
    fn a_file_hash_holds_for_its_path_and_stamp_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = EmbeddingCache::open(dir.path()).unwrap();
        let path = Path::new("x/y.png");
        cache.put_file_hashes([(path, &stamp(5), &hash("x"))]).unwrap();
        assert_eq!(cache.file_hash(path, &stamp(5)).unwrap(), Some(hash("x")));
        assert_eq!(cache.file_hash(path, &stamp(6)).unwrap(), None);
        let here = std::env::current_dir().unwrap();
        assert_eq!(cache.file_hash(&here.join(path), &stamp(5)).unwrap(), Some(hash("x")), "relative to here");
        assert_eq!(cache.file_hash(&dir.path().join(path), &stamp(5)).unwrap(), None, "the same in another folder");
        assert_eq!(cache.file_hash(Path::new(""), &stamp(5)).unwrap(), None);
    }

    #[test]
    fn a_width_is_that_of_a_layer_and_a_preprocessing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = EmbeddingCache::open(dir.path()).unwrap();
        cache.put_layer_dim("b", "l", "p", 7).unwrap();
        assert_eq!(cache.layer_dim("b", "l", "p").unwrap(), Some(7));
        assert_eq!(cache.layer_dim("b", "l", "q").unwrap(), None);
        assert_eq!(cache.layer_dim("b", "l p", "").unwrap(), None);
    }
}
