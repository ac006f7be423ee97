//! Who waits for a client that takes no more: the session, or, while a callback keeps it from that, the
//! flusher.

use crate::sync::{AtomicBool, Ordering};

/// What session and flusher tell each other about one connection.
pub(super) struct Watch {
    is_in_turn: AtomicBool,
    /// The client took less than there was when it was last tried.
    is_pending: AtomicBool,
    /// The flusher has the connection on its list.
    is_scheduled: AtomicBool,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            is_in_turn: AtomicBool::new(false),
            is_pending: AtomicBool::new(false),
            is_scheduled: AtomicBool::new(false),
        }
    }

    /// A callback is about to run. Returns whether the flusher has to be told, since the client has yet
    /// to take something.
    #[must_use]
    pub(super) fn begin_turn(&self) -> bool {
        // Either this sees that the client takes no more, or the flusher, who finds that out, sees
        // the turn.
        self.is_in_turn.store(true, Ordering::SeqCst);
        self.is_pending.load(Ordering::SeqCst)
    }

    pub(super) fn end_turn(&self) {
        self.is_in_turn.store(false, Ordering::Release);
    }

    /// Whether a callback is running, or about to.
    pub(super) fn is_in_turn(&self) -> bool {
        self.is_in_turn.load(Ordering::SeqCst)
    }

    /// Whether the client took all there was. For one thread at a time.
    pub(super) fn set_pending(&self, is_pending: bool) {
        if self.is_pending.load(Ordering::Relaxed) != is_pending {
            self.is_pending.store(is_pending, Ordering::SeqCst);
        }
    }

    /// Whether the flusher still has to be told; afterwards it counts as told, until
    /// [`mark_flushing`](Self::mark_flushing).
    #[must_use]
    pub(super) fn mark_scheduled(&self) -> bool {
        // Who finds it scheduled has queued something before the flusher takes the queue, as both do that
        // under the queue's lock.
        !self.is_scheduled.load(Ordering::Relaxed)
            && !self.is_scheduled.swap(true, Ordering::AcqRel)
    }

    /// The flusher is about to write: of what is queued from now on it has to be told anew.
    pub(super) fn mark_flushing(&self) {
        self.is_scheduled.store(false, Ordering::Release);
    }
}
