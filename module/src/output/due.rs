//! Whether callbacks are due that are not for messages.

use crate::sync::{AtomicBool, Ordering};

/// Set when a callback is due that is not for a message.
///
/// Who sets it first makes the callback due, under a lock, and afterwards wakes the session, unless
/// it is the session. The session looks at the end of each turn, and at the beginning of the next.
#[derive(Debug, Default)]
pub(crate) struct Due(AtomicBool);

impl Due {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether something is due.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether something is due, which the caller then looks for.
    #[inline]
    pub(crate) fn take(&self) -> bool {
        self.is_set() && self.0.swap(false, Ordering::AcqRel)
    }
}
