//! Compresses the messages a server sends (RFC 7692, section 7.2.1).

use flate2::{Compress, Compression, FlushCompress};

use super::{DEFLATER_SIZE, TAIL};
use crate::protocol::memory;

/// How much effort goes into compressing: from 1, the fastest, to 9, the smallest.
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
    /// Level 3. Measured on JSON: at 1 KiB as fast as level 2 and within 2 % of the size that level
    /// 6 gets to; at 64 KiB three times as fast as level 6, for 8 % more bytes.
    fn default() -> Self {
        Self(3)
    }
}

/// A compressor. It remembers what it has compressed until it is told to [forget](Self::forget).
#[derive(Debug)]
pub struct Deflater(Compress);

impl Deflater {
    /// A compressor whose messages refer at most 2^`window_bits` bytes back, 9 to 15. `None` if there is
    /// no memory for it.
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

    /// Compresses a message. `None` if it does not get smaller, or there is no memory: then it is to be
    /// sent as it is, and nothing is remembered any more. `buffer` is overwritten and grows to the size of the message.
    pub fn deflate<'b>(&mut self, message: &[u8], buffer: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        let compressed_len = self.flush(message, buffer);
        if compressed_len.is_none() {
            self.forget();
        }
        Some(&buffer[..compressed_len?])
    }

    /// Forgets what it has compressed: the next message will not refer to it.
    pub fn forget(&mut self) {
        self.0.reset();
    }

    /// The length of what goes into the message, if it is less than that of `message`.
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
            // More than 4 GiB are not taken at once.
            if rest.is_empty() {
                break;
            }
        }
        let compressed = buffer.strip_suffix(&TAIL)?;
        (compressed.len() < message.len()).then_some(compressed.len())
    }
}
