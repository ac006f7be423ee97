//! The locks of [`Sender`](crate::Sender)'s gate and of the mailboxes of async plugins.
//! `module/models` compiles them with loom's locks instead and tries every interleaving of their
//! threads.

#[cfg(feature = "tokio")]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::sync::{PoisonError, RwLock, RwLockReadGuard};
