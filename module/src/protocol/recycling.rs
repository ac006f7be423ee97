//! Keeps large buffers between messages.
//!
//! If a buffer of a megabyte is freed after each message, the system maps it again page by page,
//! which costs as much as reading the message. So each thread keeps a few buffers for later
//! messages.

use std::cell::Cell;

use crate::buffers::with_kept;

/// Smaller buffers are freed.
const MIN_KEPT: usize = 64 * 1024;

/// Larger buffers are freed, too, so that a thread keeps at most four MiB.
const MAX_KEPT: usize = 2 * 1024 * 1024;

/// The largest number of buffers that a thread keeps.
const COUNT: usize = 2;

thread_local! {
    static KEPT: Cell<Vec<Vec<u8>>> = const { Cell::new(Vec::new()) };
}

/// A buffer of at least `len` bytes with arbitrary contents, if this thread has kept one.
pub(super) fn take(len: usize) -> Option<Vec<u8>> {
    with_kept(&KEPT, |kept| {
        let at = kept.iter().position(|buffer| buffer.len() >= len)?;
        Some(kept.swap_remove(at))
    })
}

/// The same, but only if `len` is worth a large buffer.
pub(super) fn take_large(len: usize) -> Option<Vec<u8>> {
    (len >= MIN_KEPT).then(|| take(len)).flatten()
}

/// Keeps a buffer for later use, or frees it.
pub(super) fn give(buffer: Vec<u8>) {
    if (MIN_KEPT..=MAX_KEPT).contains(&buffer.capacity()) {
        with_kept(&KEPT, |kept| {
            kept.push(buffer);
            if kept.len() > COUNT {
                kept.sort_unstable_by_key(|buffer| std::cmp::Reverse(buffer.len()));
                kept.truncate(COUNT);
            }
        });
    }
}

/// Frees the large buffers of this thread. Call it on threads that served a single connection, once
/// that has ended. There are only few event loop threads, so they may keep theirs.
pub fn free_buffers() {
    with_kept(&KEPT, Vec::clear);
}

#[cfg(test)]
mod tests {
    use super::{COUNT, MAX_KEPT, MIN_KEPT, free_buffers, give, take};

    #[test]
    fn small_buffers_do_not_displace_large_ones() {
        for _ in 0..=COUNT {
            give(vec![0; MIN_KEPT]);
        }
        give(vec![0; MAX_KEPT]);
        assert!(take(MAX_KEPT).is_some());
    }

    #[test]
    fn a_buffer_is_reused_for_a_message_of_the_same_length() {
        give(vec![0; MIN_KEPT]);
        assert!(take(MIN_KEPT).is_some());
        assert!(take(MIN_KEPT).is_none());
    }

    #[test]
    fn freed_buffers_are_not_reused() {
        give(vec![0; MIN_KEPT]);
        free_buffers();
        assert!(take(1).is_none());
    }

    #[test]
    fn a_thread_keeps_four_mebibytes_at_most() {
        for _ in 0..10 {
            give(vec![0; MAX_KEPT]);
        }
        give(vec![0; MAX_KEPT + 1]);
        let kept: usize = std::iter::from_fn(|| take(1))
            .map(|buffer| buffer.len())
            .sum();
        assert!(kept <= 4 << 20);
    }
}
