//! The versions of the protocol.

/// The value of `Sec-WebSocket-Version` in the response to
/// [`HandshakeError::Version`](super::HandshakeError::Version) (RFC 6455, section 4.4).
pub const SUPPORTED_VERSIONS: &str = "13, 8, 7";

/// The client's version of the protocol. On the wire the versions differ only in the handshake and
/// in one status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Draft 7 of RFC 6455.
    V7,
    /// Drafts 8 to 12.
    V8,
    /// RFC 6455.
    V13,
}

impl Version {
    /// The value of `Sec-WebSocket-Version`.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V7 => 7,
            Self::V8 => 8,
            Self::V13 => 13,
        }
    }

    /// Only exact values are valid. Other spellings of these numbers, such as `013`, are malformed.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"7" => Some(Self::V7),
            b"8" => Some(Self::V8),
            b"13" => Some(Self::V13),
            _ => None,
        }
    }
}
