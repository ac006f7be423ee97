//! loom's types, under the names the modelled files know. Every access has the order that stands there.

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, fence};
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};
pub(crate) use std::sync::atomic::Ordering;
pub(crate) use std::sync::{PoisonError, TryLockError};
