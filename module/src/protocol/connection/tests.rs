use std::time::{Duration, Instant};

use super::{Action, Await, Connection, End, OutputState, Unread};
use crate::protocol::{Due, Ending, Input, Lifespan, Limits, Outgoing, Receiver, Version};

const TIMEOUT: Duration = Duration::from_secs(60);

const WRITTEN: OutputState = OutputState::Written { has_close: false };

const CLOSE_WRITTEN: OutputState = OutputState::Written { has_close: true };

/// Waits for the client's bytes alone.
const READ: Await = Await::Events {
    read: true,
    write: false,
    deadline: None,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn connection() -> Connection {
    with_timeout(Some(TIMEOUT))
}

fn with_timeout(timeout: Option<Duration>) -> Connection {
    let limits = Limits {
        max_message_size: 1000,
        max_fragments: 16_384,
        allow_reserved_status_codes: false,
    };
    let lifespan = Lifespan::default();
    let receiver = Receiver::new(limits);
    Connection::new(receiver, Version::V13, timeout, &lifespan, Instant::now())
}

/// A frame of the client, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

/// What the client's bytes ask for, as text.
fn asked(connection: &mut Connection, bytes: &[u8]) -> Vec<String> {
    let mut buffer = [bytes, &[0]].concat();
    let mut input = Input::new(&mut buffer, bytes.len());
    let mut asked = Vec::new();
    while let Some(action) = connection.receive(&mut input) {
        asked.push(match action {
            Action::Deliver { kind, payload } => format!("{kind:?} {}", payload.len()),
            Action::DeliverPart { .. } => "a part".into(),
            Action::Pong(payload) => format!("pong {payload:?}"),
            Action::Nothing => continue,
            Action::Close(code) => {
                let code = code.map(|frame| frame.code.get());
                format!("close {code:?}")
            }
            Action::Fail(error, code) => format!("{error:?} {}", code.get()),
        });
    }
    asked
}

fn pending(since: Instant, waiting: usize) -> OutputState {
    OutputState::Pending {
        since,
        retry: None,
        waiting,
    }
}

#[test]
fn frames_ask_for_what_they_say() {
    let cases: [(&[u8], u8, &[&str]); 6] = [
        (b"ab", 0x82, &["Binary 2"]),
        (b"a", 0x89, &["pong [97]"]),
        (b"a", 0x8a, &[]),
        (b"", 0x88, &["close None"]),
        // The reason is not sent back.
        (b"\x03\xe8bye", 0x88, &["close Some(1000)"]),
        (b"\xff", 0x81, &["TextNotUtf8 1007"]),
    ];
    for (payload, first, expected) in cases {
        let mut connection = connection();
        let asked = asked(&mut connection, &frame(first, payload));
        assert_eq!(asked, expected, "{first:#x}");
        let ends = first == 0x88 || payload == b"\xff";
        assert_eq!(connection.is_reading(), !ends, "{first:#x}");
    }
}

#[test]
fn nothing_behind_a_close_frame_is_read() {
    let mut connection = connection();
    let bytes = [frame(0x88, b""), frame(0x82, b"late")].concat();
    assert_eq!(asked(&mut connection, &bytes), ["close None"]);
}

#[test]
fn an_open_connection_waits_for_the_client() {
    let mut connection = connection();
    let now = Instant::now();
    assert_eq!(connection.wait_for(WRITTEN, false, now), READ);
    assert_eq!(connection.wait_for(WRITTEN, true, now), READ);
}

#[test]
fn the_answer_to_a_close_frame_is_the_end_when_it_is_written() {
    let mut connection = connection();
    let now = Instant::now();
    asked(&mut connection, &frame(0x88, b""));
    let wait = connection.wait_for(pending(now, 2), false, now);
    let expected = Await::Events {
        read: false,
        write: true,
        deadline: Some(now + seconds(5)),
    };
    assert_eq!(wait, expected);
    let end = connection.wait_for(CLOSE_WRITTEN, false, now);
    assert_eq!(end, Await::Nothing(End::Finished));
    // And stays so.
    let end = connection.wait_for(WRITTEN, false, now);
    assert_eq!(end, Await::Nothing(End::Finished));
}

#[test]
fn the_end_of_the_clients_bytes_is_the_end_when_all_is_written() {
    let mut connection = connection();
    let now = Instant::now();
    connection.finish();
    assert!(!connection.is_reading());
    let end = connection.wait_for(WRITTEN, false, now);
    assert_eq!(end, Await::Nothing(End::Finished));
}

#[test]
fn a_close_frame_of_this_side_has_to_be_answered_in_time() {
    for (is_leaving, limit) in [(false, seconds(5)), (true, seconds(1))] {
        let mut connection = connection();
        let sent = Instant::now();
        let wait = connection.wait_for(CLOSE_WRITTEN, is_leaving, sent);
        let expected = Await::Events {
            read: true,
            write: false,
            deadline: Some(sent + limit),
        };
        assert_eq!(wait, expected);
        // What the client sends meanwhile does not prolong it.
        asked(&mut connection, &frame(0x82, b"still here"));
        let later = sent + limit / 2;
        assert_eq!(
            connection.wait_for(CLOSE_WRITTEN, is_leaving, later),
            expected
        );
        let end = connection.wait_for(CLOSE_WRITTEN, is_leaving, sent + limit);
        assert_eq!(end, Await::Nothing(End::CloseTimedOut));
    }
}

#[test]
fn an_answered_close_is_the_end() {
    let mut connection = connection();
    let now = Instant::now();
    connection.wait_for(CLOSE_WRITTEN, false, now);
    asked(&mut connection, &frame(0x88, b""));
    let end = connection.wait_for(CLOSE_WRITTEN, false, now);
    assert_eq!(end, Await::Nothing(End::Finished));
}

#[test]
fn a_client_that_takes_nothing_is_given_up_after_the_timeout() {
    let since = Instant::now();
    let before = since + TIMEOUT / 2;
    let mut connection = connection();
    let wait = connection.wait_for(pending(since, 1), false, before);
    let expected = Await::Events {
        read: true,
        write: true,
        deadline: Some(since + TIMEOUT),
    };
    assert_eq!(wait, expected);
    let end = connection.wait_for(pending(since, 1), false, since + TIMEOUT);
    assert_eq!(end, Await::Nothing(End::OutputTimedOut));
}

#[test]
fn without_a_timeout_a_client_may_take_nothing_for_ever() {
    let since = Instant::now();
    let mut connection = with_timeout(None);
    let wait = connection.wait_for(pending(since, 1), false, since + seconds(1_000_000));
    let expected = Await::Events {
        read: true,
        write: true,
        deadline: None,
    };
    assert_eq!(wait, expected);
    // But not when the server stops.
    let end = connection.wait_for(pending(since, 1), true, since + seconds(1));
    assert_eq!(end, Await::Nothing(End::OutputTimedOut));
}

#[test]
fn what_cannot_be_waited_for_is_tried_again() {
    let since = Instant::now();
    let retry = since + Duration::from_millis(10);
    let output = OutputState::Pending {
        since,
        retry: Some(retry),
        waiting: 1,
    };
    let expected = Await::Events {
        read: true,
        write: true,
        deadline: Some(retry),
    };
    assert_eq!(connection().wait_for(output, false, since), expected);
}

#[test]
fn nothing_is_read_from_a_client_with_a_mebibyte_to_take() {
    let now = Instant::now();
    let mut connection = connection();
    let wait = connection.wait_for(pending(now, 1024 * 1024), false, now);
    assert!(matches!(wait, Await::Events { read: false, .. }));
    assert!(connection.is_paused());
    let wait = connection.wait_for(pending(now, 1024 * 1024 - 1), false, now);
    assert!(matches!(wait, Await::Events { read: true, .. }));
    assert!(!connection.is_paused());
}

#[test]
fn a_lost_connection_is_over() {
    let mut connection = connection();
    connection.lose();
    assert!(!connection.is_reading());
    let end = connection.wait_for(WRITTEN, false, Instant::now());
    assert_eq!(end, Await::Nothing(End::Finished));
}

#[test]
fn a_client_that_takes_little_by_little_is_not_waited_for_when_the_server_stops() {
    let mut connection = connection();
    let began = Instant::now();
    for progress in [0, 1, 2] {
        let now = began + seconds(progress);
        let wait = connection.wait_for(pending(now, 1000), progress > 0, now);
        assert!(matches!(wait, Await::Events { .. }), "{progress}");
    }
    // It began to leave one second after the start.
    let now = began + seconds(4);
    let end = connection.wait_for(pending(now, 1000), true, now);
    assert_eq!(end, Await::Nothing(End::OutputTimedOut));
}

#[test]
fn a_client_that_takes_little_by_little_does_not_outlive_the_lifetime_by_more_than_the_timeout() {
    let lifespan = Lifespan {
        lifetime: Some(seconds(100)),
        ..Lifespan::default()
    };
    let began = Instant::now();
    let receiver = connection().receiver;
    let timeout = Some(seconds(60));
    let mut connection = Connection::new(receiver, Version::V13, timeout, &lifespan, began);
    let mut at = |second| {
        let now = began + seconds(second);
        connection.begin(now);
        let due = connection.due(pending(now, 1000), Unread::Nothing, 0, &Silence);
        (due, connection.wait_for(pending(now, 1000), false, now))
    };
    assert!(matches!(at(99), (None, Await::Events { .. })));
    assert!(matches!(
        at(100),
        (Some(Due::End(Ending::Aged)), Await::Events { .. })
    ));
    assert!(matches!(at(159).1, Await::Events { .. }));
    assert_eq!(at(160).1, Await::Nothing(End::OutputTimedOut));
}

/// Nothing is sent, and nothing known of what is taken.
struct Silence;

impl Outgoing for Silence {
    fn messages_sent(&self) -> u64 {
        0
    }

    fn bytes_taken(&self) -> Option<u64> {
        None
    }
}
