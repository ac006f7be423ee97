//! loom's types, under the names the modelled files know. Every access has the order that stands
//! there.

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, fence};
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};
pub(crate) use std::sync::atomic::Ordering;
pub(crate) use std::sync::{PoisonError, TryLockError};

use std::time::Instant;

/// loom knows no time: nothing but a notification ends a wait.
pub(crate) fn wait_until<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    _: Option<Instant>,
) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap()
}
