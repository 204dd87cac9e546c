//! What Graft keeps on disk. The only module that names `rusqlite`.

pub mod cache;
mod database;
pub mod dirs;
pub mod file;
mod staged;
mod stamp;
pub mod thumbnails;
