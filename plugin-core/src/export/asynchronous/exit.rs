//! What has to be done before the process ends.

use std::panic::catch_unwind;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// The process that has registered the function. One that is forked inherits it, but no thread of a
/// runtime: APR's `apr_proc_create` calls `exit` in a process that cannot run its program.
static OF_PROCESS: AtomicU32 = AtomicU32::new(0);

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
        OF_PROCESS.store(process::id(), Ordering::Relaxed);
        // SAFETY: the function may be called at any time, as long as the library is loaded, and the
        // system calls it before it unloads the library. If there is no memory for that, the
        // threads of the runtime are not waited for.
        unsafe { libc::atexit(at_exit) };
    }
    due.push(end);
}

extern "C" fn at_exit() {
    if OF_PROCESS.load(Ordering::Relaxed) != process::id() {
        return;
    }
    // A thread that ends the process while it is here already holds the lock.
    let Ok(due) = DUE.try_lock() else { return };
    for end in &*due {
        // There is nobody to tell of a panic.
        let _ = catch_unwind(end);
    }
}
