//! The open connections of this child process, and how they are closed when it stops.

mod closing;
mod plan;
mod relief;
mod state;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use websocket_plugin::CloseCode;

use crate::budget;
use crate::flusher;
use crate::httpd::scoreboard::{Account, Counted, Kind, begin_drain, count};
use crate::output::Output;

use closing::{Manner, close};
pub use plan::{DrainTime, Rate};
use plan::{Plan, Wish};
use state::{Entry, State, Stop};
pub use state::{Holder, Left};

static STATE: Mutex<State> = Mutex::new(State::new());

/// Wakes [`wait_until_drained`]: a connection has ended, or all have to end now.
static CHANGED: Condvar = Condvar::new();

/// Keeps a connection in the registry and in the counts of httpd's status page. Dropping it removes
/// the connection.
pub struct Registration {
    id: u64,
    _counted: Counted,
}

/// Registers a connection, so that its client gets a close frame when the child process stops, or
/// soon if it is stopping already. The connection counts in `account`.
#[must_use]
pub fn register(
    output: &Arc<Output>,
    holder: Holder,
    drain_time: DrainTime,
    account: Option<&'static Account>,
) -> Registration {
    budget::relieve_with(|| flusher::run_soon(relieve));
    let mut state = lock();
    let ends_now = matches!(state.stop, Some(Stop::AtOnce(_)));
    let id = state.add(Entry {
        output: Arc::downgrade(output),
        holder,
        drain_time,
        told: ends_now.then_some(Manner::AtOnce),
    });
    let code = match &mut state.stop {
        None => None,
        Some(Stop::AtOnce(code)) => Some(*code),
        Some(Stop::Graceful(plan)) => {
            plan.add(Wish { id, drain_time }, Instant::now());
            None
        }
    };
    drop(state);
    if let Some(code) = code {
        close(output, code, Manner::AtOnce);
    }
    Registration {
        id,
        _counted: count(kind(holder), account),
    }
}

/// Closes connections if clients hold too much memory.
fn relieve() {
    let Some(overdraft) = budget::overdraft() else {
        return;
    };
    let outputs: Vec<_> = {
        let state = lock();
        let entries = state.connections.values();
        entries.filter_map(|entry| entry.output.upgrade()).collect()
    };
    relief::relieve(overdraft, outputs);
}

/// How the status page names a connection.
fn kind(holder: Holder) -> Kind {
    match holder {
        Holder::Loop => Kind::EventDriven,
        Holder::Detached => Kind::Detached,
        Holder::Mpm | Holder::Http2 => Kind::WithThread,
    }
}

/// How many connections are registered.
pub fn len() -> usize {
    lock().connections.len()
}

/// Whether no connection is registered.
pub fn is_empty() -> bool {
    lock().connections.is_empty()
}

/// Begins a graceful stop. Connections stay open for as long as each may. Then [`close_due`] closes
/// them, at most `rate` of them in a second. Returns the number of connections.
pub fn drain(rate: Rate) -> usize {
    let now = Instant::now();
    let mut state = lock();
    if state.stop.is_none() {
        let mut plan = Plan::new(rate, now);
        plan.spread(state.wishes(), now);
        state.stop = Some(Stop::Graceful(plan));
        begin_drain();
    }
    state.connections.len()
}

/// Closes the connections that are due, with `code`. Returns when the next ones are due.
pub fn close_due(code: CloseCode) -> Option<Instant> {
    let (due, next) = {
        let mut state = lock();
        let due = state.plan()?.take_due(Instant::now());
        (state.tell(due), state.plan()?.next())
    };
    for (output, manner) in due {
        close(&output, code, manner);
    }
    next
}

/// Plans to close all connections within `limit`, as fast as that takes. Connections that are due
/// earlier keep their time.
pub fn limit(limit: Duration) {
    let mut state = lock();
    let wishes = state.wishes();
    if let Some(plan) = state.plan() {
        plan.limit(&wishes, limit, Instant::now());
    }
}

/// Plans to close all connections from now on, as fast as the rate allows. Returns how many there
/// are.
pub fn hurry() -> usize {
    let mut state = lock();
    let wishes = state.wishes();
    let count = wishes.len();
    if let Some(plan) = state.plan() {
        plan.hurry(wishes, Instant::now());
    }
    count
}

/// What the child process has to wait for, apart from what threads of the MPM serve.
pub fn left() -> Left {
    lock().left()
}

/// Whether there is a connection that httpd does not know of.
pub fn is_any_detached() -> bool {
    lock().has_detached()
}

/// Waits until the last connection of a loop has ended, or until the child process has to end now.
pub fn wait_until_drained() {
    let mut state = lock();
    while matches!(state.stop, Some(Stop::Graceful(_))) && state.has_looped() {
        state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Closes all connections now, with `code`, and does not wait for their clients.
pub fn shut_down(code: CloseCode) {
    let outputs = {
        let mut state = lock();
        state.stop = Some(Stop::AtOnce(code));
        state.hurry(|_| true)
    };
    CHANGED.notify_all();
    for output in &outputs {
        close(output, code, Manner::AtOnce);
    }
}

/// Stops waiting for clients that have been sent a close frame.
pub fn hurry_told(code: CloseCode) {
    let outputs = lock().hurry(|entry| entry.told == Some(Manner::InOrder));
    for output in &outputs {
        close(output, code, Manner::AtOnce);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let is_stopping = {
            let mut state = lock();
            state.connections.remove(&self.id);
            state.stop.is_some()
        };
        if is_stopping {
            CHANGED.notify_all();
        }
        flusher::note_end();
    }
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
