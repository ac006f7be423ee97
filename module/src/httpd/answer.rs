//! What a handler returns to httpd.

use std::ffi::c_int;

use super::sys;

/// What a handler returns to httpd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The request is not for this module.
    Declined,
    /// The request has been answered.
    Done,
    /// The connection stays open and no longer needs this thread.
    Suspended,
    /// httpd is to answer with this HTTP status.
    Status(u16),
}

impl Answer {
    /// The number that httpd expects.
    pub fn into_status(self) -> c_int {
        match self {
            Self::Declined => sys::DECLINED,
            Self::Done => sys::OK,
            Self::Suspended => sys::SUSPENDED,
            Self::Status(status) => status.into(),
        }
    }
}
