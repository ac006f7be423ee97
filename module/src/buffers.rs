//! Buffers between two uses: idle connections need none.

use std::cell::Cell;
use std::mem;
use std::thread::LocalKey;

/// A thread keeps an empty buffer of at most this capacity for each purpose.
const KEPT_CAPACITY: usize = 256 * 1024;

/// Where a thread keeps a buffer for its next connection.
pub type Shelf = LocalKey<Cell<Vec<u8>>>;

/// The buffer this thread keeps, if it does. A thread of a plugin may still send while it ends, when
/// nothing is kept any more.
#[must_use]
pub fn kept(shelf: &'static Shelf) -> Vec<u8> {
    shelf.try_with(Cell::take).unwrap_or_default()
}

/// Keeps an empty buffer for the next connection of this thread, or frees it.
pub fn recycle(shelf: &'static Shelf, buffer: &mut Vec<u8>) {
    debug_assert!(buffer.is_empty());
    if buffer.capacity() == 0 {
        return;
    }
    let buffer = mem::take(buffer);
    if buffer.capacity() <= KEPT_CAPACITY {
        // A thread that ends keeps nothing.
        let _ = shelf.try_with(|kept| kept.set(buffer));
    }
}
