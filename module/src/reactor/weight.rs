//! Whether a connection's next turn lets others go first.

use std::sync::atomic::{AtomicBool, Ordering};

/// What the last turns of a connection say about the next one.
#[derive(Default)]
pub(super) struct Weight {
    is_heavy: AtomicBool,
    /// The last turn was heavy.
    was_heavy: AtomicBool,
}

impl Weight {
    /// Notes the end of a turn. The next one lets others go first if this one was heavy and there
    /// is more to do, or if two in a row were heavy. A single heavy turn of a client that sends
    /// little proves nothing, because its thread may have waited for a processor. Behind heavy
    /// turns, that client would wait for long.
    pub(super) fn note(&self, was_heavy: bool, has_more: bool) {
        let is_second = self.was_heavy.swap(was_heavy, Ordering::Relaxed);
        self.is_heavy
            .store(was_heavy && (has_more || is_second), Ordering::Relaxed);
    }

    /// Whether the next turn lets others go first.
    pub(super) fn is_heavy(&self) -> bool {
        self.is_heavy.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::Weight;

    /// Whether the turn after `turns` is heavy. Each entry says whether a turn was heavy and
    /// whether it had more to do.
    fn next_is_heavy(turns: &[(bool, bool)]) -> bool {
        let weight = Weight::default();
        for (was_heavy, has_more) in turns {
            weight.note(*was_heavy, *has_more);
        }
        weight.is_heavy()
    }

    #[test]
    fn a_client_that_was_held_up_once_goes_ahead_of_busy_ones() {
        assert!(!next_is_heavy(&[]));
        assert!(!next_is_heavy(&[(true, false)]));
        assert!(!next_is_heavy(&[
            (true, false),
            (false, false),
            (true, false)
        ]));
        assert!(!next_is_heavy(&[(true, true), (false, true)]));
    }

    #[test]
    fn a_client_that_is_busy_lets_others_go_first() {
        assert!(next_is_heavy(&[(true, true)]));
        assert!(next_is_heavy(&[(true, false), (true, false)]));
    }
}
