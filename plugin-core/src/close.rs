//! How a connection ends: [`Close`] and [`CloseCode`] (RFC 6455, section 7).

mod code;

pub use code::CloseCode;

use crate::SendError;
use std::borrow::Cow;
use std::error::Error;

/// The longest payload of a control frame (RFC 6455, section 5.5).
pub(crate) const MAX_CONTROL_PAYLOAD: usize = 125;
/// What two bytes of status code leave of it.
const MAX_REASON: usize = MAX_CONTROL_PAYLOAD - 2;

/// Why the plugin ends a connection: a status code and a reason for the client.
///
/// Returned as `Err` from [`Plugin::on_message`](crate::Plugin::on_message), or passed to
/// [`Sender::close`](crate::Sender::close), it starts the closing handshake (RFC 6455, section 7).
///
/// Any [`Error`] converts into one, so that `?` works in `on_message`: the client is told 1011
/// (internal error) without a reason, and the error goes, with its sources, to httpd's error log.
/// [`SendError::Closed`] is the exception: a client that has left is nothing to write a log line about.
/// (That conversion is why this type is not an `Error` itself.)
#[derive(Clone, Debug)]
pub struct Close {
    /// In a box, since it is rare, and what callbacks return with every message should be small.
    details: Box<Details>,
}

#[derive(Clone, Debug)]
struct Details {
    code: CloseCode,
    reason: Cow<'static, str>,
    error: Option<String>,
}

impl Close {
    /// A close frame with this code and reason. The reason is for developers, not for users; what
    /// goes beyond the 123 bytes a close frame has room for is cut off.
    #[must_use]
    pub fn new(code: CloseCode, reason: impl Into<Cow<'static, str>>) -> Self {
        let reason = shortened(reason.into());
        Self {
            details: Box::new(Details {
                code,
                reason,
                error: None,
            }),
        }
    }

    /// The status code.
    #[must_use]
    pub const fn code(&self) -> CloseCode {
        self.details.code
    }

    /// The reason, which may be empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.details.reason
    }

    /// The error, if this was made from one, and its sources.
    pub(crate) fn error(&self) -> Option<&str> {
        self.details.error.as_deref()
    }

    /// Calls `send` with the payload of the close frame.
    pub(crate) fn with_payload<R>(&self, send: impl FnOnce(&[u8]) -> R) -> R {
        let mut payload = [0; MAX_CONTROL_PAYLOAD];
        let (code, reason) = payload.split_at_mut(2);
        let text = self.reason().as_bytes();
        code.copy_from_slice(&self.code().get().to_be_bytes());
        reason[..text.len()].copy_from_slice(text);
        send(&payload[..2 + text.len()])
    }
}

fn shortened(mut reason: Cow<'static, str>) -> Cow<'static, str> {
    if reason.len() > MAX_REASON {
        let end = reason.floor_char_boundary(MAX_REASON);
        reason.to_mut().truncate(end);
    }
    reason
}

/// A close frame without a reason.
impl From<CloseCode> for Close {
    fn from(code: CloseCode) -> Self {
        Self::new(code, "")
    }
}

impl<E: Error + 'static> From<E> for Close {
    fn from(error: E) -> Self {
        let mut close = Self::from(CloseCode::INTERNAL_ERROR);
        close.details.error = (!is_closed(&error)).then(|| chain(&error));
        close
    }
}

fn is_closed(error: &(dyn Error + 'static)) -> bool {
    let closed = error.downcast_ref() == Some(&SendError::Closed);
    closed || error.source().is_some_and(is_closed)
}

/// The error and its sources, from the outermost to the root, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Close, CloseCode};
    use crate::SendError;

    #[test]
    fn the_payload_is_the_code_and_the_reason() {
        let close = Close::new(CloseCode::NORMAL, "bye");
        close.with_payload(|payload| assert_eq!(payload, b"\x03\xe8bye"));
        Close::from(CloseCode::GOING_AWAY).with_payload(|payload| assert_eq!(payload, [3, 0xe9]));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let close = Close::new(CloseCode::NORMAL, "\u{e4}".repeat(100));
        assert_eq!(close.reason(), "\u{e4}".repeat(61));
        close.with_payload(|payload| assert_eq!(payload.len(), 2 + 122));
    }

    #[test]
    fn an_error_becomes_1011_and_is_kept_for_the_log() {
        let close = Close::from("x".parse::<u8>().unwrap_err());
        assert_eq!(
            (close.code(), close.reason()),
            (CloseCode::INTERNAL_ERROR, "")
        );
        assert_eq!(close.error(), Some("invalid digit found in string"));
        assert_eq!(Close::from(SendError::Closed).error(), None);
        assert!(Close::from(SendError::PingTooLong).error().is_some());
    }
}
