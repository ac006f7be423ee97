//! The bytes of what has left HTTP but is still httpd's: a connection, or a stream of HTTP/2.

mod bottom;
mod brigades;
mod connection;
mod filtered;
mod http2;

use std::io;

use rustix::io::Errno;

use super::{pool, sys};

pub(super) use bottom::register as register_filters;
pub use connection::{ConnectionStream, Descriptors};
pub use http2::Http2Stream;
pub(super) use http2::input_of;

/// An APR status as an I/O result. APR passes system errors on as they are.
pub(super) fn check(status: sys::apr_status_t) -> io::Result<()> {
    match status {
        sys::APR_SUCCESS => Ok(()),
        sys::APR_EINTR => Err(Errno::AGAIN.into()),
        system if (1..sys::APR_OS_START_ERROR).contains(&system) => {
            Err(io::Error::from_raw_os_error(system))
        }
        other => Err(io::Error::other(pool::status_text(other))),
    }
}
