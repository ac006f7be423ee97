//! The rule that turns never overlap and none is forgotten.

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};

/// What turns are taken of, by one thread at a time, and whether another is due.
///
/// ```text
///            woken               begin            end
///   Resting -------> Queued (taken) -----> Running -----> Resting, or Queued if it was woken meanwhile
/// ```
///
/// Who wakes it changes something first; who takes a turn looks for changes after
/// [`mark_taken`](Self::mark_taken) and [`begin`](Self::begin). So there is always a turn after the last
/// change.
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

    /// It was taken from the queue: what happens from now on asks for another turn.
    pub(super) fn mark_taken(&self) {
        self.is_queued.store(false, Ordering::Release);
    }

    /// From now on turns are taken of `life`. The first has to be asked for.
    pub(super) fn start(&self, life: T) {
        self.lock().life = Some(life);
    }

    /// Begins a turn, unless one is going on: that will be followed by another. A turn that is not
    /// [ended](Self::end) is the last.
    pub(super) fn begin(&self) -> Option<T> {
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
