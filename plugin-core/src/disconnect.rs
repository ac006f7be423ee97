//! [`Disconnect`]: why a connection ended.

use crate::abi::{self, Ending};
use std::fmt;

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClosedBy {
    /// The client, with a close frame.
    Client,
    /// The plugin, or a panic in it.
    Plugin,
    /// The server: the client broke a rule of the protocol, or something failed.
    Error,
    /// The server: the client took too long.
    Timeout,
    /// The server: its process is being replaced.
    Drain,
    /// The server: the client exceeded a limit, or did not keep up.
    Limit,
    /// The server: it stops.
    Shutdown,
    /// Nobody: the network connection ended without a close frame.
    Nobody,
    /// The host does not tell: the C module, and older versions of `mod_websocket`.
    Unknown,
}

impl fmt::Display for ClosedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "closed by the client",
            Self::Plugin => "closed by the plugin",
            Self::Error => "closed by the server (error)",
            Self::Timeout => "closed by the server (timeout)",
            Self::Drain => "closed by the server (drain)",
            Self::Limit => "closed by the server (limit)",
            Self::Shutdown => "closed by the server (shutdown)",
            Self::Nobody => "lost",
            Self::Unknown => "ended",
        })
    }
}

/// Why a connection ended: the last argument of
/// [`on_disconnect`](crate::Plugin::on_disconnect).
///
/// ```
/// # use websocket_plugin::{ClosedBy, Disconnect};
/// fn is_worth_a_line(disconnect: &Disconnect) -> bool {
///     !disconnect.is_clean() && disconnect.by() != ClosedBy::Shutdown
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    by: ClosedBy,
    code: u16,
    reason: Box<str>,
    is_clean: bool,
}

impl Disconnect {
    /// What a host tells that does not say why.
    pub(crate) fn unknown() -> Self {
        Self {
            by: ClosedBy::Unknown,
            code: 1006,
            reason: Box::default(),
            is_clean: false,
        }
    }

    pub(crate) fn from_abi(ending: &Ending) -> Self {
        let by = match ending.closed_by {
            abi::CLOSED_BY_CLIENT => ClosedBy::Client,
            abi::CLOSED_BY_PLUGIN => ClosedBy::Plugin,
            abi::CLOSED_BY_ERROR => ClosedBy::Error,
            abi::CLOSED_BY_TIMEOUT => ClosedBy::Timeout,
            abi::CLOSED_BY_DRAIN => ClosedBy::Drain,
            abi::CLOSED_BY_LIMIT => ClosedBy::Limit,
            abi::CLOSED_BY_SHUTDOWN => ClosedBy::Shutdown,
            abi::CLOSED_BY_NOBODY => ClosedBy::Nobody,
            // Of a newer module.
            _ => ClosedBy::Unknown,
        };
        let length = usize::try_from(ending.reason_length).unwrap_or(usize::MAX);
        let reason = &ending.reason[..length.min(ending.reason.len())];
        Self {
            by,
            code: u16::try_from(ending.code).unwrap_or(1006),
            reason: String::from_utf8_lossy(reason).into(),
            is_clean: ending.is_clean != 0,
        }
    }

    /// Who ended the connection. If both sides sent a close frame, this is the side that sent the
    /// first.
    #[must_use]
    pub fn by(&self) -> ClosedBy {
        self.by
    }

    /// The status code of the first close frame (RFC 6455, section 7.4); 1005 if that frame had no
    /// code, 1006 if there was no close frame.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The reason in the first close frame; often empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether both sides sent a close frame (RFC 6455, section 7.1.4). If not, the client may not
    /// have received the last messages.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.is_clean
    }
}

/// Such as `closed by the client with code 1000 and reason "bye"`.
impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with code {}", self.by, self.code)?;
        if self.reason.is_empty() {
            return Ok(());
        }
        write!(f, " and reason {:?}", self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::{ClosedBy, Disconnect};
    use crate::abi::{CLOSED_BY_CLIENT, Ending};

    #[test]
    fn what_a_newer_module_says_is_not_misread() {
        let mut ending = Ending::new();
        (ending.closed_by, ending.code, ending.reason_length) = (99, 70_000, 500);
        let disconnect = Disconnect::from_abi(&ending);
        assert_eq!(
            (disconnect.by(), disconnect.code()),
            (ClosedBy::Unknown, 1006)
        );
        assert_eq!(disconnect.reason().len(), ending.reason.len());
    }

    #[test]
    fn it_reads_like_a_line_of_a_log() {
        let mut ending = Ending::new();
        (ending.closed_by, ending.code, ending.reason_length) = (CLOSED_BY_CLIENT, 4000, 3);
        ending.reason[..3].copy_from_slice(b"bye");
        let text = Disconnect::from_abi(&ending).to_string();
        assert_eq!(
            text,
            "closed by the client with code 4000 and reason \"bye\""
        );
        assert_eq!(Disconnect::unknown().to_string(), "ended with code 1006");
    }
}
