//! A frame to send.

use super::chunk::Piece;
use crate::protocol::{Closer, Traffic};

/// A frame to send, encoded: a whole message, a fragment of one, or a control frame.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) header: &'a [u8],
    pub(super) payload: &'a [u8],
    /// Who closes the connection with this frame, if it is a close frame.
    pub(super) closes: Option<Closer>,
    /// What the frame adds to the counts of sent messages and bytes.
    pub(super) traffic: Traffic,
    /// The same bytes, header and payload, in a chunk that connections share.
    pub(super) shared: Option<&'a Piece>,
}

/// Payloads of at least this many bytes are written directly from the sender's memory if that is
/// possible, which saves a copy. For shorter payloads, one write for many messages saves more.
pub(super) const LARGE: usize = 48 * 1024;

impl Frame<'_> {
    pub(super) fn is_close(&self) -> bool {
        self.closes.is_some()
    }

    /// Whether it is a control frame. It must not be a fragment.
    pub(super) fn is_control(&self) -> bool {
        self.traffic.messages == 0
    }

    pub(super) fn len(&self) -> usize {
        self.header.len() + self.payload.len()
    }
}
