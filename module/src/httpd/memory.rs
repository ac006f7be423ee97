//! The memory of a connection while a plugin serves it, and the free memory of the process.

use std::ffi::c_void;
use std::io;
use std::ptr;

use super::error::check;
use super::sys;

/// The default kind of APR mutex, as the unsigned number that its function takes.
const MUTEX_KIND: u32 = sys::APR_THREAD_MUTEX_DEFAULT.unsigned_abs();

/// While this value lives, a lock protects the memory of a connection.
///
/// A plugin may use the request's pool from any thread until `on_disconnect` has returned. That
/// pool takes its memory from the same allocator as httpd's filters.
pub struct SharedMemory {
    pool: *mut sys::apr_pool_t,
    allocator: *mut sys::apr_allocator_t,
}

// SAFETY: the only thing done with the allocator is to set its lock, by the thread that ends the
// connection.
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
    /// `request` is live and outlives the result. No other thread uses its memory yet, nor when the
    /// result is dropped.
    pub(super) unsafe fn new(request: *mut sys::request_rec) -> io::Result<Self> {
        // SAFETY: the caller vouches for the request. Its pool takes memory from the connection's
        // allocator.
        unsafe {
            let pool = (*request).pool;
            let allocator = sys::apr_pool_allocator_get(pool);
            let mut mutex = ptr::null_mut();
            check(sys::apr_thread_mutex_create(
                &raw mut mutex,
                MUTEX_KIND,
                pool,
            ))?;
            // On prefork a signal handler may destroy the pools while the connection is open.
            sys::apr_pool_pre_cleanup_register(pool, allocator.cast(), Some(take_lock_away));
            sys::apr_allocator_mutex_set(allocator, mutex);
            Ok(Self { pool, allocator })
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: the pool still exists (`new`). The allocator must not keep the lock, which dies
        // with the pool.
        unsafe {
            sys::apr_allocator_mutex_set(self.allocator, ptr::null_mut());
            sys::apr_pool_cleanup_kill(self.pool, self.allocator.cast(), Some(take_lock_away));
        }
    }
}

/// Runs before the pool that holds the lock is destroyed.
unsafe extern "C" fn take_lock_away(allocator: *mut c_void) -> sys::apr_status_t {
    // SAFETY: the allocator lives longer than the pools that use it.
    unsafe { sys::apr_allocator_mutex_set(allocator.cast(), ptr::null_mut()) }
    sys::APR_SUCCESS
}

/// Whether the system would give the process `length` more bytes. Free memory of the C library does
/// not count, because httpd's pools take theirs from the system.
#[must_use]
pub fn is_available(length: usize) -> bool {
    // SAFETY: this is a new mapping, which nothing uses or points to, and which ends with this
    // call.
    unsafe {
        let place = libc::mmap(
            ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        place != libc::MAP_FAILED && libc::munmap(place, length) == 0
    }
}

/// Returns unused pages of all heaps of the C library to the system. Any thread may call this.
/// While it searches a heap, threads that use that heap wait.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back_free_memory() {
    // SAFETY: the function takes the locks of the heaps itself.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries return memory by themselves, or have no function for it.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back_free_memory() {}
