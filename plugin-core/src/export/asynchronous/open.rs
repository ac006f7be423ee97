//! The connections whose tasks have not completed.

use std::ops::Deref;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts tasks.
pub(super) struct Open {
    count: Mutex<usize>,
    none: Condvar,
}

/// A task that is counted until this is dropped.
pub(super) struct Entry<O: Deref<Target = Open>>(O);

impl Open {
    pub(super) const fn new() -> Self {
        Self {
            count: Mutex::new(0),
            none: Condvar::new(),
        }
    }

    /// Waits until all tasks have completed. Returns how many have not in that time.
    pub(super) fn wait(&self, most: Duration) -> usize {
        let waited = self
            .none
            .wait_timeout_while(self.count(), most, |count| *count > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: Deref<Target = Open>> Entry<O> {
    pub(super) fn of(open: O) -> Self {
        *open.count() += 1;
        Self(open)
    }
}

impl<O: Deref<Target = Open>> Drop for Entry<O> {
    fn drop(&mut self) {
        let mut count = self.0.count();
        *count -= 1;
        if *count == 0 {
            self.0.none.notify_all();
        }
    }
}
