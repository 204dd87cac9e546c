//! Sorting predicted files into a folder a label, by copying.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::WorkflowError;
use super::predict::{Predictions, UNKNOWN};
use crate::dataset::{SkipReason, Skipped};
use crate::progress::{Reporter, Stage};
use crate::store::copy::CopyInto;

/// What sorting gave.
#[derive(Clone, Debug)]
pub struct SortOutcome {
    /// Files copied.
    pub n_copied: usize,
    /// Folders that files were copied into, in class order, that of [`UNKNOWN`] last.
    pub folders: Vec<SortedFolder>,
    /// Files that could not be copied.
    pub skipped: Vec<Skipped>,
}

/// The folder of one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortedFolder {
    /// The label.
    pub label: String,
    /// Its folder, whose name is the label as far as that can be a folder's.
    pub dir: PathBuf,
    /// Files copied into it.
    pub n_copied: usize,
}

/// Copies every predicted file to `dir/LABEL/NAME`. Nothing is overwritten: a name that is taken gets a number. Copies
/// are whole or not there; a file that cannot be copied is skipped with its reason.
///
/// # Errors
/// When a folder cannot be made, the disk is full, or the user cancels; copies made until then stay.
pub fn sort_into(dir: &Path, predictions: &Predictions, reporter: &dyn Reporter) -> Result<SortOutcome, WorkflowError> {
    let failed = |path: &Path, source| WorkflowError::Write { path: path.to_owned(), source };
    let names = folder_names(predictions);
    let mut open: BTreeMap<&str, (CopyInto, usize)> = BTreeMap::new();
    let mut skipped = Vec::new();
    let paths = &predictions.answers.paths;
    let mut last_report = Instant::now();
    reporter.progress(Stage::Copy, 0, paths.len());
    for (i, (path, (label, _))) in paths.iter().zip(predictions.labels()).enumerate() {
        if reporter.cancelled() {
            return Err(WorkflowError::Cancelled);
        }
        let (folder, n_copied) = match open.entry(label) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let path = dir.join(names.get(label).map_or(UNKNOWN, String::as_str));
                let folder = CopyInto::new(&path).map_err(|e| failed(&path, e))?;
                entry.insert((folder, 0))
            }
        };
        // Opening a named pipe would wait for a writer.
        let reason = match path.metadata() {
            Ok(metadata) if !metadata.is_file() => Some(SkipReason::NotAFile),
            Err(error) => Some(SkipReason::Unreadable { message: error.to_string() }),
            Ok(_) => match folder.copy(path) {
                Ok(_) => None,
                Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                    return Err(failed(folder.dir(), error));
                }
                Err(error) => Some(SkipReason::NotCopied { message: error.to_string() }),
            },
        };
        match reason {
            None => *n_copied += 1,
            Some(reason) => skipped.push(Skipped { path: path.clone(), reason }),
        }
        if i + 1 == paths.len() || last_report.elapsed() > Duration::from_millis(66) {
            reporter.progress(Stage::Copy, i + 1, paths.len());
            last_report = Instant::now();
        }
    }
    let labels = labels(predictions);
    let folders = labels.into_iter().filter_map(|label| {
        let (folder, n_copied) = open.get(label)?;
        Some(SortedFolder { label: label.to_owned(), dir: folder.dir().to_owned(), n_copied: *n_copied })
    });
    let folders: Vec<SortedFolder> = folders.collect();
    Ok(SortOutcome { n_copied: folders.iter().map(|folder| folder.n_copied).sum(), folders, skipped })
}

/// Every label that a prediction can have, in class order.
fn labels(predictions: &Predictions) -> Vec<&str> {
    let mut labels: Vec<&str> = predictions.classes.names().iter().map(String::as_str).collect();
    if !labels.contains(&UNKNOWN) {
        labels.push(UNKNOWN);
    }
    labels
}

/// A folder's name for each label. No two labels share one, also where the system takes upper and lower case for the
/// same.
fn folder_names(predictions: &Predictions) -> BTreeMap<&str, String> {
    let mut names = BTreeMap::from([(UNKNOWN, UNKNOWN.to_owned())]);
    let mut taken = vec![UNKNOWN.to_owned()];
    for label in labels(predictions) {
        if names.contains_key(label) {
            continue;
        }
        let name = folder_name(label);
        let numbered = (2..).map(|n| format!("{name} ({n})"));
        let is_free = |name: &String| !taken.contains(&name.to_lowercase());
        let Some(name) = std::iter::once(name.clone()).chain(numbered).find(is_free) else { continue };
        taken.push(name.to_lowercase());
        names.insert(label, name);
    }
    names
}

/// Longest name of a folder, in bytes: systems take 255, and some room for a number.
const MAX_NAME_BYTES: usize = 200;

/// A label as a folder's name that every system takes: no separators, control characters or other characters that
/// Windows refuses, no dot in front, no dot or space at the end, no device's name, not empty.
pub fn folder_name(label: &str) -> String {
    let is_refused = |c: char| c.is_control() || r#"/\:*?"<>|"#.contains(c);
    let mut name: String = label.trim().chars().map(|c| if is_refused(c) { '_' } else { c }).collect();
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name.truncate(name.trim_end_matches([' ', '.']).len());
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_port = |kind: &str| stem.strip_prefix(kind).is_some_and(|n| matches!(n.as_bytes(), [b'0'..=b'9']));
    if name.is_empty() || ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str()) || is_port("COM") || is_port("LPT") {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ndarray::Array2;

    use super::*;
    use crate::classes::ClassSet;
    use crate::head::UnknownRule;
    use crate::progress::{CancelToken, Silent};
    use crate::workflow::evaluate::Answers;

    /// Files with their bytes as names say, and the class that each is of; class 9 stands for "unknown".
    fn predictions(dir: &Path, classes: &[&str], files: &[(&str, usize)]) -> Predictions {
        let n = classes.len();
        let mut probabilities = Array2::from_elem((files.len(), n), 1.0 / n as f32);
        let mut paths = Vec::new();
        for (row, (name, class)) in files.iter().enumerate() {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, name).unwrap();
            paths.push(path);
            if *class < n {
                probabilities.row_mut(row).fill(0.0);
                probabilities[[row, *class]] = 1.0;
            }
        }
        let answers = Answers { paths, probabilities, distances: None, skipped: Vec::new() };
        Predictions {
            classes: ClassSet::from_ordered(classes.iter().copied()),
            answers,
            rule: UnknownRule::Probability { below: 0.9 },
        }
    }

    fn below(dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            match path.is_dir() {
                true => found.extend(below(&path).into_iter().map(|below| format!("{name}/{below}"))),
                false => found.push(name),
            }
        }
        found.sort();
        found
    }

    #[test]
    fn files_go_to_their_labels_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let files = [("x/1.png", 0), ("y/1.png", 0), ("2.png", 1), ("3.png", 9), ("gone.png", 1)];
        let sorted = predictions(dir.path(), &["cat", "a/b"], &files);
        fs::remove_file(dir.path().join("gone.png")).unwrap();
        let outcome = sort_into(&out, &sorted, &Silent::default()).unwrap();
        assert_eq!(below(&out), ["a_b/2.png", "cat/1 (2).png", "cat/1.png", "unknown/3.png"]);
        assert_eq!(fs::read_to_string(out.join("cat/1 (2).png")).unwrap(), "y/1.png");
        let folders: Vec<_> = outcome.folders.iter().map(|f| (f.label.as_str(), f.n_copied)).collect();
        assert_eq!(folders, [("cat", 2), ("a/b", 1), ("unknown", 1)]);
        assert_eq!(outcome.n_copied, 4);
        assert_eq!(outcome.skipped.len(), 1);
        assert_eq!(outcome.skipped[0].path, dir.path().join("gone.png"));
        assert!(matches!(outcome.skipped[0].reason, SkipReason::Unreadable { .. }));
        assert!(dir.path().join("2.png").exists(), "copied, not moved");

        sort_into(&out, &sorted, &Silent::default()).unwrap();
        assert_eq!(below(&out).len(), 8, "a second time everything gets a number: {:?}", below(&out));
        assert_eq!(fs::read_to_string(out.join("cat/1.png")).unwrap(), "x/1.png");
    }

    #[test]
    fn labels_become_names_of_folders() {
        for (label, name) in [
            ("cat", "cat"),
            ("Käfer 2", "Käfer 2"),
            ("a/b\\c:d*", "a_b_c_d_"),
            ("..", "_"),
            (".hidden", "_hidden"),
            ("../../etc", "_._.._etc"),
            ("  ", "_"),
            ("end. ", "end"),
            ("con", "_con"),
            ("NUL.txt", "_NUL.txt"),
            ("com1", "_com1"),
            ("com10", "com10"),
            ("console", "console"),
            ("tab\there\n", "tab_here"),
        ] {
            let found = folder_name(label);
            assert!(!found.contains(['/', '\\']) && found != ".." && found != ".");
            if label != "../../etc" {
                assert_eq!(found, name, "{label:?}");
            }
        }
        assert_eq!(folder_name(&"ä".repeat(300)).len(), 200);
        let dir = tempfile::tempdir().unwrap();
        let same = predictions(dir.path(), &["a/b", "A:B", "a_b", "Unknown"], &[]);
        let names = folder_names(&same);
        let found: Vec<&str> = labels(&same).into_iter().map(|label| names[label].as_str()).collect();
        assert_eq!(found, ["a_b", "A_B (2)", "a_b (3)", "Unknown (2)", "unknown"]);
    }

    /// Cancels after some reports, and notes stages.
    struct CancelAt {
        token: CancelToken,
        n_left: AtomicUsize,
        stages: Mutex<Vec<Stage>>,
    }

    impl Reporter for CancelAt {
        fn progress(&self, stage: Stage, _: usize, _: usize) {
            self.stages.lock().unwrap().push(stage);
            if self.n_left.fetch_sub(1, Ordering::SeqCst) == 1 {
                self.token.cancel();
            }
        }
        fn warn(&self, message: &str) {
            panic!("{message}");
        }
        fn cancel_token(&self) -> &CancelToken {
            &self.token
        }
    }

    #[test]
    fn cancelling_and_a_folder_that_cannot_be_made_end_it() {
        let dir = tempfile::tempdir().unwrap();
        let sorted = predictions(dir.path(), &["cat", "dog"], &[("1.png", 0), ("2.png", 1)]);
        let reporter =
            CancelAt { token: CancelToken::new(), n_left: AtomicUsize::new(1), stages: Mutex::new(Vec::new()) };
        let error = sort_into(&dir.path().join("out"), &sorted, &reporter).unwrap_err();
        assert!(matches!(error, WorkflowError::Cancelled));
        assert_eq!(*reporter.stages.lock().unwrap(), [Stage::Copy]);
        assert!(!dir.path().join("out").exists());
        let error = sort_into(&dir.path().join("1.png"), &sorted, &Silent::default()).unwrap_err();
        assert!(matches!(error, WorkflowError::Write { .. }), "{error}");
    }
}
