//! What the program remembers between runs: a JSON file in the user's data folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::dirs;
use super::file::write_atomic;
use super::project::EXTENSION;

/// Recent projects that are remembered, at most.
pub const MAX_RECENT: usize = 12;
/// Scales of the interface that make sense.
pub const UI_SCALES: std::ops::RangeInclusive<f32> = 0.5..=4.0;
/// Sizes of a gallery's tile that make sense, in points.
pub const TILE_SIZES_PX: std::ops::RangeInclusive<u32> = 48..=512;

/// What is remembered whatever project is open. A value that cannot be understood becomes its default and leaves the
/// others alone, so that an older program can read a newer one's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppSettings {
    /// Light or dark.
    #[serde(deserialize_with = "or_default")]
    pub theme: ThemeChoice,
    /// What runs the models, as the runtime calls it; the best that works without.
    #[serde(deserialize_with = "or_default")]
    pub provider: Option<String>,
    /// Which card it runs on, counted from 0, where there are several.
    #[serde(deserialize_with = "or_default")]
    pub device: u32,
    /// The ONNX Runtime library that the user chose.
    #[serde(with = "optional_path")]
    pub ort_library: Option<PathBuf>,
    /// Projects, the last opened first.
    #[serde(deserialize_with = "those_that_parse")]
    pub recent: Vec<RecentProject>,
    /// Where the window was.
    #[serde(deserialize_with = "or_default")]
    pub window: Option<WindowPlace>,
    /// Scale of the interface, beside the system's own; within [`UI_SCALES`].
    #[serde(deserialize_with = "or_default")]
    pub ui_scale: f32,
    /// The place that was shown last, by its name.
    #[serde(deserialize_with = "or_default")]
    pub place: Option<String>,
    /// Size of a tile of the gallery in points; within [`TILE_SIZES_PX`].
    #[serde(deserialize_with = "or_default")]
    pub tile_px: u32,
    /// How the last export was made.
    #[serde(deserialize_with = "or_default")]
    pub export: ExportSettings,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::System,
            provider: None,
            device: 0,
            ort_library: None,
            recent: Vec::new(),
            window: None,
            ui_scale: 1.0,
            place: None,
            tile_px: 144,
            export: ExportSettings::default(),
        }
    }
}

/// Which theme the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThemeChoice {
    /// As the system has it.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

/// A project that was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentProject {
    /// Its file.
    #[serde(with = "path")]
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// When it was opened last, in seconds since 1970.
    pub opened_at_secs: u64,
    /// How many images it had.
    pub n_images: usize,
}

/// Where a window is, in points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowPlace {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width of its inside.
    pub width: f32,
    /// Height of its inside.
    pub height: f32,
    /// Whether it fills the screen; the rest is then where it was before.
    pub is_maximised: bool,
}

/// How an export is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportSettings {
    /// Where to.
    #[serde(with = "optional_path")]
    pub dir: Option<PathBuf>,
    /// Names of the files that are not wanted.
    pub left_out: Vec<String>,
}

/// Why settings were not read or written.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There is no place for them.
    #[error("settings are not kept: the system names no folder for them; set GRAFT_DATA_DIR to one")]
    NoFolder,
    /// The file cannot be read.
    #[error("the settings in {} cannot be read, so the defaults are used: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no JSON of ours.
    #[error("the settings in {} are damaged, so the defaults are used; the old file is kept as {}: {source}", .path.display(), .kept_as.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its new name.
        kept_as: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file cannot be written.
    #[error("the settings cannot be saved to {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl AppSettings {
    /// Where they are kept: `settings.json` in the data folder.
    ///
    /// # Errors
    /// When the system names no folder.
    pub fn default_path() -> Result<PathBuf, SettingsError> {
        Ok(dirs::data_dir().ok_or(SettingsError::NoFolder)?.join("settings.json"))
    }

    /// Reads them. There are always some; an error says why they are only the defaults. A damaged file is set aside.
    pub fn load(path: &Path) -> (Self, Option<SettingsError>) {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Self::default(), None),
            Err(source) => return (Self::default(), Some(SettingsError::Read { path: path.to_owned(), source })),
        };
        match serde_json::from_slice::<Self>(&text) {
            Ok(settings) => (settings.within_limits(), None),
            Err(source) => {
                let kept_as = path.with_extension("json.damaged");
                if let Err(source) = fs::rename(path, &kept_as) {
                    return (Self::default(), Some(SettingsError::Read { path: path.to_owned(), source }));
                }
                (Self::default(), Some(SettingsError::Damaged { path: path.to_owned(), kept_as, source }))
            }
        }
    }

    /// Writes them, whole or not at all, and makes the folder.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn save(&self, path: &Path) -> Result<(), SettingsError> {
        let at = |source| SettingsError::Write { path: path.to_owned(), source };
        let mut json = serde_json::to_vec_pretty(&self.clone().within_limits()).map_err(|e| at(e.into()))?;
        json.push(b'\n');
        path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| write_atomic(path, &json)).map_err(at)
    }

    fn within_limits(mut self) -> Self {
        let default = Self::default();
        if !UI_SCALES.contains(&self.ui_scale) {
            self.ui_scale = default.ui_scale;
        }
        if !TILE_SIZES_PX.contains(&self.tile_px) {
            self.tile_px = default.tile_px;
        }
        self.window = self.window.filter(|w| {
            [w.x, w.y].iter().all(|v| v.is_finite()) && [w.width, w.height].iter().all(|v| v.is_finite() && *v > 0.0)
        });
        self.recent.truncate(MAX_RECENT);
        self
    }

    /// Puts a project at the head of the recent ones.
    pub fn note_opened(&mut self, project: RecentProject) {
        self.forget(&project.path);
        self.recent.insert(0, project);
        self.recent.truncate(MAX_RECENT);
    }

    /// Takes a project off the recent ones.
    pub fn forget(&mut self, path: &Path) {
        self.recent.retain(|recent| recent.path != path);
    }

    /// The recent projects, each with whether its file is missing (a drive that is not there, say).
    pub fn list_recent(&self) -> Vec<(&RecentProject, bool)> {
        self.recent.iter().map(|recent| (recent, !recent.path.is_file())).collect()
    }
}

/// Where projects are made that the user has not given a place.
pub fn projects_dir() -> Option<PathBuf> {
    Some(dirs::data_dir()?.join("projects"))
}

/// A path for a new project of this name in [`projects_dir`] that nothing has yet: `flowers.graft`, `flowers 2.graft`.
pub fn fresh_project_path(name: &str) -> Option<PathBuf> {
    fresh_path_in(&projects_dir()?, name)
}

/// As [`fresh_project_path`], in any folder. `None` when there are thousands of that name.
pub fn fresh_path_in(dir: &Path, name: &str) -> Option<PathBuf> {
    let stem = file_stem(name);
    let names = std::iter::once(stem.clone()).chain((2..10_000).map(|n| format!("{stem} {n}")));
    names
        .map(|name| dir.join(format!("{name}.{EXTENSION}")))
        // A link that leads nowhere has the name too.
        .find(|path| fs::symlink_metadata(path).is_err())
}

/// A name that every system takes as that of a file.
fn file_stem(name: &str) -> String {
    const MAX_BYTES: usize = 80;
    let ok = |c: char| !(c.is_control() || "/\\:*?\"<>|".contains(c));
    let mut stem: String = name.chars().map(|c| if ok(c) { c } else { '-' }).collect();
    while stem.len() > MAX_BYTES {
        stem.pop();
    }
    // Leading dots hide files; Windows drops dots and spaces at the end.
    let stem = stem.trim().trim_start_matches('.').trim_end_matches(['.', ' ']).trim();
    let is_device = |stem: &str| {
        let base = stem.split('.').next().unwrap_or(stem).trim_end().to_ascii_lowercase();
        let numbered = base.strip_prefix("com").or(base.strip_prefix("lpt"));
        ["con", "prn", "aux", "nul"].contains(&&*base)
            || numbered.is_some_and(|n| n.len() == 1 && n.chars().all(|c| c.is_ascii_digit()))
    };
    match stem {
        "" => "Project".to_owned(),
        stem if is_device(stem) => format!("{stem}-"),
        stem => stem.to_owned(),
    }
}

fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(d: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(serde_json::Value::deserialize(d)?).unwrap_or_default())
}

fn those_that_parse<'de, D: Deserializer<'de>, T: DeserializeOwned>(d: D) -> Result<Vec<T>, D::Error> {
    let values: Vec<serde_json::Value> = or_default(d)?;
    Ok(values.into_iter().filter_map(|value| serde_json::from_value(value).ok()).collect())
}

/// A path as JSON: text, or the system's bytes where it is not Unicode (Unix).
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PathJson {
    Text(String),
    Bytes(Vec<u8>),
}

impl PathJson {
    fn new(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None if cfg!(unix) => Self::Bytes(path.as_os_str().as_encoded_bytes().to_vec()),
            None => Self::Text(path.to_string_lossy().into_owned()),
        }
    }

    fn into_path(self) -> PathBuf {
        match self {
            Self::Text(text) => text.into(),
            #[cfg(unix)]
            Self::Bytes(bytes) => {
                use std::os::unix::ffi::OsStringExt;
                std::ffi::OsString::from_vec(bytes).into()
            }
            #[cfg(not(unix))]
            Self::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        }
    }
}

mod path {
    use super::*;

    pub(super) fn serialize<S: Serializer>(path: &Path, s: S) -> Result<S::Ok, S::Error> {
        PathJson::new(path).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<PathBuf, D::Error> {
        PathJson::deserialize(d).map(PathJson::into_path)
    }
}

mod optional_path {
    use super::*;

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(path: &Option<PathBuf>, s: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(PathJson::new).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<PathBuf>, D::Error> {
        Ok(or_default::<D, Option<PathJson>>(d)?.map(PathJson::into_path))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn recent(path: impl Into<PathBuf>, opened_at_secs: u64) -> RecentProject {
        RecentProject { path: path.into(), name: "flowers".into(), opened_at_secs, n_images: 7 }
    }

    #[test]
    fn what_is_saved_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/settings.json");
        assert_eq!(AppSettings::load(&path).0, AppSettings::default());
        let mut settings = AppSettings {
            theme: ThemeChoice::Dark,
            provider: Some("cuda".into()),
            device: 1,
            ort_library: Some("/lib/libonnxruntime.so".into()),
            window: Some(WindowPlace { x: -3.5, y: 0.0, width: 1200.0, height: 800.0, is_maximised: true }),
            ui_scale: 1.25,
            place: Some("train".into()),
            tile_px: 96,
            export: ExportSettings { dir: Some("/out".into()), left_out: vec!["head.onnx".into()] },
            ..AppSettings::default()
        };
        settings.note_opened(recent("/a.graft", 5));
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt;
            settings.note_opened(recent(std::ffi::OsString::from_vec(b"/\xff.graft".to_vec()), 6));
        }
        settings.save(&path).unwrap();
        let (back, problem) = AppSettings::load(&path);
        assert!(problem.is_none());
        assert_eq!(back, settings);
    }

    #[test]
    fn one_strange_value_leaves_the_others_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.json");
        let text = r#"{"theme": "sepia", "from_the_future": [1], "ui_scale": 1e9, "tile_px": "big", "place": "train",
            "ort_library": {"x": 1}, "window": {"x": 1}, "recent": [{"path": 3}, {"path": "/a.graft", "name": "a",
            "opened_at_secs": 1, "n_images": 2}]}"#;
        fs::write(&path, text).unwrap();
        let (settings, problem) = AppSettings::load(&path);
        assert!(problem.is_none());
        let expected = AppSettings { place: Some("train".into()), ..AppSettings::default() };
        assert_eq!(AppSettings { recent: Vec::new(), ..settings.clone() }, expected);
        assert_eq!(settings.recent[0].path, Path::new("/a.graft"));
        assert_eq!(settings.recent.len(), 1);

        let window = Some(WindowPlace { x: f32::NAN, y: 0.0, width: 1.0, height: 1.0, is_maximised: false });
        let settings = AppSettings { ui_scale: f32::INFINITY, window, ..AppSettings::default() };
        settings.save(&path).unwrap();
        assert_eq!(AppSettings::load(&path).0, AppSettings::default());
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.json");
        for text in ["{\"theme\": \"dark\"", "7", "\0\0"] {
            fs::write(&path, text).unwrap();
            let (settings, problem) = AppSettings::load(&path);
            assert_eq!(settings, AppSettings::default());
            let Some(SettingsError::Damaged { kept_as, .. }) = problem else { panic!("{problem:?}") };
            assert_eq!(fs::read_to_string(kept_as).unwrap(), text);
            assert!(!path.exists());
        }
    }

    #[test]
    fn recent_projects_are_few_and_the_last_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("there.graft");
        fs::write(&there, b"").unwrap();
        let mut settings = AppSettings::default();
        for i in 0..20 {
            settings.note_opened(recent(format!("/none/{i}.graft"), i));
        }
        settings.note_opened(recent("/none/15.graft", 20));
        settings.note_opened(recent(&there, 21));
        let listed = settings.list_recent();
        assert_eq!(listed.len(), MAX_RECENT);
        assert_eq!((&*listed[0].0.path, listed[0].1), (&*there, false));
        assert_eq!((&*listed[1].0.path, listed[1].1), (Path::new("/none/15.graft"), true));
        assert_eq!(listed.iter().filter(|r| r.0.path == Path::new("/none/15.graft")).count(), 1);
        settings.forget(&there);
        assert_eq!(settings.recent.len(), MAX_RECENT - 1);
    }

    #[test]
    fn names_of_new_projects_are_safe_and_free() {
        let long = "ä".repeat(100);
        for (name, expected) in [
            ("flowers", "flowers.graft"),
            ("  my: flowers/2024?  ", "my- flowers-2024-.graft"),
            ("..", "Project.graft"),
            ("", "Project.graft"),
            (".hidden. ", "hidden.graft"),
            ("a\nb", "a-b.graft"),
            ("Con", "Con-.graft"),
            ("com7.x", "com7.x-.graft"),
            ("common", "common.graft"),
            (&long, &format!("{}.graft", "ä".repeat(40))),
        ] {
            assert_eq!(fresh_path_in(Path::new("/none"), name).unwrap(), Path::new("/none").join(expected), "{name:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        for expected in ["flowers.graft", "flowers 2.graft", "flowers 3.graft"] {
            let path = fresh_path_in(dir.path(), "flowers").unwrap();
            assert_eq!(path.file_name().unwrap(), expected);
            fs::write(path, b"").unwrap();
        }
    }
}
