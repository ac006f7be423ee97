//! [`Rejection`].

use crate::BoxError;
use crate::abi::{Refusal, ResponseHeader};
use crate::close::chain;
use crate::header::{self, InvalidHeader};
use std::ffi::{CString, c_int, c_uint};
use std::ptr;

/// The HTTP response to a client that the plugin refuses.
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
/// Any type that converts into a [`BoxError`] converts into a `Rejection`. So `?` works in
/// [`on_connect`](crate::Plugin::on_connect) on errors, on a `BoxError` and on `anyhow::Error`. The
/// client then gets 500, and the error and its sources go to httpd's error log.
///
/// Browsers tell a script only that the connection failed, and do not follow redirects.
///
/// Under the C module the client always gets 403. Versions of `mod_websocket` without support for
/// headers and bodies send only the status.
#[derive(Clone, Debug)]
pub struct Rejection {
    status: u16,
    headers: Vec<(CString, CString)>,
    body: Option<Vec<u8>>,
    error: Option<String>,
}

impl Rejection {
    /// 400: the request makes no sense.
    pub const BAD_REQUEST: Self = Self::new(400);
    /// 401: the client must authenticate. The header `WWW-Authenticate` says how (RFC 9110, section
    /// 11.6.1). Better leave passwords to httpd (`AuthType`).
    pub const UNAUTHORIZED: Self = Self::new(401);
    /// 403: the client has no permission.
    pub const FORBIDDEN: Self = Self::new(403);
    /// 404: there is nothing here.
    pub const NOT_FOUND: Self = Self::new(404);
    /// 429: the client sends too many requests.
    pub const TOO_MANY_REQUESTS: Self = Self::new(429);
    /// 500: the plugin failed.
    pub const INTERNAL_SERVER_ERROR: Self = Self::new(500);
    /// 503: the plugin cannot serve the client now.
    pub const SERVICE_UNAVAILABLE: Self = Self::new(503);

    /// A response with this status, registered or not.
    ///
    /// # Panics
    ///
    /// The status is outside of 300 to 599. In `on_connect` the panic becomes a 500; in a constant
    /// it is a compile error.
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

    /// Adds a header. Several headers of the same name are all sent.
    ///
    /// # Errors
    ///
    /// * The name or the value is not valid in a header (RFC 9110, sections 5.1 and 5.5).
    /// * The header says where the response ends, which is up to httpd: `Connection`,
    ///   `Content-Length`, `Keep-Alive`, `Trailer` and `Transfer-Encoding`.
    ///
    /// With `?` the error refuses the connection with 500.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, InvalidHeader> {
        self.headers.push(header::checked_for_refusal(name, value)?);
        Ok(self)
    }

    /// Sets a body, which replaces httpd's page for the status. Its `Content-Type` is `text/plain;
    /// charset=utf-8`, unless [`with_header`](Self::with_header) sets another.
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

    /// The error that this was made from, with its sources, if there was one.
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Calls `body` with the refusal as a C struct for the host.
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

/// 500, with the error kept for the log.
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
    fn a_success_status_cannot_refuse() {
        drop(Rejection::new(200));
    }
}
