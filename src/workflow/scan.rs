//! Walking folders and reading tables, by the rules of [`crate::dataset::layout`].

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::WorkflowError;
use crate::dataset::layout::{self, ListedFile, ListedTable};
use crate::dataset::manifest::{self, Row};
use crate::dataset::{Dataset, SkipReason, Skipped};
use crate::image::decode;
use crate::progress::{Reporter, Stage};

/// Tables larger than this are not looked at.
const MAX_TABLE_BYTES: u64 = 256 << 20;

/// Reads the data set at `path`: a folder in any of the layouts, a table, or a single image.
///
/// # Errors
/// When the path cannot be read, a table makes no sense, or the user cancels. Single files that cannot be read are
/// in the result's list of skipped files.
pub fn scan(path: &Path, reporter: &dyn Reporter) -> Result<Dataset, WorkflowError> {
    let read = |source| WorkflowError::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(read)?;
    if !metadata.is_dir() {
        return scan_file(path);
    }
    // A folder that cannot be listed at all is the user's whole request, not a skipped file.
    fs::read_dir(path).map_err(read)?;
    let mut walk = Walk::default();
    walk.folder(path, reporter)?;
    if walk.tables.is_empty() {
        let mut dataset = layout::from_files(path, &walk.files);
        dataset.skipped.append(&mut walk.skipped);
        return Ok(dataset);
    }
    let mut tables = Vec::new();
    for rel in &walk.tables {
        tables.push(read_table(path, rel)?);
    }
    let mut dataset = layout::from_tables(path, &tables, Path::is_file);
    // Files beside the table that are no images say nothing about the data set: the table names what belongs to it.
    dataset.skipped.append(&mut walk.skipped.into_iter().filter(|s| s.reason != SkipReason::NotAnImage).collect());
    Ok(dataset)
}

/// A single file: a table, or one unlabelled image.
fn scan_file(path: &Path) -> Result<Dataset, WorkflowError> {
    let root = path.parent().unwrap_or(Path::new("")).to_owned();
    let rel = path.file_name().map(PathBuf::from).unwrap_or_default();
    if is_table_name(&rel) {
        let table = read_table(&root, &rel)?;
        return Ok(layout::from_tables(&root, &[table], Path::is_file));
    }
    Ok(layout::from_files(&root, &[ListedFile { rel }]))
}

#[derive(Default)]
struct Walk {
    files: Vec<ListedFile>,
    tables: Vec<PathBuf>,
    skipped: Vec<Skipped>,
}

impl Walk {
    fn folder(&mut self, root: &Path, reporter: &dyn Reporter) -> Result<(), WorkflowError> {
        // Sorted, so that the same folder gives the same list on every system.
        let entries = WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter();
        for entry in entries.filter_entry(|e| e.depth() == 0 || !layout::is_litter(&e.file_name().to_string_lossy())) {
            if reporter.cancelled() {
                return Err(WorkflowError::Cancelled);
            }
            match entry {
                Ok(entry) if entry.file_type().is_file() => self.file(root, entry.path()),
                Ok(_) => {}
                Err(error) => {
                    let path = error.path().unwrap_or(root).to_owned();
                    let reason = match error.loop_ancestor() {
                        Some(_) => SkipReason::SymlinkLoop,
                        None => SkipReason::Unreadable { message: io_message(error.io_error()) },
                    };
                    self.skipped.push(Skipped { path, reason });
                }
            }
            let n_found = self.files.len();
            if n_found.is_multiple_of(256) {
                reporter.progress(Stage::Scan, n_found, 0);
            }
        }
        reporter.progress(Stage::Scan, self.files.len(), self.files.len());
        Ok(())
    }

    fn file(&mut self, root: &Path, path: &Path) {
        let rel = path.strip_prefix(root).unwrap_or(path).to_owned();
        if is_table_name(&rel) && is_image_table(path) {
            self.tables.push(rel);
            return;
        }
        if layout::has_image_extension(path) {
            self.files.push(ListedFile { rel });
            return;
        }
        // Another name may still hide an image: its first bytes tell.
        let reason = match first_bytes(path) {
            Ok(bytes) if decode::is_image(&bytes) => {
                self.files.push(ListedFile { rel });
                return;
            }
            Ok(_) => SkipReason::NotAnImage,
            Err(error) => SkipReason::Unreadable { message: error.to_string() },
        };
        self.skipped.push(Skipped { path: path.to_owned(), reason });
    }
}

fn io_message(error: Option<&std::io::Error>) -> String {
    error.map_or_else(|| "unknown error".to_owned(), ToString::to_string)
}

fn first_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(64);
    File::open(path)?.take(64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_table_name(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| e.eq_ignore_ascii_case("csv"))
        || path.file_name().is_some_and(|n| n == "metadata.jsonl")
}

fn is_metadata(path: &Path) -> bool {
    path.file_stem().is_some_and(|s| s == "metadata")
}

/// Whether a file with a table's name is a table of images.
fn is_image_table(path: &Path) -> bool {
    if path.extension().is_some_and(|e| e == "jsonl") {
        return true;
    }
    let mut head = Vec::with_capacity(4096);
    let read = File::open(path).and_then(|f| f.take(4096).read_to_end(&mut head));
    read.is_ok() && manifest::looks_like_image_table(&String::from_utf8_lossy(&head))
}

fn read_table(root: &Path, rel: &Path) -> Result<ListedTable, WorkflowError> {
    let path = root.join(rel);
    let read = |source| WorkflowError::Read { path: path.clone(), source };
    if fs::metadata(&path).map_err(read)?.len() > MAX_TABLE_BYTES {
        return Err(read(std::io::Error::other("the table is larger than 256 MB")));
    }
    // Tables written by spreadsheets are often in another encoding: what is not UTF-8 becomes a replacement character.
    let text = String::from_utf8_lossy(&fs::read(&path).map_err(read)?).into_owned();
    let rows: Result<Vec<Row>, _> = match rel.extension() {
        Some(e) if e == "jsonl" => manifest::parse_jsonl(&text),
        _ => manifest::parse_csv(&text),
    };
    let rows = rows.map_err(|source| WorkflowError::Table { path: path.clone(), source })?;
    let dir = rel.parent().map(Path::to_owned).unwrap_or_default();
    Ok(ListedTable { dir, rows, is_metadata: is_metadata(rel) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::dataset::Layout;
    use crate::progress::Silent;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    fn write(root: &Path, rel: &str, bytes: &[u8]) {
        let path = root.join(rel);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn litter_is_passed_over_and_odd_names_survive() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for rel in ["a/1.png", "a/.hidden.png", "a/Thumbs.db", "__MACOSX/a/1.png", ".git/x.png", "b b/ü \u{1F41D}.jpg"]
        {
            write(root, rel, PNG);
        }
        write(root, "a/no_extension", PNG);
        write(root, "a/notes.txt", b"hello");
        let set = scan(root, &Silent::default()).unwrap();
        assert_eq!(set.classes.names(), ["a", "b b"]);
        assert_eq!(set.samples.len(), 3);
        assert_eq!(set.skipped, [Skipped { path: root.join("a/notes.txt"), reason: SkipReason::NotAnImage }]);
    }

    #[cfg(unix)]
    #[test]
    fn symbolic_link_loops_and_names_that_are_not_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "a/1.png", PNG);
        std::os::unix::fs::symlink(root, root.join("a/loop")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("a/dangling.png")).unwrap();
        fs::create_dir(root.join("b")).unwrap();
        fs::write(root.join("b").join(std::ffi::OsStr::from_bytes(b"\xff\xfe.png")), PNG).unwrap();
        let set = scan(root, &Silent::default()).unwrap();
        assert_eq!(set.samples.len(), 2);
        assert!(set.skipped.iter().any(|s| s.reason == SkipReason::SymlinkLoop));
        assert!(set.skipped.iter().any(|s| matches!(s.reason, SkipReason::Unreadable { .. })));
    }

    #[test]
    fn tables() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "img/1.png", PNG);
        write(root, "img/2.png", PNG);
        write(root, "prices.csv", b"date,price\n1,2\n");
        assert_eq!(scan(root, &Silent::default()).unwrap().layout, Layout::ClassFolders);
        write(root, "all.csv", b"path,label,split\nimg/1.png,x,train\nimg/2.png,y,val\n");
        let set = scan(root, &Silent::default()).unwrap();
        assert_eq!((set.layout, set.classes.names().len()), (Layout::Csv, 2));
        assert_eq!(scan(&root.join("all.csv"), &Silent::default()).unwrap().samples, set.samples);
        fs::remove_file(root.join("all.csv")).unwrap();
        write(root, "img/metadata.jsonl", b"{\"file_name\":\"1.png\",\"label\":\"x\"}\n");
        let set = scan(root, &Silent::default()).unwrap();
        assert_eq!((set.layout, set.samples.len()), (Layout::Metadata, 1));
    }
}
