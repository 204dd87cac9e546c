//! Undo and redo.

use super::Edit;

/// Edits that can be undone, at most; older ones are forgotten.
pub const MAX_EDITS: usize = 1000;

/// The edits made so far: those that are in effect, and those that were undone and can be made again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Oldest first.
    edits: Vec<Edit>,
    /// How many of them are in effect.
    n_done: usize,
}

impl History {
    /// From a project file: edits oldest first, of which the first `n_done` are in effect.
    pub fn from_parts(edits: Vec<Edit>, n_done: usize) -> Self {
        let n_done = n_done.min(edits.len());
        Self { edits, n_done }
    }

    /// Notes an edit that was made. Undone ones can no longer be redone.
    pub fn push(&mut self, edit: Edit) {
        self.edits.truncate(self.n_done);
        self.edits.push(edit);
        if self.edits.len() > MAX_EDITS {
            self.edits.drain(..self.edits.len() - MAX_EDITS);
        }
        self.n_done = self.edits.len();
    }

    /// The edit that undo takes back.
    pub fn undoable(&self) -> Option<&Edit> {
        self.edits.get(self.n_done.checked_sub(1)?)
    }

    /// The edit that redo makes again.
    pub fn redoable(&self) -> Option<&Edit> {
        self.edits.get(self.n_done)
    }

    /// Steps back; the inverse of the returned edit is to be applied.
    pub fn undo(&mut self) -> Option<&Edit> {
        self.n_done = self.n_done.checked_sub(1)?;
        self.edits.get(self.n_done)
    }

    /// Steps forward; the returned edit is to be applied.
    pub fn redo(&mut self) -> Option<&Edit> {
        let edit = self.edits.get(self.n_done)?;
        self.n_done += 1;
        Some(edit)
    }
}
