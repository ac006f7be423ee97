//! The open connections of this child process, for the day it stops.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::link::Link;

static STATE: Mutex<State> = Mutex::new(State {
    links: BTreeMap::new(),
    is_stopping: false,
});

struct State {
    /// By address.
    links: BTreeMap<usize, Weak<Link>>,
    is_stopping: bool,
}

/// Keeps an entry in the registry for as long as it lives, which must be while the link does.
pub struct Registration(usize);

/// Has `link` told when the child stops, at once if it is stopping already.
#[must_use]
pub fn register(link: &Arc<Link>) -> Registration {
    let address = Arc::as_ptr(link).addr();
    let mut state = lock();
    state.links.insert(address, Arc::downgrade(link));
    let is_stopping = state.is_stopping;
    drop(state);
    if is_stopping {
        link.go_away();
    }
    Registration(address)
}

/// Tells every client that the server goes away.
pub fn shut_down() {
    let links = {
        let mut state = lock();
        state.is_stopping = true;
        state
            .links
            .values()
            .filter_map(Weak::upgrade)
            .collect::<Vec<_>>()
    };
    for link in links {
        link.go_away();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock().links.remove(&self.0);
    }
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
