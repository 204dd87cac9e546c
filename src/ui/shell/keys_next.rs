//! Keys of what is labelled next: a digit labels, S puts off, Backspace goes back, G shows the guess.

use eframe::egui::{Context, Key, Modifiers};

use super::keys::DIGITS;
use crate::app::{AppState, Command, NextCommand};

pub(super) fn commands(ctx: &Context, state: &AppState, out: &mut Vec<Command>) {
    let Some(project) = &state.project else { return };
    let take = |key: Key| ctx.input_mut(|i| i.consume_key(Modifiers::NONE, key));
    let mut send = |command| out.push(Command::Next(command));
    for (i, digit) in DIGITS.into_iter().enumerate() {
        if take(digit) {
            send(NextCommand::Digit(i as u8 + 1));
        }
    }
    if take(Key::S) {
        send(NextCommand::Later);
    }
    if take(Key::Backspace) {
        send(NextCommand::Back);
    }
    if take(Key::G) {
        send(NextCommand::ShowGuess(!project.next.shows_guess));
    }
    // Space presses the button that has the focus, where one has it.
    if ctx.memory(|m| m.focused()).is_none() && take(Key::Space) {
        send(NextCommand::Later);
    }
}
