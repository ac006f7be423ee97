//! What a loop drives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ready::Queued;

/// A connection, as its loop and the threads of the pool see it.
pub(super) trait Driven: Queued + Send + Sync + 'static {
    /// Takes a turn, which begins `now`, unless one is going on: that will be followed by another.
    /// Gives the time at its end, if it did. Panics nowhere.
    ///
    /// `is_watched` says that the monitor calls [`stop_gathering`](Self::stop_gathering) if it
    /// takes long.
    fn turn(self: &Arc<Self>, buffer: &mut [u8], now: Instant, is_watched: bool)
    -> Option<Instant>;

    /// Whether its callbacks are to be expected to block.
    fn is_slow(&self) -> bool;

    /// A callback was found to block.
    fn mark_slow(&self);

    /// A turn of a slow connection has blocked for so long.
    fn note_blocked(&self, blocked: Duration);

    /// Writes what waits. For a thread that finds a turn going on, whose callback may take long.
    fn write(&self);

    /// The turn that goes on takes long, or may: what its callbacks send is not held back.
    fn stop_gathering(&self);

    /// The poller says that the client has closed its side.
    fn set_over(&self);
}
