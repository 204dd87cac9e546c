//! What a place computed from shared values, and whether it still holds.

use std::sync::{Arc, Weak};

use crate::app::{Fit, OpenProject};

/// Which shared value something was made from. It is held weakly, so that no later value can have its address.
#[derive(Debug)]
pub(super) struct MadeFrom<T>(Option<Weak<T>>);

impl<T> Default for MadeFrom<T> {
    /// From nothing.
    fn default() -> Self {
        Self(None)
    }
}

impl<T> MadeFrom<T> {
    pub(super) fn new(value: Option<&Arc<T>>) -> Self {
        Self(value.map(Arc::downgrade))
    }

    pub(super) fn is(&self, value: Option<&Arc<T>>) -> bool {
        match (&self.0, value) {
            (Some(known), Some(value)) => std::ptr::eq(known.as_ptr(), Arc::as_ptr(value)),
            (None, None) => true,
            _ => false,
        }
    }
}

/// Which state of a project something was made from: its images, labels and heads.
#[derive(Debug)]
pub(super) struct MadeFromProject {
    epoch: u64,
    generation: u64,
    fit: MadeFrom<Fit>,
}

impl MadeFromProject {
    pub(super) fn new(project: &OpenProject) -> Self {
        let fit = MadeFrom::new(project.live.fit.as_ref());
        Self { epoch: project.live.epoch, generation: project.gallery.generation, fit }
    }

    /// Whether it was of this project with the model that it has now.
    pub(super) fn is_of_model(&self, project: &OpenProject) -> bool {
        self.epoch == project.live.epoch
    }

    pub(super) fn is(&self, project: &OpenProject) -> bool {
        let (epoch, generation) = (project.live.epoch, project.gallery.generation);
        (self.epoch, self.generation) == (epoch, generation) && self.fit.is(project.live.fit.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_value_is_another_even_at_the_same_place() {
        let mut value = Arc::new(7);
        let made = MadeFrom::new(Some(&value));
        assert!(made.is(Some(&value)) && !made.is(None));
        for _ in 0..100 {
            drop(std::mem::replace(&mut value, Arc::new(7)));
            assert!(!made.is(Some(&value)));
        }
        assert!(MadeFrom::<u8>::new(None).is(None));
    }
}
