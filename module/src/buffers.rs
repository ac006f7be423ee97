//! Keeps buffers between two uses, so that idle connections need none.

use std::cell::Cell;
use std::mem;
use std::thread::LocalKey;

/// The largest capacity in bytes of the buffer that a thread keeps for each purpose.
const KEPT_CAPACITY: usize = 256 * 1024;

/// The place where a thread keeps a buffer for its next connection.
pub type Shelf = LocalKey<Cell<Vec<u8>>>;

/// The buffer that this thread keeps, or a new one. A plugin's thread may still send while it ends
/// and its thread-local values are gone.
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
        // A thread that is ending keeps no buffer.
        let _ = shelf.try_with(|kept| kept.set(buffer));
    }
}
