//! The queue of a loop: whose turn it is.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};

/// What can be put into a queue, where it stands once at most.
pub(super) trait Queued {
    /// Whether it still has to be put into the queue; afterwards it counts as put.
    fn mark_queued(&self) -> bool;

    /// It was taken from the queue.
    fn mark_taken(&self);
}

/// A queue that any thread puts into, and the wait of the thread that takes.
pub(super) struct Ready<T> {
    /// The thread that runs the loop is waiting, or about to.
    is_waiting: AtomicBool,
    queue: Mutex<Queue<T>>,
}

/// The queue itself, locked.
pub(super) struct Queue<T> {
    waiting: VecDeque<Arc<T>>,
    /// What was taken last.
    current: Option<Arc<T>>,
}

impl<T: Queued> Ready<T> {
    pub(super) fn new() -> Self {
        Self {
            is_waiting: AtomicBool::new(false),
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                current: None,
            }),
        }
    }

    /// Begins a wait. Returns whether there is nothing in the queue, so that it may last: it is
    /// interrupted when something is put.
    pub(super) fn begin_wait(&self) -> bool {
        // Before the look into the queue: who puts something after it sees that there is a wait.
        self.is_waiting.store(true, Ordering::SeqCst);
        self.lock().waiting.is_empty()
    }

    pub(super) fn end_wait(&self) {
        self.is_waiting.store(false, Ordering::SeqCst);
    }

    /// Whether the loop has to be interrupted to learn of what was done before this call.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::SeqCst)
    }

    /// Returns whether the loop has to be interrupted.
    #[must_use]
    pub(super) fn put(&self, item: &Arc<T>) -> bool {
        self.lock().put(item);
        self.is_waiting()
    }

    pub(super) fn take(&self) -> Option<Arc<T>> {
        let mut queue = self.lock();
        queue.current = queue.waiting.pop_front();
        if let Some(item) = &queue.current {
            item.mark_taken();
        }
        queue.current.clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Queued> Queue<T> {
    pub(super) fn put(&mut self, item: &Arc<T>) {
        if item.mark_queued() {
            self.waiting.push_back(Arc::clone(item));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn current(&self) -> Option<&Arc<T>> {
        self.current.as_ref()
    }
}
