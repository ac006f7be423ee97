//! Buffers between two uses: idle connections need none.

use std::cell::Cell;
use std::mem;

/// Each thread keeps one empty buffer of at most this capacity.
const KEPT_CAPACITY: usize = 256 * 1024;

thread_local! {
    static KEPT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The buffer this thread keeps, if it does. A thread of a plugin may still send while it ends, when
/// nothing is kept any more.
pub(super) fn kept() -> Vec<u8> {
    KEPT.try_with(Cell::take).unwrap_or_default()
}

/// Keeps an empty buffer for the next connection of this thread, or frees it.
pub(super) fn recycle(buffer: &mut Vec<u8>) {
    debug_assert!(buffer.is_empty());
    if buffer.capacity() == 0 {
        return;
    }
    let buffer = mem::take(buffer);
    if buffer.capacity() <= KEPT_CAPACITY {
        // A thread that ends keeps nothing.
        let _ = KEPT.try_with(|kept| kept.set(buffer));
    }
}
