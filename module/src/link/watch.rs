//! Who writes what a connection has to send, and waits for its client: the session, or, while a callback
//! keeps it from that, the flusher.
//!
//! Whoever drives the session may watch its turns: then the flusher need not know of one that is short.

use crate::sync::{AtomicBool, Ordering, fence};

/// What session, flusher and whoever watches the turns tell each other about one connection.
pub(super) struct Watch {
    /// Somebody will tell if the turn takes long.
    is_watched: AtomicBool,
    is_in_turn: AtomicBool,
    /// The client took less than there was when it was last tried.
    is_pending: AtomicBool,
    /// The flusher has the connection on its list.
    is_scheduled: AtomicBool,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            is_watched: AtomicBool::new(false),
            is_in_turn: AtomicBool::new(false),
            is_pending: AtomicBool::new(false),
            is_scheduled: AtomicBool::new(false),
        }
    }

    /// A turn begins. `is_watched` tells whether there is somebody who will call
    /// [`lose_sight`](Self::lose_sight) if it takes long, and has not done so yet.
    pub(super) fn begin_watch(&self, is_watched: impl Fn() -> bool) {
        // Not just a store: if `lose_sight` was called before, what happened before it is seen below.
        self.is_watched.swap(true, Ordering::AcqRel);
        if !is_watched() {
            self.is_watched.store(false, Ordering::Relaxed);
        }
    }

    /// The turn takes long and may not be watched any more. Returns whether the flusher has to be told.
    #[must_use]
    pub(super) fn lose_sight(&self) -> bool {
        let was_watched = self.is_watched.swap(false, Ordering::AcqRel);
        // Before the look whether the flusher has been told: see `mark_scheduled`.
        fence(Ordering::SeqCst);
        was_watched
    }

    /// Whether nobody but the one who sends will tell the flusher.
    pub(super) fn is_unwatched(&self) -> bool {
        // Who finds it watched has queued something before the flusher, told of the loss, takes the
        // queue, as both do that under the queue's lock.
        !self.is_watched.load(Ordering::Relaxed)
    }

    /// A callback is about to run. Returns whether the flusher has to be told, since the client has yet
    /// to take something.
    #[must_use]
    pub(super) fn begin_turn(&self) -> bool {
        // Either this sees that the client takes no more, and that nobody will tell, or the flusher, who
        // finds the one out and is told of the other, sees the turn.
        self.is_in_turn.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.is_pending.load(Ordering::Relaxed) && !self.is_watched.load(Ordering::Relaxed)
    }

    pub(super) fn end_turn(&self) {
        self.is_in_turn.store(false, Ordering::Release);
    }

    /// Whether a callback is running, or about to.
    pub(super) fn is_in_turn(&self) -> bool {
        // Between what was found out and this look: see `begin_turn`.
        fence(Ordering::SeqCst);
        self.is_in_turn.load(Ordering::Acquire)
    }

    /// Whether the client took all there was. For one thread at a time.
    pub(super) fn set_pending(&self, is_pending: bool) {
        if self.is_pending.load(Ordering::Relaxed) != is_pending {
            self.is_pending.store(is_pending, Ordering::Relaxed);
        }
    }

    /// Whether the flusher still has to be told; afterwards it counts as told, until
    /// [`mark_flushing`](Self::mark_flushing).
    #[must_use]
    pub(super) fn mark_scheduled(&self) -> bool {
        // Who finds it scheduled has queued something before the flusher takes the queue, as both do that
        // under the queue's lock, or has lost sight of the turn before the flusher looks whether there
        // is one.
        !self.is_scheduled.load(Ordering::Relaxed)
            && !self.is_scheduled.swap(true, Ordering::AcqRel)
    }

    /// The flusher is about to write: of what is queued from now on it has to be told anew.
    pub(super) fn mark_flushing(&self) {
        // Not just a store: what those did who found it scheduled and changed it is seen.
        self.is_scheduled.swap(false, Ordering::AcqRel);
    }
}
