//! The places of the window, each drawn by a struct that remembers only what the screen needs.

pub mod evaluate;
pub mod export;
pub mod images;
pub mod model;
mod page;
pub mod runtime;
pub mod start;
pub mod train;
mod why;
pub mod zero_shot;
