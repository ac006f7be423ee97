//! Who is there, and what was said lately.

use crate::Event;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use websocket_plugin::Sender;

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

    /// Tells everybody. Nothing is locked meanwhile: a client that is slow to listen delays who
    /// speaks, but nobody who comes or goes.
    pub(crate) fn tell(&self, event: &Event) {
        for member in self.remember(event) {
            // Who has just left need not hear it.
            let _ = member.send_json(event);
        }
    }

    fn remember(&self, event: &Event) -> Vec<Sender> {
        let mut state = self.state();
        if matches!(event, Event::Said { .. }) {
            state.said.push_back(event.clone());
            if state.said.len() > self.history {
                state.said.pop_front();
            }
        }
        state.members.values().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
