//! Progress and cancellation, as values: no thread, no terminal, no window.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

type Hook = Box<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Inner {
    cancelled: AtomicBool,
    next_hook_id: AtomicU64,
    hooks: Mutex<Vec<(u64, Hook)>>,
}

/// Shared flag that asks work to stop. Clones share the flag.
#[derive(Clone, Default)]
pub struct CancelToken {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

impl CancelToken {
    /// A token that nobody has cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the end, once and for all, and runs the registered hooks (which end runs in flight).
    pub fn cancel(&self) {
        self.inner.cancelled.store(true, Ordering::SeqCst);
        let hooks = self.inner.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, hook) in hooks.iter() {
            hook();
        }
    }

    /// Whether the end was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::SeqCst)
    }

    /// Calls `hook` when the token is cancelled, until the guard is dropped; at once if it already is.
    ///
    /// The hook must be quick and must not touch the token.
    #[must_use = "the hook is removed when the guard is dropped"]
    pub fn on_cancel(&self, hook: impl Fn() + Send + Sync + 'static) -> CancelGuard {
        let id = self.inner.next_hook_id.fetch_add(1, Ordering::SeqCst);
        let mut hooks = self.inner.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that a cancel either sees the hook or has set the flag before this look.
        if self.is_cancelled() {
            hook();
        }
        hooks.push((id, Box::new(hook)));
        CancelGuard { inner: Arc::clone(&self.inner), id }
    }
}

/// Keeps a hook of [`CancelToken::on_cancel`] registered.
pub struct CancelGuard {
    inner: Arc<Inner>,
    id: u64,
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        let mut hooks = self.inner.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        hooks.retain(|(id, _)| *id != self.id);
    }
}

/// What a piece of work is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Walking folders.
    Scan,
    /// Reading files and hashing their content.
    Hash,
    /// Decoding, preprocessing and running the backbone.
    Embed,
    /// Running texts through the text tower.
    Texts,
    /// Fitting and judging heads.
    Fit,
    /// Writing an export.
    Export,
    /// Comparing an export's files with the app.
    Verify,
    /// Copying files.
    Copy,
    /// Going from one model to the next.
    Compare,
    /// Laying out the map of the images.
    Map,
    /// Covering one part of an image after the other.
    Explain,
    /// Looking for faults in the data.
    Check,
}

impl Stage {
    /// The word that progress bars and the status bar show.
    pub fn label(self) -> &'static str {
        match self {
            Self::Scan => "Scanning",
            Self::Hash => "Reading",
            Self::Embed => "Embedding",
            Self::Texts => "Reading texts",
            Self::Fit => "Fitting",
            Self::Export => "Writing",
            Self::Verify => "Verifying",
            Self::Copy => "Copying",
            Self::Compare => "Comparing",
            Self::Map => "Laying out the map",
            Self::Explain => "Looking",
            Self::Check => "Checking",
        }
    }
}

/// Where work reports to. Implementations must be cheap: callers report at most about 15 times a second a stage.
pub trait Reporter: Send + Sync {
    /// `n_done` of `n_total` items of a stage are done; `n_total` is 0 while it is not known.
    fn progress(&self, stage: Stage, n_done: usize, n_total: usize);
    /// Something the user should know that does not end the work.
    fn warn(&self, message: &str);
    /// The token that ends the work.
    fn cancel_token(&self) -> &CancelToken;
    /// Whether the work should end now.
    fn cancelled(&self) -> bool {
        self.cancel_token().is_cancelled()
    }
}

/// Reports nowhere; for tests and library callers.
#[derive(Debug, Default)]
pub struct Silent {
    token: CancelToken,
}

impl Reporter for Silent {
    fn progress(&self, _: Stage, _: usize, _: usize) {}
    fn warn(&self, _: &str) {}
    fn cancel_token(&self) -> &CancelToken {
        &self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn hooks_run_on_cancel_and_not_after_their_guard() {
        let token = CancelToken::new();
        let n = Arc::new(AtomicUsize::new(0));
        let count = |n: &Arc<AtomicUsize>| {
            let n = Arc::clone(n);
            move || {
                n.fetch_add(1, Ordering::SeqCst);
            }
        };
        drop(token.on_cancel(count(&n)));
        let guard = token.on_cancel(count(&n));
        token.cancel();
        assert_eq!(n.load(Ordering::SeqCst), 1);
        drop(guard);
        let _late = token.on_cancel(count(&n));
        assert_eq!(n.load(Ordering::SeqCst), 2, "a hook on a cancelled token runs at once");
    }
}
