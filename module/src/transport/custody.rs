//! A connection that no thread of the MPM or mod_http2 serves: this module keeps it, and closes it.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::Shutdown;

use crate::httpd::socket::{Drained, Socket};
use crate::httpd::suspend::Suspended;

/// A connection that is this module's to close. Dropped without [`close`](Self::close), a suspended
/// one stays open until the child exits.
pub enum Custody {
    /// httpd has its request and its memory.
    Suspended(Suspended),
    /// httpd has forgotten it. Closed when nobody has its descriptor any more.
    Detached(Socket),
}

impl Custody {
    /// Whether [`finish`](Self::finish) may be called: the MPM has run all hooks of the handover.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        match self {
            Self::Suspended(suspended) => suspended.is_handed_over(),
            Self::Detached(_) => true,
        }
    }

    /// Ends what there is of a request, whose [`Transport`](super::Transport) must be gone, and
    /// tells the client that nothing more comes. Never waits for the client.
    pub fn finish(&mut self) {
        match self {
            Self::Suspended(suspended) => suspended.finish(),
            Self::Detached(socket) => socket.shut_down(Shutdown::Write),
        }
    }

    /// Whether the client is known to be gone, so that there is nothing to wait for.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        match self {
            Self::Suspended(suspended) => suspended.is_aborted(),
            // Reading finds out.
            Self::Detached(_) => false,
        }
    }

    /// Reads and forgets what the client still sends, so that the kernel does not reset the
    /// connection while our last bytes are under way.
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
