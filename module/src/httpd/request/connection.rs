//! What happens to the connection of a request.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use super::Request;
use crate::httpd::beam::{Beam, input_of};
use crate::httpd::conn::Conn;
use crate::httpd::detached::Duplicate;
use crate::httpd::memory::SharedMemory;
use crate::httpd::parked::Parked;
use crate::httpd::served::Served;
use crate::httpd::socket::Socket;
use crate::httpd::suspend::{self, Adopter};
use crate::httpd::{filters, mpm, sys};

impl Request {
    /// Sends the 101 response with the response headers, and takes the connection away from HTTP.
    /// For the handler's thread.
    pub fn switch_protocols(self) {
        // SAFETY: the chain's requests are live and this is the handler's thread.
        unsafe { filters::leave_http(self.chain()) };
        // SAFETY: the request is live and this is its handler's thread.
        unsafe {
            // Reads for 2 seconds, not 30, from a client that goes on sending after the end.
            let notes = (*self.get().connection).notes;
            sys::apr_table_setn(notes, c"short-lingering-close".as_ptr(), c"1".as_ptr());
        }
        self.send_switching_protocols();
    }

    /// Tells httpd to close the connection as soon as it has written the response to this request.
    /// httpd does not wait for the client to close its side, because the connection would keep its
    /// descriptor for that time. A stream of HTTP/2 ends as usual. For the handler's thread.
    pub fn close_at_once(self) {
        let connection = self.get().connection;
        // SAFETY: the request's connection lives longer than its pool, whose clean-up runs when the
        // response has been written (eoc_bucket.c, `eor_bucket_cleanup`).
        unsafe {
            if (*connection).master.is_null() {
                self.pool().on_destroy(move || (*connection).aborted = 1);
            }
        }
    }

    /// Whether the 101 response was sent, or should have been.
    pub fn has_left_http(&self) -> bool {
        self.get().status == sys::HTTP_SWITCHING_PROTOCOLS
    }

    /// The connection, whose bytes belong to the handler since
    /// [`switch_protocols`](Self::switch_protocols). For the handler's thread, which calls this
    /// once and drops the result before it returns.
    ///
    /// # Errors
    ///
    /// When the client is gone, or the process has no descriptor left.
    pub fn take_connection(self) -> io::Result<Conn> {
        self.check_client()?;
        // SAFETY: the handler has the connection to itself until it returns; plugins use the
        // request's pool from one thread at a time.
        unsafe { Conn::of_thread(self.get().connection) }
    }

    /// Like [`take_connection`](Self::take_connection), for a connection that the handler is going
    /// to [`suspend`](Self::suspend). The adopter drops the result before it destroys the
    /// connection.
    ///
    /// # Errors
    ///
    /// When the client is gone.
    pub fn take_connection_to_suspend(self) -> io::Result<Conn> {
        self.check_client()?;
        // SAFETY: the handler has the connection to itself until it hands it to the adopter;
        // plugins use the request's pool from one thread at a time.
        unsafe { Conn::to_suspend(self.get().connection) }
    }

    /// Watches the socket, so that it shows how the child stops, where httpd does not tell: on a
    /// hard stop the MPM closes it. For the handler's thread, which drops the result before it
    /// returns.
    #[must_use]
    pub fn watch_socket(self) -> Option<Served> {
        // SAFETY: the connection and its socket live until the handler has returned.
        unsafe { Served::new(sys::ap_get_conn_socket(self.get().connection)) }
    }

    /// A duplicate of the connection's descriptor, to detach the connection with. `None` if the
    /// connection is more than a socket. For the handler's thread.
    ///
    /// # Errors
    ///
    /// When the connection is closed, or the process has no descriptors left.
    pub fn duplicate_descriptor(&self) -> io::Result<Option<Duplicate>> {
        // SAFETY: the handler has the connection to itself.
        unsafe { Duplicate::of(self.get().connection) }
    }

    /// Takes the connection, which has left HTTP, away from httpd. Returns its socket, and the
    /// bytes that have arrived right behind the request. For the handler's thread, which must
    /// answer [`Answer::Done`](crate::httpd::answer::Answer) next.
    ///
    /// # Errors
    ///
    /// When the client is gone.
    pub fn detach(self, duplicate: Duplicate) -> io::Result<(Socket, VecDeque<u8>)> {
        // SAFETY: the request is live. The docs of this method demand the rest of the caller.
        unsafe { duplicate.detach(self.0.as_ptr()) }
    }

    /// The descriptor that becomes readable when a stream of an HTTP/2 connection has input. `None`
    /// means that the client has ended the stream with its request. For the handler's thread.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left, or mod_http2 offers no way to wait.
    pub fn http2_input(self) -> io::Result<Option<OwnedFd>> {
        // SAFETY: the request is live and a stream's, so mod_http2 has made its connection.
        unsafe { input_of(self.get().connection) }
    }

    /// Like [`take_connection`](Self::take_connection), for a stream of an HTTP/2 connection.
    ///
    /// # Errors
    ///
    /// When the client is gone.
    pub fn take_http2_stream(self) -> io::Result<Beam> {
        self.check_client()?;
        // SAFETY: the handler has the secondary connection to itself until it returns, and drops
        // the stream before; plugins use the request's pool from one thread at a time.
        Ok(unsafe { Beam::new(self.0.as_ptr()) })
    }

    fn check_client(&self) -> io::Result<()> {
        if self.connection().aborted != 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// Lets a plugin use the request's memory from any thread. For the handler's thread.
    ///
    /// # Errors
    ///
    /// When the system has no more locks.
    pub fn share_memory(self) -> io::Result<SharedMemory> {
        // SAFETY: the handler has the connection to itself until it asks the plugin. The session
        // drops the result when it has told the plugin that the connection has ended.
        unsafe { SharedMemory::new(self.0.as_ptr()) }
    }

    /// Whether the connection may stay open without this thread.
    #[must_use]
    pub fn can_suspend(&self) -> bool {
        mpm::can_suspend(self.connection())
    }

    /// Has this request, and those that were redirected to it, read and write nothing until the
    /// result is [restored](Parked::restore). For the handler's thread, which is going to
    /// [`suspend`](Self::suspend) the connection.
    #[must_use]
    pub fn park(self) -> Parked {
        // SAFETY: the requests of the chain are live, and this is their handlers' thread.
        unsafe { Parked::new(self.chain()) }
    }

    /// Hands the connection to `adopter` as soon as this thread has let it go. For the handler's
    /// thread, which must answer [`Answer::Suspended`](crate::httpd::answer::Answer) next.
    pub fn suspend(self, adopter: Box<dyn Adopter>) {
        // SAFETY: the request is live. The docs of this method demand the rest of the caller.
        unsafe { suspend::suspend(self.0.as_ptr(), adopter) }
    }
}
