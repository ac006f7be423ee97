//! The output of a connection: `output.rs` and what belongs to it.

mod parties;

use std::time::Duration;

use crate::output::{Caller, Closed, Progress, Queued, Rest};
use crate::output_state::OutputState;
use crate::protocol::Opcode;
use parties::{Connection, Kind};

/// Queued, and the queue is full with it.
const SMALL: &[u8] = b"s";

/// Another one.
const OTHER: &[u8] = b"o";

/// Written at once where that is possible.
const LARGE: &[u8] = &[b'l'; 48 * 1024];

/// More than all messages of a model.
const ENOUGH: usize = 1 << 20;

/// With the header of each.
fn length(messages: &[&[u8]]) -> usize {
    messages.iter().map(|message| 1 + message.len()).sum()
}

/// As the table of a plugin does.
fn send(connection: &Connection, message: &[u8], caller: Caller) -> Result<(), Closed> {
    let output = &connection.output;
    if caller != Caller::Own {
        match output.queue(Opcode::Text, message, caller)? {
            Queued::Accepted => return Ok(()),
            Queued::Due => {
                output.tell_home(caller);
                return Ok(());
            }
            Queued::No => {}
        }
    }
    output.send(Opcode::Text, message, caller)
}

fn close(connection: &Connection) -> Result<(), Closed> {
    connection.output.send(Opcode::Close, b"c", Caller::Thread)
}

/// Two threads send while the client is slow, so that some of it goes out in pieces. Messages of
/// one thread stay in order, and no two mix.
fn two_send(kind: Kind, caller: Caller) {
    let connection = Connection::open(kind, 4, ENOUGH);
    let first = connection.spawn(move |connection| {
        send(connection, SMALL, caller).unwrap();
        send(connection, LARGE, caller).unwrap();
    });
    let second = connection.spawn(move |connection| {
        connection.client.take(ENOUGH);
        send(connection, OTHER, Caller::Thread).unwrap();
    });
    connection.drive(2);
    first.join().unwrap();
    second.join().unwrap();
    let received = connection.client.received();
    let orders = ["(s(l(o", "(s(o(l", "(o(s(l"];
    assert!(orders.contains(&&*received), "{received}");
    assert_eq!(connection.client.length(), length(&[SMALL, LARGE, OTHER]));
    let rest = connection.output.settle();
    assert!(matches!(rest, Progress::At(OutputState::Written { .. })));
}

/// The loop is told of what a thread and a callback of another connection send.
pub fn a_loop_writes_what_others_send() {
    two_send(Kind::Loop, Caller::Callback);
}

/// Threads write what they send, beside the loop.
pub fn an_idle_loop_lets_threads_write() {
    two_send(Kind::IdleLoop, Caller::Thread);
}

/// The session limits how long it waits for a client that takes no more, so it takes a turn after
/// that.
pub fn the_session_learns_of_a_slow_client() {
    for kind in [Kind::Loop, Kind::IdleLoop] {
        let connection = Connection::open(kind, 0, ENOUGH);
        let sender =
            connection.spawn(|connection| send(connection, SMALL, Caller::Thread).unwrap());
        let found = connection.drive(1);
        sender.join().unwrap();
        assert!(
            matches!(found, Progress::At(OutputState::Pending { .. })),
            "{kind:?}"
        );
    }
}

/// The session limits how long it waits for the answer to a close frame, so it takes a turn after
/// that.
pub fn the_session_learns_of_a_close_frame() {
    for kind in [Kind::Loop, Kind::IdleLoop] {
        let connection = Connection::open(kind, ENOUGH, ENOUGH);
        let closer = connection.spawn(|connection| close(connection).unwrap());
        let found = connection.drive(1);
        closer.join().unwrap();
        let is_closing = matches!(
            found,
            Progress::At(OutputState::Written { has_close: true })
        );
        assert!(is_closing, "{kind:?}");
    }
}

/// A message that is sent before the 101 response waits for the first turn after it.
pub fn what_is_sent_early_is_written_by_the_first_turn() {
    let connection = Connection::new(Kind::IdleLoop, ENOUGH);
    let sender = connection.spawn(|connection| {
        send(connection, SMALL, Caller::Thread).unwrap();
        send(connection, LARGE, Caller::Thread).unwrap();
    });
    connection.begin(ENOUGH);
    connection.drive(1);
    sender.join().unwrap();
    assert_eq!(connection.client.received(), "(s(l");
    assert_eq!(connection.client.length(), length(&[SMALL, LARGE]));
}

/// Three threads close, one of them the session, which answers the client and ends. A message went
/// out before the one close frame, or its sender knows that it did not.
pub fn one_close_frame_is_the_last() {
    let connection = Connection::open(Kind::IdleLoop, ENOUGH, ENOUGH);
    let sender = connection.spawn(|connection| send(connection, LARGE, Caller::Thread));
    let closer = connection.spawn(close);
    connection.output.answer(Opcode::Close, b"c");
    connection.output.seal();
    assert!(matches!(
        connection.output.settle(),
        Progress::At(OutputState::Written { has_close: true })
    ));
    let was_written = connection.client.received();
    connection.output.shut();
    let (sent, _) = (sender.join().unwrap(), closer.join().unwrap());
    assert_eq!(send(&connection, SMALL, Caller::Thread), Err(Closed));
    assert_eq!(was_written, if sent.is_ok() { "(l(c" } else { "(c" });
    assert_eq!(connection.client.received(), was_written);
}

/// The senders of two messages for which there is no room wait until the client reads.
pub fn a_full_queue_drains() {
    let connection = Connection::open(Kind::Loop, 0, 1);
    let senders = [SMALL, OTHER].map(|message| {
        connection.spawn(move |connection| {
            send(connection, message, Caller::Thread).unwrap();
            send(connection, message, Caller::Thread).unwrap();
        })
    });
    connection.client.take(ENOUGH);
    connection.drive(2);
    for sender in senders {
        sender.join().unwrap();
    }
    assert_eq!(
        connection.client.length(),
        length(&[SMALL, SMALL, OTHER, OTHER])
    );
}

/// A thread writes a message piece by piece. What another one sends does not come in between. If
/// there is no room behind the message, that thread goes on when the message ends.
pub fn the_end_of_a_written_message_makes_room() {
    let connection = Connection::open(Kind::Loop, ENOUGH, 1);
    let writer = connection.spawn(|connection| {
        let output = &connection.output;
        assert_eq!(output.begin_message(Opcode::Text), Ok(true));
        for rest in [Rest::Later, Rest::Nothing] {
            output.compose(SMALL, rest, Caller::Thread).unwrap();
        }
    });
    let sender = connection.spawn(|connection| {
        send(connection, OTHER, Caller::Thread).unwrap();
        send(connection, OTHER, Caller::Thread).unwrap();
    });
    connection.drive(2);
    writer.join().unwrap();
    sender.join().unwrap();
    let received = connection.client.received();
    let orders = ["(s(s(o(o", "(o(s(s(o", "(o(o(s(s"];
    assert!(orders.contains(&&*received), "{received}");
}

/// The fragments of a message fill the queue. A sender that finds it full goes on when the client
/// has taken them, although the message has not ended and its writer does nothing.
pub fn fragments_that_leave_make_room() {
    let connection = Connection::open(Kind::Loop, ENOUGH, 1);
    let output = &connection.output;
    assert_eq!(output.begin_message(Opcode::Text), Ok(true));
    output.compose(SMALL, Rest::Later, Caller::Thread).unwrap();
    let writer = connection.spawn(|connection| {
        let output = &connection.output;
        output.compose(SMALL, Rest::Later, Caller::Thread).unwrap();
    });
    let driver = connection.spawn(|connection| drop(connection.drive(1)));
    send(&connection, OTHER, Caller::Thread).unwrap();
    writer.join().unwrap();
    driver.join().unwrap();
    output
        .compose(SMALL, Rest::Nothing, Caller::Thread)
        .unwrap();
    output.settle();
    assert_eq!(connection.client.received(), "(s(s(s(o");
}

/// A sender that is refused hears of room, in a turn, whoever makes the room.
pub fn a_refused_sender_hears_of_room() {
    let connection = Connection::open(Kind::Loop, 0, 1);
    let sender = connection.spawn(|connection| {
        let output = &connection.output;
        output
            .try_send(Opcode::Text, SMALL, Caller::Thread)
            .unwrap();
        output
            .try_send(Opcode::Text, OTHER, Caller::Thread)
            .unwrap()
    });
    connection.client.take(ENOUGH);
    let drained = connection.count_drains(1);
    let is_accepted = sender.join().unwrap();
    assert_eq!(drained, usize::from(!is_accepted));
}

/// Whatever ends the connection releases a sender that waits for room.
fn a_full_queue_ends(end: impl FnOnce(&Connection)) {
    let connection = Connection::open(Kind::IdleLoop, 0, 1);
    send(&connection, OTHER, Caller::Thread).unwrap();
    let senders = [SMALL, LARGE].map(|message| {
        connection.spawn(move |connection| send(connection, message, Caller::Thread))
    });
    end(&connection);
    for sender in senders {
        assert_eq!(sender.join().unwrap(), Err(Closed));
    }
    assert_eq!(connection.client.received(), "");
}

/// A close frame needs no room.
pub fn a_close_frame_releases_senders() {
    a_full_queue_ends(|connection| close(connection).unwrap());
}

/// So does the answer to the client's close frame.
pub fn the_answer_to_a_close_frame_releases_senders() {
    a_full_queue_ends(|connection| connection.output.answer(Opcode::Close, b"c"));
}

/// The session seals the queue when the client has closed.
pub fn the_end_of_a_session_releases_senders() {
    a_full_queue_ends(|connection| connection.output.seal());
}

/// The client is gone.
pub fn a_failure_releases_senders() {
    a_full_queue_ends(|connection| {
        connection
            .output
            .fail(std::io::ErrorKind::ConnectionReset.into());
    });
}

/// The client takes nothing for too long.
pub fn a_timeout_ends_a_wait() {
    let connection = Connection::with_timeout(Kind::IdleLoop, 1, Some(Duration::ZERO));
    connection.begin(0);
    send(&connection, OTHER, Caller::Thread).unwrap();
    assert_eq!(send(&connection, SMALL, Caller::Thread), Err(Closed));
}

/// A callback blocks until a slow client has what it sends, and what another thread sends.
fn a_callback_blocks(
    kind: Kind,
    callback: &'static [&'static [u8]],
    other: &'static [&'static [u8]],
) {
    let connection = Connection::open(kind, 0, ENOUGH);
    let helper = connection.spawn(Connection::help);
    let sender = connection.spawn(move |connection| {
        for message in other {
            send(connection, message, Caller::Thread).unwrap();
        }
    });
    // Finds the turn before the callback has sent anything, or later.
    let monitor = (kind == Kind::Loop)
        .then(|| connection.spawn(|connection| connection.output.stop_gathering()));
    connection.output.in_callback(|| {
        for message in callback {
            send(&connection, message, Caller::Own).unwrap();
        }
        connection.client.take(ENOUGH);
        connection.client.wait_for(length(callback) + length(other));
    });
    sender.join().unwrap();
    if let Some(monitor) = monitor {
        monitor.join().unwrap();
    }
    connection.end_help();
    helper.join().unwrap();
}

/// What it sends itself, on a loop that goes on with another thread.
pub fn a_loop_writes_what_a_callback_sends_while_it_blocks() {
    a_callback_blocks(Kind::Loop, &[SMALL, SMALL], &[]);
}

/// What another thread sends.
pub fn a_loop_writes_what_others_send_while_a_callback_blocks() {
    a_callback_blocks(Kind::Loop, &[], &[OTHER]);
}

/// What it sends itself, on a thread of its own: the flusher writes.
pub fn the_flusher_writes_what_a_callback_sends_while_it_blocks() {
    a_callback_blocks(Kind::Thread, &[SMALL, SMALL], &[]);
}

/// What another thread sends, before the callback begins or while it runs.
pub fn the_flusher_writes_what_others_send_while_a_callback_blocks() {
    a_callback_blocks(Kind::Thread, &[], &[OTHER]);
}
