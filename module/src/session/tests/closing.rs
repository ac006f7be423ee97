//! How sessions end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::{Case, frame, text};
use crate::output::{Caller, Closed};
use crate::protocol::{Closer, Opcode};
use crate::session::Next;

#[test]
fn the_clients_close_frame_is_answered_and_ends_the_session() {
    let mut case = Case::echo();
    case.wire
        .send(&[text("a"), frame(0x88, b"\x03\xe8bye"), text("late")]);
    assert_eq!(case.turn(), Next::Ended);
    assert_eq!(case.wire.received(), b"\x81\x01a\x88\x02\x03\xe8");
    case.drop_session();
    assert_eq!(case.events.take(), ["message a", "disconnect"]);
}

#[test]
fn a_close_frame_of_this_side_waits_for_its_answer() {
    let mut case = Case::silent();
    case.output
        .send(Opcode::Close, b"\x03\xe8", Caller::Callback)
        .unwrap();
    case.home.write();
    assert_eq!(case.home.wakes(), 1, "the session limits the wait");
    let waits = case.turn();
    assert!(
        matches!(
            waits,
            Next::Wait {
                read: true,
                write: false,
                deadline: Some(_)
            }
        ),
        "{waits:?}"
    );
    case.wire.send(&[text("late"), frame(0x88, b"\x03\xe8")]);
    assert_eq!(case.turn(), Next::Ended);
    assert_eq!(case.wire.received(), b"\x88\x02\x03\xe8", "there is one");
    assert_eq!(case.events.take(), ["message late"]);
}

#[test]
fn a_broken_rule_closes_the_connection() {
    let mut case = Case::echo();
    case.wire.send(&[text("a"), vec![0xff, 0x80], text("late")]);
    assert_eq!(case.turn(), Next::Ended);
    assert_eq!(case.wire.received(), b"\x81\x01a\x88\x02\x03\xea");
    let events = case.events.take();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[1].starts_with("closing with 1002"), "{events:?}");
}

#[test]
fn the_end_of_the_clients_bytes_ends_the_session() {
    let mut case = Case::echo();
    case.wire.send(&[text("a")]);
    case.wire.end();
    assert_eq!(case.turn(), Next::Ended);
    assert_eq!(case.wire.received(), b"\x81\x01a");
}

#[test]
fn the_last_output_is_written_before_the_session_ends() {
    let mut case = Case::echo();
    case.wire.script(|script| script.room = 1);
    case.wire.send(&[text("a"), frame(0x88, b"")]);
    let waits = case.turn();
    assert!(
        matches!(
            waits,
            Next::Wait {
                read: false,
                write: true,
                ..
            }
        ),
        "{waits:?}"
    );
    let sent = case.output.send(Opcode::Text, b"late", Caller::Callback);
    assert_eq!(sent, Err(Closed));
    case.wire.take(100);
    assert_eq!(case.turn(), Next::Ended);
    assert_eq!(case.wire.received(), b"\x81\x01a\x88\x00");
}

#[test]
fn a_lost_connection_ends_the_session() {
    let mut case = Case::echo();
    case.wire.script(|script| script.is_lost = true);
    assert_eq!(case.turn(), Next::Ended);
    assert!(case.wire.script(|script| script.is_aborted));
    let events = case.events.take();
    assert!(
        events[0].starts_with("the connection is lost"),
        "{events:?}"
    );
    let sent = case.output.send(Opcode::Text, b"late", Caller::Thread);
    assert_eq!(sent, Err(Closed));
}

#[test]
fn a_server_that_leaves_closes_and_waits_a_second() {
    let mut case = Case::silent();
    case.output.go_away(Closer::Shutdown, b"\x03\xe9");
    assert!(case.home.wakes() > 0);
    case.home.write();
    let before = Instant::now();
    let Next::Wait {
        deadline: Some(deadline),
        ..
    } = case.turn()
    else {
        panic!("there is no limit");
    };
    assert!(deadline <= before + Duration::from_secs(2));
    assert_eq!(case.wire.received(), b"\x88\x02\x03\xe9");
}

#[test]
fn a_panic_in_a_callback_leaves_a_session_that_can_be_ended() {
    let mut case = Case::new(|_| Box::new(|_| panic!("in a callback")));
    case.wire.send(&[text("a")]);
    let turn = catch_unwind(AssertUnwindSafe(|| case.turn()));
    assert!(turn.is_err());
    case.drop_session();
    assert_eq!(case.events.take(), ["message a", "disconnect"]);
    let sent = case.output.send(Opcode::Text, b"late", Caller::Callback);
    assert_eq!(sent, Err(Closed));
}

/// Whether a case ends after both sides have sent a close frame.
fn is_clean(mut case: Case) -> bool {
    case.turn();
    case.drop_session();
    case.events.is_clean.get()
}

#[test]
fn an_end_is_clean_if_both_sides_have_sent_a_close_frame() {
    let case = Case::silent();
    case.wire.send(&[frame(0x88, b"\x03\xe8bye")]);
    assert!(is_clean(case));

    let closed = || {
        let case = Case::silent();
        let close = case.output.send(Opcode::Close, b"", Caller::Callback);
        close.unwrap();
        case
    };
    let case = closed();
    case.wire.send(&[frame(0x88, b"\x03\xe8")]);
    assert!(is_clean(case));

    let case = closed();
    case.wire.end();
    assert!(!is_clean(case));

    // The answer to the client's close frame cannot be written.
    let case = Case::silent();
    case.wire.send(&[frame(0x88, b"\x03\xe8")]);
    case.wire.script(|script| script.room = 0);
    assert!(!is_clean(case));

    for broken in [vec![0xff, 0x80], frame(0x88, b"\x03")] {
        let case = Case::silent();
        case.wire.send(&[broken]);
        assert!(!is_clean(case));
    }
}
