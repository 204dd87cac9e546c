//! Rules that turn a list of files into a data set (the table in the crate's front page).

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::{Dataset, Layout, Sample, SkipReason, Skipped, Split};
use crate::classes::ClassSet;

/// A file found below the root, relative to it. Only candidates: what cannot be an image is already left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Path relative to the root.
    pub rel: PathBuf,
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
    let mut labelled: Vec<Labelled> = Vec::with_capacity(files.len());
    let mut skipped = Vec::new();
    for (rel, file) in inner.iter().zip(&files) {
        let path = root.join(file);
        let mut parts = folders(rel).into_iter();
        let (class, split) = if has_splits {
            let top = parts.next();
            let split = top.as_deref().and_then(Split::from_name);
            if top.is_some() && split.is_none() {
                skipped.push(Skipped { path, reason: SkipReason::OutsideSplits });
                continue;
            }
            (parts.next(), split)
        } else {
            (parts.next(), None)
        };
        labelled.push((path, class, split));
    }
    let layout = match (has_splits, labelled.iter().any(|(_, class, _)| class.is_some())) {
        (true, _) => Layout::SplitFolders,
        (false, true) => Layout::ClassFolders,
        (false, false) => Layout::Loose,
    };
    build(layout, labelled, skipped)
}

/// A file with its class and its split, where the layout gives them.
pub(super) type Labelled = (PathBuf, Option<String>, Option<Split>);

/// The data set of `labelled` files, which are sorted by path.
pub(super) fn build(layout: Layout, labelled: Vec<Labelled>, skipped: Vec<Skipped>) -> Dataset {
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
pub(super) fn folders(rel: &Path) -> Vec<String> {
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

/// Whether the top folders are splits: every one that holds images is a split's name, or there is a training folder
/// beside a validation or test folder, both with class folders, whatever else lies beside them. (Without class folders
/// below, `train` and `test` beside others may well be classes.)
fn has_split_folders(files: &[&Path]) -> bool {
    let (mut n_in_splits, mut n_in_others) = (0, 0);
    let (mut trains, mut judges) = (false, false);
    for file in files {
        let parts = folders(file);
        // Loose files beside the split folders stay unlabelled.
        let Some(top) = parts.first() else { continue };
        let has_class = parts.len() >= 2;
        match Split::from_name(top) {
            Some(split) => {
                n_in_splits += 1;
                trains |= has_class && split == Split::Train;
                judges |= has_class && split != Split::Train;
            }
            None => n_in_others += 1,
        }
    }
    (trains && judges) || (n_in_splits > 0 && n_in_others == 0)
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
            // `train` beside another class, without class folders below, is a class
            (
                &["train/1.png", "test/2.png", "tram/3.png"],
                Layout::ClassFolders,
                &["test/2.png test -", "train/1.png train -", "tram/3.png tram -"],
            ),
            (&[], Layout::Loose, &[]),
        ];
        for (input, layout, expected) in table {
            let set = from_files(Path::new("/r"), &files(input));
            assert_eq!(set.layout, *layout, "{input:?}");
            assert_eq!(lines(&set), *expected, "{input:?}");
        }
    }

    #[test]
    fn another_folder_beside_the_splits_does_not_turn_them_into_classes() {
        let paths =
            ["train/red/1.png", "train/green/2.png", "val/red/3.png", "examples/1.bmp", "docs/a/2.png", "4.png"];
        for top in ["", "zip/"] {
            // The wrapping folder is only looked through when nothing lies loose in it.
            let inside: Vec<String> =
                paths.iter().take(if top.is_empty() { 6 } else { 5 }).map(|p| format!("{top}{p}")).collect();
            let set = from_files(Path::new("/r"), &files(&inside.iter().map(String::as_str).collect::<Vec<_>>()));
            assert_eq!(set.layout, Layout::SplitFolders);
            assert_eq!(set.classes.names(), ["green", "red"]);
            assert_eq!(set.samples.iter().filter(|s| s.class.is_some()).count(), 3);
            let outside = |rel: &str| Skipped {
                path: Path::new("/r").join(format!("{top}{rel}")),
                reason: SkipReason::OutsideSplits,
            };
            assert_eq!(set.skipped, [outside("docs/a/2.png"), outside("examples/1.bmp")]);
        }
    }

    #[test]
    fn names_that_differ_in_case_are_two_classes_and_noted() {
        let set = from_files(Path::new("/r"), &files(&["Cat/1.png", "cat/2.png"]));
        assert_eq!(set.classes.len(), 2);
        assert_eq!(set.notes.len(), 1);
    }
}
