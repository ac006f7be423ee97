//! The frames of one connection that wait to be written.

use std::cell::Cell;
use std::mem;
use std::sync::{Arc, Weak};

use super::gone::Gone;
use crate::buffers;

thread_local! {
    /// Frames are collected in.
    pub(super) static FRAMES: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The connection takes no more messages: it is closing or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// A frame to send, encoded: a whole message or a control frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) header: &'a [u8],
    pub(super) payload: &'a [u8],
    /// Whether it is a close frame.
    pub(super) is_close: bool,
}

impl Frame<'_> {
    fn len(&self) -> usize {
        self.header.len() + self.payload.len()
    }
}

/// A bounded queue of frames. It knows no thread and no socket; [`Outlet`](super::outlet::Outlet) does.
pub(super) struct Outbox {
    /// Frames in the order they were accepted, not yet taken by the writer.
    frames: Vec<u8>,
    /// Bytes accepted and not yet written, those the writer has taken included.
    waiting: usize,
    /// A message is accepted while fewer bytes wait.
    limit: usize,
    /// Nothing more is accepted.
    is_sealed: bool,
    /// A close frame was accepted.
    has_close: bool,
    /// There while senders wait for room.
    gone: Weak<Gone>,
}

impl Outbox {
    /// An empty queue that accepts messages while fewer than `limit` bytes wait.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            frames: Vec::new(),
            waiting: 0,
            limit,
            is_sealed: false,
            has_close: false,
            gone: Weak::new(),
        }
    }

    /// Takes memory for a frame, so that [`push`](Self::push) need not. Returns whether there is any.
    pub(super) fn reserve(&mut self, frame: &Frame<'_>) -> bool {
        if self.frames.capacity() == 0 {
            self.frames = buffers::kept(&FRAMES);
        }
        self.frames.try_reserve(frame.len()).is_ok()
    }

    /// Accepts a frame if there is room, and returns whether there was. A close frame is the last one
    /// accepted, and needs no room.
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`seal`](Self::seal) or a close frame.
    pub(super) fn push(&mut self, frame: Frame<'_>) -> Result<bool, Closed> {
        if !self.takes_messages()? && !frame.is_close {
            return Ok(false);
        }
        self.frames.extend_from_slice(frame.header);
        self.frames.extend_from_slice(frame.payload);
        self.waiting += frame.len();
        if frame.is_close {
            self.has_close = true;
            self.seal();
        }
        Ok(true)
    }

    /// Accounts for a message that its sender writes itself, which it may if nothing waits. Returns
    /// whether it may.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub(super) fn bypass(&mut self, frame: &Frame<'_>) -> Result<bool, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        if self.waiting > 0 || frame.is_close {
            return Ok(false);
        }
        self.waiting = frame.len();
        Ok(true)
    }

    /// For a sender that waits for room: is set when no more messages are taken.
    ///
    /// # Errors
    ///
    /// [`Closed`] when none are taken already, or the process has no descriptor left to wait with.
    pub(super) fn gone(&mut self) -> Result<Arc<Gone>, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        if let Some(gone) = self.gone.upgrade() {
            return Ok(gone);
        }
        let gone = Arc::new(Gone::new().map_err(|_| Closed)?);
        self.gone = Arc::downgrade(&gone);
        Ok(gone)
    }

    /// Whether a message would be accepted now.
    ///
    /// # Errors
    ///
    /// [`Closed`] if none will be again.
    #[inline]
    pub(super) fn takes_messages(&self) -> Result<bool, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        Ok(self.has_room())
    }

    /// Whether there is room for a message.
    pub(super) fn has_room(&self) -> bool {
        self.waiting < self.limit
    }

    /// Bytes accepted and not yet written.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether a close frame was accepted.
    pub(super) fn has_close(&self) -> bool {
        self.has_close
    }

    /// Accepts nothing more. Senders that wait for room give up. What was accepted stays.
    pub(super) fn seal(&mut self) {
        self.is_sealed = true;
        if let Some(gone) = mem::take(&mut self.gone).upgrade() {
            gone.set();
        }
    }

    /// Seals the queue and forgets what is in it.
    pub(super) fn discard(&mut self) {
        self.seal();
        self.frames = Vec::new();
        self.waiting = 0;
    }

    /// Hands all frames to the writer, in place of its empty buffer.
    pub(super) fn take(&mut self, buffer: &mut Vec<u8>) {
        if !self.frames.is_empty() {
            buffers::recycle(&FRAMES, buffer);
            *buffer = mem::take(&mut self.frames);
        }
    }

    /// The writer has written so many of the bytes it took.
    pub(super) fn written(&mut self, bytes: usize) {
        self.waiting -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Closed, Frame, Outbox};

    const LIMIT: usize = 8;

    const TEXT: Frame<'_> = Frame {
        header: b"\x81\x01",
        payload: b"a",
        is_close: false,
    };

    const PONG: Frame<'_> = Frame {
        header: b"\x8a\x02",
        payload: b"bc",
        is_close: false,
    };

    const CLOSE: Frame<'_> = Frame {
        header: b"\x88\x02",
        payload: b"\x03\xe8",
        is_close: true,
    };

    /// Larger than a queue may get before no more is accepted.
    const LARGE: Frame<'_> = Frame {
        header: b"\x82\x07",
        payload: b"larger!",
        is_close: false,
    };

    fn outbox() -> Outbox {
        Outbox::new(LIMIT)
    }

    fn taken(outbox: &mut Outbox) -> Vec<u8> {
        let mut buffer = Vec::new();
        outbox.take(&mut buffer);
        buffer
    }

    #[test]
    fn frames_leave_in_the_order_they_came() {
        let mut outbox = outbox();
        assert_eq!(outbox.push(TEXT), Ok(true));
        assert_eq!(outbox.push(PONG), Ok(true));
        assert_eq!(taken(&mut outbox), b"\x81\x01a\x8a\x02bc");
        assert!(taken(&mut outbox).is_empty());
    }

    #[test]
    fn bytes_count_until_they_are_written() {
        let mut outbox = outbox();
        assert_eq!(outbox.push(PONG), Ok(true));
        let frame = taken(&mut outbox);
        assert_eq!(outbox.waiting(), frame.len());
        outbox.written(3);
        assert_eq!(outbox.waiting(), frame.len() - 3);
    }

    #[test]
    fn one_message_may_overshoot_the_limit_and_the_next_finds_no_room() {
        let mut outbox = outbox();
        assert_eq!(outbox.push(LARGE), Ok(true));
        assert_eq!(outbox.push(TEXT), Ok(false));
        let frame = taken(&mut outbox);
        outbox.written(frame.len() - LIMIT + 1);
        assert_eq!(outbox.push(TEXT), Ok(true));
    }

    #[test]
    fn a_message_bypasses_an_empty_queue_only() {
        let mut outbox = outbox();
        assert_eq!(outbox.bypass(&PONG), Ok(true));
        assert_eq!(outbox.waiting(), 4);
        assert_eq!(outbox.bypass(&TEXT), Ok(false));
        outbox.written(4);
        assert_eq!(outbox.bypass(&CLOSE), Ok(false));
        assert_eq!(outbox.bypass(&TEXT), Ok(true));
        outbox.seal();
        assert_eq!(outbox.bypass(&TEXT), Err(Closed));
    }

    #[test]
    fn nothing_follows_a_close_frame() {
        let mut outbox = outbox();
        assert_eq!(outbox.push(CLOSE), Ok(true));
        assert!(outbox.has_close());
        for late in [TEXT, PONG, CLOSE] {
            assert_eq!(outbox.push(late), Err(Closed));
        }
        assert_eq!(taken(&mut outbox), b"\x88\x02\x03\xe8");
    }

    #[test]
    fn a_close_frame_needs_no_room() {
        let mut outbox = outbox();
        assert_eq!(outbox.push(LARGE), Ok(true));
        assert_eq!(outbox.push(CLOSE), Ok(true));
    }

    #[test]
    fn all_who_wait_for_room_share_a_descriptor_that_is_freed_when_nobody_does() {
        let mut outbox = outbox();
        let gone = outbox.gone().unwrap();
        assert!(Arc::ptr_eq(&gone, &outbox.gone().unwrap()));
        let left = Arc::downgrade(&gone);
        drop(gone);
        assert!(left.upgrade().is_none());
        assert!(outbox.gone().is_ok());
    }

    #[test]
    fn nobody_waits_for_room_in_a_sealed_queue() {
        let mut outbox = outbox();
        outbox.seal();
        assert_eq!(outbox.gone().err(), Some(Closed));
    }

    #[test]
    fn a_discarded_queue_is_empty_and_takes_nothing() {
        let mut outbox = outbox();
        assert_eq!(outbox.push(TEXT), Ok(true));
        outbox.discard();
        assert_eq!(outbox.waiting(), 0);
        assert!(taken(&mut outbox).is_empty());
        assert_eq!(outbox.takes_messages(), Err(Closed));
        assert_eq!(outbox.push(TEXT), Err(Closed));
    }
}
