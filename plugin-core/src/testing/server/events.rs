//! The events that a plugin has posted.

use crate::abi::{Discard, OnEvent};
use std::ffi::c_void;
use std::mem;
use std::time::Duration;

/// The most events that wait, and the most timers.
const MOST: usize = 1024;

/// An event. Dropping it discards it.
pub(in crate::testing) struct Event {
    pub(in crate::testing) on_event: OnEvent,
    discard: Option<Discard>,
    data: *mut c_void,
}

// SAFETY: plugins let any thread handle and discard their events.
unsafe impl Send for Event {}

impl Event {
    pub(super) const fn new(
        on_event: OnEvent,
        discard: Option<Discard>,
        data: *mut c_void,
    ) -> Self {
        Self {
            on_event,
            discard,
            data,
        }
    }

    /// The event itself, which the caller hands to its plugin.
    pub(in crate::testing) fn into_data(self) -> *mut c_void {
        let data = self.data;
        mem::forget(self);
        data
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Some(discard) = self.discard {
            // SAFETY: the plugin posted both, and the event was not handled.
            unsafe { discard(self.data) }
        }
    }
}

/// The events of a connection, each with the time of the host's clock at which it is due.
#[derive(Default)]
pub(super) struct Events {
    posted: Vec<(Option<Duration>, Event)>,
}

impl Events {
    /// Takes an event; `None`: due now. Gives it back if there are too many.
    pub(super) fn post(&mut self, event: Event, due: Option<Duration>) -> Result<(), Event> {
        let alike = |(other, _): &&(Option<Duration>, Event)| other.is_some() == due.is_some();
        if self.posted.iter().filter(alike).count() >= MOST {
            return Err(event);
        }
        self.posted.push((due, event));
        Ok(())
    }

    /// The event that is due first.
    pub(super) fn take(&mut self, now: Duration) -> Option<Event> {
        let due = self.posted.iter().enumerate();
        let due = due.filter(|(_, (due, _))| due.is_none_or(|due| due <= now));
        let (first, _) = due.min_by_key(|(_, (due, _))| due.unwrap_or(now))?;
        Some(self.posted.remove(first).1)
    }
}
