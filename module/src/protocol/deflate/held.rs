//! Compressed data that has arrived but is not inflated yet.

use crate::protocol::{ProtocolError, memory};

/// Compressed data that waits for the end of its message.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Whether there may be more to inflate. That can be so without `bytes`, if the inflater itself
    /// holds some.
    is_any: bool,
    bytes: Vec<u8>,
    /// The number of bytes at the start of `bytes` that are already inflated.
    consumed: usize,
    /// An error in the data after the inflated part, to be reported when its turn comes.
    verdict: Option<ProtocolError>,
}

impl Held {
    pub(super) fn is_any(&self) -> bool {
        self.is_any
    }

    /// The memory that it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// The bytes that are not inflated yet.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.consumed..]
    }

    /// Appends new data.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NoMemory`].
    pub(super) fn append(&mut self, compressed: &[u8]) -> Result<(), ProtocolError> {
        self.is_any = true;
        let missing = (self.bytes.len() + compressed.len()).saturating_sub(self.bytes.capacity());
        if missing > 0 {
            // Grow by at least half, so that single bytes do not cause many moves.
            let growth = compressed.len().max(self.bytes.len() / 2);
            memory::grow(&mut self.bytes, growth)?;
        }
        self.bytes.extend_from_slice(compressed);
        Ok(())
    }

    /// Marks `len` more bytes as inflated. The rest is inflated later.
    pub(super) fn consume(&mut self, len: usize) {
        self.is_any = true;
        self.consumed += len;
        // Remove inflated bytes once that moves no more bytes than it frees.
        if self.consumed >= self.bytes.len() / 2 {
            self.bytes.drain(..self.consumed);
            self.consumed = 0;
        }
    }

    pub(super) fn set_verdict(&mut self, error: ProtocolError) {
        self.is_any = true;
        self.verdict = Some(error);
    }

    pub(super) fn take_verdict(&mut self) -> Option<ProtocolError> {
        self.verdict.take()
    }
}
