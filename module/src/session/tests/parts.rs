//! Messages in parts.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::{Case, READ, frame, text};
use crate::output::SlowClient;
use crate::protocol::{
    DeflateContext, DeflateParameters, Excess, Lifespan, Limits, MessageRate, Rate, Receiver,
};
use crate::session::Next;

const LIMITS: Limits = Limits {
    max_message_size: 1 << 30,
    max_fragments: 16_384,
    allow_reserved_status_codes: false,
};

/// The application pauses at each part that ends with `p`.
fn case(receiver: Receiver, lifespan: &Lifespan) -> Case {
    Case::receiving(receiver.in_parts(), lifespan, SlowClient::Wait, |output| {
        Box::new(move |part| {
            if part.ends_with(b"p") {
                assert!(output.pause());
            }
        })
    })
}

fn plain() -> Case {
    case(Receiver::new(LIMITS), &Lifespan::default())
}

#[test]
fn a_part_is_handed_over_when_it_arrives_and_counts_once() {
    let mut case = plain();
    case.wire.send(&[frame(0x01, b"one, ")]);
    assert_eq!(case.turn(), READ);
    assert_eq!(case.events.take(), ["message one, "]);
    case.wire
        .send(&[frame(0x00, b"two"), frame(0x80, b""), text("x")]);
    assert_eq!(case.turn(), READ);
    assert_eq!(case.events.take(), ["message two.", "message x."]);
    case.drop_session();
    let account = case.events.account.take().unwrap();
    assert_eq!((account.received.messages, account.received.bytes), (2, 9));
}

#[test]
fn a_pause_stops_between_two_parts_of_a_message() {
    let mut case = plain();
    case.wire.send(&[frame(0x01, b"p")]);
    case.wire.send(&[frame(0x00, b"ap")]);
    case.wire.send(&[frame(0x80, b"b")]);
    for expected in ["message p", "message ap"] {
        assert!(matches!(case.turn(), Next::Wait { read: false, .. }));
        assert_eq!(case.events.take(), [expected]);
        case.turn();
        assert_eq!(case.events.take().len(), 0, "it is paused");
        case.output.resume();
    }
    assert_eq!(case.turn(), READ);
    assert_eq!(case.events.take(), ["message b."]);
}

#[test]
fn a_pause_stops_inside_what_a_few_bytes_inflate_to() {
    /// More than two parts.
    const LENGTH: usize = 200_000;
    for context in [DeflateContext::Shared, DeflateContext::Connection] {
        let agreed = DeflateParameters::negotiate(b"permessage-deflate", context);
        let mut case = case(Receiver::with_deflate(LIMITS, agreed), &Lifespan::default());
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![b'p'; LENGTH]).unwrap();
        encoder.flush().unwrap();
        let payload = encoder.get_ref().strip_suffix(&[0, 0, 0xff, 0xff]).unwrap();
        assert!(payload.len() > 125, "the header has the form for that");
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let message = [&[0xc2, 0xfe], &length[..], &[0; 4], payload].concat();
        case.wire.send(&[message]);
        let mut parts = Vec::new();
        while !parts
            .last()
            .is_some_and(|part: &String| part.ends_with('.'))
        {
            assert!(parts.len() < 10, "{context:?}");
            assert!(matches!(case.turn(), Next::Wait { read: false, .. }));
            let happened = case.events.take();
            assert_eq!(happened.len(), 1, "it is paused");
            parts.extend(happened);
            case.output.resume();
        }
        let length: usize = parts.iter().map(|part| part.matches('p').count()).sum();
        assert_eq!((length, parts.len() > 2), (LENGTH, true));
        assert_eq!(case.turn(), READ);
    }
}

#[test]
fn each_part_is_a_sign_of_life() {
    let second = Duration::from_secs(1);
    let lifespan = Lifespan {
        idle_timeout: Some(10 * second),
        message_timeout: Some(9 * second),
        ..Lifespan::default()
    };
    let mut case = case(Receiver::new(LIMITS), &lifespan);
    let started = Instant::now();
    case.wire.send(&[frame(0x01, b"x")]);
    for passed in (0..60).step_by(6) {
        case.turn_at(started + passed * second);
        assert_eq!(case.events.take(), ["message x"], "after {passed} s");
        case.wire.send(&[frame(0x00, b"x")]);
    }
    case.turn_at(started + 60 * second);
    case.events.take();
    case.turn_at(started + 70 * second);
    let happened = case.events.take();
    assert!(
        happened[0].contains("WebSocketMessageTimeout"),
        "{happened:?}"
    );
}

#[test]
fn a_limited_message_counts_when_it_is_complete() {
    let rate = Rate::new(1, Duration::from_secs(3600), 1).unwrap();
    let limit = MessageRate {
        rate,
        excess: Excess::Closes,
    };
    let mut case = plain();
    case.session.as_mut().unwrap().limit(limit);
    case.wire.send(&[frame(0x01, b"a")]);
    case.wire.send(&[frame(0x00, b"b")]);
    case.wire.send(&[frame(0x80, b"c")]);
    case.turn();
    assert_eq!(case.events.take(), ["message a", "message b", "message c."]);
    case.wire.send(&[frame(0x01, b"d"), frame(0x00, b"e")]);
    case.turn();
    assert_eq!(case.events.take(), ["message de"]);
    case.wire.send(&[frame(0x80, b"f")]);
    case.turn();
    let happened = case.events.take();
    assert_eq!(happened.len(), 1);
    assert!(happened[0].starts_with("closing with 1008"), "{happened:?}");
}
