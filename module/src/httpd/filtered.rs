//! A connection of httpd whose bytes pass through its filters.

use std::io;

use super::bottom::Bottom;
use super::brigades::{Brigades, Input};
use super::conn::Conn;
use super::error::check;
use super::socket::Socket;
use super::{filters, sys};

/// A connection, its filters and what is below them. The filters do not wait for the client.
///
/// The core's filters are bypassed if no other module has filters next to them.
pub struct FilteredConn {
    /// What stands in place of the core's filters.
    bottom: Option<Bottom>,
    brigades: Brigades,
    conn: Conn,
    /// The socket's timeout before it was set to 0, to be restored.
    timeout: sys::apr_interval_time_t,
}

// SAFETY: as for `Conn`: one thread at a time uses it, together with the connection's filters and
// brigades.
unsafe impl Send for FilteredConn {}

impl FilteredConn {
    /// Takes over a connection, and has its filters no longer wait for the client.
    #[must_use]
    pub fn new(conn: Conn) -> Self {
        let connection = conn.as_raw();
        let mut timeout = 0;
        // SAFETY: the connection is live and nobody else uses it (`Conn`). Brigades and filters are
        // dropped with the result, and the socket is closed later.
        let (brigades, bottom) = unsafe {
            let socket = sys::ap_get_conn_socket(connection);
            sys::apr_socket_timeout_get(socket, &raw mut timeout);
            sys::apr_socket_timeout_set(socket, 0);
            (
                Brigades::new(connection),
                Bottom::install(connection, conn.socket().share()),
            )
        };
        Self {
            bottom,
            brigades,
            conn,
            timeout,
        }
    }

    /// The connection's socket.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        self.conn.socket()
    }

    /// Keeps httpd from writing to a client that is gone or does not read.
    pub fn abort(&mut self) {
        self.conn.abort();
    }

    /// The filters that bypass the core's, if they are in place.
    pub fn bottom(&mut self) -> Option<&mut Bottom> {
        self.bottom.as_mut()
    }

    /// Reads what has arrived through the filters.
    ///
    /// # Errors
    ///
    /// When a filter reports one. [`io::ErrorKind::WouldBlock`] may stand for [`Input::Nothing`].
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Input> {
        self.brigades.read(buffer)
    }

    /// Whether the core input filter holds bytes that a filter above it has yet to take.
    pub fn core_holds_input(&mut self) -> bool {
        self.brigades.core_holds_input()
    }

    /// Passes bytes to the filters, which keep what they cannot write at once.
    ///
    /// # Errors
    ///
    /// When a filter reports one, or the connection is broken.
    pub fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.brigades.pass_bytes(bytes)?;
        self.check_aborted()
    }

    /// Writes what the core output filter holds, as far as the client takes it. Returns whether
    /// nothing is left.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn flush_core(&mut self) -> io::Result<bool> {
        // SAFETY: the connection is live and nobody else uses it (`Conn`).
        let has_output = |this: &Self| unsafe { (*this.conn.as_raw()).data_in_output_filters != 0 };
        if has_output(self) {
            // SAFETY: as above.
            check(unsafe { filters::flush_core(self.conn.as_raw()) })?;
            self.check_aborted()?;
        }
        Ok(!has_output(self))
    }

    /// The core output filter reports a broken connection only in this field.
    fn check_aborted(&self) -> io::Result<()> {
        // SAFETY: the connection is live (`Conn`).
        if unsafe { (*self.conn.as_raw()).aborted } != 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl Drop for FilteredConn {
    /// Gives the connection back, and counts what was sent.
    fn drop(&mut self) {
        let sent = self.bottom.as_ref().map_or(0, Bottom::sent);
        self.conn.count_written(usize::try_from(sent).unwrap_or(0));
        // SAFETY: the connection outlives this value (`Conn`).
        unsafe {
            let socket = sys::ap_get_conn_socket(self.conn.as_raw());
            sys::apr_socket_timeout_set(socket, self.timeout);
        }
    }
}
