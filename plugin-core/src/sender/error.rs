//! [`SendError`].

use crate::gone::Gone;
use std::fmt;

/// The reason why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closing or gone.
    Closed,
    /// The payload of a ping has more than 125 bytes (RFC 6455, section 5.5).
    PingTooLong,
    /// The client does not keep up. So much is queued for it that [`send`](crate::Sender::send)
    /// would wait.
    Full,
    /// Another message to the client is being written ([`begin`](crate::Sender::begin)).
    Busy,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection is closed",
            Self::PingTooLong => "the payload of a ping must not exceed 125 bytes",
            Self::Busy => "another message to the client is being written",
            Self::Full => "the client does not keep up with what it is sent",
        })
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Closed => Some(&Gone),
            Self::PingTooLong | Self::Full | Self::Busy => None,
        }
    }
}
