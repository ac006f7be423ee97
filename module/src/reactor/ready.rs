//! The queue of a loop: whose turn it is.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};

/// What can be put into a queue, where it stands once at most.
pub(super) trait Queued {
    /// Whether it still has to be put into the queue; afterwards it counts as put until its turn begins.
    fn mark_queued(&self) -> bool;

    /// Whether its last turn took long.
    fn is_heavy(&self) -> bool;
}

/// A queue that any thread puts into, and the wait of the thread that takes.
///
/// It has two lanes: those whose last turn was short do not queue behind those whose turns take long.
pub(super) struct Ready<T> {
    /// The thread that runs the loop is waiting, or about to.
    is_waiting: AtomicBool,
    queue: Mutex<Queue<T>>,
}

/// The queue itself, locked.
pub(super) struct Queue<T> {
    light: VecDeque<Arc<T>>,
    heavy: VecDeque<Arc<T>>,
    /// What was taken last.
    current: Option<Arc<T>>,
}

impl<T: Queued> Ready<T> {
    pub(super) fn new() -> Self {
        Self {
            is_waiting: AtomicBool::new(false),
            queue: Mutex::new(Queue {
                light: VecDeque::new(),
                heavy: VecDeque::new(),
                current: None,
            }),
        }
    }

    /// Begins a wait. Returns whether there is nothing in the queue, so that it may last: it is
    /// interrupted when something is put.
    pub(super) fn begin_wait(&self) -> bool {
        // Before the look into the queue: who puts something after it sees that there is a wait, as both
        // take the lock in between.
        self.is_waiting.store(true, Ordering::Relaxed);
        let queue = self.lock();
        queue.light.is_empty() && queue.heavy.is_empty()
    }

    pub(super) fn end_wait(&self) {
        self.is_waiting.store(false, Ordering::Relaxed);
    }

    /// Whether the loop has to be interrupted to learn of what was done before this call, under a lock
    /// that the loop takes before it waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    /// Returns whether the loop has to be interrupted.
    #[must_use]
    pub(super) fn put(&self, item: &Arc<T>) -> bool {
        self.lock().put(item);
        self.is_waiting()
    }

    /// Takes the next of those whose last turn was short.
    pub(super) fn take_light(&self) -> Option<Arc<T>> {
        let mut queue = self.lock();
        let item = queue.light.pop_front();
        queue.take(item)
    }

    /// Takes the next of those whose last turn took long.
    pub(super) fn take_heavy(&self) -> Option<Arc<T>> {
        let mut queue = self.lock();
        let item = queue.heavy.pop_front();
        queue.take(item)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Queued> Queue<T> {
    pub(super) fn put(&mut self, item: &Arc<T>) {
        if item.mark_queued() {
            let lane = if item.is_heavy() {
                &mut self.heavy
            } else {
                &mut self.light
            };
            lane.push_back(Arc::clone(item));
        }
    }

    /// How many wait whose last turn was short.
    pub(super) fn light(&self) -> usize {
        self.light.len()
    }

    pub(super) fn current(&self) -> Option<&Arc<T>> {
        self.current.as_ref()
    }

    fn take(&mut self, item: Option<Arc<T>>) -> Option<Arc<T>> {
        self.current.clone_from(&item);
        item
    }
}
