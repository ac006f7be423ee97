//! What all kinds of connections have in common.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// A connection's bytes in both directions, read and written without ever waiting.
///
/// One thread at a time may use it, whichever that is.
pub trait Stream: Send {
    /// A descriptor to wait on, which stays the connection's for as long as it is held.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    fn descriptor(&self) -> io::Result<Arc<OwnedFd>>;

    /// How long to wait before trying to write again when the client has taken nothing for
    /// `pending`; `None`: the descriptor becomes writable.
    fn retry_interval(&self, _pending: Duration) -> Option<Duration> {
        None
    }

    /// Whether a read that does not fill its buffer has taken all there is.
    fn is_emptied_by_short_reads(&self) -> bool;

    /// The client has closed its side: reads go on until they find that out.
    fn find_end(&mut self);

    /// Reads what has arrived. `Ok(0)` is the end of the client's bytes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when nothing has arrived, [`io::ErrorKind::Interrupted`] when
    /// others should have their turn, [`io::ErrorKind::ResourceBusy`] when nothing is read before
    /// the client has taken output; anything else ends the connection.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes what the connection takes. Returns how many bytes that were.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when it takes none now; anything else ends the connection.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// The same for bytes that lie in several places.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write).
    fn write_pieces(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Pushes on what was written but is held back on this side of the client. Returns whether
    /// nothing is left to push.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    /// Whether the client has taken anything since this was last asked. It may have without that it
    /// shows.
    fn has_progressed(&mut self) -> bool;

    /// How many bytes the client's system has taken so far, if that can be known.
    fn bytes_taken(&self) -> Option<u64> {
        None
    }

    /// Gives up a client that is gone or does not read.
    fn abort(&mut self);
}

/// The first bytes of `pieces`, at most so many, in one place.
pub(super) fn front(pieces: &[IoSlice<'_>], most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in pieces {
        let left = most - bytes.len();
        bytes.extend_from_slice(&piece[..piece.len().min(left)]);
    }
    bytes
}
