//! Core permits: decoders and inference take turns on the cores instead of fighting for them.
//!
//! ONNX Runtime slows badly when its threads share cores with others (measured: 196 to 106 images a second). Whoever
//! computes holds as many permits as it uses threads, and there are as many permits as cores.

use std::sync::{Condvar, Mutex, PoisonError};

/// A counting semaphore.
pub(crate) struct Permits {
    n_free: Mutex<usize>,
    freed: Condvar,
}

/// Permits in use; given back when dropped.
pub(crate) struct Held<'a> {
    permits: &'a Permits,
    n: usize,
}

impl Permits {
    pub(crate) fn new(n: usize) -> Self {
        Self { n_free: Mutex::new(n), freed: Condvar::new() }
    }

    /// Waits until `n` permits are free and takes them. `n` must not be larger than their number.
    pub(crate) fn take(&self, n: usize) -> Held<'_> {
        let mut n_free = self.n_free.lock().unwrap_or_else(PoisonError::into_inner);
        while *n_free < n {
            n_free = self.freed.wait(n_free).unwrap_or_else(PoisonError::into_inner);
        }
        *n_free -= n;
        Held { permits: self, n }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.permits.n_free.lock().unwrap_or_else(PoisonError::into_inner) += self.n;
        self.permits.freed.notify_all();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn never_more_than_there_are() {
        let permits = Permits::new(3);
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for n in [1, 2, 3, 1, 2, 1] {
                let (permits, running, most) = (&permits, &running, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let _held = permits.take(n);
                        let now = running.fetch_add(n, Ordering::SeqCst) + n;
                        most.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        running.fetch_sub(n, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert_eq!(*permits.n_free.lock().unwrap(), 3);
    }
}
