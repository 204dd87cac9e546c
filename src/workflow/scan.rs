//! Walking folders and reading tables, by the rules of [`crate::dataset::layout`] and [`crate::dataset::tables`].

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::WorkflowError;
use crate::dataset::layout::{self, ListedFile};
use crate::dataset::manifest;
use crate::dataset::tables::{self, ListedTable, PassedOver, TableOrigin};
use crate::dataset::{Dataset, SkipReason, Skipped};
use crate::image::decode;
use crate::progress::{Reporter, Stage};

/// Tables larger than this are not looked at.
const MAX_TABLE_BYTES: u64 = 256 << 20;

/// Reads the data set at `path`: a folder in any of the layouts, a table, or a single image.
///
/// A table that lies in the folder is used where [`tables::judge`] says that it describes the folder's images; any other
/// is passed over with a note. A table that `path` itself names is used whatever it is.
///
/// # Errors
/// When the path cannot be read, a table that `path` names makes no sense, or the user cancels. Single files that cannot
/// be read are in the result's list of skipped files.
pub fn scan(path: &Path, reporter: &dyn Reporter) -> Result<Dataset, WorkflowError> {
    let read = |source| WorkflowError::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(read)?;
    if metadata.is_file() {
        return scan_file(path);
    }
    if !metadata.is_dir() {
        let mut dataset = layout::from_files(path, &[]);
        dataset.skipped.push(Skipped { path: path.to_owned(), reason: SkipReason::NotAFile });
        return Ok(dataset);
    }
    // A folder that cannot be listed at all is the user's whole request, not a skipped file.
    fs::read_dir(path).map_err(read)?;
    let mut walk = Walk::default();
    walk.folder(path, reporter)?;
    let mut folders = layout::from_files(path, &walk.files);
    let mut used = Vec::new();
    let mut notes = Vec::new();
    for rel in &walk.tables {
        match found_table(path, rel, !folders.classes.is_empty()) {
            Ok(table) => used.push(table),
            Err(TableError::PassedOver(why)) => {
                notes.push(format!("The table {} is passed over: {why}.", rel.display()));
            }
            Err(TableError::Read(error)) => {
                let reason = SkipReason::Unreadable { message: error.to_string() };
                walk.skipped.push(Skipped { path: path.join(rel), reason });
            }
        }
    }
    let mut dataset = if used.is_empty() {
        folders.skipped.append(&mut walk.skipped);
        folders
    } else {
        let mut dataset = tables::from_tables(used);
        // Files beside the table that are no images say nothing about the data set: the table names what belongs to it.
        walk.skipped.retain(|s| s.reason != SkipReason::NotAnImage);
        dataset.skipped.append(&mut walk.skipped);
        dataset
    };
    dataset.notes.append(&mut notes);
    Ok(dataset)
}

/// A single file: a table, or one unlabelled image.
fn scan_file(path: &Path) -> Result<Dataset, WorkflowError> {
    let root = path.parent().unwrap_or(Path::new("")).to_owned();
    let rel = path.file_name().map(PathBuf::from).unwrap_or_default();
    if !is_table_name(&rel) && !has_extension(&rel, &["txt", "jsonl"]) {
        return Ok(layout::from_files(&root, &[ListedFile { rel }]));
    }
    let listed = read_table(&root, &rel, TableOrigin::NamedByUser).map_err(|error| {
        let path = path.to_owned();
        match error {
            TableError::Read(source) => WorkflowError::Read { path, source },
            TableError::PassedOver(PassedOver::Malformed(source)) => WorkflowError::Table { path, source },
            TableError::PassedOver(why) => WorkflowError::Read { path, source: std::io::Error::other(why) },
        }
    })?;
    Ok(tables::from_tables(vec![tables::resolve(&root, &listed, usable)]))
}

/// Reads a table that lies in a folder, if it says what the folder's images are.
fn found_table(root: &Path, rel: &Path, has_class_folders: bool) -> Result<tables::Resolved, TableError> {
    let listed = read_table(root, rel, TableOrigin::FoundInFolder)?;
    let resolved = tables::resolve(root, &listed, usable);
    tables::judge(&listed, &resolved, has_class_folders)?;
    Ok(resolved)
}

/// Whether a path that a table names can be opened as a file.
fn usable(path: &Path) -> Result<(), SkipReason> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(SkipReason::NotAFile),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(SkipReason::Missing),
        Err(error) => Err(SkipReason::Unreadable { message: error.to_string() }),
    }
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
                Ok(entry) if entry.file_type().is_dir() => {}
                // Opening a named pipe would wait for whoever writes to it.
                Ok(entry) => {
                    self.skipped.push(Skipped { path: entry.into_path(), reason: SkipReason::NotAFile });
                }
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

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.iter().any(|x| e.eq_ignore_ascii_case(x)))
}

/// Whether a file in a folder may be a table of images.
fn is_table_name(path: &Path) -> bool {
    has_extension(path, &["csv", "tsv"]) || path.file_name().is_some_and(|n| n == "metadata.jsonl")
}

/// Whether a file with a table's name is a table of images.
fn is_image_table(path: &Path) -> bool {
    if has_extension(path, &["jsonl"]) {
        return true;
    }
    let mut head = Vec::with_capacity(4096);
    let read = File::open(path).and_then(|f| f.take(4096).read_to_end(&mut head));
    read.is_ok() && manifest::looks_like_image_table(&String::from_utf8_lossy(&head))
}

/// Why a table is not used.
#[derive(Debug, thiserror::Error)]
enum TableError {
    #[error(transparent)]
    Read(#[from] std::io::Error),
    #[error(transparent)]
    PassedOver(#[from] PassedOver),
}

fn read_table(root: &Path, rel: &Path, origin: TableOrigin) -> Result<ListedTable, TableError> {
    let path = root.join(rel);
    if fs::metadata(&path)?.len() > MAX_TABLE_BYTES {
        return Err(PassedOver::TooLarge { limit_mb: MAX_TABLE_BYTES >> 20 }.into());
    }
    // Tables written by spreadsheets are often in another encoding: what is not UTF-8 becomes a replacement character.
    let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
    let parse = if has_extension(rel, &["jsonl"]) { manifest::parse_jsonl } else { manifest::parse_csv };
    let table = parse(&text).map_err(PassedOver::from)?;
    Ok(ListedTable { rel: rel.to_owned(), table, origin })
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

    #[test]
    fn a_table_that_does_not_describe_the_images_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "a/1.png", PNG);
        write(root, "b/2.png", PNG);
        write(root, "answers.csv", b"File,Label,Confidence,a,b\na/1.png,b,0.9,0.1,0.9\nb/2.png,b,0.9,0.1,0.9\n");
        write(root, "b/sizes.csv", b"filename,width,height\n2.png,3,4\n");
        write(root, "b/metadata.jsonl", b"{\"event\":\"started\"}\n");
        write(root, "elsewhere.csv", b"path,label\nx/1.png,x\nx/2.png,y\na/1.png,z\n");
        write(root, "open.csv", b"path,label\na/1.png,\"x\nb/2.png,y\n");
        let set = scan(root, &Silent::default()).unwrap();
        assert_eq!((set.layout, set.classes.names().join(" ")), (Layout::ClassFolders, "a b".to_owned()));
        assert_eq!(set.samples.len(), 2);
        let why = |table: &Path| {
            let start = format!("The table {} is passed over: ", table.display());
            set.notes.iter().find_map(|n| n.strip_prefix(&start)).unwrap().to_owned()
        };
        assert_eq!(set.notes.len(), 5);
        assert_eq!(why(Path::new("answers.csv")), "its column Confidence says that it holds predictions.");
        assert_eq!(why(&Path::new("b").join("sizes.csv")), "it has no labels.");
        assert!(why(&Path::new("b").join("metadata.jsonl")).starts_with("line 1 of the table is not"));
        assert_eq!(why(Path::new("elsewhere.csv")), "2 of the 3 files that it names are not there.");
        assert!(why(Path::new("open.csv")).starts_with("line 2 of the table"));

        // The same table is used when the user names it, and mistakes in it are the user's to hear of.
        let set = scan(&root.join("answers.csv"), &Silent::default()).unwrap();
        assert_eq!((set.layout, set.classes.names().join(" ")), (Layout::Csv, "b".to_owned()));
        assert!(matches!(scan(&root.join("open.csv"), &Silent::default()), Err(WorkflowError::Table { .. })));
    }

    #[test]
    fn a_table_that_the_user_names_may_point_outside_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "rg/1.png", PNG);
        write(root, "rg/2.png", PNG);
        write(root, "tables/t.tsv", b"path\tlabel\n../rg/1.png\tred\n../rg/2.png\tgreen\n../rg\tgreen\n");
        let set = scan(&root.join("tables/t.tsv"), &Silent::default()).unwrap();
        assert_eq!(set.classes.names(), ["green", "red"]);
        assert_eq!(set.samples.len(), 2);
        assert_eq!(set.skipped.iter().map(|s| s.reason.clone()).collect::<Vec<_>>(), [SkipReason::NotAFile]);
    }

    #[test]
    fn metadata_without_labels_lists_the_images_of_a_folder_without_classes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "1.png", PNG);
        write(root, "2.png", PNG);
        write(root, "metadata.csv", b"file_name,caption\n1.png,one\n");
        let set = scan(root, &Silent::default()).unwrap();
        assert_eq!((set.layout, set.samples.len()), (Layout::Metadata, 1));
        write(root, "a/3.png", PNG);
        let set = scan(root, &Silent::default()).unwrap();
        assert_eq!((set.layout, set.samples.len(), set.notes.len()), (Layout::ClassFolders, 3, 1));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_skipped_and_never_opened() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "a/1.png", PNG);
        let sockets = ["a/socket.png", "a/t.csv", "a/no_extension"].map(|rel| root.join(rel));
        // A socket is as little a regular file as a named pipe, and the standard library can make one.
        let _listeners = sockets.each_ref().map(|path| std::os::unix::net::UnixListener::bind(path).unwrap());
        std::os::unix::fs::symlink("/dev/zero", root.join("a/zero.png")).unwrap();
        let set = scan(root, &Silent::default()).unwrap();
        assert_eq!(set.samples.len(), 1);
        assert_eq!(set.skipped.len(), 4);
        assert!(set.skipped.iter().all(|s| s.reason == SkipReason::NotAFile));
        let alone = scan(&sockets[0], &Silent::default()).unwrap();
        assert_eq!((alone.samples.len(), alone.skipped.len()), (0, 1));
    }
}
