//! The application connected to its worker threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::{Command, Effect, ScreenEffect};
use super::state::AppState;
use super::{on_event, update};
use crate::jobs::table::Table;
use crate::jobs::{Jobs, Waker};
use crate::store::settings::AppSettings;

/// State and worker threads: commands in, screen effects out.
pub struct Runner {
    /// What the application knows.
    pub state: AppState,
    jobs: Jobs,
    screen: Vec<ScreenEffect>,
}

impl Runner {
    /// Starts the worker threads, which call `waker` when there is something to [`Self::pump`].
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(settings: AppSettings, waker: Waker) -> std::io::Result<Self> {
        let mut runner = Self { state: AppState::new(settings), jobs: Jobs::new(waker)?, screen: Vec::new() };
        let mut effects = Vec::new();
        runner.state.follow_up(&mut effects);
        runner.apply(effects);
        Ok(runner)
    }

    /// Does what the user wants.
    pub fn dispatch(&mut self, command: Command) {
        let effects = update(&mut self.state, command);
        self.apply(effects);
    }

    /// Takes in what came of the work, for so long at most. Returns whether there may be more.
    pub fn pump(&mut self, budget: Duration) -> bool {
        let started = Instant::now();
        while let Ok(event) = self.jobs.events().try_recv() {
            let effects = on_event(&mut self.state, event);
            self.apply(effects);
            if started.elapsed() > budget {
                return true;
            }
        }
        false
    }

    /// Waits until something has come of the work and takes it in; for callers without a screen. Returns `false` when
    /// nothing has come within `patience`.
    pub fn wait(&mut self, patience: Duration) -> bool {
        match self.jobs.events().recv_timeout(patience) {
            Ok(event) => {
                let effects = on_event(&mut self.state, event);
                self.apply(effects);
                true
            }
            Err(_) => false,
        }
    }

    /// Waits until `holds`; `false` when that has not come to pass within `patience`.
    pub fn wait_until(&mut self, patience: Duration, holds: impl Fn(&AppState) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        while !holds(&self.state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.wait(left) {
                return holds(&self.state);
            }
        }
        true
    }

    /// What only the screen can do, since the last time.
    pub fn take_screen_effects(&mut self) -> Vec<ScreenEffect> {
        std::mem::take(&mut self.screen)
    }

    /// The embeddings of the open project.
    pub fn table(&self) -> &Arc<Table> {
        self.jobs.table()
    }

    /// Saves what is to be saved and ends the worker threads.
    pub fn shut_down(mut self) {
        self.dispatch(Command::Quitting);
        self.jobs.shut_down();
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Job(id, request) => self.jobs.submit(id, request),
                Effect::Cancel(lane) => self.jobs.cancel(lane),
                Effect::ForgetEmbeddings => self.jobs.table().clear(),
                Effect::Screen(effect) => self.screen.push(effect),
            }
        }
    }
}
