//! Frames in the order they are sent: bytes of this connection, and frames that connections share.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use super::frame::Frame;
use crate::buffers;

/// The bytes that an empty queue makes room for, at least and at most, beside those of its first
/// frame.
const FIRST_ROOM: Range<usize> = 1024..16 * 1024;

/// The most pieces of one write.
pub(super) const MOST_PIECES: usize = 16;

thread_local! {
    /// Buffers that frames are collected in, between two connections.
    static BUFFERS: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Frames that nobody has begun to write.
#[derive(Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Each with the number of `bytes` that go before it.
    shared: VecDeque<(usize, Arc<[u8]>)>,
}

/// There is no memory for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoMemory;

impl Frames {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.shared.is_empty()
    }

    /// Adds a frame.
    #[inline]
    pub(super) fn push(&mut self, frame: Frame<'_>) -> Result<(), NoMemory> {
        if let Some(shared) = frame.shared {
            self.shared.try_reserve(1).map_err(|_| NoMemory)?;
            self.shared
                .push_back((self.bytes.len(), Arc::clone(shared)));
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
}

/// Frames that are being written.
#[derive(Default)]
pub(super) struct Writing {
    frames: Frames,
    /// So many of the bytes are written.
    offset: usize,
    /// So many of the first shared frame are.
    shared_offset: usize,
}

impl Writing {
    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.offset == self.frames.bytes.len() && self.frames.shared.is_empty()
    }

    /// Takes all of `frames`. Nothing is left of what was taken before.
    pub(super) fn take(&mut self, frames: &mut Frames) {
        debug_assert!(self.is_done());
        self.frames.bytes.clear();
        self.offset = 0;
        if !frames.is_empty() {
            buffers::recycle(&BUFFERS, &mut self.frames.bytes);
            self.frames = mem::take(frames);
        }
    }

    /// The next bytes to write, where they all lie together.
    pub(super) fn together(&self) -> Option<&[u8]> {
        self.frames
            .shared
            .is_empty()
            .then(|| &self.frames.bytes[self.offset..])
    }

    /// The next bytes to write, in pieces. Returns how many pieces there are.
    pub(super) fn pieces<'a>(&'a self, pieces: &mut [IoSlice<'a>; MOST_PIECES]) -> usize {
        let (mut count, mut offset) = (0, self.offset);
        let mut skipped = self.shared_offset;
        let mut add = |bytes: &'a [u8]| {
            if !bytes.is_empty() && count < MOST_PIECES {
                pieces[count] = IoSlice::new(bytes);
                count += 1;
            }
        };
        for (at, shared) in self.frames.shared.iter().take(MOST_PIECES) {
            add(&self.frames.bytes[offset..*at]);
            add(&shared[mem::take(&mut skipped)..]);
            offset = *at;
        }
        if self.frames.shared.len() <= MOST_PIECES {
            add(&self.frames.bytes[offset..]);
        }
        count
    }

    /// So many bytes more are written.
    pub(super) fn advance(&mut self, mut written: usize) {
        while let Some((at, shared)) = self.frames.shared.front() {
            let before = at - self.offset;
            if written < before {
                break;
            }
            written -= before;
            self.offset = *at;
            let left = shared.len() - self.shared_offset;
            if written < left {
                self.shared_offset += written;
                return;
            }
            written -= left;
            self.shared_offset = 0;
            self.frames.shared.pop_front();
        }
        self.offset += written;
    }

    /// Adds what is left of a frame of which `written` bytes are written already.
    pub(super) fn add_rest(&mut self, frame: Frame<'_>, written: usize) -> Result<(), NoMemory> {
        let rest = frame.len() - written;
        self.frames.bytes.try_reserve(rest).map_err(|_| NoMemory)?;
        let header = written.min(frame.header.len());
        self.frames.bytes.extend_from_slice(&frame.header[header..]);
        let payload = &frame.payload[written - header..];
        self.frames.bytes.extend_from_slice(payload);
        Ok(())
    }

    /// Frees memory that an idle connection does not need.
    pub(super) fn release(&mut self) {
        if self.is_done() {
            self.frames.bytes.clear();
            self.offset = 0;
            self.frames.shared = VecDeque::new();
            buffers::recycle(&BUFFERS, &mut self.frames.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Frames, IoSlice, MOST_PIECES, Writing};
    use crate::protocol::Traffic;
    use std::sync::Arc;

    fn own(payload: &[u8]) -> Frame<'_> {
        Frame {
            header: b"(",
            payload,
            closes: None,
            traffic: Traffic::default(),
            shared: None,
        }
    }

    fn shared(bytes: &Arc<[u8]>) -> Frame<'_> {
        Frame {
            header: &bytes[..1],
            payload: &bytes[1..],
            closes: None,
            traffic: Traffic::default(),
            shared: Some(bytes),
        }
    }

    /// Writes it all, at most so many bytes at a time.
    fn written(frames: &mut Frames, most: usize) -> Vec<u8> {
        let mut writing = Writing::default();
        writing.take(frames);
        let mut written = Vec::new();
        while !writing.is_done() {
            let mut pieces = [IoSlice::new(&[]); MOST_PIECES];
            let count = writing.pieces(&mut pieces);
            assert!(count > 0);
            let mut next: Vec<_> = pieces[..count].iter().flat_map(|p| p.to_vec()).collect();
            if let Some(together) = writing.together() {
                assert_eq!(together, next);
            }
            next.truncate(most);
            written.extend_from_slice(&next);
            writing.advance(next.len());
        }
        writing.release();
        written
    }

    #[test]
    fn frames_keep_their_order_however_they_are_kept_and_written() {
        let bytes: Arc<[u8]> = b"(shared".to_vec().into();
        for pattern in ["o", "s", "os", "so", "ossoos", "ssss"] {
            let pattern = pattern.repeat(7);
            for most in [1, 3, 8, 1000] {
                let mut frames = Frames::default();
                let mut expected = Vec::new();
                for kind in pattern.chars() {
                    let frame = match kind {
                        's' => shared(&bytes),
                        _ => own(b"own"),
                    };
                    frames.push(frame).unwrap();
                    expected.extend_from_slice(frame.header);
                    expected.extend_from_slice(frame.payload);
                }
                assert_eq!(written(&mut frames, most), expected, "{pattern} {most}");
            }
        }
        assert_eq!(Arc::strong_count(&bytes), 1, "nothing is kept");
    }

    #[test]
    fn the_rest_of_a_frame_goes_first() {
        let frame = own(b"hello");
        for cut in 0..=frame.len() {
            let mut writing = Writing::default();
            writing.add_rest(frame, cut).unwrap();
            assert_eq!(writing.together().unwrap(), &b"(hello"[cut..]);
        }
    }
}
