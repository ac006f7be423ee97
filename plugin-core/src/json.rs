//! [`SendJsonError`].

use crate::SendError;
use std::error::Error;
use std::fmt;

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
