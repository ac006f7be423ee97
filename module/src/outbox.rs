//! The frames of one connection that wait to be written.

use std::cell::Cell;
use std::mem;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crate::protocol::{EncodedHeader, FrameHeader, Opcode, Rsv};

/// A message is accepted while fewer bytes than this wait: 16 MiB.
pub const LIMIT: usize = 16 * 1024 * 1024;

/// Each thread keeps one empty buffer of at most this capacity, so that idle connections need none.
const KEPT_CAPACITY: usize = 256 * 1024;

thread_local! {
    static KEPT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The connection takes no more messages: it is closing or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// A frame to send: a whole message or a control frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What it is.
    pub opcode: Opcode,
    /// What is in it, compressed or not.
    pub payload: &'a [u8],
    /// Whether the payload is compressed.
    pub is_compressed: bool,
}

impl<'a> Frame<'a> {
    /// A frame whose payload is not compressed.
    #[must_use]
    #[inline]
    pub const fn plain(opcode: Opcode, payload: &'a [u8]) -> Self {
        Self {
            opcode,
            payload,
            is_compressed: false,
        }
    }

    #[inline]
    fn header(&self) -> EncodedHeader {
        let rsv = if self.is_compressed {
            Rsv::RSV1
        } else {
            Rsv::NONE
        };
        let header = FrameHeader {
            rsv,
            ..FrameHeader::unmasked(self.opcode, self.payload.len() as u64)
        };
        header.encode()
    }
}

/// A bounded queue of encoded frames. It knows no thread and no socket; [`Link`](crate::link::Link)
/// does.
#[derive(Default)]
pub struct Outbox {
    /// Frames in the order they were accepted, not yet taken by the writer.
    frames: Vec<u8>,
    /// Bytes accepted and not yet written, those the writer has taken included.
    waiting: usize,
    /// Nothing more is accepted.
    is_sealed: bool,
    /// A close frame was accepted.
    has_close: bool,
    /// Exists while senders wait for room; the first end is dropped to tell them to give up.
    gone: Option<(UnixStream, Arc<UnixStream>)>,
}

impl Outbox {
    /// Accepts a frame if there is room, and returns whether there was. A close frame is the last one
    /// accepted, and needs no room.
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`seal`](Self::seal) or a close frame.
    pub fn push(&mut self, frame: Frame<'_>) -> Result<bool, Closed> {
        let Frame {
            opcode, payload, ..
        } = frame;
        if !self.takes_messages()? && opcode != Opcode::Close {
            return Ok(false);
        }
        if self.frames.capacity() == 0 {
            self.frames = kept();
        }
        let header = frame.header();
        self.frames.reserve(header.len() + payload.len());
        self.frames.extend_from_slice(&header);
        self.frames.extend_from_slice(payload);
        self.waiting += header.len() + payload.len();
        if opcode == Opcode::Close {
            self.has_close = true;
            self.seal();
        }
        Ok(true)
    }

    /// Accounts for a message that its sender writes itself, which it may if nothing waits. Gives the
    /// frame's header.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub fn bypass(&mut self, frame: &Frame<'_>) -> Result<Option<EncodedHeader>, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        if self.waiting > 0 || frame.opcode == Opcode::Close {
            return Ok(None);
        }
        let header = frame.header();
        self.waiting = header.len() + frame.payload.len();
        Ok(Some(header))
    }

    /// For a sender that waits for room: becomes readable when no more messages are taken.
    ///
    /// # Errors
    ///
    /// [`Closed`] when none are taken already, or the process has no descriptor left to wait with.
    pub fn gone(&mut self) -> Result<Arc<UnixStream>, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        if self.gone.is_none() {
            let (ours, theirs) = UnixStream::pair().map_err(|_| Closed)?;
            self.gone = Some((ours, Arc::new(theirs)));
        }
        let theirs = self.gone.as_ref().map(|(_, theirs)| Arc::clone(theirs));
        theirs.ok_or(Closed)
    }

    /// Whether a message would be accepted now.
    ///
    /// # Errors
    ///
    /// [`Closed`] if none will be again.
    #[inline]
    pub fn takes_messages(&self) -> Result<bool, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        Ok(self.has_room())
    }

    /// Whether there is room for a message.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiting < LIMIT
    }

    /// Bytes accepted and not yet written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether a close frame was accepted.
    #[must_use]
    pub fn has_close(&self) -> bool {
        self.has_close
    }

    /// Accepts nothing more. Senders that wait for room give up. What was accepted stays.
    pub fn seal(&mut self) {
        self.is_sealed = true;
        self.gone = None;
    }

    /// Seals the queue and forgets what is in it.
    pub fn discard(&mut self) {
        self.seal();
        self.frames = Vec::new();
        self.waiting = 0;
    }

    /// Hands all frames to the writer, in place of its empty buffer.
    pub fn take(&mut self, buffer: &mut Vec<u8>) {
        if !self.frames.is_empty() {
            recycle(buffer);
            *buffer = mem::take(&mut self.frames);
        }
    }

    /// The writer has written so many of the bytes it took.
    pub fn written(&mut self, bytes: usize) {
        self.waiting = self.waiting.saturating_sub(bytes);
    }
}

/// The buffer this thread keeps, if it does. A thread of a plugin may still send while it ends, when
/// nothing is kept any more.
fn kept() -> Vec<u8> {
    KEPT.try_with(Cell::take).unwrap_or_default()
}

/// Keeps an empty buffer for the next connection of this thread, or frees it.
pub fn recycle(buffer: &mut Vec<u8>) {
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

#[cfg(test)]
mod tests {
    use super::{Closed, Frame, LIMIT, Outbox};
    use crate::protocol::Opcode;
    use std::io::Read;

    fn accepted(outbox: &mut Outbox, opcode: Opcode, payload: &[u8]) -> bool {
        outbox.push(Frame::plain(opcode, payload)) == Ok(true)
    }

    fn taken(outbox: &mut Outbox) -> Vec<u8> {
        let mut buffer = Vec::new();
        outbox.take(&mut buffer);
        buffer
    }

    #[test]
    fn frames_leave_in_the_order_they_came() {
        let mut outbox = Outbox::default();
        assert!(accepted(&mut outbox, Opcode::Text, b"a"));
        assert!(accepted(&mut outbox, Opcode::Pong, b"bc"));
        assert_eq!(taken(&mut outbox), b"\x81\x01a\x8a\x02bc");
        assert!(taken(&mut outbox).is_empty());
    }

    #[test]
    fn a_compressed_message_is_marked() {
        let mut outbox = Outbox::default();
        let frame = Frame {
            is_compressed: true,
            ..Frame::plain(Opcode::Text, b"abc")
        };
        assert_eq!(outbox.push(frame), Ok(true));
        assert_eq!(taken(&mut outbox), b"\xc1\x03abc");
        outbox.written(5);
        let header = outbox.bypass(&frame).unwrap().unwrap();
        assert_eq!(&*header, b"\xc1\x03");
    }

    #[test]
    fn bytes_count_until_they_are_written() {
        let mut outbox = Outbox::default();
        assert!(accepted(&mut outbox, Opcode::Binary, b"abc"));
        let frame = taken(&mut outbox);
        assert_eq!(outbox.waiting(), frame.len());
        outbox.written(2);
        assert_eq!(outbox.waiting(), frame.len() - 2);
    }

    #[test]
    fn one_message_may_overshoot_the_limit_and_the_next_finds_no_room() {
        let mut outbox = Outbox::default();
        assert!(accepted(&mut outbox, Opcode::Binary, &vec![0; LIMIT + 1]));
        assert!(!accepted(&mut outbox, Opcode::Text, b""));
        let frame = taken(&mut outbox);
        outbox.written(frame.len() - LIMIT + 1);
        assert!(accepted(&mut outbox, Opcode::Text, b""));
    }

    #[test]
    fn a_message_bypasses_an_empty_queue_only() {
        let mut outbox = Outbox::default();
        let text = Frame::plain(Opcode::Text, b"x");
        let payload = [0; 100];
        let binary = Frame::plain(Opcode::Binary, &payload);
        let header = outbox.bypass(&binary).unwrap().unwrap();
        assert_eq!(&*header, b"\x82\x64");
        assert_eq!(outbox.waiting(), 102);
        assert!(outbox.bypass(&text).unwrap().is_none());
        outbox.written(102);
        let close = Frame::plain(Opcode::Close, b"\x03\xe8");
        assert!(outbox.bypass(&close).unwrap().is_none());
        assert!(outbox.bypass(&text).unwrap().is_some());
        outbox.seal();
        assert!(matches!(outbox.bypass(&text), Err(Closed)));
    }

    #[test]
    fn nothing_follows_a_close_frame() {
        let mut outbox = Outbox::default();
        assert!(accepted(&mut outbox, Opcode::Close, b"\x03\xe8"));
        assert!(outbox.has_close());
        for opcode in [Opcode::Text, Opcode::Pong, Opcode::Close] {
            assert_eq!(outbox.push(Frame::plain(opcode, b"late")), Err(Closed));
        }
        assert_eq!(taken(&mut outbox), b"\x88\x02\x03\xe8");
    }

    #[test]
    fn a_close_frame_needs_no_room() {
        let mut outbox = Outbox::default();
        assert!(accepted(&mut outbox, Opcode::Binary, &vec![0; LIMIT]));
        assert!(accepted(&mut outbox, Opcode::Close, b""));
    }

    #[test]
    fn a_sender_without_room_learns_when_the_connection_is_gone() {
        let mut outbox = Outbox::default();
        assert!(accepted(&mut outbox, Opcode::Binary, &vec![0; LIMIT]));
        assert!(!accepted(&mut outbox, Opcode::Text, b""));
        let gone = outbox.gone().unwrap();
        outbox.seal();
        assert_eq!((&*gone).read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_discarded_queue_is_empty_and_takes_nothing() {
        let mut outbox = Outbox::default();
        assert!(accepted(&mut outbox, Opcode::Text, b"x"));
        outbox.discard();
        assert_eq!(outbox.waiting(), 0);
        assert!(taken(&mut outbox).is_empty());
        assert_eq!(outbox.takes_messages(), Err(Closed));
        assert!(!accepted(&mut outbox, Opcode::Text, b"y"));
    }
}
