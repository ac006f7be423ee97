//! Predicts which connection a thread sends to next.
//!
//! A plugin that sends a message to all its connections goes through the same list each time. By
//! then the memory of a connection is seldom in the cache: the system calls for the other
//! connections have taken its place. So each table remembers which table the thread used next the
//! last time. While a thread sends to one connection, the memory of the next one is prefetched.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::httpd::prefetch::prefetch_at;
use crate::output::Output;

/// How many bytes of a table a sender uses.
const TABLE: usize = 128;

/// How many bytes of an output a sender uses, and how many before it: its reference count.
const OUTPUT: usize = 192;
const BEFORE_OUTPUT: usize = 16;

thread_local! {
    /// The `Successor` of the table that this thread used last.
    static LAST: Cell<*const Successor> = const { Cell::new(ptr::null()) };
}

/// What a thread used after a table the last time. The memory at these addresses may be gone.
#[derive(Default)]
pub(super) struct Successor {
    table: AtomicUsize,
    output: AtomicUsize,
}

impl Successor {
    /// Notes that the thread sends to `output` through `table`, which owns this. Prefetches the
    /// memory of the predicted next table and output.
    ///
    /// # Safety
    ///
    /// `table` is never freed.
    #[inline]
    pub(super) unsafe fn follow(&self, table: usize, output: &Arc<Output>) {
        prefetch_at(self.table.load(Ordering::Relaxed), TABLE);
        prefetch_at(self.output.load(Ordering::Relaxed), OUTPUT);
        let last = LAST.replace(self);
        // SAFETY: `last` belongs to a table that was passed here earlier, and no table is ever
        // freed.
        if let Some(last) = unsafe { last.as_ref() } {
            let output = Arc::as_ptr(output).addr() - BEFORE_OUTPUT;
            set(&last.table, table);
            set(&last.output, output);
        }
    }
}

/// Stores `value` if another value is there. A value that is only read stays in the caches of all
/// processors.
#[inline]
fn set(place: &AtomicUsize, value: usize) {
    if place.load(Ordering::Relaxed) != value {
        place.store(value, Ordering::Relaxed);
    }
}
