//! What senders do in `async` code.

use super::{SendError, Sender};
use crate::AsMessage;
use std::time::Duration;

/// How long the first wait for room in the queue takes.
const FIRST_WAIT: Duration = Duration::from_millis(1);

/// How long no wait for room in the queue exceeds.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

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
        let mut wait = FIRST_WAIT;
        loop {
            match self.try_send(message) {
                Err(SendError::Full) => tokio::time::sleep(wait).await,
                sent => return sent,
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}
