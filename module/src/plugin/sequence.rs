//! In which order a thread sends to connections.
//!
//! A plugin that sends a message to all its connections goes through the same list each time. What
//! belongs to a connection is seldom in the cache then: the system calls for the others have taken
//! its place. So each table remembers which one the thread used next, and the memory of that one is
//! fetched while the one before is still in use.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::httpd::prefetch::prefetch_at;
use crate::output::Output;

/// How much of a table a sender uses, in bytes.
const TABLE: usize = 128;

/// How much of an output a sender uses, and of what lies before it: its count of references.
const OUTPUT: usize = 192;
const BEFORE_OUTPUT: usize = 16;

thread_local! {
    /// What belongs to the table that this thread used last.
    static LAST: Cell<*const Successor> = const { Cell::new(ptr::null()) };
}

/// What a thread used next after a table, the last time: addresses, of what may be gone since.
#[derive(Default)]
pub(super) struct Successor {
    table: AtomicUsize,
    output: AtomicUsize,
}

impl Successor {
    /// The thread sends to `output` by `table`, to which this belongs. Has the next ones fetched.
    ///
    /// # Safety
    ///
    /// `table` is never freed.
    #[inline]
    pub(super) unsafe fn follow(&self, table: usize, output: &Arc<Output>) {
        prefetch_at(self.table.load(Ordering::Relaxed), TABLE);
        prefetch_at(self.output.load(Ordering::Relaxed), OUTPUT);
        let last = LAST.replace(self);
        // SAFETY: it belongs to a table that was passed here, too.
        if let Some(last) = unsafe { last.as_ref() } {
            let output = Arc::as_ptr(output).addr() - BEFORE_OUTPUT;
            set(&last.table, table);
            set(&last.output, output);
        }
    }
}

/// Stores `value` if another one is there: what is only read stays in the caches of all processors.
#[inline]
fn set(place: &AtomicUsize, value: usize) {
    if place.load(Ordering::Relaxed) != value {
        place.store(value, Ordering::Relaxed);
    }
}
