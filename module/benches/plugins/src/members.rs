//! Who is connected.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use websocket_plugin::{Message, Sender};

/// All connections. Senders share the lock; only who comes or goes has it alone.
#[derive(Default)]
pub(crate) struct Members(RwLock<State>);

#[derive(Default)]
struct State {
    last_id: u64,
    /// By ascending number.
    senders: Vec<(u64, Sender)>,
}

impl Members {
    /// Adds a connection, and gives its number.
    pub(crate) fn add(&self, sender: Sender) -> u64 {
        let mut state = self.write();
        state.last_id += 1;
        let id = state.last_id;
        state.senders.push((id, sender));
        id
    }

    pub(crate) fn remove(&self, id: u64) {
        let mut state = self.write();
        if let Ok(place) = state.senders.binary_search_by_key(&id, |(id, _)| *id) {
            state.senders.remove(place);
        }
    }

    /// Sends a message to every connection.
    pub(crate) fn tell(&self, message: Message<'_>) {
        for (_, sender) in &self.read().senders {
            // Who has just left need not hear it.
            let _ = sender.send(message);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
