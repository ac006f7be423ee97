//! Frames that the writer has taken from the queue, and how much of them it has written.

use std::io::IoSlice;
use std::mem;

use smallvec::SmallVec;

use super::{BUFFERS, Frame, Frames, MOST_PIECES, NoMemory};
use crate::buffers;

/// Frames that are being written.
#[derive(Default)]
pub(in crate::output) struct Writing {
    /// Their pieces are in reverse order: the next one to write is the last.
    frames: Frames,
    /// How many of the own bytes are written.
    offset: usize,
    /// How many bytes of the next piece are written.
    piece_offset: usize,
    /// How many bytes at the front are the rest of a frame whose beginning was written elsewhere.
    rest: usize,
}

impl Writing {
    /// Whether everything is written.
    pub(in crate::output) fn is_done(&self) -> bool {
        self.offset == self.frames.bytes.len() && self.frames.pieces.is_empty()
    }

    /// The number of bytes, written or not, that no other connection shares.
    #[inline]
    pub(in crate::output) fn own_len(&self) -> usize {
        self.frames.bytes.len()
    }

    /// Takes all of `frames`. Everything taken before must be written.
    pub(in crate::output) fn take(&mut self, frames: &mut Frames) {
        debug_assert!(self.is_done());
        self.frames.bytes.clear();
        self.offset = 0;
        self.rest = 0;
        if !frames.is_empty() {
            buffers::recycle(&BUFFERS, &mut self.frames.bytes);
            self.frames = mem::take(frames);
            self.frames.pieces.reverse();
        }
    }

    /// Runs `body` with the bytes to write next, in one slice for each place where they lie.
    pub(in crate::output) fn with_slices<T>(&self, body: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        let Frames { bytes, pieces } = &self.frames;
        if pieces.is_empty() {
            return body(&[IoSlice::new(&bytes[self.offset..])]);
        }
        let next = pieces.iter().rev().take(MOST_PIECES);
        let held: SmallVec<[_; MOST_PIECES]> =
            next.map(|(at, piece)| (*at, piece.bytes())).collect();
        let mut slices = SmallVec::<[_; 4 * MOST_PIECES]>::new();
        let mut add = |bytes| {
            if !<[u8]>::is_empty(bytes) {
                slices.push(IoSlice::new(bytes));
            }
        };
        let (mut offset, mut skipped) = (self.offset, self.piece_offset);
        for (at, piece) in &held {
            add(&bytes[offset..*at]);
            add(&piece.get()[mem::take(&mut skipped)..]);
            offset = *at;
        }
        if held.len() == pieces.len() {
            add(&bytes[offset..]);
        }
        body(&slices)
    }

    /// Notes that `written` more bytes are written.
    pub(in crate::output) fn advance(&mut self, mut written: usize) {
        while let Some((at, piece)) = self.frames.pieces.last() {
            let before = at - self.offset;
            if written < before {
                break;
            }
            written -= before;
            self.offset = *at;
            let left = piece.len() - self.piece_offset;
            if written < left {
                self.piece_offset += written;
                return;
            }
            written -= left;
            self.piece_offset = 0;
            self.frames.pieces.pop();
        }
        self.offset += written;
    }

    /// Adds the rest of a frame whose first `written` bytes are written already.
    pub(in crate::output) fn add_rest(
        &mut self,
        frame: Frame<'_>,
        written: usize,
    ) -> Result<(), NoMemory> {
        debug_assert!(self.is_done() && self.frames.bytes.is_empty());
        let rest = frame.len() - written;
        self.frames.bytes.try_reserve(rest).map_err(|_| NoMemory)?;
        self.rest = if written > 0 { rest } else { 0 };
        let header = written.min(frame.header.len());
        self.frames.bytes.extend_from_slice(&frame.header[header..]);
        let payload = &frame.payload[written - header..];
        self.frames.bytes.extend_from_slice(payload);
        Ok(())
    }

    /// Discards all frames except the rest of a frame that is written in part. Returns how many
    /// bytes that rest has.
    pub(in crate::output) fn cut(&mut self) -> usize {
        let Frames { bytes, pieces } = mem::take(&mut self.frames);
        let left = match pieces.last() {
            Some((_, piece)) if self.piece_offset > 0 => {
                let bytes = piece.bytes();
                let end = frame_end(bytes.get(), 0, self.piece_offset);
                bytes.get()[self.piece_offset..end].to_vec()
            }
            _ => {
                let end = frame_end(&bytes, self.rest, self.offset);
                bytes[self.offset..end].to_vec()
            }
        };
        let len = left.len();
        *self = Self {
            frames: Frames {
                bytes: left,
                ..Frames::default()
            },
            rest: len,
            ..Self::default()
        };
        len
    }

    /// Frees memory that an idle connection does not need.
    pub(in crate::output) fn release(&mut self) {
        if self.is_done() {
            self.frames.bytes.clear();
            self.offset = 0;
            self.frames.pieces = SmallVec::new();
            buffers::recycle(&BUFFERS, &mut self.frames.bytes);
        }
    }
}

/// The end of the frame that the byte at `at` belongs to, or `at` if a frame begins there. Frames
/// follow each other in `bytes` from `start` on.
fn frame_end(bytes: &[u8], start: usize, at: usize) -> usize {
    let mut end = start;
    while end < at {
        let len = frame_len(&bytes[end..]).unwrap_or(usize::MAX);
        end = end.saturating_add(len).min(bytes.len());
    }
    end
}

/// The length of the frame at the front of `bytes`, which is not masked (RFC 6455, section 5.2).
fn frame_len(bytes: &[u8]) -> Option<usize> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    let (field, len) = match head[1] & 0x7f {
        126 => (2, u16::from_be_bytes(*rest.first_chunk()?).into()),
        127 => (
            8,
            usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?,
        ),
        len => (0, usize::from(len)),
    };
    (head.len() + field).checked_add(len)
}
