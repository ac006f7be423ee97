//! The open connections of this child process, and how they end when it stops.

mod closing;
mod plan;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use websocket_plugin::CloseCode;

use crate::flusher;
use crate::httpd::scoreboard::{Account, Counted, Kind, count};
use crate::output::Output;

use closing::{Manner, close};
pub use plan::{DrainTime, Rate};
use plan::{Plan, Wish};

static STATE: Mutex<State> = Mutex::new(State {
    next: 0,
    connections: BTreeMap::new(),
    stop: None,
});

/// Tells [`wait_until_drained`] that a connection has ended, or that all are to end now.
static CHANGED: Condvar = Condvar::new();

struct State {
    next: u64,
    connections: BTreeMap<u64, Entry>,
    stop: Option<Stop>,
}

struct Entry {
    output: Weak<Output>,
    holder: Holder,
    drain_time: DrainTime,
    /// It was told to end, in this manner.
    told: Option<Manner>,
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
enum Stop {
    /// Connections are closed when the plan says so.
    Graceful(Plan),
    /// They are closed now, with this code.
    AtOnce(CloseCode),
}

/// What is left of a child that stops gracefully.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// Connections that may stay open for now.
    Open,
    /// Connections that were told to end. Some of their clients are waited for.
    Told,
    /// Connections that were told to end, and whose clients are not waited for.
    Leaving,
    /// No connection that the child would have to wait for.
    Nothing,
}

/// Keeps an entry in the registry, and counts for httpd's status page, for as long as it lives.
pub struct Registration {
    id: u64,
    _counted: Counted,
}

/// Has the client behind `output` told when the child stops, or soon if it is stopping already. The
/// connection counts in `account`.
#[must_use]
pub fn register(
    output: &Arc<Output>,
    holder: Holder,
    drain_time: DrainTime,
    account: Option<&'static Account>,
) -> Registration {
    let mut state = lock();
    let id = state.next;
    state.next += 1;
    let entry = Entry {
        output: Arc::downgrade(output),
        holder,
        drain_time,
        told: None,
    };
    state.connections.insert(id, entry);
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

/// Begins a graceful stop: connections stay open for as long as each may, and are then closed, at
/// most `rate` of them in a second. [`close_due`] does that. Returns how many there are.
pub fn drain(rate: Rate) -> usize {
    let now = Instant::now();
    let mut state = lock();
    if state.stop.is_none() {
        let mut plan = Plan::new(rate, now);
        plan.spread(state.wishes(), now);
        state.stop = Some(Stop::Graceful(plan));
    }
    state.connections.len()
}

/// Closes the connections whose time has come with `code`. Returns when the next are due.
pub fn close_due(code: CloseCode) -> Option<Instant> {
    let (due, next) = {
        let mut state = lock();
        let Some(Stop::Graceful(plan)) = &mut state.stop else {
            return None;
        };
        let due = plan.take_due(Instant::now());
        (state.tell(due), plan_of(&mut state)?.next())
    };
    for (output, manner) in due {
        close(&output, code, manner);
    }
    next
}

/// Has all connections closed within `limit`, if it is later than that otherwise, and as fast as
/// that takes.
pub fn limit(limit: Duration) {
    let mut state = lock();
    let wishes = state.wishes();
    if let Some(plan) = plan_of(&mut state) {
        plan.limit(&wishes, limit, Instant::now());
    }
}

/// Has all connections closed from now on, as fast as the rate allows. Returns how many.
pub fn hurry() -> usize {
    let mut state = lock();
    let wishes = state.wishes();
    let count = wishes.len();
    if let Some(plan) = plan_of(&mut state) {
        plan.hurry(wishes, Instant::now());
    }
    count
}

/// What the child would have to wait for, besides what threads of the MPM serve.
pub fn left() -> Left {
    let state = lock();
    let entries = state.connections.values();
    let is_waited_for = |entry: &&Entry| entry.holder != Holder::Mpm;
    let left = entries.filter(is_waited_for).map(|entry| match entry.told {
        None => Left::Open,
        Some(Manner::InOrder) => Left::Told,
        Some(Manner::AtOnce) => Left::Leaving,
    });
    // Open ones first, leaving ones last.
    left.min().unwrap_or(Left::Nothing)
}

/// Whether there is a connection that httpd does not know of.
pub fn is_any_detached() -> bool {
    lock().has_detached()
}

/// Waits until the last connection that httpd does not know of has ended, unless the child is to
/// end now.
pub fn wait_until_drained() {
    let mut state = lock();
    while matches!(state.stop, Some(Stop::Graceful(_))) && state.has_detached() {
        state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Closes all connections now, with `code`. Clients are not waited for.
pub fn shut_down(code: CloseCode) {
    let outputs: Vec<_> = {
        let mut state = lock();
        state.stop = Some(Stop::AtOnce(code));
        let entries = state.connections.values_mut();
        entries
            .filter_map(|entry| {
                entry.told = Some(Manner::AtOnce);
                entry.output.upgrade()
            })
            .collect()
    };
    CHANGED.notify_all();
    for output in &outputs {
        close(output, code, Manner::AtOnce);
    }
}

/// Does not wait any longer for clients that were told to end.
pub fn hurry_told(code: CloseCode) {
    let outputs: Vec<_> = {
        let mut state = lock();
        let entries = state.connections.values_mut();
        let told = entries.filter(|entry| entry.told == Some(Manner::InOrder));
        told.filter_map(|entry| {
            entry.told = Some(Manner::AtOnce);
            entry.output.upgrade()
        })
        .collect()
    };
    for output in &outputs {
        close(output, code, Manner::AtOnce);
    }
}

fn plan_of(state: &mut State) -> Option<&mut Plan> {
    match &mut state.stop {
        Some(Stop::Graceful(plan)) => Some(plan),
        _ => None,
    }
}

impl State {
    fn has_detached(&self) -> bool {
        let mut entries = self.connections.values();
        entries.any(|entry| entry.holder == Holder::Detached)
    }

    /// The connections that were not told to end, and how long each may stay.
    fn wishes(&self) -> Vec<Wish> {
        let open = self
            .connections
            .iter()
            .filter(|(_, entry)| entry.told.is_none());
        open.map(|(&id, entry)| Wish {
            id,
            drain_time: entry.drain_time,
        })
        .collect()
    }

    /// Notes that these are told to end. Gives those that are still there.
    fn tell(&mut self, ids: Vec<u64>) -> Vec<(Arc<Output>, Manner)> {
        let mut told = Vec::new();
        for id in ids {
            if let Some(entry) = self.connections.get_mut(&id) {
                let manner = match entry.drain_time {
                    DrainTime::Limited(Duration::ZERO) => Manner::AtOnce,
                    _ => Manner::InOrder,
                };
                entry.told = Some(manner);
                told.extend(entry.output.upgrade().map(|output| (output, manner)));
            }
        }
        told
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
