//! The locks of [`Sender`](crate::Sender)'s gate. `module/models` compiles the gate with loom's
//! locks instead and tries every interleaving of its threads.

pub(crate) use std::sync::{PoisonError, RwLock, RwLockReadGuard};
