//! What senders do in `async` code.

use super::{SendError, Sender};
use crate::AsMessage;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// The tasks that wait for room in the queue of a connection.
pub(super) type Waiting = Notify;

/// When a task looks by itself whether there is room. Versions of `mod_websocket` without
/// `on_drain` tell nobody.
const LOOK_AFTER: Duration = Duration::from_millis(100);

impl Sender {
    /// Sends a text or a binary message, like [`send`](Self::send). If megabytes are queued for the
    /// client, it waits for room without keeping a thread, so other tasks go on.
    ///
    /// It must be called within a Tokio runtime, as all callbacks of an
    /// [`AsyncPlugin`](crate::AsyncPlugin) are. If the future is dropped before it is complete,
    /// nothing was sent. Tasks that wait at the same time get room in any order.
    ///
    /// The C module, and older versions of `mod_websocket`, do not tell whether there is room.
    /// There it does the same as `send`.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`]: the connection is closing or gone.
    pub async fn send_async(&self, message: impl AsMessage) -> Result<(), SendError> {
        let message = message.as_message();
        // Most messages find room, and need not be announced.
        match self.try_send(message) {
            Err(SendError::Full) => {}
            sent => return sent,
        }
        loop {
            let mut drained = pin!(self.shared.waiting.notified());
            // From here on it does not miss that there is room.
            drained.as_mut().enable();
            match self.try_send(message) {
                // Whether the time is over or not, it tries again.
                Err(SendError::Full) => drop(timeout(LOOK_AFTER, drained).await),
                sent => return sent,
            }
        }
    }

    /// Wakes the tasks that wait for room: there is some, or the connection is gone.
    pub(crate) fn wake_waiting(&self) {
        self.shared.waiting.notify_waiters();
    }
}
