//! The monitor's sleep, which ends when a turn begins.

use std::time::Duration;

use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, PoisonError, fence};

/// Lets one thread sleep while it has nothing to do.
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

    /// Ends the sleep. The caller has made work for the thread. While the thread is awake, this
    /// costs next to nothing.
    pub(super) fn wake(&self) {
        // Orders the caller's work before this look at the flag: see `sleep`.
        fence(Ordering::SeqCst);
        if self.is_asleep.load(Ordering::Relaxed) && self.is_asleep.swap(false, Ordering::Relaxed) {
            // The lock ensures that the thread waits already, or has yet to look at the flag.
            drop(self.lock());
            self.changed.notify_one();
        }
    }

    /// Ends the sleep for good.
    pub(super) fn stop(&self) {
        *self.lock() = true;
        self.changed.notify_one();
    }

    /// Sleeps until [`wake`](Self::wake) or [`stop`](Self::stop), unless `is_busy` says that there
    /// is work.
    pub(super) fn sleep(&self, is_busy: impl FnOnce() -> bool) {
        let mut is_stopping = self.lock();
        self.is_asleep.store(true, Ordering::Relaxed);
        // Either this thread sees the work, or the thread that made it sees that this one sleeps.
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

    /// Waits for `duration`, or until [`stop`](Self::stop). Returns whether to go on.
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
