//! The memory of connections that are closed while a thread of the MPM may still write to it.
//!
//! What a connection holds besides memory is given back at once: its descriptor, and its place in
//! the MPM's count, for which a child that stops waits. The memory follows when the thread has gone
//! on, or stays: no time that passes proves anything.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::sys;
use super::thread::MpmThread;

/// What is left of a connection.
struct Remains {
    pool: *mut sys::apr_pool_t,
    thread: MpmThread,
}

// SAFETY: the pool is only used by whoever has taken the value out of `REMAINS`; the thread's place
// in the scoreboard is for all.
unsafe impl Send for Remains {}

/// At most one for each thread of the MPM, and those that are about to be freed.
static REMAINS: Mutex<Vec<Remains>> = Mutex::new(Vec::new());

/// Ends all that `pool`, a connection's, holds; frees its memory when `thread` has gone on.
///
/// # Safety
///
/// The pool is live and that of a connection of the event MPM, which has been handed over by
/// `thread`. Nobody uses it or the connection from now on, but for that thread's last writes.
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
        // SAFETY: nobody else has or uses the pool: `bury`, and the thread has gone on.
        unsafe { sys::apr_pool_destroy(pool) };
    }
}

/// Runs the clean-ups of the pool. Its memory stays what it is: that of a connection has an
/// allocator of its own (event.c, `listener_thread`), which keeps everything.
unsafe fn empty(pool: *mut sys::apr_pool_t) {
    // SAFETY: the caller vouches for the pool. A lock of the allocator might be among what the
    // clean-ups destroy; nobody needs it any more.
    unsafe {
        let allocator = sys::apr_pool_allocator_get(pool);
        if sys::apr_allocator_owner_get(allocator) != pool {
            // Then others would get the memory. This is not the MPM this was written for.
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
