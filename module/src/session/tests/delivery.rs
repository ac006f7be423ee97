//! What callbacks send, and when it is written.

use std::sync::Arc;

use super::{Case, LIMIT, READ, frame, text};
use crate::output::Caller;
use crate::protocol::Opcode;
use crate::session::Next;

#[test]
fn the_replies_to_all_messages_of_a_read_go_out_in_one_write() {
    let mut case = Case::echo();
    case.wire.send(&[text("a"), text("b"), frame(0x89, b"p")]);
    assert_eq!(case.turn(), READ);
    assert_eq!(case.wire.received(), b"\x81\x01a\x81\x01b\x8a\x01p");
    assert_eq!(case.wire.script(|script| script.writes), 1);
    assert_eq!(case.home.write(), 0, "nobody else was asked to write");
}

#[test]
fn a_message_may_arrive_in_any_pieces() {
    let mut case = Case::echo();
    for byte in text("hello") {
        case.wire.send(&[vec![byte]]);
    }
    case.turn();
    assert_eq!(case.wire.received(), b"\x81\x05hello");
}

#[test]
fn what_callbacks_send_to_another_connection_is_written_once_at_the_end_of_the_pass() {
    let mut receiver = Case::silent();
    let output = Arc::clone(&receiver.output);
    let mut speaker = Case::new(|_| {
        Box::new(move |message| {
            output
                .send(Opcode::Text, message, Caller::Callback)
                .unwrap();
        })
    });
    let messages: Vec<_> = (0..16).map(|_| text("m")).collect();
    speaker.wire.send(&messages);
    // On a busy machine one turn may be too short for all of them.
    speaker.turn();
    assert!(receiver.wire.received().is_empty());
    assert_eq!(receiver.home.write(), 1);
    assert_eq!(receiver.wire.received(), b"\x81\x01m".repeat(16));
    assert_eq!(receiver.wire.script(|script| script.writes), 1);
    assert_eq!(receiver.turn(), READ);
}

#[test]
fn a_turn_that_takes_long_holds_nothing_back() {
    let mut case = Case::new(|output| {
        Box::new(move |message| {
            output.send(Opcode::Text, message, Caller::Own).unwrap();
            output.stop_gathering();
            output.send(Opcode::Text, message, Caller::Own).unwrap();
        })
    });
    case.wire.send(&[text("a")]);
    case.turn();
    assert_eq!(case.home.write(), 1);
    // The next turn gathers again.
    case.wire.received();
    case.home.write();
    case.wire.send(&[frame(0x89, b"")]);
    case.turn();
    assert_eq!(case.home.write(), 0);
}

#[test]
fn what_the_client_does_not_take_is_written_when_it_does() {
    let mut case = Case::echo();
    case.wire.script(|script| script.room = 2);
    case.wire.send(&[text("hello")]);
    let Next::Wait {
        read,
        write,
        deadline,
    } = case.turn()
    else {
        panic!("there is nothing to do");
    };
    assert!(read && write && deadline.is_some());
    assert_eq!(case.wire.received(), b"\x81\x05");
    case.wire.take(100);
    assert_eq!(case.turn(), READ);
    assert_eq!(case.wire.received(), b"hello");
}

#[test]
fn a_session_learns_of_a_client_that_takes_no_more() {
    let mut case = Case::silent();
    case.wire.script(|script| script.room = 1);
    let sent = case.output.send(Opcode::Text, b"hello", Caller::Callback);
    assert_eq!(sent, Ok(()));
    case.home.write();
    assert_eq!(case.home.wakes(), 1);
    assert!(matches!(case.turn(), Next::Wait { write: true, .. }));
    // The session waits already, so one wake-up is enough.
    let sent = case.output.send(Opcode::Text, b"more", Caller::Callback);
    assert_eq!(sent, Ok(()));
    case.home.write();
    assert_eq!(case.home.wakes(), 0);
    // Another thread has written everything, so there is nothing to wait for.
    case.wire.take(100);
    case.output.write_for_session();
    assert_eq!(case.home.wakes(), 1);
    assert_eq!(case.turn(), READ);
}

#[test]
fn a_full_queue_refuses_whole_messages() {
    let mut case = Case::silent();
    case.wire.script(|script| script.room = 0);
    let half = [b'x'; LIMIT / 2];
    let mut accepted = 0;
    while case
        .output
        .try_send(Opcode::Text, &half, Caller::Callback)
        .unwrap()
    {
        accepted += 1;
    }
    assert_eq!(accepted, 2);
    case.wire.take(1 << 20);
    // `try_send` first writes what waits, so there is room.
    let is_accepted = case.output.try_send(Opcode::Text, &half, Caller::Callback);
    assert_eq!(is_accepted, Ok(true));
    case.home.write();
    case.turn();
    let frame = 4 + half.len();
    assert_eq!(case.wire.received().len(), 3 * frame);
}
