//! The data that a client's next message may refer to.

use crate::protocol::{ProtocolError, memory};

/// The largest distance of a reference in compressed data (RFC 1951, section 2).
pub(super) const MAX_WINDOW: usize = 32 * 1024;

/// zlib uses a window of 2^9 bytes when it is told to use one of 2^8.
const MIN_BITS: u8 = 9;

/// The last bytes that a client's messages inflated to, at most the negotiated window. The capacity
/// exceeds the length by at most a quarter.
#[derive(Debug)]
pub(super) struct Window {
    bytes: Vec<u8>,
    max_len: usize,
}

impl Window {
    /// An empty window of 2^`bits` bytes.
    pub(super) fn new(bits: u8) -> Self {
        Self {
            bytes: Vec::new(),
            max_len: 1 << bits.max(MIN_BITS),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends a message, and drops the bytes that no longer fit the window.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NoMemory`].
    pub(super) fn append(&mut self, message: &[u8]) -> Result<(), ProtocolError> {
        let message = &message[message.len().saturating_sub(self.max_len)..];
        let forgotten = (self.bytes.len() + message.len()).saturating_sub(self.max_len);
        self.bytes.drain(..forgotten);
        if self.bytes.capacity() - self.bytes.len() < message.len() {
            // Grow by at least a quarter, so that short messages do not cause many moves.
            let growth = message.len().max(self.bytes.len() / 4);
            let growth = growth.min(self.max_len - self.bytes.len());
            memory::grow(&mut self.bytes, growth)?;
        }
        self.bytes.extend_from_slice(message);
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_WINDOW, Window};

    #[test]
    fn the_window_holds_the_end_of_all_messages_and_little_more_memory() {
        for bits in 8..=15 {
            let mut window = Window::new(bits);
            let mut all = Vec::new();
            let size = 1 << bits.max(9);
            for len in [0, 1, 100, 300, 511, 512, 4000, 5000, 40_000, 3] {
                let message: Vec<u8> = (0..=250).cycle().take(len).collect();
                window.append(&message).unwrap();
                all.extend(message);
                let expected = &all[all.len().saturating_sub(size)..];
                assert_eq!(window.bytes(), expected, "{bits} bits, message of {len}");
                assert!(
                    window.capacity() <= size.min(expected.len() * 5 / 4).max(8),
                    "{bits} bits, {len}"
                );
            }
            assert!(window.capacity() <= MAX_WINDOW);
            window.clear();
            assert_eq!(window.capacity(), 0);
        }
    }
}
