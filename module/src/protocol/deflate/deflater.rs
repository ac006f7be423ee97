//! Compresses the server's messages (RFC 7692, section 7.2.1).

use flate2::{Compress, Compression, FlushCompress};

use super::{DEFLATER_SIZE, TAIL};
use crate::protocol::memory;

/// The compression level, from 1 (fastest) to 9 (smallest).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateLevel(u8);

impl DeflateLevel {
    /// A level from 1 to 9.
    #[must_use]
    pub fn new(level: u8) -> Option<Self> {
        (1..=9).contains(&level).then_some(Self(level))
    }
}

impl Default for DeflateLevel {
    /// Level 3. Measured on JSON: at 1 KiB it is as fast as level 2, and its output is within 2 %
    /// of the size at level 6. At 64 KiB it is three times as fast as level 6, for 8 % more bytes.
    fn default() -> Self {
        Self(3)
    }
}

/// A compressor. Until [`forget`](Self::forget) is called, a message may refer to earlier ones.
#[derive(Debug)]
pub struct Deflater(Compress);

impl Deflater {
    /// A compressor with a window of 2^`window_bits` bytes, 9 to 15. `None` if there is no memory
    /// for it.
    #[must_use]
    pub fn new(level: DeflateLevel, window_bits: u8) -> Option<Self> {
        memory::ensure(DEFLATER_SIZE).ok()?;
        let level = Compression::new(level.0.into());
        Some(Self(Compress::new_with_window_bits(
            level,
            false,
            window_bits,
        )))
    }

    /// Compresses a message. Returns `None` if the result is not smaller, or if there is no memory.
    /// The caller must then send the message uncompressed; the compressor has forgotten all earlier
    /// messages. The contents of `buffer` are overwritten, and it grows to the size of the message.
    pub fn deflate<'b>(&mut self, message: &[u8], buffer: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        let compressed_len = self.flush(message, buffer);
        if compressed_len.is_none() {
            self.end_block();
            self.forget();
        }
        Some(&buffer[..compressed_len?])
    }

    /// Compresses more of a message behind what is in `buffer`, as far as its capacity goes.
    /// Returns how many bytes of the message were taken. With `flush`, everything that was taken
    /// comes out, up to the `TAIL`; if the buffer is full after that, call it again with the rest.
    /// `None` if the compressor has failed.
    pub fn deflate_more(
        &mut self,
        message: &[u8],
        buffer: &mut Vec<u8>,
        flush: bool,
    ) -> Option<usize> {
        let total_in = self.0.total_in();
        let flush = if flush {
            FlushCompress::Sync
        } else {
            FlushCompress::None
        };
        self.0.compress_vec(message, buffer, flush).ok()?;
        usize::try_from(self.0.total_in() - total_in).ok()
    }

    /// Removes from a complete message what its receiver appends again.
    pub fn strip_tail(message: &mut Vec<u8>) {
        if message.ends_with(&TAIL) {
            message.truncate(message.len() - TAIL.len());
        }
    }

    /// How many bytes at the end of a message its receiver appends.
    pub const TAIL_LEN: usize = TAIL.len();

    /// Forgets all earlier messages, so that the next one does not refer to them.
    pub fn forget(&mut self) {
        self.0.reset();
    }

    /// Ends the block in which the compressor was interrupted for want of room. `zlib-rs` (0.6.8)
    /// forgets only part of it otherwise: the output of later messages is then wrong, or it panics.
    fn end_block(&mut self) {
        let mut scratch = [0; 4096];
        loop {
            let total_out = self.0.total_out();
            let ended = self.0.compress(&[], &mut scratch, FlushCompress::Sync);
            let is_full = self.0.total_out() - total_out == scratch.len() as u64;
            if ended.is_err() || !is_full {
                break;
            }
        }
    }

    /// Compresses into `buffer`. Returns the length of the result if it is less than that of
    /// `message`.
    fn flush(&mut self, message: &[u8], buffer: &mut Vec<u8>) -> Option<usize> {
        buffer.clear();
        memory::grow(buffer, message.len() + TAIL.len()).ok()?;
        let mut rest = message;
        loop {
            let total_in = self.0.total_in();
            self.0
                .compress_vec(rest, buffer, FlushCompress::Sync)
                .ok()?;
            if buffer.len() == buffer.capacity() {
                return None;
            }
            let consumed = usize::try_from(self.0.total_in() - total_in).ok()?;
            rest = &rest[consumed..];
            // One call takes at most 4 GiB.
            if rest.is_empty() {
                break;
            }
        }
        let compressed = buffer.strip_suffix(&TAIL)?;
        (compressed.len() < message.len()).then_some(compressed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that cannot be compressed.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn a_message_that_does_not_shrink_changes_nothing_for_later_ones() {
        let text = "a text that shrinks, ".repeat(50);
        let mut buffer = Vec::new();
        for (level, bits) in (1..=9).map(|level| (level, 15)).chain([(3, 9), (6, 12)]) {
            let mut deflater = Deflater::new(DeflateLevel::new(level).unwrap(), bits).unwrap();
            let expected = deflater.deflate(text.as_bytes(), &mut buffer).unwrap();
            let expected = expected.to_vec();
            for seed in 0..200 {
                let length = usize::try_from(seed * 997 % 70_000).unwrap();
                assert_eq!(deflater.deflate(&noise(seed, length), &mut buffer), None);
                let later = deflater.deflate(text.as_bytes(), &mut buffer);
                assert_eq!(
                    later,
                    Some(&*expected),
                    "level {level}, behind {length} bytes"
                );
                deflater.forget();
            }
        }
    }
}
