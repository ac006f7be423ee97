//! The sleep of the monitor, which ends when a turn begins.

use std::time::Duration;

use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, PoisonError, fence};

/// Puts one thread to sleep while there is nothing to do for it.
pub(super) struct Doze {
    is_asleep: AtomicBool,
    is_stopping: Mutex<bool>,
    changed: Condvar,
}

impl Doze {
    pub(super) fn new() -> Self {
        Self {
            is_asleep: AtomicBool::new(false),
            is_stopping: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    /// To be called when there is something to do. Costs next to nothing while the thread is awake.
    pub(super) fn wake(&self) {
        // Between what there is to do and this look: see `sleep`.
        fence(Ordering::SeqCst);
        if self.is_asleep.load(Ordering::Relaxed) && self.is_asleep.swap(false, Ordering::Relaxed) {
            // The lock makes sure that the thread is waiting, or has not looked yet.
            drop(self.lock());
            self.changed.notify_one();
        }
    }

    /// Ends the sleep for good.
    pub(super) fn stop(&self) {
        *self.lock() = true;
        self.changed.notify_one();
    }

    /// Sleeps until [`wake`](Self::wake) or [`stop`](Self::stop), unless `is_busy`.
    pub(super) fn sleep(&self, is_busy: impl FnOnce() -> bool) {
        let mut is_stopping = self.lock();
        self.is_asleep.store(true, Ordering::Relaxed);
        // Either this sees that there is something to do, or who brought it sees that the thread
        // sleeps.
        fence(Ordering::SeqCst);
        if is_busy() {
            self.is_asleep.store(false, Ordering::Relaxed);
        }
        while self.is_asleep.load(Ordering::Relaxed) && !*is_stopping {
            is_stopping = self
                .changed
                .wait(is_stopping)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for so long, or for [`stop`](Self::stop). Returns whether to go on.
    pub(super) fn pause(&self, duration: Duration) -> bool {
        let mut is_stopping = self.lock();
        if !*is_stopping {
            is_stopping = self
                .changed
                .wait_timeout(is_stopping, duration)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        !*is_stopping
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_stopping
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
