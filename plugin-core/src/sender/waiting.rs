//! What senders do in `async` code.

use super::{SendError, Sender};
use crate::AsMessage;
use crate::abi::FlowServer;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// The most events that wait in the mailbox of an async plugin.
const MOST_EVENTS: usize = 1024;

/// When a task looks by itself whether there is room. Versions of `mod_websocket` without
/// `on_drain` tell nobody.
const LOOK_AFTER: Duration = Duration::from_millis(100);

/// When it looks if it is told of room. Nobody tells it that the connection has begun to close, and
/// whoever looks makes the module notice a [`MessageWriter`](super::MessageWriter) that is lost.
const LOOK_ANYWAY_AFTER: Duration = Duration::from_secs(1);

/// What the senders of a connection share for `async` code.
#[derive(Default)]
pub(super) struct Waiting {
    /// The tasks that wait for room in the queue of the connection.
    room: Notify,
    /// `on_connect` has completed, so the queue can drain.
    is_open: AtomicBool,
    /// The events in the mailbox of an async plugin.
    events: AtomicUsize,
}

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
    /// * [`SendError::Closed`]: the connection is closing or gone.
    /// * [`SendError::Full`]: `on_connect` has not completed yet, and megabytes are queued. Nothing
    ///   is written to the client before that, so there was no use in waiting.
    ///
    /// # Panics
    ///
    /// If it has to wait and its runtime has no timers: a runtime of the plugin's own needs
    /// `enable_time`.
    pub async fn send_async(&self, message: impl AsMessage) -> Result<(), SendError> {
        let message = message.as_message();
        // Most messages find room, and need not be announced.
        match self.try_send(message) {
            Err(SendError::Full) => {}
            sent => return sent,
        }
        loop {
            let mut has_room = pin!(self.shared.waiting.room.notified());
            // From here on it does not miss that there is room.
            has_room.as_mut().enable();
            match self.try_send(message) {
                Err(SendError::Full) => {}
                sent => return sent,
            }
            if !self.shared.waiting.is_open.load(Ordering::Acquire) {
                return Err(SendError::Full);
            }
            let most = if self.is_told_of_room() {
                LOOK_ANYWAY_AFTER
            } else {
                LOOK_AFTER
            };
            // Whether the time is over or not, it tries again.
            drop(timeout(most, has_room).await);
        }
    }

    /// Whether the host calls `on_drain`, if the connection is not gone.
    fn is_told_of_room(&self) -> bool {
        // SAFETY: `with_table` keeps the table valid.
        let is_told = |server| unsafe { FlowServer::current(server) }.is_some();
        self.with_table(is_told).unwrap_or(false)
    }

    /// `on_connect` has completed.
    pub(crate) fn set_open(&self) {
        self.shared.waiting.is_open.store(true, Ordering::Release);
    }

    /// Wakes the tasks that wait for room: there is some, or the connection is closing or gone.
    pub(crate) fn wake_waiting(&self) {
        self.shared.waiting.room.notify_waiters();
    }

    /// One more event is in the mailbox of the async plugin.
    pub(crate) fn count_event(&self) {
        self.shared.waiting.events.fetch_add(1, Ordering::Relaxed);
    }

    /// One event less is in the mailbox of the async plugin.
    pub(crate) fn forget_event(&self) {
        self.shared.waiting.events.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether so many events are in the mailbox that no more are posted.
    pub(super) fn has_too_many_events(&self) -> bool {
        self.shared.waiting.events.load(Ordering::Relaxed) >= MOST_EVENTS
    }
}
