//! What errors of connections that are gone have in common.

use std::fmt;

/// The source of [`SendError::Closed`](crate::SendError::Closed), which identifies that error
/// inside any wrapper.
#[derive(Debug)]
pub(crate) struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it takes no more messages")
    }
}

impl std::error::Error for Gone {}
