//! Whether a plugin has paused its connection.

use crate::sync::{AtomicBool, Ordering};

/// Set while a plugin wants no messages of the client.
///
/// Whoever lifts the pause wakes the session after that. The session looks at the pause in each
/// turn, so a turn that saw the pause too late is followed by one that does not see it.
#[derive(Debug, Default)]
pub(crate) struct Pause(AtomicBool);

impl Pause {
    /// Begins the pause, unless there is one.
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Ends the pause. Returns whether there was one; the caller then has to wake the session.
    #[must_use]
    pub(crate) fn lift(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }

    /// Whether there is a pause.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
