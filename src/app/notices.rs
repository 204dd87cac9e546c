//! What there is to tell: toasts, newest last.

use std::path::PathBuf;

use super::Action;
use crate::project::RootId;

/// How a notice is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// By the way.
    Info,
    /// Done.
    Success,
    /// Look at this.
    Warning,
    /// It did not work.
    Error,
}

/// What can be done about a notice.
#[derive(Clone, Debug, PartialEq)]
pub enum Remedy {
    /// An action.
    Act(Action),
    /// Takes back the edit that is told of, which is the last one: another edit takes this notice away.
    TakeBack,
    /// Shows a folder.
    OpenFolder(PathBuf),
    /// Asks where a folder that is gone is now.
    Relocate(RootId),
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// For taking it away.
    pub id: u64,
    /// How it is meant.
    pub tone: Tone,
    /// One sentence.
    pub text: String,
    /// More, on demand.
    pub details: Option<String>,
    /// What can be done.
    pub remedy: Option<Remedy>,
}

/// Notices that are shown at once, at most.
const MAX_SHOWN: usize = 5;

/// Everything that was told and not yet taken away.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    shown: Vec<Notice>,
    last_id: u64,
}

impl Notices {
    /// Tells something. What is already there is not repeated, but moves to the end.
    pub fn push(&mut self, tone: Tone, text: impl Into<String>, details: Option<String>, remedy: Option<Remedy>) {
        self.last_id += 1;
        let notice = Notice { id: self.last_id, tone, text: text.into(), details, remedy };
        self.shown.retain(|n| (n.tone, &n.text) != (notice.tone, &notice.text));
        self.shown.push(notice);
        if self.shown.len() > MAX_SHOWN {
            // Errors stay longest.
            let idx = self.shown.iter().position(|n| n.tone != Tone::Error).unwrap_or(0);
            self.shown.remove(idx);
        }
    }

    /// Tells that something is done or known.
    pub fn info(&mut self, text: impl Into<String>) {
        self.push(Tone::Info, text, None, None);
    }

    /// Tells that something did not work.
    pub fn error(&mut self, text: impl Into<String>, details: Option<String>) {
        self.push(Tone::Error, text, details, None);
    }

    /// Takes one away.
    pub fn dismiss(&mut self, id: u64) {
        self.shown.retain(|n| n.id != id);
    }

    /// Takes away what offers to undo something of a project that is not shown any more, or of an older edit.
    pub(super) fn forget_undo(&mut self) {
        self.shown.retain(|n| n.remedy != Some(Remedy::TakeBack));
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Notice> {
        self.shown.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_one_and_errors_stay() {
        let mut notices = Notices::default();
        notices.error("no", None);
        for i in 0..10 {
            notices.info(i.to_string());
            notices.info("same");
        }
        let texts: Vec<_> = notices.iter().map(|n| n.text.as_str()).collect();
        assert_eq!(texts, ["no", "7", "8", "9", "same"]);
    }
}
