//! What all kinds of connections have in common.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// A connection's bytes in both directions. No method waits for the client.
///
/// Any thread may use it, but only one at a time.
pub trait Stream: Send {
    /// A descriptor to wait on. It belongs to the connection for as long as the caller holds it.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    fn descriptor(&self) -> io::Result<Arc<OwnedFd>>;

    /// How long to wait before the next attempt to write, when the client has taken nothing for
    /// `pending`. `None` means that the descriptor becomes writable when there is room.
    fn retry_interval(&self, _pending: Duration) -> Option<Duration> {
        None
    }

    /// Whether a read that does not fill its buffer has taken all that has arrived.
    fn is_emptied_by_short_reads(&self) -> bool;

    /// Tells the stream that the client has closed its side. From now on reads go on until they
    /// find the end, even after a short read.
    fn find_end(&mut self);

    /// Reads what has arrived. `Ok(0)` is the end of the client's bytes.
    ///
    /// # Errors
    ///
    /// * [`io::ErrorKind::WouldBlock`]: nothing has arrived.
    /// * [`io::ErrorKind::Interrupted`]: more may have arrived, but others should have a turn
    ///   first: threads that want to use the stream, and other connections.
    /// * [`io::ErrorKind::ResourceBusy`]: the client must take output before more is read.
    /// * Any other error ends the connection.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as many bytes as the connection takes now. Returns how many.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when it takes none now. Any other error ends the connection.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Like [`write`](Self::write), for bytes that lie in several places.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write).
    fn write_pieces(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Pushes on written bytes that are still held back on our side. Returns whether none are left.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    /// Whether the client has taken anything since the last call. The answer may be `false`
    /// although it has.
    fn has_progressed(&mut self) -> bool;

    /// How many bytes the client's system has taken so far, if that can be known.
    fn bytes_taken(&self) -> Option<u64> {
        None
    }

    /// Gives up a client that is gone or does not read.
    fn abort(&mut self);
}

/// Copies the first bytes of `pieces`, `most` at most, into one buffer.
pub(super) fn front(pieces: &[IoSlice<'_>], most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in pieces {
        let left = most - bytes.len();
        bytes.extend_from_slice(&piece[..piece.len().min(left)]);
    }
    bytes
}
