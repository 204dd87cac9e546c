//! Names and values in words.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::backbone::Backbone;
use crate::export::report::Model;
use crate::workflow::train::JudgedHead;

/// What files are called in a report: not by where they lie on this machine, unless that is wanted.
pub(super) struct Names {
    /// Longest first, so that a folder in a folder is found before it.
    folders: Vec<PathBuf>,
    shows_paths: bool,
}

impl Names {
    pub(super) fn new(folders: &[PathBuf], shows_paths: bool) -> Self {
        let mut folders = folders.to_vec();
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.as_os_str().len()));
        Self { folders, shows_paths }
    }

    /// The name of a file, from its folder; alone where it is in none of them.
    pub(super) fn of(&self, path: &Path) -> String {
        if self.shows_paths {
            return path.display().to_string();
        }
        let rest = self.folders.iter().find_map(|folder| path.strip_prefix(folder).ok());
        let rest = rest.filter(|rest| !rest.as_os_str().is_empty());
        match rest {
            Some(rest) => rest.display().to_string(),
            None => path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        }
    }

    /// A text with what it says of these folders left out.
    pub(super) fn without_folders(&self, text: &str) -> String {
        if self.shows_paths {
            return text.to_owned();
        }
        let mut text = text.to_owned();
        for folder in self.folders.iter().filter(|folder| folder.components().count() > 1) {
            let folder = folder.display().to_string();
            for end in ['/', std::path::MAIN_SEPARATOR] {
                text = text.replace(&format!("{folder}{end}"), "");
            }
            let name = Path::new(&folder).file_name().map(|name| name.to_string_lossy().into_owned());
            text = text.replace(&folder, &name.unwrap_or_default());
        }
        text
    }
}

/// What is known of a backbone.
pub(super) fn model(backbone: &Backbone, names: &Names) -> Model {
    let manifest = &backbone.manifest;
    let mut facts = vec![
        ("Name", manifest.name.clone()),
        ("Architecture", format!("{} ({})", manifest.architecture.value.label(), manifest.architecture.origin)),
        ("Features", format!("{} numbers an image, from {}", backbone.space.dim, backbone.space.layer)),
        ("Parameters", format!("{:.1} million", manifest.n_params as f64 / 1e6)),
        ("Licence", manifest.licence.clone().unwrap_or_else(|| "not stated by its files".to_owned())),
    ];
    facts.extend(manifest.source.as_ref().map(|source| ("Source", source.replace('\n', "; "))));
    facts.extend(manifest.notes.iter().map(|note| ("Note", names.without_folders(note))));
    let spec = match serde_json::to_value(backbone.preprocess()) {
        Ok(Value::Object(fields)) => fields.into_iter().collect(),
        _ => Vec::new(),
    };
    let preprocess = spec
        .into_iter()
        .map(|(field, value)| {
            let origin = manifest.preprocess.origins.iter().find(|(name, _)| *name == field);
            let origin = origin.map(|(_, origin)| origin.to_string()).unwrap_or_default();
            (field.replace('_', " "), value_text(&value), names.without_folders(&origin))
        })
        .collect();
    Model {
        name: manifest.name.clone(),
        facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        preprocess,
    }
}

/// A value of a specification as people write it.
fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.replace('_', " "),
        // f32 values print their f64 digits otherwise.
        Value::Number(n) => n.as_f64().map_or_else(|| n.to_string(), |v| (v as f32).to_string()),
        Value::Array(items) => items.iter().map(value_text).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            let part = |(key, value): (&String, &Value)| match key.as_str() {
                "mode" => value_text(value),
                key => format!("{} {}", key.replace("_px", "").replace('_', " "), value_text(value)),
            };
            map.iter().map(part).collect::<Vec<_>>().join(", ")
        }
        Value::Bool(b) => b.to_string(),
    }
}

/// What the figures depend on beside the images.
pub(super) fn versions(backbone: &Backbone, head: Option<&JudgedHead>, seed: u64) -> Vec<(String, String)> {
    let mut facts = vec![
        ("Graft", env!("CARGO_PKG_VERSION").to_owned()),
        ("Model file (BLAKE3)", backbone.manifest.id.clone()),
        ("Preprocessing (digest)", backbone.space.preprocess.clone()),
        ("Layer", backbone.space.layer.clone()),
        ("Seed", seed.to_string()),
    ];
    facts.extend(head.and_then(|h| h.trained.record.c).map(|c| ("C of the linear head", c.to_string())));
    facts.extend(head.map(|h| ("Temperature", h.trained.record.temperature.to_string())));
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_from_their_folder() {
        let folders = [PathBuf::from("/home/ada/pets"), PathBuf::from("/home/ada/pets/more")];
        let names = Names::new(&folders, false);
        assert_eq!(names.of(Path::new("/home/ada/pets/cat/1.jpg")), "cat/1.jpg");
        assert_eq!(names.of(Path::new("/home/ada/pets/more/dog/2.jpg")), "dog/2.jpg");
        assert_eq!(names.of(Path::new("/mnt/secret/3.jpg")), "3.jpg", "and never from the root");
        let text = "it has the same bytes as /home/ada/pets/cat/1.jpg in /home/ada/pets";
        assert_eq!(names.without_folders(text), "it has the same bytes as cat/1.jpg in pets");
        let all = Names::new(&folders, true);
        assert_eq!(all.of(Path::new("/mnt/secret/3.jpg")), "/mnt/secret/3.jpg");
        assert_eq!(all.without_folders(text), text);
    }
}
