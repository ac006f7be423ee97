//! The rule that turns never overlap and none is forgotten.

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};

/// What turns are taken of, by one thread at a time, and whether another is due.
///
/// ```text
///           woken           begin            end
///   Resting ------> Queued -------> Running -----> Resting, or Queued if it was woken meanwhile
/// ```
///
/// It counts as queued until a turn begins, however many queues it goes through until then. Who
/// wakes it changes something first; who takes a turn looks for changes after
/// [`begin`](Self::begin). So there is always a turn after the last change.
pub(super) struct RunState<T> {
    is_queued: AtomicBool,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Absent during a turn, before the start, and at the end.
    life: Option<T>,
    /// Something happened during the turn that is going on.
    is_due: bool,
}

impl<T> RunState<T> {
    /// Without anything to take a turn of yet.
    pub(super) fn new() -> Self {
        Self {
            is_queued: AtomicBool::new(false),
            state: Mutex::new(State {
                life: None,
                is_due: false,
            }),
        }
    }

    /// Whether it still has to be put into a queue; afterwards it counts as put.
    pub(super) fn mark_queued(&self) -> bool {
        !self.is_queued.swap(true, Ordering::AcqRel)
    }

    /// From now on turns are taken of `life`. The first has to be asked for.
    pub(super) fn start(&self, life: T) {
        self.lock().life = Some(life);
    }

    /// For whoever has taken it from the queue: begins a turn, unless one is going on, which will
    /// be followed by another. What happens from now on asks for one more turn. A turn that is not
    /// [ended](Self::end) is the last.
    pub(super) fn begin(&self) -> Option<T> {
        // Not just a store: the turn has to see what those did who found it queued.
        self.is_queued.swap(false, Ordering::AcqRel);
        let mut state = self.lock();
        let life = state.life.take();
        state.is_due = life.is_none();
        life
    }

    /// Ends a turn. Returns whether another is due.
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
        // However often it is woken while it waits for a thread.
        assert!(!state.mark_queued());
        let life = state.begin().unwrap();
        assert!(state.mark_queued(), "woken during the turn");
        assert!(state.begin().is_none(), "turns do not overlap");
        assert!(state.end(life), "another is due");
    }
}
