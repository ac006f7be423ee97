//! What threads that interleave in critical ways share is made of these. `module/models` compiles the
//! files that use them with loom's in their place, and tries every interleaving.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
