//! How this module holds a connection that no thread of the MPM serves.

use std::os::fd::{AsFd, BorrowedFd};

use super::detached::Detached;
use super::socket::{Drained, Socket};
use super::suspend::Suspended;

/// A connection that is this module's to close.
pub enum Holding {
    /// httpd has its request and its memory.
    Suspended(Suspended),
    /// httpd has forgotten it.
    Detached(Detached),
}

impl Holding {
    /// Whether [`finish`](Self::finish) may be called: the MPM has run all hooks of the handover.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        match self {
            Self::Suspended(suspended) => suspended.is_handed_over(),
            Self::Detached(_) => true,
        }
    }

    /// Ends what there is of a request, whose transport must be gone, and tells the client that nothing
    /// more comes. Never waits for the client.
    pub fn finish(&mut self) {
        match self {
            Self::Suspended(suspended) => suspended.finish(),
            Self::Detached(detached) => detached.finish(),
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

    fn socket(&self) -> &Socket {
        match self {
            Self::Suspended(suspended) => suspended.socket(),
            Self::Detached(detached) => detached.socket(),
        }
    }

    /// Closes the connection and frees its memory.
    pub fn close(self) {
        match self {
            Self::Suspended(suspended) => suspended.destroy(),
            Self::Detached(detached) => drop(detached),
        }
    }
}

impl AsFd for Holding {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}
