//! Labels as people type them: one class a line, its descriptions separated by `|`.
//!
//! ```text
//! ant
//! bee | honey bee | bumblebee
//! dogs=a dog                      the folder `dogs` holds images of this class
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::TextError;

/// A longer description is no label; what a model reads ends far before.
pub const MAX_CHARS: usize = 1000;
/// More labels are no list that somebody means; the largest benchmarks have 22 000 classes.
pub const MAX_LABELS: usize = 50_000;
/// A larger file is no list of labels or templates, in bytes.
const MAX_BYTES: u64 = 16 << 20;
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
/// In this order: a folder that was given with the label; the label's own name; that name but for case, article and `_` or
/// `-` for a space; but for the plural; one of its descriptions in the same way; a given folder but for the plural. The
/// first label wins within each.
#[derive(Clone, Debug, Default)]
pub struct LabelIndex {
    exact: HashMap<String, usize>,
    folders: Tier,
    names: Tier,
    descriptions: Tier,
}

/// Names by how they are written, and those in the plural by their singular.
#[derive(Clone, Debug, Default)]
struct Tier {
    plain: HashMap<String, usize>,
    singular: HashMap<String, usize>,
}

impl Tier {
    fn add(&mut self, name: &str, idx: usize) {
        let name = plain(name);
        for singular in singulars(&name) {
            self.singular.entry(singular).or_insert(idx);
        }
        self.plain.entry(name).or_insert(idx);
    }

    /// Names that differ in the plural from `name`, which is plain.
    fn find_plural(&self, name: &str) -> Option<usize> {
        let of_singular = singulars(name).iter().find_map(|singular| self.plain.get(singular).copied());
        of_singular.or_else(|| self.singular.get(name).copied())
    }
}

impl LabelIndex {
    /// Of these labels, by their positions.
    pub fn new(labels: &[Label]) -> Self {
        let mut index = Self::default();
        for (idx, label) in labels.iter().enumerate() {
            index.exact.entry(label.name.clone()).or_insert(idx);
            label.folders.iter().for_each(|folder| index.folders.add(folder, idx));
            if !label.is_contrast {
                index.names.add(&label.name, idx);
                label.descriptions.iter().for_each(|text| index.descriptions.add(text, idx));
            }
        }
        index
    }

    /// The label that a folder or a class of this name means.
    pub fn find(&self, name: &str) -> Option<usize> {
        let plain = plain(name);
        let folder = self.folders.plain.get(&plain).or_else(|| self.exact.get(name));
        let written = folder.or_else(|| self.names.plain.get(&plain)).copied();
        written
            .or_else(|| self.names.find_plural(&plain))
            .or_else(|| self.descriptions.plain.get(&plain).copied())
            .or_else(|| self.descriptions.find_plural(&plain))
            .or_else(|| self.folders.find_plural(&plain))
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

/// What a plain name may be in the singular, the likeliest first.
fn singulars(name: &str) -> Vec<String> {
    const ENDINGS: [(&str, &str); 5] = [("s", ""), ("es", ""), ("ies", "y"), ("ves", "f"), ("ves", "fe")];
    // Only these take an "e" before the "s": a cap and a cape are two things.
    const WITH_E: [&str; 6] = ["s", "x", "z", "ch", "sh", "o"];
    if name.ends_with("ss") {
        return Vec::new();
    }
    let singular = |(ending, singular): &(&str, &str)| {
        let stem = name.strip_suffix(ending).filter(|stem| stem.chars().count() > 1)?;
        (*ending != "es" || WITH_E.iter().any(|end| stem.ends_with(end))).then(|| format!("{stem}{singular}"))
    };
    ENDINGS.iter().filter_map(singular).collect()
}

/// What is wrong with what was typed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// There is no label.
    #[error("there are no labels: give one class a line")]
    None,
    /// There are too many.
    #[error("there are more than {MAX_LABELS} labels")]
    TooMany,
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
    let mut line_of: BTreeMap<String, (usize, usize)> = BTreeMap::new();
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
        let is_contrast = name.to_lowercase() == NONE_OF_THESE;
        let label = match is_contrast && descriptions.len() == 1 {
            true => Label { folders, ..Label::none_of_these() },
            false => Label { name, descriptions, folders, is_contrast },
        };
        let key = label.name.to_lowercase();
        let Some(&(first, idx)) = line_of.get(&key) else {
            if labels.len() == MAX_LABELS {
                return Err(LabelError::TooMany);
            }
            line_of.insert(key, (number, labels.len()));
            labels.push(label);
            continue;
        };
        // Several folders may hold images of one class.
        let same: &mut Label = &mut labels[idx];
        let is_same = same.name == label.name && same.descriptions == label.descriptions;
        if !is_same || same.folders.is_empty() || label.folders.is_empty() {
            return Err(LabelError::Duplicate { name: label.name, first, line: number });
        }
        same.folders.extend(label.folders);
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
/// When it cannot be read, is far too large or is not in UTF-8.
pub fn read_text(path: &Path) -> Result<String, TextError> {
    let failed = |source| TextError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(TextError::TooLarge { path: path.to_owned() });
    }
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
            ("ants", "ant"),
            ("potato", "potatoes"),
            ("knife", "knives"),
            ("glasses=eyewear\nglass", "glasses"),
            ("background=none of these\nant", "background"),
            ("none of these", "none of these"),
        ] {
            assert_eq!(find(label, folder), Some(0), "{label} {folder}");
        }
        assert_eq!(find("ant", "bees"), None);
        assert_eq!(find("as", "a"), None);
        assert_eq!(find("cap", "capes"), None);
        // An "s" that could belong to either is an "s".
        for (labels, folder) in [
            ("cap\ncape", "capes"),
            ("pin\npine", "pines"),
            ("cub\ncube", "cubes"),
            ("can\ncane", "Canes"),
            ("cafe\ncave", "caves"),
            ("pines\npin", "pins"),
            ("glasses=eyewear\nglass", "glass"),
        ] {
            assert_eq!(find(labels, folder), Some(1), "{labels} {folder}");
        }
        // What a label is called comes before what another one is described by.
        assert_eq!(find("cat | kitty\nkitty", "kitty"), Some(1));
        assert_eq!((find("dog\ndogs", "dogs"), find("dog\ndogs", "dog")), (Some(1), Some(0)));
        assert_eq!(find("bee\nants=bee hive", "ants"), Some(1));
        let shared = parse("tabby=cat\nsiamese=cat\ndog").unwrap();
        assert_eq!((shared.len(), shared[0].folders.len()), (2, 2));
        let rest = parse("sky=none of these\nsoil=none of these\nant").unwrap();
        assert!(rest.len() == 2 && rest[0].is_contrast && rest[0].folders == ["sky", "soil"]);
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
        fs::write(&path, vec![b'a'; MAX_BYTES as usize + 1]).unwrap();
        assert!(matches!(read(&path).unwrap_err(), TextError::TooLarge { .. }));
        let many: String = (0..=MAX_LABELS).map(|i| format!("{i}\n")).collect();
        assert_eq!(parse(&many), Err(LabelError::TooMany));
    }
}
