//! Flow control: pauses, and what else a session does for a plugin when it is time.

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

    /// Notes that a message is refused, or waits, because the queue is full. When half of it is
    /// free again, [`take_drained`](Self::take_drained) says so once.
    pub(super) fn note_refusal(&self) {
        let has_drained = self.shared.queue().refuse();
        if has_drained {
            self.make_due();
        }
    }

    /// Makes the session look for callbacks that are due.
    pub fn make_due(&self) {
        self.due.set();
        self.wake();
    }

    /// The same, called by the session's own callbacks: it looks at the end of its turn.
    pub fn set_due(&self) {
        self.due.set();
    }

    /// Whether a callback is due that is not for a message.
    #[inline]
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.due.is_set()
    }

    /// The same. The caller then looks which one it is.
    #[inline]
    #[must_use]
    pub fn take_due(&self) -> bool {
        self.due.take()
    }

    /// Whether the queue, which had refused a message, has much room again. True once for each
    /// refusal, and never for a connection that is closing.
    #[must_use]
    pub fn take_drained(&self) -> bool {
        self.shared.queue().take_drained()
    }
}
