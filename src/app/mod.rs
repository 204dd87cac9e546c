//! The application without a screen: what it knows, what can be done, and what follows.
//!
//! [`update()`] takes a [`Command`] (what the user wants), [`on_event`] a [`JobEvent`](crate::jobs::JobEvent) (what came
//! of the work); both change the [`AppState`] and return [`Effect`]s: work to begin, and things that only the screen can
//! do. There is no thread, no clock and no screen in here, so that every behaviour is a test of a millisecond. [`Runner`]
//! connects it to the worker threads, for the window and for tests without one.

pub mod action;
mod command;
mod curve;
pub mod drops;
mod edits;
mod events;
pub mod faults;
pub mod gallery;
pub mod insight;
mod live;
pub mod map;
pub mod next;
pub mod notices;
mod open;
mod project;
mod runner;
mod runs;
mod shortcut;
mod state;
pub mod strangers;
mod study;
pub mod threshold;
mod update;
mod views;
pub mod why;
pub mod words;
pub mod zero_shot;

pub use action::Action;
pub use command::{Command, Dialog, DropInto, Effect, ScreenEffect, Target};
pub use events::on_event;
pub use live::{Fit, HeadFigures, Live};
pub use next::{Next, NextCommand};
pub use project::{Counts, ExportState, OpenProject};
pub use runner::Runner;
pub use runs::{ComparedPair, MAX_DIFFERENCES, RunsState};
pub use state::{Activity, AppState, EmbedPause, ModelsState, Place, Purpose, RuntimeState};
pub use strangers::Strangers;
pub use study::{Studies, Study};
pub use update::{USUAL_KEEP, USUAL_PRECISION, update};
pub use views::{EvaluateView, ImagesView};
pub use why::{Why, WhyCommand};
pub use zero_shot::{LabelGroup, LearningCurve, ZeroShot};
