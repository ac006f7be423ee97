//! What a thread keeps between two uses: buffers, so that idle connections need none, and
//! compressors.
//!
//! A plugin's thread may still send while it ends, when its thread-local values are gone. Then
//! nothing is kept, and each use makes a value of its own.

use std::cell::Cell;
use std::mem;
use std::thread::LocalKey;

/// The largest capacity in bytes of the buffer that a thread keeps for each purpose.
const KEPT_CAPACITY: usize = 256 * 1024;

/// Where a thread keeps a buffer for its next connection.
pub type Shelf = LocalKey<Cell<Vec<u8>>>;

/// Runs `body` with what this thread keeps at `place`, or with an empty value. If `body` uses the
/// same place, what it leaves there is lost.
pub fn with_kept<T: Default, R>(
    place: &'static LocalKey<Cell<T>>,
    body: impl FnOnce(&mut T) -> R,
) -> R {
    let mut kept = place.try_with(Cell::take).unwrap_or_default();
    let result = body(&mut kept);
    // A thread that is ending keeps nothing.
    let _ = place.try_with(|place| place.set(kept));
    result
}

/// The buffer that this thread keeps, or a new one.
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

#[cfg(test)]
mod tests {
    use super::with_kept;
    use std::cell::Cell;

    thread_local! {
        static NUMBERS: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
    }

    /// Uses the kept value when its thread ends, perhaps after that value is gone.
    struct AtEnd;

    impl Drop for AtEnd {
        fn drop(&mut self) {
            with_kept(&NUMBERS, |numbers| numbers.push(3));
        }
    }

    thread_local! {
        static AT_END: Cell<Option<AtEnd>> = const { Cell::new(None) };
    }

    #[test]
    fn a_thread_finds_what_it_has_kept_and_no_other_thread_does() {
        with_kept(&NUMBERS, |numbers| numbers.push(1));
        let of_other = std::thread::spawn(|| with_kept(&NUMBERS, |numbers| numbers.clone()));
        assert!(of_other.join().unwrap().is_empty());
        with_kept(&NUMBERS, |numbers| numbers.push(2));
        assert_eq!(NUMBERS.take(), [1, 2]);
    }

    #[test]
    fn a_thread_that_ends_keeps_nothing_and_does_not_panic() {
        let ended = std::thread::spawn(|| {
            // Both orders of the two destructors are tried.
            AT_END.set(Some(AtEnd));
            with_kept(&NUMBERS, |numbers| numbers.push(1));
        });
        ended.join().unwrap();
        let ended = std::thread::spawn(|| {
            with_kept(&NUMBERS, |numbers| numbers.push(1));
            AT_END.set(Some(AtEnd));
        });
        ended.join().unwrap();
    }
}
