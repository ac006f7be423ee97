//! Messages put together from fragments, from the pieces of a frame as they arrive (RFC 6455,
//! section 5.4), or from what compressed ones inflate to.

use std::mem;

use super::receiver::Payload;
use super::{MaskingKey, Opcode, ProtocolError, memory, recycling, utf8};

#[cfg(test)]
mod tests;

/// How much room is made at least (in bytes) when the frame that is arriving announces so much.
/// Beyond that, room only grows with what has really arrived, by a quarter of it: to grow faster would
/// save little copying, since the system moves large blocks without.
const GROWTH: usize = 64 * 1024;
const GROWTH_DIVISOR: usize = 4;

/// Behind a message there is room for one more byte (see [`Payload`]).
const BEHIND: usize = 1;

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
/// bytes: | checked UTF-8 | cut-off character | room ... | BEHIND |
///        0           validated              len            bytes.len()
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
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NoMemory`].
    pub(super) fn copy(&mut self, piece: &[u8], expected: usize) -> Result<(), ProtocolError> {
        if let Some((room, _)) = self.bytes[self.len..].split_at_mut_checked(piece.len()) {
            room.copy_from_slice(piece);
        } else {
            self.bytes.truncate(self.len);
            if self.bytes.capacity() - self.len < piece.len() + BEHIND {
                self.reserve(piece.len().max(self.growth(expected)) + BEHIND)?;
            }
            self.bytes.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Sees to it that [`room`](Self::room) is worth a read.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NoMemory`].
    pub(super) fn make_room(&mut self, expected: usize) -> Result<(), ProtocolError> {
        if self.room(expected).len() >= expected.min(MIN_ROOM) {
            return Ok(());
        }
        let growth = self.growth(expected) + BEHIND;
        let larger = recycling::take(self.len + growth);
        if larger.is_none() {
            self.bytes.truncate(self.len);
            self.reserve(growth)?;
        }
        self.lengthen(self.len + growth, larger)
    }

    /// Room for some of the `expected` bytes that are to come.
    pub(super) fn room(&mut self, expected: usize) -> &mut [u8] {
        let end = self.bytes.len().saturating_sub(BEHIND).max(self.len);
        let room = &mut self.bytes[self.len..end];
        let len = room.len().min(expected);
        &mut room[..len]
    }

    /// Room for what is inflated from `compressed` bytes; never empty while the message is shorter
    /// than `max_len`, and never beyond that.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NoMemory`].
    pub(super) fn room_to_inflate(
        &mut self,
        compressed: usize,
        max_len: usize,
    ) -> Result<&mut [u8], ProtocolError> {
        if self.bytes.len() <= self.len + BEHIND {
            // A guess, then twice as much every time, later a quarter more: what has been inflated is
            // the measure, not what the peer may send yet.
            let guess = compressed.saturating_mul(USUAL_RATIO);
            let growth = guess.max(self.len).clamp(MIN_INFLATED, GROWTH);
            let growth = growth.max(self.len / GROWTH_DIVISOR);
            let len = self.len.saturating_add(growth).min(max_len);
            let len = len.saturating_add(BEHIND);
            self.lengthen(len, recycling::take_large(len))?;
        }
        let end = (self.bytes.len() - BEHIND).min(max_len).max(self.len);
        Ok(&mut self.bytes[self.len..end])
    }

    /// Makes the buffer `len` bytes long, or moves to a `larger` one.
    fn lengthen(&mut self, len: usize, larger: Option<Vec<u8>>) -> Result<(), ProtocolError> {
        if let Some(mut larger) = larger {
            larger[..self.len].copy_from_slice(&self.bytes[..self.len]);
            recycling::give(mem::replace(&mut self.bytes, larger));
        } else if len > self.bytes.len() {
            self.reserve(len - self.bytes.len())?;
            self.bytes.resize(len, 0);
        }
        Ok(())
    }

    /// Reserves room for `additional` bytes, and more if there are many already, so that frames of any
    /// length make the buffer move seldom.
    fn reserve(&mut self, additional: usize) -> Result<(), ProtocolError> {
        if self.bytes.capacity() - self.bytes.len() >= additional {
            return Ok(());
        }
        let least = self.bytes.len() / GROWTH_DIVISOR;
        memory::grow(&mut self.bytes, additional.max(least))
    }

    /// How far to grow: a peer gets memory for what it sent, not for what it announces.
    fn growth(&self, expected: usize) -> usize {
        expected.min((self.len / GROWTH_DIVISOR).max(GROWTH))
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
    /// [`ProtocolError::TextNotUtf8`] if the last character is cut off, [`ProtocolError::NoMemory`].
    pub(super) fn finish(&mut self) -> Result<Option<MessageKind>, ProtocolError> {
        if self.kind == Some(MessageKind::Text) && self.validated < self.len {
            return Err(ProtocolError::TextNotUtf8);
        }
        self.lengthen(self.len + BEHIND, None)?;
        Ok(self.kind.take())
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// What has arrived of the message.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The message that was [finished](Self::finish), until the next one begins.
    pub(super) fn payload(&mut self) -> Payload<'_> {
        Payload::new(&mut self.bytes[..self.len + BEHIND])
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
