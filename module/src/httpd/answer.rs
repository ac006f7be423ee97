//! What a handler answers.

use std::ffi::c_int;

use super::sys;

/// How a handler answers httpd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The request is not for this module.
    Declined,
    /// The request has been dealt with.
    Done,
    /// The connection lives on without this thread.
    Suspended,
    /// httpd shall answer with this HTTP status.
    Status(u16),
}

impl Answer {
    /// The number httpd expects.
    pub fn into_status(self) -> c_int {
        match self {
            Self::Declined => sys::DECLINED,
            Self::Done => sys::OK,
            Self::Suspended => sys::SUSPENDED,
            Self::Status(status) => status.into(),
        }
    }
}
