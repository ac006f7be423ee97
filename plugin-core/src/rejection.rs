//! [`Rejection`].

use crate::BoxError;
use crate::close::chain;

/// The HTTP answer to a client whose connection the plugin refuses.
///
/// Whatever converts into a [`BoxError`] converts into one, so that `?` works in
/// [`on_connect`](crate::Plugin::on_connect), on errors, on a `BoxError` itself, and on `anyhow::Error`:
/// the client is told 500, and the error goes, with its sources, to httpd's error log. The C module
/// answers 403, whatever the plugin says.
#[derive(Clone, Debug)]
pub struct Rejection {
    status: u16,
    error: Option<String>,
}

impl Rejection {
    /// 400: the client asks for something that makes no sense.
    pub const BAD_REQUEST: Self = Self::with_status(400);
    /// 401: the client must say who it is. (Authentication is better left to httpd.)
    pub const UNAUTHORIZED: Self = Self::with_status(401);
    /// 403: the client may not.
    pub const FORBIDDEN: Self = Self::with_status(403);
    /// 404: there is nothing here.
    pub const NOT_FOUND: Self = Self::with_status(404);
    /// 429: the client asks too often.
    pub const TOO_MANY_REQUESTS: Self = Self::with_status(429);
    /// 500: something went wrong here.
    pub const INTERNAL_SERVER_ERROR: Self = Self::with_status(500);
    /// 503: not now.
    pub const SERVICE_UNAVAILABLE: Self = Self::with_status(503);

    /// An answer with this status, if it is one for errors: 400 to 599.
    #[must_use]
    pub const fn new(status: u16) -> Option<Self> {
        match status {
            400..=599 => Some(Self::with_status(status)),
            _ => None,
        }
    }

    const fn with_status(status: u16) -> Self {
        Self {
            status,
            error: None,
        }
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
