//! Threads that check something now and then, until they are told to end.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::httpd::guard::guard;
use crate::httpd::thread::spawn;

/// A thread that checks something now and then.
pub(super) struct Watch {
    over: Arc<Over>,
    thread: JoinHandle<()>,
}

/// Tells the thread to end. The thread waits for it between two checks.
#[derive(Default)]
pub(super) struct Over {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Watch {
    /// Starts a thread with this name that runs `look`.
    ///
    /// # Errors
    ///
    /// When the process can have no more threads.
    pub(super) fn start(
        name: &'static str,
        look: impl FnOnce(&Over) + Send + 'static,
    ) -> io::Result<Self> {
        let over = Arc::new(Over::default());
        let waited_for = Arc::clone(&over);
        let thread = spawn(Builder::new().name(name.into()), move || {
            guard(name, (), || look(&waited_for));
        })?;
        Ok(Self { over, thread })
    }

    /// Ends the thread and waits for it.
    pub(super) fn end(self) {
        *self.over.lock() = true;
        self.over.changed.notify_all();
        // A join fails only if the thread panicked, and then it has ended too.
        let _ = self.thread.join();
    }
}

impl Over {
    /// Waits for `limit` at most. Returns whether the thread has to end.
    pub(super) fn wait(&self, limit: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), limit, |is_set| !*is_set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
