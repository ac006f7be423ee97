//! A value that may be used only while a connection exists.

use crate::sync::{PoisonError, RwLock, RwLockReadGuard};

/// A value that exists as long as the connection.
///
/// A send holds the lock for reading, so several threads can send at once. The end of the
/// connection waits for them. It does not wait for the client, because the host makes sends in
/// progress return before it calls `on_disconnect`.
pub(super) struct Gate<T>(RwLock<Option<T>>);

impl<T> Gate<T> {
    pub(super) fn new(value: T) -> Self {
        Self(RwLock::new(Some(value)))
    }

    /// The value, if the connection still exists. It stays valid while the guard lives.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Option<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no reader holds the value, then removes it.
    pub(super) fn shut(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
