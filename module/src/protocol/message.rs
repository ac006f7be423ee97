//! Assembles messages: from fragments and partial frames (RFC 6455, section 5.4), or from inflated
//! data.

use std::mem;

use super::{MaskingKey, Opcode, Payload, ProtocolError, memory, recycling, utf8};

#[cfg(test)]
mod tests;

/// The smallest growth in bytes, if the frame in progress announces as much. Beyond that the buffer
/// grows by a quarter of the bytes that have really arrived. To grow faster would save little,
/// because the system moves large blocks without copying them.
const GROWTH: usize = 64 * 1024;
const GROWTH_DIVISOR: usize = 4;

/// Room for one byte after a message (see [`Payload`]).
const BEHIND: usize = 1;

/// The smallest room that is worth a separate read.
const MIN_ROOM: usize = 16 * 1024;

/// The usual ratio of an inflated message to its compressed size.
const USUAL_RATIO: usize = 4;

/// The smallest room for inflated data, in bytes.
const MIN_INFLATED: usize = 512;

/// The most bytes of a message that are handed out at once if it comes in parts.
pub(super) const PART: usize = 64 * 1024;

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

impl MessageKind {
    /// The type of message that a frame with this opcode begins, if it begins one.
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
        // One loop for both types, and the most frequent answer first.
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
    /// The type of the message in progress.
    kind: Option<MessageKind>,
    /// The number of its frames that have begun.
    fragments: u32,
    /// The payload up to `len`, then room that is already initialized. The buffer outlives the
    /// message, so that the next one can use it.
    bytes: Vec<u8>,
    len: usize,
    /// The number of bytes of a text that are checked to be UTF-8. At most three bytes after them
    /// are checked again when more arrives, so that no state of the check must be kept.
    validated: usize,
    /// How many bytes of the message came before `bytes`: they were handed out in parts.
    passed: u64,
    /// How many of `bytes` are handed out at the moment.
    lent: usize,
}

impl Assembly {
    pub(super) fn begin(&mut self, kind: MessageKind) {
        self.kind = Some(kind);
        self.fragments = 1;
        self.len = 0;
        self.validated = 0;
        self.passed = 0;
        self.lent = 0;
    }

    #[inline]
    pub(super) fn is_under_way(&self) -> bool {
        self.kind.is_some()
    }

    /// The type of the message in progress.
    pub(super) fn kind(&self) -> Option<MessageKind> {
        self.kind
    }

    /// The memory that the buffer takes, in bytes.
    #[inline]
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Another frame of the message begins.
    pub(super) fn go_on(&mut self) {
        self.fragments = self.fragments.saturating_add(1);
    }

    /// The number of frames of the message in progress that have begun.
    pub(super) fn fragments(&self) -> u32 {
        self.fragments
    }

    /// The number of bytes of the message in progress that have arrived and are kept here.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number of bytes of the message in progress that were handed out in parts.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// The number of bytes of the message in progress that have arrived.
    pub(super) fn total(&self) -> u64 {
        self.passed.saturating_add(self.len as u64)
    }

    /// Whether there is anything to hand out before the message is complete.
    pub(super) fn has_part(&self) -> bool {
        self.is_under_way() && self.part_len() > self.lent
    }

    /// What can be handed out before the message is complete: whole characters of a text.
    pub(super) fn part(&self) -> &[u8] {
        &self.bytes[..self.part_len()]
    }

    fn part_len(&self) -> usize {
        if self.kind == Some(MessageKind::Text) {
            self.validated
        } else {
            self.len
        }
    }

    /// Makes the room that [`lend_part`](Self::lend_part) needs behind what has arrived.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NoMemory`].
    pub(super) fn make_room_behind(&mut self) -> Result<(), ProtocolError> {
        self.lengthen(self.len + BEHIND, None)
    }

    /// Hands out the part that has arrived. [`take_back`](Self::take_back) removes it.
    ///
    /// # Panics
    ///
    /// There is no [room behind it](Self::make_room_behind).
    pub(super) fn lend_part(&mut self) -> Payload<'_> {
        self.lent = self.part_len();
        Payload::new(&mut self.bytes[..self.lent + BEHIND])
    }

    /// Removes what was handed out as a part.
    pub(super) fn take_back(&mut self) {
        let lent = mem::take(&mut self.lent);
        if lent > 0 {
            // At most the beginning of a character is left.
            self.bytes.copy_within(lent..self.len, 0);
            self.len -= lent;
            self.validated = self.validated.saturating_sub(lent);
            self.passed = self.passed.saturating_add(lent as u64);
        }
    }

    /// Appends `piece`, which is still masked. The frame has `expected` bytes left, including those
    /// of `piece`.
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

    /// Makes [`room`](Self::room) large enough to be worth a read.
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

    /// Room for some of the `expected` bytes of the frame.
    pub(super) fn room(&mut self, expected: usize) -> &mut [u8] {
        let end = self.bytes.len().saturating_sub(BEHIND).max(self.len);
        let room = &mut self.bytes[self.len..end];
        let len = room.len().min(expected);
        &mut room[..len]
    }

    /// Room for data inflated from `compressed` bytes. It is not empty while the message is shorter
    /// than `max_len`, and ends at `max_len`.
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
            // Guess first, then double the buffer, and later grow by a quarter. The growth depends
            // on the data inflated so far, not on what the client may still send.
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

    /// Makes the buffer `len` bytes long, or moves the data to a `larger` one.
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

    /// Reserves room for `additional` bytes, and at least a quarter of the current length, so that
    /// frames of any length cause few moves.
    fn reserve(&mut self, additional: usize) -> Result<(), ProtocolError> {
        if self.bytes.capacity() - self.bytes.len() >= additional {
            return Ok(());
        }
        let least = self.bytes.len() / GROWTH_DIVISOR;
        memory::grow(&mut self.bytes, additional.max(least))
    }

    /// The number of bytes to grow by. It depends on the bytes that the client has sent, not on the
    /// length that it announces.
    fn growth(&self, expected: usize) -> usize {
        expected.min((self.len / GROWTH_DIVISOR).max(GROWTH))
    }

    /// Accepts `n` masked bytes that were written to the front of the room. The first of them is
    /// the byte at `offset` in its frame.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TextNotUtf8`] as soon as no continuation can make the text valid.
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

    /// Accepts `n` unmasked bytes that were written to the front of the room.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TextNotUtf8`] as soon as no continuation can make the text valid.
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

    /// Ends the message and returns its type.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TextNotUtf8`] if the last character is incomplete, or
    /// [`ProtocolError::NoMemory`].
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

    /// The bytes of the message that have arrived.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The [finished](Self::finish) message, until the next one begins.
    pub(super) fn payload(&mut self) -> Payload<'_> {
        Payload::new(&mut self.bytes[..self.len + BEHIND])
    }

    /// Frees the buffer if it contains nothing that is still needed. A buffer with a part of a
    /// message is not shrunk, because a client that sends slowly would then cause many copies.
    pub(super) fn release(&mut self) {
        if self.kind.is_none() || self.len == 0 {
            recycling::give(mem::take(&mut self.bytes));
            self.len = 0;
            self.validated = 0;
        }
    }
}
