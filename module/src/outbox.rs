//! The frames of one connection that wait to be written.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crate::protocol::{FrameHeader, Opcode};

/// A message is accepted while fewer bytes than this wait: 16 MiB.
pub const LIMIT: usize = 16 * 1024 * 1024;

/// An empty buffer of this capacity is kept while the connection is idle; larger ones are freed.
const KEPT_CAPACITY: usize = 1024;

/// The connection takes no more messages: it is closing or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// What became of a message.
pub enum Push {
    /// It waits to be written.
    Accepted,
    /// There is no room. The connection stops taking messages when this becomes readable.
    Full(Arc<UnixStream>),
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
    /// Accepts a frame if there is room. A close frame is the last one accepted, and needs no room.
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`seal`](Self::seal) or a close frame.
    pub fn push(&mut self, opcode: Opcode, payload: &[u8]) -> Result<Push, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        if !self.has_room() && opcode != Opcode::Close {
            return self.full();
        }
        let header = FrameHeader::unmasked(opcode, payload.len() as u64).encode();
        self.frames.reserve(header.len() + payload.len());
        self.frames.extend_from_slice(&header);
        self.frames.extend_from_slice(payload);
        self.waiting += header.len() + payload.len();
        if opcode == Opcode::Close {
            self.has_close = true;
            self.seal();
        }
        Ok(Push::Accepted)
    }

    fn full(&mut self) -> Result<Push, Closed> {
        if self.gone.is_none() {
            // Without a descriptor left a sender cannot wait.
            let (ours, theirs) = UnixStream::pair().map_err(|_| Closed)?;
            self.gone = Some((ours, Arc::new(theirs)));
        }
        self.gone
            .as_ref()
            .map(|(_, theirs)| Push::Full(Arc::clone(theirs)))
            .ok_or(Closed)
    }

    /// Whether a message would be accepted.
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

    /// Hands all frames to the writer in exchange for its empty buffer.
    pub fn take(&mut self, buffer: &mut Vec<u8>) {
        debug_assert!(buffer.is_empty());
        std::mem::swap(&mut self.frames, buffer);
    }

    /// The writer has written so many of the bytes it took.
    pub fn written(&mut self, bytes: usize) {
        self.waiting = self.waiting.saturating_sub(bytes);
    }

    /// Frees memory that holds nothing.
    pub fn release(&mut self) {
        release(&mut self.frames);
    }
}

/// Frees a buffer that is empty and large.
pub fn release(buffer: &mut Vec<u8>) {
    if buffer.is_empty() && buffer.capacity() > KEPT_CAPACITY {
        *buffer = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::{Closed, LIMIT, Outbox, Push};
    use crate::protocol::Opcode;
    use std::io::Read;

    fn accepted(outbox: &mut Outbox, opcode: Opcode, payload: &[u8]) -> bool {
        matches!(outbox.push(opcode, payload), Ok(Push::Accepted))
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
        assert!(matches!(outbox.push(Opcode::Text, b""), Ok(Push::Full(_))));
        let frame = taken(&mut outbox);
        outbox.written(frame.len() - LIMIT + 1);
        assert!(accepted(&mut outbox, Opcode::Text, b""));
    }

    #[test]
    fn nothing_follows_a_close_frame() {
        let mut outbox = Outbox::default();
        assert!(accepted(&mut outbox, Opcode::Close, b"\x03\xe8"));
        assert!(outbox.has_close());
        for opcode in [Opcode::Text, Opcode::Pong, Opcode::Close] {
            assert!(matches!(outbox.push(opcode, b"late"), Err(Closed)));
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
        let Ok(Push::Full(gone)) = outbox.push(Opcode::Text, b"") else {
            panic!("there should be no room");
        };
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
        assert!(matches!(outbox.push(Opcode::Text, b"y"), Err(Closed)));
    }
}
