//! The thread that httpd's modules find in a connection.

use std::ffi::c_void;
use std::ptr;

use super::sys;

/// Names the calling thread as the one that serves a connection, as the MPM does for its own, until
/// it is dropped. Modules may use it for handlers (mod_lua.c, `LuaScope thread`).
pub(super) struct CurrentThread(*mut sys::conn_rec);

impl CurrentThread {
    /// # Safety
    ///
    /// The connection is live for as long as the result, and the calling thread has it to itself.
    pub(super) unsafe fn lend(connection: *mut sys::conn_rec) -> Self {
        // SAFETY: the caller vouches for the connection. Memory of its pool lives at least as long
        // as the result, and has room for the number.
        unsafe {
            let pool = (*connection).pool;
            let number = sys::apr_palloc(pool, size_of::<sys::apr_os_thread_t>());
            let number: *mut sys::apr_os_thread_t = number.cast::<c_void>().cast();
            number.write(sys::apr_os_thread_current());
            let mut thread = ptr::null_mut();
            if sys::apr_os_thread_put(&raw mut thread, number, pool) == sys::APR_SUCCESS {
                (*connection).current_thread = thread;
            }
        }
        Self(connection)
    }
}

impl Drop for CurrentThread {
    fn drop(&mut self) {
        // SAFETY: see `lend`.
        unsafe { (*self.0).current_thread = ptr::null_mut() };
    }
}
