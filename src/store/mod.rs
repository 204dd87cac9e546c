//! What Graft keeps on disk. The only module that names `rusqlite`.

pub mod cache;
pub mod copy;
mod database;
pub mod dirs;
pub mod file;
pub mod project;
pub mod settings;
mod staged;
mod stamp;
pub mod thumbnails;
