//! How this module holds a connection that no thread of the MPM serves.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::detached::Detached;
use super::suspend::Suspended;

/// So many reads are made at a time from a client that sends although the end was agreed on.
const READS_PER_DRAIN: usize = 16;

/// A connection that is this module's to close.
pub enum Holding {
    /// httpd has its request and its memory.
    Suspended(Suspended),
    /// httpd has forgotten it.
    Detached(Detached),
}

/// What was found when bytes were drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// The client has closed its side, or the connection is lost.
    Closed,
    /// Nothing more for now.
    Empty,
    /// There may be more.
    More,
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
        for _ in 0..READS_PER_DRAIN {
            match recv(self.as_fd(), &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Drained::Closed,
                Ok(_) => {}
                Err(Errno::AGAIN) => return Drained::Empty,
                Err(_) => return Drained::Closed,
            }
        }
        Drained::More
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
        match self {
            Self::Suspended(suspended) => suspended.as_fd(),
            Self::Detached(detached) => detached.as_fd(),
        }
    }
}
