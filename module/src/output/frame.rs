//! A frame to send.

use std::sync::Arc;

/// A frame to send, encoded: a whole message or a control frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) header: &'a [u8],
    pub(super) payload: &'a [u8],
    /// Whether it is a close frame.
    pub(super) is_close: bool,
    /// The same bytes, header and payload, where other connections are sent them too.
    pub(super) shared: Option<&'a Arc<[u8]>>,
}

/// Payloads of so many bytes are written from where they lie if that is possible, which saves a
/// copy. Below, one write for many messages saves more.
pub(super) const LARGE: usize = 48 * 1024;

impl Frame<'_> {
    pub(super) fn len(&self) -> usize {
        self.header.len() + self.payload.len()
    }
}
