//! Frames in the order they are sent: bytes of this connection, and frames that connections share.

use std::cell::Cell;
use std::io::IoSlice;
use std::mem;
use std::ops::Range;

use smallvec::SmallVec;

use super::chunk::{NoMemory, Piece};
use super::frame::Frame;
use crate::buffers;

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
            if self.bytes.capacity() == 0 {
                self.bytes = buffers::kept(&BUFFERS);
            }
            // More frames are likely to follow before these are written.
            let room = FIRST_ROOM.start.max(4 * frame.len()).min(FIRST_ROOM.end);
            // Without so much memory there may still be enough for this frame.
            let _ = self.bytes.try_reserve(room);
        }
        self.bytes.try_reserve(frame.len()).map_err(|_| NoMemory)?;
        self.bytes.extend_from_slice(frame.header);
        self.bytes.extend_from_slice(frame.payload);
        Ok(())
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

/// Frames that are being written.
#[derive(Default)]
pub(super) struct Writing {
    /// The next of the pieces is the last one here.
    frames: Frames,
    /// So many of the bytes are written.
    offset: usize,
    /// So many of the next piece are.
    piece_offset: usize,
    /// So many bytes at the front are the rest of a frame whose beginning was written elsewhere.
    rest: usize,
}

impl Writing {
    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.offset == self.frames.bytes.len() && self.frames.pieces.is_empty()
    }

    /// The bytes that nobody shares.
    #[inline]
    pub(super) fn own_len(&self) -> usize {
        self.frames.bytes.len()
    }

    /// Takes all of `frames`. Nothing is left of what was taken before.
    pub(super) fn take(&mut self, frames: &mut Frames) {
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

    /// Runs `body` with the bytes to write next, in as many slices as they lie in.
    pub(super) fn with_slices<T>(&self, body: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
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

    /// So many bytes more are written.
    pub(super) fn advance(&mut self, mut written: usize) {
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

    /// Adds what is left of a frame of which `written` bytes are written already.
    pub(super) fn add_rest(&mut self, frame: Frame<'_>, written: usize) -> Result<(), NoMemory> {
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

    /// Forgets all frames but the one that has been written in part. Returns how many bytes of that
    /// are left.
    pub(super) fn cut(&mut self) -> usize {
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
    pub(super) fn release(&mut self) {
        if self.is_done() {
            self.frames.bytes.clear();
            self.offset = 0;
            self.frames.pieces = SmallVec::new();
            buffers::recycle(&BUFFERS, &mut self.frames.bytes);
        }
    }
}

/// The end of the frame that the byte at `at` belongs to, or `at` if that begins one. Frames follow
/// each other in `bytes` from `start` on.
fn frame_end(bytes: &[u8], start: usize, at: usize) -> usize {
    let mut end = start;
    while end < at {
        let len = frame_len(&bytes[end..]).unwrap_or(usize::MAX);
        end = end.saturating_add(len).min(bytes.len());
    }
    end
}

/// The length of the frame at the front of `bytes`, which has no mask (RFC 6455, section 5.2).
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

#[cfg(test)]
mod tests {
    use super::{Frame, Frames, MOST_PIECES, Piece, Writing};
    use crate::protocol::Traffic;

    /// A frame that shares `piece`, if there is one.
    fn frame<'a>(payload: &'a [u8], piece: Option<&'a Piece>) -> Frame<'a> {
        Frame {
            header: b"(",
            payload,
            closes: None,
            traffic: Traffic::default(),
            shared: piece,
        }
    }

    /// Writes it all, at most so many bytes at a time. Gives the bytes, and the number of slices
    /// each time.
    fn written(frames: &mut Frames, most: usize) -> (Vec<u8>, Vec<usize>) {
        let mut writing = Writing::default();
        writing.take(frames);
        let (mut written, mut counts) = (Vec::new(), Vec::new());
        while !writing.is_done() {
            let taken = writing.with_slices(|slices| {
                counts.push(slices.len());
                let mut next: Vec<_> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
                next.truncate(most);
                written.extend_from_slice(&next);
                next.len()
            });
            assert!(taken > 0);
            writing.advance(taken);
        }
        writing.release();
        (written, counts)
    }

    #[test]
    fn frames_keep_their_order_however_they_are_kept_and_written() {
        for pattern in ["o", "s", "os", "so", "ossoos", "ssss"] {
            let pattern = pattern.repeat(7);
            for most in [1, 3, 8, 1000] {
                let mut frames = Frames::default();
                let mut expected = Vec::new();
                let mut last = Piece::empty();
                for (name, kind) in (b'0'..).zip(pattern.chars()) {
                    let payload = [name; 3];
                    last.append([b"(", &payload], true).unwrap();
                    frames
                        .push(frame(&payload, (kind == 's').then_some(&last)))
                        .unwrap();
                    expected.extend_from_slice(b"(");
                    expected.extend_from_slice(&payload);
                }
                assert_eq!(written(&mut frames, most).0, expected, "{pattern} {most}");
            }
        }
    }

    #[test]
    fn pieces_that_follow_each_other_are_one_slice() {
        let (mut frames, mut last) = (Frames::default(), Piece::empty());
        for _ in 0..100 {
            last.append([b"(", b"shared"], true).unwrap();
            frames.push(frame(b"shared", Some(&last))).unwrap();
        }
        let (bytes, counts) = written(&mut frames, usize::MAX);
        assert_eq!(bytes, b"(shared".repeat(100));
        assert_eq!(counts, [1]);
    }

    #[test]
    fn many_small_pieces_are_copied_so_that_their_chunks_need_not_be_kept() {
        let mut frames = Frames::default();
        let pieces = [(); 100].map(|()| {
            let mut piece = Piece::empty();
            piece.append([b"(", b"shared"], true).unwrap();
            piece
        });
        for piece in &pieces {
            frames.push(frame(b"shared", Some(piece))).unwrap();
        }
        assert_eq!(frames.pieces.len(), MOST_PIECES);
        let (bytes, counts) = written(&mut frames, usize::MAX);
        assert_eq!(bytes, b"(shared".repeat(100));
        assert_eq!(counts, [MOST_PIECES + 1]);
    }

    #[test]
    fn the_rest_of_a_frame_goes_first() {
        let frame = frame(b"hello", None);
        for cut in 0..frame.len() {
            let mut writing = Writing::default();
            writing.add_rest(frame, cut).unwrap();
            writing.with_slices(|slices| assert_eq!(&*slices[0], &b"(hello"[cut..]));
        }
    }

    /// A whole frame with a payload of so many bytes.
    fn real(len: usize) -> Vec<u8> {
        let header = match len {
            0..126 => vec![0x82, u8::try_from(len).unwrap()],
            126..65_536 => [&[0x82, 126][..], &u16::try_from(len).unwrap().to_be_bytes()].concat(),
            _ => [&[0x82, 127][..], &(len as u64).to_be_bytes()].concat(),
        };
        [header, vec![0x77; len]].concat()
    }

    fn whole(bytes: &[u8]) -> Frame<'_> {
        let (header, payload) = bytes.split_at(1);
        Frame {
            header,
            ..frame(payload, None)
        }
    }

    /// What is left after so many bytes were written and the rest was cut.
    fn cut(mut writing: Writing, written: usize) -> Vec<u8> {
        writing.advance(written);
        let len = writing.cut();
        let left = writing.with_slices(|slices| slices.concat_bytes());
        assert_eq!(left.len(), len);
        left
    }

    trait Concat {
        fn concat_bytes(&self) -> Vec<u8>;
    }

    impl Concat for [std::io::IoSlice<'_>] {
        fn concat_bytes(&self) -> Vec<u8> {
            self.iter().flat_map(|slice| slice.to_vec()).collect()
        }
    }

    #[test]
    fn a_cut_leaves_the_rest_of_the_frame_in_progress() {
        let lengths = [0, 3, 200, 1, 70_000, 5];
        let all: Vec<_> = lengths.iter().map(|len| real(*len)).collect();
        let bytes = all.concat();
        let ends: Vec<_> = (1..=all.len()).map(|n| all[..n].concat().len()).collect();
        for is_shared in [false, true] {
            for written in (0..=bytes.len()).filter(|n| *n < 300 || n % 997 == 0 || *n > 70_200) {
                let mut frames = Frames::default();
                let mut last = Piece::empty();
                for (number, bytes) in all.iter().enumerate() {
                    let whole = whole(bytes);
                    if number == 3 {
                        last = Piece::empty();
                    }
                    last.append([whole.header, whole.payload], true).unwrap();
                    let shared = (is_shared && number > 0 && number < 5).then_some(&last);
                    frames.push(Frame { shared, ..whole }).unwrap();
                }
                let mut writing = Writing::default();
                writing.take(&mut frames);
                let is_between = written == 0 || ends.contains(&written);
                let end = ends.iter().find(|end| **end >= written).copied();
                let end = end.filter(|_| !is_between).unwrap_or(written);
                assert_eq!(
                    cut(writing, written),
                    bytes[written..end],
                    "{is_shared} {written}"
                );
            }
        }
    }

    #[test]
    fn a_cut_leaves_the_rest_of_a_frame_that_was_begun_elsewhere() {
        let bytes = real(100);
        for begun in 0..bytes.len() {
            for written in 0..bytes.len() - begun {
                let mut writing = Writing::default();
                writing.add_rest(whole(&bytes), begun).unwrap();
                let is_begun = begun + written > 0;
                let expected = if is_begun {
                    &bytes[begun + written..]
                } else {
                    &[]
                };
                assert_eq!(cut(writing, written), expected, "{begun} {written}");
            }
        }
    }
}
