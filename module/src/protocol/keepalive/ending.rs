//! Why a connection ends by itself.

use std::fmt;

use websocket_plugin::CloseCode;

use crate::protocol::Version;

/// Why a connection ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client has not answered a ping, nor sent or taken anything else since.
    Silent,
    /// No message has come or gone.
    Idle,
    /// Half a frame or message has arrived, and nothing more of it.
    Stuck,
    /// The connection is as old as it may get.
    Aged,
    /// The client sends more messages than it may.
    Flooding,
}

impl Ending {
    /// The status code for the client (RFC 6455, section 7.4.1). RFC 6455 has none for a ping
    /// without answer; 1011 is what servers usually send. For half a message it has none either:
    /// 1008, for a client that does not keep to the server's rules. The drafts have none of these.
    #[must_use]
    pub const fn close_code(self, version: Version) -> CloseCode {
        match (self, version) {
            (Self::Silent, Version::V13) => CloseCode::INTERNAL_ERROR,
            (Self::Stuck | Self::Flooding, Version::V13) => CloseCode::POLICY_VIOLATION,
            (Self::Aged, Version::V13) => CloseCode::SERVICE_RESTART,
            _ => CloseCode::GOING_AWAY,
        }
    }

    /// The reason in the close frame, for developers.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Silent => "ping timeout",
            Self::Idle => "idle timeout",
            Self::Stuck => "message timeout",
            Self::Aged => "maximum lifetime",
            Self::Flooding => "message rate",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "the client has not answered a ping, nor sent or taken anything since",
            Self::Idle => "no message came or went within WebSocketIdleTimeout",
            Self::Stuck => "nothing more of a frame or message came within WebSocketMessageTimeout",
            Self::Aged => "the connection has reached WebSocketMaxLifetime",
            Self::Flooding => "the client sends more messages than WebSocketMessageRate allows",
        })
    }
}
