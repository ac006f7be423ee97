//! The bytes of a connection, wherever they come from and go to.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::detached::DetachedStream;
use super::stream::{ConnectionStream, Http2Stream};

/// A connection's bytes in both directions, read and written without ever blocking.
///
/// One thread at a time may use it, whichever that is.
pub enum Transport {
    /// A connection of httpd.
    Connection(ConnectionStream),
    /// A stream of an HTTP/2 connection.
    Http2(Http2Stream),
    /// A connection httpd has forgotten.
    Detached(DetachedStream),
}

impl Transport {
    /// A descriptor to wait on, which stays the connection's for as long as it is held.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn descriptor(&self) -> io::Result<Arc<OwnedFd>> {
        match self {
            Self::Connection(stream) => stream.descriptor(),
            Self::Http2(stream) => Ok(stream.descriptor()),
            Self::Detached(socket) => socket.descriptor(),
        }
    }

    /// How long to wait before trying to write again when the client has taken nothing for so long;
    /// `None`: the descriptor becomes writable.
    #[must_use]
    pub fn retry_interval(&self, pending: Duration) -> Option<Duration> {
        match self {
            Self::Connection(_) | Self::Detached(_) => None,
            Self::Http2(_) => Some(Http2Stream::retry_interval(pending)),
        }
    }

    /// Whether a read that does not fill its buffer has taken all there is.
    #[must_use]
    pub fn is_emptied_by_short_reads(&self) -> bool {
        match self {
            Self::Connection(stream) => stream.is_emptied_by_short_reads(),
            Self::Http2(_) => false,
            Self::Detached(socket) => socket.is_emptied_by_short_reads(),
        }
    }

    /// The client has closed its side: reads go on until they find that out.
    pub fn find_end(&mut self) {
        match self {
            Self::Connection(stream) => stream.find_end(),
            Self::Http2(_) => {}
            Self::Detached(socket) => socket.find_end(),
        }
    }

    /// Reads what has arrived, without waiting. `Ok(0)` is the end of the client's bytes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when nothing has arrived, [`io::ErrorKind::Interrupted`] when others
    /// should have their turn, [`io::ErrorKind::ResourceBusy`] when nothing is read before the client has taken
    /// output; anything else ends the connection.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Connection(stream) => stream.read(buffer),
            Self::Http2(stream) => stream.read(buffer),
            Self::Detached(socket) => socket.read(buffer),
        }
    }

    /// Writes what the connection takes, without waiting. Returns how many bytes that were.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when it takes none now; anything else ends the connection.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Connection(stream) => stream.write(bytes),
            Self::Http2(stream) => stream.write(bytes),
            Self::Detached(socket) => socket.write(bytes),
        }
    }

    /// The same for a frame whose header and payload lie apart.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write).
    pub fn write_frame(&mut self, header: &[u8], payload: &[u8]) -> io::Result<usize> {
        match self {
            Self::Connection(stream) => stream.write_frame(header, payload),
            Self::Http2(stream) => stream.write_frame(header, payload),
            Self::Detached(socket) => socket.write_frame(header, payload),
        }
    }

    /// Pushes on what httpd's filters still hold. Returns whether nothing is left that this side has
    /// to push.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Connection(stream) => stream.flush(),
            Self::Http2(_) | Self::Detached(_) => Ok(true),
        }
    }

    /// Whether the client has taken anything since this was last asked. It may have without that it shows.
    pub fn has_progressed(&mut self) -> bool {
        match self {
            Self::Connection(stream) => stream.has_progressed(),
            Self::Http2(_) => false,
            Self::Detached(socket) => socket.has_progressed(),
        }
    }

    /// Gives up a client that is gone or does not read.
    pub fn abort(&mut self) {
        match self {
            Self::Connection(stream) => stream.abort(),
            Self::Http2(stream) => stream.abort(),
            Self::Detached(socket) => socket.abort(),
        }
    }
}
