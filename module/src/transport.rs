//! The bytes of a connection, from whatever source, and who keeps and closes the connection.
//!
//! There are four cases. A connection stays in one of them while it is open:
//!
//! | served by | its bytes | closed by |
//! |---|---|---|
//! | a thread of the MPM | [`Direct`] or [`Filtered`] | httpd, when the handler has returned |
//! | a thread of mod_http2 | [`Http2Stream`] | mod_http2, when the handler has returned |
//! | a loop, suspended | [`Direct`] or [`Filtered`] | [`Custody::Suspended`] |
//! | a loop, detached | [`Direct`] | [`Custody::Detached`] |

mod custody;
mod direct;
mod filtered;
mod http2;
mod stream;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::httpd::beam::Beam;
use crate::httpd::conn::Conn;
use crate::httpd::socket::Socket;

pub use custody::Custody;
pub use direct::Direct;
pub use filtered::Filtered;
pub use http2::Http2Stream;
pub use stream::Stream;

/// One of the four kinds of [`Stream`].
pub enum Transport {
    /// A connection of httpd that is nothing but a socket.
    Plain(Direct<Conn>),
    /// A connection of httpd with filters that change its bytes.
    Filtered(Box<Filtered>),
    /// A stream of an HTTP/2 connection.
    Http2(Http2Stream),
    /// A connection that httpd has forgotten.
    Detached(Direct<Socket>),
}

impl Transport {
    /// The bytes of a connection that has left HTTP.
    ///
    /// # Errors
    ///
    /// When there is no memory for the bytes that arrived right behind the request.
    pub fn of_connection(mut conn: Conn) -> io::Result<Self> {
        Ok(if conn.is_transparent() {
            let early = conn.take_early_bytes()?;
            Self::Plain(Direct::new(conn, early))
        } else {
            Self::Filtered(Box::new(Filtered::new(conn)))
        })
    }

    /// The bytes of an HTTP/2 stream that has left HTTP. `input` is readable when some have
    /// arrived.
    #[must_use]
    pub fn of_stream(beam: Beam, input: OwnedFd) -> Self {
        Self::Http2(Http2Stream::new(beam, input))
    }

    /// The bytes of a connection that httpd forgets, and the connection itself. The bytes are
    /// `early`, then those of the socket.
    ///
    /// # Errors
    ///
    /// When httpd owns the socket's descriptor and the process has none left for a duplicate.
    pub fn detached(socket: Socket, early: VecDeque<u8>) -> io::Result<(Self, Custody)> {
        let custody = Custody::Detached(Socket::new(socket.descriptor()?));
        Ok((Self::Detached(Direct::new(socket, early)), custody))
    }

    fn stream(&self) -> &dyn Stream {
        match self {
            Self::Plain(stream) => stream,
            Self::Filtered(stream) => &**stream,
            Self::Http2(stream) => stream,
            Self::Detached(stream) => stream,
        }
    }

    fn stream_mut(&mut self) -> &mut dyn Stream {
        match self {
            Self::Plain(stream) => stream,
            Self::Filtered(stream) => &mut **stream,
            Self::Http2(stream) => stream,
            Self::Detached(stream) => stream,
        }
    }
}

impl Stream for Transport {
    fn descriptor(&self) -> io::Result<Arc<OwnedFd>> {
        self.stream().descriptor()
    }

    fn retry_interval(&self, pending: Duration) -> Option<Duration> {
        self.stream().retry_interval(pending)
    }

    fn is_emptied_by_short_reads(&self) -> bool {
        self.stream().is_emptied_by_short_reads()
    }

    fn find_end(&mut self) {
        self.stream_mut().find_end();
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream_mut().read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream_mut().write(bytes)
    }

    fn write_pieces(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream_mut().write_pieces(pieces)
    }

    fn flush(&mut self) -> io::Result<bool> {
        self.stream_mut().flush()
    }

    fn has_progressed(&mut self) -> bool {
        self.stream_mut().has_progressed()
    }

    fn bytes_taken(&self) -> Option<u64> {
        self.stream().bytes_taken()
    }

    fn abort(&mut self) {
        self.stream_mut().abort();
    }
}
