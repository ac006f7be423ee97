//! The memory of a connection while a plugin serves it.

use std::io;
use std::ptr;

use super::stream::check;
use super::sys;

/// The default kind of APR mutex, as the unsigned number its function takes.
const MUTEX_KIND: u32 = sys::APR_THREAD_MUTEX_DEFAULT.unsigned_abs();

/// As long as it lives, the memory of a connection has a lock.
///
/// A plugin may use the request's pool from any thread until `on_disconnect` has returned, and that
/// pool takes its memory from the same allocator as httpd's filters.
pub struct SharedMemory(*mut sys::apr_allocator_t);

// SAFETY: the allocator is only given its lock back, by whoever ends the connection.
unsafe impl Send for SharedMemory {}

impl SharedMemory {
    /// Gives the memory its lock.
    ///
    /// # Errors
    ///
    /// When the system has no more locks.
    ///
    /// # Safety
    ///
    /// `connection` is live and outlives the result; no other thread uses its memory yet, nor when the
    /// result is dropped.
    pub(super) unsafe fn new(connection: *mut sys::conn_rec) -> io::Result<Self> {
        // SAFETY: the caller vouches for the connection.
        unsafe {
            let pool = (*connection).pool;
            let mut mutex = ptr::null_mut();
            check(sys::apr_thread_mutex_create(
                &raw mut mutex,
                MUTEX_KIND,
                pool,
            ))?;
            let allocator = sys::apr_pool_allocator_get(pool);
            sys::apr_allocator_mutex_set(allocator, mutex);
            Ok(Self(allocator))
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: the allocator is still there (`new`); its lock would not outlive the pool.
        unsafe { sys::apr_allocator_mutex_set(self.0, ptr::null_mut()) }
    }
}
