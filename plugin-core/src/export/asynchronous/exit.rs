//! What has to be done before the process ends.

use std::panic::catch_unwind;
use std::sync::{Mutex, PoisonError};

/// Functions to call.
static DUE: Mutex<Vec<fn()>> = Mutex::new(Vec::new());

/// Has `end` called when the process ends, or before the library is unloaded. Several calls with
/// the same function may count as one.
pub(super) fn call(end: fn()) {
    let mut due = DUE.lock().unwrap_or_else(PoisonError::into_inner);
    if due.iter().any(|known| std::ptr::fn_addr_eq(*known, end)) {
        return;
    }
    if due.is_empty() {
        // SAFETY: the function may be called at any time, as long as the library is loaded, and the
        // system calls it before it unloads the library. If there is no memory for that, the
        // threads of the runtime are not waited for.
        unsafe { libc::atexit(at_exit) };
    }
    due.push(end);
}

extern "C" fn at_exit() {
    // A thread that ends the process while it is here already holds the lock.
    let Ok(due) = DUE.try_lock() else { return };
    for end in &*due {
        // There is nobody to tell of a panic.
        let _ = catch_unwind(end);
    }
}
