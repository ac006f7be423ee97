//! One frame for many connections.
//!
//! A plugin that sends a message to many connections calls `send` for each. All get the same bytes,
//! so each thread remembers the frame that it sent last: if the next one is equal, the connections
//! share it.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use super::caller::Caller;
use super::frame::{Frame, LARGE};

/// The sizes in bytes of payloads that are shared. Shorter ones are copied in less time than it
/// takes to keep account of pieces, and longer ones are written from where they lie.
const SHARED: Range<usize> = 512..LARGE;

thread_local! {
    /// The frame this thread sent last.
    static LAST: Cell<Option<Arc<[u8]>>> = const { Cell::new(None) };
}

/// Runs `body` with the frame, which is shared if that is worth it. A connection's own callbacks
/// answer, each time with something else.
#[inline]
pub(super) fn with_shared<T>(
    frame: Frame<'_>,
    caller: Caller,
    body: impl FnOnce(Frame<'_>) -> T,
) -> T {
    if caller == Caller::Own || !SHARED.contains(&frame.payload.len()) {
        return body(frame);
    }
    // A thread that is ending remembers nothing.
    let last = LAST.try_with(Cell::take).ok().flatten();
    let bytes = last
        .filter(|last| is_equal(last, frame))
        .unwrap_or_else(|| [frame.header, frame.payload].concat().into());
    let result = body(Frame {
        shared: Some(&bytes),
        ..frame
    });
    let _ = LAST.try_with(|last| last.set(Some(bytes)));
    result
}

fn is_equal(bytes: &[u8], frame: Frame<'_>) -> bool {
    let (header, payload) = bytes.split_at(bytes.len().min(frame.header.len()));
    header == frame.header && payload == frame.payload
}

#[cfg(test)]
mod tests {
    use super::{Caller, Frame, with_shared};
    use crate::protocol::Traffic;
    use std::sync::Arc;

    fn shared(header: &[u8], payload: &[u8], caller: Caller) -> Option<Arc<[u8]>> {
        let frame = Frame {
            header,
            payload,
            closes: None,
            traffic: Traffic::default(),
            shared: None,
        };
        with_shared(frame, caller, |frame| frame.shared.map(Arc::clone))
    }

    #[test]
    fn equal_frames_that_follow_each_other_are_one() {
        let first = shared(b"\x82", &[1; 600], Caller::Callback).unwrap();
        let second = shared(b"\x82", &[1; 600], Caller::Thread).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        for (header, payload) in [(b"\x81", [1; 600]), (b"\x82", [2; 600])] {
            let other = shared(header, &payload, Caller::Callback).unwrap();
            assert!(!Arc::ptr_eq(&first, &other));
            assert_eq!(*other, [&header[..], &payload].concat());
        }
    }

    #[test]
    fn answers_and_frames_of_other_sizes_are_not_shared() {
        assert!(shared(b"\x82", &[1; 600], Caller::Own).is_none());
        assert!(shared(b"\x82", &[1; 100], Caller::Callback).is_none());
        assert!(shared(b"\x82", &[1; 48 * 1024], Caller::Callback).is_none());
    }
}
