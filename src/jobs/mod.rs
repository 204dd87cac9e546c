//! Worker threads for the window.

pub mod thumbnails;
