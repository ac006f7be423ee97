//! What became of a message that was published.

use websocket_plugin::Position;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is in the log of this host. It has a place if its topic has a history.
    Here(Option<Position>),
    /// It waits in the memory of this process for the broker, which gives it a place later.
    Queued,
}

impl Published {
    /// The place of the message, if it is known.
    #[must_use]
    pub fn position(self) -> Option<Position> {
        match self {
            Self::Here(position) => position,
            Self::Queued => None,
        }
    }
}
