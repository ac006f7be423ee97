//! The monitor and the owner of a loop: `doze.rs` and `turn_counter.rs`.

use std::sync::Arc;

use loom::thread;

use crate::doze::Doze;
use crate::turn_counter::TurnCounter;

/// However a turn begins while the monitor falls asleep, it is awake when the turn blocks.
pub fn a_turn_that_blocks_is_found() {
    let doze = Arc::new(Doze::new());
    let turns = Arc::new(TurnCounter::default());
    let owner = {
        let (doze, turns) = (Arc::clone(&doze), Arc::clone(&turns));
        thread::spawn(move || {
            // The first turn is short, the second never ends.
            let turn = turns.begin();
            doze.wake();
            assert!(turns.end(turn));
            turns.begin();
            doze.wake();
        })
    };
    while turns.current().is_none_or(|turn| turn == 1) {
        doze.sleep(|| turns.current().is_some());
        thread::yield_now();
    }
    owner.join().unwrap();
}

/// When a turn ends just as the monitor gives the loop to another thread, one of the two has it.
pub fn one_thread_owns_a_loop() {
    let turns = Arc::new(TurnCounter::default());
    let turn = turns.begin();
    let monitor = {
        let turns = Arc::clone(&turns);
        thread::spawn(move || {
            let is_taken_over = turns.current().is_some_and(|turn| turns.take_over(turn));
            if is_taken_over {
                // The new owner goes on, whatever becomes of the old turn.
                let turn = turns.begin();
                assert!(turns.end(turn));
            }
            is_taken_over
        })
    };
    let is_kept = turns.end(turn);
    if is_kept {
        let turn = turns.begin();
        turns.end(turn);
    }
    let is_taken_over = monitor.join().unwrap();
    assert!(is_kept || is_taken_over);
}
