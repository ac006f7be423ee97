//! The status codes of APR as errors.

use std::ffi::CStr;
use std::io;

use rustix::io::Errno;

use super::sys;

/// An APR status as an I/O result. APR returns errors of the system unchanged.
pub fn check(status: sys::apr_status_t) -> io::Result<()> {
    match status {
        sys::APR_SUCCESS => Ok(()),
        sys::APR_EINTR => Err(Errno::AGAIN.into()),
        system if (1..sys::APR_OS_START_ERROR).contains(&system) => {
            Err(io::Error::from_raw_os_error(system))
        }
        other => Err(io::Error::other(status_text(other))),
    }
}

/// APR's description of a status code.
pub fn status_text(status: sys::apr_status_t) -> String {
    let mut buffer = [0u8; 200];
    // SAFETY: APR writes at most `len` bytes and terminates them.
    let text = unsafe {
        CStr::from_ptr(sys::apr_strerror(
            status,
            buffer.as_mut_ptr().cast(),
            buffer.len(),
        ))
    };
    text.to_string_lossy().into_owned()
}
