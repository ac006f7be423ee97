//! A plugin that wants no more messages of its client for a while.

use super::object::Output;
use crate::transport::Stream;

impl<S: Stream> Output<S> {
    /// Keeps the client's messages from the plugin until [`resume`](Self::resume). One that is
    /// being handed over is not stopped. Returns `false` if the connection is closing or gone.
    pub fn pause(&self) -> bool {
        self.pause.begin();
        !self.is_closed()
    }

    /// Ends the pause, if there is one. Returns `false` if the connection is closing or gone.
    pub fn resume(&self) -> bool {
        if self.pause.lift() {
            self.wake();
        }
        !self.is_closed()
    }

    /// Whether the plugin has paused the connection.
    #[inline]
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.pause.is_on()
    }

    /// Whether nothing can be sent any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.queue().takes_messages().is_err()
    }
}
