//! The bytes of a connection, wherever they come from and go to.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::detached::Socket;
use super::stream::Stream;

/// A connection's bytes in both directions, read and written without ever blocking.
///
/// One thread at a time may use it, whichever that is.
pub enum Transport {
    /// A connection of httpd.
    Httpd(Stream),
    /// A detached one.
    Detached(Socket),
}

impl Transport {
    /// A descriptor to wait on, which stays the connection's for as long as it is held.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn descriptor(&self) -> io::Result<Arc<OwnedFd>> {
        match self {
            Self::Httpd(stream) => stream.descriptor(),
            Self::Detached(socket) => Ok(Arc::clone(socket.descriptor())),
        }
    }

    /// Whether a read that does not fill its buffer has taken all there is.
    #[must_use]
    pub fn is_emptied_by_short_reads(&self) -> bool {
        match self {
            Self::Httpd(stream) => stream.is_emptied_by_short_reads(),
            Self::Detached(socket) => socket.is_emptied_by_short_reads(),
        }
    }

    /// The client has closed its side: reads go on until they find that out.
    pub fn find_end(&mut self) {
        match self {
            Self::Httpd(stream) => stream.find_end(),
            Self::Detached(socket) => socket.find_end(),
        }
    }

    /// Reads what has arrived, without waiting. `Ok(0)` is the end of the client's bytes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when nothing has arrived; anything else ends the connection.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Httpd(stream) => stream.read(buffer),
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
            Self::Httpd(stream) => stream.write(bytes),
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
            Self::Httpd(stream) => stream.write_frame(header, payload),
            Self::Detached(socket) => socket.write_frame(header, payload),
        }
    }

    /// Pushes on what httpd's filters still hold. Returns whether nothing is left.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Httpd(stream) => stream.flush(),
            Self::Detached(_) => Ok(true),
        }
    }

    /// Gives up a client that is gone or does not read.
    pub fn abort(&mut self) {
        match self {
            Self::Httpd(stream) => stream.abort(),
            Self::Detached(socket) => socket.abort(),
        }
    }
}
