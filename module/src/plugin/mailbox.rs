//! The events that a plugin has posted to one of its connections.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::ffi::c_void;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use websocket_plugin::abi;

/// The most events that wait, and the most timers.
const MOST: usize = 1024;

/// An event of a plugin, and what handles it. Dropping it discards the event.
#[derive(Debug)]
pub struct Event {
    pub(super) on_event: abi::OnEvent,
    discard: Option<abi::Discard>,
    data: *mut c_void,
}

// SAFETY: the header tells plugins that any thread may handle and discard their events.
unsafe impl Send for Event {}

impl Event {
    /// An event that the plugin has posted.
    ///
    /// # Safety
    ///
    /// `discard` may be called with `data`. The plugin's library stays loaded until the event is
    /// handled or dropped.
    pub(super) const unsafe fn new(
        on_event: abi::OnEvent,
        discard: Option<abi::Discard>,
        data: *mut c_void,
    ) -> Self {
        Self {
            on_event,
            discard,
            data,
        }
    }

    /// Leaves the event to its owner, who frees it.
    pub(super) fn leave(self) -> *mut c_void {
        let data = self.data;
        mem::forget(self);
        data
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Some(discard) = self.discard {
            // SAFETY: who made the event guarantees this, and it is not handled any more.
            unsafe { discard(self.data) }
        }
    }
}

/// Why an event was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Closed,
    Full,
}

/// The events of a connection that are not handled yet.
#[derive(Debug, Default)]
pub(super) struct Mailbox(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    posted: VecDeque<Event>,
    timers: BinaryHeap<Timer>,
    /// The number of the next timer.
    number: u64,
}

/// An event that comes later. The heap has the one that is due first at its top.
#[derive(Debug)]
struct Timer {
    due: Instant,
    /// Those for the same time come in the order in which they were posted.
    number: u64,
    event: Event,
}

impl Mailbox {
    /// Takes an event, which is due at this time; `None`: now.
    ///
    /// # Errors
    ///
    /// The event is given back.
    pub(super) fn post(&self, event: Event, due: Option<Instant>) -> Result<(), (Refused, Event)> {
        let mut state = self.lock();
        let waiting = match due {
            None => state.posted.len(),
            Some(_) => state.timers.len(),
        };
        if state.is_closed {
            return Err((Refused::Closed, event));
        }
        if waiting >= MOST {
            return Err((Refused::Full, event));
        }
        match due {
            None => state.posted.push_back(event),
            Some(due) => {
                let number = state.number;
                state.number += 1;
                state.timers.push(Timer { due, number, event });
            }
        }
        Ok(())
    }

    /// Takes the next event that is due.
    pub(super) fn take(&self, now: Instant) -> Option<Event> {
        let mut state = self.lock();
        if state.timers.peek().is_some_and(|timer| timer.due <= now) {
            return state.timers.pop().map(|timer| timer.event);
        }
        state.posted.pop_front()
    }

    /// When the next timer runs out.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.lock().timers.peek().map(|timer| timer.due)
    }

    /// Takes nothing any more, and discards what waits.
    pub(super) fn close(&self) {
        let state = mem::replace(
            &mut *self.lock(),
            State {
                is_closed: true,
                ..State::default()
            },
        );
        // Discarding runs code of the plugin, which may post.
        drop(state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Timer {}

#[cfg(test)]
mod tests {
    use super::{Event, MOST, Mailbox, Refused};
    use std::ffi::c_void;
    use std::ptr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};
    use websocket_plugin::abi::WebSocketServer;

    unsafe extern "system" fn ignore(_: *mut c_void, _: *const WebSocketServer, _: *mut c_void) {}

    unsafe extern "system" fn count(data: *mut c_void) {
        // SAFETY: the tests pass the address of a counter of their own.
        unsafe { &*data.cast::<AtomicUsize>() }.fetch_add(1, Ordering::Relaxed);
    }

    /// An event that nobody has to free.
    fn event(number: usize) -> Event {
        // SAFETY: nothing is called with the number.
        unsafe { Event::new(ignore, None, ptr::without_provenance_mut(number)) }
    }

    fn counted(counter: &AtomicUsize) -> Event {
        let data = ptr::from_ref(counter).cast_mut().cast();
        // SAFETY: the counter outlives the event.
        unsafe { Event::new(ignore, Some(count), data) }
    }

    fn taken(mailbox: &Mailbox, now: Instant) -> Vec<usize> {
        std::iter::from_fn(|| mailbox.take(now))
            .map(|event| event.leave().addr())
            .collect()
    }

    #[test]
    fn events_come_in_order_and_timers_at_their_time() {
        let mailbox = Mailbox::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (number, due) in [
            (1, None),
            (2, Some(at(20))),
            (3, Some(at(10))),
            (4, None),
            (5, Some(at(10))),
        ] {
            mailbox.post(event(number), due).unwrap();
        }
        assert_eq!(mailbox.next_timer(), Some(at(10)));
        assert_eq!(taken(&mailbox, at(9)), [1, 4]);
        assert_eq!(taken(&mailbox, at(10)), [3, 5]);
        assert_eq!(mailbox.next_timer(), Some(at(20)));
        assert_eq!(taken(&mailbox, at(30)), [2]);
        assert_eq!(mailbox.next_timer(), None);
    }

    #[test]
    fn events_and_timers_have_limits_of_their_own() {
        let mailbox = Mailbox::default();
        let later = Some(Instant::now() + Duration::from_secs(1));
        for due in [None, later] {
            for number in 0..MOST {
                mailbox.post(event(number), due).unwrap();
            }
            let (why, refused) = mailbox.post(event(7), due).unwrap_err();
            assert_eq!((why, refused.leave().addr()), (Refused::Full, 7));
        }
    }

    #[test]
    fn what_waits_at_the_end_is_discarded_once() {
        let counter = AtomicUsize::new(0);
        let mailbox = Mailbox::default();
        let later = Some(Instant::now() + Duration::from_secs(1));
        for due in [None, later, None] {
            mailbox.post(counted(&counter), due).unwrap();
        }
        mailbox.take(Instant::now()).unwrap().leave();
        mailbox.close();
        assert_eq!(counter.load(Ordering::Relaxed), 2);
        let (why, refused) = mailbox.post(counted(&counter), None).unwrap_err();
        assert_eq!(why, Refused::Closed);
        refused.leave();
        assert_eq!(counter.load(Ordering::Relaxed), 2, "its owner frees it");
    }
}
