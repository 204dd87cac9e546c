//! Keys: the shortcuts of the actions, and what a row of thumbnails does with arrows and digits.

use std::path::PathBuf;

use eframe::egui::{Context, Event, Key, Modifiers, Popup};

use crate::app::gallery::SelectOp;
use crate::app::{Action, AppState, Command, DropInto, Target};
use crate::project::FaultKind;
use crate::ui::dialogs::paths_of_text;
use crate::ui::widgets as text;
use crate::ui::widgets::{Dialog, kbd, row_ends};

/// What the keys of this frame ask for. `was_typing`: a text field had the keyboard when the last frame was drawn; Esc
/// has taken it away by now, and is still the field's.
pub(super) fn commands(ctx: &Context, state: &AppState, was_typing: bool, out: &mut Vec<Command>) {
    let is_typing = was_typing || ctx.text_edit_focused();
    // An open menu takes Esc, Enter and the arrows.
    let acts_on_images = state.keys_act_on_images() && !Popup::is_any_open(ctx);
    let acts_on_faults = state.keys_act_on_faults() && !Popup::is_any_open(ctx);
    for action in Action::ALL {
        let Some(shortcut) = action.shortcut() else { continue };
        let Some(key) = Key::from_name(shortcut.key) else { continue };
        // What a text field does with these keys itself.
        let is_for_text = !shortcut.ctrl || matches!(shortcut.key, "A" | "Z");
        // What acts on the selection does so where it is seen.
        let selects = matches!(action, Action::SelectAll | Action::SelectNone);
        let is_of_gallery = (!shortcut.ctrl && key != Key::F1) || selects;
        let acts = match action {
            Action::Why | Action::ShowWhere => state.has_answer_in_view() && !Popup::is_any_open(ctx),
            Action::FixFault | Action::DismissFault => acts_on_faults,
            _ => acts_on_images,
        };
        if (is_typing && is_for_text && key != Key::F1) || (is_of_gallery && !acts) {
            continue;
        }
        // Exactly these keys (Ctrl+Shift+Z is not Ctrl+Z), as they were when it was pressed: a quick hand has let go of
        // them before the frame begins.
        let is_it = |event: &Event| match event {
            Event::Key { key: pressed, pressed: true, modifiers, .. } => {
                *pressed == key
                    && modifiers.command == shortcut.ctrl
                    && modifiers.shift == shortcut.shift
                    && !modifiers.alt
            }
            _ => false,
        };
        let pressed = ctx.input_mut(|i| {
            let at = i.events.iter().position(is_it);
            at.map(|at| i.events.remove(at)).is_some()
        });
        if pressed {
            out.push(Command::Act(action));
        }
    }
    if is_typing {
        return;
    }
    if let Some(paths) = pasted(ctx) {
        out.push(Command::Drop { paths, into: DropInto::Auto });
    }
    if acts_on_images {
        gallery(ctx, state, out);
    } else if state.keys_label_next() && !Popup::is_any_open(ctx) {
        super::keys_next::commands(ctx, state, out);
    }
    if acts_on_faults {
        faults(ctx, state, out);
    }
}

/// Arrows move in the list of faults, digits label the image that is looked at.
fn faults(ctx: &Context, state: &AppState, out: &mut Vec<Command>) {
    let Some(project) = &state.project else { return };
    let take = |key: Key| ctx.input_mut(|i| i.consume_key(Modifiers::NONE, key));
    if let Some(fault) = project.faults.current() {
        let classes = project.data.sorted_classes();
        for (digit, (class, _)) in DIGITS.into_iter().zip(classes) {
            if take(digit) {
                out.push(Command::Label { images: Target::Images(vec![fault.id]), class: Some(class) });
            }
        }
    }
    // Arrows move what has the keyboard's focus, where that is something else.
    if ctx.memory(|m| m.focused()).is_some() {
        return;
    }
    let n = project.faults.open(project.faults.shown).len() as isize;
    let moves = [
        (Key::ArrowUp, -1),
        (Key::ArrowDown, 1),
        (Key::PageUp, -8),
        (Key::PageDown, 8),
        (Key::Home, -n),
        (Key::End, n),
    ];
    for (key, by) in moves {
        if take(key) {
            out.push(Command::MoveFault(by));
        }
    }
    let at = FaultKind::ALL.iter().position(|kind| *kind == project.faults.shown).unwrap_or(0);
    if take(Key::ArrowLeft) && at > 0 {
        out.push(Command::ShowFaults(FaultKind::ALL[at - 1]));
    }
    if take(Key::ArrowRight) && at + 1 < FaultKind::ALL.len() {
        out.push(Command::ShowFaults(FaultKind::ALL[at + 1]));
    }
    if (take(Key::Enter) || take(Key::Space))
        && let Some(fault) = project.faults.current()
    {
        out.push(Command::Look(Some(fault.id)));
    }
}

/// Paths on the clipboard, as file managers copy them.
fn pasted(ctx: &Context) -> Option<Vec<PathBuf>> {
    let text = ctx.input(|i| {
        i.events.iter().find_map(|e| match e {
            Event::Paste(text) => Some(text.clone()),
            _ => None,
        })
    })?;
    let paths = paths_of_text(&text);
    (!paths.is_empty()).then_some(paths)
}

pub(super) const DIGITS: [Key; 9] =
    [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7, Key::Num8, Key::Num9];

fn gallery(ctx: &Context, state: &AppState, out: &mut Vec<Command>) {
    let Some(project) = &state.project else { return };
    // Arrows move what has the keyboard's focus, where that is something else than the gallery.
    let has_focus = ctx.memory(|m| m.focused()).is_some();
    let columns = ctx.data(|d| d.get_temp::<usize>(columns_id())).unwrap_or(1) as isize;
    let rows = ctx.data(|d| d.get_temp::<usize>(columns_id().with("rows"))).unwrap_or(4) as isize;
    let take = |modifiers: Modifiers, key: Key| ctx.input_mut(|i| i.consume_key(modifiers, key));
    for (i, digit) in DIGITS.into_iter().enumerate() {
        if take(Modifiers::NONE, digit) {
            out.push(Command::LabelByDigit(i as u8 + 1));
            // In the large view the next image follows, so that a folder is labelled with one key an image.
            if project.gallery.large.is_some() && !state.walks_the_gallery() {
                out.push(Command::Look(None));
            } else if project.gallery.large.is_some() {
                out.push(Command::Select(SelectOp::Move { by: 1, extend: false }));
            }
        }
    }
    let is_large = project.gallery.large.is_some();
    if take(Modifiers::NONE, Key::Escape) {
        out.push(if is_large { Command::Look(None) } else { Command::Select(SelectOp::None) });
    }
    if has_focus || !state.arrows_move_in_gallery() {
        return;
    }
    let n = project.gallery.visible.len() as isize;
    let (down, page) = if is_large { (1, 10) } else { (columns, columns * rows.max(1)) };
    let moves = [
        (Key::ArrowLeft, -1),
        (Key::ArrowRight, 1),
        (Key::ArrowUp, -down),
        (Key::ArrowDown, down),
        (Key::PageUp, -page),
        (Key::PageDown, page),
        (Key::Home, -n),
        (Key::End, n),
    ];
    for (key, by) in moves {
        if take(Modifiers::SHIFT, key) && !is_large {
            out.push(Command::Select(SelectOp::Move { by, extend: true }));
        } else if take(Modifiers::NONE, key) {
            out.push(Command::Select(SelectOp::Move { by, extend: false }));
        }
    }
    if take(Modifiers::NONE, Key::Enter) || take(Modifiers::NONE, Key::Space) {
        out.push(Command::Look(if is_large { None } else { project.gallery.cursor }));
    }
}

/// Where the gallery tells how many thumbnails are in a row, for the arrow keys.
pub(in crate::ui) fn columns_id() -> eframe::egui::Id {
    eframe::egui::Id::unique("gallery columns")
}

/// Lists the shortcuts; returns whether it wants to be closed.
pub(super) fn shortcuts_dialog(ctx: &Context) -> bool {
    let others = [
        ("Label the selected images with class 1 to 9", "1-9"),
        ("Large view", "Enter"),
        ("Move, and select more", "Shift+Arrows"),
        ("Close the large view, select none", "Esc"),
        ("Label next: label with class 1 to 9", "1-9"),
        ("Label next: later, back, show the guess", "S, Backspace, G"),
        ("Label next: find or add a class", "/"),
    ];
    let response = Dialog::new("shortcuts", "Keyboard shortcuts").width(460.0).show(ctx, |ui| {
        let height = ctx.content_rect().height() * 0.7;
        let scroll = eframe::egui::ScrollArea::vertical().max_height(height).min_scrolled_height(height);
        scroll.auto_shrink([false, true]).show(ui, |ui| {
            // Beside the scroll bar, which lies over what it scrolls.
            ui.set_width(ui.available_width() - 16.0);
            let actions =
                Action::ALL.iter().filter_map(|a| Some((a.label().trim_end_matches('…'), a.shortcut()?.text())));
            let others = others.iter().map(|(label, keys)| (*label, (*keys).to_owned()));
            for (label, keys) in actions.chain(others) {
                row_ends(
                    ui,
                    |ui| {
                        text::body(ui, label);
                    },
                    |ui| {
                        kbd(ui, &keys);
                    },
                );
            }
        });
    });
    response.close
}
