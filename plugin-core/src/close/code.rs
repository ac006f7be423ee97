//! Status codes of the closing handshake (RFC 6455, section 7.4).

use std::fmt;

/// The status code of a close frame.
/// It is a checked number and not an enumeration, because applications may use 3000 to 4999 freely
/// (RFC 6455, section 7.4.2).
/// (RFC 6455, section 7.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection has been fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint is going away: the server stops, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer violated the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the peer sent a type of data that this endpoint cannot accept.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1004: reserved by RFC 6455. The drafts for versions 7 and 8 used it for a message that is
    /// too big.
    pub const FRAME_TOO_LARGE: Self = Self(1004);
    /// 1007: a text message or close reason was not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a message violated the application's policy.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message was too big to process.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: the client required an extension that the server did not negotiate.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: the server failed to process the request because of an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the server restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the server is overloaded; try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: the server is a gateway and got an invalid response from the server behind it (HTTP's
    /// 502).
    pub const BAD_GATEWAY: Self = Self(1014);

    /// The code with this number, if a close frame may contain it: 1000 to 4999, except 1005, 1006
    /// and 1015. Those three only describe a connection that ended without a status code (RFC 6455,
    /// section 7.4.1).
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1005 | 1006 | 1015 => None,
            1000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number in the close frame.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether RFC 6455 or IANA's registry (1012 to 1014) has assigned the code, or it is one of
    /// 3000 to 4999. The other codes (1004, 1016 to 2999) are reserved for the future.
    #[must_use]
    pub const fn is_assigned(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::CloseCode;

    #[test]
    fn only_codes_that_a_frame_may_contain_can_be_made() {
        for code in [0, 1, 999, 1005, 1006, 1015, 5000, u16::MAX] {
            assert_eq!(CloseCode::new(code), None, "{code}");
        }
        for code in [1000, 1004, 1007, 1014, 1016, 2999, 3000, 4999] {
            assert_eq!(CloseCode::new(code).map(CloseCode::get), Some(code));
        }
    }

    #[test]
    fn reserved_codes_are_told_from_assigned_ones() {
        for code in [1004, 1016, 2000, 2999] {
            assert!(!CloseCode::new(code).unwrap().is_assigned(), "{code}");
        }
        for code in [1000, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999] {
            assert!(CloseCode::new(code).unwrap().is_assigned(), "{code}");
        }
    }
}
