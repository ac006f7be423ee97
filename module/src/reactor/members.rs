//! The connections of a loop and their timers.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use super::alarm::Alarm;
use super::timers::Timers;

/// The connections of a loop. Each has a token.
pub(super) struct Members<C> {
    connections: Slab<Arc<C>>,
    timers: Timers,
    /// Wakes the loop for the next timer. A time limit for each wait would cost the kernel one
    /// timer per wait.
    alarm: Alarm,
}

impl<C> Members<C> {
    /// The members of a loop that has no connections yet.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            connections: Slab::new(),
            timers: Timers::new(Instant::now()),
            alarm: Alarm::new()?,
        })
    }

    pub(super) fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    pub(super) fn get(&self, token: usize) -> Option<&Arc<C>> {
        self.connections.get(token)
    }

    /// Adds a connection. Returns its token.
    pub(super) fn insert(&mut self, connection: Arc<C>) -> usize {
        self.connections.insert(connection)
    }

    /// Removes a connection and its timer. The caller drops the connection without the lock.
    pub(super) fn remove(&mut self, token: usize) -> Option<Arc<C>> {
        self.timers.cancel(token);
        self.connections.try_remove(token)
    }

    /// Sets the connection's timer to `due`, in place of an earlier setting. `now` is the current
    /// time.
    pub(super) fn set_timer(&mut self, token: usize, due: Instant, now: Instant) {
        self.timers.set(token, due, now);
        self.alarm.ring_at(self.timers.next(), now);
    }

    /// Gives `each` the connections whose timers have run out. `now` is the current time.
    pub(super) fn take_due(&mut self, now: Instant, mut each: impl FnMut(&Arc<C>)) {
        let Self {
            connections,
            timers,
            alarm,
        } = self;
        timers.take_due(now, |token| {
            if let Some(connection) = connections.get(token) {
                each(connection);
            }
        });
        alarm.ring_at(timers.next(), now);
    }
}
