//! A connection that no thread of the MPM or mod_http2 serves. This module keeps and closes it.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::Shutdown;

use crate::httpd::socket::{Drained, Socket};
use crate::httpd::suspend::Suspended;

/// A connection that this module has to close. A suspended one that is dropped without
/// [`close`](Self::close) stays open until the child process exits.
pub enum Custody {
    /// httpd has its request and its memory.
    Suspended(Suspended),
    /// httpd has forgotten it. It is closed when the last holder of its descriptor drops it.
    Detached(Socket),
}

impl Custody {
    /// Whether [`finish`](Self::finish) may be called, that is, whether the MPM has run all hooks
    /// of the handover.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        match self {
            Self::Suspended(suspended) => suspended.is_handed_over(),
            Self::Detached(_) => true,
        }
    }

    /// Ends the request, if the connection has one, and tells the client that nothing more comes.
    /// Never waits for the client. The connection's [`Transport`](super::Transport) must have been
    /// dropped.
    pub fn finish(&mut self) {
        match self {
            Self::Suspended(suspended) => suspended.finish(),
            Self::Detached(socket) => socket.shut_down(Shutdown::Write),
        }
    }

    /// Whether the client is known to be gone. Then there is nothing to wait for.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        match self {
            Self::Suspended(suspended) => suspended.is_aborted(),
            // Reading from the socket finds out.
            Self::Detached(_) => false,
        }
    }

    /// Reads and discards what the client still sends, so that the kernel does not reset the
    /// connection while our last bytes are on their way.
    pub fn drain(&mut self, buffer: &mut [u8]) -> Drained {
        self.socket().drain(buffer)
    }

    /// Closes the connection and frees its memory.
    pub fn close(self) {
        match self {
            Self::Suspended(suspended) => suspended.destroy(),
            Self::Detached(socket) => drop(socket),
        }
    }

    fn socket(&self) -> &Socket {
        match self {
            Self::Suspended(suspended) => suspended.socket(),
            Self::Detached(socket) => socket,
        }
    }
}

impl AsFd for Custody {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}
