//! How a connection ends: [`Close`] and [`CloseCode`] (RFC 6455, section 7).

mod code;

pub use code::CloseCode;

use crate::BoxError;
use crate::gone::Gone;
use std::borrow::Cow;
use std::error::Error;

/// The longest payload of a control frame (RFC 6455, section 5.5).
pub(crate) const MAX_CONTROL_PAYLOAD: usize = 125;
/// The longest reason: a control frame's payload without the two bytes of the status code.
pub(crate) const MAX_REASON: usize = MAX_CONTROL_PAYLOAD - 2;

/// A status code and a reason with which the plugin closes a connection.
///
/// Returned as `Err` from [`Plugin::on_message`](crate::Plugin::on_message), or passed to
/// [`Sender::close`](crate::Sender::close), it starts the closing handshake (RFC 6455, section 7).
///
/// Any type that converts into a [`BoxError`] converts into a `Close`. So `?` works in `on_message`
/// on errors, on a `BoxError` and on `anyhow::Error`. The client then gets 1011 (internal error)
/// without a reason, and the error and its sources go to httpd's error log. A string converts in
/// the same way: it goes to the log, not to the client.
///
/// There are two exceptions, also as the source of another error. A client that has left
/// ([`SendError::Closed`](crate::SendError::Closed)) is not worth a line in the log. One whose
/// message is not the JSON that the plugin expects (`InvalidJson`) gets 1007 and the reason, and
/// nothing is logged.
///
/// This type does not implement `Error`, because the conversion above would then conflict with
/// `From<T> for T`.
#[derive(Clone, Debug)]
pub struct Close {
    /// Boxed, because a `Close` is rare and the result of every callback should be small.
    details: Box<Details>,
}

#[derive(Clone, Debug)]
struct Details {
    code: CloseCode,
    reason: Cow<'static, str>,
    error: Option<String>,
    /// It was made from an error that says that the client has gone.
    is_of_gone_client: bool,
}

impl Close {
    /// A close frame with this code and reason. The reason is for developers, not for users. A
    /// close frame has room for 123 bytes of it; the rest is cut off.
    #[must_use]
    pub fn new(code: CloseCode, reason: impl Into<Cow<'static, str>>) -> Self {
        let reason = shortened(reason.into());
        Self {
            details: Box::new(Details {
                code,
                reason,
                error: None,
                is_of_gone_client: false,
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

    /// The error that this was made from, with its sources, if there was one.
    pub(crate) fn error(&self) -> Option<&str> {
        self.details.error.as_deref()
    }

    /// Whether this was made from [`SendError::Closed`](crate::SendError::Closed): the client has
    /// gone.
    #[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "others do not ask"))]
    pub(crate) fn is_of_gone_client(&self) -> bool {
        self.details.is_of_gone_client
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

/// 1011, with the error kept for the log; 1007 for a message that is not the expected JSON.
impl<E: Into<BoxError>> From<E> for Close {
    fn from(error: E) -> Self {
        let error = error.into();
        #[cfg(feature = "json")]
        if let Some(reason) = crate::InvalidJson::reason_in(&*error) {
            return Self::new(CloseCode::INVALID_PAYLOAD, reason);
        }
        let mut close = Self::from(CloseCode::INTERNAL_ERROR);
        if is_gone(&*error) {
            close.details.is_of_gone_client = true;
        } else {
            close.details.error = Some(chain(&*error));
        }
        close
    }
}

/// Looks for the source of `SendError::Closed`, not for `SendError::Closed` itself. `anyhow` and
/// transparent wrappers hide the type of the error they wrap, but not its source.
fn is_gone(error: &(dyn Error + 'static)) -> bool {
    error.is::<Gone>() || error.source().is_some_and(is_gone)
}

/// The argument of [`Sender::close`](crate::Sender::close): a [`Close`] or a [`CloseCode`].
#[diagnostic::on_unimplemented(
    message = "a connection is closed with a `Close` or a `CloseCode`",
    note = "for example `Close::new(CloseCode::NORMAL, \"goodbye\")`",
    note = "1000 is `CloseCode::NORMAL`; a code of your own is `const FULL: CloseCode = CloseCode::new(4000).unwrap()`"
)]
pub trait IntoClose: sealed::Sealed {
    /// The close frame.
    fn into_close(self) -> Close;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Close {}
    impl Sealed for super::CloseCode {}
}

impl IntoClose for Close {
    fn into_close(self) -> Close {
        self
    }
}

impl IntoClose for CloseCode {
    fn into_close(self) -> Close {
        self.into()
    }
}

/// Returns the error and its sources, from the outermost to the root, in one line.
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
