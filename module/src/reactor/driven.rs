//! What a loop needs of a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ready::Queued;

/// A connection as seen by its loop and the threads of the pool.
pub(super) trait Driven: Queued + Send + Sync + 'static {
    /// Takes a turn that begins `now`, and returns the time at its end. If another thread is taking
    /// a turn, takes none and returns `None`; one more turn then follows that one. Never panics.
    ///
    /// `is_watched` says that the monitor calls [`stop_gathering`](Self::stop_gathering) if the
    /// turn takes long.
    fn turn(self: &Arc<Self>, buffer: &mut [u8], now: Instant, is_watched: bool)
    -> Option<Instant>;

    /// Whether callbacks of the plugin are expected to block.
    fn is_slow(&self) -> bool;

    /// Notes that a callback was found to block.
    fn mark_slow(&self);

    /// Notes how long a turn of a slow connection was blocked.
    fn note_blocked(&self, blocked: Duration);

    /// Writes what waits. Called when another thread is taking a turn, whose callback may take
    /// long.
    fn write(&self);

    /// Called when the current turn takes long, or may. What its callbacks send is no longer held
    /// back.
    fn stop_gathering(&self);

    /// Notes that the poller reports that the client has closed its side.
    fn set_over(&self);
}
