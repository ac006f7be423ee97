//! The output of a connection: `outlet.rs` of the link and what belongs to it.

mod gone;
#[path = "../../src/link/outbox.rs"]
mod outbox;
#[path = "../../src/link/outlet.rs"]
mod outlet;
mod parties;
#[path = "../../src/link/watch.rs"]
mod watch;
#[path = "../../src/link/writer.rs"]
mod writer;

use std::sync::Arc;

use loom::thread::JoinHandle;

use crate::turn_counter::TurnCounter;
use outbox::{Closed, Frame};
use outlet::{Caller, Waited};
use parties::{Connection, Flusher};
use writer::Output;

/// Queued, and the queue is full with it.
const SMALL: Frame<'_> = Frame {
    header: b"S",
    payload: b"s",
    is_close: false,
};

/// Another one.
const OTHER: Frame<'_> = Frame {
    header: b"O",
    payload: b"o",
    is_close: false,
};

/// Written at once where that is possible.
const LARGE: Frame<'_> = Frame {
    header: b"L",
    payload: &[b'l'; 48 * 1024],
    is_close: false,
};

const CLOSE: Frame<'_> = Frame {
    header: b"C",
    payload: b"c",
    is_close: true,
};

/// More than all messages of a model.
const ENOUGH: usize = 1 << 20;

fn length(frames: &[Frame<'_>]) -> usize {
    let lengths = frames
        .iter()
        .map(|frame| frame.header.len() + frame.payload.len());
    lengths.sum()
}

/// Two threads send while the client is slow, so that some of it goes out in pieces. What they do not
/// write themselves the session is woken for. Messages of one thread stay in order, and no two mix.
pub fn what_is_sent_is_written() {
    let connection = Connection::open(5, ENOUGH);
    let first = connection.spawn(|connection| {
        connection.send(SMALL).unwrap();
        connection.send(LARGE).unwrap();
    });
    let second = connection.spawn(|connection| {
        connection.client.take(ENOUGH);
        connection.send(OTHER).unwrap();
    });
    connection.drive(2);
    first.join().unwrap();
    second.join().unwrap();
    let received = connection.client.received();
    let orders = ["SsLlOo", "SsOoLl", "OoSsLl"];
    assert!(orders.contains(&&*received), "{received}");
    assert_eq!(connection.client.length(), length(&[SMALL, LARGE, OTHER]));
    assert_eq!(connection.outlet.waiting(), 0);
}

/// The session limits how long it waits for a client that takes no more, so it takes a turn after that.
pub fn the_session_learns_of_a_slow_client() {
    let connection = Connection::open(0, ENOUGH);
    let sender = connection.spawn(|connection| connection.send(SMALL).unwrap());
    let (output, _) = connection.drive(1);
    sender.join().unwrap();
    assert!(matches!(output, Output::Pending { .. }));
}

/// The session limits how long it waits for the answer to a close frame, so it takes a turn after that.
pub fn the_session_learns_of_a_close_frame() {
    let connection = Connection::open(ENOUGH, ENOUGH);
    let closer = connection.spawn(|connection| connection.send(CLOSE).unwrap());
    let (output, is_closing) = connection.drive(1);
    closer.join().unwrap();
    assert!(matches!(output, Output::Drained) && is_closing);
}

/// A message that is sent before the 101 response waits for the first turn after it.
pub fn what_is_sent_early_is_written_by_the_first_turn() {
    let connection = Connection::new(ENOUGH);
    let sender = connection.spawn(|connection| {
        connection.send(SMALL).unwrap();
        connection.send(LARGE).unwrap();
    });
    connection.begin(ENOUGH);
    connection.drive(1);
    sender.join().unwrap();
    assert_eq!(connection.client.received(), "SsLl");
    assert_eq!(connection.client.length(), length(&[SMALL, LARGE]));
}

/// Three threads close, one of them the session, which answers the client and ends. A message went out
/// before the one close frame, or its sender knows that it did not.
pub fn one_close_frame_is_the_last() {
    let connection = Connection::open(ENOUGH, ENOUGH);
    let sender = connection.spawn(|connection| connection.send(LARGE));
    let closer = connection.spawn(|connection| connection.send(CLOSE));
    let answered = connection.outlet.push(CLOSE);
    connection.outlet.seal();
    assert!(matches!(connection.outlet.settle(), Output::Drained));
    let was_written = connection.client.received();
    connection.outlet.shut();
    assert_eq!(connection.outlet.with_stream(|_| ()), None);
    let (sent, closed) = (sender.join().unwrap(), closer.join().unwrap());
    assert_eq!(connection.send(SMALL), Err(Closed));
    // Not even the flusher has to do with it any more.
    assert!(!connection.outlet.see_off(Caller::Other, false));
    assert!(answered.is_err() || closed.is_err());
    assert_eq!(was_written, if sent.is_ok() { "LlCc" } else { "Cc" });
    assert_eq!(connection.client.received(), was_written);
}

/// The senders of two messages for which there is no room wait until the client reads.
pub fn a_full_queue_drains() {
    let connection = Connection::open(0, 1);
    let senders = [SMALL, OTHER].map(|message| {
        connection.spawn(move |connection| {
            connection.send(message).unwrap();
            connection.send(message).unwrap();
        })
    });
    connection.client.take(ENOUGH);
    connection.drive(2);
    for sender in senders {
        sender.join().unwrap();
    }
    assert_eq!(connection.client.length(), 2 * length(&[SMALL, OTHER]));
}

/// Whatever ends the connection releases a sender that waits for room.
fn a_full_queue_ends(end: impl FnOnce(&Connection)) {
    let connection = Connection::open(0, 1);
    connection.send(OTHER).unwrap();
    let senders =
        [SMALL, LARGE].map(|message| connection.spawn(move |connection| connection.send(message)));
    end(&connection);
    for sender in senders {
        assert_eq!(sender.join().unwrap(), Err(Closed));
    }
    assert_eq!(connection.client.received(), "");
}

/// A close frame needs no room.
pub fn a_close_frame_releases_senders() {
    a_full_queue_ends(|connection| connection.send(CLOSE).unwrap());
}

/// The session seals the queue when the client has closed.
pub fn the_end_of_a_session_releases_senders() {
    a_full_queue_ends(|connection| connection.outlet.seal());
}

/// The client is gone.
pub fn a_failure_releases_senders() {
    a_full_queue_ends(|connection| {
        connection
            .outlet
            .fail(std::io::ErrorKind::ConnectionReset.into());
    });
}

/// One of those who wait has had enough.
pub fn a_timeout_releases_all_senders() {
    a_full_queue_ends(|connection| {
        let accept = || connection.outlet.accept(OTHER);
        let sent = connection
            .outlet
            .accept_later(accept, |_, _, _| Waited::TimedOut);
        assert_eq!(sent, Err(Closed));
    });
}

/// A callback blocks until a slow client has what it sends, and what another thread sends. The flusher
/// does what the session cannot do meanwhile. If the turn `is_watched`, a monitor finds it, before it has
/// quite begun or later.
fn a_callback_blocks(
    is_watched: bool,
    callback: &'static [Frame<'static>],
    other: &'static [Frame<'static>],
) {
    let connection = Connection::open(0, ENOUGH);
    let flusher = Arc::new(Flusher::default());
    let flushing = {
        let flusher = Arc::clone(&flusher);
        connection.spawn(move |connection| flusher.run(connection))
    };
    let sender = {
        let flusher = Arc::clone(&flusher);
        connection.spawn(move |connection| {
            for frame in other {
                flusher.send(connection, *frame, Caller::Other);
            }
        })
    };
    let turns = Arc::new(TurnCounter::default());
    let turn = turns.begin();
    let monitor = is_watched.then(|| {
        let (flusher, turns) = (Arc::clone(&flusher), Arc::clone(&turns));
        connection.spawn(move |connection| {
            assert!(turns.take_over(turn));
            if connection.outlet.watch.lose_sight() {
                flusher.schedule(connection);
            }
        })
    });
    let is_watched = || is_watched && turns.current() == Some(turn);
    connection.outlet.watch.begin_watch(is_watched);
    if connection.outlet.watch.begin_turn() {
        flusher.schedule(&connection);
    }
    for frame in callback {
        flusher.send(&connection, *frame, Caller::Callback);
    }
    connection.client.take(ENOUGH);
    connection.client.wait_for(length(callback) + length(other));
    connection.outlet.watch.end_turn();
    sender.join().unwrap();
    monitor.map(JoinHandle::join).transpose().unwrap();
    flusher.stop();
    flushing.join().unwrap();
}

/// What it sends itself.
pub fn what_a_callback_sends_is_written_while_it_blocks() {
    a_callback_blocks(false, &[SMALL, SMALL], &[]);
}

/// What another thread sends, before the callback begins or while it runs.
pub fn what_others_send_is_written_while_a_callback_blocks() {
    a_callback_blocks(false, &[], &[OTHER]);
}

/// Both.
pub fn what_all_send_is_written_while_a_callback_blocks() {
    a_callback_blocks(false, &[SMALL], &[OTHER]);
}

/// What it sends itself, watched.
pub fn what_a_watched_callback_sends_is_written_while_it_blocks() {
    a_callback_blocks(true, &[SMALL, SMALL], &[]);
}

/// What another thread sends, before a watched callback begins or while it runs.
pub fn what_others_send_is_written_while_a_watched_callback_blocks() {
    a_callback_blocks(true, &[], &[OTHER]);
}
