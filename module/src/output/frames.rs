//! Frames in the order they are sent: bytes of this connection, and frames that connections share.

#[cfg(test)]
mod tests;
mod writing;

use std::cell::Cell;
use std::ops::Range;

use smallvec::SmallVec;

use super::chunk::{NoMemory, Piece};
use super::frame::Frame;
use crate::buffers;

pub(super) use writing::Writing;

/// The bytes that an empty queue makes room for, at least and at most, beside those of its first
/// frame.
const FIRST_ROOM: Range<usize> = 1024..16 * 1024;

/// The most pieces of one write that are shared. No more of them wait either, unless each keeps
/// little memory beyond its own bytes.
const MOST_PIECES: usize = 16;

thread_local! {
    /// Buffers that frames are collected in, between two connections.
    static BUFFERS: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Frames that nobody has begun to write.
#[derive(Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Each with the number of `bytes` that go before it.
    pieces: SmallVec<[(usize, Piece); 1]>,
}

impl Frames {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.pieces.is_empty()
    }

    /// The bytes that nobody shares.
    #[inline]
    pub(super) fn own_len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a frame.
    #[inline]
    pub(super) fn push(&mut self, frame: Frame<'_>) -> Result<(), NoMemory> {
        if frame.shared.is_some_and(|piece| self.share(piece)) {
            return Ok(());
        }
        if self.bytes.is_empty() {
            self.make_room(frame.len());
        }
        self.bytes.try_reserve(frame.len()).map_err(|_| NoMemory)?;
        match frame.header {
            // That of a short frame, which is copied without a call.
            &[first, second] => self.bytes.extend_from_slice(&[first, second]),
            header => self.bytes.extend_from_slice(header),
        }
        self.bytes.extend_from_slice(frame.payload);
        Ok(())
    }

    /// Makes room for a frame of so many bytes, and for more that are likely to follow before these
    /// are written.
    #[inline(never)]
    fn make_room(&mut self, length: usize) {
        if self.bytes.capacity() == 0 {
            self.bytes = buffers::kept(&BUFFERS);
        }
        let room = FIRST_ROOM.start.max(4 * length).min(FIRST_ROOM.end);
        // Without so much memory there may still be enough for the frame.
        let _ = self.bytes.try_reserve(room);
    }

    /// Adds a piece. Returns whether that was done; otherwise its bytes are to be copied.
    #[inline]
    fn share(&mut self, piece: &Piece) -> bool {
        let at = self.bytes.len();
        if let Some((last, before)) = self.pieces.last_mut()
            && *last == at
            && before.extend(piece)
        {
            return true;
        }
        let is_worth_it = self.pieces.len() < MOST_PIECES || piece.is_most_of_its_chunk();
        let has_room = is_worth_it && self.pieces.try_reserve(1).is_ok();
        if has_room {
            self.pieces.push((at, piece.clone()));
        }
        has_room
    }
}
