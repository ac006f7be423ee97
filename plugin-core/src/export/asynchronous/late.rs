//! The connections that have ended, and whose tasks have not completed.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// A task that can be hurried.
pub(super) trait Hurry: Send + Sync {
    /// Has the task come to its last callback.
    fn hurry(&self);

    /// The same, and this thread runs the task until it waits again, within the runtime. So what
    /// the task holds is freed at once, unless another thread runs it.
    fn give_up(&self);
}

/// So many tasks may be left in a process. Each has ten seconds for its last callback, so clients
/// that connect and go again and again would otherwise occupy memory without a limit.
pub(super) const MOST: usize = 8192;

/// Tasks that have not completed although their connections have ended.
pub(super) struct Late {
    tasks: Mutex<BTreeMap<usize, Weak<dyn Hurry>>>,
    none: Condvar,
}

/// A task that is counted until this is dropped.
pub(super) struct Entry<L: Deref<Target = Late>> {
    late: L,
    key: usize,
}

impl Late {
    pub(super) const fn new() -> Self {
        Self {
            tasks: Mutex::new(BTreeMap::new()),
            none: Condvar::new(),
        }
    }

    /// Whether so many tasks have not completed that no connection may begin.
    pub(super) fn are_too_many(&self) -> bool {
        self.tasks().len() >= MOST
    }

    /// Waits until all tasks have completed. Hurries them when half of the time is over, so that
    /// each of them has time for its last callback. Returns how many have not completed in time.
    pub(super) fn wait(&self, most: Duration) -> usize {
        let end = Instant::now() + most;
        if self.wait_until(end - most / 2) > 0 {
            let tasks: Vec<_> = self.tasks().values().filter_map(Weak::upgrade).collect();
            for task in tasks {
                task.hurry();
            }
        }
        self.wait_until(end)
    }

    fn wait_until(&self, end: Instant) -> usize {
        let most = end.saturating_duration_since(Instant::now());
        let waited = self
            .none
            .wait_timeout_while(self.tasks(), most, |tasks| !tasks.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.len()
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<usize, Weak<dyn Hurry>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Deref<Target = Late>> Entry<L> {
    /// Counts a task, which has an address of its own.
    pub(super) fn new(late: L, task: Weak<dyn Hurry>) -> Self {
        let key = task.as_ptr().addr();
        late.tasks().insert(key, task);
        Self { late, key }
    }
}

impl<L: Deref<Target = Late>> Drop for Entry<L> {
    fn drop(&mut self) {
        let mut tasks = self.late.tasks();
        let task = tasks.remove(&self.key);
        if tasks.is_empty() {
            self.late.none.notify_all();
        }
        drop(tasks);
        drop(task);
    }
}
