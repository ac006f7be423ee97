//! What is known of a connection when it has ended.

use std::io;

use super::{Case, frame, text};
use crate::output::Caller;
use crate::protocol::{Closer, Opcode};

/// How a case ends: who closed the connection, the code and the reason.
fn closing(mut case: Case) -> (Closer, u16, String) {
    case.drop_session();
    let account = case.events.account.take().expect("each session has one");
    let closing = account.closing;
    (closing.by, closing.code, closing.reason.into())
}

#[test]
fn the_account_counts_messages_in_both_directions_and_no_control_frames() {
    let mut case = Case::echo();
    case.wire
        .send(&[text("hello"), frame(0x89, b"ping"), text(""), text("a")]);
    case.turn();
    case.drop_session();
    let account = case.events.account.take().unwrap();
    assert_eq!((account.received.messages, account.received.bytes), (3, 6));
    assert_eq!(account.sent, account.received);
}

#[test]
fn the_account_names_the_one_who_closed_first() {
    let mut case = Case::silent();
    case.wire.send(&[frame(0x88, b"\x03\xe8bye")]);
    case.turn();
    assert_eq!(closing(case), (Closer::Client, 1000, "bye".into()));

    let mut case = Case::silent();
    case.output
        .send(Opcode::Close, b"\x0f\xa0go", Caller::Callback)
        .unwrap();
    case.wire.send(&[frame(0x88, b"\x03\xe8bye")]);
    case.turn();
    assert_eq!(closing(case), (Closer::Plugin, 4000, "go".into()));

    let mut case = Case::silent();
    case.wire.send(&[vec![0xff, 0x80]]);
    case.turn();
    assert_eq!(closing(case), (Closer::Error, 1002, String::new()));

    let mut case = Case::silent();
    case.output.go_away(Closer::Shutdown, b"\x03\xe9");
    case.wire.end();
    case.turn();
    assert_eq!(closing(case), (Closer::Shutdown, 1001, String::new()));
}

#[test]
fn the_account_tells_a_lost_client_from_a_slow_one() {
    let mut case = Case::silent();
    case.wire.end();
    case.turn();
    assert_eq!(closing(case), (Closer::Lost, 1006, String::new()));

    let mut case = Case::silent();
    case.wire.script(|script| script.is_lost = true);
    case.turn();
    assert_eq!(closing(case), (Closer::Lost, 1006, String::new()));

    let mut case = Case::silent();
    case.output.fail(io::ErrorKind::TimedOut.into());
    case.turn();
    assert_eq!(closing(case), (Closer::Timeout, 1006, String::new()));
}
