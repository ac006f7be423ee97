//! Bytes that several connections send.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use crate::budget;

/// The capacity of a chunk in bytes, unless its first frame needs more.
const ROOM: usize = 16 * 1024;

/// Encoded frames, one after the other. The bytes of a [`Piece`] never change while another
/// connection has the piece.
///
/// The lock is held no longer than it takes to write a piece or to copy one frame. Readers share
/// it, and [`Piece::append`] takes another chunk instead of waiting for readers.
#[derive(Default)]
struct Chunk(RwLock<Vec<u8>>);

impl Drop for Chunk {
    fn drop(&mut self) {
        let bytes = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if bytes.capacity() > 0 {
            budget::subtract(bytes.capacity());
        }
    }
}

/// A part of a chunk: one frame, or several that follow each other.
#[derive(Clone)]
pub(super) struct Piece {
    chunk: Arc<Chunk>,
    range: Range<u32>,
}

/// There is no memory for a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoMemory;

/// The bytes of the chunk that a piece belongs to.
pub(super) struct Bytes<'a>(RwLockReadGuard<'a, Vec<u8>>, Range<u32>);

impl Bytes<'_> {
    pub(super) fn get(&self) -> &[u8] {
        &self.0[self.1.start as usize..self.1.end as usize]
    }
}

impl Piece {
    /// An empty piece, to [`append`](Self::append) to.
    pub(super) fn empty() -> Self {
        Self {
            chunk: Arc::default(),
            range: 0..0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.range.len()
    }

    /// The bytes, which stay readable for as long as the result is held.
    pub(super) fn bytes(&self) -> Bytes<'_> {
        let bytes = self.chunk.0.read().unwrap_or_else(PoisonError::into_inner);
        Bytes(bytes, self.range.clone())
    }

    /// Whether the piece fills at least half of a chunk of the usual size, so that keeping it
    /// wastes little memory.
    pub(super) fn is_most_of_its_chunk(&self) -> bool {
        2 * self.len() >= ROOM
    }

    /// Adds `next` if it follows this piece in the same chunk. Returns whether it does.
    #[inline]
    pub(super) fn extend(&mut self, next: &Self) -> bool {
        let follows = self.range.end == next.range.start && Arc::ptr_eq(&self.chunk, &next.chunk);
        if follows {
            self.range.end = next.range.end;
        }
        follows
    }

    /// Puts the bytes of `parts` behind this piece and becomes the new piece. If `is_kept` is
    /// false, no connection has a copy of this piece, and the bytes take its place. Takes another
    /// chunk if this one has no room or a thread is reading it.
    ///
    /// # Errors
    ///
    /// When there is no memory for another chunk.
    pub(super) fn append(&mut self, parts: [&[u8]; 2], is_kept: bool) -> Result<(), NoMemory> {
        let start = if is_kept {
            self.range.end
        } else {
            self.range.start
        };
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if let Some(chunk) = Arc::get_mut(&mut self.chunk) {
            // No other piece of this chunk exists.
            let bytes = chunk.0.get_mut().unwrap_or_else(PoisonError::into_inner);
            if bytes.capacity() <= ROOM.max(length) {
                self.range = fill(bytes, 0, parts)?;
                return Ok(());
            }
        } else if let Some(mut bytes) = try_write(&self.chunk)
            && bytes.capacity() - start as usize >= length
        {
            self.range = fill(&mut bytes, start, parts)?;
            return Ok(());
        }
        *self = Self::empty();
        self.append(parts, true)
    }
}

/// Puts the bytes of `parts` into a chunk after its first `start` bytes, which stay.
fn fill(bytes: &mut Vec<u8>, start: u32, parts: [&[u8]; 2]) -> Result<Range<u32>, NoMemory> {
    bytes.truncate(start as usize);
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let room = if bytes.is_empty() {
        ROOM.max(length)
    } else {
        length
    };
    let before = bytes.capacity();
    bytes.try_reserve_exact(room).map_err(|_| NoMemory)?;
    if bytes.capacity() > before {
        budget::add(bytes.capacity() - before);
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    let end = u32::try_from(bytes.len()).map_err(|_| NoMemory)?;
    Ok(start..end)
}

fn try_write(chunk: &Chunk) -> Option<RwLockWriteGuard<'_, Vec<u8>>> {
    match chunk.0.try_write() {
        Ok(bytes) => Some(bytes),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, ROOM};

    fn appended(last: &mut Piece, text: &str, is_kept: bool) -> Piece {
        let (head, rest) = text.split_at(1);
        last.append([head.as_bytes(), rest.as_bytes()], is_kept)
            .unwrap();
        assert_eq!(last.bytes().get(), text.as_bytes());
        last.clone()
    }

    #[test]
    fn frames_that_are_kept_follow_each_other() {
        let mut last = Piece::empty();
        let mut first = appended(&mut last, "first", false);
        let second = appended(&mut last, "second", true);
        assert!(!second.clone().extend(&first));
        assert!(first.extend(&second));
        assert_eq!(first.bytes().get(), b"firstsecond");
    }

    #[test]
    fn a_frame_that_nobody_keeps_makes_room_for_the_next() {
        let mut last = Piece::empty();
        let mut first = appended(&mut last, "first", false);
        appended(&mut last, "second", true);
        let third = appended(&mut last, "third", false);
        assert!(first.extend(&third));
        assert_eq!(first.bytes().get(), b"firstthird");
    }

    #[test]
    fn a_chunk_is_used_again_when_nobody_has_a_piece_of_it() {
        let mut last = Piece::empty();
        drop(appended(&mut last, "first", false));
        let second = appended(&mut last, "second", true);
        assert_eq!(second.range, 0..6);
    }

    #[test]
    fn a_chunk_that_is_full_or_being_read_is_left_as_it_is() {
        let mut last = Piece::empty();
        let first = appended(&mut last, "first", false);
        let long = "x".repeat(ROOM - 4);
        let mut other = appended(&mut last, &long, true);
        assert!(!first.clone().extend(&other));
        let bytes = other.bytes();
        let third = appended(&mut last, "third", true);
        assert_eq!(bytes.get(), long.as_bytes());
        drop(bytes);
        assert!(!other.extend(&third));
        assert_eq!(first.bytes().get(), b"first");
        assert!(other.is_most_of_its_chunk() && !third.is_most_of_its_chunk());
    }
}
