//! Who is there, and what was said lately.

use crate::Event;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use websocket_plugin::{Close, CloseCode, SendError, SendJsonError, Sender};

pub(crate) struct Room {
    history: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_id: u64,
    members: BTreeMap<u64, Sender>,
    said: VecDeque<Event>,
}

impl Room {
    /// A room that remembers this many things that were said.
    pub(crate) fn new(history: usize) -> Self {
        Self {
            history,
            state: Mutex::default(),
        }
    }

    /// Somebody comes in: their number, and what was said lately.
    pub(crate) fn enter(&self, newcomer: Sender) -> (u64, Vec<Event>) {
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        state.members.insert(id, newcomer);
        (id, state.said.iter().cloned().collect())
    }

    /// Somebody is gone.
    pub(crate) fn leave(&self, id: u64) {
        self.state().members.remove(&id);
    }

    /// Tells everybody, and waits for nobody: who does not keep up is shown out, so that one member whose
    /// connection is slow, or who does not listen at all, does not silence the room.
    ///
    /// Nothing is locked meanwhile, so that others come and go.
    pub(crate) fn tell(&self, event: &Event) {
        for (id, member) in self.remember(event) {
            // Who has just left need not hear it.
            let told = member.try_send_json(event);
            if matches!(told, Err(SendJsonError::Send(SendError::Full))) {
                self.leave(id);
                // 1013: the client may come back. The close frame follows what waits for it already.
                let _ = member.close(Close::new(CloseCode::TRY_AGAIN_LATER, "you do not keep up"));
            }
        }
    }

    fn remember(&self, event: &Event) -> Vec<(u64, Sender)> {
        let mut state = self.state();
        if matches!(event, Event::Said { .. }) {
            state.said.push_back(event.clone());
            if state.said.len() > self.history {
                state.said.pop_front();
            }
        }
        let members = state.members.iter();
        members.map(|(id, sender)| (*id, sender.clone())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
