//! How httpd forgets a connection (event MPM, for connections that are nothing but a socket).
//!
//! The module keeps a duplicate of the connection's descriptor and lets httpd end the request and
//! the connection by itself. When the request has ended, the connection is marked as aborted. httpd
//! then closes its descriptor without sending anything (connection.c, `ap_start_lingering_close`).
//! The duplicate stays open.

use std::collections::VecDeque;
use std::io;

use super::conn::{duplicate, take_early_bytes};
use super::pool::Pool;
use super::socket::Socket;
use super::{filters, sys};

/// A second descriptor for a connection that is to be detached, and that is nothing but a socket.
pub struct Duplicate(Socket);

impl Duplicate {
    /// Duplicates the descriptor of a connection. `None` if the connection is more than a socket.
    ///
    /// # Errors
    ///
    /// When the connection is closed, or the process has no descriptors left.
    ///
    /// # Safety
    ///
    /// `connection` is live and no other thread uses it.
    pub(super) unsafe fn of(connection: *mut sys::conn_rec) -> io::Result<Option<Self>> {
        // SAFETY: the caller vouches for the connection.
        unsafe {
            if !filters::are_transparent(connection) {
                return Ok(None);
            }
            duplicate(connection).map(|socket| Some(Self(socket)))
        }
    }

    /// Takes the connection of `request` away from httpd, which closes its own descriptor when the
    /// request has ended. Returns the socket, and the bytes that have arrived right behind the
    /// request.
    ///
    /// # Errors
    ///
    /// When the client is gone.
    ///
    /// # Safety
    ///
    /// The caller is the handler of the live request, which has left HTTP. From now on it uses the
    /// connection and its bytes only through the result.
    pub(super) unsafe fn detach(
        self,
        request: *mut sys::request_rec,
    ) -> io::Result<(Socket, VecDeque<u8>)> {
        // SAFETY: the caller vouches for the request; its connection lives longer. The clean-up
        // runs after the access log line has been written (eoc_bucket.c, `eor_bucket_cleanup`).
        unsafe {
            let connection = (*request).connection;
            if (*connection).aborted != 0 {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Pool::new((*request).pool).on_destroy(move || (*connection).aborted = 1);
            Ok((self.0, take_early_bytes(connection)?))
        }
    }
}
