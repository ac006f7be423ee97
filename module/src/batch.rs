//! What the callbacks of a thread have sent to connections that other threads drive.
//!
//! The callbacks of one read may send many messages to each of many connections. They are written together
//! when the callbacks have returned.

use std::cell::RefCell;
use std::sync::Arc;

use crate::output::Output;

thread_local! {
    static BATCH: RefCell<Vec<Arc<Output>>> = const { RefCell::new(Vec::new()) };
}

/// Has `output` written when the callbacks of this thread have returned. They must be running.
pub fn put(output: &Arc<Output>) {
    // A thread that ends runs no callbacks.
    let _ = BATCH.try_with(|batch| batch.borrow_mut().push(Arc::clone(output)));
}

/// Writes what was put. The callbacks have returned.
pub fn write() {
    let taken = BATCH.try_with(|batch| {
        let is_empty = batch.borrow().is_empty();
        (!is_empty).then(|| batch.take())
    });
    if let Ok(Some(outputs)) = taken {
        for output in &outputs {
            output.write_or_leave();
        }
    }
}
