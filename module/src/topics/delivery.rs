//! How far a child has delivered what is in the log.

use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How far messages were delivered, and who does it.
pub(super) struct Delivery {
    /// The number of the last message that was. Locked while messages are delivered.
    pub(super) delivered: Mutex<u64>,
    /// How often delivery was asked for and is not done. Whoever makes this more than zero delivers,
    /// until it is zero again.
    pub(super) asked: AtomicU32,
    /// Whoever delivered has left the rest to the thread that is there for that.
    pub(super) is_left: AtomicBool,
}

impl Delivery {
    /// What was published up to the message with this number concerns nobody.
    pub(super) fn new(newest: u64) -> Self {
        Self {
            delivered: Mutex::new(newest),
            asked: AtomicU32::new(0),
            is_left: AtomicBool::new(false),
        }
    }

    /// Keeps messages from being delivered meanwhile.
    pub(super) fn pause(&self) -> MutexGuard<'_, u64> {
        self.delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
