//! The memory of closed connections to which a thread of the MPM may still write.
//!
//! A connection's other resources are given back at once: its descriptor, and its place in the
//! MPM's count of connections, for which a stopping child waits. Its memory is freed when that
//! thread has provably gone on. If that never shows, it stays: no time that passes proves anything.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::sys;
use super::thread::MpmThread;

/// What is left of a connection.
struct Remains {
    pool: *mut sys::apr_pool_t,
    thread: MpmThread,
}

// SAFETY: only the thread that has taken the value out of `REMAINS` uses the pool. Any thread may
// read the MPM thread's place in the scoreboard.
unsafe impl Send for Remains {}

/// At most one for each thread of the MPM, and those that are about to be freed.
static REMAINS: Mutex<Vec<Remains>> = Mutex::new(Vec::new());

/// Runs the clean-ups of `pool`, the pool of a connection. Frees its memory when `thread` has gone
/// on.
///
/// # Safety
///
/// The pool is live, and that of a connection of the event MPM which `thread` has handed over. From
/// now on only that thread uses the pool or the connection, for its last writes.
pub(super) unsafe fn bury(pool: *mut sys::apr_pool_t, thread: MpmThread) {
    if thread.has_gone_on() {
        // SAFETY: the caller vouches for the pool.
        unsafe { sys::apr_pool_destroy(pool) };
    } else {
        // SAFETY: as above.
        unsafe { empty(pool) };
        lock().push(Remains { pool, thread });
    }
    free();
}

/// Frees the memory of connections whose thread has gone on.
pub(super) fn free() {
    let mut remains = lock();
    let all = mem::take(&mut *remains);
    let (free, rest): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|remains| remains.thread.has_gone_on());
    *remains = rest;
    drop(remains);
    for Remains { pool, .. } in free {
        // SAFETY: nobody else uses the pool: the caller of `bury` guarantees it, and the thread has
        // gone on.
        unsafe { sys::apr_pool_destroy(pool) };
    }
}

/// Runs the clean-ups of the pool. Its memory stays in place, because the pool of a connection has
/// an allocator of its own (event.c, `listener_thread`), which keeps all of it.
unsafe fn empty(pool: *mut sys::apr_pool_t) {
    // SAFETY: the caller vouches for the pool. The clean-ups may destroy a lock of the allocator,
    // which is removed first; nobody needs it any more.
    unsafe {
        let allocator = sys::apr_pool_allocator_get(pool);
        if sys::apr_allocator_owner_get(allocator) != pool {
            // Other pools share the allocator and would get the memory. This is not the MPM that
            // this was written for.
            return;
        }
        sys::apr_allocator_mutex_set(allocator, std::ptr::null_mut());
        sys::apr_allocator_max_free_set(allocator, UNLIMITED);
        sys::apr_pool_clear(pool);
    }
}

/// `APR_ALLOCATOR_MAX_FREE_UNLIMITED`.
const UNLIMITED: usize = 0;

fn lock() -> MutexGuard<'static, Vec<Remains>> {
    REMAINS.lock().unwrap_or_else(PoisonError::into_inner)
}
