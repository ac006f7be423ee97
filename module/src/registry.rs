//! The open connections of this child process, for the day it stops.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::flusher;
use crate::httpd::scoreboard::{Counted, Kind, count};
use crate::link::{Holder, Link};

static STATE: Mutex<State> = Mutex::new(State {
    next: 0,
    links: BTreeMap::new(),
    stop: None,
});

struct State {
    next: u64,
    links: BTreeMap<u64, Weak<Link>>,
    stop: Option<Stop>,
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
    fn ends(self, link: &Link) -> bool {
        self == Self::AtOnce || link.holder() != Holder::Mpm
    }
}

/// Keeps an entry in the registry, and counts for httpd's status page, for as long as it lives.
pub struct Registration {
    id: u64,
    _counted: Counted,
}

/// Has `link` told when the child stops, at once if it is stopping already.
#[must_use]
pub fn register(link: &Arc<Link>) -> Registration {
    let (id, stop) = {
        let mut state = lock();
        let id = state.next;
        state.next += 1;
        state.links.insert(id, Arc::downgrade(link));
        (id, state.stop)
    };
    if stop.is_some_and(|stop| stop.ends(link)) {
        link.go_away();
    }
    Registration {
        id,
        _counted: count(kind(link.holder())),
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
    lock().links.is_empty()
}

/// Whether there is a connection that no thread of the MPM serves.
pub fn is_any_without_mpm_thread() -> bool {
    let links: Vec<_> = lock().links.values().filter_map(Weak::upgrade).collect();
    links.iter().any(|link| link.holder() != Holder::Mpm)
}

/// Tells clients that the server goes away.
pub fn shut_down(stop: Stop) {
    let links: Vec<_> = {
        let mut state = lock();
        state.stop = state.stop.max(Some(stop));
        state.links.values().filter_map(Weak::upgrade).collect()
    };
    for link in links.iter().filter(|link| stop.ends(link)) {
        link.go_away();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock().links.remove(&self.id);
        flusher::note_end();
    }
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
