//! Bytes that have been read, and messages that plugins borrow.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};

/// Bytes from the client that have been read into a buffer and not been taken yet.
///
/// The buffer has room for one more byte after them (see [`Payload`]).
#[derive(Debug)]
pub struct Input<'b> {
    /// The bytes that were read, and one more.
    bytes: &'b mut [u8],
    /// The number of bytes that are taken.
    taken: usize,
}

impl<'b> Input<'b> {
    /// The number of bytes by which a buffer must be longer than the bytes read into it.
    pub const BEHIND: usize = 1;

    /// The first `len` bytes of `buffer`.
    ///
    /// # Panics
    ///
    /// If the buffer is not longer than `len`.
    #[must_use]
    #[inline]
    pub fn new(buffer: &'b mut [u8], len: usize) -> Self {
        Self {
            bytes: &mut buffer[..=len],
            taken: 0,
        }
    }

    /// Whether all bytes are taken.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.taken == self.end()
    }

    #[inline]
    fn end(&self) -> usize {
        self.bytes.len() - 1
    }

    /// The bytes that are not taken yet.
    #[must_use]
    #[inline]
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..self.end()]
    }

    /// Takes `len` bytes if there are as many. Returns their position.
    pub(super) fn take(&mut self, len: usize) -> Option<Range<usize>> {
        let start = self.taken;
        if len > self.end() - start {
            return None;
        }
        self.taken += len;
        Some(start..self.taken)
    }

    /// Takes a header and the payload of `len` bytes after it, for a plugin. The caller has checked
    /// that they are there.
    #[inline(always)]
    pub(super) fn take_payload(&mut self, header_len: usize, len: usize) -> Payload<'_> {
        let start = self.taken + header_len;
        self.taken = start + len;
        Payload::new(&mut self.bytes[start..self.taken + Self::BEHIND])
    }

    /// Takes at most `len` bytes.
    #[inline]
    pub(super) fn take_some(&mut self, len: usize) -> &mut [u8] {
        let start = self.taken;
        self.taken += len.min(self.end() - start);
        &mut self.bytes[start..self.taken]
    }

    /// Takes all bytes.
    pub(super) fn take_all(&mut self) {
        self.taken = self.end();
    }

    /// Bytes that were taken.
    #[inline]
    pub(super) fn bytes(&mut self, place: Range<usize>) -> &mut [u8] {
        &mut self.bytes[place]
    }
}

/// The payload of a message, which a plugin borrows and may change.
///
/// Plugins in C may also write one byte after it: many end the message with a NUL, and the C module
/// has room for it. Here this byte may belong to the next frame, so dropping the payload restores
/// it.
pub struct Payload<'a> {
    /// The payload, and one more byte.
    bytes: &'a mut [u8],
    behind: u8,
}

impl<'a> Payload<'a> {
    /// A payload of all `bytes` except the last one. `bytes` must not be empty.
    #[inline]
    pub(in crate::protocol) fn new(bytes: &'a mut [u8]) -> Self {
        let behind = bytes[bytes.len() - 1];
        Self { bytes, behind }
    }

    /// A pointer to the payload. Until the payload is dropped, its bytes and one more byte after
    /// them may be read and written.
    #[must_use]
    #[inline]
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }

    /// Does what a plugin in C does through the pointer.
    #[cfg(test)]
    pub(super) fn write_behind(&mut self, byte: u8) {
        *self.bytes.last_mut().unwrap() = byte;
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - 1]
    }
}

impl DerefMut for Payload<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let len = self.bytes.len() - 1;
        &mut self.bytes[..len]
    }
}

impl Drop for Payload<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(behind) = self.bytes.last_mut() {
            *behind = self.behind;
        }
    }
}

impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload<'_> {}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
