//! What the protocol has to know of the output of a connection.

use std::time::Instant;

/// With so many bytes waiting for the client, nothing more is read from it: a client that does not
/// read what it asks for cannot make the server queue without end.
const READ_PAUSE: usize = 1024 * 1024;

/// How far the output of a connection has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputState {
    /// Everything is written.
    Written {
        /// Whether a close frame was among it, at any time.
        has_close: bool,
    },
    /// The client takes no more for now.
    Pending {
        /// The client has taken nothing since then.
        since: Instant,
        /// When to try again; `None`: when the connection is writable.
        retry: Option<Instant>,
        /// How many bytes wait.
        waiting: usize,
    },
}

impl OutputState {
    /// Whether so much waits for the client that nothing more is read from it.
    #[must_use]
    pub fn is_full(self) -> bool {
        matches!(self, Self::Pending { waiting, .. } if waiting >= READ_PAUSE)
    }
}
