//! Labels as people type them: one class a line, its descriptions separated by `|`.
//!
//! ```text
//! ant
//! bee | honey bee | bumblebee
//! dogs=a dog                      the folder `dogs` holds images of this class
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::TextError;

/// A longer description is no label; what a model reads ends far before.
pub const MAX_CHARS: usize = 1000;
/// Name of the class of pictures that no label fits.
pub const NONE_OF_THESE: &str = "none of these";
/// What stands for it: words that fit anything a little, so that a label must fit better than they do.
const ANYTHING: [&str; 4] = ["something else", "an object", "a thing", "a background"];

/// A class by its texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Name of the class: the first description.
    pub name: String,
    /// What is compared with pictures, at least one.
    pub descriptions: Vec<String>,
    /// Folders whose images are known to be of this class, beside those of its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// Whether it is the class of what no other label fits.
    #[serde(default)]
    pub is_contrast: bool,
}

impl Label {
    /// The class of pictures that no other label fits.
    pub fn none_of_these() -> Self {
        Self {
            name: NONE_OF_THESE.to_owned(),
            descriptions: ANYTHING.map(str::to_owned).to_vec(),
            folders: Vec::new(),
            is_contrast: true,
        }
    }

    /// A label of one description, for what is searched for.
    ///
    /// # Errors
    /// When nothing is left of it, or it is too long.
    pub fn phrase(text: &str) -> Result<Self, LabelError> {
        let name = clean(text);
        match name.chars().count() {
            0 => Err(LabelError::None),
            n_chars if n_chars > MAX_CHARS => Err(LabelError::TooLong { line: 1, n_chars }),
            _ => Ok(Self { descriptions: vec![name.clone()], name, folders: Vec::new(), is_contrast: false }),
        }
    }
}

/// Labels by the names of folders or classes that mean them.
///
/// In this order: a folder that was given with the label, the label's own name, that name case, plural, article and `_` or
/// `-` for a space aside, one of its descriptions in the same way. The first label wins within each.
#[derive(Clone, Debug, Default)]
pub struct LabelIndex {
    exact: HashMap<String, usize>,
    of_folder: HashMap<String, usize>,
    of_name: HashMap<String, usize>,
    of_description: HashMap<String, usize>,
}

impl LabelIndex {
    /// Of these labels, by their positions.
    pub fn new(labels: &[Label]) -> Self {
        let mut index = Self::default();
        for (idx, label) in labels.iter().enumerate() {
            index.exact.entry(label.name.clone()).or_insert(idx);
            for folder in &label.folders {
                for form in forms(folder) {
                    index.of_folder.entry(form).or_insert(idx);
                }
            }
            if label.is_contrast {
                continue;
            }
            for form in forms(&label.name) {
                index.of_name.entry(form).or_insert(idx);
            }
            for form in label.descriptions.iter().flat_map(|d| forms(d)) {
                index.of_description.entry(form).or_insert(idx);
            }
        }
        index
    }

    /// The label that a folder or a class of this name means.
    pub fn find(&self, name: &str) -> Option<usize> {
        if let Some(idx) = self.exact.get(name).filter(|_| !self.of_folder.contains_key(&plain(name))) {
            return Some(*idx);
        }
        let forms = forms(name);
        let tiers = [&self.of_folder, &self.of_name, &self.of_description];
        tiers.into_iter().find_map(|tier| forms.iter().find_map(|form| tier.get(form)).copied())
    }
}

/// A name in lower case, with spaces for `_` and `-`, without a leading article.
fn plain(name: &str) -> String {
    let lower = name.to_lowercase().replace(['_', '-'], " ");
    let mut words: Vec<&str> = lower.split_whitespace().collect();
    if words.len() > 1 && ["a", "an", "the"].contains(&words[0]) {
        words.remove(0);
    }
    words.join(" ")
}

/// What a name may be in the singular, itself first: names mean the same where they share one of these.
fn forms(name: &str) -> Vec<String> {
    let name = plain(name);
    let mut forms = vec![name.clone()];
    let endings = [("ies", "y"), ("ies", "ie"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", "")];
    for (ending, singular) in endings {
        if let Some(stem) = name.strip_suffix(ending).filter(|stem| stem.chars().count() > 1 && !name.ends_with("ss")) {
            forms.push(format!("{stem}{singular}"));
        }
    }
    forms
}

/// What is wrong with what was typed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// There is no label.
    #[error("there are no labels: give one class a line")]
    None,
    /// A line or a description in it is empty.
    #[error("line {line} has an empty description: put words on both sides of each “|”")]
    Empty {
        /// The line, from 1.
        line: usize,
    },
    /// Two lines name the same class.
    #[error("“{name}” is on line {first} and on line {line}: each class needs a name of its own")]
    Duplicate {
        /// The name.
        name: String,
        /// The first line, from 1.
        first: usize,
        /// The other line.
        line: usize,
    },
    /// A description is too long.
    #[error("line {line} has a description of {n_chars} characters: {MAX_CHARS} are the most, and models read fewer")]
    TooLong {
        /// The line, from 1.
        line: usize,
        /// Its length.
        n_chars: usize,
    },
    /// A template has no place for the label.
    #[error("the template “{template}” has no {{}} where the label goes")]
    Template {
        /// The template.
        template: String,
    },
}

/// Reads labels, one a line; empty lines are passed over.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn parse(text: &str) -> Result<Vec<Label>, LabelError> {
    let mut labels: Vec<Label> = Vec::new();
    let mut line_of: BTreeMap<String, usize> = BTreeMap::new();
    for (idx, line) in text.lines().enumerate() {
        let number = idx + 1;
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() {
            continue;
        }
        let (folders, texts) = match line.split_once('=') {
            Some((folder, rest)) if !folder.contains('|') => (vec![folder.trim().to_owned()], rest),
            _ => (Vec::new(), line),
        };
        let descriptions: Vec<String> = texts.split('|').map(clean).collect();
        if descriptions.iter().any(String::is_empty) || folders.iter().any(String::is_empty) {
            return Err(LabelError::Empty { line: number });
        }
        if let Some(n_chars) = descriptions.iter().map(|d| d.chars().count()).find(|n| *n > MAX_CHARS) {
            return Err(LabelError::TooLong { line: number, n_chars });
        }
        let name = descriptions[0].clone();
        // Several folders may hold images of one class.
        let same = labels.iter_mut().find(|l| l.name == name && l.descriptions == descriptions);
        if let Some(same) = same.filter(|l| !l.folders.is_empty() && !folders.is_empty()) {
            same.folders.extend(folders);
            continue;
        }
        if let Some(&first) = line_of.get(&name.to_lowercase()) {
            return Err(LabelError::Duplicate { name, first, line: number });
        }
        line_of.insert(name.to_lowercase(), number);
        let is_contrast = name.to_lowercase() == NONE_OF_THESE;
        let label = match is_contrast && descriptions.len() == 1 {
            true => Label::none_of_these(),
            false => Label { name, descriptions, folders, is_contrast },
        };
        labels.push(label);
    }
    if labels.is_empty() { Err(LabelError::None) } else { Ok(labels) }
}

/// Reads labels separated by commas or lines, as on a command line.
///
/// # Errors
/// As [`parse`], where a label's number stands for its line.
pub fn parse_list(text: &str) -> Result<Vec<Label>, LabelError> {
    let items: Vec<&str> = text.split([',', '\n']).map(str::trim).collect();
    match items.iter().position(|item| item.is_empty()) {
        Some(_) if items.len() == 1 => Err(LabelError::None),
        Some(idx) => Err(LabelError::Empty { line: idx + 1 }),
        None => parse(&items.join("\n")),
    }
}

/// Reads a file of labels.
///
/// # Errors
/// When it cannot be read, is not in UTF-8, or a line is wrong.
pub fn read(path: &Path) -> Result<Vec<Label>, TextError> {
    Ok(parse(&read_text(path)?)?)
}

/// Reads a text file.
///
/// # Errors
/// When it cannot be read or is not in UTF-8.
pub fn read_text(path: &Path) -> Result<String, TextError> {
    let bytes = fs::read(path).map_err(|source| TextError::Read { path: path.to_owned(), source })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(valid).filter(|b| **b == b'\n').count();
        TextError::NotUtf8 { path: path.to_owned(), line }
    })?;
    // Some editors begin a file with a mark that is no text.
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

/// One space between words, no control characters.
fn clean(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_class_with_its_descriptions() {
        let labels = parse("\u{feff}ant\n\n  bee | honey  bee|bumblebee \ndogs=a dog\nNone of these").unwrap();
        let names: Vec<&str> = labels.iter().map(|l| l.name.as_str()).collect();
        assert_eq!(names, ["ant", "bee", "a dog", "none of these"]);
        assert_eq!(labels[1].descriptions, ["bee", "honey bee", "bumblebee"]);
        assert_eq!(labels[2].folders, ["dogs"]);
        assert!(labels[3].is_contrast && labels[3].descriptions.len() > 1);
        assert_eq!(parse_list("ant, bee").unwrap().len(), 2);
        assert_eq!(parse("x | y = z").unwrap()[0].descriptions, ["x", "y = z"]);
    }

    #[test]
    fn what_is_wrong_names_its_line() {
        assert_eq!(parse(" \n\n"), Err(LabelError::None));
        assert_eq!(parse_list(""), Err(LabelError::None));
        assert_eq!(parse("ant\nbee |"), Err(LabelError::Empty { line: 2 }));
        assert_eq!(parse("=x"), Err(LabelError::Empty { line: 1 }));
        assert_eq!(parse_list("ant,,bee"), Err(LabelError::Empty { line: 2 }));
        let twice = LabelError::Duplicate { name: "Ant".into(), first: 1, line: 3 };
        assert_eq!(parse("ant\nbee\nAnt"), Err(twice));
        assert_eq!(parse(&"x".repeat(2000)), Err(LabelError::TooLong { line: 1, n_chars: 2000 }));
    }

    #[test]
    fn folders_are_matched_by_what_they_mean() {
        let find = |labels: &str, folder: &str| LabelIndex::new(&parse(labels).unwrap()).find(folder);
        for (label, folder) in [
            ("ant", "ants"),
            ("ant", "Ant"),
            ("a dog", "dogs"),
            ("golden retriever", "golden_retriever"),
            ("butterfly", "Butterflies"),
            ("movie", "movies"),
            ("fox", "foxes"),
            ("bus", "buses"),
            ("wolf", "wolves"),
            ("glass", "glass"),
            ("daisy", "daisy"),
            ("n01=tench", "n01"),
            ("bee | honey bee", "honey-bees"),
            ("none of these", "none of these"),
        ] {
            assert_eq!(find(label, folder), Some(0), "{label} {folder}");
        }
        assert_eq!(find("ant", "bees"), None);
        assert_eq!(find("as", "a"), None);
        // What a label is called comes before what another one is described by.
        assert_eq!(find("cat | kitty\nkitty", "kitty"), Some(1));
        assert_eq!((find("dog\ndogs", "dogs"), find("dog\ndogs", "dog")), (Some(1), Some(0)));
        assert_eq!(find("bee\nants=bee hive", "ants"), Some(1));
        let shared = parse("tabby=cat\nsiamese=cat\ndog").unwrap();
        assert_eq!((shared.len(), shared[0].folders.len()), (2, 2));
        assert_eq!(Label::phrase(" E=mc2 | x ").unwrap().name, "E=mc2 | x");
        assert_eq!(Label::phrase("  "), Err(LabelError::None));
    }

    #[test]
    fn another_encoding_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.txt");
        fs::write(&path, b"ant\ncaf\xe9\n").unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, TextError::NotUtf8 { line: 2, .. }), "{error}");
        let error = read(&dir.path().join("none.txt")).unwrap_err();
        assert!(matches!(error, TextError::Read { .. }));
    }
}
