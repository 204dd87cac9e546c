//! Small grey copies of many images, by way of the cache.

use std::path::PathBuf;
use std::sync::PoisonError;

use rayon::prelude::*;

use crate::dataset::SkipReason;
use crate::embedding::EmbeddingSpace;
use crate::image::decode::{self, DecodeLimits};
use crate::image::miniature::{LEAST_DECODED_PX, Miniature, N_VALUES};
use crate::progress::{Reporter, Stage};
use crate::store::cache::{ContentHash, SpaceId};
use crate::workflow::permits::Permits;
use crate::workflow::source;
use crate::workflow::{SharedCache, WorkflowError};

/// Files that are read between two looks at whether to end.
const CHUNK: usize = 64;

/// The miniature of each file, or why it has none. A file's bytes have the hash beside it; the cache, which keeps features by
/// content, keeps these as well.
///
/// # Errors
/// When cancelled; what was made until then is in the cache.
pub fn miniatures(
    files: &[(PathBuf, ContentHash)],
    cache: &SharedCache,
    (limits, max_file_bytes): (&DecodeLimits, u64),
    reporter: &dyn Reporter,
) -> Result<Vec<Result<Miniature, SkipReason>>, WorkflowError> {
    let mut made: Vec<Option<Result<Miniature, SkipReason>>> = vec![None; files.len()];
    let store = Store::new(cache);
    for (slot, (_, hash)) in made.iter_mut().zip(files) {
        *slot = store.get(hash).map(Ok);
    }
    let missing: Vec<usize> = (0..files.len()).filter(|&idx| made[idx].is_none()).collect();
    let memory = Permits::new(source::DECODE_BUDGET_MB);
    let mut n_done = files.len() - missing.len();
    for chunk in missing.chunks(CHUNK) {
        if reporter.cancelled() {
            return Err(WorkflowError::Cancelled);
        }
        reporter.progress(Stage::Hash, n_done, files.len());
        let read = |&idx: &usize| {
            let path = &files[idx].0;
            let metadata = source::file_metadata(path)?;
            let bytes = source::read(path, &metadata, max_file_bytes)?;
            let _memory = memory.take(source::decoded_mb(&bytes));
            let picture = decode::decode_reduced(&bytes, limits, LEAST_DECODED_PX).map_err(source::skip_reason)?;
            Ok(Miniature::new(&picture.image, picture.full_width_px, picture.full_height_px))
        };
        let results: Vec<Result<Miniature, SkipReason>> = chunk.par_iter().map(read).collect();
        let fresh = chunk.iter().zip(&results).filter_map(|(&idx, made)| Some((&files[idx].1, made.as_ref().ok()?)));
        store.put(fresh);
        n_done += chunk.len();
        for (&idx, result) in chunk.iter().zip(results) {
            made[idx] = Some(result);
        }
    }
    reporter.progress(Stage::Hash, files.len(), files.len());
    Ok(made.into_iter().map(|made| made.unwrap_or(Err(SkipReason::Missing))).collect())
}

/// The cache, where there is one that works.
struct Store<'a> {
    cache: &'a SharedCache,
    space: Option<SpaceId>,
}

impl<'a> Store<'a> {
    fn new(cache: &'a SharedCache) -> Self {
        // Another making of miniatures is another space.
        let space = EmbeddingSpace {
            backbone: "miniature".to_owned(),
            layer: "luma 64 x 64".to_owned(),
            preprocess: "1".to_owned(),
            dim: N_VALUES,
        };
        let id = cache.as_ref().and_then(|cache| {
            let cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.space_id(&space).inspect_err(|error| tracing::warn!(%error, "the cache could not be read")).ok()
        });
        Self { cache, space: id }
    }

    fn get(&self, hash: &ContentHash) -> Option<Miniature> {
        let cache = self.cache.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let mut values = vec![0.0; N_VALUES];
        let is_there = cache.get(self.space?, hash, &mut values).unwrap_or(false);
        if is_there { Miniature::from_values(&values) } else { None }
    }

    fn put<'b>(&self, fresh: impl Iterator<Item = (&'b ContentHash, &'b Miniature)>) {
        let (Some(cache), Some(space)) = (self.cache, self.space) else { return };
        let rows: Vec<(&ContentHash, Box<[f32]>)> = fresh.map(|(hash, made)| (hash, made.to_values())).collect();
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = cache.put(space, rows.iter().map(|(hash, values)| (*hash, &values[..]))) {
            tracing::warn!(%error, "the cache could not be written");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::sync::Mutex;

    use super::*;
    use crate::progress::Silent;
    use crate::store::cache::EmbeddingCache;

    fn files(dir: &std::path::Path) -> Vec<(PathBuf, ContentHash)> {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images/files");
        let mut paths: Vec<PathBuf> = fs::read_dir(fixtures).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        paths.push(dir.join("gone.jpg"));
        let hash = |path: &PathBuf| *blake3::hash(path.as_os_str().as_encoded_bytes()).as_bytes();
        paths.into_iter().map(|path| (path.clone(), hash(&path))).collect()
    }

    #[test]
    fn whole_sizes_are_upright_and_the_cache_gives_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let cache = Some(Mutex::new(EmbeddingCache::open(dir.path()).unwrap()));
        let limits = DecodeLimits::default();
        let run = || miniatures(&files, &cache, (&limits, source::MAX_FILE_BYTES), &Silent::default()).unwrap();
        let first = run();
        let n_made = first.iter().filter(|made| made.is_ok()).count();
        assert!(n_made > 10, "{n_made}");
        assert!(matches!(first.last(), Some(Err(SkipReason::Unreadable { .. }))));
        for ((path, _), made) in files.iter().zip(&first) {
            let whole = fs::read(path).ok().and_then(|bytes| decode::decode(&bytes, &limits).ok());
            match (whole, made) {
                (Some(whole), Ok(made)) => {
                    let size = (whole.width_px(), whole.height_px());
                    assert_eq!((made.width_px, made.height_px), size, "{}", path.display());
                    let exact = Miniature::new(&whole, size.0, size.1);
                    let worst = exact.luma.iter().zip(&made.luma).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                    assert!(worst <= 24, "{}: {worst} levels off by decoding it smaller", path.display());
                }
                (None, Err(_)) => {}
                (whole, made) => panic!("{}: {:?} {made:?}", path.display(), whole.is_some()),
            }
        }
        assert_eq!(run(), first);
    }

    #[test]
    fn it_can_be_ended() {
        let dir = tempfile::tempdir().unwrap();
        let reporter = Silent::default();
        reporter.cancel_token().cancel();
        let ended = miniatures(&files(dir.path()), &None, (&DecodeLimits::default(), 1 << 20), &reporter);
        assert!(matches!(ended, Err(WorkflowError::Cancelled)));
    }
}
