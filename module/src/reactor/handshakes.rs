//! Opening handshakes whose plugins may wait, on threads of the pool.
//!
//! They may hold half of the threads that the pool has beside those of the loops. The others wait
//! here. So callbacks that block always find threads, however many handshakes wait, and for
//! whatever.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::threads::Threads;

/// A handshake to answer. It is told whether the process is about to end, and the plugin must not
/// be asked any more.
pub type Handshake = Box<dyn FnOnce(bool) + Send>;

/// The handshakes that wait for a thread, and the number of those that have one.
pub(super) struct Handshakes {
    most: usize,
    state: Mutex<State>,
    /// The last one has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: VecDeque<Handshake>,
    is_stopping: bool,
}

impl Handshakes {
    pub(super) fn new(threads: Threads) -> Self {
        Self {
            most: threads.max.saturating_sub(threads.min) / 2,
            state: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Whether handshakes may have any thread.
    pub(super) fn are_possible(&self) -> bool {
        self.most > 0
    }

    /// Returns the handshake if a thread is to be taken for it now. If not, the handshake waits.
    pub(super) fn begin(&self, handshake: Handshake) -> Option<Handshake> {
        let mut state = self.state();
        if state.running < self.most || state.is_stopping {
            state.running += 1;
            return Some(handshake);
        }
        state.waiting.push_back(handshake);
        None
    }

    /// Called when a handshake has ended. Returns the one that takes its place, if one waits.
    pub(super) fn next(&self) -> Option<Handshake> {
        let mut state = self.state();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.running -= 1;
            if state.running == 0 {
                self.ended.notify_all();
            }
        }
        next
    }

    /// From now on handshakes ask no plugin. Returns those that wait; a thread is to be taken for
    /// each.
    pub(super) fn stop(&self) -> VecDeque<Handshake> {
        let mut state = self.state();
        state.is_stopping = true;
        state.running += state.waiting.len();
        mem::take(&mut state.waiting)
    }

    /// Waits until none has a thread, for so long at most. Returns whether that is so: a connection
    /// that a later one brings finds no loop any more.
    pub(super) fn wait(&self, limit: Duration) -> bool {
        let state = self.state();
        let has_some = |state: &mut State| state.running > 0;
        let waited = self.ended.wait_timeout_while(state, limit, has_some);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.running == 0
    }

    /// Whether none waits or has a thread. None waits while no other has one.
    pub(super) fn are_none(&self) -> bool {
        self.state().running == 0
    }

    pub(super) fn are_stopping(&self) -> bool {
        self.state().is_stopping
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Handshake, Handshakes};
    use crate::reactor::Threads;

    fn handshake() -> Handshake {
        Box::new(|_| ())
    }

    #[test]
    fn half_of_the_threads_are_left_to_callbacks() {
        for (min, max, most) in [(2, 64, 31), (2, 5, 1), (2, 4, 1), (2, 3, 0), (4, 4, 0)] {
            let handshakes = Handshakes::new(Threads { min, max });
            assert_eq!(handshakes.are_possible(), most > 0);
            let begun = (0..200).filter(|_| handshakes.begin(handshake()).is_some());
            assert_eq!(begun.count(), most, "{min} {max}");
        }
    }

    #[test]
    fn one_that_has_ended_makes_room_for_one() {
        let handshakes = Handshakes::new(Threads { min: 1, max: 3 });
        assert!(handshakes.begin(handshake()).is_some());
        assert!(handshakes.begin(handshake()).is_none());
        assert!(handshakes.next().is_some());
        assert!(handshakes.begin(handshake()).is_none());
        assert!(handshakes.next().is_some());
        assert!(handshakes.next().is_none());
        assert!(handshakes.begin(handshake()).is_some());
    }

    #[test]
    fn none_waits_when_the_process_ends() {
        let handshakes = Handshakes::new(Threads { min: 1, max: 3 });
        assert!(handshakes.begin(handshake()).is_some());
        assert!(handshakes.begin(handshake()).is_none());
        assert_eq!(handshakes.stop().len(), 1);
        assert!(handshakes.are_stopping());
        assert!(handshakes.begin(handshake()).is_some());
        for _ in 0..3 {
            assert!(!handshakes.wait(Duration::ZERO) && !handshakes.are_none());
            assert!(handshakes.next().is_none());
        }
        assert!(handshakes.wait(Duration::ZERO) && handshakes.are_none());
    }
}
