//! What Graft keeps on disk. The only module that names `rusqlite`.

pub mod cache;
pub mod dirs;
pub mod file;
