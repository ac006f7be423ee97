//! APR pools: memory, and clean-ups that run when the pool is destroyed.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::NonNull;

use super::guard::guard;
use super::sys;

/// A pool that httpd has lent for the length of a call.
#[derive(Clone, Copy)]
pub struct Pool(NonNull<sys::apr_pool_t>);

impl Pool {
    /// Wraps a pool.
    ///
    /// # Safety
    ///
    /// `pool` is a live pool, not destroyed while the result is in use, and no other thread uses it
    /// meanwhile.
    pub unsafe fn new(pool: *mut sys::apr_pool_t) -> Self {
        Self(NonNull::new(pool).expect("httpd passes no null pools"))
    }

    pub fn as_ptr(self) -> *mut sys::apr_pool_t {
        self.0.as_ptr()
    }

    /// Moves `value` to the heap. Destroying the pool drops it.
    pub fn keep<T: 'static>(self, value: T) -> *mut T {
        let value = Box::into_raw(Box::new(value));
        // SAFETY: the pool is live (`new`); the clean-up runs once and owns `value` from then on.
        unsafe {
            sys::apr_pool_cleanup_register(
                self.as_ptr(),
                value.cast(),
                Some(drop_kept::<T>),
                Some(sys::apr_pool_cleanup_null),
            );
        }
        value
    }

    /// Like [`keep`](Self::keep), but the value is dropped before anything else in the pool or in
    /// pools below it.
    pub fn keep_first<T: 'static>(self, value: T) -> *mut T {
        let value = Box::into_raw(Box::new(value));
        // SAFETY: as in `keep`.
        unsafe {
            sys::apr_pool_pre_cleanup_register(self.as_ptr(), value.cast(), Some(drop_kept::<T>));
        }
        value
    }

    /// Runs `action` when the pool is destroyed: before clean-ups that were registered earlier, and
    /// after those that were registered later.
    pub fn on_destroy(self, action: impl FnOnce() + 'static) {
        self.keep(OnDrop(Some(action)));
    }

    /// Runs `action` when the pool is about to be destroyed, before all other clean-ups.
    pub fn before_destroy(self, action: impl FnOnce() + 'static) {
        self.keep_first(OnDrop(Some(action)));
    }

    /// Copies a text into the pool. It ends at the first NUL, as in C.
    pub fn copy(self, text: &[u8]) -> *const c_char {
        let end = text
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(text.len());
        // SAFETY: the pool is live; the bytes are readable for `end`.
        unsafe { sys::apr_pstrmemdup(self.as_ptr(), text.as_ptr().cast(), end) }
    }

    /// Copies an error message into the pool, in the form that a directive returns.
    pub fn message(self, text: &str) -> *const c_char {
        self.copy(text.as_bytes())
    }
}

struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(action) = self.0.take() {
            action();
        }
    }
}

unsafe extern "C" fn drop_kept<T>(value: *mut c_void) -> sys::apr_status_t {
    guard("a pool clean-up", (), || {
        // SAFETY: `keep` made `value` from a `Box<T>` and APR runs each clean-up once.
        drop(unsafe { Box::from_raw(value.cast::<T>()) });
    });
    sys::APR_SUCCESS
}

/// The text of a C string, or `None` for a null pointer.
///
/// # Safety
///
/// `text` is null or a NUL-terminated string that stays valid and unchanged for `'a`.
pub unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller vouches for a non-null pointer.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// A C string of `text`, cut at its first NUL.
pub fn c_string(text: &[u8]) -> CString {
    let end = text
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}
