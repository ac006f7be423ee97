//! Large buffers between two messages.
//!
//! A buffer of a megabyte that is freed after each message comes back from the system page by page,
//! which costs as much as reading the message. So each thread keeps a few for the next one.

use std::cell::RefCell;

/// Smaller buffers are left to the allocator.
const MIN_KEPT: usize = 64 * 1024;

/// Larger ones are too, so that a thread keeps four MiB at most.
const MAX_KEPT: usize = 2 * 1024 * 1024;

/// So many buffers are kept.
const COUNT: usize = 2;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of more than `len` bytes, with any bytes in it, if this thread has kept one.
pub(super) fn take(len: usize) -> Option<Vec<u8>> {
    KEPT.with_borrow_mut(|kept| {
        let at = kept.iter().position(|buffer| buffer.len() > len)?;
        Some(kept.swap_remove(at))
    })
}

/// The same, but none for what needs no large buffer.
pub(super) fn take_large(len: usize) -> Option<Vec<u8>> {
    (len >= MIN_KEPT).then(|| take(len)).flatten()
}

/// Keeps a buffer that is no longer needed, or frees it.
pub(super) fn give(buffer: Vec<u8>) {
    if (MIN_KEPT..=MAX_KEPT).contains(&buffer.capacity()) {
        KEPT.with_borrow_mut(|kept| {
            if kept.len() < COUNT {
                kept.push(buffer);
            }
        });
    }
}
