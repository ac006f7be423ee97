//! The open connections of this child process, for the day it stops.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use websocket_plugin::CloseCode;

use crate::flusher;
use crate::httpd::scoreboard::{Account, Counted, Kind, count};
use crate::output::Output;
use crate::protocol::{ClosePayload, Closer};

static STATE: Mutex<State> = Mutex::new(State {
    next: 0,
    connections: BTreeMap::new(),
    stop: None,
});

struct State {
    next: u64,
    connections: BTreeMap<u64, (Weak<Output>, Holder)>,
    stop: Option<Stop>,
}

/// Who serves a connection while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A thread of the MPM.
    Mpm,
    /// A thread of mod_http2.
    Http2,
    /// A loop of the reactor.
    Loop,
    /// The same, and httpd knows nothing of the connection any more.
    Detached,
}

/// How the child stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// When the requests of its threads have ended.
    Graceful,
    /// Now.
    AtOnce,
}

impl Stop {
    fn ends(self, holder: Holder) -> bool {
        self == Self::AtOnce || holder != Holder::Mpm
    }
}

/// Keeps an entry in the registry, and counts for httpd's status page, for as long as it lives.
pub struct Registration {
    id: u64,
    _counted: Counted,
}

/// Has the client behind `output` told when the child stops, at once if it is stopping already. The
/// connection counts in `account`.
#[must_use]
pub fn register(
    output: &Arc<Output>,
    holder: Holder,
    account: Option<&'static Account>,
) -> Registration {
    let (id, stop) = {
        let mut state = lock();
        let id = state.next;
        state.next += 1;
        state
            .connections
            .insert(id, (Arc::downgrade(output), holder));
        (id, state.stop)
    };
    if stop.is_some_and(|stop| stop.ends(holder)) {
        send_away(output);
    }
    Registration {
        id,
        _counted: count(kind(holder), account),
    }
}

/// What the status page calls such a connection.
fn kind(holder: Holder) -> Kind {
    match holder {
        Holder::Loop => Kind::EventDriven,
        Holder::Detached => Kind::Detached,
        Holder::Mpm | Holder::Http2 => Kind::WithThread,
    }
}

/// Whether there is no connection.
pub fn is_empty() -> bool {
    lock().connections.is_empty()
}

/// Whether there is a connection that no thread of the MPM serves.
pub fn is_any_without_mpm_thread() -> bool {
    let state = lock();
    let mut holders = state.connections.values().map(|(_, holder)| *holder);
    holders.any(|holder| holder != Holder::Mpm)
}

/// Tells clients that the server goes away.
pub fn shut_down(stop: Stop) {
    let outputs: Vec<_> = {
        let mut state = lock();
        state.stop = state.stop.max(Some(stop));
        let ended = state
            .connections
            .values()
            .filter(|(_, holder)| stop.ends(*holder));
        ended.filter_map(|(output, _)| output.upgrade()).collect()
    };
    for output in &outputs {
        send_away(output);
    }
}

fn send_away(output: &Arc<Output>) {
    let payload = ClosePayload::new(CloseCode::GOING_AWAY, "");
    output.go_away(Closer::Shutdown, &payload);
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock().connections.remove(&self.id);
        flusher::note_end();
    }
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
