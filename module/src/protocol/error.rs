//! The client's violations of the protocol after the opening handshake.

use std::fmt;

use websocket_plugin::CloseCode;

use super::Version;

/// A rule of RFC 6455 that the client violated, or a limit that it exceeded. The connection fails
/// with [`close_code`](Self::close_code) (section 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// A reserved bit is set, but no extension defines it (section 5.2).
    ReservedBits,
    /// The opcode is reserved (section 5.2).
    UnknownOpcode(u8),
    /// The frame is not masked (section 5.1).
    Unmasked,
    /// A control frame without FIN (section 5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (section 5.5).
    ControlTooLong,
    /// The payload length is encoded in more bytes than necessary (section 5.2).
    LengthNotMinimal,
    /// The most significant bit of a 64-bit payload length is set (section 5.2).
    LengthTooLarge,
    /// A continuation frame without a message in progress (section 5.4).
    UnexpectedContinuation,
    /// A text or binary frame inside a fragmented message (section 5.4).
    InterruptedMessage,
    /// The payload of a close frame is one byte long, too short for a status code (section 5.5.1).
    ClosePayloadTooShort,
    /// A status code that a close frame must not contain, or that is reserved for the future
    /// (section 7.4).
    CloseCodeNotAllowed(u16),
    /// A text message is not UTF-8 (section 8.1).
    TextNotUtf8,
    /// The reason in a close frame is not UTF-8 (section 8.1).
    ReasonNotUtf8,
    /// The data of a compressed message is not a complete deflate stream (RFC 7692, section 7.2.2).
    /// The RFC defines no status code for this. Like text that is not UTF-8, it is data that is not
    /// consistent with its type.
    NotDeflate,
    /// A message or the payload of a control frame is longer than this limit in bytes (section
    /// 10.4).
    TooBig(u64),
    /// A message has more frames than this limit (section 10.4).
    TooManyFragments(u32),
    /// The server has no memory for the message. This is not the client's fault.
    NoMemory,
}

impl ProtocolError {
    /// The status code for the client (section 7.4.1).
    #[must_use]
    pub const fn close_code(self, version: Version) -> CloseCode {
        match (self, version) {
            (Self::TextNotUtf8 | Self::ReasonNotUtf8 | Self::NotDeflate, _) => {
                CloseCode::INVALID_PAYLOAD
            }
            (Self::TooManyFragments(_), Version::V13) => CloseCode::POLICY_VIOLATION,
            (Self::TooBig(_), Version::V13) => CloseCode::MESSAGE_TOO_BIG,
            (Self::NoMemory, Version::V13) => CloseCode::TRY_AGAIN_LATER,
            // The drafts have only one status code for this.
            (Self::TooBig(_) | Self::NoMemory, Version::V7 | Version::V8) => {
                CloseCode::FRAME_TOO_LARGE
            }
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "a reserved bit is set, but no extension defines it",
            Self::UnknownOpcode(opcode) => return write!(f, "opcode {opcode:#x} is not defined"),
            Self::Unmasked => "frames from the client must be masked",
            Self::FragmentedControl => "control frames must not be fragmented",
            Self::ControlTooLong => "the payload of a control frame must not exceed 125 bytes",
            Self::LengthNotMinimal => "the payload length must be encoded in the fewest bytes",
            Self::LengthTooLarge => "the payload length must be less than 2^63",
            Self::UnexpectedContinuation => {
                "a continuation frame came without a message to continue"
            }
            Self::InterruptedMessage => "a new message began inside a fragmented one",
            Self::ClosePayloadTooShort => {
                "a close payload must be empty or begin with a status code"
            }
            Self::CloseCodeNotAllowed(code) => {
                return write!(f, "status code {code} must not be sent in a close frame");
            }
            Self::TextNotUtf8 => "text messages must be UTF-8",
            Self::ReasonNotUtf8 => "the reason of a close frame must be UTF-8",
            Self::NotDeflate => "a compressed message cannot be inflated",
            Self::TooBig(limit) => {
                return write!(f, "a payload exceeds the limit of {limit} bytes");
            }
            Self::TooManyFragments(limit) => {
                return write!(f, "a message has more than {limit} fragments");
            }
            Self::NoMemory => "there is no memory left for the message",
        })
    }
}

impl std::error::Error for ProtocolError {}

#[cfg(test)]
mod tests {
    use super::{CloseCode, ProtocolError, Version};

    #[test]
    fn close_codes_follow_the_rule_and_the_version() {
        let cases = [
            (
                ProtocolError::Unmasked,
                Version::V13,
                CloseCode::PROTOCOL_ERROR,
            ),
            (
                ProtocolError::CloseCodeNotAllowed(1005),
                Version::V7,
                CloseCode::PROTOCOL_ERROR,
            ),
            (
                ProtocolError::TextNotUtf8,
                Version::V13,
                CloseCode::INVALID_PAYLOAD,
            ),
            (
                ProtocolError::ReasonNotUtf8,
                Version::V8,
                CloseCode::INVALID_PAYLOAD,
            ),
            (
                ProtocolError::NotDeflate,
                Version::V13,
                CloseCode::INVALID_PAYLOAD,
            ),
            (
                ProtocolError::TooBig(1),
                Version::V13,
                CloseCode::MESSAGE_TOO_BIG,
            ),
            (
                ProtocolError::TooBig(1),
                Version::V8,
                CloseCode::FRAME_TOO_LARGE,
            ),
            (
                ProtocolError::TooBig(1),
                Version::V7,
                CloseCode::FRAME_TOO_LARGE,
            ),
            (
                ProtocolError::TooManyFragments(1),
                Version::V13,
                CloseCode::POLICY_VIOLATION,
            ),
            (
                ProtocolError::TooManyFragments(1),
                Version::V8,
                CloseCode::PROTOCOL_ERROR,
            ),
            (
                ProtocolError::NoMemory,
                Version::V13,
                CloseCode::TRY_AGAIN_LATER,
            ),
            (
                ProtocolError::NoMemory,
                Version::V8,
                CloseCode::FRAME_TOO_LARGE,
            ),
        ];
        for (error, version, code) in cases {
            assert_eq!(
                error.close_code(version),
                code,
                "{error} in version {version:?}"
            );
        }
    }

    #[test]
    fn the_text_contains_the_value_that_the_client_sent() {
        assert_eq!(
            ProtocolError::UnknownOpcode(0xb).to_string(),
            "opcode 0xb is not defined"
        );
        assert!(
            ProtocolError::CloseCodeNotAllowed(1005)
                .to_string()
                .contains("1005")
        );
        assert!(ProtocolError::TooBig(4096).to_string().contains("4096"));
    }
}
