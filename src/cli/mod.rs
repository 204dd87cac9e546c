//! The command line: one file a command, each a thin caller of [`crate::workflow`].
//!
//! Results go to standard output, progress and warnings to standard error (bars only when it is a terminal). Exit status:
//! 0 done, 1 failed with one sentence, 2 wrong usage, 130 ended by Ctrl+C.

mod args;
mod clean;
mod compare;
mod curve;
mod demo;
mod embed;
mod evaluate;
mod import;
mod inspect;
mod models;
mod npz;
mod open;
mod output;
mod predict;
mod probe;
mod providers;
mod report;
mod search;
mod terminal;
mod train;
mod unknown;
mod zero_shot;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::workflow::WorkflowError;
use args::{Cli, Command};
use terminal::Terminal;

/// Exit status when the user ended the work.
const CANCELLED: u8 = 130;

/// Parses the command line, runs the command, and says how it ended.
pub fn run() -> ExitCode {
    let started = Instant::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output with status 0, wrong usage to standard error with status 2.
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return if error.print().is_ok() { ExitCode::from(code) } else { ExitCode::FAILURE };
        }
    };
    quiet_decoder_panics();
    let terminal = Terminal::new();
    let command = cli.command.unwrap_or(Command::Open(args::OpenArgs::default()));
    let result = match command {
        Command::Open(args) => open::run(&args, started, &terminal),
        Command::Demo(args) => demo::run(&args, &terminal),
        Command::Inspect(args) => inspect::run(&args, &terminal),
        Command::Models(args) => models::run(&args, &terminal),
        Command::Import(args) => import::run(&args, &terminal),
        Command::Clean(args) => clean::run(&args, &terminal),
        Command::Probe(args) => probe::run(&args, &terminal),
        Command::Curve(args) => curve::run(&args, &terminal),
        Command::Compare(args) => compare::run(&args, &terminal),
        Command::Report(args) => report::run(&args, &terminal),
        Command::Providers(args) => providers::run(&args, &terminal),
        Command::Embed(args) => embed::run(&args, &terminal),
        Command::Train(args) => train::run(&args, &terminal),
        Command::Evaluate(args) => evaluate::run(&args, &terminal),
        Command::Predict(args) => predict::run(&args, &terminal),
        Command::ZeroShot(args) => zero_shot::run(&args, &terminal),
        Command::Search(args) => search::run(&args, &terminal),
    };
    terminal.finish();
    match result {
        // What ended too soon to notice was cancelled all the same.
        Ok(()) if terminal.was_cancelled() => failure(&WorkflowError::Cancelled.into(), &terminal),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error, &terminal),
    }
}

/// A decoder's panic on a damaged file is that file's line in the list of skipped files, not a message of its own.
fn quiet_decoder_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !crate::image::decode::is_decoding() {
            default(info);
        }
    }));
}

fn failure(error: &anyhow::Error, terminal: &Terminal) -> ExitCode {
    if terminal.was_cancelled() || matches!(error.downcast_ref(), Some(WorkflowError::Cancelled)) {
        terminal.say("graft: cancelled");
        return ExitCode::from(CANCELLED);
    }
    terminal.say(&format!("graft: {error}"));
    ExitCode::FAILURE
}
