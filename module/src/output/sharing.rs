//! One frame for many connections.
//!
//! A plugin that sends a message to many connections calls `send` for each of them. Each thread
//! remembers the frame that it sent last. If the next frame has the same bytes, both connections
//! share them.

use std::cell::Cell;

use super::caller::Caller;
use super::chunk::Piece;
use super::frame::{Frame, LARGE};

/// Payloads of at least this many bytes are shared from the first send on. Shorter ones are copied
/// for the first connection: most of them go to one connection only, and a second copy costs less
/// than the management of pieces.
const COPIED: usize = 512;

/// The frame that a thread sent last.
struct Last {
    piece: Piece,
    /// Whether a connection may have the piece.
    is_shared: bool,
}

thread_local! {
    static LAST: Cell<Option<Last>> = const { Cell::new(None) };
}

/// Runs `body` with the frame, shared if that pays. Not shared are what a connection's own
/// callbacks send, which differs each time, and frames with [`LARGE`] payloads, which are written
/// directly from the sender's memory.
#[inline]
pub(super) fn with_shared<T>(
    frame: Frame<'_>,
    caller: Caller,
    body: impl FnOnce(Frame<'_>) -> T,
) -> T {
    if caller == Caller::Own || frame.payload.len() >= LARGE {
        return body(frame);
    }
    // While a thread ends, it remembers no frame.
    let last = LAST.try_with(Cell::take).ok().flatten();
    let mut last = last.unwrap_or_else(|| Last {
        piece: Piece::empty(),
        is_shared: false,
    });
    let is_known = is_equal(&last.piece, frame);
    if !is_known {
        let parts = [frame.header, frame.payload];
        if last.piece.append(parts, last.is_shared).is_err() {
            // There may be enough memory for a copy.
            return body(frame);
        }
    }
    last.is_shared &= is_known;
    last.is_shared |= is_known || frame.payload.len() >= COPIED;
    let result = body(Frame {
        shared: last.is_shared.then_some(&last.piece),
        ..frame
    });
    let _ = LAST.try_with(|kept| kept.set(Some(last)));
    result
}

fn is_equal(piece: &Piece, frame: Frame<'_>) -> bool {
    if piece.len() != frame.len() {
        return false;
    }
    let bytes = piece.bytes();
    let (header, payload) = bytes.get().split_at(frame.header.len());
    header == frame.header && payload == frame.payload
}

#[cfg(test)]
mod tests {
    use super::{Caller, Frame, with_shared};
    use crate::protocol::Traffic;

    fn shared(header: &[u8], payload: &[u8], caller: Caller) -> Option<Vec<u8>> {
        let frame = Frame {
            header,
            payload,
            closes: None,
            traffic: Traffic::default(),
            shared: None,
        };
        with_shared(frame, caller, |frame| {
            frame.shared.map(|piece| piece.bytes().get().to_vec())
        })
    }

    #[test]
    fn a_frame_is_shared_from_the_second_time_on_and_a_longer_one_at_once() {
        for round in [1, 2] {
            for (length, first) in [
                (10, None),
                (600, Some([&[0x82][..], &[round; 600]].concat())),
            ] {
                let payload = vec![round; length];
                let whole = [&[0x82][..], &payload].concat();
                assert_eq!(shared(b"\x82", &payload, Caller::Callback), first);
                for caller in [Caller::Thread, Caller::Callback] {
                    assert_eq!(shared(b"\x82", &payload, caller), Some(whole.clone()));
                }
            }
        }
    }

    #[test]
    fn frames_that_differ_are_not_taken_for_equal() {
        assert_eq!(shared(b"\x81", &[1; 10], Caller::Thread), None);
        assert_eq!(shared(b"\x82", &[1; 10], Caller::Thread), None);
        assert_eq!(shared(b"\x82", &[2; 10], Caller::Thread), None);
        assert_eq!(shared(b"\x82", &[2; 9], Caller::Thread), None);
    }

    #[test]
    fn answers_and_large_frames_are_not_shared() {
        for _ in 0..2 {
            assert_eq!(shared(b"\x82", &[1; 600], Caller::Own), None);
            assert_eq!(shared(b"\x82", &[1; 48 * 1024], Caller::Callback), None);
        }
    }
}
