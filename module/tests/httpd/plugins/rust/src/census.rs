//! Counts connections, and keeps their senders too long.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use websocket_plugin::{Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin};

/// Answers any message with `made dropped kept closed`: the number of connections made, the number
/// dropped, the number of kept senders of other connections, and how many of these return `Closed`.
#[derive(Default)]
struct Census {
    made: AtomicU64,
    kept: Mutex<Vec<Sender>>,
}

static DROPPED: AtomicU64 = AtomicU64::new(0);

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, SeqCst);
    }
}

#[websocket_plugin]
impl Plugin for Census {
    type Connection = Counted;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Counted, Rejection> {
        self.made.fetch_add(1, SeqCst);
        if handshake.query() != Some("asks") {
            self.senders().push(handshake.sender());
        }
        Ok(Counted)
    }

    fn on_message(&self, _: &mut Counted, to: &Sender, _: Message<'_>) -> Result<(), Close> {
        let kept = self.senders().clone();
        let closed = kept.iter().filter(|sender| sender.send("late").is_err());
        Ok(to.send(format!(
            "{} {} {} {}",
            self.made.load(SeqCst),
            DROPPED.load(SeqCst),
            kept.len(),
            closed.count()
        ))?)
    }
}

impl Census {
    fn senders(&self) -> MutexGuard<'_, Vec<Sender>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
