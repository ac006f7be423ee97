//! What may be used only as long as a connection exists.

use crate::sync::{PoisonError, RwLock, RwLockReadGuard};

/// A value while the connection exists.
///
/// A send holds the lock for reading, so several threads send at once. The connection's end waits for
/// them; it does not wait for the client, as the host makes sends under way return before it calls
/// `on_disconnect`.
pub(super) struct Gate<T>(RwLock<Option<T>>);

impl<T> Gate<T> {
    pub(super) fn new(value: T) -> Self {
        Self(RwLock::new(Some(value)))
    }

    /// The value, if the connection exists; it then stays valid as long as the guard lives.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Option<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody reads the value any more and sees to it that nobody will.
    pub(super) fn shut(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
