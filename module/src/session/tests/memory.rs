//! Memory that sessions hold.

use std::cell::Cell;

use super::Case;
use crate::budget;
use crate::output::{Caller, Queued};
use crate::protocol::Opcode;

#[test]
fn a_connection_that_ends_with_half_a_long_message_frees_it_and_says_so() {
    let mut case = Case::echo();
    let mut long = vec![0x82, 0xff];
    long.extend((1_u64 << 20).to_be_bytes());
    long.extend([0; 4]);
    case.wire.send(&[long]);
    case.turn();
    // The client sends as much at a time as a turn reads.
    for _ in 0..17 {
        case.wire.send(&[vec![0; 61_680]]);
        case.turn();
    }
    case.drop_session();
    assert_eq!(case.events.take(), ["disconnect", "freed much"]);
}

thread_local! {
    static RELIEFS: Cell<usize> = const { Cell::new(0) };
}

#[test]
fn memory_is_relieved_after_a_message_was_queued_and_not_while_locks_may_be_held() {
    budget::relieve_with(|| RELIEFS.set(RELIEFS.get() + 1));
    budget::set_limit(Some(0));
    let message = [0; 40_000];
    let silent = Case::silent();
    let queued = silent.output.queue(Opcode::Binary, &message, Caller::Own);
    assert_eq!(queued, Ok(Queued::Accepted));
    assert_eq!(
        RELIEFS.get(),
        0,
        "whoever queues may hold the lock of a plugin's table"
    );
    // A session of another test may do the relief that this one has caused.
    let others = std::iter::repeat_with(Case::silent);
    others
        .take(1000)
        .inspect(|other| {
            let sent = other.output.send(Opcode::Binary, &message, Caller::Own);
            assert_eq!(sent, Ok(()));
        })
        .find(|_| RELIEFS.get() > 0)
        .expect("a send asks whether memory is to be relieved");
    budget::set_limit(None);
}
