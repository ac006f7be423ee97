//! Plugins that pause their client.

use std::time::{Duration, Instant};

use super::{Case, LIMIT, READ, frame, text};
use crate::meter::Meter;
use crate::output::{Caller, Framing, SlowClient};
use crate::protocol::{Closer, Excess, Lifespan, Limits, MessageRate, Opcode, Rate, Receiver};
use crate::session::Next;

/// The session waits for the plugin.
const PAUSED: Next = Next::Wait {
    read: false,
    write: false,
    deadline: None,
};

const MESSAGE: &str = "message ";

impl Case {
    /// The messages that the application got since the last call.
    fn messages(&self) -> String {
        let happened = self.events.take();
        let messages = happened.iter().map(|event| event.strip_prefix(MESSAGE));
        messages.map(|message| message.unwrap_or("?")).collect()
    }
}

/// The application pauses at each `p`.
fn pausing(lifespan: &Lifespan) -> Case {
    Case::with(lifespan, SlowClient::Wait, |output| {
        Box::new(move |message| {
            if message == b"p" {
                assert!(output.pause());
            }
        })
    })
}

#[test]
fn what_follows_a_pause_waits_and_comes_in_order() {
    let mut case = pausing(&Lifespan::default());
    let messages = ["a", "p", "b", "p", "p", "c"].map(text);
    case.wire.send(&messages);
    case.wire.send(&[text("d")]);
    for expected in ["ap", "bp", "p"] {
        assert_eq!(case.turn(), PAUSED);
        assert_eq!(case.messages(), expected);
        assert_eq!(case.turn(), PAUSED);
        assert_eq!(case.messages(), "", "a turn for another reason");
        case.output.resume();
        assert_eq!(case.home.wakes(), 1);
    }
    assert_eq!(case.turn(), READ);
    assert_eq!(case.messages(), "cd");
    case.output.resume();
    assert_eq!(case.home.wakes(), 0, "there was no pause");
}

#[test]
fn a_pause_stops_within_control_frames_and_fragments() {
    let mut case = pausing(&Lifespan::default());
    let all = [
        text("p"),
        frame(0x89, b"1"),
        frame(0x01, b"x"),
        frame(0x80, b"y"),
        frame(0x01, b""),
        frame(0x80, b"p"),
        frame(0x89, b"2"),
    ];
    case.wire.send(&all);
    assert_eq!(case.turn(), PAUSED);
    assert_eq!(case.wire.received(), b"", "a ping is answered in its order");
    case.output.resume();
    assert_eq!(case.turn(), PAUSED);
    assert_eq!(case.wire.received(), b"\x8a\x011");
    assert_eq!(case.messages(), "pxyp");
    case.output.resume();
    assert_eq!(case.turn(), READ);
    assert_eq!(case.wire.received(), b"\x8a\x012");
}

#[test]
fn a_pause_before_the_first_turn_holds_the_first_message() {
    let mut case = pausing(&Lifespan::default());
    assert!(case.output.pause());
    case.wire.send(&[text("a")]);
    assert_eq!(case.turn(), PAUSED);
    assert_eq!(case.messages(), "");
    assert!(
        case.wire.script(|script| script.sent.len()) == 1,
        "it is not read"
    );
    case.output.resume();
    assert_eq!(case.turn(), READ);
    assert_eq!(case.messages(), "a");
}

#[test]
fn a_paused_connection_closes_with_a_handshake_and_without_messages() {
    let mut case = pausing(&Lifespan::default());
    case.wire.send(&[text("p"), text("held")]);
    assert_eq!(case.turn(), PAUSED);
    let code = b"\x03\xe8";
    case.output
        .close(Closer::Plugin, code, Caller::Thread)
        .unwrap();
    assert!(!case.output.pause(), "it is closing");
    case.home.write();
    assert!(matches!(case.turn(), Next::Wait { read: true, .. }));
    case.wire.send(&[text("late"), frame(0x88, code)]);
    assert_eq!(case.turn(), Next::Ended);
    case.drop_session();
    assert_eq!(case.events.take(), ["message p", "disconnect"]);
    assert!(case.events.is_clean.get());
}

#[test]
fn a_close_in_the_callback_that_pauses_reads_on() {
    for is_emptied in [false, true] {
        let mut case = Case::new(|output| {
            Box::new(move |_| {
                output.pause();
                let _ = output.close(Closer::Plugin, b"\x03\xe8", Caller::Own);
            })
        });
        case.wire
            .script(|script| script.is_emptied_by_short_reads = is_emptied);
        let close = frame(0x88, b"\x03\xe8");
        case.wire.send(&[text("a"), text("b"), close]);
        assert_eq!(case.turn(), Next::Ended, "{is_emptied}");
        assert_eq!(case.messages(), "a");
    }
}

#[test]
fn a_pause_does_not_end_a_connection_for_silence() {
    let second = Duration::from_secs(1);
    let lifespan = Lifespan {
        idle_timeout: Some(10 * second),
        message_timeout: Some(5 * second),
        lifetime: Some(100 * second),
        ..Lifespan::default()
    };
    let mut case = pausing(&lifespan);
    // Half a message has arrived, and the rest has to wait.
    case.wire.send(&[frame(0x01, b"x")]);
    case.turn();
    assert!(case.output.pause());
    let started = Instant::now();
    for passed in [4, 8, 30, 60, 99] {
        case.turn_at(started + passed * second);
        assert_eq!(case.messages(), "", "after {passed} s");
    }
    case.output.resume();
    case.wire.send(&[frame(0x80, b"y")]);
    case.turn_at(started + 99 * second);
    assert_eq!(case.messages(), "xy");
    assert!(case.output.pause());
    case.turn_at(started + 101 * second);
    assert_eq!(case.messages(), "?", "the lifetime is over");
}

/// How many messages a client may send at once, at ten a second and five at once, when the plugin
/// has paused it for an hour. Meanwhile it had output to take.
fn saved_up_in_an_hour(is_output_taken: bool) -> usize {
    const HOUR: Duration = Duration::from_secs(3600);
    let limits = Limits {
        max_message_size: 1 << 20,
        max_fragments: 16_384,
        allow_reserved_status_codes: false,
    };
    let mut case = Case::unopened(
        Framing::new(None, Meter::default()),
        Receiver::new(limits),
        (&Lifespan::default(), SlowClient::Wait),
        2 * HOUR,
        |output| {
            Box::new(move |message| {
                if message == b"p" {
                    assert!(output.pause());
                    let output = output.send(Opcode::Text, &[b'x'; LIMIT / 2], Caller::Own);
                    assert!(output.is_ok());
                }
            })
        },
    );
    case.output.open(case.wire.clone());
    let rate = Rate::new(10, Duration::from_secs(1), 5).unwrap();
    let excess = Excess::Closes;
    let session = case.session.as_mut().unwrap();
    session.limit(MessageRate { rate, excess });
    if !is_output_taken {
        case.wire.script(|script| script.room = 0);
    }
    let began = Instant::now();
    case.wire.send(&[text("p")]);
    case.turn_at(began);
    assert_eq!(case.messages(), "p");
    // Something else has the session look in between.
    case.turn_at(began + HOUR / 2);
    case.wire.take(1 << 30);
    case.output.resume();
    case.wire.send(&[text("m").repeat(40_000)]);
    while case.turn_at(began + HOUR) == Next::Again {}
    case.messages().matches('m').count()
}

#[test]
fn a_client_that_takes_no_output_saves_up_no_more_than_the_messages_of_a_minute() {
    // The message that paused counts, too.
    assert_eq!(saved_up_in_an_hour(true), 5 + 10 * 3600 - 1);
    assert_eq!(saved_up_in_an_hour(false), 5 + 10 * 60);
}
