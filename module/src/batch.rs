//! Outputs to which this thread's callbacks have sent, and which other threads drive.
//!
//! The callbacks of one read may send many messages to each of many connections. The thread writes
//! them together when the callbacks have returned.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use crate::httpd::guard::guard;
use crate::output::Output;

/// The most entries. When the batch is full, the thread writes it without waiting for its callback
/// to return.
const MOST: usize = 1024;

thread_local! {
    static BATCH: RefCell<Vec<Arc<Output>>> = const { RefCell::new(Vec::new()) };
}

/// Has `output` written when the callbacks of this thread have returned. Only for a thread that is
/// running a callback.
pub fn put(output: &Arc<Output>) {
    // `try_with` fails only on a thread that is ending, and such a thread runs no callbacks.
    let is_full = BATCH.try_with(|batch| {
        let mut batch = batch.borrow_mut();
        batch.push(Arc::clone(output));
        batch.len() >= MOST
    });
    if is_full == Ok(true) {
        write();
    }
}

/// Writes all outputs in the batch.
pub fn write() {
    let taken = BATCH.try_with(|batch| {
        let is_empty = batch.borrow().is_empty();
        (!is_empty).then(|| batch.take())
    });
    for output in taken.ok().flatten().into_iter().flatten() {
        // A panic costs only the connection whose output it was.
        let is_written = guard("a write", false, || {
            output.write_or_leave();
            true
        });
        if !is_written {
            guard("a write", (), || {
                output.fail(io::Error::other("a panic while writing"));
            });
        }
    }
}
