//! The real window in a measurement: under Xvfb, drawn by Mesa's software OpenGL.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement may")]

#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "of a test that needs more of it")]
#[path = "../../tests/desktop/display.rs"]
mod display;

use std::path::Path;
use std::process::{Command, Stdio};

/// A display without a screen, if there is an X server to be had.
pub struct Screen {
    #[cfg(target_os = "linux")]
    display: display::Display,
}

impl Screen {
    #[cfg(target_os = "linux")]
    pub fn start() -> Option<Self> {
        match display::Display::start(1280, 800) {
            Ok(display) => Some(Self { display }),
            Err(why) => {
                println!("windows are not measured: {why}");
                None
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub fn start() -> Option<Self> {
        println!("not measured: windows are measured under Xvfb");
        None
    }

    /// Runs the program on the display, in folders of its own; what it prints.
    pub fn graft(&self, home: &Path, args: &[&str]) -> String {
        let mut process = Command::new(env!("CARGO_BIN_EXE_graft"));
        #[cfg(target_os = "linux")]
        process.env("DISPLAY", &self.display.name).env_remove("WAYLAND_DISPLAY").env("LIBGL_ALWAYS_SOFTWARE", "1");
        process.env("GRAFT_CACHE_DIR", home.join("cache")).env("GRAFT_DATA_DIR", home.join("data"));
        let out = process.args(args).stderr(Stdio::inherit()).output().unwrap();
        assert!(out.status.success(), "graft {args:?} failed");
        String::from_utf8(out.stdout).unwrap()
    }
}
