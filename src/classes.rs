//! Class names and their stable indices.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Index of a class in its [`ClassSet`]; row of a head's weight matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassIdx(pub u32);

impl ClassIdx {
    /// As an index into a slice of `n_classes` elements.
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl From<usize> for ClassIdx {
    /// A class index from a position; class counts never come near `u32::MAX`, so larger values saturate.
    fn from(idx: usize) -> Self {
        Self(u32::try_from(idx).unwrap_or(u32::MAX))
    }
}

/// The classes of a project, in their stable order: the order of every logit, probability and exported label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct ClassSet {
    names: Vec<String>,
    idx_of_name: HashMap<String, ClassIdx>,
}

impl ClassSet {
    /// Keeps the given order; a name that comes again keeps its first index.
    pub fn from_ordered<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        let mut set = Self::default();
        for name in names {
            set.insert(name);
        }
        set
    }

    /// Sorts the names as strings (byte order, as torchvision's `ImageFolder` does) and drops repetitions.
    pub fn sorted<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort();
        Self::from_ordered(names)
    }

    /// The index of `name`, which is appended when it is new.
    pub fn insert(&mut self, name: impl Into<String>) -> ClassIdx {
        let name = name.into();
        if let Some(&idx) = self.idx_of_name.get(&name) {
            return idx;
        }
        let idx = ClassIdx::from(self.names.len());
        self.idx_of_name.insert(name.clone(), idx);
        self.names.push(name);
        idx
    }

    /// The index of `name`, if it is a class.
    pub fn idx(&self, name: &str) -> Option<ClassIdx> {
        self.idx_of_name.get(name).copied()
    }

    /// The name of `idx`, if it is a class.
    pub fn name(&self, idx: ClassIdx) -> Option<&str> {
        self.names.get(idx.as_usize()).map(String::as_str)
    }

    /// All names, in class order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no class.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Every class index, in order.
    pub fn indices(&self) -> impl Iterator<Item = ClassIdx> + use<> {
        (0..self.names.len()).map(ClassIdx::from)
    }
}

impl From<Vec<String>> for ClassSet {
    fn from(names: Vec<String>) -> Self {
        Self::from_ordered(names)
    }
}

impl From<ClassSet> for Vec<String> {
    fn from(classes: ClassSet) -> Self {
        classes.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_as_bytes_and_keeps_first_of_a_repetition() {
        let set = ClassSet::sorted(["b", "a", "B", "a", "10", "9"]);
        assert_eq!(set.names(), ["10", "9", "B", "a", "b"]);
        assert_eq!(set.idx("a"), Some(ClassIdx(3)));
        assert_eq!(set.idx("c"), None);
    }

    #[test]
    fn serialises_as_the_list_of_names() {
        let set = ClassSet::from_ordered(["x", "y"]);
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, r#"["x","y"]"#);
        assert_eq!(serde_json::from_str::<ClassSet>(&json).unwrap(), set);
    }
}
