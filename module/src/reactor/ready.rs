//! What a loop has to do: whose turn it is, and what is to be written.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};

/// What can be put into a queue, where it stands once at most.
pub(super) trait Queued {
    /// Whether it still has to be put into the queue; afterwards it counts as put until its turn
    /// begins.
    fn mark_queued(&self) -> bool;

    /// Whether its last turn took long.
    fn is_heavy(&self) -> bool;
}

/// Queues that any thread puts into, and the wait of the thread that takes.
///
/// Connections have two lanes: those whose last turn was short do not queue behind those whose
/// turns take long. What is to be written (`O`) has a lane of its own. Behind the same lock is what
/// a loop needs whenever it fills the queues (`M`).
pub(super) struct Ready<T, O, M> {
    /// The thread that runs the loop is waiting, or about to.
    is_waiting: AtomicBool,
    /// There may be something in a lane other than the light one. A hint: what another thread puts
    /// may be seen late, but not later than the next wait begins.
    has_heavy: AtomicBool,
    has_outputs: AtomicBool,
    queue: Mutex<Queue<T, O, M>>,
}

/// The queues themselves, locked.
pub(super) struct Queue<T, O, M> {
    pub(super) lanes: Lanes<T>,
    outputs: VecDeque<Arc<O>>,
    pub(super) members: M,
}

/// The queues of connections.
pub(super) struct Lanes<T> {
    light: VecDeque<Arc<T>>,
    heavy: VecDeque<Arc<T>>,
    /// The connection that was taken last.
    current: Option<Arc<T>>,
}

impl<T: Queued, O, M> Ready<T, O, M> {
    pub(super) fn new(members: M) -> Self {
        Self {
            is_waiting: AtomicBool::new(false),
            has_heavy: AtomicBool::new(false),
            has_outputs: AtomicBool::new(false),
            queue: Mutex::new(Queue {
                lanes: Lanes {
                    light: VecDeque::new(),
                    heavy: VecDeque::new(),
                    current: None,
                },
                outputs: VecDeque::new(),
                members,
            }),
        }
    }

    /// Begins a wait. Returns whether there is nothing to do, so that it may last: it is
    /// interrupted when something is put.
    pub(super) fn begin_wait(&self) -> bool {
        // Before the look into the queue: who puts something after it sees that there is a wait, as
        // both take the lock in between.
        self.is_waiting.store(true, Ordering::Relaxed);
        let queue = self.lock();
        let has_heavy = !queue.lanes.heavy.is_empty();
        let has_outputs = !queue.outputs.is_empty();
        self.has_heavy.store(has_heavy, Ordering::Relaxed);
        self.has_outputs.store(has_outputs, Ordering::Relaxed);
        queue.lanes.light.is_empty() && !has_heavy && !has_outputs
    }

    pub(super) fn end_wait(&self) {
        self.is_waiting.store(false, Ordering::Relaxed);
    }

    /// Whether the loop has to be interrupted to learn of what was done before this call, under a
    /// lock that the loop takes before it waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    /// Puts a connection. Returns whether the loop has to be interrupted.
    #[must_use]
    pub(super) fn put(&self, item: &Arc<T>) -> bool {
        self.put_locked(&mut self.lock().lanes, item);
        self.is_waiting()
    }

    /// The same for one of several. Returns whether it was put: it may stand in a queue already.
    pub(super) fn put_locked(&self, lanes: &mut Lanes<T>, item: &Arc<T>) -> bool {
        if !item.mark_queued() {
            return false;
        }
        if item.is_heavy() {
            lanes.heavy.push_back(Arc::clone(item));
            self.has_heavy.store(true, Ordering::Relaxed);
        } else {
            lanes.light.push_back(Arc::clone(item));
        }
        true
    }

    /// Puts something to be written. Returns whether the loop has to be interrupted.
    #[must_use]
    pub(super) fn put_output(&self, output: &Arc<O>) -> bool {
        self.lock().outputs.push_back(Arc::clone(output));
        self.has_outputs.store(true, Ordering::Relaxed);
        self.is_waiting()
    }

    /// Takes the next of those whose last turn was short.
    pub(super) fn take_light(&self) -> Option<Arc<T>> {
        self.lock().lanes.take_light()
    }

    /// Whether there may be some whose last turn took long.
    pub(super) fn has_heavy(&self) -> bool {
        self.has_heavy.load(Ordering::Relaxed)
    }

    /// Takes the next of those whose last turn took long.
    pub(super) fn take_heavy(&self) -> Option<Arc<T>> {
        if !self.has_heavy.load(Ordering::Relaxed) {
            return None;
        }
        let lanes = &mut self.lock().lanes;
        let item = lanes.heavy.pop_front();
        self.has_heavy
            .store(!lanes.heavy.is_empty(), Ordering::Relaxed);
        lanes.take(item)
    }

    /// Moves some of what is to be written into `outputs`, those that were put first. Returns
    /// whether there is any.
    pub(super) fn take_outputs(&self, outputs: &mut Vec<Arc<O>>, most: usize) -> bool {
        if !self.has_outputs.load(Ordering::Relaxed) {
            return false;
        }
        let mut queue = self.lock();
        let taken = queue.outputs.len().min(most);
        outputs.extend(queue.outputs.drain(..taken));
        self.has_outputs
            .store(!queue.outputs.is_empty(), Ordering::Relaxed);
        taken > 0
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Queue<T, O, M>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Queued> Lanes<T> {
    /// How many wait whose last turn was short.
    pub(super) fn light(&self) -> usize {
        self.light.len()
    }

    /// Takes the next of those whose last turn was short.
    pub(super) fn take_light(&mut self) -> Option<Arc<T>> {
        let item = self.light.pop_front();
        self.take(item)
    }

    pub(super) fn current(&self) -> Option<&Arc<T>> {
        self.current.as_ref()
    }

    fn take(&mut self, item: Option<Arc<T>>) -> Option<Arc<T>> {
        self.current.clone_from(&item);
        item
    }
}

#[cfg(test)]
mod tests {
    use super::{Queued, Ready};
    use std::sync::Arc;

    struct Connection {
        is_heavy: bool,
    }

    impl Queued for Connection {
        fn mark_queued(&self) -> bool {
            true
        }

        fn is_heavy(&self) -> bool {
            self.is_heavy
        }
    }

    #[test]
    fn heavy_turns_are_due_until_the_last_is_taken() {
        let ready = Ready::<Connection, (), ()>::new(());
        let [light, heavy] = [false, true].map(|is_heavy| Arc::new(Connection { is_heavy }));
        for connection in [&heavy, &light, &heavy] {
            assert!(!ready.put(connection), "nobody waits");
        }
        assert!(ready.take_light().is_some());
        assert!(ready.take_light().is_none());
        assert!(ready.take_heavy().is_some());
        assert!(ready.has_heavy());
        assert!(ready.take_heavy().is_some());
        assert!(!ready.has_heavy());
        assert!(ready.begin_wait());
    }

    #[test]
    fn what_is_to_be_written_keeps_a_loop_from_waiting() {
        let ready = Ready::<Connection, u32, ()>::new(());
        for number in 0..3 {
            assert!(!ready.put_output(&Arc::new(number)));
        }
        let mut outputs = Vec::new();
        assert!(ready.take_outputs(&mut outputs, 2));
        assert!(!ready.begin_wait());
        assert!(ready.take_outputs(&mut outputs, 2));
        assert!(!ready.take_outputs(&mut outputs, 2));
        assert!(ready.begin_wait());
        let numbers: Vec<_> = outputs.into_iter().map(|number| *number).collect();
        assert_eq!(numbers, [0, 1, 2]);
    }
}
