//! Running the program as a user would, in a world of its own: caches and models of the user stay out of it.

#![allow(dead_code, clippy::unwrap_used, reason = "shared by several test binaries, each using a part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A generated backbone of 30 KB: 32 x 32 pixels to 16 features.
pub const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/onnx/tiny_cnn");
/// The sample images.
pub const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/sample");
/// Damaged and odd image files.
pub const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images/files");
/// Generated ONNX files.
pub const ONNX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/onnx");

/// A temporary folder with the program's cache and data inside.
pub struct World {
    dir: tempfile::TempDir,
}

/// How a run ended.
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, rel: &str) -> PathBuf {
        self.dir.path().join(rel)
    }

    /// The program, with this world's folders.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_graft"));
        command
            .env("GRAFT_CACHE_DIR", self.path("cache"))
            .env("GRAFT_DATA_DIR", self.path("data"))
            .env_remove("GRAFT_MODELS_DIR")
            .env_remove("GRAFT_LOG")
            .current_dir(self.dir.path());
        command
    }

    pub fn graft(&self, args: &[&str]) -> Ran {
        ran(self.command().args(args).output().unwrap())
    }

    /// Runs, wants success, and reads the JSON on standard output.
    pub fn json(&self, args: &[&str]) -> Value {
        let ran = self.graft(args);
        assert_eq!(ran.status, 0, "{args:?}: {}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Writes a file below the world.
    pub fn write(&self, rel: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(rel);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A data set of plain colours with noise, `n` images a class, as BMP files.
    pub fn colours(&self, rel: &str, classes: &[(&str, [u8; 3])], n: usize) -> String {
        for (class, (name, rgb)) in classes.iter().enumerate() {
            for i in 0..n {
                self.write(&format!("{rel}/{name}/{i:03}.bmp"), &bmp(*rgb, (class * 1000 + i) as u64));
            }
        }
        self.path(rel).to_string_lossy().into_owned()
    }
}

pub const RED_GREEN: [(&str, [u8; 3]); 2] = [("green", [40, 200, 40]), ("red", [200, 40, 40])];

pub fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A 40 x 36 bitmap of one colour with noise.
pub fn bmp(rgb: [u8; 3], seed: u64) -> Vec<u8> {
    let (width, height) = (40u32, 36u32);
    let size = 54 + width * height * 3;
    let mut bytes = b"BM".to_vec();
    for v in [size, 0, 54, 40, width, height] {
        bytes.extend(v.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    let mut state = seed.wrapping_mul(2) + 1;
    for _ in 0..width * height {
        for channel in [rgb[2], rgb[1], rgb[0]] {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.push(channel.saturating_add((state >> 59) as u8));
        }
    }
    bytes
}

/// Every file below a folder, hidden ones included.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// That a failure is one clear sentence with status 1, and no panic.
pub fn assert_fails(ran: &Ran, says: &str) {
    assert_eq!(ran.status, 1, "stdout: {} stderr: {}", ran.stdout, ran.stderr);
    let message = ran.stderr.trim_end().lines().last().unwrap_or_default();
    assert!(message.starts_with("graft: "), "{message}");
    assert!(message.contains(says), "{message:?} says {says:?}");
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}
