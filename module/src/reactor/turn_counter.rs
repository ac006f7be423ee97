//! Which turn a loop is in, and which thread owns the loop.

use crate::sync::{AtomicU64, Ordering};

/// Numbers the turns of a loop, and tells which of two threads owns the loop. The upper half of the
/// number changes with the owner. The lower half changes with each turn and is odd during a turn.
#[derive(Default)]
pub(super) struct TurnCounter(AtomicU64);

impl TurnCounter {
    const OWNER: u64 = 1 << 32;

    /// Begins a turn and returns its number. Only the owner calls this.
    pub(super) fn begin(&self) -> u64 {
        // The lower half is even before this, so it cannot overflow into the upper half here.
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Ends a turn. Returns whether the thread still owns the loop.
    pub(super) fn end(&self, turn: u64) -> bool {
        let next = (turn & !(Self::OWNER - 1)) | (turn.wrapping_add(1) & (Self::OWNER - 1));
        self.0
            .compare_exchange(turn, next, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The number of the current turn, if there is one.
    pub(super) fn current(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Acquire)).filter(|turn| turn % 2 == 1)
    }

    /// Changes the owner if `turn` is still current. Returns whether it was.
    pub(super) fn take_over(&self, turn: u64) -> bool {
        let next = (turn & !(Self::OWNER - 1)).wrapping_add(Self::OWNER);
        self.0
            .compare_exchange(turn, next, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Ordering, TurnCounter};

    fn owner(turns: &TurnCounter) -> u64 {
        turns.0.load(Ordering::Relaxed) / TurnCounter::OWNER
    }

    #[test]
    fn an_owner_that_is_undisturbed_keeps_the_loop() {
        let turns = TurnCounter::default();
        for _ in 0..3 {
            assert_eq!(turns.current(), None);
            let turn = turns.begin();
            assert_eq!(turns.current(), Some(turn));
            assert!(turns.end(turn));
        }
    }

    #[test]
    fn a_turn_that_was_taken_over_ends_without_the_loop() {
        let turns = TurnCounter::default();
        let (stuck, first) = (turns.begin(), owner(&turns));
        assert!(turns.take_over(stuck));
        assert_ne!(owner(&turns), first);
        assert!(!turns.take_over(stuck), "only once");
        let next = turns.begin();
        assert!(!turns.end(stuck));
        assert!(turns.end(next));
    }

    #[test]
    fn a_turn_that_has_ended_is_not_taken_over() {
        let turns = TurnCounter::default();
        let turn = turns.begin();
        assert!(turns.end(turn));
        assert!(!turns.take_over(turn));
    }

    #[test]
    fn counting_on_for_ever_does_not_change_the_owner() {
        let turns = TurnCounter::default();
        turns.0.store(TurnCounter::OWNER - 2, Ordering::Relaxed);
        let turn = turns.begin();
        assert!(turns.end(turn));
        assert_eq!(owner(&turns), 0);
    }
}
