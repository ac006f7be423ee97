//! A connected socket whose calls never wait. This file knows nothing of httpd.

mod acknowledged;

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::buffer::Buffer;
use rustix::io::{Errno, Result};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};

pub use acknowledged::Acknowledged;

/// How many reads [`Socket::drain`] makes at a time.
const READS_PER_DRAIN: usize = 16;

/// A socket whose calls return [`Errno::AGAIN`] where they would have to wait.
///
/// Any thread may use it.
pub struct Socket(Descriptor);

enum Descriptor {
    /// Closed when the last `Socket` or descriptor that shares it is dropped.
    Owned(Arc<OwnedFd>),
    /// Closed by httpd, after the last use.
    Borrowed(RawFd),
}

/// What [`Socket::drain`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// The client has closed its side, or the connection is lost.
    Closed,
    /// Nothing more for now.
    Empty,
    /// There may be more.
    More,
}

impl Socket {
    /// A socket that is closed when nothing shares it any more.
    #[must_use]
    pub fn new(descriptor: impl Into<Arc<OwnedFd>>) -> Self {
        Self(Descriptor::Owned(descriptor.into()))
    }

    /// A socket that httpd closes.
    ///
    /// # Safety
    ///
    /// `descriptor` is open, and stays open until the result is dropped.
    pub(in crate::httpd) unsafe fn borrowed(descriptor: RawFd) -> Self {
        Self(Descriptor::Borrowed(descriptor))
    }

    /// A second `Socket` with the same descriptor.
    ///
    /// # Safety
    ///
    /// If httpd closes the descriptor, it does so after the result is dropped.
    pub(in crate::httpd) unsafe fn share(&self) -> Self {
        Self(match &self.0 {
            Descriptor::Owned(descriptor) => Descriptor::Owned(Arc::clone(descriptor)),
            Descriptor::Borrowed(descriptor) => Descriptor::Borrowed(*descriptor),
        })
    }

    /// A descriptor of this socket that stays open for as long as it is held, whatever httpd does.
    ///
    /// # Errors
    ///
    /// When httpd owns the socket's descriptor and the process has none left for a duplicate.
    pub fn descriptor(&self) -> std::io::Result<Arc<OwnedFd>> {
        match &self.0 {
            Descriptor::Owned(descriptor) => Ok(Arc::clone(descriptor)),
            Descriptor::Borrowed(_) => Ok(Arc::new(self.as_fd().try_clone_to_owned()?)),
        }
    }

    /// Receives bytes that have arrived. `Ok(0)` is the end of the peer's bytes.
    ///
    /// # Errors
    ///
    /// [`Errno::AGAIN`] when nothing has arrived, and those of `recv`.
    pub fn receive(&self, buffer: impl Buffer<u8>) -> Result<usize> {
        let (_, length) = rustix::net::recv(self, buffer, RecvFlags::DONTWAIT)?;
        Ok(length)
    }

    /// Sends as many bytes as there is room for. Returns how many that were.
    ///
    /// # Errors
    ///
    /// [`Errno::AGAIN`] when there is no room, and those of `send`. Never raises `SIGPIPE`.
    pub fn send(&self, bytes: &[u8]) -> Result<usize> {
        rustix::net::send(self, bytes, SEND_FLAGS)
    }

    /// Like [`send`](Self::send), with bytes from several places and one system call.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_pieces(&self, pieces: &[IoSlice<'_>]) -> Result<usize> {
        let nothing = &mut SendAncillaryBuffer::default();
        rustix::net::sendmsg(self, pieces, nothing, SEND_FLAGS)
    }

    /// Receives and discards what has arrived. It fills `buffer` a limited number of times.
    ///
    /// If a socket is closed while received bytes are unread, the kernel resets the connection, and
    /// the client may lose the last bytes that were sent to it.
    pub fn drain(&self, buffer: &mut [u8]) -> Drained {
        for _ in 0..READS_PER_DRAIN {
            match self.receive(&mut *buffer) {
                Ok(0) => return Drained::Closed,
                Ok(_) => {}
                Err(Errno::AGAIN) => return Drained::Empty,
                Err(_) => return Drained::Closed,
            }
        }
        Drained::More
    }

    /// Whether the peer has closed its side, or the connection is lost, and nothing is left to be
    /// received.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        match rustix::net::recv(self, &mut [0; 1][..], flags) {
            Ok((_, length)) => length == 0,
            Err(error) => !matches!(error, Errno::AGAIN | Errno::INTR),
        }
    }

    /// Ends the connection in one direction or both, for all descriptors of the socket.
    pub fn shut_down(&self, direction: Shutdown) {
        // It fails only when the connection is gone already.
        let _ = rustix::net::shutdown(self, direction);
    }
}

const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Descriptor::Owned(descriptor) => descriptor.as_fd(),
            // SAFETY: the caller of `borrowed` or `share` guarantees that it stays open.
            Descriptor::Borrowed(descriptor) => unsafe { BorrowedFd::borrow_raw(*descriptor) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Drained, IoSlice, READS_PER_DRAIN, Socket};
    use rustix::io::Errno;
    use rustix::net::Shutdown;
    use std::io::{Read, Write};
    use std::os::fd::{AsFd, AsRawFd, OwnedFd};
    use std::os::unix::net::UnixStream;

    fn pair() -> (Socket, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Socket::new(OwnedFd::from(ours)), theirs)
    }

    #[test]
    fn no_call_waits_although_the_descriptor_would() {
        let (socket, _theirs) = pair();
        assert_eq!(socket.receive(&mut [0; 8][..]), Err(Errno::AGAIN));
        let full = loop {
            match socket.send(&[0; 65536]) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(full, Errno::AGAIN);
        assert_eq!(
            socket.send_pieces(&[IoSlice::new(b"he"), IoSlice::new(b"llo")]),
            Err(Errno::AGAIN)
        );
    }

    #[test]
    fn two_pieces_arrive_as_one() {
        let (socket, mut theirs) = pair();
        assert_eq!(
            socket.send_pieces(&[IoSlice::new(b"he"), IoSlice::new(b"llo")]),
            Ok(5)
        );
        let mut bytes = [0; 8];
        assert_eq!(theirs.read(&mut bytes).unwrap(), 5);
        assert_eq!(&bytes[..5], b"hello");
    }

    #[test]
    fn a_peer_that_is_gone_is_an_error_and_no_signal() {
        let (socket, theirs) = pair();
        drop(theirs);
        assert_eq!(socket.send(b"hello"), Err(Errno::PIPE));
        assert_eq!(
            socket.send_pieces(&[IoSlice::new(b"he"), IoSlice::new(b"llo")]),
            Err(Errno::PIPE)
        );
        assert_eq!(socket.receive(&mut [0; 8][..]), Ok(0));
    }

    #[test]
    fn draining_is_bounded_and_tells_the_end() {
        let (socket, mut theirs) = pair();
        theirs.write_all(&[0; READS_PER_DRAIN + 1]).unwrap();
        assert_eq!(socket.drain(&mut [0]), Drained::More);
        assert_eq!(socket.drain(&mut [0]), Drained::Empty);
        drop(theirs);
        assert_eq!(socket.drain(&mut [0]), Drained::Closed);
    }

    #[test]
    fn the_end_is_found_behind_what_has_come() {
        let (socket, mut theirs) = pair();
        assert!(!socket.is_at_end());
        theirs.write_all(b"x").unwrap();
        drop(theirs);
        assert!(!socket.is_at_end(), "there is something to read");
        assert_eq!(socket.receive(&mut [0; 8][..]), Ok(1));
        assert!(socket.is_at_end());
    }

    #[test]
    fn a_socket_is_closed_when_nobody_shares_it_any_more() {
        let (socket, mut theirs) = pair();
        // SAFETY: httpd does not know the socket.
        let shared = unsafe { socket.share() };
        let held = socket.descriptor().unwrap();
        theirs.set_nonblocking(true).unwrap();
        drop((socket, shared));
        assert!(theirs.read(&mut [0]).is_err(), "still open");
        drop(held);
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_borrowed_socket_is_left_open_and_a_shutdown_concerns_all() {
        let (socket, mut theirs) = pair();
        // SAFETY: the socket lives until the end of the test.
        let borrowed = unsafe { Socket::borrowed(socket.as_fd().as_raw_fd()) };
        let held = borrowed.descriptor().unwrap();
        assert_ne!(held.as_raw_fd(), socket.as_fd().as_raw_fd());
        borrowed.shut_down(Shutdown::Write);
        drop((borrowed, held));
        assert_eq!(socket.send(b"hello"), Err(Errno::PIPE));
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    }
}
