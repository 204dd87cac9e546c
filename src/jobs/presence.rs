//! Whether files are still there, asked on a thread of its own: a disk that sleeps or a share that is gone answers late,
//! and nobody should wait for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, unbounded};

/// What is known of the presence of files.
#[derive(Debug, Default)]
pub struct Presence {
    asked: Vec<PathBuf>,
    known: BTreeMap<PathBuf, bool>,
    answers: Option<Receiver<(PathBuf, bool)>>,
}

impl Presence {
    /// Asks about these files unless they are the ones that were asked about last. `wake` is called, on another thread,
    /// whenever [`Self::is_missing`] may have changed.
    pub fn ask<'a>(&mut self, paths: impl Iterator<Item = &'a Path> + Clone, wake: impl Fn() + Send + 'static) {
        if self.asked.iter().map(PathBuf::as_path).eq(paths.clone()) {
            return;
        }
        self.asked = paths.map(Path::to_owned).collect();
        let (sender, answers) = unbounded();
        let paths = self.asked.clone();
        let look = move || {
            for path in paths {
                let is_there = path.exists();
                if sender.send((path, is_there)).is_err() {
                    return;
                }
                wake();
            }
        };
        // Without a thread nothing is marked as missing, and opening says what is wrong.
        self.answers = std::thread::Builder::new().name("presence".to_owned()).spawn(look).ok().map(|_| answers);
    }

    /// Whether a file is known to be gone. Never waits.
    pub fn is_missing(&mut self, path: &Path) -> bool {
        if let Some(answers) = &self.answers {
            self.known.extend(answers.try_iter());
        }
        self.known.get(path) == Some(&false)
    }

    /// Waits until every file that was asked about is known.
    pub fn wait(&mut self) {
        if let Some(answers) = self.answers.take() {
            self.known.extend(answers.iter());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn what_is_gone_is_found_out_once() {
        let dir = tempfile::tempdir().unwrap();
        let (here, gone) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&here, b"").unwrap();
        let n = Arc::new(AtomicUsize::new(0));
        let wake = |n: &Arc<AtomicUsize>| {
            let n = Arc::clone(n);
            move || {
                n.fetch_add(1, Ordering::SeqCst);
            }
        };
        let mut presence = Presence::default();
        let paths = [here.as_path(), gone.as_path()];
        assert!(!presence.is_missing(&gone), "nothing is known yet");
        presence.ask(paths.into_iter(), wake(&n));
        presence.wait();
        assert_eq!([presence.is_missing(&here), presence.is_missing(&gone)], [false, true]);
        assert_eq!(n.load(Ordering::SeqCst), 2);
        presence.ask(paths.into_iter(), wake(&n));
        presence.wait();
        assert_eq!(n.load(Ordering::SeqCst), 2, "the same question is not asked again");
    }
}
