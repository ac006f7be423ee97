//! What has come of a compressed message and is not inflated yet.

use crate::protocol::{ProtocolError, memory};

/// Compressed data that waits for the end of its message.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Whether there may be more to inflate, if only from what the inflater has taken already.
    is_any: bool,
    bytes: Vec<u8>,
    /// So many of them are inflated.
    consumed: usize,
    /// What is wrong behind what was inflated so far.
    verdict: Option<ProtocolError>,
}

impl Held {
    pub(super) fn is_any(&self) -> bool {
        self.is_any
    }

    /// What waits.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.consumed..]
    }

    /// Adds what has come.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NoMemory`].
    pub(super) fn append(&mut self, compressed: &[u8]) -> Result<(), ProtocolError> {
        self.is_any = true;
        let missing = (self.bytes.len() + compressed.len()).saturating_sub(self.bytes.capacity());
        if missing > 0 {
            // By half at least, so that bytes which come one by one are moved seldom.
            let growth = compressed.len().max(self.bytes.len() / 2);
            memory::grow(&mut self.bytes, growth)?;
        }
        self.bytes.extend_from_slice(compressed);
        Ok(())
    }

    /// So many more are inflated, and it goes on later.
    pub(super) fn consume(&mut self, len: usize) {
        self.is_any = true;
        self.consumed += len;
        // What is inflated makes room as soon as that moves no more than it frees.
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
