//! Frames in sending order: bytes of this connection alone, and pieces that connections share.

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

/// The least and the most bytes that an empty queue reserves for its first frame and the next ones.
/// A longer first frame gets what it needs.
const FIRST_ROOM: Range<usize> = 1024..16 * 1024;

/// The most shared pieces in one write. No more pieces wait in a queue either, except those that
/// keep little memory beyond their own bytes.
const MOST_PIECES: usize = 16;

thread_local! {
    /// Buffers for frames, kept from one connection to the next.
    static BUFFERS: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Frames whose writing has not begun.
#[derive(Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Each piece with the number of `bytes` that go before it.
    pieces: SmallVec<[(usize, Piece); 1]>,
}

impl Frames {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.pieces.is_empty()
    }

    /// The bytes of this connection alone.
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
            // The header of a short frame, copied without a call.
            &[first, second] => self.bytes.extend_from_slice(&[first, second]),
            header => self.bytes.extend_from_slice(header),
        }
        self.bytes.extend_from_slice(frame.payload);
        Ok(())
    }

    /// Adds what comes after these frames.
    pub(super) fn append(&mut self, next: Self) -> Result<(), NoMemory> {
        let before = self.bytes.len();
        self.bytes
            .try_reserve(next.bytes.len())
            .map_err(|_| NoMemory)?;
        self.pieces
            .try_reserve(next.pieces.len())
            .map_err(|_| NoMemory)?;
        self.bytes.extend_from_slice(&next.bytes);
        let pieces = next.pieces.into_iter();
        self.pieces
            .extend(pieces.map(|(at, piece)| (before + at, piece)));
        Ok(())
    }

    /// Reserves memory for a frame of `length` bytes, and for the frames that are likely to follow
    /// before this one is written.
    #[inline(never)]
    fn make_room(&mut self, length: usize) {
        if self.bytes.capacity() == 0 {
            self.bytes = buffers::kept(&BUFFERS);
        }
        let room = FIRST_ROOM.start.max(4 * length).min(FIRST_ROOM.end);
        // If this fails, there may still be enough memory for the frame itself.
        let _ = self.bytes.try_reserve(room);
    }

    /// Adds a piece. If this returns `false`, the caller has to copy the bytes.
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
