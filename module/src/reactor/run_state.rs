//! Keeps turns from overlapping, and forgets none.

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};

/// Something that takes turns, on one thread at a time, and whether another turn is due.
///
/// ```text
///           woken           begin            end
///   Resting ------> Queued -------> Running -----> Resting, or Queued if it was woken meanwhile
/// ```
///
/// It counts as queued until a turn begins, even if it passes through several queues. A thread that
/// wakes it first makes its change. A thread that takes a turn looks for changes after
/// [`begin`](Self::begin). So a turn always follows the last change.
pub(super) struct RunState<T> {
    is_queued: AtomicBool,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Absent during a turn, before the start, and at the end.
    life: Option<T>,
    /// Something happened during the current turn.
    is_due: bool,
}

impl<T> RunState<T> {
    /// Nothing takes turns until [`start`](Self::start).
    pub(super) fn new() -> Self {
        Self {
            is_queued: AtomicBool::new(false),
            state: Mutex::new(State {
                life: None,
                is_due: false,
            }),
        }
    }

    /// Whether the caller has to put it into a queue. From then on it counts as queued.
    pub(super) fn mark_queued(&self) -> bool {
        !self.is_queued.swap(true, Ordering::AcqRel)
    }

    /// From now on `life` takes turns. The caller has to ask for the first one.
    pub(super) fn start(&self, life: T) {
        self.lock().life = Some(life);
    }

    /// Begins a turn, after the caller has taken it from the queue. If another turn is running,
    /// returns `None`, and one more turn follows that one. Changes from now on ask for one more
    /// turn. A turn that is not [ended](Self::end) is the last.
    pub(super) fn begin(&self) -> Option<T> {
        // A swap and not a store, so that the turn sees what the threads did that found it queued.
        self.is_queued.swap(false, Ordering::AcqRel);
        let mut state = self.lock();
        let life = state.life.take();
        state.is_due = life.is_none();
        life
    }

    /// Ends a turn. Returns whether another turn is due.
    pub(super) fn end(&self, life: T) -> bool {
        let mut state = self.lock();
        state.life = Some(life);
        std::mem::take(&mut state.is_due)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::RunState;

    #[test]
    fn it_stands_in_one_queue_until_its_turn_begins() {
        let state = RunState::new();
        state.start("life");
        assert!(state.mark_queued());
        // It stays queued, however often it is woken while it waits for a thread.
        assert!(!state.mark_queued());
        let life = state.begin().unwrap();
        assert!(state.mark_queued(), "woken during the turn");
        assert!(state.begin().is_none(), "turns do not overlap");
        assert!(state.end(life), "another is due");
    }
}
