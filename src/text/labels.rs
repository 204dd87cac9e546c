//! Labels as people type them: one class a line, its descriptions separated by `|`.
//!
//! ```text
//! ant
//! bee | honey bee | bumblebee
//! dogs=a dog                      the folder `dogs` holds images of this class
//! ```

use std::collections::BTreeMap;
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

    /// Whether images in a folder of this name are known to be of this class: its own name or a description, case, plural
    /// and `_` or `-` for a space aside, or a folder that was given.
    pub fn is_folder(&self, folder: &str) -> bool {
        let folder = comparable(folder);
        let texts = self.descriptions.iter().chain(&self.folders).chain([&self.name]);
        !self.is_contrast && texts.into_iter().any(|text| comparable(text) == folder)
    }
}

/// A name without what people write in different ways: case, `_` and `-`, a leading article, the plural's ending.
fn comparable(name: &str) -> String {
    let lower = name.to_lowercase().replace(['_', '-'], " ");
    let mut words: Vec<&str> = lower.split_whitespace().collect();
    if words.len() > 1 && ["a", "an", "the"].contains(&words[0]) {
        words.remove(0);
    }
    let mut text = words.join(" ");
    for (ending, singular) in [("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x")] {
        if let Some(stem) = text.strip_suffix(ending).filter(|stem| stem.chars().count() > 1) {
            return format!("{stem}{singular}");
        }
    }
    if text.ends_with('s') && !text.ends_with("ss") && text.chars().count() > 2 {
        text.pop();
    }
    text
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
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(valid).filter(|b| **b == b'\n').count();
        TextError::NotUtf8 { path: path.to_owned(), line }
    })
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
        let is = |label: &str, folder: &str| parse(label).unwrap()[0].is_folder(folder);
        for (label, folder) in [
            ("ant", "ants"),
            ("ant", "Ant"),
            ("a dog", "dogs"),
            ("golden retriever", "golden_retriever"),
            ("butterfly", "Butterflies"),
            ("fox", "foxes"),
            ("glass", "glass"),
            ("daisy", "daisy"),
            ("n01=tench", "n01"),
            ("bee | honey bee", "honey-bees"),
        ] {
            assert!(is(label, folder), "{label} {folder}");
        }
        assert!(!is("ant", "bees") && !is("as", "a") && !is("none of these", "none of these"));
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
