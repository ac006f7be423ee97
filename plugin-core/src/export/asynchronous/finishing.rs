//! Limits what clients that have closed their connections leave to be handled.
//!
//! A client that connects, sends and closes again and again would otherwise occupy memory without
//! any limit of httpd's: its connections are gone.

use super::late::Hurry;
use super::told::Told;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

/// So many connections that have ended may have messages that wait for callbacks.
pub(super) const MOST_CONNECTIONS: usize = 256;

/// So many bytes these messages may have together. A single connection may exceed that.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The connections of a plugin that have ended, and whose messages are still handled.
pub(super) struct Finishing {
    inner: Mutex<Inner>,
    told: Told,
}

struct Inner {
    /// The oldest has the lowest number.
    next: u64,
    bytes: usize,
    connections: BTreeMap<u64, Left>,
}

/// What a connection has left.
struct Left {
    bytes: usize,
    task: Weak<dyn Hurry>,
}

/// A connection that counts until this is dropped.
pub(super) struct Ticket {
    finishing: &'static Finishing,
    number: u64,
}

/// What had to give way, perhaps the new connection itself.
pub(super) struct Dropped {
    tasks: Vec<Arc<dyn Hurry>>,
    /// Whether to log it: not again and again.
    pub(super) is_to_log: bool,
}

impl Finishing {
    pub(super) const fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                next: 0,
                bytes: 0,
                connections: BTreeMap::new(),
            }),
            told: Told::new(),
        }
    }

    /// Counts a connection that has left so many bytes. If there are too many connections, the
    /// oldest give way: their callbacks had the most time. If there are too many bytes, those that
    /// have left the most give way, so that nobody's long message costs others theirs.
    pub(super) fn enter(&'static self, bytes: usize, task: Weak<dyn Hurry>) -> (Ticket, Dropped) {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        inner.bytes += bytes;
        inner.connections.insert(number, Left { bytes, task });
        let mut tasks = Vec::new();
        while let Some(left) = inner.take_one_too_many() {
            tasks.push(left.task);
        }
        drop(inner);
        let is_to_log = !tasks.is_empty() && self.told.is_due(Instant::now());
        let dropped = Dropped {
            tasks: tasks.iter().filter_map(Weak::upgrade).collect(),
            is_to_log,
        };
        let ticket = Ticket {
            finishing: self,
            number,
        };
        (ticket, dropped)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Takes out a connection that has to give way, if there is one.
    fn take_one_too_many(&mut self) -> Option<Left> {
        let number = if self.connections.len() > MOST_CONNECTIONS {
            *self.connections.first_key_value()?.0
        } else if self.bytes > MOST_BYTES && self.connections.len() > 1 {
            // The last of the largest, so here the oldest of them.
            let by_age = self.connections.iter().rev();
            *by_age.max_by_key(|(_, left)| left.bytes)?.0
        } else {
            return None;
        };
        let left = self.connections.remove(&number)?;
        self.bytes -= left.bytes;
        Some(left)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.finishing.lock();
        if let Some(left) = inner.connections.remove(&self.number) {
            inner.bytes -= left.bytes;
        }
    }
}

impl Dropped {
    /// Has the callbacks cancelled, and the messages dropped. They are freed when this returns, but
    /// for messages with which a thread is busy. Called within the runtime.
    pub(super) fn give_up(self) {
        for task in self.tasks {
            task.give_up();
        }
    }
}
