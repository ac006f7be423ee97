//! Bytes that have been read, and messages that are lent to a plugin.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};

/// Bytes from the client that have been read into a buffer and not yet been taken.
///
/// Behind the last of them the buffer has room for one more (see [`Payload`]).
#[derive(Debug)]
pub struct Input<'b> {
    /// What was read, and one byte more.
    bytes: &'b mut [u8],
    /// So many are taken.
    taken: usize,
}

impl<'b> Input<'b> {
    /// By so many bytes a buffer has to be longer than what is read into it.
    pub const BEHIND: usize = 1;

    /// The first `len` bytes of `buffer`.
    ///
    /// # Panics
    ///
    /// If the buffer is not longer than that.
    #[must_use]
    #[inline]
    pub fn new(buffer: &'b mut [u8], len: usize) -> Self {
        Self {
            bytes: &mut buffer[..=len],
            taken: 0,
        }
    }

    /// Whether everything is taken.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.taken == self.end()
    }

    #[inline]
    fn end(&self) -> usize {
        self.bytes.len() - 1
    }

    /// What is not taken yet.
    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..self.end()]
    }

    /// Takes `len` bytes, if there are so many. Gives their place.
    pub(super) fn take(&mut self, len: usize) -> Option<Range<usize>> {
        let start = self.taken;
        if len > self.end() - start {
            return None;
        }
        self.taken += len;
        Some(start..self.taken)
    }

    /// Takes a header and the payload of `len` bytes behind it, which must be there, to be lent to a
    /// plugin.
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

    /// Takes everything.
    pub(super) fn take_all(&mut self) {
        self.taken = self.end();
    }

    /// Bytes that were taken.
    #[inline]
    pub(super) fn bytes(&mut self, place: Range<usize>) -> &mut [u8] {
        &mut self.bytes[place]
    }
}

/// The payload of a message, lent to a plugin, which may change it.
///
/// Plugins in C may write one byte behind it as well: many end the message with a NUL, for which the C
/// module left room. Here that byte may be the first of the next frame, so it is put back when the
/// payload is dropped.
pub struct Payload<'a> {
    /// The payload, and one byte more.
    bytes: &'a mut [u8],
    behind: u8,
}

impl<'a> Payload<'a> {
    /// A payload that ends before the last of `bytes`, of which there must be one.
    #[inline]
    pub(in crate::protocol) fn new(bytes: &'a mut [u8]) -> Self {
        let behind = bytes[bytes.len() - 1];
        Self { bytes, behind }
    }

    /// Where the payload begins. As many bytes may be read and written from there as it has, and one
    /// more, until it is dropped.
    #[must_use]
    #[inline]
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }

    /// As a plugin does it through the pointer.
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
