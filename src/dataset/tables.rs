//! Which tables say what a data set is, and what they say.

use std::path::{Component, Path, PathBuf};

use super::layout::{self, Labelled};
use super::manifest::{ManifestError, Table};
use super::{Dataset, Layout, SkipReason, Skipped, Split};

/// A table that was read.
#[derive(Clone, Debug)]
pub struct ListedTable {
    /// Where it is, relative to the root. Its paths are relative to the folder that it is in.
    pub rel: PathBuf,
    /// What it says.
    pub table: Table,
    /// How it came to be read.
    pub origin: TableOrigin,
}

/// How a table came to be read, which decides how far it is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableOrigin {
    /// It lies somewhere in the user's folder. It may be about anything, and says nothing about files elsewhere.
    FoundInFolder,
    /// The user named it: what it says is the user's own word.
    NamedByUser,
}

/// Why a table that was found in a folder does not count.
#[derive(Debug, thiserror::Error)]
pub enum PassedOver {
    /// Answers, such as Graft's own, are not the truth to train on.
    #[error("its column Confidence says that it holds predictions")]
    Predictions,
    /// It says of no file what it shows, and the folders may.
    #[error("it has no labels")]
    NoLabels,
    /// It is about other files.
    #[error("{n_unusable} of the {n_rows} files that it names are not there")]
    OtherFiles {
        /// Files that are not there.
        n_unusable: usize,
        /// All that it names.
        n_rows: usize,
    },
    /// Nothing below the header.
    #[error("it names no file")]
    Empty,
    /// Longer than is looked at.
    #[error("it is larger than {limit_mb} MB")]
    TooLarge {
        /// The limit in megabytes.
        limit_mb: u64,
    },
    /// It makes no sense.
    #[error(transparent)]
    Malformed(#[from] ManifestError),
}

/// A table's files, each looked up once.
#[derive(Debug)]
pub struct Resolved {
    layout: Layout,
    labelled: Vec<Labelled>,
    skipped: Vec<Skipped>,
}

/// Looks up the files that a table names; `usable` says whether a path is a regular file, and why not.
pub fn resolve(root: &Path, listed: &ListedTable, usable: impl Fn(&Path) -> Result<(), SkipReason>) -> Resolved {
    let dir = listed.rel.parent().unwrap_or(Path::new(""));
    // `train/metadata.csv`: the folder says the split where the table does not.
    let folder_split = layout::folders(&listed.rel).iter().find_map(|p| Split::from_name(p));
    let layout = if is_metadata(&listed.rel) { Layout::Metadata } else { Layout::Csv };
    let mut resolved = Resolved { layout, labelled: Vec::new(), skipped: Vec::new() };
    for row in &listed.table.rows {
        let rel = dir.join(row.path.replace('\\', "/"));
        let path = root.join(&rel);
        let found = match listed.origin {
            TableOrigin::FoundInFolder if escapes(&rel) => Err(SkipReason::OutsideRoot),
            _ => usable(&path),
        };
        match found {
            Ok(()) => resolved.labelled.push((path, row.label.clone(), row.split.or(folder_split))),
            Err(reason) => resolved.skipped.push(Skipped { path, reason }),
        }
    }
    resolved
}

/// Whether a table that was found in a folder says what the data set is. Hugging Face's `metadata.*` does so without
/// labels too (then it lists the images), where there are no class folders.
///
/// # Errors
/// Why it does not. A table that the user named always counts.
pub fn judge(listed: &ListedTable, resolved: &Resolved, has_class_folders: bool) -> Result<(), PassedOver> {
    if listed.origin == TableOrigin::NamedByUser {
        return Ok(());
    }
    let table = &listed.table;
    let (n_rows, n_unusable) = (table.rows.len(), resolved.skipped.len());
    if table.has_confidence {
        Err(PassedOver::Predictions)
    } else if n_rows == 0 {
        Err(PassedOver::Empty)
    } else if !table.has_labels() && (has_class_folders || resolved.layout != Layout::Metadata) {
        Err(PassedOver::NoLabels)
    } else if 2 * n_unusable >= n_rows {
        Err(PassedOver::OtherFiles { n_unusable, n_rows })
    } else {
        Ok(())
    }
}

/// The data set that tables describe.
pub fn from_tables(tables: Vec<Resolved>) -> Dataset {
    let layout = if tables.iter().any(|t| t.layout == Layout::Metadata) { Layout::Metadata } else { Layout::Csv };
    let (mut labelled, mut skipped) = (Vec::new(), Vec::new());
    for table in tables {
        labelled.extend(table.labelled);
        skipped.extend(table.skipped);
    }
    labelled.sort();
    labelled.dedup();
    layout::build(layout, labelled, skipped)
}

/// Whether a table has the name that Hugging Face's data sets give it.
pub fn is_metadata(path: &Path) -> bool {
    path.file_stem().is_some_and(|s| s == "metadata")
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
    use super::super::manifest::Row;
    use super::*;

    fn row(path: &str, label: Option<&str>) -> Row {
        Row { path: path.into(), label: label.map(Into::into), split: None }
    }

    fn listed(rel: &str, origin: TableOrigin, rows: Vec<Row>) -> ListedTable {
        ListedTable { rel: rel.into(), table: Table { rows, has_confidence: false }, origin }
    }

    fn lookup(path: &Path) -> Result<(), SkipReason> {
        if path.ends_with("gone.png") { Err(SkipReason::Missing) } else { Ok(()) }
    }

    #[test]
    fn tables_give_labels_splits_and_missing_files() {
        let rows = || vec![row("a.png", Some("x")), row("gone.png", Some("x")), row("../../b.png", Some("y"))];
        let found = listed("train/metadata.csv", TableOrigin::FoundInFolder, rows());
        let set = from_tables(vec![resolve(Path::new("/r"), &found, lookup)]);
        assert_eq!((set.layout, set.classes.names()), (Layout::Metadata, ["x".to_owned()].as_slice()));
        let paths: Vec<_> = set.samples.iter().map(|s| (s.path.clone(), s.split)).collect();
        assert_eq!(paths, [("/r/train/a.png".into(), Some(Split::Train))]);
        let reasons: Vec<_> = set.skipped.iter().map(|s| s.reason.clone()).collect();
        assert_eq!(reasons, [SkipReason::Missing, SkipReason::OutsideRoot]);

        let named = listed("t.csv", TableOrigin::NamedByUser, rows());
        let set = from_tables(vec![resolve(Path::new("/r"), &named, lookup)]);
        assert_eq!(set.classes.names(), ["x", "y"], "a table that the user names may point outside its folder");
        assert_eq!(set.skipped.len(), 1);
    }

    #[test]
    fn what_counts_as_a_table_of_images() {
        let judged = |listed: &ListedTable, has_class_folders| {
            let resolved = resolve(Path::new("/r"), listed, lookup);
            judge(listed, &resolved, has_class_folders).map_err(|e| e.to_string())
        };
        let table = |rel, rows| listed(rel, TableOrigin::FoundInFolder, rows);
        let labelled = table("t.csv", vec![row("a.png", Some("x")), row("b.png", Some("x")), row("gone.png", None)]);
        assert_eq!(judged(&labelled, true), Ok(()));

        let mut predictions = labelled.clone();
        predictions.table.has_confidence = true;
        assert!(judged(&predictions, true).unwrap_err().contains("predictions"));
        let half = table("t.csv", vec![row("a.png", Some("x")), row("gone.png", Some("x"))]);
        assert_eq!(judged(&half, false).unwrap_err(), "1 of the 2 files that it names are not there");
        assert_eq!(judged(&table("t.csv", vec![]), false).unwrap_err(), "it names no file");

        let sizes = vec![row("a.png", None)];
        assert_eq!(judged(&table("sizes.csv", sizes.clone()), false).unwrap_err(), "it has no labels");
        assert_eq!(judged(&table("metadata.csv", sizes.clone()), false), Ok(()));
        assert_eq!(judged(&table("metadata.csv", sizes), true).unwrap_err(), "it has no labels");

        predictions.origin = TableOrigin::NamedByUser;
        assert_eq!(judged(&predictions, true), Ok(()), "a table that the user names is used whatever it is");
    }
}
