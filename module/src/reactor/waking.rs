//! When a loop's thread wakes the other loops that have to write what its turns sent.
//!
//! It wakes them when its own loop begins to write, so that they find everything that the pass
//! queued.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

/// A loop, as threads see it that wake it.
pub(super) trait Sleeper {
    /// Ends a wait that began before there was work.
    fn wake(&self);

    /// Whether `turn` is still current, so that no other thread has taken over the loop.
    fn is_in_turn(&self, turn: u64) -> bool;
}

struct ToWake {
    /// The loop that this thread runs, and the number of its turn.
    event_loop: Arc<dyn Sleeper>,
    turn: u64,
    others: Vec<Arc<dyn Sleeper>>,
}

thread_local! {
    /// Set while this thread runs a loop.
    static TO_WAKE: RefCell<Option<ToWake>> = const { RefCell::new(None) };
}

/// Notes that this thread begins to run a loop.
pub(super) fn begin(event_loop: Arc<dyn Sleeper>) {
    TO_WAKE.set(Some(ToWake {
        event_loop,
        turn: 0,
        others: Vec::new(),
    }));
}

/// Notes that this thread stops running its loop.
pub(super) fn end() {
    wake_others();
    TO_WAKE.set(None);
}

/// Notes that the turn with this number begins.
pub(super) fn begin_turn(turn: u64) {
    TO_WAKE.with_borrow_mut(|to_wake| {
        if let Some(to_wake) = to_wake {
            to_wake.turn = turn;
        }
    });
}

/// Whether this thread wakes `event_loop` at the end of its pass. If not, the caller has to wake it
/// at once: so does a thread whose loop was taken over, because its callback may block for ever.
/// What such a thread had queued before is not lost, because the monitor, which takes loops over,
/// wakes all loops.
pub(super) fn wakes_later<L: Sleeper + 'static>(event_loop: &Weak<L>) -> bool {
    let later = TO_WAKE.try_with(|to_wake| {
        let mut to_wake = to_wake.borrow_mut();
        let Some(to_wake) = to_wake.as_mut() else {
            return false;
        };
        if !to_wake.event_loop.is_in_turn(to_wake.turn) {
            return false;
        }
        let this = Weak::as_ptr(event_loop).addr();
        let is_known = |other: &Arc<dyn Sleeper>| Arc::as_ptr(other).addr() == this;
        if !to_wake.others.iter().any(is_known) {
            let Some(event_loop) = event_loop.upgrade() else {
                return false;
            };
            to_wake.others.push(event_loop);
        }
        true
    });
    later.unwrap_or(false)
}

/// Wakes the loops that have to write what this thread's turns sent.
pub(super) fn wake_others() {
    TO_WAKE.with_borrow_mut(|to_wake| {
        for other in to_wake.iter_mut().flat_map(|it| it.others.drain(..)) {
            other.wake();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{Arc, Sleeper, begin, begin_turn, end, wake_others, wakes_later};
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    #[derive(Default)]
    struct Loop {
        turn: AtomicU64,
        woken: AtomicUsize,
    }

    impl Sleeper for Loop {
        fn wake(&self) {
            self.woken.fetch_add(1, Ordering::Relaxed);
        }

        fn is_in_turn(&self, turn: u64) -> bool {
            self.turn.load(Ordering::Relaxed) == turn
        }
    }

    fn is_woken_later(event_loop: &Arc<Loop>) -> bool {
        wakes_later(&Arc::downgrade(event_loop))
    }

    #[test]
    fn other_loops_are_woken_once_at_the_end_of_a_pass() {
        let [own, other] = [(); 2].map(|()| Arc::new(Loop::default()));
        begin(Arc::<Loop>::clone(&own));
        own.turn.store(7, Ordering::Relaxed);
        begin_turn(7);
        assert!(is_woken_later(&other) && is_woken_later(&other));
        assert_eq!(other.woken.load(Ordering::Relaxed), 0);
        wake_others();
        wake_others();
        assert_eq!(other.woken.load(Ordering::Relaxed), 1);
        end();
    }

    #[test]
    fn a_thread_without_a_loop_of_its_own_wakes_at_once() {
        let [own, other] = [(); 2].map(|()| Arc::new(Loop::default()));
        assert!(!is_woken_later(&other));
        begin(Arc::<Loop>::clone(&own));
        begin_turn(0);
        assert!(is_woken_later(&other));
        // Another thread takes over.
        own.turn.store(1 << 32, Ordering::Relaxed);
        assert!(!is_woken_later(&other) && !is_woken_later(&own));
        end();
        assert_eq!(
            other.woken.load(Ordering::Relaxed),
            1,
            "what was put before"
        );
        assert!(!is_woken_later(&other));
    }
}
