//! [`Rejection`].

use crate::BoxError;
use crate::abi::{Refusal, ResponseHeader};
use crate::close::chain;
use crate::header::{self, InvalidHeader};
use std::ffi::{CString, c_int, c_uint};
use std::ptr;

/// The HTTP answer to a client whose connection the plugin refuses.
///
/// ```
/// # use websocket_plugin::{Handshake, InvalidHeader, Rejection};
/// # fn on_connect(handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
/// if handshake.header("Authorization").is_none() {
///     return Err(Rejection::UNAUTHORIZED
///         .with_header("WWW-Authenticate", "Bearer realm=\"chat\"")?
///         .with_body("a token is needed"));
/// }
/// # Ok(())
/// # }
/// const TEAPOT: Rejection = Rejection::new(418);
/// ```
///
/// Whatever converts into a [`BoxError`] converts into one, so that `?` works in
/// [`on_connect`](crate::Plugin::on_connect), on errors, on a `BoxError` itself, and on `anyhow::Error`:
/// the client is told 500, and the error goes, with its sources, to httpd's error log.
///
/// Browsers tell scripts nothing of a refusal but that there was one, and follow no redirect.
///
/// The C module answers 403, whatever the plugin says, and versions of `mod_websocket` that do not know
/// headers and bodies send the status alone.
#[derive(Clone, Debug)]
pub struct Rejection {
    status: u16,
    headers: Vec<(CString, CString)>,
    body: Option<Vec<u8>>,
    error: Option<String>,
}

impl Rejection {
    /// 400: the client asks for something that makes no sense.
    pub const BAD_REQUEST: Self = Self::new(400);
    /// 401: the client must say who it is; `WWW-Authenticate` says how (RFC 9110, section 11.6.1).
    /// Passwords are better left to httpd (`AuthType`).
    pub const UNAUTHORIZED: Self = Self::new(401);
    /// 403: the client may not.
    pub const FORBIDDEN: Self = Self::new(403);
    /// 404: there is nothing here.
    pub const NOT_FOUND: Self = Self::new(404);
    /// 429: the client asks too often.
    pub const TOO_MANY_REQUESTS: Self = Self::new(429);
    /// 500: something went wrong here.
    pub const INTERNAL_SERVER_ERROR: Self = Self::new(500);
    /// 503: not now.
    pub const SERVICE_UNAVAILABLE: Self = Self::new(503);

    /// An answer with this status, be it registered or not.
    ///
    /// # Panics
    ///
    /// The status is none of a refusal: those are 300 to 599. In `on_connect` that answers 500, in a
    /// constant it does not compile.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        assert!(
            300 <= status && status <= 599,
            "the status of a refusal is from 300 to 599"
        );
        Self {
            status,
            headers: Vec::new(),
            body: None,
            error: None,
        }
    }

    /// With one more header. Of several with the same name, all are sent.
    ///
    /// # Errors
    ///
    /// Name or value are not what a header may hold (RFC 9110, sections 5.1 and 5.5), or the header says
    /// where the response ends, which httpd does (`Connection`, `Content-Length`, `Keep-Alive`, `Trailer`,
    /// `Transfer-Encoding`). With `?` that refuses the connection with 500.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, InvalidHeader> {
        self.headers.push(header::checked_for_refusal(name, value)?);
        Ok(self)
    }

    /// With this body instead of httpd's page for the status. Its `Content-Type` is
    /// `text/plain; charset=utf-8`, unless that is one of the headers.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The error, if this was made from one, and its sources.
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Calls `body` with the refusal as the host takes it.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the size of a small struct"
    )]
    pub(crate) fn with_abi<R>(&self, body: impl FnOnce(&Refusal) -> R) -> R {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| ResponseHeader {
                name: name.as_ptr(),
                value: value.as_ptr(),
            })
            .collect();
        let (data, length) = match &self.body {
            Some(bytes) => (bytes.as_ptr(), bytes.len()),
            None => (ptr::null(), 0),
        };
        body(&Refusal {
            size: size_of::<Refusal>() as c_uint,
            status: c_int::from(self.status),
            headers: headers.as_ptr(),
            header_count: headers.len(),
            body: data,
            body_length: length,
        })
    }
}

/// 500, and the error for the log.
impl<E: Into<BoxError>> From<E> for Rejection {
    fn from(error: E) -> Self {
        Self {
            error: Some(chain(&*error.into())),
            ..Self::INTERNAL_SERVER_ERROR
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rejection;

    #[test]
    fn headers_that_frame_the_response_are_left_to_httpd() {
        for (name, value) in [
            ("content-length", "5"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "close"),
            ("X Y", "7"),
            ("X-Y", "7\r\nX-Evil: yes"),
        ] {
            let rejection = Rejection::FORBIDDEN.with_header(name, value);
            assert!(rejection.is_err(), "{name}: {value}");
        }
    }

    #[test]
    #[should_panic(expected = "from 300 to 599")]
    fn success_is_no_refusal() {
        drop(Rejection::new(200));
    }
}
