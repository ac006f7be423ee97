//! What threads that interleave in critical ways share is made of these. `module/models` compiles the
//! files that use them with loom's in their place, and tries every interleaving.
//!
//! loom takes `SeqCst` for `AcqRel` in everything but a fence. So those files have no other `SeqCst`: where
//! each of two threads writes something and then looks at what the other has written, a fence stands
//! between the two, or both change the same variable.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
