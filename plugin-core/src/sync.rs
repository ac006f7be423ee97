//! What [`Sender`](crate::Sender)'s gate is made of. `module/models` compiles it with loom's in their
//! place, and tries every way threads can interleave.

pub(crate) use std::sync::{PoisonError, RwLock, RwLockReadGuard};
