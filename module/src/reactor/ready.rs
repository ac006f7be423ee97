//! The work of a loop: connections that are to take a turn, and outputs that are to be written.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};

/// Something that stands in a queue once at most.
pub(super) trait Queued {
    /// Whether the caller has to put it into a queue. From then on it counts as queued until its
    /// turn begins.
    fn mark_queued(&self) -> bool;

    /// Whether it is heavy rather than light: its next turn lets others go first (`weight.rs`).
    fn is_heavy(&self) -> bool;
}

/// Queues that any thread adds to, and the wait of the thread that takes from them.
///
/// Connections have two lanes, so that the light ones do not queue behind the heavy ones. Outputs
/// to write (`O`) have a lane of their own. The same lock protects what a loop needs whenever it
/// fills the queues (`M`).
pub(super) struct Ready<T, O, M> {
    /// The thread that runs the loop waits, or is about to.
    is_waiting: AtomicBool,
    /// Whether the heavy lane may hold something. A hint: the loop may see late what another thread
    /// has put, but sees it when its next wait begins at the latest.
    has_heavy: AtomicBool,
    /// The same for the outputs.
    has_outputs: AtomicBool,
    queue: Mutex<Queue<T, O, M>>,
}

/// The queues themselves, behind the lock.
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

    /// Begins a wait. Returns whether the wait may last because there is no work. A thread that
    /// adds work then interrupts it.
    pub(super) fn begin_wait(&self) -> bool {
        // Set before the look into the queue. A thread that adds something after that look sees the
        // flag, because both take the lock in between.
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

    /// Whether the loop waits, and the caller has to interrupt it so that it notices a change. The
    /// change was made before this call, under a lock that the loop takes before it waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    /// Adds a connection. Returns whether the caller has to interrupt the loop.
    #[must_use]
    pub(super) fn put(&self, item: &Arc<T>) -> bool {
        self.put_locked(&mut self.lock().lanes, item);
        self.is_waiting()
    }

    /// Adds a connection with the lock held. Returns `false` if the connection is queued already.
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

    /// Adds an output to write. Returns whether the caller has to interrupt the loop.
    #[must_use]
    pub(super) fn put_output(&self, output: &Arc<O>) -> bool {
        self.lock().outputs.push_back(Arc::clone(output));
        self.has_outputs.store(true, Ordering::Relaxed);
        self.is_waiting()
    }

    /// Takes the next light connection.
    pub(super) fn take_light(&self) -> Option<Arc<T>> {
        self.lock().lanes.take_light()
    }

    /// Whether there may be heavy connections.
    pub(super) fn has_heavy(&self) -> bool {
        self.has_heavy.load(Ordering::Relaxed)
    }

    /// Takes the next heavy connection.
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

    /// Moves up to `most` outputs into `outputs`, the oldest first. Returns whether there were any.
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
    /// The number of light connections that wait.
    pub(super) fn light(&self) -> usize {
        self.light.len()
    }

    /// Takes the next light connection.
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
