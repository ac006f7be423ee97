//! [`InvalidJson`] and [`SendJsonError`].

use crate::SendError;
use std::error::Error;
use std::fmt;

/// A message of the client is not the JSON that the plugin expects.
///
/// With `?` in a callback, it closes the connection with 1007 (RFC 6455, section 7.4.1), and the
/// client gets the reason. Nothing is logged: a plugin cannot help what its clients send.
#[derive(Debug)]
pub struct InvalidJson(Mistake);

/// The source of [`InvalidJson`]. Wrappers such as `anyhow::Error` hide the type of the error they
/// wrap, but not its source.
#[derive(Debug)]
struct Mistake(serde_json::Error);

impl InvalidJson {
    /// What `serde_json` has to say.
    #[must_use]
    pub const fn error(&self) -> &serde_json::Error {
        &self.0.0
    }

    /// What is wrong with the client's JSON, if that is the error or one of its sources.
    pub(crate) fn reason_in(error: &(dyn Error + 'static)) -> Option<String> {
        match error.downcast_ref::<Mistake>() {
            Some(mistake) => Some(mistake.to_string()),
            None => error.source().and_then(Self::reason_in),
        }
    }
}

impl From<serde_json::Error> for InvalidJson {
    fn from(error: serde_json::Error) -> Self {
        Self(Mistake(error))
    }
}

impl fmt::Display for InvalidJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for InvalidJson {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Mistake {}

/// Why a value was not sent as JSON.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendJsonError {
    /// The value cannot be written as JSON.
    Json(serde_json::Error),
    /// The message was not sent.
    Send(SendError),
}

impl fmt::Display for SendJsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json(_) => "the value cannot be written as JSON",
            Self::Send(_) => "the JSON could not be sent",
        })
    }
}

impl Error for SendJsonError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            Self::Send(error) => Some(error),
        }
    }
}

impl From<serde_json::Error> for SendJsonError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<SendError> for SendJsonError {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}
