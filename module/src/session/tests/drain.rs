//! Plugins that hear when a full queue has room again.

use super::{Case, LIMIT, text};
use crate::output::Caller;
use crate::protocol::Opcode;
use crate::session::Next;

const HALF: &[u8] = &[b'x'; LIMIT / 2];

/// A client that has taken nothing of a full queue.
fn full() -> Case {
    let mut case = Case::silent();
    case.wire.script(|script| script.room = 0);
    for _ in 0..2 {
        case.output
            .send(Opcode::Binary, HALF, Caller::Thread)
            .unwrap();
    }
    case.turn();
    assert_eq!(case.events.take(), [""; 0]);
    case
}

fn is_accepted(case: &Case) -> bool {
    case.output
        .try_send(Opcode::Binary, b"more", Caller::Thread)
        .unwrap()
}

/// Takes turns as a loop does, until nothing is due.
fn rest(case: &mut Case) {
    while case.home.wakes() > 0 || case.turn() == Next::Again {}
}

#[test]
fn room_after_a_refusal_is_told_once_when_half_is_free() {
    let mut case = full();
    assert!(!is_accepted(&case) && !is_accepted(&case));
    case.wire.take(LIMIT / 2 - 100);
    rest(&mut case);
    assert_eq!(case.events.take(), [""; 0], "less than half is free");
    case.wire.take(200);
    rest(&mut case);
    assert_eq!(case.events.take(), ["drained"]);
    case.wire.take(LIMIT);
    rest(&mut case);
    assert_eq!(case.events.take(), [""; 0], "nothing was refused since");
}

#[test]
fn a_queue_that_drains_without_a_refusal_says_nothing() {
    let mut case = full();
    case.wire.take(2 * LIMIT);
    rest(&mut case);
    assert_eq!(case.events.take(), [""; 0]);
}

#[test]
fn room_made_by_the_loop_wakes_the_session() {
    let mut case = full();
    assert!(!is_accepted(&case));
    case.home.wakes();
    case.wire.take(2 * LIMIT);
    case.output.write_for_session();
    assert!(case.home.wakes() > 0);
    rest(&mut case);
    assert_eq!(case.events.take(), ["drained"]);
}

#[test]
fn a_queue_that_is_filled_again_drains_again() {
    let mut case = full();
    for _ in 0..3 {
        assert!(!is_accepted(&case));
        case.wire.take(2 * LIMIT);
        rest(&mut case);
        assert_eq!(case.events.take(), ["drained"]);
        case.wire.script(|script| script.room = 0);
        for _ in 0..2 {
            case.output
                .send(Opcode::Binary, HALF, Caller::Thread)
                .unwrap();
        }
        case.turn();
    }
}

#[test]
fn a_refusal_in_a_callback_is_followed_by_room() {
    let mut case = Case::new(|output| {
        Box::new(move |_| while output.try_send(Opcode::Binary, HALF, Caller::Own).unwrap() {})
    });
    case.wire.script(|script| script.room = 0);
    case.wire.send(&[text("fill")]);
    case.turn();
    assert_eq!(case.events.take(), ["message fill"]);
    case.wire.take(4 * LIMIT);
    rest(&mut case);
    assert_eq!(case.events.take(), ["drained"]);
}

#[test]
fn a_connection_that_closes_hears_of_no_room() {
    let mut case = full();
    assert!(!is_accepted(&case));
    case.output
        .send(Opcode::Close, b"\x03\xe8", Caller::Thread)
        .unwrap();
    case.wire.take(2 * LIMIT);
    case.turn();
    case.turn();
    assert_eq!(case.events.take(), [""; 0]);
}
