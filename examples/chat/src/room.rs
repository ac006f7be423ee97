//! The members of the room, and the last messages.

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
    /// A room that remembers this many messages.
    pub(crate) fn new(history: usize) -> Self {
        Self {
            history,
            state: Mutex::default(),
        }
    }

    /// Adds a member. Returns their number and the last messages.
    pub(crate) fn enter(&self, newcomer: Sender) -> (u64, Vec<Event>) {
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        state.members.insert(id, newcomer);
        (id, state.said.iter().cloned().collect())
    }

    /// Removes a member.
    pub(crate) fn leave(&self, id: u64) {
        self.state().members.remove(&id);
    }

    /// Sends an event to all members without waiting. A member who does not keep up is
    /// disconnected, so that a slow connection does not silence the room.
    ///
    /// It holds no lock while it sends, so members can join and leave meanwhile.
    pub(crate) fn tell(&self, event: &Event) {
        for (id, member) in self.remember(event) {
            // A member who has just left does not need the event.
            let told = member.try_send_json(event);
            if matches!(told, Err(SendJsonError::Send(SendError::Full))) {
                self.leave(id);
                // 1013: the client may come back. The close frame follows the messages that are
                // already queued.
                let too_slow = Close::new(CloseCode::TRY_AGAIN_LATER, "you do not keep up");
                let _ = member.close(too_slow);
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
