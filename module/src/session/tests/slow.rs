//! Clients that take too little, or are silent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Case, LIMIT, Wire, frame};
use crate::output::{Caller, Closed, Output, SlowClient};
use crate::protocol::{Lifespan, Opcode};
use crate::session::Next;

/// A client that takes nothing, and whose queue was filled with frames of `frame` bytes.
fn overfull(frame: usize, room: usize) -> Case {
    let case = Case::with(&Lifespan::default(), SlowClient::Close, |_| {
        Box::new(|_| ())
    });
    case.wire.script(|script| script.room = room);
    let payload = vec![b'x'; frame];
    let send = |output: &Arc<Output<Wire>>| output.send(Opcode::Text, &payload, Caller::Thread);
    while send(&case.output).is_ok() {}
    assert_eq!(send(&case.output), Err(Closed));
    assert!(case.home.wakes() > 0, "the session learns of it");
    case
}

#[test]
fn a_slow_client_is_closed_behind_the_frame_in_progress() {
    let mut case = overfull(1000, 2500);
    assert!(matches!(
        case.turn(),
        Next::Wait {
            read: false,
            write: true,
            deadline: Some(_)
        }
    ));
    case.wire.take(1 << 20);
    assert_eq!(case.turn(), Next::Ended);
    let mut received = case.wire.received();
    let close = b"\x88\x0d\x03\xf5slow client";
    assert_eq!(received.split_off(3 * 1004), close);
    case.drop_session();
    assert_eq!(case.events.take(), ["disconnect"]);
}

#[test]
fn a_slow_client_in_the_middle_of_a_long_frame_is_dropped() {
    let mut case = overfull(100_000, 500);
    assert_eq!(case.turn(), Next::Ended);
    assert!(case.wire.script(|script| script.is_aborted));
    assert_eq!(case.wire.received().len(), 500);
}

#[test]
fn a_client_that_takes_what_has_not_been_tried_yet_is_not_slow() {
    let case = Case::with(&Lifespan::default(), SlowClient::Close, |_| {
        Box::new(|_| ())
    });
    for _ in 0..100 {
        let sent = case
            .output
            .send(Opcode::Text, &[b'x'; LIMIT / 2], Caller::Callback);
        assert_eq!(sent, Ok(()));
    }
}

#[test]
fn a_silent_client_is_pinged_and_then_told_why_the_connection_ends() {
    let lifespan = Lifespan {
        ping_interval: Some(Duration::from_secs(30)),
        ping_timeout: Duration::from_secs(20),
        ..Lifespan::default()
    };
    let mut case = Case::with(&lifespan, SlowClient::Wait, |_| Box::new(|_| ()));
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    assert!(matches!(
        case.turn_at(start),
        Next::Wait {
            deadline: Some(_),
            ..
        }
    ));
    assert!(case.wire.received().is_empty());
    case.turn_at(after(31));
    assert_eq!(case.wire.received(), b"\x89\x04\0\0\0\x01");
    case.wire.send(&[frame(0x8a, b"\0\0\0\x01")]);
    case.turn_at(after(32));
    case.turn_at(after(63));
    assert_eq!(case.wire.received(), b"\x89\x04\0\0\0\x02");
    assert_eq!(case.turn_at(after(84)), Next::Ended);
    assert_eq!(case.wire.received(), b"\x88\x0e\x03\xf3ping timeout");
    case.drop_session();
    let events = case.events.take();
    assert!(events[0].starts_with("closing with 1011"), "{events:?}");
    assert_eq!(events[1..], ["disconnect"]);
}
