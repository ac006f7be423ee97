//! Messages put together from fragments, from the pieces of a frame as they arrive (RFC 6455,
//! section 5.4), or from what compressed ones inflate to.

use std::mem;

use super::{MaskingKey, Opcode, ProtocolError, recycling, utf8};

#[cfg(test)]
mod tests;

/// How much room is made at least (in bytes) when the frame that is arriving announces so much.
/// Beyond that, room only grows with what has really arrived.
const GROWTH: usize = 64 * 1024;

/// Less room than this is not worth a read of its own.
const MIN_ROOM: usize = 16 * 1024;

/// How much longer a message usually gets when it is inflated.
const USUAL_RATIO: usize = 4;

/// Room for less is not made for inflating (in bytes).
const MIN_INFLATED: usize = 512;

/// What a message consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

impl MessageKind {
    /// What a frame with this opcode begins, if it begins a message.
    #[inline]
    pub(super) const fn begun_by(opcode: Opcode) -> Option<Self> {
        match opcode {
            Opcode::Text => Some(Self::Text),
            Opcode::Binary => Some(Self::Binary),
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => None,
        }
    }

    /// Unmasks the whole payload of a message of this kind.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TextNotUtf8`].
    #[inline(always)]
    pub(super) fn unmask(self, payload: &mut [u8], key: MaskingKey) -> Result<(), ProtocolError> {
        // One loop for both kinds, and the answer that most often decides comes first.
        let is_ascii = key.apply_to_text(payload, 0);
        if is_ascii || self == Self::Binary || utf8::is_utf8(payload) {
            Ok(())
        } else {
            Err(ProtocolError::TextNotUtf8)
        }
    }
}

/// The payload of one message while it arrives.
///
/// ```text
/// bytes: | checked UTF-8 | cut-off character | room ... |
///        0           validated              len    bytes.len()
/// ```
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// The kind of the message that is under way.
    kind: Option<MessageKind>,
    /// Payload up to `len`, then room that costs nothing to hand out again. Outlives the message,
    /// so that the next one finds it.
    bytes: Vec<u8>,
    len: usize,
    /// How much of a text is known to be UTF-8. The at most three bytes after it are looked at again
    /// when more arrives, which saves keeping the state of the check.
    validated: usize,
}

impl Assembly {
    pub(super) fn begin(&mut self, kind: MessageKind) {
        self.kind = Some(kind);
        self.len = 0;
        self.validated = 0;
    }

    #[inline]
    pub(super) fn is_under_way(&self) -> bool {
        self.kind.is_some()
    }

    /// Length of what has arrived of the message that is under way.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Copies `piece` behind what has arrived, still masked. `expected` bytes of the frame are to
    /// come, those of `piece` among them.
    pub(super) fn copy(&mut self, piece: &[u8], expected: usize) {
        if let Some((room, _)) = self.bytes[self.len..].split_at_mut_checked(piece.len()) {
            room.copy_from_slice(piece);
        } else {
            self.bytes.truncate(self.len);
            self.bytes.reserve(self.growth(expected).max(piece.len()));
            self.bytes.extend_from_slice(piece);
        }
    }

    /// Room for some of the `expected` bytes that are to come; never empty if any are.
    pub(super) fn room(&mut self, expected: usize) -> &mut [u8] {
        if self.bytes.len() - self.len < expected.min(MIN_ROOM) {
            let len = self.len + self.growth(expected);
            match recycling::take(len) {
                Some(larger) => self.move_to(larger),
                None => self.bytes.resize(len, 0),
            }
        }
        let room = &mut self.bytes[self.len..];
        let len = room.len().min(expected);
        &mut room[..len]
    }

    /// Room for what is inflated from `compressed` bytes; never empty while the message is shorter
    /// than `max_len`, and never beyond that.
    pub(super) fn room_to_inflate(&mut self, compressed: usize, max_len: usize) -> &mut [u8] {
        if self.bytes.len() == self.len {
            // A guess, then twice as much every time: what has been inflated is the measure, not
            // what the peer may send yet.
            let guess = compressed.saturating_mul(USUAL_RATIO).min(GROWTH);
            let growth = self.len.max(guess).max(MIN_INFLATED);
            let len = self.len.saturating_add(growth).min(max_len);
            match recycling::take_large(len) {
                Some(larger) => self.move_to(larger),
                None => {
                    self.bytes.reserve_exact(len - self.len);
                    self.bytes.resize(len, 0);
                }
            }
        }
        let end = self.bytes.len().min(max_len);
        &mut self.bytes[self.len..end]
    }

    fn move_to(&mut self, mut larger: Vec<u8>) {
        larger[..self.len].copy_from_slice(&self.bytes[..self.len]);
        recycling::give(mem::replace(&mut self.bytes, larger));
    }

    /// How far to grow: a peer gets memory for what it sent, not for what it announces.
    fn growth(&self, expected: usize) -> usize {
        expected.min(self.len.max(GROWTH))
    }

    /// Takes up `n` masked bytes that were put into the front of the room. The first of them is
    /// byte number `offset` of its frame.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TextNotUtf8`] once that is certain.
    pub(super) fn absorb(
        &mut self,
        n: usize,
        key: MaskingKey,
        offset: usize,
    ) -> Result<(), ProtocolError> {
        let end = self.len + n;
        let piece = &mut self.bytes[self.len..end];
        if self.kind != Some(MessageKind::Text) {
            key.apply(piece, offset);
        } else if key.apply_to_text(piece, offset) && self.validated == self.len {
            self.validated = end;
        } else {
            return self.accept(n);
        }
        self.len = end;
        Ok(())
    }

    /// Takes up `n` bytes that were put into the front of the room as they are.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TextNotUtf8`] once that is certain.
    pub(super) fn accept(&mut self, n: usize) -> Result<(), ProtocolError> {
        let end = self.len + n;
        if self.kind == Some(MessageKind::Text) {
            let valid = utf8::valid_prefix(&self.bytes[self.validated..end])
                .map_err(|_| ProtocolError::TextNotUtf8)?;
            self.validated += valid;
        }
        self.len = end;
        Ok(())
    }

    /// Ends the message and tells what it was.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TextNotUtf8`] if the last character is cut off.
    pub(super) fn finish(&mut self) -> Result<Option<MessageKind>, ProtocolError> {
        if self.kind == Some(MessageKind::Text) && self.validated < self.len {
            return Err(ProtocolError::TextNotUtf8);
        }
        Ok(self.kind.take())
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The message that was [finished](Self::finish), until the next one begins.
    pub(super) fn payload(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// Frees the buffer if it holds nothing that is still needed. One with part of a message is not
    /// even shrunk: a peer that dribbles would have it copied again and again.
    pub(super) fn release(&mut self) {
        if self.kind.is_none() || self.len == 0 {
            recycling::give(mem::take(&mut self.bytes));
            self.len = 0;
            self.validated = 0;
        }
    }
}
