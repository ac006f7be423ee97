//! What a child process knows of its connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use websocket_plugin::CloseCode;

use super::closing::Manner;
use super::plan::{DrainTime, Plan, Wish};
use crate::output::Output;

/// All connections of a child process, by number, and whether it stops.
pub(super) struct State {
    next: u64,
    pub(super) connections: BTreeMap<u64, Entry>,
    pub(super) stop: Option<Stop>,
}

/// A connection.
pub(super) struct Entry {
    pub(super) output: Weak<Output>,
    pub(super) holder: Holder,
    pub(super) drain_time: DrainTime,
    /// How the client was told to end, if it was.
    pub(super) told: Option<Manner>,
}

/// What serves a connection while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A thread of the MPM.
    Mpm,
    /// A thread of mod_http2.
    Http2,
    /// A loop of the reactor.
    Loop,
    /// A loop of the reactor, and httpd knows nothing of the connection any more.
    Detached,
}

/// How the child process stops.
pub(super) enum Stop {
    /// Connections are closed when the plan says so.
    Graceful(Plan),
    /// Connections are closed now, with this code.
    AtOnce(CloseCode),
}

/// What is left of a child process that stops gracefully.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// Connections that may stay open for now.
    Open,
    /// Connections that were sent a close frame. The server waits for some of their clients.
    Told,
    /// So many connections that were sent a close frame and whose clients the server does not wait
    /// for.
    Leaving(usize),
    /// No connection that the child process has to wait for.
    Nothing,
}

impl State {
    pub(super) const fn new() -> Self {
        Self {
            next: 0,
            connections: BTreeMap::new(),
            stop: None,
        }
    }

    /// Adds a connection. Returns its number.
    pub(super) fn add(&mut self, entry: Entry) -> u64 {
        let id = self.next;
        self.next += 1;
        self.connections.insert(id, entry);
        id
    }

    /// The plan, if the child process stops gracefully.
    pub(super) fn plan(&mut self) -> Option<&mut Plan> {
        match &mut self.stop {
            Some(Stop::Graceful(plan)) => Some(plan),
            _ => None,
        }
    }

    /// What the child process has to wait for. httpd itself waits for the connections that threads
    /// of the MPM serve. These count only while their clients have been sent a close frame and may
    /// have to be hurried.
    pub(super) fn left(&self) -> Left {
        let left = self.connections.values().filter_map(|entry| {
            let is_waited_for = entry.holder != Holder::Mpm;
            match entry.told {
                Some(Manner::InOrder) => Some(Left::Told),
                None => is_waited_for.then_some(Left::Open),
                Some(Manner::AtOnce) => is_waited_for.then_some(Left::Leaving(1)),
            }
        });
        left.fold(Left::Nothing, |sum, left| match (sum, left) {
            (Left::Leaving(count), Left::Leaving(more)) => Left::Leaving(count + more),
            // `Left` is in the order of importance.
            _ => sum.min(left),
        })
    }

    /// Notes that the server does not wait for the clients of these connections. Returns those that
    /// still exist.
    pub(super) fn hurry(&mut self, which: impl Fn(&Entry) -> bool) -> Vec<Arc<Output>> {
        let entries = self.connections.values_mut().filter(|entry| which(entry));
        entries
            .filter_map(|entry| {
                entry.told = Some(Manner::AtOnce);
                entry.output.upgrade()
            })
            .collect()
    }

    /// Whether a loop serves any connection.
    pub(super) fn has_looped(&self) -> bool {
        let mut entries = self.connections.values();
        entries.any(|entry| matches!(entry.holder, Holder::Loop | Holder::Detached))
    }

    /// Whether there is a connection that httpd does not know of.
    pub(super) fn has_detached(&self) -> bool {
        let mut entries = self.connections.values();
        entries.any(|entry| entry.holder == Holder::Detached)
    }

    /// The connections that were not told to end, and how long each may stay.
    pub(super) fn wishes(&self) -> Vec<Wish> {
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

    /// Notes that these connections are told to end. Returns those that still exist.
    pub(super) fn tell(&mut self, ids: Vec<u64>) -> Vec<(Arc<Output>, Manner)> {
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
