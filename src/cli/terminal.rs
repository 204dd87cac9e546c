//! Progress and warnings on a terminal.

use std::io::{IsTerminal, Write, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::{CancelToken, Reporter, Stage};

/// Reports to standard error: bars when it is a terminal, warnings always.
pub(super) struct Terminal {
    token: CancelToken,
    is_terminal: bool,
    bar: Mutex<Option<(Stage, ProgressBar)>>,
}

impl Terminal {
    /// A terminal whose work Ctrl+C ends.
    pub(super) fn new() -> Self {
        let token = CancelToken::new();
        let on_signal = token.clone();
        if let Err(error) = ctrlc::set_handler(move || {
            // A second Ctrl+C does not wait for the work to notice the first.
            if on_signal.is_cancelled() {
                #[allow(
                    clippy::disallowed_methods,
                    reason = "the user insists; every write is whole or not there anyway"
                )]
                std::process::exit(i32::from(super::CANCELLED));
            }
            on_signal.cancel();
        }) {
            tracing::warn!(%error, "Ctrl+C cannot be handled");
        }
        Self { token, is_terminal: stderr().is_terminal(), bar: Mutex::new(None) }
    }

    /// Prints a line to standard error, above the bar.
    pub(super) fn say(&self, line: &str) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match &*bar {
            Some((_, bar)) if !bar.is_finished() => bar.suspend(|| say(line)),
            _ => say(line),
        }
    }

    /// Whether Ctrl+C was pressed.
    pub(super) fn was_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some((_, bar)) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}

fn say(line: &str) {
    // Standard error that is gone leaves nobody to tell.
    writeln!(stderr(), "{line}").ok();
}

fn new_bar(stage: Stage, n_total: usize) -> ProgressBar {
    let template = if n_total == 0 {
        "{msg:10} {pos} {spinner}"
    } else {
        "{msg:10} {wide_bar} {pos}/{len}  {per_sec}  {eta} left"
    };
    let bar = ProgressBar::with_draw_target(Some(n_total as u64), ProgressDrawTarget::stderr_with_hz(15));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(stage.label());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

impl Reporter for Terminal {
    fn progress(&self, stage: Stage, n_done: usize, n_total: usize) {
        if !self.is_terminal {
            return;
        }
        let mut current = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_none_or(|(s, _)| *s != stage) {
            if let Some((_, bar)) = current.take() {
                bar.finish_and_clear();
            }
            *current = Some((stage, new_bar(stage, n_total)));
        }
        if let Some((_, bar)) = &*current {
            bar.set_length(n_total as u64);
            bar.set_position(n_done as u64);
            if n_total > 0 && n_done >= n_total {
                bar.finish_and_clear();
            }
        }
    }

    fn warn(&self, message: &str) {
        self.say(&format!("graft: {message}"));
    }

    fn cancel_token(&self) -> &CancelToken {
        &self.token
    }
}
