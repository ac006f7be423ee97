//! What threads that interleave in critical ways share is made of these. `module/models` compiles
//! the files that use them with loom's in their place, and tries every interleaving.
//!
//! loom takes `SeqCst` for `AcqRel` in everything but a fence. So those files have no other
//! `SeqCst`: where each of two threads writes something and then looks at what the other has
//! written, a fence stands between the two, or both change the same variable.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

use std::time::Instant;

/// Waits for `condvar` until this moment; `None`: for as long as it takes. It may return early.
pub(crate) fn wait_until<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    until: Option<Instant>,
) -> MutexGuard<'a, T> {
    let Some(until) = until else {
        return condvar.wait(guard).unwrap_or_else(PoisonError::into_inner);
    };
    let left = until.saturating_duration_since(Instant::now());
    let waited = condvar.wait_timeout(guard, left);
    waited.unwrap_or_else(PoisonError::into_inner).0
}
