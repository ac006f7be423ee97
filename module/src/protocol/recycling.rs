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

/// A buffer of at least `len` bytes, with any bytes in it, if this thread has kept one.
pub(super) fn take(len: usize) -> Option<Vec<u8>> {
    KEPT.with_borrow_mut(|kept| {
        let at = kept.iter().position(|buffer| buffer.len() >= len)?;
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
            kept.push(buffer);
            if kept.len() > COUNT {
                kept.sort_unstable_by_key(|buffer| std::cmp::Reverse(buffer.len()));
                kept.truncate(COUNT);
            }
        });
    }
}

/// Frees the large buffers that this thread keeps for messages to come. Threads that run loops are few;
/// one that serves a single connection is better off without, once that has ended.
pub fn free_buffers() {
    KEPT.take();
}

#[cfg(test)]
mod tests {
    use super::{COUNT, MAX_KEPT, MIN_KEPT, free_buffers, give, take};

    #[test]
    fn small_buffers_do_not_keep_large_ones_from_being_used_again() {
        for _ in 0..=COUNT {
            give(vec![0; MIN_KEPT]);
        }
        give(vec![0; MAX_KEPT]);
        assert!(take(MAX_KEPT).is_some());
    }

    #[test]
    fn a_buffer_serves_a_message_of_the_same_length_again() {
        give(vec![0; MIN_KEPT]);
        assert!(take(MIN_KEPT).is_some());
        assert!(take(MIN_KEPT).is_none());
    }

    #[test]
    fn freed_buffers_are_gone() {
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
