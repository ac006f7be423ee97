//! What tells senders that wait for a client that nothing more is accepted.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that is readable from [`set`](Self::set) on.
pub(super) struct Gone(OwnedFd);

impl Gone {
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub(super) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    /// Ends all waits.
    pub(super) fn set(&self) {
        // Once in the life of a connection: the counter cannot be full.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

impl AsFd for Gone {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
