//! Rules that turn a list of files into a data set (the table in the crate's front page).

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::manifest::Row;
use super::{Dataset, Layout, Sample, SkipReason, Skipped, Split};
use crate::classes::ClassSet;

/// A file found below the root, relative to it. Only candidates: what cannot be an image is already left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Path relative to the root.
    pub rel: PathBuf,
}

/// A table found below the root.
#[derive(Clone, Debug)]
pub struct ListedTable {
    /// The folder that its paths are relative to, itself relative to the root.
    pub dir: PathBuf,
    /// Its lines.
    pub rows: Vec<Row>,
    /// Whether it is Hugging Face's `metadata.*`.
    pub is_metadata: bool,
}

/// Whether a file or folder is never part of a data set: hidden, or a system's litter.
pub fn is_litter(name: &str) -> bool {
    name.starts_with('.')
        || matches!(
            name.to_ascii_lowercase().as_str(),
            "thumbs.db" | "desktop.ini" | "__macosx" | "@eadir" | "$recycle.bin" | "ehthumbs.db"
        )
}

/// Whether the name ends like an image's. Others are looked at by their content.
pub fn has_image_extension(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| {
        matches!(
            e.to_ascii_lowercase().as_str(),
            "jpg" | "jpeg" | "jpe" | "jfif" | "png" | "webp" | "gif" | "tif" | "tiff" | "bmp" | "dib" | "pjpeg"
        )
    })
}

/// Reads class folders, split folders or loose images out of a list of files below `root`.
pub fn from_files(root: &Path, files: &[ListedFile]) -> Dataset {
    let mut files: Vec<&Path> = files.iter().map(|f| f.rel.as_path()).collect();
    files.sort();
    let prefix = wrapper(&files);
    let inner: Vec<&Path> = files.iter().map(|f| f.strip_prefix(&prefix).unwrap_or(f)).collect();
    let has_splits = has_split_folders(&inner);
    let mut labelled: Vec<(PathBuf, Option<String>, Option<Split>)> = Vec::with_capacity(files.len());
    for (rel, file) in inner.iter().zip(&files) {
        let mut parts = folders(rel);
        let mut split = None;
        if has_splits {
            split = parts.first().and_then(|p| Split::from_name(p));
            if split.is_some() {
                parts.remove(0);
            }
        }
        let class = parts.into_iter().next();
        labelled.push((root.join(file), class, split));
    }
    let layout = match (has_splits, labelled.iter().any(|(_, class, _)| class.is_some())) {
        (true, _) => Layout::SplitFolders,
        (false, true) => Layout::ClassFolders,
        (false, false) => Layout::Loose,
    };
    build(layout, labelled, Vec::new())
}

/// Reads the tables; `exists` says whether a path relative to the root is a file there.
pub fn from_tables(root: &Path, tables: &[ListedTable], exists: impl Fn(&Path) -> bool) -> Dataset {
    let mut labelled = Vec::new();
    let mut skipped = Vec::new();
    let layout = if tables.iter().any(|t| t.is_metadata) { Layout::Metadata } else { Layout::Csv };
    for table in tables {
        // `train/metadata.csv`: the folder says the split where the table does not.
        let folder_split = folders(&table.dir.join("x")).iter().find_map(|p| Split::from_name(p));
        for row in &table.rows {
            let rel = table.dir.join(row.path.replace('\\', "/"));
            let path = root.join(&rel);
            if escapes(&rel) {
                skipped.push(Skipped { path, reason: SkipReason::OutsideRoot });
            } else if exists(&path) {
                labelled.push((path, row.label.clone(), row.split.or(folder_split)));
            } else {
                skipped.push(Skipped { path, reason: SkipReason::Missing });
            }
        }
    }
    labelled.sort();
    labelled.dedup();
    build(layout, labelled, skipped)
}

fn build(layout: Layout, labelled: Vec<(PathBuf, Option<String>, Option<Split>)>, skipped: Vec<Skipped>) -> Dataset {
    let classes = ClassSet::sorted(labelled.iter().filter_map(|(_, class, _)| class.clone()));
    let samples = labelled
        .into_iter()
        .map(|(path, class, split)| Sample { path, class: class.and_then(|c| classes.idx(&c)), split })
        .collect();
    let notes = case_notes(&classes);
    Dataset { layout, classes, samples, skipped, notes }
}

/// Class names that differ only in case are two classes, which is worth a word.
fn case_notes(classes: &ClassSet) -> Vec<String> {
    let mut by_lower: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in classes.names() {
        by_lower.entry(name.to_lowercase()).or_default().push(name);
    }
    by_lower
        .into_values()
        .filter(|names| names.len() > 1)
        .map(|names| {
            format!("The class names {} differ only in case: they are kept as separate classes.", names.join(", "))
        })
        .collect()
}

/// Folder names of a relative path, without the file's own name; not UTF-8 becomes replacement characters.
fn folders(rel: &Path) -> Vec<String> {
    let mut parts: Vec<String> = rel
        .components()
        .filter_map(|c| match c {
            Component::Normal(p) => Some(p.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    parts.pop();
    parts
}

/// Every top folder that holds images is a split's name, and one of them is not the training set alone.
fn has_split_folders(files: &[&Path]) -> bool {
    let mut n_in_splits = 0;
    for file in files {
        match folders(file).first() {
            Some(top) if Split::from_name(top).is_some() => n_in_splits += 1,
            Some(_) => return false,
            // Loose files beside the split folders stay unlabelled.
            None => {}
        }
    }
    n_in_splits > 0
}

/// A single folder around everything (an unpacked archive) is looked through, as long as folders remain below it.
fn wrapper(files: &[&Path]) -> PathBuf {
    let mut prefix = PathBuf::new();
    loop {
        let rest: Vec<Vec<String>> = files.iter().map(|f| folders(f.strip_prefix(&prefix).unwrap_or(f))).collect();
        let Some(top) = rest.first().and_then(|parts| parts.first()) else { return prefix };
        if Split::from_name(top).is_some() || !rest.iter().all(|parts| parts.len() >= 2 && &parts[0] == top) {
            return prefix;
        }
        // The folder's own bytes, since `top` may be a lossy copy.
        let below = files.first().and_then(|f| f.strip_prefix(&prefix).ok());
        let Some(Component::Normal(name)) = below.and_then(|b| b.components().next()) else { return prefix };
        prefix.push(name);
    }
}

/// Whether a relative path climbs out of its root. Absolute paths are the user's own word and stay allowed.
fn escapes(rel: &Path) -> bool {
    let mut depth = 0_i64;
    for part in rel.components() {
        match part {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            Component::Prefix(_) | Component::RootDir => return false,
            Component::CurDir => {}
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<ListedFile> {
        paths.iter().map(|p| ListedFile { rel: p.into() }).collect()
    }

    fn lines(set: &Dataset) -> Vec<String> {
        set.samples
            .iter()
            .map(|s| {
                let class = s.class.and_then(|c| set.classes.name(c)).unwrap_or("-");
                let split = s.split.map_or("-", |s| match s {
                    Split::Train => "train",
                    Split::Val => "val",
                    Split::Test => "test",
                });
                format!("{} {class} {split}", s.path.strip_prefix("/r").unwrap().display())
            })
            .collect()
    }

    #[test]
    fn layouts() {
        let table: &[(&[&str], Layout, &[&str])] = &[
            (&["b/1.png", "a/x/2.png"], Layout::ClassFolders, &["a/x/2.png a -", "b/1.png b -"]),
            (
                &["train/a/1.png", "valid/a/2.png", "test/a/3.png"],
                Layout::SplitFolders,
                &["test/a/3.png a test", "train/a/1.png a train", "valid/a/2.png a val"],
            ),
            (&["1.png", "2.png"], Layout::Loose, &["1.png - -", "2.png - -"]),
            (&["a/1.png", "b/2.png", "3.png"], Layout::ClassFolders, &["3.png - -", "a/1.png a -", "b/2.png b -"]),
            // an unpacked archive
            (&["zip/a/1.png", "zip/b/2.png"], Layout::ClassFolders, &["zip/a/1.png a -", "zip/b/2.png b -"]),
            (
                &["zip/train/a/1.png", "zip/val/a/2.png"],
                Layout::SplitFolders,
                &["zip/train/a/1.png a train", "zip/val/a/2.png a val"],
            ),
            // a class called test beside other classes is a class
            (&["test/1.png", "cat/2.png"], Layout::ClassFolders, &["cat/2.png cat -", "test/1.png test -"]),
            (&[], Layout::Loose, &[]),
        ];
        for (input, layout, expected) in table {
            let set = from_files(Path::new("/r"), &files(input));
            assert_eq!(set.layout, *layout, "{input:?}");
            assert_eq!(lines(&set), *expected, "{input:?}");
        }
    }

    #[test]
    fn names_that_differ_in_case_are_two_classes_and_noted() {
        let set = from_files(Path::new("/r"), &files(&["Cat/1.png", "cat/2.png"]));
        assert_eq!(set.classes.len(), 2);
        assert_eq!(set.notes.len(), 1);
    }

    #[test]
    fn tables_give_labels_splits_and_missing_files() {
        let rows = vec![
            Row { path: "a.png".into(), label: Some("x".into()), split: None },
            Row { path: "gone.png".into(), label: Some("x".into()), split: None },
            Row { path: "../../etc/passwd".into(), label: Some("x".into()), split: None },
        ];
        let tables = [ListedTable { dir: "train".into(), rows, is_metadata: true }];
        let set = from_tables(Path::new("/r"), &tables, |p| !p.ends_with("gone.png"));
        assert_eq!(lines(&set), ["train/a.png x train"]);
        let reasons: Vec<_> = set.skipped.iter().map(|s| s.reason.clone()).collect();
        assert_eq!(reasons, [SkipReason::Missing, SkipReason::OutsideRoot]);
    }
}
